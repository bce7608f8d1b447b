package rotation_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
	"github.com/raxx-app/keyturn/internal/state"
)

// One whole rotation: R19, R20, R23, R24, R33–R37, R40–R42, R44, R50, R51, R58,
// R59, R61–R63, R83.
func TestWholeRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		b := setUp(t, w)
		defer b.close()
		id := b.open()
		if again, fresh, err := b.engine.Start(t.Context(), operator, "prod"); again != id || fresh || err != nil {
			t.Errorf("second Start = %s, %t, %v, want the open rotation %s (R83)", again, fresh, err, id)
		}
		b.goOn(id, true)
		time.Sleep(42 * time.Second) // the operator looks for the panel
		fresh := w.click("acc-1", "NEW1")
		time.Sleep(7 * time.Second)
		if got := b.paste(id, fresh); got.Sealed.N != 1 || got.Sealed.Last4 != "NEW1" || got.Warning != "" {
			t.Errorf("Paste = %+v, want candidate 1 ending in NEW1 and no warning", got)
		}
		r := b.over(id)
		for name, held := range map[string]rotation.Pair{"vault": w.vault.Pair, "api": w.applied["api"], "ci": w.applied["ci"], "dev": w.applied["dev"]} {
			if !held.Equal(fresh) {
				t.Errorf("%s does not hold the new pair", name)
			}
		}
		if w.placed != 1 || w.orders[0].Status != "canceled" || r.Order.Cleanup != "cancelled, nothing filled" {
			t.Errorf("test order: placed %d, book %+v, clean-up %q, want one, cancelled (R55, R79)", w.placed, w.orders, r.Order.Cleanup)
		}
		for _, s := range r.Steps {
			if s.State != rotation.Done {
				t.Errorf("step %s = %s, want done", s.Name, s.State)
			}
		}
		// The old pair is probed every 5 s: dead 42 s after the view opened, so
		// it was seen dead at 45 s, and pasted at 49 s.
		x := r.Exposure()
		if x.Took != 4*time.Second || x.AtMost != 9*time.Second {
			t.Errorf("exposed %s (at most %s), want 4s (at most 9s)", x.Took, x.AtMost)
		}
		if r.Summary == nil || r.Summary.ExposedMS != 4000 || r.Summary.NextDue != r.Closed.AddDate(0, 0, 180).Format(time.DateOnly) {
			t.Errorf("summary = %+v", r.Summary)
		}
		checkAudit(t, b, id)
		if left, err := b.store.List(t.Context(), "sealed/", "", 0); err != nil || len(left) > 0 {
			t.Errorf("%d sealed pairs are left (%v), want none", len(left), err)
		}
	})
}

// The record is the SOP's (R61–R63), the rows come before what they announce
// (R89), and the chain is whole.
func checkAudit(t *testing.T, b *bench, id rotation.ID) {
	t.Helper()
	if _, err := state.Verify(t.Context(), b.store, nil); err != nil {
		t.Errorf("audit chain: %v", err)
	}
	var actions []string
	for _, row := range b.rows(id) {
		actions = append(actions, row.Row.Action)
		if row.Row.Action != "secret.rotate.completed" {
			continue
		}
		if row.Row.Actor != "ada@raxx.app" || row.Row.Context["secret_name"] != "ALPACA_PAPER_API_KEY_ID" || row.Row.Context["method"] != "operator-assisted-dashboard" || row.Row.Context["rotated_at"] == "" {
			t.Errorf("completed row = %s %v, want the SOP's fields", row.Row.Actor, row.Row.Context)
		}
	}
	for _, want := range []string{"secret.rotate.started", "secret.rotate.sealed", "secret.rotate.clicked", "secret.rotate.completed"} {
		if !slices.Contains(actions, want) {
			t.Errorf("no audit row %s in %v", want, actions)
		}
	}
}

// R39: a rejected pair is written nowhere; after 2, 5 and 10 s the operator is
// asked again, and told why.
func TestRejectedPairAsksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		b := setUp(t, w)
		defer b.close()
		id := b.open()
		b.goOn(id, false)
		before := w.vault.Pair
		fresh := w.click("acc-1", "NEW1")
		typo := rotation.Pair{KeyID: secret.New("PK" + "BBBBBBBBBBBBBBBBBBBB" + "TYPO"), Secret: fresh.Secret}
		b.paste(id, typo)
		pasted := time.Now()
		r := b.until(id, "asked again", func(r *rotation.Rotation) bool { return r.Step(rotation.StepGenerate).State == rotation.Running })
		if took := time.Since(pasted); took != 17*time.Second {
			t.Errorf("asked again after %s, want 17s", took)
		}
		if note := r.Step(rotation.StepGenerate).Note; note == "" || r.Candidates[0].Aside != "rejected" {
			t.Errorf("note %q, aside %q, want why the first pair did not do", note, r.Candidates[0].Aside)
		}
		if !w.vault.Pair.Equal(before) || len(w.applied) > 0 {
			t.Error("something was written although the pair was rejected")
		}
		b.paste(id, fresh)
		b.over(id)
		if !w.vault.Pair.Equal(fresh) {
			t.Error("the vault does not hold the second pair")
		}
	})
}

// R37, R77: a pair of another paper account is stored nowhere; the operator
// reads which account it is and which was expected.
func TestOtherAccountStopsBeforeStoring(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		b := setUp(t, w)
		defer b.close()
		id := b.open()
		b.goOn(id, false)
		before := w.vault.Pair
		b.paste(id, w.click("acc-2", "ELS2"))
		r := b.until(id, "asked again", func(r *rotation.Rotation) bool { return r.Step(rotation.StepGenerate).State == rotation.Running })
		note := r.Step(rotation.StepGenerate).Note
		for _, want := range []string{"PA3ABCDE7Q01", "PA3OTHER9X02"} {
			if !strings.Contains(note, want) {
				t.Errorf("note %q does not name account %s", note, want)
			}
		}
		if !w.vault.Pair.Equal(before) || len(w.applied) > 0 {
			t.Error("something was written for another account")
		}
		b.paste(id, w.click("acc-1", "NEW1"))
		b.over(id)
	})
}

// R51: one consumer that fails stops none of the others; its failure waits for
// a person, and Retry does the rest.
func TestOneFailedConsumerStopsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.applyFail["ci"] = []error{&fault.Error{Kind: fault.Denied, Reason: "no_permission", User: "GitHub refuses.", Fix: "Give the token Secrets: write."}}
		b := setUp(t, w)
		defer b.close()
		id := b.open()
		b.goOn(id, false)
		b.paste(id, w.click("acc-1", "NEW1"))
		r := b.until(id, "api verified and ci failed", func(r *rotation.Rotation) bool {
			ci, api := r.Step(rotation.StepPropagate).Item("ci"), r.Step(rotation.StepVerify).Item("api")
			return ci != nil && ci.State == rotation.Failed && api != nil && api.State == rotation.Done
		})
		it := r.Step(rotation.StepPropagate).Item("ci")
		if it.Problem.Reason != "no_permission" || it.Problem.Fix == "" || !r.VerifiedAt.IsZero() {
			t.Errorf("problem %+v, verified %v, want the reason, the fix, and exposed still", it.Problem, r.VerifiedAt)
		}
		round := r.Step(rotation.StepPropagate).Round
		if err := b.engine.Retry(t.Context(), operator, id, rotation.StepPropagate, round+1, "ci"); fault.ReasonOf(err) != "late" {
			t.Errorf("press bound to another round = %v, want late (R88)", err)
		}
		if err := b.engine.Retry(t.Context(), operator, id, rotation.StepPropagate, round, "ci"); err != nil {
			t.Fatal(err)
		}
		b.over(id)
		if w.applies["api"] != 1 || w.applies["ci"] != 2 {
			t.Errorf("applies = %v, want api 1, ci 2", w.applies)
		}
	})
}

// R60: an old pair that still answers is never called dead. After 2 min it is
// an alarm; the rotation ends by itself when the pair is rejected.
func TestOldPairLingers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.linger = 5 * time.Minute
		b := setUp(t, w)
		defer b.close()
		id := b.open()
		b.goOn(id, false)
		clicked := time.Now()
		b.paste(id, w.click("acc-1", "NEW1"))
		r := b.until(id, "alarm", func(r *rotation.Rotation) bool {
			return r.Step(rotation.StepRevoked).Problem.Reason == "old_pair_lingers"
		})
		if after := time.Since(clicked); after < 2*time.Minute || after > 2*time.Minute+10*time.Second {
			t.Errorf("alarm after %s, want about 2 min", after)
		}
		if r.VerifiedAt.IsZero() {
			t.Error("consumers waited for the old pair")
		}
		b.over(id)
		if took := time.Since(clicked); took < 5*time.Minute {
			t.Errorf("completed after %s although the old pair was alive for 5 min", took)
		}
	})
}

// R80: what the test order filled is sold again, exactly that.
func TestFilledOrderIsSold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.fills = true
		b := setUp(t, w)
		defer b.close()
		id := b.open()
		b.goOn(id, true)
		b.paste(id, w.click("acc-1", "NEW1"))
		r := b.over(id)
		if len(w.orders) != 2 || w.orders[1].Side != "sell" || w.orders[1].Qty != "1" || r.Order.CloseID != "sell-1" {
			t.Errorf("orders = %+v, record %+v, want one sale of 1", w.orders, r.Order)
		}
	})
}

// R57: the answer to the order is lost; it is found on the book and never sent
// again.
func TestLostOrderReplyIsLookedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.loseSent = true
		b := setUp(t, w)
		defer b.close()
		id := b.open()
		b.goOn(id, true)
		b.paste(id, w.click("acc-1", "NEW1"))
		r := b.over(id)
		if w.placed != 1 || r.Order.ID != "order-1" {
			t.Errorf("placed %d, record %+v, want one order, found", w.placed, r.Order)
		}
	})
}

// R56: accepted downstream but not on the paper book is an alarm, not a pass.
func TestOrderNotOnPaperBookAlarms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.noBook = true
		b := setUp(t, w)
		defer b.close()
		id := b.open()
		b.goOn(id, true)
		b.paste(id, w.click("acc-1", "NEW1"))
		r := b.until(id, "order alarm", func(r *rotation.Rotation) bool {
			it := r.Step(rotation.StepVerify).Item("test_order")
			return it != nil && it.State == rotation.Failed
		})
		if got := r.Step(rotation.StepVerify).Item("test_order").Problem; got.Reason != "order_not_on_paper" {
			t.Errorf("problem = %+v, want order_not_on_paper", got)
		}
		if r.VerifiedAt.IsZero() {
			t.Error("the exposed time waits for the test order")
		}
	})
}

// Unknown is never rounded: while the vendor is down nothing is written, and
// the pair is not lost.
func TestVendorDownWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		b := setUp(t, w)
		defer b.close()
		id := b.open()
		b.goOn(id, false)
		before := w.vault.Pair
		fresh := w.click("acc-1", "NEW1")
		w.mu.Lock()
		w.down = true
		w.mu.Unlock()
		b.paste(id, fresh)
		time.Sleep(20 * time.Minute)
		w.mu.Lock()
		if !w.vault.Pair.Equal(before) {
			t.Error("a pair that was not proven was stored")
		}
		w.down = false
		w.mu.Unlock()
		b.over(id)
	})
}

// R41, R42, R13: a lost answer of the vault is looked up; a transient failure
// is tried again.
func TestVaultTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.vaultFail = []error{
			&fault.Error{Kind: fault.Transient, Reason: "server"},
			&fault.Error{Kind: fault.Unknown, Reason: "lost_reply"},
		}
		b := setUp(t, w)
		defer b.close()
		id := b.open()
		b.goOn(id, false)
		b.paste(id, w.click("acc-1", "NEW1"))
		b.over(id)
		if w.vault.Version.KeyID != 4 {
			t.Errorf("vault version %d, want 4: written once", w.vault.Version.KeyID)
		}
	})
}

// A restart at any commit goes on by itself; here after the paste, before
// anything was done with it.
func TestRestartAfterPaste(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		b := setUp(t, w)
		id := b.open()
		b.goOn(id, true)
		w.mu.Lock()
		w.down = true // so that step 3 cannot end
		w.mu.Unlock()
		fresh := w.click("acc-1", "NEW1")
		b.paste(id, fresh)
		b.stop()
		w.mu.Lock()
		w.down = false
		w.mu.Unlock()
		b.start()
		defer b.close()
		if got := b.paste(id, fresh); !got.Again {
			t.Errorf("same pair again = %+v, want found as sealed", got)
		}
		b.over(id)
		if !w.vault.Pair.Equal(fresh) || w.placed != 1 {
			t.Errorf("placed %d orders, vault right %t", w.placed, w.vault.Pair.Equal(fresh))
		}
	})
}

// Cancel is there before the click only, and proves that it is before it.
func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		b := setUp(t, w)
		defer b.close()
		id := b.open()
		b.goOn(id, false)
		w.click("acc-1", "NEW1")
		if err := b.engine.Cancel(t.Context(), operator, id, "changed my mind"); fault.ReasonOf(err) != "clicked" {
			t.Errorf("Cancel after the click = %v, want refused", err)
		}
		w2 := newWorld()
		b2 := setUp(t, w2)
		defer b2.close()
		id2 := b2.open()
		if err := b2.engine.Cancel(t.Context(), operator, id2, "wrong evening"); err != nil {
			t.Fatalf("Cancel before the click = %v, want nil", err)
		}
		if o, err := b2.engine.Look(t.Context(), id2); err != nil || o.Rotation.Outcome != rotation.Cancelled {
			t.Errorf("outcome %q (%v), want cancelled", o.Rotation.Outcome, err)
		}
		if _, fresh, err := b2.engine.Start(t.Context(), operator, "prod"); !fresh || err != nil {
			t.Errorf("Start after Cancel = %t, %v, want a new rotation", fresh, err)
		}
	})
}

// Two key sets with one key: rotating one would kill the other's pair, so the
// gate stays shut and says what to change.
func TestSharedKeyFailsTheGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		b := setUp(t, w, rotation.KeySet{Name: "staging", CadenceDays: 180, Vault: fakeVault{w}, Place: "project p, staging, /"})
		defer b.close()
		id := b.open()
		r := b.until(id, "shared key found", func(r *rotation.Rotation) bool {
			return r.Step(rotation.StepPrecheck).Item(rotation.CheckShared).State == rotation.Failed
		})
		if p := r.Step(rotation.StepPrecheck).Item(rotation.CheckShared).Problem; p.Reason != "shared_account" || !strings.Contains(p.Text, "staging") {
			t.Errorf("problem = %+v, want shared_account naming staging", p)
		}
		problems, err := b.engine.GoOn(t.Context(), operator, id, rotation.GoOn{Trigger: rotation.TriggerScheduled, Ticks: allTicks()})
		if err != nil || !strings.Contains(problems["gate"], "other keysets") {
			t.Errorf("GoOn = %v, %v, want the gate shut, in words", problems, err)
		}
	})
}

// R8, R9, R11, R14–R17, R33: going on needs a reason for every trigger but the
// scheduled one, and every prerequisite confirmed; a failed check may pass only
// with a reason, which becomes a deviation in the record.
func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.notReady = map[string]bool{"ci": true}
		b := setUp(t, w)
		defer b.close()
		id := b.open()
		good := rotation.GoOn{Trigger: rotation.TriggerOffboarding, Reason: "eve left", Ticks: allTicks(), Pass: []string{"ci"}, PassWhy: "token is renewed at noon"}
		tests := []struct {
			name  string
			spoil func(*rotation.GoOn)
			field string
		}{
			{"no trigger", func(g *rotation.GoOn) { g.Trigger = "" }, "trigger"},
			{"no reason", func(g *rotation.GoOn) { g.Reason = " " }, "reason"},
			{"one tick missing", func(g *rotation.GoOn) { g.Ticks = g.Ticks[1:] }, "ticks"},
			{"failed check not passed", func(g *rotation.GoOn) { g.Pass = nil }, "gate"},
			{"passed without a reason", func(g *rotation.GoOn) { g.PassWhy = "" }, "pass_why"},
		}
		for _, tt := range tests {
			in := good
			tt.spoil(&in)
			problems, err := b.engine.GoOn(t.Context(), operator, id, in)
			if err != nil || problems[tt.field] == "" || len(problems) != 1 {
				t.Errorf("%s: problems %v, %v, want one under %s", tt.name, problems, err, tt.field)
			}
		}
		if problems, err := b.engine.GoOn(t.Context(), operator, id, good); err != nil || len(problems) > 0 {
			t.Fatalf("GoOn = %v, %v, want nothing", problems, err)
		}
		o, err := b.engine.Look(t.Context(), id)
		if err != nil || o.Rotation.Trigger != rotation.TriggerOffboarding || len(o.Rotation.Deviations) != 1 || o.Rotation.Deviations[0].Why != good.PassWhy {
			t.Errorf("trigger %s, deviations %+v (%v), want offboarding and one deviation", o.Rotation.Trigger, o.Rotation.Deviations, err)
		}
	})
}

// R21: a pair that is dead already is the forced path, not an error page:
// nothing blocks.
func TestDeadPairOpensTheGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.click("acc-1", "MID1") // somebody generated by hand
		w.notReady = map[string]bool{"ci": true}
		b := setUp(t, w)
		defer b.close()
		id := b.open()
		problems, err := b.engine.GoOn(t.Context(), operator, id, rotation.GoOn{Trigger: rotation.TriggerReset, Reason: "key is dead", Ticks: allTicks()})
		if err != nil || len(problems) > 0 {
			t.Fatalf("GoOn = %v, %v, want nothing to block", problems, err)
		}
	})
}
