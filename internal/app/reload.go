package app

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/raxx-app/keyturn/internal/config"
	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/state"
)

// serve runs the bot until ctx ends, and anew with every settings that come in
// and can be gone on with. The state stays open and locked meanwhile; what is
// open is resumed as after a restart, which the engine is made for.
func serve(ctx context.Context, o Options, store *state.Store) error {
	p, err := build(ctx, o, store)
	if err != nil {
		return err
	}
	for {
		o.Log.InfoContext(ctx, "bot starts", slog.Int("keysets", len(o.Config.KeySets)), slog.String("state", o.Config.State.Path))
		next, err := p.runUntilReload(ctx, o)
		p.wires.close()
		if next == nil || err != nil {
			return err
		}
		was := o
		o.Config = *next
		if p, err = build(ctx, o, store); err == nil {
			continue
		}
		refused(ctx, o.Log, err)
		o = was
		if p, err = build(ctx, o, store); err != nil {
			return fmt.Errorf("go on with the settings of before: %w", err)
		}
	}
}

// runUntilReload runs the parts until ctx ends, or until settings came in that
// can take the place of the present ones; it returns those.
func (p *parts) runUntilReload(ctx context.Context, o Options) (*config.Config, error) {
	inner, stop := context.WithCancel(ctx)
	defer stop()
	var next atomic.Pointer[config.Config]
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for {
			select {
			case <-inner.Done():
				return
			case cfg := <-o.Reload:
				if err := p.suits(inner, o, cfg); err != nil {
					refused(inner, o.Log, err)
					continue
				}
				o.Log.InfoContext(inner, "settings are loaded; the parts start anew")
				next.Store(&cfg)
				stop()
				return
			}
		}
	}()
	err := p.run(inner)
	stop()
	<-watched
	if ctx.Err() != nil {
		return nil, err
	}
	return next.Load(), err
}

// suits reports why settings cannot take the place of the present ones.
func (p *parts) suits(ctx context.Context, o Options, next config.Config) error {
	if next.State != o.Config.State {
		return &fault.Error{
			Kind: fault.Invalid, Reason: "state_moved", Op: "app.Reload",
			User: "The new settings have another state file or socket.", Fix: "Put state back as it was, or stop the bot and start it again.",
		}
	}
	wires := newWires(nil) // nothing is called
	defer wires.close()
	c, err := newClients(next, wires, o.Now)
	if err != nil {
		return err
	}
	sets, err := c.keySets(p.outbox)
	if err != nil {
		return err
	}
	return p.engine.Suits(ctx, sets)
}

// refused says that the present settings stay.
func refused(ctx context.Context, log *slog.Logger, err error) {
	log.ErrorContext(ctx, "settings refused; the present ones stay", slog.Any("error", err), slog.String("reason", fault.ReasonOf(err)),
		slog.String("what", fault.UserText(err)), slog.String("fix", fault.FixText(err)))
}
