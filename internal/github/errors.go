package github

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"time"

	gogithub "github.com/google/go-github/v92/github"

	"github.com/raxx-app/keyturn/internal/fault"
)

// reasonRefused is the reason of a 422: the value was not sealed to the store's
// present public key, or is wrong in another way that GitHub tells in words.
const reasonRefused = "refused_value"

// limitWait is how long to wait after a secondary rate limit that does not say.
const limitWait = time.Minute

// What a header may hold to be repeated: permission names in a text, a request ID
// in a log. What has another form may be something that we sent.
var (
	plain      = regexp.MustCompile(`^[a-z_=,; ]{1,120}$`)
	requestIDs = regexp.MustCompile(`^[0-9A-Fa-f:]{1,80}$`)
)

// explain turns an error of the library into a fault. It uses the status and a
// few headers only: GitHub's messages may repeat what was sent, and the
// library's error texts repeat the messages
// (openapi.actions-secrets.subset.json has the pattern that is quoted then).
func (c *Client) explain(ctx context.Context, p place, resp *gogithub.Response, err error) error {
	if resp == nil || resp.Response == nil {
		return noAnswer(ctx, p, err)
	}
	out := &fault.Error{Op: p.op, Err: answered(resp.Response)}
	if limit, ok := errors.AsType[*gogithub.RateLimitError](err); ok {
		out.Kind, out.Reason, out.RetryAfter = fault.Transient, "rate_limited", limitWait
		out.User = "GitHub's hourly rate limit of this token is used up."
		out.Fix = "Wait a minute, then press Retry."
		if reset := limit.Rate.Reset.Time; !reset.IsZero() {
			out.RetryAfter = max(time.Second, reset.Sub(c.now()))
			out.Fix = "Wait until it is reset at " + reset.UTC().Format("15:04 UTC") + ", then press Retry."
		}
		return out
	}
	_, abuse := errors.AsType[*gogithub.AbuseRateLimitError](err)
	status := resp.StatusCode
	if wait := resp.Header.Get("Retry-After"); abuse || status == http.StatusTooManyRequests || status == http.StatusForbidden && wait != "" {
		out.Kind, out.Reason, out.RetryAfter = fault.Transient, "secondary_limit", limitWait
		if n, err := strconv.Atoi(wait); err == nil && n > 0 {
			out.RetryAfter = time.Duration(n) * time.Second
		}
		out.User = "GitHub asks the bot to slow down (secondary rate limit)."
		out.Fix = fmt.Sprintf("Wait %d s, then press Retry.", int(out.RetryAfter.Seconds()))
		return out
	}
	switch {
	case status < 200 || status >= 300:
		refused(out, p, resp.Response)
		return out
	case ctx.Err() != nil:
		return noAnswer(ctx, p, err)
	}
	return badAnswer(p, resp.Response)
}

// badAnswer is a success whose content cannot be one of GitHub's.
func badAnswer(p place, resp *http.Response) error {
	out := &fault.Error{
		Kind: fault.Transient, Reason: "bad_answer", Op: p.op, Err: answered(resp),
		User: "What answered in GitHub's place about " + p.subject() + " did not speak its language.",
		Fix:  "Check endpoints.github and any proxy on the way, then press Retry.",
	}
	if p.writes {
		out.Kind = fault.Unknown
	}
	return out
}

// refused fills in what an error status means at p.
func refused(out *fault.Error, p place, resp *http.Response) {
	switch status := resp.StatusCode; {
	case status == http.StatusUnauthorized:
		out.Kind, out.Reason = fault.Denied, "bad_token"
		out.User = "GitHub does not accept the bot's token: it is wrong, expired or revoked."
		out.Fix = "Make a new token for " + p.repo + " with " + p.needs + ", set GITHUB_TOKEN and start the bot again."
	case status == http.StatusForbidden && resp.Header.Get("X-GitHub-SSO") != "":
		out.Kind, out.Reason = fault.Denied, "sso_required"
		out.User = "GitHub refuses the bot's token for " + p.repo + ": it is not authorised for the organisation's single sign-on."
		out.Fix = "Authorise the token for that organisation in GitHub's token settings, then press Retry."
	case status == http.StatusForbidden:
		out.Kind, out.Reason = fault.Denied, "forbidden"
		out.User = "GitHub does not let the bot's token use " + p.subject() + "."
		out.Fix = "Give the token " + p.needs + accepted(resp) + " and its owner write access, then press Retry."
	case status == http.StatusNotFound:
		out.Kind, out.Reason = fault.NotFound, "not_found"
		out.User = "GitHub does not show " + p.subject() + ": there is no such thing, or the token lacks " + p.needs + "."
		out.Fix = "Check the consumer's " + p.entry() + " in bot.yml, then what the token may see and do (" + p.needs + "), then press Retry."
	case status == http.StatusConflict:
		out.Kind, out.Reason = fault.Conflict, "conflict"
		out.User = "Somebody else changed " + p.subject() + " at the same time."
		out.Fix = "Press Retry."
	case status == http.StatusUnprocessableEntity:
		out.Kind, out.Reason = fault.Invalid, reasonRefused
		out.User = "GitHub refused the encrypted value of " + p.subject() + "."
		out.Fix = "Press Retry once. If it stays, check the secret's name in bot.yml and set the secret by hand from Infisical."
	default:
		otherwise(out, p, status)
	}
}

// otherwise fills in what the statuses mean that are not about permissions or
// the value.
func otherwise(out *fault.Error, p place, status int) {
	switch {
	case status >= 300 && status < 400:
		out.Kind, out.Reason = fault.Invalid, "redirected"
		out.User = "GitHub redirects " + p.repo + " to another place, which the bot does not follow with a secret. It was renamed or moved."
		out.Fix = "Put the repository's present owner and name into bot.yml, then press Retry."
	case status >= 500:
		out.Kind, out.Reason = fault.Transient, "unavailable"
		out.User = "GitHub has a problem of its own (status " + strconv.Itoa(status) + ")."
		out.Fix = "Look at www.githubstatus.com, then press Retry."
	default:
		out.Kind, out.Reason = fault.Invalid, "refused"
		out.User = "GitHub refused the request for " + p.subject() + " (status " + strconv.Itoa(status) + ")."
		out.Fix = "Check this consumer in bot.yml, then press Retry."
	}
}

// noAnswer explains a call that brought no answer. A write that may have been
// sent is Unknown; writing the same value again is harmless.
func noAnswer(ctx context.Context, p place, err error) error {
	out := &fault.Error{
		Kind: fault.Transient, Reason: "no_answer", Op: p.op, Err: errors.New("no answer"),
		User: "GitHub did not answer about " + p.subject() + ".",
		Fix:  "Press Retry.",
	}
	if ctx.Err() != nil {
		out.Kind, out.Reason, out.Err = fault.Unknown, "stopped", ctx.Err()
		return out
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		out.Kind, out.Reason = fault.Denied, "bad_certificate"
		out.User = "What answers in GitHub's place has no valid certificate."
		out.Fix = "Check endpoints.github and any proxy on the way, then press Retry."
		return out
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "dial" {
		out.Reason, out.Err = "unreachable", errors.New("no connection")
		out.User = "GitHub cannot be reached from here."
		out.Fix = "Check the bot's network and www.githubstatus.com, then press Retry."
		return out
	}
	if p.writes {
		out.Kind = fault.Unknown
		out.User = "The bot sent the " + p.what + " to " + p.repo + " but got no answer, so it is not known whether it was written."
		out.Fix = "Press Retry. Writing the same value again is harmless."
	}
	return out
}

// accepted returns the permission that GitHub itself names, in brackets.
func accepted(resp *http.Response) string {
	if v := resp.Header.Get("X-Accepted-GitHub-Permissions"); plain.MatchString(v) {
		return " (GitHub says: " + v + ")"
	}
	return ""
}

// answered is the cause that logs show: the status, and the ID by which
// GitHub's support finds the request.
func answered(resp *http.Response) error {
	if id := resp.Header.Get("X-GitHub-Request-Id"); requestIDs.MatchString(id) {
		return fmt.Errorf("status %d, request %s", resp.StatusCode, id)
	}
	return fmt.Errorf("status %d", resp.StatusCode)
}
