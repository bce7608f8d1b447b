package webhook

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/raxx-app/keyturn/internal/secret"
)

const (
	callTimeout = 5 * time.Second // of one call, answer included
	bodyMax     = 64 << 10        // bytes of an answer that are read, to use the connection again
	startMax    = 512             // bytes in which a page of HTML gives itself away
	userAgent   = "keyturn"
)

// The types of events (docs/webhooks.md). Only typeRotated means that anything
// has changed.
const (
	typePing    = "ping"
	typeRotated = "rotated"
	typeVerify  = "verify"
)

// An event is the body of a request.
type event struct {
	Type     string  `json:"type"`
	Rotation string  `json:"rotation"` // "" before there is one
	KeySet   string  `json:"keyset"`
	Last4    string  `json:"key_id_last4"`   // "" with a ping
	Pair     *values `json:"pair,omitempty"` // of typeRotated, with deliver: pair
}

// values are the pair in clear, on its way out.
type values struct {
	KeyID  string `json:"key_id"`
	Secret string `json:"secret"`
}

// An answer is what came back. It holds no body.
type answer struct {
	status int // 0: none
	header http.Header
	html   bool  // a page for people, not the receiver's answer
	sent   bool  // the request may have arrived
	err    error // why there is no answer
}

// New returns a hook. It calls nothing.
func New(cfg Config) *Hook {
	h := &Hook{cfg: cfg, host: "the receiver", unsure: map[string]bool{}}
	if u, err := url.Parse(cfg.URL); err == nil && u.Host != "" {
		h.host = u.Host
	}
	if cfg.Transport == nil {
		cfg.Transport = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSHandshakeTimeout: callTimeout, IdleConnTimeout: 90 * time.Second}
	}
	h.client = &http.Client{
		Transport: cfg.Transport,
		// A redirect would carry the pair to wherever it points.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return h
}

// Close closes idle connections. The hook can still be used.
func (h *Hook) Close() { h.client.CloseIdleConnections() }

// post sends one signed event and reads what matters of the answer.
func (h *Hook) post(ctx context.Context, ev event, delivery string) (a answer) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(h.cfg.Timeout, callTimeout))
	defer cancel()
	body, err := json.Marshal(ev)
	if err != nil {
		a.err = errors.New("event cannot be encoded")
		return a
	}
	var sent atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.cfg.URL, bytes.NewReader(body))
	if err != nil {
		a.err = errors.New("address cannot be used")
		return a
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Keyturn-Delivery", delivery)
	req.Header.Set("Keyturn-Signature", sign(h.cfg.Secret, h.cfg.Now(), body))
	resp, err := h.client.Do(req)
	a.sent = sent.Load()
	if err != nil {
		a.err = cause(err)
		return a
	}
	defer func() { _ = resp.Body.Close() }()
	a.status, a.header = resp.StatusCode, resp.Header
	a.html = isPage(resp)
	return a
}

// sign returns the header Keyturn-Signature of a body that is sent at that
// time.
func sign(key secret.Text, at time.Time, body []byte) string {
	stamp := strconv.FormatInt(at.Unix(), 10)
	m := hmac.New(sha256.New, []byte(key.Reveal()))
	_, _ = io.WriteString(m, stamp+".")
	_, _ = m.Write(body)
	return "t=" + stamp + ",v1=" + hex.EncodeToString(m.Sum(nil))
}

// isPage reports whether the answer is HTML, as a login or maintenance page in
// front of the receiver is, with any status. It reads what there is of the
// body up to a limit.
func isPage(resp *http.Response) bool {
	start := make([]byte, startMax)
	n, err := io.ReadFull(resp.Body, start)
	if err == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, bodyMax))
	}
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err == nil && (kind == "text/html" || kind == "application/xhtml+xml") {
		return true
	}
	return bytes.HasPrefix(bytes.TrimSpace(start[:n]), []byte("<"))
}
