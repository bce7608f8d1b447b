package rotation

import (
	"context"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
)

// Accept lets a consumer, or the test order, count as done although it could
// not be proven. It never covers step 4 or an old pair that is not proven dead
// (Invalid, never_accepted). Other errors: Invalid, no_reason without a why;
// Conflict, late for a repeat, for an item that did not fail, and where the
// rotation has moved on; NotFound, not_open once it is over.
func (e *Engine) Accept(ctx context.Context, by Actor, id ID, step StepName, round int, item, why string) error {
	r, by, why, err := e.reasoned(by, id, why)
	if err != nil {
		return err
	}
	return r.update(ctx, func(cur *Rotation, c *change) error {
		s, err := cur.at(step, round)
		if err != nil {
			return err
		}
		it := s.Item(item)
		switch {
		case step == StepStore || step == StepRevoked:
			return neverFault(step)
		case step != StepPropagate && step != StepVerify || it == nil || it.State != Failed:
			return lateFault()
		}
		now := e.now()
		cur.pressed(PressAccept, step, round, item, by, now)
		cur.accept(StepPropagate, item, by, why, now)
		cur.accept(StepVerify, item, by, why, now)
		cur.deviate(c, step, by, it.called()+" was accepted without proof", why, now)
		cur.verified(now)
		cur.waits(s)
		return nil
	})
}

// neverFault refuses to accept what no reason can replace: the read-back of step
// 4, and the proof of step 7. A rotation whose old pair is not proven dead stays
// open; the bot asks each minute and closes it by itself.
func neverFault(step StepName) error {
	err := &fault.Error{
		Kind: fault.Invalid, Reason: "never_accepted", Op: "rotation.Accept",
		User: "The old pair is not proven dead, and that cannot be accepted with a reason.",
		Fix:  "Look in the dashboard whether the old key is still listed. The bot asks each minute and finishes by itself when it is rejected.",
	}
	if step == StepStore {
		err.User = "The pair is not stored in Infisical, and that cannot be accepted with a reason."
		err.Fix = "Repair what step 4 says, then press Retry. If it takes long, propagate now and store later."
	}
	return err
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

// StoreLaterFix is what to do while a pair may be handed out before it is stored.
const StoreLaterFix = "If trading cannot wait, press Propagate now, store later. Else nothing: the bot goes on trying."

// MayStoreLater reports whether steps 5 to 7 may go on before step 4: it is
// failing for reasons that may pass, and has been for a while.
func (r *Rotation) MayStoreLater(now time.Time) bool {
	s := r.Step(StepStore)
	failing := s.State == Running && s.Problem.Reason != "" || s.State == Failed
	passing := s.Problem.Kind == fault.Transient.String() || s.Problem.Kind == fault.Unknown.String()
	return !r.StoreLater && r.Outcome == Open && failing && passing && now.Sub(s.Started) >= StoreLaterAfter
}

// StoreLaterNow hands the sealed pair out while step 4 keeps trying. The
// rotation cannot close before its read-back. Errors: Invalid, no_reason without
// a why; Conflict, late for a repeat and while [Rotation.MayStoreLater] says no;
// NotFound, not_open once the rotation is over.
func (e *Engine) StoreLaterNow(ctx context.Context, by Actor, id ID, round int, why string) error {
	r, by, why, err := e.reasoned(by, id, why)
	if err != nil {
		return err
	}
	return r.update(ctx, func(cur *Rotation, c *change) error {
		s, err := cur.at(StepStore, round)
		if err != nil {
			return err
		}
		if !cur.MayStoreLater(e.now()) {
			return lateFault()
		}
		cur.StoreLater = true
		cur.pressed(PressStoreLater, StepStore, round, "", by, e.now())
		if s.State == Failed {
			s.State = Pending
		}
		cur.deviate(c, StepStore, by, "propagated before it was stored", why, e.now())
		return nil
	})
}
