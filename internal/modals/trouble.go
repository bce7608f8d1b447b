package modals

import (
	"fmt"
	"slices"
	"strings"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// trouble shows why a step failed, or why it was entered again, and what the
// bot does about it by itself.
func (p *page) trouble(o rotation.Overview, s *rotation.Step) {
	next := goesOn(o, s)
	if s.Note != "" && (next == "" || !strings.HasPrefix(s.Note, "The bot ")) { // next says it, and more
		p.text("*Note:* " + p.esc(s.Note, noteMax))
	}
	what := s.Problem
	switch {
	case s.Name == rotation.StepStore && o.Rotation.MayStoreLater(o.Now):
		what.Fix = rotation.StoreLaterFix
	case triesAgain(s):
		what.Fix = "Nothing while the bot tries. If it stops trying: " + what.Fix
	}
	p.text(p.problem(what))
	if next != "" {
		p.text("*The bot:* " + next)
	}
	p.text(p.otherOwner(o, s))
}

// triesAgain reports whether the bot repeats a step by itself that went wrong,
// so that the button which the advice ends with is not there yet.
func triesAgain(s *rotation.Step) bool {
	kind := s.Problem.Kind
	return s.State == rotation.Running && s.Name == rotation.StepStore && (kind == "transient" || kind == "unknown") &&
		strings.Contains(strings.ToLower(s.Problem.Fix), "press retry")
}

// problem says what happened and what to do; "" for none.
func (p *page) problem(pr rotation.Problem) string {
	var lines []string
	if pr.Text != "" {
		lines = append(lines, "*What happened:* "+p.esc(pr.Text, problemMax))
	}
	if pr.Fix != "" {
		lines = append(lines, "*What to do:* "+p.esc(pr.Fix, problemMax))
	}
	return strings.Join(lines, "\n")
}

// goesOn says whether and when the bot tries a step with a problem again by
// itself (3.6 of the design); "" if the step has no problem.
func goesOn(o rotation.Overview, s *rotation.Step) string {
	switch {
	case s.Name == rotation.StepGenerate && s.Note != "" && s.State == rotation.Running:
		return "It waits for another paste and goes on by itself from there."
	case s.Problem == (rotation.Problem{}) || s.State != rotation.Running && s.State != rotation.Failed:
		return ""
	case s.State == rotation.Failed:
		return "It does not try this again by itself. It waits for somebody to press a button below."
	}
	began := ""
	if !s.Started.IsZero() {
		began = ", since " + since(s.Started)
	}
	switch s.Name {
	case rotation.StepValidate:
		if s.Problem.Reason == rotation.ReasonRejected {
			return "It tries the pair again by itself after 2, 5 and 10 s. If it is still rejected, it asks for another pair."
		}
		return "It looks again by itself every 5 s, without end" + began + ". The pair is sealed and safe meanwhile."
	case rotation.StepStore:
		if o.Rotation.StoreLater {
			return "It tries again by itself, without end" + began + ". The consumers get the pair meanwhile; the rotation cannot close before Infisical holds it."
		}
		return "It tries again by itself, at most 15 s apart" + began + ". After 2 min without a read, or 10 min without a write, it stops and asks you."
	case rotation.StepRevoked:
		return "It asks again by itself every minute and goes on as soon as the old pair is rejected. Trading does not wait for that."
	case rotation.StepRecord:
		return "It tries again by itself for 2 min. Then it goes on and says in the record what could not be compared."
	case rotation.StepPrecheck, rotation.StepGenerate, rotation.StepPropagate, rotation.StepVerify:
	}
	return "It tries again by itself" + began + "."
}

// itemGoesOn is [goesOn] for one failed item.
func itemGoesOn(o rotation.Overview, s *rotation.Step, it rotation.Item) string {
	switch {
	case s.Name != rotation.StepPrecheck && busy(o.Rotation):
		return "*The bot:* It does not try this one again by itself. It goes on with the others."
	case s.Name != rotation.StepPrecheck:
		return "*The bot:* It does not try this one again by itself. It waits for somebody to press a button."
	case forced(o.Rotation) && it.Name == rotation.CheckPair:
		return "*The bot:* This does not hold you up. It waits for the new pair."
	case forced(o.Rotation):
		return "*The bot:* This does not hold you up. After the paste it tries again by itself."
	}
	return "*The bot:* It does not check this again by itself: press Check again."
}

// already says what is done and kept when something went wrong; "" when nothing did.
func (p *page) already(o rotation.Overview) string {
	r := o.Rotation
	if r.Outcome != rotation.Open || len(r.Steps) == 0 || !troubled(o) {
		return ""
	}
	const head = "*Already done:* "
	switch {
	case len(r.Candidates) == 0 && r.FirstRejected.IsZero():
		return head + "nothing was generated, stored or sent. Up to here the bot only reads."
	case len(r.Candidates) == 0:
		return head + "the old pair is dead. No new pair was pasted yet; nothing was stored or sent."
	case r.Step(rotation.StepGenerate).State == rotation.Running:
		old := "the old pair is dead"
		if r.FirstRejected.IsZero() {
			old = "the old pair was not seen dead"
		}
		return head + count(len(r.Candidates), "pasted pair is", "pasted pairs are") + " kept, sealed; " + old + ". The next paste goes on from here."
	}
	parts := []string{"the new pair " + p.esc(last4(candidate(r).Last4), 12) + " is sealed"}
	store := r.Step(rotation.StepStore)
	switch {
	case store.State == rotation.Done:
		parts = append(parts, "stored in Infisical and read back")
	case store.Round == 0:
		parts = append(parts, "nothing is written to Infisical or to a consumer yet")
	}
	if done, of := doneItems(r.Step(rotation.StepPropagate)); of > 0 {
		parts = append(parts, fmt.Sprintf("%d of %s the pair", done, count(of, "consumer has", "consumers have")))
	}
	if done, of := doneItems(r.Step(rotation.StepVerify)); of > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d proven to work", done, of))
	}
	if r.Step(rotation.StepRevoked).State == rotation.Done {
		parts = append(parts, "the old pair is proven dead")
	}
	return head + strings.Join(parts, "; ") + "."
}

// doneItems counts the consumers of a step that are done, and all that were not
// skipped. Those that another one covers, and the test order, are none.
func doneItems(s *rotation.Step) (done, of int) {
	for _, it := range s.Items {
		if it.Kind == "covered_by" || it.Kind == "test_order" {
			continue
		}
		if it.State == rotation.Done {
			done++
		}
		if it.State != rotation.Skipped {
			of++
		}
	}
	return done, of
}

// troubled reports whether a step that runs or failed has a problem, or was
// entered again because of one.
func troubled(o rotation.Overview) bool {
	if needsPerson(o) {
		return true
	}
	for _, s := range shownSteps(o.Rotation) {
		if s.Problem != (rotation.Problem{}) || s.Name == rotation.StepGenerate && s.Note != "" {
			return true
		}
	}
	return false
}

// needsPerson reports whether something failed that nobody let pass, or a step
// that the bot does by itself has come to where only a person can help.
func needsPerson(o rotation.Overview) bool {
	for i := range o.Rotation.Steps {
		s := &o.Rotation.Steps[i]
		if s.State.Settled() {
			continue
		}
		if s.State == rotation.Failed || needs(o, s) != "" {
			return true
		}
		asks := s.Name == rotation.StepPrecheck || s.Name == rotation.StepGenerate // they wait for a person anyway
		if s.State == rotation.Running && s.WaitsFor != "" && !waitsForBot(s) && !asks {
			return true
		}
		if failed, _ := split(s.Items); len(failed) > 0 {
			return true
		}
	}
	return false
}

// needs says what a person should know of a step with which the bot goes on by
// itself; "" for nothing.
func needs(o rotation.Overview, s *rotation.Step) string {
	switch {
	case s.State != rotation.Running:
	case s.Problem.Reason == rotation.ReasonLingers:
		return "the old pair is not proven dead. The bot goes on asking."
	case s.Name == rotation.StepValidate && s.Problem.Reason == rotation.ReasonBlocked:
		return "the account cannot trade. The bot goes on looking."
	case s.Name == rotation.StepStore && o.Rotation.MayStoreLater(o.Now):
		return "Infisical does not take the pair. The bot goes on trying. If trading cannot wait, press Propagate now, store later."
	}
	return ""
}

// waiting says who or what the rotation waits for, seen from its present step;
// "" for nothing. A consumer that failed waits for the operator while the bot
// goes on with the others.
func (p *page) waiting(o rotation.Overview, s *rotation.Step) string {
	if s.State.Settled() || s.WaitsFor == "" {
		return ""
	}
	who := s.WaitsFor
	if waitsForBot(s) {
		who = o.Rotation.Operator.ID
	}
	whom := p.person(who)
	if who == rotation.BotActor { // it opened by itself
		whom = "somebody in ops"
	}
	switch {
	case s.Name == rotation.StepPrecheck || s.Name == rotation.StepGenerate: // they wait for a person anyway
		if waitsForBot(s) && !needsPerson(o) {
			return working
		}
		if who == rotation.BotActor {
			whom += " to take it over"
		}
		return "Waiting for " + whom + "."
	case needs(o, s) != "":
		return "Waiting for " + whom + ": " + needs(o, s)
	case !needsPerson(o) && waitsForBot(s):
		return working
	}
	text := "Waiting for " + whom
	if names := p.failedNames(o.Rotation); names != "" {
		text += ": " + names + " failed"
	}
	if busy(o.Rotation) && needsPerson(o) {
		return text + ". The bot goes on with the rest."
	}
	return text + "."
}

// failedNames names what failed and was not let pass; "" for nothing but the
// step itself.
func (p *page) failedNames(r rotation.Rotation) string {
	var names []string
	for _, s := range shownSteps(r) {
		failed, _ := split(s.Items)
		for _, it := range failed {
			if name := p.esc(human(it), nameMax); !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	const most = 3
	if more := len(names) - most; more > 0 {
		names = append(names[:most], fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}

const working = "The bot is working. Nobody has to do anything."

// busy reports whether the bot has something under way beside what failed. What
// waits for a consumer that failed is not under way.
func busy(r rotation.Rotation) bool {
	stuck := map[string]bool{}
	for _, s := range shownSteps(r) {
		failed, _ := split(s.Items)
		for _, it := range failed {
			stuck[it.Name] = true
		}
	}
	return slices.ContainsFunc(shownSteps(r), func(s *rotation.Step) bool {
		return s.State == rotation.Running && (len(s.Items) == 0 && s.Name != rotation.StepGenerate || slices.ContainsFunc(s.Items, func(it rotation.Item) bool {
			return it.State == rotation.Running || it.State == rotation.Pending && !stuck[it.Name] && (it.Kind != "covered_by" && it.Kind != "test_order" || len(stuck) == 0)
		}))
	})
}

func waitsForBot(s *rotation.Step) bool {
	return s.WaitsFor == "bot" || s.WaitsFor == rotation.BotActor
}

// otherOwner says which of our key sets a pair belongs to that was pasted for
// another one; "" if that is not known.
func (p *page) otherOwner(o rotation.Overview, s *rotation.Step) string {
	other := o.Other
	if other == nil || s.Name != rotation.StepGenerate && s.Name != rotation.StepValidate {
		return ""
	}
	name := "*" + p.esc(other.KeySet, nameMax) + "*"
	text := "These keys belong to account …" + p.esc(other.Last4, 8) + " = " + name + ". Its old pair is dead"
	if !other.DeadSince.IsZero() {
		text += " since " + clock(other.DeadSince) + " or longer"
	}
	text += ": what uses " + name + " fails until the new pair is handed out there. Press *Use this pair for " + p.esc(other.KeySet, nameMax) + "*"
	if s.Name == rotation.StepGenerate && p.hide == nil { // the view in which keys are typed has no buttons
		text += " in the channel message"
	}
	return text + "."
}

// failed shows failed items, each with the buttons that help.
func (p *page) failed(o rotation.Overview, s *rotation.Step, failed []rotation.Item) {
	for i, it := range failed {
		if p.left == 0 {
			p.text(fmt.Sprintf("❌ … and %d more failed", len(failed)-i))
			return
		}
		p.left--
		if s.Name == rotation.StepPrecheck {
			p.withButton(itemRow(s, it.Name), p.failure(o, s, it), button(CheckAgainAction, "Check again", bindTo(o, s, it.Name)))
			continue
		}
		p.text(p.failure(o, s, it))
		p.buttons(itemRow(s, it.Name), itemButtons(o, s, it)...)
	}
}

// failure shows one failed item: what happened, what to do, and what the bot
// does by itself.
func (p *page) failure(o rotation.Overview, s *rotation.Step, it rotation.Item) string {
	text := mark(rotation.Failed) + " *" + p.esc(human(it), nameMax) + "*" + p.detail(it)
	what := it.Problem
	if deadAtStart(o.Rotation) && it.Name == rotation.CheckPair { // the reason is chosen already
		what.Fix = "Press Go on at once and generate a new pair. Nothing blocks you."
		if o.Rotation.Operator.ID == rotation.BotActor {
			what.Fix = "Press Take over, then Open, and there Go on: nothing blocks you on the way to a new pair."
		}
	}
	if pr := p.problem(what); pr != "" {
		text += "\n" + pr
	}
	return text + "\n" + itemGoesOn(o, s, it)
}
