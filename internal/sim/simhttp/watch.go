package simhttp

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// EchoMark stands, in the Body of a [Fault], for the headers and the body of the
// call that is answered, escaped for the inside of a JSON string. Services do
// quote what they were sent.
const EchoMark = "{echo}"

// A Request is one call with all that it brought: secrets too.
type Request struct {
	Method string
	URI    string // path and query, escaped
	Header http.Header
	Body   []byte
}

// Watch has f called with every call from now on, before it is answered, faults
// included. It is called from the goroutine of the call, so from several at the
// same time. nil ends it.
func (s *Server) Watch(f func(Request)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watch = f
}

// show hands r to whoever watches, and returns the text for [EchoMark] if f
// needs it. The body can still be read afterwards.
func (s *Server) show(r *http.Request, f Fault) string {
	s.mu.Lock()
	watch := s.watch
	s.mu.Unlock()
	echo := strings.Contains(f.Body, EchoMark)
	if watch == nil && !echo {
		return ""
	}
	body, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	if err != nil { // whoever answers sees the same
		r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), broken{err}))
	}
	if watch != nil {
		watch(Request{Method: r.Method, URI: r.RequestURI, Header: r.Header.Clone(), Body: body})
	}
	if !echo {
		return ""
	}
	var text strings.Builder
	_ = r.Header.Write(&text)
	text.Write(body)
	quoted, _ := json.Marshal(text.String())
	return string(quoted[1 : len(quoted)-1])
}

// A broken reader fails.
type broken struct{ err error }

// Read implements [io.Reader].
func (b broken) Read([]byte) (int, error) { return 0, b.err }
