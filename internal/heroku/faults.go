package heroku

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	api "github.com/heroku/heroku-go/v5"

	"github.com/raxx-app/keyturn/internal/fault"
)

const (
	retryAfterMax = 15 * time.Minute // of what a service may ask us to wait
	writeScope    = "write-protected"
	newTokenFix   = "Create a token with `heroku authorizations:create -s write-protected`, give it to the bot as HEROKU_API_KEY and restart the bot." //nolint:gosec // a sentence, not a credential
)

// fault says what to do about a call that went wrong. The SDK's error text is
// the answer's body, so it is dropped.
func (ex *exchange) fault(op, app string, write bool, err error, now func() time.Time) error {
	f := &fault.Error{Op: op}
	if ex.status == 0 {
		ex.noAnswer(f, app, write, err)
		return f
	}
	f.Err = fmt.Errorf("status %d", ex.status)
	if id := ex.requestID(); id != "" {
		f.Err = fmt.Errorf("status %d, heroku request %s", ex.status, id)
	}
	switch s := ex.status; {
	case s/100 == 2:
		ex.unreadable(f, app)
	case s/100 == 3:
		f.Kind, f.Reason = fault.Invalid, "redirected"
		f.User = "Heroku's API answered with a redirect, which is never followed."
		f.Fix = "Check endpoints.heroku in bot.yml, and any proxy in between."
	case s == http.StatusUnauthorized:
		f.Kind, f.Reason = fault.Denied, "token_rejected"
		f.User, f.Fix = "Heroku does not accept the bot's token.", newTokenFix
	case s == http.StatusPaymentRequired || s == http.StatusForbidden:
		ex.denied(f, app, err)
	case s == http.StatusNotFound || s == http.StatusGone:
		f.Kind, f.Reason = fault.NotFound, "app_not_found"
		f.User = "Heroku has no app " + app + ", or the bot's account may not see it."
		f.Fix = "Check the app's name in bot.yml, and that the bot's Heroku account is a collaborator of it; its token needs the scope write-protected."
	case s == http.StatusConflict:
		f.Kind, f.Reason = fault.Conflict, "conflict"
		f.User = "Heroku says that somebody else is changing " + app + " right now."
	case s == http.StatusTooManyRequests:
		f.Kind, f.Reason, f.RetryAfter = fault.Transient, "rate_limited", retryAfter(ex.header, now())
		f.User = "The bot's Heroku account reached the API rate limit."
		f.Fix = "Wait a few minutes; the bot tries again by itself."
	case s >= 500:
		serverError(f, app, s, write)
	default:
		f.Kind, f.Reason = fault.Invalid, "refused"
		f.User = fmt.Sprintf("Heroku refused the request for %s as wrong (error %d).", app, s)
		f.Fix = "Check the app's name and the names of its two config vars in bot.yml, and that no add-on owns a var with such a name, then press Retry."
	}
	return f
}

// unreadable fills f for a success whose body is of no use.
func (ex *exchange) unreadable(f *fault.Error, app string) {
	f.Kind, f.Reason = fault.Transient, "bad_answer"
	f.User = "Heroku's answer about " + app + " could not be read."
	f.Fix = "Press Retry. If it stays, check that endpoints.heroku in bot.yml is Heroku's API."
	if ex.tooLarge {
		f.Kind, f.Reason, f.Err = fault.Invalid, "answer_too_large", errTooLarge
	}
}

// serverError fills f for 5xx. Of a write, only 503 says that it was not done.
func serverError(f *fault.Error, app string, status int, write bool) {
	if write && status != http.StatusServiceUnavailable {
		f.Kind, f.Reason = fault.Unknown, "no_answer"
		f.User = fmt.Sprintf("Heroku answered with error %d, so it is not known whether the config vars of %s were set.", status, app)
		return
	}
	f.Kind, f.Reason = fault.Transient, "unavailable"
	f.User = fmt.Sprintf("Heroku's API is not available (error %d).", status)
	f.Fix = "Look at status.heroku.com; the bot tries again by itself."
}

// noAnswer fills f for a call that was not answered.
func (ex *exchange) noAnswer(f *fault.Error, app string, write bool, err error) {
	f.Err = cause(err)
	if write && ex.sent.Load() {
		f.Kind, f.Reason = fault.Unknown, "no_answer"
		f.User = "Heroku was asked to set the config vars of " + app + ", but no answer came, so it is not known whether it did."
		return
	}
	f.Kind, f.Reason = fault.Transient, "unreachable"
	f.User = "Heroku's API could not be reached."
	if errors.Is(err, context.DeadlineExceeded) {
		f.Reason, f.User = "timeout", "Heroku's API did not answer in time."
	}
	f.Fix = "Look at status.heroku.com and at the bot's network; the bot tries again by itself."
}

// denied fills f for 402 and 403. What the endpoint would accept is in a header.
func (ex *exchange) denied(f *fault.Error, app string, err error) {
	f.Kind, f.Reason = fault.Denied, "forbidden"
	accepted, held := knownScopes(ex.header.Get("Oauth-Scope-Accepted")), ex.scopes()
	id := ""
	if e, ok := errors.AsType[api.Error](err); ok {
		id = e.ID
	}
	switch {
	case id == "suspended" || id == "delinquent" || id == "two_factor":
		f.Reason = id
		f.User = "Heroku refuses the bot's account: " + map[string]string{
			"suspended": "it is suspended.", "delinquent": "it has unpaid bills.", "two_factor": "it needs a second factor.",
		}[id]
		f.Fix = "Log in to the bot's Heroku account and put that right, then press Retry."
	case len(accepted) > 0 && len(held) > 0 && !overlap(held, accepted):
		f.Reason = "scope_missing"
		f.User = "The bot's Heroku token may not do this: its scope is " + strings.Join(held, " ") + ", and one of these is needed: " + strings.Join(accepted, " ") + "."
		f.Fix = newTokenFix
	default:
		f.User = "The bot's Heroku account has no access to " + app + "."
		f.Fix = "Add the bot's Heroku account as a collaborator of " + app + " (in a team with app permissions: deploy and view). Its token needs the scope write-protected."
	}
}

func overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(x string) bool { return slices.Contains(b, x) })
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

// retryAfter reads seconds, an HTTP date or an epoch second (an old log of
// Heroku's has one); 0 means that the service did not say.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	var d time.Duration
	if n, err := strconv.ParseInt(v, 10, 64); err == nil {
		if d = retryAfterMax; n > 1e9 {
			d = time.Unix(n, 0).Sub(now)
		} else if n < int64(retryAfterMax/time.Second) {
			d = time.Duration(n) * time.Second
		}
	} else if at, err := http.ParseTime(v); err == nil {
		d = at.Sub(now)
	}
	return min(max(d, 0), retryAfterMax)
}
