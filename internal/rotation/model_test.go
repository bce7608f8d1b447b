package rotation_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/state"
	"github.com/raxx-app/keyturn/internal/state/statetest"
)

// modelSteps is how many steps the long form of the model takes. The short form
// takes about shortSteps.
var modelSteps = flag.Int("rotation.model", 0, "steps of the model of engine, store and world; 0: a short form")

const (
	shortSteps = 500
	perHistory = 40 // steps from an empty state to the end, on average
)

// TestModel runs random people, random faults, restarts and time against the
// engine on a real state file, and looks after every step at what must always
// hold (see check). R64–R68, R83, R88, R89.
//
// At the end of every history the faults stop and a sane operator presses what
// is offered: every rotation must then end.
func TestModel(t *testing.T) {
	want := shortSteps
	if *modelSteps > 0 {
		want = *modelSteps
	}
	setRapid(t, "rapid.steps", strconv.Itoa(perHistory))
	setRapid(t, "rapid.checks", strconv.Itoa(max(1, want/perHistory/16)))
	setRapid(t, "rapid.nofailfile", "true")
	var done, histories, ended atomic.Int64
	began := time.Now()
	t.Run("lanes", func(t *testing.T) {
		for lane := range 2 {
			t.Run(strconv.Itoa(lane), func(t *testing.T) {
				t.Parallel()
				for int(done.Load()) < want && !t.Failed() {
					rapid.Check(t, func(rt *rapid.T) {
						rapid.SyncTest(rt, func(rt *rapid.T) {
							m := newMachine(rt)
							defer m.close()
							rt.Repeat(m.actions(&done))
							m.heal(rt)
							histories.Add(1)
							ended.Add(int64(m.ended))
						})
					})
				}
			})
		}
	})
	t.Logf("%d steps in %d histories, %d rotations ended, %s", done.Load(), histories.Load(), ended.Load(), time.Since(began).Round(time.Millisecond))
}

// setRapid sets one of rapid's flags for this test.
func setRapid(t *testing.T, name, value string) {
	t.Helper()
	f := flag.Lookup(name)
	was := f.Value.String()
	if err := f.Value.Set(value); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Value.Set(was) })
}

// A machine is the engine, its store and the world in one history.
type machine struct {
	dir    string
	real   *state.Store
	store  rotation.Store // fails now and then
	dice   *dice
	engine *rotation.Engine
	sealer rotation.Sealer
	stop   func()

	w       *world
	places  map[string]*place    // by key set
	home    map[string]string    // key set → its account
	gone    map[string]bool      // accounts that were deleted
	strayed map[string]bool      // key sets whose rotation took the other's account
	made    []rotation.Pair      // every pair that was generated
	edited  time.Time            // when bot.yml was changed last
	late    bool                 // a consumer was added to bot.yml
	read    map[string]read      // rotations that were decoded
	seen    map[rotation.ID]bool // completed and looked at
	ended   int

	clear time.Time // since when the vendor has told the truth about every pair; under w.mu

	mu     sync.Mutex
	wrong  []string
	pasted map[rotation.ID]map[int]rotation.Pair // what Paste said was sealed
	trace  []string
}

// newMachine opens an empty state and starts an engine in a world with two key
// sets, each with an account of its own.
func newMachine(t *rapid.T) *machine {
	dir, err := os.MkdirTemp(memoryDir(), "keyturn-model")
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{
		dir: dir, w: newWorld(), places: map[string]*place{}, home: map[string]string{"prod": "acc-1", "staging": "acc-2"},
		pasted: map[rotation.ID]map[int]rotation.Pair{}, seen: map[rotation.ID]bool{}, gone: map[string]bool{}, strayed: map[string]bool{}, read: map[string]read{},
		sealer: glassSealer{},
		dice:   &dice{rng: rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))},
	}
	for keyset, account := range m.home {
		p := &place{m: m, keyset: keyset, held: map[string]rotation.Pair{}, next: map[string][]string{}, byHand: map[string]time.Time{}, liveAt: map[string]time.Time{}}
		p.vault = rotation.Stored{Pair: m.generate(account), Version: rotation.Version{KeyID: 3, Secret: 3}}
		m.places[keyset] = p
	}
	if m.real, err = state.Open(context.Background(), state.Config{Path: filepath.Join(dir, "keyturn.db")}); err != nil {
		t.Fatal(err)
	}
	m.seedBaseline(t)
	flaky := statetest.NewFlaky(m.real)
	flaky.When(func([]rotation.Cond, []rotation.Op) statetest.Outcome {
		for outcome, n := range map[statetest.Outcome]int{statetest.Conflict: 30, statetest.Unwritten: 40, statetest.Written: 40, statetest.Broken: 150} {
			if m.dice.roll(n) {
				return outcome
			}
		}
		return statetest.Pass
	})
	m.store = shakyStore{Store: flaky, fails: func() bool { return m.dice.roll(300) }}
	m.start(t)
	return m
}

// memoryDir is a directory that needs no disk, if the machine has one: the
// model is about order, not about syncing.
func memoryDir() string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return ""
}

// seedBaseline makes staging's account known, as an earlier rotation would.
func (m *machine) seedBaseline(t *rapid.T) {
	body := fmt.Sprintf(`{"keyset":"staging","baseline":{"id":"acc-2","number":%q,"status":"ACTIVE","created_at":"1999-03-04T00:00:00Z"}}`, m.w.accounts["acc-2"].Number)
	if _, err := m.real.Txn(context.Background(), nil, []rotation.Op{{Key: "keyset/staging", Value: []byte(body)}}); err != nil {
		t.Fatal(err)
	}
}

// generate is a click in the dashboard.
func (m *machine) generate(account string) rotation.Pair {
	p := m.w.click(account, fmt.Sprintf("%04d", len(m.made)))
	m.made = append(m.made, p)
	return p
}

// start builds an engine on the state and runs it. Faults of the state wait
// until it has loaded: a bot that cannot read its state does not start.
func (m *machine) start(t *rapid.T) {
	m.dice.set(false)
	ctx, cancel := context.WithCancel(context.Background())
	engine := rotation.New(rotation.Config{
		Store: m.store, Chain: state.NewChain(m.real), Sealer: m.sealer, Vendor: m.w, Book: m.w, Now: time.Now,
		Log: slog.New(slog.DiscardHandler), KeySets: []rotation.KeySet{m.keySet("prod"), m.keySet("staging")},
		Limits: rotation.Limits{ProbeFastFor: time.Minute}, // fewer commits in long waits
	})
	if err := engine.Load(ctx); err != nil {
		t.Fatalf("Load = %v", err)
	}
	m.engine = engine
	ended := make(chan error, 1)
	go func() { ended <- engine.Run(ctx) }()
	m.stop = func() {
		cancel()
		<-ended
	}
}

func (m *machine) keySet(name string) rotation.KeySet {
	p := m.places[name]
	consumer := func(of string) rotation.Consumer { return modelConsumer{p, of} }
	set := rotation.KeySet{
		Name: name, CadenceDays: 180, Names: rotation.Names{KeyID: "K", Secret: "S"}, Place: name, Vault: p,
		Targets: []rotation.Target{
			{Name: "api", Kind: "heroku", Counts: true, Consumer: consumer("api")},
			{Name: "ci", Kind: "github_actions", Counts: true, Consumer: consumer("ci")},
			{Name: "dev", Kind: "developers", Consumer: consumer("dev")},
			{Name: "demo", Kind: "covered_by", CoveredBy: "api", Counts: true},
		},
	}
	if m.late {
		set.Targets = append(set.Targets, rotation.Target{Name: "late", Kind: "webhook", Counts: true, Consumer: consumer("late")})
	}
	if name == "prod" {
		set.Trader = fakeTrader{m.w}
	}
	return set
}

// close ends the history. The bubble must not be left with a goroutine in it.
func (m *machine) close() {
	m.stop()
	_ = m.real.Close()
	_ = os.RemoveAll(m.dir)
}

// note keeps what was done, for the message of a failure.
func (m *machine) note(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.trace = append(m.trace, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

// fail ends the history with everything that led to it.
func (m *machine) fail(t *rapid.T, format string, args ...any) {
	t.Helper()
	m.mu.Lock()
	trace := strings.Join(m.trace, "\n")
	m.mu.Unlock()
	var open strings.Builder
	for _, r := range m.rotations() {
		if r.Outcome == rotation.Open {
			fmt.Fprintf(&open, "%s %s chosen %d: %s\n  candidates %+v\n", r.ID, r.KeySet, r.Chosen, steps(r), r.Candidates)
		}
	}
	t.Fatalf("%s\nopen:\n%sdone:\n%s", fmt.Sprintf(format, args...), open.String(), trace)
}
