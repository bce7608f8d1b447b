package app

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
)

// calls is a pager that fails at first.
type calls struct {
	fail               atomic.Int32
	triggers, resolves atomic.Int32
}

func (c *calls) Trigger(_ context.Context, key, _ string, details map[string]string) error {
	if key != refusedKey || details["reason"] != "invalid_auth" {
		return &fault.Error{Kind: fault.Invalid, Reason: "wrong_call"}
	}
	if c.fail.Add(-1) >= 0 {
		return &fault.Error{Kind: fault.Transient, Reason: "pager_down"}
	}
	c.triggers.Add(1)
	return nil
}

func (c *calls) Resolve(context.Context, string) error { c.resolves.Add(1); return nil }

// TestRefusalWakesSomebody: Slack refuses the bot; the pager is told, also if it is
// down at first, and the alert is resolved once a socket is up.
func TestRefusalWakesSomebody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		p := &calls{}
		p.fail.Store(2)
		var up atomic.Bool
		told := 0
		r := &refusal{pager: p, connected: up.Load, also: func(error) { told++ }, log: slog.New(slog.DiscardHandler), came: make(chan error, 1), every: time.Minute}
		ended := make(chan error, 1)
		go func() { ended <- r.run(ctx) }()
		r.ring(&fault.Error{Kind: fault.Denied, Reason: "invalid_auth", User: "Slack refuses the token.", Fix: "Mend it."})
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if got := [2]int32{p.triggers.Load(), p.resolves.Load()}; got != [2]int32{1, 0} || told != 1 {
			t.Errorf("after ten minutes: %d triggers and %d resolves, told %d times; want one trigger, and told once", got[0], got[1], told)
		}
		up.Store(true)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if p.resolves.Load() != 1 {
			t.Errorf("%d resolves after a socket was up, want one", p.resolves.Load())
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run = %v, want nil", err)
		}
	})
}
