//go:build !linux

package sandbox

import "syscall"

// attributes: only Linux ends a child with its parent.
func attributes() *syscall.SysProcAttr { return nil }
