package alpaca

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/sim/simtest"
)

// FuzzJudge feeds any answer to the account and error decoders. Whatever comes,
// only a 200 that is an account is Valid and only JSON rejects a pair.
func FuzzJudge(f *testing.F) {
	for _, body := range []string{
		`{"id":"x","status":"ACTIVE","account_number":"PA3EXAMPLE01","cash":"1","created_at":"2026-09-25T03:19:55.183221Z"}`,
		"{\"message\": \"unauthorized.\"}\n", "{\"message\": \"forbidden.\"}\n",
		`{"code":40110000,"message":"request is not authorized"}`, `{"code":1e3,"message":"forbidden"}`,
		`<html>502</html>`, ``, `null`, `[]`, `{"id":7}`, `{"id":{}}`, `{"id":"\u0000"}`, `{"message":1}`,
	} {
		for _, status := range []int{200, 204, 302, 401, 403, 404, 429, 500} {
			f.Add(status, []byte(body))
		}
	}
	for _, r := range simtest.Recordings(f, "alpaca") {
		f.Add(r.Status, r.Body)
	}
	now := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		p := judge(reply{status: status, body: body, sent: now, got: now})
		switch p.Verdict {
		case rotation.Valid:
			if status != 200 || p.Account.ID == "" || !json.Valid(body) || p.Reason != "" {
				t.Errorf("judge(%d, %q) = %+v, not an account", status, body, p)
			}
		case rotation.Invalid:
			if status != 401 && status != 403 || !json.Valid(body) || p.Account.ID != "" {
				t.Errorf("judge(%d, %q) = %+v, not a rejection", status, body, p)
			}
		case rotation.Unknown:
			if p.Reason == "" || p.Account.ID != "" {
				t.Errorf("judge(%d, %q) = %+v, unknown without a reason", status, body, p)
			}
		default:
			t.Errorf("judge(%d, %q) has verdict %q", status, body, p.Verdict)
		}
		a := p.Account
		for _, s := range []string{a.ID, a.Number, a.Status, a.BuyingPower, a.Cash, a.Equity, a.Currency} {
			if len(s) > maxText || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("judge(%d, %q) kept %q", status, body, s)
			}
		}
		for _, read := range []func([]byte) bool{
			func(b []byte) bool { o, ok := readOrder(b); return !ok || o.ID != "" && o.Status != "" },
			func(b []byte) bool { list, ok := readOrders(b); return ok || list == nil },
			func(b []byte) bool { list, ok := readPositions(b); return ok || list == nil },
			func(b []byte) bool { var s rotation.Survey; return readClock(b, &s) || s.NextOpen.IsZero() },
		} {
			if !read(body) {
				t.Errorf("a decoder broke its promise on %q", body)
			}
		}
	})
}
