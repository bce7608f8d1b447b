package sandbox

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/cli"
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

// TestRotateAlone: the whole procedure in a terminal, without a bot beside it. The
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
// everywhere all the same.
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
