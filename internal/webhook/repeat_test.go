package webhook_test

import (
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
	"github.com/raxx-app/keyturn/internal/sim/simhttp"
	"github.com/raxx-app/keyturn/internal/sim/simtest"
	"github.com/raxx-app/keyturn/internal/sim/webhooksim"
	"github.com/raxx-app/keyturn/internal/webhook"
)

// A lost reply is unknown; the next try asks before it sends, and finds that the
// pair has arrived.
func TestLostReplyIsLookedUp(t *testing.T) {
	for _, f := range []simhttp.Fault{{LoseReply: true, Times: 1}, {LoseReply: true, Times: 1, Delay: time.Millisecond}} {
		sim, h := world(t, true)
		sim.Inject(f)
		_, err := h.Apply(t.Context(), delivery(nil))
		wants(t, err, fault.Unknown, "no_answer")
		if r := apply(t, h, delivery(nil)); !r.Unchanged || r.Print != "print-1" {
			t.Errorf("second receipt = %+v, want unchanged", r)
		}
		if got := types(sim); got != "rotated verify verify" {
			t.Errorf("events = %s, want the pair once, then the question and its control", got)
		}
	}
}

// The pair never arrived: the question is answered with no, and it is sent
// again under the same delivery.
func TestLostRequestIsRepeated(t *testing.T) {
	sim, h := world(t, true)
	sim.Inject(simhttp.Fault{Cut: true, Times: 1})
	_, err := h.Apply(t.Context(), delivery(nil))
	wants(t, err, fault.Unknown, "no_answer")
	r := apply(t, h, delivery(nil))
	if r.Unchanged || types(sim) != "verify rotated" || !sim.Works() {
		t.Errorf("receipt = %+v after %s, want the pair sent again", r, types(sim))
	}
}

// An error 500 after the pair was taken is found out in the same way, and one
// that only asks passes.
func TestFailedMidwayIsLookedUp(t *testing.T) {
	sim, h := world(t, true)
	sim.SetPair(keyID, secKey) // as if it had taken it before it failed
	sim.Inject(simhttp.Fault{Status: 500, Times: 1})
	_, err := h.Apply(t.Context(), delivery(nil))
	wants(t, err, fault.Unknown, "failed_midway")
	if r := apply(t, h, delivery(nil)); !r.Unchanged || types(sim) != "verify verify" {
		t.Errorf("receipt = %+v after %s, want unchanged and nothing sent", r, types(sim))
	}
}

// The word of a receiver that says yes to anything is worth nothing: it is sent
// the pair again. So is one that cannot be asked.
func TestUnprovenLookSendsAgain(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before func(*webhooksim.Sim)
		want   string
	}{
		{"yes to all", func(s *webhooksim.Sim) { s.SetOptions(webhooksim.Options{YesToAll: true}) }, "verify verify rotated"},
		{"no answer", func(s *webhooksim.Sim) { s.Inject(simhttp.Fault{Status: 503, Times: 1}) }, "rotated"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sim, h := world(t, true)
			sim.Inject(simhttp.Fault{Cut: true, Times: 1})
			_, err := h.Apply(t.Context(), delivery(nil))
			wants(t, err, fault.Unknown, "no_answer")
			tt.before(sim)
			if r := apply(t, h, delivery(nil)); r.Unchanged || types(sim) != tt.want {
				t.Errorf("receipt = %+v after %q, want %q", r, types(sim), tt.want)
			}
		})
	}
}

// A bot that was killed between the answer and its own commit sends the same
// delivery again, which the receiver knows.
func TestRepeatAfterACrashIsTheSameDelivery(t *testing.T) {
	sim, h := world(t, true)
	first := apply(t, h, delivery(nil))
	second := apply(t, hook(t, sim.HookURL(), true), delivery(nil))
	if first.Data["delivery"] != second.Data["delivery"] {
		t.Errorf("deliveries %s and %s, want one", first.Data["delivery"], second.Data["delivery"])
	}
	if e := sim.Events(); len(e) != 2 || e[0].Repeat || !e[1].Repeat {
		t.Errorf("events = %+v, want a second that is known as a repeat", e)
	}
}

// A pair that was delivered, and that somebody replaced by hand since, is
// delivered again when a person asks for it, under a new id: a receiver that
// knows the old one must not take it for a repeat.
func TestDeliveredAgainR51(t *testing.T) {
	sim, h := world(t, true)
	last := apply(t, h, delivery(nil))
	if r := apply(t, h, delivery(&last)); !r.Unchanged {
		t.Errorf("receipt = %+v, want unchanged: the receiver uses the pair", r)
	}
	sim.SetPair("PKBYHANDBYHANDBYHAND", "by-hand")
	r := apply(t, h, delivery(&last))
	if id, _ := sim.Pair(); r.Unchanged || id != keyID || r.Data["delivery"] == last.Data["delivery"] {
		t.Errorf("receipt = %+v, want the pair delivered again under another id", r)
	}
	other := delivery(&last)
	other.Print = "print-2"
	if r := apply(t, h, other); r.Unchanged || r.Data["delivery"] == last.Data["delivery"] {
		t.Errorf("receipt = %+v of another pair, want it sent without a question", r)
	}
}

// A receiver that goes on with the former pair for a while says so.
func TestVerifyWaits(t *testing.T) {
	sim, h := world(t, true)
	sim.SetOptions(webhooksim.Options{Lag: time.Hour})
	r := apply(t, h, delivery(nil))
	proof, err := h.Verify(t.Context(), delivery(nil), r)
	if err != nil || proof.Done || proof.Detail != "it says that it does not use the key ending in WXYZ yet" {
		t.Errorf("Verify = %+v, %v, want not yet", proof, err)
	}
	sim.SetOptions(webhooksim.Options{})
	if proof, err = h.Verify(t.Context(), delivery(nil), r); err != nil || !proof.Done {
		t.Errorf("Verify = %+v, %v, want done", proof, err)
	}
}

// Questions that get no answer are asked again: they change nothing.
func TestVerifyThatFailsPasses(t *testing.T) {
	for _, f := range []simhttp.Fault{{Cut: true}, {Status: 500}, {Status: 429}} {
		sim, h := world(t, true)
		sim.Inject(f)
		_, err := h.Verify(t.Context(), delivery(nil), rotation.Receipt{})
		if fault.KindOf(err) != fault.Transient {
			t.Errorf("%+v: error = %v, want transient", f, err)
		}
	}
}

// A receiver that never answers costs a limited time; what it was told is
// unknown, what it was asked can be asked again.
func TestTimeout(t *testing.T) {
	sim := simtest.Webhook(t, webhooksim.Config{Secret: signKey, Pair: true, Now: clock})
	sim.Inject(simhttp.Fault{Hang: true})
	h := webhook.New(webhook.Config{
		Name: "backtest", KeySet: "prod", URL: sim.HookURL(), Pair: true, Secret: secret.New(signKey), Now: clock, Timeout: 50 * time.Millisecond,
	})
	t.Cleanup(h.Close)
	_, err := h.Apply(t.Context(), delivery(nil))
	wants(t, err, fault.Unknown, "no_answer")
	_, err = h.Verify(t.Context(), delivery(nil), rotation.Receipt{})
	wants(t, err, fault.Transient, "timeout")
}

func TestEmptyPairIsNotSent(t *testing.T) {
	sim, h := world(t, true)
	d := delivery(nil)
	d.Pair = rotation.Pair{}
	if _, err := h.Apply(t.Context(), d); fault.ReasonOf(err) != "empty_pair" || len(sim.Calls()) != 0 {
		t.Errorf("Apply of nothing: error = %v after %d calls, want a refusal before any call", err, len(sim.Calls()))
	}
}
