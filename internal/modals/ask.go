package modals

import (
	"slices"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// PickKeySet returns the view that asks which key set is meant. Slack shows a
// hundred choices at most.
func PickKeySet(keysets []string) slack.ModalViewRequest {
	p := &page{}
	in := slack.NewOptionsSelectBlockElement(slack.OptTypeStatic, plain("Choose a key set", maxPlaceholder), choiceAction)
	for _, name := range keysets {
		if len(in.Options) < maxOptions && len([]rune(name)) <= maxOptionValue {
			in.Options = append(in.Options, slack.NewOptionBlockObject(name, plain(name, maxOptionText), nil))
		}
	}
	p.add(slack.NewInputBlock(KeySetBlock, plain("Which key set?", maxLabel),
		plain("You can also name it in the command: /rotate-alpaca-paper NAME", maxLabel), in))
	return slack.ModalViewRequest{
		Type:       slack.VTModal,
		CallbackID: PickCallback,
		Title:      plain("Rotate paper keys", maxTitle),
		Submit:     plain(PickSubmit, maxTitle),
		Close:      plain("Close", maxTitle),
		Blocks:     slack.Blocks{BlockSet: p.blocks},
	}
}

// ParsePickKeySet reads the submitted view of [PickKeySet]. Keysets are the
// configured names.
func ParsePickKeySet(state *slack.ViewState, keysets []string) (keyset string, problems map[string]string) {
	keyset = value(state, KeySetBlock, choiceAction).SelectedOption.Value
	if !slices.Contains(keysets, keyset) {
		return "", map[string]string{KeySetBlock: "Choose a key set."}
	}
	return keyset, map[string]string{}
}

// Cancel returns the view that asks why a rotation is cancelled. It is pushed
// on top of the view of the step, which stays as it is.
func Cancel(o rotation.Overview) slack.ModalViewRequest {
	p := &page{}
	p.text("A rotation can be cancelled only before the click. The bot asks Alpaca first whether the current pair still works. If it is rejected, the click has happened and you must go on.")
	why := slack.NewPlainTextInputBlockElement(nil, textAction)
	why.MaxLength = reasonMax
	p.add(slack.NewInputBlock(CancelBlock, plain("Why is it cancelled?", maxLabel), plain("It goes into the record.", maxLabel), why))
	v := view(o, CancelCallback, p)
	v.Submit = plain(CancelSubmit, maxTitle)
	v.Close = plain("Keep going", maxTitle)
	return v
}

// Cancelling returns the view that stands in for [Cancel] while Alpaca is slow
// to say whether the current pair still works.
func Cancelling() slack.ModalViewRequest {
	p := &page{}
	p.text("Asking Alpaca whether the current pair still works…")
	p.small("If it does, the rotation is cancelled. If it is rejected, or Alpaca does not answer, nothing is cancelled. This window says which.")
	return slack.ModalViewRequest{
		Type: slack.VTModal, CallbackID: LoadingCallback, Title: plain(CancelSubmit, maxTitle), Close: plain("Close", maxTitle), Blocks: slack.Blocks{BlockSet: p.blocks},
	}
}

// ParseCancel reads the submitted view of [Cancel].
func ParseCancel(state *slack.ViewState) (why string, problems map[string]string) {
	why = written(state, CancelBlock)
	if keyLike(why) {
		return "", map[string]string{CancelBlock: keyLikeProblem}
	}
	if why == "" {
		return "", map[string]string{CancelBlock: "Write why it is cancelled."}
	}
	return why, map[string]string{}
}
