package rotation

import (
	"context"
	"fmt"
	"sync"

	"github.com/raxx-app/keyturn/internal/fault"
)

// validate is step 3 (R35–R39): both pairs are tried in the same round, and
// [Judge] says what follows. Nothing is written anywhere before it says store.
func (e *Engine) validate(ctx context.Context, r *run) error {
	cur, _ := r.look()
	pair, err := e.led.open(ctx, &cur, candidateField(cur.Chosen))
	if err != nil {
		return err
	}
	old, err := e.oldPair(ctx, &cur)
	if err != nil {
		return err
	}
	for rejected := 0; ; {
		ev := e.round(ctx, r, pair, old)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		d := Judge(ev)
		if err := e.judged(ctx, r, ev, d); err != nil {
			return err
		}
		wait := e.limits.Recheck
		switch d.Action {
		case ActStore:
			return nil
		case ActWait:
		case ActStop, ActAdopt:
			return &fault.Error{Kind: fault.Invalid, Reason: d.Problem.Reason, Op: "rotation.validate", User: d.Problem.Text, Fix: d.Problem.Fix}
		case ActPaste:
			// A pair that was just made may need a moment; a wrong account never will.
			if ev.New.Verdict == Valid || rejected == len(e.limits.RejectedAgain) {
				return e.backToGenerate(ctx, r, d.Problem)
			}
			wait = e.limits.RejectedAgain[rejected]
			rejected++
		}
		if !sleep(ctx, wait) {
			return ctx.Err()
		}
	}
}

// round probes the new and the old pair at the same time: each is the other's
// control.
func (e *Engine) round(ctx context.Context, r *run, pair, old Pair) Evidence {
	var wg sync.WaitGroup
	cur, _ := r.look()
	ev := Evidence{OldKnown: !old.Empty(), Opened: cur.Opened, Expected: e.expected(ctx, &cur)}
	wg.Go(func() { ev.New = e.probe(ctx, pair) })
	if ev.OldKnown {
		wg.Go(func() { ev.Old = e.probe(ctx, old) })
	}
	wg.Wait()
	return ev
}

// expected is the identity that the new pair must have: the snapshot's, or the
// one that the last rotation ended with; nil if neither is known.
func (e *Engine) expected(ctx context.Context, cur *Rotation) *Account {
	if cur.Snapshot != nil {
		return &cur.Snapshot.Account
	}
	if rec, err := e.led.record(ctx, cur.KeySet); err == nil && rec.Baseline.ID != "" {
		return &rec.Baseline
	}
	return nil
}

// judged stores what a round of probes said.
func (e *Engine) judged(ctx context.Context, r *run, ev Evidence, d Decision) error {
	return r.update(ctx, func(cur *Rotation, c *change) error {
		cand := cur.candidate(cur.Chosen)
		cand.Verdict, cand.Account = ev.New.Verdict, ev.New.Account
		switch {
		case ev.Old.Verdict == Valid:
			cur.LastOK = ev.Old.At
		case ev.Old.Verdict == Invalid && cur.FirstRejected.IsZero():
			cur.FirstRejected = ev.Old.At
		}
		if ev.New.Verdict == Valid && ev.Old.Verdict == Invalid {
			cur.click(c, "the new pair works and the old one is rejected", ev.Old)
		}
		s := cur.Step(StepValidate)
		s.Facts = validateFacts(ev)
		s.Problem = d.Problem
		if d.Action == ActWait || d.Action == ActPaste {
			s.Note = fmt.Sprintf("The bot looks again by itself, since %s UTC.", s.Started.Format("15:04"))
		}
		return nil
	})
}

// validateFacts shows status, account and buying power of the new pair, and
// nothing else of the account (R38). The number is whole only in the
// operator's own view, which reads it from the candidate.
func validateFacts(ev Evidence) []Fact {
	facts := []Fact{{Name: "new_pair", Label: "New pair", Value: verdictText(ev.New)}}
	if ev.New.Verdict == Valid {
		facts = append(facts,
			Fact{Name: "account", Label: "Account", Value: Masked(ev.New.Account.Number)},
			Fact{Name: "status", Label: "Status", Value: ev.New.Account.Status},
			Fact{Name: "buying_power", Label: "Buying power", Value: ev.New.Account.BuyingPower})
	}
	old := "none known"
	if ev.OldKnown {
		old = verdictText(ev.Old)
	}
	return append(facts, Fact{Name: "old_pair", Label: "Old pair", Value: old})
}

func verdictText(p Probe) string {
	switch p.Verdict {
	case Valid:
		return "works"
	case Invalid:
		return fmt.Sprintf("rejected (%d)", p.Status)
	case Unknown:
	}
	return "not known (" + p.Reason + ")"
}

// backToGenerate asks for another pair. The one that did not do stays sealed.
func (e *Engine) backToGenerate(ctx context.Context, r *run, why Problem) error {
	return r.update(ctx, func(cur *Rotation, c *change) error {
		if cur.Step(StepValidate).State != Running {
			return nil // a newer paste came in between
		}
		cand := cur.candidate(cur.Chosen)
		cand.Aside = why.Reason
		cur.Chosen = 0
		now := e.now()
		s := cur.Step(StepValidate)
		s.State, s.Ended, s.Problem, s.WaitsFor = Pending, now, why, ""
		c.add(cur, StepValidate, bot(), "secret.rotate.failed", stepContext(s))
		cur.enter(c, StepGenerate, bot(), now)
		g := cur.Step(StepGenerate)
		g.Note, g.WaitsFor = why.Text+" "+why.Fix, cur.Operator.ID
		return nil
	})
}

// candidate returns candidate n. It panics if there is none: a step that needs
// one begins only behind a paste.
func (r *Rotation) candidate(n int) *Candidate {
	for i := range r.Candidates {
		if r.Candidates[i].N == n {
			return &r.Candidates[i]
		}
	}
	panic(fmt.Sprintf("rotation: no candidate %d", n))
}
