package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/raxx-app/keyturn/internal/app"
	"github.com/raxx-app/keyturn/internal/config"
	"github.com/raxx-app/keyturn/internal/control"
	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/state"
)

// startEvery is how often a bot that is just starting is asked whether it is
// there.
const startEvery = 20 * time.Millisecond

// A link is the way to the bot that does the work: one that runs already, or one
// in this process that runs until end is called.
type link struct {
	*control.Client
	about control.About // as it was reached
	end   func()
	ended chan struct{} // closed when the bot in this process is over; nil: it is another process
	why   error         // of that, once ended is closed
}

// reachBot returns the running bot, or starts one in this process with the settings
// that load returns, which have the tokens. It returns load's error, that of
// [app.Run] if the bot does not start, and a Conflict, state_locked, if another
// process has the state but does not answer.
func reachBot(ctx context.Context, env Env, cfg config.Config, load func() (config.Config, error)) (*link, error) {
	client := control.Dial(cfg.State.Socket)
	beside := &link{Client: client, end: client.Close}
	about, err := client.About(ctx)
	if err == nil {
		beside.about = about
		return beside, nil
	}
	if errors.Is(err, control.ErrNobody) {
		whole, bad := load()
		if bad != nil {
			client.Close()
			if state.Holder(cfg.State.Path) != 0 {
				return nil, heldError(cfg.State.Path, err)
			}
			return nil, bad
		}
		var alone *link
		if alone, err = hostBot(ctx, env, whole, client); err == nil {
			return alone, nil
		}
		var late error // of another one that was just starting, and was first
		if beside.about, late = client.About(ctx); late == nil {
			return beside, nil
		}
	}
	client.Close()
	if r := fault.ReasonOf(err); r == "bot_silent" || r == "state_locked" {
		err = heldError(cfg.State.Path, err)
	}
	return nil, err
}

// hostBot runs a bot in this process and waits until it answers. Its log goes
// beside the state, out of the way of what the person reads. Only end stops it,
// not ctx: what the command began when it was told to end is answered first.
func hostBot(ctx context.Context, env Env, cfg config.Config, client *control.Client) (*link, error) {
	path := cfg.State.Path + ".rotate.log"
	file, err := openLog(path, cfg.State.Path)
	if err != nil {
		return nil, err
	}
	cfg.HTTP.Listen = "" // nobody asks a command for its health
	log := slog.New(slog.NewJSONHandler(file, &slog.HandlerOptions{Level: cfg.Log.Level}))
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	bot := &link{Client: client, ended: make(chan struct{})}
	bot.end = func() {
		stop()
		<-bot.ended
		client.Close()
		_ = file.Close()
	}
	go func() {
		defer close(bot.ended)
		bot.why = app.Run(running, app.Options{Config: cfg, Now: env.Now, Log: log, Hooks: env.Hooks})
		if bot.why != nil {
			logFailure(running, log, bot.why)
		}
	}()
	tick := time.NewTicker(startEvery)
	defer tick.Stop()
	for {
		if bot.about, err = client.About(ctx); err == nil {
			fmt.Fprintf(env.Stdout, "No bot is running: this command is the bot until it ends. Its log: %s\n", path)
			return bot, nil
		}
		select {
		case <-bot.ended:
			bot.end()
			return nil, bot.why
		case <-ctx.Done():
			bot.end()
			return nil, fmt.Errorf("wait for the bot to start: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

// openLog opens the log at path for appending. If root makes it, it is given to
// the user whose the state is, who could not open it the next time otherwise. One
// that is there stays whose it is: it may be another name of some other file.
func openLog(path, statePath string) (*os.File, error) {
	const flags = os.O_WRONLY | os.O_APPEND | syscall.O_NOFOLLOW   // root must not be led elsewhere
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil { // as the state has it
		return nil, fmt.Errorf("make folder of log: %w", err)
	}
	file, err := os.OpenFile(path, flags|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // beside the state
	if err == nil {
		if err := state.GiveTo(file, statePath); err != nil {
			return nil, errors.Join(fmt.Errorf("give log to the user of the state: %w", err), file.Close())
		}
		return file, nil
	}
	if errors.Is(err, fs.ErrExist) {
		file, err = os.OpenFile(path, flags, 0o600) //nolint:gosec // beside the state
	}
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	return file, nil
}
