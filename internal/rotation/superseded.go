package rotation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
)

// reasonSuperseded is the reason of a pair that a later one has killed.
const reasonSuperseded = "superseded"

// A life is what is known of the chosen pair since it was chosen.
type life struct {
	rejected time.Time // first of the rejections that no valid answer has taken back
}

// over takes one probe and reports whether the pair is dead: rejected twice,
// apart by at least spaced, with no valid answer between. Unknown counts for
// neither side.
func (l *life) over(p Probe, spaced time.Duration) bool {
	switch {
	case p.Verdict == Valid:
		l.rejected = time.Time{}
	case p.Verdict == Invalid && l.rejected.IsZero():
		l.rejected = p.At
	case p.Verdict == Invalid:
		return p.At.Sub(l.rejected) >= spaced
	}
	return false
}

// watchingNew probes the chosen pair now and then, until the returned function
// is called: a consumer may wait for a person for hours, and must not be given
// a pair that somebody has killed meanwhile.
func (e *Engine) watchingNew(ctx context.Context, f *flight) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := e.watchNew(ctx, f); err != nil && ctx.Err() == nil && !errors.Is(err, errMoved) {
			e.cfg.Log.ErrorContext(ctx, "new pair cannot be watched", slog.String("rotation", string(f.id)), slog.String("step", string(f.name)), errAttr(err))
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

func (e *Engine) watchNew(ctx context.Context, f *flight) error {
	cur, err := f.ground()
	if err != nil {
		return err
	}
	pair, err := e.led.open(ctx, &cur, candidateField(cur.Chosen))
	if err != nil {
		return err
	}
	var life life
	for every := e.limits.ProbeAgain; sleep(ctx, every); {
		p := e.probe(ctx, pair)
		if ctx.Err() != nil {
			break
		}
		if life.over(p, e.limits.Recheck) {
			return e.generatedAgain(ctx, f)
		}
		if every = e.limits.ProbeAgain; p.Verdict == Invalid {
			every = e.limits.Recheck
		}
	}
	return ctx.Err()
}

// generatedAgain says that the chosen pair is dead: somebody generated once
// more. Nothing more is written with it. If another pair was pasted meanwhile
// that one is tried, else a new one is asked for. It returns errMoved if it
// could say so.
func (e *Engine) generatedAgain(ctx context.Context, f *flight) error {
	err := f.update(ctx, func(cur *Rotation, c *change) error {
		chosen := cur.candidate(cur.Chosen)
		why := Problem{
			Kind: fault.Conflict.String(), Reason: reasonSuperseded,
			Text: fmt.Sprintf("The new pair ····%s is dead already: somebody generated keys again. Nothing more is written with it. The last one at step 2 was %s.", chosen.Last4, cur.Visitor.Admin),
			Fix:  "Find out who generated. Paste the pair that was made last; if it is lost, generate once more and paste that one.",
		}
		chosen.Aside, cur.VerifiedAt = why.Reason, time.Time{}
		if slices.ContainsFunc(cur.Candidates, untried) {
			c.add(cur, f.name, bot(), "secret.rotate.failed", map[string]any{"reason": why.Reason})
			cur.revalidate(c, e.now())
			return nil
		}
		cur.again(c, f.name, why, bot(), e.now())
		return nil
	})
	if err == nil {
		err = errMoved
	}
	return err
}

// stillAlive looks at the chosen pair once more before something is written with
// it, or the rotation is closed, unless step 3 proved it less than within ago:
// that may be hours ago after a long step 4, a restart or a late press, and no
// dead value may ever be written (R65, R67). Only rejections count; what is not
// known now was proven then. It returns errMoved if the pair is dead.
func (e *Engine) stillAlive(ctx context.Context, f *flight, pair Pair, within time.Duration) error {
	cur, err := f.ground()
	if err != nil || e.now().Sub(cur.Step(StepValidate).Ended) < within {
		return err
	}
	var life life
	for {
		p := e.probe(ctx, pair)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case life.over(p, e.limits.Recheck):
			return e.generatedAgain(ctx, f)
		case p.Verdict != Invalid && life.rejected.IsZero():
			return nil
		}
		if !sleep(ctx, e.limits.Recheck) {
			return ctx.Err()
		}
	}
}
