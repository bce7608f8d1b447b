// Package pagerdutysim is PagerDuty's Events API v2 as far as alerts go: POST
// /v2/enqueue with trigger, acknowledge and resolve. Parameters, limits and what
// an action does follow PagerDuty's pages "Events API v2 Overview" and "Send an
// Alert Event"; the texts of refusals are those that people quote from the real
// service. Change events are not simulated.
package pagerdutysim

import (
	"cmp"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/raxx-app/keyturn/internal/sim/simhttp"
)

// Path is where events are posted.
const Path = "/v2/enqueue"

// States of an [Alert].
const (
	Triggered    = "triggered"
	Acknowledged = "acknowledged"
	Resolved     = "resolved"
)

// A Config says what the service is.
type Config struct {
	RoutingKey string           // of its one integration: 32 letters and digits
	Now        func() time.Time // nil means time.Now
}

// An Alert is what an event made. After it was resolved a trigger with the same
// key makes another one.
type Alert struct {
	DedupKey string
	State    string
	Summary  string
	Source   string
	Severity string
	Details  map[string]string // custom_details, as text
	Opened   time.Time
	Ended    time.Time // zero: it is open
	Triggers int       // events of type trigger that it took; one makes it
}

// An Event is one call as it was judged. It holds no routing key.
type Event struct {
	At       time.Time
	Action   string // "" if it could not be read
	DedupKey string
	Status   int
	Errors   []string
}

// A Sim is a running service. Its methods may be called from any goroutine.
type Sim struct {
	*simhttp.Server
	cfg Config

	mu     sync.Mutex
	events []Event
	alerts []Alert // oldest first
	made   int     // dedup keys that the service made itself
}

// New returns a service that serves once it is started.
func New(cfg Config) *Sim {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Sim{cfg: cfg}
	s.Server = simhttp.New(http.HandlerFunc(s.serve))
	return s
}

// Alerts returns a copy of every alert, oldest first.
func (s *Sim) Alerts() []Alert {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.alerts)
}

// Open returns the alerts that somebody is still woken for.
func (s *Sim) Open() []Alert {
	return slices.DeleteFunc(s.Alerts(), func(a Alert) bool { return a.State == Resolved })
}

// Events returns a copy of what was posted and judged, oldest first. A call that
// a fault swallowed is not in it.
func (s *Sim) Events() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

// apply does what a valid event asks for, and returns its dedup key; s.mu is
// held.
func (s *Sim) apply(e *event) string {
	i := slices.IndexFunc(s.alerts, func(a Alert) bool { return a.DedupKey == e.DedupKey && a.State != Resolved })
	now := s.cfg.Now().UTC()
	switch {
	case e.Action == actionTrigger && i >= 0:
		s.alerts[i].Triggers++
	case e.Action == actionTrigger:
		e.DedupKey = cmp.Or(e.DedupKey, s.uuid())
		s.alerts = append(s.alerts, Alert{
			DedupKey: e.DedupKey, State: Triggered, Summary: e.Payload.Summary, Source: e.Payload.Source,
			Severity: e.Payload.Severity, Details: texts(e.Payload.Details), Opened: now, Triggers: 1,
		})
	case i < 0: // dropped, and nobody is told
	case e.Action == actionAcknowledge:
		s.alerts[i].State = Acknowledged
	default:
		s.alerts[i].State, s.alerts[i].Ended = Resolved, now
	}
	return e.DedupKey
}
