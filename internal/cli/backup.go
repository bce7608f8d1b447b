package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/raxx-app/keyturn/internal/config"
	"github.com/raxx-app/keyturn/internal/control"
	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/state"
)

func backupCommand(env Env) *cobra.Command {
	return withConfig(&cobra.Command{
		Use:   "backup FILE",
		Short: "Copy the state, also while the bot runs",
		Long: "Writes a copy of the state that holds exactly one moment of it, and checks it. The bot may run meanwhile.\n" +
			"What is sealed in it opens only with STATE_KEY: keep that in another place. A file that exists is not overwritten.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := loadForReading(configPath(cmd), env.Getenv)
			if err != nil {
				return err
			}
			got, err := backup(cmd.Context(), cfg, args[0])
			if err != nil {
				return failed(err)
			}
			_, err = fmt.Fprintf(env.Stdout, "%s: %s\n", args[0], contents(got))
			return failed(err)
		},
	})
}

// backup has the running bot copy its state, or opens the file if none runs.
func backup(ctx context.Context, cfg config.Config, path string) (state.Contents, error) {
	bot := control.Dial(cfg.State.Socket)
	defer bot.Close()
	if botAnswers(ctx, cfg) {
		return state.Backup(ctx, path, bot.Snapshot)
	}
	store, err := state.Open(ctx, state.Config{Path: cfg.State.Path, ReadOnly: true})
	if err == nil {
		got, err := state.Backup(ctx, path, store.Snapshot)
		return got, errors.Join(err, store.Close())
	}
	if fault.ReasonOf(err) != "state_locked" {
		return state.Contents{}, err
	}
	if _, askErr := bot.About(ctx); askErr != nil {
		return state.Contents{}, heldError(cfg.State.Path, errors.Join(askErr, err))
	}
	return state.Backup(ctx, path, bot.Snapshot)
}

// contents says what is in a copy of the state.
func contents(c state.Contents) string {
	parts := []string{fmt.Sprintf("%d bytes", c.Size), "no audit rows"}
	if c.Rows > 0 {
		parts[1] = fmt.Sprintf("audit rows intact to %d:%s", c.Rows, c.Head)
	}
	if c.Sealed > 0 {
		parts = append(parts, fmt.Sprintf("%d sealed values, which only STATE_KEY opens", c.Sealed))
	}
	return strings.Join(parts, "; ")
}

func restoreCommand(env Env) *cobra.Command {
	return withConfig(&cobra.Command{
		Use:   "restore FILE",
		Short: "Put a backup in the place of the state; the bot must not run",
		Long: "Checks the backup, then puts it in the place of the state. The state that was there is kept under a name\n" +
			"that is printed. What the bot did after the backup was made it no longer knows: the audit rows of that time\n" +
			"are in the file that is kept, and it looks at every service again before it writes anything.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := loadForReading(configPath(cmd), env.Getenv)
			if err != nil {
				return err
			}
			got, err := state.Restore(cmd.Context(), args[0], cfg.State.Path, cfg.Tokens.StateKey, env.Now())
			if err != nil {
				return failed(err)
			}
			sayShut(env.Stderr, got, cfg.Tokens.StateKey.Empty())
			aside := "There was none before."
			if got.Aside != "" {
				aside = "What was there is now " + got.Aside + "."
			}
			_, err = fmt.Fprintf(env.Stdout, "%s is restored from %s: %s.\n%s\nCompare the last row with the newest summary in the ops channel: later rows are not in this state.\n", cfg.State.Path, args[0], contents(got.Contents), aside)
			return failed(err)
		},
	})
}

// sayShut says which sealed values cannot be opened, and what they need.
func sayShut(stderr io.Writer, got state.Restored, noKey bool) {
	if len(got.Shut) == 0 {
		return
	}
	what := "STATE_KEY does not open"
	if noKey {
		what = "STATE_KEY is not set, so nothing opens"
	}
	keys := make([]string, len(got.Shut))
	for i, s := range got.Shut {
		keys[i] = s.Key
	}
	fmt.Fprintf(stderr, "%s %d of the %d sealed values: %s.\n", what, len(keys), got.Sealed, strings.Join(keys, ", "))
	if names := state.Identities(got.Shut); len(names) > 0 {
		fmt.Fprintf(stderr, "They need the identity whose public key starts with %s. No rotation starts without it.\n", strings.Join(names, ", and the one with "))
	}
}
