package state

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// open opens the state in dir and closes it when t ends.
func open(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(t.Context(), Config{Path: filepath.Join(dir, "keyturn.db")})
	if err != nil {
		t.Fatalf("Open = %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func mustTxn(t testing.TB, s rotation.Store, then ...rotation.Op) rotation.Rev {
	t.Helper()
	rev, err := s.Txn(t.Context(), nil, then)
	if err != nil {
		t.Fatalf("Txn = %v", err)
	}
	return rev
}

func mode(t *testing.T, path string) os.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

// refusal checks an error of Open that a person has to act on.
func refusal(t *testing.T, what string, err error, reason string, words ...string) {
	t.Helper()
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.Reason != reason {
		t.Fatalf("%s: error = %v, want a fault with reason %s", what, err, reason)
	}
	for _, w := range words {
		if !strings.Contains(f.User+" "+f.Fix, w) {
			t.Errorf("%s: text %q, fix %q: want %q in it", what, f.User, f.Fix, w)
		}
	}
	if f.User == "" || f.Fix == "" {
		t.Errorf("%s: text %q, fix %q: a person needs both", what, f.User, f.Fix)
	}
}

func TestR82FileIsPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "deep")
	s := open(t, dir)
	path := filepath.Join(dir, "keyturn.db")
	for p, want := range map[string]os.FileMode{path: 0o600, path + ".pid": 0o600, dir: 0o700, filepath.Dir(dir): 0o700} {
		if got := mode(t, p); got != want {
			t.Errorf("mode of %s = %04o, want %04o", p, got, want)
		}
	}
	if s.db.NoSync || s.db.NoGrowSync || s.db.NoFreelistSync {
		t.Error("the file is not synced at every commit")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path + ".pid"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("pid file after Close: %v, want none", err)
	}
	for _, m := range []os.FileMode{0o640, 0o604, 0o660, 0o620} {
		if err := os.Chmod(path, m); err != nil {
			t.Fatal(err)
		}
		_, err := Open(t.Context(), Config{Path: path})
		refusal(t, fmt.Sprintf("mode %04o", m), err, "state_readable", fmt.Sprintf("%04o", m), "chmod 600 "+path)
	}
}

func TestSecondProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyturn.db")
	says, cmd, stdin := spawn(t, "hold", path)
	if says != "held" {
		t.Fatalf("child says %q", says)
	}
	pid := strconv.Itoa(cmd.Process.Pid)
	for _, readOnly := range []bool{false, true} {
		_, err := Open(t.Context(), Config{Path: path, ReadOnly: readOnly})
		refusal(t, "while another process has it", err, "state_locked", "pid "+pid, path, "only one process")
	}
	if got := Holder(path); got != cmd.Process.Pid {
		t.Errorf("Holder = %d, want %s", got, pid)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	_ = stdin.Close()
	if got := Holder(path); got != 0 {
		t.Errorf("Holder after a kill = %d, want 0", got)
	}
	open(t, filepath.Dir(path)) // the lock dies with the process
}

func TestR83KilledAfterCommit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyturn.db")
	says, cmd, _ := spawn(t, "commit", path)
	if says != "1 <nil>" {
		t.Fatalf("child says %q", says)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	kv, err := open(t, filepath.Dir(path)).Get(t.Context(), "sealed/r1")
	if err != nil || string(kv.Value) != "blob" || kv.Rev != 1 {
		t.Errorf("after SIGKILL: %q at %d, %v; want the record that Txn promised", kv.Value, kv.Rev, err)
	}
}

func TestR89DiskFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyturn.db")
	says, cmd, _ := spawn(t, "full", path)
	_ = cmd.Wait()
	if want := "state_unwritten whole=true again=<nil>"; says != want {
		t.Errorf("on a full disk: %q, want %q", says, want)
	}
	open(t, filepath.Dir(path))
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	newer := filepath.Join(dir, "newer", "keyturn.db")
	s := open(t, filepath.Dir(newer))
	if err := s.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(aboutBucket).Put(formatKey, []byte("7")) }); err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	foreign := filepath.Join(dir, "foreign.db")
	db, err := bolt.Open(foreign, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = db.Update(func(tx *bolt.Tx) error { _, err := tx.CreateBucket([]byte("x")); return err })
	_ = db.Close()

	for _, tt := range []struct {
		name   string
		cfg    Config
		reason string
		words  []string
	}{
		{"heroku dyno", Config{Path: filepath.Join(dir, "dyno", "keyturn.db"), Ephemeral: "worker.1"}, "state_ephemeral", []string{"worker.1", "wiped"}},
		{"heroku dyno, reading", Config{Path: newer, Ephemeral: "run.1", ReadOnly: true}, "state_ephemeral", nil},
		{"newer format", Config{Path: newer}, "state_newer", []string{"format 7", "format 1"}},
		{"newer format, reading", Config{Path: newer, ReadOnly: true}, "state_newer", []string{"format 7", "format 1"}},
		{"other program's file", Config{Path: foreign}, "state_foreign", []string{foreign}},
		{"text file", Config{Path: file("bot.yml", strings.Repeat("slack: {}\n", 2000))}, "state_foreign", nil},
		{"short text file", Config{Path: file("short", "x")}, "state_foreign", nil},
		{"directory", Config{Path: dir}, "state_foreign", nil},
		{"no path", Config{}, "state_unusable", nil},
		{"under a file", Config{Path: filepath.Join(foreign, "keyturn.db")}, "state_unusable", nil},
		{"nothing to read", Config{Path: filepath.Join(dir, "none", "keyturn.db"), ReadOnly: true}, "state_missing", []string{"bot run"}},
		{"empty file to read", Config{Path: file("empty", ""), ReadOnly: true}, "state_missing", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Open(t.Context(), tt.cfg)
			if err == nil {
				_ = s.Close()
			}
			refusal(t, tt.name, err, tt.reason, tt.words...)
		})
	}
	for _, name := range []string{"dyno", "none"} {
		if _, err := os.Stat(filepath.Join(dir, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a refused Open left %s behind (%v)", name, err)
		}
	}
}

func TestReadOnly(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	mustTxn(t, s, rotation.Op{Key: "a", Value: []byte("1")})
	_ = s.Close()
	before, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	var readers [2]*Store
	for i := range readers { // both at once
		if readers[i], err = Open(t.Context(), Config{Path: s.path, ReadOnly: true}); err != nil {
			t.Fatalf("reader %d: %v", i, err)
		}
	}
	for _, r := range readers {
		if kv, err := r.Get(t.Context(), "a"); err != nil || string(kv.Value) != "1" {
			t.Errorf("Get = %q, %v", kv.Value, err)
		}
		if _, err := r.Txn(t.Context(), nil, []rotation.Op{{Key: "b"}}); fault.ReasonOf(err) != "state_read_only" {
			t.Errorf("Txn = %v, want state_read_only", err)
		}
		if err := r.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	}
	after, err := os.ReadFile(s.path)
	if err != nil || string(after) != string(before) {
		t.Errorf("reading changed the file (%v)", err)
	}
}

// TestDamage writes nonsense over every page and flips bits all over the file.
// Whatever opens must hold every record; everything else must be a clear stop.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	for i := range 4 {
		var then []rotation.Op
		for j := range 30 {
			then = append(then, rotation.Op{Key: fmt.Sprintf("k/%d/%d", i, j), Value: fmt.Appendf(nil, "%0*d", 40+i*j, j)})
		}
		mustTxn(t, s, then...)
	}
	page := s.db.Info().PageSize
	want := dump(t, s)
	_ = s.Close()
	good, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	stopped := 0
	try := func(what string, offset int, bad []byte) {
		t.Helper()
		path := filepath.Join(dir, "bad.db")
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(t.Context(), Config{Path: path})
		if err != nil {
			stopped++
			if r := fault.ReasonOf(err); r != "state_damaged" && r != "state_foreign" {
				t.Errorf("%s: Open = %v, want state_damaged", what, err)
			}
			return
		}
		defer func() { _ = s.Close() }()
		// A damaged meta page looks like a commit that was cut off by a crash:
		// bbolt takes the other one. Everything else must be seen.
		if got := dump(t, s); got != want && offset >= 2*page {
			t.Errorf("%s: opened, but records differ", what)
		}
	}
	for at := 0; at < len(good); at += page {
		for name, fill := range map[string]byte{"zeros": 0, "ones": 0xff} {
			bad := []byte(string(good))
			for i := at; i < at+page; i++ {
				bad[i] = fill
			}
			try(fmt.Sprintf("page %d all %s", at/page, name), at, bad)
		}
		try(fmt.Sprintf("cut at page %d", at/page), len(good), good[:max(at, 1)])
	}
	dice := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		bad, at := []byte(string(good)), dice.IntN(len(good))
		bad[at] ^= 1 << dice.IntN(8)
		try(fmt.Sprintf("bit at %d", at), at, bad)
	}
	if stopped < 20 {
		t.Errorf("only %d of the damaged files were refused; the test looks at nothing", stopped)
	}
}

// TestDamageWhileOpen damages a record under an open store.
func TestDamageWhileOpen(t *testing.T) {
	s := open(t, t.TempDir())
	mustTxn(t, s, rotation.Op{Key: "a", Value: []byte("1")}, rotation.Op{Key: "b", Value: []byte("2")})
	if err := s.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(recordsBucket).Put([]byte("a"), []byte("not a record")) }); err != nil {
		t.Fatal(err)
	}
	_, err := s.Get(t.Context(), "a")
	refusal(t, "Get", err, "state_damaged", "bot restore")
	_, err = s.Txn(t.Context(), nil, []rotation.Op{{Key: "c"}})
	refusal(t, "Txn after damage was seen", err, "state_damaged")
}

func dump(t testing.TB, s rotation.Store) string {
	t.Helper()
	kvs, err := s.List(t.Context(), "", "", 0)
	if err != nil {
		t.Fatalf("List = %v", err)
	}
	var b strings.Builder
	for _, kv := range kvs {
		fmt.Fprintf(&b, "%s@%d=%s\n", kv.Key, kv.Rev, kv.Value)
	}
	return b.String()
}
