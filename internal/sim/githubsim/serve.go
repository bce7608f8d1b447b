package githubsim

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/raxx-app/keyturn/internal/sim/simhttp"
)

const (
	rateLimit  = 5000 // calls an hour, each user
	apiVersion = "2022-11-28"
	docs       = "https://docs.github.com/rest"
	docsStore  = docs + "/actions/secrets"
	docsPut    = docsStore + "#create-or-update-a-repository-secret"
	docsLimits = docs + "/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits"
	notFound   = "Not Found"
	secondary  = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again. " +
		"If you reach out to GitHub Support for help, please include the request ID E054:2C59:105235C:21FA002:655F7C86."
)

// SecondaryLimit is a fault that answers as the secondary rate limit does:
// status 403 or 429, with Retry-After if it is not 0. The real service leaves
// that header out at times.
func SecondaryLimit(status int, retryAfter time.Duration) simhttp.Fault {
	h := http.Header{"Content-Type": {"application/json; charset=utf-8"}, "X-Ratelimit-Remaining": {"4990"}}
	if retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
	}
	body := fmt.Sprintf(`{"message":%q,"documentation_url":%q}`, secondary, docsLimits)
	return simhttp.Fault{Times: 1, Status: status, Header: h, Body: body}
}

// EchoInvalid is a fault that refuses the next write as the real service does
// when it is sent text that is not base64: the message repeats what was sent
// (github/rest-api-description#1688).
func EchoInvalid(sent string) simhttp.Fault {
	body := fmt.Sprintf(`{"message":%q,"documentation_url":%q,"status":"422"}`, echo(sent), docsStore)
	return simhttp.Fault{
		Method: http.MethodPut, Times: 1, Status: http.StatusUnprocessableEntity, Body: body,
		Header: http.Header{"Content-Type": {"application/json; charset=utf-8"}},
	}
}

// A call is one request on its way through the simulator.
type call struct {
	s     *Sim
	w     http.ResponseWriter
	r     *http.Request
	body  []byte
	token Access
	at    time.Time
}

// serve answers one request. Once the body is read the lock is held
// throughout, so that every request is answered from one consistent state.
func (s *Sim) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 2*maxValue))
	if err != nil {
		return // the caller is gone
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	c := &call{s: s, w: w, r: r, body: body, at: s.clock()}
	w.Header().Set("Date", c.at.Format(http.TimeFormat))
	w.Header().Set("Server", "GitHub.com")
	w.Header().Set("X-GitHub-Request-Id", fmt.Sprintf("E054:2C59:%07X:21FA002:%08X", s.requests, c.at.Unix()))
	if r.Header.Get("User-Agent") == "" {
		http.Error(w, "Request forbidden by administrative rules. Please make sure your request has a User-Agent header", http.StatusForbidden)
		return
	}
	if v := r.Header.Get("X-GitHub-Api-Version"); v != "" && v != apiVersion && v != "2026-03-10" {
		c.fail(http.StatusBadRequest, "\""+v+"\" is not a supported version.", docs) // wording not recorded
		return
	}
	if !c.admit() {
		return
	}
	c.route()
}

// admit checks the token and the primary rate limit.
func (c *call) admit() bool {
	token, ok := c.s.authenticate(c.r)
	if !ok {
		message := "Bad credentials"
		if c.r.Header.Get("Authorization") == "" {
			message = "Requires authentication"
		}
		c.fail(http.StatusUnauthorized, message, docs)
		return false
	}
	c.token = token
	allowed := c.s.remaining > 0
	c.s.remaining = max(0, c.s.remaining-1)
	h := c.w.Header()
	h.Set("X-GitHub-Media-Type", "github.v3; format=json")
	h.Set("x-github-api-version-selected", apiVersion)
	h.Set("X-RateLimit-Limit", strconv.Itoa(rateLimit))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(c.s.remaining))
	h.Set("X-RateLimit-Used", strconv.Itoa(rateLimit-c.s.remaining))
	h.Set("X-RateLimit-Reset", strconv.FormatInt(c.at.Add(time.Hour).Unix(), 10))
	h.Set("X-RateLimit-Resource", "core")
	h.Set("Vary", "Accept-Encoding, Accept, X-Requested-With")
	if token.Scopes != nil {
		h.Set("X-OAuth-Scopes", strings.Join(token.Scopes, ", "))
		h.Set("X-Accepted-OAuth-Scopes", "")
	}
	if !token.Expires.IsZero() {
		h.Set("github-authentication-token-expiration", token.Expires.UTC().Format("2006-01-02 15:04:05 MST"))
	}
	if !allowed {
		c.fail(http.StatusForbidden, "API rate limit exceeded for user ID 1.", docs+"/overview/rate-limits-for-the-rest-api")
	}
	return allowed
}

// route finds what the path names. GitHub Enterprise Server has the same paths
// under /api/v3; an unknown path or method is Not Found.
func (c *call) route() {
	path := strings.TrimPrefix(c.r.URL.EscapedPath(), "/api/v3")
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i, p := range parts {
		part, err := url.PathUnescape(p)
		if err != nil || part == "" {
			c.notFound(docs)
			return
		}
		parts[i] = part
	}
	if len(parts) < 3 || parts[0] != "repos" {
		c.notFound(docs)
		return
	}
	r := c.s.repos[repoKey(parts[1], parts[2])]
	switch {
	case r == nil || !c.token.sees(r):
		c.notFound(docs + "/repos/repos#get-a-repository")
	case r.movedTo != "":
		c.moved(r, parts[3:])
	case len(parts) == 3 && c.r.Method == http.MethodGet:
		c.w.Header().Set("X-Accepted-GitHub-Permissions", "metadata=read")
		c.json(http.StatusOK, c.repository(r))
	case len(parts) == 4 && parts[3] == "environments" && c.r.Method == http.MethodGet:
		c.environments(r)
	case len(parts) >= 5 && parts[4] == "secrets" && (parts[3] == Actions || parts[3] == Dependabot):
		c.secrets(r, parts[3], parts[5:])
	case len(parts) >= 6 && parts[3] == "environments" && parts[5] == "secrets":
		c.secrets(r, "environments/"+parts[4], parts[6:])
	default:
		c.notFound(docs)
	}
}

// moved answers as for a renamed repository: 301 for reads, 307 otherwise, to a
// path that names it by number.
func (c *call) moved(r *repo, rest []string) {
	status := http.StatusTemporaryRedirect
	if c.r.Method == http.MethodGet {
		status = http.StatusMovedPermanently
	}
	to := c.s.URL() + "/repositories/" + strconv.Itoa(r.id)
	if len(rest) > 0 {
		to += "/" + strings.Join(rest, "/")
	}
	c.w.Header().Set("Location", to)
	c.json(status, map[string]string{
		"message": http.StatusText(status), "url": to,
		"documentation_url": docs + "/guides/best-practices-for-using-the-rest-api#follow-redirects",
	})
}

func (c *call) notFound(docs string) { c.fail(http.StatusNotFound, notFound, docs) }

// fail answers with the service's error body.
func (c *call) fail(status int, message, docs string) {
	c.json(status, map[string]string{
		"message": message, "documentation_url": docs, "status": strconv.Itoa(status),
	})
}

func (c *call) json(status int, v any) {
	h := c.w.Header()
	if status < http.StatusMultipleChoices {
		h.Set("Cache-Control", "private, max-age=60, s-maxage=60")
		h.Set("Vary", "Accept, Authorization, Cookie, X-GitHub-OTP, Accept-Encoding, Accept, X-Requested-With")
		h.Set("ETag", fmt.Sprintf(`W/"%064x"`, c.s.requests))
	}
	simhttp.JSON(c.w, status, v)
}
