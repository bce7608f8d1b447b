// Package simhttp is what every simulated service shares: a loopback server, a
// journal of calls, and faults on demand. It knows no service and nothing of
// testing.
package simhttp

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Fault changes how matching calls are answered. The zero Method and Path
// match every call.
type Fault struct {
	Method string // "" matches every method
	Path   string // prefix of the escaped path
	Times  int    // how many calls it hits; 0 means until cleared

	Delay     time.Duration // waits before anything else
	Cut       bool          // closes the connection; nothing is applied
	Hang      bool          // never answers; nothing is applied
	LoseReply bool          // applies the call, then closes the connection
	HangReply bool          // applies the call, then never answers
	Status    int           // answers this status; nothing is applied
	Header    http.Header
	Body      string // with Status; EchoMark in it is replaced by what the call brought
}

// A Call is one request as it came in. It holds no body: a body may be secret.
type Call struct {
	At     time.Time
	Method string
	Path   string // escaped, without the query
	Status int    // 0: cut, hung or still open
}

// A Server serves one simulated service on loopback. Its methods may be called
// from any goroutine.
type Server struct {
	handler http.Handler
	srv     *http.Server
	ln      net.Listener
	closed  chan struct{}

	mu     sync.Mutex
	delay  time.Duration
	faults []*Fault
	calls  []Call
	watch  func(Request)
}

// New returns a server that hands calls to h once it is started.
func New(h http.Handler) *Server { return &Server{handler: h, closed: make(chan struct{})} }

// Start listens on a free loopback port.
func (s *Server) Start() error { return s.StartAt("127.0.0.1:0") }

// StartAt listens on addr, which must be a loopback address.
func (s *Server) StartAt(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("simulator address: %w", err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("simulator address %s is not loopback", addr)
	}
	ln, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return fmt.Errorf("listen for simulator: %w", err)
	}
	s.ln = ln
	s.srv = &http.Server{Handler: http.HandlerFunc(s.serve), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.srv.Serve(ln) }()
	return nil
}

// URL returns the base URL without a trailing slash.
func (s *Server) URL() string { return "http://" + s.ln.Addr().String() }

// Close ends the server and every open connection. A second Close does nothing.
func (s *Server) Close() error {
	s.mu.Lock()
	select {
	case <-s.closed:
		s.mu.Unlock()
		return nil
	default:
		close(s.closed)
	}
	s.mu.Unlock()
	if s.srv == nil {
		return nil
	}
	return s.srv.Close()
}

// SetDelay adds d before every answer from now on.
func (s *Server) SetDelay(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delay = d
}

// Inject adds a fault. Faults are tried in the order they came; the first that
// matches is used. The returned function takes it away again.
func (s *Server) Inject(f Fault) (clear func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &f
	s.faults = append(s.faults, p)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.faults = slices.DeleteFunc(s.faults, func(x *Fault) bool { return x == p })
	}
}

// FailNext answers the next call with status and a body that no client can use.
func (s *Server) FailNext(status int) { s.Inject(Fault{Times: 1, Status: status}) }

// ClearFaults takes away every fault and the delay.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults, s.delay = nil, 0
}

// Calls returns a copy of the journal, oldest first.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// Count returns how many calls came for method ("" for any) and a path with
// the given prefix, failed ones included.
func (s *Server) Count(method, pathPrefix string) int {
	n := 0
	for _, c := range s.Calls() {
		if (method == "" || c.Method == method) && strings.HasPrefix(c.Path, pathPrefix) {
			n++
		}
	}
	return n
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	index := len(s.calls)
	s.calls = append(s.calls, Call{At: time.Now().UTC(), Method: r.Method, Path: r.URL.EscapedPath()})
	f, delay := s.take(r), s.delay
	s.mu.Unlock()
	brought := s.show(r, f)

	if !s.pause(r, delay+f.Delay) {
		return
	}
	switch {
	case f.Hang:
		s.pause(r, time.Hour)
		panic(http.ErrAbortHandler)
	case f.Cut:
		panic(http.ErrAbortHandler)
	case f.Status != 0:
		maps.Copy(w.Header(), f.Header)
		s.note(index, f.Status)
		w.WriteHeader(f.Status)
		_, _ = w.Write([]byte(strings.ReplaceAll(f.Body, EchoMark, brought)))
		return
	case f.LoseReply, f.HangReply:
		s.handler.ServeHTTP(&discard{header: http.Header{}}, r)
		if f.HangReply {
			s.pause(r, time.Hour)
		}
		panic(http.ErrAbortHandler)
	}
	rec := &recorder{ResponseWriter: w, status: http.StatusOK}
	defer func() { s.note(index, rec.status) }()
	s.handler.ServeHTTP(rec, r)
}

// take returns the first fault that matches r and uses it up; s.mu is held.
func (s *Server) take(r *http.Request) Fault {
	for i, f := range s.faults {
		if (f.Method != "" && f.Method != r.Method) || !strings.HasPrefix(r.URL.EscapedPath(), f.Path) {
			continue
		}
		if f.Times > 0 {
			if f.Times--; f.Times == 0 {
				s.faults = slices.Delete(s.faults, i, i+1)
			}
		}
		return *f
	}
	return Fault{}
}

// pause waits and reports whether the caller is still there.
func (s *Server) pause(r *http.Request, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
	case <-s.closed:
	}
	return false
}

func (s *Server) note(index, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[index].Status = status
}

// A recorder remembers the status. It passes Unwrap so that a WebSocket
// upgrade finds the connection below it.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// Hijack implements [http.Hijacker], which WebSocket libraries ask for directly.
func (r *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	h, ok := r.ResponseWriter.(http.Hijacker)
	if !ok {
		return nil, nil, errors.New("connection cannot be taken over")
	}
	r.status = http.StatusSwitchingProtocols
	return h.Hijack()
}

// A discard is a response that nobody sees.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}

// JSON answers status with v as JSON.
func JSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
