// Package raptorsim is a small working copy of the downstream trading service:
// GET /api/trading/account and POST /api/trading/orders (R52, R55). It holds no
// truth of its own. Which pair it uses is what its dynos really run with, and
// what that pair is worth is what Alpaca answers, over HTTP.
//
// No recording of the real service exists: the paths, the field alpaca_status
// and the order body are the SOP's, the rest is ours and kept small.
package raptorsim

import (
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/raxx-app/keyturn/internal/sim/simhttp"
)

// A Config says where the service runs.
type Config struct {
	// Vars returns the environment of the running dynos; nil means that none
	// is running.
	Vars      func() map[string]string
	AlpacaURL string // base URL of the paper host
	KeyIDVar  string // "" means ALPACA_PAPER_API_KEY_ID
	SecretVar string // "" means ALPACA_PAPER_API_SECRET_KEY
	Token     string // bearer that callers must send; "" means none (G7)
	Now       func() time.Time
}

// Options are how the service differs from the plain one. They can be changed
// while it runs. A lost reply, an HTML page or a slow answer is a
// [simhttp.Fault].
type Options struct {
	ForwardsClientID bool          // hands client_order_id on to Alpaca
	Wrapper          string        // wraps every answer: "data" makes {"data":{…}}
	Lag              time.Duration // how long it goes on with a pair after its environment changed
	LiveBook         bool          // places every order on the live book, whatever its mode
}

// A LiveOrder is an order that went to the live book, which must never happen.
type LiveOrder struct {
	ID, Symbol, Side, Mode string
	Qty                    string
}

// A Sim is a running copy. Its methods may be called from any goroutine.
type Sim struct {
	*simhttp.Server

	cfg    Config
	client *http.Client

	mu      sync.Mutex
	opts    Options
	used    pair // that it works with
	seen    pair // that its environment holds
	changed time.Time
	live    []LiveOrder
	bodies  [][]byte
}

type pair struct{ keyID, secret string }

// New returns a simulator that serves once it is started.
func New(cfg Config) *Sim {
	if cfg.KeyIDVar == "" {
		cfg.KeyIDVar = "ALPACA_PAPER_API_KEY_ID"
	}
	if cfg.SecretVar == "" {
		cfg.SecretVar = "ALPACA_PAPER_API_SECRET_KEY"
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Sim{cfg: cfg, client: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{}}}
	s.Server = simhttp.New(http.HandlerFunc(s.serve))
	return s
}

// SetOptions changes how the service behaves from now on.
func (s *Sim) SetOptions(o Options) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opts = o
}

// LiveOrders returns what was placed on the live book.
func (s *Sim) LiveOrders() []LiveOrder {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.live)
}

// OrderBodies returns the bodies of all order requests that were understood,
// oldest first. They hold no secret.
func (s *Sim) OrderBodies() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]string, len(s.bodies))
	for i, b := range s.bodies {
		out[i] = string(b)
	}
	return out
}

// Close ends the server and its connections to Alpaca.
func (s *Sim) Close() error {
	s.client.CloseIdleConnections()
	return s.Server.Close()
}

// current returns the pair that the service works with now and its options; ok
// is false if no dyno runs.
func (s *Sim) current() (p pair, o Options, ok bool) {
	vars := s.cfg.Vars() // outside the lock: it asks another simulator
	s.mu.Lock()
	defer s.mu.Unlock()
	if vars == nil {
		return pair{}, s.opts, false
	}
	now, env := s.cfg.Now(), pair{vars[s.cfg.KeyIDVar], vars[s.cfg.SecretVar]}
	switch {
	case s.used == pair{}: // first look: it started with this environment
		s.used, s.seen = env, env
	case env != s.seen:
		s.seen, s.changed = env, now
	}
	if s.used != s.seen && now.Sub(s.changed) >= s.opts.Lag {
		s.used = s.seen
	}
	return s.used, s.opts, true
}
