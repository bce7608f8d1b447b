package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/raxx-app/keyturn/internal/cli"
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
	orders *os.File           // to the bot
	exited chan struct{}
	err    error // of the process; read it after exited

	mu     sync.Mutex
	points []Point
}

// StartBot starts the bot against the world: this very program again, with the
// arguments that cmd/bot would get. It ends with ctx, with Stop or Kill, and on
// Linux with this process, however that ends.
func (w *World) StartBot(ctx context.Context) (*Child, error) {
	return w.startBot(ctx, order{}, nil)
}

// startBot is StartBot with an order. ready is called before the bot has done
// anything; nil: nothing is.
func (w *World) startBot(ctx context.Context, o order, ready func(pid int) error) (*Child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	log, err := os.OpenFile(w.Log(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	defer log.Close() // the child has its own copy
	theirs, orders, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make pipe: %w", err)
	}
	defer theirs.Close()
	points, told, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make pipe: %w", err), orders.Close())
	}
	defer told.Close()
	ctx, cancel := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, self, childArg, "run", "--config", w.Config()) //nolint:gosec // ourselves
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = w.Dir, w.Env(), log, log
	cmd.ExtraFiles = []*os.File{theirs, told} // ordersFD, pointsFD
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopLimit
	cmd.SysProcAttr = attributes()
	if err := cmd.Start(); err != nil {
		cancel()
		return nil, errors.Join(fmt.Errorf("start bot: %w", err), orders.Close(), points.Close())
	}
	c := &Child{cmd: cmd, cancel: cancel, orders: orders, exited: make(chan struct{})}
	go func() {
		c.collect(points) // to the end of the process
		c.err = cmd.Wait()
		_ = points.Close()
		_ = orders.Close()
		close(c.exited)
	}()
	if ready != nil {
		err = ready(cmd.Process.Pid)
	}
	if err == nil {
		err = c.command(o)
	}
	if err != nil {
		return nil, errors.Join(err, c.Kill())
	}
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

// beBot is what the child does: it is the bot, on the leash of its parent.
func beBot(ctx context.Context, env Env) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM) // in a test binary nobody else does
	defer stop()
	leash, err := openLeash(env.Now)
	if err != nil {
		fmt.Fprintln(env.Stderr, "sandbox:", err)
		return exitUsage
	}
	hooks, err := inherited()
	if err != nil {
		fmt.Fprintln(env.Stderr, "sandbox:", err)
		return exitUsage
	}
	again := make(chan os.Signal, 1)
	signal.Notify(again, syscall.SIGHUP)
	defer signal.Stop(again)
	return cli.Run(ctx, cli.Env{
		Args: env.Args[1:], Reload: again, Getenv: env.Getenv, Stdin: env.Stdin, Stdout: env.Stdout, Stderr: env.Stderr,
		Now: leash.Now, Hooks: leash.wrap(hooks),
	})
}
