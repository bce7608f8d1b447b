package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/state"
)

func auditCommand(env Env) *cobra.Command {
	cmd := withConfig(&cobra.Command{
		Use:   "audit",
		Short: "Check, export or show the audit record",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return errors.New("say verify, export or show") },
	})
	cmd.AddCommand(auditVerify(env), auditExport(env), auditShow(env))
	return cmd
}

func auditVerify(env Env) *cobra.Command {
	var anchor string
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check that no row was edited, removed, inserted or reordered",
		Long: "Checks every row of the record. Rows that were cut from the end are found only with --anchor:\n" +
			"each rotation's message in Slack names one.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var seen *state.Anchor
			if anchor != "" {
				a, err := state.ParseAnchor(anchor)
				if err != nil {
					return fmt.Errorf("--anchor: %w", err)
				}
				seen = &a
			}
			return withStore(cmd, env, func(ctx context.Context, store *state.Store) error {
				got, err := state.Verify(ctx, store, seen)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintln(env.Stdout, intact(got))
				return err
			})
		},
	}
	cmd.Flags().StringVar(&anchor, "anchor", "", "`SEQ:HASH` of a row that a witness saw")
	return cmd
}

// intact says what was checked, and what an anchor of it would be.
func intact(r state.Report) string {
	switch {
	case r.Rows == 0:
		return "intact: no rows yet"
	case r.Anchored:
		return fmt.Sprintf("intact: %d rows, the last is %d:%s; the anchor agrees", r.Rows, r.Rows, r.Head)
	}
	return fmt.Sprintf("intact: %d rows, the last is %d:%s; without --anchor a cut tail cannot be found", r.Rows, r.Rows, r.Head)
}

func auditExport(env Env) *cobra.Command {
	return &cobra.Command{
		Use:   "export",
		Short: "Write the record as JSON lines",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd, env, func(ctx context.Context, store *state.Store) error {
				return state.Export(ctx, store, env.Stdout)
			})
		},
	}
}

func auditShow(env Env) *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show the rows of one rotation",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(cmd, env, func(ctx context.Context, store *state.Store) error {
				rows, err := state.Rows(ctx, store, rotation.ID(args[0]))
				if err != nil {
					return err
				}
				if args[0] == "" || len(rows) == 0 {
					return fmt.Errorf("the record has no rotation %q", args[0])
				}
				for _, row := range rows {
					if _, err := fmt.Fprintln(env.Stdout, rowLine(row)); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

// rowLine shows one row on one line; the context stays JSON, so that nothing is
// left out.
func rowLine(e state.Entry) string {
	parts := []string{
		fmt.Sprintf("%5d", e.Seq), e.Row.At.UTC().Format(time.DateTime), e.Row.Actor,
		strings.TrimPrefix(e.Row.Action, "secret.rotate."), string(e.Row.Step),
	}
	if len(e.Row.Context) > 0 {
		if b, err := json.Marshal(e.Row.Context); err == nil {
			parts = append(parts, string(b))
		}
	}
	return strings.Join(parts, "  ")
}

// withStore runs f with the state open for reading.
func withStore(cmd *cobra.Command, env Env, f func(context.Context, *state.Store) error) error {
	cfg, err := loadForReading(configPath(cmd), env.Getenv)
	if err != nil {
		return err
	}
	store, err := openForReading(cmd.Context(), cfg)
	if err != nil {
		return failed(err)
	}
	err = f(cmd.Context(), store)
	if closed := store.Close(); err == nil {
		err = closed
	}
	return failed(err)
}
