package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/state"
)

// A benchShelf has key sets whose records are in a store, as the engine's are.
type benchShelf struct {
	store rotation.Store
	names []string
	box   *Outbox
}

func (s *benchShelf) KeySets() []string { return s.names }

func (s *benchShelf) Remembered(ctx context.Context, keyset string) (rotation.Record, error) {
	var rec rotation.Record
	_, err := s.box.read(ctx, "keyset/"+keyset, &rec)
	return rec, err
}

func (s *benchShelf) Active(context.Context, string) (rotation.ID, error) {
	return "", rotation.ErrNotFound
}

// BenchmarkDueScan measures one look at every due date, of which none is due
// today, and reports the time per key set: it must not grow with their number.
func BenchmarkDueScan(b *testing.B) {
	schedule, err := cron.ParseStandard("0 9 * * *")
	if err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{10, 1000, 10_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			store, err := state.Open(b.Context(), state.Config{Path: filepath.Join(b.TempDir(), "keyturn.db")})
			if err != nil {
				b.Fatal(err)
			}
			defer store.Close()
			box := New(Config{Store: store, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
			s := &benchShelf{store: store, box: box}
			due := time.Now().AddDate(0, 0, 100).Format(dayForm)
			var ops []rotation.Op
			for i := range n {
				name := fmt.Sprintf("set-%05d", i)
				s.names = append(s.names, name)
				for key, v := range map[string]any{
					reminderPrefix + name: reminder{FirstSeen: time.Now()},
					"keyset/" + name:      rotation.Record{KeySet: name, NextDue: due, Last: "r0123456789", Exposed: []int64{38000, 41000, 39000}},
				} {
					op, err := put(key, v)
					if err != nil {
						b.Fatal(err)
					}
					ops = append(ops, op)
				}
			}
			if _, err := store.Txn(b.Context(), nil, ops); err != nil {
				b.Fatal(err)
			}
			r := NewReminders(RemindersConfig{Outbox: box, Shelf: s, Schedule: schedule, Zone: time.UTC, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
			if err := r.scan(b.Context()); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				for _, name := range s.names { // lookAll without its one commit
					if err := r.look(b.Context(), name, time.Now()); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/keyset")
		})
	}
}

// BenchmarkQuietScan measures the scan of every five seconds while nothing is
// due: it reads nothing.
func BenchmarkQuietScan(b *testing.B) {
	schedule, err := cron.ParseStandard("0 9 * * *")
	if err != nil {
		b.Fatal(err)
	}
	store, err := state.Open(b.Context(), state.Config{Path: filepath.Join(b.TempDir(), "keyturn.db")})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	box := New(Config{Store: store, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	s := &benchShelf{store: store, box: box, names: []string{"prod", "staging"}}
	now := time.Now()
	r := NewReminders(RemindersConfig{Outbox: box, Shelf: s, Schedule: schedule, Zone: time.UTC, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)})
	for b.Loop() {
		if err := r.scan(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
