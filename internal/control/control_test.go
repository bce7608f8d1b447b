package control_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/control"
	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// two is an engine with one key set that has an open rotation, one whose last
// rotation was cancelled, and one that was never rotated.
type two struct{ broken error }

func (two) KeySets() []string { return []string{"prod", "staging", "new"} }

func (two) History(_ context.Context, keyset string, limit int) ([]rotation.Past, error) {
	if keyset == "new" || limit != 1 {
		return nil, nil
	}
	return []rotation.Past{{ID: map[string]rotation.ID{"prod": "r1", "staging": "r2"}[keyset]}}, nil
}

func (e two) Active(_ context.Context, keyset string) (rotation.ID, error) {
	if e.broken != nil {
		return "", e.broken
	}
	if keyset == "prod" {
		return "r1", nil
	}
	return "", rotation.ErrNotFound
}

func (two) Remembered(_ context.Context, keyset string) (rotation.Record, error) {
	if keyset == "staging" {
		return rotation.Record{KeySet: keyset, Last: "r0"}, nil
	}
	return rotation.Record{KeySet: keyset}, nil
}

var noon = time.Date(2026, 5, 6, 12, 0, 0, 0, time.UTC)

func (two) Look(_ context.Context, id rotation.ID) (rotation.Overview, error) {
	if id == "r1" {
		return rotation.Overview{Rotation: rotation.Rotation{ID: id, KeySet: "prod", FirstRejected: noon}}, nil
	}
	if id == "r2" {
		return rotation.Overview{Rotation: rotation.Rotation{ID: id, KeySet: "staging", Outcome: rotation.Cancelled}}, nil
	}
	if id != "r0" {
		return rotation.Overview{}, rotation.ErrNotFound
	}
	return rotation.Overview{Rotation: rotation.Rotation{
		ID: id, KeySet: "staging", Outcome: rotation.Completed,
		FirstRejected: noon, SealedAt: noon.Add(time.Second), VerifiedAt: noon.Add(3 * time.Second), LastOK: noon.Add(-time.Second),
	}}, nil
}

// paper is a state file of three rows.
type paper struct{ torn bool }

func (p paper) Snapshot(_ context.Context, w io.Writer) error {
	_, err := w.Write(bytes.Repeat([]byte("x"), 1<<20))
	if p.torn {
		return errors.New("disk gone")
	}
	return err
}

func (paper) Export(_ context.Context, after uint64, w io.Writer) error {
	for _, row := range []string{`{"seq":1}`, `{"seq":2}`, `{"seq":3}`}[after:] {
		if _, err := io.WriteString(w, row+"\n"); err != nil {
			return err
		}
	}
	return nil
}

func (p paper) Verify(context.Context) control.Verdict {
	return control.Verdict{Intact: !p.torn, Rows: 3, Head: "ab"}
}

// serve runs a server and returns a client of it.
func serve(t *testing.T, cfg control.Config) (*control.Client, string) {
	t.Helper()
	cfg.Path = filepath.Join(t.TempDir(), "bot.sock")
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cfg.Connected = func() bool { return true }
	s, err := control.Listen(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	c := control.Dial(cfg.Path)
	t.Cleanup(func() {
		c.Close()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
		if _, err := os.Lstat(cfg.Path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("after Run: %v, want the socket gone", err)
		}
	})
	return c, cfg.Path
}

func TestQuestions(t *testing.T) {
	t.Parallel()
	c, path := serve(t, control.Config{Engine: two{}, Record: paper{}})
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the socket = %v, %v, want 0600", info.Mode(), err)
	}
	about, err := c.About(t.Context())
	if want := (control.About{PID: os.Getpid(), Connected: true, Login: control.Login()}); err != nil || about != want {
		t.Errorf("About = %+v, %v, want %+v", about, err, want)
	}
	views, err := c.Rotations(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := map[rotation.ID]control.Exposure{}
	var order []rotation.ID
	for _, v := range views {
		got[v.Rotation.ID] = v.Exposure
		order = append(order, v.Rotation.ID)
	}
	if want := []rotation.ID{"r1", "r2", "r0"}; !slices.Equal(order, want) {
		t.Errorf("rotations = %v, want %v: the newest first, also if it was cancelled", order, want)
	}
	want := map[rotation.ID]control.Exposure{
		"r1": {From: noon, Running: true},
		"r2": {},
		"r0": {From: noon, TookMS: 3000, AtMostMS: 4000, MachineMS: 2000},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("exposures (-want +got):\n%s", diff)
	}
	rows, err := c.Audit(t.Context(), 1)
	if err != nil || len(rows) != 2 || string(rows[0]) != `{"seq":2}` {
		t.Errorf("Audit(1) = %s, %v, want rows 2 and 3", rows, err)
	}
	if v, err := c.Verify(t.Context()); err != nil || !v.Intact || v.Rows != 3 {
		t.Errorf("Verify = %+v, %v, want 3 intact rows", v, err)
	}
	var file bytes.Buffer
	if err := c.Snapshot(t.Context(), &file); err != nil || file.Len() != 1<<20 {
		t.Errorf("Snapshot = %d bytes, %v, want %d", file.Len(), err, 1<<20)
	}
}

// TestHalfAnswer: a copy that broke off is an error, not a shorter copy.
func TestHalfAnswer(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, control.Config{Engine: two{}, Record: paper{torn: true}})
	if err := c.Snapshot(t.Context(), io.Discard); err == nil {
		t.Error("Snapshot of a broken file = nil, want an error")
	}
}

// TestFaultCrosses: what a person may read of an error arrives whole.
func TestFaultCrosses(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, control.Config{Record: paper{}, Engine: two{broken: &fault.Error{
		Kind: fault.Transient, Reason: "state_busy", User: "The state is busy.", Fix: "Wait.", Err: errors.New("not for people"),
	}}})
	_, err := c.Rotations(t.Context())
	if fault.KindOf(err) != fault.Transient || fault.ReasonOf(err) != "state_busy" || fault.UserText(err) != "The state is busy." || fault.FixText(err) != "Wait." {
		t.Errorf("Rotations = %v (%v, %q, %q), want the engine's own", err, fault.KindOf(err), fault.UserText(err), fault.FixText(err))
	}
	if bytes.Contains([]byte(err.Error()), []byte("not for people")) {
		t.Errorf("error %q tells what is not for people", err)
	}
}

func TestNobody(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "bot.sock")
	c := control.Dial(path)
	defer c.Close()
	if _, err := c.About(t.Context()); !errors.Is(err, control.ErrNobody) {
		t.Errorf("without a socket: %v, want ErrNobody", err)
	}
	leave(t, path)
	if _, err := c.About(t.Context()); !errors.Is(err, control.ErrNobody) {
		t.Errorf("with a dead bot's socket: %v, want ErrNobody", err)
	}
}

// leave makes the socket file of a bot that was killed.
func leave(t *testing.T, path string) {
	t.Helper()
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestListen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := control.Config{Path: filepath.Join(dir, "bot.sock"), Engine: two{}, Record: paper{}, Log: slog.New(slog.DiscardHandler)}
	leave(t, cfg.Path)
	s, err := control.Listen(t.Context(), cfg)
	if err != nil {
		t.Fatalf("beside a dead bot's socket: %v", err)
	}
	if _, err := control.Listen(t.Context(), cfg); fault.ReasonOf(err) != "socket_in_use" {
		t.Errorf("beside a living bot: %v, want socket_in_use", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	file := filepath.Join(dir, "notes.txt")
	if err := os.WriteFile(file, []byte("keep me"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.Path = file
	if _, err := control.Listen(t.Context(), cfg); fault.ReasonOf(err) != "socket" {
		t.Errorf("where a file is: %v, want socket", err)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "keep me" {
		t.Errorf("the file that was there: %q, %v, want it untouched", b, err)
	}
}
