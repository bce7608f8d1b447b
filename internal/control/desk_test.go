package control_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/commands"
	"github.com/raxx-app/keyturn/internal/control"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
)

// A desk does what people ask for, and notes it: an engine, a gate, an outbox
// and the log at once, so that their order is seen.
type desk struct {
	two

	mu      sync.Mutex
	calls   []string
	rows    []rotation.Row
	notes   map[string]rotation.Note
	pair    rotation.Pair
	about   commands.Subject
	refuse  error // of the gate
	rowErr  error
	noteErr error
	actErr  error
	hold    chan struct{} // if not nil, a retry waits for it
	held    chan struct{} // told when a retry waits
	changed chan struct{}
	rev     rotation.Rev
}

func (d *desk) did(format string, args ...any) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = append(d.calls, fmt.Sprintf(format, args...))
	return d.actErr
}

func (d *desk) said() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.calls)
}

func (d *desk) Check(_ context.Context, by rotation.Actor, act commands.Act, about commands.Subject) error {
	_ = d.did("check %s %s", by.ID, act)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.about = about
	return d.refuse
}

func (d *desk) Queue(_ context.Context, key, to string, n rotation.Note) error {
	_ = d.did("queue %s", to)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.notes == nil {
		d.notes = map[string]rotation.Note{}
	}
	d.notes[key] = n
	return d.noteErr
}

func (d *desk) Note(_ context.Context, row rotation.Row) error {
	_ = d.did("row %s", row.Actor)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rows = append(d.rows, row)
	return d.rowErr
}

func (d *desk) Changed(_ context.Context, id rotation.ID) (rotation.Overview, <-chan struct{}, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if id == "r0" { // closed
		return rotation.Overview{Rotation: rotation.Rotation{ID: id, Rev: 3, Outcome: rotation.Completed}}, nil, nil
	}
	if id != "r1" {
		return rotation.Overview{}, nil, fmt.Errorf("load rotation %s: %w", id, rotation.ErrNotFound)
	}
	o := full()
	o.Rotation.Rev = d.rev
	return o, d.changed, nil
}

func (d *desk) change() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rev++
	close(d.changed)
	d.changed = make(chan struct{})
}

func (d *desk) Start(_ context.Context, by rotation.Actor, keyset string) (rotation.ID, bool, error) {
	return "r9", true, d.did("start %s %s", by.ID, keyset)
}

func (d *desk) Reset(_ context.Context, by rotation.Actor, keyset, why string) (rotation.ID, bool, error) {
	return "r9", false, d.did("reset %s %s %s", by.ID, keyset, why)
}

func (d *desk) AdoptByHand(_ context.Context, by rotation.Actor, keyset, consumer, why string) (rotation.ID, error) {
	return "r9", d.did("adopt_by_hand %s %s %s %s", by.ID, keyset, consumer, why)
}

func (d *desk) Visited(_ context.Context, by rotation.Actor, id rotation.ID) error {
	return d.did("visited %s %s", by.ID, id)
}

func (d *desk) GoOn(_ context.Context, by rotation.Actor, id rotation.ID, in rotation.GoOn) (map[string]string, error) {
	return map[string]string{"ticks": "Tick all."}, d.did("go_on %s %s %+v", by.ID, id, in)
}

func (d *desk) Paste(_ context.Context, by rotation.Actor, id rotation.ID, keyID, key secret.Text) (rotation.Paste, error) {
	d.mu.Lock()
	d.pair = rotation.Pair{KeyID: keyID, Secret: key}
	d.mu.Unlock()
	return rotation.Paste{Sealed: rotation.Candidate{N: 2, Last4: keyID.Tail(4)}, Again: true, Warning: "long"}, d.did("paste %s %s", by.ID, id)
}

func (d *desk) Retry(ctx context.Context, by rotation.Actor, id rotation.ID, step rotation.StepName, round int, item string) error {
	if d.hold != nil {
		close(d.held)
		<-d.hold
		if ctx.Err() != nil {
			return d.did("stopped")
		}
	}
	return d.did("retry %s %s %s %d %s", who(by), id, step, round, item)
}

func (d *desk) Regenerate(_ context.Context, by rotation.Actor, id rotation.ID, step rotation.StepName, round int) error {
	return d.did("regenerate %s %s %s %d", by.ID, id, step, round)
}

func (d *desk) Redo(_ context.Context, by rotation.Actor, id rotation.ID, step rotation.StepName, round int) error {
	return d.did("redo %s %s %s %d", by.ID, id, step, round)
}

func (d *desk) Accept(_ context.Context, by rotation.Actor, id rotation.ID, step rotation.StepName, round int, item, why string) error {
	return d.did("accept %s %s %s %d %s %s", by.ID, id, step, round, item, why)
}

func (d *desk) StoreAnyway(_ context.Context, by rotation.Actor, id rotation.ID, round int, why string) error {
	return d.did("store_anyway %s %s %d %s", by.ID, id, round, why)
}

func (d *desk) StoreLaterNow(_ context.Context, by rotation.Actor, id rotation.ID, round int, why string) error {
	return d.did("store_later %s %s %d %s", by.ID, id, round, why)
}

func (d *desk) Adopt(_ context.Context, by rotation.Actor, id rotation.ID, round int, last4, why string) error {
	return d.did("adopt %s %s %d %s %s", by.ID, id, round, last4, why)
}

func (d *desk) UseFor(_ context.Context, by rotation.Actor, id rotation.ID, keyset string) (rotation.ID, error) {
	return "r9", d.did("use_for %s %s %s", by.ID, id, keyset)
}

func (d *desk) ItWasMe(_ context.Context, by rotation.Actor, id rotation.ID, what string) error {
	return d.did("it_was_me %s %s %s", by.ID, id, what)
}

func (d *desk) TakeOver(_ context.Context, by rotation.Actor, id rotation.ID) error {
	return d.did("take_over %s %s", who(by), id)
}

func (d *desk) Cancel(_ context.Context, by rotation.Actor, id rotation.ID, why string) error {
	return d.did("cancel %s %s %s", by.ID, id, why)
}

// full is a rotation with something in every part of its overview.
func full() rotation.Overview {
	return rotation.Overview{
		Rotation: rotation.Rotation{
			ID: "r1", KeySet: "prod", Opened: noon, FirstRejected: noon, Operator: rotation.Actor{ID: "U0ADA", Admin: "ada@raxx.app"},
			Snapshot: &rotation.Snapshot{At: noon, Account: rotation.Account{ID: "acc", Number: "PA3XYZ", CreatedAt: noon}, Survey: rotation.Survey{Positions: []rotation.Holding{{Symbol: "AAPL", Qty: "1"}}}},
			Steps: []rotation.Step{{Number: 5, Name: rotation.StepPropagate, State: rotation.Failed, Items: []rotation.Item{{
				Name: "api", State: rotation.Done, Receipt: &rotation.Receipt{At: noon, Data: map[string]string{"release": "v42"}},
			}}}},
			Candidates: []rotation.Candidate{{N: 1, Print: "ab12", Last4: "7Q2Z", At: noon}},
		},
		Names: rotation.Names{KeyID: "K", Secret: "S"}, Place: "prod, /", CadenceDays: 180, Now: noon,
		Targets: []rotation.TargetInfo{{Name: "api", Kind: "heroku", Counts: true}}, Order: &rotation.OrderSpec{Symbol: "AAPL", Qty: "1"},
		Past: rotation.Record{KeySet: "prod", Last: "r0", Exposed: []int64{41000}}, Other: &rotation.OtherOwner{KeySet: "staging", Last4: "0Z9Q", DeadSince: noon},
	}
}

const channel = "C0RAXXOPS"

// attend serves d; the login at the other end stands for the Slack user person.
func attend(t *testing.T, d *desk, person string) *control.Client {
	t.Helper()
	return attendWith(t, d, person, slog.New(slog.DiscardHandler))
}

func attendWith(t *testing.T, d *desk, person string, log *slog.Logger) *control.Client {
	t.Helper()
	c, _ := serve(t, control.Config{
		Engine: d, Record: paper{}, Acts: d, Watcher: d, Gate: d, Queue: d, Channel: channel, Log: log,
		Now:    func() time.Time { return noon },
		Person: func(login string) string { return map[string]string{control.Login(): person}[login] },
		Admin:  func(id string) string { return strings.Replace(id, "U0ADA", "ada@raxx.app", 1) },
	})
	return c
}

// who is who acts, and as what if the server says so to the engine.
func who(by rotation.Actor) string {
	if by.Role == "" {
		return by.ID
	}
	return by.ID + " as " + by.Role
}
