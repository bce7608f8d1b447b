package alpaca

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// Reasons of a probe, beside those of a call that got no whole answer
// ("timeout", "network", "canceled", "bad_pair").
const (
	reasonUnauthorized = "unauthorized" // 401: the pair was rejected
	reasonForbidden    = "forbidden"    // 403 in the form that rejects a pair
	reasonEdge         = "edge"         // not Alpaca's service: a proxy or an error page
	reasonLimited      = "rate_limited"
	reasonServer       = "server"
	reasonRedirect     = "redirect"
	reasonRefused      = "refused"    // a refusal that says nothing about the pair
	reasonBadAnswer    = "bad_answer" // 200, but no account
)

// A refusal is an error body of the service.
type refusal struct {
	code    int64
	coded   bool // it has a numeric code
	message string
}

// readRefusal reads an error body. Anything but one JSON object is not from
// the service.
func readRefusal(body []byte) (refusal, bool) {
	var raw struct {
		Code    json.RawMessage `json:"code"`
		Message text            `json:"message"`
	}
	trimmed := bytes.TrimSpace(body)
	if !bytes.HasPrefix(trimmed, []byte("{")) || json.Unmarshal(trimmed, &raw) != nil {
		return refusal{}, false
	}
	r := refusal{message: string(raw.Message)}
	digits := strings.Trim(string(raw.Code), `"`)
	if digits == "" || digits == "null" {
		return r, true
	}
	var err error
	if r.code, err = strconv.ParseInt(digits, 10, 64); err != nil {
		_, err = strconv.ParseFloat(digits, 64)
	}
	r.coded = err == nil
	return r, true
}

// authRejected is the rule of rotation-truth-table.json: 401, or 403 without a
// numeric code and with a message that starts with "forbidden". A body that is
// not JSON decides nothing.
func authRejected(status int, r refusal, isJSON bool) bool {
	return isJSON && (status == http.StatusUnauthorized ||
		status == http.StatusForbidden && !r.coded && strings.HasPrefix(r.message, "forbidden"))
}

// judge turns a reply to GET /v2/account into a verdict (R19–R21, R35, R59,
// R60). Only a 200 with an account is Valid, only what authRejected says is
// Invalid; everything else is Unknown with a reason.
func judge(r reply) rotation.Probe {
	p := rotation.Probe{
		Verdict: rotation.Unknown, Status: r.status, RequestID: r.requestID, Wait: r.wait, Reason: r.reason, At: r.got,
	}
	if r.reason != "" {
		return p
	}
	if r.status == http.StatusOK {
		account, ok := readAccount(r.body)
		if !ok {
			p.Reason = reasonBadAnswer
			return p
		}
		// It was alive when the call was sent; nothing is known of later.
		p.Verdict, p.Account, p.At = rotation.Valid, account, r.sent
		return p
	}
	p.Reason = reasonOf(r)
	if p.Reason == reasonUnauthorized || p.Reason == reasonForbidden {
		p.Verdict = rotation.Invalid
	}
	return p
}

// reasonOf names what a whole answer other than 200 means, for every endpoint.
func reasonOf(r reply) string {
	said, isJSON := readRefusal(r.body)
	switch {
	case authRejected(r.status, said, isJSON) && r.status == http.StatusUnauthorized:
		return reasonUnauthorized
	case authRejected(r.status, said, isJSON):
		return reasonForbidden
	case r.status == http.StatusTooManyRequests:
		return reasonLimited
	case r.status >= http.StatusInternalServerError:
		return reasonServer
	case r.status >= 300 && r.status < 400:
		return reasonRedirect
	case r.status >= 400 && !isJSON:
		return reasonEdge
	case r.status >= 400:
		return reasonRefused
	}
	return reasonBadAnswer
}
