package jobs

import (
	"sync"
	"time"
)

// scanMost is how long a scan may take for one thing that it sees to, such as a
// key set: a call to Slack, or to the vendor, and the state. A scan that has many
// to see to is on time as long as it gets on.
const scanMost = time.Minute

// A Pulse says when a job that scans on a clock last got on, so that one that
// hangs is noticed.
type Pulse struct {
	Name  string        // stable: "ladder", or "drift/" + key set
	Every time.Duration // between two scans
	Last  time.Time     // when a scan, or its part for one key set, last ended; zero: none has
	Late  time.Duration // for how long something should have ended since; 0: it is on time
}

// A pulse is what a [Pulse] is made from. Its methods may be called from any
// goroutine.
type pulse struct {
	name  string
	every time.Duration
	most  time.Duration // how long after that something must have ended
	now   func() time.Time

	mu    sync.Mutex
	began time.Time // zero: it does not run
	last  time.Time
}

// begin notes that the job runs: from now on something must end.
func (p *pulse) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.began = p.now()
}

// beat notes that a scan has ended, or a part of it.
func (p *pulse) beat() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = p.now()
}

// read returns how it is. A job that does not run is not late.
func (p *pulse) read() Pulse {
	p.mu.Lock()
	defer p.mu.Unlock()
	got := Pulse{Name: p.name, Every: p.every, Last: p.last}
	since := p.last
	if since.Before(p.began) {
		since = p.began
	}
	if !p.began.IsZero() {
		got.Late = max(0, p.now().Sub(since)-p.every-p.most)
	}
	return got
}

// Pulses says how the two loops of the outbox are: the one of the channel and
// the one of the notes.
func (o *Outbox) Pulses() []Pulse { return []Pulse{o.channelPulse.read(), o.notePulse.read()} }

// Pulses says how the scan is.
func (l *Ladder) Pulses() []Pulse { return []Pulse{l.pulse.read()} }

// Pulses says how the scan is.
func (r *Reminders) Pulses() []Pulse { return []Pulse{r.pulse.read()} }

// Pulses says how the scan is.
func (r *Readiness) Pulses() []Pulse { return []Pulse{r.pulse.read()} }

// Pulses says how the scan is.
func (c *RollCall) Pulses() []Pulse { return []Pulse{c.pulse.read()} }

// Pulses says how the scan is.
func (l *Leavers) Pulses() []Pulse { return []Pulse{l.pulse.read()} }

// Pulses says how the scan of the pages is, and the looks at the consumers of each
// key set. The probes themselves are told by [Sentinel.Late].
func (s *Sentinel) Pulses() []Pulse {
	list := []Pulse{s.pages.pulse.read()}
	for _, g := range s.guards {
		if g.keeps != nil {
			list = append(list, g.keeps.read())
		}
	}
	return list
}
