package slackbot

import (
	"context"
	"time"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/commands"
	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/modals"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// askSnooze opens the view that asks for how long reminders are put off.
func (b *Bot) askSnooze(ctx context.Context, call slack.InteractionCallback, bind modals.Bind) error {
	if b.cfg.Snoozer == nil {
		return noSnoozer()
	}
	rec, over, err := b.overSince(ctx, bind)
	if err != nil {
		return err
	}
	if over {
		b.end(ctx, call, pressedIn(call), rec)
		return nil
	}
	_, err = b.side(ctx, call, modals.Snooze(bind, pressedIn(call)))
	return err
}

// snooze puts reminders off, as the submitted view says. The gate is asked
// again: the role may be gone since the view was opened.
func (b *Bot) snooze(ctx context.Context, call slack.InteractionCallback, who rotation.Actor, answer func(any)) {
	ask, problems, err := modals.ParseSnooze(call.View.PrivateMetadata, call.View.State)
	if err != nil {
		answer(nil)
		return
	}
	if err := b.checkBind(ctx, who, commands.ActSnooze, ask.Bind); err != nil {
		answer(replace(refusal(err).View()))
		return
	}
	if len(problems) > 0 {
		answer(slack.NewErrorsViewSubmissionResponse(problems))
		return
	}
	until, err := b.putOff(ctx, who, ask)
	switch {
	case err == nil:
		answer(nil) // closes the view
		b.rewrite(ctx, ask.At, modals.NoteSnoozed(who, ask, until))
	case fault.ReasonOf(err) == "reminder_over":
		rec, _, recErr := b.overSince(ctx, ask.Bind)
		b.warn(ctx, "read what is remembered", recErr)
		answer(replace(modals.StartOver(rec).View()))
		b.rewrite(ctx, ask.At, modals.NoteOver(rec))
	case fault.KindOf(err) == fault.Conflict:
		answer(replace(refusal(err).View()))
	default: // what was typed stays
		answer(slack.NewErrorsViewSubmissionResponse(modals.SnoozeProblems(fault.ReasonOf(err), fault.UserText(err)+" "+fault.FixText(err))))
	}
}

func (b *Bot) putOff(ctx context.Context, who rotation.Actor, ask modals.SnoozeAsk) (until string, err error) {
	if b.cfg.Snoozer == nil {
		return "", noSnoozer()
	}
	return b.cfg.Snoozer.Snooze(ctx, who, Snooze{KeySet: ask.Bind.KeySet, Due: ask.Bind.Due(), Days: ask.Days, Why: ask.Why})
}

// askItWasMe opens the view that asks what somebody did who killed the key.
func (b *Bot) askItWasMe(ctx context.Context, call slack.InteractionCallback, bind modals.Bind) error {
	o, err := b.cfg.Engine.Look(ctx, bind.Rotation)
	if err != nil {
		return err
	}
	view, ok := modals.ItWasMe(o, call.User.ID)
	if !ok {
		b.tell(ctx, call, modals.Late(o, modals.ItWasMeAction, bind))
		return nil
	}
	_, err = b.side(ctx, call, view)
	return err
}

// itWasMe records who killed the key and goes on to step 2 with them. It waits
// for step 1 to read the old pair, which may take longer than Slack waits.
func (b *Bot) itWasMe(ctx context.Context, call slack.InteractionCallback, who rotation.Actor, id rotation.ID, answer func(any)) {
	if err := b.check(ctx, who, commands.ActItWasMe, id); err != nil {
		answer(replace(refusal(err).View()))
		return
	}
	what, problems := modals.ParseItWasMe(call.View.State)
	if len(problems) > 0 {
		answer(slack.NewErrorsViewSubmissionResponse(problems))
		return
	}
	o, err := b.cfg.Engine.Look(ctx, id)
	if err != nil {
		answer(replace(refusal(err).View()))
		return
	}
	early := inTime(answer, modals.Loading(o.Rotation.KeySet), func() { err = b.cfg.Engine.ItWasMe(ctx, who, id, what) })
	switch {
	case err != nil && early:
		answer(replace(b.why(ctx, modals.ItWasMeAction, modals.Bind{Rotation: id}, err).View()))
	case err != nil:
		b.show(ctx, call.View.ID, b.why(ctx, modals.ItWasMeAction, modals.Bind{Rotation: id}, err))
	case early:
		b.follow(ctx, call.View.ID, who.ID, id, answer)
	default:
		b.views.show(ctx, id, call.View.ID, who.ID)
	}
}

// inTime does work that may take longer than Slack waits for an answer: after
// [ackLimit] the view is answered with meanwhile. It reports whether work ended
// before that, so that its end is the answer: what is put into a view right after
// an answer may overtake it, and is gone then.
func inTime(answer func(any), meanwhile slack.ModalViewRequest, work func()) bool {
	said := make(chan struct{})
	timer := time.AfterFunc(ackLimit, func() {
		defer close(said)
		answer(replace(meanwhile))
	})
	defer timer.Stop() // also if work panics: that is answered elsewhere
	work()
	if timer.Stop() {
		return true
	}
	<-said
	return false
}

// askAdoptByHand opens the view that asks why the pair that a consumer holds is
// the right one.
func (b *Bot) askAdoptByHand(ctx context.Context, call slack.InteractionCallback, bind modals.Bind) error {
	if id, err := b.cfg.Engine.Active(ctx, bind.KeySet); err == nil {
		o, err := b.cfg.Engine.Look(ctx, id)
		if err != nil {
			return err
		}
		if len(o.Rotation.Candidates) > 0 { // it has another pair
			b.tell(ctx, call, modals.AlreadyOpen(o))
			return nil
		}
	}
	_, err := b.side(ctx, call, modals.AdoptByHand(bind, pressedIn(call)))
	return err
}

// adoptByHand opens the rotation that takes over the pair which a consumer
// holds. It reads that pair and tries it, which may take longer than Slack waits.
func (b *Bot) adoptByHand(ctx context.Context, call slack.InteractionCallback, who rotation.Actor, answer func(any)) {
	bind, why, problems, err := modals.ParseAdoptByHand(call.View.PrivateMetadata, call.View.State)
	if err != nil {
		answer(nil)
		return
	}
	if err := b.checkBind(ctx, who, commands.ActAdoptByHand, bind); err != nil {
		answer(replace(refusal(err).View()))
		return
	}
	if len(problems) > 0 {
		answer(slack.NewErrorsViewSubmissionResponse(problems))
		return
	}
	var id rotation.ID
	early := inTime(answer, modals.Adopting(bind), func() {
		id, err = b.cfg.Engine.AdoptByHand(ctx, who, bind.KeySet, bind.Item, why)
	})
	switch {
	case err != nil && early:
		answer(replace(refusal(err).View()))
	case err != nil:
		b.complain(ctx, who.ID, call.View.ID, err)
	case early:
		b.follow(ctx, call.View.ID, who.ID, id, answer)
	default:
		b.views.show(ctx, id, call.View.ID, who.ID)
	}
}

// show puts a refusal into a view that is open.
func (b *Bot) show(ctx context.Context, view string, why modals.Refusal) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	_, err := b.api.UpdateViewContext(ctx, why.View(), "", "", view)
	b.warn(ctx, "views.update", slackFault("slackbot.show", err))
}
