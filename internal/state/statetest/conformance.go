package statetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// A Maker opens the stores that [Conformance] tests. Each fails the test if it
// cannot. The suite closes what it opens.
type Maker struct {
	// Open opens the store in dir, with what an earlier one left there.
	Open func(t testing.TB, dir string) rotation.Store
	// Restore opens a store in dir, which is empty, from what Snapshot wrote.
	Restore func(t testing.TB, dir string, snapshot []byte) rotation.Store
}

// Conformance is what [rotation.Store] promises. Every implementation runs it.
func Conformance(t *testing.T, m Maker) {
	for _, tt := range []struct {
		name string
		run  func(*testing.T, Maker)
	}{
		{"records", records},
		{"bad transactions", badTransactions},
		{"list", list},
		{"R89 conflict writes nothing", conflict},
		{"values are copies", copies},
		{"ended context", endedContext},
		{"writers", writers},
		{"R83 survives a restart", restart},
		{"snapshot", snapshot},
		{"closed", closed},
		{"model", model},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, m) })
	}
}

func (m Maker) fresh(t *testing.T) rotation.Store {
	t.Helper()
	s := m.Open(t, t.TempDir())
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	})
	return s
}

func put(key, value string) rotation.Op { return rotation.Op{Key: key, Value: []byte(value)} }

func txn(t *testing.T, s rotation.Store, conds []rotation.Cond, then ...rotation.Op) rotation.Rev {
	t.Helper()
	rev, err := s.Txn(t.Context(), conds, then)
	if err != nil {
		t.Fatalf("Txn(%v, %v) = %v", conds, then, err)
	}
	return rev
}

// all returns everything in s whose key starts with prefix, as "key@rev=value".
func all(t testing.TB, s rotation.Store, prefix string) []string {
	t.Helper()
	kvs, err := s.List(t.Context(), prefix, "", 0)
	if err != nil {
		t.Fatalf("List(%q) = %v", prefix, err)
	}
	var out []string
	for _, kv := range kvs {
		out = append(out, fmt.Sprintf("%s@%d=%s", kv.Key, kv.Rev, kv.Value))
	}
	return out
}

func same(t testing.TB, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

func records(t *testing.T, m Maker) {
	s := m.fresh(t)
	if _, err := s.Get(t.Context(), "a"); !errors.Is(err, rotation.ErrNotFound) {
		t.Fatalf("Get of an absent record = %v, want ErrNotFound", err)
	}
	first := txn(t, s, []rotation.Cond{{Key: "a"}}, put("a", "1"), put("b", ""))
	if first == 0 {
		t.Error("the first revision is 0, which means absent")
	}
	same(t, "after the first", all(t, s, ""), []string{fmt.Sprintf("a@%d=1", first), fmt.Sprintf("b@%d=", first)})

	second := txn(t, s, []rotation.Cond{{Key: "a", Rev: first}, {Key: "c"}}, put("a", "2"), rotation.Op{Key: "b", Delete: true}, rotation.Op{Key: "never", Delete: true})
	if second <= first {
		t.Errorf("revision %d after %d", second, first)
	}
	same(t, "after the second", all(t, s, ""), []string{fmt.Sprintf("a@%d=2", second)})

	// A record that comes back has a new revision: an old condition must not hold.
	txn(t, s, nil, rotation.Op{Key: "a", Delete: true})
	again := txn(t, s, []rotation.Cond{{Key: "a"}}, put("a", "2"))
	if again <= second {
		t.Errorf("revision of a record made again = %d, want above %d", again, second)
	}
	if rev := txn(t, s, []rotation.Cond{{Key: "a", Rev: again}}); rev != again {
		t.Errorf("transaction that only checks = revision %d, want the last, %d", rev, again)
	}
}

func badTransactions(t *testing.T, m Maker) {
	s := m.fresh(t)
	for name, then := range map[string][]rotation.Op{
		"same key twice":   {put("a", "1"), put("b", "1"), put("a", "2")},
		"put and delete":   {put("a", "1"), {Key: "a", Delete: true}},
		"empty key":        {put("a", "1"), put("", "2")},
		"empty key delete": {put("a", "1"), {Delete: true}},
	} {
		_, err := s.Txn(t.Context(), nil, then)
		if err == nil || errors.Is(err, rotation.ErrConflict) || errors.Is(err, rotation.ErrUnknown) {
			t.Errorf("%s: Txn = %v, want an error of its own", name, err)
		}
	}
	same(t, "after bad transactions", all(t, s, ""), []string(nil))
}

func list(t *testing.T, m Maker) {
	s := m.fresh(t)
	keys := []string{"a", "a/", "a/1", "a/10", "a/2", "b/1", "ä/1"}
	var then []rotation.Op
	for _, k := range keys {
		then = append(then, put(k, k))
	}
	txn(t, s, nil, then...)
	for _, tt := range []struct {
		prefix, after string
		limit         int
		want          []string
	}{
		{"", "", 0, keys},
		{"a/", "", 0, []string{"a/", "a/1", "a/10", "a/2"}},
		{"a/", "", 2, []string{"a/", "a/1"}},
		{"a/", "a/1", 0, []string{"a/10", "a/2"}},
		{"a/", "a/1", 1, []string{"a/10"}},
		{"a/", "a/15", 0, []string{"a/2"}},
		{"a/", "a/2", 0, nil},
		{"a/", "b", 0, nil},
		{"b", "a/1", 0, []string{"b/1"}},
		{"", "b/1", 0, []string{"ä/1"}},
		{"c", "", 0, nil},
	} {
		kvs, err := s.List(t.Context(), tt.prefix, tt.after, tt.limit)
		if err != nil {
			t.Fatalf("List(%q, %q, %d) = %v", tt.prefix, tt.after, tt.limit, err)
		}
		var got []string
		for _, kv := range kvs {
			got = append(got, kv.Key)
		}
		same(t, fmt.Sprintf("List(%q, %q, %d)", tt.prefix, tt.after, tt.limit), got, tt.want)
	}
}

func conflict(t *testing.T, m Maker) {
	s := m.fresh(t)
	rev := txn(t, s, nil, put("run", "1"), put("audit/head", "7"))
	before := all(t, s, "")
	for name, conds := range map[string][]rotation.Cond{
		"old revision":       {{Key: "run", Rev: rev}, {Key: "audit/head", Rev: rev + 1}},
		"there, want absent": {{Key: "run"}},
		"absent, want there": {{Key: "none", Rev: rev}},
		"last of three":      {{Key: "run", Rev: rev}, {Key: "none"}, {Key: "audit/head"}},
	} {
		got, err := s.Txn(t.Context(), conds, []rotation.Op{put("run", "2"), put("audit/head", "8"), put("audit/8", "row"), {Key: "run/old", Delete: true}})
		if !errors.Is(err, rotation.ErrConflict) || got != 0 {
			t.Errorf("%s: Txn = %d, %v, want 0, ErrConflict", name, got, err)
		}
		same(t, name+": records", all(t, s, ""), before)
	}
	if next := txn(t, s, []rotation.Cond{{Key: "run", Rev: rev}}, put("run", "2")); next <= rev {
		t.Errorf("revision after conflicts = %d, want above %d", next, rev)
	}
}

func copies(t *testing.T, m Maker) {
	s := m.fresh(t)
	mine := []byte("value")
	txn(t, s, nil, rotation.Op{Key: "a", Value: mine})
	copy(mine, "XXXXX")
	kv, err := s.Get(t.Context(), "a")
	if err != nil || string(kv.Value) != "value" {
		t.Fatalf("Get after the caller changed its bytes = %q, %v", kv.Value, err)
	}
	copy(kv.Value, "YYYYY")
	same(t, "after a reader changed its bytes", all(t, s, ""), []string{fmt.Sprintf("a@%d=value", kv.Rev)})
}

func endedContext(t *testing.T, m Maker) {
	s := m.fresh(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, getErr := s.Get(ended, "a")
	_, listErr := s.List(ended, "", "", 0)
	_, txnErr := s.Txn(ended, nil, []rotation.Op{put("a", "1")})
	for name, err := range map[string]error{"Get": getErr, "List": listErr, "Txn": txnErr, "Snapshot": s.Snapshot(ended, &bytes.Buffer{})} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s after the context ended = %v, want context.Canceled", name, err)
		}
	}
	same(t, "after all that", all(t, s, ""), []string(nil))
}

// writers has many goroutines add to one counter by compare and swap; the
// count and the revisions show whether two of them ever won together.
func writers(t *testing.T, m Maker) {
	const people, each = 16, 8
	s := m.fresh(t)
	var (
		mu   sync.Mutex
		seen = map[rotation.Rev]bool{}
		wg   sync.WaitGroup
	)
	for p := range people {
		wg.Go(func() {
			for i := range each {
				for {
					kv, err := s.Get(t.Context(), "count")
					if err != nil && !errors.Is(err, rotation.ErrNotFound) {
						t.Errorf("Get = %v", err)
						return
					}
					rev, err := s.Txn(t.Context(), []rotation.Cond{{Key: "count", Rev: kv.Rev}},
						[]rotation.Op{{Key: "count", Value: append(kv.Value, '.')}, put(fmt.Sprintf("by/%d/%d", p, i), "1")})
					if errors.Is(err, rotation.ErrConflict) {
						continue
					}
					if err != nil {
						t.Errorf("Txn = %v", err)
						return
					}
					mu.Lock()
					if seen[rev] {
						t.Errorf("two transactions have revision %d", rev)
					}
					seen[rev] = true
					mu.Unlock()
					break
				}
			}
		})
	}
	wg.Wait()
	kv, err := s.Get(t.Context(), "count")
	if err != nil || len(kv.Value) != people*each {
		t.Errorf("count = %d, %v, want %d", len(kv.Value), err, people*each)
	}
	if got := len(all(t, s, "by/")); got != people*each {
		t.Errorf("%d records, want %d", got, people*each)
	}
}

func restart(t *testing.T, m Maker) {
	dir := t.TempDir()
	s := m.Open(t, dir)
	rev := txn(t, s, nil, put("active/prod", "r1"), put("rotation/r1", "open"))
	before := all(t, s, "")
	if err := s.Close(); err != nil {
		t.Fatalf("Close = %v", err)
	}
	s = m.Open(t, dir)
	defer func() { _ = s.Close() }()
	same(t, "after a restart", all(t, s, ""), before)
	// One open rotation per key set: the condition holds across restarts.
	if _, err := s.Txn(t.Context(), []rotation.Cond{{Key: "active/prod"}}, []rotation.Op{put("active/prod", "r2")}); !errors.Is(err, rotation.ErrConflict) {
		t.Errorf("second rotation after a restart = %v, want ErrConflict", err)
	}
	if next := txn(t, s, []rotation.Cond{{Key: "active/prod", Rev: rev}}, put("active/prod", "r1")); next <= rev {
		t.Errorf("revision after a restart = %d, want above %d", next, rev)
	}
}

func snapshot(t *testing.T, m Maker) {
	s := m.fresh(t)
	txn(t, s, nil, put("a", "1"), put("b", "2"))
	before := all(t, s, "")
	var buf bytes.Buffer
	if err := s.Snapshot(t.Context(), &buf); err != nil {
		t.Fatalf("Snapshot = %v", err)
	}
	last := txn(t, s, nil, put("a", "3"))
	copied := m.Restore(t, t.TempDir(), buf.Bytes())
	defer func() { _ = copied.Close() }()
	same(t, "restored", all(t, copied, ""), before)
	if next := txn(t, copied, nil, put("a", "4")); next != last {
		t.Errorf("next revision of the copy = %d, want %d as in the original", next, last)
	}
	if err := s.Snapshot(t.Context(), refuser{}); !errors.Is(err, errRefused) {
		t.Errorf("Snapshot to a writer that fails = %v, want its error", err)
	}
}

func closed(t *testing.T, m Maker) {
	s := m.Open(t, t.TempDir())
	txn(t, s, nil, put("a", "1"))
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Errorf("Close twice = %v", err)
	}
	_, getErr := s.Get(t.Context(), "a")
	_, txnErr := s.Txn(t.Context(), nil, []rotation.Op{put("a", "2")})
	if getErr == nil || txnErr == nil {
		t.Errorf("after Close: Get = %v, Txn = %v, want errors", getErr, txnErr)
	}
}

var errRefused = errors.New("refused")

type refuser struct{}

func (refuser) Write([]byte) (int, error) { return 0, errRefused }
