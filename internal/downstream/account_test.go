package downstream

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/secret"
	"github.com/raxx-app/keyturn/internal/sim/alpacasim"
	"github.com/raxx-app/keyturn/internal/sim/herokusim"
	"github.com/raxx-app/keyturn/internal/sim/raptorsim"
	"github.com/raxx-app/keyturn/internal/sim/simhttp"
)

// TestCheckFollowsTheRotation: R52, R54. From the click to the restarted dynos
// the account is not ACTIVE, and that is a proof not done, not an error.
func TestCheckFollowsTheRotation(t *testing.T) {
	w := newWorld(t)
	a := w.accountCheck(t, nil)
	var key alpacasim.Key
	steps := []struct {
		name   string
		do     func()
		done   bool
		detail string
	}{
		{"before the click", func() {}, true, "alpaca_status is ACTIVE"},
		{"after the click", func() { key = w.regenerate(t) }, false, "alpaca_status is UNAUTHORIZED, want ACTIVE"},
		{"dynos restarting", func() {
			w.heroku.SetBoot(prod, herokusim.Boot{Hold: true})
			w.propagate(key)
		}, false, "alpaca_status is UNAUTHORIZED, want ACTIVE"},
		{"dynos up", func() { w.heroku.FinishBoot(prod) }, true, "alpaca_status is ACTIVE"},
		{"account limited", func() { _ = w.alpaca.SetStatus(w.account, "ACCOUNT_UPDATED") }, false, "alpaca_status is ACCOUNT_UPDATED, want ACTIVE"},
		{"alpaca down", func() { w.alpaca.SetOutage(alpacasim.ServerError) }, false, "alpaca_status is UNAVAILABLE, want ACTIVE"},
	}
	for _, s := range steps {
		s.do()
		p, err := a.Check(t.Context())
		if err != nil || p.Done != s.done || p.Detail != s.detail || len(p.Facts) != 1 {
			t.Errorf("%s: Check = %+v, %v, want done %v %q", s.name, p, err, s.done, s.detail)
		}
	}
	w.heroku.SetBoot(prod, herokusim.Boot{Crashes: true})
	w.propagate(key)
	if _, err := a.Check(t.Context()); fault.KindOf(err) != fault.Transient {
		t.Errorf("crashed: Check = %v, want transient", err)
	}
}

// TestCheckWrapper: R53. Path and value are configurable.
func TestCheckWrapper(t *testing.T) {
	tests := []struct {
		body, field, want string
		done              bool
		detail, reason    string
	}{
		{`{"data":{"alpaca_status":"ACTIVE"}}`, "data.alpaca_status", "ACTIVE", true, "data.alpaca_status is ACTIVE", ""},
		{`{"accounts":[{"ok":true}]}`, "accounts.0.ok", "true", true, "accounts.0.ok is true", ""},
		{`{"code":7}`, "code", "7", true, "code is 7", ""},
		{`{"alpaca_status":"active"}`, "", "", false, "alpaca_status is active, want ACTIVE", ""},
		{`{"alpaca_status":"` + strings.Repeat("x", 99) + `\u001b[2J"}`, "", "", false, "alpaca_status is " + strings.Repeat("x", 39) + "…, want ACTIVE", ""},
		{`{"alpaca_status":"a\nb\u202e"}`, "", "", false, "alpaca_status is a b , want ACTIVE", ""},
		{`{"alpaca_status":"` + token + `"}`, "", "", false, "alpaca_status is [withheld], want ACTIVE", ""},
		{`{"data":{"alpaca_status":"ACTIVE"}}`, "alpaca_status", "", false, "", "field_missing"},
		{`{"alpaca_status":{"x":1}}`, "", "", false, "", "field_missing"},
		{`{"alpaca_status":null}`, "", "", false, "", "field_missing"},
		{`{"a":["x"]}`, "a.-1", "x", false, "", "field_missing"},
		{`"ACTIVE"`, "", "", false, "", "field_missing"},
		{`{"alpaca_status":"ACTIVE"} trailing`, "", "", false, "", "not_json"},
	}
	w := newWorld(t)
	for _, tt := range tests {
		w.raptor.Inject(simhttp.Fault{Times: 1, Status: 200, Body: tt.body})
		p, err := w.accountCheck(t, func(c *AccountConfig) { c.Field, c.Want = tt.field, tt.want }).Check(t.Context())
		switch {
		case tt.reason != "" && (fault.KindOf(err) != fault.Invalid || fault.ReasonOf(err) != tt.reason):
			t.Errorf("%s at %q: %v, want invalid (%s)", tt.body, tt.field, err, tt.reason)
		case tt.reason == "" && (err != nil || p.Done != tt.done || p.Detail != tt.detail):
			t.Errorf("%s at %q: %+v, %v, want done %v %q", tt.body, tt.field, p, err, tt.done, tt.detail)
		}
	}
	w.raptor.SetOptions(raptorsim.Options{Wrapper: "data"})
	if p, err := w.accountCheck(t, func(c *AccountConfig) { c.Field = "data.alpaca_status" }).Check(t.Context()); err != nil || !p.Done {
		t.Errorf("wrapped service: %+v, %v, want done", p, err)
	}
}

// TestCheckStatuses: every kind of useless answer.
func TestCheckStatuses(t *testing.T) {
	big := `{"alpaca_status":"ACTIVE","x":"` + strings.Repeat("x", 10<<20) + `"}`
	tests := []struct {
		name   string
		fault  simhttp.Fault
		want   fault.Kind
		reason string
	}{
		{"redirect", simhttp.Fault{Status: 302, Header: http.Header{"Location": {"/api/trading/account"}}}, fault.Invalid, "redirected"},
		{"permanent redirect", simhttp.Fault{Status: 308, Header: http.Header{"Location": {"/api/trading/account"}}}, fault.Invalid, "redirected"},
		{"400", simhttp.Fault{Status: 400}, fault.Invalid, "refused"},
		{"401", simhttp.Fault{Status: 401, Body: `{"error":"x"}`}, fault.Denied, "token_rejected"},
		{"403", simhttp.Fault{Status: 403, Body: "<html>"}, fault.Denied, "token_rejected"},
		{"404", simhttp.Fault{Status: 404}, fault.NotFound, "route_not_found"},
		{"408", simhttp.Fault{Status: 408}, fault.Transient, "unavailable"},
		{"429", simhttp.Fault{Status: 429, Header: http.Header{"Retry-After": {"9"}}}, fault.Transient, "rate_limited"},
		{"500", simhttp.Fault{Status: 500}, fault.Transient, "unavailable"},
		{"502", simhttp.Fault{Status: 502, Body: "<html>"}, fault.Transient, "unavailable"},
		{"503", simhttp.Fault{Status: 503}, fault.Transient, "unavailable"},
		{"HTML", simhttp.Fault{Status: 200, Body: "<html>log in</html>"}, fault.Invalid, "not_json"},
		{"nothing", simhttp.Fault{Status: 200}, fault.Invalid, "not_json"},
		{"10 MB", simhttp.Fault{Status: 200, Body: big}, fault.Invalid, "answer_too_large"},
		{"cut", simhttp.Fault{Cut: true}, fault.Transient, "unreachable"},
		{"slow", simhttp.Fault{Hang: true}, fault.Transient, "timeout"},
	}
	w := newWorld(t)
	a := w.accountCheck(t, func(c *AccountConfig) { c.Timeout = 200 * time.Millisecond })
	for i, tt := range tests {
		tt.fault.Times = 1
		w.raptor.Inject(tt.fault)
		p, err := a.Check(t.Context())
		if err == nil || p.Done || fault.KindOf(err) != tt.want || fault.ReasonOf(err) != tt.reason {
			t.Errorf("%s: Check = %+v, %v, want %v (%s)", tt.name, p, err, tt.want, tt.reason)
		}
		if got := fault.RetryAfter(err); (got == 9*time.Second) != (tt.name == "429") {
			t.Errorf("%s: RetryAfter = %v", tt.name, got)
		}
		if n := w.raptor.Count("", ""); n != i+1 {
			t.Fatalf("%s: %d calls so far, want %d: nothing is followed or retried", tt.name, n, i+1)
		}
	}
	w.raptor.Inject(simhttp.Fault{Times: 1, Status: 500, Body: `{"alpaca_status":"ACTIVE"}`})
	if p, err := a.Check(t.Context()); err != nil || p.Done || p.Detail != "alpaca_status is ACTIVE, but with status 500" {
		t.Errorf("500 with ACTIVE: %+v, %v, want not done", p, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Check(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v, want context.Canceled", err)
	}
}

func TestCheckBearer(t *testing.T) {
	w := newWorld(t)
	for name, tok := range map[string]secret.Text{"none": {}, "wrong": secret.New("other")} {
		_, err := w.accountCheck(t, func(c *AccountConfig) { c.Token = tok }).Check(t.Context())
		if fault.KindOf(err) != fault.Denied || !strings.Contains(fault.FixText(err), "DOWNSTREAM_TOKEN") {
			t.Errorf("bearer %s: %v, fix %q, want denied and DOWNSTREAM_TOKEN", name, err, fault.FixText(err))
		}
	}
}
