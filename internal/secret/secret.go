// Package secret holds text that cannot be printed or encoded. It knows how to
// clean, compare and fingerprint such text without showing it; it does not know
// what the text is for.
package secret

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"unicode/utf8"
)

// redacted is what a formatted Text shows.
const redacted = "[redacted]"

// errEncode is returned by every encoder: an encoded secret would be stored or
// sent as a word, and the value lost.
var errEncode = errors.New("secret: refused to encode")

// A Text is a secret string. Formatting or logging it yields "[redacted]";
// encoding it is an error. The value comes out only through [Text.Reveal], so a
// search for "Reveal(" lists every place where a secret leaves the program.
// The zero Text is empty.
type Text struct {
	// A closure, not a string: fmt ignores methods on unexported fields and
	// would print a string it finds there. A func prints as an address.
	reveal func() string
}

// New wraps s.
func New(s string) Text { return Text{func() string { return s }} }

// Reveal returns the value. Call it only where the value leaves for its
// destination.
func (t Text) Reveal() string {
	if t.reveal == nil {
		return ""
	}
	return t.reveal()
}

// Format implements [fmt.Formatter] for every verb.
func (Text) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue implements [slog.LogValuer].
func (Text) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements [encoding.TextMarshaler] and always fails.
func (Text) MarshalText() ([]byte, error) { return nil, errEncode }

// MarshalJSON implements [encoding/json.Marshaler] and always fails.
func (Text) MarshalJSON() ([]byte, error) { return nil, errEncode }

// GobEncode implements [encoding/gob.GobEncoder] and always fails.
func (Text) GobEncode() ([]byte, error) { return nil, errEncode }

// Empty reports whether there is no value.
func (t Text) Empty() bool { return t.Reveal() == "" }

// Len returns the number of characters.
func (t Text) Len() int { return utf8.RuneCountInString(t.Reveal()) }

// Equal compares in a time that does not depend on where the values differ.
func (t Text) Equal(o Text) bool {
	return subtle.ConstantTimeCompare([]byte(t.Reveal()), []byte(o.Reveal())) == 1
}

// HasPrefix reports whether the value starts with p.
func (t Text) HasPrefix(p string) bool { return strings.HasPrefix(t.Reveal(), p) }

// Tail returns the last n characters, or "" if the value has fewer than twice
// as many. Use it for key IDs, never for the secret half of a pair.
func (t Text) Tail(n int) string {
	r := []rune(t.Reveal())
	if len(r) < 2*n {
		return ""
	}
	return string(r[len(r)-n:])
}

// Only reports whether every character satisfies ok.
func (t Text) Only(ok func(rune) bool) bool {
	return strings.IndexFunc(t.Reveal(), func(r rune) bool { return !ok(r) }) < 0
}

// Fingerprint returns 12 hex digits of HMAC-SHA256 under key: enough to tell
// two values apart, useless to guess one without the key.
func (t Text) Fingerprint(key []byte) string {
	m := hmac.New(sha256.New, key)
	_, _ = io.WriteString(m, t.Reveal())
	return hex.EncodeToString(m.Sum(nil)[:6])
}

// Clean returns the value without the wrapping that copying adds: surrounding
// space, newlines and invisible marks, one pair of quotes.
func (t Text) Clean() Text { return New(clean(t.Reveal())) }

// Assignments returns the values of "NAME=value" lines ("export NAME=value"
// too), cleaned, by name. It returns nil if the text has no such line.
func (t Text) Assignments() map[string]Text {
	var found map[string]Text
	for line := range strings.Lines(t.Reveal()) {
		name, value, ok := strings.Cut(strings.TrimPrefix(clean(line), "export "), "=")
		name = strings.TrimSpace(name)
		if !ok || !isName(name) || clean(value) == "" {
			continue
		}
		if found == nil {
			found = map[string]Text{}
		}
		found[name] = New(clean(value))
	}
	return found
}

// isName reports whether s looks like the name of an environment variable: it
// holds an underscore, which no key has.
func isName(s string) bool {
	return strings.Contains(s, "_") && strings.IndexFunc(s, func(r rune) bool {
		return r != '_' && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (r < '0' || r > '9')
	}) < 0
}

// clean trims space and the invisible characters that web pages put around
// copied text, then quotes, then space again.
func clean(s string) string {
	trim := func(s string) string {
		return strings.TrimFunc(s, func(r rune) bool {
			return r <= ' ' || r == '\u00a0' || r >= '\u2000' && r <= '\u200f' || r >= '\u2028' && r <= '\u202f' || r == '\u2060' || r == '\ufeff'
		})
	}
	s = trim(s)
	for _, q := range []string{`""`, "''", "``", "“”", "‘’"} {
		open, size := utf8.DecodeRuneInString(q)
		last, _ := utf8.DecodeRuneInString(q[size:])
		if strings.HasPrefix(s, string(open)) && strings.HasSuffix(s, string(last)) && utf8.RuneCountInString(s) > 1 {
			return trim(strings.TrimSuffix(strings.TrimPrefix(s, string(open)), string(last)))
		}
	}
	return s
}
