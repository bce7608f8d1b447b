package jobs_test

import (
	"slices"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// day is after how long an idle rotation is cancelled (design 3.4).
const day = 24 * time.Hour

// Before the click: the operator is told once after 30 minutes, also across
// restarts, and the rotation is cancelled by the bot after a day.
func TestIdle(t *testing.T) {
	onStairEvery(t, time.Minute, func(t *testing.T, s *stair) {
		opened := time.Now()
		s.put(begun())
		time.Sleep(29*time.Minute + 30*time.Second)
		s.told(opened)
		time.Sleep(time.Hour)
		s.down(time.Minute)
		time.Sleep(20 * time.Hour)
		if notes := s.told(opened, "30m0s U0ADA idle"); notes[0].Note.Data[rotation.NoteSince] != opened.UTC().Format(time.RFC3339Nano) {
			t.Errorf("note = %+v, want since when it is idle", notes[0].Note)
		}
		time.Sleep(day)
		s.told(opened, "30m0s U0ADA idle")
		if at := s.cancels(); len(at) != 1 || at[0].Sub(opened) < day || at[0].Sub(opened) > day+2*time.Minute {
			t.Fatalf("cancelled at %v, want once, a day after %s", at, opened)
		}
		s.end()
		if s.by != rotation.BotActor || s.why == "" {
			t.Errorf("cancelled by %q because %q, want by %s with a reason", s.by, s.why, rotation.BotActor)
		}
	})
}

// Doing something begins the count anew.
func TestIdleAgain(t *testing.T) {
	onStairEvery(t, time.Minute, func(t *testing.T, s *stair) {
		opened := time.Now()
		r := begun()
		s.put(r)
		time.Sleep(40 * time.Minute)
		r.Steps = append([]rotation.Step(nil), r.Steps...)
		r.Step(rotation.StepPrecheck).State = rotation.Done
		g := r.Step(rotation.StepGenerate)
		g.State, g.Started = rotation.Running, time.Now()
		s.put(r)
		time.Sleep(23*time.Hour + 50*time.Minute)
		s.told(opened, "30m0s U0ADA idle", "1h10m0s U0ADA idle")
		if at := s.cancels(); len(at) != 0 {
			t.Errorf("asked to cancel at %v, want not within a day of the last act", at)
		}
	})
}

// Nobody is told of an idle rotation that opened by itself; it is cancelled all
// the same. After the click nothing of this happens.
func TestIdleExceptions(t *testing.T) {
	onStairEvery(t, time.Minute, func(t *testing.T, s *stair) {
		r := begun()
		r.Operator.ID = rotation.BotActor
		s.put(r)
		late := exposed("app")
		late.ID = "r2"
		s.put(late)
		time.Sleep(day + time.Hour)
		s.told(time.Now())
		if at, left := s.cancels(), s.left(); len(at) != 1 || !slices.Equal(left, []rotation.ID{"r2"}) {
			t.Errorf("asked to cancel at %v, left %v, want r2 only left", at, left)
		}
	})
}

// A cancel that is refused because nothing is known of the old pair is said
// once in the ops channel and tried again each ten minutes, until it works.
func TestIdleCancelRefused(t *testing.T) {
	onStairEvery(t, time.Minute, func(t *testing.T, s *stair) {
		why := &fault.Error{Kind: fault.Unknown, Reason: "old_unknown", User: "Alpaca does not answer properly."}
		s.set(func() { s.refuse = func(*rotation.Rotation) error { return why } })
		opened := time.Now()
		s.put(begun())
		time.Sleep(day + 65*time.Minute)
		s.down(time.Second)
		time.Sleep(5 * time.Minute)
		notes := s.told(opened, "30m0s U0ADA idle", "24h0m0s C0OPS idle")
		if got := notes[1].Note.Data[rotation.NoteRefused]; got != why.User {
			t.Errorf("ops are told %q, want %q", got, why.User)
		}
		if at := s.cancels(); len(at) != 8 { // after 0, 10, … 60 minutes and after the restart
			t.Errorf("asked to cancel %d times in an hour and after a restart, want 8: %v", len(at), at)
		}
		s.set(func() { s.refuse = nil })
		time.Sleep(10 * time.Minute)
		if left := s.left(); len(left) != 0 {
			t.Errorf("still open %v, want it cancelled", left)
		}
		s.told(opened, "30m0s U0ADA idle", "24h0m0s C0OPS idle")
	})
}

// A cancel that finds the old pair dead was the click: the ladder begins, and
// no more is tried.
func TestIdleCancelFindsTheClick(t *testing.T) {
	onStairEvery(t, time.Minute, func(t *testing.T, s *stair) {
		s.set(func() {
			s.refuse = func(r *rotation.Rotation) error {
				r.FirstRejected, r.ClickedAt = time.Now(), time.Now()
				return &fault.Error{Kind: fault.Conflict, Reason: "clicked", User: "The keys were generated already."}
			}
		})
		opened := time.Now()
		s.put(begun())
		time.Sleep(day + 6*time.Minute)
		s.told(opened, "30m0s U0ADA idle", "24h1m0s U0ADA operator", "24h5m0s U0BOB oncall", "24h5m0s U0CEM oncall")
		if at := s.cancels(); len(at) != 1 {
			t.Errorf("asked to cancel at %v, want once", at)
		}
	})
}
