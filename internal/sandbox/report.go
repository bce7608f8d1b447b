package sandbox

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Outcomes of a rotation, as [Report] has them.
const (
	completed = "completed"
	waiting   = "waiting"
	cancelled = "cancelled"
	failed    = "failed"
)

// A Step is one of the eight as the audit record has it.
type Step struct {
	Number   int            `json:"step"`
	Name     string         `json:"name"`
	State    string         `json:"state"`
	TookMS   int64          `json:"took_ms"`
	Evidence map[string]any `json:"evidence"`
}

// A Report is what became of a rotation: what the audit record says, and what
// the outside world shows.
type Report struct {
	Steps             []Step
	Outcome           string // completed, waiting, cancelled or failed
	For               string // with waiting: the step and why
	Rotation          string
	ExposedMS         int64 // milliseconds from the old pair's death to the last consumer that counts
	ExposedMaxMS      int64
	PasteToVerifiedMS int64   // the machine's own share of it
	Checks            []Check // empty if Err is not nil
	End               string  // the outcome that is right; "" means completed
	Err               error   // why it could not be seen to its end
}

// Problem returns nil if everything is as it should be.
func (r *Report) Problem() error {
	errs := []error{r.Err}
	if r.Err == nil && r.Outcome != r.end() {
		errs = append(errs, fmt.Errorf("the rotation is %s %s, want %s", r.Outcome, r.For, r.end()))
	}
	for _, c := range r.Checks {
		if c.Err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", c.Name, c.Err))
		}
	}
	return errors.Join(errs...)
}

func (r *Report) end() string { return cmp.Or(r.End, completed) }

// read takes the steps and the outcome of the rotation of [KeySet] from the
// audit record. The last row that says how a step ended counts.
func (r *Report) read(rows []auditRow) {
	steps := map[string]Step{}
	r.Outcome = failed
	for _, row := range rows {
		if row.KeySet != KeySet {
			continue
		}
		r.Rotation = cmp.Or(row.Rotation, r.Rotation)
		switch row.Action {
		case "secret.rotate.started":
			r.Outcome = waiting
		case "secret.rotate.step", "secret.rotate.failed":
			if number, ok := row.Context["number"]; ok {
				steps[row.Step] = Step{
					Number: int(toInt(number)), Name: row.Step, State: toText(row.Context["state"]),
					TookMS: toInt(row.Context["took_ms"]), Evidence: evidence(row.Context),
				}
				r.For = row.Step + " " + toText(row.Context["reason"])
			}
		case "secret.rotate.cancelled":
			r.Outcome, r.For = cancelled, ""
		case "secret.rotate.completed":
			r.Outcome, r.For = completed, ""
			r.ExposedMS, r.ExposedMaxMS = toInt(row.Context["exposed_ms"]), toInt(row.Context["exposed_max_ms"])
			r.PasteToVerifiedMS = toInt(row.Context["paste_to_verified_ms"])
		}
	}
	r.Steps = slices.SortedFunc(maps.Values(steps), func(a, b Step) int { return a.Number - b.Number })
}

// evidence is what a row says about a step: its facts, and each of its items.
func evidence(context map[string]any) map[string]any {
	found := map[string]any{}
	if facts, ok := context["evidence"].(map[string]any); ok {
		maps.Copy(found, facts)
	}
	for _, key := range []string{"items", "reason", "why"} {
		if v, ok := context[key]; ok {
			found[key] = v
		}
	}
	return found
}

// writeJSON writes one object a line.
func (r *Report) writeJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for _, s := range r.Steps {
		if err := enc.Encode(s); err != nil {
			return err
		}
	}
	last := struct {
		Outcome   string `json:"outcome"`
		For       string `json:"for,omitempty"`
		Exposed   int64  `json:"exposed_ms"`
		PasteToOK int64  `json:"paste_to_verified_ms"`
		Rotation  string `json:"rotation"`
	}{cmp.Or(r.Outcome, failed), strings.TrimSpace(r.For), r.ExposedMS, r.PasteToVerifiedMS, r.Rotation}
	if last.Outcome == r.end() && r.Problem() != nil {
		last.Outcome = failed // the record says that all is well, the world does not
	}
	if last.Outcome != waiting {
		last.For = ""
	}
	return enc.Encode(last)
}

// writeText writes what the world shows, and the times.
func (r *Report) writeText(w io.Writer) error {
	var b strings.Builder
	if len(r.Steps) > 0 {
		b.WriteString("\nThe audit record says:\n")
	}
	for _, s := range r.Steps {
		fmt.Fprintf(&b, "  step %d  %-9s  %-7s  %6d ms\n", s.Number, s.Name, s.State, s.TookMS)
		for _, line := range evidenceLines(s.Evidence) {
			b.WriteString("      " + line + "\n")
		}
	}
	if len(r.Checks) > 0 {
		b.WriteString("\nThe outside world, looked at past the bot:\n")
	}
	for _, c := range r.Checks {
		if c.Err != nil {
			fmt.Fprintf(&b, "  WRONG  %s: %v\n", c.Name, c.Err)
			continue
		}
		fmt.Fprintf(&b, "  ok     %s\n", c.Name)
	}
	if r.Outcome == completed {
		fmt.Fprintf(&b, "\nRotation %s completed. Exposed time: %d ms (at most %d ms), of which the bot needed %d ms from paste to verified.\n",
			r.Rotation, r.ExposedMS, r.ExposedMaxMS, r.PasteToVerifiedMS)
	}
	switch r.Outcome {
	case waiting:
		fmt.Fprintf(&b, "\nRotation %s is open. %s\n", r.Rotation, r.For)
	case cancelled:
		fmt.Fprintf(&b, "\nRotation %s was cancelled before the click.\n", r.Rotation)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// evidenceLines shows evidence for people: a fact or an item on each line.
func evidenceLines(evidence map[string]any) []string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(evidence)) {
		if text := toText(evidence[name]); text != "" {
			lines = append(lines, name+": "+text)
		}
	}
	items, _ := evidence["items"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(items)) {
		item, _ := items[name].(map[string]any)
		lines = append(lines, fmt.Sprintf("%s %s: %s", name, toText(item["state"]), toText(item["detail"])))
	}
	return lines
}

// toInt reads a number as JSON decodes it.
func toInt(v any) int64 {
	f, _ := v.(float64)
	return int64(f)
}

func toText(v any) string {
	s, _ := v.(string)
	return s
}
