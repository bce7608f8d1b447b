package modals

import (
	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// ItWasMe returns the view that asks viewer what they did, who say that the dead
// key is their doing. It reports false if the rotation is over, or somebody else
// said so before: then the press is late.
func ItWasMe(o rotation.Overview, viewer string) (slack.ModalViewRequest, bool) {
	r := o.Rotation
	if said := r.Claim; r.Outcome != rotation.Open || len(r.Steps) == 0 || said != nil && said.Mine && said.By.ID != viewer {
		return slack.ModalViewRequest{}, false
	}
	p := &page{hide: hider(o)}
	name := "*" + p.esc(keySetName(o), nameMax) + "*"
	switch other := r.Operator.ID; {
	case len(r.Candidates) > 0:
		p.text("*What then happens:* the record names you as who did it. A new pair of " + name + " was pasted already, so there is nothing else to do.")
	case other != rotation.BotActor && other != viewer:
		p.text("*What then happens:* the record names you as who did it. " + p.person(other) + " has this rotation now; you become its operator, and this window goes on to step 2, where you paste the new pair of " + name + ".")
	default:
		p.text("*What then happens:* the record names you as who did it, nobody else is called, and this window goes on to step 2, where you paste the new pair of " + name + ".")
	}
	in := slack.NewRadioButtonsBlockElement(choiceAction,
		slack.NewOptionBlockObject(rotation.ClaimRegenerated, plain("I regenerated the keys in the dashboard", maxOptionText), plain("The account is the same. You have the new pair, or can generate once more.", maxOptionText)),
		slack.NewOptionBlockObject(rotation.ClaimReset, plain("I reset or deleted the paper account", maxOptionText), plain("Or opened a new one in its place. Its keys died with it.", maxOptionText)),
	)
	p.add(slack.NewInputBlock(ItWasMeBlock, plain("What did you do?", maxLabel), nil, in))
	return noteView(ItWasMeCallback, "It was me", ItWasMeSubmit, string(r.ID), p), true
}

// ParseItWasMe reads the submitted view of [ItWasMe]; its metadata is the
// rotation.
func ParseItWasMe(state *slack.ViewState) (what string, problems map[string]string) {
	switch what = value(state, ItWasMeBlock, choiceAction).SelectedOption.Value; what {
	case rotation.ClaimRegenerated, rotation.ClaimReset:
		return what, map[string]string{}
	}
	return "", map[string]string{ItWasMeBlock: "Choose what you did."}
}

// Taken answers somebody who wants to start what somebody else has already.
func Taken(o rotation.Overview) Refusal {
	p := &page{hide: hider(o)}
	return Refusal{
		Text: p.person(o.Rotation.Operator.ID) + " has this rotation already.",
		Fix:  "Ask them. If they are not there, press Open under the rotation's message in the ops channel, then Take over.",
	}
}

// AdoptByHand returns the view that asks why the pair that a consumer holds is
// the right one.
func AdoptByHand(b Bind, at rotation.Posted) slack.ModalViewRequest {
	p := &page{}
	name, consumer := "*"+p.esc(b.KeySet, nameMax)+"*", "*"+p.esc(b.Item, nameMax)+"*"
	p.text("The stored pair of " + name + " is dead, and " + consumer + " has one that works with the same account: somebody rotated by hand.")
	p.text("*If you adopt it:* the bot opens a rotation with the pair that " + consumer + " has. It proves the pair, stores it in Infisical, hands it to every other consumer and proves that each works. Nothing is generated, so nothing that works stops.")
	p.add(whyInput(AdoptByHandBlock))
	return noteView(AdoptByHandCallback, "Adopt the pair", AdoptByHandSubmit, metadataOf(b, at), p)
}

// ParseAdoptByHand reads the submitted view of [AdoptByHand]. A non-empty
// problems maps block IDs to texts.
func ParseAdoptByHand(metadata string, state *slack.ViewState) (b Bind, why string, problems map[string]string, err error) {
	if b, _, err = parseMetadata(metadata); err != nil {
		return Bind{}, "", nil, err
	}
	why, problem := parseWhy(state, AdoptByHandBlock)
	if problem != "" {
		return b, "", map[string]string{AdoptByHandBlock: problem}, nil
	}
	return b, why, map[string]string{}, nil
}

// Adopting returns the view that stands in for [AdoptByHand] while the bot reads
// the pair and tries it.
func Adopting(b Bind) slack.ModalViewRequest {
	p := &page{}
	p.text("Reading the pair that *" + p.esc(b.Item, nameMax) + "* has, and trying it…")
	p.small("If it works with the right account, the rotation opens and goes on by itself. If not, nothing is changed. This window says which.")
	return slack.ModalViewRequest{
		Type: slack.VTModal, CallbackID: LoadingCallback, Title: plain("Adopt the pair", maxTitle), Close: plain("Close", maxTitle), Blocks: slack.Blocks{BlockSet: p.blocks},
	}
}

// AlreadyOpen answers somebody who wants to open what is open.
func AlreadyOpen(o rotation.Overview) Refusal {
	p := &page{hide: hider(o)}
	text := "A rotation of *" + p.esc(keySetName(o), nameMax) + "* is open already"
	if who := o.Rotation.Operator.ID; who != rotation.BotActor {
		text += ", and " + p.person(who) + " has it"
	}
	return Refusal{Text: text + ".", Fix: "Press Open under its message in the ops channel."}
}
