//go:build linux || darwin || freebsd

package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// writeAndSearch are the rights that a directory must give: W_OK and X_OK of
// access(2).
const writeAndSearch = 2 | 1

// room returns how many bytes are free where dir is, or would be made, and an
// error if the bot could not write there. It writes nothing. at is the directory
// that was looked at.
func room(dir string) (at string, free uint64, err error) {
	for at = dir; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if errors.Is(err, fs.ErrNotExist) && filepath.Dir(at) != at {
			continue
		}
		if err != nil {
			return at, 0, fmt.Errorf("look at directory: %w", err)
		}
		if !info.IsDir() {
			return at, 0, errors.New("not a directory")
		}
		break
	}
	if err := syscall.Access(at, writeAndSearch); err != nil {
		return at, 0, fmt.Errorf("try directory: %w", err)
	}
	var s syscall.Statfs_t
	if err := syscall.Statfs(at, &s); err != nil {
		return at, 0, fmt.Errorf("look at disk: %w", err)
	}
	return at, uint64(max(0, int64(s.Bavail))) * uint64(s.Bsize), nil //nolint:gosec,unconvert // their types differ between systems
}
