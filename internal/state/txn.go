package state

import (
	"context"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// maxBatch is how many transactions at most share one sync of the disk.
const maxBatch = 256

// errNothing rolls back a transaction in which nothing was to be written.
var errNothing = errors.New("nothing to write")

// A commit is one Txn on its way to commitAll. Whoever waits reads rev and err
// after done is closed.
type commit struct {
	conds []rotation.Cond
	ops   []op
	done  chan struct{}
	rev   rotation.Rev
	err   error
}

// An op is a checked rotation.Op: raw is the whole record but its head.
type op struct {
	key    []byte
	raw    []byte
	delete bool
}

// Txn implements [rotation.Store]. Transactions that wait at the same time share
// one sync of the disk; each is still done alone, or not at all. It returns
//
//   - [rotation.ErrConflict] if a condition did not hold;
//   - [rotation.ErrUnknown] if ctx ended while the disk was writing (a read
//     afterwards waits for the outcome), or the disk failed half-way (the store
//     then refuses everything until the bot is restarted);
//   - a [*fault.Error] if nothing was written, with the reasons state_busy,
//     state_disk_full, state_unwritten, state_read_only and bad_transaction.
//
// An empty then checks the conditions and returns the last revision.
func (s *Store) Txn(ctx context.Context, conds []rotation.Cond, then []rotation.Op) (rotation.Rev, error) {
	if err := s.ready(ctx); err != nil {
		return 0, err
	}
	if s.readOnly {
		return 0, &fault.Error{
			Kind: fault.Internal, Reason: "state_read_only", Op: "state.Txn",
			User: "The state was opened for reading only.",
		}
	}
	c, err := newCommit(conds, then)
	if err != nil {
		return 0, &fault.Error{Kind: fault.Internal, Reason: "bad_transaction", Op: "state.Txn", Err: err}
	}
	select {
	case s.commits <- c:
	case <-s.stop:
		return 0, errClosed
	case <-ctx.Done():
		return 0, busyError(s.path, ctx.Err())
	}
	select {
	case <-c.done:
		return c.rev, c.err
	case <-ctx.Done():
		s.mu.Lock()
		s.unsure = append(s.unsure, c.done)
		s.mu.Unlock()
		return 0, fmt.Errorf("write state: %w: %w", rotation.ErrUnknown, ctx.Err())
	}
}

// newCommit copies what the caller gave: it may give up and go on while we
// still write. Whatever can be wrong with one transaction is found here, so
// that inside a batch only the disk can fail.
func newCommit(conds []rotation.Cond, then []rotation.Op) (*commit, error) {
	c := &commit{conds: append([]rotation.Cond(nil), conds...), done: make(chan struct{})}
	seen := make(map[string]bool, len(then))
	for _, o := range then {
		switch {
		case o.Key == "" || len(o.Key) > bolt.MaxKeySize:
			return nil, fmt.Errorf("key of %d bytes", len(o.Key))
		case seen[o.Key]:
			return nil, fmt.Errorf("key %q twice", o.Key)
		case len(o.Value) > bolt.MaxValueSize-recordHead:
			return nil, fmt.Errorf("value of %q has %d bytes", o.Key, len(o.Value))
		}
		seen[o.Key] = true
		next := op{key: []byte(o.Key), delete: o.Delete}
		if !o.Delete {
			next.raw = room(o.Value)
		}
		c.ops = append(c.ops, next)
	}
	return c, nil
}

// commitAll is the one writer. It ends when the store is closed.
func (s *Store) commitAll() {
	defer close(s.stopped)
	for {
		select {
		case <-s.stop:
			return
		case first := <-s.commits:
			batch := s.gather(first)
			s.commit(batch)
			for _, c := range batch {
				close(c.done)
			}
		}
	}
}

// gather takes what has piled up while the last batch was written.
func (s *Store) gather(first *commit) []*commit {
	batch := []*commit{first}
	for len(batch) < maxBatch {
		select {
		case c := <-s.commits:
			batch = append(batch, c)
		default:
			return batch
		}
	}
	return batch
}

// commit does the batch in one bbolt transaction, in order, each member alone:
// one whose conditions do not hold leaves the others as they are.
func (s *Store) commit(batch []*commit) {
	err := s.refused()
	var last uint64
	if err == nil {
		err = guard(func() error {
			return s.db.Update(func(tx *bolt.Tx) error {
				wrote := false
				b := tx.Bucket(recordsBucket)
				for _, c := range batch {
					if err := c.apply(b); err != nil {
						return err
					}
					wrote = wrote || c.err == nil && len(c.ops) > 0
				}
				if last = b.Sequence(); !wrote {
					return errNothing
				}
				return nil
			})
		})
	}
	if err == nil || errors.Is(err, errNothing) {
		return
	}
	err = s.failed(err, last)
	for _, c := range batch {
		c.rev, c.err = 0, err
	}
}

// apply does c inside the batch's transaction. It returns only what must undo
// the whole batch; a condition that does not hold is c's own error.
func (c *commit) apply(b *bolt.Bucket) error {
	for _, cond := range c.conds {
		var has rotation.Rev
		if raw := b.Get([]byte(cond.Key)); raw != nil {
			var err error
			if has, _, err = decode([]byte(cond.Key), raw); err != nil {
				return fmt.Errorf("record %q: %w", cond.Key, err)
			}
		}
		if has != cond.Rev {
			c.err = fmt.Errorf("record %q is at revision %d, not %d: %w", cond.Key, has, cond.Rev, rotation.ErrConflict)
			return nil
		}
	}
	if len(c.ops) == 0 {
		c.rev = rotation.Rev(b.Sequence())
		return nil
	}
	rev, err := b.NextSequence()
	if err != nil {
		return err
	}
	c.rev = rotation.Rev(rev)
	for _, o := range c.ops {
		if o.delete {
			err = b.Delete(o.key)
		} else {
			stamp(o.key, o.raw, rev)
			err = b.Put(o.key, o.raw)
		}
		if err != nil {
			return fmt.Errorf("record %q: %w", o.key, err)
		}
	}
	return nil
}

// refused returns why nothing may be written any more, or nil.
func (s *Store) refused() error {
	if f := s.broken.Load(); f != nil {
		return f
	}
	return nil
}

// failed says what a failed bbolt transaction means. If its revision is to be
// seen, or looking is impossible, the disk failed after the point of no return:
// what the page cache shows may never reach the disk, so nothing more is done.
func (s *Store) failed(err error, last uint64) error {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return f
	}
	if errors.Is(err, errDamaged) {
		return s.readError("state.Txn", err)
	}
	var now uint64
	lookErr := guard(func() error {
		return s.db.View(func(tx *bolt.Tx) error {
			now = tx.Bucket(recordsBucket).Sequence()
			return nil
		})
	})
	if lookErr == nil && (last == 0 || now < last) {
		return unwrittenError(s.path, err)
	}
	f := unsureError(s.path, errors.Join(err, lookErr))
	s.broken.CompareAndSwap(nil, f)
	return f
}
