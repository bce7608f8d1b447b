package rotation

import (
	"context"

	"github.com/raxx-app/keyturn/internal/fault"
)

// Cancel ends a rotation before the click. It probes the old pair first: only
// one that works proves that nothing was generated (3.4 of the design). A forced
// rotation whose pair answers again can be cancelled as well, but one that a
// person claims only by a person. Errors, with nothing changed: Conflict, clicked
// after the click; Conflict, people_close_it; Unknown, old_unknown while nobody
// answers for the old pair, so try again; NotFound, not_open for a repeat.
func (e *Engine) Cancel(ctx context.Context, by Actor, id ID, why string) error {
	r, err := e.must(id)
	if err != nil {
		return err
	}
	by = e.named(by)
	cur, _ := r.look()
	switch {
	case cur.pastCancel():
		return clickedFault()
	case by.ID == BotActor && cur.Claim != nil:
		return peopleFault(cur.Claim.By)
	}
	if err := e.oldStillWorks(ctx, r, &cur); err != nil {
		if r.over() {
			return errOver // and what was sealed is gone
		}
		return err
	}
	return e.end(ctx, r, func(cur *Rotation, c *change) error {
		switch {
		case cur.pastCancel():
			return clickedFault()
		case by.ID == BotActor && cur.Claim != nil:
			return peopleFault(cur.Claim.By)
		}
		cur.Outcome, cur.Reason = Cancelled, why
		c.add(cur, "", by, "secret.rotate.cancelled", map[string]any{"why": why})
		return nil
	})
}

// pastCancel reports whether the point of no return is behind. A rejection from
// before anybody was to click is no click: if the old pair answers again, which
// the caller looks at, nothing was generated.
func (r *Rotation) pastCancel() bool {
	before := !r.FirstRejected.IsZero() && (r.Step(StepGenerate).Round == 0 || r.FirstRejected.Before(r.Step(StepGenerate).Started))
	return len(r.Candidates) > 0 || r.Clicked() && (!before || r.Sighting == nil && r.Claim == nil)
}

// peopleFault refuses to close by itself what a person said is dead.
func peopleFault(by Actor) error {
	return &fault.Error{
		Kind: fault.Conflict, Reason: "people_close_it", Op: "rotation.Cancel",
		User: by.Admin + " said that the account was reset or the key regenerated, so only a person cancels this rotation.",
		Fix:  "Go on with it, or press Cancel if nothing happened after all.",
	}
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
	return &fault.Error{Kind: fault.Unknown, Reason: "old_unknown", Op: "rotation.Cancel", User: "Alpaca does not answer properly (" + p.said() + "), so it is not known whether the keys were generated already.", Fix: "Try again in a minute."}
}

func clickedFault() error {
	return &fault.Error{
		Kind: fault.Conflict, Reason: "clicked", Op: "rotation.Cancel",
		User: "The keys were generated already: the old pair is dead, so there is no way back and cancelling would leave trading down.",
		Fix:  "Go on: paste the new pair. If it is lost, generate again and paste that one.",
	}
}
