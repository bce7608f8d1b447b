package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/raxx-app/keyturn/internal/fault"
)

// TestReadPair: what is in a file becomes a pair, or an error that quotes nothing
// of it.
func TestReadPair(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, keyID, key string }{
		{"two lines", "PKONE\nsecret\n", "PKONE", "secret"},
		{"two lines of Windows", "PKONE\r\nsecret\r\n", "PKONE", "secret"},
		{"secret with an equals sign", "PKONE\nsecret=", "PKONE", "secret="},
		{"assignments are the engine's", "A_KEY=PKONE\n\nB_KEY=secret\n", "A_KEY=PKONE\nB_KEY=secret", ""},
		{"one line", "PKONE", "PKONE", ""},
		{"nothing", "", "", ""},
		{"too much", strings.Repeat("x", pairMax+1), strings.Repeat("x", pairMax), ""},
	}
	for _, tt := range tests {
		file := filepath.Join(t.TempDir(), "pair")
		if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		fromFile, fileErr := readPair(t.Context(), Env{}, file)
		fromPipe, pipeErr := readPair(t.Context(), Env{Stdin: strings.NewReader(tt.text)}, "-")
		for how, p := range map[string][2]string{
			"file": {fromFile.KeyID.Reveal(), fromFile.Secret.Reveal()}, "pipe": {fromPipe.KeyID.Reveal(), fromPipe.Secret.Reveal()},
		} {
			if p != [2]string{tt.keyID, tt.key} || fileErr != nil || pipeErr != nil {
				t.Errorf("%s by %s: %q, %v, %v, want %q", tt.name, how, p, fileErr, pipeErr, [2]string{tt.keyID, tt.key})
			}
		}
	}
	_, err := readPair(t.Context(), Env{}, filepath.Join(t.TempDir(), "none"))
	if fault.ReasonOf(err) != "pair_file" || fault.FixText(err) == "" {
		t.Errorf("no file: %v, want pair_file and what to do", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	never, pipe := io.Pipe()
	defer func() { _ = pipe.Close() }()
	if _, err := readPair(ended, Env{Stdin: never}, "-"); !errors.Is(err, context.Canceled) {
		t.Errorf("a pipe that stays empty: %v, want that the context ended", err)
	}
}

// TestOpenPairFile: a pair that others can read is taken, with a warning.
func TestOpenPairFile(t *testing.T) {
	t.Parallel()
	for mode, want := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o700: false, 0o640: true, 0o604: true, 0o644: true} {
		file := filepath.Join(t.TempDir(), "pair")
		if err := os.WriteFile(file, []byte("PKONE\nsecret\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		var said bytes.Buffer
		p, err := readPair(t.Context(), Env{Stderr: &said}, file)
		if err != nil || p.KeyID.Reveal() != "PKONE" {
			t.Errorf("mode %04o: %v, want the pair", mode, err)
		}
		if got := strings.Contains(said.String(), "chmod 600 "+file); got != want || !want && said.Len() > 0 || strings.Contains(said.String(), "PKONE") {
			t.Errorf("mode %04o: said %q, want a warning: %t", mode, &said, want)
		}
	}
}

// TestLogByRoot: a log that root's command makes belongs to the user of the state;
// one that is there stays whose it is.
func TestLogByRoot(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	const bot, other = 4711, 4712
	statePath := filepath.Join(t.TempDir(), "keyturn.db")
	if err := errors.Join(os.WriteFile(statePath, nil, 0o600), os.Chown(statePath, bot, bot)); err != nil {
		t.Fatal(err)
	}
	path := statePath + ".rotate.log"
	for _, want := range []uint32{bot, other} {
		f, err := openLog(path, statePath)
		if err != nil {
			t.Fatal(err)
		}
		info, err := f.Stat()
		if err != nil || info.Sys().(*syscall.Stat_t).Uid != want || info.Mode().Perm() != 0o600 {
			t.Errorf("the log is of %+v, %v, want user %d and mode 0600", info.Sys(), err, want)
		}
		if err := errors.Join(f.Close(), os.Chown(path, other, other)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLogGoesOn: the log of a second command stands below that of the first, and a
// link is not followed.
func TestLogGoesOn(t *testing.T) {
	t.Parallel()
	statePath := filepath.Join(t.TempDir(), "data", "keyturn.db")
	path := statePath + ".rotate.log"
	for range 2 {
		f, err := openLog(path, statePath)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteString("one line\n")
		if err = errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "one line\none line\n" {
		t.Errorf("the log has %q, %v, want both lines", b, err)
	}
	precious := filepath.Join(t.TempDir(), "precious")
	if err := errors.Join(os.WriteFile(precious, nil, 0o600), os.Remove(path), os.Symlink(precious, path)); err != nil {
		t.Fatal(err)
	}
	if f, err := openLog(path, statePath); err == nil {
		t.Errorf("a link was followed to %s", precious)
		_ = f.Close()
	}
}

// TestContinuation: the command to go on with can be pasted into a shell.
func TestContinuation(t *testing.T) {
	t.Parallel()
	for config, want := range map[string]string{
		"/etc/keyturn/bot.yml": "bot rotate prod --config /etc/keyturn/bot.yml",
		"my bot.yml":           "bot rotate prod --config 'my bot.yml'",
		"it's;rm":              `bot rotate prod --config 'it'\''s;rm'`,
	} {
		if got := continuation("prod", config); got != want {
			t.Errorf("continuation(%q) = %s, want %s", config, got, want)
		}
	}
}

// TestSteady: what nobody reads any more is said elsewhere, and nothing twice.
func TestSteady(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var other bytes.Buffer
	s := &steady{out: w, other: &other, again: "bot rotate prod"}
	if _, err := s.Write([]byte("one\n")); err != nil || other.Len() > 0 {
		t.Errorf("Write = %v, and elsewhere %q, want nothing there", err, &other)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"two\n", "three\n"} {
		if _, err := s.Write([]byte(text)); err != nil {
			t.Errorf("Write(%q) = %v", text, err)
		}
	}
	if got := other.String(); !strings.HasSuffix(got, "to go on: bot rotate prod\ntwo\nthree\n") || strings.Count(got, "Nobody reads") != 1 {
		t.Errorf("elsewhere: %q, want the command once, and what came since", got)
	}
}
