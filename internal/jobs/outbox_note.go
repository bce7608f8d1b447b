package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// notesAtOnce is how many notes are under way at the same time: a rotation
// waits until all its developers are told.
const notesAtOnce = 8

// A told is what became of a note. One that failed may be sent again by another
// Send; one that was delivered may not.
type told struct {
	Ref     Ref              `json:"ref,omitzero"`
	At      time.Time        `json:"at"`
	Problem rotation.Problem `json:"problem,omitzero"` // why it was given up
	Maybe   bool             `json:"maybe,omitempty"`  // with Problem: it may have arrived nevertheless
}

func (t *told) delivered() bool { return t.Problem == rotation.Problem{} }

// fault returns Problem as the error that it was.
func (t *told) fault() error {
	e := &fault.Error{Reason: t.Problem.Reason, Op: "jobs.Outbox.Send", User: t.Problem.Text, Fix: t.Problem.Fix}
	for _, k := range []fault.Kind{fault.Invalid, fault.Denied, fault.NotFound, fault.Conflict} {
		if k.String() == t.Problem.Kind {
			e.Kind = k
		}
	}
	return e
}

// Reach implements [rotation.Notifier].
func (o *Outbox) Reach(ctx context.Context, to string) error { return o.cfg.Reacher.Reach(ctx, to) }

// Send implements [rotation.Notifier]. It puts the note into the store and waits
// until Run has delivered it. A note that waits already under key is waited
// for, whatever to and n say; one that was delivered is nil at once, also after
// a restart; one that was given up is tried anew. Errors:
//
//   - the Poster's, if a person must do something first: the note was given up;
//   - fault.Unknown, note_waiting: ctx ended; the note still waits, and is
//     delivered without another Send.
//
// Any other error: the note could not be stored, and is not going to be sent.
func (o *Outbox) Send(ctx context.Context, key, to string, n rotation.Note) error {
	if key == "" || to == "" {
		return &fault.Error{Kind: fault.Invalid, Reason: "note_without_key", Op: "jobs.Outbox.Send", User: "A message has nobody to go to."}
	}
	for accepted := false; ; {
		settled := o.nextSettled()
		var was told
		rev, err := o.read(ctx, toldPrefix+key, &was)
		if err == nil && rev != 0 && was.delivered() {
			return nil
		}
		var waits rotation.Post
		var waiting rotation.Rev
		if err == nil {
			waiting, err = o.read(ctx, notePrefix+key, &waits)
		}
		switch {
		case err != nil:
			return o.unsent(ctx, accepted, to, err)
		case waiting != 0:
			accepted = true
		case accepted && rev != 0:
			return was.fault()
		default:
			err := o.accept(ctx, key, rotation.Post{Kind: rotation.PostNote, Rotation: n.Rotation, KeySet: n.KeySet, To: to, Note: &n, Created: o.cfg.Now().UTC(), Maybe: was.Maybe}, rev)
			if errors.Is(err, rotation.ErrConflict) || errors.Is(err, rotation.ErrUnknown) {
				continue // somebody else was faster, or it was done after all: look
			}
			if err != nil {
				return o.unsent(ctx, false, to, err)
			}
			accepted = true
		}
		t := time.NewTimer(o.cfg.Scan)
		select {
		case <-settled:
		case <-t.C:
		case <-ctx.Done():
			return o.unsent(ctx, accepted, to, ctx.Err())
		}
		t.Stop()
	}
}

// accept puts a note into the store, in place of an earlier failure at revision
// rev, and wakes the loop.
func (o *Outbox) accept(ctx context.Context, key string, p rotation.Post, rev rotation.Rev) error {
	op, err := put(notePrefix+key, p)
	if err != nil {
		return err
	}
	conds := []rotation.Cond{{Key: notePrefix + key}, {Key: toldPrefix + key, Rev: rev}}
	if _, err := o.cfg.Store.Txn(ctx, conds, []rotation.Op{op, {Key: toldPrefix + key, Delete: true}}); err != nil {
		return fmt.Errorf("accept note: %w", err)
	}
	wake(o.notes)
	return nil
}

// unsent is what Send returns if it cannot wait any longer.
func (o *Outbox) unsent(ctx context.Context, accepted bool, to string, err error) error {
	if ctx.Err() == nil || !accepted {
		return fmt.Errorf("send note to %s: %w", to, err)
	}
	return &fault.Error{
		Kind: fault.Unknown, Reason: rotation.ReasonWaiting, Op: "jobs.Outbox.Send", Err: err,
		User: "The message to " + to + " is stored, but it is not delivered yet.",
		Fix:  "Nothing must be done: it goes out as soon as Slack takes it. If it is urgent, tell them yourself.",
	}
}

// nextSettled returns a channel that is closed when the next note is settled.
func (o *Outbox) nextSettled() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.settled
}

// runNotes delivers notes until ctx ends, then waits for those under way.
func (o *Outbox) runNotes(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	o.notePulse.begin()
	for {
		kvs, err := o.cfg.Store.List(ctx, notePrefix, "", 0)
		if err != nil && ctx.Err() == nil {
			o.cfg.Log.WarnContext(ctx, "outbox not read", slog.Any("error", err))
		}
		for _, kv := range kvs {
			if a := o.begin(ctx, kv.Key); a != nil {
				wg.Go(func() {
					err := o.note(ctx, kv)
					o.end(ctx, a, kv.Key, err)
				})
			}
		}
		o.notePulse.beat()
		if !o.idle(ctx, o.notes) {
			return
		}
	}
}

// begin returns the attempt at the note under key, or nil if it is not to be
// sent now.
func (o *Outbox) begin(ctx context.Context, key string) *attempt {
	o.mu.Lock()
	defer o.mu.Unlock()
	a := o.tries[key]
	if a == nil {
		a = &attempt{}
	}
	if ctx.Err() != nil || a.busy || a.hold.held() || o.limited.held() || o.running >= notesAtOnce {
		return nil
	}
	o.tries[key] = a
	a.busy = true
	o.running++
	return a
}

// end closes the attempt. With err the note still waits.
func (o *Outbox) end(ctx context.Context, a *attempt, key string, err error) {
	wait := fault.RetryAfter(err)
	o.mu.Lock()
	switch {
	case err == nil:
		delete(o.tries, key)
	case wait > 0:
		o.limited = holdFor(wait, o.notes)
	default:
		wait = a.wait(certain(err))
		a.hold = holdFor(wait, o.notes)
	}
	a.busy = false
	o.running--
	o.mu.Unlock()
	wake(o.notes)
	if err != nil {
		o.failed(ctx, "note", key, err, wait, false)
	}
}

// note tries once to deliver the note in kv, and returns nil if nothing is left
// to do. That it is going to is committed before: whoever finds that mark after
// a crash knows that the note may have arrived.
func (o *Outbox) note(ctx context.Context, kv rotation.KV) error {
	ctx, done := linger(ctx)
	defer done()
	var p rotation.Post
	if err := json.Unmarshal(kv.Value, &p); err != nil || p.Note == nil {
		broken := &fault.Error{Kind: fault.Internal, Reason: "bad_note", Op: "jobs.Outbox", User: "A stored message cannot be read.", Fix: "Tell them yourself. The bot's log names the message."}
		return o.settle(ctx, kv.Key, kv.Rev, told{Problem: problemOf(broken)})
	}
	again := p.Maybe
	p.Tries, p.Maybe = p.Tries+1, true
	rev, err := o.mark(ctx, kv.Key, p, kv.Rev)
	if err != nil {
		return leftAlone(err)
	}
	call, cancel := context.WithTimeout(ctx, callLimit)
	ref, err := o.cfg.Poster.Note(call, p.To, *p.Note, again)
	cancel()
	if err == nil {
		return o.settle(ctx, kv.Key, rev, told{Ref: ref})
	}
	p.Maybe = again || !certain(err)
	if !passes(err) {
		return o.settle(ctx, kv.Key, rev, told{Problem: problemOf(err), Maybe: p.Maybe})
	}
	if !p.Maybe {
		_, _ = o.mark(ctx, kv.Key, p, rev) // not kept: one repeat that says so
	}
	return err
}

// mark replaces the note under key.
func (o *Outbox) mark(ctx context.Context, key string, p rotation.Post, rev rotation.Rev) (rotation.Rev, error) {
	op, err := put(key, p)
	if err != nil {
		return 0, err
	}
	rev, err = o.keep(ctx, []rotation.Cond{{Key: key, Rev: rev}}, op)
	if err != nil {
		return 0, &fault.Error{Kind: fault.Transient, Op: "jobs.Outbox", Reason: "not_marked", Err: err}
	}
	return rev, nil
}

// leftAlone returns nil if err says that somebody else changed the note: it is
// looked at anew.
func leftAlone(err error) error {
	if errors.Is(err, rotation.ErrConflict) {
		return nil
	}
	return err
}

// settle writes down what became of a note, so that it is never sent again by
// itself, and tells whoever waits for it.
func (o *Outbox) settle(ctx context.Context, key string, rev rotation.Rev, t told) error {
	t.At = o.cfg.Now().UTC()
	name := key[len(notePrefix):]
	op, err := put(toldPrefix+name, t)
	if err != nil {
		return err
	}
	if _, err := o.keep(ctx, []rotation.Cond{{Key: key, Rev: rev}}, rotation.Op{Key: key, Delete: true}, op); err != nil {
		return leftAlone(err)
	}
	if !t.delivered() {
		o.cfg.Log.ErrorContext(ctx, "note given up", slog.String("key", name), slog.String("reason", t.Problem.Reason))
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.settled)
	o.settled = make(chan struct{})
	return nil
}

func problemOf(err error) rotation.Problem {
	return rotation.Problem{Kind: fault.KindOf(err).String(), Reason: fault.ReasonOf(err), Text: fault.UserText(err), Fix: fault.FixText(err)}
}
