package jobs

import (
	"context"
	"sync"
	"time"
)

// Alpaca takes 200 calls a minute and account, and the trading runtime shares
// them; whether that is counted by key or by account its pages do not agree. All
// probes together stay below it.
const (
	paceStep  = time.Minute / 150
	paceBurst = 20              // calls that need not wait after a quiet time
	paceMost  = 2 * time.Minute // longest wait: a clock that was put back holds up nobody
)

// A pace lets calls to the vendor through one after the other.
type pace struct {
	now func() time.Time

	mu   sync.Mutex
	next time.Time // when the next call may be made
}

// wait takes the place of n calls and waits for it. It reports whether ctx let
// it.
func (p *pace) wait(ctx context.Context, n int) bool {
	p.mu.Lock()
	now := p.now()
	at := p.next
	if early := now.Add(-paceBurst * paceStep); at.Before(early) || at.Sub(now) > paceMost {
		at = early
	}
	p.next = at.Add(time.Duration(n) * paceStep)
	p.mu.Unlock()
	if d := at.Sub(now); d > 0 {
		return pause(ctx, d)
	}
	return ctx.Err() == nil
}
