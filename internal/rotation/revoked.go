package rotation

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
)

// revoked is step 7 (R58–R60): there is nothing to revoke, generation did it;
// this proves it. Every superseded pair must be rejected while the new one
// works in the same round. A pair that still answers is an alarm, and one that
// cannot be asked about is asked about again, never called dead.
func (e *Engine) revoked(ctx context.Context, r *run) error {
	cur, _ := r.look()
	fields := superseded(&cur)
	if len(fields) == 0 {
		return r.update(ctx, func(cur *Rotation, c *change) error {
			cur.skip(c, StepRevoked, bot(), "no old pair known", e.now())
			return nil
		})
	}
	pair, err := e.led.open(ctx, &cur, candidateField(cur.Chosen))
	if err != nil {
		return err
	}
	for _, field := range fields {
		if err := e.provenDead(ctx, r, field, pair); err != nil {
			return err
		}
	}
	return nil
}

// superseded returns the sealed fields of every pair that must be dead. A pair
// of another account is none: that account may well live.
func superseded(cur *Rotation) []string {
	var fields []string
	chosen := cur.candidate(cur.Chosen)
	if cur.OldPrint != "" {
		fields = append(fields, fieldOld)
	}
	for _, c := range cur.Candidates {
		foreign := c.Verdict == Valid && !c.Account.Same(chosen.Account)
		if c.N != cur.Chosen && !foreign {
			fields = append(fields, candidateField(c.N))
		}
	}
	return fields
}

// provenDead probes one superseded pair beside the new one until it is
// rejected. After the limit it says so and goes on each minute.
func (e *Engine) provenDead(ctx context.Context, r *run, field string, pair Pair) error {
	cur, _ := r.look()
	if it := cur.Step(StepRevoked).Item(field); it != nil && it.State.Settled() {
		return nil
	}
	old, err := e.led.open(ctx, &cur, field)
	if err != nil {
		return err
	}
	if err := e.setItem(ctx, r, StepRevoked, field, func(_ *Rotation, it *Item) { it.Kind, it.State = "old_pair", Running }); err != nil {
		return err
	}
	tries, lost := 0, 0
	look := func(ctx context.Context) (bool, error) {
		tries++
		var ev Evidence
		ev.New, ev.Old = e.round(ctx, pair, old)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		if ev.New.Verdict != Invalid {
			lost = 0
		} else if lost++; lost == 2 {
			return false, e.generatedAgain(ctx, r)
		}
		dead := ev.Old.Verdict == Invalid && ev.New.Verdict == Valid
		return dead, e.sawDead(ctx, r, field, ev, dead, tries)
	}
	err = poll(ctx, e.limits.OldPair, look)
	for errors.Is(err, errLimit) {
		if err := e.alarm(ctx, r, field); err != nil {
			return err
		}
		if !sleep(ctx, e.limits.ProbeAgain) {
			return ctx.Err()
		}
		if dead, lookErr := look(ctx); dead || lookErr != nil {
			err = lookErr
		}
	}
	return err
}

// sawDead stores one round. Only the status code of the old pair is kept (R59).
func (e *Engine) sawDead(ctx context.Context, r *run, field string, ev Evidence, dead bool, tries int) error {
	return r.update(ctx, func(cur *Rotation, c *change) error {
		s := cur.Step(StepRevoked)
		it := s.Item(field)
		was := it.State
		it.Tries = tries
		it.Facts = []Fact{
			{Name: "old_status", Label: "Old pair", Value: strconv.Itoa(ev.Old.Status)},
			{Name: "new_status", Label: "New pair, same round", Value: strconv.Itoa(ev.New.Status)},
			{Name: "at", Label: "At", Value: ev.Old.At.UTC().Format(time.RFC3339)},
			{Name: "tries", Label: "Tries", Value: strconv.Itoa(tries)},
		}
		if it.Detail = "old pair " + verdictText(ev.Old) + ", new pair " + verdictText(ev.New); !dead {
			it.stamp(was, e.now())
			return nil
		}
		it.State, it.Problem, s.Problem = Done, Problem{}, Problem{}
		it.stamp(was, e.now())
		if field == fieldOld {
			if cur.FirstRejected.IsZero() {
				cur.FirstRejected = ev.Old.At
			}
			cur.click(c, "the new pair works and the old one is rejected", ev.Old)
		}
		for i := range cur.Candidates {
			if candidateField(cur.Candidates[i].N) == field {
				cur.Candidates[i].Dead, cur.Candidates[i].DeadAt = true, ev.Old.At
			}
		}
		return nil
	})
}

// generatedAgain says that the chosen pair is dead: somebody generated once
// more. Nothing more is written with it. If another pair was pasted meanwhile
// that one is tried, else a new one is asked for.
func (e *Engine) generatedAgain(ctx context.Context, r *run) error {
	err := r.update(ctx, func(cur *Rotation, c *change) error {
		if cur.Step(StepRevoked).State != Running {
			return errMoved
		}
		why := Problem{
			Kind: fault.Conflict.String(), Reason: "superseded",
			Text: fmt.Sprintf("The new pair ····%s is dead already: somebody generated keys again. Nothing more is written with it. The last one at step 2 was %s.", cur.candidate(cur.Chosen).Last4, cur.Visitor.Admin),
			Fix:  "Find out who generated. Paste the pair that was made last; if it is lost, generate once more and paste that one.",
		}
		cur.candidate(cur.Chosen).Aside, cur.VerifiedAt = why.Reason, time.Time{}
		for _, other := range cur.Candidates {
			if other.Aside == "" && !other.Dead {
				c.add(cur, StepRevoked, bot(), "secret.rotate.failed", map[string]any{"reason": why.Reason})
				cur.revalidate(c, e.now())
				return nil
			}
		}
		cur.again(c, StepRevoked, why, bot(), e.now())
		return nil
	})
	if err == nil {
		err = errMoved
	}
	return err
}

// revalidate goes back to step 3 with the pairs that are sealed.
func (r *Rotation) revalidate(c *change, now time.Time) {
	r.reset(StepValidate, StepStore, StepPropagate, StepVerify, StepRevoked)
	r.enter(c, StepValidate, bot(), now)
}

// alarm says that a superseded pair is not proven dead.
func (e *Engine) alarm(ctx context.Context, r *run, field string) error {
	return r.update(ctx, func(cur *Rotation, c *change) error {
		s := cur.Step(StepRevoked)
		it := s.Item(field)
		text := fmt.Sprintf("The old pair is not proven dead after %s: %s.", e.limits.OldPair, it.Detail)
		p := Problem{
			Kind: fault.Unknown.String(), Reason: "old_pair_lingers", Text: text,
			Fix: "Look in the dashboard whether the old key is still listed. The bot asks again every minute and finishes by itself when it is rejected.",
		}
		if c.quiet = s.Problem.Reason == p.Reason && s.Problem.Text == p.Text; c.quiet {
			return nil
		}
		if s.Problem.Reason != p.Reason {
			c.add(cur, StepRevoked, bot(), "secret.rotate.failed", map[string]any{"reason": p.Reason, "detail": it.Detail})
		}
		s.Problem, it.Problem = p, p
		return nil
	})
}
