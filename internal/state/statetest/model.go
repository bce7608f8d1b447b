package statetest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// A world is the store beside a map that must always say the same.
type world struct {
	t     testing.TB // of the suite, for the Maker
	m     Maker
	dir   string
	store rotation.Store

	want map[string]rotation.KV
	last rotation.Rev
}

// model runs random transactions, reads, restarts and restores against a map.
func model(t *testing.T, m Maker) {
	rapid.Check(t, func(rt *rapid.T) {
		dir := t.TempDir() // a new one for each history
		w := &world{t: t, m: m, dir: dir, store: m.Open(t, dir), want: map[string]rotation.KV{}}
		defer func() { _ = w.store.Close() }()
		rt.Repeat(map[string]func(*rapid.T){
			"txn":     w.txn,
			"list":    w.list,
			"restart": w.restart,
			"restore": w.restore,
			"":        w.check,
		})
	})
}

var someKey = rapid.SampledFrom([]string{"a", "a/1", "a/2", "b", "rotation/1", "audit/0000000000000001", "audit/head", "z"})

func (w *world) txn(t *rapid.T) {
	conds := rapid.SliceOfN(rapid.Custom(w.cond), 0, 3).Draw(t, "conds")
	then := rapid.SliceOfNDistinct(rapid.Custom(drawOp), 0, 4, func(o rotation.Op) string { return o.Key }).Draw(t, "then")
	hold := !slices.ContainsFunc(conds, func(c rotation.Cond) bool { return w.want[c.Key].Rev != c.Rev })
	rev, err := w.store.Txn(w.t.Context(), conds, then)
	if !hold {
		if !errors.Is(err, rotation.ErrConflict) {
			t.Fatalf("Txn(%v, %v) = %v, want ErrConflict", conds, then, err)
		}
		return
	}
	if err != nil {
		t.Fatalf("Txn(%v, %v) = %v", conds, then, err)
	}
	if len(then) == 0 {
		if rev != w.last {
			t.Fatalf("empty Txn = revision %d, want %d", rev, w.last)
		}
		return
	}
	if rev <= w.last {
		t.Fatalf("Txn = revision %d after %d", rev, w.last)
	}
	w.last = rev
	for _, o := range then {
		if o.Delete {
			delete(w.want, o.Key)
		} else {
			w.want[o.Key] = rotation.KV{Key: o.Key, Value: o.Value, Rev: rev}
		}
	}
}

// cond draws a condition that mostly holds.
func (w *world) cond(t *rapid.T) rotation.Cond {
	key := someKey.Draw(t, "key")
	if rapid.IntRange(0, 5).Draw(t, "wrong") == 0 {
		return rotation.Cond{Key: key, Rev: rotation.Rev(rapid.Uint64Range(0, uint64(w.last)+1).Draw(t, "rev"))}
	}
	return rotation.Cond{Key: key, Rev: w.want[key].Rev}
}

func drawOp(t *rapid.T) rotation.Op {
	key := someKey.Draw(t, "key")
	if rapid.IntRange(0, 3).Draw(t, "delete") == 0 {
		return rotation.Op{Key: key, Delete: true}
	}
	size := rapid.SampledFrom([]int{0, 1, 20, 400, 5000}).Draw(t, "size") // the last needs more than a page
	return rotation.Op{Key: key, Value: bytes.Repeat([]byte{rapid.Byte().Draw(t, "byte")}, size)}
}

func (w *world) list(t *rapid.T) {
	prefix := rapid.SampledFrom([]string{"", "a", "a/", "audit/", "zz"}).Draw(t, "prefix")
	after := rapid.SampledFrom([]string{"", "a", "a/1", "audit/5", "zz"}).Draw(t, "after")
	limit := rapid.IntRange(0, 3).Draw(t, "limit")
	got, err := w.store.List(w.t.Context(), prefix, after, limit)
	if err != nil {
		t.Fatalf("List = %v", err)
	}
	var want []rotation.KV
	for _, key := range slices.Sorted(maps.Keys(w.want)) {
		if strings.HasPrefix(key, prefix) && (after == "" || key > after) && (limit == 0 || len(want) < limit) {
			want = append(want, w.want[key])
		}
	}
	sameKVs(t, fmt.Sprintf("List(%q, %q, %d)", prefix, after, limit), got, want)
}

func (w *world) restart(t *rapid.T) {
	if err := w.store.Close(); err != nil {
		t.Fatalf("Close = %v", err)
	}
	w.store = w.m.Open(w.t, w.dir)
}

// restore goes on with a copy of the store.
func (w *world) restore(t *rapid.T) {
	var buf bytes.Buffer
	if err := w.store.Snapshot(w.t.Context(), &buf); err != nil {
		t.Fatalf("Snapshot = %v", err)
	}
	if err := w.store.Close(); err != nil {
		t.Fatalf("Close = %v", err)
	}
	dir, err := os.MkdirTemp(w.dir, "copy")
	if err != nil {
		t.Fatal(err)
	}
	w.dir, w.store = dir, w.m.Restore(w.t, dir, buf.Bytes())
}

// check compares everything, key by key and as a list.
func (w *world) check(t *rapid.T) {
	got, err := w.store.List(w.t.Context(), "", "", 0)
	if err != nil {
		t.Fatalf("List = %v", err)
	}
	var want []rotation.KV
	for _, key := range slices.Sorted(maps.Keys(w.want)) {
		want = append(want, w.want[key])
		one, err := w.store.Get(w.t.Context(), key)
		if err != nil {
			t.Fatalf("Get(%q) = %v", key, err)
		}
		sameKVs(t, "Get", []rotation.KV{one}, []rotation.KV{w.want[key]})
	}
	sameKVs(t, "all records", got, want)
}

func sameKVs(t *rapid.T, what string, got, want []rotation.KV) {
	t.Helper()
	if !slices.EqualFunc(got, want, func(a, b rotation.KV) bool {
		return a.Key == b.Key && a.Rev == b.Rev && bytes.Equal(a.Value, b.Value)
	}) {
		t.Fatalf("%s = %v, want %v", what, got, want)
	}
}
