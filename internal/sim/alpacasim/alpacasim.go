// Package alpacasim is Alpaca's paper Trading API on loopback, with the
// dashboard beside it: several paper accounts of one login, each with an
// identity, a balance and at most one key pair. Bodies follow the recordings
// under testdata/contracts/alpaca; what no recording shows is marked
// "assumed". It knows nothing of who calls it.
package alpacasim

import (
	"sync"
	"time"

	"github.com/raxx-app/keyturn/internal/sim/simhttp"
)

// A Config sets up a simulator. The zero Config is an open market, fills at
// the next look, no limit and no lag.
type Config struct {
	Now           func() time.Time // nil: the wall clock
	MarketClosed  bool
	RevocationLag time.Duration // how long a replaced pair still works; the real lag is not documented
	FillDelay     time.Duration // from submission, or the open, to the fill
	CancelDelay   time.Duration // from DELETE to "canceled"
	RateLimit     int           // calls per account and minute; 0: no limit. Alpaca documents 200
}

// A Sim is the simulated service. Its methods may be called from any goroutine.
// Faults of the embedded server are answered before the service sees the call,
// so they carry no X-Request-ID of their own.
type Sim struct {
	*simhttp.Server

	now func() time.Time

	mu       sync.Mutex
	cfg      Config
	open     bool
	partial  bool
	outage   Outage
	unhang   func() // ends NoAnswer
	accounts []*account
	keys     map[string]*key     // by key ID, dead ones included
	flaps    map[string]*flap    // by key ID; "" is every key
	prices   map[string]quote    // by symbol
	assets   map[string]assetRow // by symbol
}

// New returns a simulator without accounts. Start it, then open accounts.
func New(c Config) *Sim {
	s := &Sim{
		cfg: c, now: c.Now, open: !c.MarketClosed,
		keys: map[string]*key{}, flaps: map[string]*flap{},
		prices: map[string]quote{}, assets: map[string]assetRow{},
	}
	if s.now == nil {
		s.now = time.Now
	}
	for _, a := range assetTable() {
		s.assets[a.symbol] = a
		s.prices[a.symbol] = quote{now: must(a.price), last: must(a.lastDay)}
	}
	s.Server = simhttp.New(s)
	return s
}
