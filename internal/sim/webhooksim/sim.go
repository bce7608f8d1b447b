// Package webhooksim is a small working receiver of Keyturn's webhooks, as
// docs/webhooks.md tells people to write one. It refuses whatever the page does
// not allow, holds the last pair that it was sent, and says whether that works.
package webhooksim

import (
	"cmp"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/raxx-app/keyturn/internal/sim/simhttp"
)

// Path is where a receiver listens if nothing else is configured.
const Path = "/hooks/keys"

// A Config says what the receiver is. The zero Config but for Secret is one
// that is only told about rotations.
type Config struct {
	Secret string // that signs events
	Pair   bool   // takes pairs; otherwise a pair is refused
	Path   string // "" means [Path]
	// Works reports whether a pair works now; nil means that every pair does.
	Works func(keyID, secret string) bool
	Now   func() time.Time // nil means time.Now
}

// Options are how the receiver differs from a good one. They can be changed
// while it runs. An error status, a slow or a lost answer, [Redirect] and
// [Page] are a [simhttp.Fault].
type Options struct {
	RejectsSignature bool          // as if its secret were another one
	YesToAll         bool          // says yes to every verify event
	Lag              time.Duration // how long it goes on with the former pair
}

// An Event is one request whose signature was right. It holds no pair.
type Event struct {
	At       time.Time
	Type     string // "ping", "rotated" or "verify"
	Rotation string
	KeySet   string
	Last4    string
	Delivery string // the header Keyturn-Delivery
	Pair     bool   // it carried one
	Repeat   bool   // of a delivery that was taken already; nothing was done
	Status   int    // that it was answered with
}

// A Sim is a running receiver. Its methods may be called from any goroutine.
type Sim struct {
	*simhttp.Server
	cfg Config

	mu      sync.Mutex
	opts    Options
	events  []Event
	taken   map[string]bool // deliveries
	former  pair
	now     pair
	changed time.Time // when now replaced former
	told    string    // last four of the last key it was told of
}

type pair struct {
	KeyID  string `json:"key_id"`
	Secret string `json:"secret"`
}

// New returns a receiver that serves once it is started.
func New(cfg Config) *Sim {
	cfg.Path = cmp.Or(cfg.Path, Path)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Sim{cfg: cfg, taken: map[string]bool{}}
	s.Server = simhttp.New(http.HandlerFunc(s.serve))
	return s
}

// HookURL returns the address for bot.yml.
func (s *Sim) HookURL() string { return s.URL() + s.cfg.Path }

// SetOptions changes how the receiver behaves from now on.
func (s *Sim) SetOptions(o Options) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opts = o
}

// SetPair gives the receiver a pair as somebody by hand would. It uses it at
// once.
func (s *Sim) SetPair(keyID, secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.former, s.now = pair{}, pair{keyID, secret}
	s.changed = time.Time{}
}

// Pair returns what the receiver works with; both empty if it has none.
func (s *Sim) Pair() (keyID, secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.used()
	return p.KeyID, p.Secret
}

// Last4 returns the last four of the key ID that the receiver works with, or,
// if it takes no pairs, of the one that it was last told of; "" if there is
// none.
func (s *Sim) Last4() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.cfg.Pair {
		return s.told
	}
	return last4(s.used().KeyID)
}

// Works reports whether the receiver has a pair that works now.
func (s *Sim) Works() bool {
	keyID, secret := s.Pair()
	return keyID != "" && (s.cfg.Works == nil || s.cfg.Works(keyID, secret))
}

// Events returns every request whose signature was right, oldest first.
func (s *Sim) Events() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

// used returns the pair that the receiver works with by now; s.mu is held.
func (s *Sim) used() pair {
	if s.cfg.Now().Before(s.changed.Add(s.opts.Lag)) {
		return s.former
	}
	return s.now
}

// Redirect is a fault that sends every caller elsewhere, as a moved service or
// a login page does.
func Redirect(to string) simhttp.Fault {
	return simhttp.Fault{Method: http.MethodPost, Status: http.StatusTemporaryRedirect, Header: http.Header{"Location": {to}}}
}

// Page is a fault that answers everybody with a web page and 200.
func Page() simhttp.Fault {
	return simhttp.Fault{
		Method: http.MethodPost, Status: http.StatusOK, Header: http.Header{"Content-Type": {"text/html; charset=utf-8"}},
		Body: "<!DOCTYPE html><html><head><title>Sign in</title></head><body></body></html>",
	}
}

func last4(keyID string) string { return keyID[max(0, len(keyID)-4):] }
