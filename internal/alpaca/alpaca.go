// Package alpaca talks to Alpaca's paper Trading API, and to nothing else: it
// asks whose a pair is, what stands in the account, and keeps the test order's
// book clean. It takes its address and pairs as arguments only, reads no
// environment, follows no redirect and repeats no call. What a verdict means
// for a rotation is not its business.
//
// What Alpaca answers is known from the recordings under
// testdata/contracts/alpaca and from Alpaca's OpenAPI document there; comments
// name the file.
package alpaca

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// PaperURL is the only address outside this machine that a client accepts (R19).
const PaperURL = "https://paper-api.alpaca.markets"

// defaultTimeout is how long one call may take.
const defaultTimeout = 5 * time.Second

// A Config sets up a client.
type Config struct {
	BaseURL   string            // PaperURL, or http on loopback for the sandbox and tests
	Transport http.RoundTripper // nil: the client's own
	Now       func() time.Time  // required
	Timeout   time.Duration     // per call; 0: 5 s
}

// A Client is one connection pool to one address. It holds no pair, and its
// methods may be called from any goroutine.
type Client struct {
	base    string
	http    *http.Client
	now     func() time.Time
	timeout time.Duration
}

var (
	_ rotation.Vendor = (*Client)(nil)
	_ rotation.Book   = (*Client)(nil)
)

// New returns a client. It fails if the base URL is not one that may see a
// paper pair.
func New(c Config) (*Client, error) {
	if err := CheckURL(c.BaseURL); err != nil {
		return nil, err
	}
	if c.Now == nil {
		return nil, &fault.Error{Op: "alpaca.New", Err: errors.New("no clock")}
	}
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	if c.Transport == nil {
		c.Transport = transport(c.BaseURL)
	}
	return &Client{
		base: strings.TrimSuffix(c.BaseURL, "/"), now: c.Now, timeout: c.Timeout,
		http: &http.Client{
			Transport: c.Transport,
			// A redirect would carry the pair to another address.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// CheckURL returns a fault of kind Invalid unless base is [PaperURL] to the
// letter (a slash at the end is allowed) or plain http on a loopback address.
func CheckURL(base string) error {
	base = strings.TrimSuffix(base, "/")
	if base == PaperURL {
		return nil
	}
	u, err := url.Parse(base)
	if err == nil && u.Scheme == "http" && u.Opaque == "" && u.User == nil && u.Path == "" &&
		!strings.ContainsAny(base, "?#") && isLoopback(u.Hostname()) {
		return nil
	}
	return &fault.Error{ // the URL stays out of it: it may hold a password
		Kind: fault.Invalid, Reason: "base_url", Op: "alpaca.New",
		User: "The Alpaca address is neither the paper host nor a loopback address.",
		Fix:  "Set endpoints.alpaca in bot.yml to " + PaperURL + ", or leave it out.",
	}
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// transport returns the client's own transport. Only calls to the real host go
// through a proxy of the environment; the pair is inside TLS there.
func transport(base string) http.RoundTripper {
	t := &http.Transport{
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 8,
		IdleConnTimeout:     90 * time.Second,
		TLSHandshakeTimeout: defaultTimeout,
	}
	if strings.HasPrefix(base, PaperURL) {
		t.Proxy = http.ProxyFromEnvironment
	}
	return t
}
