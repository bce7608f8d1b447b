package jobs

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/rotation"
)

var midnight = time.Date(2026, 4, 24, 0, 0, 0, 0, time.UTC)

func answer(v rotation.Verdict, at time.Time) rotation.Probe {
	p := rotation.Probe{Verdict: v, At: at, Status: 200}
	switch v {
	case rotation.Invalid:
		p.Status, p.Reason = 401, "unauthorized"
	case rotation.Unknown:
		p.Status, p.Reason = 503, "server_error"
	case rotation.Valid:
	}
	return p
}

// A vendor says what it answers for each pair at each moment.
type vendor func(set int, at time.Time) rotation.Verdict

// watched plays the sentinel's clock over n pairs until end, and returns when
// each was found dead; zero: never.
func watched(n int, every time.Duration, end time.Time, ask vendor) []time.Time {
	sets, found, due := make([]*watch, n), make([]time.Time, n), make([]time.Time, n)
	for i := range sets {
		sets[i], due[i] = &watch{}, midnight.Add(every*time.Duration(i)/time.Duration(n))
	}
	for now := midnight; now.Before(end); now = now.Add(time.Second) {
		for i, w := range sets {
			if now.Before(due[i]) {
				continue
			}
			w.take(answer(ask(i, now), now))
			w.judge(without(sets, i))
			if w.State == dead && found[i].IsZero() {
				found[i] = now
			}
			due[i] = now.Add(w.next(every, 0))
			if w.State == doubted {
				for j := range due { // the others are the canary
					if next := now.Add(doubtEvery); due[j].After(next) && sets[j].State == alive {
						due[j] = next
					}
				}
			}
		}
	}
	return found
}

func without(all []*watch, i int) []*watch {
	return slices.Concat(all[:i], all[i+1:])
}

// TestDeathIsFound: from a death at a random moment to the finding takes at most
// two intervals and the confirmation, with and without other pairs (R85).
func TestDeathIsFound(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	const every = time.Minute
	worst := time.Duration(0)
	for range 200 {
		n := 1 + rnd.IntN(3)
		death := midnight.Add(time.Duration(rnd.IntN(600_000)) * time.Millisecond).Add(every)
		found := watched(n, every, death.Add(10*time.Minute), func(set int, at time.Time) rotation.Verdict {
			if set == 0 && !at.Before(death) {
				return rotation.Invalid
			}
			return rotation.Valid
		})
		if found[0].IsZero() {
			t.Fatalf("a death at %s among %d pairs was not found", death.Format(time.TimeOnly), n)
		}
		worst = max(worst, found[0].Sub(death))
		for i, at := range found[1:] {
			if !at.IsZero() {
				t.Errorf("pair %d lives and was found dead at %s", i+1, at.Format(time.TimeOnly))
			}
		}
	}
	t.Logf("200 deaths: found after at most %s, interval %s", worst, every)
	if limit := 2*every + doubtFor; worst > limit {
		t.Errorf("the slowest took %s, want at most %s", worst, limit)
	}
}

// TestFlapsAreNot: what looks like a death for a while and is none.
func TestFlapsAreNot(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(3, 4))
	for i := range 10_000 {
		start := midnight.Add(time.Duration(60+rnd.IntN(120)) * time.Second)
		var n int
		var ask vendor
		var what string
		switch i % 3 {
		case 0:
			n, what = 1+rnd.IntN(3), "a 200 within each 30 s"
			gap := time.Duration(6+rnd.IntN(19)) * time.Second // between two 200s; probes come every 5 s
			ask = func(set int, at time.Time) rotation.Verdict {
				if set != 0 || at.Before(start) || at.After(start.Add(3*time.Minute)) || at.Sub(start)%gap < 5*time.Second && at.Sub(start) >= gap {
					return rotation.Valid
				}
				return rotation.Invalid
			}
		case 1:
			n, what = 2+rnd.IntN(2), "every pair rejected for less than ten minutes"
			stretch := time.Duration(60+rnd.IntN(530)) * time.Second
			ask = func(_ int, at time.Time) rotation.Verdict {
				if at.Before(start) || at.After(start.Add(stretch)) {
					return rotation.Valid
				}
				return rotation.Invalid
			}
		default:
			n, what = 1+rnd.IntN(3), "no answer, with rejections between"
			ask = func(set int, at time.Time) rotation.Verdict {
				switch {
				case set != 0 || at.Before(start) || at.After(start.Add(8*time.Minute)):
					return rotation.Valid
				case rnd.IntN(3) == 0 && at.Sub(start)%(20*time.Second) < 10*time.Second:
					return rotation.Invalid
				}
				return rotation.Unknown
			}
		}
		for set, at := range watched(n, time.Minute, start.Add(12*time.Minute), ask) {
			if !at.IsZero() {
				t.Fatalf("flap %d (%s, %d pairs): pair %d found dead %s after the start", i, what, n, set, at.Sub(start))
			}
		}
	}
}

// TestAllDead: ten steady minutes are enough even if every pair is rejected.
func TestAllDead(t *testing.T) {
	t.Parallel()
	start := midnight.Add(3 * time.Minute)
	for i, at := range watched(3, time.Minute, start.Add(15*time.Minute), func(_ int, at time.Time) rotation.Verdict {
		if at.Before(start) {
			return rotation.Valid
		}
		return rotation.Invalid
	}) {
		if took := at.Sub(start); at.IsZero() || took < heldFor || took > heldFor+2*time.Minute {
			t.Errorf("pair %d was found dead after %s, want ten minutes and a little", i, took)
		}
	}
}

// TestTake says what each answer means.
func TestTake(t *testing.T) {
	t.Parallel()
	at := func(s int) time.Time { return midnight.Add(time.Duration(s) * time.Second) }
	w := &watch{}
	steps := []struct {
		v      rotation.Verdict
		state  standing
		steady time.Duration
		since  int // -1: none
	}{
		{rotation.Unknown, unseen, 0, -1},
		{rotation.Valid, alive, 0, -1},
		{rotation.Unknown, alive, 0, -1},
		{rotation.Invalid, doubted, 0, 15},
		{rotation.Invalid, doubted, 5 * time.Second, 15},
		{rotation.Unknown, doubted, 0, 15}, // the row is broken, the pain is not
		{rotation.Invalid, doubted, 0, 15},
		{rotation.Invalid, doubted, 5 * time.Second, 15},
		{rotation.Valid, alive, 0, -1},
	}
	for i, s := range steps {
		w.take(answer(s.v, at(i*5)))
		since := time.Time{}
		if s.since >= 0 {
			since = at(s.since)
		}
		got := fmt.Sprint(w.State, w.steady(), w.Since)
		if want := fmt.Sprint(s.state, s.steady, since); got != want {
			t.Errorf("answer %d (%s): %s, want %s", i, s.v, got, want)
		}
	}
	if w.Flaps != 1 {
		t.Errorf("%d flaps, want 1", w.Flaps)
	}
}
