// Package heroku puts a pair into the config vars of Heroku apps and proves that
// their dynos run with it. It speaks the Platform API v3 through heroku-go and
// knows nothing of Slack or of the other consumers.
//
// The facts it stands on are in testdata/contracts/heroku: one PATCH is one
// release for both vars, its body proves nothing, and with a release phase the
// values are not live until the release command succeeded.
package heroku

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	api "github.com/heroku/heroku-go/v5"

	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
)

const (
	callTimeout = 15 * time.Second // of one call, answer included
	pagesMax    = 20               // of a list; 200 elements each
)

// A Config says how to reach Heroku.
type Config struct {
	URL       string            // "" means https://api.heroku.com
	Token     secret.Text       // with scope write-protected
	Transport http.RoundTripper // nil means one of its own
	Timeout   time.Duration     // of one call; 0 means 15 s
	Now       func() time.Time  // stamps receipts; required
}

// A Client makes single calls to Heroku and retries nothing. Its methods may be
// called from any goroutine and return a *fault.Error.
type Client struct {
	svc     *api.Service
	http    *http.Client
	timeout time.Duration
	now     func() time.Time
}

// New returns a client. It calls nothing.
func New(cfg Config) *Client {
	base := cfg.Transport
	if base == nil {
		base = &http.Transport{
			Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
			TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: 90 * time.Second,
			MaxIdleConnsPerHost: 128, // every app at once, four calls each
		}
	}
	// The SDK's transport sets Accept and Request-Id; the token is set below it,
	// so that none of the SDK's exported fields holds it. Its Debug and its
	// retry transport stay off: the first prints bodies, the second resends a
	// PATCH with an empty one.
	client := &http.Client{
		Transport:     &api.Transport{Transport: &wire{base: base, token: cfg.Token}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	c := &Client{svc: api.NewService(client), http: client, timeout: cmp.Or(cfg.Timeout, callTimeout), now: cfg.Now}
	if cfg.URL != "" {
		c.svc.URL = strings.TrimSuffix(cfg.URL, "/")
	}
	if t, ok := base.(*http.Transport); ok && cfg.Transport == nil {
		c.http = &http.Client{Transport: t} // to close what is ours
	}
	return c
}

// Close closes idle connections. The client can still be used.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Vars are the two config vars of an app as the API shows them, which is no
// proof that they are live.
type Vars struct {
	Pair      rotation.Pair // a half that is absent is empty
	Missing   []string      // names that are absent
	Scopes    []string      // what our token may do; nil if Heroku did not say
	RequestID string        // Heroku's, for its support
}

// Vars reads the two config vars. All others are dropped at once: they may be
// secret too.
func (c *Client) Vars(ctx context.Context, app string, names rotation.Names) (Vars, error) {
	var all map[string]*string
	ex, err := c.do(ctx, "heroku.Vars", app, false, func(ctx context.Context) (err error) {
		all, err = c.svc.ConfigVarInfoForApp(ctx, url.PathEscape(app))
		return err
	})
	return pick(all, names, ex), err
}

// ReleaseVars reads the two config vars that a release carries.
func (c *Client) ReleaseVars(ctx context.Context, app string, version int, names rotation.Names) (Vars, error) {
	var all map[string]*string
	ex, err := c.do(ctx, "heroku.ReleaseVars", app, false, func(ctx context.Context) (err error) {
		all, err = c.svc.ConfigVarInfoForAppRelease(ctx, url.PathEscape(app), strconv.Itoa(version))
		return err
	})
	return pick(all, names, ex), err
}

// pick takes the two vars out of all.
func pick(all map[string]*string, names rotation.Names, ex *exchange) Vars {
	v := Vars{Scopes: ex.scopes(), RequestID: ex.requestID()}
	for _, half := range []struct {
		name string
		to   *secret.Text
	}{{names.KeyID, &v.Pair.KeyID}, {names.Secret, &v.Pair.Secret}} {
		if value := all[half.name]; value != nil {
			*half.to = secret.New(*value)
		} else {
			v.Missing = append(v.Missing, half.name)
		}
	}
	return v
}

// SetVars sets both config vars in one request, which makes one release; other
// vars stay. The answer's body is not looked at: it may hold the old values. A
// fault of kind Unknown means that the vars may be set. It returns what Heroku
// warned of.
func (c *Client) SetVars(ctx context.Context, app string, names rotation.Names, p rotation.Pair) (warning string, err error) {
	ex, err := c.do(ctx, "heroku.SetVars", app, true, func(ctx context.Context) error {
		_, err := c.svc.ConfigVarUpdate(ctx, url.PathEscape(app), map[string]*string{
			names.KeyID: new(p.KeyID.Reveal()), names.Secret: new(p.Secret.Reveal()),
		})
		return err
	})
	return ex.warning(p), err
}

// A Release is one release of an app.
type Release struct {
	Version     int
	Status      string // pending, succeeded, failed, expired
	Description string // "Set A, B config vars"
	Command     bool   // it runs, or ran, the app's release command; its output may hold secrets and is never read
}

// Releases returns the newest n releases, newest first.
func (c *Client) Releases(ctx context.Context, app string, n int) ([]Release, error) {
	var list []api.Release
	_, err := c.do(ctx, "heroku.Releases", app, false, func(ctx context.Context) (err error) {
		list, err = c.svc.ReleaseList(ctx, url.PathEscape(app), &api.ListRange{Field: "version", Max: n, Descending: true})
		return err
	})
	out := make([]Release, 0, len(list))
	for _, r := range list {
		out = append(out, readRelease(&r))
	}
	slices.SortFunc(out, func(a, b Release) int { return b.Version - a.Version })
	return out, err
}

// Release returns one release.
func (c *Client) Release(ctx context.Context, app string, version int) (Release, error) {
	var r *api.Release
	_, err := c.do(ctx, "heroku.Release", app, false, func(ctx context.Context) (err error) {
		if r, err = c.svc.ReleaseInfo(ctx, url.PathEscape(app), strconv.Itoa(version)); err == nil && r.Version != version {
			err = errors.New("another release") // a JSON object of somebody else's
		}
		return err
	})
	if err != nil {
		return Release{}, err
	}
	return readRelease(r), nil
}

func readRelease(r *api.Release) Release {
	return Release{Version: r.Version, Status: r.Status, Description: r.Description, Command: r.OutputStreamURL != nil && *r.OutputStreamURL != ""}
}

// A Dyno is one running process of an app.
type Dyno struct {
	Name    string // "web.1"
	Type    string // "web"; "run" and "release" are one-off
	State   string // crashed, down, idle, starting, up
	Version int    // of its release
}

// Dynos returns every dyno of the app, over as many pages as there are.
func (c *Client) Dynos(ctx context.Context, app string) ([]Dyno, error) {
	var out []Dyno
	next := ""
	for range pagesMax {
		var list []api.Dyno
		ex, err := c.do(withRange(ctx, next), "heroku.Dynos", app, false, func(ctx context.Context) (err error) {
			list, err = c.svc.DynoList(ctx, url.PathEscape(app), nil)
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, d := range list {
			out = append(out, Dyno{Name: d.Name, Type: d.Type, State: d.State, Version: d.Release.Version})
		}
		if next = ex.header.Get("Next-Range"); next == "" {
			break
		}
	}
	return out, nil
}

// Preboot reports whether old dynos go on serving, unseen, for some minutes
// after a release (devcenter.heroku.com/articles/preboot).
func (c *Client) Preboot(ctx context.Context, app string) (bool, error) {
	var f *api.AppFeature
	_, err := c.do(ctx, "heroku.Preboot", app, false, func(ctx context.Context) (err error) {
		f, err = c.svc.AppFeatureInfo(ctx, url.PathEscape(app), "preboot")
		return err
	})
	return err == nil && f.Enabled, err
}

// do makes one call under its own deadline and turns what went wrong into a
// fault. The exchange is never nil.
func (c *Client) do(ctx context.Context, op, app string, write bool, call func(context.Context) error) (*exchange, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	ex := &exchange{}
	err := call(context.WithValue(ctx, exchangeKey{}, ex))
	if err == nil || write && ex.status/100 == 2 {
		return ex, nil // of a write, the body is not needed
	}
	return ex, ex.fault(op, app, write, err, c.now)
}
