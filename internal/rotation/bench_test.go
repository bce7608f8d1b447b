package rotation_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
	"github.com/raxx-app/keyturn/internal/state"
)

// A bench is an engine on a real state file, in a world.
type bench struct {
	t      testing.TB
	w      *world
	store  rotation.Store
	engine *rotation.Engine
	sealer rotation.Sealer
	stop   func()
	others []rotation.KeySet
	seen   rotation.Seen                             // what the sentinel knows
	target func([]rotation.Target) []rotation.Target // edits bot.yml; nil: as it is
	config func(*rotation.Config)                    // edits all of it; nil: as it is
}

var operator = rotation.Actor{ID: "U0ADA"}

// setUp starts an engine with two consumers that count, one that does not and
// one that is covered.
func setUp(t testing.TB, w *world, others ...rotation.KeySet) *bench {
	t.Helper()
	return setUpOn(t, w, nil, others...)
}

// setUpOn is setUp with a store between the engine and the state file.
func setUpOn(t testing.TB, w *world, wrap func(rotation.Store) rotation.Store, others ...rotation.KeySet) *bench {
	t.Helper()
	b := &bench{t: t, w: w, others: others}
	dir, err := os.MkdirTemp(memoryDir(), "keyturn-test") //nolint:usetesting // memory is faster than the disk
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "keyturn.db")
	store, err := state.Open(t.Context(), state.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	if b.store = store; wrap != nil {
		b.store = wrap(store)
	}
	b.start()
	return b
}

func (b *bench) start() {
	b.t.Helper()
	sealer, err := state.LoadSealer(b.t.Context(), b.store, stateKey(b.t))
	if err != nil {
		b.t.Fatal(err)
	}
	b.sealer = sealer
	targets := []rotation.Target{
		{Name: "api", Kind: "heroku", Counts: true, Consumer: fakeConsumer{b.w, "api"}},
		{Name: "ci", Kind: "github_actions", Counts: true, Consumer: fakeConsumer{b.w, "ci"}},
		{Name: "dev", Kind: "developers", Consumer: fakeConsumer{b.w, "dev"}},
		{Name: "demo", Kind: "covered_by", CoveredBy: "api", Counts: true},
	}
	if b.target != nil {
		targets = b.target(targets)
	}
	cfg := rotation.Config{
		Seen:  func(context.Context, string) (rotation.Seen, error) { return b.seen, nil },
		Store: b.store, Chain: state.NewChain(b.store), Sealer: sealer, Vendor: b.w, Book: b.w, Now: time.Now,
		Log:   slog.New(slog.DiscardHandler),
		Admin: func(id string) string { return strings.ToLower(strings.TrimPrefix(id, "U0")) + "@raxx.app" },
		KeySets: append([]rotation.KeySet{{
			Name: "prod", CadenceDays: 180, Names: rotation.Names{KeyID: "ALPACA_PAPER_API_KEY_ID", Secret: "ALPACA_PAPER_API_SECRET_KEY"},
			Place: "project p, prod, /", Vault: fakeVault{b.w}, Trader: fakeTrader{b.w},
			Targets: targets,
		}}, b.others...),
	}
	if b.config != nil {
		b.config(&cfg)
	}
	b.engine = rotation.New(cfg)
	if err := b.engine.Load(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.t.Context())
	ended := make(chan error, 1)
	engine := b.engine
	go func() { ended <- engine.Run(ctx) }()
	b.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			b.t.Errorf("Run = %v, want nil", err)
		}
	}
}

// close stops everything; it must be called inside the bubble.
func (b *bench) close() {
	b.stop()
	if err := b.store.Close(); err != nil {
		b.t.Errorf("close store: %v", err)
	}
}

var testKey secret.Text

// stateKey is one identity for the whole test process: making one is slow.
func stateKey(t testing.TB) secret.Text {
	t.Helper()
	if testKey.Empty() {
		key, _, err := state.GenerateIdentity()
		if err != nil {
			t.Fatal(err)
		}
		testKey = key
	}
	return testKey
}

// open starts a rotation and waits until step 1 has looked at everything.
func (b *bench) open() rotation.ID {
	b.t.Helper()
	id, fresh, err := b.engine.Start(b.t.Context(), operator, "prod")
	if err != nil || !fresh {
		b.t.Fatalf("Start = %v, %t, want a new rotation", err, fresh)
	}
	b.until(id, "step 1 has looked at everything", func(r *rotation.Rotation) bool {
		s := r.Step(rotation.StepPrecheck)
		for _, it := range s.Items {
			if it.State == rotation.Pending || it.State == rotation.Running {
				return false
			}
		}
		return len(s.Items) > 0
	})
	return id
}

// until waits, in fake time, until the rotation is as described.
func (b *bench) until(id rotation.ID, what string, ok func(*rotation.Rotation) bool) rotation.Rotation {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Hour)
	defer cancel()
	for {
		o, changed, err := b.engine.Changed(ctx, id)
		if err != nil {
			b.t.Fatalf("wait until %s: %v", what, err)
		}
		if ok(&o.Rotation) {
			return o.Rotation
		}
		if changed == nil {
			b.t.Fatalf("rotation is over but not: %s; steps %s", what, steps(o.Rotation))
		}
		select {
		case <-changed:
		case <-ctx.Done():
			b.t.Fatalf("not within an hour: %s; steps %s", what, steps(o.Rotation))
		}
	}
}

// goOn leaves step 1 with everything confirmed.
func (b *bench) goOn(id rotation.ID, order bool) {
	b.t.Helper()
	problems, err := b.engine.GoOn(b.t.Context(), operator, id, rotation.GoOn{Trigger: rotation.TriggerScheduled, Ticks: allTicks(), TestOrder: order})
	if err != nil || len(problems) > 0 {
		b.t.Fatalf("GoOn = %v, %v, want nothing", problems, err)
	}
}

func allTicks() []string {
	var names []string
	for _, p := range rotation.Prerequisites() {
		names = append(names, p.Name)
	}
	return names
}

func (b *bench) paste(id rotation.ID, p rotation.Pair) rotation.Paste {
	b.t.Helper()
	got, err := b.engine.Paste(b.t.Context(), operator, id, p.KeyID, p.Secret)
	if err != nil {
		b.t.Fatalf("Paste = %v, want nil", err)
	}
	return got
}

// over waits until the rotation has completed.
func (b *bench) over(id rotation.ID) rotation.Rotation {
	b.t.Helper()
	return b.until(id, "completed", func(r *rotation.Rotation) bool { return r.Outcome == rotation.Completed })
}

// rows returns the audit rows of a rotation.
func (b *bench) rows(id rotation.ID) []state.Entry {
	b.t.Helper()
	entries, err := state.Rows(b.t.Context(), b.store, id)
	if err != nil {
		b.t.Fatal(err)
	}
	return entries
}

func steps(r rotation.Rotation) string {
	var s strings.Builder
	for _, st := range r.Steps {
		fmt.Fprintf(&s, "%s=%s(%s) ", st.Name, st.State, st.Problem.Reason)
		for _, it := range st.Items {
			if !it.State.Settled() {
				fmt.Fprintf(&s, "[%s %s %s] ", it.Name, it.State, it.Problem.Reason)
			}
		}
	}
	return s.String()
}

// set changes the world under its lock.
func (w *world) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// now returns the rotation as it is.
func (b *bench) now(id rotation.ID) rotation.Rotation {
	b.t.Helper()
	o, err := b.engine.Look(b.t.Context(), id)
	if err != nil {
		b.t.Fatalf("Look = %v", err)
	}
	return o.Rotation
}

// round returns the round that a button of the step is bound to now.
func (b *bench) round(id rotation.ID, step rotation.StepName) int {
	b.t.Helper()
	r := b.now(id)
	return r.Step(step).Round
}

// asked waits until step 2 asks for another pair.
func (b *bench) asked(id rotation.ID) rotation.Rotation {
	b.t.Helper()
	return b.until(id, "asked for another pair", func(r *rotation.Rotation) bool {
		return r.Step(rotation.StepGenerate).State == rotation.Running && len(r.Candidates) > 0
	})
}

// fails waits until a step, or with item one item of it, has failed.
func (b *bench) fails(id rotation.ID, step rotation.StepName, item string) rotation.Rotation {
	b.t.Helper()
	return b.until(id, string(step)+" "+item+" failed", func(r *rotation.Rotation) bool {
		if item == "" {
			return r.Step(step).State == rotation.Failed
		}
		it := r.Step(step).Item(item)
		return it != nil && it.State == rotation.Failed
	})
}

// retryAll presses Retry at every step that has something failed.
func (b *bench) retryAll(id rotation.ID) {
	b.t.Helper()
	r := b.now(id)
	for _, s := range r.Steps {
		if err := b.engine.Retry(b.t.Context(), operator, id, s.Name, s.Round, ""); err != nil && fault.ReasonOf(err) != "late" {
			b.t.Fatalf("Retry of %s = %v", s.Name, err)
		}
	}
}

// must fails the test if an act was refused.
func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatalf("refused: %v", err)
	}
}

// refused fails the test unless an act was refused for this reason.
func (b *bench) refused(what string, err error, reason string) {
	b.t.Helper()
	if fault.ReasonOf(err) != reason || err == nil {
		b.t.Errorf("%s = %v, want refused as %s", what, err, reason)
	}
}

// holds fails the test unless the vault and these consumers hold p.
func (b *bench) holds(p rotation.Pair, consumers ...string) {
	b.t.Helper()
	b.w.mu.Lock()
	defer b.w.mu.Unlock()
	if !b.w.vault.Pair.Equal(p) {
		b.t.Errorf("the vault holds ····%s, want ····%s", b.w.vault.Pair.Last4(), p.Last4())
	}
	for _, name := range consumers {
		if !b.w.applied[name].Equal(p) {
			b.t.Errorf("%s holds ····%s, want ····%s", name, b.w.applied[name].Last4(), p.Last4())
		}
	}
}

// inBubble runs a test in fake time: an engine in a world, past the gate.
func inBubble(t *testing.T, f func(*testing.T, *bench, rotation.ID)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := setUp(t, newWorld())
		defer b.close()
		id := b.open()
		b.goOn(id, false)
		f(t, b, id)
	})
}
