package slackbot

import (
	"cmp"
	"context"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/commands"
	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/modals"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// A Snooze is a wish to be left alone for some days.
type Snooze struct {
	KeySet string
	Due    string // the due date that the pressed reminder named
	Days   int    // 1, 3 or 7
	Why    string
}

// A Snoozer puts the reminders of a key set off and returns the calendar day on
// which they go on. It refuses with Conflict, reason reminder_over, what is over,
// and with Invalid, reason snooze_too_long, what is too long.
type Snoozer interface {
	Snooze(ctx context.Context, by rotation.Actor, s Snooze) (until string, err error)
}

// notePermission is what the gate is asked about a button of a note.
func notePermission(action string) (commands.Act, bool) {
	switch action {
	case modals.StartRotationAction:
		return commands.ActStart, true
	case modals.SnoozeAction:
		return commands.ActSnooze, true
	case modals.StartNowAction:
		return commands.ActStartNow, true
	case modals.ItWasMeAction:
		return commands.ActItWasMe, true
	case modals.AdoptByHandAction:
		return commands.ActAdoptByHand, true
	}
	return "", false
}

// noteAct does what a button of a note says, or returns why not.
func (b *Bot) noteAct(ctx context.Context, call slack.InteractionCallback, who rotation.Actor, action string, bind modals.Bind) error {
	switch action {
	case modals.StartRotationAction:
		return b.startFromNote(ctx, call, who, bind)
	case modals.SnoozeAction:
		return b.askSnooze(ctx, call, bind)
	case modals.StartNowAction:
		return b.startNow(ctx, call, who, bind)
	case modals.ItWasMeAction:
		return b.askItWasMe(ctx, call, bind)
	case modals.AdoptByHandAction:
		return b.askAdoptByHand(ctx, call, bind)
	}
	return nil
}

// checkBind passes the gate for a button: for the rotation that it is bound to,
// or for the key set. One that names a rotation of another key set is not ours:
// the gate would be asked about one, and the other be acted on.
func (b *Bot) checkBind(ctx context.Context, who rotation.Actor, act commands.Act, bind modals.Bind) error {
	if bind.KeySet == "" {
		return b.check(ctx, who, act, bind.Rotation)
	}
	about := commands.Subject{KeySet: bind.KeySet}
	if id, err := b.cfg.Engine.Active(ctx, bind.KeySet); err == nil {
		if o, err := b.cfg.Engine.Look(ctx, id); err == nil {
			about = aboutOf(o)
		}
	}
	if err := b.gate.Check(ctx, who, act, about); err != nil || bind.Rotation == "" {
		return err
	}
	// The rotation can be another than the open one, or a fingerprint.
	if o, err := b.cfg.Engine.Look(ctx, bind.Rotation); err == nil && o.Rotation.KeySet != bind.KeySet {
		return late()
	}
	return nil
}

// pressedIn is the message in which a button was pressed; zero for one in a
// view.
func pressedIn(call slack.InteractionCallback) rotation.Posted {
	if call.View.ID != "" {
		return rotation.Posted{}
	}
	return rotation.Posted{Channel: call.Channel.ID, TS: call.Message.Timestamp}
}

// overSince returns what is remembered of the key set, and whether it was
// rotated since the button was made.
func (b *Bot) overSince(ctx context.Context, bind modals.Bind) (rotation.Record, bool, error) {
	rec, err := b.cfg.Engine.Remembered(ctx, bind.KeySet)
	if err != nil {
		return rec, false, err
	}
	rec.KeySet = bind.KeySet // also where nothing is remembered
	due := bind.Due()
	other := due != "" && rec.NextDue != "" && rec.NextDue != due
	newer := len(bind.Leavers()) > 0 && bind.Rotation != "" && cmp.Or(string(rec.Last), rec.Print) != string(bind.Rotation)
	return rec, other || newer, nil
}

// end answers a press of a button that is over, and takes the buttons away.
func (b *Bot) end(ctx context.Context, call slack.InteractionCallback, at rotation.Posted, rec rotation.Record) {
	b.tell(ctx, call, modals.StartOver(rec))
	b.rewrite(ctx, at, modals.NoteOver(rec))
}

// rewrite changes a note after its button was pressed. The act is done all the
// same if that fails.
func (b *Bot) rewrite(ctx context.Context, at rotation.Posted, m modals.Message) {
	if at.Channel != "" && at.TS != "" {
		b.warn(ctx, "chat.update", b.edit(ctx, at, m))
	}
}

// startFromNote starts the rotation that a note proposes, and shows it. Where
// somebody who left is the reason, that is filled in.
func (b *Bot) startFromNote(ctx context.Context, call slack.InteractionCallback, who rotation.Actor, bind modals.Bind) error {
	rec, over, err := b.overSince(ctx, bind)
	if err != nil {
		return err
	}
	if over {
		b.end(ctx, call, pressedIn(call), rec)
		return nil
	}
	trigger, reason := rotation.TriggerScheduled, ""
	if people := bind.Leavers(); len(people) > 0 {
		trigger, reason = rotation.TriggerOffboarding, modals.LeaverReason(people)
	}
	return b.opening(ctx, call, who, bind.KeySet, func() (rotation.ID, error) {
		id, _, err := b.cfg.Engine.StartFor(ctx, who, bind.KeySet, trigger, reason)
		return id, err
	})
}

// opening opens a view first, since a trigger lives 3 s, and shows in it the
// rotation that open returns.
func (b *Bot) opening(ctx context.Context, call slack.InteractionCallback, who rotation.Actor, keyset string, open func() (rotation.ID, error)) error {
	view, openErr := b.side(ctx, call, modals.Loading(keyset))
	b.warn(ctx, "views.open", openErr) // it starts all the same: its channel message has Open
	id, err := open()
	switch {
	case err != nil && view != "":
		b.complain(ctx, who.ID, view, err)
	case err != nil:
		return err
	case view != "":
		b.views.show(ctx, id, view, who.ID)
	}
	return nil
}

// startNow makes whoever pressed the operator of a forced rotation that nobody
// has, and shows it. Somebody who comes second is told who was first.
func (b *Bot) startNow(ctx context.Context, call slack.InteractionCallback, who rotation.Actor, bind modals.Bind) error {
	taken, err := b.takeFree(ctx, who, bind.Rotation)
	if err != nil {
		return err
	}
	if taken != nil {
		b.tell(ctx, call, *taken)
		return nil
	}
	b.warn(ctx, "views.open", b.reopen(ctx, call, who, bind.Rotation)) // it is theirs all the same; the channel message has Open
	return nil
}

// takeFree makes who the operator of a rotation that nobody has. If somebody has
// it, or it is over, it returns what to say instead.
func (b *Bot) takeFree(ctx context.Context, who rotation.Actor, id rotation.ID) (*modals.Refusal, error) {
	b.taking.Lock() // two who press at the same time: one is first
	defer b.taking.Unlock()
	o, err := b.cfg.Engine.Look(ctx, id)
	if err != nil {
		return nil, err
	}
	switch r := o.Rotation; {
	case r.Outcome != rotation.Open:
		return new(modals.Late(o, modals.StartNowAction, modals.Bind{Rotation: id})), nil
	case r.Operator.ID == who.ID:
		return nil, nil
	case r.Operator.ID != rotation.BotActor:
		return new(modals.Taken(o)), nil
	}
	return nil, b.cfg.Engine.TakeOver(ctx, who, id)
}

// noSnoozer is the answer where nothing reminds people.
func noSnoozer() error {
	return &fault.Error{Kind: fault.Conflict, Reason: "no_reminders", Op: "slackbot.Snooze", User: "Reminders are not switched on, so there is nothing to put off.", Fix: "Nothing to do."}
}
