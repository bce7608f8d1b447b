package jobs

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// An Alarm opens and ends forced rotations; [rotation.Engine] does.
type Alarm interface {
	// Force opens a forced rotation by the bot, or returns the open one.
	Force(ctx context.Context, s rotation.Sighting) (rotation.ID, error)
	// StandDown ends a forced rotation whose pair turned out alive.
	StandDown(ctx context.Context, id rotation.ID, p rotation.Probe) error
}

// A Watchtower is what the sentinel asks and tells of key sets;
// [rotation.Engine] is one.
type Watchtower interface {
	Alarm
	Looker
	Active(ctx context.Context, keyset string) (rotation.ID, error)
	Remembered(ctx context.Context, keyset string) (rotation.Record, error)
	// Snapshot keeps the last good snapshot; with s nil only the account is newer.
	Snapshot(ctx context.Context, keyset string, p rotation.Probe, s *rotation.Survey) error
	// Note appends one audit row.
	Note(ctx context.Context, row rotation.Row) error
}

// A SentinelConfig is what a [Sentinel] works with. Pager and Rand may be left
// out.
type SentinelConfig struct {
	KeySets []rotation.KeySet
	Vendor  rotation.Vendor
	Print   func(rotation.Pair) string // keyed fingerprint, as the engine's Sealer makes it
	Engine  Watchtower
	Outbox  *Outbox
	Pager   Pager // nil: only Slack is told
	People  People
	Closer  Closer         // ends pages of a rotation that is over; nil: they stay as they are
	Channel string         // the ops channel
	Every   cron.Schedule  // when a pair is probed
	Rand    func() float64 // in [0, 1); nil: the usual one
	Now     func() time.Time
	Log     *slog.Logger
}

// A Sentinel probes the stored pair of every key set (section 8 of the design).
// What it knows is stored (sentinel/ + key set), so that a restart neither
// forgets a stretch of rejections nor begins it anew; what people are to be
// told is stored in the same transaction. A dead pair opens a forced rotation,
// and on-call is paged. There must be one Sentinel that runs on a store.
type Sentinel struct {
	cfg   SentinelConfig
	pace  *pace
	pages *pages

	mu     sync.Mutex // guards what is known of each key set
	guards []*guard

	team sync.Mutex // one at a time says that all are rejected together
}

// A guard watches one key set. Its goroutine alone changes known and wrote; mu
// of the Sentinel guards known, open and due for whoever else reads them.
type guard struct {
	set   *rotation.KeySet
	nudge chan struct{} // another pair is doubted: this one is its canary

	known  sentry
	loaded bool // known is what the store holds, or newer
	open   bool // a rotation of the key set is open
	due    time.Time
	drifts drifts
	keeps  *pulse // of the looks at its consumers; nil: none can be looked at

	wrote string    // form of what was last written
	at    time.Time // when
	pair  rotation.Pair
	read  time.Time // when pair was read from the vault
	busy  time.Time // until then pair is kept: it is asked quickly
	kept  rotation.Account
	keptT time.Time // when the account was last handed to the engine
	full  time.Time // when the full set was
}

// NewSentinel returns a sentinel that does nothing until Run is called.
func NewSentinel(cfg SentinelConfig) *Sentinel {
	if cfg.Rand == nil {
		cfg.Rand = rand.Float64
	}
	s := &Sentinel{cfg: cfg, pace: &pace{now: cfg.Now}}
	s.pages = &pages{cfg: cfg, woken: make(chan struct{}, 1)}
	s.pages.pulse = &pulse{name: "pages", every: cfg.Outbox.cfg.Scan, most: scanMost, now: cfg.Now}
	for i := range cfg.KeySets {
		g := &guard{set: &cfg.KeySets[i], nudge: make(chan struct{}, 1)}
		if g.hasKeepers() {
			g.keeps = &pulse{name: driftPrefix + g.set.Name, every: fullEvery + keepersSpread, most: timeOfKeepers + scanMost, now: cfg.Now}
		}
		s.guards = append(s.guards, g)
	}
	return s
}

// Run watches until ctx ends.
func (s *Sentinel) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { s.pages.run(ctx) })
	s.dueNow()
	if !s.load(ctx) {
		return nil
	}
	for _, g := range s.guards {
		wg.Go(func() { s.watch(ctx, g) })
		wg.Go(func() { s.keepers(ctx, g) })
	}
	return nil
}

// dueNow has every probe due, so that a start that hangs is late too.
func (s *Sentinel) dueNow() {
	now := s.cfg.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.guards {
		g.due = now
	}
}

// load reads what is known of every key set before anything is asked: each is
// judged with the others in view. It tries until it can.
func (s *Sentinel) load(ctx context.Context) bool {
	for try := 0; ; try++ {
		var errs []error
		for _, g := range s.guards {
			errs = append(errs, s.loadOne(ctx, g))
		}
		err := errors.Join(errs...)
		if err == nil {
			return true
		}
		if ctx.Err() == nil {
			s.cfg.Log.WarnContext(ctx, "what the sentinel knows could not be read", slog.Any("error", err))
		}
		if !pause(ctx, doubled(firstWait, mostWait, try)) {
			return false
		}
	}
}

// watch asks for one pair again and again until ctx ends.
func (s *Sentinel) watch(ctx context.Context, g *guard) {
	wait := time.Duration(s.cfg.Rand() * float64(min(s.interval()/10, doubtEvery)))
	for s.rest(ctx, g, wait) {
		wait = s.round(ctx, g)
		if ctx.Err() != nil {
			return
		}
	}
	g.pair = rotation.Pair{}
}

// rest waits until the pair is to be asked again, or is wanted as a canary.
func (s *Sentinel) rest(ctx context.Context, g *guard, wait time.Duration) bool {
	s.mu.Lock()
	g.due = s.cfg.Now().Add(wait)
	s.mu.Unlock()
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	case <-g.nudge:
		g.busy = s.cfg.Now().Add(doubtFor)
		return pause(ctx, time.Duration(s.cfg.Rand()*float64(min(wait, time.Second))))
	}
}

// interval returns how long it is until the schedule fires, plus up to a tenth
// so that key sets do not keep step.
func (s *Sentinel) interval() time.Duration {
	now := s.cfg.Now()
	first := s.cfg.Every.Next(now)
	if first.IsZero() {
		return time.Hour // a schedule that never fires is a problem of bot.yml
	}
	gap := s.cfg.Every.Next(first).Sub(first)
	return max(first.Sub(now), time.Second) + time.Duration(s.cfg.Rand()*float64(max(gap, 0))/10)
}

// nudgeSome has up to three healthy pairs asked now: they are the canary of a
// doubted one. s.mu is held.
func (s *Sentinel) nudgeSome(g *guard) {
	n := 0
	for _, o := range s.guards {
		if o == g || o.open || o.known.State != alive || o.known.Problem != "" {
			continue
		}
		wake(o.nudge)
		if n++; n == 3 {
			return
		}
	}
}

// Seen returns what is known of a key set's stored pair. Before Run has begun it
// reads what an earlier one has stored.
func (s *Sentinel) Seen(ctx context.Context, keyset string) (rotation.Seen, error) {
	for _, g := range s.guards {
		if g.set.Name != keyset {
			continue
		}
		s.mu.Lock()
		known, drifted, loaded := g.known, g.drifts.names(), g.loaded
		s.mu.Unlock()
		if !loaded {
			var d drifts
			if _, err := s.cfg.Outbox.read(ctx, sentryPrefix+keyset, &known); err != nil {
				return rotation.Seen{}, err
			}
			if _, err := s.cfg.Outbox.read(ctx, driftPrefix+keyset, &d); err != nil {
				return rotation.Seen{}, err
			}
			drifted = d.names()
		}
		return rotation.Seen{
			Print: known.Print, State: string(known.State), LastOK: known.LastOK, Asked: known.Asked, Since: known.Since,
			Problem: known.Problem, Account: known.Account, Drifted: drifted,
		}, nil
	}
	return rotation.Seen{}, &fault.Error{Kind: fault.NotFound, Reason: "no_keyset", Op: "jobs.Seen", User: "There is no such key set."}
}

// Late returns by how much the most overdue probe is late; 0: all are on time.
// A few seconds are usual, a minute is not.
func (s *Sentinel) Late() time.Duration {
	now := s.cfg.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	late := time.Duration(0)
	for _, g := range s.guards {
		if !g.due.IsZero() {
			late = max(late, now.Sub(g.due))
		}
	}
	return late
}

// States returns how many key sets are in each state: "alive", "doubted",
// "held", "dead" and "unknown".
func (s *Sentinel) States() map[string]int {
	n := map[string]int{string(alive): 0, string(doubted): 0, string(held): 0, string(dead): 0, "unknown": 0}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.guards {
		if g.known.State == unseen {
			n["unknown"]++
			continue
		}
		n[string(g.known.State)]++
	}
	return n
}
