package pagerduty

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
)

const retryAfterMax = 15 * time.Minute

// watchSent has the returned flag set once a request with the returned context
// may have arrived.
func watchSent(ctx context.Context) (context.Context, *atomic.Bool) {
	sent := &atomic.Bool{}
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }}), sent
}

// outcome is nil if the event was taken: 202 and an answer that is PagerDuty's.
// It never quotes the body.
func outcome(op string, resp *http.Response, raw []byte, key string, now time.Time) error {
	var said struct {
		Status   string   `json:"status"`
		DedupKey string   `json:"dedup_key"`
		Errors   []string `json:"errors"`
	}
	readable := json.Unmarshal(raw, &said) == nil
	f := &fault.Error{Op: op, Err: fmt.Errorf("status %d", resp.StatusCode)}
	switch s := resp.StatusCode; {
	case s == http.StatusAccepted && readable && said.Status == "success" && said.DedupKey == key:
		return nil
	case s/100 == 2 || s/100 == 3:
		f.Kind, f.Reason, f.User = fault.Invalid, "not_pagerduty", "What answers in place of PagerDuty does not answer as PagerDuty does, so nobody was woken."
		f.Fix = "Check endpoints.pagerduty in bot.yml, and whether a proxy or a login page stands in between."
	case s == http.StatusTooManyRequests:
		f.Kind, f.Reason, f.User = fault.Transient, "rate_limited", "PagerDuty asked to slow down."
		f.Fix, f.RetryAfter = "Nothing must be done: the bot tries again by itself.", retryAfter(resp.Header, now)
	case s >= http.StatusInternalServerError || s == http.StatusRequestTimeout:
		f.Kind, f.Reason, f.User = fault.Transient, "unavailable", fmt.Sprintf("PagerDuty is not available (status %d).", s)
		f.Fix, f.RetryAfter = "Nothing must be done: the bot tries again by itself.", retryAfter(resp.Header, now)
	case s == http.StatusUnauthorized || s == http.StatusForbidden || readable && aboutKey(said.Errors):
		f.Kind, f.Reason, f.User = fault.Denied, "routing_key_refused", "PagerDuty refused the routing key, so it wakes nobody."
		f.Fix = "Put the integration key (32 characters) of an Events API v2 integration into PAGERDUTY_ROUTING_KEY and restart the bot."
	default:
		f.Kind, f.Reason, f.User = fault.Invalid, "refused", fmt.Sprintf("PagerDuty refused the event (status %d).", s)
		f.Fix = "Check endpoints.pagerduty in bot.yml and the integration in PagerDuty."
	}
	return f
}

// aboutKey reports whether the errors of a 400 blame the routing key ("Length of
// 'routing_key' is incorrect", "Invalid routing key").
func aboutKey(said []string) bool {
	for _, text := range said {
		text = strings.ToLower(text)
		if strings.Contains(text, "routing_key") || strings.Contains(text, "routing key") {
			return true
		}
	}
	return false
}

// noAnswer is the fault of a call that was not answered, or not to the end.
func noAnswer(op string, err error, sent bool) error {
	f := &fault.Error{
		Kind: fault.Transient, Reason: "unreachable", Op: op, Err: cause(err), User: "The bot could not reach PagerDuty.",
		Fix: "Check that the bot's network reaches events.pagerduty.com; the bot tries again by itself.",
	}
	switch _, wrong := errors.AsType[*tls.CertificateVerificationError](err); {
	case wrong:
		f.Kind, f.Reason, f.User = fault.Denied, "bad_certificate", "What answers in place of PagerDuty has no valid certificate."
		f.Fix = "Check endpoints.pagerduty in bot.yml and the network in between."
	case sent:
		f.Kind, f.Reason, f.User = fault.Unknown, "no_answer", "PagerDuty was told, but no answer came."
		f.Fix = "Nothing must be done: a repeat has the same key, and wakes nobody twice."
	}
	return f
}

// cause keeps of a transport error what cannot hold a part of an address.
func cause(err error) error {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return context.DeadlineExceeded
	case errors.Is(err, context.Canceled):
		return context.Canceled
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return e
	}
	return errors.New("no usable answer")
}

func badKey(op string) error {
	return &fault.Error{Kind: fault.Internal, Reason: "bad_dedup_key", Op: op}
}

func badAddress(op string) error {
	return &fault.Error{Kind: fault.Invalid, Reason: "bad_url", Op: op, User: "The address of PagerDuty cannot be used.", Fix: "Check endpoints.pagerduty in bot.yml."}
}

// retryAfter reads seconds or an HTTP date; 0 means that it was not said.
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
