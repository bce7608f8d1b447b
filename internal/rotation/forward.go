package rotation

import (
	"context"
	"errors"
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

// reasoned is how an act begins for which a reason is needed: it returns the
// open rotation, who acts, and the reason without space around it.
func (e *Engine) reasoned(by Actor, id ID, why string) (*run, Actor, string, error) {
	why, err := needWhy(why)
	if err != nil {
		return nil, by, "", err
	}
	r, err := e.must(id)
	return r, e.named(by), why, err
}

// deviate records something done against the procedure.
func (r *Rotation) deviate(c *change, step StepName, by Actor, what, why string, now time.Time) {
	r.Deviations = append(r.Deviations, Deviation{At: now, By: by, What: what, Why: why})
	c.add(r, step, by, "secret.rotate.deviation", map[string]any{"what": what, "why": why})
}

// Regenerate goes back to step 2 for another pair; what was sealed stays sealed
// (R66). It is bound to the step in which its button stood, by its round. Errors:
// Conflict, late for a repeat and where the rotation has moved on; NotFound,
// not_open once it is over.
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
		if s.Number <= cur.Step(StepGenerate).Number || len(cur.Candidates) == 0 || cur.Step(StepGenerate).State != Done {
			return lateFault()
		}
		why := s.Problem
		if why.Text == "" {
			why = Problem{Reason: "generated_again", Text: "You asked to paste another pair.", Fix: "Generate in the dashboard and paste the new pair."}
		}
		cur.pressed(PressRegenerate, step, round, "", by, e.now())
		cur.again(c, step, why, by, e.now())
		cur.Visitor = by
		return nil
	})
}

// Redo does store, propagate, verify and the proof once more with the live pair
// (R68): the only right repair of a propagation that went wrong. It is bound to
// one of the steps that it does again, so a repeat is late (Conflict). NotFound,
// not_open: the rotation is over.
func (e *Engine) Redo(ctx context.Context, by Actor, id ID, step StepName, round int) error {
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
		if s.Number <= cur.Step(StepValidate).Number || cur.Step(StepValidate).State != Done {
			return lateFault()
		}
		cur.pressed(PressRedo, step, round, "", by, e.now())
		cur.VerifiedAt = time.Time{} // whoever presses this says that it was not
		cur.reset(StepStore, StepPropagate, StepVerify, StepRevoked, StepRecord)
		c.add(cur, StepStore, by, "secret.rotate.step", map[string]any{"state": "redone"})
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
	err := r.update(ctx, func(cur *Rotation, c *change) error {
		if cur.Step(StepGenerate).State != Running || cur.Visitor.ID == by.ID {
			return errMoved
		}
		c.quiet = true
		cur.Visitor = by
		c.add(cur, StepGenerate, by, "secret.rotate.step", map[string]any{"state": "visited"})
		return nil
	})
	if errors.Is(err, errMoved) || errors.Is(err, errOver) {
		return nil
	}
	return err
}

// TakeOver makes by the operator: the one who is waited for and whose name the
// record has. A repeat changes nothing. NotFound, not_open: the rotation is over.
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
		cur.takenBy(by, tookOver, e.now())
		c.add(cur, cur.Current().Name, by, "secret.rotate.takeover", map[string]any{"from": before.Admin, "from_role": before.role(), "role": by.role()})
		return nil
	})
}
