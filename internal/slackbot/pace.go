package slackbot

import (
	"context"
	"sync"
	"time"
)

// A pacer says when a socket may be asked for. There is one for all sockets:
// Slack counts apps.connections.open of the app as a whole, and an app whose
// sockets end at once would ask a thousand times a second otherwise.
type pacer struct {
	least, most time.Duration
	slot        chan struct{} // holds something while the way is free

	mu    sync.Mutex
	step  time.Duration // between two requests now
	timer *time.Timer   // frees the way
	turn  uint64        // of the timer
}

func newPacer(least, most time.Duration) *pacer {
	p := &pacer{least: least, most: most, step: least, slot: make(chan struct{}, 1)}
	p.slot <- struct{}{}
	return p
}

// wait returns when the next request may be made.
func (p *pacer) wait(ctx context.Context) error {
	select {
	case <-p.slot:
	case <-ctx.Done():
		return ctx.Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shut(p.step)
	return nil
}

// failed makes the pace half as fast, and keeps the way shut for atLeast, which
// is what Slack asked for; 0 if it did not.
func (p *pacer) failed(atLeast time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.step = min(2*p.step, p.most)
	select {
	case <-p.slot:
	default:
	}
	p.shut(max(p.step, atLeast))
}

// stable says that a socket has been up for a while: the pace is as at first.
func (p *pacer) stable() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.step = p.least
}

// shut frees the way after d, and not when it was to be freed before; p.mu is
// held.
func (p *pacer) shut(d time.Duration) {
	if p.timer != nil {
		p.timer.Stop()
	}
	p.turn++
	turn := p.turn
	p.timer = time.AfterFunc(jittered(d), func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.turn != turn {
			return // Stop came too late
		}
		select {
		case p.slot <- struct{}{}:
		default:
		}
	})
}

// stop lets go of the timer.
func (p *pacer) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer != nil {
		p.timer.Stop()
	}
}
