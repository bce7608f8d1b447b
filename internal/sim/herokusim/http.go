package herokusim

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The rate limit is a token bucket per account (devcenter.heroku.com, limits).
const (
	rateMax       = 4500.0
	ratePerMinute = 75.0
)

// An account is a token with its rate limit.
type account struct {
	Token
	id        string
	remaining float64
	filled    time.Time
}

// take uses up one call and reports whether there was one.
func (a *account) take(now time.Time, free bool) bool {
	a.remaining = min(rateMax, a.remaining+now.Sub(a.filled).Minutes()*ratePerMinute)
	a.filled = now
	if free {
		return true
	}
	if a.remaining < 1 {
		return false
	}
	a.remaining--
	return true
}

// Scopes that each kind of call accepts (Oauth-Scope-Accepted in
// recorded-real-exchanges.json; config vars and releases are protected,
// devcenter.heroku.com/articles/oauth).
var (
	scopesRead           = []string{"global", "read", "read-protected", "write", "write-protected"}
	scopesWrite          = []string{"global", "write", "write-protected"}
	scopesReadProtected  = []string{"global", "read-protected", "write-protected"}
	scopesWriteProtected = []string{"global", "write-protected"}
)

// A problem is an error answer.
type problem struct {
	status               int
	id, message, subject string
}

var (
	errNoEndpoint = &problem{status: 404, id: "not_found", message: "The requested API endpoint was not found. Are you using the right HTTP verb (i.e. `GET` vs. `POST`), and did you specify your intended version with the `Accept` header?"}
	errNoApp      = &problem{status: 404, id: "not_found", message: "Couldn't find that app.", subject: "app"}
	errNoRelease  = &problem{status: 404, id: "not_found", message: "Couldn't find that release.", subject: "release"}
	errNoFeature  = &problem{status: 404, id: "not_found", message: "Couldn't find that app feature.", subject: "app_feature"}
	errNoProcess  = &problem{status: 404, id: "not_found", message: "Couldn't find that process type.", subject: "process_type"}
	errNoDyno     = &problem{status: 404, id: "not_found", message: "Couldn't find that dyno.", subject: "dyno"}
	errRange      = &problem{status: 416, id: "requested_range_not_satisfiable", message: "The range cannot be satisfied."}
)

// An endpoint serves one call on an app. It returns a body, a list or a problem.
type endpoint struct {
	scopes []string
	do     func(a *app, args []string, c *call) (any, *problem)
}

// A call is one authorised request.
type call struct {
	req  *http.Request
	out  http.Header // of the answer
	body []byte
	user user
	now  time.Time
}

// endpoints are keyed by method and path below the app, "*" for one segment.
var endpoints = map[string]endpoint{
	"GET ":                       {scopesRead, getApp},
	"GET config-vars":            {scopesReadProtected, getVars},
	"PATCH config-vars":          {scopesWriteProtected, patchVars},
	"GET releases":               {scopesReadProtected, listReleases},
	"GET releases/*":             {scopesReadProtected, getRelease},
	"GET releases/*/config-vars": {scopesReadProtected, getReleaseVars},
	"GET dynos":                  {scopesRead, listDynos},
	"GET dynos/*":                {scopesRead, getDyno},
	"GET formation":              {scopesRead, listFormation},
	"PATCH formation/*":          {scopesWrite, patchFormation},
	"GET features/*":             {scopesRead, getFeature},
}

func (s *Sim) serve(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	var body bytes.Buffer
	_, _ = body.ReadFrom(http.MaxBytesReader(w, r.Body, 1<<20))

	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	h := w.Header()
	h.Set("Cache-Control", "private, no-cache")
	h.Set("Request-Id", requestIDs(r))
	h.Set("Vary", "Authorization,Accept-Encoding")
	h.Set("Via", "1.1 spaces-router (000000000000)")
	h.Set("X-Content-Type-Options", "nosniff")

	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	acc := s.tokens[token]
	status, answer := http.StatusOK, any(nil)
	var p *problem
	switch {
	case acc == nil:
		p = &problem{status: 401, id: "unauthorized", message: "Invalid credentials provided."}
	case !acc.take(now, r.URL.Path == "/account/rate-limits"):
		p = &problem{status: 429, id: "rate_limit", message: "Your account reached the API rate limit\nPlease wait a few minutes before making new requests"}
	case !acceptsV3(r):
		p = &problem{status: 406, id: "not_acceptable", message: "The `Accept` header must name version 3."}
	default:
		answer, p = s.route(acc, &call{req: r, out: h, body: body.Bytes(), user: user{acc.Email, acc.id}, now: now})
	}
	if acc != nil {
		h.Set("Oauth-Scope", strings.Join(acc.Scopes, " "))
		h.Set("Ratelimit-Multiplier", "1")
		h.Set("Ratelimit-Remaining", strconv.Itoa(int(acc.remaining)))
	}
	if l, ok := answer.(list); ok && p == nil {
		answer, status, p = l.page(r.Header.Get("Range"), h)
	}
	if p != nil {
		status, answer = p.status, p.body()
	}
	write(w, status, answer, now, start)
}

// route finds the endpoint, checks scope and access, and serves the call; s.mu
// is held.
func (s *Sim) route(acc *account, c *call) (any, *problem) {
	if c.req.Method == http.MethodGet && c.req.URL.Path == "/account/rate-limits" {
		return map[string]any{"remaining": int(acc.remaining)}, nil
	}
	seg := strings.Split(strings.TrimPrefix(c.req.URL.Path, "/"), "/")
	if len(seg) < 2 || seg[0] != "apps" {
		return nil, errNoEndpoint
	}
	rest, args := seg[2:], []string(nil)
	key := slices.Clone(rest)
	if len(rest) > 1 {
		key[1], args = "*", rest[1:2]
	}
	e, ok := endpoints[c.req.Method+" "+strings.Join(key, "/")]
	if !ok {
		return nil, errNoEndpoint
	}
	c.out.Set("Oauth-Scope-Accepted", strings.Join(e.scopes, " "))
	if !slices.ContainsFunc(acc.Scopes, func(have string) bool { return slices.Contains(e.scopes, have) }) {
		return nil, &problem{status: 403, id: "forbidden", message: "Your access token does not have the scope that this endpoint needs."}
	}
	a := s.find(seg[1])
	if a == nil {
		return nil, errNoApp
	}
	if acc.Apps != nil && !slices.Contains(acc.Apps, a.name) {
		return nil, &problem{status: 403, id: "forbidden", message: "You do not have access to the app " + a.name + "."}
	}
	a.settle(c.now)
	return e.do(a, args, c)
}

// find returns the app with that name or ID, or nil.
func (s *Sim) find(identity string) *app {
	if a := s.apps[identity]; a != nil {
		return a
	}
	for _, a := range s.apps {
		if a.id == identity {
			return a
		}
	}
	return nil
}

// acceptsV3 reports whether the client asks for version 3; the vendor's command
// line also says "3.sdk".
func acceptsV3(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept"), ",") {
		kind, params, err := mime.ParseMediaType(part)
		if v := params["version"]; err == nil && strings.HasSuffix(kind, "json") && (v == "3" || strings.HasPrefix(v, "3.")) {
			return true
		}
	}
	return false
}

// requestIDs returns a list of our ID and those that the client sent.
func requestIDs(r *http.Request) string {
	ids := []string{newID()}
	if sent := r.Header.Get("Request-Id"); sent != "" {
		ids = append(ids, sent)
	}
	return strings.Join(ids, ",")
}

// decode reads a JSON object that was sent as JSON.
func (c *call) decode(v any) *problem {
	if kind, _, err := mime.ParseMediaType(c.req.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return &problem{status: 400, id: "bad_request", message: "Please specify a `Content-Type` of `application/json`."}
	}
	if err := json.Unmarshal(c.body, v); err != nil {
		return &problem{status: 400, id: "bad_request", message: "Unable to parse the JSON request body."}
	}
	return nil
}

func (p *problem) body() map[string]any {
	b := map[string]any{"id": p.id, "message": p.message}
	if p.subject != "" {
		b["resource"] = p.subject
	}
	return b
}

func write(w http.ResponseWriter, status int, v any, now, start time.Time) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	sum := sha256.Sum256(body)
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Etag", `"`+hex.EncodeToString(sum[:16])+`"`)
	h.Set("Last-Modified", now.UTC().Format(http.TimeFormat))
	h.Set("X-Runtime", fmt.Sprintf("%.9f", time.Since(start).Seconds()))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
