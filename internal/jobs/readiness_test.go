package jobs_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/robfig/cron/v3"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/jobs"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// A checker answers every check with the same report, or error.
type checker struct {
	mu    sync.Mutex
	rep   rotation.Report
	err   error
	times int
}

func (c *checker) Check(context.Context, string) (rotation.Report, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.times++
	rep := c.rep
	if rep.At.IsZero() {
		rep.At = time.Now()
	}
	return rep, c.err
}

func (c *checker) set(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

func isReady(name string, facts ...rotation.Fact) rotation.Item {
	return rotation.Item{Name: name, State: rotation.Done, Level: rotation.Ready, Facts: facts}
}

func fails(name, reason, text, fix string) rotation.Item {
	return rotation.Item{Name: name, State: rotation.Failed, Level: rotation.NotReady, Problem: rotation.Problem{Reason: reason, Text: text, Fix: fix}}
}

func tokenExpires(when string) rotation.Fact {
	return rotation.Fact{Name: "token_expires", Value: when}
}

func (b *bench) readiness(store rotation.Store, c jobs.Checker, s *shelf) *jobs.Readiness {
	b.t.Helper()
	schedule, err := cron.ParseStandard("0 9 * * *")
	if err != nil {
		b.t.Fatal(err)
	}
	b.build(store)
	return jobs.NewReadiness(jobs.ReadinessConfig{
		Engine: c, Shelf: s, Outbox: b.box, Channel: "C1", Schedule: schedule, Zone: time.UTC, Now: time.Now, Log: slog.New(slog.DiscardHandler), Scan: b.scan,
	})
}

// What a reminder says of a report.
func TestReadinessFacts(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 5, 29, 9, 0, 0, 0, time.UTC) // a Friday
	closed := &rotation.Snapshot{Account: rotation.Account{Number: "PA3ABCDEF7Q1"}}
	open := &rotation.Snapshot{Survey: rotation.Survey{MarketOpen: true}}
	unproven := rotation.Item{Name: "api", State: rotation.Done, Level: rotation.Unproven}
	removed := rotation.Item{Name: "old", State: rotation.Skipped}
	tests := []struct {
		name string
		rep  rotation.Report
		err  error
		want map[string]string
	}{
		{"all is well", rotation.Report{Items: []rotation.Item{isReady("a"), unproven, removed}, Snapshot: closed, Exposed: []int64{9000, 40000, 38000, 36000}}, nil, map[string]string{
			"ready": "2", "items": "2", "exposed": "36000", "times": "4", "market": "closed",
		}},
		{"a failure comes first", rotation.Report{Items: []rotation.Item{isReady("ci", tokenExpires("2026-06-02")), fails("api", "denied", "Heroku refuses the token of PA3ABCDEF7Q1.", "Make a new one.")}, Snapshot: closed}, nil, map[string]string{
			"ready": "0", "items": "2", "first": "api: Heroku refuses the token of …F7Q1. Make a new one.", "market": "closed",
		}},
		{"a token that runs out", rotation.Report{Items: []rotation.Item{isReady("a"), isReady("ci", tokenExpires("2026-06-02"))}, Snapshot: open}, nil, map[string]string{
			"ready": "1", "items": "2", "first": "ci: its token expires on Tuesday 2 June. Renew it first.", "market": "open",
		}},
		{"the token that runs out first", rotation.Report{Items: []rotation.Item{isReady("a", tokenExpires("2026-06-10T00:00:00Z")), isReady("ci", tokenExpires("2026-05-28T12:00:00Z"))}}, nil, map[string]string{
			"ready": "0", "items": "2", "first": "ci: its token expired on Thursday 28 May. Renew it first.",
		}},
		{"a token that lives", rotation.Report{Items: []rotation.Item{isReady("ci", tokenExpires("2026-06-20")), isReady("a", tokenExpires("soon"))}}, nil, map[string]string{"ready": "2", "items": "2"}},
		{"the newest five count", rotation.Report{Items: []rotation.Item{isReady("a")}, Exposed: []int64{1, 1, 50, 10, 40, 20, 30}}, nil, map[string]string{"ready": "1", "items": "1", "exposed": "30", "times": "5"}},
		{"no check", rotation.Report{}, &fault.Error{Kind: fault.NotFound, User: "There is no such key set.", Fix: "Look into bot.yml."}, map[string]string{
			"first": "The checks could not be run: There is no such key set. Look into bot.yml.",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.rep.At = at
			r := jobs.NewReadiness(jobs.ReadinessConfig{Engine: &checker{rep: tt.rep, err: tt.err}, Zone: time.UTC, Log: slog.New(slog.DiscardHandler)})
			if tt.err == nil {
				tt.want["checked"] = "2026-05-29T09:00:00Z"
			}
			if diff := cmp.Diff(tt.want, r.Facts(t.Context(), "prod")); diff != "" {
				t.Errorf("Facts (-want +got):\n%s", diff)
			}
		})
	}
}

// The reminders of 14 and 1 day carry the facts, the others do not.
func TestReminderFactsR7(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.scan = 10 * time.Minute
		b.facts = func(_ context.Context, keyset string) map[string]string {
			return map[string]string{rotation.NoteReady: "12", rotation.NoteFirst: keyset}
		}
		s := &shelf{names: []string{"prod"}, due: map[string]string{"prod": "2000-01-20"}}
		_, stop := b.reminding(newMemory(), s, map[string][]string{"prod": {"UADA"}}, time.UTC)
		time.Sleep(21 * 24 * time.Hour)
		stop()
		got := map[string]string{}
		for _, n := range b.arrived() {
			got[n.To+" "+n.Note.Data[rotation.NoteDays]] = n.Note.Data[rotation.NoteReady] + n.Note.Data[rotation.NoteFirst]
		}
		want := map[string]string{"UADA 14": "12prod", "UADA 7": "", "UADA 1": "12prod", "UADA 0": "", "C1 0": "", "UADA -1": "", "C1 -1": ""}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("facts by reminder (-want +got):\n%s", diff)
		}
	})
}

// Once a week each key set is checked; the ops channel hears of it only if what
// fails has changed, and once, however often the bot is stopped.
func TestReadinessWeekly(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.scan = 30 * time.Minute
		store, c := newMemory(), &checker{rep: rotation.Report{Items: []rotation.Item{isReady("api")}}}
		s := &shelf{names: []string{"prod"}, due: map[string]string{}, open: map[string]bool{}}
		week := func(step string, want, checks int) {
			t.Helper()
			before, times := len(b.arrived()), c.times
			for range 7 { // each day is another life
				r := b.readiness(store, c, s)
				b.run()
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- r.Run(ctx) }()
				time.Sleep(24*time.Hour - 5*time.Minute)
				cancel()
				if err := <-ended; err != nil {
					t.Errorf("Run = %v", err)
				}
				b.stop()
				time.Sleep(5 * time.Minute)
			}
			if got := len(b.arrived()) - before; got != want || c.times-times != checks {
				t.Errorf("%s: %d notes of %d checks, want %d of %d", step, got, c.times-times, want, checks)
			}
		}
		week("the first week", 0, 0)
		week("all is well", 0, 1)
		c.set(func() { c.rep.Items = []rotation.Item{fails("api", "denied", "Heroku refuses.", "Ask.")} })
		week("something fails", 1, 1)
		week("the same fails", 0, 1)
		c.set(func() { c.rep.Items = append(c.rep.Items, isReady("ci", tokenExpires("2000-02-10"))) })
		week("a token runs out as well", 1, 1)
		c.set(func() { c.rep.Items = []rotation.Item{isReady("api")} })
		week("all is well again", 0, 1)
		s.mu.Lock()
		s.open["prod"] = true
		s.mu.Unlock()
		c.set(func() { c.rep.Items = []rotation.Item{fails("api", "denied", "Heroku refuses.", "Ask.")} })
		week("a rotation is open", 0, 0)
		s.mu.Lock()
		s.open["prod"] = false
		s.mu.Unlock()
		c.set(func() { c.err = errors.New("down") })
		week("it cannot be checked", 0, 7*24) // that is tried each hour
		c.set(func() { c.err = nil })
		week("it can again", 1, 1)
		if n := b.arrived()[0]; n.To != "C1" || n.Note.Kind != rotation.NoteCheck || n.Note.Data[rotation.NoteFirst] != "api: Heroku refuses. Ask." {
			t.Errorf("first note = %+v, want what fails, to the channel", n)
		}
	})
}
