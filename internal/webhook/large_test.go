package webhook_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
	"github.com/raxx-app/keyturn/internal/sim/simtest"
	"github.com/raxx-app/keyturn/internal/webhook"
)

// An answer of 10 MB is cut off. What counts of a receiver's answer is its status and
// whether it is a page, so one that is too long means what a short one does.
func TestLargeAnswerIsCutOff(t *testing.T) {
	tests := []struct {
		name   string
		status int
		kind   string // Content-Type
		body   string
		fault  fault.Kind
		reason string // "": it took the event
	}{
		{name: "a yes", status: 200, kind: "application/json", body: `{"ok":true,"pad":"`},
		{name: "blanks", status: 204, kind: "text/plain"},
		{name: "a page", status: 200, kind: "text/html", body: "<html>planted", fault: fault.Invalid, reason: "html_answer"},
		{name: "a page that calls itself JSON", status: 200, kind: "application/json", body: "  <html>planted", fault: fault.Invalid, reason: "html_answer"},
		{name: "redirect", status: 302, kind: "text/plain", body: "planted", fault: fault.Invalid, reason: "redirected"},
		{name: "refused", status: 403, kind: "text/plain", body: "planted", fault: fault.Denied, reason: "signature_refused"},
		{name: "rate limited", status: 429, kind: "text/plain", body: "planted", fault: fault.Transient, reason: "rate_limited"},
		{name: "failed midway", status: 500, kind: "text/plain", body: "planted", fault: fault.Unknown, reason: "failed_midway"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			answer := &simtest.Answer{Status: tt.status, Header: http.Header{"Content-Type": {tt.kind}}, Body: []byte(tt.body), Rest: 10 << 20}
			h := webhook.New(webhook.Config{Name: "backtest", KeySet: "prod", URL: "https://receiver.invalid/hooks/keys", Pair: true, Secret: secret.New(signKey), Transport: answer, Timeout: time.Minute, Now: clock})
			_, err := h.Apply(t.Context(), delivery(nil))
			if tt.reason != "" {
				wants(t, err, tt.fault, tt.reason)
			} else if err != nil {
				t.Errorf("Apply = %v, want nil", err)
			}
			within(t, answer)
			if tt.reason != "" {
				return
			}
			before := answer.Read()
			proof, err := h.Verify(t.Context(), delivery(nil), rotation.Receipt{})
			wants(t, err, fault.Invalid, "yes_to_all") // the same yes to a key that cannot be
			if proof.Done || answer.Read()-before > 3*most {
				t.Errorf("Verify = %+v after %d bytes, want no proof and the answers cut off", proof, answer.Read()-before)
			}
		})
	}
}

// most is how much of one answer may be read: 64 KB after the start in which a page
// gives itself away, and a buffer.
const most = 64<<10 + 8192

// within fails t unless an answer was cut off.
func within(t *testing.T, answer *simtest.Answer) {
	t.Helper()
	if got := answer.Read(); got < 64<<10 || got > most {
		t.Errorf("%d bytes were read, want 64 KB and little more", got)
	}
}
