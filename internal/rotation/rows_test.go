package rotation_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// What a row of table 3.2 leads to, as people see it.
const (
	stores = "stores and propagates" // at once
	waits  = "waits and re-probes"   // step 3 runs, by itself
	stops  = "stops for a person"    // step 3 failed
	asks   = "back to step 2"        // another pair is wanted
)

// R35–R37, R39, R60: table 3.2 of the design, every row of it, by the whole
// engine: what it does, and that nothing is written unless it says store.
func TestTable32(t *testing.T) {
	const same, fresh, older = "acc-1", "acc-new", "acc-2"
	tests := []struct {
		name    string
		account string // of the new pair
		old     string // "rejected", "valid", "unknown"
		blocked bool
		pair    string // "rejected", "unknown"; "": it works
		want    string
		reason  string
	}{
		{name: "works, old rejected", account: same, old: "rejected", want: stores},
		{name: "works, old valid", account: same, old: "valid", want: stores},
		{name: "works, old unknown", account: same, old: "unknown", want: stores},
		{name: "blocked, old rejected", account: same, old: "rejected", blocked: true, want: waits, reason: "account_blocked"},
		{name: "blocked, old valid", account: same, old: "valid", blocked: true, want: stops, reason: "account_blocked"},
		{name: "blocked, old unknown", account: same, old: "unknown", blocked: true, want: stops, reason: "account_blocked"},
		{name: "newer account, old rejected", account: fresh, old: "rejected", want: stops, reason: "account_replaced"},
		{name: "older account, old rejected", account: older, old: "rejected", want: stops, reason: "other_account"},
		{name: "newer account, old valid", account: fresh, old: "valid", want: asks, reason: "wrong_account"},
		{name: "older account, old valid", account: older, old: "valid", want: asks, reason: "wrong_account"},
		{name: "older account, old unknown", account: older, old: "unknown", want: waits, reason: "old_unknown"},
		{name: "newer account, old unknown", account: fresh, old: "unknown", want: waits, reason: "old_unknown"},
		{name: "rejected, old rejected", account: same, old: "rejected", pair: "rejected", want: asks, reason: "rejected"},
		{name: "rejected, old valid", account: same, old: "valid", pair: "rejected", want: asks, reason: "rejected"},
		{name: "rejected, old unknown", account: same, old: "unknown", pair: "rejected", want: asks, reason: "rejected"},
		{name: "unknown, old rejected", account: same, old: "rejected", pair: "unknown", want: waits, reason: "new_unknown"},
		{name: "unknown, old valid", account: same, old: "valid", pair: "unknown", want: waits, reason: "new_unknown"},
		{name: "unknown, old unknown", account: same, old: "unknown", pair: "unknown", want: waits, reason: "new_unknown"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench, id rotation.ID) {
				time.Sleep(time.Minute) // so that a new account is newer than the rotation
				before := b.w.vault.Pair
				b.w.set(func() {
					b.w.accounts[fresh] = rotation.Account{ID: fresh, Number: "PA3FRESH00Z9", Status: "ACTIVE", CreatedAt: time.Now()}
					if tt.old == "rejected" {
						b.w.diedAt[before.KeyID.Reveal()] = time.Now()
					} else {
						b.w.linger = 24 * time.Hour
					}
					b.w.mute = map[string]bool{before.Last4(): tt.old == "unknown", "NEW1": tt.pair == "unknown"}
				})
				live := b.w.click(tt.account, "NEW1")
				b.w.set(func() {
					if acc := b.w.accounts[tt.account]; tt.blocked {
						acc.Flags = []string{"trading_blocked"}
						b.w.accounts[tt.account] = acc
					}
				})
				if tt.pair == "rejected" {
					live = typo(live)
				}
				b.paste(id, live)
				time.Sleep(20 * time.Second) // more than the three looks at a rejected pair
				synctest.Wait()
				r := b.now(id)
				if got, reason := whatFollowed(&r); got != tt.want || reason != tt.reason {
					t.Fatalf("the bot %s (%s), want %s (%s); %s", got, reason, tt.want, tt.reason, steps(r))
				}
				if tt.want == stores {
					b.holds(live, "api", "ci", "dev")
					if s := r.Step(rotation.StepRevoked).State; (s == rotation.Done) != (tt.old == "rejected") {
						t.Errorf("step 7 = %s with the old pair %s: only step 7 waits for it", s, tt.old)
					}
					return
				}
				b.holds(before)
				if len(b.w.applied) > 0 {
					t.Errorf("%d consumers were given a pair", len(b.w.applied))
				}
				if tt.want == waits {
					b.looksAgain(id)
				}
			})
		})
	}
}

// whatFollowed says in the words of the table what a rotation does after a
// paste, and why.
func whatFollowed(r *rotation.Rotation) (what, reason string) {
	s := r.Step(rotation.StepValidate)
	switch {
	case s.State == rotation.Done:
		return stores, s.Problem.Reason
	case s.State == rotation.Failed:
		return stops, s.Problem.Reason
	case r.Step(rotation.StepGenerate).State == rotation.Running:
		return asks, s.Problem.Reason
	}
	return waits, s.Problem.Reason
}

// looksAgain fails the test unless step 3 probes without being asked, and says
// since when.
func (b *bench) looksAgain(id rotation.ID) {
	b.t.Helper()
	var before, after int
	b.w.set(func() { before = len(b.w.probes) })
	time.Sleep(time.Minute)
	b.w.set(func() { after = len(b.w.probes) })
	if after < before+10 {
		b.t.Errorf("%d probes in a minute, want one every 5 s at least", after-before)
	}
	r := b.now(id)
	if note := r.Step(rotation.StepValidate).Note; !strings.Contains(note, "since") {
		b.t.Errorf("note %q does not say since when", note)
	}
}

// 3.2: one rejection of the old pair is enough with the new one answering in
// the same round; without that control two are needed, 30 s apart. Step 7 has
// no proof at all without it.
func TestControlOfARejection(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench, id rotation.ID) {
		live := b.w.click("acc-1", "NEW1")
		b.w.set(func() { b.w.linger = time.Minute })
		b.paste(id, live)
		b.until(id, "verified", func(r *rotation.Rotation) bool { return !r.VerifiedAt.IsZero() })
		b.w.set(func() { b.w.mute = map[string]bool{"NEW1": true} })
		time.Sleep(10 * time.Minute) // the old pair is rejected, the new one cannot be asked
		if r := b.now(id); r.Step(rotation.StepRevoked).State != rotation.Running || !r.ClickedAt.IsZero() {
			t.Errorf("step 7 %s, clicked %v: a rejection counted without a control", r.Step(rotation.StepRevoked).State, r.ClickedAt)
		}
		b.w.set(func() { b.w.mute = nil })
		if r := b.over(id); r.ClickedAt.IsZero() {
			t.Error("the click was never recorded")
		}
	})
}

// 3.2, last words on other accounts: no key set of ours has it, so the operator
// reads that its keys are dead now.
func TestNobodysAccount(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench, id rotation.ID) {
		b.w.set(func() { b.w.linger = time.Hour })
		b.paste(id, b.w.click("acc-2", "ELS2"))
		r := b.asked(id)
		if note := r.Step(rotation.StepGenerate).Note; !strings.Contains(note, "had before are dead now") {
			t.Errorf("note %q does not say what generating there did", note)
		}
		o, err := b.engine.Look(t.Context(), id)
		if err != nil || o.Other != nil {
			t.Errorf("other owner %+v (%v), want none", o.Other, err)
		}
	})
}

// 3.4, first bullet: every 5 s for 10 min after the view opens, then every
// minute, and it never stops.
func TestPaceOfTheOldPairsProbes(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench, id rotation.ID) {
		probes := func(d time.Duration) int {
			var from, to int
			b.w.set(func() { from = len(b.w.probes) })
			time.Sleep(d)
			synctest.Wait()
			b.w.set(func() { to = len(b.w.probes) })
			return to - from
		}
		time.Sleep(time.Second)
		for _, tt := range []struct {
			name      string
			span      time.Duration
			low, high int
		}{
			{"the first ten minutes", 10*time.Minute - 10*time.Second, 115, 121},
			{"the next hour", time.Hour, 58, 64},
			{"four more", 4 * time.Hour, 236, 244},
		} {
			if n := probes(tt.span); n < tt.low || n > tt.high {
				t.Errorf("%s: %d probes, want %d to %d", tt.name, n, tt.low, tt.high)
			}
		}
	})
}

// 3.4: while step 3 has stopped for a person, or step 4 does not get on, and the
// old pair still worked, its death is noticed all the same: from then on trading
// is down, and people are told.
func TestOldPairDiesWhileStopped(t *testing.T) {
	for _, where := range []rotation.StepName{rotation.StepValidate, rotation.StepStore} {
		t.Run(string(where), func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench, id rotation.ID) {
				live := b.w.click("acc-1", "NEW1")
				b.w.set(func() {
					b.w.linger = 30 * time.Minute
					if where == rotation.StepStore {
						b.w.vault.Pair = pairOf("3RDX")
						return
					}
					acc := b.w.accounts["acc-1"]
					acc.Flags = []string{"trading_blocked"}
					b.w.accounts["acc-1"] = acc
				})
				b.paste(id, live)
				b.fails(id, where, "")
				time.Sleep(10 * time.Minute)
				r := b.now(id)
				if w, waits := r.Waiting(time.Now()); !waits || w.Exposed || r.Exposure().Running {
					t.Errorf("old pair alive: waits %t, %+v, exposure %+v, want waiting and not exposed", waits, w, r.Exposure())
				}
				time.Sleep(25 * time.Minute)
				r = b.now(id)
				if w, waits := r.Waiting(time.Now()); !waits || !w.Exposed || !w.Certain || r.ClickedAt.IsZero() {
					t.Errorf("old pair dead: waits %t, %+v, clicked %v, want exposed for certain", waits, w, r.ClickedAt)
				}
			})
		})
	}
}
