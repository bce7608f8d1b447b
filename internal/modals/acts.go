package modals

import (
	"slices"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// What people can do after the click (3.4 of the design). A button is shown
// only where the engine would do it; the engine decides again when it is
// pressed.

// StepFor returns [Step] as viewer sees it: who is not the operator can take
// over. The view in which keys are typed has no button (see [Generate]): there
// the channel message has it.
func StepFor(o rotation.Overview, viewer string) slack.ModalViewRequest {
	v := Step(o)
	r := o.Rotation
	if viewer == "" || viewer == r.Operator.ID || r.Outcome != rotation.Open || len(r.Steps) == 0 || v.CallbackID == GenerateCallback {
		return v
	}
	p := &page{}
	text := p.person(r.Operator.ID) + " is the operator: the bot waits for them, and the record has their name."
	if r.Operator.ID == rotation.BotActor {
		text = "This rotation opened by itself: nobody is the operator yet."
	}
	p.withButton(takeOverBlock, text, takeOver(o))
	const below = 2 // the title and the strip of steps
	v.Blocks.BlockSet = slices.Insert(v.Blocks.BlockSet, min(below, len(v.Blocks.BlockSet)), p.blocks...)
	return v
}

func takeOver(o rotation.Overview) *slack.ButtonBlockElement {
	return button(TakeOverAction, "Take over", Bind{Rotation: o.Rotation.ID})
}

// Offered reports whether a button with this action and binding would be shown
// now. A press of one that would not be is late; see [Late].
func Offered(o rotation.Overview, action string, b Bind) bool {
	r := &o.Rotation
	if r.Outcome != rotation.Open || b.Step == "" || len(r.Steps) == 0 {
		return false
	}
	s := r.Step(b.Step)
	switch {
	case action == UseForAction:
		return o.Other != nil && o.Other.KeySet == b.Item
	case s.Round != b.Round:
		return false
	case action == AcceptAction:
		it := s.Item(b.Item)
		return it != nil && rotation.MayAccept(s, *it)
	case b.Item != "":
		return false
	}
	return slices.Contains(actionsOf(o.Special(s)), action) || slices.Contains(actionsOf(o.Forward(s)), action)
}

// actionsOf maps the engine's names of acts to the buttons of this package.
func actionsOf(what []string) []string {
	actions := make([]string, 0, len(what))
	for _, w := range what {
		actions = append(actions, map[string]string{
			rotation.PressAdopt: AdoptAction, rotation.PressStoreAnyway: StoreAnywayAction, rotation.PressStoreLater: StoreLaterAction,
			rotation.PressRedo: RedoAction, rotation.PressRegenerate: RegenerateAction,
		}[w])
	}
	return actions
}

// stepButtons returns the buttons of a step with a problem: try it again, and
// what helps with just this problem.
func (p *page) stepButtons(o rotation.Overview, s *rotation.Step) []slack.BlockElement {
	var row []slack.BlockElement
	if failed, _ := split(s.Items); s.State == rotation.Failed || s.State == rotation.Running && len(failed) > 0 {
		row = add(row, button(RetryAction, "Retry", bindTo(o, s, "")))
	}
	for _, action := range actionsOf(o.Special(s)) {
		row = add(row, act(o, s, action))
	}
	if s.Name == rotation.StepValidate {
		row = add(row, p.useFor(o, s))
	}
	return row
}

// forwardButtons returns the buttons that go forward from any trouble.
func forwardButtons(o rotation.Overview, s *rotation.Step) []slack.BlockElement {
	var row []slack.BlockElement
	for _, action := range actionsOf(o.Forward(s)) {
		row = add(row, act(o, s, action))
	}
	return row
}

// itemButtons returns the buttons of one failed consumer, or of the test order.
func itemButtons(o rotation.Overview, s *rotation.Step, it rotation.Item) []slack.BlockElement {
	row := add(nil, button(RetryAction, "Retry", bindTo(o, s, it.Name)))
	if rotation.MayAccept(s, it) {
		row = add(row, button(AcceptAction, askText(AcceptAction).label, bindTo(o, s, it.Name)))
	}
	return row
}

// act returns the button of an act that is bound to a step.
func act(o rotation.Overview, s *rotation.Step, action string) *slack.ButtonBlockElement {
	b := bindTo(o, s, "")
	switch action {
	case RedoAction:
		return sure(button(action, "Redo store, propagate, verify", b), "Redo steps 4 to 7?", "Redo",
			"The bot stores the live pair, hands it to every consumer and proves it once more. Nothing old is put back; who has the pair already is left alone. What was accepted with a reason is tried again.")
	case RegenerateAction:
		danger := sure(button(action, "Paste another pair", b), "Paste another pair?", "Back to step 2",
			"Generating again kills the pair in use at once: trading fails until the next pair is pasted and handed out everywhere. Do it only if the pair is lost, wrong or dead. What was pasted stays sealed.")
		if danger != nil {
			danger.WithStyle(slack.StyleDanger)
		}
		return danger
	}
	return button(action, askText(action).label, b)
}

// useFor returns the button that hands a pasted pair to the key set it belongs
// to, or nil if it is not known to belong to another one.
func (p *page) useFor(o rotation.Overview, s *rotation.Step) *slack.ButtonBlockElement {
	if o.Other == nil {
		return nil
	}
	name := cut(p.word(o.Other.KeySet), 50)
	return sure(button(UseForAction, "Use this pair for "+name, bindTo(o, s, o.Other.KeySet)), "Use this pair there?", "Use it",
		"A forced rotation of "+name+" opens with this pair, sealed again for it. This rotation of "+cut(p.word(keySetName(o)), 50)+" stays open and waits for its own pair.")
}

// sure has a button ask before it acts.
func sure(b *slack.ButtonBlockElement, title, yes, text string) *slack.ButtonBlockElement {
	if b == nil {
		return nil
	}
	return b.WithConfirm(slack.NewConfirmationBlockObject(plain(title, maxConfirmTitle), plain(text, maxConfirmText), plain(yes, maxConfirmButton), plain("Not now", maxConfirmButton)))
}

// add appends a button to a row, if there is one.
func add(row []slack.BlockElement, b *slack.ButtonBlockElement) []slack.BlockElement {
	if b == nil {
		return row
	}
	return append(row, b)
}
