package sandbox

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// betweenCommits does f while the bot stands still and no change of its state is
// under way: what f finds in the state file is whole.
func (d *drill) betweenCommits(t *testing.T, f func()) {
	t.Helper()
	bot, _ := d.now()
	for n := 1; ; n++ {
		if d.frozen(t, bot, n, f) {
			return
		}
		if err := d.pass(lookEvery); err != nil { // it has to get on with the change
			t.Fatalf("find the bot between two changes: %v", err)
		}
	}
}

// frozen stops the bot for the nth time, and does f unless a commit is under way.
func (d *drill) frozen(t *testing.T, bot *Child, n int, f func()) bool {
	t.Helper()
	pid := bot.cmd.Process.Pid
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
	}()
	for !stands(pid) {
		if err := d.pass(lookEvery); err != nil {
			t.Fatalf("wait until the bot stands still: %v", err)
		}
	}
	// What the bot passed is in a pipe. A point of our own behind it shows when it
	// has all been read.
	mark := Point(fmt.Sprintf("frozen %d", n))
	pipe := filepath.Join("/proc", fmt.Sprint(pid), "fd", fmt.Sprint(pointsFD))
	if err := os.WriteFile(pipe, []byte(mark+"\n"), 0); err != nil {
		t.Fatal(err)
	}
	for !slices.Contains(bot.Points(), mark) {
		if err := d.pass(lookEvery); err != nil {
			t.Fatalf("read the points that the bot passed: %v", err)
		}
	}
	if commits(bot.Points()) {
		return false
	}
	f()
	return true
}

// stands reports whether every thread of a process is stopped.
func stands(pid int) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, path := range threads {
		data, err := os.ReadFile(path)
		if _, rest, _ := bytes.Cut(data, []byte(") ")); err == nil && !bytes.HasPrefix(rest, []byte("T")) {
			return false
		}
	}
	return len(threads) > 0
}

// commits reports whether a commit was begun and not ended.
func commits(points []Point) bool {
	open := map[string]bool{}
	for _, p := range points {
		if name, ok := strings.CutSuffix(string(p), " before"); ok {
			open[name] = true
		}
		if name, ok := strings.CutSuffix(string(p), " after"); ok {
			delete(open, name)
		}
	}
	return len(open) > 0
}
