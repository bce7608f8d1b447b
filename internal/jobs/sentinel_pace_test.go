package jobs_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// A timetable notes when each pair was probed, since it began. Answer, which may be
// nil, decides about the nth probe of a pair, from 0.
type timetable struct {
	mu     sync.Mutex
	began  time.Time
	at     map[string][]time.Duration
	answer func(id string, n int) rotation.Probe
}

// timed has the vendor note when it is asked.
func timed(w *outside, answer func(id string, n int) rotation.Probe) *timetable {
	tt := &timetable{began: time.Now(), at: map[string][]time.Duration{}, answer: answer}
	w.ask = func(id string) (p rotation.Probe) {
		tt.mu.Lock()
		defer tt.mu.Unlock()
		n := len(tt.at[id])
		tt.at[id] = append(tt.at[id], time.Since(tt.began))
		if tt.answer != nil {
			p = tt.answer(id, n)
		}
		return p
	}
	return tt
}

// of returns when a pair was probed.
func (tt *timetable) of(id string) []time.Duration {
	tt.mu.Lock()
	defer tt.mu.Unlock()
	return slices.Clone(tt.at[id])
}

// gap returns how long after the nth probe of a pair the next one came.
func (tt *timetable) gap(t *testing.T, id string, n int) time.Duration {
	t.Helper()
	at := tt.of(id)
	if len(at) < n+2 {
		t.Fatalf("pair %s was probed at %v, want a probe after number %d", id, at, n)
	}
	return at[n+1] - at[n]
}

func always(v float64) func() float64 { return func() float64 { return v } }

// TestSlowDownIsHonoured: when the vendor asks for a wait nothing is asked before it
// is over, whatever is known of the pair; where it says 429 and not for how long, it
// is left alone for 30 s.
func TestSlowDownIsHonoured(t *testing.T) {
	limited := func(wait int) rotation.Probe {
		return rotation.Probe{Verdict: rotation.Unknown, Status: 429, Reason: "rate_limited", Wait: wait}
	}
	tests := []struct {
		name  string
		every time.Duration
		asked rotation.Probe // the answer to the probe before
		then  rotation.Probe // the answer that asks to wait
		open  bool           // a person's rotation is open
		want  time.Duration
	}{
		{name: "longer than the interval", every: time.Minute, then: limited(90), want: 90 * time.Second},
		{name: "shorter than the interval", every: time.Minute, then: limited(7), want: time.Minute},
		{name: "no time said, with a short interval", every: 10 * time.Second, then: limited(0), want: 30 * time.Second},
		{name: "no time said, with a long interval", every: time.Minute, then: limited(0), want: time.Minute},
		{name: "while the pair is doubted", every: time.Minute, asked: rejected(), then: limited(45), want: 45 * time.Second},
		{name: "while it is doubted, no time said", every: time.Minute, asked: rejected(), then: limited(0), want: 30 * time.Second},
		{name: "while a rotation is open", every: time.Minute, then: limited(100), open: true, want: 100 * time.Second},
		{name: "a 503 that says for how long", every: time.Minute, then: rotation.Probe{Verdict: rotation.Unknown, Status: 503, Reason: "server", Wait: 75}, want: 75 * time.Second},
		{name: "a 503 that does not, while it is doubted", every: time.Minute, asked: rejected(), then: rotation.Probe{Verdict: rotation.Unknown, Status: 503, Reason: "server"}, want: 5 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			watching(t, 1, func(t *testing.T, w *outside) {
				w.every, w.fixed = tt.every, always(0)
				if tt.open {
					r := begun()
					r.KeySet = "a"
					w.tower.open["a"] = &r
				}
				table := timed(w, func(_ string, n int) (p rotation.Probe) {
					switch n {
					case 1:
						p = tt.asked
					case 2:
						p = tt.then
					}
					return p
				})
				w.run(w.store)
				sleep(6 * time.Minute)
				if got := table.gap(t, "a", 2); got != tt.want {
					t.Errorf("asked again after %s, want %s; probes at %v", got, tt.want, table.of("a"))
				}
			})
		})
	}
}

// TestDeadIsAskedSlowly: a pair that is known dead is asked every five minutes as
// long as no rotation is open for it, and one whose interval is longer no more often
// than that.
func TestDeadIsAskedSlowly(t *testing.T) {
	for every, want := range map[time.Duration]time.Duration{time.Minute: 5 * time.Minute, 7 * time.Minute: 7 * time.Minute} {
		watching(t, 1, func(t *testing.T, w *outside) {
			w.every, w.fixed = every, always(0)
			b := withBox(w) // somebody rotated by hand: no rotation is opened
			past := w.tower.past["a"]
			past.Baseline = accountOf("z")
			w.tower.past["a"] = past
			b.pair = pairOf("z")
			table := timed(w, func(id string, _ int) (p rotation.Probe) {
				if id == "a" {
					p = rejected()
				}
				return p
			})
			w.run(w.store)
			sleep(30 * time.Minute)
			if diff := cmp.Diff([]string{"by_hand C0OPS"}, w.told()); diff != "" {
				t.Fatalf("people told (-want +got):\n%s", diff)
			}
			at := table.of("a")
			doubt := []time.Duration{}
			for s := range 7 { // 0, 5, … 30 s
				doubt = append(doubt, time.Duration(5*s)*time.Second)
			}
			if len(at) < len(doubt)+3 || !slices.Equal(at[:len(doubt)], doubt) {
				t.Fatalf("probes at %v, want one each 5 s up to 30 s, and then more", at)
			}
			for n := len(doubt) - 1; n+1 < len(at); n++ {
				if got := at[n+1] - at[n]; got != want {
					t.Errorf("interval %s: asked again after %s, want %s; probes at %v", every, got, want, at)
				}
			}
		})
	}
}

// TestProbesSpread: key sets do not keep step. Rand hands out 20 values again and
// again, each as often as any other, so what is wanted does not depend on who draws
// which.
func TestProbesSpread(t *testing.T) {
	const n = 20
	watching(t, n, func(t *testing.T, w *outside) {
		drawn := 0 // under w.mu
		w.fixed = func() float64 {
			drawn++
			return (float64(drawn%n) + .5) / n
		}
		table := timed(w, func(string, int) rotation.Probe {
			return rotation.Probe{Verdict: rotation.Unknown, Status: 503, Reason: "server"}
		})
		w.run(w.store)
		sleep(80 * time.Second)
		starts, shares := map[time.Duration]bool{}, map[int]int{}
		first, last := time.Hour, time.Duration(0)
		for _, set := range w.sets {
			at := table.of(set.Name)
			if len(at) != 2 {
				t.Fatalf("probes of %s at %v, want two in 80 s", set.Name, at)
			}
			starts[at[0]] = true
			first, last = min(first, at[0]), max(last, at[0])
			// The schedule counts whole seconds; on top of it comes up to a tenth of the interval.
			more := at[1] - at[0] - (time.Minute - at[0]%time.Second)
			shares[int(more*n/(6*time.Second))]++
		}
		// Two draws each at the start, of which one is the wait: at least half of the values.
		if len(starts) < n/2 || last-first < 2*time.Second || last >= 5*time.Second {
			t.Errorf("%d key sets were first asked at %d times, from %s to %s; want at least %d times over 2 s, all within 5 s", n, len(starts), first, last, n/2)
		}
		if len(shares) != n {
			t.Errorf("the second probes came with %d shares of a tenth of the interval, want each of the %d drawn once: %v", len(shares), n, shares)
		}
	})
}

// Pairs that are asked because another one is doubted are not asked at the same
// instant either.
func TestCanariesAreJittered(t *testing.T) {
	for _, r := range []float64{0, .25, .5} {
		watching(t, 3, func(t *testing.T, w *outside) {
			w.fixed = always(r)
			table := timed(w, func(id string, n int) (p rotation.Probe) {
				if id == "a" && n > 0 {
					p = rejected()
				}
				return p
			})
			w.run(w.store)
			sleep(75 * time.Second)
			doubted := table.of("a")[1]
			for _, id := range []string{"b", "c"} {
				if at, want := table.of(id), doubted+time.Duration(r*float64(time.Second)); !slices.Contains(at, want) {
					t.Errorf("Rand %v: pair %s was asked at %v, want it asked at %s: %s was doubted at %s", r, id, at, want, "a", doubted)
				}
			}
		})
	}
}
