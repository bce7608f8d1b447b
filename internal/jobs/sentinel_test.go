package jobs_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/rotation"
)

var flapsOf = flag.Int("sentinel.flaps", flapsAtOnce, "simulated flaps through the whole sentinel")

// TestDeathToPage: from the death of a key at a random moment to the page takes
// at most two sentinel intervals and 30 s (R85), with other key sets beside it
// and without, and with a vendor that takes its time.
func TestDeathToPage(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 8))
	var took []time.Duration
	for i := range 200 {
		watching(t, 1+i%3, func(t *testing.T, w *outside) {
			w.rnd = rand.New(rand.NewPCG(9, uint64(i)))
			death := time.Now().Add(time.Minute + time.Duration(rnd.IntN(180_000))*time.Millisecond)
			slow := time.Duration(rnd.IntN(1500)) * time.Millisecond
			w.ask = func(id string) (p rotation.Probe) {
				if id == "a" && !time.Now().Before(death) {
					p = rejected()
				}
				time.Sleep(slow)
				return p
			}
			w.run(w.store)
			sleep(time.Until(death) + 5*time.Minute)
			if diff := cmp.Diff([]string{"forced U0BOB"}, w.told()); diff != "" {
				t.Errorf("death %d: people told (-want +got):\n%s", i, diff)
			}
			keys, open := w.phone.keys()
			if len(keys) != 1 || open != 1 {
				t.Fatalf("death %d: alerts %v, %d open, want one", i, keys, open)
			}
			took = append(took, w.phone.rang[keys[0]].Sub(death))
		})
	}
	slices.Sort(took)
	p95, worst := took[189], took[199]
	t.Logf("200 deaths: page after %s (median), %s (p95), %s (worst)", took[99].Round(time.Millisecond), p95.Round(time.Millisecond), worst.Round(time.Millisecond))
	if limit := 2*time.Minute + 30*time.Second; p95 > limit {
		t.Errorf("p95 is %s, want at most %s", p95, limit)
	}
}

// A flapper is a vendor that looks dead for a while, and is not. A flap is a row of
// rejections of one pair.
type flapper struct {
	mu    sync.Mutex
	rnd   *rand.Rand
	began time.Time
	every time.Duration // a flap begins
	for_  time.Duration // at most
	row   map[string]time.Time
	gap   map[string]time.Duration
	flaps map[string]int // rows of rejections that were ended, by how
}

// total returns how many flaps there were.
func (f *flapper) total() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, k := range f.flaps {
		n += k
	}
	return n
}

// ask is a 200 within each 30 s, or no answer at all between rejections.
func (f *flapper) ask(id string) rotation.Probe {
	f.mu.Lock()
	at := time.Since(f.began) + time.Duration(id[0]-'a')*97*time.Second
	n, phase := int(at/f.every), at%f.every
	if phase > f.for_ {
		delete(f.row, id)
		f.mu.Unlock()
		return rotation.Probe{}
	}
	unknown := f.rnd.IntN(5)
	row, ok := f.row[id]
	if !ok {
		row, f.gap[id] = time.Now(), time.Duration(1000+f.rnd.IntN(28_900))*time.Millisecond
		f.row[id] = row
	}
	over := time.Since(row) >= f.gap[id]
	if over {
		delete(f.row, id)
	}
	how := "200"
	p := []rotation.Probe{
		{Status: 503, Reason: "server"},
		{Status: 429, Reason: "rate_limited", Wait: 7},
		{Status: 429, Reason: "rate_limited"},
		{Reason: "timeout"},
		{Status: 401, Reason: "edge"}, // HTML
	}[unknown]
	if p.Verdict = rotation.Unknown; n%2 == 0 {
		p = rotation.Probe{}
	} else {
		how = fmt.Sprint(p.Status, " ", p.Reason, " ", p.Wait)
	}
	if over {
		f.flaps[how]++
	}
	f.mu.Unlock()
	if !over {
		return rejected()
	}
	if p.Reason == "timeout" {
		time.Sleep(5 * time.Second)
	}
	return p
}

// TestFlapsPageNobody: what looks like a death for a while opens nothing and
// wakes nobody.
func TestFlapsPageNobody(t *testing.T) {
	t.Run("a 200, or no answer, within each 30 s", func(t *testing.T) {
		watching(t, 5, func(t *testing.T, w *outside) {
			f := &flapper{rnd: rand.New(rand.NewPCG(3, 4)), began: time.Now(), every: 8 * time.Minute, for_: 3 * time.Minute, row: map[string]time.Time{}, gap: map[string]time.Duration{}, flaps: map[string]int{}}
			w.ask, w.scan = f.ask, time.Minute
			w.run(w.store)
			for f.total() < *flapsOf*9/10 {
				sleep(f.every)
			}
			w.nobody(t, f.total())
			t.Logf("ended by: %v", f.flaps)
			if len(f.flaps) != 6 {
				t.Errorf("flaps ended by %v, want a 200, a 5xx, both kinds of 429, a timeout and HTML", f.flaps)
			}
		})
	})
	t.Run("every pair for less than ten minutes", func(t *testing.T) {
		watching(t, 3, func(t *testing.T, w *outside) {
			stretches := *flapsOf/30 + 1
			rnd := rand.New(rand.NewPCG(5, 6))
			var mu sync.Mutex
			until := time.Time{}
			w.ask = func(string) rotation.Probe {
				mu.Lock()
				defer mu.Unlock()
				if time.Now().Before(until) {
					return rejected()
				}
				return rotation.Probe{}
			}
			w.scan = time.Minute
			w.run(w.store)
			long := 0 // enough to be noticed for certain
			for range stretches {
				sleep(time.Duration(180+rnd.IntN(300)) * time.Second)
				stretch := time.Duration(30+rnd.IntN(560)) * time.Second
				if stretch > 150*time.Second {
					long++
				}
				mu.Lock()
				until = time.Now().Add(stretch)
				mu.Unlock()
				sleep(time.Until(until))
			}
			sleep(5 * time.Minute)
			if notes := w.told(rotation.NoteTogether); len(notes) < long || len(notes) > stretches {
				t.Errorf("%d notes about %d stretches, want at least %d, and at most one each", len(notes), stretches, long)
			}
			w.notes = nil
			w.nobody(t, 3*stretches)
		})
	})
}

// nobody fails unless nothing was opened and nobody was told.
func (w *outside) nobody(t *testing.T, flaps int) {
	t.Helper()
	keys, _ := w.phone.keys()
	t.Logf("%d flaps, %v probes: %d rotations opened, %d pages", flaps, w.probes, len(w.tower.opened()), len(keys))
	if len(w.tower.opened()) > 0 || len(keys) > 0 || len(w.told()) > 0 {
		t.Errorf("opened %+v, pages %v, told %v, want none", w.tower.opened(), keys, w.told())
	}
}

// TestLongRejection: ten steady minutes of rejections of every pair are paged,
// and stand down by themselves when the keys turn out alive.
func TestLongRejection(t *testing.T) {
	watching(t, 2, func(t *testing.T, w *outside) {
		bad := time.Now().Add(3 * time.Minute)
		good := bad.Add(20 * time.Minute)
		w.ask = func(string) rotation.Probe {
			if now := time.Now(); !now.Before(bad) && now.Before(good) {
				return rejected()
			}
			return rotation.Probe{}
		}
		w.run(w.store)
		sleep(time.Until(bad) + 9*time.Minute)
		if diff := cmp.Diff([]string{"together C0OPS"}, w.told()); diff != "" {
			t.Fatalf("after nine minutes (-want +got):\n%s", diff)
		}
		sleep(4 * time.Minute)
		if diff := cmp.Diff([]string{"forced U0BOB", "forced U0BOB"}, w.told("forced")); diff != "" {
			t.Fatalf("after ten minutes (-want +got):\n%s", diff)
		}
		n := w.last(rotation.NoteForced)
		if n.Data[rotation.NoteSkipped] != "U0EVE" || n.Data[rotation.NoteStatus] != "401" || n.Data[rotation.NoteSince] == "" || n.Data[rotation.NoteLastOK] == "" || n.Rotation == "" {
			t.Errorf("page says %+v, want what was seen, since when and who was skipped", n)
		}
		sleep(time.Until(good) + 6*time.Minute)
		if diff := cmp.Diff([]string{"alive C0OPS", "alive C0OPS", "alive U0BOB", "alive U0BOB"}, w.told("alive")); diff != "" {
			t.Errorf("after the keys came back (-want +got):\n%s", diff)
		}
		if keys, open := w.phone.keys(); len(keys) != 2 || open != 0 {
			t.Errorf("alerts %v, %d open, want two, both resolved", keys, open)
		}
		if left, _ := w.store.List(t.Context(), "page/", "", 0); len(left) > 0 || len(w.tower.open) > 0 {
			t.Errorf("%d pages and %d rotations are left, want none", len(left), len(w.tower.open))
		}
	})
}

// TestSentinelRestarts: a bot that is killed at any moment, and started again,
// loses no page and sends none twice, nor the news that it is over.
func TestSentinelRestarts(t *testing.T) {
	for i := range 60 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			watching(t, 2, func(t *testing.T, w *outside) {
				rnd := rand.New(rand.NewPCG(11, uint64(i)))
				bad := time.Now().Add(90 * time.Second)
				good := bad.Add(15 * time.Minute)
				w.ask = func(id string) rotation.Probe {
					if now := time.Now(); id == "a" && !now.Before(bad) && now.Before(good) {
						return rejected()
					}
					return rotation.Probe{}
				}
				doubles := 0
				for time.Now().Before(good.Add(15 * time.Minute)) {
					m := &mortal{Store: w.store, left: 1 + rnd.IntN(14), late: rnd.IntN(2) == 0}
					w.run(m)
					sleep(time.Duration(2000+rnd.IntN(90_000)) * time.Millisecond)
					w.stop()
					doubles++
				}
				w.run(w.store)
				sleep(20 * time.Minute)
				w.stop()
				if n := len(w.tower.opened()); n != 1 {
					t.Errorf("%d rotations opened, want one", n)
				}
				if keys, open := w.phone.keys(); len(keys) != 1 || open != 0 {
					t.Errorf("alerts %v, %d open, want one, resolved", keys, open)
				}
				if diff := cmp.Diff([]string{"alive C0OPS", "alive U0BOB", "forced U0BOB"}, w.once()); diff != "" {
					t.Errorf("people told over %d restarts (-want +got):\n%s", doubles, diff)
				}
			})
		})
	}
}

// A stretch of rejections goes on over restarts: a bot that is started again and
// again still pages.
func TestDoubtOutlivesRestarts(t *testing.T) {
	watching(t, 2, func(t *testing.T, w *outside) {
		death := time.Now().Add(time.Minute)
		w.ask = func(id string) (p rotation.Probe) {
			if id == "a" && !time.Now().Before(death) {
				p = rejected()
			}
			return p
		}
		for range 16 {
			w.run(w.store)
			sleep(15 * time.Second)
			w.stop()
		}
		if n := len(w.tower.opened()); n != 1 {
			t.Fatalf("%d rotations opened, want one", n)
		}
		if s := w.tower.opened()[0]; s.Since.Sub(death) > 20*time.Second || s.LastOK.IsZero() || s.LastOK.After(death) || s.Print != "print-a" {
			t.Errorf("sighting %+v, want the first rejection and the last 200, around %s", s, death)
		}
	})
}

// A silence proves nothing: after a bot that was down in the middle of a doubt
// the row of rejections begins anew.
func TestSilenceIsNoRejection(t *testing.T) {
	watching(t, 1, func(t *testing.T, w *outside) {
		w.run(w.store)
		sleep(30 * time.Second)
		w.dead("a")
		time.Sleep(45 * time.Second) // a few rejections
		w.stop()
		sleep(10 * time.Minute)
		w.run(w.store)
		sleep(25 * time.Second)
		if n := len(w.tower.opened()); n != 0 {
			t.Errorf("%d rotations opened after 25 s, want none yet", n)
		}
		sleep(20 * time.Second)
		if n := len(w.tower.opened()); n != 1 {
			t.Errorf("%d rotations opened after 45 s, want one", n)
		}
	})
}

// once returns what was told, without repeats that say that they may be some:
// those where the bot died between Slack's answer and the commit.
func (w *outside) once() []string {
	all := w.told()
	w.mu.Lock()
	defer w.mu.Unlock()
	again := 0
	for _, c := range w.calls {
		if c.Again && c.OK {
			again++
		}
	}
	if once := slices.Compact(slices.Clone(all)); len(all)-len(once) <= again {
		return once
	}
	return all
}
