package modals

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/rotation"
)

const (
	problemBlocks = 20 // failed items that a view shows one by one, over all steps; the rest are counted
	keepOrder     = 20 // up to here items stay in their order, above it what needs attention comes first
)

// stepPage begins the view of a step: which one it is, where the other seven
// stand, what it is for, and what people must know before all else.
func stepPage(o rotation.Overview, name rotation.StepName) (*page, *rotation.Step) {
	s := o.Rotation.Step(name)
	t := rotation.Text(name)
	p := &page{left: problemBlocks}
	p.header(stepTitle(s.Number, t.Title))
	p.small(strip(o.Rotation, name))
	p.exposed(o)
	return p, s
}

func stepTitle(number int, title string) string {
	return fmt.Sprintf("Step %d of %d · %s", number, len(rotation.StepNames()), title)
}

// strip shows the eight steps in one line.
func strip(r rotation.Rotation, current rotation.StepName) string {
	parts := make([]string, 0, len(r.Steps))
	for _, s := range r.Steps {
		word := fmt.Sprintf("%d %s", s.Number, rotation.Text(s.Name).Short)
		if s.Name == current {
			word = "*" + word + "*"
		}
		parts = append(parts, sign(r, s)+" "+word)
	}
	return strings.Join(parts, "   ")
}

// sign is the mark of a step; what ran when the rotation ended has stopped.
func sign(r rotation.Rotation, s rotation.Step) string {
	if r.Outcome != rotation.Open && s.State == rotation.Running {
		return "⏹️"
	}
	return mark(s.State)
}

// exposed shows for how long trading has failed, in a modal.
func (p *page) exposed(o rotation.Overview) {
	if line := exposure(o.Rotation); line != "" {
		p.text(line)
	}
}

// exposure says since when trading fails, or how long it failed; "" before the
// old pair is known to be dead.
func exposure(r rotation.Rotation) string {
	e := r.Exposure()
	switch {
	case e.From.IsZero():
		return ""
	case e.Running && doubted(r) && !r.Step(rotation.StepPrecheck).State.Settled():
		return "🟠 *Alpaca rejects the old pair since " + clock(e.From) + "*. That is not certain yet: the bot asks again."
	case e.Running && doubted(r):
		return "🟠 *Alpaca rejects the old pair since " + clock(e.From) + "*. If nobody has clicked yet, wait: the bot asks again."
	case e.Running && r.FirstRejected.IsZero():
		return "🔴 *Exposed since " + since(e.From) + "*: trading may fail until every consumer is verified."
	case e.Running:
		return "🔴 *Trading fails since " + since(e.From) + "*: the old pair is dead."
	}
	return "Exposed time: *" + exposedFor(e.Took, e.AtMost) + "*"
}

// doubted reports whether the old pair was rejected once and nothing has
// confirmed it: keys have flapped.
func doubted(r rotation.Rotation) bool {
	return !r.FirstRejected.IsZero() && r.ClickedAt.IsZero() && len(r.Candidates) == 0 && r.Trigger != rotation.TriggerReset && r.Step(rotation.StepGenerate).Round < 2
}

// exposedFor shows the exposed time: "41 s (at most 46 s)".
func exposedFor(d, atMost time.Duration) string {
	if took(d) == took(atMost) || atMost < d {
		return took(d)
	}
	return fmt.Sprintf("%s (at most %s)", took(d), took(atMost))
}

// body shows how far a step that the bot does by itself has come, and then the
// texts that belong to it.
func (p *page) body(o rotation.Overview, s *rotation.Step) {
	t := rotation.Text(s.Name)
	p.text(escape(t.Lead, maxText))
	p.trouble(o, s)
	p.text(p.already(o))
	p.items(o, s)
	p.fields(s.Facts[:min(len(s.Facts), maxFields)])
	p.beside(o, s)
	p.small(p.waiting(o, s))
	p.small("You can close this window: the bot goes on, and the channel message leads back here.")
	p.buttons(buttonsBlock, p.stepButtons(o, s)...)
	p.buttons(forwardBlock, forwardButtons(o, s)...)
	p.footer(t)
}

// footer shows the texts of a step that are the same at every time.
func (p *page) footer(t rotation.StepText) {
	p.add(slack.NewDividerBlock())
	p.text(bullets("•", t.Do))
	p.text(bullets("⚠️", t.Warn))
	p.small(bullets("•", t.Gotchas))
	p.small(links(t.Links))
}

// items shows the items of a step: what failed one by one with what to do, the
// rest a line each.
func (p *page) items(o rotation.Overview, s *rotation.Step) {
	failed, rest := split(s.Items)
	p.failed(o, s, failed)
	p.text(p.itemLines(o, s, rest, maxText))
}

// itemLines shows items a line each, as many as limit characters hold.
func (p *page) itemLines(o rotation.Overview, s *rotation.Step, items []rotation.Item, limit int) string {
	lines := make([]string, len(items))
	size := 0
	for i, it := range items {
		if size > limit {
			break // fit only counts what follows
		}
		lines[i] = p.item(o, s, it)
		size += len([]rune(lines[i]))
	}
	return fit(lines, limit)
}

// split parts the items that failed and were not let pass from the others.
func split(items []rotation.Item) (failed, rest []rotation.Item) {
	for _, it := range items {
		if it.State == rotation.Failed && it.PassWhy == "" {
			failed = append(failed, it)
		} else {
			rest = append(rest, it)
		}
	}
	if len(rest) > keepOrder {
		slices.SortStableFunc(rest, func(a, b rotation.Item) int { return urgency(a) - urgency(b) })
	}
	return failed, rest
}

// urgency orders items by how much they need a look: less is more.
func urgency(it rotation.Item) int {
	switch {
	case it.State == rotation.Running:
		return 0
	case it.State == rotation.Pending:
		return 1
	case it.State == rotation.Failed, it.Level == rotation.Unproven:
		return 2
	}
	return 3
}

// item shows one item in one line.
func (p *page) item(o rotation.Overview, s *rotation.Step, it rotation.Item) string {
	sign := mark(it.State)
	if it.State == rotation.Done && it.Level == rotation.Unproven {
		sign = "❔"
	}
	var line strings.Builder
	line.WriteString(sign + " *" + p.esc(human(it), nameMax) + "*")
	accepted := it.State == rotation.Skipped && it.PassWhy != ""
	if !accepted { // its detail says the same
		line.WriteString(p.detail(it))
	}
	if it.State == rotation.Done && it.Level == rotation.Unproven && it.Name != rotation.CheckAccount && it.Name != rotation.CheckShared { // those two are never written
		line.WriteString(" · " + provenOn(o.Past, it))
	}
	switch {
	case accepted:
		line.WriteString(" — not proven, accepted by " + p.person(it.PassBy) + ": " + p.esc(it.PassWhy, detailMax))
	case it.PassWhy != "":
		line.WriteString(" · let pass by " + p.person(it.PassBy) + ": " + p.esc(it.PassWhy, detailMax))
	}
	// R38: of the account, step 3 shows status, number and buying power only.
	if s.Name != rotation.StepValidate {
		for _, f := range it.Facts[:min(4, len(it.Facts))] {
			line.WriteString(" · " + p.esc(f.Label, 40) + " " + p.esc(f.Value, 80))
		}
	}
	return line.String()
}

// detail shows what an item says, how often it was tried, and since when.
func (p *page) detail(it rotation.Item) string {
	var text string
	if it.Detail != "" {
		text = " — " + p.esc(it.Detail, detailMax)
		if it.State == rotation.Running && strings.HasSuffix(it.Detail, "tries again by itself.") {
			text += " That is within 15 s, or when the service allows it, for up to 10 min."
		}
	}
	if it.State == rotation.Running && it.Tries > 1 {
		text += fmt.Sprintf(" · try %d", it.Tries)
	}
	if it.State == rotation.Running && !it.Started.IsZero() {
		text += " · " + started(it.Started)
	}
	return text
}

// provenOn says when a write to a consumer last succeeded.
func provenOn(past rotation.Record, it rotation.Item) string {
	if t := provenAt(past, it); !t.IsZero() {
		return "last write that succeeded: " + day(t)
	}
	return "no write has succeeded yet"
}

// provenAt is when a write last succeeded; zero if none did. What is no
// consumer was last written by the last completed rotation.
func provenAt(past rotation.Record, it rotation.Item) time.Time {
	if it.Kind == "check" {
		return past.Completed
	}
	return past.Receipts[it.Name].At
}

// beside shows what failed in the steps that run beside s.
func (p *page) beside(o rotation.Overview, s *rotation.Step) {
	for _, other := range shownSteps(o.Rotation) {
		if failed, _ := split(other.Items); other.Name != s.Name && len(failed) > 0 {
			p.text(fmt.Sprintf("*%s*", stepTitle(other.Number, rotation.Text(other.Name).Title)))
			p.failed(o, other, failed)
		}
	}
}
