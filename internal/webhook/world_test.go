package webhook_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
	"github.com/raxx-app/keyturn/internal/sim/simtest"
	"github.com/raxx-app/keyturn/internal/sim/webhooksim"
	"github.com/raxx-app/keyturn/internal/webhook"
)

const (
	signKey = "planted-webhook-secret-0123456789"
	keyID   = "PKWEBHOOKPLANTEDWXYZ"
	secKey  = "planted/webhook+secret=value&<0123456789>"
	last4   = "WXYZ"
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return start }

// world is a receiver, of pairs or not, and the consumer that is tested.
func world(t *testing.T, pair bool) (*webhooksim.Sim, *webhook.Hook) {
	t.Helper()
	sim := simtest.Webhook(t, webhooksim.Config{Secret: signKey, Pair: pair, Now: clock})
	return sim, hook(t, sim.HookURL(), pair)
}

func hook(t *testing.T, url string, pair bool) *webhook.Hook {
	t.Helper()
	h := webhook.New(webhook.Config{Name: "backtest", KeySet: "prod", URL: url, Pair: pair, Secret: secret.New(signKey), Transport: &http.Transport{}, Now: clock})
	t.Cleanup(h.Close)
	return h
}

func delivery(last *rotation.Receipt) rotation.Delivery {
	return rotation.Delivery{
		Rotation: "r0123456789", KeySet: "prod", Print: "print-1", Last: last,
		Pair: rotation.Pair{KeyID: secret.New(keyID), Secret: secret.New(secKey)},
	}
}

func apply(t *testing.T, h *webhook.Hook, d rotation.Delivery) rotation.Receipt {
	t.Helper()
	r, err := h.Apply(t.Context(), d)
	if err != nil {
		t.Fatalf("Apply error = %v", err)
	}
	return r
}

// wants fails t unless err has the kind and reason, says what to do, and shows
// nothing that is secret.
func wants(t *testing.T, err error, kind fault.Kind, reason string) {
	t.Helper()
	if err == nil {
		t.Fatalf("error = nil, want %v (%s)", kind, reason)
	}
	if fault.KindOf(err) != kind || fault.ReasonOf(err) != reason {
		t.Errorf("error = %v (%s), want %v (%s): %v", fault.KindOf(err), fault.ReasonOf(err), kind, reason, err)
	}
	text := err.Error() + fault.UserText(err) + fault.FixText(err)
	for _, value := range []string{keyID, secKey, signKey, "PKWEBHOOK", "planted", "/hooks/keys"} {
		if strings.Contains(text, value) {
			t.Errorf("%q is in what people and logs see: %s", value, text)
		}
	}
	if !strings.HasSuffix(fault.UserText(err), ".") || !strings.HasSuffix(fault.FixText(err), ".") {
		t.Errorf("texts %q and %q, want sentences", fault.UserText(err), fault.FixText(err))
	}
}

// types are those of the events that arrived signed.
func types(sim *webhooksim.Sim) string {
	var out []string
	for _, e := range sim.Events() {
		out = append(out, e.Type)
	}
	return strings.Join(out, " ")
}

func factOf(facts []rotation.Fact, name string) string {
	for _, f := range facts {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}
