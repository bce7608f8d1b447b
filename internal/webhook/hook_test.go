package webhook_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/sim/simhttp"
	"github.com/raxx-app/keyturn/internal/sim/webhooksim"
)

// R17, R51: a receiver of pairs gets the pair, once, and proves that it uses it.
func TestPairIsDeliveredAndProvenR51(t *testing.T) {
	sim, h := world(t, true)
	r := apply(t, h, delivery(nil))
	if id, sec := sim.Pair(); id != keyID || sec != secKey {
		t.Errorf("the receiver has %q, %q, want the pair", id, sec)
	}
	id := r.Data["delivery"]
	if r.Unchanged || r.Print != "print-1" || !r.At.Equal(start) || len(id) != 32 || factOf(r.Facts, "delivered") != "status 204" {
		t.Errorf("receipt = %+v, want one of print-1 at %v, changed, with its delivery", r, start)
	}
	proof, err := h.Verify(t.Context(), delivery(nil), r)
	if err != nil || !proof.Done || proof.Detail != "it says that it uses the key ending in WXYZ" || factOf(proof.Facts, "key_in_use") != "····WXYZ" {
		t.Errorf("Verify = %+v, %v, want done", proof, err)
	}
	want := []webhooksim.Event{
		{At: start, Type: "rotated", Rotation: "r0123456789", KeySet: "prod", Last4: last4, Delivery: id, Pair: true, Status: 204},
		{At: start, Type: "verify", Rotation: "r0123456789", KeySet: "prod", Last4: last4, Status: 204},
		{At: start, Type: "verify", Rotation: "r0123456789", KeySet: "prod", Status: 409}, // about a key that cannot be
	}
	got := sim.Events()
	if len(got) != len(want) {
		t.Fatalf("%d events, want %d: %+v", len(got), len(want), got)
	}
	for i := 1; i < len(got); i++ {
		if got[i].Delivery == "" || got[i].Delivery == got[i-1].Delivery {
			t.Errorf("verify has the delivery %q, want one of its own", got[i].Delivery)
		}
		got[i].Delivery = ""
	}
	if nobodys := got[2].Last4; len(nobodys) != 4 || strings.ToUpper(nobodys) == nobodys {
		t.Errorf("the second question is about %q, want what no key ID of Alpaca's ends with", nobodys)
	}
	got[2].Last4 = ""
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// One that is only told never gets the pair: the receiver would refuse it.
func TestNotifyNeverSendsThePair(t *testing.T) {
	sim, h := world(t, false)
	if ready := h.Ready(t.Context()); ready.Level != rotation.Ready || ready.Detail != "a signed ping was accepted" {
		t.Errorf("Ready = %+v, want ready", ready)
	}
	r := apply(t, h, delivery(nil))
	proof, err := h.Verify(t.Context(), delivery(nil), r)
	if err != nil || !proof.Done || !strings.HasPrefix(proof.Detail, "informed") {
		t.Errorf("Verify = %+v, %v, want done and informed", proof, err)
	}
	if got := types(sim); got != "ping rotated" || sim.Last4() != last4 {
		t.Errorf("events = %s, told of %q, want a ping and the news of %s", got, sim.Last4(), last4)
	}
	for _, e := range sim.Events() {
		if e.Pair {
			t.Errorf("a %s event carried the pair", e.Type)
		}
	}
}

// The gate changes nothing: the receiver keeps the pair that it had.
func TestReadyChangesNothingR17(t *testing.T) {
	sim, h := world(t, true)
	sim.SetPair("PKOLDOLDOLDOLDOLDOLD", "old-secret")
	ready := h.Ready(t.Context())
	if ready.Level != rotation.Unproven || !strings.Contains(ready.Detail, "ping was accepted") || !strings.HasPrefix(factOf(ready.Facts, "receiver"), "127.0.0.1:") {
		t.Errorf("Ready = %+v, want unproven with the ping accepted", ready)
	}
	if got := types(sim); got != "ping verify" || sim.Last4() != "DOLD" {
		t.Errorf("events = %s, last four %s, want ping and verify, and the old pair", got, sim.Last4())
	}
}

func TestReadyFails(t *testing.T) {
	tests := []struct {
		name   string
		spoil  func(*webhooksim.Sim)
		reason string
		text   string // part of text or fix
	}{
		{"says yes to anything", func(s *webhooksim.Sim) { s.SetOptions(webhooksim.Options{YesToAll: true}) }, "yes_to_all", "a key that does not exist"},
		{"refuses the signature", func(s *webhooksim.Sim) { s.SetOptions(webhooksim.Options{RejectsSignature: true}) }, "signature_refused", "WEBHOOK_SECRET"},
		{"is a login page", func(s *webhooksim.Sim) { s.Inject(webhooksim.Page()) }, "html_answer", "login"},
		{"has moved", func(s *webhooksim.Sim) { s.Inject(webhooksim.Redirect("http://127.0.0.1:1/x")) }, "redirected", "final address"},
		{"is away", func(s *webhooksim.Sim) { _ = s.Close() }, "unreachable", "could not reach"},
		{"hangs up", func(s *webhooksim.Sim) { s.Inject(simhttp.Fault{Cut: true}) }, "unreachable", "could not reach"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sim, h := world(t, true)
			tt.spoil(sim)
			ready := h.Ready(t.Context())
			if ready.Level != rotation.NotReady || ready.Problem.Reason != tt.reason || !strings.Contains(ready.Problem.Text+ready.Problem.Fix, tt.text) {
				t.Errorf("Ready = %+v, want failed (%s) with %q", ready, tt.reason, tt.text)
			}
		})
	}
}

// A receiver that cannot answer a verify event now is not known to be wrong.
func TestReadyWithoutAnAnswerToVerify(t *testing.T) {
	sim, h := world(t, true)
	sim.Inject(simhttp.Fault{Delay: time.Nanosecond, Times: 1}) // the ping passes
	sim.Inject(simhttp.Fault{Status: 503})
	ready := h.Ready(t.Context())
	if got := sim.Count(http.MethodPost, ""); got != 2 || ready.Level != rotation.Unproven || !strings.Contains(ready.Detail, "did not answer a verify event") {
		t.Errorf("Ready = %+v after %d calls, want unproven after 2", ready, got)
	}
}

// Every answer means one thing. With a pair, an error that may hide a success is
// unknown; without one a repeat is no more than a repeat.
func TestAnswers(t *testing.T) {
	tests := []struct {
		status           int
		header           string // Retry-After
		kind, notifyKind fault.Kind
		reason           string
		wait             time.Duration
	}{
		{300, "", fault.Invalid, fault.Invalid, "redirected", 0},
		{307, "", fault.Invalid, fault.Invalid, "redirected", 0},
		{400, "", fault.Invalid, fault.Invalid, "refused", 0},
		{401, "", fault.Denied, fault.Denied, "signature_refused", 0},
		{403, "", fault.Denied, fault.Denied, "signature_refused", 0},
		{404, "", fault.NotFound, fault.NotFound, "route_not_found", 0},
		{405, "", fault.Invalid, fault.Invalid, "refused", 0},
		{408, "", fault.Transient, fault.Transient, "unavailable", 0},
		{409, "", fault.Conflict, fault.Conflict, "conflict", 0},
		{410, "", fault.NotFound, fault.NotFound, "route_not_found", 0},
		{422, "", fault.Invalid, fault.Invalid, "refused", 0},
		{425, "", fault.Transient, fault.Transient, "unavailable", 0},
		{429, "7", fault.Transient, fault.Transient, "rate_limited", 7 * time.Second},
		{429, "Sun, 22 Nov 2026 12:00:30 GMT", fault.Transient, fault.Transient, "rate_limited", 30 * time.Second},
		{429, "86400", fault.Transient, fault.Transient, "rate_limited", 15 * time.Minute},
		{429, "-3", fault.Transient, fault.Transient, "rate_limited", 0},
		{503, "2", fault.Transient, fault.Transient, "unavailable", 2 * time.Second},
		{500, "", fault.Unknown, fault.Transient, "", 0},
		{502, "", fault.Unknown, fault.Transient, "", 0},
	}
	for _, tt := range tests {
		for _, pair := range []bool{true, false} {
			sim, h := world(t, pair)
			f := simhttp.Fault{Status: tt.status, Header: http.Header{}, Body: "echo " + secKey}
			if tt.header != "" {
				f.Header.Set("Retry-After", tt.header)
			}
			sim.Inject(f)
			_, err := h.Apply(t.Context(), delivery(nil))
			kind, reason := tt.kind, tt.reason
			if !pair {
				kind = tt.notifyKind
			}
			if reason == "" {
				reason = map[bool]string{true: "failed_midway", false: "unavailable"}[pair]
			}
			wants(t, err, kind, reason)
			if got := fault.RetryAfter(err); got != tt.wait {
				t.Errorf("status %d: wait = %v, want %v", tt.status, got, tt.wait)
			}
			if n := len(sim.Calls()); n != 1 {
				t.Errorf("status %d: %d calls, want 1", tt.status, n)
			}
		}
	}
}

// A web page is nobody's yes, whatever it calls itself.
func TestPageIsNoAnswer(t *testing.T) {
	for _, kind := range []string{"text/html; charset=utf-8", "TEXT/HTML", "application/xhtml+xml", "", "application/json"} {
		sim, h := world(t, true)
		f := webhooksim.Page()
		f.Header = http.Header{"Content-Type": {kind}}
		f.Body = "\n  " + f.Body
		sim.Inject(f)
		_, err := h.Apply(t.Context(), delivery(nil))
		wants(t, err, fault.Invalid, "html_answer")
		_, err = h.Verify(t.Context(), delivery(nil), rotation.Receipt{})
		wants(t, err, fault.Invalid, "html_answer")
	}
}

// What a redirect points to hears nothing.
func TestRedirectIsNotFollowed(t *testing.T) {
	other, _ := world(t, true)
	for _, status := range []int{301, 302, 303, 307, 308} {
		sim, h := world(t, true)
		f := webhooksim.Redirect(other.HookURL())
		f.Status = status
		sim.Inject(f)
		_, err := h.Apply(t.Context(), delivery(nil))
		wants(t, err, fault.Invalid, "redirected")
	}
	if n := len(other.Calls()); n != 0 {
		t.Errorf("%d calls went where the redirects pointed, want none", n)
	}
}

func TestClocksApartAreNamed(t *testing.T) {
	sim, h := world(t, true)
	for _, tt := range []struct {
		off  time.Duration
		want string
	}{{7 * time.Minute, "Its clock and the bot's are 7m apart."}, {-7 * time.Minute, "7m apart"}, {time.Minute, ""}} {
		clear := sim.Inject(simhttp.Fault{Status: 401, Header: http.Header{"Date": {start.Add(tt.off).Format(http.TimeFormat)}}})
		_, err := h.Apply(t.Context(), delivery(nil))
		clear()
		wants(t, err, fault.Denied, "signature_refused")
		if got := fault.UserText(err); tt.want != "" && !strings.Contains(got, tt.want) || tt.want == "" && strings.Contains(got, "apart") {
			t.Errorf("%v off: %q, want %q", tt.off, got, tt.want)
		}
	}
}

// A receiver that knew the question before the click by its form, and echoes
// anything since, is found out when it is to prove something.
func TestEchoProvesNothingR51(t *testing.T) {
	sim, h := world(t, true)
	asked := map[string]bool{}
	for range 20 {
		if ready := h.Ready(t.Context()); ready.Level != rotation.Unproven {
			t.Fatalf("Ready = %+v, want unproven", ready)
		}
	}
	for _, e := range sim.Events() {
		if e.Type == "verify" {
			asked[e.Last4] = true
		}
	}
	if len(asked) < 15 {
		t.Errorf("20 questions were about %d keys that cannot be, want nearly as many", len(asked))
	}
	r := apply(t, h, delivery(nil))
	sim.SetOptions(webhooksim.Options{YesToAll: true})
	proof, err := h.Verify(t.Context(), delivery(nil), r)
	wants(t, err, fault.Invalid, "yes_to_all")
	if proof.Done {
		t.Errorf("Verify = %+v, want no proof from one that says yes to anything", proof)
	}
}
