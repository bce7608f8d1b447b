package slackbot

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/commands"
	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/modals"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// actions does what the pressed buttons say. They were acknowledged already.
func (b *Bot) actions(ctx context.Context, call slack.InteractionCallback) {
	for _, a := range call.ActionCallback.BlockActions {
		bind, err := modals.ParseBind(a.Value)
		if err != nil {
			continue // a link button, or an input that reports what it holds
		}
		if err := b.act(ctx, call, a.ActionID, bind); err != nil {
			b.cfg.Log.InfoContext(ctx, "act refused", slog.String("user", call.User.ID), slog.String("action", a.ActionID), slog.String("reason", fault.ReasonOf(err)))
			b.tell(ctx, call, b.why(ctx, a.ActionID, bind, err))
		}
	}
}

// permission is what the gate is asked about a button, before anything else.
func permission(action string) (commands.Act, bool) {
	switch action {
	case modals.OpenAction:
		return commands.ActOpen, true
	case modals.RetryAction, modals.CheckAgainAction:
		return commands.ActRetry, true
	case modals.RegenerateAction:
		return commands.ActRegenerate, true
	case modals.RedoAction:
		return commands.ActRedo, true
	case modals.TakeOverAction:
		return commands.ActTakeOver, true
	case modals.UseForAction:
		return commands.ActUseFor, true
	case modals.AcceptAction:
		return commands.ActAccept, true
	case modals.StoreAnywayAction:
		return commands.ActStoreAnyway, true
	case modals.StoreLaterAction:
		return commands.ActStoreLater, true
	case modals.AdoptAction:
		return commands.ActAdopt, true
	case modals.CancelAction:
		return commands.ActCancel, true
	}
	return notePermission(action)
}

// act does what one button says, or returns why not. A button that this
// version does not know does nothing.
func (b *Bot) act(ctx context.Context, call slack.InteractionCallback, action string, bind modals.Bind) error {
	who := rotation.Actor{ID: call.User.ID}
	if action == modals.UpdatedAction { // for the named person, not for ops
		return b.updated(ctx, call, who, bind)
	}
	act, known := permission(action)
	if !known {
		return nil
	}
	if err := b.checkBind(ctx, who, act, bind); err != nil {
		return err
	}
	if _, note := notePermission(action); note {
		return b.noteAct(ctx, call, who, action, bind)
	}
	switch action {
	case modals.OpenAction:
		return b.reopen(ctx, call, who, bind.Rotation)
	case modals.RetryAction, modals.CheckAgainAction:
		return b.cfg.Engine.Retry(ctx, who, bind.Rotation, bind.Step, bind.Round, bind.Item)
	case modals.RegenerateAction:
		return b.regenerate(ctx, call, who, bind)
	case modals.RedoAction:
		return b.cfg.Engine.Redo(ctx, who, bind.Rotation, bind.Step, bind.Round)
	case modals.TakeOverAction:
		return b.takeOver(ctx, call, who, bind.Rotation)
	case modals.UseForAction:
		return b.useFor(ctx, call, who, bind)
	case modals.CancelAction:
		return b.askCancel(ctx, call, bind.Rotation)
	}
	return b.ask(ctx, call, action, bind)
}

// reopen shows the present step to whoever pressed Open.
func (b *Bot) reopen(ctx context.Context, call slack.InteractionCallback, who rotation.Actor, id rotation.ID) error {
	o, err := b.cfg.Engine.Look(ctx, id)
	if err != nil {
		return err
	}
	view, err := b.openView(ctx, call.TriggerID, modals.Loading(o.Rotation.KeySet))
	if err != nil {
		return err
	}
	b.views.show(ctx, id, view, who.ID)
	return nil
}

// regenerate goes back to step 2 for another pair. Who pressed it in the
// channel is shown where to paste; an open modal follows by itself.
func (b *Bot) regenerate(ctx context.Context, call slack.InteractionCallback, who rotation.Actor, bind modals.Bind) error {
	if err := b.cfg.Engine.Regenerate(ctx, who, bind.Rotation, bind.Step, bind.Round); err != nil {
		return err
	}
	if call.View.ID == "" {
		b.warn(ctx, "views.open", b.reopen(ctx, call, who, bind.Rotation)) // done all the same; the channel message has Open
	}
	return nil
}

// takeOver makes whoever pressed the operator. Who is it already is told so.
func (b *Bot) takeOver(ctx context.Context, call slack.InteractionCallback, who rotation.Actor, id rotation.ID) error {
	o, err := b.cfg.Engine.Look(ctx, id)
	if err != nil {
		return err
	}
	if o.Rotation.Operator.ID == who.ID && o.Rotation.Outcome == rotation.Open {
		b.tell(ctx, call, modals.AlreadyOperator())
		return nil
	}
	return b.cfg.Engine.TakeOver(ctx, who, id)
}

// useFor opens a forced rotation of the key set that a pasted pair belongs to,
// and shows it.
func (b *Bot) useFor(ctx context.Context, call slack.InteractionCallback, who rotation.Actor, bind modals.Bind) error {
	o, err := b.cfg.Engine.Look(ctx, bind.Rotation)
	if err != nil {
		return err
	}
	if !modals.Offered(o, modals.UseForAction, bind) {
		return late()
	}
	return b.opening(ctx, call, who, bind.Item, func() (rotation.ID, error) {
		return b.cfg.Engine.UseFor(ctx, who, bind.Rotation, bind.Item)
	})
}

// ask opens the view that asks why, above the modal or from a message.
func (b *Bot) ask(ctx context.Context, call slack.InteractionCallback, action string, bind modals.Bind) error {
	o, err := b.cfg.Engine.Look(ctx, bind.Rotation)
	if err != nil {
		return err
	}
	view, ok := modals.AskWhy(forViewer(o, call.User.ID), action, bind)
	if !ok {
		return late()
	}
	_, err = b.side(ctx, call, view)
	return err
}

// askCancel opens the view that asks why a rotation is cancelled.
func (b *Bot) askCancel(ctx context.Context, call slack.InteractionCallback, id rotation.ID) error {
	o, err := b.cfg.Engine.Look(ctx, id)
	if err != nil {
		return err
	}
	_, err = b.side(ctx, call, modals.Cancel(o))
	return err
}

// side opens a view beside what is shown: on top of the modal in which a
// button was pressed, or by itself. It returns the view's ID.
func (b *Bot) side(ctx context.Context, call slack.InteractionCallback, view slack.ModalViewRequest) (string, error) {
	if err := modals.Check(view); err != nil {
		return "", b.overLimit(ctx, err)
	}
	if call.View.ID == "" {
		return b.openView(ctx, call.TriggerID, view)
	}
	ctx, cancel := context.WithTimeout(ctx, openLimit)
	defer cancel()
	pushed, err := b.api.PushViewContext(ctx, call.TriggerID, view)
	if err != nil {
		return "", slackFault("slackbot.push", err)
	}
	return pushed.ID, nil
}

// answered does what was asked for with a reason. The gate is asked again: the
// role may be gone since the view was opened.
func (b *Bot) answered(ctx context.Context, call slack.InteractionCallback, who rotation.Actor, answer func(any)) {
	in, problems, err := modals.ParseAsk(call.View.PrivateMetadata, call.View.State)
	if err != nil {
		answer(nil)
		return
	}
	if len(problems) > 0 {
		answer(slack.NewErrorsViewSubmissionResponse(problems))
		return
	}
	act, _ := permission(in.Action)
	if err = b.check(ctx, who, act, in.Bind.Rotation); err == nil {
		err = b.withReason(ctx, who, in)
	}
	switch {
	case err == nil:
		answer(nil) // closes this view; the one below follows
	case slices.Contains([]fault.Kind{fault.Conflict, fault.NotFound, fault.Denied}, fault.KindOf(err)):
		answer(replace(b.why(ctx, in.Action, in.Bind, err).View()))
	default: // what was typed stays
		answer(slack.NewErrorsViewSubmissionResponse(modals.AskProblems(fault.ReasonOf(err), fault.UserText(err)+" "+fault.FixText(err))))
	}
}

// withReason does an act that needs a reason.
func (b *Bot) withReason(ctx context.Context, who rotation.Actor, in modals.Ask) error {
	e, to := b.cfg.Engine, in.Bind
	switch in.Action {
	case modals.AcceptAction:
		return e.Accept(ctx, who, to.Rotation, to.Step, to.Round, to.Item, in.Why)
	case modals.StoreAnywayAction:
		return e.StoreAnyway(ctx, who, to.Rotation, to.Round, in.Why)
	case modals.StoreLaterAction:
		return e.StoreLaterNow(ctx, who, to.Rotation, to.Round, in.Why)
	case modals.AdoptAction:
		return e.Adopt(ctx, who, to.Rotation, to.Round, in.Last4, in.Why)
	}
	return late()
}

// cancel ends a rotation before the click. It asks Alpaca first, which may take
// longer than Slack waits for an answer: then the view says so and follows.
func (b *Bot) cancel(ctx context.Context, call slack.InteractionCallback, who rotation.Actor, id rotation.ID, answer func(any)) {
	why, problems := modals.ParseCancel(call.View.State)
	if len(problems) > 0 {
		answer(slack.NewErrorsViewSubmissionResponse(problems))
		return
	}
	done := make(chan error, 1)
	go func() { // goes on after the answer; the caller waits for it
		err := b.check(ctx, who, commands.ActCancel, id)
		if err == nil {
			err = b.cfg.Engine.Cancel(ctx, who, id, why)
		}
		done <- err
	}()
	timer := time.NewTimer(ackLimit)
	defer timer.Stop()
	select {
	case err := <-done:
		if err != nil {
			answer(slack.NewErrorsViewSubmissionResponse(map[string]string{modals.CancelBlock: fault.UserText(err) + " " + fault.FixText(err)}))
			return
		}
		answer(slack.NewClearViewSubmissionResponse())
		return
	case <-timer.C:
	}
	answer(replace(modals.Cancelling()))
	if err := <-done; err != nil {
		b.complain(ctx, who.ID, call.View.ID, err)
		return
	}
	b.views.show(ctx, id, call.View.ID, who.ID)
}

// updated notes that a developer has pulled the new pair.
func (b *Bot) updated(ctx context.Context, call slack.InteractionCallback, who rotation.Actor, bind modals.Bind) error {
	o, err := b.cfg.Engine.Look(ctx, bind.Rotation)
	if err != nil {
		return err
	}
	about := commands.Subject{Rotation: bind.Rotation, KeySet: o.Rotation.KeySet}
	if slices.Contains(b.cfg.Developers[o.Rotation.KeySet+"/"+bind.Item], who.ID) {
		about.Named = who.ID
	}
	if err := b.gate.Check(ctx, who, commands.ActUpdated, about); err != nil {
		return err
	}
	at, err := b.cfg.Engine.Updated(ctx, who, bind.Rotation, bind.Item)
	if err != nil {
		return err
	}
	note := rotation.Note{Kind: rotation.NoteUpdate, Rotation: bind.Rotation, KeySet: o.Rotation.KeySet, Consumer: bind.Item}
	return b.edit(ctx, rotation.Posted{Channel: call.Channel.ID, TS: call.Message.Timestamp}, modals.NoteUpdated(note, at))
}

// why turns the error of an act into words: for a late press it says who was
// faster, or where the rotation stands now.
func (b *Bot) why(ctx context.Context, action string, bind modals.Bind, err error) modals.Refusal {
	if fault.ReasonOf(err) == "late" {
		if o, lookErr := b.cfg.Engine.Look(ctx, bind.Rotation); lookErr == nil {
			return modals.Late(o, action, bind)
		}
	}
	return refusal(err)
}

// late is the engine's answer to a press that came too late, for one that does
// not even reach it.
func late() error {
	return &fault.Error{Kind: fault.Conflict, Reason: "late", Op: "slackbot.act", User: "That was done already, or the rotation has moved on.", Fix: "Nothing to do. Press Open to see where it stands."}
}
