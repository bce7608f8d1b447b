package app

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// probeKey is where a writtenStore writes to find out whether it can again.
const probeKey = "health/probe"

// A writtenStore remembers whether the last transaction could be written, so
// that a full or failing disk shows before somebody has a pair to paste.
type writtenStore struct {
	rotation.Store
	failed atomic.Bool
}

// Txn implements [rotation.Store].
func (s *writtenStore) Txn(ctx context.Context, conds []rotation.Cond, then []rotation.Op) (rotation.Rev, error) {
	rev, err := s.Store.Txn(ctx, conds, then)
	switch {
	case err == nil && len(then) > 0:
		s.failed.Store(false)
	case err == nil, ctx.Err() != nil, errors.Is(err, rotation.ErrConflict), fault.KindOf(err) == fault.Transient:
		// says nothing about the disk
	default:
		s.failed.Store(true)
	}
	return rev, err
}

// writable returns nil if the last transaction was written, or if one can be
// now: nobody else may try again by themselves.
func (s *writtenStore) writable(ctx context.Context) error {
	if !s.failed.Load() {
		return nil
	}
	_, err := s.Txn(ctx, nil, []rotation.Op{{Key: probeKey, Value: []byte("ok")}})
	return err
}
