package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/raxx-app/keyturn/internal/commands"
	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// How long the server waits: for a request's head, and for one that goes on
// when it is told to stop.
const (
	headLimit = 5 * time.Second
	stopLimit = 2 * time.Second
)

// actLimit is how long an act may take; a cancel probes the old pair first.
const actLimit = time.Minute

// maxRequest bounds what is read of a request, in bytes.
const maxRequest = 64 << 10

// dialLimit is how long another process may take to answer on the socket before
// it counts as dead.
const dialLimit = time.Second

// An Engine is what the server asks about rotations.
type Engine interface {
	KeySets() []string
	Active(ctx context.Context, keyset string) (rotation.ID, error)
	Remembered(ctx context.Context, keyset string) (rotation.Record, error)
	Look(ctx context.Context, id rotation.ID) (rotation.Overview, error)
	History(ctx context.Context, keyset string, limit int) ([]rotation.Past, error)
}

// A Record is what the server asks about the state file.
type Record interface {
	// Snapshot writes a copy that can be opened as a state file.
	Snapshot(ctx context.Context, w io.Writer) error
	// Export writes the audit rows after one, as JSON lines; 0 means all.
	Export(ctx context.Context, after uint64, w io.Writer) error
	// Verify checks the whole audit record.
	Verify(ctx context.Context) Verdict
}

// A Config is what a [Server] works with.
type Config struct {
	Path      string // of the socket
	Engine    Engine
	Record    Record
	Connected func() bool // to Slack
	Log       *slog.Logger

	// Acts, Watcher, Gate and Now let people act in the terminal. Without Acts
	// commands can only read.
	Acts    Acts
	Watcher Watcher
	Gate    Gate
	Now     func() time.Time

	Person  func(login string) string        // Slack user of a login on this host; "": none. nil: nobody has one
	Admin   func(id string) string           // audit name of an actor (R62); nil: its ID
	Queue   Queue                            // of what the ops channel is told; nil: nothing is
	Channel string                           // that Queue posts to
	Health  func(ctx context.Context) Health // nil: the bot does not say
}

// A Server answers commands beside the running bot.
type Server struct {
	cfg       Config
	ln        net.Listener
	doers     map[commands.Act]doer
	lookLimit time.Duration
	stopping  chan struct{} // closed when Run is told to stop
	busy      sync.WaitGroup
}

// Listen makes the socket. A file that a dead bot left there is replaced; one on
// which somebody answers is an error (Conflict, reason socket_in_use).
func Listen(ctx context.Context, cfg Config) (*Server, error) {
	if err := sweep(ctx, cfg.Path); err != nil {
		return nil, err
	}
	ln, err := listen(ctx, cfg.Path)
	if err != nil {
		return nil, socketFault(cfg.Path, err)
	}
	// Before this others may connect, but not past peers.Accept.
	if err := os.Chmod(cfg.Path, 0o600); err != nil {
		return nil, errors.Join(socketFault(cfg.Path, err), ln.Close())
	}
	return &Server{
		cfg: cfg, ln: peers{Listener: ln, log: cfg.Log}, doers: doers(), lookLimit: lookLimit, stopping: make(chan struct{}),
	}, nil
}

// sweep removes what a bot that was killed left behind.
func sweep(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return socketFault(path, err)
	case info.Mode()&os.ModeSocket == 0:
		return socketFault(path, errors.New("something else is there"))
	}
	conn, err := (&net.Dialer{Timeout: dialLimit}).DialContext(ctx, "unix", path)
	if err == nil {
		_ = conn.Close()
	}
	if !errors.Is(err, syscall.ECONNREFUSED) { // a busy one is not a dead one
		return &fault.Error{
			Kind: fault.Conflict, Reason: "socket_in_use", Op: "control.Listen",
			User: "Another bot answers on " + path + ".", Fix: "Stop it, or give this one a socket of its own with state.socket in bot.yml.",
		}
	}
	if err := os.Remove(path); err != nil {
		return socketFault(path, err)
	}
	return nil
}

func socketFault(path string, err error) error {
	return &fault.Error{
		Kind: fault.Invalid, Reason: "socket", Op: "control.Listen", Err: err,
		User: "The bot cannot make its socket at " + path + ".", Fix: "Look who owns that folder, or choose another place with state.socket in bot.yml.",
	}
}

// Run answers until ctx ends. The socket is gone when it returns, and so is every
// act that was begun.
func (s *Server) Run(ctx context.Context) error {
	// An act is not stopped by a terminal that hangs up, and has a moment more
	// when the bot is told to stop.
	acting, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer s.busy.Wait()
	defer cancel()
	srv := &http.Server{
		Handler: s.routes(acting), ReadHeaderTimeout: headLimit, MaxHeaderBytes: 16 << 10, ConnContext: withLogin,
		ErrorLog: slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug),
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		close(s.stopping)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
		defer cancel()
		if srv.Shutdown(ctx) != nil {
			_ = srv.Close()
		}
	})
	err := srv.Serve(s.ln)
	if stop() || !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve control socket: %w", err)
	}
	<-stopped
	return nil
}

// routes returns what the server answers to.
func (s *Server) routes(acting context.Context) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+pathAbout, s.about)
	mux.HandleFunc("GET "+pathRotations, s.rotations)
	mux.HandleFunc("GET "+pathAudit, s.audit)
	mux.HandleFunc("GET "+pathVerify, func(w http.ResponseWriter, r *http.Request) { writeJSON(w, s.cfg.Record.Verify(r.Context())) })
	mux.HandleFunc("GET "+pathSnapshot, func(w http.ResponseWriter, r *http.Request) {
		stream(r.Context(), w, s.cfg.Record.Snapshot)
	})
	mux.HandleFunc("GET "+pathHealth, s.health)
	if s.cfg.Acts == nil {
		return mux
	}
	mux.HandleFunc("GET "+pathLook, s.look)
	mux.HandleFunc("POST "+pathAct, s.to(acting, s.act))
	mux.HandleFunc("POST "+pathPaste, s.to(acting, s.paste))
	return mux
}

// Close lets go of a socket that was never run.
func (s *Server) Close() error { return s.ln.Close() }

func (s *Server) about(w http.ResponseWriter, r *http.Request) {
	login := loginFrom(r.Context())
	writeJSON(w, About{PID: os.Getpid(), Connected: s.cfg.Connected(), Login: login, Person: s.person(login)})
}

// rotations answers with the newest rotation of each key set, and the last one
// that was completed if that is another.
func (s *Server) rotations(w http.ResponseWriter, r *http.Request) {
	list := []RotationView{}
	for _, name := range s.cfg.Engine.KeySets() {
		ids, err := s.worthShowing(r.Context(), name)
		for i := 0; err == nil && i < len(ids); i++ {
			var o rotation.Overview
			if o, err = s.cfg.Engine.Look(r.Context(), ids[i]); err == nil {
				list = append(list, viewOf(o.Rotation))
			}
		}
		if err != nil {
			writeProblem(w, err)
			return
		}
	}
	writeJSON(w, list)
}

// worthShowing returns the rotations of a key set that a list has, newest first.
func (s *Server) worthShowing(ctx context.Context, keyset string) ([]rotation.ID, error) {
	newest, err := s.cfg.Engine.Active(ctx, keyset)
	if errors.Is(err, rotation.ErrNotFound) {
		newest, err = s.newest(ctx, keyset)
	}
	if err != nil {
		return nil, err
	}
	rec, err := s.cfg.Engine.Remembered(ctx, keyset)
	if err != nil {
		return nil, err
	}
	ids := slices.DeleteFunc([]rotation.ID{newest, rec.Last}, func(id rotation.ID) bool { return id == "" })
	return slices.Compact(ids), nil
}

// newest returns the last rotation of a key set, however it ended, or "".
func (s *Server) newest(ctx context.Context, keyset string) (rotation.ID, error) {
	past, err := s.cfg.Engine.History(ctx, keyset, 1)
	if err != nil || len(past) == 0 {
		return "", err
	}
	return past[0].ID, nil
}

func (s *Server) audit(w http.ResponseWriter, r *http.Request) {
	after, err := strconv.ParseUint(r.FormValue("after"), 10, 64)
	if r.FormValue("after") != "" && err != nil {
		writeProblem(w, &fault.Error{Kind: fault.Invalid, Reason: "bad_after", Op: "control.audit", User: "after is no row number.", Fix: "Give the sequence of a row, or 0."})
		return
	}
	stream(r.Context(), w, func(ctx context.Context, w io.Writer) error { return s.cfg.Record.Export(ctx, after, w) })
}

// stream lets f write the answer. What goes wrong after the first byte cuts the
// connection, so that half an answer is never taken for a whole one.
func stream(ctx context.Context, w http.ResponseWriter, f func(context.Context, io.Writer) error) {
	out := &counter{w: w}
	switch err := f(ctx, out); {
	case err == nil:
	case out.n == 0:
		writeProblem(w, err)
	default:
		panic(http.ErrAbortHandler)
	}
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the other end is gone
}

func writeProblem(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusUnprocessableEntity)
	_ = json.NewEncoder(w).Encode(problem{Kind: int(fault.KindOf(err)), Reason: fault.ReasonOf(err), User: fault.UserText(err), Fix: fault.FixText(err)})
}
