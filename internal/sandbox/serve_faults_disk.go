package sandbox

import (
	"github.com/raxx-app/keyturn/internal/sandbox/page"
)

// botSwitches are about the bot itself; that it is killed and started again has
// buttons of its own.
func (k *keeper) botSwitches() []page.Fault {
	return []page.Fault{
		{Name: "disk-full", Group: "The bot", What: "The disk of the bot's state file is full.", Set: k.setDiskFull},
	}
}

// setDiskFull fills the disk of the bot that runs and of each that is started
// after it, or makes room again. Where it cannot be played nothing changes.
func (k *keeper) setDiskFull(full bool) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.full = full; k.pid() == 0 {
		k.makeRoom = nil
		return nil
	}
	if full {
		if err := k.noRoom(k.child.cmd.Process.Pid); err != nil {
			k.full = false
			return err
		}
		return nil
	}
	makeRoom := k.makeRoom
	k.makeRoom = nil
	if makeRoom == nil {
		return nil
	}
	return makeRoom()
}

// noRoom fills the disk of a process if it is to be full; k.mu is held.
func (k *keeper) noRoom(pid int) (err error) {
	if k.full {
		k.makeRoom, err = fillDisk(pid)
	}
	return err
}
