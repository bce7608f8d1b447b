//go:build !linux

package control

import (
	"net"
	"os"
)

// peerOf trusts the socket's mode where the kernel's word is not at hand.
func peerOf(net.Conn) (uid, pid int, err error) { return os.Getuid(), 0, nil }
