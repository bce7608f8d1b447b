package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/raxx-app/keyturn/internal/commands"
	"github.com/raxx-app/keyturn/internal/control"
	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// errMoved says that a question is over because the rotation moved on.
var errMoved = errors.New("the rotation moved on")

// errStop says that the person wants to stop here, or that nobody can be asked.
var errStop = errors.New("stopped here")

// silentFor is how long a bot may be silent, while it restarts for example,
// before the command gives up. The rotation does not.
const silentFor = time.Minute

// A terminal does one rotation with one person.
type terminal struct {
	bot    *control.Client
	ask    asker
	in     answers
	out    io.Writer
	keyset string
	again  string // the command that goes on

	id     rotation.ID
	reason string // of break-glass; "" if none is needed
	shown  shown
	told   string // question that the person left open: it is asked again when it changes
}

// rotate opens or finds the rotation and follows it to its end, or until the
// person stops. It returns the exit code.
func (t *terminal) rotate(ctx context.Context) (int, error) {
	about, err := t.bot.About(ctx)
	if err != nil {
		return exitFailed, err
	}
	if about.Person == "" {
		if err := t.askReason(ctx, "The login "+about.Login+" is not in slack.local_users, so nobody vouches for you: this is break-glass."); err != nil {
			return t.stopped(err)
		}
	}
	opened, err := t.act(ctx, control.Request{Act: commands.ActStart, KeySet: t.keyset})
	if err != nil {
		return t.stopped(err)
	}
	t.id = opened.Rotation
	if !opened.New {
		fmt.Fprintf(t.out, "A rotation of %s is open already; it goes on here.\n", t.keyset)
		if err := t.takeOver(ctx, cmp.Or(about.Person, "local:"+about.Login)); err != nil {
			return t.stopped(err)
		}
	}
	code, err := t.follow(ctx)
	if err != nil {
		return t.stopped(err)
	}
	return code, nil
}

// takeOver makes the person the operator of a rotation that somebody else began,
// if they want to.
func (t *terminal) takeOver(ctx context.Context, me string) error {
	v, err := t.bot.Look(ctx, t.id, 0)
	if err != nil || v.Overview.Rotation.Operator.ID == me || v.Overview.Rotation.Outcome != rotation.Open {
		return err
	}
	yes, err := t.ask.confirm(ctx, fmt.Sprintf("The operator is %s. Take over? The record then has your name.", v.Overview.Rotation.Operator.Admin))
	if err != nil || !yes {
		return err
	}
	_, err = t.act(ctx, control.Request{Act: commands.ActTakeOver, Rotation: t.id})
	return err
}

// stopped turns what ended the command into an exit code, and says how to go on.
func (t *terminal) stopped(err error) (int, error) {
	if !errors.Is(err, errStop) && !errors.Is(err, context.Canceled) {
		if t.id != "" {
			fmt.Fprintf(t.out, "To go on: %s\n", t.again)
		}
		return exitFailed, err
	}
	if t.id == "" {
		return exitFailed, errors.New("nothing was begun")
	}
	fmt.Fprintf(t.out, "The rotation waits. To go on: %s\n", t.again)
	return exitWaiting, nil
}

// follow shows what changes and asks what must be asked, until the rotation is
// over.
func (t *terminal) follow(ctx context.Context) (int, error) {
	var rev rotation.Rev
	for {
		v, err := t.look(ctx, rev)
		if err != nil {
			return exitFailed, err
		}
		t.show(v)
		switch v.Overview.Rotation.Outcome {
		case rotation.Open:
		case rotation.Completed:
			t.summary(v)
			return 0, nil
		case rotation.Cancelled, rotation.StoodDown:
			return exitFailed, nil
		}
		err = t.turn(ctx, v.Overview)
		switch {
		case errors.Is(err, errMoved), err == nil:
			rev = v.Rev
		case fault.KindOf(err) == fault.Conflict: // somebody was faster, here or in Slack
			fmt.Fprintln(t.out, "  "+fault.UserText(err))
			rev = 0
		case fault.KindOf(err) == fault.Unknown || fault.KindOf(err) == fault.Transient || fault.KindOf(err) == fault.Invalid:
			fmt.Fprintln(t.out, "  "+fault.UserText(err)+" "+fault.FixText(err))
			if t.in.yes {
				return exitFailed, errStop
			}
			rev = 0
		default:
			return exitFailed, err
		}
	}
}

// look waits for the next change. A bot that restarts meanwhile is waited for.
func (t *terminal) look(ctx context.Context, after rotation.Rev) (control.View, error) {
	limit := time.NewTimer(silentFor)
	defer limit.Stop()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for said := false; ; said = true {
		v, err := t.bot.Look(ctx, t.id, after)
		if !errors.Is(err, control.ErrNobody) && fault.ReasonOf(err) != "bot_silent" {
			return v, err
		}
		if !said {
			fmt.Fprintln(t.out, "The bot does not answer. The rotation is safe with it; waiting for it…")
		}
		select {
		case <-tick.C:
		case <-limit.C:
			return v, err
		case <-ctx.Done():
			return v, ctx.Err()
		}
	}
}

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
		for _, field := range slices.Sorted(maps.Keys(got.Problems)) {
			fmt.Fprintln(t.out, "  ⚠ "+got.Problems[field])
		}
		if len(got.Problems) > 0 && t.in.yes {
			return errStop
		}
	}
	return err
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
	got, err := t.bot.Paste(ctx, t.id, p, t.reason)
	if err != nil {
		return err
	}
	for _, field := range slices.Sorted(maps.Keys(got.Problems)) {
		fmt.Fprintln(t.out, "  ⚠ "+got.Problems[field])
	}
	if len(got.Problems) > 0 {
		if t.in.pairFile != "" {
			return errStop // the same file would say the same again
		}
		return nil
	}
	if got.Warning != "" {
		fmt.Fprintln(t.out, "  ⚠ "+got.Warning)
	}
	fmt.Fprintf(t.out, "  ✔ sealed ····%s: the pair is saved, encrypted. From here the bot goes on by itself.\n", got.Candidate.Last4)
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
	_, err = t.act(ctx, req)
	return err
}

// act asks the bot for an act; where Slack does not say who belongs to ops, the
// person is asked for the reason that opens the way.
func (t *terminal) act(ctx context.Context, in control.Request) (control.Answer, error) {
	in.Reason = t.reason
	got, err := t.bot.Act(ctx, in)
	needed := fault.ReasonOf(err) == "reason_needed" || fault.KindOf(err) == fault.Unknown && fault.ReasonOf(err) == "membership_unknown"
	if err == nil || !needed || t.reason != "" {
		return got, err
	}
	if err := t.askReason(ctx, fault.UserText(err)); err != nil {
		return got, err
	}
	in.Reason = t.reason
	return t.bot.Act(ctx, in)
}

func (t *terminal) askReason(ctx context.Context, why string) error {
	fmt.Fprintln(t.out, why)
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
		for rev := o.Rotation.Rev; ; {
			v, err := t.bot.Look(inner, t.id, rev)
			if err != nil {
				return // the next look says so
			}
			if rev = v.Rev; place(v.Overview) != place(o) {
				cancel(errMoved)
				return
			}
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
