package rotation_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// minute is a time on the day of the test rotation, counted from its opening.
func minute(n float64) time.Time {
	return time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC).Add(time.Duration(n * float64(time.Minute)))
}

// opened is a rotation in step 1 whose checks are over since minute 1.
func opened() rotation.Rotation {
	r := rotation.Rotation{ID: "r1", KeySet: "prod", Opened: minute(0), Operator: rotation.Actor{ID: "U0ADA"}, OldPrint: "old", LastOK: minute(1)}
	for i, name := range rotation.StepNames() {
		r.Steps = append(r.Steps, rotation.Step{Number: i + 1, Name: name, State: rotation.Pending})
	}
	run(&r, rotation.StepPrecheck, 0)
	r.Step(rotation.StepPrecheck).Items = []rotation.Item{{Name: "audit", State: rotation.Done, Started: minute(0), Ended: minute(1)}}
	return r
}

func run(r *rotation.Rotation, step rotation.StepName, at float64) {
	s := r.Step(step)
	s.State, s.Started, s.Round = rotation.Running, minute(at), s.Round+1
}

func done(r *rotation.Rotation, step rotation.StepName, at float64) {
	s := r.Step(step)
	s.State, s.Ended = rotation.Done, minute(at)
}

// clicked is in step 2 since minute 2; the old pair died at minute 4.
func clicked() rotation.Rotation {
	r := opened()
	done(&r, rotation.StepPrecheck, 2)
	run(&r, rotation.StepGenerate, 2)
	r.FirstRejected, r.ClickedAt, r.LastOK = minute(4), minute(4), minute(3.9)
	return r
}

// sealed has a pair since minute 5 and is in step 3.
func sealed() rotation.Rotation {
	r := clicked()
	done(&r, rotation.StepGenerate, 5)
	run(&r, rotation.StepValidate, 5)
	r.Candidates, r.Chosen, r.SealedAt = []rotation.Candidate{{N: 1}}, 1, minute(5)
	return r
}

// propagating is in steps 5 to 7 since minute 6.
func propagating() rotation.Rotation {
	r := sealed()
	done(&r, rotation.StepValidate, 5.5)
	run(&r, rotation.StepStore, 5.5)
	done(&r, rotation.StepStore, 6)
	for _, s := range []rotation.StepName{rotation.StepPropagate, rotation.StepVerify, rotation.StepRevoked} {
		run(&r, s, 6)
	}
	r.Step(rotation.StepPropagate).Items = []rotation.Item{
		{Name: "app", State: rotation.Running, Started: minute(6)},
		{Name: "ci", State: rotation.Running, Started: minute(6)},
	}
	return r
}

func fail(r *rotation.Rotation, item string, at float64) {
	it := r.Step(rotation.StepPropagate).Item(item)
	it.State, it.Ended, it.Problem = rotation.Failed, minute(at), rotation.Problem{Reason: "denied", Text: "Refused."}
}

// TestWaiting goes through 3.4 of the design: since when a rotation waits for a
// person, for what, and whether trading is down meanwhile.
func TestWaiting(t *testing.T) {
	transient := rotation.Problem{Kind: fault.Transient.String(), Reason: "unavailable"}
	tests := []struct {
		name    string
		make    func() rotation.Rotation
		now     float64
		since   float64 // negative: it does not wait
		last    float64 // 0: the same
		exposed bool
		maybe   bool // exposed, but the old pair was not seen rejected
		want    string
	}{
		{name: "checks are running", since: -1, make: func() rotation.Rotation {
			r := opened()
			r.Step(rotation.StepPrecheck).Items[0].State = rotation.Running
			return r
		}},
		{name: "step 1 waits for Go on", make: opened, since: 1, want: "Step 1"},
		{name: "step 1, one rejection", since: 1, want: "press Go on", make: func() rotation.Rotation {
			r := opened()
			r.FirstRejected = minute(3)
			return r
		}},
		{name: "step 1, the pair is dead, a check still runs", since: 3, exposed: true, want: "the current pair is dead", make: func() rotation.Rotation {
			r := opened()
			r.FirstRejected, r.ClickedAt = minute(3), minute(3)
			r.Step(rotation.StepPrecheck).Items[0].State = rotation.Running
			return r
		}},
		{name: "step 2, nothing clicked", since: 2, want: "Step 2", make: func() rotation.Rotation {
			r := clicked()
			r.FirstRejected, r.ClickedAt = time.Time{}, time.Time{}
			return r
		}},
		{name: "step 2, click not confirmed", since: 2, make: func() rotation.Rotation {
			r := clicked()
			r.ClickedAt = time.Time{}
			return r
		}},
		{name: "step 2, clicked", make: clicked, since: 4, exposed: true, want: "paste"},
		{name: "step 2, dead before it began", since: 2, exposed: true, make: func() rotation.Rotation {
			r := clicked()
			r.FirstRejected, r.ClickedAt = minute(0.5), minute(0.5)
			return r
		}},
		{name: "step 2 again, the pair was rejected", since: 7, exposed: true, want: "another pair", make: func() rotation.Rotation {
			r := sealed()
			r.Step(rotation.StepValidate).State = rotation.Pending
			run(&r, rotation.StepGenerate, 7)
			return r
		}},
		{name: "step 2 again, the wrong account's keys, the old pair works", since: 7, make: func() rotation.Rotation {
			r := sealed()
			r.Step(rotation.StepValidate).State = rotation.Pending
			run(&r, rotation.StepGenerate, 7)
			r.FirstRejected, r.ClickedAt, r.SealedAt, r.LastOK = time.Time{}, time.Time{}, time.Time{}, minute(6)
			return r
		}},
		{name: "step 2 again, nothing known of the old pair since the paste", since: 7, exposed: true, maybe: true, make: func() rotation.Rotation {
			r := sealed()
			r.Step(rotation.StepValidate).State = rotation.Pending
			run(&r, rotation.StepGenerate, 7)
			r.FirstRejected, r.ClickedAt = time.Time{}, time.Time{}
			return r
		}},
		{name: "step 3, Alpaca does not answer", make: sealed, since: -1},
		{name: "step 3, account blocked", since: 5, exposed: true, want: "anyway", make: func() rotation.Rotation {
			r := sealed()
			r.Step(rotation.StepValidate).Problem = rotation.Problem{Reason: "account_blocked"}
			return r
		}},
		{name: "step 3 failed, the old pair works", since: 6, make: func() rotation.Rotation {
			r := sealed()
			s := r.Step(rotation.StepValidate)
			s.State, s.Ended = rotation.Failed, minute(6)
			r.FirstRejected, r.ClickedAt, r.LastOK = time.Time{}, time.Time{}, minute(6)
			return r
		}},
		{name: "step 4 failing for a minute", now: 6.5, since: -1, make: func() rotation.Rotation { return storing(transient, rotation.Running) }},
		{name: "step 4 failing for two minutes", now: 7.5, since: 7.5, exposed: true, want: "store it later", make: func() rotation.Rotation { return storing(transient, rotation.Running) }},
		{name: "step 4 gave up after that: nothing new", now: 20, since: 7.5, exposed: true, make: func() rotation.Rotation { return storing(transient, rotation.Failed) }},
		{name: "step 4 refused", now: 20, since: 15.5, exposed: true, want: "Step 4", make: func() rotation.Rotation {
			return storing(rotation.Problem{Kind: fault.Denied.String(), Reason: "denied"}, rotation.Failed)
		}},
		{name: "step 4 goes on later", now: 20, since: -1, make: func() rotation.Rotation {
			r := storing(transient, rotation.Running)
			r.StoreLater = true
			return r
		}},
		{name: "the bot is working", make: propagating, since: -1},
		{name: "one consumer failed", since: 7, exposed: true, want: "app failed.", make: func() rotation.Rotation {
			r := propagating()
			fail(&r, "app", 7)
			return r
		}},
		{name: "two consumers failed", since: 7, last: 9, exposed: true, want: "ci failed, and 1 more.", make: func() rotation.Rotation {
			r := propagating()
			fail(&r, "app", 9)
			fail(&r, "ci", 7)
			return r
		}},
		{name: "a failure that was accepted", since: -1, make: func() rotation.Rotation {
			r := propagating()
			fail(&r, "app", 7)
			it := r.Step(rotation.StepPropagate).Item("app")
			it.State, it.PassWhy = rotation.Skipped, "it is gone"
			return r
		}},
		{name: "everything that counts is verified", since: 7, make: func() rotation.Rotation {
			r := propagating()
			fail(&r, "app", 7)
			r.VerifiedAt = minute(8)
			return r
		}},
		{name: "the old pair is not proven dead", since: -1, make: func() rotation.Rotation {
			r := propagating()
			r.Step(rotation.StepRevoked).Problem = rotation.Problem{Reason: "old_pair_lingers"}
			return r
		}},
		{name: "over", since: -1, make: func() rotation.Rotation {
			r := clicked()
			r.Outcome = rotation.Cancelled
			return r
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := tt.make()
			now := minute(max(tt.now, 10))
			if tt.now != 0 {
				now = minute(tt.now)
			}
			w, waits := r.Waiting(now)
			if waits != (tt.since >= 0) {
				t.Fatalf("Waiting = %+v, %t, want %t", w, waits, tt.since >= 0)
			}
			if !waits {
				return
			}
			if !w.Since.Equal(minute(tt.since)) || !w.Last.Equal(minute(max(tt.last, tt.since))) {
				t.Errorf("waits since %s, newest %s, want %s and %s", w.Since, w.Last, minute(tt.since), minute(max(tt.last, tt.since)))
			}
			if w.Exposed != tt.exposed || w.Certain != (tt.exposed && !tt.maybe) {
				t.Errorf("exposed = %t, certain = %t, want %t, %t", w.Exposed, w.Certain, tt.exposed, tt.exposed && !tt.maybe)
			}
			if !strings.Contains(w.For, tt.want) || !strings.HasSuffix(w.For, ".") || w.Operator.ID != "U0ADA" {
				t.Errorf("waits for %q, operator %q, want a sentence with %q, U0ADA", w.For, w.Operator.ID, tt.want)
			}
			if again, _ := r.Waiting(now.Add(time.Hour)); !again.Since.Equal(w.Since) {
				t.Errorf("an hour later it waits since %s, want %s", again.Since, w.Since)
			}
		})
	}
}

// storing began step 4 at minute 5.5; a failure is of minute 15.5.
func storing(why rotation.Problem, s rotation.State) rotation.Rotation {
	r := sealed()
	done(&r, rotation.StepValidate, 5.5)
	run(&r, rotation.StepStore, 5.5)
	step := r.Step(rotation.StepStore)
	if step.State, step.Problem = s, why; s == rotation.Failed {
		step.Ended = minute(15.5)
	}
	return r
}

// A rotation that opened by itself has no operator.
func TestWaitingWithoutOperator(t *testing.T) {
	r := clicked()
	r.Operator = rotation.Actor{ID: rotation.BotActor}
	if w, ok := r.Waiting(minute(10)); !ok || w.Operator.ID != "" {
		t.Errorf("Waiting = %+v, %t, want no operator", w, ok)
	}
}

// The engine's own stamps say since when, also after a restart; Retry ends the
// waiting.
func TestWaitingOfTheEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.applyFail["ci"] = []error{&fault.Error{Kind: fault.Denied, Reason: "no_permission", User: "GitHub refuses."}}
		b := setUp(t, w)
		id := b.open()
		before := b.until(id, "opened", func(*rotation.Rotation) bool { return true })
		if since, early := before.IdleSince(); !early || time.Since(since) > time.Minute {
			t.Errorf("IdleSince = %s, %t, want the opening", since, early)
		}
		b.goOn(id, false)
		b.paste(id, w.click("acc-1", "NEW1"))
		r := b.until(id, "ci failed", func(r *rotation.Rotation) bool {
			it := r.Step(rotation.StepPropagate).Item("ci")
			return it != nil && it.State == rotation.Failed
		})
		first, waits := r.Waiting(time.Now())
		if !waits || !first.Exposed || !first.Certain || first.Operator.ID != operator.ID || first.Problem.Reason != "no_permission" {
			t.Errorf("Waiting = %+v, %t, want exposed, for %s", first, waits, operator.ID)
		}
		b.stop()
		time.Sleep(time.Hour)
		b.start()
		defer b.close()
		time.Sleep(time.Minute)
		r = b.until(id, "resumed", func(*rotation.Rotation) bool { return true })
		if again, waits := r.Waiting(time.Now()); !waits || !again.Since.Equal(first.Since) {
			t.Errorf("after a restart it waits since %s, %t, want %s", again.Since, waits, first.Since)
		}
		if err := b.engine.Retry(t.Context(), operator, id, rotation.StepPropagate, r.Step(rotation.StepPropagate).Round, "ci"); err != nil {
			t.Fatal(err)
		}
		r = b.over(id)
		if w, waits := r.Waiting(time.Now()); waits {
			t.Errorf("a rotation that is over waits: %+v", w)
		}
	})
}

// What a person did last before the click is what idleness is counted from.
func TestIdleSince(t *testing.T) {
	again := opened()
	again.Step(rotation.StepPrecheck).Items[0].Started = minute(40)
	inTwo := clicked()
	inTwo.FirstRejected, inTwo.ClickedAt = time.Time{}, time.Time{}
	over := opened()
	over.Outcome = rotation.Cancelled
	tests := []struct {
		name string
		r    rotation.Rotation
		want float64 // negative: not idle
	}{
		{"opened", opened(), 0},
		{"checked again", again, 40},
		{"gone on", inTwo, 2},
		{"clicked", clicked(), -1},
		{"sealed", sealed(), -1},
		{"over", over, -1},
	}
	for _, tt := range tests {
		at, ok := tt.r.IdleSince()
		if ok != (tt.want >= 0) || ok && !at.Equal(minute(tt.want)) {
			t.Errorf("%s: IdleSince = %s, %t, want %s, %t", tt.name, at, ok, minute(tt.want), tt.want >= 0)
		}
	}
}
