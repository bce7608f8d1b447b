package rotation

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"
)

// propagate is step 5 (R44–R51): every consumer at once, each with its own
// retries; one that fails stops none of the others. It ends when each has the
// pair. One that failed for good waits for a person. From here on step 6 watches
// the pair; before, step 4 may have taken long, or the bot may have been away.
func (e *Engine) propagate(ctx context.Context, f *flight) error {
	if err := e.listTargets(ctx, f); err != nil {
		return err
	}
	cur, err := f.ground()
	if err != nil {
		return err
	}
	pair, err := e.led.open(ctx, &cur, candidateField(cur.Chosen))
	if err != nil {
		return err
	}
	if err := e.stillAlive(ctx, f, pair, e.limits.ProbeAgain); err != nil {
		return err
	}
	return e.eachTarget(ctx, f, e.apply)
}

// listTargets writes down an item for every consumer; what a crash left
// running is done again.
func (e *Engine) listTargets(ctx context.Context, f *flight) error {
	return f.update(ctx, func(cur *Rotation, _ *change) error {
		s := cur.Step(f.name)
		for _, t := range f.set.Targets {
			it := s.Item(t.Name)
			if it == nil {
				s.Items = append(s.Items, Item{Name: t.Name, Kind: t.Kind, State: Pending, Counts: t.Counts, Setup: t.Setup})
				it = &s.Items[len(s.Items)-1]
			}
			if it.State == Running {
				it.State = Pending
			}
			given := cur.Step(StepPropagate).Item(t.Name)
			switch {
			case f.name == StepPropagate && t.Consumer == nil:
				it.State, it.Detail = Skipped, "covered by "+t.CoveredBy
			case f.name == StepVerify && it.State == Pending && given != nil && given.State == Skipped && given.PassBy != "":
				it.State, it.Detail, it.PassBy, it.PassWhy = Skipped, given.Detail, given.PassBy, given.PassWhy
			}
		}
		return nil
	})
}

// A work does what a step does for one consumer. It begins the consumer's item
// and settles it, or returns why it failed.
type work func(context.Context, *flight, Target, Delivery) error

// errSettled ends the work on the consumers when all of their items are settled.
var errSettled = errors.New("all settled")

// eachTarget works on every consumer's item until all of them are settled. An
// item that a person sets back to pending is worked on again.
func (e *Engine) eachTarget(ctx context.Context, f *flight, do work) error {
	cur, err := f.ground()
	if err != nil {
		return err
	}
	pair, err := e.led.open(ctx, &cur, candidateField(cur.Chosen))
	if err != nil {
		return err
	}
	past, err := e.led.record(ctx, cur.KeySet)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	names := make([]string, 0, len(f.set.Targets))
	for _, t := range f.set.Targets {
		names = append(names, t.Name)
		d := Delivery{
			Rotation: cur.ID, KeySet: cur.KeySet, Operator: cur.Operator,
			Pair: pair, Print: cur.candidate(cur.Chosen).Print, Last: lastReceipt(past, t.Name),
		}
		g.Go(func() error { return e.oneTarget(ctx, f, t, d, do) })
	}
	g.Go(func() error {
		if err := f.await(ctx, func(cur *Rotation) bool { return cur.Step(f.name).settled(names) }); err != nil {
			return err
		}
		return errSettled
	})
	if err := g.Wait(); !errors.Is(err, errSettled) {
		return err
	}
	return nil
}

func lastReceipt(past Record, target string) *Receipt {
	if rec, ok := past.Receipts[target]; ok {
		return &rec
	}
	return nil
}

// early reports whether a consumer is told only once the pair is stored: those
// that are not handed the pair read it from the vault, which holds the dead one
// while step 4 is passed by.
func (r *Rotation) early(t Target) bool {
	return !t.Counts && t.Consumer != nil && !r.Step(StepStore).State.Settled()
}

// oneTarget works on one consumer whenever its item is pending, until ctx ends.
func (e *Engine) oneTarget(ctx context.Context, f *flight, t Target, d Delivery, do work) error {
	for {
		if err := f.await(ctx, func(cur *Rotation) bool { return cur.Step(f.name).Item(t.Name).State == Pending && !cur.early(t) }); err != nil {
			return err
		}
		err := do(ctx, f, t, d)
		switch {
		case err == nil:
			continue
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errMoved):
			return err
		}
		if err := e.failItem(ctx, f, t.Name, err); err != nil {
			return err
		}
	}
}

// apply hands the pair to one consumer. What it remembers of an earlier try in
// this rotation goes along, so that it can look before it writes.
func (e *Engine) apply(ctx context.Context, f *flight, t Target, d Delivery) error {
	it, began, err := e.begin(ctx, f, t.Name)
	if err != nil || !began {
		return err
	}
	if it.Receipt != nil {
		d.Last = it.Receipt
	}
	receipt, err := retry(ctx, e.limits.Write, true, e.retrying(ctx, f, t.Name), func(ctx context.Context) (Receipt, error) {
		if _, err := f.ground(); err != nil {
			return Receipt{}, err
		}
		return t.Consumer.Apply(ctx, d)
	})
	if err != nil {
		return err
	}
	receipt.Print = d.Print
	if receipt.At.IsZero() {
		receipt.At = e.now()
	}
	return e.setItem(ctx, f, t.Name, func(_ *Rotation, it *Item) {
		it.State, it.Receipt, it.Facts, it.Detail = Done, &receipt, receipt.Facts, "applied"
		if receipt.Unchanged {
			it.Detail = "had the new pair already"
		}
	})
}
