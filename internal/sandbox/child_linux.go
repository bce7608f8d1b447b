package sandbox

import "syscall"

// attributes make the bot end with its parent even if that is killed, and keep
// an interrupt at the terminal for the parent, which stops the bot in order. The
// signal follows the thread that starts the bot; Go ends no thread that was not
// locked.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
