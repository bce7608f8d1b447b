package state

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	bolt "go.etcd.io/bbolt"
)

// A migration brings the records of one format to the next. It runs in one
// transaction with all that follow it and with the number of the new format, so a
// kill leaves the file as it was or whole. It never touches rows of the audit
// record: their hashes would no longer hold.
type migration func(records *bolt.Bucket) error

// migrations returns what leads from format 1 to the present one, in order. Who
// adds one keeps a file of the format before it in testdata.
func migrations() []migration { return nil }

// format is how this program lays out the file. A file with a higher one is
// refused, one with a lower one is brought forward.
func (c Config) format() int { return 1 + len(c.migrations()) }

func (c Config) migrations() []migration {
	if c.steps != nil {
		return c.steps
	}
	return migrations()
}

// errOlder is met by who may only read.
var errOlder = errors.New("state file of an earlier format")

// formatOf returns the format that a file says it has. One that does not say is
// of the first.
func formatOf(about *bolt.Bucket) (int, error) {
	raw := about.Get(formatKey)
	if raw == nil {
		return 1, nil
	}
	has, err := strconv.Atoi(string(raw))
	if err == nil && has < 1 {
		err = errors.New("no format has this number")
	}
	return has, err
}

// migrate brings the file forward. What it was stays beside it, under its name
// and .format1 (or what it had): the program before this one can go on with that.
func migrate(db *bolt.DB, cfg Config, has int) error {
	if cfg.scratch == "" {
		if err := keepOld(db, fmt.Sprintf("%s.format%d", cfg.Path, has)); err != nil {
			return fmt.Errorf("keep the state as it was: %w", err)
		}
	}
	return db.Update(func(tx *bolt.Tx) error {
		records := tx.Bucket(recordsBucket)
		for i, step := range cfg.migrations()[has-1:] {
			if err := step(records); err != nil {
				return fmt.Errorf("migrate from format %d: %w", has+i, err)
			}
		}
		if err := checkRecords(records); err != nil {
			return fmt.Errorf("migrate: %w", err)
		}
		return tx.Bucket(aboutBucket).Put(formatKey, []byte(strconv.Itoa(cfg.format())))
	})
}

// keepOld copies the file to path. A copy that is there was made by an earlier
// try, from the same file, and may be a half: it is made anew.
func keepOld(db *bolt.DB, path string) error {
	half := path + ".part"
	if err := os.Remove(half); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err := writeSynced(half, func(w io.Writer) error {
		return db.View(func(tx *bolt.Tx) error {
			_, err := tx.WriteTo(w)
			return err
		})
	})
	if err != nil {
		return err
	}
	if err := os.Rename(half, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// writeSynced makes a file that only we may read and that was not there, has f
// write it, and syncs it. A half of one is removed.
func writeSynced(path string, f func(io.Writer) error) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // beside the configured file, or the one that the caller names
	if err != nil {
		return err
	}
	err = f(file)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// openOlder opens a copy of db, which has an earlier format and may not be
// changed, brought forward. It closes db. The copy goes with the store's Close.
func openOlder(ctx context.Context, db *bolt.DB, cfg Config) (*Store, error) {
	dir, err := os.MkdirTemp("", "keyturn-state-") // only we may look into it
	if err != nil {
		return nil, openError(cfg.name(), errors.Join(err, db.Close()))
	}
	copied := cfg
	copied.Path, copied.scratch, copied.ReadOnly = filepath.Join(dir, "copy.db"), cfg.name(), false
	err = writeSynced(copied.Path, func(w io.Writer) error {
		return db.View(func(tx *bolt.Tx) error {
			_, err := tx.WriteTo(w)
			return err
		})
	})
	if err = errors.Join(err, db.Close()); err != nil {
		return nil, openError(cfg.name(), errors.Join(err, os.RemoveAll(dir)))
	}
	s, err := Open(ctx, copied) // brings it forward
	if err == nil {
		err = s.Close()
	}
	copied.ReadOnly = true
	if err == nil {
		s, err = Open(ctx, copied)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	s.temp = dir
	return s, nil
}

// rewriteRecords is what migrations are made of: it replaces the value of each record
// whose key starts with prefix. A record keeps its revision, so that whoever has
// read it may go on.
func rewriteRecords(records *bolt.Bucket, prefix string, f func(key string, value []byte) ([]byte, error)) error {
	type change struct{ key, raw []byte }
	var changes []change // a bucket must not be changed while it is walked
	c := records.Cursor()
	for k, raw := c.Seek([]byte(prefix)); k != nil && bytes.HasPrefix(k, []byte(prefix)); k, raw = c.Next() {
		old, err := kv(k, raw)
		if err != nil {
			return err
		}
		value, err := f(old.Key, old.Value)
		if err != nil {
			return fmt.Errorf("record %q: %w", k, err)
		}
		next := room(value)
		stamp([]byte(old.Key), next, binary.BigEndian.Uint64(raw))
		changes = append(changes, change{[]byte(old.Key), next})
	}
	for _, ch := range changes {
		if err := records.Put(ch.key, ch.raw); err != nil {
			return err
		}
	}
	return nil
}
