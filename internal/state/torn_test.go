package state

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// TestTornFile: what a full disk leaves of the first write is made anew; what is
// left of a file that was used is not touched.
func TestTornFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fresh := filepath.Join(dir, "fresh.db")
	db, err := bolt.Open(fresh, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	usedPath := filepath.Join(dir, "used.db")
	s, err := Open(t.Context(), Config{Path: usedPath})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Txn(t.Context(), nil, []rotation.Op{{Key: "a", Value: []byte("b")}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	head := func(path string, n int) []byte {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return data[:n]
	}
	tests := []struct {
		name string
		data []byte
		want string // reason; "" opens
	}{
		{"one page of a new file", head(fresh, 4<<10), ""},
		{"two pages of a new file", head(fresh, 8<<10), ""},
		{"all but a byte of a new file", head(fresh, minSize-1), ""},
		{"two pages of a used file", head(usedPath, 8<<10), "state_foreign"},
		{"a few bytes", head(fresh, 40), "state_foreign"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "keyturn.db")
			if err := os.WriteFile(path, tt.data, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(t.Context(), Config{Path: path, ReadOnly: true}); fault.ReasonOf(err) != "state_foreign" {
				t.Errorf("Open for reading = %v, want state_foreign", err)
			}
			s, err := Open(t.Context(), Config{Path: path})
			if got := reason(err); got != tt.want {
				t.Fatalf("Open = %v, want reason %q", err, tt.want)
			}
			if err == nil {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				return
			}
			if now := head(path, len(tt.data)); !bytes.Equal(now, tt.data) {
				t.Error("a refused file was changed")
			}
		})
	}
}

// TestCloseDamaged: a file that was damaged under a running bot can be closed,
// also after a commit has met the damage: the bot must be able to stop.
func TestCloseDamaged(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keyturn.db")
	s, err := Open(t.Context(), Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range data[8<<10:] {
		data[8<<10+i] ^= 0xff
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(data, 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Txn(t.Context(), nil, []rotation.Op{{Key: "a", Value: []byte("b")}}); reason(err) != "state_damaged" {
		t.Errorf("Txn = %v, want state_damaged", err)
	}
	if err := s.Close(); err != nil { // it hung here
		t.Errorf("Close = %v, want nil", err)
	}
}

// reason is that of err; "" for none.
func reason(err error) string {
	if err == nil {
		return ""
	}
	return fault.ReasonOf(err)
}
