package rotation

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
)

// The acts in this file are what people can do after the click. All of them go
// forward; none brings an old value back (R65–R68).

// at checks that an act is bound to a step as it stands now.
func (r *Rotation) at(step StepName, round int) (*Step, error) {
	if !slices.Contains(StepNames(), step) || r.Step(step).Round != round || r.Outcome != Open {
		return nil, lateFault()
	}
	return r.Step(step), nil
}

// needWhy refuses an empty reason: it becomes part of the record.
func needWhy(why string) (string, error) {
	if why = strings.TrimSpace(why); why == "" {
		return "", &fault.Error{Kind: fault.Invalid, Reason: "no_reason", Op: "rotation.Engine", User: "A reason is needed: it becomes part of the record.", Fix: "Write one sentence."}
	}
	return why, nil
}

// deviate records something done against the procedure.
func (r *Rotation) deviate(c *change, step StepName, by Actor, what, why string, now time.Time) {
	r.Deviations = append(r.Deviations, Deviation{At: now, By: by, What: what, Why: why})
	c.add(r, step, by, "secret.rotate.deviation", map[string]any{"what": what, "why": why})
}

// Regenerate goes back to step 2 for another pair; what was sealed stays sealed
// (R66). It is bound to the step in which its button stood.
func (e *Engine) Regenerate(ctx context.Context, by Actor, id ID, step StepName, round int) error {
	r, err := e.must(id)
	if err != nil {
		return err
	}
	by = e.named(by)
	return r.update(ctx, func(cur *Rotation, c *change) error {
		s, err := cur.at(step, round)
		if err != nil {
			return err
		}
		if len(cur.Candidates) == 0 || cur.Step(StepGenerate).State != Done || cur.Step(StepRecord).State != Pending {
			return lateFault()
		}
		why := s.Problem
		if why.Text == "" {
			why = Problem{Reason: "generated_again", Text: "You asked to paste another pair.", Fix: "Generate in the dashboard and paste the new pair."}
		}
		cur.again(c, step, why, by, e.now())
		cur.Visitor = by
		return nil
	})
}

// Redo does store, propagate, verify and the proof once more with the live pair
// (R68): the only right repair of a propagation that went wrong.
func (e *Engine) Redo(ctx context.Context, by Actor, id ID, step StepName, round int) error {
	r, err := e.must(id)
	if err != nil {
		return err
	}
	by = e.named(by)
	return r.update(ctx, func(cur *Rotation, c *change) error {
		if _, err := cur.at(step, round); err != nil {
			return err
		}
		if cur.Step(StepValidate).State != Done || cur.Step(StepRecord).State != Pending {
			return lateFault()
		}
		cur.reset(StepStore, StepPropagate, StepVerify, StepRevoked)
		c.add(cur, StepStore, by, "secret.rotate.step", map[string]any{"state": "redone"})
		return nil
	})
}

// StoreAnyway stores a pair that works although its account cannot trade. The
// old pair must be rejected: then nothing better is left.
func (e *Engine) StoreAnyway(ctx context.Context, by Actor, id ID, round int, why string) error {
	why, err := needWhy(why)
	if err != nil {
		return err
	}
	r, err := e.must(id)
	if err != nil {
		return err
	}
	by = e.named(by)
	return r.update(ctx, func(cur *Rotation, c *change) error {
		s, err := cur.at(StepValidate, round)
		if err != nil {
			return err
		}
		if s.State != Running || s.Problem.Reason != reasonBlocked {
			return lateFault()
		}
		cur.StoreAnyway = true
		cur.deviate(c, StepValidate, by, "stored although the account is blocked", why, e.now())
		return nil
	})
}

// Adopt makes the account of the new pair the expected one. last4 must be the
// last four of its number, typed by a person who looked.
func (e *Engine) Adopt(ctx context.Context, by Actor, id ID, round int, last4, why string) error {
	why, err := needWhy(why)
	if err != nil {
		return err
	}
	r, err := e.must(id)
	if err != nil {
		return err
	}
	by = e.named(by)
	return r.update(ctx, func(cur *Rotation, c *change) error {
		s, err := cur.at(StepValidate, round)
		if err != nil {
			return err
		}
		if s.State != Failed || cur.Chosen == 0 || !slices.Contains([]string{"no_baseline", "account_replaced", "other_account"}, s.Problem.Reason) {
			return lateFault()
		}
		acc := cur.candidate(cur.Chosen).Account
		if want := strings.TrimPrefix(Masked(acc.Number), "…"); !strings.EqualFold(strings.TrimSpace(last4), want) {
			return &fault.Error{Kind: fault.Invalid, Reason: "wrong_last4", Op: "rotation.Adopt", User: "These are not the last four characters of the new account's number.", Fix: "Read them in the dashboard, in the switcher at the upper left."}
		}
		cur.Adopted = &acc
		cur.Deviations = append(cur.Deviations, Deviation{At: e.now(), By: by, What: "adopted account " + Masked(acc.Number), Why: why})
		c.add(cur, StepValidate, by, "secret.rotate.adopted", map[string]any{"account": Masked(acc.Number), "why": why, "reason": s.Problem.Reason})
		s.State, s.Problem = Pending, Problem{}
		return nil
	})
}

// Accept lets a consumer, or the test order, count as done although it could
// not be proven. It never covers step 4 or an old pair that is not proven dead.
func (e *Engine) Accept(ctx context.Context, by Actor, id ID, step StepName, round int, item, why string) error {
	why, err := needWhy(why)
	if err != nil {
		return err
	}
	r, err := e.must(id)
	if err != nil {
		return err
	}
	by = e.named(by)
	return r.update(ctx, func(cur *Rotation, c *change) error {
		s, err := cur.at(step, round)
		if err != nil {
			return err
		}
		it := s.Item(item)
		if step != StepPropagate && step != StepVerify || it == nil || it.State != Failed {
			return lateFault()
		}
		now := e.now()
		cur.accept(StepPropagate, item, by, why, now)
		cur.accept(StepVerify, item, by, why, now)
		cur.deviate(c, step, by, item+" was accepted without proof", why, now)
		if cur.VerifiedAt.IsZero() && len(cur.Step(StepVerify).Items) > 0 && othersVerified(cur, item) {
			cur.VerifiedAt = now
		}
		return nil
	})
}

// accept skips one item if it is not done.
func (r *Rotation) accept(step StepName, item string, by Actor, why string, now time.Time) {
	it := r.Step(step).Item(item)
	if it == nil || it.State == Done {
		return
	}
	was := it.State
	it.State, it.PassBy, it.PassWhy, it.Detail = Skipped, by.Admin, why, "accepted by "+by.Admin+": "+why
	it.stamp(was, now)
}

// StoreLaterAfter is how long step 4 must have been failing before its pair may
// be handed out first.
const StoreLaterAfter = 2 * time.Minute

// MayStoreLater reports whether steps 5 to 7 may go on before step 4: it is
// failing for reasons that may pass, and has been for a while.
func (r *Rotation) MayStoreLater(now time.Time) bool {
	s := r.Step(StepStore)
	failing := s.State == Running && s.Problem.Reason != "" || s.State == Failed
	passing := s.Problem.Kind == fault.Transient.String() || s.Problem.Kind == fault.Unknown.String()
	return !r.StoreLater && r.Outcome == Open && failing && passing && now.Sub(s.Started) >= StoreLaterAfter
}

// StoreLaterNow hands the sealed pair out while step 4 keeps trying. The
// rotation cannot close before its read-back.
func (e *Engine) StoreLaterNow(ctx context.Context, by Actor, id ID, round int, why string) error {
	why, err := needWhy(why)
	if err != nil {
		return err
	}
	r, err := e.must(id)
	if err != nil {
		return err
	}
	by = e.named(by)
	return r.update(ctx, func(cur *Rotation, c *change) error {
		s, err := cur.at(StepStore, round)
		if err != nil {
			return err
		}
		if !cur.MayStoreLater(e.now()) {
			return lateFault()
		}
		cur.StoreLater = true
		if s.State == Failed {
			s.State = Pending
		}
		cur.deviate(c, StepStore, by, "propagated before it was stored", why, e.now())
		return nil
	})
}

// Visited notes that by has opened step 2: if keys turn out to be generated
// once more, that is who to ask. Elsewhere it does nothing.
func (e *Engine) Visited(ctx context.Context, by Actor, id ID) error {
	r := e.running(id)
	if r == nil {
		return nil
	}
	by = e.named(by)
	return r.update(ctx, func(cur *Rotation, c *change) error {
		c.quiet = true
		if cur.Step(StepGenerate).State == Running && cur.Visitor.ID != by.ID {
			cur.Visitor = by
			c.add(cur, StepGenerate, by, "secret.rotate.step", map[string]any{"state": "visited"})
		}
		return nil
	})
}

// TakeOver makes by the operator: the one who is waited for and whose name the
// record has.
func (e *Engine) TakeOver(ctx context.Context, by Actor, id ID) error {
	r, err := e.must(id)
	if err != nil {
		return err
	}
	by = e.named(by)
	return r.update(ctx, func(cur *Rotation, c *change) error {
		if c.quiet = cur.Operator.ID == by.ID; c.quiet {
			return nil
		}
		before := cur.Operator
		cur.Operator = by
		for i := range cur.Steps {
			if cur.Steps[i].WaitsFor == before.ID {
				cur.Steps[i].WaitsFor = by.ID
			}
		}
		c.add(cur, cur.Current().Name, by, "secret.rotate.takeover", map[string]any{"from": before.Admin})
		return nil
	})
}

// Owner returns the key set that the pair set aside last belongs to, if it is
// one of ours: its name and the last four of its account's number.
func (e *Engine) Owner(ctx context.Context, cur *Rotation) (keyset, last4 string) {
	for _, cand := range slices.Backward(cur.Candidates) {
		if cand.Verdict != Valid || cur.Snapshot != nil && cand.Account.Same(cur.Snapshot.Account) {
			continue
		}
		for _, other := range e.others(cur.KeySet) {
			rec, err := e.led.record(ctx, other.Name)
			if err != nil {
				e.cfg.Log.WarnContext(ctx, "record not readable", slog.String("keyset", other.Name), errAttr(err))
				continue
			}
			if rec.Baseline.Same(cand.Account) {
				return other.Name, strings.TrimPrefix(Masked(cand.Account.Number), "…")
			}
		}
	}
	return "", ""
}

// UseFor opens a forced rotation of the key set that a pasted pair belongs to
// and seals the pair again for it: that key set's old pair is dead since the
// pair was generated.
func (e *Engine) UseFor(ctx context.Context, by Actor, id ID, keyset string) (ID, error) {
	r, err := e.must(id)
	if err != nil {
		return "", err
	}
	cur, _ := r.look()
	owner, _ := e.Owner(ctx, &cur)
	if owner == "" || owner != keyset {
		return "", lateFault()
	}
	n := 0
	rec, err := e.led.record(ctx, owner)
	if err != nil {
		return "", err
	}
	for _, cand := range cur.Candidates {
		if cand.Verdict == Valid && cand.Account.Same(rec.Baseline) {
			n = cand.N
		}
	}
	pair, err := e.led.open(ctx, &cur, candidateField(n))
	if err != nil {
		return "", err
	}
	other, _, err := e.Start(ctx, by, owner)
	if err != nil {
		return "", err
	}
	return other, e.force(ctx, by, other, pair, fmt.Sprintf("the pair was pasted into rotation %s of %s", id, cur.KeySet))
}

// force leaves step 1 of a rotation whose pair is at hand already, and takes
// the pair. What is current in the vault is sealed first, for step 7.
func (e *Engine) force(ctx context.Context, by Actor, id ID, p Pair, why string) error {
	r, err := e.must(id)
	if err != nil {
		return err
	}
	by = e.named(by)
	if err := r.await(ctx, func(cur *Rotation) bool {
		it := cur.Step(StepPrecheck).Item(CheckPair)
		return cur.Step(StepPrecheck).State.Settled() || it != nil && it.State != Pending && it.State != Running
	}); err != nil {
		return err
	}
	return r.update(ctx, func(cur *Rotation, c *change) error {
		now := e.now()
		if s := cur.Step(StepPrecheck); !s.State.Settled() {
			cur.Trigger, cur.Reason = TriggerReset, why
			cur.leave(c, StepPrecheck, by, now)
			c.add(cur, StepPrecheck, by, "secret.rotate.forced", map[string]any{"why": why})
			cur.enter(c, StepGenerate, by, now)
		}
		print := e.cfg.Sealer.Print(p)
		if slices.ContainsFunc(cur.Candidates, func(x Candidate) bool { return x.Print == print }) {
			return nil
		}
		return e.take(cur, c, Candidate{N: len(cur.Candidates) + 1, Print: print, Last4: p.Last4(), By: by, At: now}, p)
	})
}
