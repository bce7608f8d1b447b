// Package githubsim imitates the part of GitHub's REST API that hands out
// secrets: a repository and its permissions, and the Actions, environment and
// Dependabot stores of secrets. It really opens the sealed boxes it is sent.
//
// Shapes, codes and headers follow recorded-real-exchanges.json,
// cli-exchanges.json and openapi.actions-secrets.subset.json under
// testdata/contracts/github. Bodies that are not recorded there are marked at
// their place. It knows nothing of testing.
package githubsim

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/nacl/box"

	"github.com/raxx-app/keyturn/internal/sim/simhttp"
)

// KeyID is the key_id of every public key of a simulator. The real service
// also gives one key_id to different keys: the recordings hold the same one
// for a repository and for two environments.
const KeyID = "568250167242549743"

// The stores of secrets that a repository has. An environment's store is
// called "environments/" and the environment's name.
const (
	Actions    = "actions"
	Dependabot = "dependabot"
)

// Config is how a simulator starts. The zero Config is usable.
type Config struct {
	Now func() time.Time // nil: the real clock
	// Tick moves the clock on by this much with every request. One second
	// keeps two writes out of the same whole second.
	Tick time.Duration
}

// A Sim is one simulated GitHub. Its methods may be called from any goroutine.
type Sim struct {
	*simhttp.Server
	now  func() time.Time
	tick time.Duration

	mu        sync.Mutex
	tokens    map[string]Access
	repos     map[string]*repo // by lower-case owner/name
	requests  int
	remaining int           // of the primary rate limit
	offset    time.Duration // of stored times against the Date header
}

// A repo is one repository and its stores of secrets.
type repo struct {
	id          int
	owner, name string
	archived    bool
	movedTo     string // owner/name after a rename
	stores      map[string]*store
}

// A store is one scope with a key pair of its own.
type store struct {
	public, private *[32]byte
	secrets         map[string]*entry // by upper-case name
}

// An entry is one secret. Times are whole seconds, as the service shows them.
type entry struct {
	value            string
	created, updated time.Time
}

// New returns a simulator without tokens and repositories.
func New(cfg Config) *Sim {
	s := &Sim{
		now:       cfg.Now,
		tick:      cfg.Tick,
		tokens:    map[string]Access{},
		repos:     map[string]*repo{},
		remaining: rateLimit,
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.Server = simhttp.New(http.HandlerFunc(s.serve))
	return s
}

// AddRepo adds a private repository with empty Actions and Dependabot stores,
// and one more store for each environment. It panics if the machine has no
// random numbers.
func (s *Sim) AddRepo(owner, name string, environments ...string) {
	stores := map[string]*store{Actions: newStore(), Dependabot: newStore()}
	for _, env := range environments {
		stores["environments/"+env] = newStore()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.repos[repoKey(owner, name)] = &repo{id: 1000 + len(s.repos), owner: owner, name: name, stores: stores}
}

// Archive makes a repository read-only.
func (s *Sim) Archive(owner, name string) {
	s.with(owner, name, func(r *repo) { r.archived = true })
}

// Unarchive ends [Sim.Archive].
func (s *Sim) Unarchive(owner, name string) {
	s.with(owner, name, func(r *repo) { r.archived = false })
}

// Rename makes every request for the old name a redirect to the new one.
func (s *Sim) Rename(owner, name, newName string) {
	s.with(owner, name, func(r *repo) {
		s.repos[repoKey(owner, newName)] = &repo{id: r.id, owner: owner, name: newName, stores: r.stores}
		r.movedTo = owner + "/" + newName
	})
}

// RotateKey gives a store a new key pair under the same [KeyID]: boxes sealed
// to the old public key are refused from now on.
func (s *Sim) RotateKey(owner, name, store string) {
	fresh := newStore()
	s.SetKey(owner, name, store, fresh.public, fresh.private)
}

// SetKey gives a store a known key pair.
func (s *Sim) SetKey(owner, name, store string, public, private *[32]byte) {
	s.with(owner, name, func(r *repo) {
		if st := r.stores[store]; st != nil {
			st.public, st.private = public, private
		}
	})
}

// SetStampOffset moves stored times against the Date header. In the recorded
// exchange of an environment secret they are one second later.
func (s *Sim) SetStampOffset(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offset = d
}

// SetRemaining sets what is left of the primary rate limit; at 0 every call is
// refused.
func (s *Sim) SetRemaining(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remaining = n
}

// SetSecret writes a value as if somebody else had, at the given time; the
// zero time means now.
func (s *Sim) SetSecret(owner, name, store, secret, value string, at time.Time) {
	s.with(owner, name, func(r *repo) {
		if at.IsZero() {
			at = s.clock()
		}
		r.stores[store].put(secret, value, at)
	})
}

// DeleteSecret removes a secret as if somebody else had.
func (s *Sim) DeleteSecret(owner, name, store, secret string) {
	s.with(owner, name, func(r *repo) { delete(r.stores[store].secrets, strings.ToUpper(secret)) })
}

// Secret returns what the Actions store of a repository holds under name, and
// when it was last written, in whole seconds.
func (s *Sim) Secret(owner, repo, name string) (value string, updatedAt time.Time, ok bool) {
	return s.StoreSecret(owner, repo, Actions, name)
}

// StoreSecret is [Sim.Secret] for any store.
func (s *Sim) StoreSecret(owner, name, store, secret string) (value string, updatedAt time.Time, ok bool) {
	s.with(owner, name, func(r *repo) {
		if st := r.stores[store]; st != nil {
			if e := st.secrets[strings.ToUpper(secret)]; e != nil {
				value, updatedAt, ok = e.value, e.updated, true
			}
		}
	})
	return value, updatedAt, ok
}

// with runs f on a repository under the lock; an unknown one is left out.
func (s *Sim) with(owner, name string, f func(*repo)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.repos[repoKey(owner, name)]; r != nil {
		f(r)
	}
}

// clock returns the simulator's time; s.mu is held.
func (s *Sim) clock() time.Time {
	return s.now().UTC().Add(time.Duration(s.requests) * s.tick)
}

// put writes a value and reports whether the name is new.
func (st *store) put(name, value string, at time.Time) (created bool) {
	at = at.UTC().Truncate(time.Second)
	e := st.secrets[strings.ToUpper(name)]
	if e == nil {
		st.secrets[strings.ToUpper(name)] = &entry{value: value, created: at, updated: at}
		return true
	}
	e.value, e.updated = value, at
	return false
}

func newStore() *store {
	public, private, err := box.GenerateKey(rand.Reader)
	if err != nil {
		panic(fmt.Sprintf("githubsim: make a key pair: %v", err))
	}
	return &store{public: public, private: private, secrets: map[string]*entry{}}
}

func repoKey(owner, name string) string { return strings.ToLower(owner + "/" + name) }
