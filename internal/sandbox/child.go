package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// childArg, as the first argument, makes the program be the bot.
const childArg = "__bot"

// stopLimit is how long the bot may take to stop: its own 5 s and some for the
// process to end.
const stopLimit = 8 * time.Second

// A Child is the bot as a process of its own, so that a kill is a real one. Its
// methods may be called from any goroutine.
type Child struct {
	cmd    *exec.Cmd
	cancel context.CancelFunc // sends SIGTERM
	exited chan struct{}
	err    error // of the process; read it after exited
}

// StartBot starts the bot against the world: this very program again, with the
// arguments that cmd/bot would get. It ends with ctx, with Stop or Kill, and on
// Linux with this process, however that ends.
func (w *World) StartBot(ctx context.Context) (*Child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	log, err := os.OpenFile(w.Log(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	defer log.Close() // the child has its own copy
	ctx, cancel := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, self, childArg, "run", "--config", w.Config()) //nolint:gosec // ourselves
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = w.Dir, w.Env(), log, log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopLimit
	cmd.SysProcAttr = attributes()
	if err := cmd.Start(); err != nil {
		cancel()
		return nil, fmt.Errorf("start bot: %w", err)
	}
	c := &Child{cmd: cmd, cancel: cancel, exited: make(chan struct{})}
	go func() {
		c.err = cmd.Wait()
		close(c.exited)
	}()
	return c, nil
}

// Exited is closed when the process has ended.
func (c *Child) Exited() <-chan struct{} { return c.exited }

// Stop asks the bot to stop, waits, and returns its exit code; -1 if it had to
// be killed. Stopping it again returns the same.
func (c *Child) Stop() int {
	c.cancel()
	<-c.exited
	return c.code()
}

// Kill ends the bot at once, wherever it is, and waits for the process to be
// gone.
func (c *Child) Kill() error {
	err := c.cmd.Process.Kill()
	<-c.exited
	c.cancel()
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

func (c *Child) code() int { return c.cmd.ProcessState.ExitCode() }
