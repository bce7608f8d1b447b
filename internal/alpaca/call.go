package alpaca

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// maxBody is how much of an answer is read, in bytes. A page of 500 orders has
// about 500 kB.
const maxBody = 1 << 20

// Seconds to wait after a 429: at least one, a minute if Alpaca does not say
// (its limit counts by the minute), never more than ten.
const (
	minWait     = 1
	defaultWait = 60
	maxWait     = 600
)

// A reply is what came back for one call. Reason is empty if a whole answer
// came; otherwise it says why not.
type reply struct {
	status    int
	body      []byte
	requestID string
	wait      int // seconds
	reason    string
	err       error // with reason; holds neither URL nor pair
	sent, got time.Time
}

// call makes one call and reads the answer. It never repeats one.
func (c *Client) call(ctx context.Context, p rotation.Pair, method, path string, query url.Values, body any) (r reply) {
	r.sent = c.now()
	defer func() { r.got = c.now() }()
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := c.request(ctx, p, method, path, query, body)
	if err != nil {
		r.reason, r.err = "bad_pair", err
		return r
	}
	res, err := c.http.Do(req)
	if err != nil {
		r.reason, r.err = lost(err)
		return r
	}
	defer func() { _ = res.Body.Close() }()
	r.status = res.StatusCode
	r.requestID = requestID(res.Header.Get("X-Request-ID"))
	r.wait = wait(res.StatusCode, res.Header, c.now())
	r.body, err = io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	switch {
	case err != nil:
		r.reason, r.err = lost(err)
	case len(r.body) > maxBody:
		r.body, r.reason, r.err = nil, "bad_answer", errors.New("answer is too long")
	}
	return r
}

// request builds a call. This is where the pair leaves for Alpaca.
func (c *Client) request(ctx context.Context, p rotation.Pair, method, path string, query url.Values, body any) (*http.Request, error) {
	graphic := func(r rune) bool { return r > ' ' && r < 0x7f }
	if p.Empty() || !p.KeyID.Only(graphic) || !p.Secret.Only(graphic) {
		return nil, errors.New("pair is empty or cannot stand in a header")
	}
	var payload io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
		payload = bytes.NewReader(b)
	}
	target := c.base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, payload)
	if err != nil {
		return nil, errors.New("request cannot be built")
	}
	req.Header.Set("APCA-API-KEY-ID", p.KeyID.Reveal())
	req.Header.Set("APCA-API-SECRET-KEY", p.Secret.Reveal())
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "keyturn")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

// lost names why no whole answer came, and takes the URL off the error: its
// query is not for logs.
func lost(err error) (string, error) {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	timeout, ok := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, context.Canceled):
		return "canceled", err
	case errors.Is(err, context.DeadlineExceeded), ok && timeout.Timeout():
		return "timeout", err
	}
	return "network", err
}

// requestID keeps an ID that can stand in a record: hex digits, as Alpaca's has
// (account-get-200-recorded.json), and hyphens, at most 64. Anything else is
// dropped: no half of a pair looks like that.
func requestID(s string) string {
	if len(s) > 64 || strings.Trim(s, "0123456789abcdefABCDEF-") != "" {
		return ""
	}
	return s
}

// wait returns how many seconds Alpaca asks to wait: Retry-After if there
// (not documented, the official CLI honours it), else the documented
// X-RateLimit-Reset, a Unix time. 0 means that it did not ask.
func wait(status int, h http.Header, now time.Time) int {
	if status != http.StatusTooManyRequests && status < http.StatusInternalServerError {
		return 0
	}
	after := h.Get("Retry-After")
	if n, err := strconv.ParseInt(after, 10, 64); err == nil {
		return clamp(n)
	}
	if t, err := http.ParseTime(after); err == nil {
		return clamp(t.Unix() - now.Unix())
	}
	if status != http.StatusTooManyRequests {
		return 0
	}
	if n, err := strconv.ParseInt(h.Get("X-RateLimit-Reset"), 10, 64); err == nil {
		return clamp(n - now.Unix())
	}
	return defaultWait
}

func clamp(seconds int64) int { return int(min(max(seconds, minWait), maxWait)) }
