package rotation

import (
	"context"
	"errors"
	"fmt"
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
	if err := e.listChecks(ctx, f.set, f); err != nil {
		return err
	}
	defer e.watching(ctx, f.run)()
	for {
		if err := e.runChecks(ctx, f.set, f); err != nil {
			return err
		}
		if err := f.await(ctx, func(cur *Rotation) bool { return cur.Step(StepPrecheck).pendingItems() }); err != nil {
			return err
		}
	}
}

// A sheet is where the checks of step 1 stand: a rotation in that step (a
// flight), or what a [Engine.Check] finds without one.
type sheet interface {
	ground() (Rotation, error)
	update(ctx context.Context, apply func(*Rotation, *change) error) error
}

// listChecks writes down what is going to be checked; after a crash whatever
// was under way is checked again.
func (e *Engine) listChecks(ctx context.Context, set *KeySet, sh sheet) error {
	return sh.update(ctx, func(cur *Rotation, _ *change) error {
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
		for _, t := range set.Targets {
			add(t.Name, t.Kind)
		}
		if set.Trader != nil {
			add(CheckOrder, kindCheck)
		}
		return nil
	})
}

// runChecks does every check that is pending, all at once. Its error is that
// one could not be recorded.
func (e *Engine) runChecks(ctx context.Context, set *KeySet, sh sheet) error {
	cur, err := sh.ground()
	if err != nil {
		return err
	}
	s := cur.Step(StepPrecheck)
	pending := func(name string) bool { it := s.Item(name); return it != nil && it.State == Pending }
	var g errgroup.Group // not one failure's context: the others go on
	check := func(name string, ask func(context.Context) Readiness) {
		if pending(name) {
			g.Go(func() error { return e.check(ctx, sh, name, ask) })
		}
	}
	check(CheckVault, set.Vault.Ready)
	check(CheckAudit, func(ctx context.Context) Readiness { return e.auditReadiness(ctx, &cur) })
	for _, t := range set.Targets {
		check(t.Name, func(ctx context.Context) Readiness { return readiness(ctx, t) })
	}
	if set.Trader != nil {
		check(CheckOrder, set.Trader.Ready)
	}
	if pending(CheckPair) || pending(CheckAccount) || pending(CheckShared) {
		g.Go(func() error { return e.checkPair(ctx, set, sh) })
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

// auditReadiness says whether the audit record can be written. The rows of an
// open rotation prove it; without one it is only looked at.
func (e *Engine) auditReadiness(ctx context.Context, cur *Rotation) Readiness {
	if cur.Seq != 0 {
		return Readiness{Level: Ready, Detail: fmt.Sprintf("audit row %d written", cur.Seq)}
	}
	row := Row{At: e.now(), KeySet: cur.KeySet, Actor: BotActor, Action: "secret.rotate.started"}
	if _, err := e.cfg.Chain.Extend(ctx, []Row{row}); err != nil { // this writes nothing
		return Readiness{Level: NotReady, Problem: problemOf(err)}
	}
	return Readiness{Level: Ready, Detail: "the audit record is whole at its end"}
}

// check runs one check and stores what it says.
func (e *Engine) check(ctx context.Context, sh sheet, name string, ask func(context.Context) Readiness) error {
	if err := e.beginChecks(ctx, sh, name); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	return e.storeCheck(ctx, sh, name, ask(limited), nil)
}

// beginChecks marks checks running.
func (e *Engine) beginChecks(ctx context.Context, sh sheet, names ...string) error {
	return sh.update(ctx, func(cur *Rotation, _ *change) error {
		s := cur.Step(StepPrecheck)
		for _, name := range names {
			it := s.itemOrNew(name)
			was := it.State
			it.State = Running
			it.stamp(was, e.now())
		}
		cur.waits(s)
		return nil
	})
}

// storeCheck stores one readiness; with says what else belongs in the same commit.
func (e *Engine) storeCheck(ctx context.Context, sh sheet, name string, ready Readiness, with func(*Rotation, *change) error) error {
	if ctx.Err() != nil {
		return ctx.Err() // stopping: what a cancelled call says is worth nothing
	}
	return sh.update(ctx, func(cur *Rotation, c *change) error {
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
// the pair or the account. A snapshot that could be taken is kept for the time
// when none can be.
func (e *Engine) checkPair(ctx context.Context, set *KeySet, sh sheet) error {
	if err := e.beginChecks(ctx, sh, CheckPair, CheckAccount, CheckShared); err != nil {
		return err
	}
	stored, err := retry(ctx, readyLimit, true, nil, set.Vault.Read)
	if err != nil || stored.Pair.Empty() {
		return e.noPair(ctx, set, sh, stored, err)
	}
	probe := e.probe(ctx, stored.Pair)
	if err := e.storeCheck(ctx, sh, CheckPair, pairReadiness(probe, stored), func(cur *Rotation, c *change) error {
		return e.rememberOld(cur, c, stored, probe)
	}); err != nil {
		return err
	}
	if probe.Verdict != Valid {
		return e.noSnapshot(ctx, sh)
	}
	survey, err := retry(ctx, readyLimit, true, nil, func(ctx context.Context) (Survey, error) { return e.cfg.Vendor.Survey(ctx, stored.Pair) })
	if err != nil {
		err = e.storeCheck(ctx, sh, CheckAccount, Readiness{Level: NotReady, Problem: problemOf(err)}, nil)
	} else {
		snap := &Snapshot{At: e.now(), Account: probe.Account, Survey: survey}
		err = e.storeCheck(ctx, sh, CheckAccount, snapshotReadiness(snap), func(cur *Rotation, _ *change) error {
			cur.Snapshot = snap
			return nil
		})
		e.keepQuietly(ctx, set.Name, probe, survey)
	}
	if err != nil {
		return err
	}
	return e.checkShared(ctx, set, sh, stored.Pair, probe.Account)
}

// rememberOld seals the pair that is current, in the commit that says so. What
// was seen of another pair, which stood in its place before, says nothing
// about this one.
func (e *Engine) rememberOld(cur *Rotation, c *change, stored Stored, probe Probe) error {
	if print := e.cfg.Sealer.Print(stored.Pair); cur.OldPrint != print {
		if cur.OldPrint != "" || cur.Sighting == nil || cur.Sighting.Print != print { // else it is the one that was seen dead
			cur.FirstRejected, cur.ClickedAt, cur.LastOK = time.Time{}, time.Time{}, time.Time{}
		}
		cur.OldPrint, cur.OldOwner, cur.Snapshot = print, nil, nil
	}
	cur.OldLast4, cur.OldBefore, cur.VaultRead = stored.Pair.Last4(), stored.Version, true
	cur.saw(c, probe)
	if cur.ID == "" {
		return nil // a loose sheet: nothing is kept
	}
	return e.led.seal(c, cur, fieldOld, stored.Pair)
}

// noPair stores that the vault has no pair, or could not be read.
func (e *Engine) noPair(ctx context.Context, set *KeySet, sh sheet, stored Stored, err error) error {
	ready := Readiness{Level: NotReady, Problem: Problem{
		Kind: fault.NotFound.String(), Reason: "no_current_pair",
		Text: fmt.Sprintf("Infisical does not hold both %s and %s.", set.Names.KeyID, set.Names.Secret),
		Fix:  "Put the pair that works now into Infisical at " + set.Place + ", then press Check again.",
	}}
	if err != nil {
		ready.Problem = problemOf(err)
	}
	if err := e.storeCheck(ctx, sh, CheckPair, ready, func(cur *Rotation, _ *change) error {
		if err == nil && cur.OldPrint == "" {
			cur.OldBefore, cur.VaultRead = stored.Version, true
		}
		return nil
	}); err != nil {
		return err
	}
	return e.noSnapshot(ctx, sh)
}

// noSnapshot stores that the account could not be looked at, with the last good
// snapshot if there is one. One that this rotation took itself stays.
func (e *Engine) noSnapshot(ctx context.Context, sh sheet) error {
	cur, err := sh.ground()
	if err != nil {
		return err
	}
	snap := cur.Snapshot
	if snap == nil {
		snap = e.standIn(ctx, &cur)
	}
	ready := Readiness{Level: NotReady, Problem: Problem{
		Reason: "no_snapshot", Text: "The account cannot be read without a working pair.",
		Fix: "See the check of the current pair.",
	}}
	if snap != nil {
		ready = keptReadiness(snap, e.now())
	}
	if err := e.storeCheck(ctx, sh, CheckAccount, ready, func(cur *Rotation, _ *change) error {
		cur.Snapshot = snap
		return nil
	}); err != nil {
		return err
	}
	return e.storeCheck(ctx, sh, CheckShared, Readiness{Level: Unproven, Detail: "not checked: the account could not be read"}, nil)
}

// checkShared looks whether rotating this key set would kill another one's
// pair: then they are consumers of one key set.
func (e *Engine) checkShared(ctx context.Context, set *KeySet, sh sheet, p Pair, acc Account) error {
	unread := 0
	for _, other := range e.others(set.Name) {
		rec, recErr := e.led.record(ctx, other.Name)
		stored, err := other.Vault.Read(ctx)
		if err = errors.Join(err, recErr); err != nil {
			unread++
			continue
		}
		if !stored.Pair.KeyID.Empty() && stored.Pair.KeyID.Equal(p.KeyID) || rec.Baseline.Same(acc) {
			return e.storeCheck(ctx, sh, CheckShared, Readiness{Level: NotReady, Problem: Problem{
				Reason: "shared_account", Text: fmt.Sprintf("Key set %q uses the same key or account. Rotating this one kills its pair.", other.Name),
				Fix: fmt.Sprintf("Make the consumers of %q consumers of this key set in bot.yml.", other.Name),
			}}, nil)
		}
	}
	ready := Readiness{Level: Ready, Detail: "no other key set shares this key or account"}
	if unread > 0 {
		ready = Readiness{Level: Unproven, Detail: fmt.Sprintf("%d other key sets could not be read", unread)}
	}
	return e.storeCheck(ctx, sh, CheckShared, ready, nil)
}

// probe asks the vendor about a pair and stamps the answer.
func (e *Engine) probe(ctx context.Context, p Pair) Probe {
	got := e.cfg.Vendor.Probe(ctx, p)
	if got.At.IsZero() {
		got.At = e.now()
	}
	return got
}
