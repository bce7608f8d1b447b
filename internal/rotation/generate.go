package rotation

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// generate is step 2: the operator is in the dashboard, because there is no
// API for it (R25, R76), and the bot watches the old pair die. It ends when a
// pair is pasted. The first rejection starts the exposed time; it is the click
// when a second one confirms it.
func (e *Engine) generate(ctx context.Context, f *flight) error {
	defer e.watching(ctx, f.run)()
	return f.await(ctx, func(*Rotation) bool { return false })
}

// watching probes the old pair, once it is known, until the returned function
// is called.
func (e *Engine) watching(ctx context.Context, r *run) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { e.watchOld(ctx, r) })
	return func() {
		cancel()
		wg.Wait()
	}
}

// watchBetween probes the old pair while no step does: after a paste, where step
// 3 has stopped for a person, or step 4 does not get on, and the old pair was
// still alive. From the moment it dies trading is down and people must hear.
func (e *Engine) watchBetween(ctx context.Context, r *run) {
	unwatched := func(cur *Rotation) bool {
		for _, name := range []StepName{StepGenerate, StepValidate, StepRevoked} {
			if cur.Step(name).State == Running {
				return false
			}
		}
		return cur.Outcome == Open && len(cur.Candidates) > 0 && cur.OldPrint != "" && cur.ClickedAt.IsZero()
	}
	for r.await(ctx, unwatched) == nil {
		stop := e.watching(ctx, r)
		err := r.await(ctx, func(cur *Rotation) bool { return !unwatched(cur) })
		if stop(); err != nil {
			return
		}
	}
}

// watchOld probes the old pair until ctx ends. What it sees is evidence only:
// it never moves the rotation, so that it cannot fail it either. The pair is
// read anew each time: in step 1 a person may put another one into the vault.
func (e *Engine) watchOld(ctx context.Context, r *run) {
	began, told := e.now(), ""
	for {
		if r.await(ctx, func(cur *Rotation) bool { return cur.OldPrint != "" }) != nil {
			return
		}
		cur, _ := r.look()
		old, err := e.led.open(ctx, &cur, fieldOld)
		var p Probe
		if err == nil {
			p = e.probe(ctx, old)
		}
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = e.sawOld(ctx, r, old, p)
		}
		told = tellOnce(ctx, e.cfg.Log.With(slog.String("rotation", string(r.id)), slog.String("step", string(cur.Current().Name))), told, err)
		every := e.limits.ProbeFast
		if e.now().Sub(began) >= e.limits.ProbeFastFor {
			every = e.limits.ProbeSlow
		}
		if !sleep(ctx, max(every, time.Duration(p.Wait)*time.Second)) {
			return
		}
	}
}

// tellOnce logs why the old pair cannot be watched, unless that was said the
// last time: a state that is damaged stays so. It returns what was said.
func tellOnce(ctx context.Context, log *slog.Logger, told string, err error) string {
	if err == nil || errors.Is(err, errOver) {
		return ""
	}
	if why := err.Error(); why != told {
		log.ErrorContext(ctx, "old pair cannot be watched", errAttr(err))
		return why
	}
	return told
}

// sawOld stores what a probe of the old pair says.
func (e *Engine) sawOld(ctx context.Context, r *run, old Pair, p Probe) error {
	if p.Verdict == Unknown {
		return nil
	}
	print := e.cfg.Sealer.Print(old)
	return r.update(ctx, func(cur *Rotation, c *change) error {
		c.quiet = true
		if cur.OldPrint != print {
			return nil // another pair is the current one since
		}
		cur.saw(c, p)
		if p.Verdict == Invalid && cur.ClickedAt.IsZero() && p.At.Sub(cur.FirstRejected) >= e.limits.Confirm {
			cur.click(c, "two rejections of the old pair", p)
		}
		return nil
	})
}

// saw takes one probe of the old pair as evidence. The first rejection starts
// the exposed time; a valid answer takes an unconfirmed rejection back, because
// keys have flapped before.
func (r *Rotation) saw(c *change, p Probe) {
	switch {
	case p.Verdict == Valid:
		r.LastOK = p.At
		if r.OldOwner == nil {
			r.OldOwner = &p.Account
		}
		if !r.FirstRejected.IsZero() && r.ClickedAt.IsZero() {
			r.FirstRejected, c.quiet = time.Time{}, false
		}
	case p.Verdict == Invalid && r.FirstRejected.IsZero():
		r.FirstRejected, c.quiet = p.At, false
	}
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
