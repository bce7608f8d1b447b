package rotation_test

import (
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
)

// byHand lets somebody generate and give the pair to the consumer api only.
func (b *bench) byHand() rotation.Pair {
	b.t.Helper()
	b.must(b.engine.Snapshot(b.t.Context(), "prod", b.w.Probe(b.t.Context(), b.w.vault.Pair), &rotation.Survey{}))
	p := b.w.click("acc-1", "HAND")
	b.w.set(func() { b.w.applied["api"] = p })
	return p
}

// odd is byHand, with something around both halves of what api holds: trimmed, as a
// request's header is, it would work.
func (b *bench) odd(before, behind string) {
	b.t.Helper()
	p := b.byHand()
	around := func(s secret.Text) secret.Text { return secret.New(before + s.Reveal() + behind) }
	b.w.set(func() { b.w.applied["api"] = rotation.Pair{KeyID: around(p.KeyID), Secret: around(p.Secret)} })
}

// Section 8 of the design: a key that was rotated by hand is adopted from the
// consumer that holds it. No person is asked anything more.
func TestAdoptByHand(t *testing.T) {
	alone(t, func(t *testing.T, b *bench) {
		p := b.byHand()
		_, err := b.engine.AdoptByHand(t.Context(), bob, "prod", "api", " ")
		b.refused("without a reason", err, "no_reason")
		id, err := b.engine.AdoptByHand(t.Context(), bob, "prod", "api", "I rotated it on Heroku")
		b.must(err)
		if again, err := b.engine.AdoptByHand(t.Context(), bob, "prod", "api", "once more"); again != id || err != nil {
			t.Errorf("AdoptByHand again = %s, %v, want %s", again, err, id)
		}
		r := b.over(id)
		b.holds(p, "api", "ci", "dev")
		if r.Operator.ID != bob.ID || r.Trigger != rotation.TriggerReset || r.OldLast4 != "OLD1" || r.Step(rotation.StepRevoked).State != rotation.Done || r.Summary.Cause != rotation.CauseRegenerated {
			t.Errorf("operator %s, trigger %s, old ····%s, step 7 %s, cause %s; want bob's forced rotation that proved OLD1 dead", r.Operator.ID, r.Trigger, r.OldLast4, r.Step(rotation.StepRevoked).State, r.Summary.Cause)
		}
		rows := b.actions(id, "secret.rotate.adopted")
		if len(rows) != 1 || rows[0].Context["consumer"] != "api" || rows[0].Actor != "bob@raxx.app" {
			t.Errorf("adopted rows %+v, want one, by bob, naming api", rows)
		}
		_, err = b.engine.AdoptByHand(t.Context(), bob, "prod", "api", "again")
		b.refused("what is in place already", err, "pair_in_use")
	})
}

// The exposed time of an adopted key begins when the stored one was first seen
// dead, not when somebody pressed the button.
func TestAdoptByHandSince(t *testing.T) {
	alone(t, func(t *testing.T, b *bench) {
		print := b.sealer.Print(b.w.vault.Pair)
		alive := time.Now().UTC()
		b.byHand()
		time.Sleep(33 * time.Second)
		b.seen = rotation.Seen{Print: print, Since: alive.Add(2 * time.Second), LastOK: alive}
		id, err := b.engine.AdoptByHand(t.Context(), bob, "prod", "api", "I rotated it on Heroku")
		b.must(err)
		r := b.over(id)
		if e := r.Exposure(); !e.From.Equal(alive.Add(2*time.Second)) || e.Took < 31*time.Second || e.AtMost < 33*time.Second {
			t.Errorf("exposure %+v, want it from the first rejection on, at least 31 s, at most from the last good answer", e)
		}
	})
}

// A forced rotation that is open already takes the pair, and bob is its operator.
func TestAdoptByHandIntoAForcedRotation(t *testing.T) {
	alone(t, func(t *testing.T, b *bench) {
		p := b.byHand()
		forced, err := b.engine.Force(t.Context(), rotation.Sighting{KeySet: "prod", Print: b.sealer.Print(b.w.vault.Pair), Since: time.Now()})
		b.must(err)
		id, err := b.engine.AdoptByHand(t.Context(), bob, "prod", "api", "I rotated it on Heroku")
		b.must(err)
		if r := b.over(id); id != forced || r.Operator.ID != bob.ID {
			t.Errorf("AdoptByHand = %s by %s, want %s by bob", id, r.Operator.ID, forced)
		}
		b.holds(p, "api", "ci")
	})
}

// Whatever is not plainly the successor of the stored pair opens nothing.
func TestAdoptByHandRefused(t *testing.T) {
	tests := []struct {
		name, keyset, consumer string
		make                   func(*bench)
		want                   string
	}{
		{"no such key set", "nope", "api", func(*bench) {}, "no_keyset"},
		{"no such consumer", "prod", "nope", func(*bench) {}, "not_a_holder"},
		{"cannot be read back", "prod", "demo", func(*bench) {}, "not_a_holder"},
		{"holds nothing", "prod", "ci", func(b *bench) { b.byHand() }, "holds_nothing"},
		{"holds a pair with space behind it", "prod", "api", func(b *bench) { b.odd("", " ") }, "held_odd"},
		{"holds a pair with a line break", "prod", "api", func(b *bench) { b.odd("", "\n") }, "held_odd"},
		{"holds a pair in quotes", "prod", "api", func(b *bench) { b.odd("'", "'") }, "held_odd"},
		{"holds a live key", "prod", "api", func(b *bench) { b.odd("AK", "") }, "held_odd"},
		{"holds the stored pair", "prod", "api", func(b *bench) { b.w.applied["api"] = b.w.vault.Pair }, "pair_in_use"},
		{"the stored pair works", "prod", "api", func(b *bench) { b.byHand(); b.revive() }, "stored_works"},
		{"its pair is dead, too", "prod", "api", func(b *bench) { b.byHand(); b.w.click("acc-1", "NEW1") }, "held_dead"},
		{"no answer", "prod", "api", func(b *bench) { b.byHand(); b.w.down = true }, "held_unknown"},
		{"no answer to the stored pair", "prod", "api", func(b *bench) { b.byHand(); b.mute(b.w.vault.Pair) }, "stored_unknown"},
		{"another account", "prod", "api", func(b *bench) { b.byHand(); b.w.applied["api"] = b.w.click("acc-2", "ELS2") }, "other_account"},
		{"no account is known", "prod", "api", func(b *bench) { b.w.applied["api"] = b.w.click("acc-1", "HAND") }, "other_account"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			alone(t, func(t *testing.T, b *bench) {
				tt.make(b)
				id, err := b.engine.AdoptByHand(t.Context(), bob, tt.keyset, tt.consumer, "by hand")
				b.refused("AdoptByHand", err, tt.want)
				if open, err := b.engine.Open(t.Context()); id != "" || len(open) != 0 || err != nil {
					t.Errorf("AdoptByHand = %q, open %v (%v), want nothing opened", id, open, err)
				}
			})
		})
	}
}
