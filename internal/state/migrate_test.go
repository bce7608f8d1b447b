package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"

	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
)

// keepFormat is for whoever is about to add a migration: it writes a file of the
// format that is going to be an earlier one.
var keepFormat = flag.Bool("keep-format", false, "write testdata/formatN.bolt and its key, for the present format N")

// keptHead is the hash of the last audit row of every kept file.
const keptHead = "381e8180cfd77f54e60754eb513b757117b1ce2ab4695fe2346ea3ab8243ab33"

// kept is what each file in testdata holds.
func kept() rotation.Rotation {
	r := rotation.Rotation{
		ID: "r1", KeySet: "prod", Trigger: rotation.TriggerScheduled, Operator: rotation.Actor{ID: "U0ADA", Admin: "ada@raxx.app"}, Opened: noon,
		SealedAt: noon, Candidates: []rotation.Candidate{{N: 1, Print: "0123456789ab", Last4: "T6Y0", At: noon}},
		Snapshot: &rotation.Snapshot{At: noon, Account: rotation.Account{ID: "acc", Number: "PA3XYZ7Q", Status: "ACTIVE", CreatedAt: noon}},
	}
	for i, name := range rotation.StepNames() {
		r.Steps = append(r.Steps, rotation.Step{Number: i + 1, Name: name, State: rotation.Pending})
	}
	return r
}

// TestKeepFormat makes a file like those that the tests below read, and keeps it in
// testdata if it is asked to.
func TestKeepFormat(t *testing.T) {
	where := t.TempDir()
	if *keepFormat {
		where = "testdata"
	}
	base := filepath.Join(where, fmt.Sprintf("format%d", Config{}.format()))
	id, _ := newIdentity(t, "hybrid")
	dir := t.TempDir()
	s := open(t, dir)
	sealer := load1(t, s, id)
	appendRows(t, s, row(0), row(1), row(2))
	body, err := json.Marshal(kept())
	if err != nil {
		t.Fatal(err)
	}
	mustTxn(t, s, rotation.Op{Key: "rotation/r1", Value: body}, rotation.Op{Key: "active/prod", Value: []byte("r1")},
		rotation.Op{Key: "sealed/r1/old", Value: seal(t, sealer, oldRef, canary())})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(filepath.Join(dir, "keyturn.db"))
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{base + ".bolt": file, base + ".key": []byte(id + "\n")} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err = Open(t.Context(), Config{Path: base + ".bolt", ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	checkKept(t, "made just now", s, base+".key")
}

// copyOf returns a copy of a file in testdata that may be changed.
func copyOf(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "keyturn.db")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// checkKept checks that all that a kept file held is to be had from s; key is the
// file with its identity.
func checkKept(t *testing.T, what string, s *Store, key string) {
	t.Helper()
	got, err := Verify(t.Context(), s, &Anchor{Seq: 3, Hash: keptHead})
	if err != nil || got.Rows != 3 {
		t.Errorf("%s: Verify = %+v, %v, want 3 rows to %s", what, got, err, keptHead)
	}
	var r rotation.Rotation
	if err := json.Unmarshal(get(t, s, "rotation/r1"), &r); err != nil {
		t.Errorf("%s: rotation: %v", what, err)
	}
	if diff := cmp.Diff(kept(), r); diff != "" {
		t.Errorf("%s: rotation (-want +got):\n%s", what, diff)
	}
	identity, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := load1(t, s, string(identity)).Open(oldRef, get(t, s, "sealed/r1/old"))
	if err != nil || !pair.Equal(canary()) {
		t.Errorf("%s: sealed pair: %v, want the one that was sealed", what, err)
	}
	if shut, err := Shuts(t.Context(), s, secret.New(string(identity))); err != nil || len(shut) > 0 {
		t.Errorf("%s: Shuts = %v, %v, want none", what, shut, err)
	}
}

// TestEveryFormat opens a file of each format there has been, for writing and for
// reading, with and without a migration after the present one.
func TestEveryFormat(t *testing.T) {
	for n := 1; n <= (Config{}).format(); n++ {
		name, key := fmt.Sprintf("format%d.bolt", n), filepath.Join("testdata", fmt.Sprintf("format%d.key", n))
		next := func(records *bolt.Bucket) error {
			return rewriteRecords(records, "active/", func(key string, value []byte) ([]byte, error) {
				return append([]byte("next:"), value...), nil
			})
		}
		for what, steps := range map[string][]migration{"as it is": nil, "one more": append(migrations(), next)} {
			path := copyOf(t, name)
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			cfg := Config{Path: path, steps: steps}
			want := "r1"
			if steps != nil {
				want = "next:r1"
			}
			for _, cfg.ReadOnly = range []bool{true, false, true} {
				at := fmt.Sprintf("format %d, %s, read only %t", n, what, cfg.ReadOnly)
				s, err := Open(t.Context(), cfg)
				if err != nil {
					t.Fatalf("%s: %v", at, err)
				}
				checkKept(t, at, s, key)
				if got := string(get(t, s, "active/prod")); got != want {
					t.Errorf("%s: active/prod = %q, want %q", at, got, want)
				}
				if err := s.Snapshot(t.Context(), io.Discard); err != nil {
					t.Errorf("%s: Snapshot = %v", at, err)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				if _, err := os.Stat(s.temp); s.temp != "" && !errors.Is(err, os.ErrNotExist) {
					t.Errorf("%s: %s is left", at, s.temp)
				}
				if now, err := os.ReadFile(path); cfg.ReadOnly && !bytes.Equal(now, before) && steps == nil {
					t.Errorf("%s: the file was changed (%v)", at, err)
				}
			}
			aside := fmt.Sprintf("%s.format%d", path, n)
			switch _, err := os.Stat(aside); {
			case steps == nil && n == (Config{}).format() && !errors.Is(err, os.ErrNotExist):
				t.Errorf("format %d: %v, want no copy of what was not migrated", n, err)
			case steps != nil && (err != nil || mode(t, aside) != 0o600):
				t.Errorf("format %d: no private copy of the file as it was: %v", n, err)
			}
		}
	}
}

// setFormat changes what a file says of its format; "" removes it.
func setFormat(t *testing.T, path, format string) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Update(func(tx *bolt.Tx) error {
		if format == "" {
			return tx.Bucket(aboutBucket).Delete(formatKey)
		}
		return tx.Bucket(aboutBucket).Put(formatKey, []byte(format))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestNoFormat: a file that does not say is of the first format.
func TestNoFormat(t *testing.T) {
	path := copyOf(t, "format1.bolt")
	setFormat(t, path, "")
	s, err := Open(t.Context(), Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	checkKept(t, "without a format", s, filepath.Join("testdata", "format1.key"))
}

func TestNewerFormat(t *testing.T) {
	path := copyOf(t, "format1.bolt")
	setFormat(t, path, "99")
	for _, readOnly := range []bool{false, true} {
		_, err := Open(t.Context(), Config{Path: path, ReadOnly: readOnly})
		refusal(t, "a newer format", err, "state_newer", "format 99", "understands format 1", path)
	}
	for _, nonsense := range []string{"0", "-1", "x"} {
		setFormat(t, path, nonsense)
		_, err := Open(t.Context(), Config{Path: path})
		refusal(t, "format "+nonsense, err, "state_damaged")
	}
}

// TestMigrationFails: the file stays as it was, and what was kept beside it does
// not stand in the way of the next try.
func TestMigrationFails(t *testing.T) {
	path := copyOf(t, "format1.bolt")
	var order []string
	step := func(name string, err error) migration {
		return func(records *bolt.Bucket) error {
			order = append(order, name)
			return errors.Join(rewriteRecords(records, "active/", func(_ string, v []byte) ([]byte, error) { return append(v, name...), nil }), err)
		}
	}
	broken := []migration{step("a", nil), step("b", errors.New("cannot"))}
	if _, err := Open(t.Context(), Config{Path: path, steps: broken}); err == nil || !strings.Contains(err.Error(), "migrate from format 2: cannot") {
		t.Errorf("Open = %v, want that it cannot migrate from format 2", err)
	}
	s, err := Open(t.Context(), Config{Path: path})
	if err != nil {
		t.Fatalf("after a migration that failed: %v", err)
	}
	if got := string(get(t, s, "active/prod")); got != "r1" {
		t.Errorf("after a migration that failed: active/prod = %q, want it as it was", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	order = nil
	s, err = Open(t.Context(), Config{Path: path, steps: []migration{step("a", nil), step("b", nil)}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := string(get(t, s, "active/prod")); got != "r1ab" || strings.Join(order, "") != "ab" {
		t.Errorf("active/prod = %q after %v, want r1ab: each once, in order", got, order)
	}
}

// TestReplacedWhileWaiting: whoever waits for the lock of a file that a restore
// replaces gets the new one.
func TestReplacedWhileWaiting(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	path := s.path
	mustTxn(t, s, rotation.Op{Key: "which", Value: []byte("old")})
	other := open(t, t.TempDir())
	mustTxn(t, other, rotation.Op{Key: "which", Value: []byte("new")})
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	times := 0
	opened, err := Open(t.Context(), Config{Path: path, opened: func() {
		if times++; times == 1 { // it has the old file open, and the lock is not free
			if err := errors.Join(os.Rename(other.path, path), s.Close()); err != nil {
				t.Error(err)
			}
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	if got := string(get(t, opened, "which")); got != "new" || times != 2 {
		t.Errorf("Open beside a restore has the %s file after opening %d, want the new one after 2", got, times)
	}
}
