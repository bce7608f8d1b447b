package rotation_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// many is n times the same failure.
func many(n int, kind fault.Kind, reason string) []error {
	fails := make([]error, n)
	for i := range fails {
		fails[i] = &fault.Error{Kind: kind, Reason: reason, User: "It does not answer.", Fix: "Look at it."}
	}
	return fails
}

// 3.6: a transient failure of a write is tried again after at most 250 ms,
// doubling to 15 s, for 10 min; then it has failed, says why, and a person has a
// button. The other consumers were done long before.
func TestWritesAreRetriedForTenMinutes(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench, id rotation.ID) {
		b.w.set(func() { b.w.applyFail["ci"] = many(1000, fault.Transient, "server") })
		b.paste(id, b.w.click("acc-1", "NEW1"))
		began := time.Now()
		time.Sleep(30 * time.Second)
		r := b.now(id)
		if it := r.Step(rotation.StepPropagate).Item("ci"); it.State != rotation.Running || it.Tries == 0 || it.Detail != "It does not answer. The bot tries again by itself." {
			t.Errorf("ci = %s after %d tries: %q, want running, and that it goes on by itself", it.State, it.Tries, it.Detail)
		}
		if it := r.Step(rotation.StepVerify).Item("api"); it.State != rotation.Done || it.Ended.Sub(began) > 5*time.Second {
			t.Errorf("api = %s at %s, want done at once", it.State, it.Ended.Sub(began))
		}
		r = b.fails(id, rotation.StepPropagate, "ci")
		if took := time.Since(began); took < 9*time.Minute+40*time.Second || took > 10*time.Minute {
			t.Errorf("failed after %s, want 10 min less the last wait", took)
		}
		if p := r.Step(rotation.StepPropagate).Item("ci").Problem; p.Reason != "server" || p.Text == "" || p.Fix == "" {
			t.Errorf("problem %+v, want what happened and what to do", p)
		}
		limit, tries := 250*time.Millisecond, b.w.applyAt["ci"]
		for i := 1; i < len(tries); i++ {
			if wait := tries[i].Sub(tries[i-1]); wait > limit {
				t.Errorf("wait %d is %s, want at most %s", i, wait, limit)
			}
			limit = min(2*limit, 15*time.Second)
		}
		if n := len(tries); n < 40 || n > 200 {
			t.Errorf("%d tries in 10 min, want about one every 7.5 s", n)
		}
	})
}

// 3.6: only what is transient is tried again; a refusal is final at once. What
// was sent without an answer is tried again too: a consumer looks before it
// writes. Retry-After is honoured.
func TestWhatIsRetried(t *testing.T) {
	tests := []struct {
		kind  fault.Kind
		after time.Duration
		tries int
	}{
		{fault.Transient, 0, 2},
		{fault.Transient, 40 * time.Second, 2},
		{fault.Unknown, 0, 2},
		{fault.Denied, 0, 1},
		{fault.Invalid, 0, 1},
		{fault.NotFound, 0, 1},
		{fault.Conflict, 0, 1},
		{fault.Internal, 0, 1},
	}
	for _, tt := range tests {
		t.Run(tt.kind.String()+" "+tt.after.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench, id rotation.ID) {
				b.w.set(func() {
					b.w.applyFail["ci"] = []error{&fault.Error{Kind: tt.kind, Reason: "x", RetryAfter: tt.after}}
				})
				b.paste(id, b.w.click("acc-1", "NEW1"))
				time.Sleep(time.Minute)
				synctest.Wait()
				if n := b.w.applies["ci"]; n != tt.tries {
					t.Errorf("%d tries, want %d", n, tt.tries)
				}
				if at := b.w.applyAt["ci"]; tt.after > 0 && at[1].Sub(at[0]) < tt.after {
					t.Errorf("tried again after %s, want %s", at[1].Sub(at[0]), tt.after)
				}
			})
		})
	}
}

// 3.6: a consumer is looked at at once, then after 0.25, 0.5, 1, 2 and every 5 s;
// after 10 min it has failed, and Retry begins anew.
func TestPollsOfALiveConsumer(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench, id rotation.ID) {
		b.w.set(func() { b.w.notLive["ci"] = time.Now().Add(11 * time.Minute) })
		b.paste(id, b.w.click("acc-1", "NEW1"))
		b.until(id, "ci looked at", func(r *rotation.Rotation) bool {
			it := r.Step(rotation.StepVerify).Item("ci")
			return it != nil && it.Detail == "release pending"
		})
		r := b.fails(id, rotation.StepVerify, "ci")
		looks := b.w.verifyAt["ci"]
		for i, want := range []time.Duration{250, 500, 1000, 2000, 5000, 5000, 5000} {
			if wait := looks[i+1].Sub(looks[i]); wait != want*time.Millisecond {
				t.Errorf("wait %d is %s, want %s", i, wait, want*time.Millisecond)
			}
		}
		it := r.Step(rotation.StepVerify).Item("ci")
		if took := it.Ended.Sub(it.Started); took != 10*time.Minute || it.Problem.Reason != "not_live" {
			t.Errorf("%s after %s, want not_live after 10 min", it.Problem.Reason, took)
		}
		time.Sleep(time.Minute)
		b.retryAll(id)
		b.over(id)
	})
}

// A downstream is a consumer's own endpoint that is never active.
type downstream struct{ w *world }

func (d downstream) Check(context.Context) (rotation.Proof, error) {
	return rotation.Proof{Detail: "account ONBOARDING"}, nil
}

// 3.6: the limits of the other polls: downstream 5 min, an order's cancel 30 s.
func TestPollLimits(t *testing.T) {
	tests := []struct {
		name, item, reason string
		limit              time.Duration
	}{
		{"downstream", "api", "downstream_not_active", 5 * time.Minute},
		{"cancel", "test_order", "order_not_final", 30 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.stuck = true
				b := setUpOn(t, w, nil)
				defer func() { b.close() }()
				if tt.name == "downstream" {
					b.stop()
					b.target = func(was []rotation.Target) []rotation.Target {
						was[0].Downstream = downstream{w}
						return was
					}
					b.start()
				}
				id := b.open()
				b.goOn(id, true)
				b.paste(id, w.click("acc-1", "NEW1"))
				r := b.fails(id, rotation.StepVerify, tt.item)
				it := r.Step(rotation.StepVerify).Item(tt.item)
				if took := it.Ended.Sub(it.Started); took != tt.limit || it.Problem.Reason != tt.reason || it.Problem.Fix == "" {
					t.Errorf("%s after %s (%s), want %s after %s", it.Problem.Reason, took, it.Problem.Fix, tt.reason, tt.limit)
				}
			})
		})
	}
}

// 3.6, R22: reading again in step 8 is tried for 2 min; it never blocks the end.
func TestReadsAreRetriedForTwoMinutes(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench, id rotation.ID) {
		b.w.set(func() { b.w.unread = true })
		b.paste(id, b.w.click("acc-1", "NEW1"))
		r := b.over(id)
		if took := r.Closed.Sub(r.Step(rotation.StepRecord).Started); took < 100*time.Second || took > 2*time.Minute {
			t.Errorf("step 8 took %s, want 2 min less the last wait", took)
		}
		if len(r.Summary.Lost) != 1 {
			t.Errorf("differences %q, want one that says they were not compared", r.Summary.Lost)
		}
	})
}

// 3.6, R41, R42: the vault did what was asked but its answer was lost: it is
// looked up, found, and not written again.
func TestLostReplyOfTheVault(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench, id rotation.ID) {
		b.w.set(func() { b.w.vaultLose = true })
		live := b.w.click("acc-1", "NEW1")
		b.paste(id, live)
		r := b.over(id)
		b.holds(live, "api", "ci")
		if b.w.vault.Version.KeyID != 4 || r.Step(rotation.StepStore).Round != 1 {
			t.Errorf("version %d in round %d, want 4 in the first: written once", b.w.vault.Version.KeyID, r.Step(rotation.StepStore).Round)
		}
	})
}

// R65, R67: a pair that somebody killed while step 4 did not get on, or while
// the bot was away, is not written any more.
func TestNoDeadValueAfterAWait(t *testing.T) {
	for _, how := range []string{"vault down", "bot away"} {
		t.Run(how, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench, id rotation.ID) {
				b.w.set(func() { b.w.vaultDown = true })
				old := b.w.vault.Pair
				b.paste(id, b.w.click("acc-1", "NEW1"))
				b.until(id, "step 4 tries", func(r *rotation.Rotation) bool { return r.Step(rotation.StepStore).Problem.Reason == "unavailable" })
				if how == "bot away" {
					b.stop()
				}
				time.Sleep(5 * time.Minute)
				live := b.w.click("acc-1", "NEW2")
				b.w.set(func() { b.w.vaultDown = false })
				if how == "bot away" {
					b.start()
				}
				r := b.asked(id)
				if r.Candidates[0].Aside != "superseded" {
					t.Errorf("aside %q, want superseded", r.Candidates[0].Aside)
				}
				b.holds(old)
				if len(b.w.applied) > 0 {
					t.Errorf("%d consumers were given the dead pair", len(b.w.applied))
				}
				b.paste(id, live)
				b.over(id)
				b.holds(live, "api", "ci")
			})
		})
	}
}
