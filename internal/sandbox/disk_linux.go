package sandbox

import (
	"fmt"
	"syscall"
	"unsafe"
)

// fillDisk lets no file of the process grow or be written any more, as a full
// disk does (prlimit(2), RLIMIT_FSIZE), until the returned function is called.
// What the process has written stays as it is.
func fillDisk(pid int) (makeRoom func() error, err error) {
	var before syscall.Rlimit
	if err := limitFile(pid, nil, &before); err != nil {
		return nil, err
	}
	if err := limitFile(pid, &syscall.Rlimit{Cur: 0, Max: before.Max}, nil); err != nil {
		return nil, err
	}
	return func() error { return limitFile(pid, &before, nil) }, nil
}

func limitFile(pid int, set, was *syscall.Rlimit) error {
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(pid), syscall.RLIMIT_FSIZE, // the package syscall has no prlimit
		uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(was)), 0, 0) //nolint:gosec // see above
	if errno != 0 {
		return fmt.Errorf("limit the files of process %d: %w", pid, errno)
	}
	return nil
}
