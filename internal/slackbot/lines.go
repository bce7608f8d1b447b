package slackbot

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"

	"github.com/raxx-app/keyturn/internal/fault"
)

// socketReadMax is how large one frame may be, in bytes.
const socketReadMax = 2 << 20

// lineCount is how many sockets the bot keeps. The library closes a socket as
// soon as Slack says that it wants to, and what people press is lost while
// there is none; so a second one takes over meanwhile.
const lineCount = 2

// A lines keeps the sockets connected.
type lines struct {
	b    *Bot
	pace *pacer

	mu    sync.Mutex
	up    [lineCount]bool
	moved chan struct{} // closed and replaced when up changes
}

func newLines(b *Bot) *lines {
	return &lines{b: b, pace: newPacer(b.times.Open, b.times.OpenMax), moved: make(chan struct{})}
}

// any reports whether a socket is up.
func (l *lines) any() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Contains(l.up[:], true)
}

func (l *lines) set(n int, up bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.up[n] != up {
		l.up[n] = up
		close(l.moved)
		l.moved = make(chan struct{})
	}
}

// keep keeps socket n connected until ctx ends; work is what its envelopes are
// handled under.
func (l *lines) keep(ctx, work context.Context, n int) {
	if n > 0 && (l.firstUp(ctx) != nil || pause(ctx, l.b.times.Second, nil) != nil) {
		return
	}
	for {
		if l.turn(ctx, n) != nil || l.pace.wait(ctx) != nil {
			return
		}
		settled, err := l.connect(ctx, work, n)
		if ctx.Err() != nil {
			return
		}
		f := slackFault("slackbot.connect", err)
		refused := err != nil && fault.KindOf(f) == fault.Denied
		switch {
		case refused:
			l.b.alarm.ring(ctx, partSockets, f)
			if pause(ctx, l.b.times.Refused, nil) != nil {
				return
			}
		case !settled:
			l.pace.failed(fault.RetryAfter(f))
		}
		reason := "closed"
		if err != nil {
			reason = fault.ReasonOf(f)
		}
		l.b.cfg.Log.WarnContext(ctx, "slack socket ended", slog.Int("socket", n+1), slog.Bool("settled", settled), slog.String("reason", reason))
	}
}

// turn waits until socket n may be opened. The first may at once: while both
// are down it goes before the second, which waits for it, but not for ever.
// None is opened while Slack refuses the bot's own token: nothing that people
// ask for could be done.
func (l *lines) turn(ctx context.Context, n int) error {
	if n > 0 {
		limit := l.b.times.Alone
		if refused, _ := l.b.alarm.rings(partSockets); refused {
			limit = l.b.times.Refused // the first one tries that out
		}
		waiting, cancel := context.WithTimeout(ctx, limit)
		_ = l.firstUp(waiting) // or the time is up
		cancel()
	}
	return l.b.alarm.silence(ctx, partPeople)
}

// firstUp waits until the first socket is up.
func (l *lines) firstUp(ctx context.Context) error {
	for {
		l.mu.Lock()
		up, moved := l.up[0], l.moved
		l.mu.Unlock()
		if up {
			return ctx.Err()
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// A connection is one socket from its dialling to its end. Answers go out on
// the socket that their envelope came on, or not at all: whether Slack takes
// one on another socket is not documented. An answer that is lost makes Slack
// tell the person to try again, or send the envelope once more; both are
// harmless, see seen.
type connection struct {
	n          int
	client     *socketmode.Client
	over       <-chan struct{} // closed when nothing can be sent any more
	unanswered sync.WaitGroup
}

// connect opens socket n and serves it until it ends, or until ctx does and
// what is under way has been answered. It returns whether the socket was up
// long enough, and what was wrong with it; nil if Slack just wanted it to go.
func (l *lines) connect(ctx, work context.Context, n int) (settled bool, err error) {
	inner, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	c := &connection{n: n, over: inner.Done(), client: socketmode.New(
		l.b.newAPI(&single{next: l.b.transport, over: end}),
		socketmode.OptionReadLimit(socketReadMax), socketmode.OptionPingInterval(l.b.times.Ping), socketmode.OptionLog(silent()),
	)}
	var ran error
	ended := make(chan struct{})
	go func() { defer close(ended); ran = c.client.RunContext(inner) }()
	defer l.set(n, false)
	life := newLife(l.b.times)
	defer life.stop()
	for {
		select {
		case evt := <-c.client.Events:
			if data, ok := evt.Data.(*slack.ConnectionErrorEvent); ok {
				err = cmp.Or(err, notOurs(data.ErrorObj)) // the library would try again by itself
				end()
			}
			if evt.Type == socketmode.EventTypeHello {
				life.begin(l.b.times)
			}
			l.event(ctx, work, c, evt)
		case <-life.hello.C:
			err = errNoHello
			end()
		case <-life.settled.C:
			settled = true
		case <-life.stable.C:
			l.pace.stable()
		case <-ended:
			l.rest(ctx, work, c)
			return settled, cmp.Or(err, notOurs(ran))
		case <-ctx.Done():
			l.finish(c, ended)
			end()
			<-ended
			return settled, ctx.Err()
		}
	}
}

// A life is how far a socket has come.
type life struct{ hello, settled, stable *time.Timer }

func newLife(t Times) life {
	// The last two are set anew by begin; a socket never gets there without.
	return life{time.NewTimer(t.Hello), time.NewTimer(t.Hello + t.Settled), time.NewTimer(t.Hello + t.Stable)}
}

// begin says that the socket is up.
func (l life) begin(t Times) {
	l.hello.Stop()
	l.settled.Reset(t.Settled)
	l.stable.Reset(t.Stable)
}

func (l life) stop() {
	l.hello.Stop()
	l.settled.Stop()
	l.stable.Stop()
}

// errNoHello means that Slack took the socket and said nothing.
var errNoHello = errors.New("no hello on the socket")

// notOurs returns nil for an error that is our own doing.
func notOurs(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, errOver) {
		return nil
	}
	return err
}

// event takes one event off the socket. It never waits: the library stops
// answering pings when nobody takes its events. An event's data is never
// logged: it can be a raw frame with a typed secret in it.
func (l *lines) event(ctx, work context.Context, c *connection, evt socketmode.Event) {
	if evt.Type == socketmode.EventTypeHello { // it comes as a request too
		l.set(c.n, true)
		l.b.alarm.end(ctx, partSockets)
		l.b.cfg.Log.InfoContext(ctx, "slack socket up", slog.Int("socket", c.n+1))
		if l.b.cfg.Ready != nil {
			l.b.cfg.Ready()
		}
		return
	}
	if evt.Type == socketmode.EventTypeConnecting {
		l.set(c.n, false) // before the first hello it was not up
	}
	if slices.Contains([]socketmode.EventType{socketmode.EventTypeErrorBadMessage, socketmode.EventTypeErrorWriteFailed, socketmode.EventTypeIncomingError}, evt.Type) {
		l.b.cfg.Log.WarnContext(ctx, "slack socket trouble", slog.Int("socket", c.n+1), slog.String("event", string(evt.Type)))
	}
	if evt.Request != nil && evt.Request.EnvelopeID != "" {
		l.b.take(work, c, evt)
	}
}

// rest takes what came before the socket ended. It can no longer be answered,
// but what a person pressed or pasted is done all the same.
func (l *lines) rest(ctx, work context.Context, c *connection) {
	for {
		select {
		case evt := <-c.client.Events:
			if evt.Type != socketmode.EventTypeHello {
				l.event(ctx, work, c, evt)
			}
		default:
			return
		}
	}
}

// finish waits until what came has been answered, 2 s at most. Nothing new is
// taken in: Slack gives it to the next bot, or tells the person to try again.
func (l *lines) finish(c *connection, ended <-chan struct{}) {
	answered := make(chan struct{})
	go func() { defer close(answered); c.unanswered.Wait() }()
	limit := time.NewTimer(l.b.times.Answers)
	defer limit.Stop()
	for {
		select {
		case <-c.client.Events:
		case <-answered: // the library has yet to write the last one
			limit.Reset(l.b.times.Flush)
			answered = nil
		case <-limit.C:
			return
		case <-ended:
			return
		}
	}
}
