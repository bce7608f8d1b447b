package rotation_test

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/state"
)

// 3.4: while its rotation is open a key set may neither leave bot.yml nor move
// to another place in Infisical: the bot says so and does not start.
func TestConfigRefusedWhileOpen(t *testing.T) {
	load := func(b *bench, sets ...rotation.KeySet) error {
		sealer, err := state.LoadSealer(b.t.Context(), b.store, stateKey(b.t))
		if err != nil {
			b.t.Fatal(err)
		}
		engine := rotation.New(rotation.Config{
			Store: b.store, Chain: state.NewChain(b.store), Sealer: sealer, Vendor: b.w, Book: b.w, Now: time.Now,
			Log: slog.New(slog.DiscardHandler), KeySets: sets,
		})
		return engine.Load(b.t.Context())
	}
	synctest.Test(t, func(t *testing.T) {
		b := setUp(t, newWorld())
		defer b.close()
		b.open()
		synctest.Wait() // step 1 waits for the operator: nobody else writes
		b.refused("without the key set", load(b), "no_keyset")
		b.refused("at another place", load(b, rotation.KeySet{Name: "prod", Place: "project p, prod, /elsewhere", Vault: fakeVault{b.w}}), "place_changed")
		b.must(load(b, rotation.KeySet{Name: "prod", Place: "project p, prod, /", Vault: fakeVault{b.w}}))
	})
}
