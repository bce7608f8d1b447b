package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// noRoom lets no file of the process grow past two pages, which is room for what
// it says, and for no state file.
func noRoom(pid int) error {
	return limitFile(pid, &syscall.Rlimit{Cur: 8 << 10, Max: 8 << 10}, nil)
}

// TestDiskFullAtFirstStart: a state file that cannot be made stops the bot,
// which says why, and the next start finds nothing that is in its way.
func TestDiskFullAtFirstStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	says := w.stops(t, noRoom)
	wantStop(t, says, "keyturn.db", "disk is not full")
	w.startsNow(t)
}

// TestDiskFullAtRestart: a bot that has a rotation to go on with and cannot
// write stops and says why; nothing is lost.
func TestDiskFullAtRestart(t *testing.T) {
	t.Parallel()
	d := newDrill(t)
	if err := d.to(hasFields); err != nil {
		t.Fatal(d.report([]Check{{"comes to step 2", err}}))
	}
	var before []byte
	var says string
	code, _ := d.handOver(func() {
		before = read(t, d.stateFile())
		says = d.stops(t, noRoom)
		if after := read(t, d.stateFile()); !bytes.Equal(dataPages(before), dataPages(after)) {
			t.Error("a bot that could not write changed the state file")
		}
	})
	if code != 0 {
		t.Fatalf("the bot ended with %d, want 0", code)
	}
	wantStop(t, says, "disk", "is full", "Nothing of this change was stored")
	d.finish(t)
}

// TestDiskFull fills the disk while the bot runs: it is not ready any more, a
// pair is not taken in, and when there is room it goes on by itself.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	d := newDrill(t)
	url := d.listen(t)
	if err := d.to(hasFields); err != nil {
		t.Fatal(d.report([]Check{{"comes to step 2", err}}))
	}
	d.ready(t, url, http.StatusOK, "ok")
	bot, _ := d.now()
	makeRoom, err := fillDisk(bot.cmd.Process.Pid)
	if err != nil {
		t.Skip(err)
	}
	d.refused(t, "is full. Nothing of this change was stored.")
	d.ready(t, url, http.StatusServiceUnavailable, "cannot be written")
	if err := makeRoom(); err != nil {
		t.Fatal(err)
	}
	d.ready(t, url, http.StatusOK, "ok")
	d.finish(t)
}

// TestReadOnlyFile: a state file that may not be written stops the bot.
func TestReadOnlyFile(t *testing.T) {
	t.Parallel()
	d := newDrill(t)
	if err := d.to(hasFields); err != nil {
		t.Fatal(d.report([]Check{{"comes to step 2", err}}))
	}
	var says string
	skip := ""
	code, _ := d.handOver(func() {
		mend, err := protect(d.stateFile())
		if err != nil {
			skip = err.Error()
			return
		}
		defer func() {
			if err := mend(); err != nil {
				t.Error(err)
			}
		}()
		before := read(t, d.stateFile())
		says = d.stops(t, nil)
		if !bytes.Equal(before, read(t, d.stateFile())) {
			t.Error("the file was changed")
		}
	})
	if code != 0 {
		t.Fatalf("the bot ended with %d, want 0", code)
	}
	if skip == "" {
		wantStop(t, says, "keyturn.db", "cannot be opened for use", "read-only")
	}
	d.finish(t)
	if skip != "" {
		t.Skip(skip)
	}
}

// TestCorruptPage: a damaged state file stops the bot at its start, and is left
// as it is; the copy from before works.
func TestCorruptPage(t *testing.T) {
	t.Parallel()
	d := newDrill(t)
	if err := d.to(hasFields); err != nil {
		t.Fatal(d.report([]Check{{"comes to step 2", err}}))
	}
	var says string
	code, _ := d.handOver(func() {
		good := read(t, d.stateFile())
		bad := damaged(good)
		write(t, d.stateFile(), bad)
		says = d.stops(t, nil)
		if !bytes.Equal(bad, read(t, d.stateFile())) {
			t.Error("the damaged file was changed")
		}
		write(t, d.stateFile(), good)
	})
	if code != 0 {
		t.Fatalf("the bot ended with %d, want 0", code)
	}
	wantStop(t, says, "is damaged", "bot restore")
	d.finish(t)
}

// TestCorruptWhileItRuns damages the file under a running bot: it takes nothing
// in any more, says so, and is not ready; started on the copy from before, it
// goes on.
func TestCorruptWhileItRuns(t *testing.T) {
	t.Parallel()
	d := newDrill(t)
	url := d.listen(t)
	if err := d.to(hasFields); err != nil {
		t.Fatal(d.report([]Check{{"comes to step 2", err}}))
	}
	var good []byte
	d.betweenCommits(t, func() {
		good = read(t, d.stateFile())
		write(t, d.stateFile(), damaged(good))
	})
	d.refused(t, "is damaged")
	d.ready(t, url, http.StatusServiceUnavailable, "state cannot be")
	code, _ := d.handOver(func() { write(t, d.stateFile(), good) })
	if code != 0 {
		t.Errorf("the bot ended with %d after SIGTERM, want 0", code)
	}
	d.finish(t)
}

// refused generates, submits the pair, and wants it not to be taken in, with
// says under the field.
func (d *drill) refused(t *testing.T, says string) {
	t.Helper()
	var err error
	if d.key, err = d.Alpaca.Regenerate(d.Account); err != nil {
		t.Fatal(err)
	}
	got, err := d.submit(d.ctx)
	if shown := fmt.Sprint(got.Errors); err != nil || d.sealed || !strings.Contains(shown, says) {
		t.Errorf("submit = %v, sealed = %t, and under the fields stands %s, want not sealed and %q", err, d.sealed, shown, says)
	}
}

// stops starts a bot that must stop by itself with 1, and returns what it says.
func (w *World) stops(t *testing.T, ready func(pid int) error) string {
	t.Helper()
	before := len(tail(w.Log()))
	bot, err := w.startBot(t.Context(), order{}, ready)
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	select {
	case <-bot.Exited():
	case <-deadline.C:
		t.Error("the bot goes on, want that it stops")
		_ = bot.Kill()
	}
	if code := bot.code(); code != exitFailed {
		t.Errorf("the bot ended with %d, want %d", code, exitFailed)
	}
	said := tail(w.Log())
	return string(said[min(before, len(said)):])
}

// startsNow starts a bot that must come up.
func (w *World) startsNow(t *testing.T) {
	t.Helper()
	bot, err := w.StartBot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), readyLimit)
	defer cancel()
	go func() {
		<-bot.Exited()
		cancel()
	}()
	if err := w.Slack.WaitSockets(ctx, 1); err != nil {
		t.Errorf("the next start: %v\n%s", err, tail(w.Log()))
	}
	_ = bot.Stop()
}

func wantStop(t *testing.T, says string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(says, w) {
			t.Errorf("the bot said %s\nwant %q in it", says, w)
		}
	}
}

// dataPages is the file but for the two pages that bbolt begins each commit with.
func dataPages(file []byte) []byte { return file[min(len(file), 8<<10):] }

// damaged returns the file with all of its data pages wrong.
func damaged(good []byte) []byte {
	bad := bytes.Clone(good)
	for i := range dataPages(bad) {
		dataPages(bad)[i] ^= 0xff
	}
	return bad
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// write replaces what a file holds without making another one.
func write(t *testing.T, path string, data []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt(data, 0)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// listen has the bot serve its health on a free port.
func (w *World) listen(t *testing.T) (url string) {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	text := read(t, w.Config())
	with := bytes.Replace(text, []byte(`http: {listen: ""}`), []byte(`http: {listen: "`+addr+`"}`), 1)
	if bytes.Equal(text, with) {
		t.Fatal("the settings have no http.listen")
	}
	if err := os.WriteFile(w.Config(), with, 0o600); err != nil {
		t.Fatal(err)
	}
	return "http://" + addr + "/readyz"
}

// ready waits until the bot says what is wanted of its readiness.
func (d *drill) ready(t *testing.T, url string, code int, text string) {
	t.Helper()
	var last string
	for began := time.Now(); time.Since(began) < 5*time.Second; {
		req, err := http.NewRequestWithContext(d.ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := new(http.Client).Do(req)
		if err == nil {
			body, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if last = fmt.Sprint(resp.StatusCode, " ", string(body)); resp.StatusCode == code && strings.Contains(string(body), text) {
				return
			}
		}
		if d.pass(lookEvery) != nil {
			break
		}
	}
	t.Errorf("/readyz = %q, want %d with %q", last, code, text)
}

// protect makes a file read-only, for root too where the file system can.
func protect(path string) (mend func() error, err error) {
	if os.Geteuid() != 0 {
		return func() error { return os.Chmod(path, 0o600) }, os.Chmod(path, 0o400)
	}
	const get, set, immutable = 0x80086601, 0x40086602, 0x10 // FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_IMMUTABLE_FL
	f, err := os.Open(path)                                  // the world's own state file
	if err != nil {
		return nil, err
	}
	flags := func(request uintptr, value *int32) error {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), request, uintptr(unsafe.Pointer(value))); errno != 0 {
			return errno
		}
		return nil
	}
	var was int32
	if err := flags(get, &was); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	now := was | immutable
	if err := flags(set, &now); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error { return errors.Join(flags(set, &was), f.Close()) }, nil
}
