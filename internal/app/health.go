package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// readyLimit is how long a look at the store, and a try to write, may take.
const readyLimit = time.Second

// health answers whether the process is up and whether it can do its work. It
// says nothing about rotations or people.
type health struct {
	store     *writtenStore
	connected func() bool
	late      func(ctx context.Context) string // says what should have run by now and has not, "" if nothing; nil: nothing runs on a clock
	metrics   http.Handler                     // nil: there are none
	log       *slog.Logger
	ln        net.Listener // nil: switched off
}

// listen opens addr, which must be on loopback: the answers are for the
// machine's own supervisor and carry no password. An empty addr switches the
// endpoint off.
func (h *health) listen(ctx context.Context, addr string) error {
	if addr == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return &fault.Error{
			Kind: fault.Invalid, Reason: "listen_not_loopback", Op: "app.health",
			User: "http.listen in bot.yml is not an address of this machine alone.",
			Fix:  `Write 127.0.0.1 and a port, for example 127.0.0.1:9464, or "" to switch it off.`,
		}
	}
	if h.ln, err = new(net.ListenConfig).Listen(ctx, "tcp", addr); err != nil {
		return &fault.Error{
			Kind: fault.Conflict, Reason: "listen", Op: "app.health", Err: err,
			User: "The bot cannot listen on " + addr + ", the address of http.listen in bot.yml.",
			Fix:  "Look whether another program uses that port, or choose another one.",
		}
	}
	return nil
}

// close gives up an address that was never served.
func (h *health) close() {
	if h.ln != nil {
		_ = h.ln.Close()
	}
}

// run serves until ctx ends.
func (h *health) run(ctx context.Context) error {
	if h.ln == nil {
		return nil
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, nil) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { answer(w, h.ready(r.Context())) })
	if h.metrics != nil {
		mux.Handle("GET /metrics", h.metrics)
	}
	srv := &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(h.log.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() }) // nothing here is worth waiting for
	defer stop()
	if err := srv.Serve(h.ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve health: %w", err)
	}
	return nil
}

// ready returns why the bot cannot do its work now.
func (h *health) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	if _, err := h.store.Get(ctx, rotation.OutboxPrefix); err != nil && !errors.Is(err, rotation.ErrNotFound) {
		return errors.New("the state cannot be read")
	}
	if err := h.store.writable(ctx); err != nil {
		return errors.New("the state cannot be written")
	}
	if !h.connected() {
		return errors.New("no Slack socket is up")
	}
	if h.late != nil {
		if what := h.late(ctx); what != "" {
			return errors.New(what)
		}
	}
	return nil
}

func answer(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, err.Error()+"\n")
		return
	}
	_, _ = io.WriteString(w, "ok\n")
}
