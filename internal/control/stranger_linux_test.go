package control_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/control"
	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
)

// nobody is the user ID that Linux keeps for nobody.
const nobody = 65534

// TestStranger: another user is hung up on although the file would let them in.
func TestStranger(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can become somebody else")
	}
	_, path := serve(t, control.Config{Engine: two{}, Record: paper{}})
	for dir := filepath.Dir(path); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	got := make(chan error, 1)
	go func() { got <- asNobody(path) }()
	if err := <-got; err != nil {
		t.Error(err)
	}
}

// asNobody connects to a socket as another user and returns an error if anybody
// talks to it. The thread is given up: its user cannot be trusted again.
func asNobody(path string) error {
	runtime.LockOSThread() // without an unlock: the thread ends with the goroutine
	if _, _, e := syscall.RawSyscall(syscall.SYS_SETRESUID, nobody, nobody, nobody); e != 0 {
		return fmt.Errorf("become nobody: %w", e)
	}
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return fmt.Errorf("make socket: %w", err)
	}
	defer syscall.Close(fd)
	if err := syscall.Connect(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	limit := syscall.NsecToTimeval(int64(5 * time.Second))
	if err := syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &limit); err != nil {
		return fmt.Errorf("set limit: %w", err)
	}
	_, _ = syscall.Write(fd, []byte("GET /v1/about HTTP/1.1\r\nHost: bot\r\n\r\n"))
	buf := make([]byte, 100)
	n, err := syscall.Read(fd, buf)
	if n > 0 {
		return fmt.Errorf("a stranger was answered: %q", buf[:n])
	}
	if err != nil && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("read: %w, want to be hung up on", err)
	}
	return nil
}

// TestImpostor: whoever waits on the socket of a bot that is down, in a folder
// that anybody can write to, is not handed a pair.
func TestImpostor(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can become somebody else")
	}
	dir := t.TempDir() // like /tmp: root's, and open to all
	for up := dir; up != os.TempDir() && up != "/"; up = filepath.Dir(up) {
		if err := os.Chmod(up, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	path, heard := filepath.Join(dir, "bot.sock"), make(chan int, 1)
	ready := make(chan error, 1)
	go func() { listenAsNobody(path, ready, heard) }()
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	c := control.Dial(path)
	defer c.Close()
	_, err := c.Paste(t.Context(), "r1", rotation.Pair{KeyID: secret.New("PK1"), Secret: secret.New("s")}, "")
	if fault.ReasonOf(err) != "socket_foreign" || fault.KindOf(err) != fault.Denied || fault.FixText(err) == "" {
		t.Errorf("Paste = %v, want socket_foreign", err)
	}
	if n := <-heard; n > 0 {
		t.Errorf("somebody else's process heard %d bytes, want none", n)
	}
}

// listenAsNobody waits on a socket as another user and tells how many bytes the
// first who connects says.
func listenAsNobody(path string, ready chan<- error, heard chan<- int) {
	runtime.LockOSThread() // without an unlock: the thread ends with the goroutine
	if _, _, e := syscall.RawSyscall(syscall.SYS_SETRESUID, nobody, nobody, nobody); e != 0 {
		ready <- fmt.Errorf("become nobody: %w", e)
		return
	}
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		defer syscall.Close(fd)
		err = errors.Join(syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}), syscall.Listen(fd, 1))
	}
	ready <- err
	if err != nil {
		return
	}
	peer, _, err := syscall.Accept(fd)
	if err != nil {
		heard <- 0
		return
	}
	defer syscall.Close(peer)
	n, err := syscall.Read(peer, make([]byte, 4096))
	if err != nil {
		n = 0 // hung up on
	}
	heard <- n
}
