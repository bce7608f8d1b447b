package rotation

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// errMoved is returned where a person, or another step, has taken the ground
// from what was under way. It is never shown: who moved the rotation has said why.
var errMoved = errors.New("the rotation has moved on")

// A flight is a step that is being worked on, in one round of it. It reads and
// changes the rotation only while the step is running in that round: what was
// begun with a pair that is no longer the one has nothing more to say, and
// writes nothing more.
type flight struct {
	*run
	name   StepName
	cancel context.CancelFunc

	mu    sync.Mutex
	round int // of the step; 0 until it is marked running
}

// enter says which round of the step this flight works on. Nothing that the
// flight itself does comes before it.
func (f *flight) enter(round int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.round = round
}

// stale reports whether the rotation has moved on without this flight. A look
// from before the flight's own round says nothing about it.
func (f *flight) stale(s *Step) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.round != 0 && (s.Round > f.round || s.Round == f.round && s.State != Running)
}

// holds reports whether the step is still running in the flight's round.
func (f *flight) holds(cur *Rotation) bool {
	s := cur.Step(f.name)
	return cur.Outcome == Open && s.State == Running && s.Round == f.round
}

// ground returns the rotation as committed, or errMoved. It is asked right
// before each write to the outside.
func (f *flight) ground() (Rotation, error) {
	cur, _ := f.look()
	if !f.holds(&cur) {
		return cur, errMoved
	}
	return cur, nil
}

// await is [run.await]; it returns errMoved as soon as the flight has no ground.
func (f *flight) await(ctx context.Context, ok func(*Rotation) bool) error {
	moved := false
	err := f.run.await(ctx, func(cur *Rotation) bool {
		moved = !f.holds(cur)
		return moved || ok(cur)
	})
	if moved {
		return errMoved
	}
	return err
}

// update is [run.update]; it returns errMoved if the flight has no ground.
func (f *flight) update(ctx context.Context, apply func(*Rotation, *change) error) error {
	err := f.run.update(ctx, func(cur *Rotation, c *change) error {
		if !f.holds(cur) {
			return errMoved
		}
		return apply(cur, c)
	})
	if errors.Is(err, errOver) {
		return errMoved
	}
	return err
}

// settled reports whether every one of these items of the step is settled.
func (s *Step) settled(names []string) bool {
	return !slices.ContainsFunc(names, func(name string) bool {
		it := s.Item(name)
		return it == nil || !it.State.Settled()
	})
}
