package modals

import (
	"fmt"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// A Refusal says to one person why something was not done, and what to do. Its
// texts are mrkdwn; what is foreign in them is escaped.
type Refusal struct {
	Text string
	Fix  string
}

// Refused makes a refusal of plain sentences, such as those of a fault.
func Refused(text, fix string) Refusal {
	return Refusal{Text: escape(clean(text), problemMax), Fix: escape(clean(fix), problemMax)}
}

// NotOps refuses a person without the role (R3).
func NotOps() Refusal {
	return Refusal{Text: "Only members of the ops group may do this. The attempt is recorded.", Fix: "Ask somebody in ops, or ask to be added to the ops user group."}
}

// NotTaken tells of a bad paste into a view that shows something else by now.
func NotTaken() Refusal {
	return Refusal{Text: "What you pasted cannot be the new pair, and nothing of it was saved. The rotation has moved on meanwhile.", Fix: "Press Open in the ops channel: it shows the present step, and whether a pair is still wanted."}
}

// UnknownKeySet refuses a key set that is not configured.
func UnknownKeySet(name string, known []string) Refusal {
	safe := make([]string, 0, len(known))
	for _, k := range known {
		safe = append(safe, "`"+escape(clean(k), nameMax)+"`")
	}
	text := "There is no key set of that name."
	if len(name) < 16 { // longer than that it may be a key that was pasted in the wrong place
		text = fmt.Sprintf("There is no key set `%s`.", escape(clean(name), nameMax))
	}
	return Refusal{
		Text: text,
		Fix:  "Configured: " + fitWords(safe, problemMax) + ".",
	}
}

// AlreadyDone answers a button that is too late (R88). By may be nobody, and
// at zero, if that is not known.
func AlreadyDone(by rotation.Actor, at time.Time) Refusal {
	p := &page{}
	text := "This button is too late: the rotation has moved on."
	if by.ID != "" && !at.IsZero() {
		text = "Already done by " + p.person(by.ID) + " at " + clock(at) + "."
	}
	return Refusal{Text: text, Fix: "Press Open on the newest message of the rotation."}
}

// Late answers a press that came too late (R88): who did it already and when,
// if the record says so, else where the rotation stands.
func Late(o rotation.Overview, action string, b Bind) Refusal {
	if by, at := doneBy(o.Rotation, action, b); !at.IsZero() {
		return AlreadyDone(by, at)
	}
	text := "That was done already, or the rotation has moved on."
	switch r := o.Rotation; {
	case r.Outcome == rotation.Completed:
		text += " It was completed at " + moment(r.Closed) + "."
	case r.Outcome == rotation.Cancelled:
		text += " It was cancelled at " + moment(r.Closed) + "."
	case r.Outcome == rotation.StoodDown:
		return Refusal{Text: stoodDown(r) + "; nothing was changed.", Fix: "Nothing to do. If you have generated a new pair meanwhile, start a rotation: the stored key dies with it."}
	case len(r.Steps) > 0:
		text += fmt.Sprintf(" It is at step %d of %d, %s.", r.Current().Number, len(r.Steps), lower(rotation.Text(r.Current().Name).Title))
	}
	return Refusal{Text: text, Fix: "Nothing to do. Press Open to see where it stands."}
}

// doneBy finds out who pressed before what a late press asks for.
func doneBy(r rotation.Rotation, action string, b Bind) (by rotation.Actor, at time.Time) {
	what := map[string]string{
		RetryAction:       rotation.PressRetry,
		CheckAgainAction:  rotation.PressRetry,
		AcceptAction:      rotation.PressAccept,
		RedoAction:        rotation.PressRedo,
		RegenerateAction:  rotation.PressRegenerate,
		StoreAnywayAction: rotation.PressStoreAnyway,
		StoreLaterAction:  rotation.PressStoreLater,
		AdoptAction:       rotation.PressAdopt,
		UseForAction:      rotation.PressUseFor,
		ItWasMeAction:     rotation.PressItWasMe,
	}[action]
	p, _ := r.Pressed(what, b.Step, b.Round, b.Item)
	return p.By, p.At
}

// AlreadyOperator answers somebody who takes over what is theirs.
func AlreadyOperator() Refusal {
	return Refusal{Text: "You are the operator of this rotation already.", Fix: "Press Open to see where it stands."}
}

// WrongChannel refuses a command outside the ops channel.
func WrongChannel(channel string) Refusal {
	return Refusal{Text: "This command works in one channel only.", Fix: "Go to <#" + escape(clean(channel), 30) + "> and type it there."}
}

// Message returns the refusal as an ephemeral message.
func (r Refusal) Message() Message {
	text := strings.TrimSpace(r.Text + " " + r.Fix)
	return Message{Text: text, Blocks: []slack.Block{slack.NewSectionBlock(mrkdwn("⛔ "+text), nil, nil)}}
}

// View returns the refusal as a modal, for where one is open already.
func (r Refusal) View() slack.ModalViewRequest {
	p := &page{}
	p.text("⛔ " + r.Text)
	p.text(r.Fix)
	return slack.ModalViewRequest{
		Type:       slack.VTModal,
		CallbackID: RefusedCallback,
		Title:      plain("Not done", maxTitle),
		Close:      plain("Close", maxTitle),
		Blocks:     slack.Blocks{BlockSet: p.blocks},
	}
}

// fitWords joins words with commas up to limit characters.
func fitWords(words []string, limit int) string {
	return strings.ReplaceAll(fit(words, limit), "\n", ", ")
}
