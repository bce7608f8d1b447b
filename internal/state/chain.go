package state

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// Keys of the audit record.
const (
	auditPrefix  = "audit/" // + sequence, 16 digits: one row
	auditHeadKey = auditPrefix + "head"
	auditPage    = 512 // rows read at a time
)

// hashDomain starts what is hashed, so that the hash means nothing elsewhere.
const hashDomain = "keyturn-audit-v1\x00"

// genesis is what the first row continues.
var genesis = strings.Repeat("0", 2*sha256.Size)

// A Chain is the audit record: rows that each carry the hash of the one before.
// It implements [rotation.Chain] on any [rotation.Store].
//
// A row is stored, and exported, as one JSON object whose last two fields are
// prev and hash. The line is that object without its hash field; the hash is
// SHA-256 of "keyturn-audit-v1", NUL, prev, NUL, line. So anybody can check an
// export with a text tool and sha256sum.
type Chain struct {
	store rotation.Store
}

var _ rotation.Chain = (*Chain)(nil)

// NewChain returns the audit record that is kept in store.
func NewChain(store rotation.Store) *Chain { return &Chain{store: store} }

// A line is what is hashed, in the order in which it is written.
type line struct {
	Seq      uint64            `json:"seq"`
	Time     string            `json:"time"` // RFC 3339, UTC
	Rotation rotation.ID       `json:"rotation,omitempty"`
	KeySet   string            `json:"keyset,omitempty"`
	Step     rotation.StepName `json:"step,omitempty"`
	Actor    string            `json:"actor"`
	Slack    string            `json:"slack,omitempty"`
	Action   string            `json:"action"`
	Context  map[string]any    `json:"context,omitempty"`
	Prev     string            `json:"prev"`
}

// A head says which row is the last.
type head struct {
	Seq  uint64 `json:"seq"`
	Hash string `json:"hash"`
}

// Extend implements [rotation.Chain]. It changes nothing. It refuses a row
// without time, actor or action, a context that holds a secret, and a record
// whose last row does not match its head (reason audit_broken): without an
// audit row there is no step (R89).
func (c *Chain) Extend(ctx context.Context, rows []rotation.Row) (rotation.Extension, error) {
	last, rev, err := c.head(ctx)
	if err != nil {
		return rotation.Extension{}, err
	}
	ext := rotation.Extension{If: []rotation.Cond{{Key: auditHeadKey, Rev: rev}}}
	for _, row := range rows {
		stored, hash, err := encodeRow(last.Seq+1, last.Hash, row)
		if err != nil {
			return rotation.Extension{}, err
		}
		last = head{Seq: last.Seq + 1, Hash: hash}
		// The head guards this already; a row must not be overwritten even if
		// somebody set the head back.
		ext.If = append(ext.If, rotation.Cond{Key: rowKey(last.Seq)})
		ext.Then = append(ext.Then, rotation.Op{Key: rowKey(last.Seq), Value: stored})
	}
	if len(rows) > 0 {
		value, err := json.Marshal(last)
		if err != nil {
			return rotation.Extension{}, fmt.Errorf("encode audit head: %w", err)
		}
		ext.Then = append(ext.Then, rotation.Op{Key: auditHeadKey, Value: value})
	}
	ext.Seq, ext.Head = last.Seq, last.Hash
	return ext, nil
}

// head reads the present end of the record and checks that the row is there.
func (c *Chain) head(ctx context.Context) (head, rotation.Rev, error) {
	h, rev, err := readHead(ctx, c.store)
	if err != nil || rev == 0 {
		return h, 0, err
	}
	kv, err := c.store.Get(ctx, rowKey(h.Seq))
	if errors.Is(err, rotation.ErrNotFound) {
		return h, rev, brokenError(h.Seq, "is missing, although the record says that it is the last")
	}
	if err != nil {
		return h, rev, fmt.Errorf("read audit row: %w", err)
	}
	if _, hash, ok := split(kv.Value); !ok || string(hash) != h.Hash {
		return h, rev, brokenError(h.Seq, "is not the one that the record says is the last")
	}
	return h, rev, nil
}

// readHead returns the head and its revision; an empty record has the genesis
// head and revision 0.
func readHead(ctx context.Context, store rotation.Store) (head, rotation.Rev, error) {
	kv, err := store.Get(ctx, auditHeadKey)
	if errors.Is(err, rotation.ErrNotFound) {
		return head{Hash: genesis}, 0, nil
	}
	if err != nil {
		return head{}, 0, fmt.Errorf("read audit head: %w", err)
	}
	var h head
	if err := json.Unmarshal(kv.Value, &h); err != nil || h.Seq == 0 || len(h.Hash) != len(genesis) {
		return head{}, 0, brokenError(0, "that marks the end makes no sense")
	}
	return h, kv.Rev, nil
}

func rowKey(seq uint64) string { return fmt.Sprintf("%s%016d", auditPrefix, seq) }

// encodeRow returns the stored form of row and its hash.
func encodeRow(seq uint64, prev string, row rotation.Row) (stored []byte, hash string, err error) {
	if row.At.IsZero() || row.Actor == "" || row.Action == "" {
		return nil, "", &fault.Error{
			Kind: fault.Internal, Reason: "audit_row_incomplete", Op: "state.Extend",
			Err: fmt.Errorf("row %q of %q lacks time, actor or action", row.Action, row.Actor),
		}
	}
	body, err := json.Marshal(line{
		Seq: seq, Time: row.At.UTC().Format(time.RFC3339Nano), Rotation: row.Rotation, KeySet: row.KeySet,
		Step: row.Step, Actor: row.Actor, Slack: row.Slack, Action: row.Action, Context: row.Context, Prev: prev,
	})
	if err != nil {
		return nil, "", fmt.Errorf("encode audit row %q: %w", row.Action, err)
	}
	hash = hashLine([]byte(prev), body)
	return fmt.Appendf(body[:len(body)-1], hashField+"%s"+hashEnd, hash), hash, nil
}

// Around the hash in a stored row.
const (
	hashField = `,"hash":"`
	hashEnd   = `"}`
	prevField = `,"prev":"`
)

func hashLine(prev, body []byte) string {
	h := sha256.New()
	_, _ = io.WriteString(h, hashDomain)
	_, _ = h.Write(prev)
	_, _ = h.Write([]byte{0})
	_, _ = h.Write(body)
	return hex.EncodeToString(h.Sum(nil))
}

// split takes a stored row apart. The line is in memory of its own.
func split(stored []byte) (body, hash []byte, ok bool) {
	cut := len(stored) - len(hashField) - len(genesis) - len(hashEnd)
	if cut < 0 || !bytes.HasPrefix(stored[cut:], []byte(hashField)) || !bytes.HasSuffix(stored, []byte(hashEnd)) {
		return nil, nil, false
	}
	body = append(bytes.Clone(stored[:cut]), '}')
	return body, stored[cut+len(hashField) : len(stored)-len(hashEnd)], true
}

// prevOf returns what the line continues.
func prevOf(body []byte) ([]byte, bool) {
	cut := len(body) - len(prevField) - len(genesis) - len(hashEnd)
	if cut < 0 || !bytes.HasPrefix(body[cut:], []byte(prevField)) || !bytes.HasSuffix(body, []byte(hashEnd)) {
		return nil, false
	}
	return body[cut+len(prevField) : len(body)-len(hashEnd)], true
}

// An Entry is one row as it was read from the record.
type Entry struct {
	Seq  uint64
	Row  rotation.Row
	Prev string // hash of the row before, lower-case hex; zeros for the first
	Hash string
}

// Rows returns the rows of rotation id in order; an empty id means all rows. It
// does not check the chain: see [Verify].
func Rows(ctx context.Context, store rotation.Store, id rotation.ID) ([]Entry, error) {
	var found []Entry
	err := eachRow(ctx, store, "", func(_ string, stored []byte) error {
		e, err := entryOf(stored)
		if err != nil {
			return err
		}
		if id == "" || e.Row.Rotation == id {
			found = append(found, e)
		}
		return nil
	})
	return found, err
}

// entryOf decodes a stored row.
func entryOf(stored []byte) (Entry, error) {
	body, hash, ok := split(stored)
	var l line
	if !ok || json.Unmarshal(body, &l) != nil {
		return Entry{}, brokenError(0, "cannot be read; run: bot audit verify")
	}
	at, err := time.Parse(time.RFC3339Nano, l.Time)
	if err != nil {
		return Entry{}, brokenError(l.Seq, "has no time")
	}
	return Entry{Seq: l.Seq, Prev: l.Prev, Hash: string(hash), Row: rotation.Row{
		At: at, Rotation: l.Rotation, KeySet: l.KeySet, Step: l.Step, Actor: l.Actor, Slack: l.Slack, Action: l.Action, Context: l.Context,
	}}, nil
}

// Export writes the record as JSON lines, one row with its hash a line, exactly
// as it is stored. [VerifyExport] checks the result.
func Export(ctx context.Context, store rotation.Store, w io.Writer) error {
	return ExportAfter(ctx, store, 0, w)
}

// ExportAfter is [Export] of the rows after the one with sequence seq.
func ExportAfter(ctx context.Context, store rotation.Store, seq uint64, w io.Writer) error {
	after := ""
	if seq > 0 {
		after = rowKey(seq)
	}
	return eachRow(ctx, store, after, func(_ string, stored []byte) error {
		if _, err := w.Write(append(stored, '\n')); err != nil {
			return fmt.Errorf("write audit export: %w", err)
		}
		return nil
	})
}

// eachRow calls f with every stored row after key, in order. f may keep what it
// is given.
func eachRow(ctx context.Context, store rotation.Store, after string, f func(key string, stored []byte) error) error {
	for {
		page, err := store.List(ctx, auditPrefix, after, auditPage)
		if err != nil {
			return fmt.Errorf("read audit rows: %w", err)
		}
		for _, kv := range page {
			after = kv.Key
			if kv.Key == auditHeadKey {
				continue
			}
			if err := f(kv.Key, kv.Value); err != nil {
				return err
			}
		}
		if len(page) < auditPage {
			return nil
		}
	}
}

// brokenError says where the audit record is broken. Sequence 0: not known.
func brokenError(seq uint64, what string) error {
	row := "A row"
	if seq != 0 {
		row = "Row " + strconv.FormatUint(seq, 10)
	}
	return &fault.Error{
		Kind: fault.Internal, Reason: "audit_broken", Op: "state.Verify", Err: fmt.Errorf("row %d %s: %w", seq, what, ErrBroken),
		User: row + " of the audit record " + what + ".",
		Fix:  "Keep a copy of the state file as evidence, compare with the last backup, and find out who could write to it.",
	}
}
