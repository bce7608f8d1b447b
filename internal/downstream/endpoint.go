// Package downstream asks a consumer's own endpoints what only they can know:
// whether its trading account works with the pair it holds, and, if somebody
// chose so, whether it can place an order on the paper book. It knows no pair.
package downstream

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/secret"
)

const (
	callTimeout   = 10 * time.Second // of one call, answer included
	bodyMax       = 1 << 20          // bytes of an answer
	valueMax      = 40               // characters of a value that is shown
	retryAfterMax = 15 * time.Minute
)

// An Endpoint says where and how to call.
type Endpoint struct {
	URL       string            // whole; https unless loopback
	Token     secret.Text       // bearer; empty means none (G7)
	Transport http.RoundTripper // nil means one of its own
	Timeout   time.Duration     // of one call; 0 means 10 s
}

// A caller makes single calls; it retries nothing and follows no redirect.
type caller struct {
	endpoint Endpoint
	host     string // for people: no path, no query
	client   *http.Client
}

func newCaller(e Endpoint) caller {
	c := caller{endpoint: e, host: "the downstream service"}
	if u, err := url.Parse(e.URL); err == nil && u.Host != "" {
		c.host = u.Host
	}
	if e.Transport == nil {
		e.Transport = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSHandshakeTimeout: 5 * time.Second, IdleConnTimeout: 90 * time.Second}
	}
	c.client = &http.Client{
		Transport:     e.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c
}

// Close closes idle connections. What it belongs to can still be used.
func (c caller) Close() { c.client.CloseIdleConnections() }

// An answer is what came back.
type answer struct {
	status   int // 0: none
	header   http.Header
	body     []byte
	tooLarge bool
	sent     bool  // the request may have arrived
	err      error // why there is no answer, or only a part of one
}

// call sends in, if any, as JSON and reads the whole answer.
func (c caller) call(ctx context.Context, method string, in []byte) (a answer) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(c.endpoint.Timeout, callTimeout))
	defer cancel()
	var sent atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }})
	req, err := http.NewRequestWithContext(ctx, method, c.endpoint.URL, bytes.NewReader(in))
	if err != nil {
		a.err = errors.New("address cannot be used")
		return a
	}
	req.Header.Set("Accept", "application/json")
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if !c.endpoint.Token.Empty() {
		req.Header.Set("Authorization", "Bearer "+c.endpoint.Token.Reveal())
	}
	resp, err := c.client.Do(req)
	a.sent = sent.Load()
	if err != nil {
		a.err = cause(err)
		return a
	}
	defer func() { _ = resp.Body.Close() }()
	a.status, a.header = resp.StatusCode, resp.Header
	a.body, err = io.ReadAll(io.LimitReader(resp.Body, bodyMax+1))
	if err != nil {
		a.err = cause(err)
	}
	a.tooLarge = len(a.body) > bodyMax
	return a
}

// field returns the scalar at a dotted path as text, and whether the answer is
// JSON at all.
func (a answer) field(path string) (value string, isJSON, found bool) {
	if a.tooLarge || a.err != nil {
		return "", false, false
	}
	dec := json.NewDecoder(bytes.NewReader(a.body))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil || dec.More() {
		return "", false, false
	}
	value, found = scalarAt(v, path)
	return value, true, found
}

// scalarAt walks names and, in lists, indexes: "data.accounts.0.status".
func scalarAt(v any, path string) (string, bool) {
	for name := range strings.SplitSeq(path, ".") {
		switch at := v.(type) {
		case map[string]any:
			v = at[name]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(at) {
				return "", false
			}
			v = at[i]
		default:
			return "", false
		}
	}
	switch s := v.(type) {
	case string:
		return s, true
	case json.Number:
		return s.String(), true
	case bool:
		return strconv.FormatBool(s), true
	}
	return "", false
}

// fault says what to do about an answer that is of no use. It never quotes the
// body. The caller has dealt with what may have been applied.
func (c caller) fault(op string, a answer) *fault.Error {
	f := &fault.Error{Op: op, Err: a.err}
	if a.status == 0 {
		f.Kind, f.Reason, f.User = fault.Transient, "unreachable", "Keyturn could not reach "+c.host+"."
		if errors.Is(a.err, context.DeadlineExceeded) {
			f.Reason, f.User = "timeout", c.host+" did not answer in time."
		}
		f.Fix = "Check that the service is up and that the bot's network reaches it; the bot tries again by itself."
		return f
	}
	if f.Err == nil {
		f.Err = fmt.Errorf("status %d", a.status)
	}
	switch s := a.status; {
	case a.tooLarge:
		f.Kind, f.Reason, f.User = fault.Invalid, "answer_too_large", c.host+" answered with more than 1 MiB."
		f.Fix = "Check the url of this entry in bot.yml: it must be the JSON route."
	case s/100 == 2 && a.err != nil:
		f.Kind, f.Reason, f.User = fault.Transient, "bad_answer", "The answer of "+c.host+" broke off."
	case s/100 == 2:
		f.Kind, f.Reason, f.User = fault.Invalid, "not_json", c.host+" did not answer with JSON."
		f.Fix = "Check the url of this entry in bot.yml; a login or maintenance page in front of the service looks like this too."
	case s/100 == 3:
		f.Kind, f.Reason, f.User = fault.Invalid, "redirected", c.host+" answered with a redirect, which is never followed."
		f.Fix = "Put the final address into the url of this entry in bot.yml, and check that the service needs no login page."
	case s == http.StatusUnauthorized || s == http.StatusForbidden:
		f.Kind, f.Reason, f.User = fault.Denied, "token_rejected", fmt.Sprintf("%s refused the bot (status %d).", c.host, s)
		f.Fix = "Check DOWNSTREAM_TOKEN: it is the bearer token that this service expects."
	case s == http.StatusNotFound || s == http.StatusGone:
		f.Kind, f.Reason, f.User = fault.NotFound, "route_not_found", fmt.Sprintf("%s has no such route (status %d).", c.host, s)
		f.Fix = "Check the url of this entry in bot.yml."
	case s == http.StatusTooManyRequests:
		f.Kind, f.Reason, f.User = fault.Transient, "rate_limited", c.host+" asked to slow down."
		f.RetryAfter = retryAfter(a.header)
	case s >= 500 || s == http.StatusRequestTimeout:
		f.Kind, f.Reason, f.User = fault.Transient, "unavailable", fmt.Sprintf("%s is not available (status %d).", c.host, s)
		f.Fix = "It may still be restarting; the bot tries again by itself. If it stays, look at its logs."
	default:
		f.Kind, f.Reason, f.User = fault.Invalid, "refused", fmt.Sprintf("%s refused the request (status %d).", c.host, s)
	}
	return f
}

// shown returns a value for people: one printable line of at most 40
// characters, and nothing if it quotes the token.
func (c caller) shown(value string) string {
	if t := c.endpoint.Token; !t.Empty() && strings.Contains(value, t.Reveal()) {
		return "[withheld]"
	}
	r := []rune(strings.Map(func(r rune) rune {
		if strconv.IsPrint(r) {
			return r
		}
		return ' '
	}, value))
	if len(r) > valueMax {
		r = append(r[:valueMax-1], '…')
	}
	return string(r)
}

// cause keeps of a transport error what cannot hold a part of the answer.
func cause(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return context.DeadlineExceeded
	}
	if errors.Is(err, context.Canceled) {
		return context.Canceled
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return e
	}
	return errors.New("no usable answer")
}

// retryAfter reads seconds; 0 means that the service did not say them.
func retryAfter(h http.Header) time.Duration {
	n, err := strconv.Atoi(strings.TrimSpace(h.Get("Retry-After")))
	if err != nil || n < 0 {
		return 0
	}
	return min(time.Duration(min(n, 1<<20))*time.Second, retryAfterMax)
}
