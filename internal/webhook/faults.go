package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
)

const (
	retryAfterMax = 15 * time.Minute
	// clockSlack is how far the receiver's clock may be off before that is
	// named as a reason; receivers refuse stamps that are 5 min old.
	clockSlack = 2 * time.Minute
)

// outcome is nil if the receiver took the event, and otherwise says what to do
// about it. It never quotes the body.
func (h *Hook) outcome(op string, ev event, a answer) error {
	if a.status/100 == 2 && !a.html {
		return nil
	}
	f := &fault.Error{Op: op, Err: a.err}
	if a.status == 0 {
		h.noAnswer(f, ev, a)
		return f
	}
	f.Err = fmt.Errorf("status %d", a.status)
	switch s := a.status; {
	case s/100 == 2:
		f.Kind, f.Reason, f.User = fault.Invalid, "html_answer", h.who()+" answered with a web page instead of the receiver's answer."
		f.Fix = "Check this consumer's url in bot.yml; a login or maintenance page in front of the receiver looks like this."
	case s/100 == 3:
		f.Kind, f.Reason, f.User = fault.Invalid, "redirected", h.who()+" answered with a redirect, which is never followed."
		f.Fix = "Put the final address into this consumer's url in bot.yml, and check that the receiver needs no login page."
	case s == http.StatusUnauthorized || s == http.StatusForbidden:
		f.Kind, f.Reason, f.User = fault.Denied, "signature_refused", fmt.Sprintf("%s refused the bot's signature (status %d).%s", h.who(), s, h.clocks(a.header))
		f.Fix = "Check that WEBHOOK_SECRET is the same on both sides and that both clocks are right, then press Retry. docs/webhooks.md shows what is signed."
	case s == http.StatusNotFound || s == http.StatusGone:
		f.Kind, f.Reason, f.User = fault.NotFound, "route_not_found", fmt.Sprintf("%s has no receiver at this address (status %d).", h.who(), s)
		f.Fix = "Check this consumer's url in bot.yml, then press Retry."
	case s == http.StatusConflict:
		f.Kind, f.Reason, f.User = fault.Conflict, "conflict", h.who()+" says that something else stands against the "+ev.Type+" event (status 409)."
		f.Fix = "Look at the receiver, then press Retry: the same pair is sent again."
	default:
		h.failing(f, ev, a)
	}
	return f
}

// failing fills f for statuses that are no answer to the event itself.
func (h *Hook) failing(f *fault.Error, ev event, a answer) {
	switch s := a.status; {
	case s == http.StatusTooManyRequests:
		f.Kind, f.Reason, f.User = fault.Transient, "rate_limited", h.who()+" asked to slow down."
		f.Fix, f.RetryAfter = "Wait; the bot tries again by itself.", retryAfter(a.header, h.cfg.Now())
	case s == http.StatusRequestTimeout || s == http.StatusTooEarly || s == http.StatusServiceUnavailable || s >= 500 && ev.Pair == nil:
		f.Kind, f.Reason, f.User = fault.Transient, "unavailable", fmt.Sprintf("%s is not available (status %d).", h.who(), s)
		f.Fix, f.RetryAfter = "Look at the receiver's own log; the bot tries again by itself.", retryAfter(a.header, h.cfg.Now())
	case s >= 500:
		f.Kind, f.Reason, f.User = fault.Unknown, "failed_midway", fmt.Sprintf("%s failed with status %d, so it is not known whether it has the new pair.", h.who(), s)
		f.Fix = "Look at the receiver's own log, then press Retry: it is asked first, and a repeat is harmless."
	default:
		f.Kind, f.Reason, f.User = fault.Invalid, "refused", fmt.Sprintf("%s refused the %s event (status %d).", h.who(), ev.Type, s)
		f.Fix = "Have the receiver answer every signed event as docs/webhooks.md says, then press Retry."
	}
}

// noAnswer fills f for a call that was not answered. What only asks can be
// asked again; what was told may have arrived.
func (h *Hook) noAnswer(f *fault.Error, ev event, a answer) {
	f.Kind, f.Reason, f.User = fault.Transient, "unreachable", "The bot could not reach "+h.who()+"."
	f.Fix = "Check that the receiver is up and that the bot's network reaches it; the bot tries again by itself."
	switch {
	case errors.Is(a.err, errCertificate):
		f.Kind, f.Reason, f.User = fault.Denied, "bad_certificate", "What answers in place of "+h.who()+" has no valid certificate."
		f.Fix = "Check this consumer's url in bot.yml and the receiver's certificate, then press Retry."
	case a.sent && ev.Type == typeRotated:
		f.Kind, f.Reason = fault.Unknown, "no_answer"
		f.User = h.who() + " was sent the " + what(ev) + ", but no answer came, so it is not known whether it has it."
		f.Fix = "Press Retry. A repeat is harmless: it has the same Keyturn-Delivery."
	case errors.Is(a.err, context.DeadlineExceeded):
		f.Reason, f.User = "timeout", h.who()+" did not answer in time."
	}
}

// what names what an event carries.
func what(ev event) string {
	if ev.Pair != nil {
		return "new pair"
	}
	return "news of the new pair"
}

// clocks says by how much the receiver's clock is off, if that may be why it
// refuses a signature.
func (h *Hook) clocks(header http.Header) string {
	at, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return ""
	}
	off := at.Sub(h.cfg.Now()).Round(time.Minute).Abs()
	if off < clockSlack {
		return ""
	}
	return " Its clock and the bot's are " + strings.TrimSuffix(off.String(), "0s") + " apart."
}

// errCertificate is the cause of a call that ended at a wrong certificate.
var errCertificate = errors.New("no valid certificate")

// cause keeps of a transport error what cannot hold a part of the answer.
func cause(err error) error {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return context.DeadlineExceeded
	case errors.Is(err, context.Canceled):
		return context.Canceled
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return errCertificate
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return e
	}
	return errors.New("no usable answer")
}

// retryAfter reads seconds or an HTTP date; 0 means that the receiver did not
// say.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	var d time.Duration
	if n, err := strconv.Atoi(v); err == nil {
		d = time.Duration(min(max(n, 0), 1<<20)) * time.Second
	} else if at, err := http.ParseTime(v); err == nil {
		d = at.Sub(now)
	}
	return min(max(d, 0), retryAfterMax)
}
