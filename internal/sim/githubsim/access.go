package githubsim

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// A Level is what a fine-grained token may do in one place.
type Level string

// The levels; the zero Level is none.
const (
	None  Level = ""
	Read  Level = "read"
	Write Level = "write"
)

// An Access is what a token may do, and what the person behind it may.
type Access struct {
	Scopes []string // of a classic token, which needs "repo"; nil means a fine-grained token

	Secrets      Level // fine-grained: "Secrets"
	Environments Level // fine-grained: "Environments", for environment stores
	Dependabot   Level // fine-grained: "Dependabot secrets"
	Actions      Level // fine-grained: "Actions", to list environments
	Hide         bool  // answers 404 instead of 403 where a permission is missing; both are seen in the wild

	Push    bool      // the person's role in the repositories
	Admin   bool      // likewise
	Repos   []string  // owner/name the token may see; nil means all
	Expires time.Time // zero: never
}

// FullAccess is a fine-grained token that may do everything here.
func FullAccess() Access {
	return Access{Secrets: Write, Environments: Write, Dependabot: Write, Actions: Read, Push: true, Admin: true}
}

// Grant makes token valid, or changes what it may do.
func (s *Sim) Grant(token string, a Access) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a.Scopes, a.Repos = slices.Clone(a.Scopes), slices.Clone(a.Repos)
	s.tokens[token] = a
}

// Revoke makes token unknown.
func (s *Sim) Revoke(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tokens, token)
}

// authenticate returns what the request's token may do; s.mu is held. "token"
// is the word that gh sends, "Bearer" the one of go-github.
func (s *Sim) authenticate(r *http.Request) (Access, bool) {
	word, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if word != "token" && word != "Bearer" {
		return Access{}, false
	}
	a, ok := s.tokens[token]
	return a, ok && (a.Expires.IsZero() || s.clock().Before(a.Expires))
}

// sees reports whether the token may see the repository at all.
func (a Access) sees(r *repo) bool {
	if a.Scopes != nil {
		return slices.Contains(a.Scopes, "repo") // every repository here is private
	}
	return a.Repos == nil || slices.ContainsFunc(a.Repos, func(name string) bool {
		return strings.EqualFold(name, r.owner+"/"+r.name)
	})
}

// permission returns the fine-grained permission that a store needs, as the
// header X-Accepted-GitHub-Permissions names it, and what the token has of it.
func (a Access) permission(store string) (name string, has Level) {
	switch store {
	case Actions:
		return "secrets", a.Secrets
	case Dependabot:
		return "dependabot_secrets", a.Dependabot
	}
	return "environments", a.Environments
}

// refuse returns the status and message with which the service refuses the
// token at a store, or 0. The messages are those of github/docs#8338 and of
// grll/claude-code-login#2.
func (a Access) refuse(r *repo, store string, write bool) (status int, message string) {
	_, has := a.permission(store)
	switch {
	case a.Scopes == nil && (has == None || write && has != Write):
		if a.Hide {
			return http.StatusNotFound, notFound
		}
		return http.StatusForbidden, "Resource not accessible by personal access token"
	case !a.Push:
		return http.StatusForbidden, "Must have admin rights to Repository."
	case write && r.archived:
		return http.StatusForbidden, "Repository was archived so is read-only."
	}
	return 0, ""
}
