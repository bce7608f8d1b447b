// Package infisical is the vault of a rotation: it reads the pair with
// Infisical's Go SDK and writes it with the server's all-or-nothing batch
// update, which the SDK does not have. It knows Infisical's REST API and its
// errors, and nothing of the steps of a rotation.
//
// What is said here about the server was observed on a real one (recordings
// under testdata/contracts/infisical) or read in Infisical's source.
package infisical

import (
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
)

const (
	defaultTimeout = 10 * time.Second // each call
	bodyMax        = 1 << 20          // bytes of an answer that are read
	listMax        = 8 << 20          // the same of a folder, with all that is in it
	userAgent      = "keyturn"

	// slotsMax bounds the SDK calls that are running, given-up ones included:
	// a call of the SDK cannot be stopped, only left behind.
	slotsMax = 32
)

// Config is what a [Client] needs.
type Config struct {
	SiteURL      string            // "https://app.infisical.com", with or without "/api"
	ClientID     string            // of the machine identity's universal auth
	ClientSecret secret.Text       // likewise
	Transport    http.RoundTripper // for the calls that the SDK does not make; nil: one of its own
	Timeout      time.Duration     // for each call; 0 means 10 s
	Now          func() time.Time  // required; decides when a token is renewed
}

// A Client is one machine identity. Its methods, and those of its vaults, may
// be called from any goroutine.
type Client struct {
	cfg   Config
	api   string // "https://app.infisical.com/api"
	http  *http.Client
	slots chan struct{} // holds one for each SDK call that has not returned
	noV4  atomic.Bool   // the server said that it has no v4 batch route

	turn chan struct{} // held by whoever reads or changes what follows

	current      *session
	logins       int
	refusal      error // of the last login, while it is remembered
	refusedUntil time.Time
}

// New returns a client. It sends nothing.
func New(cfg Config) *Client {
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.Transport == nil {
		cfg.Transport = transport()
	}
	return &Client{
		cfg: cfg,
		api: strings.TrimSuffix(strings.TrimRight(cfg.SiteURL, "/"), "/api") + "/api",
		http: &http.Client{
			Transport:     cfg.Transport,
			CheckRedirect: refuseRedirect,
		},
		slots: make(chan struct{}, slotsMax),
		turn:  make(chan struct{}, 1),
	}
}

// transport finds out by itself that a connection is dead: without pings a
// dead HTTP/2 connection would be used again for minutes.
func transport() *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout: 5 * time.Second,
		ForceAttemptHTTP2:   true,
		IdleConnTimeout:     90 * time.Second,
		HTTP2:               &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second},
	}
}

// A Place is where one pair is stored.
type Place struct {
	ProjectID   string
	Environment string // slug: "prod"
	Path        string // folder; "" means "/"
	Names       rotation.Names
}

// String returns the place for people. Nothing of it is secret.
func (p Place) String() string {
	return "environment " + p.Environment + ", folder " + p.Path + " of project " + p.ProjectID
}

// Vault returns the vault for one pair.
func (c *Client) Vault(p Place) *Vault {
	p.Path = "/" + strings.Trim(p.Path, "/")
	return &Vault{client: c, place: p}
}

// checked returns why a call cannot be made at all. An empty client ID or
// secret must never reach the SDK: it would take them from the environment.
func (c *Client) checked(op string, p Place) error {
	switch {
	case c.cfg.ClientID == "" || c.cfg.ClientSecret.Empty():
		return &fault.Error{
			Kind: fault.Denied, Reason: "no_credentials", Op: op,
			User: "There is no client ID or client secret for Infisical.",
			Fix:  "Set INFISICAL_CLIENT_ID and INFISICAL_CLIENT_SECRET, then start the bot again.",
		}
	case p.ProjectID == "" || p.Environment == "" || p.Names.KeyID == "" || p.Names.Secret == "" || p.Names.KeyID == p.Names.Secret:
		return &fault.Error{
			Kind: fault.Invalid, Reason: "bad_place", Op: op,
			User: "The place of the pair in Infisical is not complete.",
			Fix:  "Give infisical: project_id, environment and two different names in bot.yml.",
		}
	}
	return nil
}
