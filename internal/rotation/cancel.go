package rotation

import (
	"context"
	"fmt"

	"github.com/raxx-app/keyturn/internal/fault"
)

// Cancel ends a rotation before the click. It probes the old pair first: only
// one that works proves that nothing was generated (3.4 of the design).
func (e *Engine) Cancel(ctx context.Context, by Actor, id ID, why string) error {
	r, err := e.must(id)
	if err != nil {
		return err
	}
	by = e.named(by)
	cur, _ := r.look()
	if cur.Clicked() {
		return clickedFault()
	}
	if err := e.oldStillWorks(ctx, r, &cur); err != nil {
		if r.over() {
			return errOver // and what was sealed is gone
		}
		return err
	}
	sealed, err := e.cfg.Store.List(ctx, sealedKey(id, ""), "", 0)
	if err != nil {
		return fmt.Errorf("list sealed pairs: %w", err)
	}
	return r.update(ctx, func(cur *Rotation, c *change) error {
		if cur.Clicked() {
			return clickedFault()
		}
		cur.Outcome, cur.Closed, cur.Reason = Cancelled, e.now(), why
		for _, kv := range sealed {
			c.ops = append(c.ops, Op{Key: kv.Key, Delete: true})
		}
		c.ops = append(c.ops, Op{Key: sealedKey(id, fieldOld), Delete: true}, Op{Key: activePrefix + cur.KeySet, Delete: true})
		c.add(cur, "", by, "secret.rotate.cancelled", map[string]any{"why": why})
		return nil
	})
}

// oldStillWorks refuses unless the old pair is proven alive. In step 1 with no
// old pair known there is nothing that could have been clicked away.
func (e *Engine) oldStillWorks(ctx context.Context, r *run, cur *Rotation) error {
	if cur.OldPrint == "" {
		if cur.Step(StepPrecheck).State.Settled() {
			return clickedFault()
		}
		return nil
	}
	old, err := e.oldPair(ctx, cur)
	if err != nil {
		return err
	}
	p := e.probe(ctx, old)
	if err := e.sawOld(ctx, r, old, p); err != nil {
		return err
	}
	switch p.Verdict {
	case Valid:
		return nil
	case Invalid:
		return clickedFault()
	case Unknown:
	}
	return &fault.Error{Kind: fault.Unknown, Reason: "old_unknown", Op: "rotation.Cancel", User: "Alpaca does not answer properly (" + p.Reason + "), so it is not known whether the keys were generated already.", Fix: "Try again in a minute."}
}

func clickedFault() error {
	return &fault.Error{
		Kind: fault.Conflict, Reason: "clicked", Op: "rotation.Cancel",
		User: "The keys were generated already: the old pair is dead, so there is no way back and cancelling would leave trading down.",
		Fix:  "Go on: paste the new pair. If it is lost, generate again and paste that one.",
	}
}
