package state

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
)

// files returns the names in dir.
func files(t *testing.T, dir string) string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, len(list))
	for i, f := range list {
		names[i] = f.Name()
	}
	return strings.Join(names, " ")
}

func TestBackup(t *testing.T) {
	s, last := record(t, 5)
	id, _ := newIdentity(t, "x25519")
	mustTxn(t, s, rotation.Op{Key: "sealed/r1/old", Value: seal(t, load1(t, s, id), oldRef, canary())})
	dir := t.TempDir()
	path := filepath.Join(dir, "copy.db")
	got, err := Backup(t.Context(), path, s.Snapshot)
	if err != nil || got.Rows != 5 || got.Head != last.Hash || got.Sealed != 2 || got.Size < minSize {
		t.Errorf("Backup = %+v, %v, want 5 rows and 2 sealed values", got, err)
	}
	if mode(t, path) != 0o600 || files(t, dir) != "copy.db" {
		t.Errorf("left %q, mode %04o, want copy.db with 0600 alone", files(t, dir), mode(t, path))
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Backup(t.Context(), path, s.Snapshot)
	refusal(t, "over a file", err, "file_exists", path)
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file that was there was changed (%v)", err)
	}
	cut := errors.New("connection cut")
	_, err = Backup(t.Context(), filepath.Join(dir, "half.db"), func(_ context.Context, w io.Writer) error {
		_, _ = w.Write(before[:len(before)/2])
		return cut
	})
	refusal(t, "a copy that broke off", err, "backup_unwritten", "half.db")
	if !errors.Is(err, cut) || files(t, dir) != "copy.db" {
		t.Errorf("after a copy that broke off: %v, files %q, want nothing of it", err, files(t, dir))
	}
	_, err = Backup(t.Context(), filepath.Join(dir, "nowhere", "x.db"), s.Snapshot)
	refusal(t, "in a folder that is not there", err, "backup_unwritten")

	set(t, s, rowKey(2), bytes.Replace(get(t, s, rowKey(2)), []byte("ada@"), []byte("eve@"), 1))
	_, err = Backup(t.Context(), filepath.Join(dir, "broken.db"), s.Snapshot)
	refusal(t, "of a broken record", err, "backup_broken", "Row 2", "evidence")
	if files(t, dir) != "broken.db copy.db" {
		t.Errorf("files %q, want the broken one kept as evidence", files(t, dir))
	}
}

func TestRestore(t *testing.T) {
	s, last := record(t, 5)
	id, name := newIdentity(t, "x25519")
	mustTxn(t, s, rotation.Op{Key: "sealed/r1/old", Value: seal(t, load1(t, s, id), oldRef, canary())})
	copied := filepath.Join(t.TempDir(), "copy.db")
	if _, err := Backup(t.Context(), copied, s.Snapshot); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(copied, 0o644); err != nil { // a medium that knows no modes
		t.Fatal(err)
	}
	appendRows(t, s, row(5), row(6))
	dir := filepath.Dir(s.path)

	_, err := Restore(t.Context(), copied, s.path, secret.New(id), noon)
	refusal(t, "under a running bot", err, "state_locked", fmt.Sprintf("pid %d", os.Getpid()), "Stop it")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := files(t, dir); got != "keyturn.db" {
		t.Errorf("after a refusal: %q, want keyturn.db alone", got)
	}

	for i, wantAside := range []string{"keyturn.db.before-restore-20261122T120000Z", "keyturn.db.before-restore-20261122T120000Z-2"} {
		got, err := Restore(t.Context(), copied, s.path, secret.New(id), noon)
		if err != nil || got.Rows != 5 || got.Head != last.Hash || len(got.Shut) > 0 || filepath.Base(got.Aside) != wantAside {
			t.Fatalf("Restore = %+v, %v, want 5 rows and %s", got, err, wantAside)
		}
		has := func(path string) uint64 {
			s, err := Open(t.Context(), Config{Path: path, ReadOnly: true})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			r, err := Verify(t.Context(), s, nil)
			if err != nil {
				t.Error(err)
			}
			return r.Rows
		}
		if now, was := has(s.path), has(got.Aside); now != 5 || was != map[int]uint64{0: 7, 1: 5}[i] {
			t.Errorf("restored %d rows over %d, want 5 over 7, then over 5", now, was)
		}
		if mode(t, s.path) != 0o600 {
			t.Errorf("mode = %04o, want 0600", mode(t, s.path))
		}
	}

	// Where nothing was, and with a key that opens nothing, or none at all.
	other, _ := newIdentity(t, "x25519")
	for what, key := range map[string]string{"wrong key": other, "no key": ""} {
		fresh := filepath.Join(t.TempDir(), "deep", "keyturn.db")
		got, err := Restore(t.Context(), copied, fresh, secret.New(key), noon)
		want := []Shut{{"meta/print-key", name}, {"sealed/r1/old", name}}
		if err != nil || got.Aside != "" || fmt.Sprint(got.Shut) != fmt.Sprint(want) || fmt.Sprint(Identities(got.Shut)) != fmt.Sprint([]string{name}) {
			t.Errorf("%s: %+v, %v, want %v shut", what, got, err, want)
		}
		if files(t, filepath.Dir(fresh)) != "keyturn.db" {
			t.Errorf("%s: left %q", what, files(t, filepath.Dir(fresh)))
		}
	}
}

// TestRestoreRefuses: what cannot be trusted changes nothing.
func TestRestoreRefuses(t *testing.T) {
	s, _ := record(t, 5)
	dir := t.TempDir()
	bad := func(name string, change func(path string)) string {
		path := filepath.Join(dir, name)
		if _, err := Backup(t.Context(), path, s.Snapshot); err != nil {
			t.Fatal(err)
		}
		change(path)
		return path
	}
	write := func(content []byte) func(string) {
		return func(path string) {
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	tests := []struct{ what, path, reason string }{
		{"no file", filepath.Join(dir, "none.db"), "state_missing"},
		{"a folder", dir, "state_foreign"},
		{"an empty file", bad("empty.db", write(nil)), "state_foreign"},
		{"something else", bad("text.db", write(bytes.Repeat([]byte("hello "), 10000))), "state_foreign"},
		{"a newer one", bad("newer.db", func(path string) { setFormat(t, path, "99") }), "state_newer"},
		{"a broken record", bad("broken.db", func(path string) {
			b, err := Open(t.Context(), Config{Path: path})
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			set(t, b, rowKey(3), bytes.Replace(get(t, b, rowKey(3)), []byte("ada@"), []byte("eve@"), 1))
		}), "backup_broken"},
		{"a flipped bit", bad("bit.db", func(path string) {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			at := bytes.Index(b, []byte(`"ada@raxx.app"`))
			for at >= 0 && at < len(b) { // every copy of that row that pages may hold
				b[at+1] ^= 1
				next := bytes.Index(b[at+1:], []byte(`"ada@raxx.app"`))
				if next < 0 {
					break
				}
				at += 1 + next
			}
			write(b)(path)
		}), "state_damaged"},
	}
	held, _ := record(t, 1)
	tests = append(tests, struct{ what, path, reason string }{"another bot's", held.path, "state_locked"})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	tests = append(tests, struct{ what, path, reason string }{"itself", s.path, "state_itself"})
	before, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		_, err := Restore(t.Context(), tt.path, s.path, secret.Text{}, noon)
		if fault.ReasonOf(err) != tt.reason || !strings.Contains(fault.UserText(err), tt.path) {
			t.Errorf("%s: %v (%q), want %s and the file's name", tt.what, err, fault.UserText(err), tt.reason)
		}
		if after, err := os.ReadFile(s.path); err != nil || !bytes.Equal(before, after) || files(t, filepath.Dir(s.path)) != "keyturn.db" {
			t.Errorf("%s: the state was changed (%v), or %q left", tt.what, err, files(t, filepath.Dir(s.path)))
		}
	}
}

// TestRestoreDamaged: the worst day: what is there cannot be opened any more.
func TestRestoreDamaged(t *testing.T) {
	s, _ := record(t, 5)
	copied := filepath.Join(t.TempDir(), "copy.db")
	if _, err := Backup(t.Context(), copied, s.Snapshot); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.path, bytes.Repeat([]byte{0xff}, 5*minSize), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := Restore(t.Context(), copied, s.path, secret.Text{}, noon); err != nil || got.Aside == "" {
		t.Fatalf("Restore = %+v, %v", got, err)
	}
	if s, err := Open(t.Context(), Config{Path: s.path}); err != nil {
		t.Error(err)
	} else if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestRestoreOlder: a copy of an earlier format is brought forward.
func TestRestoreOlder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyturn.db")
	from := copyOf(t, "format1.bolt")
	setFormat(t, from, "")
	if got, err := Restore(t.Context(), from, path, secret.Text{}, noon); err != nil || got.Rows != 3 {
		t.Fatalf("Restore = %+v, %v", got, err)
	}
	s, err := Open(t.Context(), Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	checkKept(t, "restored", s, filepath.Join("testdata", "format1.key"))
}

// TestBackupUnderLoad: each of ten copies of a state that is being written to can
// be restored and holds a moment of it, whole.
func TestBackupUnderLoad(t *testing.T) {
	s := open(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for w := range 3 {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				ext, err := NewChain(s).Extend(ctx, []rotation.Row{row(i)})
				if err != nil {
					continue
				}
				body := bytes.Repeat([]byte{byte(i)}, 100+(i*977)%9000)
				_, _ = s.Txn(ctx, ext.If, append(ext.Then, rotation.Op{Key: fmt.Sprintf("a/%d/%d", w, i%40), Value: body}, rotation.Op{Key: fmt.Sprintf("b/%d/%d", w, i%40), Value: body}))
			}
		})
	}
	dir, last := t.TempDir(), uint64(0)
	target := filepath.Join(dir, "keyturn.db")
	for i := range 10 {
		path := filepath.Join(dir, fmt.Sprintf("copy%d.db", i))
		took, err := Backup(t.Context(), path, s.Snapshot)
		if err != nil {
			t.Fatalf("try %d: Backup = %v", i, err)
		}
		got, err := Restore(t.Context(), path, target, secret.Text{}, noon.AddDate(0, 0, i))
		if err != nil || got.Contents != took || got.Rows < last {
			t.Fatalf("try %d: Restore = %+v, %v, want %+v", i, got, err, took)
		}
		last = got.Rows
		pairs(t, target)
	}
	cancel()
	wg.Wait()
	if last == 0 {
		t.Error("nothing was written meanwhile")
	}
}

// pairs checks that what was committed together is there together.
func pairs(t *testing.T, path string) {
	t.Helper()
	s, err := Open(t.Context(), Config{Path: path, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	as, err := s.List(t.Context(), "a/", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range as {
		if b := get(t, s, "b"+a.Key[1:]); !bytes.Equal(a.Value, b) {
			t.Errorf("%s and its twin differ", a.Key)
		}
	}
}

// TestRestoreByRoot: the file belongs to the user whose the state was, or whose its
// folder is; the bot, which is not root, could not open it otherwise.
func TestRestoreByRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	s, _ := record(t, 2)
	copied := filepath.Join(t.TempDir(), "copy.db")
	if _, err := Backup(t.Context(), copied, s.Snapshot); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	owner := func(path string) uint32 {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Sys().(*syscall.Stat_t).Uid
	}
	const bot, folder = 4711, 4712
	dir := t.TempDir()
	path := filepath.Join(dir, "keyturn.db")
	if err := os.Chown(dir, folder, folder); err != nil {
		t.Fatal(err)
	}
	for _, want := range []uint32{folder, bot} { // the second time there is a state
		got, err := Restore(t.Context(), copied, path, secret.Text{}, noon)
		if err != nil || owner(path) != want || got.Aside != "" && owner(got.Aside) != bot {
			t.Errorf("Restore = %+v, %v; it belongs to %d, want %d", got, err, owner(path), want)
		}
		if err := os.Chown(path, bot, bot); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFirstStartByRoot: a state that root's command makes is the bot's all the same;
// one that is there stays whose it is.
func TestFirstStartByRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	const bot, folder = 4711, 4712
	dir := t.TempDir()
	path := filepath.Join(dir, "keyturn.db")
	if err := os.Chown(dir, folder, folder); err != nil {
		t.Fatal(err)
	}
	for _, want := range []uint32{folder, bot} {
		s, err := Open(t.Context(), Config{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Sys().(*syscall.Stat_t).Uid != want {
			t.Errorf("the state is of %+v, %v, want user %d", info.Sys(), err, want)
		}
		if err := os.Chown(path, bot, bot); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRestoreBesideAFirstStart: a state that a bot makes while nothing was there
// yet is not taken from under it.
func TestRestoreBesideAFirstStart(t *testing.T) {
	dir := t.TempDir()
	half, path := filepath.Join(dir, "half"), filepath.Join(dir, "keyturn.db")
	for name, text := range map[string]string{half: "a copy", path: "a bot's first state"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	refusal(t, "beside a first start", putFirst(half, path), "state_locked", "nothing was restored")
	if b, err := os.ReadFile(path); err != nil || string(b) != "a bot's first state" {
		t.Errorf("the new state is %q, %v, want it as it was", b, err)
	}
}

// TestPIDFileIsNoWayOut: whoever may write into the state's folder cannot have the
// bot, or root, overwrite a file elsewhere.
func TestPIDFileIsNoWayOut(t *testing.T) {
	precious := filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(precious, []byte("keep me"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "keyturn.db")
	if err := os.Symlink(precious, pidPath(path)); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if b, err := os.ReadFile(precious); err != nil || string(b) != "keep me" {
		t.Errorf("the file that a link named is %q, %v, want it untouched", b, err)
	}
	if got := Holder(path); got != os.Getpid() {
		t.Errorf("Holder = %d, want %d", got, os.Getpid())
	}
}
