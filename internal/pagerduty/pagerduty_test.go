package pagerduty_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/pagerduty"
	"github.com/raxx-app/keyturn/internal/secret"
	"github.com/raxx-app/keyturn/internal/sim/pagerdutysim"
	"github.com/raxx-app/keyturn/internal/sim/simhttp"
)

const routingKey = "planted0routing0key0planted01234"

var start = time.Date(2026, 11, 22, 3, 12, 0, 0, time.UTC)

func clock() time.Time { return start }

func client(t *testing.T, url, key string) *pagerduty.Client {
	t.Helper()
	c := pagerduty.New(pagerduty.Config{URL: url, RoutingKey: secret.New(key), Transport: &http.Transport{}, Timeout: 200 * time.Millisecond, Now: clock})
	t.Cleanup(c.Close)
	return c
}

func world(t *testing.T) (*pagerdutysim.Sim, *pagerduty.Client) {
	t.Helper()
	sim := pagerdutysim.New(pagerdutysim.Config{RoutingKey: routingKey, Now: clock})
	if err := sim.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sim.Close() })
	return sim, client(t, sim.URL(), routingKey)
}

// A page wakes people once however often it is sent, and ends (R85).
func TestTriggerAndResolve(t *testing.T) {
	sim, c := world(t)
	long := strings.Repeat("ä", 1500)
	for range 2 {
		if err := c.Trigger(t.Context(), "r0123456789", long, map[string]string{"key set": "prod"}); err != nil {
			t.Fatalf("Trigger = %v", err)
		}
	}
	open := sim.Open()
	if len(open) != 1 || open[0].DedupKey != "r0123456789" || open[0].Triggers != 2 || open[0].Severity != "critical" || open[0].Details["key set"] != "prod" {
		t.Fatalf("open alerts %+v, want one for r0123456789, triggered twice", open)
	}
	if got := []rune(open[0].Summary); len(got) != 1024 || got[1023] != '…' {
		t.Errorf("summary of %d characters ends with %q, want 1024 and an ellipsis", len(got), got[len(got)-1])
	}
	for range 2 {
		if err := c.Resolve(t.Context(), "r0123456789"); err != nil {
			t.Fatalf("Resolve = %v", err)
		}
	}
	if open := sim.Open(); len(open) != 0 {
		t.Errorf("%d alerts are open after Resolve, want none", len(open))
	}
}

func TestFaults(t *testing.T) {
	page := simhttp.Fault{Status: 200, Header: http.Header{"Content-Type": {"text/html"}}, Body: "<html>planted " + simhttp.EchoMark}
	tests := []struct {
		name   string
		fault  simhttp.Fault
		kind   fault.Kind
		reason string
		wait   time.Duration
		alerts int
	}{
		{"rate limited", simhttp.Fault{Status: 429, Header: http.Header{"Retry-After": {"90"}}, Body: simhttp.EchoMark}, fault.Transient, "rate_limited", 90 * time.Second, 0},
		{"broken", simhttp.Fault{Status: 500, Body: simhttp.EchoMark}, fault.Transient, "unavailable", 0, 0},
		{"bad gateway", simhttp.Fault{Status: 502, Body: "<html>" + simhttp.EchoMark}, fault.Transient, "unavailable", 0, 0},
		{"refused event", simhttp.Fault{Status: 400, Body: `{"status":"invalid event","errors":["` + simhttp.EchoMark + `"]}`}, fault.Denied, "routing_key_refused", 0, 0}, // the echo quotes routing_key
		{"bad request", simhttp.Fault{Status: 400, Body: "planted"}, fault.Invalid, "refused", 0, 0},
		{"forbidden", simhttp.Fault{Status: 403, Body: simhttp.EchoMark}, fault.Denied, "routing_key_refused", 0, 0},
		{"redirect", simhttp.Fault{Status: 302, Header: http.Header{"Location": {"/elsewhere"}}}, fault.Invalid, "not_pagerduty", 0, 0},
		{"a page for people", page, fault.Invalid, "not_pagerduty", 0, 0},
		{"cut", simhttp.Fault{Cut: true}, fault.Unknown, "no_answer", 0, 0},
		{"lost reply", simhttp.Fault{LoseReply: true}, fault.Unknown, "no_answer", 0, 1},
		{"hangs", simhttp.Fault{Hang: true}, fault.Unknown, "no_answer", 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sim, c := world(t)
			sim.Inject(tt.fault)
			err := c.Trigger(t.Context(), "r1", "prod is dead", nil)
			wants(t, err, tt.kind, tt.reason)
			if got := fault.RetryAfter(err); got != tt.wait {
				t.Errorf("RetryAfter = %s, want %s", got, tt.wait)
			}
			if n := len(sim.Alerts()); n != tt.alerts {
				t.Errorf("%d alerts, want %d", n, tt.alerts)
			}
			if n := sim.Count("", "/"); n != 1 {
				t.Errorf("%d calls, want one and no redirect followed", n)
			}
		})
	}
}

func TestRefusedKey(t *testing.T) {
	sim, _ := world(t)
	for _, key := range []string{"planted-short", strings.Repeat("p", 32)} {
		wants(t, client(t, sim.URL(), key).Trigger(t.Context(), "r1", "prod is dead", nil), fault.Denied, "routing_key_refused")
	}
}

func TestUnreachable(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	wants(t, client(t, gone.URL, routingKey).Resolve(t.Context(), "r1"), fault.Transient, "unreachable")
	if err := client(t, gone.URL, routingKey).Resolve(t.Context(), ""); fault.KindOf(err) != fault.Internal {
		t.Errorf("Resolve without a key = %v, want an internal fault", err)
	}
}

// wants fails t unless err is as expected, says what to do and holds no secret.
func wants(t *testing.T, err error, kind fault.Kind, reason string) {
	t.Helper()
	if err == nil || fault.KindOf(err) != kind || fault.ReasonOf(err) != reason {
		t.Fatalf("error = %v, want %v (%s)", err, kind, reason)
	}
	text := fmt.Sprintf("%v %+v %s %s", err, err, fault.UserText(err), fault.FixText(err))
	if strings.Contains(text, "planted") {
		t.Errorf("a secret or a body is in what people and logs see: %s", text)
	}
	if !strings.HasSuffix(fault.UserText(err), ".") || !strings.HasSuffix(fault.FixText(err), ".") {
		t.Errorf("texts %q and %q, want sentences", fault.UserText(err), fault.FixText(err))
	}
}
