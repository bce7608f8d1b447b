package rotation

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// A planned step says when a step may begin and what it does.
type planned struct {
	Name  StepName
	After []StepName // settled before this one begins
	// Do returns nil when the step is done, or when it has moved the rotation
	// elsewhere itself. It looks before it acts: after a crash it runs again.
	Do func(context.Context, *flight) error
}

// Steps returns the SOP in order. There are never two live pairs: whatever can
// be refused is refused in step 1, because after "generate" the old pair is
// dead. A pair is stored before it is handed out, so that nobody can be given
// one that is not kept; a consumer is verified as soon as it has the pair; the
// old pair is proven dead beside that, because trading waits for neither.
func (e *Engine) Steps() []planned {
	after := func(names ...StepName) []StepName { return names }
	return []planned{
		{StepPrecheck, nil, e.precheck},                 // the operator goes on
		{StepGenerate, after(StepPrecheck), e.generate}, // the operator clicks, and pastes
		{StepValidate, after(StepGenerate), e.validate},
		{StepStore, after(StepValidate), e.store},
		{StepPropagate, after(StepValidate, StepStore), e.propagate},
		{StepVerify, after(StepValidate, StepStore), e.verify}, // each consumer as soon as it has the pair
		{StepRevoked, after(StepValidate, StepStore), e.revoked},
		{StepRecord, after(StepValidate, StepStore, StepPropagate, StepVerify, StepRevoked), e.finish},
	}
}

// own drives one rotation until it is over or ctx ends. It is the only one
// that begins and ends steps; people change the rotation through its run, and
// every change wakes it. A step that a change took the ground from is stopped,
// and begins again only when what it had under way has ended.
func (e *Engine) own(ctx context.Context, r *run) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { e.watchBetween(ctx, r) })
	flying := map[StepName]*flight{}
	landed := make(chan StepName, len(StepNames()))
	for resumed := true; ; resumed = false {
		cur, changed := r.look()
		if cur.Outcome != Open {
			e.forget(cur.ID)
			return
		}
		for _, p := range e.Steps() {
			if f := flying[p.Name]; f != nil {
				if f.stale(cur.Step(p.Name)) {
					f.cancel()
				}
				continue
			}
			if !cur.begins(p) {
				continue
			}
			flyCtx, stop := context.WithCancel(ctx)
			f := &flight{run: r, name: p.Name, cancel: stop}
			flying[p.Name] = f
			again := resumed
			wg.Go(func() {
				defer stop()
				e.do(flyCtx, f, p, again)
				landed <- p.Name
			})
		}
		select {
		case <-changed:
		case name := <-landed:
			delete(flying, name)
		case <-ctx.Done():
			return
		}
	}
}

// begins reports whether a step should be worked on now.
func (r *Rotation) begins(p planned) bool {
	if s := r.Step(p.Name).State; s != Pending && s != Running {
		return false
	}
	for _, name := range p.After {
		later := name == StepStore && r.StoreLater && p.Name != StepRecord
		if !r.Step(name).State.Settled() && !later {
			return false
		}
	}
	return true
}

// do marks a step running, works on it, and marks how it ended. The audit row
// that announces the step is in the commit that marks it running (R89): no
// row, no step.
func (e *Engine) do(ctx context.Context, f *flight, p planned, resumed bool) {
	log := e.cfg.Log.With(slog.String("rotation", string(f.id)), slog.String("step", string(p.Name)))
	began, again, round := false, false, 0
	err := f.run.update(ctx, func(cur *Rotation, c *change) error {
		c.quiet = true
		if began = cur.begins(p); !began {
			return errMoved // since own looked
		}
		s := cur.Step(p.Name)
		switch {
		case s.State == Pending:
			c.quiet = false
			cur.enter(c, p.Name, bot(), e.now())
		case resumed:
			c.quiet, again = false, true
			c.add(cur, p.Name, bot(), "secret.rotate.step", map[string]any{"state": "resumed"})
		}
		round = s.Round
		return nil
	})
	switch {
	case !began, errors.Is(err, errOver):
		return
	case err != nil: // the step is as it was and begins again at once; a broken disk must not be hammered
		if f.news(p.Name, err) {
			log.ErrorContext(ctx, "step could not begin", errAttr(err))
		}
		sleep(ctx, time.Second)
		return
	}
	f.news(p.Name, nil)
	if again {
		log.InfoContext(ctx, "step resumed", slog.Int("round", round))
	}
	f.enter(round) // after the commit: whoever looks before it must not find the flight ahead of the rotation
	err = p.Do(ctx, f)
	if ctx.Err() != nil {
		return // the bot stops or the rotation moved on; the step is resumed from what is stored
	}
	e.land(ctx, f, err, log)
}

// land stores how a step ended, unless it or a person moved the rotation
// elsewhere already.
func (e *Engine) land(ctx context.Context, f *flight, failure error, log *slog.Logger) {
	failed := false
	stored := f.update(ctx, func(cur *Rotation, c *change) error {
		s, now := cur.Step(f.name), e.now()
		switch {
		case f.name == StepValidate && slices.ContainsFunc(cur.Candidates, untried): // pasted since the last round: go on with it
			c.quiet = true
		case failure != nil: // errMoved with the step still running is a bug that must show
			failed = true
			s.State, s.Problem, s.Ended, s.WaitsFor = Failed, problemOf(failure), now, cur.Operator.ID
			c.add(cur, f.name, bot(), "secret.rotate.failed", stepContext(s))
		case s.pendingItems(): // a person had one done again meanwhile: the step goes on
			c.quiet = true
		default:
			cur.leave(c, f.name, bot(), now)
		}
		return nil
	})
	switch {
	case errors.Is(stored, errMoved):
		log.DebugContext(ctx, "step moved on")
	case stored != nil:
		log.ErrorContext(ctx, "step could not be recorded", errAttr(stored))
		sleep(ctx, time.Second) // the step begins again at once; a broken disk must not be hammered
	case failed:
		log.ErrorContext(ctx, "step failed", errAttr(failure))
	}
}

// enter marks a step running, with its row.
func (r *Rotation) enter(c *change, name StepName, by Actor, now time.Time) {
	s := r.Step(name)
	s.State, s.Started, s.Ended, s.Problem, s.WaitsFor = Running, now, time.Time{}, Problem{}, BotActor
	s.Round++
	c.add(r, name, by, "secret.rotate.step", map[string]any{"state": string(Running), "round": s.Round})
}

// leave marks a step done, with its row.
func (r *Rotation) leave(c *change, name StepName, by Actor, now time.Time) {
	s := r.Step(name)
	s.State, s.Ended, s.Problem, s.Note, s.WaitsFor = Done, now, Problem{}, "", ""
	c.add(r, name, by, "secret.rotate.step", stepContext(s))
}

// skip marks a step skipped, with who and why.
func (r *Rotation) skip(c *change, name StepName, by Actor, why string, now time.Time) {
	s := r.Step(name)
	s.State, s.Ended, s.Note, s.WaitsFor = Skipped, now, why, ""
	c.add(r, name, by, "secret.rotate.step", stepContext(s))
}

func (e *Engine) forget(id ID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.runs, id)
}
