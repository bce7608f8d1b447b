package infisicalsim

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Lockout of a current server: three wrong client secrets in half a minute
// close the identity's login for five minutes (defaults of the API reference,
// universal-auth/attach).
const (
	lockoutTries  = 3
	lockoutWindow = 30 * time.Second
	lockoutLasts  = 300 * time.Second
)

// An identity is a machine identity with its login failures.
type identity struct {
	Identity
	revoked     bool
	failures    int
	lastFailure time.Time
	lockedUntil time.Time
}

// A token is one access token, as the database has it.
type token struct {
	owner    *identity
	issue    int       // which of its renewals is the valid text
	created  time.Time // of the first; renewals do not change it
	expires  time.Time // the JWT's own expiry
	deadline time.Time // the database's; passing it answers 401
}

type grant struct {
	AccessToken       string `json:"accessToken"`
	ExpiresIn         int64  `json:"expiresIn"` // seconds
	AccessTokenMaxTTL int64  `json:"accessTokenMaxTTL"`
	TokenType         string `json:"tokenType"`
}

// login follows 02-login.json.
func (s *Server) login(r *http.Request, _ *identity) (any, *problem) {
	f, p := body(r)
	if p != nil {
		return nil, p
	}
	clientID, clientSecret := f.text("clientId"), f.text("clientSecret")
	if p := s.invalid(f); p != nil {
		return nil, p
	}
	who := s.identities[clientID]
	if who == nil {
		if s.old {
			return nil, missing("No identity with specified client ID was found", "NotFound")
		}
		return nil, unauthorized("Invalid credentials")
	}
	if !s.old && s.now().Before(who.lockedUntil) {
		return nil, unauthorized("This identity auth method is temporarily locked, please try again later")
	}
	if who.revoked || clientSecret != who.ClientSecret {
		s.countFailure(who)
		return nil, unauthorized("Invalid credentials")
	}
	who.failures = 0
	s.lastToken++
	id := fmt.Sprintf("t%d", s.lastToken)
	t := &token{owner: who, created: s.now()}
	s.tokens[id] = t
	return s.stamp(id, t), nil
}

func (s *Server) countFailure(who *identity) {
	if s.now().Sub(who.lastFailure) > lockoutWindow {
		who.failures = 0
	}
	who.failures++
	who.lastFailure = s.now()
	if who.failures >= lockoutTries {
		who.failures, who.lockedUntil = 0, s.now().Add(lockoutLasts)
	}
}

// stamp gives the token its next period and returns it as sent.
func (s *Server) stamp(id string, t *token) grant {
	t.deadline = s.now().Add(t.owner.TTL)
	t.expires = t.deadline
	if s.old { // a JWT for the whole life, and the same one after a renewal
		t.expires = t.created.Add(t.owner.MaxTTL)
	} else {
		t.issue++
	}
	return grant{
		AccessToken: s.sign(id, t.issue), ExpiresIn: int64(t.owner.TTL.Seconds()),
		AccessTokenMaxTTL: int64(t.owner.MaxTTL.Seconds()), TokenType: "Bearer",
	}
}

type claims struct {
	ID    string `json:"identityAccessTokenId"`
	Type  string `json:"authTokenType"`
	Issue int    `json:"issue"`
}

// sign makes a text of three parts with a real signature.
func (s *Server) sign(id string, issue int) string {
	c, err := json.Marshal(claims{id, "identityAccessToken", issue})
	if err != nil {
		panic(err) // texts and a number
	}
	signed := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString(c)
	return signed + "." + s.signature(signed)
}

func (s *Server) signature(text string) string {
	m := hmac.New(sha256.New, s.key)
	m.Write([]byte(text))
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

// renew follows 10-token-lifecycle.json: a token that would outlive its maximum
// is deleted, so with TTL equal to the maximum every renewal fails.
func (s *Server) renew(r *http.Request, _ *identity) (any, *problem) {
	f, p := body(r)
	if p != nil {
		return nil, p
	}
	text := f.text("accessToken")
	if p := s.invalid(f); p != nil {
		return nil, p
	}
	id, t, p := s.find(text)
	if p != nil {
		return nil, p
	}
	if s.now().Add(t.owner.TTL).After(t.created.Add(t.owner.MaxTTL)) {
		delete(s.tokens, id)
		return nil, unauthorized("Failed to renew MI access token past its Max TTL expiration")
	}
	return s.stamp(id, t), nil
}

// revoke follows 11-delete-revoke.json.
func (s *Server) revoke(r *http.Request, _ *identity) (any, *problem) {
	f, p := body(r)
	if p != nil {
		return nil, p
	}
	text := f.text("accessToken")
	if p := s.invalid(f); p != nil {
		return nil, p
	}
	id, _, p := s.find(text)
	if p != nil {
		return nil, p
	}
	delete(s.tokens, id)
	return map[string]string{"message": "Successfully revoked access token"}, nil
}

// authenticate follows 07-token-errors.json and 10-token-lifecycle.json.
func (s *Server) authenticate(r *http.Request) (*identity, *problem) {
	text, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || text == "" {
		return nil, unauthorized("Token missing")
	}
	_, t, p := s.find(text)
	if p != nil {
		return nil, p
	}
	if s.now().After(t.deadline) {
		return nil, unauthorized("Failed to renew MI access token due to TTL expiration")
	}
	return t.owner, nil
}

// find checks the text of a token and returns what the database has of it.
func (s *Server) find(text string) (string, *token, *problem) {
	malformed := badToken("The provided access token is malformed. Please use a valid token or generate a new one and try again.")
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return "", nil, malformed
	}
	var c claims
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(raw, &c) != nil {
		return "", nil, malformed
	}
	if !hmac.Equal([]byte(parts[2]), []byte(s.signature(parts[0]+"."+parts[1]))) {
		return "", nil, badToken("invalid signature")
	}
	t := s.tokens[c.ID]
	switch {
	case t == nil:
		return "", nil, unauthorized("No identity access token found")
	case s.now().After(t.expires):
		return "", nil, badToken("Your token has expired. Please re-authenticate.")
	}
	return c.ID, t, nil
}
