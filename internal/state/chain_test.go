package state

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
	"github.com/raxx-app/keyturn/internal/state/statetest"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 123456789, time.UTC)

func row(i int) rotation.Row {
	return rotation.Row{
		At: noon.Add(time.Duration(i) * time.Second), Rotation: rotation.ID(fmt.Sprintf("r%d", i%3)), KeySet: "prod",
		Step: rotation.StepStore, Actor: "ada@raxx.app", Slack: "U0ADA", Action: "secret.rotate.step",
		Context: map[string]any{"state": "done", "<n>": float64(i), "a": "b & \"c\""},
	}
}

// appendRows appends rows one commit each.
func appendRows(t testing.TB, s rotation.Store, rows ...rotation.Row) rotation.Extension {
	t.Helper()
	var ext rotation.Extension
	for _, r := range rows {
		var err error
		if ext, err = NewChain(s).Extend(t.Context(), []rotation.Row{r}); err != nil {
			t.Fatalf("Extend = %v", err)
		}
		if _, err = s.Txn(t.Context(), ext.If, ext.Then); err != nil {
			t.Fatalf("Txn = %v", err)
		}
	}
	return ext
}

// record returns a store with n rows, and the last one's sequence and hash.
func record(t testing.TB, n int) (*Store, Anchor) {
	t.Helper()
	s := open(t, t.TempDir())
	var rows []rotation.Row
	for i := range n {
		rows = append(rows, row(i))
	}
	ext := appendRows(t, s, rows...)
	return s, Anchor{Seq: ext.Seq, Hash: ext.Head}
}

func TestChain(t *testing.T) {
	s, last := record(t, 5)
	two, err := NewChain(s).Extend(t.Context(), []rotation.Row{row(5), row(6)})
	if err != nil {
		t.Fatal(err)
	}
	if two.Seq != 7 || len(two.Head) != 64 {
		t.Fatalf("Extend by two = seq %d, head %q", two.Seq, two.Head)
	}
	if _, err := s.Txn(t.Context(), two.If, two.Then); err != nil {
		t.Fatal(err)
	}
	for _, anchor := range []*Anchor{nil, {Seq: 7, Hash: two.Head}, {Seq: 7, Hash: two.Head[:12]}, &last} {
		got, err := Verify(t.Context(), s, anchor)
		if want := (Report{Rows: 7, Head: two.Head, Anchored: anchor != nil}); err != nil || got != want {
			t.Errorf("Verify(%v) = %+v, %v, want %+v", anchor, got, err, want)
		}
	}
	all, err := Rows(t.Context(), s, "")
	if err != nil || len(all) != 7 {
		t.Fatalf("Rows = %d, %v, want 7", len(all), err)
	}
	for i, e := range all {
		if diff := cmp.Diff(row(i), e.Row); diff != "" || e.Seq != uint64(i+1) {
			t.Errorf("row %d (-want +got):\n%s", e.Seq, diff)
		}
	}
	one, err := Rows(t.Context(), s, "r1")
	if err != nil || len(one) != 2 || one[0].Seq != 2 || one[1].Seq != 5 {
		t.Errorf("Rows of r1 = %v, %v, want rows 2 and 5", one, err)
	}
	empty := open(t, t.TempDir())
	if got, err := Verify(t.Context(), empty, nil); err != nil || got != (Report{}) {
		t.Errorf("Verify of nothing = %+v, %v", got, err)
	}
}

// TestChainForm pins what is hashed: an auditor may write the check anew.
func TestChainForm(t *testing.T) {
	s, _ := record(t, 1)
	kv, err := s.Get(t.Context(), "audit/0000000000000001")
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"seq":1,"time":"2026-11-22T12:00:00.123456789Z","rotation":"r0","keyset":"prod","step":"store","actor":"ada@raxx.app","slack":"U0ADA",` +
		`"action":"secret.rotate.step","context":{"\u003cn\u003e":0,"a":"b \u0026 \"c\"","state":"done"},"prev":"0000000000000000000000000000000000000000000000000000000000000000",` +
		`"hash":"22dceb9ffb272c879a4e8ece6a3fe18528fb6325f63fff6baeb077787f87779a"}`
	if string(kv.Value) != want {
		t.Errorf("stored row = %s\nwant %s", kv.Value, want)
	}
}

// TestR89ExtendTwice: of two that extend the same end only one is written, with
// everything that was to be written beside its row.
func TestR89ExtendTwice(t *testing.T) {
	s, _ := record(t, 3)
	c := NewChain(s)
	var exts [2]rotation.Extension
	for i := range exts {
		var err error
		if exts[i], err = c.Extend(t.Context(), []rotation.Row{row(10 + i)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Txn(t.Context(), exts[0].If, append(exts[0].Then, rotation.Op{Key: "step", Value: []byte("first")})); err != nil {
		t.Fatal(err)
	}
	before := dump(t, s)
	if _, err := s.Txn(t.Context(), exts[1].If, append(exts[1].Then, rotation.Op{Key: "step", Value: []byte("second")})); !errors.Is(err, rotation.ErrConflict) {
		t.Fatalf("second = %v, want ErrConflict", err)
	}
	if got := dump(t, s); got != before {
		t.Errorf("a refused row wrote something:\n%s\nwant\n%s", got, before)
	}
}

func TestR89ManyWriters(t *testing.T) {
	const people, each = 8, 10
	s := open(t, t.TempDir())
	flaky := statetest.NewFlaky(s)
	flaky.Next(statetest.Conflict, statetest.Pass, statetest.Conflict)
	var wg sync.WaitGroup
	for p := range people {
		wg.Go(func() {
			for i := 0; i < each; {
				ext, err := NewChain(flaky).Extend(t.Context(), []rotation.Row{row(p*each + i)})
				if err != nil {
					t.Errorf("Extend = %v", err)
					return
				}
				_, err = flaky.Txn(t.Context(), ext.If, ext.Then)
				switch {
				case err == nil:
					i++
				case !errors.Is(err, rotation.ErrConflict):
					t.Errorf("Txn = %v", err)
					return
				}
			}
		})
	}
	for range 5 { // beside the writers
		if _, err := Verify(t.Context(), s, nil); err != nil {
			t.Errorf("Verify beside writers = %v", err)
		}
	}
	wg.Wait()
	if got, err := Verify(t.Context(), s, nil); err != nil || got.Rows != people*each {
		t.Errorf("Verify = %+v, %v, want %d rows", got, err, people*each)
	}
	all, err := Rows(t.Context(), s, "")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[time.Time]bool{}
	for _, e := range all {
		seen[e.Row.At] = true
	}
	if len(seen) != people*each {
		t.Errorf("%d different rows, want %d", len(seen), people*each)
	}
}

func TestR89ExtendRefuses(t *testing.T) {
	s, _ := record(t, 2)
	before := dump(t, s)
	for name, change := range map[string]func(*rotation.Row){
		"no time":   func(r *rotation.Row) { r.At = time.Time{} },
		"no actor":  func(r *rotation.Row) { r.Actor = "" },
		"no action": func(r *rotation.Row) { r.Action = "" },
		"a secret":  func(r *rotation.Row) { r.Context = map[string]any{"pair": secret.New("hunter2")} },
		"a pair":    func(r *rotation.Row) { r.Context = map[string]any{"pair": rotation.Pair{KeyID: secret.New("hunter2")}} },
	} {
		bad := row(3)
		change(&bad)
		ext, err := NewChain(s).Extend(t.Context(), []rotation.Row{row(2), bad})
		if err == nil || len(ext.Then) != 0 || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: Extend = %v, %v, want nothing and an error", name, ext, err)
		}
	}
	if got := dump(t, s); got != before {
		t.Errorf("Extend wrote something:\n%s", got)
	}
}

// TestR89ExtendOnBrokenRecord: no row can be appended, so no step can run.
func TestR89ExtendOnBrokenRecord(t *testing.T) {
	for name, do := range map[string]func(*Store){
		"last row gone":     func(s *Store) { drop(t, s, 10) },
		"last row replaced": func(s *Store) { rewrite(t, s, 10, 10) },
		"head nonsense":     func(s *Store) { set(t, s, auditHeadKey, []byte(`{"seq":10}`)) },
	} {
		s, _ := record(t, 10)
		do(s)
		if ext, err := NewChain(s).Extend(t.Context(), []rotation.Row{row(1)}); !errors.Is(err, ErrBroken) {
			t.Errorf("%s: Extend = %v, %v, want ErrBroken", name, ext, err)
		}
	}
	// A head that was set back must not have rows overwritten.
	s, _ := record(t, 10)
	setHead(t, s, 8)
	ext, err := NewChain(s).Extend(t.Context(), []rotation.Row{row(1)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Txn(t.Context(), ext.If, ext.Then); !errors.Is(err, rotation.ErrConflict) {
		t.Errorf("append after a head that was set back = %v, want ErrConflict", err)
	}
}
