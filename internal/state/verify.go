package state

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// ErrBroken is in the chain of every error that says that the audit record is
// not what was written. Other errors of [Verify] mean that it could not look.
var ErrBroken = errors.New("audit record broken")

// anchorDigits is how much of a hash an anchor needs at least.
const anchorDigits = 12

// maxExportLine is the longest line that VerifyExport takes, in bytes.
const maxExportLine = 4 << 20

// An Anchor is what an outside witness saw of the record: each channel summary
// carries the sequence and the hash of the last row. Without one, rows that were
// cut from the end, or a record that was written anew, cannot be found.
type Anchor struct {
	Seq  uint64
	Hash string // lower-case hex, whole or its first 12 digits or more
}

// ParseAnchor reads "SEQ:HASH".
func ParseAnchor(s string) (Anchor, error) {
	number, hash, _ := strings.Cut(strings.TrimSpace(s), ":")
	hash = strings.ToLower(hash)
	seq, err := strconv.ParseUint(number, 10, 64)
	if err != nil || seq == 0 || len(hash) < anchorDigits || len(hash) > len(genesis) || strings.Trim(hash, "0123456789abcdef") != "" {
		return Anchor{}, &fault.Error{
			Kind: fault.Invalid, Reason: "bad_anchor", Op: "state.ParseAnchor",
			User: "That is not an anchor: it looks like 42:9f2c… with at least 12 digits of the hash.",
			Fix:  "Copy it from the summary in the ops channel.",
		}
	}
	return Anchor{Seq: seq, Hash: hash}, nil
}

// A Report is what was checked.
type Report struct {
	Rows     uint64 // that are intact, from the first on
	Head     string // hash of the last of them; "" if there is none
	Anchored bool   // an anchor was given and agrees
}

// Verify checks every row of the record in store: none was edited, removed,
// inserted or reordered, and if anchor is not nil, what it saw is still there.
// An error with [ErrBroken] in its chain names the first row that is not as it
// was written; the report then covers the rows before it. Verify may run beside
// a writer.
func Verify(ctx context.Context, store rotation.Store, anchor *Anchor) (Report, error) {
	c := newChecker(anchor)
	after := ""
	for promised := uint64(0); ; { // rows that were there before they were read
		err := eachRow(ctx, store, after, func(key string, stored []byte) error {
			after = key
			if want := rowKey(c.seq + 1); key != want {
				return brokenError(c.seq+1, "is missing")
			}
			return c.row(stored)
		})
		if err != nil {
			return c.report(), err
		}
		h, _, err := readHead(ctx, store) // after the rows: it can only be newer
		switch {
		case err != nil:
			return c.report(), err
		case h.Seq > c.seq && promised <= c.seq:
			promised = h.Seq // appended meanwhile
			continue
		case h.Seq > c.seq:
			return c.report(), brokenError(c.seq+1, "is missing at the end")
		case h.Seq < c.seq:
			return c.report(), brokenError(h.Seq+1, "comes after the end of the record")
		case h.Hash != c.prev:
			return c.report(), brokenError(c.seq, "is not the one that the record says is the last")
		}
		err = c.end()
		return c.report(), err
	}
}

// VerifyExport checks what [Export] wrote, as [Verify] does. A record that was
// cut at the end can only be found with an anchor.
func VerifyExport(r io.Reader, anchor *Anchor) (Report, error) {
	c := newChecker(anchor)
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxExportLine)
	for lines.Scan() {
		if err := c.row(lines.Bytes()); err != nil {
			return c.report(), err
		}
	}
	if err := lines.Err(); err != nil {
		return c.report(), fmt.Errorf("read audit export: %w", err)
	}
	err := c.end()
	return c.report(), err
}

// A checker follows the chain row by row.
type checker struct {
	seq    uint64 // of the last good row
	prev   string // its hash
	anchor *Anchor
	agrees bool
}

func newChecker(anchor *Anchor) *checker { return &checker{prev: genesis, anchor: anchor} }

func (c *checker) report() Report {
	r := Report{Rows: c.seq, Anchored: c.agrees}
	if c.seq > 0 {
		r.Head = c.prev
	}
	return r
}

// row checks the next stored row.
func (c *checker) row(stored []byte) error {
	seq := c.seq + 1
	body, hash, ok := split(stored)
	if !ok {
		return brokenError(seq, "is not an audit row")
	}
	prev, ok := prevOf(body)
	switch {
	case !ok || hashLine(prev, body) != string(hash):
		return brokenError(seq, "was changed after it was written")
	case !bytes.HasPrefix(body, fmt.Appendf(nil, `{"seq":%d,`, seq)):
		return brokenError(seq, "is not in its place; rows were removed or reordered")
	case string(prev) != c.prev:
		return brokenError(seq, "does not continue the row before it; one of the two was replaced")
	}
	c.seq, c.prev = seq, string(hash)
	if a := c.anchor; a != nil && a.Seq == seq {
		if !strings.HasPrefix(c.prev, a.Hash) {
			return brokenError(seq, "is not the one that the anchor saw; the record was written anew")
		}
		c.agrees = true
	}
	return nil
}

// end checks that the record reaches the anchor.
func (c *checker) end() error {
	if c.anchor == nil || c.agrees {
		return nil
	}
	return brokenError(c.anchor.Seq, fmt.Sprintf("was seen by the anchor and is gone; the record ends at row %d", c.seq))
}
