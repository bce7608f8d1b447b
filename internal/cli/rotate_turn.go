package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/raxx-app/keyturn/internal/commands"
	"github.com/raxx-app/keyturn/internal/control"
	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// turn asks the person what must be asked now; nil if there is nothing.
func (t *terminal) turn(ctx context.Context, o rotation.Overview) error {
	r := &o.Rotation
	switch {
	case r.Step(rotation.StepPrecheck).State == rotation.Running:
		if o.Gate().Open > 0 && r.Trigger != rotation.TriggerReset && r.FirstRejected.IsZero() {
			return nil // the checks run
		}
		return t.gate(ctx, o)
	case r.Step(rotation.StepGenerate).State == rotation.Running:
		return t.paste(ctx, o)
	}
	w, waits := r.Waiting(o.Now)
	if !waits {
		return nil
	}
	return t.decide(ctx, o, w)
}

// gate leaves step 1 with the answers to every question that there is.
func (t *terminal) gate(ctx context.Context, o rotation.Overview) error {
	var in rotation.GoOn
	var choice string
	err := t.asking(ctx, o, func(ctx context.Context) (err error) {
		in, choice, err = t.ask.gate(ctx, o)
		return err
	})
	if err != nil {
		return err
	}
	step := o.Rotation.Step(rotation.StepPrecheck)
	switch choice {
	case choiceAgain:
		_, err = t.act(ctx, control.Request{Act: commands.ActRetry, Rotation: t.id, Step: step.Name, Round: step.Round})
	case choiceCancel:
		_, err = t.act(ctx, control.Request{Act: commands.ActCancel, Rotation: t.id, Why: in.Reason})
	default:
		var got control.Answer
		got, err = t.act(ctx, control.Request{Act: commands.ActGoOn, Rotation: t.id, GoOn: &in})
		if err == nil {
			err = t.problems(got.Problems)
		}
	}
	return err
}

// problems says what is wrong with what was answered; errAgain if something is.
func (t *terminal) problems(texts map[string]string) error {
	for _, field := range slices.Sorted(maps.Keys(texts)) {
		fmt.Fprintln(t.out, oneRow("  ⚠ "+texts[field]))
	}
	if len(texts) > 0 {
		return errAgain
	}
	return nil
}

// paste takes the new pair in.
func (t *terminal) paste(ctx context.Context, o rotation.Overview) error {
	if _, err := t.act(ctx, control.Request{Act: commands.ActOpen, Rotation: t.id}); err != nil {
		return err
	}
	t.instruct(o)
	var p rotation.Pair
	err := t.asking(ctx, o, func(ctx context.Context) (err error) {
		p, err = t.ask.pair(ctx)
		return err
	})
	if err != nil {
		return err
	}
	var got control.Pasted
	if err := t.vouched(ctx, func(reason string) (err error) {
		got, err = t.bot.Paste(ctx, t.id, p, reason)
		return err
	}); err != nil {
		return err
	}
	if err := t.problems(got.Problems); err != nil {
		return err
	}
	if got.Warning != "" {
		fmt.Fprintln(t.out, oneRow("  ⚠ "+got.Warning))
	}
	fmt.Fprintf(t.out, "  ✔ sealed ····%s: the pair is saved, encrypted. From here the bot goes on by itself.\n", got.Candidate.Last4)
	if t.in.pairFile != "" && t.in.pairFile != "-" {
		fmt.Fprintf(t.out, "  Delete %s when the rotation is over: it holds the pair.\n", t.in.pairFile)
	}
	return nil
}

// decide asks what to do about trouble, once until it changes.
func (t *terminal) decide(ctx context.Context, o rotation.Overview, w rotation.Waiting) error {
	offers := o.Offers()
	question := fmt.Sprint(w.For, w.Problem.Text, offers)
	if question == t.told || len(offers) == 0 {
		return nil
	}
	t.trouble(w)
	var choice *rotation.Offer
	var why, last4 string
	err := t.asking(ctx, o, func(ctx context.Context) (err error) {
		choice, why, last4, err = t.ask.offer(ctx, o, offers)
		return err
	})
	if err != nil {
		return err
	}
	if choice == nil {
		t.told = question
		fmt.Fprintln(t.out, "  Waiting: the bot goes on by itself where it can.")
		return nil
	}
	t.told = ""
	req := control.Request{Act: commands.Act(choice.What), Rotation: t.id, Step: choice.Step, Round: choice.Round, Item: choice.Item, Why: why, Last4: last4}
	if choice.What == rotation.PressUseFor {
		req.KeySet, req.Item = choice.Item, ""
	}
	got, err := t.act(ctx, req)
	if err == nil && choice.What == rotation.PressUseFor {
		fmt.Fprintf(t.out, "  The pair is sealed for %s, in rotation %s. To see it through: %s\n", req.KeySet, got.Rotation, continuation(req.KeySet, t.config))
	}
	return err
}

// act has the bot do something.
func (t *terminal) act(ctx context.Context, in control.Request) (got control.Answer, err error) {
	err = t.vouched(ctx, func(reason string) (err error) {
		in.Reason = reason
		got, err = t.bot.Act(ctx, in)
		return err
	})
	return got, err
}

// vouched calls f with the reason that the person gave so far. Where nobody vouches
// for them, or Slack does not say who belongs to ops, they are asked for one that
// opens the way, once, and f is called again.
func (t *terminal) vouched(ctx context.Context, f func(reason string) error) error {
	err := f(t.reason)
	reason := fault.ReasonOf(err)
	if t.reason != "" || reason != "reason_needed" && reason != "membership_unknown" {
		return err
	}
	if err := t.askReason(ctx, fault.UserText(err)); err != nil {
		return err
	}
	return f(t.reason)
}

// askReason asks for the reason of break-glass.
func (t *terminal) askReason(ctx context.Context, why string) error {
	fmt.Fprintln(t.out, oneRow(why))
	text, err := t.ask.text(ctx, "Why do you act now?", "It goes into the audit record and into the ops channel.")
	t.reason = cmp.Or(text, t.reason)
	return err
}

// asking lets f ask a question, and ends it with errMoved when the rotation is
// no longer where it was: somebody was faster, or the bot went on by itself.
func (t *terminal) asking(ctx context.Context, o rotation.Overview, f func(context.Context) error) error {
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		if t.moved(inner, o) {
			cancel(errMoved)
		}
	}()
	err := f(inner)
	moved := errors.Is(context.Cause(inner), errMoved)
	cancel(nil)
	<-watched
	if moved && err != nil {
		return errMoved
	}
	return err
}

// moved waits until the rotation is elsewhere; false if ctx ended first. It says
// nothing of a bot that does not answer: the look after the question does.
func (t *terminal) moved(ctx context.Context, o rotation.Overview) bool {
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for rev := o.Rotation.Rev; ; {
		v, err := t.bot.Look(ctx, t.id, rev)
		if err == nil {
			if rev = v.Rev; place(v.Overview) != place(o) {
				return true
			}
			continue
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
}

// place is where a rotation stands, as far as a question depends on it.
func place(o rotation.Overview) string {
	r := &o.Rotation
	s := r.Current()
	gate := 0
	if s.Name == rotation.StepPrecheck {
		gate = o.Gate().Failed
	}
	return fmt.Sprint(r.Outcome, s.Name, s.State, s.Round, gate, o.Offers())
}
