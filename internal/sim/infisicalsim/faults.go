package infisicalsim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/raxx-app/keyturn/internal/sim/simhttp"
)

// Lost replies, hanging and cut connections are faults of the embedded server:
// [simhttp.Server.Inject].

// SetOld makes the server the one that was recorded in October 2024: no v4
// routes, no lockout, "version" and "mode" ignored, its error texts.
func (s *Server) SetOld(old bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.old = old
}

// RequireApproval makes every write answer 200 with an approval request and
// change nothing. Infisical's source does so for people only, its documents say
// for everyone.
func (s *Server) RequireApproval(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.approval = on
}

// IgnoreVersion makes reads ignore the query field "version" and answer the
// latest value, as the recorded server does (04-versions.json).
func (s *Server) IgnoreVersion(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ignoreVersion = on
}

// ExpireTokens makes every access token that is out answer 403 TokenError, as a
// token whose own expiry has passed does (10-token-lifecycle.json).
func (s *Server) ExpireTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tokens {
		t.expires = s.now().Add(-time.Second)
	}
}

// RevokeTokens forgets every access token that is out: they answer 401.
func (s *Server) RevokeTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

// RevokeClientSecret makes logins with the identity's client secret fail as
// with a wrong one. Tokens that are out stay good.
func (s *Server) RevokeClientSecret(clientID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.identities[clientID]; i != nil {
		i.revoked = true
	}
}

// RestoreClientSecret ends [Server.RevokeClientSecret], as if somebody had made
// another client secret with the same value.
func (s *Server) RestoreClientSecret(clientID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.identities[clientID]; i != nil {
		i.revoked = false
	}
}

// Grant changes what an identity may do in a project.
func (s *Server) Grant(clientID, projectID string, r Rights) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.identities[clientID]
	changed := map[string]Rights{projectID: r}
	for id, old := range i.Projects {
		if id != projectID {
			changed[id] = old
		}
	}
	i.Projects = changed
}

// RateLimit answers the next times calls for method and path prefix with 429,
// as Infisical Cloud does; 0 means all.
func (s *Server) RateLimit(method, path string, times int, after time.Duration) (clear func()) {
	seconds := strconv.Itoa(int(after.Seconds()))
	return s.answer(method, path, times, &problem{
		status: http.StatusTooManyRequests, name: "RateLimitError",
		message: fmt.Sprintf("Rate limit exceeded. Please try again in %s seconds", seconds),
	}, http.Header{"Retry-After": {seconds}})
}

// Break answers the next times calls for method and path prefix with 500; 0
// means all. Nothing is applied.
func (s *Server) Break(method, path string, times int) (clear func()) {
	return s.answer(method, path, times, broken(), nil)
}

// Deny answers the next times calls for method and path prefix with 403
// PermissionDenied; 0 means all. Servers differ in whether they look for a
// secret or for the permission first.
func (s *Server) Deny(method, path string, times int) (clear func()) {
	return s.answer(method, path, times, forbidden("edit"), nil)
}

// AnswerHTML answers the next times calls for method and path prefix with 200
// and a web page, as a proxy in front of Infisical may; 0 means all.
func (s *Server) AnswerHTML(method, path string, times int) (clear func()) {
	return s.Inject(simhttp.Fault{
		Method: method, Path: path, Times: times, Status: http.StatusOK,
		Header: http.Header{"Content-Type": {"text/html; charset=utf-8"}},
		Body:   "<!doctype html><title>Maintenance</title><p>We will be back soon.",
	})
}

func (s *Server) answer(method, path string, times int, p *problem, header http.Header) (clear func()) {
	body, err := json.Marshal(p.current())
	if err != nil {
		panic(err) // a problem is made of texts
	}
	if header == nil {
		header = http.Header{}
	}
	header.Set("Content-Type", "application/json; charset=utf-8")
	return s.Inject(simhttp.Fault{Method: method, Path: path, Times: times, Status: p.status, Header: header, Body: string(body)})
}
