package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/control"
	"github.com/raxx-app/keyturn/internal/sim/alpacasim"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

// goRun stands in for go: it runs the sandbox, which is this very program, on any
// port that is free.
const goRun = `[ "$1 $2" = "run ./cmd/sandbox" ] || { echo "unexpected: go $*"; exit 1; }
shift 2
case " $* " in
*" --auto "* | *" list "*) ;;
*) set -- "$@" --listen 127.0.0.1:0 ;;
esac
`

// A desk is where the commands of the documents are written: a folder with bot and
// settings as they leave it, and a tree that stands for the host's.
type desk struct {
	*World
	dir, host, tools string
}

// desk prepares the place. The state file is named as a whole, so that the
// settings are the same wherever they are found.
func (w *World) desk(t *testing.T) *desk {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	k := &desk{World: w, dir: t.TempDir(), host: t.TempDir(), tools: t.TempDir()}
	bot := fmt.Sprintf("exec '%s' %s \"$@\"\n", self, cliArg)
	for path, text := range map[string]string{
		filepath.Join(k.tools, "bot"): bot, filepath.Join(k.dir, "bot"): bot, filepath.Join(k.tools, "sudo"): sudo,
		filepath.Join(k.tools, "go"): goRun + fmt.Sprintf("exec '%s' %s \"$@\"\n", self, sandboxArg),
	} {
		if err := os.WriteFile(path, []byte("#!/bin/sh\nset -eu\n"+text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, change := range [][2]string{{"path: keyturn.db", "path: " + w.stateFile()}, {"admin_ids:", fmt.Sprintf("local_users: {%q: %s}\n  admin_ids:", control.Login(), Ada)}} {
		if err := w.adapt(change[0], change[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(k.host, "etc"), 0o700); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{
		filepath.Join(k.dir, "keyturn"): w.Dir, filepath.Join(k.dir, "bot.yml"): w.Config(), filepath.Join(k.host, "etc", "keyturn"): w.Dir,
	} {
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := k.shell(t.Context(), "sha256sum bot > SHA256SUMS").CombinedOutput(); err != nil {
		t.Fatalf("sha256sum: %v %s", err, out)
	}
	return k
}

// shell returns a command line as a process.
func (k *desk) shell(ctx context.Context, line string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "sh", "-euc", "exec "+line)
	cmd.Dir, cmd.WaitDelay = k.dir, time.Second
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Env = append(k.Env(), "PATH="+k.tools+string(os.PathListSeparator)+os.Getenv("PATH"), "HOST="+k.host, "TMPDIR="+os.TempDir(), "HOME="+k.dir, "TERM=xterm")
	return cmd
}

// A heard keeps what a command prints, and calls found once it has printed text.
type heard struct {
	mu    sync.Mutex
	all   strings.Builder
	text  string
	found func()
}

// Write implements [io.Writer].
func (h *heard) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n, err := h.all.Write(p)
	if h.text != "" && strings.Contains(h.all.String(), h.text) {
		h.text = ""
		h.found()
	}
	return n, err
}

// types runs one command without a terminal.
func (k *desk) types(t *testing.T, c written) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	line := c.line()
	cmd := k.shell(ctx, line)
	out := &heard{text: c.until, found: cancel}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(c.stdin), out, out
	cmd.WaitDelay = 30 * time.Second // from the signal to the end
	err := cmd.Run()
	code := cmd.ProcessState.ExitCode()
	if said := out.all.String(); code != c.code || !strings.Contains(said, c.says) || c.until != "" && out.text != "" {
		t.Errorf("%s\nended with %d (%v), want %d and that it says %q; it said:\n%s", line, code, err, c.code, c.says, said)
	}
}

func (c written) line() string {
	if c.as != "" {
		return c.as
	}
	return c.text
}

// sits runs a command at a terminal of its own, and its keys are pressed when it
// asks for the pair.
func (k *desk) sits(t *testing.T, c written, key alpacasim.Key) {
	t.Helper()
	master, slave, err := openTTY()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s := &tty{t: t, master: master, ended: make(chan int, 1)}
	cmd := k.shell(ctx, c.line())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = slave.Close() // the command has it: when it ends, so does what it wrote
	drawn := make(chan struct{})
	go func() {
		defer close(drawn)
		for buf := make([]byte, 4096); ; {
			n, err := master.Read(buf)
			s.mu.Lock()
			s.raw = append(s.raw, buf[:n]...)
			s.screen.draw(buf[:n])
			s.frames = append(s.frames, s.screen.text())
			s.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	defer func() {
		cancel()
		_ = master.Close()
		<-drawn
	}()
	go func() { // whatever comes, it ends with ctx
		err := cmd.Wait()
		if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
			t.Errorf("%s: %v", c.line(), err)
		}
		<-drawn
		s.ended <- cmd.ProcessState.ExitCode()
	}()
	if c.keys == wholePair {
		s.pastes(key)
		s.see(c.says)
	} else {
		s.see(c.says)
		s.types(c.keys)
		s.see("To go on: bot rotate prod --config")
	}
	s.ends(c.code)
}

// TestDocumentedCommands runs the commands of the documents as they stand, with
// the placeholders filled in: those of the sandbox, those for a rotation that was
// begun in Slack, those beside the bot, and those without one. Nothing is replaced
// but go, sudo and the host's folders. The documents whose blocks belong together
// are followed by TestSetup and TestOperations.
func TestDocumentedCommands(t *testing.T) {
	t.Parallel()
	d := newDrill(t)
	k := d.desk(t)
	var others sync.WaitGroup
	defer others.Wait()
	others.Go(func() {
		for _, c := range ofSandbox {
			k.types(t, c)
		}
	})
	t.Cleanup(d.kill)
	if err := d.to(hasFields); err != nil {
		t.Fatal(d.report([]Check{{"comes to step 2", err}}))
	}
	for _, c := range stepTwo {
		if c.keys == wholePair {
			var err error
			if d.key, err = d.Alpaca.Regenerate(d.Account); err != nil {
				t.Fatal(err)
			}
		}
		if c.keys == "" {
			k.types(t, c)
		} else {
			k.sits(t, c, d.key)
		}
	}
	last, err := d.Slack.WaitMessage(d.ctx, OpsChannel, func(m slacksim.Message) bool { return anchorText.MatchString(m.Visible()) })
	if err != nil {
		t.Fatalf("#ops has no anchor: %v", err)
	}
	rows, err := d.auditRows(d.ctx)
	if err != nil || len(rows) == 0 {
		t.Fatalf("%d audit rows, %v", len(rows), err)
	}
	fill := strings.NewReplacer(anchorHere, anchorText.FindStringSubmatch(last.Visible())[1], rotationHere, rows[len(rows)-1].Rotation)
	for _, c := range besideBot {
		c.as = fill.Replace(c.line())
		k.types(t, c)
	}
	if err := d.end(); err != nil {
		t.Error(err)
	}
	for _, c := range alone {
		k.types(t, c)
	}
}
