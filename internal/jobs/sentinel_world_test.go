package jobs_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/jobs"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
)

// A tower stands in for the engine. What it holds is durable: it is not
// restarted.
type tower struct {
	mu     sync.Mutex
	open   map[string]*rotation.Rotation // key set → the open one
	over   map[rotation.ID]*rotation.Rotation
	past   map[string]rotation.Record
	forced []rotation.Sighting // that opened a rotation
	rows   []rotation.Row
	snaps  int
	full   int
	refuse string // reason for which StandDown is refused
	sick   int    // calls of Force that fail first
}

func (e *tower) Force(_ context.Context, s rotation.Sighting) (rotation.ID, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.sick--; e.sick >= 0 {
		return "", &fault.Error{Kind: fault.Internal, Reason: "state_disk_full"}
	}
	if r := e.open[s.KeySet]; r != nil {
		return r.ID, nil
	}
	e.forced = append(e.forced, s)
	r := begun()
	r.ID, r.KeySet, r.Trigger = rotation.ID("r"+s.KeySet+string(rune('0'+len(e.forced)))), s.KeySet, rotation.TriggerReset
	r.Operator, r.FirstRejected, r.ClickedAt, r.OldPrint = rotation.Actor{ID: rotation.BotActor}, s.Since, s.Since, s.Print
	e.open[s.KeySet] = &r
	return r.ID, nil
}

// opened returns the sightings for which a rotation was opened.
func (e *tower) opened() []rotation.Sighting {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.forced)
}

func (e *tower) StandDown(_ context.Context, id rotation.ID, _ rotation.Probe) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.refuse != "" {
		return &fault.Error{Kind: fault.Conflict, Reason: e.refuse}
	}
	return e.end(id, rotation.StoodDown)
}

// end closes a rotation; e.mu is held.
func (e *tower) end(id rotation.ID, how rotation.Outcome) error {
	for name, r := range e.open {
		if r.ID == id {
			r.Outcome = how
			e.over[id] = r
			delete(e.open, name)
			return nil
		}
	}
	return rotation.ErrNotFound
}

func (e *tower) Look(_ context.Context, id rotation.ID) (rotation.Overview, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r := e.over[id]; r != nil {
		return rotation.Overview{Rotation: *r}, nil
	}
	for _, r := range e.open {
		if r.ID == id {
			return rotation.Overview{Rotation: *r}, nil
		}
	}
	return rotation.Overview{}, rotation.ErrNotFound
}

func (e *tower) Active(_ context.Context, keyset string) (rotation.ID, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r := e.open[keyset]; r != nil {
		return r.ID, nil
	}
	return "", rotation.ErrNotFound
}

func (e *tower) Remembered(_ context.Context, keyset string) (rotation.Record, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.past[keyset], nil
}

func (e *tower) Snapshot(_ context.Context, _ string, _ rotation.Probe, s *rotation.Survey) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.snaps++; s != nil {
		e.full++
	}
	return nil
}

func (e *tower) Note(_ context.Context, row rotation.Row) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.rows = append(e.rows, row)
	return nil
}

// A phone stands in for PagerDuty: one alert per key while it is open.
type phone struct {
	mu    sync.Mutex
	rang  map[string]time.Time // first trigger of each alert
	open  map[string]bool
	calls int
	fails []error // of the next calls; an Unknown one arrives
}

func (p *phone) call(f func()) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls++
	var err error
	if len(p.fails) > 0 {
		err, p.fails = p.fails[0], p.fails[1:]
	}
	if err == nil || fault.KindOf(err) == fault.Unknown {
		f()
	}
	return err
}

func (p *phone) Trigger(_ context.Context, key, summary string, _ map[string]string) error {
	return p.call(func() {
		if !p.open[key] {
			if _, twice := p.rang[key]; twice {
				key += " again"
			}
			p.rang[key], p.open[key] = time.Now(), true
		}
		if summary == "" {
			p.rang["no summary"] = time.Now()
		}
	})
}

func (p *phone) Resolve(_ context.Context, key string) error {
	return p.call(func() { delete(p.open, key) })
}

// keys returns every alert there ever was, and how many are open.
func (p *phone) keys() ([]string, int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Sorted(maps.Keys(p.rang)), len(p.open)
}

// A place is the vault of one key set.
type place struct {
	mu   sync.Mutex
	pair rotation.Pair
	err  error
}

func (v *place) Read(context.Context) (rotation.Stored, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return rotation.Stored{Pair: v.pair}, v.err
}
func (v *place) Ready(context.Context) rotation.Readiness         { return rotation.Readiness{} }
func (v *place) Write(context.Context, rotation.Pair, bool) error { return errors.New("not here") }
func (v *place) set(f func())                                     { v.mu.Lock(); defer v.mu.Unlock(); f() }

// An outside is what the sentinel watches, and what it is built from.
type outside struct {
	t      *testing.T
	*world // Slack
	store  rotation.Store
	tower  *tower
	engine jobs.Watchtower // the tower, if nothing else is set
	print  func(rotation.Pair) string
	phone  *phone
	floor  *floor
	sets   []rotation.KeySet
	vaults map[string]*place
	every  time.Duration
	scan   time.Duration
	rnd    *rand.Rand
	fixed  func() float64                 // in place of rnd; called under mu
	ask    func(id string) rotation.Probe // by key ID
	probes map[string]int
	stop   func()
	s      *jobs.Sentinel
	box    *jobs.Outbox

	closer jobs.Closer // may be nil
}

// outsideOf has n key sets, named a, b, c …, whose pairs work.
func outsideOf(t *testing.T, n int) *outside {
	w := &outside{
		t: t, world: newWorld(), store: newMemory(), every: time.Minute, rnd: rand.New(rand.NewPCG(1, uint64(n))),
		tower:  &tower{open: map[string]*rotation.Rotation{}, over: map[rotation.ID]*rotation.Rotation{}, past: map[string]rotation.Record{}},
		phone:  &phone{rang: map[string]time.Time{}, open: map[string]bool{}},
		floor:  &floor{ops: []string{"U0ADA", "U0BOB"}, onCall: []string{"U0BOB", "U0EVE"}},
		vaults: map[string]*place{}, probes: map[string]int{}, stop: func() {},
	}
	for i := range n {
		name := string(rune('a' + i))
		v := &place{pair: pairOf(name)}
		w.vaults[name] = v
		w.sets = append(w.sets, rotation.KeySet{Name: name, Vault: v})
		w.tower.past[name] = rotation.Record{KeySet: name, Last: "r0", Print: "print-" + name, Baseline: accountOf(name)}
	}
	return w
}

// pairOf is a pair whose key ID ends in name.
func pairOf(name string) rotation.Pair {
	return rotation.Pair{KeyID: secret.New("PKTESTKEY" + name), Secret: secret.New("secret/of/" + name)}
}

func accountOf(name string) rotation.Account {
	return rotation.Account{ID: "id-" + name, Number: "PA3TESTNUM" + strings.ToUpper(name) + "7", Status: "ACTIVE", Cash: "100"}
}

func idOf(p rotation.Pair) string { return p.KeyID.Tail(1) }

// Probe implements [rotation.Vendor]: ask decides, and everything works where
// it says nothing.
func (w *outside) Probe(_ context.Context, p rotation.Pair) rotation.Probe {
	name := idOf(p)
	w.mu.Lock()
	w.probes[name]++
	ask := w.ask
	w.mu.Unlock()
	a := rotation.Probe{Verdict: rotation.Valid, Status: 200, Account: accountOf(name)}
	if ask != nil {
		if b := ask(name); b.Verdict != "" {
			a = b
		}
	}
	a.At = time.Now().UTC()
	return a
}

func (w *outside) Survey(context.Context, rotation.Pair) (rotation.Survey, error) {
	return rotation.Survey{}, nil
}

func (w *outside) random() float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fixed != nil {
		return w.fixed()
	}
	return w.rnd.Float64()
}

// run starts a sentinel and an outbox that know only what is in store.
func (w *outside) run(store rotation.Store) {
	if w.engine == nil {
		w.engine, w.print = w.tower, func(p rotation.Pair) string { return "print-" + idOf(p) }
	}
	w.box = jobs.New(jobs.Config{Store: store, Engine: w.engine, Poster: w.world, Reacher: w.world, Now: time.Now, Log: slog.New(slog.DiscardHandler), Scan: w.scan})
	w.s = jobs.NewSentinel(jobs.SentinelConfig{
		KeySets: w.sets, Vendor: w, Print: w.print, Engine: w.engine, Outbox: w.box,
		Pager: w.phone, People: w.floor, Closer: w.closer, Channel: "C0OPS", Every: cron.Every(w.every), Rand: w.random, Now: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	ctx, cancel := context.WithCancel(w.t.Context())
	var wg sync.WaitGroup
	box, s := w.box, w.s
	wg.Go(func() { _ = box.Run(ctx) })
	wg.Go(func() { _ = s.Run(ctx) })
	w.stop = func() {
		cancel()
		wg.Wait()
		w.stop = func() {}
	}
}

// told returns "kind to" of every note that arrived, sorted.
func (w *outside) told(kinds ...string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := []string{}
	for _, n := range w.notes {
		if len(kinds) == 0 || slices.Contains(kinds, n.Note.Kind) {
			out = append(out, n.Note.Kind+" "+n.To)
		}
	}
	slices.Sort(out)
	return out
}

// last returns the newest note of a kind.
func (w *outside) last(kind string) rotation.Note {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range slices.Backward(w.notes) {
		if n.Note.Kind == kind {
			return n.Note
		}
	}
	return rotation.Note{}
}

// sleep waits until all is quiet after d, so that what was seen can be read.
func sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// asks changes what the vendor answers.
func (w *outside) asks(f func(id string) rotation.Probe) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ask = f
}

func rejected() rotation.Probe {
	return rotation.Probe{Verdict: rotation.Invalid, Status: 401, Reason: "unauthorized"}
}

// watching runs f in a bubble with n key sets and a running sentinel.
func watching(t *testing.T, n int, f func(*testing.T, *outside)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := outsideOf(t, n)
		defer func() { w.stop() }()
		f(t, w)
	})
}
