package rotation

import (
	"context"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
)

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
		cur.verified(now)
		cur.waits(s)
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
