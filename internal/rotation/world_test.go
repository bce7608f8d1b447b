package rotation_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
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
	mute     map[string]bool             // last four of keys of which the vendor says nothing
	flap     int                         // so many probes more are rejected, whatever the pair
	late     time.Duration               // how long its answers are under way
	linger   time.Duration               // how long an old pair goes on after the click
	diedAt   map[string]time.Time        // key ID → when it was replaced

	vault     rotation.Stored
	vaultFail []error // answers of the next writes
	vaultDown bool    // reads and writes fail
	vaultLose bool    // the next write is done, and its answer lost
	applied   map[string]rotation.Pair
	applyFail map[string][]error // answers of the next applies, by consumer
	applies   map[string]int
	applyAt   map[string][]time.Time   // when each was tried
	verifyAt  map[string][]time.Time   // when each was looked at
	lag       map[string]time.Duration // consumer → how long its Apply takes
	notReady  map[string]bool
	notLive   map[string]time.Time // consumer → when it starts to use the pair

	orders   []rotation.Order
	placed   int
	loseSent bool // the trader's answer is lost
	refuses  bool // the trader refuses, and places nothing
	fills    bool // orders fill at once
	noBook   bool // orders do not reach the paper book
	stuck    bool // orders do not end, whatever is asked
	unread   bool // positions and orders cannot be read
	survey   rotation.Survey
	onSurvey func()   // called by each Survey; nil: nothing
	probes   []string // last four of each key that was probed, in order
}

// newWorld has two accounts, each with a live pair; the accounts are older than
// the year in which fake time begins.
func newWorld() *world {
	w := &world{
		accounts: map[string]rotation.Account{}, owner: map[string]string{}, live: map[string]string{}, diedAt: map[string]time.Time{},
		applied: map[string]rotation.Pair{}, applyFail: map[string][]error{}, applies: map[string]int{}, applyAt: map[string][]time.Time{}, verifyAt: map[string][]time.Time{}, notLive: map[string]time.Time{},
	}
	w.accounts["acc-1"] = rotation.Account{ID: "acc-1", Number: "PA3ABCDE7Q01", Status: "ACTIVE", BuyingPower: "200000", CreatedAt: time.Date(1998, 1, 2, 0, 0, 0, 0, time.UTC)}
	w.accounts["acc-2"] = rotation.Account{ID: "acc-2", Number: "PA3OTHER9X02", Status: "ACTIVE", BuyingPower: "5", CreatedAt: time.Date(1999, 3, 4, 0, 0, 0, 0, time.UTC)}
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
	p := pairOf(tail)
	w.owner[p.KeyID.Reveal()], w.live[account] = account, p.KeyID.Reveal()
	return p
}

// pairOf is the pair whose key ID ends in tail.
func pairOf(tail string) rotation.Pair {
	return rotation.Pair{KeyID: secret.New("PK" + strings.Repeat("A", 20) + tail), Secret: secret.New("s" + strings.Repeat("b", 39) + tail)}
}

func (w *world) Probe(_ context.Context, p rotation.Pair) rotation.Probe {
	w.mu.Lock()
	got, late := w.probe(p), w.late
	w.mu.Unlock()
	if late > 0 {
		time.Sleep(late)
	}
	return got
}

// probe is what the vendor says of a pair now.
func (w *world) probe(p rotation.Pair) rotation.Probe {
	w.probes = append(w.probes, p.Last4())
	id := p.KeyID.Reveal()
	account := w.owner[id]
	dead, replaced := w.diedAt[id]
	switch {
	case w.down || w.mute[p.Last4()]:
		return rotation.Probe{Verdict: rotation.Unknown, Reason: "timeout", At: time.Now()}
	case w.flap > 0:
		w.flap--
	case account != "" && p.Equal(pairOf(p.Last4())) && (!replaced || time.Since(dead) < w.linger):
		return rotation.Probe{Verdict: rotation.Valid, Account: w.accounts[account], Status: 200, At: time.Now()}
	}
	return rotation.Probe{Verdict: rotation.Invalid, Reason: "unauthorized", Status: 401, At: time.Now()}
}

func (w *world) Survey(ctx context.Context, p rotation.Pair) (rotation.Survey, error) {
	if w.Probe(ctx, p).Verdict != rotation.Valid {
		return rotation.Survey{}, &fault.Error{Kind: fault.Denied, Reason: "unauthorized"}
	}
	w.mu.Lock()
	hook := w.onSurvey
	w.mu.Unlock()
	if hook != nil {
		hook()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.unread {
		return rotation.Survey{}, &fault.Error{Kind: fault.Transient, Reason: "server"}
	}
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
		if w.orders[i].ID == id && w.orders[i].Status != "filled" && !w.stuck {
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
	if v.w.vaultDown {
		return rotation.Stored{}, &fault.Error{Kind: fault.Transient, Reason: "unavailable", User: "Infisical does not answer."}
	}
	return v.w.vault, nil
}

func (v fakeVault) Write(_ context.Context, p rotation.Pair, upsert bool) error {
	v.w.mu.Lock()
	defer v.w.mu.Unlock()
	if v.w.vaultDown {
		return &fault.Error{Kind: fault.Transient, Reason: "unavailable", User: "Infisical does not answer."}
	}
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
	if v.w.vaultLose {
		v.w.vaultLose = false
		return &fault.Error{Kind: fault.Unknown, Reason: "lost_reply"}
	}
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

func (c fakeConsumer) Apply(ctx context.Context, d rotation.Delivery) (rotation.Receipt, error) {
	c.w.mu.Lock()
	lag := c.w.lag[c.name]
	c.w.applies[c.name]++
	c.w.applyAt[c.name] = append(c.w.applyAt[c.name], time.Now())
	c.w.mu.Unlock()
	if lag > 0 {
		select {
		case <-time.After(lag):
		case <-ctx.Done():
			return rotation.Receipt{}, ctx.Err()
		}
	}
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
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
	c.w.verifyAt[c.name] = append(c.w.verifyAt[c.name], time.Now())
	if !c.w.applied[c.name].Equal(d.Pair) {
		return rotation.Proof{}, &fault.Error{Kind: fault.Conflict, Reason: "overwritten", User: "It holds something else."}
	}
	if time.Now().Before(c.w.notLive[c.name]) {
		return rotation.Proof{Detail: "release pending"}, nil
	}
	return rotation.Proof{Done: true, Detail: "live"}, nil
}

// Holds implements rotation.Holder.
func (c fakeConsumer) Holds(context.Context) (rotation.Pair, error) {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	return c.w.applied[c.name], nil
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
	if t.w.refuses {
		return "", &fault.Error{Kind: fault.Invalid, Reason: "order_refused"}
	}
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
