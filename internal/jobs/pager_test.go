package jobs_test

import (
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// TestPagerFails: a pager that fails is tried again by itself, wakes people
// once, and is told when it is over.
func TestPagerFails(t *testing.T) {
	denied := &fault.Error{Kind: fault.Denied, Reason: "routing_key_refused"}
	tests := []struct {
		name   string
		fails  []error
		within time.Duration // of the first try
		least  int           // calls until it is over
	}{
		{"works", nil, 0, 2},
		{"rate limited", []error{limited(90 * time.Second)}, 95 * time.Second, 3},
		{"down for a while", []error{transient(), transient(), transient(), transient()}, 90 * time.Second, 6},
		{"lost answer", []error{unknown()}, 0, 3},
		{"key refused, then mended", []error{denied}, 605 * time.Second, 3},
		{"lost answer of the resolve", []error{nil, unknown(), transient()}, 0, 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			watching(t, 1, func(t *testing.T, w *outside) {
				w.phone.fails = tt.fails
				w.dead("a")
				w.run(w.store)
				began := time.Now().Add(31 * time.Second)
				sleep(12 * time.Minute)
				keys, open := w.phone.keys()
				if len(keys) != 1 || open != 1 {
					t.Fatalf("alerts %v, %d open, want one", keys, open)
				}
				if late := w.phone.rang[keys[0]].Sub(began); late > tt.within+15*time.Second {
					t.Errorf("people were woken %s late, want at most %s", late, tt.within)
				}
				w.tower.mu.Lock()
				err := w.tower.end(rotation.ID(keys[0]), rotation.Completed)
				w.tower.mu.Unlock()
				if err != nil {
					t.Fatal(err)
				}
				w.asks(nil)
				sleep(2 * time.Minute)
				if _, open := w.phone.keys(); open != 0 || w.phone.calls != tt.least {
					t.Errorf("%d alerts open after %d calls, want none after %d", open, w.phone.calls, tt.least)
				}
				if diff := cmp.Diff([]string{"forced U0BOB"}, w.told()); diff != "" {
					t.Errorf("people told (-want +got):\n%s", diff)
				}
				if left, _ := w.store.List(t.Context(), "page/", "", 0); len(left) != 0 {
					t.Errorf("%d pages left, want none", len(left))
				}
			})
		})
	}
}

// Once the key set is rotated, a page that was read does not say for ever that
// trading fails: it is changed, also if Slack does not answer at first.
func TestPageIsEnded(t *testing.T) {
	watching(t, 1, func(t *testing.T, w *outside) {
		c := &closer{errs: []error{transient()}}
		w.closer = c
		w.dead("a")
		w.run(w.store)
		sleep(time.Minute)
		if diff := cmp.Diff([]string{"forced U0BOB"}, w.told()); diff != "" {
			t.Fatalf("people told (-want +got):\n%s", diff)
		}
		keys, _ := w.phone.keys()
		w.tower.mu.Lock()
		err := w.tower.end(rotation.ID(keys[0]), rotation.Completed)
		w.tower.mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		w.asks(nil)
		sleep(2 * time.Minute)
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.refs) != 1 || c.refs[0].TS == "" {
			t.Errorf("messages changed: %v, want the page", c.refs)
		}
		if left, _ := w.store.List(t.Context(), "page/", "", 0); len(left) != 0 {
			t.Errorf("%d pages left, want none", len(left))
		}
	})
}

// The pair that ends a forced rotation is watched as any other, within two
// intervals: a dead pair is asked slowly only while nobody works on it.
func TestNewPairIsWatchedSoon(t *testing.T) {
	watching(t, 1, func(t *testing.T, w *outside) {
		w.dead("a")
		w.run(w.store)
		sleep(6 * time.Minute) // a dead pair was asked a moment ago, and the next time in five minutes
		keys, _ := w.phone.keys()
		w.vaults["a"].set(func() { w.vaults["a"].pair = pairOf("z") })
		w.tower.mu.Lock()
		err := w.tower.end(rotation.ID(keys[0]), rotation.Completed)
		w.tower.mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		sleep(2 * time.Minute)
		if w.probes["z"] == 0 {
			t.Error("the new pair was not asked within two minutes")
		}
	})
}

// A person who has it in hand stops the page, as far as it could not be sent:
// nobody else is woken.
func TestTakenIsNotPaged(t *testing.T) {
	watching(t, 1, func(t *testing.T, w *outside) {
		w.phone.fails = []error{transient(), transient(), transient(), transient(), transient(), transient()}
		w.fails["note"] = []error{transient(), transient(), transient(), transient(), transient(), transient(), transient(), transient()}
		w.dead("a")
		w.run(w.store)
		sleep(time.Minute)
		w.tower.mu.Lock()
		w.tower.open["a"].Operator = rotation.Actor{ID: "U0ADA"}
		w.tower.mu.Unlock()
		sleep(30 * time.Minute)
		if keys, _ := w.phone.keys(); len(keys) > 0 || len(w.told()) > 0 {
			t.Errorf("alerts %v, told %v, want none", keys, w.told())
		}
		if len(w.tower.opened()) != 1 {
			t.Errorf("%d rotations opened, want one", len(w.tower.opened()))
		}
	})
}

// What a person runs is theirs: its old pair dies because of the click.
func TestClickIsNotPaged(t *testing.T) {
	watching(t, 2, func(t *testing.T, w *outside) {
		r := begun()
		r.KeySet = "a"
		w.tower.open["a"] = &r
		w.dead("a")
		w.run(w.store)
		sleep(30 * time.Minute)
		if keys, _ := w.phone.keys(); len(w.tower.opened())+len(keys)+len(w.told()) > 0 {
			t.Errorf("opened %v, alerts %v, told %v, want none", w.tower.opened(), keys, w.told())
		}
		if n := w.probes["a"]; n > 40 {
			t.Errorf("%d probes in 30 minutes beside the engine's own, want about one a minute", n)
		}
	})
}

// The dead pair of a rotation that a person runs says nothing about another one
// that dies at the same time.
func TestClickIsNoCanary(t *testing.T) {
	watching(t, 2, func(t *testing.T, w *outside) {
		w.run(w.store)
		sleep(5 * time.Minute)
		r := begun()
		r.KeySet = "a"
		w.tower.mu.Lock()
		w.tower.open["a"] = &r
		w.tower.mu.Unlock()
		w.dead("ab")
		sleep(2*time.Minute + 30*time.Second)
		if diff := cmp.Diff([]string{"forced U0BOB"}, w.told()); diff != "" {
			t.Errorf("people told (-want +got):\n%s", diff)
		}
	})
}

// An engine that cannot open the rotation is asked again soon.
func TestForceFails(t *testing.T) {
	watching(t, 1, func(t *testing.T, w *outside) {
		w.tower.sick = 3
		w.dead("a")
		w.run(w.store)
		sleep(100 * time.Second)
		if diff := cmp.Diff([]string{"forced U0BOB"}, w.told()); diff != "" {
			t.Errorf("people told (-want +got):\n%s", diff)
		}
	})
}

// When people have it in hand the bot does not stand down, and says nothing.
func TestNoStandDown(t *testing.T) {
	watching(t, 1, func(t *testing.T, w *outside) {
		w.dead("a")
		w.run(w.store)
		sleep(2 * time.Minute)
		w.tower.mu.Lock()
		w.tower.refuse = "not_standing_down"
		w.tower.mu.Unlock()
		w.asks(nil)
		sleep(20 * time.Minute)
		if diff := cmp.Diff([]string{"forced U0BOB"}, w.told()); diff != "" || len(w.tower.open) != 1 {
			t.Errorf("%d rotations open, people told (-want +got):\n%s", len(w.tower.open), diff)
		}
	})
}

// TestSnapshots: the account at each probe, but equal ones every five minutes;
// the full set every 15 minutes and at each start.
func TestSnapshots(t *testing.T) {
	watching(t, 1, func(t *testing.T, w *outside) {
		w.run(w.store)
		sleep(time.Hour)
		if w.tower.full < 4 || w.tower.full > 5 || w.tower.snaps < 10 || w.tower.snaps > 14 {
			t.Errorf("%d snapshots, %d of them full, in an hour; want about 12 and 4 or 5", w.tower.snaps, w.tower.full)
		}
		if n := w.probes["a"]; n < 54 || n > 61 {
			t.Errorf("%d probes in an hour, want 55 to 60", n)
		}
		if late := w.s.Late(); late > time.Minute {
			t.Errorf("probes are %s late, want on time", late)
		}
		full := w.tower.full
		w.stop()
		w.run(w.store)
		sleep(10 * time.Second)
		if w.tower.full != full+1 {
			t.Errorf("%d full snapshots after a restart, want %d", w.tower.full, full+1)
		}
	})
}

// What the pager may have got although no answer came is ended too.
func TestPagerIsNeverSure(t *testing.T) {
	watching(t, 1, func(t *testing.T, w *outside) {
		for range 100 {
			w.phone.fails = append(w.phone.fails, unknown())
		}
		w.dead("a")
		w.run(w.store)
		sleep(5 * time.Minute)
		keys, open := w.phone.keys()
		if len(keys) != 1 || open != 1 {
			t.Fatalf("alerts %v, %d open, want one", keys, open)
		}
		w.tower.mu.Lock()
		err := w.tower.end(rotation.ID(keys[0]), rotation.Completed)
		w.tower.mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		w.asks(nil)
		sleep(time.Minute)
		if _, open := w.phone.keys(); open != 0 {
			t.Errorf("%d alerts open after the rotation, want none", open)
		}
	})
}

// The vendor's limit holds over all key sets, also when all are doubted.
func TestPaceIsKept(t *testing.T) {
	watching(t, 26, func(t *testing.T, w *outside) {
		turn := map[string]int{}
		var mu sync.Mutex
		w.ask = func(id string) rotation.Probe { // doubted for ever
			mu.Lock()
			defer mu.Unlock()
			if turn[id]++; turn[id]%2 == 0 {
				return rotation.Probe{Verdict: rotation.Unknown, Status: 503, Reason: "server"}
			}
			return rejected()
		}
		w.run(w.store)
		const minutes = 2
		sleep(minutes * time.Minute)
		sum := 0
		for _, n := range w.probes {
			sum += n
		}
		if most, least := minutes*150+25, minutes*150-50; sum > most || sum < least {
			t.Errorf("%d probes in two minutes, want %d to %d", sum, least, most)
		}
		w.dead("abcdefghijklmnopqrstuvwxyz")
		sleep(15 * time.Minute)
		if n := len(w.tower.opened()); n != 26 {
			t.Errorf("%d rotations opened after 15 minutes of rejections, want all 26", n)
		}
	})
}

// Whoever said "It was me" has it: nobody else is told until they have pasted.
func TestLadderStopsForAClaim(t *testing.T) {
	onStair(t, func(t *testing.T, s *stair) {
		r := begun()
		r.Operator, r.Trigger, r.Claim = rotation.Actor{ID: "U0BOB"}, rotation.TriggerReset, &rotation.Claim{What: rotation.ClaimRegenerated, Mine: true}
		r.FirstRejected, r.ClickedAt = r.Opened, r.Opened
		s.put(r)
		sleep(time.Hour)
		s.told(time.Now())
		failed := time.Now()
		b := broken(exposed("app"), "app")
		b.Operator, b.Claim = r.Operator, r.Claim
		s.put(b)
		sleep(7 * time.Minute)
		s.told(failed, "0s U0BOB operator", "5m0s U0BOB oncall", "5m0s U0CEM oncall")
	})
}

// TestLadderPages: the first rung of a rotation that the bot opened is the page,
// once, whoever sends it; the later rungs are as they are.
func TestLadderPages(t *testing.T) {
	onStair(t, func(t *testing.T, s *stair) {
		r := begun()
		r.Operator, r.Trigger = rotation.Actor{ID: rotation.BotActor}, rotation.TriggerReset
		r.FirstRejected, r.ClickedAt, r.LastOK = r.Opened, r.Opened, r.Opened.Add(-time.Minute)
		r.OldLast4 = "WXYZ"
		at := time.Now()
		s.put(r)
		sleep(20 * time.Minute)
		s.down(5 * time.Second)
		sleep(20 * time.Minute)
		notes := s.told(at, "0s U0BOB oncall", "0s U0CEM oncall", "15m0s U0OWN owners", "30m0s C0OPS ops")
		if n := notes[0].Note; n.Kind != rotation.NoteForced || n.Data[rotation.NoteOldLast4] != "WXYZ" || n.Data[rotation.NoteSince] == "" {
			t.Errorf("first note %+v, want the page", n)
		}
		if n := notes[2].Note; n.Kind != rotation.NoteWaiting {
			t.Errorf("third note %+v, want the ladder's", n)
		}
	})
}
