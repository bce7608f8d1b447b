package state

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// TestExtract: rows of r1 are 2, 5 and 8 of 10; those in between come with them.
func TestExtract(t *testing.T) {
	s, last := record(t, 10)
	x, err := Extract(t.Context(), s, "r1")
	if err != nil {
		t.Fatal(err)
	}
	got, err := x.Verify(nil)
	entries, decodeErr := x.Entries()
	if err != nil || decodeErr != nil || got.First != 2 || got.Last != 8 || got.Own != 3 || got.Anchored != 0 || len(entries) != 7 {
		t.Errorf("excerpt of r1 = %+v with %d rows, %v, %v; want rows 2 to 8, three of them its own", got, len(entries), err, decodeErr)
	}
	all, err := Rows(t.Context(), s, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, seq := range []uint64{1, 2, 5, 8} { // 1: by the hash that the first row continues
		anchor := Anchor{Seq: seq, Hash: all[seq-1].Hash[:12]}
		if got, err := x.Verify(&anchor); err != nil || got.Anchored != seq {
			t.Errorf("with an anchor at %d: %+v, %v, want it to agree", seq, got, err)
		}
		anchor.Hash = strings.Repeat("0", 12)
		if _, err := x.Verify(&anchor); !errors.Is(err, ErrBroken) {
			t.Errorf("with another hash at %d: %v, want broken", seq, err)
		}
	}
	if _, err := x.Verify(&last); !errors.Is(err, ErrBroken) || !strings.Contains(fault.UserText(err), "rows 2 to 8 only") {
		t.Errorf("with an anchor after it: %v, want broken: it could be cut", err)
	}
	whole, err := Extract(t.Context(), s, "r0")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := whole.Verify(&last); err != nil || got.First != 1 || got.Last != 10 || got.Anchored != 10 {
		t.Errorf("excerpt of r0 = %+v, %v, want rows 1 to 10 and the anchor", got, err)
	}
	for _, id := range []rotation.ID{"r9", ""} {
		if _, err := Extract(t.Context(), s, id); fault.KindOf(err) != fault.NotFound {
			t.Errorf("Extract(%q) = %v, want not found", id, err)
		}
	}
	set(t, s, rowKey(9), bytes.Replace(get(t, s, rowKey(9)), []byte("ada@"), []byte("eve@"), 1))
	if _, err := Extract(t.Context(), s, "r1"); !errors.Is(err, ErrBroken) {
		t.Errorf("Extract from a broken record = %v, want broken", err)
	}
}

// TestExcerptTampering: R61–R63 must hold outside the bot too.
func TestExcerptTampering(t *testing.T) {
	s, _ := record(t, 10)
	good, err := Extract(t.Context(), s, "r1")
	if err != nil {
		t.Fatal(err)
	}
	forge := func(seq uint64, prev string) []byte {
		r := row(int(seq) - 1)
		r.Actor = "mallory"
		stored, _, err := encodeRow(seq, prev, r)
		if err != nil {
			t.Fatal(err)
		}
		return stored
	}
	_, hash, _ := split(good.Lines[2])
	tests := []struct {
		name  string
		do    func(lines [][]byte) [][]byte
		words string
	}{
		{"edited", func(l [][]byte) [][]byte { l[3] = bytes.Replace(l[3], []byte("ada@"), []byte("eve@"), 1); return l }, "Row 5 of the audit record was changed"},
		{"first edited", func(l [][]byte) [][]byte { l[0] = bytes.Replace(l[0], []byte("ada@"), []byte("eve@"), 1); return l }, "Row 2 of the audit record was changed"},
		{"first moved", func(l [][]byte) [][]byte {
			l[0] = bytes.Replace(l[0], []byte(`{"seq":2,`), []byte(`{"seq":3,`), 1)
			return l
		}, "Row 3 of the audit record was changed"},
		{"edited with its hash", func(l [][]byte) [][]byte { l[3] = forge(5, string(hash)); return l }, "Row 6 of the audit record does not continue"},
		{"removed", func(l [][]byte) [][]byte { return slices.Delete(l, 3, 4) }, "Row 5 of the audit record is not in its place"},
		{"reordered", func(l [][]byte) [][]byte { l[2], l[3] = l[3], l[2]; return l }, "Row 4 of the audit record is not in its place"},
		{"first cut", func(l [][]byte) [][]byte { return l[1:] }, "Row 3 of the audit record stands at an end"},
		{"last cut", func(l [][]byte) [][]byte { return l[:len(l)-1] }, "Row 7 of the audit record stands at an end"},
		{"nonsense first", func(l [][]byte) [][]byte { l[0] = []byte("{}"); return l }, "is not an audit row"},
		{"nonsense", func(l [][]byte) [][]byte { l[1] = []byte(`"x"`); return l }, "Row 3 of the audit record is not an audit row"},
		{"nothing", func([][]byte) [][]byte { return nil }, "the evidence is empty"},
		// Whole rows of the rotation cut from an end, or all written anew: only an
		// anchor finds it.
		{"last two of it cut", func(l [][]byte) [][]byte { return l[:4] }, ""},
		{"written anew", func(l [][]byte) [][]byte {
			_, before, _ := startOf(l[0])
			for i := range l {
				l[i] = forge(uint64(i+2), before)
				_, h, _ := split(l[i])
				before = string(h)
			}
			return l
		}, ""},
	}
	all, err := Rows(t.Context(), s, "")
	if err != nil {
		t.Fatal(err)
	}
	anchor := Anchor{Seq: 8, Hash: all[7].Hash}
	for _, tt := range tests {
		x := Excerpt{Rotation: "r1", Lines: tt.do(slices.Clone(good.Lines))}
		_, err := x.Verify(nil)
		if tt.words == "" {
			if err != nil {
				t.Errorf("%s: %v, want nothing without an anchor", tt.name, err)
			}
		} else if !errors.Is(err, ErrBroken) || !strings.Contains(fault.UserText(err), tt.words) {
			t.Errorf("%s: %v (%q), want %q", tt.name, err, fault.UserText(err), tt.words)
		}
		if _, err := x.Verify(&anchor); !errors.Is(err, ErrBroken) {
			t.Errorf("%s, with an anchor: %v, want broken", tt.name, err)
		}
	}
	other := Excerpt{Rotation: "r2", Lines: good.Lines}
	if _, err := other.Verify(nil); !errors.Is(err, ErrBroken) {
		t.Errorf("evidence under another name: %v, want broken", err)
	}
}
