package app

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/raxx-app/keyturn/internal/fault"
)

// answerMax is how much of an answer of Slack's is read, in bytes. A page of
// users.list has well below 1 MB.
const answerMax = 8 << 20

// A guarded transport is for a library that follows redirects, with the token
// and the body, and reads answers to their end: Slack's. The other clients see
// to that themselves.
type guarded struct{ next http.RoundTripper }

// RoundTrip implements [http.RoundTripper]. A redirect is a fault.
func (g guarded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := g.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		return nil, errors.Join(&fault.Error{
			Kind: fault.Transient, Reason: "redirected", Op: "app.slack", Err: fmt.Errorf("status %d", resp.StatusCode),
			User: "What answers in Slack's place redirects the bot, which never follows with its token.",
			Fix:  "Check endpoints.slack in bot.yml and any proxy on the way; the bot tries again by itself.",
		}, resp.Body.Close())
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(resp.Body, answerMax), resp.Body}
	return resp, nil
}
