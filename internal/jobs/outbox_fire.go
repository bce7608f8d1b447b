package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// A mail is a note that is to be sent.
type mail struct {
	key, to string
	note    rotation.Note
}

// fire puts m into the store in one transaction with ops, which write down that
// it was. If it waits already, or was settled, only ops are done. ErrConflict: a
// condition does not hold.
func (o *Outbox) fire(ctx context.Context, m mail, conds []rotation.Cond, ops []rotation.Op) error {
	conds, ops, err := o.posting(ctx, conds, ops, m)
	if err != nil {
		return err
	}
	if _, err := o.cfg.Store.Txn(ctx, conds, ops); err != nil {
		return fmt.Errorf("queue note: %w", err)
	}
	wake(o.notes)
	return nil
}

// posting returns conds and ops with what puts mails into the outbox. A mail whose
// key waits, or was settled, is left out.
func (o *Outbox) posting(ctx context.Context, conds []rotation.Cond, ops []rotation.Op, mails ...mail) ([]rotation.Cond, []rotation.Op, error) {
	conds, ops = slices.Clone(conds), slices.Clone(ops)
	for _, m := range mails {
		known, err := o.known(ctx, m.key)
		if err != nil {
			return nil, nil, err
		}
		if known {
			continue
		}
		n := m.note
		op, err := put(notePrefix+m.key, rotation.Post{Kind: rotation.PostNote, Rotation: n.Rotation, KeySet: n.KeySet, To: m.to, Note: &n, Created: o.cfg.Now().UTC()})
		if err != nil {
			return nil, nil, err
		}
		ops = append(ops, op)
		conds = append(conds, rotation.Cond{Key: notePrefix + m.key}, rotation.Cond{Key: toldPrefix + m.key})
	}
	return conds, ops, nil
}

// known reports whether a note waits under key, or was settled.
func (o *Outbox) known(ctx context.Context, key string) (bool, error) {
	for _, k := range []string{notePrefix + key, toldPrefix + key} {
		_, err := o.cfg.Store.Get(ctx, k)
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, rotation.ErrNotFound) {
			return false, fmt.Errorf("read %s: %w", k, err)
		}
	}
	return false, nil
}
