package rotation

import (
	"context"
	"errors"
	"sync"
	"time"
)

// generate is step 2: the operator is in the dashboard, because there is no
// API for it (R25, R76), and the bot watches the old pair die. It ends when a
// pair is pasted. The first rejection starts the exposed time; it is the click
// when a second one confirms it.
func (e *Engine) generate(ctx context.Context, r *run) error {
	defer e.watching(ctx, r)()
	return r.await(ctx, func(cur *Rotation) bool { return cur.Step(StepGenerate).State != Running })
}

// watching probes the old pair, once it is known, until the returned function
// is called.
func (e *Engine) watching(ctx context.Context, r *run) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		if r.await(ctx, func(cur *Rotation) bool { return cur.OldPrint != "" }) == nil {
			e.watchOld(ctx, r)
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

// watchOld probes the old pair until ctx ends. What it sees is evidence only:
// it never moves the rotation, so that it cannot fail it either.
func (e *Engine) watchOld(ctx context.Context, r *run) {
	cur, _ := r.look()
	old, err := e.led.open(ctx, &cur, fieldOld)
	if err != nil {
		if !errors.Is(err, ErrNotFound) && ctx.Err() == nil {
			e.cfg.Log.ErrorContext(ctx, "old pair cannot be watched", errAttr(err))
		}
		return
	}
	began := e.now()
	for {
		p := e.probe(ctx, old)
		if ctx.Err() != nil {
			return
		}
		if err := e.sawOld(ctx, r, p); err != nil {
			e.cfg.Log.ErrorContext(ctx, "probe of the old pair could not be recorded", errAttr(err))
		}
		every := e.limits.ProbeFast
		if e.now().Sub(began) >= e.limits.ProbeFastFor {
			every = e.limits.ProbeSlow
		}
		if !sleep(ctx, max(every, time.Duration(p.Wait)*time.Second)) {
			return
		}
	}
}

// sawOld stores what a probe of the old pair says. A valid answer takes an
// unconfirmed rejection back: keys have flapped before.
func (e *Engine) sawOld(ctx context.Context, r *run, p Probe) error {
	if p.Verdict == Unknown {
		return nil
	}
	return r.update(ctx, func(cur *Rotation, c *change) error {
		c.quiet = true
		switch {
		case p.Verdict == Valid:
			cur.LastOK = p.At
			if !cur.FirstRejected.IsZero() && cur.ClickedAt.IsZero() {
				cur.FirstRejected, c.quiet = time.Time{}, false
			}
		case cur.FirstRejected.IsZero():
			cur.FirstRejected, c.quiet = p.At, false
		case cur.ClickedAt.IsZero() && p.At.Sub(cur.FirstRejected) >= e.limits.Confirm:
			cur.click(c, "two rejections of the old pair", p)
		}
		return nil
	})
}

// click records the point of no return (R33): it is certain now. With a zero
// FirstRejected the click is known only from the pair that was pasted.
func (r *Rotation) click(c *change, how string, p Probe) {
	if !r.ClickedAt.IsZero() {
		return
	}
	r.ClickedAt, c.quiet = r.FirstRejected, false
	if r.ClickedAt.IsZero() {
		r.ClickedAt = p.At
	}
	if r.Step(StepPrecheck).State == Running {
		r.Trigger = TriggerReset // dead before anybody was to click: a forced rotation from here on
		c.add(r, StepPrecheck, bot(), "secret.rotate.forced", map[string]any{"why": how})
	}
	c.add(r, StepGenerate, bot(), "secret.rotate.clicked", map[string]any{
		"how": how, "first_rejected": stamp(r.FirstRejected), "last_ok": stamp(r.LastOK), "status": p.Status, "request_id": p.RequestID,
	})
}

// stamp is how a time stands in an audit row; "" means never.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
