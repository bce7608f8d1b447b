package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/raxx-app/keyturn/internal/app"
	"github.com/raxx-app/keyturn/internal/config"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/state"
)

// A keySetStatus is one key set as `bot status --json` shows it. Names and
// meanings never change; fields may be added.
type keySetStatus struct {
	Name      string      `json:"name"`
	NextDue   string      `json:"next_due,omitempty"`   // calendar day; absent: no bot has run with it
	FirstSeen string      `json:"first_seen,omitempty"` // calendar day from which that is counted; absent: from the last rotation
	Completed time.Time   `json:"completed,omitzero"`   // last completed rotation, UTC
	Last      rotation.ID `json:"last,omitempty"`
	ExposedMS int64       `json:"exposed_ms"` // of that one
	Open      *openStatus `json:"open"`       // null: none is open
}

// An openStatus is an open rotation.
type openStatus struct {
	Rotation rotation.ID  `json:"rotation"`
	Opened   time.Time    `json:"opened"` // UTC
	Number   int          `json:"step"`
	Step     string       `json:"name"`
	State    string       `json:"state"`
	WaitsFor string       `json:"waits_for,omitempty"`    // Slack user, or keyturn
	Exposed  time.Time    `json:"exposed_since,omitzero"` // absent: trading is not known to fail
	Problem  string       `json:"problem,omitempty"`      // what happened
	Fix      string       `json:"fix,omitempty"`          // what to do
	Reason   string       `json:"reason,omitempty"`       // stable
	Operator string       `json:"operator"`               // audit name
	Trigger  string       `json:"trigger"`                // scheduled, operator, offboarding, reset
	Clicked  bool         `json:"clicked"`                // only forward from here
	Failed   []failedItem `json:"failed"`                 // in the order of the steps; [] if nothing is
}

// A failedItem is a check, a consumer, a test order or a whole step that failed
// and that nobody has let pass. It waits for a person.
type failedItem struct {
	Number  int    `json:"step"`
	Step    string `json:"name"`
	Item    string `json:"item,omitempty"`    // absent: the step as a whole
	Problem string `json:"problem,omitempty"` // what happened
	Fix     string `json:"fix,omitempty"`     // what to do
	Reason  string `json:"reason,omitempty"`  // stable
}

func statusCommand(env Env) *cobra.Command {
	var asJSON bool
	cmd := withConfig(&cobra.Command{
		Use:   "status",
		Short: "Show key sets, due dates and open rotations",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadForReading(configPath(cmd), env.Getenv)
			if err != nil {
				return err
			}
			store, err := openForReading(cmd.Context(), cfg)
			if err != nil {
				return failed(err)
			}
			list, err := statusOf(cmd.Context(), cfg, store, env.Now)
			if closed := store.Close(); err == nil {
				err = closed
			}
			switch {
			case err != nil:
			case asJSON:
				err = json.NewEncoder(env.Stdout).Encode(map[string]any{"keysets": list})
			default:
				err = printStatus(env.Stdout, list)
			}
			return failed(err)
		},
	})
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// statusOf reads what is stored of every key set. The engine is only asked; it
// is never run.
func statusOf(ctx context.Context, cfg config.Config, store *state.Store, now func() time.Time) ([]keySetStatus, error) {
	sets := make([]rotation.KeySet, len(cfg.KeySets))
	for i, k := range cfg.KeySets {
		sets[i] = rotation.KeySet{Name: k.Name, CadenceDays: k.CadenceDays}
	}
	engine := rotation.New(rotation.Config{Store: store, KeySets: sets, Now: now})
	list := make([]keySetStatus, 0, len(sets))
	for _, k := range sets {
		rec, err := engine.Remembered(ctx, k.Name)
		if err != nil {
			return nil, err
		}
		s := keySetStatus{Name: k.Name, NextDue: rec.NextDue, Completed: rec.Completed.UTC(), Last: rec.Last}
		if s.NextDue == "" {
			if s.NextDue, s.FirstSeen, err = app.FirstDue(ctx, cfg, store, engine, k.Name, now); err != nil {
				return nil, err
			}
		}
		if n := len(rec.Exposed); n > 0 {
			s.ExposedMS = rec.Exposed[n-1]
		}
		id, err := engine.Active(ctx, k.Name)
		switch {
		case err == nil:
			o, err := engine.Look(ctx, id)
			if err != nil {
				return nil, err
			}
			s.Open = openOf(o.Rotation)
		case !errors.Is(err, rotation.ErrNotFound):
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

func openOf(r rotation.Rotation) *openStatus {
	s := r.Current()
	var exposed time.Time // since when trading fails now; once all is verified it does not
	if x := r.Exposure(); x.Running {
		exposed = x.From.UTC()
	}
	return &openStatus{
		Rotation: r.ID, Opened: r.Opened.UTC(), Number: s.Number, Step: string(s.Name), State: string(s.State), WaitsFor: s.WaitsFor,
		Exposed: exposed, Problem: s.Problem.Text, Fix: s.Problem.Fix, Reason: s.Problem.Reason,
		Operator: r.Operator.Admin, Trigger: string(r.Trigger), Clicked: r.Clicked(), Failed: failures(r),
	}
}

// failures lists what failed in the steps that are not over.
func failures(r rotation.Rotation) []failedItem {
	all := []failedItem{}
	for _, s := range r.Steps {
		if s.State.Settled() {
			continue
		}
		add := func(item string, p rotation.Problem) {
			all = append(all, failedItem{Number: s.Number, Step: string(s.Name), Item: item, Problem: p.Text, Fix: p.Fix, Reason: p.Reason})
		}
		if s.State == rotation.Failed {
			add("", s.Problem)
		}
		for _, it := range s.Items {
			if it.State == rotation.Failed && it.PassWhy == "" {
				add(it.Name, it.Problem)
			}
		}
	}
	return all
}

func printStatus(w io.Writer, list []keySetStatus) error {
	for _, k := range list {
		line := k.Name + ": never rotated by this bot"
		switch {
		case k.FirstSeen != "":
			line += fmt.Sprintf(", due %s (counted from %s, when it first saw it)", k.NextDue, k.FirstSeen)
		case k.NextDue != "":
			line = fmt.Sprintf("%s: due %s, last rotated %s (%s), exposed %.1f s", k.Name, k.NextDue, k.Completed.Format(time.DateTime), k.Last, float64(k.ExposedMS)/1000)
		}
		lines := []string{line}
		if k.Open != nil {
			lines = append(lines, k.Open.lines()...)
		}
		for i, line := range lines { // details come from services and consumers
			lines[i] = oneRow(line)
		}
		if _, err := fmt.Fprintln(w, strings.Join(lines, "\n")); err != nil {
			return err
		}
	}
	return nil
}

// lines shows an open rotation to people.
func (o *openStatus) lines() []string {
	line := fmt.Sprintf("  open: %s, step %d %s %s, waits for %s", o.Rotation, o.Number, o.Step, o.State, o.WaitsFor)
	if !o.Exposed.IsZero() {
		line += ", trading fails since " + o.Exposed.Format(time.DateTime)
	}
	lines := []string{line}
	add := func(indent, problem, fix string) {
		if problem != "" {
			lines = append(lines, indent+"what happened: "+problem)
		}
		if fix != "" {
			lines = append(lines, indent+"what to do: "+fix)
		}
	}
	if o.State != string(rotation.Failed) { // else it is below
		add("  ", o.Problem, o.Fix)
	}
	for _, f := range o.Failed {
		name := fmt.Sprintf("  failed: step %d %s", f.Number, f.Step)
		if f.Item != "" {
			name += ", " + f.Item
		}
		lines = append(lines, name)
		add("    ", f.Problem, f.Fix)
	}
	return lines
}
