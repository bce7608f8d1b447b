package modals

import (
	"slices"

	"github.com/slack-go/slack"
)

// resetConfirmed is the value of the tick in the view of [Reset].
const resetConfirmed = "confirmed"

// A ResetAsk is what somebody answered in the view of [Reset].
type ResetAsk struct {
	KeySet string
	Why    string // what was seen
}

// Reset returns the view that asks what was seen and whether a forced rotation
// is meant (R10). Keyset is the one that is meant; "" asks which of keysets.
func Reset(keyset string, keysets []string) slack.ModalViewRequest {
	p := &page{}
	if keyset != "" {
		p.text("Key set *" + p.esc(keyset, nameMax) + "*")
	}
	p.alert(slack.AlertLevelWarning, "This opens a forced rotation: it assumes that the old pair is dead, and nothing in step 1 holds it up.")
	p.text("Use it when somebody reset or deleted the paper account, or regenerated its keys, and you do not want to wait until the bot has noticed. If the pair still works and is only due, type `/rotate-alpaca-paper` instead.")
	p.small("The channel is told what you write here. The bot never closes this rotation by itself: only people do, also if the pair turns out alive.")
	if keyset == "" {
		in := slack.NewOptionsSelectBlockElement(slack.OptTypeStatic, plain("Choose a key set", maxPlaceholder), choiceAction)
		for _, name := range keysets {
			if len(in.Options) < maxOptions && len([]rune(name)) <= maxOptionValue {
				in.Options = append(in.Options, slack.NewOptionBlockObject(name, plain(name, maxOptionText), nil))
			}
		}
		p.add(slack.NewInputBlock(ResetKeySetBlock, plain("Which key set?", maxLabel),
			plain("You can also name it in the command: /rotate-alpaca-paper reset NAME", maxLabel), in))
	}
	why := slack.NewPlainTextInputBlockElement(plain("The dashboard shows a new account since 09:10", maxPlaceholder), textAction)
	why.MaxLength = reasonMax
	p.add(slack.NewInputBlock(ResetWhyBlock, plain(ResetWhyLabel, maxLabel), plain("It goes into the record and the channel, with your name.", maxLabel), why))
	p.add(slack.NewInputBlock(ResetConfirmBlock, plain("Confirm", maxLabel), nil, slack.NewCheckboxGroupsBlockElement(choiceAction,
		slack.NewOptionBlockObject(resetConfirmed, plain(ResetConfirmText, maxOptionText), nil))))
	return slack.ModalViewRequest{
		Type:            slack.VTModal,
		CallbackID:      ResetCallback,
		PrivateMetadata: keyset, // a name, never a value (R86)
		Title:           plain("Account was reset", maxTitle),
		Submit:          plain(ResetSubmit, maxTitle),
		Close:           plain("Close", maxTitle),
		Blocks:          slack.Blocks{BlockSet: p.blocks},
	}
}

// ParseReset reads the submitted view of [Reset]. Keysets are the configured
// names; problems maps block IDs to texts for the user.
func ParseReset(metadata string, state *slack.ViewState, keysets []string) (in ResetAsk, problems map[string]string) {
	problems = map[string]string{}
	in = ResetAsk{KeySet: metadata, Why: written(state, ResetWhyBlock)}
	if in.KeySet == "" {
		in.KeySet = value(state, ResetKeySetBlock, choiceAction).SelectedOption.Value
	}
	if !slices.Contains(keysets, in.KeySet) {
		at := ResetKeySetBlock
		if metadata != "" {
			at = ResetWhyBlock // the other input is not there
		}
		problems[at] = "There is no such key set any more. Close this and type the command again."
	}
	switch {
	case in.Why == "":
		problems[ResetWhyBlock] = "Write what was seen."
	case keyLike(in.Why):
		problems[ResetWhyBlock] = keyLikeProblem
	}
	if !slices.Contains(chosen(value(state, ResetConfirmBlock, choiceAction)), resetConfirmed) {
		problems[ResetConfirmBlock] = "Tick this, or close the window."
	}
	return in, problems
}

// ResetProblem shows an error of the engine where the person reads it: what was
// typed stays.
func ResetProblem(text string) map[string]string {
	return map[string]string{ResetWhyBlock: cut(clean(text), problemMax)}
}
