package state

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// A tamper is something that somebody with the file can do to the record.
type tamper struct {
	name  string
	do    func(t *testing.T, s *Store)
	words string // of the finding; "" means that only an anchor finds it
	rows  uint64 // intact before it
	// anchored is the finding with an anchor at row 10, if there is none without.
	anchored string
}

func get(t *testing.T, s *Store, key string) []byte {
	t.Helper()
	kv, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return kv.Value
}

func set(t *testing.T, s *Store, key string, value []byte) {
	t.Helper()
	mustTxn(t, s, rotation.Op{Key: key, Value: value})
}

func drop(t *testing.T, s *Store, seqs ...uint64) {
	t.Helper()
	for _, seq := range seqs {
		mustTxn(t, s, rotation.Op{Key: rowKey(seq), Delete: true})
	}
}

// setHead makes row seq the last.
func setHead(t *testing.T, s *Store, seq uint64) {
	t.Helper()
	_, hash, _ := split(get(t, s, rowKey(seq)))
	set(t, s, auditHeadKey, fmt.Appendf(nil, `{"seq":%d,"hash":"%s"}`, seq, hash))
}

// rewrite writes rows from seq on anew, all hashes right, with another actor.
func rewrite(t *testing.T, s *Store, seq, to uint64) {
	t.Helper()
	all, err := Rows(t.Context(), s, "")
	if err != nil {
		t.Fatal(err)
	}
	prev := all[seq-1].Prev
	for _, e := range all[seq-1 : to] {
		e.Row.Actor = "mallory"
		stored, hash, err := encodeRow(e.Seq, prev, e.Row)
		if err != nil {
			t.Fatal(err)
		}
		set(t, s, rowKey(e.Seq), stored)
		prev = hash
	}
}

var tampers = []tamper{
	{name: "edited", words: "Row 4 of the audit record was changed", rows: 3, do: func(t *testing.T, s *Store) {
		set(t, s, rowKey(4), bytes.Replace(get(t, s, rowKey(4)), []byte("ada@"), []byte("bob@"), 1))
	}},
	{name: "hash edited", words: "Row 4 of the audit record was changed", rows: 3, do: func(t *testing.T, s *Store) {
		v := get(t, s, rowKey(4))
		v[len(v)-3] ^= 1
		set(t, s, rowKey(4), v)
	}},
	{name: "edited with its hash", words: "Row 5 of the audit record does not continue", rows: 4, do: func(t *testing.T, s *Store) { rewrite(t, s, 4, 4) }},
	{name: "first edited with its hash", words: "Row 2 of the audit record does not continue", rows: 1, do: func(t *testing.T, s *Store) { rewrite(t, s, 1, 1) }},
	{name: "last edited with its hash", words: "Row 10 of the audit record is not the one", rows: 10, do: func(t *testing.T, s *Store) { rewrite(t, s, 10, 10) }},
	{name: "removed", words: "Row 4 of the audit record is missing", rows: 3, do: func(t *testing.T, s *Store) { drop(t, s, 4) }},
	{name: "first removed", words: "Row 1 of the audit record is missing", rows: 0, do: func(t *testing.T, s *Store) { drop(t, s, 1) }},
	{name: "removed, rest moved up", words: "Row 4 of the audit record is not in its place", rows: 3, do: func(t *testing.T, s *Store) {
		for seq := uint64(4); seq < 10; seq++ {
			set(t, s, rowKey(seq), get(t, s, rowKey(seq+1)))
		}
		drop(t, s, 10)
		setHead(t, s, 9)
	}},
	{name: "reordered", words: "Row 4 of the audit record is not in its place", rows: 3, do: func(t *testing.T, s *Store) {
		four, five := get(t, s, rowKey(4)), get(t, s, rowKey(5))
		set(t, s, rowKey(4), five)
		set(t, s, rowKey(5), four)
	}},
	{name: "inserted", words: "Row 4 of the audit record is missing", rows: 3, do: func(t *testing.T, s *Store) {
		set(t, s, "audit/0000000000000003x", get(t, s, rowKey(3)))
	}},
	{name: "nonsense", words: "Row 4 of the audit record is not an audit row", rows: 3, do: func(t *testing.T, s *Store) { set(t, s, rowKey(4), []byte("{}")) }},
	{name: "appended past the head", words: "Row 11 of the audit record comes after the end", rows: 11, do: func(t *testing.T, s *Store) {
		old := get(t, s, auditHeadKey)
		appendRows(t, s, row(11))
		set(t, s, auditHeadKey, old)
	}},
	{name: "head removed", words: "Row 1 of the audit record comes after the end", rows: 10, do: func(t *testing.T, s *Store) {
		mustTxn(t, s, rotation.Op{Key: auditHeadKey, Delete: true})
	}},
	{name: "head is nonsense", words: "marks the end", rows: 10, do: func(t *testing.T, s *Store) { set(t, s, auditHeadKey, []byte("{}")) }},
	{name: "tail cut, head left", words: "Row 9 of the audit record is missing", rows: 8, do: func(t *testing.T, s *Store) { drop(t, s, 9, 10) }},
	{name: "tail cut", anchored: "Row 10 of the audit record was seen by the anchor", do: func(t *testing.T, s *Store) {
		drop(t, s, 9, 10)
		setHead(t, s, 8)
	}},
	{name: "everything removed", anchored: "Row 10 of the audit record was seen by the anchor", do: func(t *testing.T, s *Store) {
		drop(t, s, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
		mustTxn(t, s, rotation.Op{Key: auditHeadKey, Delete: true})
	}},
	{name: "written anew", anchored: "Row 10 of the audit record is not the one that the anchor saw", do: func(t *testing.T, s *Store) {
		rewrite(t, s, 1, 10)
		setHead(t, s, 10)
	}},
}

func TestR89Tampering(t *testing.T) {
	for _, tt := range tampers {
		t.Run(tt.name, func(t *testing.T) {
			s, last := record(t, 10)
			if _, err := Verify(t.Context(), s, &last); err != nil {
				t.Fatalf("before: %v", err)
			}
			tt.do(t, s)
			got, err := Verify(t.Context(), s, nil)
			if tt.words == "" {
				if err != nil {
					t.Errorf("without an anchor: %v, want nothing: the chain alone cannot see it", err)
				}
				_, err = Verify(t.Context(), s, &last)
				finding(t, "with an anchor", err, tt.anchored)
				return
			}
			finding(t, "without an anchor", err, tt.words)
			if got.Rows != tt.rows {
				t.Errorf("intact rows = %d, want %d", got.Rows, tt.rows)
			}
		})
	}
}

func finding(t *testing.T, what string, err error, words string) {
	t.Helper()
	if !errors.Is(err, ErrBroken) || fault.ReasonOf(err) != "audit_broken" || !strings.Contains(fault.UserText(err), words) {
		t.Errorf("%s: %v (%q), want ErrBroken, %q", what, err, fault.UserText(err), words)
	}
}

// A racer appends a row just before Verify reads the head for the first time.
type racer struct {
	rotation.Store
	t    *testing.T
	once sync.Once
}

func (r *racer) Get(ctx context.Context, key string) (rotation.KV, error) {
	if key == auditHeadKey {
		r.once.Do(func() { appendRows(r.t, r.Store, row(1)) })
	}
	return r.Store.Get(ctx, key)
}

func TestVerifyBesideAWriter(t *testing.T) {
	for _, n := range []int{0, 3} {
		s := open(t, t.TempDir())
		for i := range n {
			appendRows(t, s, row(i))
		}
		got, err := Verify(t.Context(), &racer{Store: s, t: t}, nil)
		if err != nil || got.Rows != uint64(n+1) {
			t.Errorf("Verify of %d rows and one that came meanwhile = %+v, %v", n, got, err)
		}
	}
}

func TestExport(t *testing.T) {
	s, last := record(t, 10)
	var out bytes.Buffer
	if err := Export(t.Context(), s, &out); err != nil {
		t.Fatal(err)
	}
	lines := slices.Collect(bytes.Lines(out.Bytes()))
	if len(lines) != 10 {
		t.Fatalf("%d lines, want 10", len(lines))
	}
	for i, l := range lines {
		var row struct {
			Seq    int
			Action string
			Hash   string
		}
		if err := json.Unmarshal(l, &row); err != nil || row.Seq != i+1 || row.Action == "" || len(row.Hash) != 64 {
			t.Errorf("line %d = %s (%v)", i+1, l, err)
		}
	}
	if got, err := VerifyExport(&out, &last); err != nil || got != (Report{Rows: 10, Head: last.Hash, Anchored: true}) {
		t.Errorf("VerifyExport = %+v, %v", got, err)
	}
	without := slices.Concat(slices.Clone(lines[:3]), lines[4:])
	_, err := VerifyExport(bytes.NewReader(bytes.Join(without, nil)), nil)
	finding(t, "line removed", err, "Row 4 of the audit record is not in its place")
	cut := bytes.Join(lines[:8], nil)
	if _, err := VerifyExport(bytes.NewReader(cut), nil); err != nil {
		t.Errorf("cut export without an anchor = %v, want nothing", err)
	}
	_, err = VerifyExport(bytes.NewReader(cut), &last)
	finding(t, "cut export", err, "seen by the anchor and is gone; the record ends at row 8")
}

func TestParseAnchor(t *testing.T) {
	full := strings.Repeat("9f", 32)
	for in, want := range map[string]Anchor{
		"42:" + full:           {42, full},
		" 42:9F9f9f9f9f9f \n":  {42, "9f9f9f9f9f9f"},
		"42:9f9f9f9f9f9":       {},
		"0:9f9f9f9f9f9f":       {},
		"-1:9f9f9f9f9f9f":      {},
		"42":                   {},
		"":                     {},
		"42:" + full + "0":     {},
		"42:not-hex-not-hex":   {},
		"42:9f9f9f9f9f9f:more": {},
	} {
		got, err := ParseAnchor(in)
		if got != want || (err != nil) != (want == Anchor{}) {
			t.Errorf("ParseAnchor(%q) = %v, %v, want %v", in, got, err, want)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	const rows, at = 100_000, 1000
	s := open(b, b.TempDir())
	for i := 0; i < rows; i += at {
		var some []rotation.Row
		for j := range at {
			some = append(some, row(i+j))
		}
		ext, err := NewChain(s).Extend(b.Context(), some)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := s.Txn(b.Context(), ext.If, ext.Then); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if got, err := Verify(b.Context(), s, nil); err != nil || got.Rows != rows {
			b.Fatalf("Verify = %+v, %v", got, err)
		}
	}
	b.ReportMetric(rows, "rows/op")
}
