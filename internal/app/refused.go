package app

import (
	"context"
	"log/slog"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/jobs"
)

// refusedKey is the deduplication key of the alert about Slack itself.
const refusedKey = "keyturn-slack-refuses"

// A refusal wakes somebody when Slack refuses the bot until a person mends it
// (section 5 of the design): then no message about a dead key would arrive
// either. It is resolved when a socket is up again.
type refusal struct {
	pager     jobs.Pager // nil: nobody can be woken
	connected func() bool
	also      func(error) // nil: nobody else wants to know
	log       *slog.Logger
	came      chan error
	every     time.Duration // between tries, and between looks whether it is over
}

// ring says that Slack refuses the bot. It never blocks.
func (r *refusal) ring(err error) {
	if r.also != nil {
		r.also(err)
	}
	select {
	case r.came <- err:
	default: // one is on its way
	}
}

// run wakes people until ctx ends.
func (r *refusal) run(ctx context.Context) error {
	for {
		select {
		case err := <-r.came:
			if r.pager == nil {
				continue // the log and readyz have it
			}
			details := map[string]string{"reason": fault.ReasonOf(err), "what": fault.UserText(err), "fix": fault.FixText(err)}
			r.until(ctx, func() error {
				return r.pager.Trigger(ctx, refusedKey, "Keyturn cannot reach anybody: Slack refuses the bot", details)
			})
			r.until(ctx, func() error {
				if !r.connected() {
					return errNotYet
				}
				return r.pager.Resolve(ctx, refusedKey)
			})
		case <-ctx.Done():
			return nil
		}
	}
}

// errNotYet says that Slack still refuses the bot.
var errNotYet = &fault.Error{Kind: fault.Transient, Reason: "not_yet", Op: "app.refusal"}

// until tries again until do has worked, cannot work, or ctx ends.
func (r *refusal) until(ctx context.Context, do func() error) {
	tick := time.NewTicker(max(r.every, time.Millisecond))
	defer tick.Stop()
	for {
		err := do()
		if kind := fault.KindOf(err); err == nil || kind == fault.Denied || kind == fault.Invalid {
			if err != nil {
				r.log.ErrorContext(ctx, "nobody can be woken", slog.Any("error", err), slog.String("reason", fault.ReasonOf(err)))
			}
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
