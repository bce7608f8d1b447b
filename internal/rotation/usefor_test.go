package rotation_test

import (
	"testing"
	"testing/synctest"

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
