package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/raxx-app/keyturn/internal/config"
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

// openForReading opens the state beside no bot, creating nothing.
func openForReading(ctx context.Context, cfg config.Config) (*state.Store, error) {
	store, err := state.Open(ctx, state.Config{Path: cfg.State.Path, ReadOnly: true})
	if fault.ReasonOf(err) == "state_locked" {
		return nil, heldError(cfg.State.Path, err)
	}
	return store, err
}

// heldError says that a bot is running, in the words that fit a command which
// only wants to read.
func heldError(path string, cause error) error {
	who := "A bot"
	if pid := state.Holder(path); pid != 0 {
		who = fmt.Sprintf("A bot (pid %d)", pid)
	}
	return &fault.Error{
		Kind: fault.Conflict, Reason: "state_locked", Op: "cli.openForReading", Err: cause,
		User: who + " is running and holds " + path + ".",
		Fix:  "Ask it in Slack with /rotate-alpaca-paper status, or stop it and repeat this command.",
	}
}
