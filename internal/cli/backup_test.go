package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/raxx-app/keyturn/internal/config"
	"github.com/raxx-app/keyturn/internal/secret"
	"github.com/raxx-app/keyturn/internal/state"
)

// TestBackupOfRunningBot: each of 50 backups of a bot that is busy writing can be
// restored, and none is older than the one before.
func TestBackupOfRunningBot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := config.Config{State: config.State{Path: filepath.Join(dir, "keyturn.db"), Socket: filepath.Join(dir, "keyturn.sock")}}
	if err := seed(cfg.State.Path); err != nil {
		t.Fatal(err)
	}
	end, err := runBot(cfg.State.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	target, last := filepath.Join(t.TempDir(), "keyturn.db"), uint64(0)
	for i := range 50 {
		path := filepath.Join(dir, fmt.Sprintf("copy%d.db", i))
		took, err := backup(t.Context(), cfg, path)
		if err != nil {
			t.Fatalf("try %d: backup = %v", i, err)
		}
		got, err := state.Restore(t.Context(), path, target, secret.Text{}, packAt.AddDate(0, 0, i))
		if err != nil || got.Contents != took || got.Rows < last {
			t.Fatalf("try %d: Restore = %+v, %v, want %+v after %d rows", i, got, err, took, last)
		}
		last = got.Rows
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if last <= 3 {
		t.Errorf("the last copy has %d rows: nothing was written meanwhile", last)
	}
}
