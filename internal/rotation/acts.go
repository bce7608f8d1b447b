package rotation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
)

// GoOn ends step 1 and begins step 2 in one commit (R11–R18). problems are
// texts by field of [GoOn] ("trigger", "reason", "ticks", "pass_why", "gate");
// nothing was changed then. Going on twice is found and harmless.
func (e *Engine) GoOn(ctx context.Context, by Actor, id ID, in GoOn) (problems map[string]string, err error) {
	r, err := e.must(id)
	if err != nil {
		return nil, err
	}
	by = e.named(by)
	err = r.update(ctx, func(cur *Rotation, c *change) error {
		if cur.Step(StepPrecheck).State.Settled() {
			c.quiet = true
			return nil
		}
		if problems = cur.refuseGoOn(in, e.now()); len(problems) > 0 {
			c.quiet = true
			return nil
		}
		now := e.now()
		cur.Trigger, cur.Reason, cur.Ticks = in.Trigger, cur.why(in), slices.Clone(in.Ticks)
		cur.TestOrder = in.TestOrder && r.set.Trader != nil
		cur.AskedFor = cmp.Or(cur.AskedFor, in.Trigger)
		cur.handOver(by, tookGoOn, now)
		cur.passFailed(c, by, cmp.Or(in.PassWhy, passDead), now)
		switch {
		case cur.forced():
			cur.Trigger = TriggerReset // that was said before, and its row is written
		case in.Trigger == TriggerReset:
			c.add(cur, StepPrecheck, by, "secret.rotate.forced", map[string]any{"why": cur.Reason})
		case cur.OldPrint != "" && !cur.FirstRejected.IsZero(): // whatever it began as
			cur.Trigger = TriggerReset
			c.add(cur, StepPrecheck, by, "secret.rotate.forced", map[string]any{"why": "the current pair is rejected", "asked_for": string(in.Trigger)})
		}
		cur.leave(c, StepPrecheck, by, now)
		c.add(cur, StepPrecheck, by, "secret.rotate.step", map[string]any{
			"state": "gate_passed", "trigger": string(cur.Trigger), "reason": cur.Reason, "prerequisites": cur.Ticks, "test_order": cur.TestOrder,
		})
		cur.enter(c, StepGenerate, by, now)
		cur.Step(StepGenerate).WaitsFor, cur.Visitor = by.ID, by
		return nil
	})
	return problems, err
}

// forced reports whether it was said already that the current pair is dead, by
// the bot or by a person.
func (r *Rotation) forced() bool {
	return !r.ClickedAt.IsZero() || r.Sighting != nil || r.Claim != nil
}

// why is the reason that the operator gives; if they give none for a key that is
// said to be dead, what was said.
func (r *Rotation) why(in GoOn) string {
	if why := strings.TrimSpace(in.Reason); why != "" || !r.forced() {
		return why
	}
	return r.Reason
}

// forcedWait is how long even a forced rotation waits for the current pair to
// be read.
const forcedWait = 15 * time.Second

// refuseGoOn says what keeps the gate shut (3.1 of the design). A dead key
// opens it: then every second counts more than any check.
func (r *Rotation) refuseGoOn(in GoOn, now time.Time) map[string]string {
	problems := map[string]string{}
	s := r.Step(StepPrecheck)
	forced := in.Trigger == TriggerReset || r.Trigger == TriggerReset || !r.FirstRejected.IsZero()
	if !slices.Contains(Triggers(), in.Trigger) {
		problems["trigger"] = "Say why this rotation runs."
	}
	if in.Trigger != TriggerScheduled && r.why(in) == "" {
		problems["reason"] = "Give a reason: it becomes part of the record."
	}
	for _, p := range Prerequisites() {
		if !slices.Contains(in.Ticks, p.Name) {
			problems["ticks"] = "All of these must be confirmed before the keys are generated."
		}
	}
	if forced {
		if it := s.Item(CheckPair); (it == nil || it.State == Pending || it.State == Running) && now.Sub(r.Opened) < forcedWait {
			problems["gate"] = "The current pair is being read: it is needed for the proof at the end. Press Go on again in a moment."
		}
		return problems
	}
	if s.State != Running || s.openItems() || len(s.Items) == 0 {
		problems["gate"] = "Some checks are still running. Wait a moment and press Go on again."
		return problems
	}
	var stuck []string
	for _, name := range s.failedItems() {
		if !slices.Contains(in.Pass, name) {
			stuck = append(stuck, s.Item(name).called())
		}
	}
	switch {
	case len(stuck) > 0:
		problems["gate"] = "Failed: " + strings.Join(stuck, ", ") + ". Fix them and press Check again."
	case len(s.failedItems()) > 0 && strings.TrimSpace(in.PassWhy) == "":
		problems["pass_why"] = "Say why the failed checks may pass: it becomes part of the record."
	}
	return problems
}

// Retry has something done again: the failed checks of step 1, a failed step,
// or with item one consumer. round is the step's round that the button was
// made for; a late press is a conflict that says so.
func (e *Engine) Retry(ctx context.Context, by Actor, id ID, step StepName, round int, item string) error {
	r, err := e.must(id)
	if err != nil {
		return err
	}
	by = e.named(by)
	return r.update(ctx, func(cur *Rotation, c *change) error {
		if !slices.Contains(StepNames(), step) {
			return lateFault()
		}
		s := cur.Step(step)
		if s.Round != round || s.State != Running && s.State != Failed {
			return lateFault()
		}
		again := 0
		for i := range s.Items {
			it := &s.Items[i]
			if it.State == Failed && (item == "" || it.Name == item) {
				it.State, it.Problem = Pending, Problem{}
				it.stamp(Failed, e.now())
				it.Round++
				again++
				if step == StepVerify {
					cur.applyAgain(it.Name)
				}
			}
		}
		if s.State == Failed {
			s.State, s.Problem = Pending, Problem{}
		} else if again == 0 {
			return lateFault()
		}
		cur.waits(s)
		cur.pressed(PressRetry, step, round, item, by, e.now())
		c.add(cur, step, by, "secret.rotate.step", map[string]any{"state": "retried", "item": item})
		return nil
	})
}

// applyAgain has a consumer's proof begin with handing over the pair: that
// looks first and does nothing if the consumer has it.
func (r *Rotation) applyAgain(consumer string) {
	s := r.Step(StepPropagate)
	it := s.Item(consumer)
	if it == nil || it.State != Done {
		return
	}
	it.State = Pending
	if s.State == Done {
		s.State = Pending
	}
}

func lateFault() error {
	return &fault.Error{Kind: fault.Conflict, Reason: "late", Op: "rotation.Engine", User: "That was done already, or the rotation has moved on.", Fix: "Nothing to do. Press Open to see where it stands."}
}

// Updated notes that a developer has pulled the new pair, and returns when. It
// counts for the pair that the consumer was given last. A repeat, also one at
// the same time, returns the first time for that pair. The error is that the
// state could not be read or written.
func (e *Engine) Updated(ctx context.Context, by Actor, id ID, consumer string) (time.Time, error) {
	by = e.named(by)
	cur, err := e.current(ctx, id)
	if err != nil {
		return time.Time{}, err
	}
	key := rollCallKey(id, consumer, by.ID, cur.given(consumer))
	if at, err := e.pressedUpdated(ctx, key); !errors.Is(err, ErrNotFound) {
		return at, err
	}
	at := e.now()
	row := e.aside(by, id, "secret.rotate.step", map[string]any{"state": "updated", "consumer": consumer})
	row.Step = StepPropagate
	err = e.led.noteWith(ctx, []Cond{{Key: key}}, []Op{{Key: key, Value: []byte(stamp(at))}}, row)
	if errors.Is(err, ErrConflict) {
		return e.pressedUpdated(ctx, key)
	}
	return at, err
}

// pressedUpdated returns when a developer pressed Updated, or ErrNotFound.
func (e *Engine) pressedUpdated(ctx context.Context, key string) (time.Time, error) {
	kv, err := e.cfg.Store.Get(ctx, key)
	if err != nil {
		return time.Time{}, fmt.Errorf("read roll-call: %w", err)
	}
	return time.Parse(time.RFC3339Nano, string(kv.Value))
}
