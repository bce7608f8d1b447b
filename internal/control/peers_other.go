//go:build !linux

package control

import (
	"context"
	"net"
	"os"
	"syscall"
)

// peerOf trusts the socket's mode where the kernel's word is not at hand.
func peerOf(net.Conn) (uid, pid int, err error) { return os.Getuid(), 0, nil }

// ownerOf is not needed where peerOf knows nobody else.
func ownerOf(string) int { return -1 }

// listen makes the socket with the mode 0600 from its first moment: here nothing
// else keeps others out. Other files that this process makes in that moment are
// for its user alone as well.
func listen(ctx context.Context, path string) (net.Listener, error) {
	defer syscall.Umask(syscall.Umask(0o177))
	return new(net.ListenConfig).Listen(ctx, "unix", path)
}
