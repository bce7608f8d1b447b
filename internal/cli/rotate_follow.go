package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
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

// errAgain says that what was answered was not taken, and why has been said.
var errAgain = errors.New("not taken")

// silentFor is how long a bot may be silent, while it restarts for example,
// before the command gives up. The rotation does not.
const silentFor = time.Minute

// askEvery is how often a bot that does not answer is asked again.
const askEvery = 500 * time.Millisecond

// A terminal does one rotation with one person.
type terminal struct {
	bot    *link
	ask    asker
	in     answers
	out    io.Writer
	keyset string
	config string // path of the settings

	id     rotation.ID
	reason string // of break-glass; "" if none is needed
	shown  shown
	told   string // question that the person left open: it is asked again when it changes
}

// rotate opens or finds the rotation and follows it to its end, or until the
// person stops. It returns the exit code.
func (t *terminal) rotate(ctx context.Context) (int, error) {
	about := t.bot.about
	if about.Person == "" {
		if err := t.askReason(ctx, "The login "+about.Login+" is not in slack.local_users, so nobody vouches for you: this is break-glass."); err != nil {
			return t.stopped(ctx, err)
		}
	}
	opened, err := t.act(ctx, control.Request{Act: commands.ActStart, KeySet: t.keyset})
	if err != nil {
		return t.stopped(ctx, err)
	}
	t.id = opened.Rotation
	if !opened.New {
		fmt.Fprintf(t.out, "A rotation of %s is open already; it goes on here.\n", t.keyset)
		if err := t.takeOver(ctx, cmp.Or(about.Person, "local:"+about.Login)); err != nil {
			return t.stopped(ctx, err)
		}
	}
	code, err := t.follow(ctx)
	if err != nil {
		return t.stopped(ctx, err)
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
func (t *terminal) stopped(ctx context.Context, err error) (int, error) {
	waits := errors.Is(err, errStop) || ctx.Err() != nil
	switch {
	case t.id == "" && waits:
		return exitFailed, errors.New("nothing was begun")
	case t.id == "":
		return exitFailed, err
	case t.bot.ended != nil:
		fmt.Fprintln(t.out, "The rotation waits: nothing goes on by itself now, because this command was the bot.")
	default:
		fmt.Fprintln(t.out, "The rotation stays open, and the bot does what it can without you.")
	}
	fmt.Fprintf(t.out, "To go on: %s\n", continuation(t.keyset, t.config))
	if waits {
		return exitWaiting, nil
	}
	return exitFailed, err
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
		rev = v.Rev
		if err := t.turn(ctx, v.Overview); err != nil {
			if err = t.shrug(err); err != nil {
				return exitFailed, err
			}
			if !t.in.yes {
				rev = 0 // ask again at once
			}
		}
	}
}

// shrug says what became of an act that led to nothing, and returns nil if the
// rotation may be looked at again. Flags would only answer the same again, unless
// somebody else changed something.
func (t *terminal) shrug(err error) error {
	kind := fault.KindOf(err)
	switch {
	case errors.Is(err, errStop), errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, errMoved):
		fmt.Fprintln(t.out, "  That is no longer asked: the rotation went on.")
		return nil
	case errors.Is(err, errAgain):
	case kind == fault.Conflict: // somebody was faster, here or in Slack
		fmt.Fprintln(t.out, oneRow("  "+fault.UserText(err)))
		return nil
	case kind == fault.Unknown, kind == fault.Transient, kind == fault.Invalid:
		fmt.Fprintln(t.out, oneRow("  "+fault.UserText(err)+" "+fault.FixText(err)))
	default:
		return err
	}
	if t.in.yes {
		return errStop
	}
	return nil
}

// look waits for the next change. A bot that restarts meanwhile is waited for; one
// in this process does not come back.
func (t *terminal) look(ctx context.Context, after rotation.Rev) (control.View, error) {
	limit := time.NewTimer(silentFor)
	defer limit.Stop()
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for said := false; ; said = true {
		v, err := t.bot.Look(ctx, t.id, after)
		if !silent(err) {
			return v, err
		}
		if !said && t.bot.ended == nil {
			fmt.Fprintln(t.out, "The bot does not answer. The rotation is safe with it; waiting for it…")
		}
		select {
		case <-tick.C:
		case <-t.bot.ended:
			return v, cmp.Or(t.bot.why, err)
		case <-limit.C:
			return v, err
		case <-ctx.Done():
			return v, ctx.Err()
		}
	}
}

// silent reports whether no bot answered, or it did not answer in time.
func silent(err error) bool {
	return errors.Is(err, control.ErrNobody) || fault.ReasonOf(err) == "bot_silent"
}
