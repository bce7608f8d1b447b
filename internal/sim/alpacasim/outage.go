package alpacasim

import (
	"time"

	"github.com/raxx-app/keyturn/internal/sim/simhttp"
)

// An Outage is how the whole service misbehaves.
type Outage int

// The outages.
const (
	Healthy       Outage = iota
	ServerError          // 500 with JSON (account-get-500.json)
	BadGateway           // 502 with an HTML page from the edge
	NoAnswer             // the call hangs until the caller gives up
	Throttled            // 429 to every authenticated call (account-get-429.json)
	EdgeForbidden        // 403 with an HTML page: a proxy, not Alpaca
)

// SetOutage makes every call fail in one way until it is set to Healthy.
// Nothing is applied meanwhile.
func (s *Sim) SetOutage(o Outage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outage = o
	if s.unhang != nil {
		s.unhang()
		s.unhang = nil
	}
	if o == NoAnswer {
		s.unhang = s.Inject(simhttp.Fault{Hang: true})
	}
}

// A flap refuses every nth call of a pair that is alive.
type flap struct{ every, seen int }

// SetAuthIncident makes a living pair answer 401 on each every-th call, the
// first included, as in the incident of April 2020
// (account-get-401-legacy-2018-2020.json): 1 refuses all calls, 2 every other,
// 0 ends it. The empty key ID means every pair.
func (s *Sim) SetAuthIncident(keyID string, every int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if every <= 0 {
		delete(s.flaps, keyID)
		return
	}
	s.flaps[keyID] = &flap{every: every}
}

// flapped reports whether this call of keyID is refused; s.mu is held.
func (s *Sim) flapped(keyID string) bool {
	hit := false
	for _, name := range []string{keyID, ""} {
		if f := s.flaps[name]; f != nil {
			hit = hit || f.seen%f.every == 0
			f.seen++
		}
	}
	return hit
}

// SetRateLimit changes how many calls an account has in a minute; 0: no limit.
func (s *Sim) SetRateLimit(perMinute int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cfg.RateLimit = perMinute
}

// SetMarketOpen opens or closes the market. Opening routes what was accepted;
// closing lets unfilled day orders of equities expire.
func (s *Sim) SetMarketOpen(open bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.accounts {
		s.settle(a)
	}
	closes := s.open && !open
	s.open = open
	if !closes {
		return
	}
	for _, a := range s.accounts {
		for _, o := range a.orders {
			if o.open() && o.TimeInForce == "day" && o.Status != "accepted" && o.asset.class != "crypto" {
				o.set("expired", s.now())
				o.ExpiredAt = stamp(s.now())
			}
		}
	}
}

// newYork returns the exchange's zone, or a fixed -05:00 where no zone data is
// installed.
func newYork() *time.Location {
	if l, err := time.LoadLocation("America/New_York"); err == nil {
		return l
	}
	return time.FixedZone("EST", -5*60*60)
}

// clockBody is the market clock, as in clock-get-200.json.
type clockBody struct {
	Timestamp string `json:"timestamp"`
	IsOpen    bool   `json:"is_open"`
	NextOpen  string `json:"next_open"`
	NextClose string `json:"next_close"`
}

// clock renders the market clock; s.mu is held. Whether it is open is what the
// dashboard set; the next times are those of an ordinary week without holidays.
func (s *Sim) clock() clockBody {
	now := s.now().In(newYork())
	at := func(from time.Time, hour, minute int) time.Time {
		t := time.Date(from.Year(), from.Month(), from.Day(), hour, minute, 0, 0, from.Location())
		for !t.After(from) || t.Weekday() == time.Saturday || t.Weekday() == time.Sunday {
			t = time.Date(t.Year(), t.Month(), t.Day()+1, hour, minute, 0, 0, from.Location())
		}
		return t
	}
	var opens, closes time.Time
	if s.open {
		closes = at(now, 16, 0)
		opens = at(closes, 9, 30)
	} else {
		opens = at(now, 9, 30)
		closes = at(opens, 16, 0)
	}
	return clockBody{
		Timestamp: now.Format(time.RFC3339Nano), IsOpen: s.open,
		NextOpen: opens.Format(time.RFC3339), NextClose: closes.Format(time.RFC3339),
	}
}
