package jobs_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/jobs"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
	"github.com/raxx-app/keyturn/internal/state"
)

var (
	_ jobs.Watchtower = (*rotation.Engine)(nil)
	_ jobs.Desk       = (*rotation.Engine)(nil)
)

// A drive is a real engine, with a ladder, in a world.
type drive struct {
	*rotation.Engine
	stop func()
}

// driving replaces the tower by the real engine.
func driving(t *testing.T, w *outside) *drive {
	t.Helper()
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := state.LoadSealer(t.Context(), w.store, secret.New(key.String()))
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	e := rotation.New(rotation.Config{
		Store: w.store, Chain: state.NewChain(w.store), Sealer: sealer, Vendor: w, KeySets: w.sets, Zone: time.UTC,
		Tell: func(rotation.ID) { w.box.Wake() }, Now: time.Now, Log: log,
	})
	w.engine, w.print = e, sealer.Print
	w.run(w.store)
	ladder := jobs.NewLadder(jobs.LadderConfig{Outbox: w.box, Desk: e, People: w.floor, Owners: map[string][]string{"a": {"U0OWN"}}, Channel: "C0OPS", Now: time.Now, Log: log})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = e.Run(ctx) })
	wg.Go(func() { _ = ladder.Run(ctx) })
	return &drive{Engine: e, stop: func() {
		cancel()
		wg.Wait()
	}}
}

// TestForcedRotation: a dead key opens a forced rotation by itself (R10, R85),
// on-call is paged, the ladder goes on, and it stands down when the key turns
// out alive; all with the real engine.
func TestForcedRotation(t *testing.T) {
	watching(t, 1, func(t *testing.T, w *outside) {
		over := &closer{}
		w.closer = over
		d := driving(t, w)
		defer d.stop()
		sleep(5 * time.Minute)
		w.dead("a")
		sleep(20 * time.Minute)
		id, err := d.Active(t.Context(), "a")
		if err != nil {
			t.Fatalf("no rotation is open: %v", err)
		}
		o, err := d.Look(t.Context(), id)
		if err != nil || o.Rotation.Trigger != rotation.TriggerReset || o.Rotation.Operator.ID != rotation.BotActor || o.Rotation.FirstRejected.IsZero() || o.Rotation.LastOK.IsZero() {
			t.Errorf("rotation %+v, %v, want a forced one by the bot that knows since when", o.Rotation, err)
		}
		if diff := cmp.Diff([]string{"forced U0BOB", "waiting U0OWN"}, w.told()); diff != "" {
			t.Errorf("people told (-want +got):\n%s", diff)
		}
		if keys, open := w.phone.keys(); len(keys) != 1 || open != 1 || keys[0] != string(id) {
			t.Errorf("alerts %v, %d open, want one for %s", keys, open, id)
		}
		w.asks(nil)
		sleep(7 * time.Minute)
		if o, err = d.Look(t.Context(), id); err != nil || o.Rotation.Outcome != rotation.StoodDown {
			t.Errorf("outcome %q, %v, want %q", o.Rotation.Outcome, err, rotation.StoodDown)
		}
		if diff := cmp.Diff([]string{"alive C0OPS", "alive U0BOB"}, w.told("alive")); diff != "" {
			t.Errorf("people told that it is over (-want +got):\n%s", diff)
		}
		if _, open := w.phone.keys(); open != 0 {
			t.Errorf("%d alerts open, want none", open)
		}
		if len(over.refs) != 1 || over.due != string(rotation.StoodDown) {
			t.Errorf("%d pages were ended as %q, want Bob's, as stood down", len(over.refs), over.due)
		}
	})
}

// "It was me" stops page and ladder, and from then on only people close it.
func TestItWasMeStopsThePage(t *testing.T) {
	watching(t, 1, func(t *testing.T, w *outside) {
		d := driving(t, w)
		defer d.stop()
		w.dead("a")
		sleep(3 * time.Minute)
		id, err := d.Active(t.Context(), "a")
		if err == nil {
			err = d.ItWasMe(t.Context(), rotation.Actor{ID: "U0ADA"}, id, rotation.ClaimRegenerated)
		}
		if err != nil {
			t.Fatal(err)
		}
		sleep(time.Hour)
		if diff := cmp.Diff([]string{"forced U0BOB"}, w.told()); diff != "" {
			t.Errorf("people told (-want +got):\n%s", diff)
		}
		w.asks(nil)
		sleep(20 * time.Minute)
		if o, err := d.Look(t.Context(), id); err != nil || o.Rotation.Outcome != rotation.Open {
			t.Errorf("outcome %q, %v, want that it is open", o.Rotation.Outcome, err)
		}
	})
}
