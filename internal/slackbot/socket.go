package slackbot

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/slackevents"
	"github.com/slack-go/slack/socketmode"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/modals"
	"github.com/raxx-app/keyturn/internal/rotation"
)

const (
	workersMax = 64     // envelopes handled at the same time, over all sockets
	ackMax     = 20_000 // bytes; Slack loses an answer of 20,480 or more
)

// serve keeps the sockets connected until ctx ends. It connects once it is
// known who belongs to ops, or after a moment: before that nobody could be let
// in.
//
// When ctx ends nothing new is taken in, and what is under way has 2 s to be
// answered. What is unfinished then is resumed from the state: every act is
// either committed or not begun.
func (b *Bot) serve(ctx context.Context) error {
	known, cancel := context.WithTimeout(ctx, b.times.First)
	select {
	case <-b.roster.ready:
	case <-known.Done():
	}
	cancel()
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer b.handlers.Wait()
	defer stop()
	defer b.lines.pace.stop()
	var sockets sync.WaitGroup
	for n := range lineCount {
		sockets.Go(func() { b.lines.keep(ctx, work, n) })
	}
	sockets.Wait()
	return ctx.Err()
}

// take has an envelope handled in a goroutine of its own, which goes on when
// the socket ends. When too many are under way it is dropped unanswered, and
// Slack tells the person to try again.
func (b *Bot) take(ctx context.Context, c *connection, evt socketmode.Event) {
	select {
	case b.workers <- struct{}{}:
	default:
		b.cfg.Log.WarnContext(ctx, "envelope dropped, too many at once")
		return
	}
	c.unanswered.Add(1)
	came := b.cfg.Now()
	b.handlers.Go(func() {
		defer func() { <-b.workers }()
		answered := sync.OnceFunc(c.unanswered.Done)
		defer answered()
		b.envelope(ctx, evt, func(payload any) {
			b.ack(ctx, c, evt.Request.EnvelopeID, payload)
			answered()
			if b.cfg.Acked != nil {
				b.cfg.Acked(b.cfg.Now().Sub(came))
			}
		})
	})
}

// ack answers an envelope on the socket that it came on.
func (b *Bot) ack(ctx context.Context, c *connection, id string, payload any) {
	if payload != nil && !fits(payload) { // an empty answer is better than one that Slack loses
		b.cfg.Log.ErrorContext(ctx, "answer too large for Slack", slog.String("envelope", id))
		payload = nil
	}
	ctx, cancel := context.WithTimeout(ctx, ackLimit)
	defer cancel()
	select {
	case <-c.over:
		b.cfg.Log.WarnContext(ctx, "acknowledgement not sent, the socket is gone", slog.String("envelope", id))
		return
	default:
	}
	if err := c.client.AckCtx(ctx, id, payload); err != nil {
		b.cfg.Log.WarnContext(ctx, "acknowledgement not sent", slog.String("envelope", id))
	}
}

// envelope handles one envelope once and answers it each time it comes.
func (b *Bot) envelope(ctx context.Context, evt socketmode.Event, ack func(payload any)) {
	keys := keysOf(evt)
	a, first := b.seen.first(keys)
	if !first {
		select {
		case <-a.done:
			ack(a.again(evt))
		case <-ctx.Done():
		}
		return
	}
	var once sync.Once
	answer := func(payload any) {
		once.Do(func() {
			a.payload = payload
			close(a.done)
			ack(payload)
		})
	}
	defer answer(nil) // whatever happened, Slack gets an answer
	defer func() {
		if p := recover(); p != nil { // what panicked may hold a typed value: it is not logged
			b.cfg.Log.ErrorContext(ctx, "handler panicked", slog.String("envelope_type", string(evt.Type)))
			answer(broke(evt))
		}
	}()
	b.dispatch(ctx, evt, answer)
	answer(nil)
	if ctx.Err() == nil && !takesKeys(evt) {
		b.seen.keep(ctx, a, keys)
	}
}

// broke answers a submission whose handler panicked. An empty answer would close
// the view as if all were well, and take a pair with it that may not be saved.
func broke(evt socketmode.Event) any {
	call, ok := evt.Data.(slack.InteractionCallback)
	if !ok || call.Type != slack.InteractionTypeViewSubmission {
		return nil
	}
	if takesKeys(evt) {
		_, _, blocks := modals.ParseGenerate(call.View.State)
		if blocks.Secret == "" {
			return nil
		}
		return slack.NewErrorsViewSubmissionResponse(blocks.Problems(map[string]string{
			rotation.FieldSecret: "Something went wrong in the bot, and the pair may not be saved. What you typed is still here: press Seal again, and keep the dashboard tab open.",
		}))
	}
	return replace(modals.Refused("Something went wrong in the bot: what you asked for may not be done.",
		"Press Open in the ops channel, or type /rotate-alpaca-paper status, to see where it stands; then try again. The bot's log has a line of level ERROR.").View())
}

// keysOf returns what two deliveries of one thing share: the envelope, and
// what it is about. A trigger belongs to one press or submission. The view and
// its hash would not do: after an answer with errors the same view is
// submitted again, and that is another submission.
func keysOf(evt socketmode.Event) []string {
	keys := []string{evt.Request.EnvelopeID}
	about := ""
	switch data := evt.Data.(type) {
	case slack.SlashCommand:
		about = data.TriggerID
	case slack.InteractionCallback:
		about = data.TriggerID
	case slackevents.EventsAPIEvent:
		if cb, ok := data.Data.(*slackevents.EventsAPICallbackEvent); ok {
			about = cb.EventID
		}
	}
	if about != "" {
		keys = append(keys, about)
	}
	return keys
}

// takesKeys reports whether an envelope is a submission of a pair.
func takesKeys(evt socketmode.Event) bool {
	call, ok := evt.Data.(slack.InteractionCallback)
	return ok && call.Type == slack.InteractionTypeViewSubmission && call.View.CallbackID == modals.GenerateCallback
}

// dispatch hands an envelope to the surface it belongs to. What it says of the
// person's team is noted before anybody asks the gate.
func (b *Bot) dispatch(ctx context.Context, evt socketmode.Event, answer func(any)) {
	switch data := evt.Data.(type) {
	case slack.SlashCommand:
		b.roster.came(data.UserID, data.IsEnterpriseInstall, data.TeamID)
		b.command(ctx, data, answer)
	case slackevents.EventsAPIEvent:
		answer(nil)
		b.homeEvent(ctx, data)
	case slack.InteractionCallback:
		if data.View.Type == slack.VTHomeTab {
			data.View = slack.View{} // nothing can be pushed on top of it
		}
		b.roster.came(data.User.ID, data.IsEnterpriseInstall, data.Team.ID, data.User.TeamID)
		if data.Type == slack.InteractionTypeViewSubmission {
			b.submission(ctx, data, answer)
		}
		if data.Type == slack.InteractionTypeBlockActions {
			answer(nil)
			b.actions(ctx, data)
		}
	}
}

// fits reports whether v is small enough to be the payload of an answer.
func fits(v any) bool {
	body, err := json.Marshal(v)
	return err == nil && len(body) < ackMax
}

// warn logs a failed call to Slack that nothing depends on.
func (b *Bot) warn(ctx context.Context, what string, err error) {
	if err != nil {
		b.cfg.Log.WarnContext(ctx, "slack call failed", slog.String("call", what), slog.String("reason", fault.ReasonOf(err)), slog.Any("error", err))
	}
}
