package rotation

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
)

// verify is step 6 (R52–R57): each consumer's own proof as soon as it has the
// pair, then its downstream account, then, if it was chosen, the test order.
// The exposed time ends when the last consumer that counts is proven.
func (e *Engine) verify(ctx context.Context, r *run) error {
	if err := e.listTargets(ctx, r, StepVerify); err != nil {
		return err
	}
	if err := e.eachTarget(ctx, r, StepVerify, func(ctx context.Context, t Target, d Delivery) error {
		return e.prove(ctx, r, t, d)
	}); err != nil {
		return err
	}
	if err := e.allVerified(ctx, r); err != nil {
		return err
	}
	return e.testOrder(ctx, r)
}

// prove waits until a consumer has the pair and then until it uses it.
func (e *Engine) prove(ctx context.Context, r *run, t Target, d Delivery) error {
	source := t.Name
	if t.Consumer == nil {
		source = t.CoveredBy
	}
	var receipt *Receipt
	if err := r.await(ctx, func(cur *Rotation) bool {
		if t.Consumer == nil { // proven when the other one is
			return cur.Step(StepVerify).Item(source).State.Settled()
		}
		it := cur.Step(StepPropagate).Item(source)
		if it == nil || !it.State.Settled() {
			return false
		}
		receipt = it.Receipt
		return true
	}); err != nil {
		return err
	}
	if err := e.setItem(ctx, r, StepVerify, t.Name, func(_ *Rotation, it *Item) { it.State, it.Problem, it.Detail = Running, Problem{}, "" }); err != nil {
		return err
	}
	facts := []Fact(nil)
	detail := "covered by " + t.CoveredBy
	if t.Consumer != nil {
		proof, err := e.pollProof(ctx, r, t, e.limits.Live, "not_live", func(ctx context.Context) (Proof, error) {
			return t.Consumer.Verify(ctx, d, orZero(receipt))
		})
		if err != nil {
			return err
		}
		facts, detail = proof.Facts, proof.Detail
	}
	if t.Downstream != nil {
		proof, err := e.pollProof(ctx, r, t, e.limits.Downstream, "downstream_not_active", t.Downstream.Check)
		if err != nil {
			return err
		}
		facts, detail = append(slices.Clip(facts), proof.Facts...), detail+"; "+proof.Detail
	}
	return e.setItem(ctx, r, StepVerify, t.Name, func(cur *Rotation, it *Item) {
		it.State, it.Detail, it.Facts = Done, detail, facts
		if t.Counts && othersVerified(cur, t.Name) && cur.VerifiedAt.IsZero() {
			cur.VerifiedAt = e.now()
		}
	})
}

func orZero(r *Receipt) Receipt {
	if r == nil {
		return Receipt{}
	}
	return *r
}

// pollProof looks until the proof is done, showing what it sees meanwhile.
func (e *Engine) pollProof(ctx context.Context, r *run, t Target, limit time.Duration, reason string, look func(context.Context) (Proof, error)) (Proof, error) {
	var last Proof
	shown := ""
	err := poll(ctx, limit, func(ctx context.Context) (bool, error) {
		p, err := look(ctx)
		if err != nil && !passing(err) {
			return false, err
		}
		if err == nil {
			last = p
		} else {
			last.Detail = fault.UserText(err)
		}
		if last.Detail != shown && !last.Done {
			shown = last.Detail
			if err := e.setItem(ctx, r, StepVerify, t.Name, func(_ *Rotation, it *Item) { it.Detail = shown }); err != nil {
				return false, err
			}
		}
		return last.Done && err == nil, err
	})
	if errors.Is(err, errLimit) {
		return last, &fault.Error{
			Kind: fault.Transient, Reason: reason, Op: "rotation.verify", Err: err,
			User: t.Name + " has the new pair but does not work with it yet: " + last.Detail + ".",
			Fix:  "Look at " + t.Name + " itself, then press Retry. Do not put the old pair back: it is dead.",
		}
	}
	return last, err
}

// othersVerified reports whether every consumer that counts, but for name, is
// proven.
func othersVerified(cur *Rotation, name string) bool {
	for _, it := range cur.Step(StepVerify).Items {
		if it.Counts && it.Name != name && !it.State.Settled() {
			return false
		}
	}
	return true
}

// allVerified sets the end of the exposed time where no consumer counts.
func (e *Engine) allVerified(ctx context.Context, r *run) error {
	return r.update(ctx, func(cur *Rotation, c *change) error {
		if c.quiet = !cur.VerifiedAt.IsZero(); !c.quiet {
			cur.VerifiedAt = e.now()
		}
		return nil
	})
}
