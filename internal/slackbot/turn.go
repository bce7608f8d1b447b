package slackbot

import (
	"context"
	"sync"
	"time"
)

// turnLimit is how long an answer waits for a drawing of the same view that is
// under way. After [pasteLimit] it still leaves some of Slack's 3 s.
const turnLimit = 500 * time.Millisecond

// A turn is the right to change what one view shows. Who draws has it from the
// look at the rotation until Slack has answered, and who answers a submission
// takes it before the answer: so nothing older lands upon what is newer.
type turn struct {
	free chan struct{} // holds something while nobody has the turn

	mu     sync.Mutex
	cancel context.CancelFunc // calls the drawing under way back; nil while there is none
}

func newTurn() *turn {
	t := &turn{free: make(chan struct{}, 1)}
	t.free <- struct{}{}
	return t
}

func (t *turn) drawing(cancel context.CancelFunc) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cancel = cancel
}

// draw takes the turn for a drawing. The context that it returns ends when
// somebody has to answer and cannot wait any longer.
func (t *turn) draw(ctx context.Context) (inner context.Context, release func(), err error) {
	select {
	case <-t.free:
	case <-ctx.Done():
		return ctx, nil, ctx.Err()
	}
	inner, cancel := context.WithCancel(ctx)
	t.drawing(cancel)
	return inner, func() {
		t.drawing(nil)
		cancel()
		t.free <- struct{}{}
	}, nil
}

// answer takes the turn for an answer. A drawing under way has [turnLimit] to
// end and is called back then; Slack may still take it, so clean is false and
// the view has to be drawn anew.
func (t *turn) answer() (release func(), clean bool) {
	release = func() { t.free <- struct{}{} }
	timer := time.NewTimer(turnLimit)
	defer timer.Stop()
	select {
	case <-t.free:
		return release, true
	case <-timer.C:
	}
	t.mu.Lock()
	if t.cancel != nil {
		t.cancel()
	}
	t.mu.Unlock()
	<-t.free // views are drawn one after the other, so nobody else draws this one now
	return release, false
}
