package rotation_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// An accident is what happened to a key in truth, and what the bot could see.
type accident struct {
	name  string
	truth rotation.Cause
	clean bool // the evidence is; else the classifier must say unknown
	// happen makes it happen to prod and returns the pair that is pasted.
	happen func(*bench) rotation.Pair
	blind  bool // nothing was seen of the account before
	word   bool // a person says so, the bot saw nothing
}

// replaced deletes prod's account and opens another one, created at.
func (b *bench) replaced(created time.Time) rotation.Pair {
	b.w.set(func() {
		b.w.diedAt[b.w.vault.Pair.KeyID.Reveal()] = time.Now()
		b.w.accounts["acc-9"] = rotation.Account{ID: "acc-9", Number: "PA3FRESH00Z9", Status: "ACTIVE", Cash: "100000", Equity: "100000", CreatedAt: created}
	})
	return b.w.click("acc-9", "NEW9")
}

func (b *bench) mute(p rotation.Pair) {
	b.w.set(func() { b.w.mute = map[string]bool{p.Last4(): true} })
}

func accidents() []accident {
	regenerate := func(b *bench) rotation.Pair { return b.w.click("acc-1", "NEW1") }
	return []accident{
		{name: "somebody generated", truth: rotation.CauseRegenerated, clean: true, happen: regenerate},
		{name: "somebody generated twice", truth: rotation.CauseRegenerated, clean: true, happen: func(b *bench) rotation.Pair { regenerate(b); return b.w.click("acc-1", "NEW2") }},
		{name: "generated, said by a person", truth: rotation.CauseRegenerated, clean: true, word: true, happen: regenerate},
		{name: "generated, account never seen", truth: rotation.CauseRegenerated, blind: true, happen: regenerate},
		{name: "generated, old pair not readable", truth: rotation.CauseRegenerated, happen: func(b *bench) rotation.Pair { b.w.set(func() { b.w.vaultDown = true }); return regenerate(b) }},
		{name: "generated, no answer to the old pair", truth: rotation.CauseRegenerated, word: true, happen: func(b *bench) rotation.Pair { b.mute(b.w.vault.Pair); return regenerate(b) }},
		{name: "generated, the number changed", truth: rotation.CauseRegenerated, happen: func(b *bench) rotation.Pair {
			p := regenerate(b)
			b.w.set(func() { a := b.w.accounts["acc-1"]; a.Number = "PA3ODD000X01"; b.w.accounts["acc-1"] = a })
			return p
		}},
		{name: "account deleted, new one opened", truth: rotation.CauseReplaced, clean: true, happen: func(b *bench) rotation.Pair { return b.replaced(time.Now()) }},
		{name: "replaced, said by a person", truth: rotation.CauseReplaced, clean: true, word: true, happen: func(b *bench) rotation.Pair { return b.replaced(time.Now()) }},
		{name: "new account opened an hour before", truth: rotation.CauseReplaced, happen: func(b *bench) rotation.Pair { return b.replaced(time.Now().Add(-time.Hour)) }},
		{name: "replaced, age not told", truth: rotation.CauseReplaced, happen: func(b *bench) rotation.Pair { return b.replaced(time.Time{}) }},
		{name: "replaced, account never seen", truth: rotation.CauseReplaced, blind: true, happen: func(b *bench) rotation.Pair { return b.replaced(time.Now()) }},
		{name: "replaced, no answer to the old pair", truth: rotation.CauseReplaced, word: true, happen: func(b *bench) rotation.Pair {
			b.mute(b.w.vault.Pair)
			return b.replaced(time.Now())
		}},
		{name: "pasted from an older account", truth: rotation.CauseWrong, clean: true, happen: func(b *bench) rotation.Pair { regenerate(b); return b.w.click("acc-2", "ELS2") }},
		{name: "older account, nothing had died", truth: rotation.CauseWrong, clean: true, word: true, happen: func(b *bench) rotation.Pair { return b.w.click("acc-2", "ELS2") }},
		{name: "pasted from another key set", truth: rotation.CauseWrong, clean: true, happen: func(b *bench) rotation.Pair {
			regenerate(b)
			return b.w.click("acc-3", "STG2")
		}},
		{name: "a new account beside the old one", truth: rotation.CauseWrong, clean: true, word: true, happen: func(b *bench) rotation.Pair {
			b.w.set(func() {
				b.w.accounts["acc-8"] = rotation.Account{ID: "acc-8", Number: "PA3THIRD00T8", Status: "ACTIVE", CreatedAt: time.Now()}
			})
			return b.w.click("acc-8", "NEW8")
		}},
		{name: "account of yesterday", truth: rotation.CauseWrong, happen: func(b *bench) rotation.Pair {
			regenerate(b)
			b.w.set(func() {
				b.w.accounts["acc-8"] = rotation.Account{ID: "acc-8", Number: "PA3THIRD00T8", Status: "ACTIVE", CreatedAt: time.Now().Add(-20 * time.Hour)}
			})
			return b.w.click("acc-8", "NEW8")
		}},
	}
}

// classified lets an accident happen and returns what the engine makes of it.
func (a accident) classified(t *testing.T) (got rotation.Cause) {
	synctest.Test(t, func(t *testing.T) {
		w, elsewhere := newWorld(), newWorld()
		w.accounts["acc-3"] = rotation.Account{ID: "acc-3", Number: "PA3STAGE0S03", Status: "ACTIVE", CreatedAt: time.Now().Add(-time.Minute)}
		elsewhere.vault.Pair = w.click("acc-3", "STG1")
		staging := rotation.KeySet{Name: "staging", Place: "staging", Vault: fakeVault{elsewhere}}
		b := setUp(t, w, staging)
		defer b.close()
		first, _, err := b.engine.Start(t.Context(), operator, "staging") // so that its account is known
		b.must(err)
		b.checked(first)
		seen := w.Probe(t.Context(), w.vault.Pair)
		if !a.blind {
			b.must(b.engine.Snapshot(t.Context(), "prod", seen, &rotation.Survey{}))
		}
		s := rotation.Sighting{KeySet: "prod", Print: b.sealer.Print(w.vault.Pair), LastOK: seen.At}
		time.Sleep(time.Minute)
		pasted := a.happen(b)
		time.Sleep(time.Minute)
		s.Since = time.Now()
		var id rotation.ID
		if a.word {
			id, _, err = b.engine.Reset(t.Context(), bob, "prod", "it is dead")
		} else {
			id, err = b.engine.Force(t.Context(), s)
		}
		b.must(err)
		time.Sleep(16 * time.Second)
		problems, err := b.engine.GoOn(t.Context(), operator, id, rotation.GoOn{Trigger: rotation.TriggerReset, Reason: "dead", Ticks: allTicks()})
		if err != nil || len(problems) > 0 {
			t.Fatalf("%s: GoOn = %v, %v", a.name, problems, err)
		}
		b.paste(id, pasted)
		got = b.until(id, "classified", func(r *rotation.Rotation) bool { return r.Accident != nil }).Accident.Cause
	})
	return got
}

// The classifier over scripted accidents: every clean case is right, and every
// other one is unknown. The matrix is printed.
func TestClassifierConfusion(t *testing.T) {
	causes := []rotation.Cause{rotation.CauseRegenerated, rotation.CauseReplaced, rotation.CauseWrong, rotation.CauseUnknown}
	type cell struct {
		truth rotation.Cause
		clean bool
		got   rotation.Cause
	}
	matrix := map[cell]int{}
	for _, a := range accidents() {
		got := a.classified(t)
		matrix[cell{a.truth, a.clean, got}]++
		want := a.truth
		if !a.clean {
			want = rotation.CauseUnknown
		}
		if got != want {
			t.Errorf("%s: %s, want %s", a.name, got, want)
		}
	}
	var out strings.Builder
	fmt.Fprintf(&out, "\n%-26s", "in truth \\ classified")
	for _, c := range causes {
		fmt.Fprintf(&out, "%18s", c)
	}
	for _, clean := range []bool{true, false} {
		for _, truth := range causes[:3] {
			fmt.Fprintf(&out, "\n%-26s", string(truth)+map[bool]string{true: ", clean", false: ", unclear"}[clean])
			for _, c := range causes {
				fmt.Fprintf(&out, "%18d", matrix[cell{truth, clean, c}])
			}
		}
	}
	t.Log(out.String())
}

// What was lost with a replaced account is known as soon as the new pair works,
// and stands in the record: positions, orders and balance of the last good
// snapshot, which says how old it is.
func TestReplacedAccountRecord(t *testing.T) {
	alone(t, func(t *testing.T, b *bench) {
		b.w.set(func() {
			a := b.w.accounts["acc-1"]
			a.Cash, a.Equity = "250.10", "1250"
			b.w.accounts["acc-1"] = a
		})
		survey := rotation.Survey{
			Positions:  []rotation.Holding{{Symbol: "AAPL", Qty: "10"}},
			OpenOrders: []rotation.Order{{ID: "o-1", ClientID: "c-1", Symbol: "MSFT", Side: "buy", Qty: "2"}},
		}
		seen := b.w.Probe(t.Context(), b.w.vault.Pair)
		b.must(b.engine.Snapshot(t.Context(), "prod", seen, &survey))
		s := rotation.Sighting{KeySet: "prod", Print: b.sealer.Print(b.w.vault.Pair), LastOK: seen.At}
		time.Sleep(3 * time.Hour)
		fresh := b.replaced(time.Now())
		s.Since = time.Now()
		id, err := b.engine.Force(t.Context(), s)
		b.must(err)
		r := b.checked(id)
		it := r.Step(rotation.StepPrecheck).Item(rotation.CheckAccount)
		if it.State != rotation.Done || it.Level != rotation.Unproven || !strings.Contains(it.Detail, "3 h old") || r.Snapshot == nil || !r.Snapshot.Kept || !r.Snapshot.At.Equal(seen.At) {
			t.Errorf("snapshot item %s %s %q, snapshot %+v; want the last good one, 3 h old", it.State, it.Level, it.Detail, r.Snapshot)
		}
		b.goOn(id, false)
		b.paste(id, fresh)
		r = b.fails(id, rotation.StepValidate, "")
		want := []string{"position 10 AAPL: gone", "order buy 2 MSFT: gone", "equity: 1250 before, 100000 now", "cash: 250.10 before, 100000 now"}
		if p := r.Step(rotation.StepValidate).Problem; p.Reason != "account_replaced" || !strings.Contains(p.Text, "created after the old pair last worked") {
			t.Errorf("problem %+v, want that the account was replaced before the rotation began", p)
		}
		if a := r.Accident; a == nil || a.Cause != rotation.CauseReplaced || !slices.Equal(a.Lost, want) || a.Expected != "…7Q01" || a.Found != "…00Z9" {
			t.Errorf("accident %+v, want replaced, …7Q01 by …00Z9, lost %q", r.Accident, want)
		}
		b.must(b.engine.Adopt(t.Context(), operator, id, r.Step(rotation.StepValidate).Round, "00Z9", "we reset it"))
		r = b.over(id)
		if r.Summary.Cause != rotation.CauseReplaced || !slices.Equal(r.Summary.Lost, want) {
			t.Errorf("summary: cause %q, lost %q; want replaced and %q, also after Adopt", r.Summary.Cause, r.Summary.Lost, want)
		}
		row := b.actions(id, "secret.rotate.completed")[0]
		evidence, _ := row.Context["evidence"].(map[string]any)
		if row.Context["cause"] != "account_replaced" || evidence["account"] != "…00Z9" || row.Context["snapshot_at"] != seen.At.UTC().Format(time.RFC3339Nano) {
			t.Errorf("completed row: cause %v, evidence %v, snapshot_at %v", row.Context["cause"], evidence, row.Context["snapshot_at"])
		}
		// The next accident is measured against the new account.
		if past, err := b.engine.History(t.Context(), "prod", 1); err != nil || past[0].Cause != rotation.CauseReplaced {
			t.Errorf("History = %+v, %v, want the cause", past, err)
		}
		next, err := b.engine.Force(t.Context(), rotation.Sighting{KeySet: "prod", Print: b.sealer.Print(b.w.vault.Pair), Since: time.Now(), LastOK: time.Now()})
		b.must(err)
		b.w.click("acc-9", "HND9")
		b.checked(next)
		b.must(b.engine.ItWasMe(t.Context(), bob, next, rotation.ClaimRegenerated))
		b.paste(next, pairOf("HND9"))
		if r := b.over(next); r.Summary.Cause != rotation.CauseRegenerated || len(r.Summary.Lost) != 0 {
			t.Errorf("next: cause %q, lost %q; want regenerated, nothing lost", r.Summary.Cause, r.Summary.Lost)
		}
	})
}
