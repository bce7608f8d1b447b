// Package modals turns domain values into Slack views and messages, and
// submitted views into domain values. Its functions are pure: they call
// nothing and read no clock.
//
// Everything that is not written in this package or in the texts of package
// rotation is foreign: it is cleaned, escaped and cut before it is shown, and
// in what other people can see the account number is hidden but for its last
// four characters.
package modals

import (
	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// A Message is one message in a channel, in a direct message, or an ephemeral
// answer. Text is what a notification and a screen reader show.
type Message struct {
	Text   string
	Blocks []slack.Block
}

// Step returns the view of the step that a person should look at, or the
// closing view if the rotation is over.
func Step(o rotation.Overview) slack.ModalViewRequest {
	if o.Rotation.Outcome != rotation.Open || len(o.Rotation.Steps) == 0 {
		return Closed(o)
	}
	switch o.Rotation.Current().Name {
	case rotation.StepPrecheck:
		return Precheck(o)
	case rotation.StepGenerate:
		return Generate(o)
	case rotation.StepValidate:
		return Validate(o)
	case rotation.StepStore:
		return Store(o)
	case rotation.StepPropagate:
		return Propagate(o)
	case rotation.StepVerify:
		return Verify(o)
	case rotation.StepRevoked:
		return Revoked(o)
	case rotation.StepRecord:
	}
	return Record(o)
}

// view is the frame of every modal about a rotation. It closes with "Close":
// closing it stops nothing.
func view(o rotation.Overview, callback string, p *page) slack.ModalViewRequest {
	return slack.ModalViewRequest{
		Type:            slack.VTModal,
		CallbackID:      callback,
		PrivateMetadata: string(o.Rotation.ID), // an ID, never a value (R86)
		Title:           plain("Rotate "+keySetName(o), maxTitle),
		Close:           plain("Close", maxTitle),
		Blocks:          slack.Blocks{BlockSet: p.blocks},
	}
}

// keySetName returns the key set's name, also where there is no rotation.
func keySetName(o rotation.Overview) string {
	if o.Rotation.KeySet != "" {
		return o.Rotation.KeySet
	}
	return o.Past.KeySet
}
