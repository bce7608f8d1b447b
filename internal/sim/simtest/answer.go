package simtest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// quoteMin is how many letters and digits in a row, the same in an answer and
// in a text, are taken for a quotation. No word of ours is that long.
const quoteMin = 17

// An Answer is a transport that gives every call the same answer and calls
// nobody. It is for tests that feed a client with what no service would say.
type Answer struct {
	Status int
	Header http.Header // Date and Content-Type are added where they are absent
	Body   []byte
	Rest   int64 // bytes that follow Body: blanks

	read atomic.Int64
}

// RoundTrip implements [http.RoundTripper].
func (a *Answer) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
		_ = r.Body.Close()
	}
	header := http.Header{"Content-Type": {"application/json; charset=utf-8"}, "Date": {"Sun, 22 Nov 2026 12:00:00 GMT"}}
	for name, values := range a.Header {
		header[http.CanonicalHeaderKey(name)] = values
	}
	body := io.MultiReader(bytes.NewReader(a.Body), io.LimitReader(blanks{}, a.Rest))
	return &http.Response{
		StatusCode: a.Status, Status: http.StatusText(a.Status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: io.NopCloser(io.TeeReader(body, (*count)(&a.read))), ContentLength: -1, Request: r,
	}, nil
}

// Read returns how many bytes of its answers were read.
func (a *Answer) Read() int64 { return a.read.Load() }

type count atomic.Int64

// Write implements [io.Writer].
func (c *count) Write(p []byte) (int, error) {
	(*atomic.Int64)(c).Add(int64(len(p)))
	return len(p), nil
}

type blanks struct{}

// Read implements [io.Reader].
func (blanks) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// Quoted returns what texts took over from an answer: a run of letters and
// digits so long that it is no coincidence. It is "" if there is none.
func Quoted(body []byte, texts ...string) string {
	runs := strings.FieldsFunc(string(body), func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
	for _, run := range runs {
		for i := 0; i+quoteMin <= len(run); i++ {
			for _, text := range texts {
				if strings.Contains(text, run[i:i+quoteMin]) {
					return run[i : i+quoteMin]
				}
			}
		}
	}
	return ""
}

// A Recorded is one answer of a real service.
type Recorded struct {
	Status int
	Body   []byte
}

// Recordings returns every answer in the recordings of one service: the files
// testdata/contracts/SERVICE/*.json of the module, seen from a package two
// folders below its root.
func Recordings(t testing.TB, service string) (list []Recorded) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "testdata", "contracts", service, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings of %s: %v", service, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var v any
		if err := json.Unmarshal(data, &v); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		list = append(list, answersIn(v)...)
	}
	if len(list) == 0 {
		t.Fatalf("the recordings of %s hold no answer", service)
	}
	return list
}

// answersIn finds every object that has a status and a body.
func answersIn(v any) (list []Recorded) {
	switch at := v.(type) {
	case []any:
		for _, v := range at {
			list = append(list, answersIn(v)...)
		}
	case map[string]any:
		status, ok := at["status"].(float64)
		for _, name := range []string{"body", "response_body"} {
			if body, there := at[name]; ok && there {
				list = append(list, Recorded{int(status), bodyOf(body)})
			}
		}
		for _, v := range at {
			list = append(list, answersIn(v)...)
		}
	}
	return list
}

// bodyOf returns a body that was recorded as text, or as the JSON that it is.
func bodyOf(v any) []byte {
	if text, ok := v.(string); ok {
		return []byte(text)
	}
	data, _ := json.Marshal(v)
	return data
}
