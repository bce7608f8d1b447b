//go:build !linux

package control

import (
	"net"
	"os"
)

// peerUID trusts the socket's mode where the kernel's word is not at hand.
func peerUID(net.Conn) (int, error) { return os.Getuid(), nil }
