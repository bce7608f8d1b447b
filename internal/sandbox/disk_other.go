//go:build !linux

package sandbox

import "errors"

// fillDisk: only Linux can limit the files of another process.
func fillDisk(int) (makeRoom func() error, err error) {
	return nil, errors.New("a full disk can be played on Linux only")
}
