package slackbot

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"

	"github.com/raxx-app/keyturn/internal/fault"
)

const (
	socketReadMax = 2 << 20          // bytes of one frame
	fatalAgain    = 5 * time.Minute  // after an error that only a person can mend
	workersMax    = 64               // envelopes handled at the same time
	pingEvery     = 30 * time.Second // Slack's own; a socket without pings is dead
	ackMax        = 20_000           // bytes; Slack loses an answer of 20,480 or more
)

// serve keeps one socket connected until ctx ends. It connects once it is known
// who belongs to ops, or after a moment: before that nobody could be let in.
func (b *Bot) serve(ctx context.Context) error {
	known, cancel := context.WithTimeout(ctx, rosterFirst)
	select {
	case <-b.roster.ready:
	case <-known.Done():
	}
	cancel()
	for ctx.Err() == nil {
		client := socketmode.New(b.api, socketmode.OptionReadLimit(socketReadMax), socketmode.OptionPingInterval(pingEvery), socketmode.OptionLog(silent()))
		var wg sync.WaitGroup
		inner, cancel := context.WithCancel(ctx)
		wg.Go(func() { b.drain(inner, client) })
		err := client.RunContext(ctx)
		b.up.Store(false)
		cancel()
		wg.Wait()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		b.cfg.Log.ErrorContext(ctx, "slack refuses the bot", slog.Any("error", slackFault("slackbot.serve", err)), slog.Duration("again_in", fatalAgain))
		t := time.NewTimer(fatalAgain)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
	}
	return ctx.Err()
}

// drain takes every event off the socket at once: the library stops answering
// pings when nobody does. Each envelope is handled in a goroutine of its own;
// when too many are under way the rest is dropped unanswered, and Slack tells
// the person to try again.
func (b *Bot) drain(ctx context.Context, client *socketmode.Client) {
	workers := make(chan struct{}, workersMax)
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case evt := <-client.Events:
			b.lifecycle(ctx, evt)
			if evt.Request == nil || evt.Request.EnvelopeID == "" {
				continue // nothing to answer: a hello comes as a request too
			}
			select {
			case workers <- struct{}{}:
			default:
				b.cfg.Log.WarnContext(ctx, "envelope dropped, too many at once")
				continue
			}
			wg.Go(func() {
				defer func() { <-workers }()
				b.envelope(ctx, client, evt)
			})
		}
	}
}

// lifecycle notes what happens to the socket itself. An event's data is never
// logged: it can be a raw frame with a typed secret in it.
func (b *Bot) lifecycle(ctx context.Context, evt socketmode.Event) {
	trouble := []socketmode.EventType{socketmode.EventTypeConnectionError, socketmode.EventTypeErrorBadMessage, socketmode.EventTypeErrorWriteFailed, socketmode.EventTypeIncomingError}
	if slices.Contains(trouble, evt.Type) {
		b.cfg.Log.WarnContext(ctx, "slack socket trouble", slog.String("event", string(evt.Type)))
	}
	if evt.Type == socketmode.EventTypeDisconnect || evt.Type == socketmode.EventTypeConnecting {
		b.up.Store(false)
	}
	if evt.Type != socketmode.EventTypeHello {
		return
	}
	b.up.Store(true)
	b.cfg.Log.InfoContext(ctx, "slack socket up")
	if b.cfg.Ready != nil {
		b.cfg.Ready()
	}
}

// envelope handles one envelope once and answers it each time it comes.
func (b *Bot) envelope(ctx context.Context, client *socketmode.Client, evt socketmode.Event) {
	id := evt.Request.EnvelopeID
	ack := func(payload any) {
		ackCtx, cancel := context.WithTimeout(ctx, ackLimit)
		defer cancel()
		if err := client.AckCtx(ackCtx, id, payload); err != nil {
			b.cfg.Log.WarnContext(ctx, "acknowledgement not sent", slog.String("envelope", id))
		}
	}
	a, first := b.seen.first(id)
	if !first {
		select {
		case <-a.done:
			ack(a.payload)
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
		}
	}()
	b.dispatch(ctx, evt, answer)
}

// dispatch hands an envelope to the surface it belongs to.
func (b *Bot) dispatch(ctx context.Context, evt socketmode.Event, answer func(any)) {
	switch data := evt.Data.(type) {
	case slack.SlashCommand:
		b.command(ctx, data, answer)
	case slack.InteractionCallback:
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
