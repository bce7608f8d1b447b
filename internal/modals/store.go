package modals

import (
	"strconv"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// Store returns the view of step 4, the pair in the vault (R40–R43).
func Store(o rotation.Overview) slack.ModalViewRequest {
	p, s := stepPage(o, rotation.StepStore)
	p.fields([]rotation.Fact{
		{Label: "Secrets", Value: secretNames(o.Names)}, // R40, R41
		{Label: "Place", Value: o.Place},
	})
	if o.Rotation.StoreLater && !s.State.Settled() {
		p.alert(slack.AlertLevelWarning, "The consumers get the pair before it is stored, as somebody chose. The rotation cannot close before Infisical holds it.")
	}
	p.body(o, s)
	return view(o, StoreCallback, p)
}

// versions shows where the two secrets stood in the vault, if that is known.
func versions(v rotation.Version) string {
	if v == (rotation.Version{}) {
		return ""
	}
	return strconv.Itoa(v.KeyID) + " and " + strconv.Itoa(v.Secret)
}
