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

// pasteLimit is how long a key submission may take to be committed before the
// person is told to press Submit again.
const pasteLimit = 2 * time.Second

// notSaved is what stands under the secret then. What was typed is still there.
const notSaved = "Not saved yet. What you typed is still here: press Submit again."

// submission answers a submitted view.
func (b *Bot) submission(ctx context.Context, call slack.InteractionCallback, answer func(any)) {
	who := rotation.Actor{ID: call.User.ID}
	id := rotation.ID(call.View.PrivateMetadata)
	switch call.View.CallbackID {
	case modals.PickCallback:
		b.picked(ctx, call, who, answer)
	case modals.ResetCallback:
		b.reset(ctx, call, who, answer)
	case modals.PrecheckCallback:
		b.goOn(ctx, call, who, id, answer)
	case modals.GenerateCallback:
		b.paste(ctx, call, who, id, answer)
	case modals.CancelCallback:
		b.cancel(ctx, call, who, id, answer)
	case modals.AskCallback:
		b.answered(ctx, call, who, answer)
	case modals.SnoozeCallback:
		b.snooze(ctx, call, who, answer)
	case modals.ItWasMeCallback:
		b.itWasMe(ctx, call, who, id, answer)
	case modals.AdoptByHandCallback:
		b.adoptByHand(ctx, call, who, answer)
	default:
		answer(nil)
	}
}

// goOn leaves step 1.
func (b *Bot) goOn(ctx context.Context, call slack.InteractionCallback, who rotation.Actor, id rotation.ID, answer func(any)) {
	if err := b.check(ctx, who, commands.ActGoOn, id); err != nil {
		answer(replace(refusal(err).View()))
		return
	}
	in, problems := modals.ParsePrecheck(call.View.State)
	if len(problems) == 0 {
		fields, err := b.cfg.Engine.GoOn(ctx, who, id, in)
		if err != nil {
			answer(replace(refusal(err).View()))
			return
		}
		problems = modals.PrecheckProblems(call.View.State, fields)
	}
	if len(problems) > 0 {
		answer(slack.NewErrorsViewSubmissionResponse(problems))
		return
	}
	b.follow(ctx, call.View.ID, who.ID, id, answer)
}

// paste takes the new pair in (R34, R82). It is the one submission that is
// answered after the work: an answer closes the inputs, and what was typed must
// be on disk before that. The permission is from memory, so nothing waits for
// Slack.
func (b *Bot) paste(ctx context.Context, call slack.InteractionCallback, who rotation.Actor, id rotation.ID, answer func(any)) {
	keyID, secretKey, blocks := modals.ParseGenerate(call.View.State)
	refused := func(why error) {
		text := fault.UserText(why) + " " + fault.FixText(why)
		b.notTaken(call.View.ID, blocks, map[string]string{rotation.FieldSecret: text}, why, answer)
	}
	if err := b.check(ctx, who, commands.ActPaste, id); err != nil {
		refused(err)
		return
	}
	type result struct {
		got rotation.Paste
		err error
	}
	done := make(chan result, 1)
	go func() { // goes on after the answer: a commit cannot be called back, and the same pair again is found as sealed
		got, err := b.cfg.Engine.Paste(context.WithoutCancel(ctx), who, id, keyID, secretKey)
		done <- result{got, err}
	}()
	timer := time.NewTimer(pasteLimit)
	defer timer.Stop()
	select {
	case r := <-done:
		switch {
		case r.err != nil:
			refused(r.err)
		case len(r.got.Problems) > 0:
			b.notTaken(call.View.ID, blocks, r.got.Problems, nil, answer)
		default:
			b.sealed(ctx, call.View.ID, who.ID, id, answer)
		}
	case <-timer.C:
		answer(slack.NewErrorsViewSubmissionResponse(blocks.Problems(map[string]string{rotation.FieldSecret: notSaved})))
	}
}

// notTaken answers a submission of a pair with what is wrong under its inputs, so
// that what was typed stays. If the view was drawn anew while the submission came
// in, the inputs are gone, and Slack would tell of trouble with the connection:
// there the view says it. why is nil if it is the pair that is wrong.
func (b *Bot) notTaken(view string, blocks modals.GenerateBlocks, problems map[string]string, why error, answer func(any)) {
	gone := fault.KindOf(why) == fault.Denied // a view is forgotten when its person has lost the role
	release, _ := b.views.hold(view)
	defer release()
	if s := b.views.get(view); s != nil { // after the wait: what it shows was written down in the turn before
		gone = s.replaced()
	}
	if !gone {
		answer(slack.NewErrorsViewSubmissionResponse(blocks.Problems(problems)))
		return
	}
	shown := modals.NotTaken()
	if why != nil {
		shown = refusal(why)
	}
	answer(replace(shown.View()))
}

// sealed answers with the small fixed view, which takes what was typed off the
// screen; the running steps follow by themselves.
func (b *Bot) sealed(ctx context.Context, view, user string, id rotation.ID, answer func(any)) {
	release, _ := b.views.hold(view) // a drawing that still asks for the pair comes before the answer
	defer release()
	o, err := b.cfg.Engine.Look(ctx, id)
	if err != nil {
		answer(nil) // sealed all the same; the channel message shows how it goes on
		return
	}
	answer(replace(modals.Sealed(o)))
	b.views.show(ctx, id, view, user)
}

// follow answers with the view of the present step and keeps it up to date.
func (b *Bot) follow(ctx context.Context, view, user string, id rotation.ID, answer func(any)) {
	release, clean := b.views.hold(view) // a drawing of the step that is over comes before the answer
	defer release()
	o, err := b.cfg.Engine.Look(ctx, id)
	if err != nil {
		answer(replace(refusal(err).View()))
		return
	}
	next := modals.StepFor(forViewer(o, user), user)
	if clean && fits(replace(next)) && modals.Check(next) == nil {
		answer(replace(next))
		b.views.shown(ctx, id, view, user, o, next)
		b.visited(ctx, user, o, "")
		return
	}
	answer(replace(modals.Loading(o.Rotation.KeySet)))
	b.views.show(ctx, id, view, user)
}

// check passes the gate for an act on a rotation.
func (b *Bot) check(ctx context.Context, who rotation.Actor, act commands.Act, id rotation.ID) error {
	about := commands.Subject{Rotation: id}
	if o, err := b.cfg.Engine.Look(ctx, id); err == nil {
		about = aboutOf(o)
	}
	return b.gate.Check(ctx, who, act, about)
}

// aboutOf is what the gate is asked about a rotation.
func aboutOf(o rotation.Overview) commands.Subject {
	return commands.Subject{
		Rotation: o.Rotation.ID, KeySet: o.Rotation.KeySet, Exposed: o.Rotation.Outcome == rotation.Open && o.Rotation.Exposure().Running,
	}
}

// refusal turns an error into words for the person.
func refusal(err error) modals.Refusal {
	if fault.ReasonOf(err) == "not_ops" {
		why := modals.NotOps()
		why.Text = modals.Refused(fault.UserText(err), "").Text // some acts are for others too
		return why
	}
	return modals.Refused(fault.UserText(err), fault.FixText(err))
}

func replace(v slack.ModalViewRequest) *slack.ViewSubmissionResponse {
	return slack.NewUpdateViewSubmissionResponse(&v)
}
