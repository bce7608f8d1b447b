package jobs_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
)

// A box stands in for a consumer whose pair can be read back, and which can tell
// whether it still has it.
type box struct {
	rotation.Consumer // nil: nothing is delivered here
	mu                sync.Mutex
	pair              rotation.Pair
	drift             rotation.Drift
	err               error
	hangs             bool
	asked             int
}

func (b *box) Holds(ctx context.Context) (rotation.Pair, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.hangs {
		<-ctx.Done()
		return rotation.Pair{}, ctx.Err()
	}
	return b.pair, b.err
}

func (b *box) Keeps(context.Context, rotation.Delivery) (rotation.Drift, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	return b.drift, b.err
}

func (b *box) set(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

// withBox gives key set a two consumers, the second of which is the box.
func withBox(w *outside) *box {
	b := &box{pair: pairOf("a")}
	w.sets[0].Targets = []rotation.Target{{Name: "covered", CoveredBy: "app"}, {Name: "app", Kind: "heroku", Consumer: b}}
	past := w.tower.past["a"]
	past.Receipts = map[string]rotation.Receipt{"app": {Print: "print-a"}}
	w.tower.past["a"] = past
	return b
}

// dead has the pair of that name rejected from now on.
func (w *outside) dead(names string) {
	w.asks(func(id string) (p rotation.Probe) {
		if strings.Contains(names, id) {
			p = rejected()
		}
		return p
	})
}

// TestByHand: the stored pair is dead, but a consumer holds one that works for
// the same account: nobody is paged, ops is told once, and when that pair dies
// too on-call is paged after all.
func TestByHand(t *testing.T) {
	tests := []struct {
		name string
		set  func(*outside, *box)
		want []string
	}{
		{"works", func(*outside, *box) {}, []string{"by_hand C0OPS"}},
		{"same as the stored one", func(_ *outside, b *box) { b.pair = pairOf("a") }, []string{"forced U0BOB"}},
		{"half of it is absent", func(_ *outside, b *box) {
			b.pair.Secret = pairOf("").Secret
			b.pair = rotation.Pair{KeyID: b.pair.KeyID}
		}, []string{"forced U0BOB"}},
		{"works with the space in it cut off", func(_ *outside, b *box) { b.pair.Secret = secret.New(b.pair.Secret.Reveal() + " ") }, []string{"forced U0BOB"}},
		{"another account", func(w *outside, _ *box) {
			past := w.tower.past["a"]
			past.Baseline = accountOf("q")
			w.tower.past["a"] = past
		}, []string{"forced U0BOB"}},
		{"dead as well", func(w *outside, _ *box) { w.dead("az") }, []string{"forced U0BOB"}},
		{"cannot be read", func(_ *outside, b *box) { b.err = context.DeadlineExceeded }, []string{"forced U0BOB"}},
		{"never answers", func(_ *outside, b *box) { b.hangs = true }, []string{"forced U0BOB"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			watching(t, 1, func(t *testing.T, w *outside) {
				b := withBox(w)
				past := w.tower.past["a"]
				past.Baseline = accountOf("z") // the pair that ends in z is the same account's
				w.tower.past["a"] = past
				b.pair = pairOf("z")
				w.dead("a")
				tt.set(w, b)
				w.run(w.store)
				sleep(25 * time.Minute)
				w.stop()
				w.run(w.store)
				sleep(25 * time.Minute)
				if diff := cmp.Diff(tt.want, w.told("by_hand", "forced")); diff != "" {
					t.Fatalf("people told (-want +got):\n%s", diff)
				}
				if tt.name != "works" {
					return
				}
				if n := w.last(rotation.NoteByHand); n.Consumer != "app" || n.KeySet != "a" || n.Data[rotation.NoteOldLast4] != "KEYa" || !strings.Contains(n.Data[rotation.NoteWhat], "…KEYz") {
					t.Errorf("note %+v, want the consumer and both keys", n)
				}
				w.dead("az")
				sleep(10 * time.Minute)
				if diff := cmp.Diff([]string{"by_hand C0OPS", "forced U0BOB"}, w.told("by_hand", "forced")); diff != "" {
					t.Errorf("after the consumer's pair died as well (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestDrift: a consumer that no longer has what it was given is told once per
// change, across restarts, and shown until it is mended.
func TestDrift(t *testing.T) {
	watching(t, 1, func(t *testing.T, w *outside) {
		b := withBox(w)
		w.run(w.store)
		sleep(time.Hour)
		b.set(func() { b.drift = rotation.Drift{Changed: true, Detail: "ALPACA_PAPER_API_KEY_ID was changed"} })
		for range 3 {
			sleep(time.Hour)
			w.stop()
			w.run(w.store)
		}
		if seen, err := w.s.Seen(t.Context(), "a"); err != nil || len(seen.Drifted) != 1 || seen.Drifted[0] != "app" || seen.State != "alive" {
			t.Errorf("Seen = %+v, %v, want app drifted and the key alive", seen, err)
		}
		b.set(func() { b.drift.Detail = "ALPACA_PAPER_API_SECRET_KEY was changed" })
		sleep(time.Hour)
		b.set(func() { b.err = context.DeadlineExceeded }) // not known is not mended
		sleep(time.Hour)
		b.set(func() { b.err, b.drift = nil, rotation.Drift{} })
		sleep(time.Hour)
		if diff := cmp.Diff([]string{"drift C0OPS", "drift C0OPS"}, w.told()); diff != "" {
			t.Errorf("people told (-want +got):\n%s", diff)
		}
		if seen, _ := w.s.Seen(t.Context(), "a"); len(seen.Drifted) != 0 {
			t.Errorf("drifted %v after it was mended, want none", seen.Drifted)
		}
		b.set(func() { b.asked, b.drift = 0, rotation.Drift{Changed: true, Detail: "x"} })
		w.tower.mu.Lock()
		w.tower.open["a"] = &rotation.Rotation{ID: "r9", KeySet: "a"}
		w.tower.mu.Unlock()
		sleep(time.Hour)
		if b.asked != 0 {
			t.Errorf("asked %d times while a rotation was open, want never", b.asked)
		}
		if n := len(w.tower.rows); n != 2 || w.tower.rows[0].Action != "secret.watch.drift" {
			t.Errorf("%d audit rows %+v, want one per change", n, w.tower.rows)
		}
	})
}

// TestAccountChanges: each change of the account is told once, the way back too.
func TestAccountChanges(t *testing.T) {
	watching(t, 1, func(t *testing.T, w *outside) {
		acc := accountOf("a")
		var mu sync.Mutex
		w.ask = func(string) rotation.Probe {
			mu.Lock()
			defer mu.Unlock()
			return rotation.Probe{Verdict: rotation.Valid, Status: 200, Account: acc}
		}
		for _, change := range []struct {
			set    func()
			status string
			what   string
		}{
			{func() { acc.Flags = []string{"trading_blocked"} }, "ACTIVE", "The key works, but the account is ACTIVE trading_blocked."},
			{func() { acc.Status = "ACCOUNT_UPDATED" }, "ACCOUNT_UPDATED", "The key works, but the account is ACCOUNT_UPDATED trading_blocked."},
			{func() { acc = accountOf("a") }, "ACTIVE", "The account is ACTIVE again, and the right one."},
			{func() { acc = accountOf("q") }, "ACTIVE", "The stored pair belongs to another account now: …UMQ7, not …UMA7."},
		} {
			w.run(w.store)
			sleep(10 * time.Minute)
			mu.Lock()
			change.set()
			mu.Unlock()
			sleep(2 * time.Minute)
			w.stop()
			w.run(w.store)
			sleep(10 * time.Minute)
			w.stop()
			if n := w.last(rotation.NoteAccount); n.Data[rotation.NoteStatus] != change.status || n.Data[rotation.NoteWhat] != change.what {
				t.Errorf("note %+v, want %q", n, change.what)
			}
		}
		if diff := cmp.Diff([]string{"account C0OPS", "account C0OPS", "account C0OPS", "account C0OPS"}, w.told()); diff != "" {
			t.Errorf("people told (-want +got):\n%s", diff)
		}
	})
}

// TestVaultChanged: another pair in the vault is told once, not if a rotation
// put it there; and nobody knows of a key set that was never rotated.
func TestVaultChanged(t *testing.T) {
	tests := []struct {
		name string
		past rotation.Record
		open bool
		want []string
	}{
		{"by somebody", rotation.Record{Print: "print-a"}, false, []string{"vault C0OPS"}},
		{"never rotated", rotation.Record{}, false, []string{"vault C0OPS"}},
		{"rotation open", rotation.Record{Print: "print-a"}, true, []string{}},
		{"by the last rotation", rotation.Record{Print: "print-z"}, false, []string{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			watching(t, 1, func(t *testing.T, w *outside) {
				w.ask = func(string) rotation.Probe {
					return rotation.Probe{Verdict: rotation.Valid, Status: 200, Account: accountOf("a")}
				}
				w.tower.past["a"] = rotation.Record{Print: "print-a"}
				if tt.past.Print == "" {
					w.tower.past["a"] = rotation.Record{}
				}
				w.run(w.store)
				sleep(5 * time.Minute)
				w.tower.mu.Lock()
				w.tower.past["a"] = tt.past
				if tt.open {
					w.tower.open["a"] = &rotation.Rotation{ID: "r9", KeySet: "a"}
				}
				w.tower.mu.Unlock()
				w.vaults["a"].set(func() { w.vaults["a"].pair = pairOf("z") })
				sleep(5 * time.Minute)
				w.stop()
				w.run(w.store)
				sleep(5 * time.Minute)
				if diff := cmp.Diff(tt.want, w.told()); diff != "" {
					t.Errorf("people told (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestBlind: a vault that cannot be read, or is empty, is told once after ten
// minutes, and again when it happens again.
func TestBlind(t *testing.T) {
	watching(t, 1, func(t *testing.T, w *outside) {
		v := w.vaults["a"]
		for i, fail := range []func(){
			func() { v.err = &fault.Error{Kind: fault.Denied, User: "Infisical refused the bot's login."} },
			func() { v.pair = rotation.Pair{} },
		} {
			w.run(w.store)
			sleep(5 * time.Minute)
			v.set(fail)
			sleep(8 * time.Minute)
			if n := len(w.told()); n != i {
				t.Errorf("%d notes after eight minutes, want %d", n, i)
			}
			sleep(time.Hour)
			w.stop()
			w.run(w.store)
			sleep(time.Hour)
			if n := len(w.told("blind")); n != i+1 {
				t.Errorf("%d notes after two hours, want %d", n, i+1)
			}
			if seen, err := w.s.Seen(t.Context(), "a"); err != nil || !strings.HasPrefix(seen.Problem, "vault_") || seen.State != "alive" {
				t.Errorf("Seen = %+v, %v, want why there is no answer", seen, err)
			}
			v.set(func() { v.err, v.pair = nil, pairOf("a") })
			sleep(5 * time.Minute)
			w.stop()
		}
		if n := len(w.tower.opened()); n != 0 {
			t.Errorf("%d rotations opened, want none", n)
		}
	})
}
