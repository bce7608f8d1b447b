package rotation_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// die kills the stored pair and waits until the sentinel would be sure; it
// returns what that saw. Somebody generated: the account is the same.
func (b *bench) die() rotation.Sighting {
	b.t.Helper()
	alive := b.w.Probe(b.t.Context(), b.w.vault.Pair)
	b.must(b.engine.Snapshot(b.t.Context(), "prod", alive, &b.w.survey))
	s := rotation.Sighting{KeySet: "prod", Print: b.sealer.Print(b.w.vault.Pair), LastOK: time.Now().UTC(), Status: 401, Reason: "unauthorized", RequestID: "req-1"}
	time.Sleep(20 * time.Second)
	b.w.click("acc-1", "HAND")
	time.Sleep(40 * time.Second)
	s.Since = time.Now().UTC()
	time.Sleep(30 * time.Second)
	return s
}

// revive makes the stored pair answer again, as after a flap.
func (b *bench) revive() rotation.Probe {
	b.w.set(func() { delete(b.w.diedAt, b.w.vault.Pair.KeyID.Reveal()) })
	return b.w.Probe(b.t.Context(), b.w.vault.Pair)
}

// actions returns the audit rows of a rotation by their action.
func (b *bench) actions(id rotation.ID, action string) []rotation.Row {
	b.t.Helper()
	var found []rotation.Row
	for _, e := range b.rows(id) {
		if e.Row.Action == action {
			found = append(found, e.Row)
		}
	}
	return found
}

// alone runs a test in fake time: an engine in a world, nothing opened.
func alone(t *testing.T, f func(*testing.T, *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := setUp(t, newWorld())
		defer b.close()
		f(t, b)
	})
}

// checked waits until step 1 has looked at the current pair.
func (b *bench) checked(id rotation.ID) rotation.Rotation {
	b.t.Helper()
	return b.until(id, "step 1 has looked at the pair", func(r *rotation.Rotation) bool {
		it := r.Step(rotation.StepPrecheck).Item(rotation.CheckShared)
		return it != nil && it.State != rotation.Pending && it.State != rotation.Running
	})
}

// R10: a dead key opens a forced rotation by itself. It is exposed since the
// first rejection, nobody runs it, nothing blocks, and it completes with the
// record of what was seen.
func TestForce(t *testing.T) {
	alone(t, func(t *testing.T, b *bench) {
		b.w.notReady = map[string]bool{"ci": true}
		s := b.die()
		id, err := b.engine.Force(t.Context(), s)
		b.must(err)
		if again, err := b.engine.Force(t.Context(), s); again != id || err != nil {
			t.Errorf("Force again = %s, %v, want the same rotation %s", again, err, id)
		}
		first := b.now(id)
		if w, waits := first.Waiting(time.Now()); first.Step(rotation.StepPrecheck).State == rotation.Running && (!waits || !w.Certain) {
			t.Errorf("Waiting at once = %+v, %t, want certain exposure", w, waits)
		}
		r := b.checked(id)
		w, waits := r.Waiting(time.Now())
		if r.Trigger != rotation.TriggerReset || r.Operator.ID != rotation.BotActor || !waits || !w.Certain || w.Operator.ID != "" {
			t.Errorf("trigger %s, operator %q, waiting %+v %t; want forced, without operator, certainly exposed", r.Trigger, r.Operator.ID, w, waits)
		}
		if x := r.Exposure(); !x.From.Equal(s.Since) || !r.LastOK.Equal(s.LastOK) || r.OldPrint != s.Print {
			t.Errorf("exposed from %s, last ok %s, old %s; want what was seen: %+v", x.From, r.LastOK, r.OldPrint, s)
		}
		rows := b.actions(id, "secret.rotate.forced")
		if len(rows) != 1 || rows[0].Actor != rotation.BotActor || rows[0].Context["first_rejected"] != s.Since.Format(time.RFC3339Nano) || rows[0].Context["request_id"] != "req-1" {
			t.Errorf("forced rows = %+v, want one by the bot with what was seen and since when", rows)
		}
		b.must(b.engine.TakeOver(t.Context(), operator, id))
		b.until(id, "step 1 waits for the one who took it", func(r *rotation.Rotation) bool {
			return r.Step(rotation.StepPrecheck).WaitsFor == operator.ID
		})
		b.goOn(id, false) // with a failed check and as scheduled: nothing blocks
		b.paste(id, b.w.click("acc-1", "NEW1"))
		r = b.over(id)
		if r.Trigger != rotation.TriggerReset || r.Reason == "" || r.Summary.Cause != rotation.CauseRegenerated {
			t.Errorf("trigger %s, reason %q, cause %q; want forced, and regenerated", r.Trigger, r.Reason, r.Summary.Cause)
		}
		const passed = `went on although the check "current pair" failed (Alpaca rejects the current pair: trading is down already)`
		if !slices.ContainsFunc(r.Deviations, func(d rotation.Deviation) bool { return d.What == passed && d.By.ID == operator.ID }) {
			t.Errorf("deviations %+v, want %q", r.Deviations, passed)
		}
		if late, err := b.engine.Force(t.Context(), s); late != id || err != nil {
			t.Errorf("Force for a pair that was replaced = %s, %v, want the rotation that did it, %s", late, err, id)
		}
		if open, err := b.engine.Open(t.Context()); len(open) != 0 || err != nil {
			t.Errorf("Open = %v, %v, want none", open, err)
		}
	})
}

// R83: Force and a person's Start at the same moment open one rotation, which
// becomes a forced one either way. Its own probes say so if Start won.
func TestForceBesideStart(t *testing.T) {
	for _, person := range []string{"a little earlier", "at the same moment", "long before"} {
		t.Run(person, func(t *testing.T) {
			alone(t, func(t *testing.T, b *bench) {
				s := b.die()
				started := make(chan rotation.ID, 1)
				go func() {
					id, _, err := b.engine.Start(t.Context(), bob, "prod")
					if err != nil {
						t.Errorf("Start = %v", err)
					}
					started <- id
				}()
				switch person {
				case "a little earlier":
					synctest.Wait()
				case "long before":
					time.Sleep(10 * time.Second)
				}
				id, err := b.engine.Force(t.Context(), s)
				b.must(err)
				if other := <-started; other != id {
					t.Fatalf("Start opened %s and Force %s, want one", other, id)
				}
				began := time.Now()
				r := b.until(id, "forced", func(r *rotation.Rotation) bool {
					return r.Trigger == rotation.TriggerReset && !r.ClickedAt.IsZero() && r.OldPrint == s.Print
				})
				if person == "long before" && (time.Since(began) > 0 || !r.FirstRejected.Equal(s.Since)) {
					t.Errorf("forced after %s, exposed since %s; want at once, since %s", time.Since(began), r.FirstRejected, s.Since)
				}
				if n := len(b.actions(id, "secret.rotate.forced")); n != 1 {
					t.Errorf("%d rows say forced, want one", n)
				}
				if open, err := b.engine.Open(t.Context()); len(open) != 1 || err != nil {
					t.Errorf("Open = %v, %v, want one", open, err)
				}
			})
		})
	}
}

// What was seen of one pair says nothing about another that was put into the
// vault meanwhile.
func TestForceAfterTheVaultWasRepaired(t *testing.T) {
	alone(t, func(t *testing.T, b *bench) {
		s := b.die()
		b.w.set(func() { b.w.vault.Pair = pairOf("HAND") })
		id, err := b.engine.Force(t.Context(), s)
		b.must(err)
		r := b.checked(id)
		if !r.FirstRejected.IsZero() || !r.ClickedAt.IsZero() || r.OldLast4 != "HAND" {
			t.Errorf("rejected %s, clicked %s, old ····%s; want nothing against ····HAND", r.FirstRejected, r.ClickedAt, r.OldLast4)
		}
		b.must(b.engine.StandDown(t.Context(), id, b.w.Probe(t.Context(), pairOf("HAND"))))
	})
}

// The key turns out alive: the rotation stands down, on record, and nothing
// sealed is left; a new death opens a new one.
func TestStandDown(t *testing.T) {
	alone(t, func(t *testing.T, b *bench) {
		s := b.die()
		id, err := b.engine.Force(t.Context(), s)
		b.must(err)
		b.checked(id)
		dead := b.w.Probe(t.Context(), b.w.vault.Pair)
		b.refused("on a rejection", b.engine.StandDown(t.Context(), id, dead), "not_standing_down")
		b.refused("on no answer", b.engine.StandDown(t.Context(), id, rotation.Probe{Verdict: rotation.Unknown, At: time.Now()}), "not_standing_down")
		alive := b.revive()
		old := alive
		old.At = s.Since.Add(-time.Second)
		b.refused("on an answer from before", b.engine.StandDown(t.Context(), id, old), "not_standing_down")
		b.must(b.engine.TakeOver(t.Context(), bob, id)) // somebody only looks
		b.must(b.engine.StandDown(t.Context(), id, alive))
		r := b.now(id)
		if r.Outcome != rotation.StoodDown || r.Closed.IsZero() || !slices.ContainsFunc(b.actions(id, "secret.rotate.stood_down"), func(row rotation.Row) bool { return row.Actor == rotation.BotActor }) {
			t.Errorf("outcome %q, closed %s, rows %v; want stood_down by the bot", r.Outcome, r.Closed, b.actions(id, "secret.rotate.stood_down"))
		}
		if left, err := b.store.List(t.Context(), "sealed/", "", 0); err != nil || len(left) > 0 {
			t.Errorf("%d sealed pairs are left (%v), want none", len(left), err)
		}
		b.refused("again", b.engine.StandDown(t.Context(), id, alive), "not_open")
		next, err := b.engine.Force(t.Context(), b.die())
		if err != nil || next == id {
			t.Errorf("Force of a new stretch = %s, %v, want a new rotation", next, err)
		}
	})
}

// It cannot stand down once a person may have generated: after Reset, ItWasMe,
// step 2, or a paste; nor what a person opened.
func TestStandDownRefused(t *testing.T) {
	tests := map[string]func(*bench, rotation.ID){
		"Reset": func(b *bench, _ rotation.ID) {
			_, _, err := b.engine.Reset(b.t.Context(), bob, "prod", "I saw it")
			b.must(err)
		},
		"ItWasMe": func(b *bench, id rotation.ID) { b.must(b.engine.ItWasMe(b.t.Context(), bob, id, rotation.ClaimReset)) },
		"step 2":  func(b *bench, id rotation.ID) { b.goOn(id, false) },
		"a paste": func(b *bench, id rotation.ID) {
			b.goOn(id, false)
			b.w.set(func() { b.w.down = true })
			b.paste(id, pairOf("HAND"))
		},
		"a person": nil,
	}
	for name, act := range tests {
		t.Run(name, func(t *testing.T) {
			alone(t, func(t *testing.T, b *bench) {
				s := b.die()
				var id rotation.ID
				var err error
				if act == nil {
					id, _, err = b.engine.Start(t.Context(), bob, "prod")
				} else {
					id, err = b.engine.Force(t.Context(), s)
				}
				b.must(err)
				b.checked(id)
				if act != nil {
					act(b, id)
				}
				alive := rotation.Probe{Verdict: rotation.Valid, Status: 200, At: time.Now().Add(time.Second)}
				b.refused("StandDown", b.engine.StandDown(t.Context(), id, alive), "not_standing_down")
				if r := b.now(id); r.Outcome != rotation.Open {
					t.Errorf("outcome %q, want open", r.Outcome)
				}
			})
		})
	}
}

// A paste and a stand-down at the same moment: the pair is never lost.
func TestStandDownBesidePaste(t *testing.T) {
	alone(t, func(t *testing.T, b *bench) {
		id, err := b.engine.Force(t.Context(), b.die())
		b.must(err)
		b.checked(id)
		alive := b.revive()
		down := make(chan error)
		go func() { down <- b.engine.StandDown(t.Context(), id, alive) }()
		_, goErr := b.engine.GoOn(t.Context(), operator, id, rotation.GoOn{Trigger: rotation.TriggerReset, Reason: "reset", Ticks: allTicks()})
		got, err := b.engine.Paste(t.Context(), operator, id, pairOf("HAND").KeyID, pairOf("HAND").Secret)
		downErr := <-down
		if (err == nil && got.Sealed.N == 1) == (downErr == nil) {
			t.Errorf("GoOn = %v, Paste = %+v, %v; StandDown = %v: want exactly one of the two", goErr, got, err, downErr)
		}
	})
}

// R10: a person says that the account was reset. Only people close that one,
// also when the key answers.
func TestReset(t *testing.T) {
	alone(t, func(t *testing.T, b *bench) {
		id, fresh, err := b.engine.Reset(t.Context(), bob, "prod", " somebody pressed Delete Account ")
		if err != nil || !fresh {
			t.Fatalf("Reset = %v, %t, want a new rotation", err, fresh)
		}
		if again, fresh, err := b.engine.Reset(t.Context(), operator, "prod", "me too"); again != id || fresh || err != nil {
			t.Errorf("Reset again = %s, %t, %v, want the open rotation", again, fresh, err)
		}
		r := b.checked(id)
		if r.Trigger != rotation.TriggerReset || r.Reason != "somebody pressed Delete Account" || r.Operator.ID != bob.ID || r.Claim.By.ID != bob.ID || r.Claim.Mine {
			t.Errorf("trigger %s, reason %q, operator %s, claim %+v; want bob's reset", r.Trigger, r.Reason, r.Operator.ID, r.Claim)
		}
		if n := len(b.actions(id, "secret.rotate.forced")); n != 1 {
			t.Errorf("%d forced rows, want one", n)
		}
		b.refused("Cancel by the bot", b.engine.Cancel(t.Context(), rotation.Actor{ID: rotation.BotActor}, id, "idle"), "people_close_it")
		b.must(b.engine.Cancel(t.Context(), bob, id, "it was another account"))
		if _, _, err := b.engine.Reset(t.Context(), bob, "nope", "x"); err == nil {
			t.Error("Reset of a key set that is not there = nil")
		}
	})
}

// A rotation that the bot opened becomes the person's who says reset; one that a
// person runs stays theirs and becomes a forced one.
func TestResetOfAnOpenRotation(t *testing.T) {
	alone(t, func(t *testing.T, b *bench) {
		id := b.open()
		if got, fresh, err := b.engine.Reset(t.Context(), bob, "prod", "reset"); got != id || fresh || err != nil {
			t.Errorf("Reset = %s, %t, %v, want the open one", got, fresh, err)
		}
		if r := b.now(id); r.Operator.ID != operator.ID || r.Trigger != rotation.TriggerReset || r.Claim == nil {
			t.Errorf("operator %s, trigger %s, claim %v; want ada's, forced", r.Operator.ID, r.Trigger, r.Claim)
		}
		b.must(b.engine.Cancel(t.Context(), operator, id, "no"))
		id, err := b.engine.Force(t.Context(), b.die())
		b.must(err)
		_, _, err = b.engine.Reset(t.Context(), bob, "prod", "reset")
		b.must(err)
		if r := b.now(id); r.Operator.ID != bob.ID {
			t.Errorf("operator %s, want bob", r.Operator.ID)
		}
		// It flapped: a person, and only one, may cancel, because nothing was generated.
		b.checked(id)
		b.refused("Cancel while it is dead", b.engine.Cancel(t.Context(), bob, id, "no"), "clicked")
		b.revive()
		b.refused("Cancel by the bot", b.engine.Cancel(t.Context(), rotation.Actor{ID: rotation.BotActor}, id, "idle"), "people_close_it")
		b.must(b.engine.Cancel(t.Context(), bob, id, "it flapped"))
	})
}

// It was me: named as who did it, operator, and at step 2 at once; then the
// rotation ends as any other.
func TestItWasMe(t *testing.T) {
	alone(t, func(t *testing.T, b *bench) {
		b.w.notReady = map[string]bool{"ci": true}
		id, err := b.engine.Force(t.Context(), b.die())
		b.must(err)
		b.refused("with nonsense", b.engine.ItWasMe(t.Context(), bob, id, "slept"), "what_happened")
		b.must(b.engine.ItWasMe(t.Context(), bob, id, rotation.ClaimRegenerated)) // at once: it waits for the pair
		r := b.now(id)
		if s := r.Step(rotation.StepGenerate); s.State != rotation.Running || s.WaitsFor != bob.ID || r.Operator.ID != bob.ID || r.Visitor.ID != bob.ID {
			t.Errorf("step 2 %s waits for %s, operator %s; want running, for bob", s.State, s.WaitsFor, r.Operator.ID)
		}
		if c := r.Claim; c == nil || !c.Mine || c.What != rotation.ClaimRegenerated || c.By.Admin != "bob@raxx.app" || r.OldPrint == "" {
			t.Errorf("claim %+v, old %q; want bob's, with the old pair known", c, r.OldPrint)
		}
		if w, waits := r.Waiting(time.Now()); !waits || !w.Claimed || w.Operator.ID != bob.ID {
			t.Errorf("Waiting = %+v, want claimed by bob", w)
		}
		rows := len(b.rows(id))
		b.must(b.engine.ItWasMe(t.Context(), bob, id, rotation.ClaimRegenerated))
		if n := len(b.rows(id)); n != rows {
			t.Errorf("a repeat wrote %d rows", n-rows)
		}
		b.refused("by another", b.engine.ItWasMe(t.Context(), operator, id, rotation.ClaimReset), "late")
		if p, ok := r.Pressed(rotation.PressItWasMe, rotation.StepPrecheck, 1, ""); !ok || p.By.ID != bob.ID {
			t.Errorf("Pressed = %+v, %t, want bob's press for the answer to the second one", p, ok)
		}
		b.paste(id, pairOf("HAND")) // what he generated, once the bot had seen it
		r = b.over(id)
		if r.Claim == nil || len(r.Deviations) == 0 {
			t.Errorf("claim %v, deviations %v; want both in the record", r.Claim, r.Deviations)
		}
		done := b.actions(id, "secret.rotate.completed")
		if claim, _ := done[0].Context["claim"].(map[string]any); claim["by"] != "bob@raxx.app" || claim["did_it"] != true || done[0].Actor != "bob@raxx.app" {
			t.Errorf("completed row by %s, claim %v; want bob's", done[0].Actor, done[0].Context["claim"])
		}
		b.refused("after the end", b.engine.ItWasMe(t.Context(), bob, id, rotation.ClaimReset), "not_open")
	})
}

// Nothing is dead: nobody can have done it. And while Infisical is down it does
// not wait longer than 15 s.
func TestItWasMeEdges(t *testing.T) {
	alone(t, func(t *testing.T, b *bench) {
		id := b.open()
		b.refused("nothing is dead", b.engine.ItWasMe(t.Context(), bob, id, rotation.ClaimReset), "late")
		b.must(b.engine.Cancel(t.Context(), operator, id, "no"))
		s := b.die()
		b.w.set(func() { b.w.vaultDown = true })
		id, err := b.engine.Force(t.Context(), s)
		b.must(err)
		began := time.Now()
		b.must(b.engine.ItWasMe(t.Context(), bob, id, rotation.ClaimReset))
		if took := time.Since(began); took != 15*time.Second || b.round(id, rotation.StepGenerate) != 1 {
			t.Errorf("ItWasMe took %s and is at round %d of step 2, want 15s and 1", took, b.round(id, rotation.StepGenerate))
		}
	})
}

// A slowList lets time pass between reading which pairs are sealed and using it.
type slowList struct{ rotation.Store }

func (s slowList) List(ctx context.Context, prefix, after string, limit int) ([]rotation.KV, error) {
	kvs, err := s.Store.List(ctx, prefix, after, limit)
	if strings.HasPrefix(prefix, rotation.SealedPrefix) {
		time.Sleep(10 * time.Second)
	}
	return kvs, err
}

// Step 1 seals the current pair while the rotation stands down: it is erased all
// the same.
func TestSealedWhileStandingDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		b := setUpOn(t, w, func(s rotation.Store) rotation.Store { return slowList{s} })
		defer b.close()
		w.set(func() { w.late = 3 * time.Second })
		id, err := b.engine.Force(t.Context(), rotation.Sighting{KeySet: "prod", Print: b.sealer.Print(w.vault.Pair), Since: time.Now().Add(-time.Minute)})
		b.must(err)
		b.must(b.engine.StandDown(t.Context(), id, rotation.Probe{Verdict: rotation.Valid, Status: 200, At: time.Now()}))
		if r := b.now(id); r.OldPrint == "" {
			t.Fatal("step 1 sealed nothing meanwhile, so this test shows nothing")
		}
		if left, err := b.store.List(t.Context(), "sealed/", "", 0); err != nil || len(left) > 0 {
			t.Errorf("%d sealed pairs are left (%v), want none", len(left), err)
		}
	})
}

// What was seen outlives a restart, and is tied to the pair once the vault can be
// read.
func TestForcedAcrossARestart(t *testing.T) {
	alone(t, func(t *testing.T, b *bench) {
		s := b.die()
		b.w.set(func() { b.w.vaultDown = true })
		id, err := b.engine.Force(t.Context(), s)
		b.must(err)
		b.stop()
		time.Sleep(time.Hour)
		b.w.set(func() { b.w.vaultDown = false })
		b.start()
		if again, err := b.engine.Force(t.Context(), s); again != id || err != nil {
			t.Errorf("Force after the restart = %s, %v, want %s", again, err, id)
		}
		r := b.checked(id)
		if r.Sighting == nil || r.OldPrint != s.Print || !r.FirstRejected.Equal(s.Since) || !r.ClickedAt.Equal(s.Since) || !r.LastOK.Equal(s.LastOK) {
			t.Errorf("sighting %+v, old %q, rejected %s, clicked %s, last ok %s; want what was seen: %+v", r.Sighting, r.OldPrint, r.FirstRejected, r.ClickedAt, r.LastOK, s)
		}
		if open, err := b.engine.Open(t.Context()); err != nil || !slices.Equal(open, []rotation.ID{id}) {
			t.Errorf("Open = %v, %v, want %s", open, err, id)
		}
	})
}
