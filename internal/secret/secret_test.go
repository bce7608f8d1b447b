package secret_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/raxx-app/keyturn/internal/secret"
)

const canary = "PKCANARY0123456789secret"

// R43, R82: no way of printing, logging or encoding shows the value.
func TestTextIsNeverPrinted(t *testing.T) {
	x := secret.New(canary)
	holder := struct{ Inner struct{ hidden secret.Text } }{}
	holder.Inner.hidden = x
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%p"} {
		fmt.Fprintf(&out, verb+verb+verb+verb, x, &x, holder, []secret.Text{x})
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", slog.Any("value", x), slog.Any("holder", holder), slog.Any("pointer", &x))
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", slog.Any("value", x), slog.Any("holder", holder))
	if strings.Contains(out.String(), canary) || strings.Contains(out.String(), fmt.Sprintf("%x", canary)) {
		t.Errorf("the value was printed:\n%s", out.String())
	}
	if got, err := json.Marshal(map[string]any{"x": x}); err == nil {
		t.Errorf("encoded as JSON: %s, want an error", got)
	}
	if err := gob.NewEncoder(&out).Encode(x); err == nil {
		t.Error("encoded as gob, want an error")
	}
}

func TestCompareAndFingerprint(t *testing.T) {
	a, b, zero := secret.New("one"), secret.New("two"), secret.Text{}
	key := []byte("0123456789abcdef0123456789abcdef")
	if !a.Equal(secret.New("one")) || a.Equal(b) || a.Equal(zero) || !zero.Empty() || zero.Reveal() != "" {
		t.Error("comparison is wrong")
	}
	if a.Fingerprint(key) != secret.New("one").Fingerprint(key) || a.Fingerprint(key) == b.Fingerprint(key) || a.Fingerprint(key) == a.Fingerprint([]byte("other")) {
		t.Error("fingerprint does not tell values and keys apart")
	}
	if len(a.Fingerprint(key)) != 12 {
		t.Errorf("fingerprint %q, want 12 digits", a.Fingerprint(key))
	}
}

func TestTailHidesShortValues(t *testing.T) {
	for value, want := range map[string]string{"PKAAAAWXYZ": "WXYZ", "PKAWXYZ": "", "": ""} {
		if got := secret.New(value).Tail(4); got != want {
			t.Errorf("Tail of %d characters = %q, want %q", len(value), got, want)
		}
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		" a ": "a", "\"a\"": "a", "'a'": "a", "`a`": "a", "“a”": "a", "\ufeffa\u200b\n": "a", "\" a \"": "a", "\"": "\"", "": "", "a\"b": "a\"b",
	} {
		if got := secret.New(in).Clean().Reveal(); got != want {
			t.Errorf("Clean(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestAssignments(t *testing.T) {
	got := secret.New("A_KEY=one\nexport B_KEY = 'two'\nnot a line\nC=no_underscore\n=x\nD_KEY=\n").Assignments()
	if len(got) != 2 || got["A_KEY"].Reveal() != "one" || got["B_KEY"].Reveal() != "two" {
		t.Errorf("found %d names, want A_KEY and B_KEY", len(got))
	}
	if secret.New("ab=cd").Assignments() != nil {
		t.Error("a value with an equals sign is no assignment")
	}
}
