package rotation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
)

// snapshotPrefix starts the keys of the last good snapshots: + key set.
const snapshotPrefix = "snapshot/"

// A kept is the last good snapshot of a key set, as it is stored.
type kept struct {
	Account Account   `json:"account"`
	Seen    time.Time `json:"seen"`             // when the account was
	Survey  *Survey   `json:"survey,omitempty"` // nil: none of this account
	At      time.Time `json:"at,omitzero"`      // of the survey
}

// Snapshot keeps what was last seen of a key set's account, for the time when
// the pair is dead and step 1 can look at nothing. p is the answer to the stored
// pair; any verdict but Valid is refused (Invalid, no_snapshot). s is the survey
// taken with it; nil: only the account is newer. A survey of another account is
// dropped. What is older than what is kept changes nothing, so a repeat is
// harmless. No audit row is written.
func (e *Engine) Snapshot(ctx context.Context, keyset string, p Probe, s *Survey) error {
	if p.Verdict != Valid || p.Account.ID == "" {
		return &fault.Error{Kind: fault.Invalid, Reason: "no_snapshot", Op: "rotation.Snapshot", User: "There is nothing to keep: the pair gave no account."}
	}
	if _, err := e.keySet(keyset); err != nil {
		return err
	}
	for try := 0; ; try++ {
		err := e.keep(ctx, keyset, p, s)
		if try == 3 || !errors.Is(err, ErrConflict) && !errors.Is(err, ErrUnknown) {
			return err
		}
	}
}

// keep stores one look at the account, unless a newer one is stored.
func (e *Engine) keep(ctx context.Context, keyset string, p Probe, s *Survey) error {
	was, rev, err := e.kept(ctx, keyset)
	if err != nil {
		return err
	}
	now := kept{Account: p.Account, Seen: p.At, Survey: s, At: p.At}
	switch {
	case rev != 0 && p.At.Before(was.Seen):
		return nil
	case s == nil && was.Account.Same(p.Account):
		now.Survey, now.At = was.Survey, was.At
	case s == nil:
		now.At = time.Time{}
	}
	body, err := json.Marshal(now)
	if err != nil {
		return fmt.Errorf("encode snapshot of %s: %w", keyset, err)
	}
	key := snapshotPrefix + keyset
	if _, err := e.cfg.Store.Txn(ctx, []Cond{{Key: key, Rev: rev}}, []Op{{Key: key, Value: body}}); err != nil {
		return fmt.Errorf("keep snapshot of %s: %w", keyset, err)
	}
	return nil
}

// keepQuietly keeps a snapshot that a step took for itself: that it could not be
// kept is no reason to stop.
func (e *Engine) keepQuietly(ctx context.Context, keyset string, p Probe, s Survey) {
	if err := e.Snapshot(ctx, keyset, p, &s); err != nil && ctx.Err() == nil {
		e.cfg.Log.WarnContext(ctx, "snapshot not kept", slog.String("keyset", keyset), errAttr(err))
	}
}

// kept reads what is kept of a key set, and its revision: 0 means nothing.
func (e *Engine) kept(ctx context.Context, keyset string) (kept, Rev, error) {
	kv, err := e.cfg.Store.Get(ctx, snapshotPrefix+keyset)
	if errors.Is(err, ErrNotFound) {
		return kept{}, 0, nil
	}
	if err != nil {
		return kept{}, 0, fmt.Errorf("load snapshot of %s: %w", keyset, err)
	}
	var k kept
	if err := json.Unmarshal(kv.Value, &k); err != nil {
		return kept{}, 0, fmt.Errorf("decode snapshot of %s: %w", keyset, err)
	}
	return k, kv.Rev, nil
}

// standIn returns the last good snapshot for a rotation that has none; nil if
// there is none, or if the old pair was seen alive for another account.
func (e *Engine) standIn(ctx context.Context, cur *Rotation) *Snapshot {
	snap := e.lastSnapshot(ctx, cur.KeySet)
	if snap != nil && cur.OldOwner != nil && !snap.Account.Same(*cur.OldOwner) {
		return nil
	}
	return snap
}

// lastSnapshot returns the last good snapshot of a key set; nil if none is kept
// or it cannot be read.
func (e *Engine) lastSnapshot(ctx context.Context, keyset string) *Snapshot {
	k, rev, err := e.kept(ctx, keyset)
	if err != nil {
		e.cfg.Log.WarnContext(ctx, "snapshot not readable", slog.String("keyset", keyset), errAttr(err))
	}
	if err != nil || rev == 0 {
		return nil
	}
	snap := &Snapshot{At: k.At, Account: k.Account, Kept: true, Seen: k.Seen, NoSurvey: k.Survey == nil}
	if k.Survey == nil {
		snap.At = k.Seen
	} else {
		snap.Survey = *k.Survey
	}
	return snap
}
