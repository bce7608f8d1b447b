package rotation

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
)

// verify is step 6 (R52–R57): each consumer's own proof as soon as it has the
// pair, then its downstream account, then, if it was chosen, the test order.
// The exposed time ends when the last consumer that counts is proven.
func (e *Engine) verify(ctx context.Context, f *flight) error {
	if err := e.listTargets(ctx, f); err != nil {
		return err
	}
	defer e.watchingNew(ctx, f)()
	if err := e.eachTarget(ctx, f, e.prove); err != nil {
		return err
	}
	if err := e.allVerified(ctx, f); err != nil {
		return err
	}
	return e.testOrder(ctx, f)
}

// prove waits until a consumer has the pair and then until it uses it.
func (e *Engine) prove(ctx context.Context, f *flight, t Target, d Delivery) error {
	if t.Consumer == nil {
		return e.proveCovered(ctx, f, t)
	}
	var receipt *Receipt
	if err := f.await(ctx, func(cur *Rotation) bool {
		it := cur.Step(StepPropagate).Item(t.Name)
		if it == nil || !it.State.Settled() {
			return false
		}
		receipt = it.Receipt
		return true
	}); err != nil {
		return err
	}
	if _, began, err := e.begin(ctx, f, t.Name); err != nil || !began {
		return err
	}
	proof, err := e.pollProof(ctx, f, t, e.limits.Live, "not_live", func(ctx context.Context) (Proof, error) {
		return t.Consumer.Verify(ctx, d, orZero(receipt))
	})
	if err != nil {
		return err
	}
	facts, detail := proof.Facts, proof.Detail
	if t.Downstream != nil {
		proof, err := e.pollProof(ctx, f, t, e.limits.Downstream, "downstream_not_active", t.Downstream.Check)
		if err != nil {
			return err
		}
		facts, detail = append(slices.Clip(facts), proof.Facts...), strings.TrimSuffix(detail, ".")+"; "+proof.Detail
	}
	return e.setItem(ctx, f, t.Name, func(cur *Rotation, it *Item) {
		it.State, it.Detail, it.Facts = Done, detail, facts
		cur.verified(e.now())
	})
}

// proveCovered settles a consumer as the one that covers it was settled.
func (e *Engine) proveCovered(ctx context.Context, f *flight, t Target) error {
	if err := f.await(ctx, func(cur *Rotation) bool {
		it := cur.Step(StepVerify).Item(t.CoveredBy)
		return it != nil && it.State.Settled()
	}); err != nil {
		return err
	}
	return e.setItem(ctx, f, t.Name, func(cur *Rotation, it *Item) {
		by := cur.Step(StepVerify).Item(t.CoveredBy)
		if it.State != Pending || !by.State.Settled() {
			return
		}
		it.State, it.Detail = Done, "covered by "+t.CoveredBy
		if by.State == Skipped { // what was accepted of the one is accepted of the other
			it.State, it.PassBy, it.PassWhy, it.Detail = Skipped, by.PassBy, by.PassWhy, "covered by "+t.CoveredBy+": "+by.Detail
		}
		cur.verified(e.now())
	})
}

func orZero(r *Receipt) Receipt {
	if r == nil {
		return Receipt{}
	}
	return *r
}

// pollProof looks until the proof is done, showing what it sees meanwhile.
func (e *Engine) pollProof(ctx context.Context, f *flight, t Target, limit time.Duration, reason string, look func(context.Context) (Proof, error)) (Proof, error) {
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
			if err := e.setItem(ctx, f, t.Name, func(_ *Rotation, it *Item) { it.Detail = shown }); err != nil {
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

// verified ends the exposed time if every consumer that counts is settled.
func (r *Rotation) verified(now time.Time) {
	counts := false
	for _, it := range r.Step(StepVerify).Items {
		if it.Counts && !it.State.Settled() {
			return
		}
		counts = counts || it.Counts
	}
	if counts && r.VerifiedAt.IsZero() {
		r.VerifiedAt = now
	}
}

// allVerified sets the end of the exposed time where no consumer counts.
func (e *Engine) allVerified(ctx context.Context, f *flight) error {
	return f.update(ctx, func(cur *Rotation, c *change) error {
		if c.quiet = !cur.VerifiedAt.IsZero(); !c.quiet {
			cur.VerifiedAt = e.now()
		}
		return nil
	})
}
