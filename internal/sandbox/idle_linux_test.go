package sandbox

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// idleBot has TestIdleMemory look at a bot that was built already.
var idleBot = flag.String("sandbox.bot", "", "TestIdleMemory runs this program instead of building one")

// idleMost is how many bytes a bot that has nothing to do may have in memory.
const idleMost = 60 * 1000 * 1000

// TestIdleMemory runs the built bot as a process, with settings that have every
// kind of consumer, until its socket is up, it has read the stored pair and knows
// who is who. What it then has in memory is at most 60 MB; what its start needed
// beside that may take a moment to be given back.
func TestIdleMemory(t *testing.T) {
	t.Parallel()
	bot := *idleBot
	if bot == "" {
		bot = filepath.Join(t.TempDir(), "bot")
		cmd := exec.CommandContext(t.Context(), "go", "build", "-o", bot, "./cmd/bot")
		cmd.Dir = filepath.Join("..", "..")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build the bot: %v\n%s", err, out)
		}
	}
	w := newWorld(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, bot, "run", "--config", w.Config())
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = w.Dir, w.Env(), &said, &said
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay, cmd.SysProcAttr = stopLimit, attributes()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	err := w.Slack.WaitSockets(ctx, 1)
	ready := func() bool {
		return w.Infisical.Count("", "/api/v3/") > 0 && w.Slack.Count("", "/api/users.info") >= 2
	}
	for err == nil && !ready() {
		err = pauseFor(ctx, 10*time.Millisecond)
	}
	var first, now int
	for err == nil {
		if now, err = resident(cmd.Process.Pid); first == 0 {
			first = now
		}
		if err != nil || now <= idleMost {
			break
		}
		err = pauseFor(ctx, 100*time.Millisecond)
	}
	cancel()
	ended := cmd.Wait()
	if err != nil || now > idleMost {
		t.Fatalf("the idle bot has %d bytes in memory, want at most %d; %v, ended with %v, said:\n%s", now, idleMost, err, ended, &said)
	}
	if code := cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("the bot ended with %d, want 0:\n%s", code, &said)
	}
	t.Logf("%.1f MB in memory, %.1f MB when it was ready", float64(now)/1e6, float64(first)/1e6)
}

// pauseFor waits for d, or returns why ctx has ended.
func pauseFor(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// resident returns how many bytes of a process are in memory (proc_pid_statm(5)).
func resident(pid int) (int, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	fields := strings.Fields(string(data))
	if err != nil || len(fields) < 2 {
		return 0, fmt.Errorf("read statm %q: %w", data, err)
	}
	pages, err := strconv.Atoi(fields[1])
	return pages * os.Getpagesize(), err
}
