package heroku

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync/atomic"
	"unicode"

	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
)

const (
	bodyMax    = 4 << 20 // bytes of an answer; config vars end at 64 KiB, 1000 dynos at 1 MiB
	warningMax = 200     // characters of a warning that are kept
)

var errTooLarge = errors.New("answer is too large")

type (
	exchangeKey struct{}
	rangeKey    struct{}
)

// An exchange is what the SDK throws away about one call.
type exchange struct {
	status   int // 0: no answer
	header   http.Header
	sent     atomic.Bool // the request may have reached Heroku
	tooLarge bool
}

// withRange makes the next call ask for a page that the SDK cannot express.
func withRange(ctx context.Context, next string) context.Context {
	return context.WithValue(ctx, rangeKey{}, next)
}

// A wire is the transport below the SDK's: it adds the token, keeps what is
// worth keeping of the answer, and caps its body.
type wire struct {
	base  http.RoundTripper
	token secret.Text
}

// RoundTrip implements [http.RoundTripper].
func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	ex, _ := req.Context().Value(exchangeKey{}).(*exchange)
	if ex == nil {
		return nil, errors.New("heroku: call without an exchange")
	}
	ctx := httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{WroteHeaders: func() { ex.sent.Store(true) }})
	req = req.Clone(ctx)
	req.Header.Set("Authorization", "Bearer "+w.token.Reveal())
	if next, _ := req.Context().Value(rangeKey{}).(string); next != "" {
		req.Header.Set("Range", next)
	}
	resp, err := w.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	ex.status, ex.header = resp.StatusCode, resp.Header.Clone()
	resp.Header.Del("X-Heroku-Warning") // the SDK would print it
	resp.Body = &capped{ReadCloser: resp.Body, left: bodyMax, ex: ex}
	return resp, nil
}

// A capped body fails when it is longer than it may be.
type capped struct {
	io.ReadCloser
	left int64
	ex   *exchange
}

// Read implements [io.Reader].
func (c *capped) Read(p []byte) (int, error) {
	if c.left <= 0 {
		c.ex.tooLarge = true
		return 0, errTooLarge
	}
	n, err := c.ReadCloser.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}

// scopes returns what our token may do, nil if Heroku did not say.
func (ex *exchange) scopes() []string { return knownScopes(ex.header.Get("Oauth-Scope")) }

// knownScopes drops every word that is no scope (devcenter.heroku.com/articles/oauth).
func knownScopes(header string) []string {
	return slices.DeleteFunc(strings.Fields(header), func(s string) bool {
		return !slices.Contains([]string{"global", "identity", "read", "write", "read-protected", writeScope}, s)
	})
}

// requestID returns Heroku's own of the list that it answers with.
func (ex *exchange) requestID() string {
	id, _, _ := strings.Cut(ex.header.Get("Request-Id"), ",")
	if len(id) > 64 || strings.Trim(id, "0123456789abcdefABCDEF-") != "" {
		return ""
	}
	return id
}

// warning returns what Heroku warned of, for people: one printable line, and
// nothing at all if it quotes the pair. Its own command line reads the same two
// headers.
func (ex *exchange) warning(p rotation.Pair) string {
	text := ex.header.Get("X-Heroku-Warning")
	if text == "" {
		text = ex.header.Get("Warning-Message")
	}
	for _, half := range []secret.Text{p.KeyID, p.Secret} {
		if !half.Empty() && strings.Contains(text, half.Reveal()) {
			return "Heroku sent a warning that is not shown, because it quotes the pair."
		}
	}
	return oneLine(text, warningMax)
}

// oneLine returns at most n printable characters of s.
func oneLine(s string, n int) string {
	r := []rune(strings.Join(strings.FieldsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }), " "))
	if len(r) > n {
		r = append(r[:n-1], '…')
	}
	return string(r)
}
