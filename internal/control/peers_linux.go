package control

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// peerUID returns the user at the other end of a Unix socket, as the kernel
// knows it: SO_PEERCRED, unix(7).
func peerUID(conn net.Conn) (int, error) {
	u, ok := conn.(*net.UnixConn)
	if !ok {
		return 0, errors.New("not a Unix socket")
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("reach socket: %w", err)
	}
	var cred *syscall.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}); err != nil {
		return 0, fmt.Errorf("reach socket: %w", err)
	}
	if credErr != nil {
		return 0, fmt.Errorf("ask who is there: %w", credErr)
	}
	return int(cred.Uid), nil
}
