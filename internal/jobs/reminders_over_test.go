package jobs_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/jobs"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// A closer remembers which messages were closed; the first errs calls fail.
type closer struct {
	mu   sync.Mutex
	errs []error
	refs []jobs.Ref
	due  string
}

func (c *closer) CloseNote(_ context.Context, at jobs.Ref, past rotation.Record) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.errs) > 0 {
		err := c.errs[0]
		c.errs = c.errs[1:]
		return err
	}
	c.refs, c.due = append(c.refs, at), past.NextDue
	return nil
}

func (c *closer) ClosePage(_ context.Context, at jobs.Ref, o rotation.Overview) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refs, c.due = append(c.refs, at), string(o.Rotation.Outcome)
	return nil
}

// A completed rotation kills pending reminders: what waits is taken back within
// one scan, what was delivered is changed, each message once, also if Slack
// fails or the bot is stopped in between, and a press is answered as over.
func TestReminderKilledByRotation(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := &shelf{names: []string{"prod"}, due: map[string]string{"prod": "2000-01-02"}}
		c := &closer{errs: []error{transient(), &fault.Error{Kind: fault.NotFound, Reason: "message_not_found"}}}
		b.closer, b.scan = c, time.Minute
		store := newMemory()
		_, stop := b.reminding(store, s, map[string][]string{"prod": {"UADA", "UBOB", "UCAT"}}, time.UTC)
		time.Sleep(24 * time.Hour) // told on the 1st, one day before
		b.set(func() { b.fails["note"] = slices.Repeat([]error{transient()}, 1e6) })
		time.Sleep(12 * time.Hour) // Slack is down on the day
		if n, _, err := b.box.Waiting(t.Context()); n != 4 || err != nil {
			t.Fatalf("%d notes wait (%v), want 3 and the channel's", n, err)
		}
		s.rotated("prod", "2000-07-05")
		time.Sleep(61 * time.Second)
		if n, _, err := b.box.Waiting(t.Context()); n != 0 || err != nil {
			t.Errorf("%d notes wait (%v) after the rotation, want none", n, err)
		}
		stop()
		b.set(func() { b.fails["note"] = nil })
		r, stop := b.reminding(store, s, map[string][]string{"prod": {"UADA", "UBOB", "UCAT"}}, time.UTC)
		defer stop()
		time.Sleep(10 * time.Minute)
		c.mu.Lock()
		if want := []jobs.Ref{{Channel: "DUBOB", TS: "2.0"}, {Channel: "DUCAT", TS: "3.0"}}; len(c.errs) != 0 || len(c.refs) != 2 || c.due != "2000-07-05" {
			t.Errorf("closed %+v with due date %s, %d errors left; want two such as %+v, the third was gone", c.refs, c.due, len(c.errs), want)
		}
		c.mu.Unlock()
		if len(b.arrived()) != 3 {
			t.Errorf("%d notes arrived, want the 3 of the first rung: %+v", len(b.arrived()), b.arrived())
		}
		for _, due := range []string{"2000-01-02", ""} {
			if err := r.Current(t.Context(), "prod", due); fault.ReasonOf(err) != "reminder_over" {
				t.Errorf("Current(%q) = %v, want reminder_over", due, err)
			}
			_, err := r.Snooze(t.Context(), rotation.Actor{ID: "UADA"}, jobs.Snooze{KeySet: "prod", Due: due, Days: 1, Why: "later"})
			if fault.ReasonOf(err) != "reminder_over" {
				t.Errorf("Snooze(%q) = %v, want reminder_over", due, err)
			}
		}
		if err := r.Current(t.Context(), "prod", "2000-07-05"); err != nil {
			t.Errorf("Current of the new due date = %v, want nil", err)
		}
	})
}

// A bot that was down for three rungs sends one message that says so.
func TestReminderAfterDowntime(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.scan = 10 * time.Minute
		s := &shelf{names: []string{"prod"}, due: map[string]string{"prod": "2000-02-01"}}
		owners := map[string][]string{"prod": {"UADA"}}
		_, stop := b.reminding(b.store, s, owners, time.UTC)
		time.Sleep(36 * time.Hour)
		stop()
		time.Sleep(31 * 24 * time.Hour) // over 14, 7, 1, 0 and -1, to February 2nd, noon
		_, stop = b.reminding(b.store, s, owners, time.UTC)
		time.Sleep(time.Hour)
		stop()
		var got []string
		for _, n := range b.arrived() {
			got = append(got, fmt.Sprintf("%s: %s days, %s missed", n.To, n.Note.Data[rotation.NoteDays], n.Note.Data[rotation.NoteMissed]))
		}
		slices.Sort(got)
		if diff := cmp.Diff([]string{"C1: -1 days, 4 missed", "UADA: -1 days, 4 missed"}, got); diff != "" {
			t.Errorf("after the downtime (-want +got):\n%s", diff)
		}
	})
}

// Whatever the clock does, nobody hears of one rung twice; a key set that
// appears while the bot runs is counted from then.
func TestReminderClockAndNewKeySet(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.scan = 10 * time.Minute
		s := &shelf{names: []string{"prod"}, due: map[string]string{"prod": "2000-01-08"}}
		var moved time.Duration
		var mu sync.Mutex
		move := func(d time.Duration) { mu.Lock(); moved = d; mu.Unlock() }
		b.clock = func() time.Time { mu.Lock(); defer mu.Unlock(); return time.Now().Add(moved) }
		r, stop := b.reminding(b.store, s, map[string][]string{"prod": {"UADA"}, "new": {"UADA"}}, time.UTC)
		defer stop()
		time.Sleep(12 * time.Hour)
		for _, d := range []time.Duration{7 * 24 * time.Hour, 0, -20 * 24 * time.Hour, 0, 7 * 24 * time.Hour, 0} {
			move(d)
			time.Sleep(time.Hour)
		}
		seen := map[string]int{}
		for _, n := range b.arrived() {
			seen[n.To+" "+n.Note.Data[rotation.NoteDays]]++
		}
		if diff := cmp.Diff(map[string]int{"UADA 7": 1, "UADA 0": 1, "C1 0": 1}, seen); diff != "" {
			t.Errorf("notes while the clock jumps (-want +got):\n%s", diff)
		}
		if _, err := r.Standing(t.Context(), "new"); err == nil {
			t.Error("Standing of a key set that is not there = nil, want an error")
		}
		s.mu.Lock()
		s.names = []string{"prod", "new"}
		s.mu.Unlock()
		time.Sleep(48 * time.Hour)
		want := jobs.Standing{Due: "2000-06-29", FirstSeen: "2000-01-01", DaysLeft: 178, Reminder: "2000-06-15"}
		if got, err := r.Standing(t.Context(), "new"); err != nil || got != want {
			t.Errorf("Standing = %+v, %v, want %+v", got, err, want)
		}
	})
}

// Standing says what Home shows: due, breached and reminder, which only snooze
// moves.
func TestStanding(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.scan = 10 * time.Minute
		s := &shelf{names: []string{"prod"}, due: map[string]string{"prod": "2000-01-20"}}
		r, stop := b.reminding(b.store, s, map[string][]string{"prod": {"UADA"}}, time.UTC)
		defer stop()
		var got []string
		look := func() {
			st, err := r.Standing(t.Context(), "prod")
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprintf("%s: due %s, %d left, breached %t, reminder %s, snoozed %q by %q", time.Now().UTC().Format("01-02 15h"), st.Due, st.DaysLeft, st.Breached, st.Reminder, st.Snoozed, st.SnoozedBy))
		}
		time.Sleep(8 * time.Hour)
		look()                          // the 1st
		time.Sleep(5 * 24 * time.Hour)  // the 6th, before the reminder of that day
		look()                          //
		time.Sleep(4 * time.Hour)       // after it
		look()                          //
		time.Sleep(15 * 24 * time.Hour) // the 21st
		look()
		if _, err := r.Snooze(t.Context(), rotation.Actor{ID: "UADA"}, jobs.Snooze{KeySet: "prod", Days: 3, Why: "release"}); err != nil {
			t.Fatal(err)
		}
		look()
		s.rotated("prod", "2000-07-20")
		look()
		want := []string{
			`01-01 08h: due 2000-01-20, 19 left, breached false, reminder 2000-01-06, snoozed "" by ""`,
			`01-06 08h: due 2000-01-20, 14 left, breached false, reminder 2000-01-06, snoozed "" by ""`,
			`01-06 12h: due 2000-01-20, 14 left, breached false, reminder 2000-01-13, snoozed "" by ""`,
			`01-21 12h: due 2000-01-20, -1 left, breached true, reminder 2000-01-22, snoozed "" by ""`,
			`01-21 12h: due 2000-01-20, -1 left, breached true, reminder 2000-01-24, snoozed "2000-01-24" by "UADA"`,
			`01-21 12h: due 2000-07-20, 181 left, breached false, reminder 2000-07-06, snoozed "" by ""`,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("standings (-want +got):\n%s", diff)
		}
	})
}
