// Package page is the sandbox in a browser: a workspace of slacksim as each of
// its people sees it, the dashboard and the places that hold the pair, and the
// rotation as the running bot tells it. It serves assets that are embedded and
// a JSON API with one stream of events; it knows no rule of the bot.
package page

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"io/fs"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/raxx-app/keyturn/internal/control"
	"github.com/raxx-app/keyturn/internal/sim/alpacasim"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

//go:embed assets
var assets embed.FS

// A Process is the bot as a process of its own.
type Process interface {
	PID() int // 0: it does not run
	// Start, Stop and Kill return an error if there is nothing to start or end.
	Start(ctx context.Context) error
	Stop() error
	Kill() error
}

// A Record is what the running bot tells about itself. [control.Client] is one.
type Record interface {
	Rotations(ctx context.Context) ([]control.RotationView, error)
	Audit(ctx context.Context, after uint64) ([]control.AuditRow, error)
	Verify(ctx context.Context) (control.Verdict, error)
}

// A Clock is that of the simulated world and of the bot in it.
type Clock interface {
	Now() time.Time
	Ahead() time.Duration // of the machine's clock
	// Advance moves it forward.
	Advance(d time.Duration) error
}

// A Drill judges a person who does a rotation under difficulties.
type Drill interface {
	View() DrillView
	Note(a Act) // is told of everything that the person does
	Finish()    // the person has had enough
}

// A Config says what a [Server] shows. Record, Drill and Faults may be empty.
type Config struct {
	Addr    string // host:port at which the page is served
	Version string
	Team    string
	Command string
	People  []Person

	Slack  *slacksim.Workspace
	Alpaca *alpacasim.Sim
	Ours   func(accountID string) string // the key set that uses an account; "" for none
	Places func() []Place
	Alerts func() []Alert // what PagerDuty wakes people with; may be nil
	Bot    Process
	Record Record
	Clock  Clock
	Faults []Fault
	Drill  Drill
}

// How often the page looks at what nobody announces, and how often it tells a
// browser of changes at most.
const (
	lookEvery = 60 * time.Millisecond
	askEvery  = 150 * time.Millisecond
	sendEvery = 50 * time.Millisecond
	aliveBeat = 15 * time.Second // between signs of life to a browser
)

// bodyLimit is how long a request may be, in bytes.
const bodyLimit = 64 << 10

// A Server is the page. Its methods may be called from any goroutine.
type Server struct {
	cfg     Config
	mux     *http.ServeMux
	hosts   map[string]bool
	started time.Time
	kick    chan struct{}
	board   board

	mu    sync.Mutex
	on    map[string]bool // faults that are switched on
	bot   botState
	viewN int // browsers that look
}

// New returns a page. Serve it with [Server.ServeHTTP] while [Server.Run] runs.
func New(cfg Config) (*Server, error) {
	_, port, err := net.SplitHostPort(cfg.Addr)
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg, mux: http.NewServeMux(), started: cfg.Clock.Now(), kick: make(chan struct{}, 1), on: map[string]bool{},
		hosts: map[string]bool{cfg.Addr: true},
		board: board{changed: make(chan struct{}), parts: map[string]part{}},
		bot:   botState{verdict: control.Verdict{Intact: true}},
	}
	for _, host := range []string{"localhost", "127.0.0.1", "::1"} {
		s.hosts[net.JoinHostPort(host, port)] = true
	}
	files, err := fs.Sub(assets, "assets")
	if err != nil {
		return nil, err
	}
	s.routes(files)
	return s, nil
}

func (s *Server) routes(files fs.FS) {
	page := http.FileServerFS(files)
	s.mux.Handle("GET /{$}", page)
	s.mux.Handle("GET /assets/", http.StripPrefix("/assets", page))
	s.mux.HandleFunc("GET /api/events", s.events)
	s.slackRoutes()
	s.alpacaRoutes()
	s.botRoutes()
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.guard(w, r) {
		return
	}
	s.mux.ServeHTTP(w, r)
}

// Run looks at the world for the browsers until ctx ends.
func (s *Server) Run(ctx context.Context) {
	var work sync.WaitGroup
	work.Go(func() { s.askLoop(ctx) })
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
			if s.watched() {
				s.look()
			}
		case <-s.kick:
			s.look()
		}
	}
	work.Wait()
}

// watched reports whether any browser looks.
func (s *Server) watched() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.viewN > 0
}

// look puts what the world shows now on the board.
func (s *Server) look() {
	s.board.put("outside", s.outside())
	s.board.put("rotation", s.rotation())
	if s.cfg.Drill != nil {
		s.board.put("drill", s.cfg.Drill.View())
	}
}

// soon has the board looked after at once.
func (s *Server) soon() {
	select {
	case s.kick <- struct{}{}:
	default: // it is going to be
	}
}

// A board holds each part of the page that everybody sees alike, as JSON.
type board struct {
	mu      sync.Mutex
	changed chan struct{} // closed and replaced at every change
	parts   map[string]part
	rows    []json.RawMessage // of the audit record
}

type part struct {
	body []byte
	n    int // grows with every change
}

// put replaces a part if v differs from it.
func (b *board) put(name string, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		return // it is made of texts and numbers
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	old := b.parts[name]
	if bytes.Equal(old.body, body) {
		return
	}
	b.parts[name] = part{body, old.n + 1}
	b.wake()
}

// add appends rows of the audit record.
func (b *board) add(rows []json.RawMessage) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rows = append(b.rows, rows...)
	b.wake()
}

func (b *board) wake() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// next returns a channel that is closed at the next change.
func (b *board) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changed
}

func (b *board) part(name string) part {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.parts[name]
}

// since returns the rows after the first n. They are never changed.
func (b *board) since(n int) []json.RawMessage {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rows[n:len(b.rows):len(b.rows)]
}
