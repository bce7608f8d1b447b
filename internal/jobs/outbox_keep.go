package jobs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// Waits between tries. There is no jitter: one bot talks to one workspace, and
// its own calls are spread already.
const (
	firstWait = time.Second
	mostWait  = time.Minute

	// A post whose outcome is unknown is repeated soon, once; each later
	// repeat may be one more copy on the screen, so it comes slower.
	unsureWait     = time.Minute
	mostUnsureWait = 10 * time.Minute
)

// A hold is a time before which something is not to be tried.
type hold struct{ over atomic.Bool }

// holdFor returns a hold of d, after which it wakes c.
func holdFor(d time.Duration, c chan struct{}) *hold {
	h := &hold{}
	time.AfterFunc(d, func() {
		h.over.Store(true)
		wake(c)
	})
	return h
}

// held reports whether it is still too early. A nil hold holds nothing.
func (h *hold) held() bool { return h != nil && !h.over.Load() }

// An attempt is what is remembered, in memory only, of a post that is being
// delivered.
type attempt struct {
	hold   *hold
	busy   bool   // notes: under way
	fails  int    // in a row
	unsure int    // unknown outcomes in a row
	gone   int    // channel: messages that were gone, ever
	stale  int    // channel: looks that were older than the post, in a row
	turn   uint64 // channel: when it was last sent, for fairness
	reason string // channel: of the last failure that a person was told of
}

// wait returns how long to wait after one more failure. harmless: trying again
// cannot make a second copy.
func (a *attempt) wait(harmless bool) time.Duration {
	if harmless {
		a.fails++
		return doubled(firstWait, mostWait, a.fails-1)
	}
	if a.unsure++; a.unsure == 1 {
		return firstWait
	}
	return doubled(unsureWait, mostUnsureWait, a.unsure-2)
}

// doubled returns first, doubled n times, but at most most.
func doubled(first, most time.Duration, n int) time.Duration {
	for ; n > 0 && first < most; n-- {
		first *= 2
	}
	return min(first, most)
}

// certain reports whether a post that failed with err was not sent.
func certain(err error) bool {
	switch fault.KindOf(err) {
	case fault.Transient, fault.Denied, fault.Invalid, fault.NotFound:
		return true
	case fault.Internal, fault.Conflict, fault.Unknown:
	}
	return false
}

// passes reports whether trying again may help without anybody's doing.
func passes(err error) bool {
	k := fault.KindOf(err)
	return k == fault.Transient || k == fault.Unknown
}

// keep commits ops, all or none, if conds hold, and returns their revision. It
// tries again while the store refuses for a reason of its own, and looks
// whether an unknown commit was done. ErrConflict: a condition does not hold.
func (o *Outbox) keep(ctx context.Context, conds []rotation.Cond, ops ...rotation.Op) (rotation.Rev, error) {
	for try := 0; ; try++ {
		rev, err := o.cfg.Store.Txn(ctx, conds, ops)
		if err == nil {
			return rev, nil
		}
		if rev, done := o.done(ctx, ops); done {
			return rev, nil
		}
		if errors.Is(err, rotation.ErrConflict) || ctx.Err() != nil {
			return 0, fmt.Errorf("keep outbox: %w", err)
		}
		o.cfg.Log.WarnContext(ctx, "outbox not written", slog.Any("error", err))
		if !pause(ctx, doubled(firstWait, mostWait, try)) {
			return 0, fmt.Errorf("keep outbox: %w", err)
		}
	}
}

// done reports whether the store is as ops would leave it, and the revision of
// what they put.
func (o *Outbox) done(ctx context.Context, ops []rotation.Op) (rev rotation.Rev, done bool) {
	for _, op := range ops {
		kv, err := o.cfg.Store.Get(ctx, op.Key)
		switch {
		case op.Delete && errors.Is(err, rotation.ErrNotFound):
		case op.Delete, err != nil, !bytes.Equal(kv.Value, op.Value):
			return 0, false
		default:
			rev = kv.Rev
		}
	}
	return rev, true
}

// read decodes the record under key into v and returns its revision; 0 if there
// is none.
func (o *Outbox) read(ctx context.Context, key string, v any) (rotation.Rev, error) {
	kv, err := o.cfg.Store.Get(ctx, key)
	if errors.Is(err, rotation.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", key, err)
	}
	if err := json.Unmarshal(kv.Value, v); err != nil {
		return 0, fmt.Errorf("decode %s: %w", key, err)
	}
	return kv.Rev, nil
}

// put returns the operation that stores v under key.
func put(key string, v any) (rotation.Op, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return rotation.Op{}, fmt.Errorf("encode %s: %w", key, err)
	}
	return rotation.Op{Key: key, Value: b}, nil
}

// linger returns a context that outlives ctx by the grace: a message that was
// sent should be written down even if the bot is stopping.
func linger(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		pause(longer, grace)
		cancel()
	})
	return longer, func() {
		stop()
		cancel()
	}
}

// pause waits d and reports whether ctx let it.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// failed logs why a post did not go out.
func (o *Outbox) failed(ctx context.Context, what, key string, err error, wait time.Duration, person bool) {
	level := slog.LevelWarn
	if person {
		level = slog.LevelError
	}
	o.cfg.Log.LogAttrs(ctx, level, "post not sent",
		slog.String("what", what), slog.String("key", key), slog.Any("error", err),
		slog.Int64("again_in_ms", wait.Milliseconds()))
}
