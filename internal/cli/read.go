package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/raxx-app/keyturn/internal/config"
	"github.com/raxx-app/keyturn/internal/control"
	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/state"
)

// unused stands for a token that the command at hand never uses.
const unused = "unused"

// loadForReading reads the settings for a command that only reads the bot's own
// file: an auditor holds no tokens. The tokens of the result are no tokens.
func loadForReading(path string, getenv func(string) string) (config.Config, error) {
	cfg, err := config.Load(path, func(name string) string {
		if value := getenv(name); value != "" {
			return value
		}
		// Without these a consumer that needs one would be a problem of the file.
		if slices.Contains([]string{"HEROKU_API_KEY", "GITHUB_TOKEN", "WEBHOOK_SECRET"}, name) && getenv(name+"_FILE") == "" {
			return unused
		}
		return ""
	})
	problems, ok := errors.AsType[config.Problems](err)
	if !ok {
		return cfg, err
	}
	problems = slices.DeleteFunc(problems, func(p config.Problem) bool { return p.File == "" }) // of the environment
	if len(problems) > 0 {
		return cfg, problems
	}
	return cfg, nil
}

// openForReading opens the state for reading, creating nothing. Beside a running
// bot that is a copy of what the bot has committed.
func openForReading(ctx context.Context, cfg config.Config) (*state.Store, error) {
	if botAnswers(ctx, cfg) {
		if store, err := openCopy(ctx, cfg.State.Socket); err == nil {
			return store, nil
		}
	}
	store, err := state.Open(ctx, state.Config{Path: cfg.State.Path, ReadOnly: true})
	if fault.ReasonOf(err) != "state_locked" {
		return store, err
	}
	store, askErr := openCopy(ctx, cfg.State.Socket)
	if askErr != nil {
		return nil, heldError(cfg.State.Path, errors.Join(askErr, err))
	}
	return store, nil
}

// botAnswers reports whether the bot that holds the state answers. Its lock would say
// so too, but only after a wait.
func botAnswers(ctx context.Context, cfg config.Config) bool {
	pid := state.Holder(cfg.State.Path)
	if pid == 0 {
		return false
	}
	bot := control.Dial(cfg.State.Socket)
	defer bot.Close()
	about, err := bot.About(ctx)
	return err == nil && about.PID == pid
}

// openCopy has the bot at socket copy its state and opens the copy, which has no
// name any more when it returns.
func openCopy(ctx context.Context, socket string) (store *state.Store, err error) {
	dir, err := os.MkdirTemp("", "keyturn-read-") // only we may look into it
	if err != nil {
		return nil, fmt.Errorf("make room for a copy: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "copy.db")
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // a name of our own
	if err != nil {
		return nil, fmt.Errorf("make room for a copy: %w", err)
	}
	bot := control.Dial(socket)
	defer bot.Close()
	if err := errors.Join(bot.Snapshot(ctx, file), file.Close()); err != nil {
		return nil, err
	}
	return state.Open(ctx, state.Config{Path: path, ReadOnly: true})
}

// heldError says that a bot has the state but cannot be asked.
func heldError(path string, cause error) error {
	if foreign, ok := errors.AsType[*fault.Error](cause); ok && foreign.Reason == "socket_foreign" {
		return foreign
	}
	who := "bot"
	if pid := state.Holder(path); pid != 0 {
		who = fmt.Sprintf("bot (pid %d)", pid)
	}
	return &fault.Error{
		Kind: fault.Conflict, Reason: "state_locked", Op: "cli.openForReading", Err: cause,
		User: who + " holds the state but does not answer.",
		Fix:  "Look at its log. Restarting it loses nothing: it goes on where it was.",
	}
}
