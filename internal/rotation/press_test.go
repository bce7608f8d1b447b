package rotation_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// R88: every button is bound to rotation, step and round, and dead after its
// press. The second press of each changes nothing, and the record says who was
// first and when.
func TestSecondPressIsLate(t *testing.T) {
	block := func(b *bench) {
		acc := b.w.accounts["acc-1"]
		acc.Flags = []string{"trading_blocked"}
		b.w.accounts["acc-1"] = acc
	}
	tests := []struct {
		what    string
		step    rotation.StepName
		item    string
		account string       // of the pair that is pasted; "": the usual one
		world   func(*bench) // under its lock
		ready   string       // what the step must show: failed, or with a colon the reason of its problem
		press   func(b *bench, by rotation.Actor, id rotation.ID, round int) error
	}{
		{what: rotation.PressRetry, step: rotation.StepPropagate, item: "ci", press: func(b *bench, by rotation.Actor, id rotation.ID, round int) error {
			b.w.set(func() { b.w.lag = map[string]time.Duration{"ci": time.Hour} }) // so that it has not failed again
			return b.engine.Retry(t.Context(), by, id, rotation.StepPropagate, round, "ci")
		}},
		{what: rotation.PressAccept, step: rotation.StepPropagate, item: "ci", world: func(b *bench) { b.w.linger = time.Hour }, press: func(b *bench, by rotation.Actor, id rotation.ID, round int) error {
			return b.engine.Accept(t.Context(), by, id, rotation.StepPropagate, round, "ci", "it is off")
		}},
		{what: rotation.PressRedo, step: rotation.StepPropagate, press: func(b *bench, by rotation.Actor, id rotation.ID, round int) error {
			return b.engine.Redo(t.Context(), by, id, rotation.StepPropagate, round)
		}},
		{what: rotation.PressRegenerate, step: rotation.StepPropagate, press: func(b *bench, by rotation.Actor, id rotation.ID, round int) error {
			return b.engine.Regenerate(t.Context(), by, id, rotation.StepPropagate, round)
		}},
		{what: rotation.PressStoreAnyway, step: rotation.StepValidate, ready: "account_blocked", world: block, press: func(b *bench, by rotation.Actor, id rotation.ID, round int) error {
			return b.engine.StoreAnyway(t.Context(), by, id, round, "support is on it")
		}},
		{what: rotation.PressStoreLater, step: rotation.StepStore, ready: "unavailable", world: func(b *bench) { b.w.vaultDown = true }, press: func(b *bench, by rotation.Actor, id rotation.ID, round int) error {
			return b.engine.StoreLaterNow(t.Context(), by, id, round, "trading is down")
		}},
		{what: rotation.PressAdopt, step: rotation.StepValidate, ready: "other_account", account: "acc-2", press: func(b *bench, by rotation.Actor, id rotation.ID, round int) error {
			return b.engine.Adopt(t.Context(), by, id, round, "9X02", "it is ours")
		}},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench, id rotation.ID) {
				account := "acc-1"
				if tt.account != "" {
					account = tt.account
					b.w.click("acc-1", "GONE") // the old pair is dead
				}
				live := b.w.click(account, "NEW1")
				b.w.set(func() {
					b.w.applyFail["ci"] = []error{denied(), denied(), denied()}
					if tt.world != nil {
						tt.world(b)
					}
				})
				b.paste(id, live)
				b.until(id, "a press is wanted", func(r *rotation.Rotation) bool {
					s := r.Step(tt.step)
					it := s.Item("ci")
					return tt.ready != "" && s.Problem.Reason == tt.ready || tt.ready == "" && it != nil && it.State == rotation.Failed
				})
				time.Sleep(3 * time.Minute)
				synctest.Wait()
				round := b.round(id, tt.step)
				at := time.Now()
				b.must(tt.press(b, operator, id, round))
				second := tt.press(b, bob, id, round)
				b.refused("the second press", second, "late")
				time.Sleep(time.Second)
				b.refused("and a second later", tt.press(b, bob, id, round), "late")
				r := b.now(id)
				p, ok := r.Pressed(tt.what, tt.step, round, tt.item)
				if !ok || p.By.ID != operator.ID || !p.At.Equal(at) {
					t.Errorf("Pressed = %+v, %t, want %s at %s", p, ok, operator.ID, at)
				}
				n := 0
				for _, x := range r.Presses {
					if x.What == tt.what {
						n++
					}
				}
				if n != 1 {
					t.Errorf("%d presses of %s are recorded, want 1", n, tt.what)
				}
			})
		})
	}
}

// R88: a press of a button that was made for an earlier round, or of another
// button, is told from one that was pressed.
func TestPressed(t *testing.T) {
	at := func(m int) time.Time { return time.Date(2026, 4, 24, 12, m, 0, 0, time.UTC) }
	press := func(what string, step rotation.StepName, round int, item string, m int) rotation.Press {
		return rotation.Press{What: what, Step: step, Round: round, Item: item, At: at(m)}
	}
	r := rotation.Rotation{Presses: []rotation.Press{
		press(rotation.PressRetry, rotation.StepPropagate, 1, "", 1),
		press(rotation.PressAccept, rotation.StepPropagate, 1, "ci", 2),
		press(rotation.PressRedo, rotation.StepVerify, 1, "", 3),
		press(rotation.PressRedo, rotation.StepVerify, 3, "", 4),
	}}
	tests := []struct {
		what  string
		step  rotation.StepName
		round int
		item  string
		want  int // minute; 0: nobody
	}{
		{rotation.PressRetry, rotation.StepPropagate, 1, "", 1},
		{rotation.PressRetry, rotation.StepPropagate, 1, "api", 1}, // the whole step was
		{rotation.PressRetry, rotation.StepVerify, 1, "api", 0},
		{rotation.PressAccept, rotation.StepVerify, 1, "ci", 2}, // it covers both steps
		{rotation.PressAccept, rotation.StepPropagate, 1, "api", 0},
		{rotation.PressRedo, rotation.StepVerify, 1, "", 3},
		{rotation.PressRedo, rotation.StepStore, 1, "", 4}, // from another step: the newest
		{rotation.PressRegenerate, rotation.StepVerify, 1, "", 0},
	}
	for _, tt := range tests {
		p, ok := r.Pressed(tt.what, tt.step, tt.round, tt.item)
		if want := tt.want != 0; ok != want || ok && !p.At.Equal(at(tt.want)) {
			t.Errorf("Pressed(%s, %s, %d, %q) = %+v, %t, want minute %d", tt.what, tt.step, tt.round, tt.item, p, ok, tt.want)
		}
	}
}

// A hundred presses do not fill the record.
func TestPressesAreBounded(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench, id rotation.ID) {
		b.w.set(func() {
			for range 101 {
				b.w.applyFail["ci"] = append(b.w.applyFail["ci"], denied())
			}
		})
		b.paste(id, b.w.click("acc-1", "NEW1"))
		for range 100 {
			b.fails(id, rotation.StepPropagate, "ci")
			b.must(b.engine.Retry(t.Context(), operator, id, rotation.StepPropagate, 1, "ci"))
			synctest.Wait()
		}
		if r := b.now(id); len(r.Presses) != 50 {
			t.Errorf("%d presses are kept, want 50", len(r.Presses))
		}
	})
}

// R64, R89: a consumer that fails has a row at once, though its step goes on for
// as long as another one takes.
func TestFailedItemHasItsRowAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench, id rotation.ID) {
		b.w.set(func() {
			b.w.applyFail["ci"] = []error{&fault.Error{Kind: fault.Transient, Reason: "server"}, denied()}
			b.w.lag = map[string]time.Duration{"api": time.Minute}
		})
		b.paste(id, b.w.click("acc-1", "NEW1"))
		b.fails(id, rotation.StepPropagate, "ci")
		var found []string
		for _, row := range b.rows(id) {
			if row.Row.Action == "secret.rotate.failed" {
				found = append(found, fmt.Sprint(row.Row.Step, row.Row.Context["item"], row.Row.Context["reason"], row.Row.Context["tries"]))
			}
		}
		if want := fmt.Sprint(rotation.StepPropagate, "ci", "no_permission", 1); len(found) != 1 || found[0] != want {
			t.Errorf("rows of failure %q, want one: %q", found, want)
		}
	})
}
