package sandbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/raxx-app/keyturn/internal/sandbox/page"
)

// A keeper starts and ends the bot's process at the wish of whoever looks at the
// page. Its methods may be called from any goroutine, one after the other.
type keeper struct {
	w   *World
	ctx context.Context //nolint:containedctx // of every process; each is ended in order before it ends

	mu    sync.Mutex
	child *Child // the last one

	full     bool         // the disk, for every process
	makeRoom func() error // for the last process; nil: it has room
}

var _ page.Process = (*keeper)(nil)

// PID implements [page.Process].
func (k *keeper) PID() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.pid()
}

func (k *keeper) pid() int {
	if k.child == nil {
		return 0
	}
	select {
	case <-k.child.Exited():
		return 0
	default:
		return k.child.cmd.Process.Pid
	}
}

// Start implements [page.Process].
func (k *keeper) Start(context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.start()
}

func (k *keeper) start() error {
	if k.pid() != 0 {
		return errors.New("the bot runs already")
	}
	child, err := k.w.startBot(k.ctx, order{Clock: time.Duration(k.w.ahead.Load())}, k.noRoom)
	if err != nil {
		return err
	}
	k.child = child
	return nil
}

// Stop implements [page.Process]: it asks the bot to end, and waits.
func (k *keeper) Stop() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.stop()
}

func (k *keeper) stop() error {
	if k.pid() == 0 {
		return errors.New("the bot does not run")
	}
	k.grown()
	if code := k.child.Stop(); code != 0 {
		return fmt.Errorf("the bot ended with %d", code)
	}
	return nil
}

// grown waits until a bot that was started a moment ago has come as far as asking
// Slack for a socket, whatever Slack says: one that is asked to end before that
// may not hear it, and ends as if it were killed, or stops in the middle of its
// start and says that this failed.
func (k *keeper) grown() {
	tick, enough := time.NewTicker(lookEvery), time.NewTimer(stopLimit)
	defer tick.Stop()
	defer enough.Stop()
	for !slices.Contains(k.child.Points(), asksForSocket) {
		select {
		case <-tick.C:
		case <-enough.C:
			return
		case <-k.child.Exited():
			return
		case <-k.ctx.Done():
			return
		}
	}
}

// asksForSocket is passed once in each process.
const asksForSocket Point = "slack POST /api/apps.connections.open 1 answer"

// Kill implements [page.Process]: the process ends wherever it is.
func (k *keeper) Kill() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.pid() == 0 {
		return errors.New("the bot does not run")
	}
	return k.child.Kill()
}

// smallLeap is how far the clock can be moved before the bot has to be started
// anew: its waits have begun, and what it knows of people gets too old.
const smallLeap = 30 * time.Second

// Now implements [page.Clock].
func (k *keeper) Now() time.Time { return k.w.now() }

// Ahead implements [page.Clock].
func (k *keeper) Ahead() time.Duration { return time.Duration(k.w.ahead.Load()) }

// Advance implements [page.Clock]. A bot that runs is started anew after a leap,
// in order, as if the time had passed for it too.
func (k *keeper) Advance(d time.Duration) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	running := k.pid() != 0
	if running && d > smallLeap {
		if err := k.stop(); err != nil {
			return err
		}
	}
	k.w.Infisical.Advance(d)
	ahead := time.Duration(k.w.ahead.Add(int64(d)))
	switch {
	case !running:
		return nil
	case d > smallLeap:
		return k.start()
	}
	return k.child.command(order{Clock: ahead})
}
