package jobs_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/robfig/cron/v3"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/jobs"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// A shelf is key sets with their due dates.
type shelf struct {
	mu    sync.Mutex
	names []string
	due   map[string]string
	open  map[string]bool
	rows  []string // snoozes, as they were written down
}

func (s *shelf) KeySets() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.names
}

func (s *shelf) Remembered(_ context.Context, keyset string) (rotation.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return rotation.Record{KeySet: keyset, NextDue: s.due[keyset]}, nil
}

func (s *shelf) Active(_ context.Context, keyset string) (rotation.ID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[keyset] {
		return "r1", nil
	}
	return "", rotation.ErrNotFound
}

func (s *shelf) Snoozed(_ context.Context, by rotation.Actor, keyset, until, why string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows = append(s.rows, by.ID+" "+keyset+" "+until+" "+why)
	return nil
}

func (s *shelf) rotated(keyset, due string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.due[keyset] = due
}

// roles has one person in ops.
type roles struct{}

func (roles) Members(string) []string { return []string{"UOPS"} }

// arrived returns the notes that arrived, while the outbox runs.
func (b *bench) arrived() []noteSeen {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.notes)
}

func newYork(t *testing.T) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// reminding runs an outbox and reminders on store until stop is called.
func (b *bench) reminding(store rotation.Store, s *shelf, owners map[string][]string, zone *time.Location) (r *jobs.Reminders, stop func()) {
	b.t.Helper()
	schedule, err := cron.ParseStandard("0 9 * * *")
	if err != nil {
		b.t.Fatal(err)
	}
	b.build(store)
	b.run()
	cadence := map[string]int{}
	for _, name := range s.names {
		cadence[name] = 180
	}
	cfg := jobs.RemindersConfig{
		Outbox: b.box, Shelf: s, Scribe: s, People: roles{}, Owners: owners, Cadence: cadence, Channel: "C1",
		Schedule: schedule, Zone: zone, Now: time.Now, Log: slog.New(slog.DiscardHandler), Scan: b.scan, Closer: b.closer, Facts: b.facts,
	}
	if b.clock != nil {
		cfg.Now = b.clock
	}
	r = jobs.NewReminders(cfg)
	ctx, cancel := context.WithCancel(b.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	return r, func() {
		cancel()
		if err := <-ended; err != nil {
			b.t.Errorf("Run = %v, want nil", err)
		}
		b.stop()
	}
}

// R7, R85: the rungs of one due date, in order, each person once; the channel
// from the day on which it is due; a completed rotation ends them.
func TestReminderRungs(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.scan = time.Hour
		zone := newYork(t)
		s := &shelf{names: []string{"prod"}, due: map[string]string{"prod": "2000-02-01"}}
		_, stop := b.reminding(b.store, s, map[string][]string{"prod": {"UADA", "UBOB"}}, zone)
		time.Sleep(34 * 24 * time.Hour) // to February 4th
		s.rotated("prod", "2000-07-31")
		time.Sleep(30 * 24 * time.Hour)
		stop()
		var got, want []string
		for _, n := range b.arrived() {
			at := b.began.Add(n.At).In(zone)
			got = append(got, fmt.Sprintf("%s %s %s days, %s missed", at.Format("01-02 15:04"), n.To, n.Note.Data[rotation.NoteDays], n.Note.Data[rotation.NoteMissed]))
		}
		for _, day := range []struct {
			date    string
			days    int
			channel bool
		}{{"01-18", 14, false}, {"01-25", 7, false}, {"01-31", 1, false}, {"02-01", 0, true}, {"02-02", -1, true}, {"02-03", -2, true}} {
			to := []string{"UADA", "UBOB"}
			if day.channel {
				to = append(to, "C1")
			}
			for _, who := range to {
				want = append(want, fmt.Sprintf("%s 09:00 %s %d days, 0 missed", day.date, who, day.days))
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("reminders (-want +got):\n%s", diff)
		}
	})
}

// A key set that was never rotated is counted from when the bot first saw it,
// and that is said; owners default to ops.
func TestReminderFirstSeen(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.scan = time.Hour
		s := &shelf{names: []string{"prod"}, due: map[string]string{}}
		_, stop := b.reminding(newMemory(), s, nil, time.UTC)
		time.Sleep(167 * 24 * time.Hour)
		stop()
		if len(b.arrived()) != 1 || b.arrived()[0].To != "UOPS" || b.arrived()[0].Note.Data[rotation.NoteFirstSeen] != "2000-01-01" || b.arrived()[0].Note.Data[rotation.NoteDue] != "2000-06-29" {
			t.Errorf("notes = %+v, want one to ops: due 2000-06-29, counted from 2000-01-01", b.arrived())
		}
	})
}

// Snooze moves the next reminder and nothing else.
func TestSnooze(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := &shelf{names: []string{"prod"}, due: map[string]string{"prod": "2000-01-10"}}
		b.scan = 10 * time.Minute
		r, stop := b.reminding(b.store, s, map[string][]string{"prod": {"UADA"}}, time.UTC)
		defer stop()
		ada := rotation.Actor{ID: "UADA"}
		time.Sleep(4*24*time.Hour + 12*time.Hour) // January 5th, noon; told on the 1st: 14 days; on the 3rd: 7
		snooze := func(days int) string {
			until, err := r.Snooze(t.Context(), ada, jobs.Snooze{KeySet: "prod", Due: "2000-01-10", Days: days, Why: "release week"})
			if err != nil {
				return fault.ReasonOf(err)
			}
			return until
		}
		if got := snooze(7); got != "2000-01-12" {
			t.Errorf("Snooze(7) = %s, want 2000-01-12", got)
		}
		if got := snooze(7); got != "2000-01-12" || len(s.rows) != 1 {
			t.Errorf("again = %s with audit rows %q, want the same and one row", got, s.rows)
		}
		if got := snooze(2); got != "bad_snooze" {
			t.Errorf("Snooze(2) = %s, want bad_snooze", got)
		}
		before := len(b.arrived())
		time.Sleep(6*24*time.Hour + 12*time.Hour) // January 12th, midnight
		if len(b.arrived()) != before {
			t.Errorf("%d notes while snoozed, want none", len(b.arrived())-before)
		}
		time.Sleep(12 * time.Hour)
		if got := b.arrived()[before:]; len(got) != 2 || got[0].Note.Data[rotation.NoteDays] != "-2" || got[0].Note.Data[rotation.NoteDue] != "2000-01-10" {
			t.Errorf("after the snooze: %+v, want owner and channel told: 2 days overdue, the due date where it was", got)
		}
		time.Sleep(8 * 24 * time.Hour) // January 20th
		if got := snooze(7); got != "snooze_too_long" {
			t.Errorf("Snooze(7) to 17 days overdue = %s, want snooze_too_long", got)
		}
		s.rotated("prod", "2000-07-18")
		if got := snooze(1); got != "reminder_over" {
			t.Errorf("Snooze after a rotation = %s, want reminder_over", got)
		}
	})
}

// An open rotation speaks for itself; the reminder follows if it is cancelled.
func TestReminderWhileOpen(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		s := &shelf{names: []string{"prod"}, due: map[string]string{"prod": "2000-01-08"}, open: map[string]bool{"prod": true}}
		b.scan = 10 * time.Minute
		_, stop := b.reminding(b.store, s, map[string][]string{"prod": {"UADA"}}, time.UTC)
		defer stop()
		time.Sleep(36 * time.Hour)
		if len(b.arrived()) != 0 {
			t.Errorf("notes = %+v while a rotation is open, want none", b.arrived())
		}
		s.mu.Lock()
		s.open["prod"] = false
		s.mu.Unlock()
		time.Sleep(24 * time.Hour)
		if len(b.arrived()) != 1 {
			t.Errorf("notes = %+v after it was cancelled, want one", b.arrived())
		}
	})
}
