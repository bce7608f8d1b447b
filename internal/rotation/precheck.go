package rotation

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

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
func (e *Engine) precheck(ctx context.Context, f *flight) error {
	if err := e.listChecks(ctx, f); err != nil {
		return err
	}
	defer e.watching(ctx, f.run)()
	for {
		if err := e.runChecks(ctx, f); err != nil {
			return err
		}
		if err := f.await(ctx, func(cur *Rotation) bool { return cur.Step(StepPrecheck).pendingItems() }); err != nil {
			return err
		}
	}
}

// listChecks writes down what is going to be checked; after a crash whatever
// was under way is checked again.
func (e *Engine) listChecks(ctx context.Context, f *flight) error {
	return f.update(ctx, func(cur *Rotation, _ *change) error {
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
		for _, t := range f.set.Targets {
			add(t.Name, t.Kind)
		}
		if f.set.Trader != nil {
			add(CheckOrder, kindCheck)
		}
		return nil
	})
}

// runChecks does every check that is pending, all at once. Its error is that
// one could not be recorded.
func (e *Engine) runChecks(ctx context.Context, f *flight) error {
	cur, err := f.ground()
	if err != nil {
		return err
	}
	s := cur.Step(StepPrecheck)
	pending := func(name string) bool { it := s.Item(name); return it != nil && it.State == Pending }
	var g errgroup.Group // not one failure's context: the others go on
	check := func(name string, ask func(context.Context) Readiness) {
		if pending(name) {
			g.Go(func() error { return e.check(ctx, f, name, ask) })
		}
	}
	check(CheckVault, f.set.Vault.Ready)
	check(CheckAudit, func(context.Context) Readiness {
		return Readiness{Level: Ready, Detail: fmt.Sprintf("audit row %d written", cur.Seq)}
	})
	for _, t := range f.set.Targets {
		check(t.Name, func(ctx context.Context) Readiness { return readiness(ctx, t) })
	}
	if f.set.Trader != nil {
		check(CheckOrder, f.set.Trader.Ready)
	}
	if pending(CheckPair) || pending(CheckAccount) || pending(CheckShared) {
		g.Go(func() error { return e.checkPair(ctx, f) })
	}
	return g.Wait()
}

// readiness asks one consumer.
func readiness(ctx context.Context, t Target) Readiness {
	if t.Consumer == nil {
		return Readiness{Level: Ready, Detail: "covered by " + t.CoveredBy}
	}
	return t.Consumer.Ready(ctx)
}

// check runs one check and stores what it says.
func (e *Engine) check(ctx context.Context, f *flight, name string, ask func(context.Context) Readiness) error {
	if err := e.setItem(ctx, f, name, func(_ *Rotation, it *Item) { it.State = Running }); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	return e.storeCheck(ctx, f, name, ask(limited), nil)
}

// storeCheck stores one readiness; with says what else belongs in the same commit.
func (e *Engine) storeCheck(ctx context.Context, f *flight, name string, ready Readiness, with func(*Rotation, *change) error) error {
	if ctx.Err() != nil {
		return ctx.Err() // stopping: what a cancelled call says is worth nothing
	}
	return f.update(ctx, func(cur *Rotation, c *change) error {
		s := cur.Step(StepPrecheck)
		it := s.Item(name)
		was := it.State
		it.Level, it.Detail, it.Problem, it.Facts = ready.Level, ready.Detail, ready.Problem, ready.Facts
		if it.State = Done; ready.Level == NotReady {
			it.State = Failed
		}
		it.stamp(was, e.now())
		cur.waits(s)
		if with != nil {
			return with(cur, c)
		}
		return nil
	})
}

// checkPair reads the current pair from the vault, tries it, seals it (R24),
// takes the snapshot (R18, R22, R23) and looks whether another key set shares
// the pair or the account.
func (e *Engine) checkPair(ctx context.Context, f *flight) error {
	for _, name := range []string{CheckPair, CheckAccount, CheckShared} {
		if err := e.setItem(ctx, f, name, func(_ *Rotation, it *Item) { it.State = Running }); err != nil {
			return err
		}
	}
	stored, err := retry(ctx, readyLimit, true, nil, f.set.Vault.Read)
	if err != nil || stored.Pair.Empty() {
		return e.noPair(ctx, f, stored, err)
	}
	probe := e.probe(ctx, stored.Pair)
	if err := e.storeCheck(ctx, f, CheckPair, pairReadiness(probe, stored), func(cur *Rotation, c *change) error {
		return e.rememberOld(cur, c, stored, probe)
	}); err != nil {
		return err
	}
	if probe.Verdict != Valid {
		return e.noSnapshot(ctx, f, probe)
	}
	survey, err := retry(ctx, readyLimit, true, nil, func(ctx context.Context) (Survey, error) { return e.cfg.Vendor.Survey(ctx, stored.Pair) })
	if err != nil {
		err = e.storeCheck(ctx, f, CheckAccount, Readiness{Level: NotReady, Problem: problemOf(err)}, nil)
	} else {
		snap := &Snapshot{At: e.now(), Account: probe.Account, Survey: survey}
		err = e.storeCheck(ctx, f, CheckAccount, snapshotReadiness(snap), func(cur *Rotation, _ *change) error {
			cur.Snapshot = snap
			return nil
		})
	}
	if err != nil {
		return err
	}
	return e.checkShared(ctx, f, stored.Pair, probe.Account)
}

// rememberOld seals the pair that is current, in the commit that says so. What
// was seen of another pair, which stood in its place before, says nothing
// about this one.
func (e *Engine) rememberOld(cur *Rotation, c *change, stored Stored, probe Probe) error {
	if print := e.cfg.Sealer.Print(stored.Pair); cur.OldPrint != print {
		cur.OldPrint, cur.FirstRejected, cur.ClickedAt, cur.LastOK = print, time.Time{}, time.Time{}, time.Time{}
		cur.OldOwner, cur.Snapshot = nil, nil
	}
	cur.OldLast4, cur.OldBefore, cur.VaultRead = stored.Pair.Last4(), stored.Version, true
	cur.saw(c, probe)
	return e.led.seal(c, cur, fieldOld, stored.Pair)
}

// noPair stores that the vault has no pair, or could not be read.
func (e *Engine) noPair(ctx context.Context, f *flight, stored Stored, err error) error {
	ready := Readiness{Level: NotReady, Problem: Problem{
		Kind: fault.NotFound.String(), Reason: "no_current_pair",
		Text: fmt.Sprintf("Infisical does not hold both %s and %s.", f.set.Names.KeyID, f.set.Names.Secret),
		Fix:  "Put the pair that works now into Infisical at " + f.set.Place + ", then press Check again.",
	}}
	if err != nil {
		ready.Problem = problemOf(err)
	}
	if err := e.storeCheck(ctx, f, CheckPair, ready, func(cur *Rotation, _ *change) error {
		if err == nil && cur.OldPrint == "" {
			cur.OldBefore, cur.VaultRead = stored.Version, true
		}
		return nil
	}); err != nil {
		return err
	}
	return e.noSnapshot(ctx, f, Probe{Verdict: Unknown, Reason: "no_current_pair"})
}

// noSnapshot stores that the account could not be looked at.
func (e *Engine) noSnapshot(ctx context.Context, f *flight, p Probe) error {
	if err := e.storeCheck(ctx, f, CheckAccount, Readiness{Level: NotReady, Problem: Problem{
		Reason: "no_snapshot", Text: "The account cannot be read without a working pair (" + p.Reason + ").",
		Fix: "See the check of the current pair.",
	}}, nil); err != nil {
		return err
	}
	return e.storeCheck(ctx, f, CheckShared, Readiness{Level: Unproven, Detail: "not checked: the account could not be read"}, nil)
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
	return Readiness{Level: Ready, Detail: fmt.Sprintf("%s, %s, %s", count(len(s.Survey.Positions), "position"), count(len(s.Survey.OpenOrders), "open order"), market), Facts: []Fact{
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
func (e *Engine) checkShared(ctx context.Context, f *flight, p Pair, acc Account) error {
	unread := 0
	for _, other := range e.others(f.set.Name) {
		rec, recErr := e.led.record(ctx, other.Name)
		stored, err := other.Vault.Read(ctx)
		if err = errors.Join(err, recErr); err != nil {
			unread++
			continue
		}
		if !stored.Pair.KeyID.Empty() && stored.Pair.KeyID.Equal(p.KeyID) || rec.Baseline.Same(acc) {
			return e.storeCheck(ctx, f, CheckShared, Readiness{Level: NotReady, Problem: Problem{
				Reason: "shared_account", Text: fmt.Sprintf("Key set %q uses the same key or account. Rotating this one kills its pair.", other.Name),
				Fix: fmt.Sprintf("Make the consumers of %q consumers of this key set in bot.yml.", other.Name),
			}}, nil)
		}
	}
	ready := Readiness{Level: Ready, Detail: "no other key set shares this key or account"}
	if unread > 0 {
		ready = Readiness{Level: Unproven, Detail: fmt.Sprintf("%d other key sets could not be read", unread)}
	}
	return e.storeCheck(ctx, f, CheckShared, ready, nil)
}

// probe asks the vendor about a pair and stamps the answer.
func (e *Engine) probe(ctx context.Context, p Pair) Probe {
	got := e.cfg.Vendor.Probe(ctx, p)
	if got.At.IsZero() {
		got.At = e.now()
	}
	return got
}
