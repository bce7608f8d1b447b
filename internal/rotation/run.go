package rotation

import (
	"context"
	"log/slog"
	"slices"
	"sync"

	"github.com/raxx-app/keyturn/internal/fault"
)

// errOver is returned by an act on a rotation that has ended meanwhile.
var errOver = &fault.Error{
	Kind: fault.NotFound, Reason: "not_open", Op: "rotation.Engine",
	User: "This rotation is over.", Fix: "Nothing to do. Start a new one with /rotate-alpaca-paper if you need it.",
}

// A run is one open rotation in memory. Every change goes through update, which
// commits before anybody can see it.
type run struct {
	id   ID
	led  *ledger
	set  *KeySet
	tell func(ID) // called after each commit
	log  *slog.Logger

	mu      sync.Mutex
	cur     Rotation
	changed chan struct{}       // closed by the next commit
	queue   []*request          // waiting for the commit under way
	busy    bool                // a caller of update is committing
	said    map[StepName]string // why a step could not begin, as it was logged
}

// A request is one call of update.
type request struct {
	apply func(*Rotation, *change) error
	err   error
	done  chan struct{}
}

func newRun(led *ledger, set *KeySet, r Rotation, tell func(ID), log *slog.Logger) *run {
	return &run{id: r.ID, led: led, set: set, cur: r, tell: tell, log: log, changed: make(chan struct{}), said: map[StepName]string{}}
}

// look returns the rotation as committed, and a channel that is closed when it
// changes. The caller must not change what it points to.
func (r *run) look() (Rotation, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cur, r.changed
}

// news reports whether err is another reason why a step could not begin than the
// last time: a state that is damaged stays so, and is tried again each second.
// With nil the step has begun, and whatever comes next is new.
func (r *run) news(step StepName, err error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		delete(r.said, step)
		return false
	}
	if why, told := r.said[step]; told && why == err.Error() {
		return false
	}
	r.said[step] = err.Error()
	return true
}

// over reports whether the rotation has ended.
func (r *run) over() bool {
	cur, _ := r.look()
	return cur.Outcome != Open
}

// await returns when ok holds or ctx ends.
func (r *run) await(ctx context.Context, ok func(*Rotation) bool) error {
	for {
		cur, changed := r.look()
		if ok(&cur) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// update lets apply change a copy of the rotation and commits it. Calls that
// come while a commit is under way share the next one, so a hundred consumers
// do not wait for a hundred disk writes. If apply returns an error nothing of
// it is kept. apply must not wait for anything: all updates wait for it. A
// rotation that is over changes no more; the error is errOver then.
func (r *run) update(ctx context.Context, apply func(*Rotation, *change) error) error {
	req := &request{apply: apply, done: make(chan struct{})}
	r.mu.Lock()
	r.queue = append(r.queue, req)
	if r.busy {
		r.mu.Unlock()
		<-req.done // the committing caller takes it; a commit cannot be cancelled
		return req.err
	}
	r.busy = true
	for len(r.queue) > 0 {
		batch := r.queue
		r.queue = nil
		next := r.cur
		r.mu.Unlock()
		committed, loud := r.commit(context.WithoutCancel(ctx), batch, next)
		if committed != nil {
			logChanges(ctx, r.log, &next, committed)
		}
		r.mu.Lock()
		if committed != nil {
			r.cur = *committed
			close(r.changed)
			r.changed = make(chan struct{})
		}
		if loud && r.tell != nil {
			r.mu.Unlock()
			r.tell(r.id) // whoever looks now sees what was committed
			r.mu.Lock()
		}
		for _, b := range batch {
			close(b.done)
		}
	}
	r.busy = false
	r.mu.Unlock()
	return req.err
}

// commit applies a batch and commits it once, and reports whether people should
// see it. It returns nil if there was nothing to commit or it could not be;
// every request then has its error.
func (r *run) commit(ctx context.Context, batch []*request, next Rotation) (committed *Rotation, loud bool) {
	rev, all := next.Rev, change{quiet: true}
	applied := make([]*request, 0, len(batch))
	for _, b := range batch {
		if next.Outcome != Open {
			b.err = errOver
			continue
		}
		var c change
		trial := clone(next) // what a refused request half did is dropped with it
		if b.err = b.apply(&trial, &c); b.err == nil {
			next, applied = trial, append(applied, b)
			all.join(c)
		}
	}
	if len(applied) == 0 {
		return nil, false
	}
	if err := r.led.commit(ctx, &next, &all); err != nil {
		for _, a := range applied {
			a.err = err
		}
		return r.reread(ctx, rev)
	}
	return &next, !all.quiet
}

// reread returns the rotation as stored if that is not what is in memory: a
// commit may have been done although its answer, and the look after it, were
// lost. Without this every later commit would be a conflict.
func (r *run) reread(ctx context.Context, rev Rev) (stored *Rotation, loud bool) {
	cur, err := r.led.load(ctx, r.id)
	if err != nil || cur.Rev == rev {
		return nil, false
	}
	return &cur, true
}

// join adds what o holds to c.
func (c *change) join(o change) {
	c.rows = append(c.rows, o.rows...)
	c.conds = append(c.conds, o.conds...)
	c.ops = append(c.ops, o.ops...)
	c.quiet = c.quiet && o.quiet
}

// clone copies everything that an update may change in place. Facts, receipts
// and snapshots are replaced, never changed.
func clone(r Rotation) Rotation {
	r.Steps = slices.Clone(r.Steps)
	for i := range r.Steps {
		r.Steps[i].Items = slices.Clone(r.Steps[i].Items)
	}
	r.Candidates = slices.Clone(r.Candidates)
	r.Takeovers = slices.Clone(r.Takeovers)
	r.Deviations = slices.Clone(r.Deviations)
	r.Ticks = slices.Clone(r.Ticks)
	r.Presses = slices.Clone(r.Presses)
	if r.Order != nil {
		o := *r.Order
		r.Order = &o
	}
	return r
}
