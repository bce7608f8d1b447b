// Package herokusim is a small working copy of the Heroku Platform API v3: apps
// with config vars, releases, formation and dynos. It knows who may do what,
// when a release goes live, and which values the running dynos really hold.
//
// What it does follows testdata/contracts/heroku: bodies obey
// platform-api.draft04.schema.json, headers recorded-real-exchanges.json, and
// the requests of the vendor's own command line in cli-exchanges.json are
// served. Its time is lazy: what should have happened by now happens when
// somebody looks.
package herokusim

import (
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/raxx-app/keyturn/internal/sim/simhttp"
)

// prebootWindow is how long old dynos still serve under preboot
// (devcenter.heroku.com/articles/preboot: about 3 minutes).
const prebootWindow = 3 * time.Minute

// A Config says what exists when the simulator starts.
type Config struct {
	Tokens map[string]Token // by bearer token
	Apps   []App
	Now    func() time.Time // nil means time.Now
}

// A Token is what a bearer token may do.
type Token struct {
	Email  string   // shown as the user of its releases; "" means bot@example.com
	Scopes []string // empty means global
	Apps   []string // that its user has access to; nil means all
}

// An App is one app as it starts.
type App struct {
	Name      string
	Vars      map[string]string
	Version   int       // of its newest release; 0 means 1
	Processes []Process // nil means one web dyno; empty means no dynos
	Phase     Phase
	Boot      Boot
	Preboot   bool

	// SkipsNoop: setting what is set already makes no release. Whether the real
	// service does that is not known, so a client must cope with both.
	SkipsNoop bool
}

// A Process is one line of the formation.
type Process struct {
	Type     string // "web"
	Quantity int
	Size     string // "" means Basic
	Command  string // "" means bin/<type>
}

// A Phase is the app's release phase. The zero Phase: the app has none.
type Phase struct {
	On    bool          // the app has a release command
	Takes time.Duration // how long it runs
	Hold  bool          // it runs until [Sim.FinishRelease]
	Fails bool          // how it ends
	Shows Echo
}

// An Echo is what config vars show while a release is not live. Which of them
// the real service does is disputed (heroku/cli#3345), so a client must cope
// with all.
type Echo int

// The ways of showing values of a release that is not live.
const (
	ShowsOld     Echo = iota // never
	ShowsPending             // while the release command runs
	ShowsNewest              // even after it failed
)

// A Boot is how dynos of the next releases start.
type Boot struct {
	Takes   time.Duration
	Hold    bool // they stay "starting" until [Sim.FinishBoot]
	Crashes bool // they end up "crashed"

	// PrebootWindow is how long old dynos still serve, unseen, when preboot is
	// on; 0 means 3 minutes.
	PrebootWindow time.Duration
}

// A Release is one release as a test sees it.
type Release struct {
	Version     int
	Description string
	Status      string // pending, succeeded, failed
	User        string
}

// A Sim is a running copy. Its methods may be called from any goroutine;
// unknown app names are ignored, or answered with nothing.
type Sim struct {
	*simhttp.Server

	now func() time.Time

	mu     sync.Mutex
	tokens map[string]*account
	apps   map[string]*app
}

// New returns a simulator that serves once it is started.
func New(cfg Config) *Sim {
	s := &Sim{now: cfg.Now, tokens: map[string]*account{}, apps: map[string]*app{}}
	if s.now == nil {
		s.now = time.Now
	}
	for token, t := range cfg.Tokens {
		s.SetToken(token, t)
	}
	for _, a := range cfg.Apps {
		s.AddApp(a)
	}
	s.Server = simhttp.New(http.HandlerFunc(s.serve))
	return s
}

// SetToken adds or changes what a bearer token may do.
func (s *Sim) SetToken(token string, t Token) {
	if t.Email == "" {
		t.Email = "bot@example.com"
	}
	if len(t.Scopes) == 0 {
		t.Scopes = []string{"global"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[token] = &account{Token: t, id: newID(), remaining: rateMax, filled: s.now()}
}

// RevokeToken makes a bearer token invalid.
func (s *Sim) RevokeToken(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tokens, token)
}

// SetRemaining sets how many calls a token has left before 429.
func (s *Sim) SetRemaining(token string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.tokens[token]; a != nil {
		a.remaining, a.filled = float64(n), s.now()
	}
}

// AddApp adds an app, or replaces the one with that name.
func (s *Sim) AddApp(spec App) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apps[spec.Name] = newApp(spec, s.now())
}

// SetPhase changes the release phase of the next releases.
func (s *Sim) SetPhase(name string, p Phase) {
	s.with(name, func(a *app) { a.phase = p })
}

// SetBoot changes how the dynos of the next releases start.
func (s *Sim) SetBoot(name string, b Boot) {
	s.with(name, func(a *app) { a.boot = b })
}

// SetPreboot turns the app feature preboot on or off.
func (s *Sim) SetPreboot(name string, on bool) {
	s.with(name, func(a *app) { a.preboot = on })
}

// FinishRelease ends the oldest held release command.
func (s *Sim) FinishRelease(name string, ok bool) {
	s.with(name, func(a *app) {
		for _, r := range a.releases {
			if r.status == pending && r.held {
				r.held, r.fails, r.doneAt = false, !ok, s.now()
				return
			}
		}
	})
}

// FinishBoot lets held dynos come up, or crash if that is how they boot.
func (s *Sim) FinishBoot(name string) {
	s.with(name, func(a *app) { a.bootHeld, a.upAt = false, s.now() })
}

// AddOneOff starts a dyno of type "run", "release" or "scheduler" on the
// app's live release. It keeps running on it.
func (s *Sim) AddOneOff(name, kind string) {
	s.with(name, func(a *app) { a.addDyno(kind, len(a.dynos)+1, "bash", "Basic", a.live, "up", s.now()) })
}

// SetDynoState sets the state of every dyno of the formation.
func (s *Sim) SetDynoState(name, state string) {
	s.with(name, func(a *app) {
		for _, d := range a.dynos {
			if !d.oneOff() {
				d.state = state
			}
		}
	})
}

// Overwrite sets config vars as another user would: one release.
func (s *Sim) Overwrite(name, email string, vars map[string]string) {
	s.with(name, func(a *app) {
		change := map[string]*string{}
		for k, v := range vars {
			change[k] = &v
		}
		a.change(change, user{email: email, id: newID()}, s.now())
	})
}

// Deploy makes a release that changes no config var.
func (s *Sim) Deploy(name, email string) {
	s.with(name, func(a *app) {
		a.release("Deploy 0123abcd", maps.Clone(a.base()), user{email: email, id: newID()}, s.now())
	})
}

// Vars returns the config vars as the API shows them.
func (s *Sim) Vars(name string) (vars map[string]string) {
	s.with(name, func(a *app) { vars = maps.Clone(a.visible()) })
	return vars
}

// Running returns the config vars that the serving dynos really run with: those
// of the old release until the dynos of the new one are up, and with preboot
// until the old dynos stop serving. It returns nil if nothing serves.
func (s *Sim) Running(name string) (vars map[string]string) {
	s.with(name, func(a *app) { vars = maps.Clone(a.serving) })
	return vars
}

// Releases returns every release, oldest first.
func (s *Sim) Releases(name string) (list []Release) {
	s.with(name, func(a *app) {
		for _, r := range a.releases {
			list = append(list, Release{Version: r.version, Description: r.description, Status: r.status, User: r.user.email})
		}
	})
	return slices.Clip(list)
}

// with runs f on the app as it is by now, and lets what f changed take effect.
func (s *Sim) with(name string, f func(*app)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.apps[name]
	if a == nil {
		return
	}
	a.settle(s.now())
	f(a)
	a.settle(s.now())
}
