package slackbot

import (
	"context"
	"log/slog"
	"sync"

	"github.com/raxx-app/keyturn/internal/fault"
)

// The parts that Slack can refuse.
const (
	partSockets = "sockets" // with the app-level token
	partPeople  = "people"  // with the bot token
)

// An alarm knows whether Slack refuses the bot for a reason that only a person
// can mend. It says so once, and once that it is over.
type alarm struct {
	log  *slog.Logger
	tell func(error) // may be nil

	mu    sync.Mutex
	why   map[string]string // part → reason
	moved chan struct{}     // closed and replaced when why changes
}

func newAlarm(log *slog.Logger, tell func(error)) *alarm {
	return &alarm{log: log, tell: tell, why: map[string]string{}, moved: make(chan struct{})}
}

// ring says that Slack refuses a part. Only the first of several is told: they
// have one cause most of the time.
func (a *alarm) ring(ctx context.Context, part string, err error) {
	reason := fault.ReasonOf(err)
	a.mu.Lock()
	first, same := len(a.why) == 0, a.why[part] == reason
	a.why[part] = reason
	if !same {
		a.change()
	}
	a.mu.Unlock()
	if !first {
		return
	}
	a.log.ErrorContext(ctx, "slack refuses the bot", slog.String("part", part), slog.String("reason", reason), slog.String("what", fault.UserText(err)), slog.String("fix", fault.FixText(err)))
	if a.tell != nil {
		a.tell(err)
	}
}

// end says that a part works.
func (a *alarm) end(ctx context.Context, part string) {
	a.mu.Lock()
	_, rang := a.why[part]
	delete(a.why, part)
	over := rang && len(a.why) == 0
	if rang {
		a.change()
	}
	a.mu.Unlock()
	if over {
		a.log.InfoContext(ctx, "slack accepts the bot again")
	}
}

// change wakes who waits; a.mu is held.
func (a *alarm) change() {
	close(a.moved)
	a.moved = make(chan struct{})
}

// rings reports whether Slack refuses a part, and returns a channel that is
// closed at the next change.
func (a *alarm) rings(part string) (bool, <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.why[part] != "", a.moved
}

// silence waits until a part is not refused.
func (a *alarm) silence(ctx context.Context, part string) error {
	for {
		ringing, moved := a.rings(part)
		if !ringing {
			return ctx.Err()
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
