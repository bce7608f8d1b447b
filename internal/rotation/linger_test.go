package rotation_test

import (
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// R60, last words of Accept in 3.4: an old pair that answers, or cannot be asked
// about, is never accepted. The rotation stays open, is not exposed, wakes
// nobody, asks each minute, and closes by itself when the pair is dead; so it
// does after a restart.
func TestUnprovenOldPairStaysOpen(t *testing.T) {
	for _, verdict := range []rotation.Verdict{rotation.Valid, rotation.Unknown} {
		t.Run(string(verdict), func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench, id rotation.ID) {
				b.w.set(func() {
					if b.w.linger = 1000 * time.Hour; verdict == rotation.Unknown {
						b.w.mute = map[string]bool{"OLD1": true}
					}
				})
				b.paste(id, b.w.click("acc-1", "NEW1"))
				b.until(id, "alarm", func(r *rotation.Rotation) bool {
					return r.Step(rotation.StepRevoked).Problem.Reason == "old_pair_lingers"
				})
				b.stop()
				b.start()
				time.Sleep(3 * time.Hour)
				for _, item := range []string{"old", ""} {
					b.refused("Accept of the old pair "+item, b.engine.Accept(t.Context(), operator, id, rotation.StepRevoked, b.round(id, rotation.StepRevoked), item, "never mind"), "never_accepted")
				}
				var from, to int
				b.w.set(func() { from = len(b.w.probes) })
				time.Sleep(time.Hour)
				b.w.set(func() { to = len(b.w.probes) })
				if n := to - from; n < 118 || n > 185 { // old and new each minute, and step 6's own look at the new one
					t.Errorf("%d probes in an hour, want a round each minute", n)
				}
				r := b.now(id)
				if w, waits := r.Waiting(time.Now()); waits || r.Exposure().Running || r.Outcome != rotation.Open || r.VerifiedAt.IsZero() {
					t.Errorf("waits %t for %q, exposure %+v, outcome %q, want open, not exposed, waiting for nobody", waits, w.For, r.Exposure(), r.Outcome)
				}
				b.w.set(func() { b.w.linger, b.w.mute = 0, nil })
				if r = b.over(id); len(r.Deviations) != 0 {
					t.Errorf("deviations %+v, want none", r.Deviations)
				}
			})
		})
	}
}

// A pair is pasted while the old one still answers and steps 5 and 6 are under
// way: nothing is exposed until it dies.
func TestNotExposedWhileTheOldPairAnswers(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench, id rotation.ID) {
		b.w.set(func() {
			b.w.linger = 10 * time.Minute
			b.w.applyFail["ci"] = []error{denied()}
		})
		b.paste(id, b.w.click("acc-1", "NEW1"))
		b.fails(id, rotation.StepPropagate, "ci")
		time.Sleep(5 * time.Minute)
		r := b.now(id)
		if w, waits := r.Waiting(time.Now()); !waits || w.Exposed || r.Exposure().Running || !r.Exposure().From.IsZero() {
			t.Errorf("waits %t, %+v, exposure %+v, want waiting, not exposed", waits, w, r.Exposure())
		}
		time.Sleep(10 * time.Minute)
		r = b.now(id)
		if w, waits := r.Waiting(time.Now()); !waits || !w.Exposed || !w.Certain || !r.Exposure().From.Equal(r.SealedAt) {
			t.Errorf("waits %t, %+v, exposure %+v, want exposed since the paste", waits, w, r.Exposure())
		}
		b.retryAll(id)
		b.over(id)
	})
}
