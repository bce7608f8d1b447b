package rotation_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// A crier is a consumer that tells people, as developers does.
type crier struct {
	fakeConsumer
	people string
}

func (c crier) Apply(ctx context.Context, d rotation.Delivery) (rotation.Receipt, error) {
	r, err := c.fakeConsumer.Apply(ctx, d)
	r.Data = map[string]string{rotation.DataPeople: c.people}
	return r, err
}

// told restarts the bench with developers who are told.
func (b *bench) told(people string) {
	b.t.Helper()
	b.stop()
	b.target = func(was []rotation.Target) []rotation.Target {
		was[2].Consumer = crier{fakeConsumer{b.w, "dev"}, people}
		return was
	}
	b.start()
}

// History is of one key set, newest first, open ones too.
func TestHistory(t *testing.T) {
	alone(t, func(t *testing.T, b *bench) {
		var ids []rotation.ID
		rotate := func(tail string) {
			id := b.open()
			b.goOn(id, false)
			fresh := b.w.click("acc-1", tail)
			time.Sleep(7 * time.Second)
			b.paste(id, fresh)
			b.over(id)
			ids = append(ids, id)
		}
		rotate("NEW1")
		cancelled := b.open()
		b.must(b.engine.Cancel(t.Context(), operator, cancelled, "wrong evening"))
		time.Sleep(time.Hour)
		rotate("NEW2")
		time.Sleep(time.Hour)
		open := b.open()
		got, err := b.engine.History(t.Context(), "prod", 0)
		b.must(err)
		type line struct {
			ID       rotation.ID
			Outcome  rotation.Outcome
			Old, New string
			Exposed  bool
		}
		var lines []line
		for _, p := range got {
			lines = append(lines, line{p.ID, p.Outcome, p.OldLast4, p.NewLast4, p.AtMost > 0})
			if p.KeySet != "prod" || p.Operator.Admin != "ada@raxx.app" || p.Opened.IsZero() || p.Closed.IsZero() != (p.Outcome == rotation.Open) {
				t.Errorf("past %+v", p)
			}
		}
		want := []line{
			{open, rotation.Open, "NEW2", "", false},
			{ids[1], rotation.Completed, "NEW1", "NEW2", true},
			{cancelled, rotation.Cancelled, "NEW1", "", false},
			{ids[0], rotation.Completed, "OLD1", "NEW1", true},
		}
		if diff := cmp.Diff(want, lines); diff != "" {
			t.Errorf("History (-want +got):\n%s", diff)
		}
		if got, err := b.engine.History(t.Context(), "prod", 2); err != nil || len(got) != 2 || got[0].ID != open {
			t.Errorf("History of 2 = %+v, %v, want the newest two", got, err)
		}
		if got, err := b.engine.History(t.Context(), "staging", 0); err != nil || len(got) != 0 {
			t.Errorf("History of another key set = %+v, %v, want none", got, err)
		}
	})
}

// R9: who has handled the present pair, and nobody from before it.
func TestHands(t *testing.T) {
	alone(t, func(t *testing.T, b *bench) {
		b.told("U0DEV U0EVE")
		if hands, err := b.engine.Hands(t.Context()); err != nil || len(hands) != 0 {
			t.Errorf("Hands before any rotation = %v, %v, want none", hands, err)
		}
		for _, tail := range []string{"NEW1", "NEW2"} {
			id := b.open()
			b.goOn(id, false)
			if tail == "NEW1" {
				b.must(b.engine.TakeOver(t.Context(), rotation.Actor{ID: "U0GONE"}, id))
			}
			b.must(b.engine.Visited(t.Context(), bob, id))
			b.paste(id, b.w.click("acc-1", tail))
			b.over(id)
			_, err := b.engine.Updated(t.Context(), rotation.Actor{ID: "U0EVE"}, id, "dev")
			b.must(err)
			time.Sleep(time.Hour)
		}
		hands, err := b.engine.Hands(t.Context())
		b.must(err)
		want := []rotation.Hand{
			{ID: "U0ADA", What: rotation.HandOperator},
			{ID: "U0BOB", What: rotation.HandVisitor},
			{ID: "U0ADA", What: rotation.HandPasted},
			{ID: "U0DEV", What: rotation.HandTold},
			{ID: "U0EVE", What: rotation.HandTold},
			{ID: "U0EVE", What: rotation.HandUpdated},
		}
		if diff := cmp.Diff(map[string][]rotation.Hand{"prod": want}, hands, cmpopts.IgnoreFields(rotation.Hand{}, "At"), cmpopts.SortSlices(func(a, b rotation.Hand) bool { return a.What+a.ID < b.What+b.ID })); diff != "" {
			t.Errorf("Hands (-want +got):\n%s", diff)
		}
	})
}

// R46, R47: the roll-call of the last completed rotation.
func TestRollCall(t *testing.T) {
	alone(t, func(t *testing.T, b *bench) {
		b.told("U0DEV U0EVE D0CHAT")
		if got, err := b.engine.RollCall(t.Context(), "prod"); err != nil || got.Rotation != "" {
			t.Errorf("RollCall before any rotation = %+v, %v, want none", got, err)
		}
		id := b.open()
		b.goOn(id, false)
		b.paste(id, b.w.click("acc-1", "NEW1"))
		r := b.over(id)
		at := map[string]time.Time{}
		for _, who := range []string{"U0EVE", "U0CEM"} { // cem reads the conversation
			time.Sleep(time.Hour)
			when, err := b.engine.Updated(t.Context(), rotation.Actor{ID: who}, id, "dev")
			b.must(err)
			at[who] = when
		}
		got, err := b.engine.RollCall(t.Context(), "prod")
		b.must(err)
		told := r.Step(rotation.StepPropagate).Item("dev").Receipt.At
		want := rotation.RollCall{Rotation: id, Completed: r.Closed, People: []rotation.Called{
			{ID: "U0DEV", Consumer: "dev", Told: told},
			{ID: "U0EVE", Consumer: "dev", Told: told, Updated: at["U0EVE"]},
			{ID: "D0CHAT", Consumer: "dev", Told: told, Updated: at["U0EVE"]},
		}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("RollCall (-want +got):\n%s", diff)
		}
	})
}

// A developer who updated to a pair that was superseded in the same rotation has
// not updated to the one that stays.
func TestUpdatedBeforeAnotherPair(t *testing.T) {
	alone(t, func(t *testing.T, b *bench) {
		b.told("U0EVE")
		b.w.set(func() { b.w.applyFail["ci"] = []error{denied()} })
		id := b.open()
		b.goOn(id, false)
		eve := rotation.Actor{ID: "U0EVE"}
		b.paste(id, b.w.click("acc-1", "NEW1"))
		b.fails(id, rotation.StepPropagate, "ci")
		b.until(id, "eve was told", func(r *rotation.Rotation) bool {
			it := r.Step(rotation.StepPropagate).Item("dev")
			return it != nil && it.State == rotation.Done
		})
		first, err := b.engine.Updated(t.Context(), eve, id, "dev")
		b.must(err)
		time.Sleep(time.Minute)
		b.paste(id, b.w.click("acc-1", "NEW2"))
		b.over(id)
		got, err := b.engine.RollCall(t.Context(), "prod")
		b.must(err)
		if len(got.People) != 1 || !got.People[0].Updated.IsZero() {
			t.Errorf("roll-call %+v, want eve, who has not updated to the second pair", got.People)
		}
		second, err := b.engine.Updated(t.Context(), eve, id, "dev")
		if err != nil || !second.After(first) {
			t.Errorf("Updated = %s, %v, want a press of its own, after %s", second, err, first)
		}
		if again, err := b.engine.Updated(t.Context(), eve, id, "dev"); err != nil || !again.Equal(second) {
			t.Errorf("Updated again = %s, %v, want %s", again, err, second)
		}
		if got, err = b.engine.RollCall(t.Context(), "prod"); err != nil || !got.People[0].Updated.Equal(second) {
			t.Errorf("roll-call %+v, %v, want eve's second press", got.People, err)
		}
	})
}

// Rows that belong to no change of a rotation.
func TestScribe(t *testing.T) {
	alone(t, func(t *testing.T, b *bench) {
		b.must(b.engine.Snoozed(t.Context(), bob, "prod", "2027-05-21", "on holiday"))
		b.must(b.engine.Note(t.Context(), rotation.Row{KeySet: "prod", Action: "secret.rotate.drift", Context: map[string]any{"consumer": "api"}}))
		b.must(b.engine.Note(t.Context(), rotation.Row{KeySet: "prod", Slack: "U0EVE", Action: "secret.rotate.drift"}))
		if err := b.engine.Note(t.Context(), rotation.Row{KeySet: "prod"}); err == nil {
			t.Error("Note without an action = nil, want it refused")
		}
		rows := b.rows("")
		want := []rotation.Row{
			{KeySet: "prod", Actor: "bob@raxx.app", Slack: "U0BOB", Action: "secret.rotate.snoozed", Context: map[string]any{"until": "2027-05-21", "why": "on holiday"}},
			{KeySet: "prod", Actor: rotation.BotActor, Action: "secret.rotate.drift", Context: map[string]any{"consumer": "api"}},
			{KeySet: "prod", Actor: "eve@raxx.app", Slack: "U0EVE", Action: "secret.rotate.drift"},
		}
		var got []rotation.Row
		for _, e := range rows {
			got = append(got, e.Row)
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(rotation.Row{}, "At")); diff != "" {
			t.Errorf("rows (-want +got):\n%s", diff)
		}
	})
}
