package modals

import (
	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// Revoked returns the view of step 7, the proof that the old pair is dead (R58–R60).
func Revoked(o rotation.Overview) slack.ModalViewRequest {
	p, s := stepPage(o, rotation.StepRevoked)
	p.body(o, s)
	return view(o, RevokedCallback, p)
}
