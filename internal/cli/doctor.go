package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/raxx-app/keyturn/internal/app"
	"github.com/raxx-app/keyturn/internal/state"
)

// A diagnosis is what `bot doctor --json` prints. Names and meanings never
// change; fields may be added.
type diagnosis struct {
	Findings []app.Finding     `json:"findings"` // in the order of the table
	Count    map[app.Level]int `json:"count"`    // of each level, 0 included
	TookMS   int64             `json:"took_ms"`
}

func doctorCommand(env Env) *cobra.Command {
	var asJSON bool
	cmd := withConfig(&cobra.Command{
		Use:   "doctor",
		Short: "Try everything that run needs, change nothing, and say what to mend",
		Long: "Try everything that run needs, change nothing, and say what to mend.\n\n" +
			"It exits with 0 if nothing failed (what is only a warning is no failure), with 1\n" +
			"if something did, and with 2 if the settings themselves are wrong. Beside a running\n" +
			"bot it reads a copy of that bot's state.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := load(cmd.Context(), configPath(cmd), env.Getenv)
			if err != nil {
				return err
			}
			doctor := app.Doctor{
				Config: cfg, Now: env.Now, WrapTransport: env.Hooks.WrapTransport,
				Open: func(ctx context.Context) (*state.Store, error) { return openForReading(ctx, cfg) },
			}
			began := env.Now()
			d := diagnosis{Findings: doctor.Examine(cmd.Context()), Count: map[app.Level]int{app.LevelOK: 0, app.LevelWarn: 0, app.LevelFail: 0}}
			d.TookMS = env.Now().Sub(began).Milliseconds()
			for _, f := range d.Findings {
				d.Count[f.Level]++
			}
			if asJSON {
				err = json.NewEncoder(env.Stdout).Encode(d)
			} else {
				err = d.print(env.Stdout)
			}
			if err == nil && d.Count[app.LevelFail] > 0 {
				return &failure{err: errors.New("doctor found what has to be mended"), code: exitFailed, shown: true}
			}
			return failed(err)
		},
	})
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// print writes the table: a line for each finding, and one below it that says
// what to do.
func (d diagnosis) print(w io.Writer) error {
	area, name := 0, 0
	for _, f := range d.Findings {
		area, name = max(area, len(f.Area)), max(name, len(f.Check))
	}
	var b strings.Builder
	for _, f := range d.Findings {
		fmt.Fprintf(&b, "%-4s  %-*s  %-*s  %s\n", f.Level, area, oneRow(f.Area), name, oneRow(f.Check), oneRow(f.Text))
		if f.Fix != "" {
			fmt.Fprintf(&b, "%*s  → %s\n", 4+2+area+2+name, "", oneRow(f.Fix))
		}
	}
	fmt.Fprintf(&b, "\n%d ok · %d warn · %d fail, in %.1f s\n", d.Count[app.LevelOK], d.Count[app.LevelWarn], d.Count[app.LevelFail], float64(d.TookMS)/1000)
	_, err := io.WriteString(w, b.String())
	return err
}

// oneRow makes one line of s that cannot move a terminal's cursor: names of
// channels and people come from outside.
func oneRow(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
}
