package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// fire puts a note into the store in one transaction with ops, which write down
// that it was. A note that waits under key, or was settled, is not put again:
// then only ops are done. ErrConflict: a condition does not hold.
func (o *Outbox) fire(ctx context.Context, key, to string, n rotation.Note, conds []rotation.Cond, ops []rotation.Op) error {
	known := false
	for _, k := range []string{notePrefix + key, toldPrefix + key} {
		_, err := o.cfg.Store.Get(ctx, k)
		if err != nil && !errors.Is(err, rotation.ErrNotFound) {
			return fmt.Errorf("read %s: %w", k, err)
		}
		known = known || err == nil
	}
	if !known {
		op, err := put(notePrefix+key, rotation.Post{Kind: rotation.PostNote, Rotation: n.Rotation, KeySet: n.KeySet, To: to, Note: &n, Created: o.cfg.Now().UTC()})
		if err != nil {
			return err
		}
		conds = slices.Concat(conds, []rotation.Cond{{Key: notePrefix + key}, {Key: toldPrefix + key}})
		ops = slices.Concat(ops, []rotation.Op{op})
	}
	if _, err := o.cfg.Store.Txn(ctx, conds, ops); err != nil {
		return fmt.Errorf("queue note: %w", err)
	}
	wake(o.notes)
	return nil
}
