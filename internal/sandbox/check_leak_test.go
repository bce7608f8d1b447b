package sandbox

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestLeakSearch puts a value into a haystack in every form in which a program
// may write it, and wants it found.
func TestLeakSearch(t *testing.T) {
	t.Parallel()
	const value, short = "Kq7vTz1XbN+4mWp/0sYeR8uJcL2hGdF6oAiE3nQ9", "PKZX7Q4MT9W2KLB8RV3D"
	l := search(t, map[string]string{"the secret": value, "the key ID": short})
	padded := func(encode func([]byte) string, offset int) string {
		return encode([]byte(strings.Repeat("?", offset) + value + "more"))
	}
	quoted, err := json.Marshal(map[string]string{"v": "<" + value + ">"})
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]string{
		"raw": value, "in a sentence": "the value " + value + " was refused",
		"first half": value[:len(value)/2], "second half": value[len(value)/2:], "first 12": value[:12], "last 12": value[len(value)-12:],
		"from 9 to 32": value[9:32], "the last but 5": value[12:35], "hex of the middle": hex.EncodeToString([]byte(value[8:32])), "base64 of the middle": base64.StdEncoding.EncodeToString([]byte(value[10:34])),
		"small": strings.ToLower(value), "capitals": strings.ToUpper(value), "the middle, capitals": strings.ToUpper(value[9:32]),
		"halves on two lines": value[:20] + "\n" + value[20:], "a dash every four": strings.Join(chunks(value, 4), "-"), "a line every five": strings.Join(chunks(value, 5), "\\n"), "one character each": strings.Join(chunks(value, 1), "\",\""),
		"hex": hex.EncodeToString([]byte(value)), "hex, capitals": strings.ToUpper(hex.EncodeToString([]byte("x" + value))),
		"base64 0": padded(base64.StdEncoding.EncodeToString, 0), "base64 1": padded(base64.StdEncoding.EncodeToString, 1), "base64 2": padded(base64.StdEncoding.EncodeToString, 2),
		"base64url 0": padded(base64.URLEncoding.EncodeToString, 3), "base64url 1": padded(base64.URLEncoding.EncodeToString, 4), "base64url 2": padded(base64.RawURLEncoding.EncodeToString, 5),
		"base64 of a half": base64.StdEncoding.EncodeToString([]byte(value[20:])),
		"query":            url.Values{"v": {value}}.Encode(), "path": url.PathEscape(value), "every byte for a URL": each(value, "%%%02X", ""), "small letters": each(value, "%%%02x", ""),
		"JSON": string(quoted), "every byte for JSON": each(value, `\u%04x`, ""), "JSON in JSON": fmt.Sprintf("%q", quoted),
		"HTML": each(value, "&#x%x;", ""), "bytes": fmt.Sprintf("%v", []byte(value)), "bytes, syntax": fmt.Sprintf("%#v", []byte(value)), "bytes, hex": fmt.Sprintf("% x", value), "runes": fmt.Sprintf("%q", []rune(value)), "characters": fmt.Sprintf("%c", []rune(value)),
	}
	for name, text := range tests {
		got := l.find([]byte("before " + text + " after"))
		if len(got) == 0 || got[0].Name != "the secret" {
			t.Errorf("%s: %v was found, want the secret", name, got)
		}
		for _, f := range got {
			if strings.Contains(f.String(), value[:4]) {
				t.Errorf("%s: the value is in %q", name, f)
			}
		}
	}
	for from := range len(value) - 2*pieceSize + 2 {
		if got := l.find([]byte(value[from : from+2*pieceSize-1])); len(got) == 0 {
			t.Errorf("%d characters from the %dth: nothing was found", 2*pieceSize-1, from)
		}
	}
	if got := l.find([]byte(short[:10])); len(got) != 1 || got[0].Name != "the key ID" {
		t.Errorf("half of a key ID: %v was found, want it", got)
	}
}

// TestLeakSearchIsQuiet: what is close to a value is not taken for it.
func TestLeakSearchIsQuiet(t *testing.T) {
	t.Parallel()
	l := search(t, map[string]string{"the key ID": "PKZX7Q4MT9W2KLB8RV3D"})
	noise := make([]byte, 1<<20)
	if _, err := rand.Read(noise); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"its last four": []byte("key ····RV3D"), "another": []byte("PKZX7Q4M0000KLB8RV3D"), "nothing": nil, "little": []byte("PK"), "noise": noise,
		"noise in base64": []byte(base64.StdEncoding.EncodeToString(noise)), "zeros": make([]byte, 1<<10),
	} {
		if got := l.find(data); len(got) > 0 {
			t.Errorf("%s: %v was found, want nothing", name, got)
		}
	}
	if _, err := newLeakSearch(map[string]string{"a word": "short"}); err == nil {
		t.Error("a search for five characters is no error, want one: they are found by chance")
	}
}

// TestLeakSearchAtTheEdges: a value at either end of the data is found, and two
// values are both told.
func TestLeakSearchAtTheEdges(t *testing.T) {
	t.Parallel()
	const a, b = "aaaaBBBBccccDDDDeeee", "1111222233334444"
	l := search(t, map[string]string{"a": a, "b": b})
	got := map[string]bool{}
	for _, f := range l.find(bytes.Join([][]byte{[]byte(a), []byte(b)}, []byte(" "))) {
		got[f.String()] = true
	}
	want := map[string]bool{
		"a (its start as it is)": true, "a (its end as it is)": true, "a (cut into pieces)": true,
		"b (its start as it is)": true, "b (its end as it is)": true, "b (cut into pieces)": true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
}

func search(t *testing.T, values map[string]string) *leakSearch {
	t.Helper()
	l, err := newLeakSearch(values)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func chunks(s string, size int) []string {
	var list []string
	for ; len(s) > size; s = s[size:] {
		list = append(list, s[:size])
	}
	return append(list, s)
}
