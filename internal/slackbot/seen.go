package slackbot

import (
	"sync"
	"time"
)

// seenFor is how long an envelope is remembered. Slack may deliver one twice,
// on any connection, minutes later.
const seenFor = 2 * time.Hour

// A seen remembers what was answered to each envelope, so that one that comes
// twice is done once and answered twice.
type seen struct {
	now func() time.Time

	mu      sync.Mutex
	known   map[string]*answered
	cleaned time.Time
}

// An answered is one envelope: done is closed when payload is set.
type answered struct {
	at      time.Time
	done    chan struct{}
	payload any
}

func newSeen(now func() time.Time) *seen { return &seen{now: now, known: map[string]*answered{}} }

// first returns the envelope's entry, and whether it came for the first time:
// the caller then has to do it and close done.
func (s *seen) first(id string) (*answered, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if now.Sub(s.cleaned) > time.Minute {
		s.cleaned = now
		for k, a := range s.known {
			if now.Sub(a.at) > seenFor {
				delete(s.known, k)
			}
		}
	}
	if a, ok := s.known[id]; ok {
		return a, false
	}
	a := &answered{at: now, done: make(chan struct{})}
	s.known[id] = a
	return a, true
}
