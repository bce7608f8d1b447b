package rotation_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

var bob = rotation.Actor{ID: "U0BOB"}

func denied() error {
	return &fault.Error{Kind: fault.Denied, Reason: "no_permission", User: "It refuses.", Fix: "Give permission."}
}

// R42: a value in the vault that is neither the old nor the new pair stops step
// 4, also if it appears between two tries; nothing is overwritten.
func TestThirdValueInTheVault(t *testing.T) {
	for _, when := range []string{"before the first write", "between two tries"} {
		t.Run(when, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench, id rotation.ID) {
				old, third := b.w.vault.Pair, pairOf("3RDX")
				live := b.w.click("acc-1", "NEW1")
				if when == "between two tries" {
					b.w.set(func() {
						for range 8 {
							b.w.vaultFail = append(b.w.vaultFail, &fault.Error{Kind: fault.Transient, Reason: "server"})
						}
					})
					b.paste(id, live)
					b.until(id, "a write has failed", func(r *rotation.Rotation) bool { return r.Step(rotation.StepStore).Problem.Reason == "server" })
				}
				b.w.set(func() { b.w.vault.Pair = third })
				b.paste(id, live)
				r := b.fails(id, rotation.StepStore, "")
				if got := r.Step(rotation.StepStore).Problem.Reason; got != "third_value" || !b.w.vault.Pair.Equal(third) || len(b.w.applied) > 0 {
					t.Errorf("reason %s, vault ····%s, %d consumers written, want third_value and nothing written", got, b.w.vault.Pair.Last4(), len(b.w.applied))
				}
				b.refused("Accept of step 4", b.engine.Accept(t.Context(), operator, id, rotation.StepStore, 1, "", "never mind"), "never_accepted")
				b.w.set(func() { b.w.vault.Pair, b.w.vaultFail = old, nil })
				b.must(b.engine.Retry(t.Context(), operator, id, rotation.StepStore, b.round(id, rotation.StepStore), ""))
				b.over(id)
				b.holds(live, "api", "ci")
			})
		})
	}
}

// R42, G13: half a pair in the vault, new ID and old secret, is repaired by
// writing both.
func TestHalfPairIsRepaired(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench, id rotation.ID) {
		live := b.w.click("acc-1", "NEW1")
		b.w.set(func() { b.w.vault.Pair.KeyID = live.KeyID })
		b.paste(id, live)
		b.over(id)
		b.holds(live, "api", "ci")
	})
}

// Step 4 fails for a while: after 2 min the pair may be handed out first. Step
// 4 goes on by itself, and the rotation does not close before its read-back.
func TestStoreLater(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench, id rotation.ID) {
		live := b.w.click("acc-1", "NEW1")
		b.w.set(func() { b.w.vaultDown = true })
		b.paste(id, live)
		b.refused("too early", b.engine.StoreLaterNow(t.Context(), operator, id, 1, "trading is down"), "late")
		time.Sleep(2*time.Minute + time.Second)
		b.refused("without a reason", b.engine.StoreLaterNow(t.Context(), operator, id, 1, ""), "no_reason")
		b.must(b.engine.StoreLaterNow(t.Context(), operator, id, 1, "trading is down"))
		r := b.until(id, "verified", func(r *rotation.Rotation) bool { return !r.VerifiedAt.IsZero() })
		if len(r.Deviations) != 1 {
			t.Errorf("deviations %+v, want one", r.Deviations)
		}
		if n := b.w.applies["dev"]; n != 0 { // who reads it from the vault would get the dead pair
			t.Errorf("dev was told %d times before the pair was stored, want not yet", n)
		}
		// Another pair while it is like that: nothing is written before it is judged.
		b.w.set(func() { b.w.down = true })
		before := b.w.applies["api"]
		b.paste(id, typo(live))
		time.Sleep(time.Minute)
		if b.w.applies["api"] != before {
			t.Error("a consumer was given a pair while step 3 was judging")
		}
		b.w.set(func() { b.w.down = false })
		time.Sleep(2 * time.Hour)
		r = b.now(id)
		if r.Outcome != rotation.Open || r.Step(rotation.StepStore).State != rotation.Running {
			t.Errorf("outcome %q, step 4 %s, want open and still trying", r.Outcome, r.Step(rotation.StepStore).State)
		}
		if n := b.w.applies["dev"]; n != 0 {
			t.Errorf("dev was told %d times while step 4 was failing, want not yet", n)
		}
		b.w.set(func() { b.w.vaultDown = false })
		stored := time.Now()
		b.over(id)
		b.holds(live, "api", "ci", "dev")
		if at := b.w.applyAt["dev"]; len(at) != 1 || at[0].Before(stored) {
			t.Errorf("dev was told at %v, want once, after %s", at, stored)
		}
	})
}

// A forced rotation while Infisical is down: the gate opens after 15 s, and the
// old pair that turns up in the vault later is sealed and proven dead, not
// taken for somebody else's.
func TestForcedWhileInfisicalIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.vaultDown = true
		b := setUp(t, w)
		defer b.close()
		id, _, err := b.engine.Start(t.Context(), operator, "prod")
		b.must(err)
		in := rotation.GoOn{Trigger: rotation.TriggerReset, Reason: "reset", Ticks: allTicks()}
		time.Sleep(5 * time.Second)
		if problems, err := b.engine.GoOn(t.Context(), operator, id, in); err != nil || problems["gate"] == "" {
			t.Errorf("GoOn after 5 s = %v, %v, want to wait for the current pair", problems, err)
		}
		time.Sleep(11 * time.Second)
		if problems, err := b.engine.GoOn(t.Context(), operator, id, in); err != nil || len(problems) > 0 {
			t.Fatalf("GoOn after 16 s with checks still running = %v, %v, want nothing to block", problems, err)
		}
		live := w.click("acc-1", "NEW1")
		b.paste(id, live)
		b.fails(id, rotation.StepValidate, "") // no baseline either
		w.set(func() { w.vaultDown = false })
		b.must(b.engine.Adopt(t.Context(), operator, id, 1, "7Q01", "the usual account"))
		r := b.over(id)
		b.holds(live, "api", "ci")
		if s := r.Step(rotation.StepRevoked); s.State != rotation.Done || r.OldLast4 != "OLD1" {
			t.Errorf("step 7 = %s, old pair ····%s, want proven for ····OLD1", s.State, r.OldLast4)
		}
	})
}

// Accept covers a consumer and what it covers; never an earlier round, an empty
// reason, step 4 or step 7. The exposed time ends with it.
func TestAccept(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench, id rotation.ID) {
		b.w.set(func() { b.w.applyFail["api"] = []error{denied()}; b.w.linger = time.Hour })
		live := b.w.click("acc-1", "NEW1")
		b.paste(id, live)
		b.fails(id, rotation.StepPropagate, "api")
		b.until(id, "step 5 waits for the operator", func(r *rotation.Rotation) bool { return r.Step(rotation.StepPropagate).WaitsFor == operator.ID })
		b.until(id, "ci verified", func(r *rotation.Rotation) bool {
			it := r.Step(rotation.StepVerify).Item("ci")
			return it != nil && it.State == rotation.Done
		})
		accept := func(step rotation.StepName, round int, item, why string) error {
			return b.engine.Accept(t.Context(), bob, id, step, round, item, why)
		}
		b.refused("no reason", accept(rotation.StepPropagate, 1, "api", " "), "no_reason")
		b.refused("other round", accept(rotation.StepPropagate, 2, "api", "x"), "late")
		b.refused("done item", accept(rotation.StepPropagate, 1, "ci", "x"), "late")
		b.refused("old pair", accept(rotation.StepRevoked, 1, "old", "x"), "never_accepted")
		b.must(accept(rotation.StepPropagate, 1, "api", "it is switched off"))
		r := b.until(id, "not exposed", func(r *rotation.Rotation) bool { return !r.VerifiedAt.IsZero() })
		for _, name := range []string{"api", "demo"} {
			if it := r.Step(rotation.StepVerify).Item(name); it.State != rotation.Skipped || it.PassBy != "bob@raxx.app" || it.PassWhy != "it is switched off" {
				t.Errorf("%s in step 6 = %s by %q (%q), want accepted", name, it.State, it.PassBy, it.PassWhy)
			}
		}
		b.refused("Retry of what goes on by itself", b.engine.Retry(t.Context(), operator, id, rotation.StepRevoked, 1, ""), "late")
		b.w.set(func() { b.w.linger = 0 })
		b.over(id) // it closes itself
		if b.w.applies["api"] != 1 {
			t.Errorf("api was tried %d times, want once", b.w.applies["api"])
		}
	})
}

// R68, R51: a consumer that somebody overwrote. Retry of its proof hands the
// pair over again even while step 5 still waits for another consumer; Redo does
// all of it again.
func TestOverwrittenConsumer(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench, id rotation.ID) {
		b.w.set(func() {
			b.w.applyFail["ci"] = []error{denied()}
			b.w.notLive["api"] = time.Now().Add(time.Minute)
		})
		live := b.w.click("acc-1", "NEW1")
		b.paste(id, live)
		b.fails(id, rotation.StepPropagate, "ci") // so step 5 is not over
		b.until(id, "api given", func(r *rotation.Rotation) bool {
			return r.Step(rotation.StepPropagate).Item("api").State == rotation.Done
		})
		b.w.set(func() { b.w.applied["api"] = pairOf("OLD1") })
		b.fails(id, rotation.StepVerify, "api")
		b.must(b.engine.Retry(t.Context(), operator, id, rotation.StepVerify, b.round(id, rotation.StepVerify), "api"))
		b.until(id, "api proven", func(r *rotation.Rotation) bool { return r.Step(rotation.StepVerify).Item("api").State == rotation.Done })
		b.w.set(func() { b.w.applied["dev"] = pairOf("OLD1") })
		round := b.round(id, rotation.StepPropagate)
		b.refused("Redo of an earlier round", b.engine.Redo(t.Context(), operator, id, rotation.StepPropagate, round-1), "late")
		b.must(b.engine.Redo(t.Context(), operator, id, rotation.StepPropagate, round))
		b.over(id)
		b.holds(live, "api", "ci", "dev")
	})
}

// R66: generate again keeps what was sealed; a late press does nothing; the
// live pair wins, also if it is the first one after all.
func TestRegenerate(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench, id rotation.ID) {
		b.w.set(func() { b.w.applyFail["ci"] = []error{denied(), denied(), denied()} })
		first := b.w.click("acc-1", "NEW1")
		b.paste(id, first)
		b.fails(id, rotation.StepPropagate, "ci")
		again := func(step rotation.StepName, round int) error {
			return b.engine.Regenerate(t.Context(), bob, id, step, round)
		}
		b.refused("from step 1", again(rotation.StepPrecheck, 1), "late")
		b.refused("from step 2", again(rotation.StepGenerate, 1), "late")
		b.must(again(rotation.StepPropagate, 1))
		b.refused("twice", again(rotation.StepPropagate, 1), "late")
		r := b.now(id)
		if r.Visitor.ID != bob.ID || len(r.Candidates) != 1 || r.Candidates[0].Aside == "" {
			t.Errorf("visitor %s, candidates %+v, want bob and the first pair set aside", r.Visitor.ID, r.Candidates)
		}
		b.paste(id, typo(first))
		b.fails(id, rotation.StepPropagate, "ci")
		r = b.now(id)
		if r.Chosen != 1 {
			t.Errorf("chosen %d, want 1: nothing was generated", r.Chosen)
		}
		b.must(again(rotation.StepPropagate, r.Step(rotation.StepPropagate).Round))
		live := b.w.click("acc-1", "NEW2")
		b.paste(id, live)
		b.fails(id, rotation.StepPropagate, "ci")
		b.must(b.engine.Retry(t.Context(), operator, id, rotation.StepPropagate, b.round(id, rotation.StepPropagate), ""))
		b.over(id)
		b.holds(live, "api", "ci", "dev")
	})
}

// Take over changes who is waited for and whose name the record has, with a row
// of its own.
func TestTakeOver(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench, id rotation.ID) {
		b.must(b.engine.TakeOver(t.Context(), bob, id))
		b.must(b.engine.TakeOver(t.Context(), bob, id))
		b.must(b.engine.Visited(t.Context(), bob, id))
		if r := b.now(id); r.Operator.ID != bob.ID || r.Step(rotation.StepGenerate).WaitsFor != bob.ID || r.Visitor.ID != bob.ID {
			t.Errorf("operator %s, waits for %s, visitor %s, want bob", r.Operator.ID, r.Step(rotation.StepGenerate).WaitsFor, r.Visitor.ID)
		}
		b.paste(id, b.w.click("acc-1", "NEW1"))
		b.over(id)
		var overs int
		for _, row := range b.rows(id) {
			if row.Row.Action == "secret.rotate.takeover" {
				overs++
			}
			if row.Row.Action == "secret.rotate.completed" && row.Row.Actor != "bob@raxx.app" {
				t.Errorf("completed by %s, want bob", row.Row.Actor)
			}
		}
		if overs != 1 {
			t.Errorf("%d takeover rows, want 1", overs)
		}
	})
}

// 3.4: Cancel exists before the click only, and only if the old pair is proven
// alive: unknown is refused.
func TestCancelRules(t *testing.T) {
	cancel := func(b *bench, id rotation.ID) error {
		return b.engine.Cancel(b.t.Context(), operator, id, "wrong evening")
	}
	t.Run("unknown", func(t *testing.T) {
		inBubble(t, func(t *testing.T, b *bench, id rotation.ID) {
			b.w.set(func() { b.w.down = true })
			b.refused("Cancel", cancel(b, id), "old_unknown")
			b.w.set(func() { b.w.down = false })
			b.must(cancel(b, id))
			b.refused("Cancel again", cancel(b, id), "not_open")
			if left, err := b.store.List(t.Context(), "sealed/", "", 0); err != nil || len(left) > 0 {
				t.Errorf("%d sealed pairs are left (%v)", len(left), err)
			}
		})
	})
	t.Run("a pair is sealed", func(t *testing.T) { // though the old one still answers
		inBubble(t, func(t *testing.T, b *bench, id rotation.ID) {
			b.w.set(func() { b.w.linger = time.Hour })
			b.paste(id, b.w.click("acc-1", "NEW1"))
			b.refused("Cancel", cancel(b, id), "clicked")
		})
	})
	t.Run("with a paste at the same time", func(t *testing.T) {
		inBubble(t, func(t *testing.T, b *bench, id rotation.ID) {
			b.w.set(func() { b.w.linger = time.Hour })
			live := b.w.click("acc-1", "NEW1")
			cancelled := make(chan error)
			go func() { cancelled <- cancel(b, id) }()
			got, err := b.engine.Paste(t.Context(), operator, id, live.KeyID, live.Secret)
			if cancelErr := <-cancelled; (err == nil) == (cancelErr == nil) {
				t.Errorf("Paste = %+v, %v; Cancel = %v: want exactly one to win", got, err, cancelErr)
			}
		})
	})
	t.Run("no old pair known", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.vault = rotation.Stored{}
			b := setUp(t, w)
			defer b.close()
			id := b.open()
			b.must(cancel(b, id)) // in step 1
			id = b.open()
			_, err := b.engine.GoOn(t.Context(), operator, id, rotation.GoOn{Trigger: rotation.TriggerReset, Reason: "reset", Ticks: allTicks()})
			b.must(err)
			b.refused("Cancel in step 2", cancel(b, id), "clicked")
		})
	})
}

// 3.4: in step 2 one rejection is provisional; a valid answer takes it back,
// unknown says nothing, and a second one 30 s after the first is the click.
func TestProvisionalClick(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench, id rotation.ID) {
		b.w.set(func() { b.w.flap = 2 })
		b.until(id, "rejected", func(r *rotation.Rotation) bool { return !r.FirstRejected.IsZero() })
		r := b.until(id, "taken back", func(r *rotation.Rotation) bool { return r.FirstRejected.IsZero() })
		if !r.ClickedAt.IsZero() {
			t.Error("a flap is called the click")
		}
		b.w.click("acc-1", "NEW1")
		r = b.until(id, "rejected", func(r *rotation.Rotation) bool { return !r.FirstRejected.IsZero() })
		first := r.FirstRejected
		b.w.set(func() { b.w.down = true })
		time.Sleep(10 * time.Minute)
		if r := b.now(id); !r.ClickedAt.IsZero() || !r.FirstRejected.Equal(first) {
			t.Errorf("clicked %v, first %v: unknown was counted", r.ClickedAt, r.FirstRejected)
		}
		b.w.set(func() { b.w.down = false })
		r = b.until(id, "clicked", func(r *rotation.Rotation) bool { return !r.ClickedAt.IsZero() })
		if !r.ClickedAt.Equal(first) {
			t.Errorf("clicked at %v, want when it was first rejected, %v", r.ClickedAt, first)
		}
	})
}

// R21: the current pair dies in step 1: this becomes a forced rotation, whatever
// it began as, and whatever reason is chosen.
func TestDeadInStepOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.notReady = map[string]bool{"ci": true}
		b := setUp(t, w)
		defer b.close()
		id := b.open()
		w.click("acc-1", "HAND")
		b.until(id, "forced", func(r *rotation.Rotation) bool { return r.Trigger == rotation.TriggerReset })
		b.goOn(id, false) // as scheduled, with a failed check: nothing blocks
		if r := b.now(id); r.Trigger != rotation.TriggerReset {
			t.Errorf("trigger %s, want reset", r.Trigger)
		}
	})
}

// Infisical held a dead pair and somebody puts the working one there: what was
// seen of the first says nothing about the second.
func TestVaultRepairedInStepOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		byHand := w.click("acc-1", "HAND")
		b := setUp(t, w)
		defer b.close()
		id := b.open()
		b.fails(id, rotation.StepPrecheck, rotation.CheckPair)
		w.set(func() { w.vault.Pair = byHand })
		b.must(b.engine.Retry(t.Context(), operator, id, rotation.StepPrecheck, 1, ""))
		b.until(id, "checked again", func(r *rotation.Rotation) bool {
			return r.Step(rotation.StepPrecheck).Item(rotation.CheckAccount).State == rotation.Done
		})
		time.Sleep(10 * time.Minute)
		if r := b.now(id); r.OldLast4 != "HAND" || !r.FirstRejected.IsZero() || !r.ClickedAt.IsZero() {
			t.Errorf("old ····%s, rejected %v, clicked %v, want HAND and alive", r.OldLast4, r.FirstRejected, r.ClickedAt)
		}
		b.must(b.engine.Cancel(t.Context(), operator, id, "it works"))
	})
}

// 3.4: bot.yml changes while a rotation is open: consumers are matched by name.
func TestConfigChangedWhileOpen(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench, id rotation.ID) {
		b.w.set(func() { b.w.applyFail["ci"] = []error{denied()}; b.w.linger = time.Hour })
		live := b.w.click("acc-1", "NEW1")
		b.paste(id, live)
		b.fails(id, rotation.StepPropagate, "ci")
		b.stop()
		b.target = func(was []rotation.Target) []rotation.Target { // ci is removed while it is failed
			return slices.DeleteFunc(was, func(t rotation.Target) bool { return t.Name == "ci" })
		}
		b.start()
		r := b.until(id, "verified without ci", func(r *rotation.Rotation) bool { return !r.VerifiedAt.IsZero() })
		if it := r.Step(rotation.StepPropagate).Item("ci"); it.State != rotation.Skipped || it.Detail != "removed from bot.yml" {
			t.Errorf("ci = %s (%s), want skipped, removed", it.State, it.Detail)
		}
		b.stop()
		b.target = func(was []rotation.Target) []rotation.Target { // one is new and one changed its kind, in step 7
			was[0].Kind = "webhook"
			return append(was, rotation.Target{Name: "late", Kind: "heroku", Counts: true, Consumer: fakeConsumer{b.w, "late"}})
		}
		before := b.w.applies["api"]
		b.start()
		b.until(id, "late verified", func(r *rotation.Rotation) bool {
			it := r.Step(rotation.StepVerify).Item("late")
			return it != nil && it.State == rotation.Done && r.Step(rotation.StepVerify).State == rotation.Done
		})
		if b.w.applies["api"] != before+1 {
			t.Errorf("api was applied %d times more, want once: it changed", b.w.applies["api"]-before)
		}
		b.w.set(func() { b.w.linger = 0 })
		b.over(id)
		b.holds(live, "api", "late")
	})
}
