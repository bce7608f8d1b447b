package jobs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/jobs"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/state"
)

// A call is one call of the poster.
type call struct {
	At     time.Duration // since the world began
	Method string        // "post", "update" or "note"
	ID     rotation.ID
	State  string // the rotation's Reason, which stands for all of it
	To     string
	Again  bool
	OK     bool
}

// A noteSeen is a note that arrived.
type noteSeen struct {
	At   time.Duration // since the world began
	To   string
	Note rotation.Note
}

// A world is what people see: the channel and their direct messages. It is
// used inside a synctest bubble.
type world struct {
	mu    sync.Mutex
	began time.Time
	calls []call
	shown map[jobs.Ref]string // what the channel's messages say
	dms   map[string]int      // copies by person
	notes []noteSeen          // that arrived
	next  int

	// fails are the answers of the next calls of a method; nil: it works. An
	// error of kind fault.Unknown is one whose message arrives nevertheless.
	fails map[string][]error
	hang  string        // a method that never answers, although the message arrives
	slow  time.Duration // of every call
}

func newWorld() *world {
	return &world{began: time.Now(), shown: map[jobs.Ref]string{}, dms: map[string]int{}, fails: map[string][]error{}}
}

// answer decides about one call; arrive is what happens if it arrives.
func (w *world) answer(ctx context.Context, c call, arrive func() error) error {
	w.mu.Lock()
	c.At = time.Since(w.began)
	var err error
	if f := w.fails[c.Method]; len(f) > 0 {
		err, w.fails[c.Method] = f[0], f[1:]
	}
	hang, slow := w.hang == c.Method, w.slow
	if err == nil || fault.KindOf(err) == fault.Unknown {
		if e := arrive(); e != nil {
			err = e
		}
	}
	c.OK = err == nil && !hang
	w.calls = append(w.calls, c)
	w.mu.Unlock()
	if hang {
		<-ctx.Done()
		return ctx.Err()
	}
	time.Sleep(slow)
	return err
}

func (w *world) ref(channel string) jobs.Ref {
	w.next++
	return jobs.Ref{Channel: channel, TS: fmt.Sprintf("%d.0", w.next)}
}

func (w *world) Post(ctx context.Context, o rotation.Overview, again bool) (ref jobs.Ref, err error) {
	err = w.answer(ctx, call{Method: "post", ID: o.Rotation.ID, State: o.Rotation.Reason, Again: again}, func() error {
		ref = w.ref("C1")
		w.shown[ref] = string(o.Rotation.ID) + " " + o.Rotation.Reason
		return nil
	})
	return ref, err
}

func (w *world) Update(ctx context.Context, ref jobs.Ref, o rotation.Overview) error {
	return w.answer(ctx, call{Method: "update", ID: o.Rotation.ID, State: o.Rotation.Reason}, func() error {
		if _, ok := w.shown[ref]; !ok {
			return &fault.Error{Kind: fault.NotFound, Reason: "message_not_found"}
		}
		w.shown[ref] = string(o.Rotation.ID) + " " + o.Rotation.Reason
		return nil
	})
}

func (w *world) Note(ctx context.Context, to string, n rotation.Note, again bool) (ref jobs.Ref, err error) {
	err = w.answer(ctx, call{Method: "note", ID: n.Rotation, To: to, Again: again}, func() error {
		ref = w.ref("D" + to)
		w.dms[to]++
		w.notes = append(w.notes, noteSeen{time.Since(w.began), to, n})
		return nil
	})
	return ref, err
}

func (w *world) Reach(_ context.Context, to string) error {
	if to == "UGONE" {
		return &fault.Error{Kind: fault.NotFound, Reason: "user_not_found"}
	}
	return nil
}

// of returns the calls of a method; "" means all.
func (w *world) of(method string) []call {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []call
	for _, c := range w.calls {
		if method == "" || c.Method == method {
			out = append(out, c)
		}
	}
	return out
}

// set changes w while the outbox runs.
func (w *world) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// A desk stands in for the engine: it commits a rotation and its post in one
// transaction, as the engine's ledger does.
type desk struct {
	t     *testing.T
	store rotation.Store
	lag   time.Duration // between telling and the moment at which Look shows the commit; 0: it is told after
	tell  func()

	mu  sync.Mutex
	cur map[rotation.ID]rotation.Rotation
}

// Look shows what is in memory, else what is in the store, as the engine does.
func (d *desk) Look(ctx context.Context, id rotation.ID) (rotation.Overview, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r, ok := d.cur[id]; ok {
		return rotation.Overview{Rotation: r}, nil
	}
	kv, err := d.store.Get(ctx, "rotation/"+string(id))
	if err != nil {
		return rotation.Overview{}, err
	}
	r := rotation.Rotation{Rev: kv.Rev}
	err = json.Unmarshal(kv.Value, &r)
	return rotation.Overview{Rotation: r}, err
}

// commit changes rotation id.
func (d *desk) commit(id rotation.ID, state string, outcome rotation.Outcome) {
	d.t.Helper()
	r := rotation.Rotation{ID: id, KeySet: "prod", Reason: state, Outcome: outcome}
	body, err := json.Marshal(r)
	if err != nil {
		d.t.Fatal(err)
	}
	post, err := json.Marshal(rotation.Post{Kind: rotation.PostChannel, Rotation: id, KeySet: "prod", Created: time.Now().UTC()})
	if err != nil {
		d.t.Fatal(err)
	}
	rev, err := d.store.Txn(d.t.Context(), nil, []rotation.Op{{Key: "rotation/" + string(id), Value: body}, {Key: rotation.ChannelKey(id), Value: post}})
	if err != nil {
		d.t.Fatal(err)
	}
	if d.lag > 0 {
		d.tell()
		time.Sleep(d.lag)
	}
	r.Rev = rev
	d.mu.Lock()
	d.cur[id] = r
	d.mu.Unlock()
	if d.lag == 0 {
		d.tell()
	}
}

// A bench is an outbox on a real state file, in a world.
type bench struct {
	*world
	t     *testing.T
	store rotation.Store
	desk  *desk
	box   *jobs.Outbox
	scan  time.Duration // 0: the default
	stop  func()

	// Of what runs on a clock; may be left out.
	closer jobs.Closer
	facts  func(ctx context.Context, keyset string) map[string]string
	clock  func() time.Time
}

// setUp opens the store; run starts the outbox.
func setUp(t *testing.T) *bench {
	t.Helper()
	store, err := state.Open(t.Context(), state.Config{Path: filepath.Join(t.TempDir(), "keyturn.db")})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{world: newWorld(), t: t, store: store, stop: func() {}}
	b.desk = &desk{t: t, store: store, cur: map[rotation.ID]rotation.Rotation{}, tell: func() { b.box.Wake() }}
	b.build(store)
	return b
}

// build makes an outbox, which knows nothing but what is in the store.
func (b *bench) build(store rotation.Store) {
	b.box = jobs.New(jobs.Config{Store: store, Engine: jobs.LookFunc(b.desk.Look), Poster: b.world, Reacher: b.world, Now: time.Now, Log: slog.New(slog.DiscardHandler), Scan: b.scan})
}

func (b *bench) run() {
	ctx, cancel := context.WithCancel(b.t.Context())
	ended := make(chan error, 1)
	box := b.box
	go func() { ended <- box.Run(ctx) }()
	b.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			b.t.Errorf("Run = %v, want nil", err)
		}
		b.stop = func() {}
	}
}

// restart stops the outbox and starts another one on the same store.
func (b *bench) restart() {
	b.stop()
	b.build(b.store)
	b.run()
}

// close must be called inside the bubble.
func (b *bench) close() {
	b.stop()
	if err := b.store.Close(); err != nil {
		b.t.Errorf("close store: %v", err)
	}
}

// quiet waits until nothing waits, for at most an hour.
func (b *bench) quiet() {
	b.t.Helper()
	var n int
	for range 36000 {
		var err error
		if n, _, err = b.box.Waiting(b.t.Context()); err != nil {
			b.t.Fatal(err)
		}
		if n == 0 {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	b.t.Fatalf("%d posts still wait after an hour; calls %+v", n, b.of(""))
}

// says fails unless the newest message of rotation id says state.
func (b *bench) says(id rotation.ID, state string) {
	b.t.Helper()
	ref, err := b.box.Posted(b.t.Context(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if got, want := b.shown[ref], string(id)+" "+state; got != want {
		b.t.Errorf("message at %v says %q, want %q", ref, got, want)
	}
}

func (b *bench) send(key, to string) error {
	return b.box.Send(b.t.Context(), key, to, rotation.Note{Kind: rotation.NoteUpdate, Rotation: "r1", KeySet: "prod"})
}

func unknown() error   { return &fault.Error{Kind: fault.Unknown, Reason: "timeout"} }
func transient() error { return &fault.Error{Kind: fault.Transient, Reason: "unavailable"} }
func limited(d time.Duration) error {
	return &fault.Error{Kind: fault.Transient, Reason: "ratelimited", RetryAfter: d}
}

// errDead is what a store says whose process was killed.
var errDead = errors.New("killed")

// A mortal is a store that is killed at its nth transaction: that one and all
// after it do not happen. With late the nth happens, but nobody hears of it.
type mortal struct {
	rotation.Store
	mu   sync.Mutex
	left int
	late bool
}

func (m *mortal) Txn(ctx context.Context, conds []rotation.Cond, then []rotation.Op) (rotation.Rev, error) {
	m.mu.Lock()
	m.left--
	left := m.left
	m.mu.Unlock()
	switch {
	case left > 0:
		return m.Store.Txn(ctx, conds, then)
	case left == 0 && m.late:
		_, _ = m.Store.Txn(ctx, conds, then)
	}
	return 0, errDead
}

func (m *mortal) Get(ctx context.Context, key string) (rotation.KV, error) {
	m.mu.Lock()
	dead := m.left <= 0
	m.mu.Unlock()
	if dead {
		return rotation.KV{}, errDead
	}
	return m.Store.Get(ctx, key)
}

// A sickStore refuses some transactions and then works. With mute it does every
// one of them, and never says so.
type sickStore struct {
	rotation.Store
	refuse atomic.Int64
	mute   bool
}

func (s *sickStore) Txn(ctx context.Context, conds []rotation.Cond, then []rotation.Op) (rotation.Rev, error) {
	if s.refuse.Add(-1) >= 0 {
		return 0, &fault.Error{Kind: fault.Internal, Reason: "state_disk_full"}
	}
	rev, err := s.Store.Txn(ctx, conds, then)
	if err == nil && s.mute {
		return 0, rotation.ErrUnknown
	}
	return rev, err
}
