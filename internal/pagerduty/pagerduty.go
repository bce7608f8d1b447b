// Package pagerduty wakes whoever is on call through PagerDuty's Events API v2:
// one alert per key, which is triggered and later resolved. It knows the API as
// PagerDuty's pages "Events API v2 Overview" and "Send an Alert Event" describe
// it, and nothing of rotations. It never repeats a call.
package pagerduty

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/raxx-app/keyturn/internal/secret"
)

// URL is the service; endpoints.pagerduty in bot.yml.
const URL = "https://events.pagerduty.com"

const (
	path        = "/v2/enqueue"
	callTimeout = 5 * time.Second
	bodyMax     = 64 << 10 // bytes of an answer that are read, to use the connection again
	summaryMax  = 1024     // characters (Send an Alert Event)
	dedupMax    = 255      // characters (Send an Alert Event)
	source      = "keyturn"
)

// A Config sets up a client.
type Config struct {
	URL        string            // base; "" means [URL]
	RoutingKey secret.Text       // integration key of an Events API v2 integration, 32 characters
	Transport  http.RoundTripper // nil: the client's own
	Timeout    time.Duration     // of one call; 0 means 5 s
	Now        func() time.Time  // required
}

// A Client sends events to one integration. Its methods may be called from any
// goroutine.
type Client struct {
	cfg  Config
	http *http.Client
}

// New returns a client. It calls nothing.
func New(cfg Config) *Client {
	if cfg.Transport == nil {
		cfg.Transport = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSHandshakeTimeout: callTimeout, IdleConnTimeout: 90 * time.Second}
	}
	cfg.URL = strings.TrimSuffix(cmp.Or(cfg.URL, URL), "/")
	return &Client{cfg: cfg, http: &http.Client{
		Transport: cfg.Transport,
		// A redirect would carry the routing key to wherever it points.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Close closes idle connections. The client can still be used.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// An event is the body of a call.
type event struct {
	RoutingKey string   `json:"routing_key"`
	Action     string   `json:"event_action"`
	DedupKey   string   `json:"dedup_key"`
	Payload    *payload `json:"payload,omitempty"`
	Client     string   `json:"client,omitempty"`
}

type payload struct {
	Summary   string            `json:"summary"`
	Source    string            `json:"source"`
	Severity  string            `json:"severity"`
	Timestamp string            `json:"timestamp"`
	Details   map[string]string `json:"custom_details,omitempty"`
}

// Trigger opens the alert called key, which wakes people. A repeat while it is
// open adds a line to it and wakes nobody again; after [Client.Resolve] it would
// open another one. A summary over 1024 characters is cut. Details are shown
// with the alert and must not be secret.
//
// Errors: Transient (429, with RetryAfter if it was said, 5xx, not sent), Unknown
// (sent, no answer), Denied (the routing key is refused), Invalid (anything else
// that a person must change).
func (c *Client) Trigger(ctx context.Context, key, summary string, details map[string]string) error {
	return c.post(ctx, "pagerduty.Trigger", event{Action: "trigger", DedupKey: key, Client: source, Payload: &payload{
		Summary: cut(summary, summaryMax), Source: source, Severity: "critical", Timestamp: c.cfg.Now().UTC().Format(time.RFC3339), Details: details,
	}})
}

// Resolve ends the alert called key. A repeat, and a key that has no open alert,
// do nothing. Errors are those of Trigger.
func (c *Client) Resolve(ctx context.Context, key string) error {
	return c.post(ctx, "pagerduty.Resolve", event{Action: "resolve", DedupKey: key})
}

// post sends one event.
func (c *Client) post(ctx context.Context, op string, e event) error {
	if e.DedupKey == "" || utf8.RuneCountInString(e.DedupKey) > dedupMax {
		return badKey(op)
	}
	e.RoutingKey = c.cfg.RoutingKey.Reveal()
	body, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encode event: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(c.cfg.Timeout, callTimeout))
	defer cancel()
	ctx, sent := watchSent(ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.cfg.URL+path, bytes.NewReader(body))
	if err != nil {
		return badAddress(op)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", source)
	resp, err := c.http.Do(req)
	if err != nil {
		return noAnswer(op, err, sent.Load())
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, bodyMax))
	if err != nil {
		return noAnswer(op, err, true)
	}
	return outcome(op, resp, raw, e.DedupKey, c.cfg.Now())
}

// cut returns the first n characters of s.
func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}
