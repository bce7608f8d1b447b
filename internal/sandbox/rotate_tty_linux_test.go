package sandbox

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/raxx-app/keyturn/internal/cli"
	"github.com/raxx-app/keyturn/internal/control"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/sim/alpacasim"
	"github.com/raxx-app/keyturn/internal/sim/githubsim"
	"github.com/raxx-app/keyturn/internal/sim/herokusim"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

// The size of the terminal, in characters.
const (
	ttyWidth  = 120
	ttyHeight = 50
)

// prompt is what the shell shows when the command has ended.
const prompt = "\x1b[m$ "

// Keys as a terminal sends them.
const (
	enter = "\r"
	down  = "\x1b[B"
	ctrlA = "\x01"
	ctrlC = "\x03"
)

// A tty is a person at a real terminal, the bot's command in front of them. What
// the command writes is drawn on a screen, as a terminal does.
type tty struct {
	t      *testing.T
	master *os.File
	cancel context.CancelFunc // as SIGTERM does
	ended  chan int

	mu     sync.Mutex
	raw    []byte   // as it was written
	frames []string // the screen after each write
	screen glass
}

// tty runs a command at a pseudo-terminal of its own (pts(4)).
func (w *World) tty(t *testing.T, limits rotation.Limits, args ...string) *tty {
	t.Helper()
	master, slave, err := openTTY()
	if err != nil {
		t.Fatal(err)
	}
	s := &tty{t: t, master: master, ended: make(chan int, 1)}
	drawn, left := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(left)
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			s.mu.Lock()
			s.raw = append(s.raw, buf[:n]...)
			s.screen.draw(buf[:n])
			s.frames = append(s.frames, s.screen.text())
			if n > 0 && bytes.HasSuffix(s.raw, []byte(prompt)) {
				close(drawn)
			}
			s.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	s.cancel = cancel
	env := cli.Env{Args: append(args, "--config", w.Config()), Getenv: w.Getenv, Stdin: slave, Stdout: slave, Stderr: slave, Now: time.Now}
	env.Hooks.Limits = limits
	over := make(chan struct{})
	go func() {
		defer close(over)
		code := cli.Run(ctx, env)
		_, _ = slave.WriteString(prompt)
		<-drawn
		s.ended <- code
	}()
	t.Cleanup(func() {
		cancel()
		<-over
		_ = master.Close() // hangs up: what still reads ends
		<-left
		_ = slave.Close()
	})
	return s
}

func openTTY() (master, slave *os.File, err error) {
	if master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0); err != nil {
		return nil, nil, err
	}
	var number uint32
	var locked int32
	size := [4]uint16{ttyHeight, ttyWidth}
	for _, c := range []struct {
		request uintptr
		arg     unsafe.Pointer
	}{
		{syscall.TIOCGPTN, unsafe.Pointer(&number)},
		{syscall.TIOCSPTLCK, unsafe.Pointer(&locked)},
		{syscall.TIOCSWINSZ, unsafe.Pointer(&size)},
	} {
		if err := ioctl(master, c.request, c.arg); err != nil {
			return nil, nil, err
		}
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	return master, slave, err
}

func ioctl(f *os.File, request uintptr, arg unsafe.Pointer) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed syscall.Errno
	if err := raw.Control(func(fd uintptr) {
		_, _, failed = syscall.Syscall(syscall.SYS_IOCTL, fd, request, uintptr(arg))
	}); err != nil {
		return err
	}
	if failed != 0 {
		return failed
	}
	return nil
}

// text is what the person can read, with what was scrolled away.
func (s *tty) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.screen.text()
}

// see waits until all of texts can be read.
func (s *tty) see(texts ...string) {
	s.t.Helper()
	s.until(fmt.Sprintf("show %q", texts), func() bool { return hasAll(s.text(), texts) })
}

func (s *tty) until(what string, ok func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("the terminal does not %s; it shows\n%s", what, s.text())
		}
	}
}

// settles waits until nothing new has been written for a while: a menu that
// changes under somebody's fingers is asked anew.
func (s *tty) settles() {
	s.t.Helper()
	last, since := s.text(), time.Now()
	s.until("settle", func() bool {
		if now := s.text(); now != last {
			last, since = now, time.Now()
		}
		return time.Since(since) > time.Second
	})
}

// types sends keys.
func (s *tty) types(keys ...string) {
	s.t.Helper()
	if _, err := s.master.WriteString(strings.Join(keys, "")); err != nil {
		s.t.Fatal(err)
	}
}

func (s *tty) ends(want int) {
	s.t.Helper()
	if code := <-s.ended; code != want {
		s.t.Errorf("the command ended with %d, want %d; the terminal shows\n%s", code, want, s.text())
	}
}

// choose moves to an option of the menu on the screen and takes it.
func (s *tty) choose(option string) {
	s.t.Helper()
	s.until("offer "+option, func() bool { return s.row("┃ > ", "") >= 0 && s.row("┃ ", option) >= 0 })
	for {
		at := s.row("┃ > ", "")
		if at == s.row("┃ ", option) {
			break
		}
		s.types(down)
		s.until("move to "+option, func() bool { return s.row("┃ > ", "") != at })
	}
	s.types(enter)
}

// row returns the number of the last row that begins with prefix and has part; -1
// if there is none.
func (s *tty) row(prefix, part string) int {
	rows := strings.Split(s.text(), "\n")
	for i, row := range slices.Backward(rows) {
		if strings.HasPrefix(row, prefix) && strings.Contains(row, part) {
			return i
		}
	}
	return -1
}

// pastes types a pair.
func (s *tty) pastes(key alpacasim.Key) {
	s.t.Helper()
	s.see("┃ Key ID")
	s.types(key.ID)
	s.see("┃ > " + key.ID)
	s.types(enter)
	s.see("┃ Secret key")
	s.types(key.Secret)
	s.see(strings.Repeat("*", len(key.Secret)))
	s.types(enter)
}

// hid looks whether no part of the secret was ever written or on the screen. The
// Key ID, which was typed in the same way, must be found.
func (s *tty) hid(key alpacasim.Key) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	all := string(s.raw) + strings.Join(s.frames, "\n")
	for i := 0; i+6 <= len(key.Secret); i++ {
		if part := key.Secret[i : i+6]; strings.Contains(all, part) {
			s.t.Fatalf("the terminal showed %q of the secret", part)
		}
	}
	if !strings.Contains(strings.Join(s.frames, "\n"), key.ID) {
		s.t.Error("the Key ID was never on the screen, so this search proves nothing")
	}
}

// told gives a canary all that the terminal was sent, and all that was ever on
// its screen. The key ID is echoed to who types it.
func (s *tty) told(c *canary, key alpacasim.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.echoed = key.ID
	c.keep(terminalShows, s.raw)
	c.keep(terminalShows, []byte("\n"+strings.Join(s.frames, "\n")))
}

// vouches gives the reason that break-glass needs.
func (s *tty) vouches(why string) {
	s.t.Helper()
	s.see("nobody vouches for you", "Why do you act now?")
	s.types(why, enter)
}

// TestR90Terminal: the whole procedure at a terminal, with no bot beside it. The
// person leaves with Ctrl-C in the middle and goes on later. R34: what is typed
// as the secret is never shown. R43: no secret is where it does not belong.
func TestR90Terminal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := tapped(w)
	c.alone = true
	s := w.tty(t, quick(), "rotate", KeySet)
	s.vouches("INC-45 Slack is down")
	s.choose("Go on: every question")
	s.choose("Scheduled: the key is due")
	s.see("┃ Reason")
	s.types(enter)
	s.see("┃ Confirm each")
	s.types(enter)
	s.see("confirm each: space marks one, ctrl+a marks all")
	s.types(ctrlA, enter)
	s.see("Place the test order in step 6 (buy 1 AAPL, paper)?")
	s.types("y")
	s.see("Regenerate", "┃ Key ID")
	s.types("PK", ctrlC)
	s.ends(3)
	s.see("nothing goes on by itself now", "To go on: bot rotate "+KeySet+" --config "+w.Config())
	if said, _, code := w.Bot(t.Context(), "status"); code != 0 || !strings.Contains(said, "step 2") {
		t.Errorf("status = %d %q, want the rotation at step 2", code, said)
	}

	s.told(c, alpacasim.Key{})

	s = w.tty(t, quick(), "rotate", KeySet)
	s.vouches("INC-45 Slack is still down")
	s.see("it goes on here", "┃ Key ID")
	key, err := w.Alpaca.Regenerate(w.Account)
	if err != nil {
		t.Fatal(err)
	}
	s.pastes(key)
	s.ends(0)
	s.see("✔ sealed ····"+last4(key.ID), "test_order: ", "prod is rotated")
	s.hid(key)
	s.told(c, key)
	c.judge(t)
	if err := w.vaultHolds(key, 2, 2); err != nil {
		t.Error(err)
	}
}

// TestTerminalTakesOver: somebody at a terminal goes on with what was begun in
// Slack, in their own name, and Slack shows it.
func TestTerminalTakesOver(t *testing.T) {
	t.Parallel()
	d := newDrill(t)
	c := newCanary(t, d.World)
	if err := d.to(hasFields); err != nil {
		t.Fatal(d.report([]Check{{"comes to step 2", err}}))
	}
	s := d.tty(t, rotation.Limits{}, "rotate", KeySet)
	s.vouches("Slack must not see the pair")
	s.see("The operator is ada@raxx.app. Take over?")
	s.types("y")
	s.see("Operator: local:"+control.Login(), "┃ Key ID")
	if _, err := d.Slack.WaitMessage(d.ctx, OpsChannel, func(m slacksim.Message) bool {
		return strings.Contains(m.Visible(), control.Login()+" (terminal)")
	}); err != nil {
		t.Errorf("#ops does not show who has taken over: %v", err)
	}
	var err error
	if d.key, err = d.Alpaca.Regenerate(d.Account); err != nil {
		t.Fatal(err)
	}
	s.pastes(d.key)
	s.ends(0)
	s.hid(d.key)
	s.told(c, d.key)
	d.sealed = true
	d.finish(t)
	c.judge(t)
}

// TestTerminalMoves: a question on the screen ends by itself when it is answered
// in Slack.
func TestTerminalMoves(t *testing.T) {
	t.Parallel()
	d := newDrill(t)
	if err := d.to(func(d *drill) bool {
		v, ok := d.Slack.Modal(Ada)
		return ok && v.Submit == goOnButton && hasResult(v.Text())
	}); err != nil {
		t.Fatal(d.report([]Check{{"comes to step 1", err}}))
	}
	s := d.tty(t, rotation.Limits{}, "rotate", KeySet)
	s.vouches("I want to watch")
	s.see("Take over?")
	s.types("n")
	s.see("Go on: every question")
	if err := d.act("go on", func(ctx context.Context) (bool, error) {
		if hasFields(d) {
			return true, nil
		}
		_, err := d.step(ctx)
		return false, err
	}); err != nil {
		t.Fatal(d.report([]Check{{"goes on", err}}))
	}
	s.see("┃ Key ID")
	d.finish(t)
	s.ends(0)
	s.see("prod is rotated")
}

// TestTerminalMends: what failed is retried, or accepted with a reason, from the
// menu (R51).
func TestTerminalMends(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := tapped(w)
	c.alone = true
	w.Heroku.SetPhase(prodApp, herokusim.Phase{On: true, Fails: true})
	s := w.tty(t, quick(), "rotate", KeySet, "--reason", "INC-46")
	s.see("Why do you act now?", "INC-46")
	s.types(enter)
	s.choose("Go on: every question")
	s.choose("Suspected compromise")
	s.see("┃ Reason", "INC-46")
	s.types(enter)
	s.see("┃ Confirm each")
	s.types(ctrlA, enter)
	s.see("Place the test order in step 6")
	s.types("n")
	s.see("┃ Key ID")
	w.GitHub.Grant(githubToken, githubsim.Access{Secrets: githubsim.Write, Push: true, Admin: true, Repos: []string{"raxx/another"}})
	key, err := w.Alpaca.Regenerate(w.Account)
	if err != nil {
		t.Fatal(err)
	}
	s.pastes(key)
	s.see("Retry "+prodApp, "Accept "+ciConsumer)
	w.Heroku.SetPhase(prodApp, herokusim.Phase{On: true})
	s.settles()
	s.choose("Retry " + prodApp)
	s.until("ask about the other one alone", func() bool { return s.row("┃ ", "What now?") > s.row("┃ ", "Retry "+prodApp) })
	s.settles()
	s.choose("Accept " + ciConsumer)
	s.see("┃ Why?")
	s.types(" the repository is archived", enter)
	s.until("ask about the last one alone", func() bool { return s.row("┃ ", "What now?") > s.row("┃ ", "Accept "+ciConsumer) })
	s.settles()
	s.choose("Accept " + nightlyConsumer)
	s.see("┃ Why?")
	s.types(" and its environment with it", enter)
	s.ends(0)
	s.see("prod is rotated", ciConsumer)
	s.hid(key)
	s.told(c, key)
	c.judge(t)
	if err := holds(w.Heroku.Running(prodApp), key); err != nil {
		t.Errorf("%s: %v", prodApp, err)
	}
	rows, err := w.auditRows(t.Context())
	if err != nil || !strings.Contains(fmt.Sprint(rows), "the repository is archived") {
		t.Errorf("audit rows = %v, %v, want the reason", rows, err)
	}
}

// TestTerminalEnded: SIGTERM is Ctrl-C for a question on the screen; it answers
// nothing.
func TestTerminalEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.tty(t, quick(), "rotate", KeySet)
	s.vouches("INC-47")
	s.see("Go on: every question")
	s.cancel()
	s.ends(3)
	s.see("To go on: bot rotate " + KeySet)
	if said, _, code := w.Bot(t.Context(), "status"); code != 0 || !strings.Contains(said, "step 1") {
		t.Errorf("status = %d %q, want the rotation at step 1", code, said)
	}
}
