package cli

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/state"
)

// packPage is the page of form 1. It has no scripts and nothing from elsewhere.
//
//go:embed pack.html
var packPage string

// A packView is what the page shows. Every text in it is as visible makes it.
type packView struct {
	pack
	Anchor string // of the row that says how it ended, or of the last
	Facts  []packFact
	Steps  []packStep
	Own    []packRow
	Others []packRow
	Start  string // hash before the first row
}

type packFact struct{ Name, Value string }

type packStep struct {
	Number                            int
	Name, State, Started, Ended, Rest string
}

type packRow struct {
	Seq                                        uint64
	Time, Actor, Slack, What, About, Hash, Ctx string
}

// page writes the page, but its end.
func (p pack) page(w io.Writer) error {
	t, err := template.New("pack").Parse(packPage)
	if err != nil {
		return err
	}
	v, err := p.view()
	if err != nil {
		return err
	}
	return t.Execute(w, v)
}

func (p pack) view() (packView, error) {
	entries, err := p.excerpt.Entries()
	if err != nil {
		return packView{}, err
	}
	v := packView{pack: p, Start: entries[0].Prev}
	v.KeySet, v.Program = visible(p.KeySet), visible(p.Program)
	for _, e := range entries {
		row := packRow{
			Seq: e.Seq, Time: e.Row.At.UTC().Format(packTime), Actor: visible(e.Row.Actor), Slack: visible(e.Row.Slack),
			What: visible(strings.TrimPrefix(e.Row.Action, "secret.rotate.")), Hash: e.Hash, Ctx: pretty(e.Row.Context),
		}
		if e.Row.Rotation != p.Rotation {
			row.About = visible(strings.TrimSpace(e.Row.KeySet + " " + string(e.Row.Rotation)))
			v.Others = append(v.Others, row)
			continue
		}
		row.About = visible(string(e.Row.Step))
		if e.Row.Action == "secret.rotate.completed" {
			v.Facts, v.Steps = facts(e), steps(e.Row.Context["steps"])
			row.Ctx = "The record and the steps above are its context."
		}
		v.Own = append(v.Own, row)
		if row.What == p.Outcome || p.Outcome == "open" {
			v.Anchor = fmt.Sprintf("%d:%s", e.Seq, e.Hash)
		}
	}
	return v, nil
}

// leading names the fields of the record that an auditor looks for, in the order
// in which they are shown; the others follow by name.
func leading() []string {
	return []string{
		"secret_name", "secret_names", "method", "rotated_at", "trigger", "reason", "opened_by", "role", "sop", "sop_version", "sop_texts_sha256",
		"key_id_last4_old", "key_id_last4_new", "fingerprint_old", "fingerprint_new", "account", "key_age_days", "days_over_cadence",
		"opened", "clicked", "last_ok", "first_rejected", "sealed", "verified", "exposed_ms", "exposed_max_ms", "outcome", "next_due",
	}
}

// facts returns the record of a completed rotation: R61 to R63 and the fields
// of docs/requirements.md.
func facts(e state.Entry) []packFact {
	first := leading()
	list := []packFact{{"action", visible(e.Row.Action)}, {"actor", visible(e.Row.Actor)}}
	var rest []string
	for name := range e.Row.Context {
		if name != "steps" && !slices.Contains(first, name) {
			rest = append(rest, name)
		}
	}
	slices.Sort(rest)
	for _, name := range slices.Concat(first, rest) {
		if v, ok := e.Row.Context[name]; ok {
			list = append(list, packFact{visible(name), pretty(v)})
		}
	}
	return list
}

// steps returns the eight steps as the record has them.
func steps(all any) []packStep {
	found, _ := all.(map[string]any)
	var list []packStep
	for i, name := range rotation.StepNames() {
		s, ok := found[string(name)].(map[string]any)
		if !ok {
			continue
		}
		items, _ := s["items"].(map[string]any)
		step := packStep{Number: i + 1, Name: string(name), State: text(s, "state"), Started: clock(text(s, "started")), Ended: clock(text(s, "ended"))}
		step.Rest = strings.TrimSpace(pretty(without(s, "state", "started", "ended", "items")) + "\n" + itemLines(items))
		if items == nil && s["items"] != nil { // not as this program writes it: all of it
			step.Rest = pretty(s)
		}
		list = append(list, step)
	}
	return list
}

// itemLines shows the checks or consumers of a step, by name, each with all that
// the record has about it.
func itemLines(items map[string]any) string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(items)) {
		it, ok := items[name].(map[string]any)
		if !ok {
			lines = append(lines, visible(name)+": "+pretty(items[name]))
			continue
		}
		line := visible(name) + ": " + text(it, "state")
		if detail := text(it, "detail"); detail != "" {
			line += ", " + detail
		}
		if rest := without(it, "state", "detail"); len(rest) > 0 {
			line += " " + compact(rest, "")
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// text returns a text of the record; "" if there is none.
func text(m map[string]any, key string) string {
	v, _ := m[key].(string)
	return visible(v)
}

// without returns m without what is shown in another way: texts, and items.
func without(m map[string]any, keys ...string) map[string]any {
	rest := map[string]any{}
	for k, v := range m {
		if _, isText := v.(string); !slices.Contains(keys, k) || !isText && k != "items" {
			rest[k] = v
		}
	}
	return rest
}

// clock shows a time of the record like those of the rows; what is no time stays.
func clock(s string) string {
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return s
	}
	return at.UTC().Format(packTime)
}

// packTime is how the page shows a time.
const packTime = "2006-01-02 15:04:05.000"

// pretty shows a value of a row's context: a text as it is, all else as JSON.
func pretty(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return visible(v)
	case map[string]any:
		if len(v) == 0 {
			return ""
		}
	}
	return compact(v, " ")
}

// compact shows a value as JSON, on one line if indent is "".
func compact(v any, indent string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // the template does it
	e.SetIndent("", indent)
	if e.Encode(v) != nil {
		return ""
	}
	return visible(strings.TrimSpace(b.String()))
}

// visible writes out what would not be seen, or would turn the text around it:
// control characters, direction marks, what has no width.
func visible(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r != '\n' && (unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co)) {
			fmt.Fprintf(&b, "\\u%04x", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// When returns when the pack was made.
func (v packView) When() string { return v.Made.Format(time.DateTime) }
