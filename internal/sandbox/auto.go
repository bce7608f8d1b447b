package sandbox

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/raxx-app/keyturn/internal/sim/alpacasim"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

const (
	readyLimit    = 20 * time.Second // from the bot's start to its socket
	rotationLimit = 2 * time.Minute  // a whole scripted rotation; usual are two seconds
)

// anchorText finds the anchor that a rotation's message carries.
var anchorText = regexp.MustCompile(`--anchor (\d+:[0-9a-f]{12,64})`)

// Auto starts the bot, has Ada do one rotation, stops the bot and looks at what
// became of the world. say is told what happens, as it happens.
func (w *World) Auto(ctx context.Context, say func(string)) Report {
	var r Report
	bot, err := w.StartBot(ctx)
	if err != nil {
		r.Err = err
		return r
	}
	key, anchor, err := w.rotate(ctx, bot, say)
	r.Err = err
	if code := bot.Stop(); code != 0 && r.Err == nil {
		r.Err = fmt.Errorf("the bot ended with %d after SIGTERM, want 0", code)
	}
	say("the bot is stopped")
	rows, err := w.auditRows(context.WithoutCancel(ctx)) // also after an interrupt
	if err != nil {
		r.Err = errors.Join(r.Err, err)
		return r
	}
	r.read(rows)
	if r.Err == nil {
		r.Checks = append(w.Checks(key), Check{Name: "the audit record is intact, and agrees with the anchor in #ops", Err: w.auditIntact(ctx, anchor)})
	}
	return r
}

// rotate is everything that people do, from the bot's start to the last button.
// It returns the pair that was generated and the anchor that the channel shows.
func (w *World) rotate(ctx context.Context, bot *Child, say func(string)) (key alpacasim.Key, anchor string, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ctx, stop := context.WithTimeoutCause(ctx, rotationLimit, fmt.Errorf("not over after %s", rotationLimit))
	defer stop()
	go func() {
		select {
		case <-bot.Exited():
			cancel(errors.New("the bot ended by itself"))
		case <-ctx.Done():
		}
	}()
	ready, enough := context.WithTimeoutCause(ctx, readyLimit, fmt.Errorf("the bot has no socket after %s", readyLimit))
	defer enough()
	if err := w.Slack.WaitSockets(ready, 1); err != nil {
		return key, "", context.Cause(ready)
	}
	say("the bot is connected to Slack")
	ada := &Operator{Slack: w.Slack, Dashboard: w.Alpaca, User: Ada, Name: w.name(Ada), Say: say}
	if key, err = ada.Rotate(ctx); err != nil {
		return key, "", err
	}
	for _, user := range []string{Ada, Bob} {
		if err := w.Acknowledge(ctx, user); err != nil {
			return key, "", fmt.Errorf("%s presses %s: %w", w.name(user), updated, err)
		}
		say(w.name(user) + " presses " + updated + " in the direct message")
	}
	anchor, err = w.channel(ctx, say)
	return key, anchor, err
}

// channel waits for the last state of the rotation's message in #ops, tells it,
// and returns the anchor in it.
func (w *World) channel(ctx context.Context, say func(string)) (string, error) {
	m, err := w.Slack.WaitMessage(ctx, OpsChannel, func(m slacksim.Message) bool { return anchorText.MatchString(m.Visible()) })
	if err != nil {
		return "", fmt.Errorf("wait for the summary in #ops: %w", context.Cause(ctx))
	}
	say("#ops shows:")
	for line := range strings.Lines(plain(m.Visible())) {
		say("  " + strings.TrimSpace(line))
	}
	return anchorText.FindStringSubmatch(m.Visible())[1], nil
}

// auditIntact has the bot itself check its record against the anchor.
func (w *World) auditIntact(ctx context.Context, anchor string) error {
	if _, problem, code := w.Bot(ctx, "audit", "verify", "--anchor", anchor); code != 0 {
		return fmt.Errorf("audit verify ended with %d: %s", code, flat(problem))
	}
	return nil
}
