package rotation_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// The pair is in use over there, and this rotation ended meanwhile: the press has
// done what it was for.
func TestUseForWhileThisRotationEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, elsewhere := newWorld(), newWorld()
		elsewhere.vault.Pair = pairOf("ELSE")
		b := setUp(t, w, rotation.KeySet{Name: "staging", CadenceDays: 180, Place: "staging", Vault: fakeVault{elsewhere}})
		defer b.close()
		_, err := b.store.Txn(t.Context(), nil, []rotation.Op{{Key: "keyset/staging", Value: []byte(`{"keyset":"staging","baseline":{"id":"acc-2","number":"PA3OTHER9X02","status":"ACTIVE"}}`)}})
		b.must(err)
		id := b.open()
		b.goOn(id, false)
		b.paste(id, w.click("acc-2", "STG2"))
		b.asked(id)
		elsewhere.set(func() { elsewhere.vaultDown = true }) // step 1 over there takes its time
		type answer struct {
			id  rotation.ID
			err error
		}
		answered := make(chan answer, 1)
		go func() {
			other, err := b.engine.UseFor(t.Context(), operator, id, "staging")
			answered <- answer{other, err}
		}()
		synctest.Wait()
		b.paste(id, w.click("acc-1", "NEW1"))
		b.over(id)
		if len(answered) > 0 {
			t.Fatal("UseFor was over before the rotation, so this test shows nothing")
		}
		got := <-answered
		if got.err != nil {
			t.Errorf("UseFor = %v, want nil: it was done", got.err)
		}
		if r := b.now(got.id); len(r.Candidates) != 1 || r.Candidates[0].Last4 != "STG2" {
			t.Errorf("staging has %+v, want ····STG2", r.Candidates)
		}
	})
}

// A pair of an account that another key set has is not offered for adoption, also
// if that account is new and the old pair is dead: it is offered to its owner, and
// the advice says so.
func TestOwnedAccountIsNotOffered(t *testing.T) {
	for _, tt := range []struct {
		name, reason string
		created      time.Duration // of the account, after the rotation was opened
	}{
		{"an older account", rotation.ReasonOther, -time.Hour * 24 * 365},
		{"an account that was just opened", rotation.ReasonReplaced, time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				elsewhere := newWorld()
				elsewhere.vault.Pair = pairOf("ELSE")
				b := setUp(t, newWorld(), rotation.KeySet{Name: "staging", CadenceDays: 180, Place: "staging", Vault: fakeVault{elsewhere}})
				defer b.close()
				id := b.open()
				b.goOn(id, false)
				_, err := b.store.Txn(t.Context(), nil, []rotation.Op{{Key: "keyset/staging", Value: []byte(`{"keyset":"staging","baseline":{"id":"acc-9","number":"PA3FRESH00Z9","status":"ACTIVE"}}`)}})
				b.must(err)
				b.paste(id, b.replaced(time.Now().Add(tt.created)))
				r := b.fails(id, rotation.StepValidate, "")
				o, err := b.engine.Look(t.Context(), id)
				b.must(err)
				p := r.Step(rotation.StepValidate).Problem
				if p.Reason != tt.reason || !strings.Contains(p.Fix, "belongs to key set staging") || !strings.Contains(p.Fix, "Use the pair for staging") {
					t.Errorf("problem %q with the advice %q, want %q and what to do with a pair of staging", p.Reason, p.Fix, tt.reason)
				}
				var offers []string
				for _, offer := range o.Offers() {
					offers = append(offers, offer.What)
				}
				if slices.Contains(offers, rotation.PressAdopt) || !slices.Contains(offers, rotation.PressUseFor) {
					t.Errorf("offers %q, want the pair used for staging and not adopted", offers)
				}
			})
		})
	}
}
