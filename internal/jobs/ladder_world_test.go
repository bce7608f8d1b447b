package jobs_test

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/jobs"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// A floor stands in for the engine and for the roster.
type floor struct {
	mu      sync.Mutex
	open    map[rotation.ID]rotation.Rotation
	ops     []string
	onCall  []string
	asked   []time.Time // to cancel
	by, why string      // with the last of them
	refuse  func(*rotation.Rotation) error
	blind   bool // nothing can be looked at
}

func (f *floor) Open(context.Context) ([]rotation.ID, error) {
	return f.left(), nil
}

func (f *floor) Look(_ context.Context, id rotation.ID) (rotation.Overview, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.blind {
		return rotation.Overview{}, fmt.Errorf("look: %w", rotation.ErrUnknown)
	}
	r := f.open[id]
	r.Steps = append([]rotation.Step(nil), r.Steps...)
	return rotation.Overview{Rotation: r}, nil
}

func (f *floor) Cancel(_ context.Context, by rotation.Actor, id rotation.ID, why string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked, f.by, f.why = append(f.asked, time.Now()), by.ID, why
	r := f.open[id]
	if f.refuse != nil {
		if err := f.refuse(&r); err != nil {
			f.open[id] = r
			return err
		}
	}
	delete(f.open, id)
	return nil
}

func (f *floor) Members(role string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if role == rotation.RoleOnCall {
		return f.onCall
	}
	return f.ops
}

// cancels returns when the floor was asked to cancel.
func (f *floor) cancels() []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.asked)
}

// left returns the IDs of the rotations that are open.
func (f *floor) left() []rotation.ID {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.open))
}

// set changes the floor while the ladder runs.
func (f *floor) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// put opens or changes a rotation.
func (f *floor) put(r rotation.Rotation) { f.set(func() { f.open[r.ID] = r }) }

// begun is a rotation of prod, opened now by Ada, whose checks are over.
func begun() rotation.Rotation {
	now := time.Now().UTC()
	r := rotation.Rotation{ID: "r1", KeySet: "prod", Opened: now, Operator: rotation.Actor{ID: "U0ADA"}, OldPrint: "old", LastOK: now}
	for i, name := range rotation.StepNames() {
		r.Steps = append(r.Steps, rotation.Step{Number: i + 1, Name: name, State: rotation.Pending})
	}
	*r.Step(rotation.StepPrecheck) = rotation.Step{Number: 1, Name: rotation.StepPrecheck, State: rotation.Running, Round: 1, Started: now, Items: []rotation.Item{{Name: "audit", State: rotation.Done, Started: now, Ended: now}}}
	return r
}

// exposed is a rotation in step 5 whose consumers work; trading is down.
func exposed(consumers ...string) rotation.Rotation {
	r := begun()
	now := time.Now().UTC()
	for i := range 4 {
		r.Steps[i].State, r.Steps[i].Ended = rotation.Done, now
	}
	r.Candidates, r.Chosen, r.SealedAt = []rotation.Candidate{{N: 1, Account: rotation.Account{Number: "PA3TESTNMB7Q"}}}, 1, now
	r.FirstRejected, r.ClickedAt, r.LastOK = now, now, now.Add(-5*time.Second)
	s := r.Step(rotation.StepPropagate)
	s.State, s.Started, s.Round = rotation.Running, now, 1
	for _, c := range consumers {
		s.Items = append(s.Items, rotation.Item{Name: c, State: rotation.Running, Started: now, Counts: true})
	}
	return r
}

// broken fails a consumer now.
func broken(r rotation.Rotation, consumer string) rotation.Rotation {
	return consumerIs(r, consumer, rotation.Failed)
}

func consumerIs(r rotation.Rotation, consumer string, s rotation.State) rotation.Rotation {
	r.Steps = append([]rotation.Step(nil), r.Steps...)
	step := r.Step(rotation.StepPropagate)
	step.Items = append([]rotation.Item(nil), step.Items...)
	it := step.Item(consumer)
	it.State, it.Ended = s, time.Now().UTC()
	it.Problem = rotation.Problem{Text: "Heroku refused the token of account PA3TESTNMB7Q.", Fix: "Renew it."}
	return r
}

// A stair is a bench with a ladder.
type stair struct {
	*bench
	*floor
	owners map[string][]string
	end    func()
}

// onStair runs f with fake time, an outbox and a ladder.
func onStair(t *testing.T, f func(*testing.T, *stair)) {
	t.Helper()
	onStairEvery(t, 0, f)
}

// onStairEvery does the same with another time between two scans: a day has
// very many of the usual ones.
func onStairEvery(t *testing.T, scan time.Duration, f func(*testing.T, *stair)) {
	t.Helper()
	inBubble(t, func(t *testing.T, b *bench) {
		b.scan = scan
		b.build(b.store)
		s := &stair{bench: b, owners: map[string][]string{"prod": {"U0OWN"}}, floor: &floor{
			open: map[rotation.ID]rotation.Rotation{}, ops: []string{"U0ADA", "U0BOB", "U0CEM"}, onCall: []string{"U0BOB", "U0CEM"},
		}}
		s.run()
		s.climb()
		defer func() { s.end() }()
		f(t, s)
	})
}

// climb starts a ladder, which knows nothing but what is in the store.
func (s *stair) climb() {
	ladder := jobs.NewLadder(jobs.LadderConfig{
		Outbox: s.box, Desk: s.floor, People: s.floor, Owners: s.owners, Channel: "C0OPS", Mention: []string{"S0OPS"},
		Local: map[string]string{"ada": "U0ADA"}, Now: time.Now, Log: slog.New(slog.DiscardHandler), Scan: s.scan,
	})
	ctx, cancel := context.WithCancel(s.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- ladder.Run(ctx) }()
	s.end = func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Errorf("Run = %v, want nil", err)
		}
		s.end = func() {}
	}
}

// down stops everything for a while and starts it again on the same store.
func (s *stair) down(d time.Duration) {
	s.end()
	s.stop()
	time.Sleep(d)
	s.build(s.store)
	s.run()
	s.climb()
}

// told returns what people were told, in order of the minute and the person,
// and fails unless it is want: "5m0s U0BOB oncall". Times count from since.
func (s *stair) told(since time.Time, want ...string) []noteSeen {
	s.t.Helper()
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	notes := slices.Clone(s.notes)
	slices.SortStableFunc(notes, func(a, b noteSeen) int {
		return cmp.Or(cmp.Compare(a.At.Truncate(10*time.Second), b.At.Truncate(10*time.Second)), cmp.Compare(a.To, b.To))
	})
	var got []string
	for _, n := range notes {
		what := n.Note.Data[rotation.NoteRung]
		if n.Note.Kind == rotation.NoteIdle {
			what = "idle"
		}
		at := n.At - since.Sub(s.began)
		got = append(got, fmt.Sprintf("%s %s %s", at.Truncate(time.Minute), n.To, what))
		if late := at % time.Minute; s.scan == 0 && late > 10*time.Second {
			s.t.Errorf("%s was told %s after the minute, want within two scans", n.To, late)
		}
	}
	if diff := gocmp.Diff(strings.Join(want, "\n"), strings.Join(got, "\n")); diff != "" {
		s.t.Errorf("people told (-want +got):\n%s", diff)
	}
	return notes
}
