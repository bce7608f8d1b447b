// Package state keeps what the bot must not forget in one bbolt file: records
// under revisions ([Store]), the hash-chained audit record ([Chain]), and pairs
// that are encrypted with age ([Sealer]). It knows how to keep things, and
// nothing of what a rotation is: keys and values belong to the caller.
package state

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// brokenClose is how long Close waits for a file that is damaged.
const brokenClose = 500 * time.Millisecond

// errClosed is what a closed store returns.
var errClosed = errors.New("state is closed")

// A Store is a [rotation.Store] on one bbolt file, for one process. Its methods
// may be called from any goroutine. After damage or a disk that failed in the
// middle of a commit it refuses everything until the bot is restarted.
type Store struct {
	db       *bolt.DB
	path     string
	readOnly bool
	temp     string // folder that goes with Close; "": none

	commits chan *commit  // to commitAll
	stop    chan struct{} // closed by Close
	stopped chan struct{} // closed by commitAll
	once    sync.Once
	closed  error // of the one Close

	broken atomic.Pointer[fault.Error]

	mu     sync.Mutex
	unsure []<-chan struct{} // commits whose caller gave up waiting
}

var _ rotation.Store = (*Store)(nil)

func newStore(db *bolt.DB, cfg Config) *Store {
	return &Store{
		db: db, path: cfg.Path, readOnly: cfg.ReadOnly,
		commits: make(chan *commit), stop: make(chan struct{}), stopped: make(chan struct{}),
	}
}

// Get implements [rotation.Store].
func (s *Store) Get(ctx context.Context, key string) (rotation.KV, error) {
	var found rotation.KV
	err := s.view(ctx, "state.Get", func(b *bolt.Bucket) (err error) {
		raw := b.Get([]byte(key))
		if raw == nil {
			return fmt.Errorf("record %q: %w", key, rotation.ErrNotFound)
		}
		found, err = kv([]byte(key), raw)
		return err
	})
	return found, err
}

// List implements [rotation.Store].
func (s *Store) List(ctx context.Context, prefix, after string, limit int) ([]rotation.KV, error) {
	var found []rotation.KV
	err := s.view(ctx, "state.List", func(b *bolt.Bucket) error {
		c := b.Cursor()
		k, raw := c.Seek([]byte(max(prefix, after)))
		for ; k != nil && bytes.HasPrefix(k, []byte(prefix)); k, raw = c.Next() {
			if limit > 0 && len(found) == limit {
				break
			}
			if after != "" && string(k) <= after {
				continue
			}
			one, err := kv(k, raw)
			if err != nil {
				return err
			}
			found = append(found, one)
		}
		return nil
	})
	return found, err
}

// Snapshot implements [rotation.Store]. The copy holds exactly what was
// committed when Snapshot was called; writers go on meanwhile.
func (s *Store) Snapshot(ctx context.Context, w io.Writer) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	var broke error // of w; bbolt does not pass the cause on
	err := guard(func() error {
		return s.db.View(func(tx *bolt.Tx) error {
			_, err := tx.WriteTo(writerFunc(func(p []byte) (n int, err error) {
				if err = ctx.Err(); err == nil {
					n, err = w.Write(p)
				}
				broke = err
				return n, err
			}))
			return err
		})
	})
	if err != nil {
		return fmt.Errorf("copy state: %w", s.readError("state.Snapshot", cmp.Or(broke, err)))
	}
	return nil
}

// Close waits for the commit that is being written and for open reads, then
// lets go of the file. A second Close returns what the first one did.
func (s *Store) Close() error {
	s.once.Do(func() {
		close(s.stop)
		if !s.readOnly {
			<-s.stopped
			_ = os.Remove(pidPath(s.path)) // while the lock is still ours
		}
		if err := s.closeDB(); err != nil {
			s.closed = fmt.Errorf("close state file: %w", err)
		}
		if s.temp != "" {
			s.closed = errors.Join(s.closed, os.RemoveAll(s.temp))
		}
	})
	return s.closed
}

// closeDB closes the file. bbolt that met a damaged page in the middle of a
// commit may hold its own lock for ever: then the file is closed by the end of
// the process, which must not wait.
func (s *Store) closeDB() error {
	if s.broken.Load() == nil {
		return s.db.Close()
	}
	closed := make(chan error, 1)
	go func() { closed <- s.db.Close() }()
	timer := time.NewTimer(brokenClose)
	defer timer.Stop()
	select {
	case err := <-closed:
		return err
	case <-timer.C:
		return nil // what is broken was said before
	}
}

// view runs f on the records. Bytes that f sees are only valid inside it.
func (s *Store) view(ctx context.Context, op string, f func(*bolt.Bucket) error) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	err := guard(func() error {
		return s.db.View(func(tx *bolt.Tx) error { return f(tx.Bucket(recordsBucket)) })
	})
	return s.readError(op, err)
}

// ready says whether the store may be used. It waits for commits whose caller
// gave up: whoever reads back after ErrUnknown must see what became of it.
func (s *Store) ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("use state: %w", err)
	}
	s.mu.Lock()
	waiting := s.unsure
	s.mu.Unlock()
	for _, done := range waiting {
		select {
		case <-done:
		case <-ctx.Done():
			return fmt.Errorf("wait for an unfinished commit: %w", ctx.Err())
		}
	}
	if len(waiting) > 0 {
		s.mu.Lock()
		s.unsure = slices.DeleteFunc(slices.Clone(s.unsure), func(done <-chan struct{}) bool {
			return slices.Contains(waiting, done)
		})
		s.mu.Unlock()
	}
	select {
	case <-s.stop:
		return errClosed
	default:
	}
	if f := s.broken.Load(); f != nil {
		return f
	}
	return nil
}

// A writerFunc is an [io.Writer].
type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
