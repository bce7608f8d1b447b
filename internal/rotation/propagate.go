package rotation

import (
	"context"
	"sync"
)

// propagate is step 5 (R44–R51): every consumer at once, each with its own
// retries; one that fails stops none of the others. It ends when each has the
// pair. One that failed for good waits for a person.
func (e *Engine) propagate(ctx context.Context, r *run) error {
	if err := e.listTargets(ctx, r, StepPropagate); err != nil {
		return err
	}
	return e.eachTarget(ctx, r, StepPropagate, func(ctx context.Context, t Target, d Delivery) error {
		return e.apply(ctx, r, t, d)
	})
}

// listTargets writes down an item for every consumer; what a crash left
// running is done again.
func (e *Engine) listTargets(ctx context.Context, r *run, step StepName) error {
	return r.update(ctx, func(cur *Rotation, _ *change) error {
		s := cur.Step(step)
		if s.State != Running {
			return errMoved
		}
		for _, t := range r.set.Targets {
			it := s.Item(t.Name)
			if it == nil {
				s.Items = append(s.Items, Item{Name: t.Name, Kind: t.Kind, State: Pending, Counts: t.Counts})
				it = &s.Items[len(s.Items)-1]
			}
			if it.State == Running {
				it.State = Pending
			}
			if t.Consumer == nil && step == StepPropagate {
				it.State, it.Detail = Skipped, "covered by "+t.CoveredBy
			}
		}
		return nil
	})
}

// eachTarget works on every consumer's item until all of them are settled. An
// item that a person sets back to pending is worked on again.
func (e *Engine) eachTarget(ctx context.Context, r *run, step StepName, work func(context.Context, Target, Delivery) error) error {
	cur, _ := r.look()
	pair, err := e.led.open(ctx, &cur, candidateField(cur.Chosen))
	if err != nil {
		return err
	}
	past, err := e.led.record(ctx, cur.KeySet)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	errs := make(chan error, len(r.set.Targets))
	for _, t := range r.set.Targets {
		wg.Go(func() {
			errs <- e.oneTarget(ctx, r, step, t, Delivery{
				Rotation: cur.ID, KeySet: cur.KeySet, Operator: cur.Operator,
				Pair: pair, Print: cur.candidate(cur.Chosen).Print, Last: lastReceipt(past, t.Name),
			}, work)
		})
	}
	for range r.set.Targets {
		if err := <-errs; err != nil {
			return err
		}
	}
	return nil
}

func lastReceipt(past Record, target string) *Receipt {
	if rec, ok := past.Receipts[target]; ok {
		return &rec
	}
	return nil
}

// oneTarget works on one consumer until its item is settled.
func (e *Engine) oneTarget(ctx context.Context, r *run, step StepName, t Target, d Delivery, work func(context.Context, Target, Delivery) error) error {
	for {
		var state State
		err := r.await(ctx, func(cur *Rotation) bool {
			state = cur.Step(step).Item(t.Name).State
			return state.Settled() || state == Pending
		})
		if err != nil || state.Settled() {
			return err
		}
		if err := work(ctx, t, d); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err := e.setItem(ctx, r, step, t.Name, func(_ *Rotation, it *Item) { it.fail(err) }); err != nil {
				return err
			}
		}
	}
}

// apply hands the pair to one consumer. What it remembers of an earlier try in
// this rotation goes along, so that it can look before it writes.
func (e *Engine) apply(ctx context.Context, r *run, t Target, d Delivery) error {
	if err := e.setItem(ctx, r, StepPropagate, t.Name, func(_ *Rotation, it *Item) {
		it.State, it.Problem, it.Detail = Running, Problem{}, ""
		if it.Receipt != nil {
			d.Last = it.Receipt
		}
	}); err != nil {
		return err
	}
	receipt, err := retry(ctx, e.limits.Write, true, e.retrying(ctx, r, StepPropagate, t.Name), func(ctx context.Context) (Receipt, error) {
		return t.Consumer.Apply(ctx, d)
	})
	if err != nil {
		return err
	}
	receipt.Print = d.Print
	if receipt.At.IsZero() {
		receipt.At = e.now()
	}
	return e.setItem(ctx, r, StepPropagate, t.Name, func(_ *Rotation, it *Item) {
		it.State, it.Receipt, it.Facts, it.Detail = Done, &receipt, receipt.Facts, "applied"
		if receipt.Unchanged {
			it.Detail = "had the new pair already"
		}
	})
}
