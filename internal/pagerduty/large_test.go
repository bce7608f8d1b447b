package pagerduty_test

import (
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/pagerduty"
	"github.com/raxx-app/keyturn/internal/secret"
	"github.com/raxx-app/keyturn/internal/sim/simtest"
)

// An answer of 10 MB is cut off: no more of it is read than an answer of
// PagerDuty's can have, and what is cut is not taken for a yes.
func TestLargeAnswerIsCutOff(t *testing.T) {
	const body = `{"status":"success","message":"planted","dedup_key":"r1"`
	tests := []struct {
		name   string
		status int
		body   string
		kind   fault.Kind
		reason string
	}{
		{"a yes that does not end", 202, body + `,"pad":"`, fault.Invalid, "not_pagerduty"},
		{"a yes with blanks behind it", 202, body + "}", 0, ""},
		{"a page", 200, "<html>planted", fault.Invalid, "not_pagerduty"},
		{"bad request", 400, `{"status":"invalid event","errors":["planted`, fault.Invalid, "refused"},
		{"forbidden", 403, "planted", fault.Denied, "routing_key_refused"},
		{"rate limited", 429, "planted", fault.Transient, "rate_limited"},
		{"broken", 500, "planted", fault.Transient, "unavailable"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			answer := &simtest.Answer{Status: tt.status, Body: []byte(tt.body), Rest: 10 << 20}
			c := pagerduty.New(pagerduty.Config{URL: "http://pagerduty.invalid", RoutingKey: secret.New(routingKey), Transport: answer, Timeout: time.Minute, Now: clock})
			err := c.Trigger(t.Context(), "r1", "prod is dead", nil)
			if tt.reason != "" {
				wants(t, err, tt.kind, tt.reason)
			} else if err != nil {
				t.Errorf("Trigger = %v, want nil", err)
			}
			if got := answer.Read(); got < 64<<10 || got > 64<<10+4096 {
				t.Errorf("%d bytes were read, want 64 KB", got)
			}
		})
	}
}
