// Package infisicalsim is a simulated Infisical: universal auth login and access
// tokens of machine identities, the v3 "raw" secret routes that the Go SDK
// uses, and the v4 routes with the batch update. It follows the exchanges
// recorded from a real server under testdata/contracts/infisical and, where a
// current server is known to answer differently, the current one; [Server.SetOld]
// makes it the recorded server of October 2024. It knows nothing of testing.
package infisicalsim

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/raxx-app/keyturn/internal/sim/simhttp"
)

// Rights are what a machine identity may do in a project. Zero means that it
// is a member with the role no-access.
type Rights uint8

// The single rights, and the project roles that Infisical has built in.
const (
	Describe Rights = 1 << iota // sees that a secret exists; the value is masked
	Read
	Edit
	Create
	Delete

	Viewer = Describe | Read
	Member = Describe | Read | Edit | Create | Delete
)

// A Project is one project with its environments. Every environment has the
// folder "/".
type Project struct {
	ID           string
	Slug         string
	Environments []string // slugs; none means dev, staging, prod
}

// An Identity is one machine identity with universal auth.
type Identity struct {
	ClientID     string
	ClientSecret string
	Projects     map[string]Rights // by project ID; not listed means not a member
	TTL          time.Duration     // of an access token; 0 means 30 days
	MaxTTL       time.Duration     // after renewals; 0 means TTL
}

// A Secret is one stored secret as a test may see it.
type Secret struct {
	ID      string
	Name    string
	Value   string
	Version int      // 1 is the first
	History []string // History[i] is the value of version i+1
	Comment string
}

// A Server is the simulated service. It embeds the HTTP faults and the journal.
// Its methods may be called from any goroutine, before and after Start.
type Server struct {
	*simhttp.Server

	mux *http.ServeMux
	key []byte // signs access tokens

	mu            sync.Mutex
	ahead         time.Duration // how far the simulated clock is in front
	old           bool
	approval      bool
	ignoreVersion bool
	projects      map[string]*project
	identities    map[string]*identity // by client ID
	syncs         map[string][]Sync    // by project ID
	tokens        map[string]*token    // by token ID
	lastToken     int
}

// New returns a server without projects and identities.
func New() *Server {
	s := &Server{
		mux:        http.NewServeMux(),
		key:        []byte(rand.Text()),
		projects:   map[string]*project{},
		identities: map[string]*identity{},
		syncs:      map[string][]Sync{},
		tokens:     map[string]*token{},
	}
	s.Server = simhttp.New(s.mux)
	s.routes()
	return s
}

func (s *Server) routes() {
	s.public("POST /api/v1/auth/universal-auth/login", s.login)
	s.public("POST /api/v1/auth/token/renew", s.renew)
	s.public("POST /api/v1/auth/token/revoke", s.revoke)

	s.private("GET /api/v3/secrets/raw", s.listV3)
	s.private("GET /api/v3/secrets/raw/{name}", s.getV3)
	s.private("POST /api/v3/secrets/raw/{name}", s.createOne)
	s.private("PATCH /api/v3/secrets/raw/{name}", s.updateOne)
	s.private("DELETE /api/v3/secrets/raw/{name}", s.deleteOne)
	s.private("POST /api/v3/secrets/batch/raw", s.createBatch)
	s.private("PATCH /api/v3/secrets/batch/raw", s.updateBatchV3)
	s.private("GET /api/v1/secret/{id}/secret-versions", s.secretVersions)

	s.current("GET /api/v1/secret-syncs", s.listSyncs)
	s.current("GET /api/v4/secrets", s.listV4)
	s.current("GET /api/v4/secrets/{name}", s.getV4)
	s.current("PATCH /api/v4/secrets/batch", s.updateBatchV4)

	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		write(w, r, http.StatusNotFound, noRoute(r))
	})
}

// AddProject adds a project, or empties it if it exists.
func (s *Server) AddProject(p Project) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(p.Environments) == 0 {
		p.Environments = []string{"dev", "staging", "prod"}
	}
	added := &project{Project: p, folders: map[place]*folder{}}
	for _, env := range p.Environments {
		added.folders[place{env, "/"}] = &folder{}
	}
	s.projects[p.ID] = added
}

// AddIdentity adds a machine identity, or replaces the one with its client ID.
func (s *Server) AddIdentity(i Identity) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i.TTL == 0 {
		i.TTL = 30 * 24 * time.Hour
	}
	if i.MaxTTL == 0 {
		i.MaxTTL = i.TTL
	}
	s.identities[i.ClientID] = &identity{Identity: i}
}

// Put stores a value as a person in the web interface would, making the folder
// if it is missing. It returns the new version. It panics if there is no such
// project or environment: that is a mistake of the caller.
func (s *Server) Put(projectID, env, path, name, value string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.mustFolder(projectID, env, path)
	sec := f.find(name)
	if sec == nil {
		return f.add(name, value, "", s.now()).version()
	}
	sec.set(value, s.now())
	return sec.version()
}

// Remove deletes a secret; a name that is absent is no mistake.
func (s *Server) Remove(projectID, env, path, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.mustFolder(projectID, env, path)
	f.secrets = slices.DeleteFunc(f.secrets, func(x *stored) bool { return x.name == name })
}

// Import makes the folder show the secrets of another folder of the same
// project to readers that ask for imports.
func (s *Server) Import(projectID, env, path, fromEnv, fromPath string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.mustFolder(projectID, env, path)
	f.imports = append(f.imports, place{fromEnv, fromPath})
}

// Lock marks a secret as managed by one of Infisical's own rotations: its value
// can no longer be changed over the API.
func (s *Server) Lock(projectID, env, path, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sec := s.mustFolder(projectID, env, path).find(name); sec != nil {
		sec.rotated = true
	}
}

// Secrets returns a copy of what a folder holds, in name order.
func (s *Server) Secrets(projectID, env, path string) []Secret {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Secret
	for _, sec := range s.mustFolder(projectID, env, path).secrets {
		all = append(all, Secret{
			ID: sec.id, Name: sec.name, Value: sec.value(), Version: sec.version(),
			History: slices.Clone(sec.values), Comment: sec.comment,
		})
	}
	slices.SortFunc(all, func(a, b Secret) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Advance moves the simulated clock forward, which lets tokens expire and
// lockouts end.
func (s *Server) Advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ahead += d
}

// now returns the simulated time; s.mu is held.
func (s *Server) now() time.Time { return time.Now().UTC().Add(s.ahead) }

// mustFolder returns the folder, making it if only the path is new; s.mu is held.
func (s *Server) mustFolder(projectID, env, path string) *folder {
	p := s.projects[projectID]
	if p == nil || !slices.Contains(p.Environments, env) {
		panic(fmt.Sprintf("infisicalsim: no environment %q in project %q", env, projectID))
	}
	at := place{env, path}
	if p.folders[at] == nil {
		p.folders[at] = &folder{}
	}
	return p.folders[at]
}
