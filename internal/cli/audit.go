package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/state"
)

func auditCommand(env Env) *cobra.Command {
	cmd := withConfig(&cobra.Command{
		Use:   "audit",
		Short: "Check, export or show the audit record, or make evidence of it",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return errors.New("say verify, export, show or pack") },
	})
	cmd.AddCommand(auditVerify(env), auditExport(env), auditShow(env), auditPack(env))
	return cmd
}

func auditVerify(env Env) *cobra.Command {
	var anchor string
	cmd := &cobra.Command{
		Use:   "verify [PACK]",
		Short: "Check that no row was edited, removed, inserted or reordered",
		Long: "Checks every row of the record, or of a file that bot audit pack or bot audit export wrote: that needs\n" +
			"no settings and no state. Rows that were cut from the end, or a record that was written anew, are found\n" +
			"only with --anchor: each rotation's message in Slack names one.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			seen, err := anchorOf(anchor)
			if err != nil {
				return err
			}
			if len(args) == 1 {
				return failed(verifyFile(env, args[0], seen))
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

// anchorOf reads the flag --anchor; nil means that it was not given.
func anchorOf(text string) (*state.Anchor, error) {
	if text == "" {
		return nil, nil
	}
	a, err := state.ParseAnchor(text)
	if err != nil {
		return nil, fmt.Errorf("--anchor: %s %s", fault.UserText(err), fault.FixText(err))
	}
	return &a, nil
}

// evidenceLimit bounds a file that is checked, in bytes.
const evidenceLimit = 256 << 20

// verifyFile checks a pack, or an export.
func verifyFile(env Env, path string, anchor *state.Anchor) error {
	f, err := os.Open(path) //nolint:gosec // the file that the caller names
	if err != nil {
		return fmt.Errorf("open evidence: %w", err)
	}
	defer f.Close()
	file, err := io.ReadAll(io.LimitReader(f, evidenceLimit))
	if err != nil {
		return fmt.Errorf("read evidence: %w", err)
	}
	line := ""
	if isPack(file) {
		p, got, err := verifyPack(file, anchor)
		if err != nil {
			return err
		}
		line = packLine(p, got)
	} else {
		got, err := state.VerifyExport(bytes.NewReader(file), anchor)
		if err != nil {
			return err
		}
		line = intact(got)
	}
	_, err = fmt.Fprintln(env.Stdout, line)
	return err
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

func auditPack(env Env) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "pack ID",
		Short: "Write the evidence of one rotation into one file",
		Long: "Writes one HTML file: a page to read and print, with the rows of the record in it, which\n" +
			"bot audit verify FILE checks anywhere. It holds no secret values. A file that exists is not overwritten.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(cmd, env, func(ctx context.Context, store *state.Store) error {
				x, err := state.Extract(ctx, store, rotation.ID(args[0]))
				if err != nil {
					return err
				}
				p, err := newPack(x, env.Now(), versionLine(debug.ReadBuildInfo()))
				if err != nil {
					return err
				}
				file, err := p.file()
				if err != nil {
					return err
				}
				if out == "-" {
					_, err = env.Stdout.Write(file)
					return err
				}
				path := cmp.Or(out, "keyturn-"+args[0]+".html")
				if err := writeNew(path, file); err != nil {
					return err
				}
				_, err = fmt.Fprintf(env.Stdout, "%s: rotation %s of %s, %s; check it with: bot audit verify %s --anchor SEQ:HASH\n", path, p.Rotation, p.KeySet, p.Outcome, path)
				return err
			})
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "`FILE` to write; - is standard output (default keyturn-ID.html)")
	return cmd
}

// writeNew writes a file that only its owner may read and that was not there
// before. A half of one is not left behind.
func writeNew(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the file that the caller names
	if errors.Is(err, fs.ErrExist) {
		return &fault.Error{
			Kind: fault.Conflict, Reason: "file_exists", Op: "cli.writeNew", Err: err,
			User: path + " is there already, and nothing is overwritten.", Fix: "Choose another name, or move that file away.",
		}
	}
	if err != nil {
		return fmt.Errorf("make file: %w", err)
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(fmt.Errorf("write file: %w", err), os.Remove(path))
	}
	return nil
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
	return visible(strings.Join(parts, "  "))
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
