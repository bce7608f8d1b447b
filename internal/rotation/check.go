package rotation

import (
	"context"
	"slices"
	"sync"
)

// Check does the whole of step 1 without opening a rotation: every check, all
// at once, changing nothing outside. Nothing is committed but the last good
// snapshot, if the current pair works. What is wrong is in the items; an error
// means that the record of the key set could not be read, or that ctx ended. It
// takes as long as the slowest check, at most about 30 s each.
func (e *Engine) Check(ctx context.Context, keyset string) (Report, error) {
	set, err := e.keySet(keyset)
	if err != nil {
		return Report{}, err
	}
	rec, err := e.led.record(ctx, keyset)
	if err != nil {
		return Report{}, err
	}
	l := &loose{cur: Rotation{KeySet: keyset, Opened: e.now(), Steps: freshSteps(), Operator: bot()}}
	l.cur.Step(StepPrecheck).State = Running
	if err := e.listChecks(ctx, set, l); err != nil {
		return Report{}, err
	}
	if err := e.runChecks(ctx, set, l); err != nil {
		return Report{}, err
	}
	return Report{
		KeySet: keyset, At: e.now(), Items: l.cur.Step(StepPrecheck).Items, Snapshot: l.cur.Snapshot,
		Exposed: slices.Clone(rec.Exposed), Due: rec.NextDue,
	}, nil
}

// A loose sheet belongs to no rotation: what is written on it is only read.
type loose struct {
	mu  sync.Mutex
	cur Rotation
}

var (
	_ sheet = (*loose)(nil)
	_ sheet = (*flight)(nil)
)

func (l *loose) ground() (Rotation, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return clone(l.cur), nil
}

// update drops what would be committed beside the rotation.
func (l *loose) update(_ context.Context, apply func(*Rotation, *change) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return apply(&l.cur, &change{})
}
