package infisical

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/go-resty/resty/v2"
	login "github.com/infisical/go-sdk/packages/api/auth"
	sdkerrors "github.com/infisical/go-sdk/packages/errors"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/secret"
)

const (
	// A refused login is remembered: a current server locks the identity for
	// five minutes after three wrong secrets within 30 s, and several key sets
	// that get ready at once must not use those up.
	refusedFor = 31 * time.Second
	lockedFor  = time.Minute

	// unknownLife is how long a token is kept whose life was not said.
	unknownLife = time.Minute
)

// A session is one access token with an HTTP client that carries it. It never
// changes, so it can be used by several calls at once.
type session struct {
	login   int // which login it came from, counting from 1
	http    *resty.Client
	token   secret.Text
	renewAt time.Time // 80 % of its life
	expires time.Time
}

// newHTTP returns an HTTP client, without a token, for the calls of the SDK. The
// one that the SDK makes for itself follows redirects, and a login that is
// redirected hands the client secret to whoever it points to. Nor does its login
// leave the environment alone (INFISICAL_AUTH_ORGANIZATION_SLUG). So only its
// calls are used, on a client that follows nothing, reads no more than it should,
// never retries and prints nothing.
func (c *Client) newHTTP() *resty.Client {
	return resty.NewWithClient(&http.Client{Transport: capped{transport()}, CheckRedirect: refuseRedirect}).
		SetBaseURL(c.api).SetHeader("User-Agent", userAgent).SetLogger(silent{})
}

// refuseRedirect makes a redirect be the answer: whoever it points to is not
// who the pair and the token are for.
func refuseRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// A silent logger drops what the HTTP library has to say.
type silent struct{}

// Errorf drops a line.
func (silent) Errorf(string, ...any) {}

// Warnf drops a line.
func (silent) Warnf(string, ...any) {}

// Debugf drops a line.
func (silent) Debugf(string, ...any) {}

// A capped transport cuts answers off.
type capped struct{ *http.Transport }

// RoundTrip implements [http.RoundTripper].
func (t capped) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.Transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(resp.Body, listMax), resp.Body}
	return resp, nil
}

// session returns a session whose token is not due, logging in if there is
// none. A session of login number refused is replaced. If the login fails,
// a token that is due but still good is used, unless strict.
func (c *Client) session(ctx context.Context, refused int, strict bool) (*session, error) {
	const op = "infisical.Login"
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return nil, gaveUp(op, ctx.Err())
	}
	have := c.current
	if have != nil && have.login == refused {
		have = nil
	}
	now := c.cfg.Now()
	if have != nil && now.Before(have.renewAt) {
		return have, nil
	}
	fresh, err := c.logIn(ctx, op)
	switch {
	case err == nil:
		c.current = fresh
		return fresh, nil
	case have != nil && !strict && now.Before(have.expires):
		return have, nil
	}
	return nil, err
}

// logIn logs in once; c.turn is held.
func (c *Client) logIn(ctx context.Context, op string) (*session, error) {
	start := c.cfg.Now()
	if c.refusal != nil && start.Before(c.refusedUntil) {
		return nil, c.refusal
	}
	client := c.newHTTP()
	got, err := bounded(ctx, c, op, func() (login.MachineIdentityAuthLoginResponse, error) {
		return login.CallUniversalAuthLogin(client, login.UniversalAuthLoginRequest{ClientID: c.cfg.ClientID, ClientSecret: c.cfg.ClientSecret.Reveal()})
	})
	if err == nil && got.AccessToken == "" { // what the SDK makes of a web page or a redirect
		err = badAnswer(op, fault.Transient, nil)
	}
	if err != nil {
		err = explainLogin(op, err)
		c.refusal, c.refusedUntil = nil, time.Time{}
		switch fault.ReasonOf(err) {
		case reasonLoginRefused:
			c.refusal, c.refusedUntil = err, start.Add(refusedFor)
		case reasonLoginLocked:
			c.refusal, c.refusedUntil = err, start.Add(lockedFor)
		}
		return nil, err
	}
	c.refusal = nil
	life := time.Duration(got.ExpiresIn) * time.Second
	if life <= 0 {
		life = unknownLife
	}
	c.logins++
	return &session{
		login: c.logins, http: client.SetAuthToken(got.AccessToken), token: secret.New(got.AccessToken),
		renewAt: start.Add(life / 5 * 4), expires: start.Add(life),
	}, nil
}

// explainLogin tells a refused login from one that did not happen.
func explainLogin(op string, err error) error {
	api, ok := errors.AsType[*sdkerrors.APIError](err)
	if !ok {
		return explain(op, "", err)
	}
	a := answer{status: api.StatusCode, message: api.ErrorMessage, requestID: api.ReqId}
	if foreign(a) {
		return badAnswer(op, fault.Transient, statusError(a))
	}
	e := refused(op, "", a)
	switch {
	case api.StatusCode == http.StatusUnauthorized && strings.Contains(api.ErrorMessage, "temporarily locked"):
		e.Kind, e.Reason, e.RetryAfter = fault.Transient, reasonLoginLocked, lockedFor
		e.User = "Infisical has locked the bot's login for five minutes, because a wrong client secret was used three times."
		e.Fix = "Check INFISICAL_CLIENT_SECRET and who else uses this machine identity; the bot tries again by itself, or unlock the identity in Infisical."
	case api.StatusCode == http.StatusNotFound && e.Reason == reasonNoRoute:
	case api.StatusCode == http.StatusUnauthorized, api.StatusCode == http.StatusForbidden, api.StatusCode == http.StatusNotFound,
		api.StatusCode == http.StatusBadRequest, api.StatusCode == http.StatusUnprocessableEntity:
		e.Kind, e.Reason = fault.Denied, reasonLoginRefused
		e.User = "Infisical refused the bot's login: the client ID or the client secret is wrong, revoked, expired or used up."
		e.Fix = "Make a new client secret for the machine identity (Universal Auth) in Infisical, set INFISICAL_CLIENT_ID and INFISICAL_CLIENT_SECRET, then start the bot again."
	}
	return e
}

// read makes one SDK call with a good token, and once more with a new one if
// the server refuses the token.
func read[T any](ctx context.Context, c *Client, op, where string, f func(*resty.Client) (T, error)) (T, error) {
	var none T
	s, err := c.session(ctx, 0, false)
	if err != nil {
		return none, err
	}
	got, err := bounded(ctx, c, op, func() (T, error) { return f(s.http) })
	if api, ok := errors.AsType[*sdkerrors.APIError](err); ok && tokenRefused(api.StatusCode, "", api.ErrorMessage) {
		if s, err = c.session(ctx, s.login, false); err != nil {
			return none, err
		}
		got, err = bounded(ctx, c, op, func() (T, error) { return f(s.http) })
	}
	if err != nil {
		return none, explain(op, where, err)
	}
	return got, nil
}

// bounded runs f, a call of the SDK, which takes no context and may never
// return. At the deadline the call is left behind: its goroutine ends when the
// server answers or the connection dies, and until then it holds one of the
// client's slots, so that there is never more than a fixed number of them.
func bounded[T any](ctx context.Context, c *Client, op string, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var none T
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return none, gaveUp(op, ctx.Err())
	}
	done := make(chan result, 1)
	go func() {
		defer func() { <-c.slots }()
		value, err := f()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		c.newConnection()
		return none, gaveUp(op, ctx.Err())
	}
}

// newConnection gives the token to a new HTTP client, so that the next call does
// not use the connection on which one hangs.
func (c *Client) newConnection() {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	default: // a login is going on, which makes a new client anyway
		return
	}
	if c.current == nil {
		return
	}
	next := *c.current
	next.http = c.newHTTP().SetAuthToken(next.token.Reveal())
	c.current = &next
}
