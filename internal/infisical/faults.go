package infisical

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	sdkerrors "github.com/infisical/go-sdk/packages/errors"

	"github.com/raxx-app/keyturn/internal/fault"
)

// Reasons that code branches on, or that come from more than one place.
const (
	reasonLoginRefused = "login_refused"
	reasonLoginLocked  = "login_locked"
	reasonBadAnswer    = "bad_answer"
	reasonNoRoute      = "no_route"
	reasonNamesAbsent  = "names_absent"
	reasonPlace        = "place_not_found"
	reasonTimeout      = "timeout"
	reasonUnreachable  = "unreachable"
)

// requestIDs are Infisical's own: "req-" and 14 characters, as a real server has
// them. What has another form may be something that we sent.
var requestIDs = regexp.MustCompile(`^req-[0-9A-Za-z]{1,36}$`)

// An answer is what is known of an error answer. The message is matched and
// never shown: Infisical has no error codes.
type answer struct {
	status     int
	name       string // Infisical's "error"; the SDK does not pass it on
	message    string // "" if it was no text
	requestID  string
	retryAfter time.Duration
	write      bool // the call may have changed something
}

// tokenRefused reports whether a login is what the server asks for. An expired
// token is 403 TokenError, one that was deleted is 401
// (10-token-lifecycle.json). Without the name, as from the SDK, every 403 is
// taken for one that does not say that a person's rights are missing.
func tokenRefused(status int, name, message string) bool {
	switch {
	case status == http.StatusUnauthorized:
		return true
	case status != http.StatusForbidden:
		return false
	case name != "":
		return name == "TokenError"
	}
	return !strings.HasPrefix(message, "You are not allowed")
}

// explain turns an error of an SDK call that only reads into a fault.
func explain(op, where string, err error) error {
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	if api, ok := errors.AsType[*sdkerrors.APIError](err); ok {
		a := answer{status: api.StatusCode, message: api.ErrorMessage, requestID: api.ReqId}
		if foreign(a) {
			return badAnswer(op, fault.Transient, statusError(a))
		}
		return refused(op, where, a)
	}
	// The SDK hides the cause, and its text holds the whole URL.
	cause := hint(err.Error())
	if cause == "certificate" {
		return badCertificate(op)
	}
	return unreachable(op, fault.Transient, errors.New(cause))
}

// foreign reports whether a refusal has no text of Infisical's, as that of a
// firewall or a proxy has none.
func foreign(a answer) bool {
	return a.message == "" && a.status/100 == 4 && a.status != http.StatusTooManyRequests
}

// hint returns a harmless word for the cause that the SDK has only as text.
func hint(text string) string {
	for _, known := range []string{"connection refused", "connection reset", "no such host", "certificate", "timeout", "invalid character", "EOF"} {
		if strings.Contains(text, known) {
			return known
		}
	}
	return "request failed"
}

// refused turns an error answer into a fault.
func refused(op, where string, a answer) *fault.Error {
	e := &fault.Error{Op: op, RetryAfter: a.retryAfter, Err: statusError(a)}
	switch {
	case a.status == http.StatusTooManyRequests:
		e.Kind, e.Reason = fault.Transient, "rate_limited"
		e.User = "Infisical says that too many calls were made."
		e.Fix = "Wait a minute, then press Retry."
	case a.status >= http.StatusInternalServerError:
		e.Kind, e.Reason = fault.Transient, "server_error"
		e.User = "Infisical has an error of its own."
		e.Fix = "Wait for Infisical to recover (https://status.infisical.com), then press Retry."
		if a.write && a.status != http.StatusInternalServerError && a.status != http.StatusServiceUnavailable {
			e.Kind = fault.Unknown // something in between lost the answer
		}
	case tokenRefused(a.status, a.name, a.message):
		e.Kind, e.Reason = fault.Denied, "token_refused"
		e.User = "Infisical refuses the access token that it has just given to the bot."
		e.Fix = "Check the machine identity's trusted addresses and token settings in Infisical, then press Retry."
	case a.status == http.StatusForbidden:
		denied(e, where, a)
	case a.status == http.StatusNotFound:
		notFound(e, where, a.message)
	case a.status == http.StatusBadRequest && strings.HasPrefix(a.message, "Cannot update rotated secret"):
		e.Kind, e.Reason = fault.Conflict, "managed_by_infisical"
		e.User = "One of the two secrets is managed by a rotation inside Infisical, which does not let anybody else change it."
		e.Fix = "Take the secret out of that rotation in Infisical, then press Retry."
	case a.status >= http.StatusBadRequest:
		e.Kind, e.Reason = fault.Invalid, "refused"
		e.User = "Infisical refused the request as wrong."
		e.Fix = "Check the infisical entry of this key set in bot.yml, then press Retry."
	default:
		return badAnswer(op, kindIf(a.write), statusError(a))
	}
	return e
}

func denied(e *fault.Error, where string, a answer) {
	e.Kind, e.Reason = fault.Denied, "permission_denied"
	e.User = "The bot's machine identity may not do this in Infisical (" + where + ")."
	switch {
	case strings.Contains(a.message, "allowed to create"):
		e.Fix = "Give the machine identity the right to create secrets there, then press Retry."
	case a.write:
		e.Fix = "Give the machine identity the right to edit secrets there (a role with Edit on Secrets, such as Developer), then press Retry."
	default:
		e.Fix = "Add the machine identity to the project with a role that may read secret values there, then press Retry."
	}
}

// notFound tells the three 404s apart (05-not-found.json, 08-batch.json).
func notFound(e *fault.Error, where, message string) {
	e.Kind = fault.NotFound
	switch {
	case strings.HasPrefix(message, "Route "):
		e.Reason = reasonNoRoute
		e.User = "The server at the configured address does not have this part of Infisical's API."
		e.Fix = "Check endpoints.infisical in bot.yml and the version of the Infisical server."
	case strings.HasPrefix(message, "Secret "):
		e.Reason = reasonNamesAbsent
		e.User = "Infisical does not hold both names (" + where + ")."
		e.Fix = "Create the missing name there with any value, then press Retry."
	default:
		e.Reason = reasonPlace
		e.User = "Infisical has no such place, or does not show it to the bot: " + where + "."
		e.Fix = "Check project_id, environment and path in bot.yml, then press Retry."
	}
}

// statusError is the cause for the log: what support asks for, nothing of the
// body.
func statusError(a answer) error {
	if a.requestID != "" && !requestIDs.MatchString(a.requestID) {
		a.requestID = "?"
	}
	if a.requestID == "" {
		return fmt.Errorf("status %d", a.status)
	}
	return fmt.Errorf("status %d, request %s", a.status, a.requestID)
}

// kindIf is the kind of an answer that says nothing: after a write it is not
// known whether it was applied.
func kindIf(write bool) fault.Kind {
	if write {
		return fault.Unknown
	}
	return fault.Transient
}

// badAnswer is for what is not Infisical's: a web page, a redirect, a body that
// is cut short.
func badAnswer(op string, kind fault.Kind, err error) *fault.Error {
	return &fault.Error{
		Kind: kind, Reason: reasonBadAnswer, Op: op, Err: err,
		User: "Something answered in Infisical's place, or its answer could not be understood.",
		Fix:  "Check endpoints.infisical in bot.yml and any proxy in front of it, then press Retry.",
	}
}

func unreachable(op string, kind fault.Kind, err error) *fault.Error {
	return &fault.Error{
		Kind: kind, Reason: reasonUnreachable, Op: op, Err: err,
		User: "Infisical could not be reached.",
		Fix:  "Check the network of the bot's host and endpoints.infisical in bot.yml, then press Retry.",
	}
}

func badCertificate(op string) *fault.Error {
	e := unreachable(op, fault.Invalid, errors.New("certificate not accepted"))
	e.Reason, e.User = "bad_certificate", "The server that answers for Infisical has a certificate that is not accepted."
	return e
}

// gaveUp is for a read or a login that was not waited for any longer. Both may
// be repeated.
func gaveUp(op string, cause error) error {
	return &fault.Error{
		Kind: fault.Transient, Reason: reasonTimeout, Op: op, Err: cause,
		User: "Infisical did not answer in time.",
		Fix:  "Press Retry; if it stays like this, check https://status.infisical.com.",
	}
}

// notSent explains why a call of our own got no answer. Only what failed before
// the connection stood is surely not applied.
func notSent(op string, write bool, err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // its text without the URL
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return badCertificate(op)
	}
	if o, ok := errors.AsType[*net.OpError](err); ok && o.Op == "dial" {
		return unreachable(op, fault.Transient, o.Err)
	}
	e := unreachable(op, kindIf(write), errors.New(hint(err.Error())))
	e.Reason, e.User = "no_answer", "The connection to Infisical broke before an answer came."
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		e.Reason, e.Err, e.User = reasonTimeout, err, "Infisical did not answer in time."
	}
	return e
}
