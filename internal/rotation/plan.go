package rotation

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// A planned step says when a step may begin and what it does.
type planned struct {
	Name  StepName
	After []StepName // settled before this one begins
	// Do returns nil when the step is done, or when it has moved the rotation
	// elsewhere itself. It looks before it acts: after a crash it runs again.
	Do func(context.Context, *run) error
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
		{StepPropagate, after(StepStore), e.propagate},
		{StepVerify, after(StepStore), e.verify}, // each consumer as soon as it has the pair
		{StepRevoked, after(StepStore), e.revoked},
		{StepRecord, after(StepStore, StepPropagate, StepVerify, StepRevoked), e.finish},
	}
}

// A flight is a step that is being worked on.
type flight struct {
	cancel context.CancelFunc
	mu     sync.Mutex
	round  int // of the step; 0 until it is marked running
}

// enter says which round of the step this flight works on.
func (f *flight) enter(round int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.round = round
}

// stale reports whether the rotation has moved on without this flight. A look
// from before the flight's own round says nothing about it.
func (f *flight) stale(s *Step) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.round != 0 && (s.Round > f.round || s.Round == f.round && s.State != Running)
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
			f := &flight{cancel: stop}
			flying[p.Name] = f
			again := resumed
			wg.Go(func() {
				defer stop()
				e.do(flyCtx, r, p, f, again)
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
func (e *Engine) do(ctx context.Context, r *run, p planned, f *flight, resumed bool) {
	log := e.cfg.Log.With(slog.String("rotation", string(r.id)), slog.String("step", string(p.Name)))
	began, round := false, 0
	err := r.update(ctx, func(cur *Rotation, c *change) error {
		s := cur.Step(p.Name)
		began = s.State == Pending || s.State == Running
		switch {
		case s.State == Pending:
			cur.enter(c, p.Name, bot(), e.now())
		case resumed && s.State == Running:
			c.add(cur, p.Name, bot(), "secret.rotate.step", map[string]any{"state": "resumed"})
		default:
			c.quiet = true
		}
		round = s.Round
		return nil
	})
	f.enter(round) // after the commit: whoever looks before it must not find the flight ahead of the rotation
	if err == nil && began {
		log.InfoContext(ctx, "step running")
		err = p.Do(ctx, r)
	}
	if ctx.Err() != nil {
		return // the bot stops or the rotation is over; the step is resumed from what is stored
	}
	e.land(ctx, r, p.Name, err, log)
}

// land stores how a step ended, unless it or a person moved the rotation
// elsewhere already.
func (e *Engine) land(ctx context.Context, r *run, name StepName, failure error, log *slog.Logger) {
	state := Done
	stored := r.update(ctx, func(cur *Rotation, c *change) error {
		s := cur.Step(name)
		if s.State != Running {
			state, c.quiet = s.State, true
			return nil
		}
		now := e.now()
		if failure != nil { // errMoved with the step still running is a bug that must show
			state = Failed
			s.State, s.Problem, s.Ended, s.WaitsFor = Failed, problemOf(failure), now, cur.Operator.ID
			c.add(cur, name, bot(), "secret.rotate.failed", stepContext(s))
			return nil //nolint:nilerr // the failure is what is stored; storing it went well
		}
		cur.leave(c, name, bot(), now)
		return nil
	})
	switch {
	case stored != nil:
		log.ErrorContext(ctx, "step could not be recorded", slog.Any("error", stored))
		sleep(ctx, time.Second) // the step begins again at once; a broken disk must not be hammered
	case state == Failed:
		log.ErrorContext(ctx, "step failed", slog.Any("error", failure))
	default:
		log.InfoContext(ctx, "step over", slog.String("state", string(state)))
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
