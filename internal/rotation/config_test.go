package rotation_test

import (
	"fmt"
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

// Each consumer that is new in bot.yml has a row of its own, also where the first
// of them has the step done again already.
func TestRowsAboutNewConsumers(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench, id rotation.ID) {
		b.w.set(func() { b.w.linger = time.Hour })
		b.paste(id, b.w.click("acc-1", "NEW1"))
		b.until(id, "verified", func(r *rotation.Rotation) bool { return r.Step(rotation.StepVerify).State == rotation.Done })
		b.stop()
		b.target = func(was []rotation.Target) []rotation.Target {
			for _, name := range []string{"new-1", "new-2"} {
				was = append(was, rotation.Target{Name: name, Kind: "heroku", Counts: true, Consumer: fakeConsumer{b.w, name}})
			}
			return was
		}
		b.start()
		b.w.set(func() { b.w.linger = 0 })
		b.over(id)
		got := map[string]int{}
		for _, row := range b.actions(id, "secret.rotate.deviation") {
			got[fmt.Sprint(row.Step, ": ", row.Context["what"])]++
		}
		for _, step := range []rotation.StepName{rotation.StepPropagate, rotation.StepVerify} {
			for _, name := range []string{"new-1", "new-2"} {
				if what := fmt.Sprint(step, ": ", name, " was added to bot.yml"); got[what] != 1 {
					t.Errorf("%d rows say %q, want one; all: %v", got[what], what, got)
				}
			}
		}
	})
}
