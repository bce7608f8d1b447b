package rotation_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
)

// R66: of several pasted pairs the live one goes on, whichever came first; the
// others are superseded, and step 7 proves them dead.
func TestLiveCandidateWins(t *testing.T) {
	for _, order := range []string{"typo first", "live first"} {
		t.Run(order, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench, id rotation.ID) {
				live := b.w.click("acc-1", "NEW1")
				pairs := []rotation.Pair{typo(live), live}
				if order == "live first" {
					pairs = []rotation.Pair{live, typo(live)}
				}
				b.w.set(func() { b.w.down = true }) // both are in before the first round
				b.paste(id, pairs[0])
				b.paste(id, pairs[1])
				b.w.set(func() { b.w.down = false })
				r := b.over(id)
				b.holds(live, "api", "ci", "dev")
				for _, c := range r.Candidates {
					if won := c.N == r.Chosen; won != (c.Aside == "") || won == c.Dead {
						t.Errorf("candidate %d: aside %q, dead %t, chosen %t", c.N, c.Aside, c.Dead, won)
					}
				}
			})
		})
	}
}

// A pair that comes while steps 5 to 7 are under way is never refused as stale
// and changes nothing if it is not the live one.
func TestPasteWhilePropagating(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench, id rotation.ID) {
		b.w.set(func() { b.w.applyFail["ci"] = []error{&fault.Error{Kind: fault.Denied, Reason: "no_permission"}} })
		live := b.w.click("acc-1", "NEW1")
		b.paste(id, live)
		b.fails(id, rotation.StepPropagate, "ci") // its goroutine waits for a person
		if got := b.paste(id, typo(live)); got.Sealed.N != 2 {
			t.Errorf("second pair = %+v, want candidate 2", got.Sealed)
		}
		b.over(id)
		b.holds(live, "api", "ci", "dev")
	})
}

// R87: the same submission again, at any time, is found as sealed already.
func TestSamePairAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench, id rotation.ID) {
		live := b.w.click("acc-1", "NEW1")
		b.paste(id, live)
		for _, when := range []string{"at once", "after the end"} {
			if got := b.paste(id, live); !got.Again || got.Sealed.N != 1 {
				t.Errorf("%s: %+v, want candidate 1 again", when, got)
			}
			b.over(id)
		}
		other := b.w.click("acc-1", "NEW2")
		_, err := b.engine.Paste(t.Context(), operator, id, other.KeyID, other.Secret)
		b.refused("another pair after the end", err, "not_open")
		if !strings.Contains(fault.FixText(err), "Keep the dashboard tab open") {
			t.Errorf("fix %q does not say how to keep the pair", fault.FixText(err))
		}
	})
}

// A pair that was set aside too early is tried again when it is pasted again:
// the person knows of no other.
func TestSetAsideTooEarly(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench, id rotation.ID) {
		live := b.w.click("acc-1", "NEW1")
		b.w.set(func() { b.w.flap = 1000 }) // Alpaca does not know the new key yet
		b.paste(id, live)
		b.asked(id)
		b.w.set(func() { b.w.flap = 0 })
		if got := b.paste(id, live); !got.Again {
			t.Errorf("Paste = %+v, want the sealed one", got)
		}
		b.over(id)
		b.holds(live, "api", "ci")
	})
}

// R66–R68: somebody generates once more after the store. The chosen pair is
// rejected twice, nothing more is written with it, and step 2 says who was
// there last.
func TestGeneratedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench, id rotation.ID) {
		b.w.set(func() { b.w.applyFail["ci"] = []error{&fault.Error{Kind: fault.Denied, Reason: "no_permission"}} })
		b.paste(id, b.w.click("acc-1", "NEW1"))
		b.fails(id, rotation.StepPropagate, "ci")
		b.until(id, "step 7 done", func(r *rotation.Rotation) bool { return r.Step(rotation.StepRevoked).State == rotation.Done })
		live := b.w.click("acc-1", "NEW2")
		r := b.asked(id)
		if r.Candidates[0].Aside != "superseded" || r.Chosen != 0 || !r.VerifiedAt.IsZero() {
			t.Errorf("aside %q, chosen %d, verified %v, want superseded and nothing chosen", r.Candidates[0].Aside, r.Chosen, r.VerifiedAt)
		}
		if note := r.Step(rotation.StepGenerate).Note; !strings.Contains(note, "ada@raxx.app") || !strings.Contains(note, "generated keys again") {
			t.Errorf("note %q, want who was at step 2 last", note)
		}
		time.Sleep(time.Hour)
		if b.w.applies["ci"] != 1 {
			t.Errorf("ci was given the dead pair again: %d applies", b.w.applies["ci"])
		}
		b.paste(id, live)
		b.over(id)
		b.holds(live, "api", "ci", "dev")
	})
}

// R60: step 7 notices by itself that the chosen pair is dead, and so does step
// 8: a rotation never closes with a pair that Alpaca rejects.
func TestDeadBeforeTheRecord(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench, id rotation.ID) {
		var live rotation.Pair
		surveys := 0
		b.w.set(func() {
			b.w.notLive["api"] = time.Now().Add(50 * time.Second) // steps 5 to 7 are over at the last look of step 6
		})
		b.paste(id, b.w.click("acc-1", "NEW1"))
		b.until(id, "step 7 done", func(r *rotation.Rotation) bool { return r.Step(rotation.StepRevoked).State == rotation.Done })
		b.w.set(func() { b.w.onSurvey = func() { surveys++ } })
		live = b.w.click("acc-1", "NEW2")
		b.asked(id)
		if surveys > 0 {
			t.Error("step 8 went on with a dead pair")
		}
		b.paste(id, live)
		b.over(id)
		b.holds(live, "api", "ci")
	})
}

// R37: the account was replaced. Only its last four, typed by a person, make it
// the new baseline.
func TestAdoptReplacedAccount(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench, id rotation.ID) {
		time.Sleep(time.Minute)
		old := b.w.vault.Pair
		b.w.set(func() {
			b.w.survey.OpenOrders = nil
			b.w.diedAt[old.KeyID.Reveal()] = time.Now()
			b.w.accounts["acc-9"] = rotation.Account{ID: "acc-9", Number: "PA3FRESH00Z9", Status: "ACTIVE", CreatedAt: time.Now()}
		})
		live := b.w.click("acc-9", "NEW9")
		b.paste(id, live)
		r := b.fails(id, rotation.StepValidate, "")
		if got := r.Step(rotation.StepValidate).Problem.Reason; got != "account_replaced" {
			t.Errorf("reason %s, want account_replaced", got)
		}
		round := r.Step(rotation.StepValidate).Round
		for _, wrong := range []string{"", "7Q01", "9"} {
			b.refused("Adopt with "+wrong, b.engine.Adopt(t.Context(), operator, id, round, wrong, "we reset it"), "wrong_last4")
		}
		b.refused("Adopt without a reason", b.engine.Adopt(t.Context(), operator, id, round, "00Z9", " "), "no_reason")
		b.refused("Adopt of an earlier round", b.engine.Adopt(t.Context(), operator, id, round-1, "00Z9", "we reset it"), "late")
		b.must(b.engine.Adopt(t.Context(), operator, id, round, " 00z9 ", "we reset it"))
		b.over(id)
		b.holds(live, "api", "ci")
		if rec, err := b.engine.Remembered(t.Context(), "prod"); err != nil || rec.Baseline.ID != "acc-9" {
			t.Errorf("baseline %s (%v), want acc-9", rec.Baseline.ID, err)
		}
	})
}

// The pair works but the account cannot trade. Old pair dead: the bot waits and
// a person may store anyway. Old pair alive: an account problem, it stops.
func TestBlockedAccount(t *testing.T) {
	block := func(w *world, flags ...string) {
		w.set(func() {
			acc := w.accounts["acc-1"]
			acc.Flags = flags
			w.accounts["acc-1"] = acc
		})
	}
	t.Run("old dead", func(t *testing.T) {
		inBubble(t, func(t *testing.T, b *bench, id rotation.ID) {
			live := b.w.click("acc-1", "NEW1")
			block(b.w, "trading_blocked")
			b.paste(id, live)
			r := b.until(id, "blocked", func(r *rotation.Rotation) bool {
				return r.Step(rotation.StepValidate).Problem.Reason == "account_blocked"
			})
			if s := r.Step(rotation.StepValidate); s.State != rotation.Running || s.WaitsFor != operator.ID {
				t.Errorf("step 3 %s waits for %s, want running, for the operator", s.State, s.WaitsFor)
			}
			b.refused("without a reason", b.engine.StoreAnyway(t.Context(), operator, id, 1, ""), "no_reason")
			b.must(b.engine.StoreAnyway(t.Context(), operator, id, 1, "support is on it"))
			r = b.over(id)
			b.holds(live, "api")
			if len(r.Deviations) != 1 {
				t.Errorf("deviations %+v, want one", r.Deviations)
			}
		})
	})
	t.Run("anyway, but Alpaca is down", func(t *testing.T) { // must wait between its looks
		inBubble(t, func(t *testing.T, b *bench, id rotation.ID) {
			live := b.w.click("acc-1", "NEW1")
			block(b.w, "trading_blocked")
			b.paste(id, live)
			b.until(id, "blocked", func(r *rotation.Rotation) bool {
				return r.Step(rotation.StepValidate).Problem.Reason == "account_blocked"
			})
			b.w.set(func() { b.w.down = true })
			b.must(b.engine.StoreAnyway(t.Context(), operator, id, 1, "support is on it"))
			probes := func() (n int) { b.w.set(func() { n = len(b.w.probes) }); return n }
			before := probes()
			time.Sleep(time.Minute)
			if n := probes() - before; n > 30 {
				t.Errorf("%d probes in a minute", n)
			}
			b.w.set(func() { b.w.down = false })
			b.over(id)
		})
	})
	t.Run("old alive", func(t *testing.T) {
		inBubble(t, func(t *testing.T, b *bench, id rotation.ID) {
			b.w.set(func() { b.w.linger = time.Hour })
			live := b.w.click("acc-1", "NEW1")
			block(b.w, "trading_blocked")
			b.paste(id, live)
			r := b.fails(id, rotation.StepValidate, "")
			b.refused("StoreAnyway", b.engine.StoreAnyway(t.Context(), operator, id, r.Step(rotation.StepValidate).Round, "x"), "late")
			block(b.w)
			b.w.set(func() { b.w.linger = 0 })
			b.must(b.engine.Retry(t.Context(), operator, id, rotation.StepValidate, r.Step(rotation.StepValidate).Round, ""))
			b.over(id)
			b.holds(live, "api")
		})
	})
}

// First use: no names in Infisical, no baseline. The new account is confirmed
// by its last four, the store creates the names, and step 7 has nothing to
// prove.
func TestFirstUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.vault = rotation.Stored{}
		b := setUp(t, w)
		defer b.close()
		id := b.open()
		problems, err := b.engine.GoOn(t.Context(), operator, id, rotation.GoOn{
			Trigger: rotation.TriggerScheduled, Ticks: allTicks(), Pass: []string{rotation.CheckPair, rotation.CheckAccount}, PassWhy: "first use",
		})
		if err != nil || len(problems) > 0 {
			t.Fatalf("GoOn = %v, %v", problems, err)
		}
		live := w.click("acc-1", "NEW1")
		b.paste(id, live)
		r := b.fails(id, rotation.StepValidate, "")
		if s := r.Step(rotation.StepValidate); s.Problem.Reason != "no_baseline" || !strings.Contains(s.Problem.Text, "PA3ABCDE7Q01") {
			t.Errorf("problem %+v, want no_baseline with the whole number", s.Problem)
		}
		b.must(b.engine.Adopt(t.Context(), operator, id, 1, "7Q01", "first use"))
		r = b.over(id)
		b.holds(live, "api", "ci")
		if s := r.Step(rotation.StepRevoked); s.State != rotation.Skipped || s.Note == "" {
			t.Errorf("step 7 = %s (%q), want skipped with why", s.State, s.Note)
		}
		m := b.record(id)
		steps, _ := m["steps"].(map[string]any)
		if s, _ := steps["revoked"].(map[string]any); s["state"] != "skipped" || s["why"] != r.Step(rotation.StepRevoked).Note {
			t.Errorf("the record of step 7 is %v, want skipped with why", s)
		}
		if diff := cmp.Diff(map[string]any{}, m["lifecycle"].(map[string]any)["old"]); diff != "" { //nolint:forcetypeassert // a test
			t.Errorf("a pair that nobody knew has a life (-want +got)\n%s", diff)
		}
	})
}

// First use with half a pair in Infisical, a placeholder that stood there before
// the start: it is no third value.
func TestFirstUseWithPlaceholder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.vault = rotation.Stored{Pair: rotation.Pair{KeyID: secret.New("changeme")}, Version: rotation.Version{KeyID: 1}}
		b := setUp(t, w)
		defer b.close()
		id := b.open()
		_, err := b.engine.GoOn(t.Context(), operator, id, rotation.GoOn{Trigger: rotation.TriggerReset, Reason: "first use", Ticks: allTicks()})
		b.must(err)
		live := w.click("acc-1", "NEW1")
		b.paste(id, live)
		b.fails(id, rotation.StepValidate, "")
		b.must(b.engine.Adopt(t.Context(), operator, id, 1, "7Q01", "first use"))
		b.over(id)
		b.holds(live, "api", "ci")
	})
}

// The pair belongs to another key set of ours: it is used there, in a forced
// rotation that completes with it; it cannot be adopted here.
func TestUseForStaging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, elsewhere := newWorld(), newWorld()
		w.set(func() { // staging's vault, in the same world of accounts
			elsewhere.vault.Pair = pairOf("ELSE")
		})
		staging := rotation.KeySet{Name: "staging", CadenceDays: 180, Place: "staging", Vault: fakeVault{elsewhere}, Targets: []rotation.Target{{Name: "api-staging", Kind: "heroku", Counts: true, Consumer: fakeConsumer{elsewhere, "api-staging"}}}}
		b := setUp(t, w, staging)
		defer b.close()
		// An earlier rotation of staging, so that its account is known.
		first, _, err := b.engine.Start(t.Context(), operator, "staging")
		b.must(err)
		b.until(first, "checked", func(r *rotation.Rotation) bool { return r.Step(rotation.StepPrecheck).WaitsFor == operator.ID })
		b.goOn(first, false)
		b.paste(first, w.click("acc-2", "STG1"))
		b.over(first)

		id := b.open()
		b.goOn(id, false)
		wrong := w.click("acc-2", "STG2")
		b.paste(id, wrong)
		r := b.asked(id)
		if keyset, last4 := b.engine.Owner(t.Context(), &r); keyset != "staging" || last4 != "9X02" {
			t.Errorf("Owner = %s %s, want staging 9X02", keyset, last4)
		}
		_, err = b.engine.UseFor(t.Context(), operator, id, "prod")
		b.refused("UseFor prod", err, "late")
		other, err := b.engine.UseFor(t.Context(), operator, id, "staging")
		b.must(err)
		again, err := b.engine.UseFor(t.Context(), operator, id, "staging")
		if again != other || err != nil && fault.ReasonOf(err) != "pair_in_use" {
			t.Errorf("UseFor again = %s, %v, want the same rotation %s", again, err, other)
		}
		done := b.over(other)
		if done.Trigger != rotation.TriggerReset || !elsewhere.vault.Pair.Equal(wrong) || !elsewhere.applied["api-staging"].Equal(wrong) {
			t.Errorf("staging: trigger %s, vault ····%s, want forced and ····STG2 in place", done.Trigger, elsewhere.vault.Pair.Last4())
		}
		live := w.click("acc-1", "NEW1")
		b.paste(id, live)
		b.over(id)
		b.holds(live, "api", "ci")
	})
}

// The current pair of another key set, copied with View, is no new pair there:
// nothing was generated.
func TestViewedPairOfAnotherKeySet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, elsewhere := newWorld(), newWorld()
		elsewhere.vault.Pair = pairOf("ELSE")
		b := setUp(t, w, rotation.KeySet{Name: "staging", CadenceDays: 180, Place: "staging", Vault: fakeVault{elsewhere}})
		defer b.close()
		first, _, err := b.engine.Start(t.Context(), operator, "staging")
		b.must(err)
		b.until(first, "checked", func(r *rotation.Rotation) bool { return r.Step(rotation.StepPrecheck).WaitsFor == operator.ID })
		b.goOn(first, false)
		viewed := w.click("acc-2", "STG1")
		b.paste(first, viewed)
		b.over(first)
		id := b.open()
		b.goOn(id, false)
		b.paste(id, viewed)
		b.asked(id)
		_, err = b.engine.UseFor(t.Context(), operator, id, "staging")
		b.refused("UseFor", err, "pair_in_use")
		if _, err := b.engine.Active(t.Context(), "staging"); err == nil {
			t.Error("a rotation of staging was opened for nothing")
		}
	})
}

// R32, R24: while Infisical cannot be read at the start, the pair that the last
// rotation left is still known and refused.
func TestPairInUseWithoutTheVault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		b := setUp(t, w)
		defer b.close()
		first := b.open()
		b.goOn(first, false)
		used := w.click("acc-1", "NEW1")
		b.paste(first, used)
		b.over(first)
		w.set(func() { w.vaultDown = true })
		id := b.open()
		problems, err := b.engine.GoOn(t.Context(), operator, id, rotation.GoOn{Trigger: rotation.TriggerReset, Reason: "reset", Ticks: allTicks()})
		if err != nil || len(problems) > 0 {
			t.Fatalf("GoOn = %v, %v", problems, err)
		}
		if got := b.paste(id, used); !strings.Contains(got.Problems[rotation.FieldKeyID], "View shows it") {
			t.Errorf("problems %v, want that it is in use", got.Problems)
		}
	})
}

// R37: step 1 could not take a snapshot, but the old pair was seen alive since:
// whose it is is the baseline, and a pair of another account is not offered for
// adoption.
func TestBaselineFromTheOldPair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.down = true
		b := setUp(t, w)
		defer b.close()
		id := b.open()
		problems, err := b.engine.GoOn(t.Context(), operator, id, rotation.GoOn{
			Trigger: rotation.TriggerScheduled, Ticks: allTicks(), Pass: []string{rotation.CheckPair, rotation.CheckAccount}, PassWhy: "Alpaca is slow tonight",
		})
		if err != nil || len(problems) > 0 {
			t.Fatalf("GoOn = %v, %v", problems, err)
		}
		b.paste(id, w.click("acc-2", "ELS2"))
		w.set(func() { w.down = false })
		r := b.asked(id)
		if got := r.Candidates[0].Aside; got != "wrong_account" {
			t.Errorf("aside %q, want wrong_account", got)
		}
		live := w.click("acc-1", "NEW1")
		b.paste(id, live)
		b.over(id)
		b.holds(live, "api", "ci")
	})
}
