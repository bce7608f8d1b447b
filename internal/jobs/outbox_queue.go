package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// givenUpAgain is how long a queued note that was given up is left alone: what
// kept it from being sent may have been mended meanwhile.
const givenUpAgain = 10 * time.Minute

// Queue is Send without the wait: when it returns nil the note is in the store
// and goes out by itself. A repeat of a key that waits or was delivered does
// nothing; one that was given up is tried anew after ten minutes. Any error:
// the note may not have been stored; queue it again.
func (o *Outbox) Queue(ctx context.Context, key, to string, n rotation.Note) error {
	var was told
	rev, err := o.read(ctx, toldPrefix+key, &was)
	if err != nil {
		return err
	}
	if rev != 0 && (was.delivered() || o.cfg.Now().Sub(was.At) < givenUpAgain) {
		return nil
	}
	var waits rotation.Post
	if waiting, err := o.read(ctx, notePrefix+key, &waits); err != nil || waiting != 0 {
		return err
	}
	p := rotation.Post{Kind: rotation.PostNote, Rotation: n.Rotation, KeySet: n.KeySet, To: to, Note: &n, Created: o.cfg.Now().UTC(), Maybe: was.Maybe}
	err = o.accept(ctx, key, p, rev)
	if err == nil || errors.Is(err, rotation.ErrConflict) { // somebody else queued it
		return nil
	}
	if waiting, readErr := o.read(ctx, notePrefix+key, &waits); readErr == nil && waiting != 0 {
		wake(o.notes) // it was stored after all
		return nil
	}
	return err
}

// Withdraw takes back the notes whose key starts with prefix, as far as they
// were not begun to be sent. One that is under way arrives.
func (o *Outbox) Withdraw(ctx context.Context, prefix string) error {
	kvs, err := o.cfg.Store.List(ctx, notePrefix+prefix, "", 0)
	if err != nil {
		return fmt.Errorf("list outbox: %w", err)
	}
	for _, kv := range kvs {
		if o.busy(kv.Key) {
			continue
		}
		_, err := o.cfg.Store.Txn(ctx, []rotation.Cond{{Key: kv.Key, Rev: kv.Rev}}, []rotation.Op{{Key: kv.Key, Delete: true}})
		if err != nil && !errors.Is(err, rotation.ErrConflict) { // begun meanwhile
			return fmt.Errorf("withdraw note: %w", err)
		}
	}
	return nil
}

// busy reports whether the note under key is under way; if not, what is
// remembered of earlier tries is forgotten.
func (o *Outbox) busy(key string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	a := o.tries[key]
	if a != nil && a.busy {
		return true
	}
	delete(o.tries, key)
	return false
}
