// Package github writes a pair into the secrets of a GitHub repository. It
// knows GitHub's REST API for secrets and nothing of rotations beyond the
// [rotation.Consumer] that [Repo] is.
//
// GitHub never returns a value. All that can be read back is when a secret was
// last written, in whole seconds; see [Repo.Verify] for what that proves.
package github

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	gogithub "github.com/google/go-github/v92/github"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/secret"
)

const (
	callTimeout = 10 * time.Second // each call
	bodyMax     = 1 << 20          // bytes of an answer that are read
	userAgent   = "keyturn"
)

// Config is what a [Client] needs.
type Config struct {
	URL       string            // "https://api.github.com"; a path, as on GitHub Enterprise Server, is kept
	Token     secret.Text       // fine-grained or classic token
	Transport http.RoundTripper // nil: one of its own
	Now       func() time.Time  // for stamps and limits that are shown
}

// A Client calls GitHub's REST API with one token. It never retries and never
// follows a redirect. Its methods may be called from any goroutine.
type Client struct {
	api *gogithub.Client
	now func() time.Time
}

// New returns a client. It sends nothing; it fails if the URL or the token
// cannot be used at all.
func New(cfg Config) (*Client, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, &fault.Error{
			Kind: fault.Invalid, Reason: "bad_url", Op: "github.New",
			User: "The address of GitHub in bot.yml is not a URL.",
			Fix:  "Set endpoints.github to https://api.github.com, then start the bot again.",
		}
	}
	if cfg.Token.Empty() {
		return nil, &fault.Error{
			Kind: fault.Invalid, Reason: "no_token", Op: "github.New",
			User: "There is no GitHub token.",
			Fix:  "Set GITHUB_TOKEN, then start the bot again.",
		}
	}
	next := cfg.Transport
	if next == nil {
		own, ok := http.DefaultTransport.(*http.Transport)
		if !ok {
			own = &http.Transport{Proxy: http.ProxyFromEnvironment}
		}
		next = own.Clone()
	}
	base := strings.TrimSuffix(cfg.URL, "/") + "/"
	api, err := gogithub.NewClient(
		gogithub.WithHTTPClient(&http.Client{
			Transport: capped{next},
			// A redirect would carry the token, and a 307 the sealed value, to
			// wherever it points.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}),
		gogithub.WithURLs(&base, nil),
		gogithub.WithAuthToken(cfg.Token.Reveal()),
		gogithub.WithUserAgent(userAgent),
		// By default the library remembers a rate limit and then refuses calls
		// without sending them, so a person's Retry would do nothing.
		gogithub.WithDisableRateLimitCheck(),
	)
	if err != nil {
		return nil, fmt.Errorf("make GitHub client: %w", err)
	}
	return &Client{api: api, now: cfg.Now}, nil
}

// A place is what a call is about, for the texts of its errors.
type place struct {
	op     string // "github.PutSecret"
	repo   string // owner/name
	what   string // "secret ALPACA_PAPER_API_KEY_ID"; "" means the repository itself
	needs  string // the permission, as GitHub's pages call it
	writes bool
	env    bool // it is about an environment
}

// entry names the settings in bot.yml that a wrong place comes from.
func (p place) entry() string {
	if p.env {
		return "repo and environment"
	}
	return "repo"
}

// subject names what the call is about.
func (p place) subject() string {
	if p.what == "" {
		return p.repo
	}
	return p.what + " of " + p.repo
}

// call runs one request under its own deadline and turns what went wrong into
// a fault.
func (c *Client) call(ctx context.Context, p place, f func(context.Context) (*gogithub.Response, error)) (*gogithub.Response, error) {
	one, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	resp, err := f(one)
	if err != nil {
		return nil, c.explain(ctx, p, resp, err)
	}
	return resp, nil
}

// A repository is what is known of a repository before anything is written.
type repository struct {
	push         bool // false only if GitHub says so
	archived     bool
	tokenExpires time.Time // UTC; zero: GitHub did not say, which is not "never"
}

// repository reads what the token may do in the repository of s.
func (c *Client) repository(ctx context.Context, s store) (repository, error) {
	var got *gogithub.Repository
	p := s.place("github.Repository", "", false)
	resp, err := c.call(ctx, p, func(ctx context.Context) (resp *gogithub.Response, err error) {
		got, resp, err = c.api.Repositories.Get(ctx, s.owner, s.name)
		return resp, err
	})
	if err != nil {
		return repository{}, err
	}
	if got.GetFullName() == "" {
		return repository{}, badAnswer(p, resp.Response)
	}
	out := repository{push: true, archived: got.GetArchived()}
	if got.Permissions != nil && got.Permissions.Push != nil {
		out.push = *got.Permissions.Push
	}
	if !resp.TokenExpiration.IsZero() {
		out.tokenExpires = resp.TokenExpiration.UTC()
	}
	return out, nil
}

// capped limits how much of an answer is read.
type capped struct{ next http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (t capped) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = http.MaxBytesReader(nil, resp.Body, bodyMax)
	return resp, nil
}
