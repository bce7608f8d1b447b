package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

// peerOf returns the user and the process at the other end of a Unix socket, as
// the kernel knows them: SO_PEERCRED, unix(7). The process is the one that
// connected.
func peerOf(conn net.Conn) (uid, pid int, err error) {
	u, ok := conn.(*net.UnixConn)
	if !ok {
		return 0, 0, errors.New("not a Unix socket")
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return 0, 0, fmt.Errorf("reach socket: %w", err)
	}
	var cred *syscall.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}); err != nil {
		return 0, 0, fmt.Errorf("reach socket: %w", err)
	}
	if credErr != nil {
		return 0, 0, fmt.Errorf("ask who is there: %w", credErr)
	}
	return int(cred.Uid), int(cred.Pid), nil
}

// ownerOf returns the user whose the file at path is; -1 if that is not known.
func ownerOf(path string) int {
	info, err := os.Stat(path)
	if err != nil {
		return -1
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return -1
	}
	return int(st.Uid)
}

// listen makes the socket, with the mode that the umask gives it: nobody gets
// past peers.Accept.
func listen(ctx context.Context, path string) (net.Listener, error) {
	return new(net.ListenConfig).Listen(ctx, "unix", path)
}
