package modals

import (
	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// Propagate returns the view of step 5, every consumer at once (R44–R51).
func Propagate(o rotation.Overview) slack.ModalViewRequest {
	p, s := stepPage(o, rotation.StepPropagate)
	p.body(o, s)
	return view(o, PropagateCallback, p)
}
