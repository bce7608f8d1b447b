//go:build unix

package sandbox

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sudo stands in for the program of that name: it runs the command as we are,
// in a tree of its own instead of the host's folders.
const sudo = `for arg do
	shift
	set -- "$@" "$(printf '%s' "$arg" | sed "s|/etc/|$HOST/etc/|g; s|/usr/local/|$HOST/usr/local/|g; s|/var/|$HOST/var/|g")"
done
exec "$@"
`

// systemctl stands in for systemd: it starts what the unit says, with the unit's
// credentials as files, and nothing else in the environment.
const systemctl = `unit=$HOST/etc/systemd/system/keyturn.service
stop() {
	[ ! -f "$HOST/pid" ] && return
	kill -TERM "$(cat "$HOST/pid")"
	while kill -0 "$(cat "$HOST/pid")" 2>/dev/null; do sleep 0.05; done
	rm "$HOST/pid"
}
start() {
	mkdir -p "$HOST/var/lib/keyturn"
	set -- $(sed -n "s|^LoadCredential=\([A-Z_]*\):\(.*\)|\1_FILE=$HOST\2|p" "$unit")
	command=$(sed -n "s|^ExecStart=\(/usr/[^ ]*\)\( run --config \)|$HOST\1\2$HOST|p" "$unit")
	env -i "$@" $command >>"$HOST/log" 2>&1 </dev/null &
	echo $! >"$HOST/pid"
	for _ in $(seq 200); do
		[ -S "$HOST/var/lib/keyturn/keyturn.sock" ] && return
		sleep 0.05
	done
	cat "$HOST/log"
	exit 1
}
case "$*" in
daemon-reload) ;;
"reload keyturn") kill -HUP "$(cat "$HOST/pid")" ;;
"enable --now keyturn" | "start keyturn") start ;;
"stop keyturn") stop ;;
"restart keyturn") stop; start ;;
*) echo "unexpected: systemctl $*"; exit 1 ;;
esac
`

// TestOperations runs the commands of docs/operations.md as they stand, in the
// folder that docs/setup.md leaves behind: as a service, a look, a reload, a
// restart, a backup and its restore.
func TestOperations(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dir := t.TempDir()
	host := filepath.Join(dir, "host")
	for _, sub := range []string{"etc/systemd/system", "usr/local/bin", "var/backups"} {
		if err := os.MkdirAll(filepath.Join(host, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	tools := t.TempDir()
	for name, text := range map[string]string{"sudo": sudo, "systemctl": systemctl} {
		if err := os.WriteFile(filepath.Join(tools, name), []byte("#!/bin/sh\nset -eu\n"+text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	setup := commandsOf(t, "setup.md")
	w.follow(t, dir, strings.Join(setup[:len(setup)-1], "\n"), nil) // all but the last, which runs the bot in the foreground
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(root, "deploy"), filepath.Join(dir, "keyturn", "deploy")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.follow(t, filepath.Join(dir, "keyturn"), "systemctl stop keyturn", []string{tools, host}) })
	for _, block := range commandsOf(t, "operations.md") {
		said := w.follow(t, filepath.Join(dir, "keyturn"), block, []string{tools, host})
		if strings.Contains(block, "bot status") && !strings.Contains(said, KeySet) {
			t.Errorf("%s said %q, want the key set", block, said)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := w.Slack.WaitSockets(ctx, 1); err != nil {
		t.Errorf("the bot that was restored is not connected: %v", err)
	}
}

// follow runs a script in dir to its end and returns what it printed. host, if
// there is one, is the folder of stand-ins and the tree that is the host.
func (w *World) follow(t *testing.T, dir, script string, host []string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-euc", script)
	cmd.Dir = dir
	cmd.Stdin = strings.NewReader(w.pasted())
	cmd.WaitDelay = time.Second
	cmd.Env = append(os.Environ(), w.standIns(t)...)
	if len(host) == 2 {
		path := fmt.Sprintf("PATH=%s:%s:%s", host[0], filepath.Join(host[1], "usr", "local", "bin"), os.Getenv("PATH"))
		cmd.Env = append(os.Environ(), path, "HOST="+host[1])
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s\nended with %v:\n%s", script, err, out)
	}
	return string(out)
}
