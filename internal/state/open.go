package state

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/raxx-app/keyturn/internal/fault"
)

// minSize is what bbolt writes when it makes a file: four pages, in bytes.
const minSize = 4 << 12

// lockWait is how long Open waits for another process to let go of the file; a
// restart may overlap a little.
const lockWait = 300 * time.Millisecond

// The buckets. Callers reach recordsBucket only.
var (
	aboutBucket   = []byte("keyturn")
	recordsBucket = []byte("records")
	formatKey     = []byte("format")
)

// A Config says where the state is and how it may be opened.
type Config struct {
	// Path of the file. It is created with mode 0600 if it is absent, and so
	// are the directories above it, with mode 0700.
	Path string
	// Ephemeral is the value of the environment variable DYNO. If it is not
	// empty, Open refuses: the disk of a Heroku dyno is wiped daily
	// (https://devcenter.heroku.com/articles/dyno-restarts).
	Ephemeral string
	// ReadOnly opens a file that exists, for reading. Nothing is created or
	// changed, and several processes may do so at once, but not beside a bot. A
	// file of an earlier format is read through a copy that is brought forward.
	ReadOnly bool

	scratch string      // not empty: Path is our own copy of this file, which messages name
	steps   []migration // of tests; nil: migrations
	opened  func()      // of tests; called when the file is open, before its lock is waited for; nil: nothing is
}

// name is what messages call the file.
func (c Config) name() string { return cmp.Or(c.scratch, c.Path) }

// Open opens the state, checks every record in it, brings a file of an earlier
// format forward, and keeps every other process out until Close. All its errors but that of ctx are [*fault.Error],
// with the reasons state_locked, state_ephemeral, state_missing (ReadOnly),
// state_readable, state_foreign, state_newer, state_damaged and state_unusable.
//
// A caller inside a testing/synctest bubble must open and close it there.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	if cfg.Ephemeral != "" {
		return nil, ephemeralError(cfg.Ephemeral)
	}
	if err := prepare(cfg); err != nil {
		return nil, openError(cfg.name(), err)
	}
	db, err := openDB(cfg)
	if errors.Is(err, errSwapped) {
		db, err = openDB(cfg)
	}
	if err != nil {
		return nil, openError(cfg.name(), err)
	}
	err = guard(func() error { return load(db, cfg) })
	if errors.Is(err, errOlder) {
		return openOlder(ctx, db, cfg)
	}
	if err != nil {
		_ = db.Close()
		return nil, openError(cfg.name(), err)
	}
	s := newStore(db, cfg)
	if !cfg.ReadOnly {
		// For the message that the next process shows; the lock does not need it.
		notePID(pidPath(cfg.Path))
		go s.commitAll()
	}
	return s, nil
}

// prepare makes the directory, or finds out that there is nothing to read.
func prepare(cfg Config) error {
	if cfg.Path == "" {
		return errors.New("no path")
	}
	switch info, err := os.Stat(cfg.Path); {
	case errors.Is(err, fs.ErrNotExist) && cfg.ReadOnly:
		return missingError(cfg.name())
	case errors.Is(err, fs.ErrNotExist):
		return makeDir(filepath.Dir(cfg.Path))
	case err != nil:
		return fmt.Errorf("look at state file: %w", err)
	case !info.Mode().IsRegular():
		return foreignError(cfg.name(), nil)
	case info.Size() == 0 && cfg.ReadOnly:
		return missingError(cfg.name())
	case info.Size() != 0 && info.Size() < minSize && !tornAt(cfg):
		return foreignError(cfg.name(), fmt.Errorf("only %d bytes", info.Size()))
	}
	return nil
}

// makeDir makes dir and what is missing above it, each durable in its parent.
func makeDir(dir string) error {
	if _, err := os.Stat(dir); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if err := makeDir(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make state directory: %w", err)
	}
	return syncDir(parent)
}

// syncDir makes the names in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // the directory of the configured file
	if err != nil {
		return fmt.Errorf("open directory: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}

// openDB opens and locks the file. Every commit is synced to the disk before it
// returns: NoSync and NoGrowSync stay false.
func openDB(cfg Config) (*bolt.DB, error) {
	var db *bolt.DB
	var file *os.File
	err := guard(func() (err error) {
		db, err = bolt.Open(cfg.Path, 0o600, &bolt.Options{
			Timeout:      lockWait,
			ReadOnly:     cfg.ReadOnly,
			FreelistType: bolt.FreelistMapType,
			OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
				f, err := os.OpenFile(name, flag, mode) //nolint:gosec // the configured file
				if err != nil {
					return nil, fmt.Errorf("open state file: %w", err)
				}
				err = private(f, cfg.name())
				if err == nil && !cfg.ReadOnly {
					err = errors.Join(emptyTorn(f), giveAway(f))
				}
				if err != nil {
					return nil, errors.Join(err, f.Close())
				}
				file = f
				if cfg.opened != nil {
					cfg.opened()
				}
				return f, nil
			},
		})
		return err
	})
	if err != nil && file != nil {
		// After a panic bbolt has not done so, and the mapping would keep the lock
		// alive. A second close does nothing.
		_ = syscall.Flock(int(file.Fd()), syscall.LOCK_UN)
		_ = file.Close()
	}
	if err == nil && !same(file, cfg.Path) {
		return nil, errors.Join(errSwapped, db.Close())
	}
	if err == nil && !cfg.ReadOnly {
		if err = syncDir(filepath.Dir(cfg.Path)); err != nil {
			return nil, errors.Join(err, db.Close())
		}
	}
	return db, err
}

// giveAway gives a state that root is just making to the user whose its folder is:
// a command that root ran once must not keep the bot, which is another user, out.
func giveAway(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("look at state file: %w", err)
	}
	if info.Size() != 0 {
		return nil
	}
	return GiveTo(f, filepath.Dir(f.Name()))
}

// errSwapped says that the file was replaced while its lock was waited for: a
// restore had it.
var errSwapped = errors.New("state file was replaced")

// same reports whether path still names the open file.
func same(file *os.File, path string) bool {
	has, err := file.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(path)
	return err == nil && os.SameFile(has, named)
}

// private refuses a file that other users of the machine can read or write.
func private(f *os.File, path string) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("look at state file: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return &fault.Error{
			Kind: fault.Denied, Reason: "state_readable", Op: "state.Open",
			User: fmt.Sprintf("Other users of this machine have access to the state file %s (mode %04o).", path, mode),
			Fix:  "Find out why, then run: chmod 600 " + path + ".",
		}
	}
	return nil
}

// load checks the format, makes it in a new file, and reads every record once:
// a damaged file must stop the bot at its start, not in the middle of a rotation.
func load(db *bolt.DB, cfg Config) error {
	fresh, has := false, 0
	err := db.View(func(tx *bolt.Tx) error {
		about, records := tx.Bucket(aboutBucket), tx.Bucket(recordsBucket)
		if about == nil {
			if first, _ := tx.Cursor().First(); first != nil {
				return foreignError(cfg.name(), nil)
			}
			fresh = true
			return nil
		}
		var err error
		if has, err = formatOf(about); err != nil || records == nil {
			return fmt.Errorf("format record: %w", errDamaged)
		}
		if has > cfg.format() {
			return newerError(cfg.name(), has, cfg.format())
		}
		return checkRecords(records)
	})
	switch {
	case err != nil:
		return err
	case fresh && cfg.ReadOnly:
		return missingError(cfg.name())
	case fresh:
		return layOut(db, cfg)
	case has < cfg.format() && cfg.ReadOnly:
		return errOlder
	case has < cfg.format():
		return migrate(db, cfg, has)
	}
	return nil
}

// layOut makes the format in a new file.
func layOut(db *bolt.DB, cfg Config) error {
	return db.Update(func(tx *bolt.Tx) error {
		about, err := tx.CreateBucket(aboutBucket)
		if err != nil {
			return err
		}
		if _, err := tx.CreateBucket(recordsBucket); err != nil {
			return err
		}
		return about.Put(formatKey, []byte(strconv.Itoa(cfg.format())))
	})
}

func checkRecords(records *bolt.Bucket) error {
	last := records.Sequence()
	return records.ForEach(func(k, v []byte) error {
		rev, _, err := decode(k, v)
		if err == nil && uint64(rev) > last {
			err = fmt.Errorf("revision %d is from the future: %w", rev, errDamaged)
		}
		if err != nil {
			return fmt.Errorf("record %q: %w", k, err)
		}
		return nil
	})
}

func pidPath(path string) string { return path + ".pid" }

// notePID writes down which process has the state. It follows no link: whoever may
// write into the folder must not have root overwrite another file. A file that
// is left to another user by an earlier process is replaced.
func notePID(path string) {
	if os.Remove(path) != nil {
		if _, err := os.Lstat(path); err == nil {
			return
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // beside the configured file
	if err != nil {
		return
	}
	_, _ = f.WriteString(strconv.Itoa(os.Getpid()) + "\n")
	_ = f.Close()
}

// Holder returns the process ID of the bot that has the state at path open, or
// 0 if it is not known. It says so in messages; only the lock decides.
func Holder(path string) int {
	b, err := os.ReadFile(pidPath(path))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid <= 0 {
		return 0
	}
	if err := syscall.Kill(pid, 0); err != nil && !errors.Is(err, syscall.EPERM) {
		return 0 // left by a bot that was killed
	}
	return pid
}
