package rotation

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
)

// A Config is what an [Engine] works with. All fields but Admin, Role, Tell,
// Seen and Limits are needed.
type Config struct {
	Store   Store
	Chain   Chain
	Sealer  Sealer
	Vendor  Vendor
	Book    Book
	KeySets []KeySet
	Zone    *time.Location // calendar in which due dates are counted
	Limits  Limits
	Admin   func(slackID string) string                            // audit name of a person (R62); nil: the ID itself
	Tell    func(ID)                                               // called after each commit that people should see; must not block
	Role    func(slackID string) string                            // as what a person may act at this moment; "" or nil: not known
	Seen    func(ctx context.Context, keyset string) (Seen, error) // what the sentinel knows of the stored pair; nil: nothing
	Now     func() time.Time
	Log     *slog.Logger
}

// An Engine runs the rotations. Its methods may be called from any goroutine.
type Engine struct {
	cfg    Config
	led    *ledger
	limits Limits
	wake   chan struct{} // begins waits for Run

	starting sync.Mutex // one Start at a time: whoever comes second finds the first one's rotation

	mu     sync.Mutex
	runs   map[ID]*run // the open ones
	begins []*run      // loaded or started, for Run to drive
}

// New returns an engine that does nothing until Run is called.
func New(cfg Config) *Engine {
	return &Engine{
		cfg:    cfg,
		led:    &ledger{store: cfg.Store, chain: cfg.Chain, sealer: cfg.Sealer, now: cfg.Now},
		limits: cfg.Limits.withDefaults(),
		wake:   make(chan struct{}, 1),
		runs:   map[ID]*run{},
	}
}

// Load reads every open rotation, so that people can act on it; Run then goes
// on with it. A rotation whose key set is no longer configured is an error:
// nobody could finish it.
func (e *Engine) Load(ctx context.Context) error {
	open, err := e.stored(ctx)
	if err != nil {
		return err
	}
	for _, cur := range open {
		set, err := e.keySet(cur.KeySet)
		if err == nil {
			err = samePlace(&cur, set)
		}
		if err != nil {
			return fmt.Errorf("resume rotation %s: %w", cur.ID, err)
		}
		r := e.adopt(cur, set)
		if err := e.reconcile(ctx, r); err != nil {
			return fmt.Errorf("resume rotation %s: %w", cur.ID, err)
		}
	}
	return nil
}

// samePlace refuses a key set whose place in the vault was changed while its
// rotation is open: old and new pair would lie in different places.
func samePlace(cur *Rotation, set *KeySet) error {
	if cur.Place == set.Place {
		return nil
	}
	return &fault.Error{
		Kind: fault.Invalid, Reason: "place_changed", Op: "rotation.Load",
		User: fmt.Sprintf("The rotation of %s is open and began with the pair at %s; bot.yml says %s now.", cur.KeySet, cur.Place, set.Place),
		Fix:  "Put the old place back into bot.yml and finish the rotation first.",
	}
}

// Run drives the rotations that Load read and those that are started, until
// ctx ends and all of them have stopped.
func (e *Engine) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		for _, r := range e.undriven() {
			wg.Go(func() { e.own(ctx, r) })
		}
		select {
		case <-e.wake:
		case <-ctx.Done():
			return nil
		}
	}
}

// adopt makes the run of an open rotation known, and leaves it to Run to drive.
func (e *Engine) adopt(cur Rotation, set *KeySet) *run {
	r := newRun(e.led, set, cur, e.cfg.Tell, e.cfg.Log)
	e.mu.Lock()
	e.runs[cur.ID] = r
	e.begins = append(e.begins, r)
	e.mu.Unlock()
	select {
	case e.wake <- struct{}{}:
	default: // it is awake already
	}
	return r
}

// undriven returns what nobody drives yet.
func (e *Engine) undriven() []*run {
	e.mu.Lock()
	defer e.mu.Unlock()
	begins := e.begins
	e.begins = nil
	return begins
}

// Start opens a rotation of a key set for by, or returns the one that is open
// already (R83: one at a time), and whether it is new. It returns as soon as
// the rotation is committed; step 1 begins by itself.
func (e *Engine) Start(ctx context.Context, by Actor, keyset string) (ID, bool, error) {
	set, err := e.keySet(keyset)
	if err != nil {
		return "", false, err
	}
	return e.open(ctx, set, e.named(by), nil)
}

// open commits a new rotation of a key set for by, or returns the one that is
// open already. as says, in the same commit, what is special about a new one;
// nil: nothing.
func (e *Engine) open(ctx context.Context, set *KeySet, by Actor, as func(*Rotation, *change)) (ID, bool, error) {
	keyset := set.Name
	e.starting.Lock()
	defer e.starting.Unlock()
	if id, err := e.led.active(ctx, keyset); err == nil {
		return id, false, nil
	} else if !errors.Is(err, ErrNotFound) {
		return "", false, err
	}
	cur := Rotation{ID: newID(), KeySet: keyset, Trigger: TriggerScheduled, Place: set.Place, Operator: by, Opener: by, Opened: e.now(), Steps: freshSteps()}
	c := change{conds: []Cond{{Key: activePrefix + keyset}}, ops: []Op{{Key: activePrefix + keyset, Value: []byte(cur.ID)}}}
	c.add(&cur, "", cur.Operator, "secret.rotate.started", map[string]any{"role": by.role(), "sop": SOPID, "sop_version": SOPVersion, "secret_names": []string{set.Names.KeyID, set.Names.Secret}})
	if as != nil {
		as(&cur, &c)
		cur.AskedFor = cur.Trigger
	}
	if err := e.led.commit(ctx, &cur, &c); err != nil {
		id, activeErr := e.led.active(context.WithoutCancel(ctx), keyset)
		switch {
		case activeErr != nil:
			return "", false, err
		case id != cur.ID:
			return id, false, nil // somebody else was faster
		}
		// It was done after all; only the answer was lost.
		if cur, err = e.led.load(context.WithoutCancel(ctx), id); err != nil {
			return "", false, err
		}
	}
	e.adopt(cur, set)
	e.cfg.Log.InfoContext(ctx, "rotation opened", slog.String("rotation", string(cur.ID)), slog.String("step", string(StepPrecheck)), slog.String("keyset", keyset), slog.String("actor", by.ID))
	if e.cfg.Tell != nil {
		e.cfg.Tell(cur.ID)
	}
	return cur.ID, true, nil
}

// Look returns what people may be shown of a rotation, open or closed.
func (e *Engine) Look(ctx context.Context, id ID) (Overview, error) {
	cur, err := e.current(ctx, id)
	if err != nil {
		return Overview{}, err
	}
	return e.overview(ctx, cur)
}

// Changed returns the rotation as it is and a channel that is closed at its
// next change; nil if the rotation is not open.
func (e *Engine) Changed(ctx context.Context, id ID) (Overview, <-chan struct{}, error) {
	r := e.running(id)
	if r == nil {
		o, err := e.Look(ctx, id)
		return o, nil, err
	}
	cur, changed := r.look()
	if cur.Outcome != Open {
		changed = nil // it was the last change
	}
	o, err := e.overview(ctx, cur)
	return o, changed, err
}

// Open returns the IDs of the rotations that are open, by the names of their
// key sets.
func (e *Engine) Open(ctx context.Context) ([]ID, error) {
	kvs, err := e.cfg.Store.List(ctx, activePrefix, "", 0)
	if err != nil {
		return nil, fmt.Errorf("list open rotations: %w", err)
	}
	ids := make([]ID, 0, len(kvs))
	for _, kv := range kvs {
		ids = append(ids, ID(kv.Value))
	}
	return ids, nil
}

// KeySets returns the names of the configured key sets.
func (e *Engine) KeySets() []string {
	names := make([]string, 0, len(e.cfg.KeySets))
	for _, s := range e.cfg.KeySets {
		names = append(names, s.Name)
	}
	return names
}

// stored returns every open rotation as it is in the store.
func (e *Engine) stored(ctx context.Context) ([]Rotation, error) {
	ids, err := e.Open(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]Rotation, 0, len(ids))
	for _, id := range ids {
		cur, err := e.led.load(ctx, id)
		if err != nil {
			return nil, err
		}
		all = append(all, cur)
	}
	return all, nil
}

// Active returns the open rotation of a key set, or [ErrNotFound].
func (e *Engine) Active(ctx context.Context, keyset string) (ID, error) {
	return e.led.active(ctx, keyset)
}

// Remembered returns what is kept of a key set between rotations.
func (e *Engine) Remembered(ctx context.Context, keyset string) (Record, error) {
	return e.led.record(ctx, keyset)
}

// Denied writes an audit row about a person who was refused.
func (e *Engine) Denied(ctx context.Context, by Actor, id ID, what, why string) error {
	return e.led.note(ctx, e.aside(by, id, "secret.rotate.denied", map[string]any{"act": what, "why": why}))
}

// Stale writes an audit row about a person who was let in on a membership that
// is age old, because Slack does not answer and trading is down.
func (e *Engine) Stale(ctx context.Context, by Actor, id ID, what string, age time.Duration) error {
	return e.led.note(ctx, e.aside(by, id, "secret.rotate.deviation", map[string]any{"act": what, "membership_age_s": int(age.Seconds())}))
}

// aside is a row that belongs to no change of a rotation.
func (e *Engine) aside(by Actor, id ID, action string, context map[string]any) Row {
	by = e.named(by)
	row := Row{Rotation: id, Actor: by.Admin, Action: action, Context: context}
	if by.ID != by.Admin {
		row.Slack = by.ID
	}
	if r := e.running(id); r != nil {
		row.KeySet = r.set.Name
	}
	return row
}

func (e *Engine) overview(ctx context.Context, cur Rotation) (Overview, error) {
	o := Overview{Rotation: cur, Now: e.now()}
	var err error
	if o.Past, err = e.led.record(ctx, cur.KeySet); err != nil {
		return o, err
	}
	set, err := e.keySet(cur.KeySet)
	if err != nil {
		return o, nil //nolint:nilerr // a closed rotation of a key set that is gone can still be shown
	}
	o.Names, o.Place, o.CadenceDays = set.Names, set.Place, set.CadenceDays
	o.Other = e.otherOwner(ctx, &cur)
	for _, t := range set.Targets {
		o.Targets = append(o.Targets, TargetInfo{Name: t.Name, Kind: t.Kind, CoveredBy: t.CoveredBy, Counts: t.Counts})
	}
	if set.Trader != nil {
		spec := set.Trader.Spec()
		o.Order = &spec
	}
	return o, nil
}

// current returns the rotation from memory if it is open, else from the store.
func (e *Engine) current(ctx context.Context, id ID) (Rotation, error) {
	if r := e.running(id); r != nil {
		cur, _ := r.look()
		return cur, nil
	}
	return e.led.load(ctx, id)
}

func (e *Engine) running(id ID) *run {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.runs[id]
}

// must returns the run of an open rotation, or a fault that says it is over.
func (e *Engine) must(id ID) (*run, error) {
	if r := e.running(id); r != nil && !r.over() {
		return r, nil
	}
	return nil, errOver
}

func (e *Engine) keySet(name string) (*KeySet, error) {
	for i := range e.cfg.KeySets {
		if e.cfg.KeySets[i].Name == name {
			return &e.cfg.KeySets[i], nil
		}
	}
	return nil, &fault.Error{Kind: fault.NotFound, Reason: "no_keyset", Op: "rotation.Engine", User: fmt.Sprintf("There is no key set %q.", name), Fix: "Configured: " + strings.Join(e.KeySets(), ", ") + "."}
}

// named fills in the audit name, and as what a person acts unless the caller knows:
// whoever calls has just let them in.
func (e *Engine) named(a Actor) Actor {
	if a.Role == "" && e.cfg.Role != nil && a.ID != BotActor {
		a.Role = e.cfg.Role(a.ID)
	}
	a.Admin = a.ID
	if e.cfg.Admin != nil && a.ID != BotActor {
		a.Admin = e.cfg.Admin(a.ID)
	}
	return a
}

// bot is the actor of what happens by itself.
func bot() Actor { return Actor{ID: BotActor, Admin: BotActor} }

func (e *Engine) now() time.Time { return e.cfg.Now().UTC() }

// newID returns an ID that nobody can guess; it is bound into buttons.
func newID() ID { return ID("r" + strings.ToLower(rand.Text()[:10])) }

func freshSteps() []Step {
	steps := make([]Step, 0, len(StepNames()))
	for i, name := range StepNames() {
		steps = append(steps, Step{Number: i + 1, Name: name, State: Pending})
	}
	return steps
}

// others returns the key sets beside name.
func (e *Engine) others(name string) []KeySet {
	return slices.DeleteFunc(slices.Clone(e.cfg.KeySets), func(s KeySet) bool { return s.Name == name })
}

// errAttr is how an error stands in a log line.
func errAttr(err error) slog.Attr { return slog.Any("error", err) }
