package rotation

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
)

// Keys of the records that this package keeps in the Store.
const (
	rotationPrefix = "rotation/" // + ID: the rotation
	activePrefix   = "active/"   // + key set: ID of its open rotation
	recordPrefix   = "keyset/"   // + key set: its Record
	rollCallPrefix = "rollcall/" // + ID + "/" + consumer + "/" + person + "/" + candidate: when they pressed Updated
)

// SealedPrefix starts the keys of sealed pairs: + ID + "/" + field.
const SealedPrefix = "sealed/"

// OutboxPrefix starts the keys of posts that wait to be sent.
const OutboxPrefix = "outbox/"

// Kinds of [Post].
const (
	PostChannel = "channel" // the rotation's one message in the ops channel
	PostNote    = "note"    // a Note to one person
)

// A Post is something that people are to be told. A channel post says only
// which rotation changed; what it says is made from the rotation when it is
// sent, so several changes become one message.
type Post struct {
	Kind     string    `json:"kind"`
	Rotation ID        `json:"rotation"`
	KeySet   string    `json:"keyset"`
	To       string    `json:"to,omitempty"` // user or channel; "" is the ops channel
	Note     *Note     `json:"note,omitempty"`
	Created  time.Time `json:"created"`
	Tries    int       `json:"tries,omitempty"`
	Maybe    bool      `json:"maybe,omitempty"` // an earlier try may have arrived
}

// A Posted says where a message is, so that it can be changed.
type Posted struct {
	Channel string `json:"channel"`
	TS      string `json:"ts"`
}

// ChannelKey is the key of the post that says that rotation id changed.
func ChannelKey(id ID) string { return OutboxPrefix + "channel/" + string(id) }

func sealedKey(id ID, field string) string { return SealedPrefix + string(id) + "/" + field }

// candidateField names the sealed blob of candidate n.
func candidateField(n int) string { return "candidate/" + strconv.Itoa(n) }

// fieldOld names the sealed blob of the pair that was current at the start.
const fieldOld = "old"

// A ledger turns a changed rotation and its audit rows into one commit.
type ledger struct {
	store  Store
	chain  Chain
	sealer Sealer
	now    func() time.Time

	mu sync.Mutex // one commit at a time: they all extend the same chain
}

// A change is what goes into a commit beside the rotation itself.
type change struct {
	rows  []Row
	conds []Cond
	ops   []Op
	quiet bool // nobody needs to be told
}

// add appends an audit row about r.
func (c *change) add(r *Rotation, step StepName, by Actor, action string, context map[string]any) {
	slack := by.ID
	if slack == by.Admin || slack == BotActor {
		slack = ""
	}
	c.rows = append(c.rows, Row{Rotation: r.ID, KeySet: r.KeySet, Step: step, Actor: by.Admin, Slack: slack, Action: action, Context: context})
}

// put adds a record to the commit.
func (c *change) put(key string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s: %w", key, err)
	}
	c.ops = append(c.ops, Op{Key: key, Value: b})
	return nil
}

// commit writes r, the rows and everything else in c, or nothing. r must be the
// whole new state and r.Rev the revision it was made from; afterwards r.Rev,
// r.Seq and r.Head are those of the commit. ErrConflict: the rotation was
// changed by somebody else.
func (l *ledger) commit(ctx context.Context, r *Rotation, c *change) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now().UTC()
	for i := range c.rows {
		c.rows[i].At = now
	}
	for try := 0; ; try++ {
		conds, ops, err := l.compose(ctx, r, c, now)
		if err != nil {
			return err
		}
		rev, err := l.store.Txn(ctx, conds, ops)
		if err == nil {
			r.Rev = rev
			return nil
		}
		kv, getErr := l.readBack(ctx, ops[0].Key)
		switch {
		case getErr != nil && !errors.Is(getErr, ErrNotFound):
			return fmt.Errorf("commit rotation %s: %w", r.ID, errors.Join(err, getErr))
		case errors.Is(err, ErrUnknown) && kv.Rev != r.Rev && bytes.Equal(kv.Value, ops[0].Value):
			r.Rev = kv.Rev // it was done after all
			return nil
		case (errors.Is(err, ErrConflict) || errors.Is(err, ErrUnknown)) && kv.Rev == r.Rev && try < 20:
			continue // only the head of the audit chain moved, or nothing happened
		}
		return fmt.Errorf("commit rotation %s: %w", r.ID, err)
	}
}

// readBack reads a record whose commit did not end well. The deadline of that
// commit may be the reason, so it does not bind the look.
func (l *ledger) readBack(ctx context.Context, key string) (KV, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return l.store.Get(ctx, key)
}

// compose builds the transaction; its first operation is the rotation.
func (l *ledger) compose(ctx context.Context, r *Rotation, c *change, now time.Time) ([]Cond, []Op, error) {
	key := rotationPrefix + string(r.ID)
	conds := append([]Cond{{Key: key, Rev: r.Rev}}, c.conds...)
	var ext Extension
	if len(c.rows) > 0 {
		var err error
		if ext, err = l.chain.Extend(ctx, c.rows); err != nil {
			return nil, nil, fmt.Errorf("write audit rows: %w", err)
		}
		r.Seq, r.Head = ext.Seq, ext.Head
	}
	body, err := json.Marshal(r)
	if err != nil {
		return nil, nil, fmt.Errorf("encode rotation %s: %w", r.ID, err)
	}
	ops := append([]Op{{Key: key, Value: body}}, c.ops...)
	if !c.quiet {
		post, err := json.Marshal(Post{Kind: PostChannel, Rotation: r.ID, KeySet: r.KeySet, Created: now})
		if err != nil {
			return nil, nil, fmt.Errorf("encode post: %w", err)
		}
		ops = append(ops, Op{Key: ChannelKey(r.ID), Value: post})
	}
	return append(conds, ext.If...), lastOps(append(ops, ext.Then...)), nil
}

// note writes rows that belong to no change of a rotation.
func (l *ledger) note(ctx context.Context, rows ...Row) error {
	return l.noteWith(ctx, nil, nil, rows...)
}

// noteWith writes rows and, in the same commit, ops, if conds hold.
func (l *ledger) noteWith(ctx context.Context, conds []Cond, ops []Op, rows ...Row) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range rows {
		rows[i].At = l.now().UTC()
	}
	for try := 0; ; try++ {
		ext, err := l.chain.Extend(ctx, rows)
		if err != nil {
			return fmt.Errorf("write audit rows: %w", err)
		}
		if _, err = l.store.Txn(ctx, slices.Concat(conds, ext.If), slices.Concat(ops, ext.Then)); err == nil {
			return nil
		}
		if errors.Is(err, ErrUnknown) && len(ext.Then) > 0 {
			if kv, getErr := l.readBack(ctx, ext.Then[0].Key); getErr == nil && bytes.Equal(kv.Value, ext.Then[0].Value) {
				return nil // it was done after all
			}
		}
		if !errors.Is(err, ErrConflict) && !errors.Is(err, ErrUnknown) || try >= 20 {
			return fmt.Errorf("write audit rows: %w", err)
		}
	}
}

// load reads rotation id.
func (l *ledger) load(ctx context.Context, id ID) (Rotation, error) {
	kv, err := l.store.Get(ctx, rotationPrefix+string(id))
	if err != nil {
		return Rotation{}, fmt.Errorf("load rotation %s: %w", id, err)
	}
	return decodeRotation(kv)
}

func decodeRotation(kv KV) (Rotation, error) {
	var r Rotation
	if err := json.Unmarshal(kv.Value, &r); err != nil {
		return r, fmt.Errorf("decode %s: %w", kv.Key, err)
	}
	r.Rev = kv.Rev
	if err := knownSteps(r.Steps); err != nil {
		return r, fmt.Errorf("decode %s: %w", kv.Key, err)
	}
	return r, nil
}

// knownSteps refuses a rotation that another version of the SOP wrote: going
// on with a different plan could skip a step.
func knownSteps(steps []Step) error {
	names := StepNames()
	if len(steps) != len(names) {
		return &fault.Error{Kind: fault.Internal, Reason: "other_plan", Op: "rotation.load", User: "This rotation was begun by another version of Keyturn with other steps.", Fix: "Finish it with the version that began it."}
	}
	for i := range steps {
		if steps[i].Name != names[i] {
			return &fault.Error{Kind: fault.Internal, Reason: "other_plan", Op: "rotation.load", User: fmt.Sprintf("This rotation has a step %q that this version of Keyturn does not know.", steps[i].Name), Fix: "Finish it with the version that began it."}
		}
	}
	return nil
}

// active returns the ID of the key set's open rotation, or ErrNotFound.
func (l *ledger) active(ctx context.Context, keyset string) (ID, error) {
	kv, err := l.store.Get(ctx, activePrefix+keyset)
	if err != nil {
		return "", fmt.Errorf("look for an open rotation of %s: %w", keyset, err)
	}
	return ID(kv.Value), nil
}

// record reads what is remembered of a key set; one that was never rotated has
// an empty record with revision 0.
func (l *ledger) record(ctx context.Context, keyset string) (Record, error) {
	rec := Record{KeySet: keyset}
	kv, err := l.store.Get(ctx, recordPrefix+keyset)
	if errors.Is(err, ErrNotFound) {
		return rec, nil
	}
	if err != nil {
		return rec, fmt.Errorf("load record of %s: %w", keyset, err)
	}
	if err := json.Unmarshal(kv.Value, &rec); err != nil {
		return rec, fmt.Errorf("decode record of %s: %w", keyset, err)
	}
	rec.Rev = kv.Rev
	return rec, nil
}

// open returns a pair that was sealed for r under field.
func (l *ledger) open(ctx context.Context, r *Rotation, field string) (Pair, error) {
	kv, err := l.store.Get(ctx, sealedKey(r.ID, field))
	if err != nil {
		return Pair{}, fmt.Errorf("load sealed pair %s: %w", field, err)
	}
	p, err := l.sealer.Open(Ref{Rotation: r.ID, KeySet: r.KeySet, Field: field}, kv.Value)
	if err != nil {
		return Pair{}, fmt.Errorf("open sealed pair %s: %w", field, err)
	}
	return p, nil
}

// seal adds p to the commit, encrypted.
func (l *ledger) seal(c *change, r *Rotation, field string, p Pair) error {
	blob, err := l.sealer.Seal(Ref{Rotation: r.ID, KeySet: r.KeySet, Field: field}, p)
	if err != nil {
		return fmt.Errorf("seal pair %s: %w", field, err)
	}
	c.ops = append(c.ops, Op{Key: sealedKey(r.ID, field), Value: blob})
	return nil
}

// lastOps keeps the last operation on each key: a transaction takes one.
func lastOps(ops []Op) []Op {
	seen := map[string]bool{}
	var kept []Op
	for _, op := range slices.Backward(ops) {
		if !seen[op.Key] {
			seen[op.Key] = true
			kept = append(kept, op)
		}
	}
	slices.Reverse(kept)
	return kept
}
