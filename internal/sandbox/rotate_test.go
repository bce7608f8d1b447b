package sandbox

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/cli"
	"github.com/raxx-app/keyturn/internal/control"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// A shell runs one command of the bot in this process, and shows what it wrote.
type shell struct {
	t     *testing.T
	stdin *io.PipeWriter
	ended chan int

	mu  sync.Mutex
	out bytes.Buffer
}

func (s *shell) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(p)
}

func (s *shell) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.String()
}

// terminal runs a command; stdin is a pipe.
func (w *World) terminal(t *testing.T, limits rotation.Limits, args ...string) *shell {
	t.Helper()
	r, pipe := io.Pipe()
	s := &shell{t: t, stdin: pipe, ended: make(chan int, 1)}
	env := cli.Env{Args: append(args, "--config", w.Config()), Getenv: w.Getenv, Stdin: r, Stdout: s, Stderr: s, Now: time.Now}
	env.Hooks.Limits = limits
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	go func() { s.ended <- cli.Run(ctx, env) }()
	return s
}

func (s *shell) see(text string) {
	s.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(s.text(), text); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("the terminal does not show %q; it shows\n%s", text, s.text())
		}
	}
}

// paste sends a pair through the pipe.
func (s *shell) paste(lines ...string) {
	s.t.Helper()
	if _, err := io.WriteString(s.stdin, strings.Join(lines, "\n")+"\n"); err != nil {
		s.t.Fatal(err)
	}
	if err := s.stdin.Close(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shell) ends(want int) {
	s.t.Helper()
	if code := <-s.ended; code != want {
		s.t.Errorf("the command ended with %d, want %d; it shows\n%s", code, want, s.text())
	}
}

// TestRotateAlone: the whole procedure over a pipe, without a bot beside it (R90). The
// login is mapped to nobody, so the reason is asked for and recorded.
func TestRotateAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.terminal(t, quick(), "rotate", KeySet, "--yes", "--pair-file", "-", "--reason", "INC-42 Slack is not trusted tonight")
	s.see("Generate")
	s.see("Regenerate")
	key, err := w.Alpaca.Regenerate(w.Account)
	if err != nil {
		t.Fatal(err)
	}
	s.paste("ALPACA_PAPER_API_KEY_ID="+key.ID, "ALPACA_PAPER_API_SECRET_KEY="+key.Secret)
	s.ends(0)
	s.see("prod is rotated")
	if strings.Contains(s.text(), key.Secret) || strings.Contains(s.text(), key.ID) {
		t.Error("the terminal shows the pair")
	}
	if err := w.vaultHolds(key, 2, 2); err != nil {
		t.Error(err)
	}
	rows, stderr, code := w.Bot(t.Context(), "audit", "export")
	if code != 0 || !strings.Contains(rows, "secret.rotate.breakglass") || !strings.Contains(rows, "INC-42") || !strings.Contains(rows, `"local:`) {
		t.Errorf("audit export = %d %s, want a break-glass row with the reason and the login:\n%s", code, stderr, rows)
	}
}

// TestRotateGoesOn: a rotation that was begun in Slack goes on in a terminal beside
// the running bot.
func TestRotateGoesOn(t *testing.T) {
	t.Parallel()
	d := newDrill(t)
	if err := d.to(hasFields); err != nil {
		t.Fatal(d.report([]Check{{"comes to step 2", err}}))
	}
	s := d.terminal(t, rotation.Limits{}, "rotate", KeySet, "--yes", "--pair-file", "-", "--reason", "Slack must not see the pair")
	s.see("it goes on here")
	s.see("Regenerate")
	var err error
	if d.key, err = d.Alpaca.Regenerate(d.Account); err != nil {
		t.Fatal(err)
	}
	s.paste(d.key.ID, d.key.Secret)
	s.ends(0)
	d.sealed = true
	d.finish(t)
}

// TestRotateWithoutSlack: Slack does not answer at all, and the pair gets
// everywhere all the same (R90).
func TestRotateWithoutSlack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.Slack.Close(); err != nil {
		t.Fatal(err)
	}
	s := w.terminal(t, quick(), "rotate", KeySet, "--yes", "--pair-file", "-", "--reason", "INC-43 Slack is down", "--pass-failed")
	s.see("Regenerate")
	key, err := w.Alpaca.Regenerate(w.Account)
	if err != nil {
		t.Fatal(err)
	}
	s.paste(key.ID, key.Secret)
	s.ends(0)
	s.see("prod is rotated")
}

// TestRotateWaits: a pair that is wrong ends the command with 3 and the command
// that goes on, and nothing was sealed.
func TestRotateWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.terminal(t, quick(), "rotate", KeySet, "--yes", "--pair-file", "-", "--reason", "INC-44")
	s.see("Regenerate")
	s.paste("PKTOOSHORT", "x")
	s.ends(3)
	s.see("To go on: bot rotate prod --config")
}

// TestRotatePairFile: the pair comes from a file, as NAME=value lines. The file is
// not there before the click, so the first call waits for it.
func TestRotatePairFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	file := filepath.Join(t.TempDir(), "pair.env")
	s := w.terminal(t, quick(), "rotate", KeySet, "--yes", "--pair-file", file, "--reason", "INC-48")
	s.ends(3)
	s.see("cannot be read from " + file)
	key, err := w.Alpaca.Regenerate(w.Account)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("export "+keyIDName+"='"+key.ID+"'\n\n"+secretName+"="+key.Secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = w.terminal(t, quick(), "rotate", KeySet, "--yes", "--pair-file", file, "--reason", "INC-48")
	s.ends(0)
	s.see("prod is rotated")
	s.see("Delete " + file)
	if err := w.vaultHolds(key, 2, 2); err != nil {
		t.Error(err)
	}
}

// TestRotateUsage: what cannot work is refused with words, before anything was
// begun.
func TestRotateUsage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"no terminal", nil, "standard input is no terminal: give --yes and --pair-file"},
		{"nobody to ask for the pair", []string{"--yes"}, "the pair must come from --pair-file"},
		{"unknown trigger", []string{"--trigger", "monday"}, "--trigger monday is none of"},
		{"trigger without a reason", []string{"--yes", "--pair-file", "-", "--trigger", "offboarding"}, "needs a --reason"},
		{"deviation without a reason", []string{"--yes", "--pair-file", "-", "--pass-failed"}, "--pass-failed needs a --reason"},
		{"pair as an argument", []string{"PKAAAA"}, "accepts 1 arg"},
	}
	for _, tt := range tests {
		stdout, stderr, code := w.Bot(t.Context(), append([]string{"rotate", KeySet}, tt.args...)...)
		if code != 2 || stdout != "" || !strings.Contains(stderr, tt.want) {
			t.Errorf("%s: rotate %q = %d, %q, %q, want 2 and %q", tt.name, tt.args, code, stdout, stderr, tt.want)
		}
	}
	if _, stderr, code := w.Bot(t.Context(), "rotate", "nope", "--yes", "--pair-file", "-"); code != 2 || !strings.Contains(stderr, `no key set "nope"; it has: prod`) {
		t.Errorf("rotate nope = %d %q, want 2 and what there is", code, stderr)
	}
	if err := w.adapt("infisical:", "infisicle:"); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := w.Bot(t.Context(), "rotate", KeySet, "--yes", "--pair-file", "-"); code != 2 || !strings.Contains(stderr, "bot.yml:") {
		t.Errorf("rotate with bad settings = %d %q, want 2 and the line", code, stderr)
	}
	if _, err := os.Stat(w.stateFile()); !os.IsNotExist(err) {
		t.Errorf("the state file: %v, want none", err)
	}
}

// adapt changes the bot's settings.
func (w *World) adapt(text, to string) error {
	settings, err := os.ReadFile(w.Config())
	if err != nil {
		return err
	}
	return os.WriteFile(w.Config(), bytes.Replace(settings, []byte(text), []byte(to), 1), 0o600)
}

// TestRotateMapped: a login that stands for somebody in Slack is treated like them
// (R3): ops needs no reason, and nobody else gets in with one.
func TestRotateMapped(t *testing.T) {
	t.Parallel()
	for user, code := range map[string]int{Ada: 3, Bob: 1} {
		w := newWorld(t)
		if err := w.adapt("admin_ids:", fmt.Sprintf("local_users: {%q: %s}\n  admin_ids:", control.Login(), user)); err != nil {
			t.Fatal(err)
		}
		args := []string{"rotate", KeySet, "--yes", "--pair-file", "-"}
		if user == Bob {
			args = append(args, "--reason", "please")
		}
		_, stderr, got := w.Bot(t.Context(), args...) // nothing is in the pipe
		if got != code || code == 1 && !strings.Contains(stderr, "Only members of the ops group may do this.") {
			t.Errorf("rotate as %s = %d %q, want %d", user, got, stderr, code)
		}
		rows, err := w.auditRows(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			if row.Action == "secret.rotate.breakglass" || row.Action == "secret.rotate.started" && row.Actor != "ada@raxx.app" {
				t.Errorf("as %s: audit row %+v, want no break-glass, and nobody but ada to start", user, row)
			}
		}
	}
}

// TestRotateHeld: a bot that has the state and cannot be asked is named, whether it
// hangs or its socket is gone.
func TestRotateHeld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bot, err := w.StartBot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = bot.Kill() }()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := w.Slack.WaitSockets(ctx, 1); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("bot (pid %d) holds the state but does not answer.", bot.cmd.Process.Pid)
	held := func(how string) {
		t.Helper()
		if _, stderr, code := w.Bot(t.Context(), "rotate", KeySet, "--yes", "--pair-file", "-"); code != 1 || !strings.Contains(stderr, want) {
			t.Errorf("%s: rotate = %d %q, want 1 and %q", how, code, stderr, want)
		}
	}
	if err := bot.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for { // until it has stopped: it answers nobody
		conn, err := net.Dial("unix", filepath.Join(w.Dir, "keyturn.sock"))
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(200 * time.Millisecond))
		_, err = fmt.Fprint(conn, "GET / HTTP/1.0\r\n\r\n")
		if err == nil {
			_, err = conn.Read(make([]byte, 1))
		}
		_ = conn.Close()
		if err != nil {
			break
		}
	}
	held("a bot that hangs")
	if err := bot.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(w.Dir, "keyturn.sock")); err != nil {
		t.Fatal(err)
	}
	held("a socket that is gone")
}

// TestRotateEnded: SIGTERM ends a command that waits for its pipe. A reader of its
// output that has left does not, and the command to go on with is said elsewhere.
func TestRotateEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	never, pipe := io.Pipe()
	defer func() { _ = pipe.Close() }()
	s := &shell{t: t, ended: make(chan int, 1)}
	env := cli.Env{Args: []string{"rotate", KeySet, "--yes", "--pair-file", "-", "--reason", "INC-49", "--config", w.Config()}, Getenv: w.Getenv, Stdin: never, Stdout: out, Stderr: s, Now: time.Now}
	env.Hooks.Limits = quick()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func() { s.ended <- cli.Run(ctx, env) }()
	s.see("Nobody reads what this command says")
	s.see("Regenerate")
	cancel()
	s.ends(3)
	s.see("this command was the bot.\nTo go on: bot rotate prod --config " + w.Config())
	if said, _, code := w.Bot(t.Context(), "status"); code != 0 || !strings.Contains(said, "step 2") {
		t.Errorf("status = %d %q, want the rotation at step 2", code, said)
	}
}

// TestRotateNeedsNoTokens: beside a bot, whoever may talk to it needs nothing of
// what it holds. Without one the command is the bot, and says what it lacks.
func TestRotateNeedsNoTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rotate := func(want int, says string) {
		t.Helper()
		var out bytes.Buffer
		code := cli.Run(t.Context(), cli.Env{
			Args:   []string{"rotate", KeySet, "--yes", "--pair-file", filepath.Join(w.Dir, "none"), "--reason", "INC-50", "--config", w.Config()},
			Getenv: func(string) string { return "" }, Stdin: bytes.NewReader(nil), Stdout: &out, Stderr: &out, Now: time.Now,
		})
		if code != want || !strings.Contains(out.String(), says) {
			t.Errorf("rotate = %d, want %d and %q:\n%s", code, want, says, &out)
		}
	}
	rotate(2, "SLACK_BOT_TOKEN")
	bot, err := w.StartBot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer bot.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := w.Slack.WaitSockets(ctx, 1); err != nil {
		t.Fatal(err)
	}
	rotate(3, "The rotation stays open, and the bot does what it can without you.")
}
