package rotation_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
	"github.com/raxx-app/keyturn/internal/state"
)

// A world is everything outside the engine, as small as it can be and as
// unforgiving: there is one live pair per account, and only the vendor knows
// which. It is used inside a synctest bubble.
type world struct {
	mu       sync.Mutex
	accounts map[string]rotation.Account // by account ID
	owner    map[string]string           // key ID → account ID
	live     map[string]string           // account ID → live key ID
	down     bool                        // the vendor answers nobody
	linger   time.Duration               // how long an old pair goes on after the click
	diedAt   map[string]time.Time        // key ID → when it was replaced

	vault     rotation.Stored
	vaultFail []error // answers of the next writes
	applied   map[string]rotation.Pair
	applyFail map[string][]error // answers of the next applies, by consumer
	applies   map[string]int
	notReady  map[string]bool
	notLive   map[string]time.Time // consumer → when it starts to use the pair

	orders   []rotation.Order
	placed   int
	loseSent bool // the trader's answer is lost
	fills    bool // orders fill at once
	noBook   bool // orders do not reach the paper book
	survey   rotation.Survey
	probes   []string // last four of each key that was probed, in order
}

func newWorld() *world {
	w := &world{
		accounts: map[string]rotation.Account{}, owner: map[string]string{}, live: map[string]string{}, diedAt: map[string]time.Time{},
		applied: map[string]rotation.Pair{}, applyFail: map[string][]error{}, applies: map[string]int{}, notLive: map[string]time.Time{},
	}
	w.accounts["acc-1"] = rotation.Account{ID: "acc-1", Number: "PA3ABCDE7Q01", Status: "ACTIVE", BuyingPower: "200000", CreatedAt: time.Date(2025, 1, 2, 0, 0, 0, 0, time.UTC)}
	w.accounts["acc-2"] = rotation.Account{ID: "acc-2", Number: "PA3OTHER9X02", Status: "ACTIVE", BuyingPower: "5", CreatedAt: time.Date(2025, 3, 4, 0, 0, 0, 0, time.UTC)}
	old := w.click("acc-1", "OLD1")
	w.vault = rotation.Stored{Pair: old, Version: rotation.Version{KeyID: 3, Secret: 3}}
	w.click("acc-2", "ELSE")
	return w
}

// click generates a pair for an account, which kills the one before it at
// once. tail makes the key ID recognisable.
func (w *world) click(account, tail string) rotation.Pair {
	w.mu.Lock()
	defer w.mu.Unlock()
	if was := w.live[account]; was != "" {
		w.diedAt[was] = time.Now()
	}
	id := "PK" + strings.Repeat("A", 20) + tail
	w.owner[id], w.live[account] = account, id
	return rotation.Pair{KeyID: secret.New(id), Secret: secret.New("s" + strings.Repeat("b", 39) + tail)}
}

func (w *world) Probe(_ context.Context, p rotation.Pair) rotation.Probe {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.probes = append(w.probes, p.Last4())
	id := p.KeyID.Reveal()
	account := w.owner[id]
	dead, replaced := w.diedAt[id]
	switch {
	case w.down:
		return rotation.Probe{Verdict: rotation.Unknown, Reason: "timeout", At: time.Now()}
	case account != "" && (!replaced || time.Since(dead) < w.linger):
		return rotation.Probe{Verdict: rotation.Valid, Account: w.accounts[account], Status: 200, At: time.Now()}
	}
	return rotation.Probe{Verdict: rotation.Invalid, Reason: "unauthorized", Status: 401, At: time.Now()}
}

func (w *world) Survey(ctx context.Context, p rotation.Pair) (rotation.Survey, error) {
	if w.Probe(ctx, p).Verdict != rotation.Valid {
		return rotation.Survey{}, &fault.Error{Kind: fault.Denied, Reason: "unauthorized"}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.survey, nil
}

func (w *world) Orders(_ context.Context, _ rotation.Pair, clientID string, since time.Time) ([]rotation.Order, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []rotation.Order
	for _, o := range w.orders {
		if clientID != "" && o.ClientID == clientID || clientID == "" && !o.CreatedAt.Before(since) {
			found = append(found, o)
		}
	}
	return found, nil
}

func (w *world) Cancel(_ context.Context, _ rotation.Pair, id string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.orders {
		if w.orders[i].ID == id && w.orders[i].Status != "filled" {
			w.orders[i].Status = "canceled"
		}
	}
	return nil
}

func (w *world) Sell(_ context.Context, _ rotation.Pair, clientID, symbol, qty string) (rotation.Order, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range w.orders {
		if o.ClientID == clientID {
			return o, nil
		}
	}
	o := rotation.Order{ID: "sell-1", ClientID: clientID, Symbol: symbol, Side: "sell", Type: "market", Qty: qty, FilledQty: qty, Status: "filled", CreatedAt: time.Now()}
	w.orders = append(w.orders, o)
	return o, nil
}

// A fakeVault is the world's vault.
type fakeVault struct{ w *world }

func (v fakeVault) Ready(context.Context) rotation.Readiness {
	return rotation.Readiness{Level: rotation.Unproven, Detail: "a write cannot be proven by reading"}
}

func (v fakeVault) Read(context.Context) (rotation.Stored, error) {
	v.w.mu.Lock()
	defer v.w.mu.Unlock()
	return v.w.vault, nil
}

func (v fakeVault) Write(_ context.Context, p rotation.Pair, upsert bool) error {
	v.w.mu.Lock()
	defer v.w.mu.Unlock()
	if len(v.w.vaultFail) > 0 {
		err := v.w.vaultFail[0]
		v.w.vaultFail = v.w.vaultFail[1:]
		return err
	}
	if v.w.vault.Pair.Empty() && !upsert {
		return &fault.Error{Kind: fault.NotFound, Reason: "absent"}
	}
	v.w.vault.Pair = p
	v.w.vault.Version.KeyID++
	v.w.vault.Version.Secret++
	return nil
}

// A fakeConsumer holds the pair it was given.
type fakeConsumer struct {
	w    *world
	name string
}

func (c fakeConsumer) Ready(context.Context) rotation.Readiness {
	if c.w.notReady[c.name] {
		return rotation.Readiness{Level: rotation.NotReady, Problem: rotation.Problem{Reason: "no_permission", Text: "It refuses.", Fix: "Give permission."}}
	}
	return rotation.Readiness{Level: rotation.Ready, Detail: "readable"}
}

func (c fakeConsumer) Apply(_ context.Context, d rotation.Delivery) (rotation.Receipt, error) {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	c.w.applies[c.name]++
	if fails := c.w.applyFail[c.name]; len(fails) > 0 {
		c.w.applyFail[c.name] = fails[1:]
		return rotation.Receipt{}, fails[0]
	}
	c.w.applied[c.name] = d.Pair
	return rotation.Receipt{Data: map[string]string{"release": "7"}}, nil
}

func (c fakeConsumer) Verify(_ context.Context, d rotation.Delivery, _ rotation.Receipt) (rotation.Proof, error) {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	if !c.w.applied[c.name].Equal(d.Pair) {
		return rotation.Proof{}, &fault.Error{Kind: fault.Conflict, Reason: "overwritten", User: "It holds something else."}
	}
	if time.Now().Before(c.w.notLive[c.name]) {
		return rotation.Proof{Detail: "release pending"}, nil
	}
	return rotation.Proof{Done: true, Detail: "live"}, nil
}

// A fakeTrader places the world's test order.
type fakeTrader struct{ w *world }

func (fakeTrader) Ready(context.Context) rotation.Readiness {
	return rotation.Readiness{Level: rotation.Unproven, Detail: "not provable without placing one"}
}

func (fakeTrader) Spec() rotation.OrderSpec {
	return rotation.OrderSpec{Symbol: "AAPL", Qty: "1", Side: "buy", Type: "market", TimeInForce: "day"}
}

func (t fakeTrader) Place(context.Context, string) (string, error) {
	t.w.mu.Lock()
	defer t.w.mu.Unlock()
	t.w.placed++
	o := rotation.Order{ID: fmt.Sprintf("order-%d", t.w.placed), ClientID: "theirs", Symbol: "AAPL", Side: "buy", Type: "market", Qty: "1", FilledQty: "0", Status: "new", CreatedAt: time.Now()}
	if t.w.fills {
		o.Status, o.FilledQty = "filled", "1"
	}
	if !t.w.noBook {
		t.w.orders = append(t.w.orders, o)
	}
	if t.w.loseSent {
		return "", &fault.Error{Kind: fault.Unknown, Reason: "lost_reply"}
	}
	return o.ID, nil
}

// A bench is an engine on a real state file, in a world.
type bench struct {
	t      *testing.T
	w      *world
	store  rotation.Store
	engine *rotation.Engine
	stop   func()
	others []rotation.KeySet
}

var operator = rotation.Actor{ID: "U0ADA"}

// setUp starts an engine with two consumers that count, one that does not and
// one that is covered.
func setUp(t *testing.T, w *world, others ...rotation.KeySet) *bench {
	t.Helper()
	b := &bench{t: t, w: w, others: others}
	path := filepath.Join(t.TempDir(), "keyturn.db")
	store, err := state.Open(t.Context(), state.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	b.store = store
	b.start()
	return b
}

func (b *bench) start() {
	b.t.Helper()
	sealer, err := state.LoadSealer(b.t.Context(), b.store, stateKey(b.t))
	if err != nil {
		b.t.Fatal(err)
	}
	consumer := func(name string) rotation.Consumer { return fakeConsumer{b.w, name} }
	b.engine = rotation.New(rotation.Config{
		Store: b.store, Chain: state.NewChain(b.store), Sealer: sealer, Vendor: b.w, Book: b.w, Now: time.Now,
		Log:   slog.New(slog.DiscardHandler),
		Admin: func(id string) string { return strings.ToLower(strings.TrimPrefix(id, "U0")) + "@raxx.app" },
		KeySets: append([]rotation.KeySet{{
			Name: "prod", CadenceDays: 180, Names: rotation.Names{KeyID: "ALPACA_PAPER_API_KEY_ID", Secret: "ALPACA_PAPER_API_SECRET_KEY"},
			Place: "project p, prod, /", Vault: fakeVault{b.w}, Trader: fakeTrader{b.w},
			Targets: []rotation.Target{
				{Name: "api", Kind: "heroku", Counts: true, Consumer: consumer("api")},
				{Name: "ci", Kind: "github_actions", Counts: true, Consumer: consumer("ci")},
				{Name: "dev", Kind: "developers", Consumer: consumer("dev")},
				{Name: "demo", Kind: "covered_by", CoveredBy: "api", Counts: true},
			},
		}}, b.others...),
	})
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
func stateKey(t *testing.T) secret.Text {
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
