package state

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// childVar makes the test binary act as another process: its value is what to do
// and with which file.
const childVar = "KEYTURN_STATE_CHILD"

func TestMain(m *testing.M) {
	if what, path, ok := strings.Cut(os.Getenv(childVar), " "); ok {
		os.Exit(child(what, path))
	}
	_ = flag.Set("rapid.checks", "15") // every step syncs the disk; the command line wins
	os.Exit(m.Run())
}

// child prints one line when it is where the test wants it.
func child(what, path string) int {
	ctx := context.Background()
	s, err := Open(ctx, Config{Path: path})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	switch what {
	case "hold": // until stdin is closed
		fmt.Println("held")
		_, _ = io.Copy(io.Discard, os.Stdin)
		if err := s.Close(); err != nil {
			return 1
		}
	case "commit": // until it is killed
		rev, err := s.Txn(ctx, nil, []rotation.Op{{Key: "sealed/r1", Value: []byte("blob")}})
		fmt.Println(rev, err)
		select {}
	case "full":
		fmt.Println(fillUp(s))
	}
	return 0
}

// fillUp writes until the file may not grow any more, as on a full disk, says
// what is left of that, and goes on when there is room again.
func fillUp(s *Store) string {
	ctx := context.Background()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err.Error()
	}
	tight := syscall.Rlimit{Cur: 200 << 10, Max: limit.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &tight); err != nil {
		return err.Error()
	}
	for i := range 1000 {
		big := []rotation.Op{{Key: fmt.Sprintf("a/%03d", i), Value: make([]byte, 20<<10)}, {Key: fmt.Sprintf("b/%03d", i)}}
		_, err := s.Txn(ctx, nil, big)
		if err == nil {
			continue
		}
		as, _ := s.List(ctx, "a/", "", 0)
		bs, _ := s.List(ctx, "b/", "", 0)
		_ = syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit) // somebody made room
		_, again := s.Txn(ctx, nil, big)
		return fmt.Sprintf("%s whole=%t again=%v", fault.ReasonOf(err), len(as) == i && len(bs) == i, again)
	}
	return "never full"
}

// spawn starts a child and returns what it says first.
func spawn(t *testing.T, what, path string) (says string, cmd *exec.Cmd, stdin io.Closer) {
	t.Helper()
	cmd = exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childVar+"="+what+" "+path)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("child %s: %v", what, err)
	}
	return strings.TrimSpace(line), cmd, in
}
