package rotation_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// keys lists what is stored.
func (b *bench) keys() []string {
	b.t.Helper()
	kvs, err := b.store.List(b.t.Context(), "", "", 0)
	b.must(err)
	keys := make([]string, 0, len(kvs))
	for _, kv := range kvs {
		keys = append(keys, kv.Key)
	}
	return keys
}

// Check says the same as step 1 of a rotation would, and commits nothing but the
// last good snapshot.
func TestCheckIsStepOne(t *testing.T) {
	worlds := map[string]func(*world){
		"all is well":      func(*world) {},
		"a consumer fails": func(w *world) { w.notReady = map[string]bool{"ci": true} },
		"the pair is dead": func(w *world) { w.click("acc-1", "HAND") },
		"vendor down":      func(w *world) { w.down = true },
		"vault down":       func(w *world) { w.vaultDown = true },
		"no pair stored":   func(w *world) { w.vault = rotation.Stored{} },
		"no survey":        func(w *world) { w.unread = true },
	}
	for name, spoil := range worlds {
		t.Run(name, func(t *testing.T) {
			alone(t, func(t *testing.T, b *bench) {
				b.w.set(func() {
					b.w.survey = rotation.Survey{Positions: []rotation.Holding{{Symbol: "AAPL", Qty: "1"}}, OpenOrders: []rotation.Order{}}
				})
				spoil(b.w)
				before := b.keys()
				rep, err := b.engine.Check(t.Context(), "prod")
				b.must(err)
				added := slices.DeleteFunc(b.keys(), func(k string) bool { return slices.Contains(before, k) })
				if rep.Snapshot != nil && !slices.Equal(added, []string{"snapshot/prod"}) || rep.Snapshot == nil && len(added) != 0 {
					t.Errorf("Check stored %q, want the last good snapshot at most", added)
				}
				if rep.KeySet != "prod" || rep.At.IsZero() || rep.Due != "" || (rep.Snapshot == nil) != slices.Contains([]string{"the pair is dead", "vendor down", "vault down", "no pair stored", "no survey"}, name) {
					t.Errorf("report %+v", rep)
				}
				r := b.now(b.open())
				same := cmp.FilterPath(func(p cmp.Path) bool {
					return slices.Contains([]string{"Started", "Ended"}, strings.TrimPrefix(p.Last().String(), "."))
				}, cmp.Ignore())
				items := slices.Clone(r.Step(rotation.StepPrecheck).Items)
				for i := range items {
					if items[i].Name == rotation.CheckAudit { // says which row it wrote, which Check does not
						items[i].Detail = rep.Items[i].Detail
					}
				}
				if diff := cmp.Diff(items, rep.Items, same); diff != "" {
					t.Errorf("step 1 of a rotation (-) and Check (+) differ:\n%s", diff)
				}
			})
		})
	}
}

// What Check finds beside the items: due date and exposed times of the last
// rotations. A broken audit record is a failed item.
func TestCheckFacts(t *testing.T) {
	alone(t, func(t *testing.T, b *bench) {
		if _, err := b.engine.Check(t.Context(), "nope"); fault.ReasonOf(err) != "no_keyset" {
			t.Errorf("Check of no key set = %v, want no_keyset", err)
		}
		id := b.open()
		b.goOn(id, false)
		b.paste(id, b.w.click("acc-1", "NEW1"))
		r := b.over(id)
		rep, err := b.engine.Check(t.Context(), "prod")
		b.must(err)
		if rep.Due != r.Summary.NextDue || !slices.Equal(rep.Exposed, []int64{r.Summary.ExposedMS}) {
			t.Errorf("due %s, exposed %v; want %s and %d", rep.Due, rep.Exposed, r.Summary.NextDue, r.Summary.ExposedMS)
		}
		_, err = b.store.Txn(t.Context(), nil, []rotation.Op{{Key: "audit/head", Value: []byte(`{"seq":99,"hash":"00"}`)}})
		b.must(err)
		rep, err = b.engine.Check(t.Context(), "prod")
		b.must(err)
		i := slices.IndexFunc(rep.Items, func(it rotation.Item) bool { return it.Name == rotation.CheckAudit })
		if it := rep.Items[i]; it.State != rotation.Failed {
			t.Errorf("audit item %+v, want failed", it)
		}
	})
}

// Step 1 of a rotation whose pair is dead uses what was kept: the newest survey
// of the same account, never one of another or an older look.
func TestLastGoodSnapshot(t *testing.T) {
	probe := func(id string, at time.Time) rotation.Probe {
		return rotation.Probe{Verdict: rotation.Valid, Status: 200, At: at, Account: rotation.Account{ID: id, Number: "PA3ABCDE7Q01", Status: "ACTIVE", Equity: at.Format("05")}}
	}
	two := &rotation.Survey{Positions: []rotation.Holding{{Symbol: "AAPL", Qty: "1"}, {Symbol: "MSFT", Qty: "1"}}}
	none := &rotation.Survey{}
	tests := []struct {
		name   string
		keep   func(keep func(id string, after time.Duration, s *rotation.Survey) error)
		detail string // of the item; "": none was kept
		equity string
	}{
		{"nothing", func(func(string, time.Duration, *rotation.Survey) error) {}, "", ""},
		{"account and survey", func(keep func(string, time.Duration, *rotation.Survey) error) { _ = keep("acc-1", 0, two) }, "5 min old: 2 positions", "00"},
		{"the account is newer", func(keep func(string, time.Duration, *rotation.Survey) error) {
			_ = keep("acc-1", 0, two)
			_ = keep("acc-1", 7*time.Second, nil)
		}, "5 min old: 2 positions", "07"},
		{"an older look comes late", func(keep func(string, time.Duration, *rotation.Survey) error) {
			_ = keep("acc-1", 9*time.Second, two)
			_ = keep("acc-1", 7*time.Second, none)
		}, "4 min old: 2 positions", "09"},
		{"a newer survey", func(keep func(string, time.Duration, *rotation.Survey) error) {
			_ = keep("acc-1", 0, two)
			_ = keep("acc-1", 2*time.Minute, none)
		}, "3 min old: 0 positions", "00"},
		{"another account", func(keep func(string, time.Duration, *rotation.Survey) error) {
			_ = keep("acc-0", 0, two)
			_ = keep("acc-1", 7*time.Second, nil)
		}, "positions and open orders are not known", "07"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			alone(t, func(t *testing.T, b *bench) {
				began := time.Now()
				tt.keep(func(id string, after time.Duration, s *rotation.Survey) error {
					err := b.engine.Snapshot(t.Context(), "prod", probe(id, began.Add(after)), s)
					b.must(err)
					return err
				})
				time.Sleep(5 * time.Minute)
				b.w.click("acc-1", "HAND")
				id, _, err := b.engine.Start(t.Context(), operator, "prod")
				b.must(err)
				r := b.checked(id)
				it := r.Step(rotation.StepPrecheck).Item(rotation.CheckAccount)
				if tt.detail == "" {
					if it.State != rotation.Failed || r.Snapshot != nil {
						t.Errorf("item %s, snapshot %v; want failed and none", it.State, r.Snapshot)
					}
					return
				}
				if it.State != rotation.Done || it.Level != rotation.Unproven || !strings.Contains(it.Detail, tt.detail) || r.Snapshot == nil || r.Snapshot.Account.Equity != tt.equity || !r.Snapshot.Kept {
					t.Errorf("item %s %s %q, snapshot %+v; want %q with equity %s", it.State, it.Level, it.Detail, r.Snapshot, tt.detail, tt.equity)
				}
			})
		})
	}
}

// What is no look at an account is not kept, and a rotation's own step 1 keeps
// its snapshot for later.
func TestSnapshotKept(t *testing.T) {
	alone(t, func(t *testing.T, b *bench) {
		for _, p := range []rotation.Probe{{Verdict: rotation.Invalid}, {Verdict: rotation.Unknown}, {Verdict: rotation.Valid}} {
			b.refused("Snapshot of "+string(p.Verdict), b.engine.Snapshot(t.Context(), "prod", p, nil), "no_snapshot")
		}
		b.refused("of no key set", b.engine.Snapshot(t.Context(), "nope", b.w.Probe(t.Context(), b.w.vault.Pair), nil), "no_keyset")
		b.must(b.engine.Cancel(t.Context(), operator, b.open(), "only a look"))
		at := time.Now()
		time.Sleep(time.Hour)
		b.w.click("acc-1", "HAND")
		id, _, err := b.engine.Start(t.Context(), operator, "prod")
		b.must(err)
		if r := b.checked(id); r.Snapshot == nil || r.Snapshot.At.After(at) || r.Snapshot.Account.ID != "acc-1" {
			t.Errorf("snapshot %+v, want the one of an hour ago", r.Snapshot)
		}
	})
}

// A snapshot that the rotation took itself stays when its pair dies afterwards.
func TestOwnSnapshotStays(t *testing.T) {
	alone(t, func(t *testing.T, b *bench) {
		block := func(flags ...string) {
			b.w.set(func() { a := b.w.accounts["acc-1"]; a.Flags = flags; b.w.accounts["acc-1"] = a })
		}
		block("trading_blocked") // the check of the pair fails, and can be done again
		id := b.open()
		before := b.now(id)
		block()
		b.w.click("acc-1", "HAND")
		_, err := b.store.Txn(t.Context(), nil, []rotation.Op{{Key: "snapshot/prod", Delete: true}})
		b.must(err)
		time.Sleep(3 * time.Minute)
		b.must(b.engine.Retry(t.Context(), operator, id, rotation.StepPrecheck, 1, ""))
		r := b.until(id, "the pair was found dead", func(r *rotation.Rotation) bool {
			s := r.Step(rotation.StepPrecheck)
			return s.Item(rotation.CheckPair).Problem.Reason == "old_rejected" && s.Item(rotation.CheckShared).State == rotation.Done
		})
		it := r.Step(rotation.StepPrecheck).Item(rotation.CheckAccount)
		if r.Snapshot == nil || !r.Snapshot.At.Equal(before.Snapshot.At) || r.Snapshot.Kept || !strings.Contains(it.Detail, "3 min old") {
			t.Errorf("snapshot %+v (%s), want its own of %s", r.Snapshot, it.Detail, before.Snapshot.At)
		}
	})
}
