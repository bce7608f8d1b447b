package state

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"syscall"
)

// Where a bbolt file has what begins its first meta record, and which commit
// that is from (https://github.com/etcd-io/bbolt, internal/common/meta.go): in
// a file in which nothing was ever committed, number 0.
const (
	metaMagic = 0xED0CDAED
	magicAt   = 16
	commitAt  = 64
)

// torn reports whether a file of size bytes is what a full disk left of the first
// write of an earlier start. Nothing is in it: bbolt makes its four pages with
// one write. What is left of a file that was ever used is not torn, but damaged.
func torn(f io.ReaderAt, size int64) bool {
	head := make([]byte, commitAt+8)
	if size == 0 || size >= minSize {
		return false
	}
	if _, err := f.ReadAt(head, 0); err != nil {
		return false
	}
	return binary.NativeEndian.Uint32(head[magicAt:]) == metaMagic && binary.NativeEndian.Uint64(head[commitAt:]) == 0
}

// tornAt is torn for the configured file. Whoever only reads makes nothing anew.
func tornAt(cfg Config) bool {
	if cfg.ReadOnly {
		return false
	}
	f, err := os.Open(cfg.Path)
	if err != nil {
		return false
	}
	defer f.Close()
	info, err := f.Stat()
	return err == nil && torn(f, info.Size())
}

// emptyTorn empties f if it is torn, so that bbolt makes it anew. It takes the
// lock that bbolt is going to want: another process that is making the file
// keeps it.
func emptyTorn(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("look at state file: %w", err)
	}
	if !torn(f, info.Size()) {
		return nil
	}
	if held := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); held != nil {
		return nil //nolint:nilerr // another process is making the file
	}
	if info, err = f.Stat(); err != nil || !torn(f, info.Size()) {
		return err
	}
	if err := f.Truncate(0); err != nil {
		return fmt.Errorf("empty a torn state file: %w", err)
	}
	return nil
}
