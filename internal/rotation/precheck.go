package rotation

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
)

// Names of the checks of step 1 that are no consumers.
const (
	CheckVault   = "infisical"
	CheckPair    = "current_pair"
	CheckAccount = "snapshot"
	CheckShared  = "other_keysets"
	CheckOrder   = "test_order"
	CheckAudit   = "audit"
)

// kindCheck is the kind of an item that is no consumer.
const kindCheck = "check"

// readyLimit is how long one consumer may take to say whether it is ready.
const readyLimit = 30 * time.Second

// precheck is step 1: everything that can fail later is tried now, changing
// nothing, and the current pair is sealed (R16–R24). It ends when the operator
// goes on. A check that is set to pending again is done again.
func (e *Engine) precheck(ctx context.Context, r *run) error {
	if err := e.listChecks(ctx, r); err != nil {
		return err
	}
	defer e.watching(ctx, r)()
	for ctx.Err() == nil {
		e.runChecks(ctx, r)
		err := r.await(ctx, func(cur *Rotation) bool {
			s := cur.Step(StepPrecheck)
			return s.State != Running || s.pendingItems()
		})
		if cur, _ := r.look(); err != nil || cur.Step(StepPrecheck).State != Running {
			return err
		}
	}
	return ctx.Err()
}

// listChecks writes down what is going to be checked; after a crash whatever
// was under way is checked again.
func (e *Engine) listChecks(ctx context.Context, r *run) error {
	return r.update(ctx, func(cur *Rotation, _ *change) error {
		s := cur.Step(StepPrecheck)
		add := func(name, kind string) {
			if it := s.Item(name); it == nil {
				s.Items = append(s.Items, Item{Name: name, Kind: kind, State: Pending})
			} else if it.State == Running {
				it.State = Pending
			}
		}
		for _, name := range []string{CheckPair, CheckAccount, CheckVault, CheckShared, CheckAudit} {
			add(name, kindCheck)
		}
		for _, t := range r.set.Targets {
			add(t.Name, t.Kind)
		}
		if r.set.Trader != nil {
			add(CheckOrder, kindCheck)
		}
		return nil
	})
}

// runChecks does every check that is pending, all at once.
func (e *Engine) runChecks(ctx context.Context, r *run) {
	var wg sync.WaitGroup
	defer wg.Wait()
	cur, _ := r.look()
	s := cur.Step(StepPrecheck)
	pending := func(name string) bool { it := s.Item(name); return it != nil && it.State == Pending }
	check := func(name string, f func(context.Context) Readiness) {
		if pending(name) {
			wg.Go(func() { e.check(ctx, r, name, f) })
		}
	}
	check(CheckVault, r.set.Vault.Ready)
	check(CheckAudit, func(context.Context) Readiness {
		return Readiness{Level: Ready, Detail: fmt.Sprintf("audit row %d written", cur.Seq)}
	})
	for _, t := range r.set.Targets {
		check(t.Name, func(ctx context.Context) Readiness { return readiness(ctx, t) })
	}
	if r.set.Trader != nil {
		check(CheckOrder, r.set.Trader.Ready)
	}
	if pending(CheckPair) || pending(CheckAccount) || pending(CheckShared) {
		wg.Go(func() { e.checkPair(ctx, r) })
	}
}

// readiness asks one consumer.
func readiness(ctx context.Context, t Target) Readiness {
	if t.Consumer == nil {
		return Readiness{Level: Ready, Detail: "covered by " + t.CoveredBy}
	}
	return t.Consumer.Ready(ctx)
}

// check runs one check and stores what it says.
func (e *Engine) check(ctx context.Context, r *run, name string, f func(context.Context) Readiness) {
	if err := e.setItem(ctx, r, StepPrecheck, name, func(_ *Rotation, it *Item) { it.State = Running }); err != nil {
		e.cfg.Log.ErrorContext(ctx, "check could not be recorded", errAttr(err))
		return
	}
	limited, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	e.storeCheck(ctx, r, name, f(limited), nil)
}

// storeCheck stores one readiness; with says what else belongs in the same commit.
func (e *Engine) storeCheck(ctx context.Context, r *run, name string, ready Readiness, with func(*Rotation, *change) error) {
	if ctx.Err() != nil {
		return // stopping: what a cancelled call says is worth nothing
	}
	err := r.update(ctx, func(cur *Rotation, c *change) error {
		s := cur.Step(StepPrecheck)
		if s.State != Running {
			return errMoved
		}
		it := s.Item(name)
		was := it.State
		it.Level, it.Detail, it.Problem, it.Facts = ready.Level, ready.Detail, ready.Problem, ready.Facts
		if it.State = Done; ready.Level == NotReady {
			it.State = Failed
		}
		it.stamp(was, e.now())
		if s.WaitsFor = BotActor; !s.openItems() {
			s.WaitsFor = cur.Operator.ID
		}
		if with != nil {
			return with(cur, c)
		}
		return nil
	})
	if err != nil && !errors.Is(err, errMoved) {
		e.cfg.Log.ErrorContext(ctx, "check could not be recorded", errAttr(err))
	}
}

// checkPair reads the current pair from the vault, tries it, seals it (R24),
// takes the snapshot (R18, R22, R23) and looks whether another key set shares
// the pair or the account.
func (e *Engine) checkPair(ctx context.Context, r *run) {
	for _, name := range []string{CheckPair, CheckAccount, CheckShared} {
		if err := e.setItem(ctx, r, StepPrecheck, name, func(_ *Rotation, it *Item) { it.State = Running }); err != nil {
			e.cfg.Log.ErrorContext(ctx, "check could not be recorded", errAttr(err))
			return
		}
	}
	stored, err := retry(ctx, readyLimit, true, nil, r.set.Vault.Read)
	if err != nil || stored.Pair.Empty() {
		e.noPair(ctx, r, err)
		return
	}
	probe := e.probe(ctx, stored.Pair)
	e.storeCheck(ctx, r, CheckPair, pairReadiness(probe, stored), func(cur *Rotation, c *change) error {
		return e.rememberOld(cur, c, stored, probe)
	})
	if probe.Verdict != Valid {
		e.noSnapshot(ctx, r, probe)
		return
	}
	survey, err := retry(ctx, readyLimit, true, nil, func(ctx context.Context) (Survey, error) { return e.cfg.Vendor.Survey(ctx, stored.Pair) })
	if err != nil {
		e.storeCheck(ctx, r, CheckAccount, Readiness{Level: NotReady, Problem: problemOf(err)}, nil)
	} else {
		snap := &Snapshot{At: e.now(), Account: probe.Account, Survey: survey}
		e.storeCheck(ctx, r, CheckAccount, snapshotReadiness(snap), func(cur *Rotation, _ *change) error {
			cur.Snapshot = snap
			return nil
		})
	}
	e.checkShared(ctx, r, stored.Pair, probe.Account)
}

// rememberOld seals the pair that is current, in the commit that says so.
func (e *Engine) rememberOld(cur *Rotation, c *change, stored Stored, probe Probe) error {
	if len(cur.Candidates) > 0 {
		return nil // after the click the vault may hold the new one already
	}
	cur.OldPrint, cur.OldLast4, cur.OldBefore = e.cfg.Sealer.Print(stored.Pair), stored.Pair.Last4(), stored.Version
	switch probe.Verdict {
	case Valid:
		cur.LastOK = probe.At
	case Invalid:
		if cur.FirstRejected.IsZero() {
			cur.FirstRejected = probe.At
		}
	case Unknown:
	}
	return e.led.seal(c, cur, fieldOld, stored.Pair)
}

// noPair stores that the vault has no pair, or could not be read.
func (e *Engine) noPair(ctx context.Context, r *run, err error) {
	ready := Readiness{Level: NotReady, Problem: Problem{
		Kind: fault.NotFound.String(), Reason: "no_current_pair",
		Text: fmt.Sprintf("Infisical does not hold both %s and %s.", r.set.Names.KeyID, r.set.Names.Secret),
		Fix:  "Put the pair that works now into Infisical at " + r.set.Place + ", then press Check again.",
	}}
	if err != nil {
		ready.Problem = problemOf(err)
	}
	e.storeCheck(ctx, r, CheckPair, ready, nil)
	e.noSnapshot(ctx, r, Probe{Verdict: Unknown, Reason: "no_current_pair"})
}

// noSnapshot stores that the account could not be looked at.
func (e *Engine) noSnapshot(ctx context.Context, r *run, p Probe) {
	e.storeCheck(ctx, r, CheckAccount, Readiness{Level: NotReady, Problem: Problem{
		Reason: "no_snapshot", Text: "The account cannot be read without a working pair (" + p.Reason + ").",
		Fix: "See the check of the current pair.",
	}}, nil)
	e.storeCheck(ctx, r, CheckShared, Readiness{Level: Unproven, Detail: "not checked: the account could not be read"}, nil)
}

// pairReadiness says what a probe of the current pair means (R20, R21).
func pairReadiness(p Probe, s Stored) Readiness {
	facts := []Fact{
		{Name: "key_id", Label: "Current key", Value: "····" + s.Pair.Last4()},
		{Name: "versions", Label: "Infisical versions", Value: strconv.Itoa(s.Version.KeyID) + " / " + strconv.Itoa(s.Version.Secret)},
	}
	switch {
	case p.Verdict == Valid && p.Account.Active():
		return Readiness{Level: Ready, Detail: "works: account " + Masked(p.Account.Number) + " is ACTIVE", Facts: facts}
	case p.Verdict == Valid:
		return Readiness{Level: NotReady, Facts: facts, Problem: Problem{
			Reason: "account_blocked", Text: "The current pair works, but the account is " + condition(p.Account) + ". That is a problem of the account, not of the key.",
			Fix: "Ask Alpaca's support before you rotate. A rotation does not lift a block.",
		}}
	case p.Verdict == Invalid:
		return Readiness{Level: NotReady, Facts: facts, Problem: Problem{
			Reason: "old_rejected", Text: "Alpaca rejects the current pair: trading is down already.",
			Fix: "Choose the reason \"Account was reset or key is dead\" and go on at once. Nothing blocks you.",
		}}
	}
	return Readiness{Level: NotReady, Facts: facts, Problem: Problem{
		Reason: "old_unknown", Text: "Alpaca does not answer properly (" + p.Reason + "), so it is not known whether the current pair works.",
		Fix: "Wait until Alpaca answers and press Check again.",
	}}
}

// snapshotReadiness says in one line what was seen.
func snapshotReadiness(s *Snapshot) Readiness {
	market := "market closed"
	if s.Survey.MarketOpen {
		market = "market open"
	}
	return Readiness{Level: Ready, Detail: fmt.Sprintf("%d positions, %d open orders, %s", len(s.Survey.Positions), len(s.Survey.OpenOrders), market), Facts: []Fact{
		{Name: "account", Label: "Account", Value: Masked(s.Account.Number)},
		{Name: "status", Label: "Status", Value: s.Account.Status},
		{Name: "equity", Label: "Equity", Value: s.Account.Equity},
		{Name: "positions", Label: "Positions", Value: strconv.Itoa(len(s.Survey.Positions))},
		{Name: "open_orders", Label: "Open orders", Value: strconv.Itoa(len(s.Survey.OpenOrders))},
		{Name: "market", Label: "Market", Value: market},
	}}
}

// checkShared looks whether rotating this key set would kill another one's
// pair: then they are consumers of one key set.
func (e *Engine) checkShared(ctx context.Context, r *run, p Pair, acc Account) {
	unread := 0
	for _, other := range e.others(r.set.Name) {
		rec, recErr := e.led.record(ctx, other.Name)
		stored, err := other.Vault.Read(ctx)
		if err = errors.Join(err, recErr); err != nil {
			unread++
			continue
		}
		if !stored.Pair.KeyID.Empty() && stored.Pair.KeyID.Equal(p.KeyID) || rec.Baseline.Same(acc) {
			e.storeCheck(ctx, r, CheckShared, Readiness{Level: NotReady, Problem: Problem{
				Reason: "shared_account", Text: fmt.Sprintf("Key set %q uses the same key or account. Rotating this one kills its pair.", other.Name),
				Fix: fmt.Sprintf("Make the consumers of %q consumers of this key set in bot.yml.", other.Name),
			}}, nil)
			return
		}
	}
	ready := Readiness{Level: Ready, Detail: "no other key set shares this key or account"}
	if unread > 0 {
		ready = Readiness{Level: Unproven, Detail: fmt.Sprintf("%d other key sets could not be read", unread)}
	}
	e.storeCheck(ctx, r, CheckShared, ready, nil)
}

// probe asks the vendor about a pair and stamps the answer.
func (e *Engine) probe(ctx context.Context, p Pair) Probe {
	got := e.cfg.Vendor.Probe(ctx, p)
	if got.At.IsZero() {
		got.At = e.now()
	}
	return got
}
