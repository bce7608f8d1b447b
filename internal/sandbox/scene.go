package sandbox

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/raxx-app/keyturn/internal/sim/alpacasim"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

// lookEvery is how often a scene looks at what no simulator announces.
const lookEvery = 10 * time.Millisecond

// A Scene is one rotation as it is played: the world, the bot in it, the
// operator, and the pair that must be in use at the end. It is for one
// goroutine.
type Scene struct {
	*World
	Ada *Operator
	Key alpacasim.Key // zero until one was generated
	Say func(string)

	ctx    context.Context //nolint:containedctx // a scene lives as long as its play
	cancel context.CancelCauseFunc
	anchor string // that #ops shows
	waits  string // with an end that waits: for whom and what

	mu     sync.Mutex
	bot    *Child
	killed *Child // on purpose
}

// stage starts the bot and returns the scene, which ends with ctx, after
// rotationLimit, when the bot ends by itself, or with the returned function. The
// bot goes on until it is stopped.
func (w *World) stage(ctx context.Context, say func(string)) (*Scene, func(), error) {
	bot, err := w.StartBot(ctx)
	if err != nil {
		return nil, nil, err
	}
	inner, cancel := context.WithCancelCause(ctx)
	inner, stop := context.WithTimeoutCause(inner, rotationLimit, fmt.Errorf("not over after %s", rotationLimit))
	s := &Scene{World: w, Say: say, ctx: inner, cancel: cancel, bot: bot}
	s.Ada = &Operator{Slack: w.Slack, Dashboard: w.Alpaca, User: Ada, Name: w.name(Ada), Say: say}
	s.watch(bot)
	return s, func() { stop(); cancel(nil) }, nil
}

// watch ends the scene if bot ends without being told to.
func (s *Scene) watch(bot *Child) {
	go func() {
		select {
		case <-bot.Exited():
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.killed != bot {
				s.cancel(errors.New("the bot ended by itself"))
			}
		case <-s.ctx.Done():
		}
	}()
}

func (s *Scene) running() *Child {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bot
}

// connected waits until the bot has its socket.
func (s *Scene) connected() error {
	ready, enough := context.WithTimeoutCause(s.ctx, readyLimit, fmt.Errorf("the bot has no socket after %s", readyLimit))
	defer enough()
	if err := s.Slack.WaitSockets(ready, 1); err != nil {
		return context.Cause(ready)
	}
	s.Say("the bot is connected to Slack")
	return nil
}

// kill ends the bot at once, wherever it is.
func (s *Scene) kill() error {
	s.mu.Lock()
	s.killed = s.bot
	s.mu.Unlock()
	s.Say("the bot's process is killed (SIGKILL)")
	if err := s.running().Kill(); err != nil {
		return fmt.Errorf("kill the bot: %w", err)
	}
	return nil
}

// restart starts the bot again after a kill.
func (s *Scene) restart() error {
	// It is stopped in order, as the first one is: not by the end of the scene.
	bot, err := s.startBot(context.WithoutCancel(s.ctx), order{Clock: time.Duration(s.ahead.Load())}, nil)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.bot = bot
	s.mu.Unlock()
	s.watch(bot)
	s.Say("the bot is started again")
	return s.connected()
}

// leap moves the clocks of the world and of the bot forward, as if nothing had
// happened for d. Waits that have begun are not shortened by it.
func (s *Scene) leap(d time.Duration) error {
	return s.running().command(order{Clock: time.Duration(s.ahead.Add(int64(d)))})
}

// until waits for something that shows in the world only. what is for the error.
func (s *Scene) until(what string, ok func() bool) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			return fmt.Errorf("wait until %s: %w", what, context.Cause(s.ctx))
		}
	}
	return nil
}

// pass lets d go by.
func (s *Scene) pass(d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
}

// ops waits until the rotation's message in #ops says all of texts, and returns
// what it says.
func (s *Scene) ops(texts ...string) (string, error) {
	last := ""
	_, err := s.Slack.WaitMessage(s.ctx, OpsChannel, func(m slacksim.Message) bool {
		last = plain(m.Visible())
		return hasAll(last, texts)
	})
	if err != nil {
		return "", fmt.Errorf("wait until #ops says %q: %w; it says: %s", texts, context.Cause(s.ctx), flat(last))
	}
	return last, nil
}

// alarmed waits until the rotation's message in #ops says what a person who was
// woken must read: what happened, what to do, what is done already, what the bot
// does by itself, and who is waited for.
func (s *Scene) alarmed(happened string) error {
	texts := []string{"needs a person at step", happened, "What happened: ", "What to do: ", "Already done: ", "The bot: ", "Waiting for " + s.Ada.Name}
	text, err := s.ops(texts...)
	if err != nil {
		return err
	}
	s.Say("#ops shows:")
	for line := range strings.Lines(text) {
		if isResult(line) || strings.Contains(line, texts[0]) {
			s.Say("  " + strings.TrimSpace(line))
		}
	}
	return nil
}

// wait notes for whom and what the rotation waits, as #ops says it, together
// with what happened.
func (s *Scene) wait(happened string) error {
	text, err := s.ops("Waiting for "+s.Ada.Name, happened)
	if err != nil {
		return err
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "Waiting for ") {
			s.waits = strings.TrimSpace(line)
		}
	}
	for line := range strings.Lines(text) {
		if strings.Contains(line, happened) {
			s.waits += " " + strings.TrimSpace(line)
			break
		}
	}
	s.Say("#ops: " + s.waits)
	return nil
}

func hasAll(text string, parts []string) bool {
	for _, p := range parts {
		if !strings.Contains(text, p) {
			return false
		}
	}
	return true
}

// after returns a context for what is read when the play is over.
func (s *Scene) after() context.Context { return context.WithoutCancel(s.ctx) }
