package rotation

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
)

// kindOldPair is the kind of an item that is a superseded pair.
const kindOldPair = "old_pair"

// revoked is step 7 (R58–R60): there is nothing to revoke, generation did it;
// this proves it. Every superseded pair must be rejected while the new one
// works in the same round. A pair that still answers is an alarm, and one that
// cannot be asked about is asked about again, never called dead.
func (e *Engine) revoked(ctx context.Context, f *flight) error {
	cur, err := f.ground()
	if err != nil {
		return err
	}
	fields := superseded(&cur)
	if len(fields) == 0 {
		return f.update(ctx, func(cur *Rotation, c *change) error {
			cur.skip(c, StepRevoked, bot(), "no old pair known", e.now())
			return nil
		})
	}
	pair, err := e.led.open(ctx, &cur, candidateField(cur.Chosen))
	if err != nil {
		return err
	}
	for _, field := range fields {
		if err := e.provenDead(ctx, f, field, pair); err != nil {
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
func (e *Engine) provenDead(ctx context.Context, f *flight, field string, pair Pair) error {
	cur, err := f.ground()
	if err != nil {
		return err
	}
	if it := cur.Step(StepRevoked).Item(field); it != nil && it.State.Settled() {
		return nil
	}
	old, err := e.led.open(ctx, &cur, field)
	if err != nil {
		return err
	}
	if err := e.setItem(ctx, f, field, func(_ *Rotation, it *Item) { it.Kind, it.State = kindOldPair, Running }); err != nil {
		return err
	}
	tries := 0
	var life life
	look := func(ctx context.Context) (bool, error) {
		tries++
		var ev Evidence
		ev.New, ev.Old = e.round(ctx, pair, old)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		if life.over(ev.New, e.limits.Recheck) {
			return false, e.generatedAgain(ctx, f)
		}
		return e.sawDead(ctx, f, field, ev, tries)
	}
	err = poll(ctx, e.limits.OldPair, look)
	for errors.Is(err, errLimit) {
		if err := e.alarm(ctx, f, field); err != nil {
			return err
		}
		if !sleep(ctx, e.limits.ProbeAgain) {
			return ctx.Err()
		}
		if settled, lookErr := look(ctx); settled || lookErr != nil {
			err = lookErr
		}
	}
	return err
}

// sawDead stores one round, and reports whether it settles the item. Only the
// status code of the old pair is kept (R59).
func (e *Engine) sawDead(ctx context.Context, f *flight, field string, ev Evidence, tries int) (settled bool, err error) {
	err = f.update(ctx, func(cur *Rotation, c *change) error {
		s := cur.Step(StepRevoked)
		it := s.Item(field)
		was := it.State
		it.Tries = tries
		it.Detail = "old pair " + verdictText(ev.Old) + ", new pair " + verdictText(ev.New)
		it.Facts = []Fact{
			{Name: "old_status", Label: "Old pair", Value: strconv.Itoa(ev.Old.Status)},
			{Name: "new_status", Label: "New pair, same round", Value: strconv.Itoa(ev.New.Status)},
			{Name: "at", Label: "At", Value: ev.Old.At.UTC().Format(time.RFC3339)},
			{Name: "tries", Label: "Tries", Value: strconv.Itoa(tries)},
		}
		if field == fieldOld {
			cur.saw(c, ev.Old)
		}
		switch {
		case ev.New.Verdict != Valid: // no control, no proof
		case ev.Old.Verdict == Invalid:
			it.State, settled = Done, true
			cur.provedDead(c, field, ev.Old)
		case ev.Old.Verdict == Valid && field != fieldOld && !ev.Old.Account.Same(ev.New.Account):
			it.State, settled = Skipped, true
			it.Detail = "belongs to account " + Masked(ev.Old.Account.Number) + ", which this rotation does not touch"
		}
		if settled {
			it.Problem, s.Problem = Problem{}, Problem{}
		}
		it.stamp(was, e.now())
		return nil
	})
	return settled, err
}

// provedDead notes that a superseded pair is rejected while the new one works.
func (r *Rotation) provedDead(c *change, field string, p Probe) {
	if field == fieldOld {
		r.saw(c, p)
		r.click(c, "the new pair works and the old one is rejected", p)
	}
	for i := range r.Candidates {
		if candidateField(r.Candidates[i].N) == field {
			r.Candidates[i].Dead, r.Candidates[i].DeadAt = true, p.At
		}
	}
}

// ReasonLingers is the reason of a superseded pair that is not proven dead in time.
const ReasonLingers = "old_pair_lingers"

// alarm says that a superseded pair is not proven dead.
func (e *Engine) alarm(ctx context.Context, f *flight, field string) error {
	return f.update(ctx, func(cur *Rotation, c *change) error {
		s := cur.Step(StepRevoked)
		it := s.Item(field)
		text := fmt.Sprintf("The old pair is not proven dead after %s: %s.", inWords(e.limits.OldPair), it.Detail)
		p := Problem{
			Kind: fault.Unknown.String(), Reason: ReasonLingers, Text: text,
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
