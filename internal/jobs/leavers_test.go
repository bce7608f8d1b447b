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

	"github.com/raxx-app/keyturn/internal/jobs"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// A staff is who has handled which pair, and who is still there.
type staff struct {
	*shelf
	mu      sync.Mutex
	hands   map[string][]rotation.Hand
	last    map[string]rotation.ID
	gone    map[string]bool
	unknown map[string]bool
	asked   int
	audit   []string
}

func (s *staff) Remembered(_ context.Context, keyset string) (rotation.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return rotation.Record{KeySet: keyset, Last: s.last[keyset]}, nil
}

func (s *staff) Hands(context.Context) (map[string][]rotation.Hand, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hands, nil
}

func (s *staff) Note(_ context.Context, row rotation.Row) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.audit = append(s.audit, fmt.Sprintf("%s %s %s %v", row.Action, row.Actor, row.KeySet, row.Context["person"]))
	return nil
}

func (s *staff) Deactivated(_ context.Context, id string) (gone, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	return s.gone[id], !s.unknown[id]
}

func (s *staff) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// R10: somebody who handled a pair leaves. It is said once for a person and a
// pair, across restarts, and not if Slack does not say.
func TestLeaversR10(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.scan = 10 * time.Minute
		store := newMemory()
		s := &staff{
			shelf: &shelf{names: []string{"prod", "staging"}},
			hands: map[string][]rotation.Hand{
				"prod":    {{ID: "UADA", What: rotation.HandOperator}, {ID: "UADA", What: rotation.HandPasted}, {ID: "UBOB", What: rotation.HandTold}, {ID: rotation.BotActor, What: rotation.HandOperator}},
				"staging": {{ID: "local:ada", What: rotation.HandPasted}, {ID: "local:root", What: rotation.HandPasted}, {ID: "UCAT", What: rotation.HandVisitor}},
			},
			last: map[string]rotation.ID{"prod": "r1", "staging": "r2"},
			gone: map[string]bool{}, unknown: map[string]bool{},
		}
		days := func(n int) {
			for range n {
				b.build(store)
				b.run()
				l := jobs.NewLeavers(jobs.LeaversConfig{
					Engine: s, Shelf: s, People: s, Outbox: b.box, Channel: "C1", Local: map[string]string{"ada": "UADA"},
					Now: time.Now, Log: slog.New(slog.DiscardHandler), Scan: b.scan,
				})
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- l.Run(ctx) }()
				time.Sleep(24*time.Hour - 5*time.Minute)
				cancel()
				if err := <-ended; err != nil {
					t.Errorf("Run = %v, want nil", err)
				}
				b.stop()
				time.Sleep(5 * time.Minute)
			}
		}
		told := func(step string, want ...string) {
			t.Helper()
			var got []string
			for _, n := range b.arrived() {
				got = append(got, fmt.Sprintf("%s %s %s [%s] %s", n.To, n.Note.Kind, n.Note.Data[rotation.NotePeople], n.Note.Data[rotation.NoteKeySets], n.Note.Data[rotation.NoteWhat]))
			}
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", step, diff)
			}
		}
		days(3)
		told("nobody left")
		if s.asked != 3*3 {
			t.Errorf("asked %d times in three days about three people, want once a day for each", s.asked)
		}
		s.set(func() { s.gone["UADA"], s.unknown["UADA"], s.gone["UEVE"] = true, true, true })
		days(2)
		told("not known")
		s.set(func() { s.unknown["UADA"] = false })
		ada := "C1 leaver UADA [prod staging] prod: ran the rotation, pasted the pair; staging: pasted the pair"
		days(3)
		told("one left, who had two pairs", ada)
		s.set(func() { s.last["prod"] = "r3"; s.gone["UBOB"] = true })
		days(2)
		told("the pair is another one, and one more left", ada, "C1 leaver UADA [prod] prod: ran the rotation, pasted the pair", "C1 leaver UBOB [prod] prod: was told to pull it")
		want := []string{"secret.rotate.leaver keyturn prod UADA", "secret.rotate.leaver keyturn staging UADA", "secret.rotate.leaver keyturn prod UADA", "secret.rotate.leaver keyturn prod UBOB"}
		if diff := cmp.Diff(want, s.audit); diff != "" {
			t.Errorf("audit rows (-want +got):\n%s", diff)
		}
	})
}
