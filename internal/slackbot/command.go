package slackbot

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/commands"
	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/modals"
	"github.com/raxx-app/keyturn/internal/rotation"
)

const (
	pastMost  = 12 // rotations that "history" shows of one key set
	pastFew   = 3  // the same where there are several
	checksMax = 5  // key sets that one "check" tries
)

// An Asker answers what people ask beside a rotation, and opens a forced one;
// [rotation.Engine] is one.
type Asker interface {
	// Check is the whole of step 1 without a rotation.
	Check(ctx context.Context, keyset string) (rotation.Report, error)
	// History returns rotations of a key set, newest first.
	History(ctx context.Context, keyset string, limit int) ([]rotation.Past, error)
	// RollCall is that of the last completed rotation.
	RollCall(ctx context.Context, keyset string) (rotation.RollCall, error)
	// Reset opens a forced rotation, or makes the open one forced; whether it
	// is new is the second result.
	Reset(ctx context.Context, by rotation.Actor, keyset, why string) (rotation.ID, bool, error)
}

var _ Asker = (*rotation.Engine)(nil)

// asksFor is what the gate is asked about a verb.
func asksFor(v commands.Verb) commands.Act {
	switch v {
	case commands.VerbStart:
		return commands.ActStart
	case commands.VerbReset:
		return commands.ActReset
	case commands.VerbHistory:
		return commands.ActHistory
	case commands.VerbCheck:
		return commands.ActCheck
	case commands.VerbStatus, commands.VerbHelp:
	}
	return commands.ActStatus
}

// command answers the slash command. A modal opens first and fills in
// afterwards (R81, R86).
func (b *Bot) command(ctx context.Context, cmd slack.SlashCommand, answer func(any)) {
	who := rotation.Actor{ID: cmd.UserID}
	typed := commands.Parse(cmd.Text)
	if err := b.gate.Check(ctx, who, asksFor(typed.Verb), commands.Subject{KeySet: typed.KeySet}); err != nil {
		answer(ephemeral(refusal(err).Message()))
		return
	}
	if cmd.ChannelID != b.cfg.Channel {
		answer(ephemeral(modals.WrongChannel(b.cfg.Channel).Message()))
		return
	}
	names := b.cfg.Engine.KeySets()
	if typed.KeySet != "" && !slices.Contains(names, typed.KeySet) {
		answer(ephemeral(modals.UnknownKeySet(typed.KeySet, names).Message()))
		return
	}
	switch typed.Verb {
	case commands.VerbHelp:
		answer(ephemeral(modals.Help()))
	case commands.VerbStatus:
		b.reply(ctx, who, modals.Status(b.cards(ctx, 0), b.mayOpen(who)), answer)
	case commands.VerbHistory:
		b.reply(ctx, who, modals.History(b.past(ctx, typed.KeySet)), answer)
	case commands.VerbCheck:
		b.checks(ctx, who, typed.KeySet, answer)
	case commands.VerbReset:
		b.askReset(ctx, typed.KeySet, cmd.TriggerID, answer)
	case commands.VerbStart:
		b.begin(ctx, who, typed.KeySet, cmd.TriggerID, answer)
	}
}

// begin opens a rotation's modal, or asks which key set is meant.
func (b *Bot) begin(ctx context.Context, who rotation.Actor, keyset, trigger string, answer func(any)) {
	answer(nil)
	if keyset = b.only(keyset); keyset == "" {
		_, err := b.openView(ctx, trigger, modals.PickKeySet(b.cfg.Engine.KeySets()))
		b.warn(ctx, "views.open", err)
		return
	}
	opened, err := b.openView(ctx, trigger, modals.Loading(keyset))
	b.warn(ctx, "views.open", err) // the rotation starts all the same: its channel message has Open
	id, _, startErr := b.cfg.Engine.Start(ctx, who, keyset)
	if startErr != nil {
		b.complain(ctx, who.ID, opened, startErr)
		return
	}
	if err == nil {
		b.views.show(ctx, id, opened, who.ID)
	}
}

// only returns the key set that is meant: the one that was named, or the only
// one there is; "" if that is not certain.
func (b *Bot) only(keyset string) string {
	if names := b.cfg.Engine.KeySets(); keyset == "" && len(names) == 1 {
		return names[0]
	}
	return keyset
}

// picked starts a rotation of the key set that was chosen.
func (b *Bot) picked(ctx context.Context, call slack.InteractionCallback, who rotation.Actor, answer func(any)) {
	keyset, problems := modals.ParsePickKeySet(call.View.State, b.cfg.Engine.KeySets())
	if len(problems) > 0 {
		answer(slack.NewErrorsViewSubmissionResponse(problems))
		return
	}
	if err := b.gate.Check(ctx, who, commands.ActStart, commands.Subject{KeySet: keyset}); err != nil {
		answer(replace(refusal(err).View()))
		return
	}
	loading := modals.Loading(keyset)
	answer(replace(loading))
	id, _, err := b.cfg.Engine.Start(ctx, who, keyset)
	if err != nil {
		b.complain(ctx, who.ID, call.View.ID, err)
		return
	}
	b.views.show(ctx, id, call.View.ID, who.ID)
}

// askReset opens the view that asks what was seen.
func (b *Bot) askReset(ctx context.Context, keyset, trigger string, answer func(any)) {
	answer(nil)
	_, err := b.openView(ctx, trigger, modals.Reset(b.only(keyset), b.cfg.Engine.KeySets()))
	b.warn(ctx, "views.open", err)
}

// reset opens a forced rotation. What was typed stays in the view if that
// cannot be done.
func (b *Bot) reset(ctx context.Context, call slack.InteractionCallback, who rotation.Actor, answer func(any)) {
	in, problems := modals.ParseReset(call.View.PrivateMetadata, call.View.State, b.cfg.Engine.KeySets())
	if err := b.gate.Check(ctx, who, commands.ActReset, commands.Subject{KeySet: in.KeySet}); err != nil {
		answer(replace(refusal(err).View()))
		return
	}
	if len(problems) > 0 {
		answer(slack.NewErrorsViewSubmissionResponse(problems))
		return
	}
	type result struct {
		id  rotation.ID
		err error
	}
	done := make(chan result, 1)
	b.handlers.Go(func() { // goes on after the answer
		id, _, err := b.cfg.Asker.Reset(ctx, who, in.KeySet, in.Why)
		done <- result{id, err}
	})
	timer := time.NewTimer(ackLimit)
	defer timer.Stop()
	var r result
	select {
	case r = <-done:
		if r.err != nil {
			answer(slack.NewErrorsViewSubmissionResponse(modals.ResetProblem(fault.UserText(r.err) + " " + fault.FixText(r.err))))
			return
		}
		answer(replace(modals.Loading(in.KeySet)))
	case <-timer.C:
		answer(replace(modals.Loading(in.KeySet)))
		if r = <-done; r.err != nil {
			b.complain(ctx, who.ID, call.View.ID, r.err)
			return
		}
	}
	b.views.show(ctx, r.id, call.View.ID, who.ID)
}

// checks says at once that it checks, and then, seen by the one person alone,
// what was found. Several people who ask share one look.
func (b *Bot) checks(ctx context.Context, who rotation.Actor, keyset string, answer func(any)) {
	names := b.cfg.Engine.KeySets()
	if keyset != "" {
		names = []string{keyset}
	}
	if len(names) > checksMax {
		answer(ephemeral(modals.Refused(fmt.Sprintf("There are %d key sets: that is too many for one check.", len(names)), "Name one: "+commands.Name+" check NAME").Message()))
		return
	}
	answer(ephemeral(modals.Checking(names)))
	for _, name := range names {
		b.whisperMessage(ctx, who.ID, b.tried(ctx, name))
	}
}

// checkLimit is how long the whole of step 1 may take.
const checkLimit = 90 * time.Second

// tried does the whole of step 1 for one key set, and says what was found.
func (b *Bot) tried(ctx context.Context, keyset string) modals.Message {
	found, err, _ := b.checking.Do(keyset, func() (any, error) {
		ctx, cancel := context.WithTimeout(ctx, checkLimit)
		defer cancel()
		r, err := b.cfg.Asker.Check(ctx, keyset)
		if err == nil {
			b.Checked(ctx, r)
		}
		return r, err
	})
	r, ok := found.(rotation.Report)
	if err != nil || !ok {
		b.warn(ctx, "check", err)
		return refusal(err).Message()
	}
	past, err := b.cfg.Engine.Remembered(ctx, keyset)
	b.warn(ctx, "remembered", err) // then it does not say when a write last succeeded
	return modals.Report(r, past)
}

// ephemeral is an answer to a command that only the person sees.
func ephemeral(m modals.Message) any {
	return map[string]any{"response_type": "ephemeral", "text": m.Text, "blocks": slack.Blocks{BlockSet: m.Blocks}}
}

// reply answers a command so that only the person sees it: as the answer, or
// where that is too large for one, as a message.
func (b *Bot) reply(ctx context.Context, who rotation.Actor, m modals.Message, answer func(any)) {
	if err := modals.CheckMessage(m); err != nil {
		m = refusal(b.overLimit(ctx, err)).Message()
	}
	if fits(ephemeral(m)) {
		answer(ephemeral(m))
		return
	}
	answer(nil)
	b.whisperMessage(ctx, who.ID, m)
}

// whisperTries is how often a message that one person waits for is sent.
const whisperTries = 3

// whisperMessage posts in the ops channel, seen by one person alone, who waits
// for it.
func (b *Bot) whisperMessage(ctx context.Context, user string, m modals.Message) {
	if err := modals.CheckMessage(m); err != nil {
		m = refusal(b.overLimit(ctx, err)).Message()
	}
	for try := range whisperTries {
		err := b.whisperOnce(ctx, user, m)
		b.warn(ctx, "chat.postEphemeral", err)
		if err == nil || fault.KindOf(err) != fault.Transient || try == whisperTries-1 || pause(ctx, max(b.times.Again, fault.RetryAfter(err)), nil) != nil {
			return
		}
	}
}

func (b *Bot) whisperOnce(ctx context.Context, user string, m modals.Message) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	_, err := b.api.PostEphemeralContext(ctx, b.cfg.Channel, user, slack.MsgOptionText(m.Text, false), slack.MsgOptionBlocks(m.Blocks...))
	return slackFault("slackbot.whisper", err)
}
