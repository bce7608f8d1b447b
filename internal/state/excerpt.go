package state

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// An Excerpt is the part of the audit record that proves one rotation: every row
// from its first to its last, those of others in between included. A row's hash
// is made of its own text and the hash before it, so that hashes alone would
// prove nothing: with the rows whole, one that was changed, removed or reordered
// inside the part is found, and an anchor at any of them covers all before it.
type Excerpt struct {
	Rotation rotation.ID
	Lines    [][]byte // as they are stored
}

// Extract checks the whole record and returns the part about a rotation. It
// returns a [*fault.Error] of kind NotFound, reason no_rotation, if the record
// has nothing about it, and an error with [ErrBroken] if the record is broken: no
// evidence is made from such a one.
func Extract(ctx context.Context, store rotation.Store, id rotation.ID) (Excerpt, error) {
	if _, err := Verify(ctx, store, nil); err != nil {
		return Excerpt{}, err
	}
	x := Excerpt{Rotation: id}
	var since [][]byte // the last row that is about it
	err := eachRow(ctx, store, "", func(_ string, stored []byte) error {
		about, err := aboutOf(stored)
		if err != nil {
			return err
		}
		switch {
		case id == "":
		case about == id:
			x.Lines = append(append(x.Lines, since...), stored)
			since = nil
		case len(x.Lines) > 0:
			since = append(since, stored)
		}
		return nil
	})
	if err == nil && len(x.Lines) == 0 {
		err = &fault.Error{
			Kind: fault.NotFound, Reason: "no_rotation", Op: "state.Extract",
			User: fmt.Sprintf("The audit record has no rotation %q.", id), Fix: "bot audit export lists every row; bot status names the open rotations.",
		}
	}
	return x, err
}

// aboutOf returns the rotation that a row is about, or "".
func aboutOf(stored []byte) (rotation.ID, error) {
	var l struct {
		Rotation rotation.ID `json:"rotation"`
	}
	if err := json.Unmarshal(stored, &l); err != nil {
		return "", brokenError(0, "cannot be read; run: bot audit verify")
	}
	return l.Rotation, nil
}

// An ExcerptReport is what [Excerpt.Verify] checked.
type ExcerptReport struct {
	First, Last uint64 // sequences
	Head        string // hash of the last row
	Own         int    // rows about the rotation
	Anchored    uint64 // sequence of the anchor that agrees; 0: none was given
}

// Verify checks that the rows continue each other without a gap, that the first
// and the last are about the rotation, and that anchor, if it is not nil, agrees.
// Without an anchor it cannot find that all of it was written anew, or that rows
// were cut from its ends. All its errors have [ErrBroken] in their chain.
func (x Excerpt) Verify(anchor *Anchor) (ExcerptReport, error) {
	var r ExcerptReport
	if len(x.Lines) == 0 {
		return r, brokenError(0, "is not there at all; the evidence is empty")
	}
	first, prev, err := startOf(x.Lines[0])
	if err != nil {
		return r, err
	}
	c := &checker{seq: first - 1, prev: prev, anchor: anchor}
	if anchor != nil && anchor.Seq == first-1 && anchor.Seq > 0 { // the row before is known by its hash
		if !strings.HasPrefix(prev, anchor.Hash) {
			return r, brokenError(anchor.Seq, "is not the one that the anchor saw; the evidence is of another record")
		}
		c.agrees = true
	}
	for i, stored := range x.Lines {
		if err := c.row(stored); err != nil {
			return r, err
		}
		about, err := aboutOf(stored)
		if err != nil {
			return r, err
		}
		if about == x.Rotation {
			r.Own++
		} else if i == 0 || i == len(x.Lines)-1 {
			return r, brokenError(c.seq, fmt.Sprintf("stands at an end of the evidence and is not about rotation %+q; rows were cut off", string(x.Rotation)))
		}
	}
	r.First, r.Last, r.Head = first, c.seq, c.prev
	if anchor == nil {
		return r, nil
	}
	if !c.agrees {
		return r, brokenError(anchor.Seq, fmt.Sprintf("is what the anchor saw, and the evidence has rows %d to %d only: it was cut, or the anchor is of another rotation", first, c.seq))
	}
	r.Anchored = anchor.Seq
	return r, nil
}

// startOf returns the sequence of a row and the hash that it continues.
func startOf(stored []byte) (seq uint64, prev string, err error) {
	body, _, ok := split(stored)
	if !ok {
		return 0, "", brokenError(0, "is not an audit row; it is the first of the evidence")
	}
	var l line
	before, ok := prevOf(body)
	if err := json.Unmarshal(body, &l); err != nil || !ok || l.Seq == 0 {
		return 0, "", brokenError(0, "is not an audit row; it is the first of the evidence")
	}
	if l.Seq == 1 {
		return 1, genesis, nil
	}
	return l.Seq, string(before), nil
}

// Entries returns the rows of the excerpt. Call Verify first.
func (x Excerpt) Entries() ([]Entry, error) {
	all := make([]Entry, 0, len(x.Lines))
	for _, stored := range x.Lines {
		e, err := entryOf(stored)
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, nil
}
