package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/raxx-app/keyturn/internal/control"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// shown is what was printed already: a terminal tells what changed, a line each.
type shown struct {
	lines      map[string]string
	instructed int // round of step 2 that was explained
	exposed    bool
}

// show prints what is new.
func (t *terminal) show(v control.View) {
	r := &v.Overview.Rotation
	if t.shown.lines == nil {
		t.shown.lines = map[string]string{}
		fmt.Fprintf(t.out, "Rotation %s of %s: %s. Operator: %s.\n", r.ID, r.KeySet, rotation.TriggerText(r.Trigger), r.Operator.Admin)
	}
	for i := range r.Steps {
		s := &r.Steps[i]
		if s.State == rotation.Pending {
			continue
		}
		t.line(string(s.Name), fmt.Sprintf("%s %d %s%s", mark(s.State), s.Number, rotation.Text(s.Name).Title, took(s.Started, s.Ended)))
		for _, it := range s.Items {
			if it.State != rotation.Pending && it.State != rotation.Running {
				t.line(string(s.Name)+"/"+it.Name, "   "+markOf(it)+" "+it.Name+detail(it))
			}
		}
		if s.State == rotation.Running && s.Problem.Text != "" {
			t.line(string(s.Name)+"/problem", "   … "+s.Problem.Text+" "+s.Problem.Fix)
		}
	}
	if e := r.Exposure(); !t.shown.exposed && e.Running {
		t.shown.exposed = true
		fmt.Fprintf(t.out, "🔴 Trading fails since %s UTC: the old pair is dead.\n", e.From.UTC().Format(time.TimeOnly))
	}
	if r.Outcome != rotation.Open && r.Outcome != rotation.Completed {
		fmt.Fprintf(t.out, "The rotation is over: %s. The pair was not changed.\n", r.Outcome)
	}
}

// line prints one line if it says something else than before.
func (t *terminal) line(key, text string) {
	if t.shown.lines[key] != text {
		t.shown.lines[key] = text
		fmt.Fprintln(t.out, oneRow(text))
	}
}

// markOf is the sign of a check or consumer. What reading cannot prove is not
// shown as proven, as in Slack.
func markOf(it rotation.Item) string {
	if it.State == rotation.Done && it.Level == rotation.Unproven {
		return "❔"
	}
	return mark(it.State)
}

func mark(s rotation.State) string {
	switch s {
	case rotation.Done:
		return "✅"
	case rotation.Failed:
		return "❌"
	case rotation.Skipped:
		return "⏭"
	case rotation.Pending, rotation.Running:
	}
	return "⏳"
}

func took(from, to time.Time) string {
	if from.IsZero() || to.IsZero() {
		return ""
	}
	return fmt.Sprintf(" · %.1f s", to.Sub(from).Seconds())
}

func detail(it rotation.Item) string {
	parts := []string{}
	for _, text := range []string{it.Detail, it.Problem.Text, it.Problem.Fix} {
		if text != "" && (it.State == rotation.Failed || text == it.Detail) {
			parts = append(parts, text)
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return ": " + strings.Join(parts, " ")
}

// instruct explains the visit to the dashboard, once per round.
func (t *terminal) instruct(o rotation.Overview) {
	s := o.Rotation.Step(rotation.StepGenerate)
	if t.shown.instructed > s.Round {
		return
	}
	t.shown.instructed = s.Round + 1
	text := rotation.Text(rotation.StepGenerate)
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s\n", text.Lead)
	if s.Note != "" {
		fmt.Fprintf(&b, "⚠ Why you are here again: %s\n", s.Note)
	}
	if snap := o.Rotation.Snapshot; snap != nil {
		fmt.Fprintf(&b, "Account to choose: %s. Current key ends with %s.\n", snap.Account.Number, o.Rotation.OldLast4)
	}
	for i, line := range text.Do {
		fmt.Fprintf(&b, "  %d. %s\n", i+1, line)
	}
	for _, line := range text.Warn {
		fmt.Fprintf(&b, "  ⚠ %s\n", line)
	}
	for _, l := range text.Links {
		fmt.Fprintf(&b, "  %s: %s\n", l.Label, l.URL)
	}
	for line := range strings.Lines(b.String()) {
		fmt.Fprintln(t.out, oneRow(strings.TrimSuffix(line, "\n")))
	}
}

// trouble says what is waited for, what happened and what to do.
func (t *terminal) trouble(w rotation.Waiting) {
	fmt.Fprintln(t.out, oneRow("⚠ Waiting for you. "+w.For))
	for _, text := range []string{w.Problem.Text, w.Problem.Fix} {
		if text != "" {
			fmt.Fprintln(t.out, oneRow("  "+text))
		}
	}
}

// summary says how it ended.
func (t *terminal) summary(v control.View) {
	r := &v.Overview.Rotation
	fmt.Fprintf(t.out, "✅ %s is rotated: the new pair works everywhere and the old one is dead.\n", r.KeySet)
	if s := r.Summary; s != nil {
		fmt.Fprintf(t.out, "   Exposed time %.1f s (at most %.1f s). Next due: %s.\n", float64(s.ExposedMS)/1000, float64(s.ExposedMaxMS)/1000, s.NextDue)
		for _, lost := range s.Lost {
			fmt.Fprintln(t.out, oneRow("   "+lost))
		}
	}
	fmt.Fprintf(t.out, "   Record: row %d, hash %s\n", r.Seq, r.Head)
}
