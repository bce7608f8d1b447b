package modals

import (
	"fmt"
	"strings"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/rotation"
)

const (
	channelProblems = 8    // failed items that the channel message shows in full, over all steps
	channelLines    = 1500 // characters for the other items of one step
)

// Channel returns the one message that a rotation has in the ops channel. It is
// the same as long as the rotation is: running times are start stamps, so it is
// sent again only when something happened. Account numbers show their last
// four characters only.
func Channel(o rotation.Overview) Message {
	p := &page{hide: hider(o), left: channelProblems}
	r := o.Rotation
	headline := p.headline(o)
	p.text(headline)
	p.small(p.origin(o))
	p.text(p.why(o))
	p.lines(p.cause(r)...)
	p.lines(p.stepLines(r)...)
	if r.Outcome != rotation.Open {
		p.ending(o)
		return Message{Text: p.notification(o), Blocks: p.blocks}
	}
	p.text(exposure(r))
	p.text(p.already(o))
	for _, s := range shownSteps(r) {
		p.channelStep(o, s)
	}
	p.deviations(r)
	cur := r.Current()
	p.text(p.waiting(o, cur))
	p.channelButtons(o, cur)
	return Message{Text: p.notification(o), Blocks: p.blocks}
}

// headline says in one line how the rotation stands.
func (p *page) headline(o rotation.Overview) string {
	r := o.Rotation
	name := "*" + p.esc(keySetName(o), nameMax) + "*"
	switch r.Outcome {
	case rotation.Completed:
		if left := unproven(r); left != "" {
			return "⚠️ " + name + ": rotated, but " + left + "."
		}
		return "✅ " + name + ": rotated. The new pair works everywhere and the old one is dead."
	case rotation.Cancelled:
		return "⏹️ " + name + ": rotation cancelled. The pair was not changed."
	case rotation.StoodDown:
		return "✅ " + name + ": stood down. " + stoodDown(r) + "; nothing was changed."
	case rotation.Open:
	}
	cur := r.Current()
	step := fmt.Sprintf("step %d of %d, %s", cur.Number, len(r.Steps), lower(rotation.Text(cur.Name).Title))
	switch {
	case deadAtStart(r) && r.FirstRejected.IsZero(): // a person says so; the bot has not seen it
		return "🔴 " + name + ": forced rotation, because a person says that its key is dead. It is at " + step
	case deadAtStart(r): // failed checks hold nothing up
		return "🔴 " + name + ": its key is dead. The rotation is at " + step
	case needsPerson(o):
		return "❌ " + name + ": needs a person at " + step
	case r.Exposure().Running:
		return "🔴 " + name + ": " + step
	}
	return "🔑 " + name + ": " + step
}

// unproven says what a completed rotation has not proven; "" for nothing. Its
// message must not claim more than the record.
func unproven(r rotation.Rotation) string {
	var parts []string
	accepted := map[string]bool{}
	for _, name := range []rotation.StepName{rotation.StepPropagate, rotation.StepVerify} {
		for _, it := range r.Step(name).Items {
			accepted[it.Name] = accepted[it.Name] || it.State == rotation.Skipped && it.PassWhy != ""
		}
	}
	n := 0
	for _, is := range accepted {
		if is {
			n++
		}
	}
	if n > 0 {
		parts = append(parts, count(n, "thing was", "things were")+" accepted without proof, see the deviations")
	}
	if r.Step(rotation.StepRevoked).State == rotation.Skipped {
		parts = append(parts, "no old pair was known whose end could be proven")
	}
	return strings.Join(parts, ", and ")
}

// notification is what a phone shows: the headline without markup, what
// happened if that needs a person, and who is waited for.
func (p *page) notification(o rotation.Overview) string {
	text := strings.ReplaceAll(p.headline(o), "*", "")
	if o.Rotation.Outcome != rotation.Open {
		return text
	}
	if needsPerson(o) && !deadAtStart(o.Rotation) {
		if what := p.esc(firstProblem(o.Rotation), detailMax); what != "" {
			text += ". " + strings.TrimSuffix(what, ".")
		}
	}
	if w := p.waiting(o, o.Rotation.Current()); strings.HasPrefix(w, "Waiting") {
		text += ". " + w
	}
	return text
}

// firstProblem says what happened to the first thing that needs a person.
func firstProblem(r rotation.Rotation) string {
	for _, s := range shownSteps(r) {
		if s.Problem.Text != "" {
			return s.Problem.Text
		}
		if failed, _ := split(s.Items); len(failed) > 0 {
			return failed[0].Problem.Text
		}
	}
	return ""
}

// origin says who runs the rotation, and why.
func (p *page) origin(o rotation.Overview) string {
	r := o.Rotation
	parts := []string{p.person(r.Operator.ID), rotation.TriggerText(r.Trigger)}
	if r.Reason != "" {
		parts = append(parts, p.esc(r.Reason, reasonMax))
	}
	if !r.Opened.IsZero() {
		parts = append(parts, "opened "+moment(r.Opened))
	}
	if r.OldLast4 != "" && r.Outcome != rotation.Completed { // the summary names both keys
		parts = append(parts, "old key "+p.esc(last4(r.OldLast4), 12))
	}
	if c := candidate(r); c.Last4 != "" && c.Aside == "" && r.Outcome != rotation.Completed {
		parts = append(parts, "new key "+p.esc(last4(c.Last4), 12))
	}
	switch s := r.Snapshot; {
	case r.Adopted != nil && r.Adopted.Number != "":
		parts = append(parts, "account "+p.esc(rotation.Masked(r.Adopted.Number), 12)+", adopted")
	case s != nil && s.Account.Number != "":
		parts = append(parts, "account "+p.esc(rotation.Masked(s.Account.Number), 12))
	}
	return strings.Join(append(parts, "`"+p.esc(string(r.ID), 20)+"`"), " · ")
}

// stepLines shows the eight steps, a line each.
func (p *page) stepLines(r rotation.Rotation) []string {
	lines := make([]string, 0, len(r.Steps))
	for _, s := range r.Steps {
		line := fmt.Sprintf("%s %d %s", sign(r, s), s.Number, rotation.Text(s.Name).Title)
		switch {
		case r.Outcome == rotation.Open && s.State == rotation.Running && !s.Started.IsZero():
			line = fmt.Sprintf("%s *%d %s* · %s", mark(s.State), s.Number, rotation.Text(s.Name).Title, started(s.Started))
		case s.State == rotation.Done && !s.Ended.IsZero():
			line += " · " + took(s.Ended.Sub(s.Started))
		case s.State == rotation.Skipped && s.Note != "":
			line += " · skipped: " + p.esc(s.Note, detailMax)
		}
		lines = append(lines, line)
	}
	return lines
}

// shownSteps returns the steps whose items are shown: those that run or failed.
// Steps 5, 6 and 7 run side by side, so there are three at most.
func shownSteps(r rotation.Rotation) []*rotation.Step {
	var shown []*rotation.Step
	for i := range r.Steps {
		if s := &r.Steps[i]; len(shown) < 3 && (s.State == rotation.Running || s.State == rotation.Failed) {
			shown = append(shown, s)
		}
	}
	return shown
}

// channelStep shows one step's problem and items.
func (p *page) channelStep(o rotation.Overview, s *rotation.Step) {
	if s.Note == "" && s.Problem == (rotation.Problem{}) && len(s.Items) == 0 {
		return
	}
	p.text(fmt.Sprintf("*%d %s*", s.Number, rotation.Text(s.Name).Title))
	if s.Name == rotation.StepPrecheck && len(s.Items) > 0 {
		p.text(gateLine(o))
	}
	p.trouble(o, s)
	failed, rest := split(s.Items)
	for i, it := range failed {
		if p.left == 0 {
			p.text(fmt.Sprintf("❌ … and %d more failed. Press Open to see them.", len(failed)-i))
			break
		}
		p.left--
		p.text(p.failure(o, s, it))
		if s.Name != rotation.StepPrecheck { // there one button checks all of them again
			p.buttons(itemRow(s, it.Name), itemButtons(o, s, it)...)
		}
	}
	if s.Name == rotation.StepPrecheck {
		return // the sum says enough; the operator sees each check
	}
	p.text(p.itemLines(o, s, rest, channelLines))
}

// channelButtons adds the buttons of an open rotation: what everybody may need,
// what helps with the first step that has a problem, and, where a person is
// needed, what goes forward from any trouble.
func (p *page) channelButtons(o rotation.Overview, cur *rotation.Step) {
	var row []slack.BlockElement
	if b := button(OpenAction, "Open", bindTo(o, cur, "")); b != nil {
		row = append(row, b.WithStyle(slack.StylePrimary))
	}
	for _, s := range shownSteps(o.Rotation) {
		more := p.stepButtons(o, s)
		if s.Name == rotation.StepPrecheck {
			more = checkAgain(o, s)
		}
		if len(more) > 0 {
			row = append(row, more...)
			break
		}
	}
	if cur.Name == rotation.StepGenerate {
		row = add(row, p.useFor(o, cur))
	}
	row = add(row, takeOver(o))
	if needsPerson(o) {
		row = append(row, forwardButtons(o, cur)...)
	}
	early := cur.Name == rotation.StepPrecheck || cur.Name == rotation.StepGenerate && o.Rotation.OldPrint != ""
	if early && !o.Rotation.Clicked() {
		row = add(row, button(CancelAction, CancelSubmit, bindTo(o, cur, "")))
	}
	p.buttons(buttonsBlock, row...)
}
