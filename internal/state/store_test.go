package state

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/state/statetest"
)

func TestConformance(t *testing.T) {
	openIn := func(t testing.TB, dir string) rotation.Store {
		s, err := Open(t.Context(), Config{Path: filepath.Join(dir, "keyturn.db")})
		if err != nil {
			t.Fatalf("Open = %v", err)
		}
		return s
	}
	statetest.Conformance(t, statetest.Maker{
		Open: openIn,
		Restore: func(t testing.TB, dir string, snapshot []byte) rotation.Store {
			if err := os.WriteFile(filepath.Join(dir, "keyturn.db"), snapshot, 0o600); err != nil {
				t.Fatal(err)
			}
			return openIn(t, dir)
		},
	})
}

// stall keeps the writer from writing, as a disk that hangs does.
func stall(t *testing.T, s *Store) (release func()) {
	t.Helper()
	tx, err := s.db.Begin(true)
	if err != nil {
		t.Fatal(err)
	}
	release = sync.OnceFunc(func() { _ = tx.Rollback() })
	t.Cleanup(release)
	return release
}

// TestSlowDisk: nobody waits longer than its context, and what was told
// afterwards is true.
func TestSlowDisk(t *testing.T) {
	s := open(t, t.TempDir())
	release := stall(t, s)
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.Txn(short, []rotation.Cond{{Key: "sent"}}, []rotation.Op{{Key: "sent", Value: []byte("1")}}); !errors.Is(err, rotation.ErrUnknown) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Txn on a disk that hangs = %v, want ErrUnknown", err)
	}
	// Reading back must not answer "no such record" while it may still come.
	soon, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.Get(soon, "sent"); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Get while the outcome is open = %v, want a deadline", err)
	}
	release()
	if kv, err := s.Get(t.Context(), "sent"); err != nil || kv.Rev != 1 {
		t.Errorf("Get = %d, %v, want revision 1", kv.Rev, err)
	}
	if len(s.unsure) != 0 {
		t.Errorf("%d commits still count as unsure", len(s.unsure))
	}
}

// TestBusyWriter: a transaction that never reached the writer says so.
func TestBusyWriter(t *testing.T) {
	s := open(t, t.TempDir())
	release := stall(t, s)
	var taken []*commit
	for busy := false; !busy; { // until the writer has a batch and takes no more
		c, err := newCommit(nil, []rotation.Op{{Key: "a"}})
		if err != nil {
			t.Fatal(err)
		}
		select {
		case s.commits <- c:
			taken = append(taken, c)
		case <-time.After(100 * time.Millisecond):
			busy = true
		}
	}
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.Txn(short, nil, []rotation.Op{{Key: "b"}}); fault.ReasonOf(err) != "state_busy" || errors.Is(err, rotation.ErrUnknown) {
		t.Errorf("Txn = %v, want state_busy", err)
	}
	release()
	for _, c := range taken {
		if <-c.done; c.err != nil {
			t.Errorf("commit of a = %v, want nil", c.err)
		}
	}
	if got := dump(t, s); len(taken) == 0 || !strings.HasPrefix(got, "a@") || strings.Contains(got, "b@") {
		t.Errorf("records = %q after %d commits of a, want a only", got, len(taken))
	}
}

// TestR89DiskFailsHalfWay: a commit that may be on the disk is unknown, and the
// store stops.
func TestR89DiskFailsHalfWay(t *testing.T) {
	s := open(t, t.TempDir())
	last := mustTxn(t, s, rotation.Op{Key: "a"})
	if err := s.failed(syscall.ENOSPC, uint64(last)+1); fault.ReasonOf(err) != "state_disk_full" || errors.Is(err, rotation.ErrUnknown) {
		t.Fatalf("failed before the commit = %v, want state_disk_full", err)
	}
	if err := s.failed(syscall.EIO, uint64(last)+1); fault.ReasonOf(err) != "state_unwritten" {
		t.Fatalf("failed before the commit = %v, want state_unwritten", err)
	}
	mustTxn(t, s, rotation.Op{Key: "a"}) // goes on
	err := s.failed(syscall.EIO, uint64(last))
	if !errors.Is(err, rotation.ErrUnknown) || fault.ReasonOf(err) != "state_unsure" {
		t.Fatalf("failed after the commit = %v, want ErrUnknown", err)
	}
	if _, err := s.Txn(t.Context(), nil, []rotation.Op{{Key: "b"}}); fault.ReasonOf(err) != "state_unsure" {
		t.Errorf("Txn after that = %v, want state_unsure", err)
	}
	if _, err := s.Get(t.Context(), "a"); fault.ReasonOf(err) != "state_unsure" {
		t.Errorf("Get after that = %v, want state_unsure", err)
	}
}

// TestBubble: the store can be used under a fake clock.
func TestBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir())
		start := time.Now()
		time.Sleep(24 * time.Hour)
		mustTxn(t, s, rotation.Op{Key: "a"})
		if took := time.Since(start); took != 24*time.Hour {
			t.Errorf("fake clock moved %v", took)
		}
	})
}

func BenchmarkTxn(b *testing.B) {
	value := make([]byte, 1024)
	for _, people := range []int{1, 100} {
		b.Run(fmt.Sprintf("writers=%d", people), func(b *testing.B) {
			s := open(b, b.TempDir())
			var n atomic.Int64
			b.SetParallelism(people) // times GOMAXPROCS
			run := func() {
				key := fmt.Sprintf("rotation/%d", n.Add(1)%200)
				if _, err := s.Txn(b.Context(), nil, []rotation.Op{{Key: key, Value: value}, {Key: "audit/head", Value: value[:80]}}); err != nil {
					b.Error(err)
				}
			}
			if people == 1 {
				for b.Loop() {
					run()
				}
				return
			}
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					run()
				}
			})
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	s := open(b, dir)
	value := make([]byte, 400)
	for i := range 100 {
		var then []rotation.Op
		for j := range 1000 {
			then = append(then, rotation.Op{Key: fmt.Sprintf("audit/%016d", i*1000+j), Value: value})
		}
		mustTxn(b, s, then...)
	}
	_ = s.Close()
	for b.Loop() {
		s, err := Open(b.Context(), Config{Path: s.path})
		if err != nil {
			b.Fatal(err)
		}
		_ = s.Close()
	}
}
