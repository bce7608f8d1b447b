package cli

import (
	"context"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/raxx-app/keyturn/internal/app"
	"github.com/raxx-app/keyturn/internal/config"
	"github.com/raxx-app/keyturn/internal/fault"
)

func runCommand(env Env) *cobra.Command {
	return withConfig(&cobra.Command{
		Use:   "run",
		Short: "Run the bot until it gets SIGTERM or an interrupt",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := load(cmd.Context(), configPath(cmd), env.Getenv)
			if err != nil {
				return err
			}
			log := slog.New(slog.NewJSONHandler(env.Stderr, &slog.HandlerOptions{Level: cfg.Log.Level}))
			err = app.Run(cmd.Context(), app.Options{Config: cfg, Reload: reloads(cmd, env, log), Now: env.Now, Log: log, Hooks: env.Hooks})
			if err == nil {
				return nil
			}
			logFailure(cmd.Context(), log, err)
			return &failure{err: err, shown: true, code: codeOf(err)}
		},
	})
}

// logFailure says why a bot ended, with what to do.
func logFailure(ctx context.Context, log *slog.Logger, err error) {
	log.ErrorContext(ctx, "bot failed", slog.Any("error", err), slog.String("reason", fault.ReasonOf(err)),
		slog.String("what", fault.UserText(err)), slog.String("fix", fault.FixText(err)))
}

// reloads reads the settings anew each time env.Reload asks for it, until the
// command ends. Settings with a problem are refused whole: each problem is
// logged, and the present ones stay.
func reloads(cmd *cobra.Command, env Env, log *slog.Logger) <-chan config.Config {
	if env.Reload == nil {
		return nil
	}
	out := make(chan config.Config)
	ctx := cmd.Context()
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-env.Reload:
			}
			cfg, err := config.Load(configPath(cmd), env.Getenv)
			if err != nil {
				log.ErrorContext(ctx, "settings refused; the present ones stay", slog.Any("error", err))
				continue
			}
			select {
			case out <- cfg:
			case <-ctx.Done():
			}
		}
	}()
	return out
}

// codeOf tells settings that config cannot judge, such as a STATE_KEY that does
// not open this state, from what went wrong in spite of good ones.
func codeOf(err error) int {
	if k := fault.KindOf(err); k == fault.Invalid || k == fault.Denied {
		return exitUsage
	}
	return exitFailed
}
