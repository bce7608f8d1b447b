package modals

import (
	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// Verify returns the view of step 6, each consumer's own proof and the test order (R52–R57, R78–R80).
func Verify(o rotation.Overview) slack.ModalViewRequest {
	p, s := stepPage(o, rotation.StepVerify)
	if o.Rotation.Order != nil || !o.Rotation.TestOrder {
		p.text(testOrder(p, o)) // R56, R80
	}
	p.body(o, s)
	return view(o, VerifyCallback, p)
}
