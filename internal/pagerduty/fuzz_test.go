package pagerduty_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/pagerduty"
	"github.com/raxx-app/keyturn/internal/secret"
	"github.com/raxx-app/keyturn/internal/sim/simtest"
)

// FuzzAnswer gives both calls the same answer. Whatever comes: an event counts as
// taken only with a 202 whose JSON says so of this very alert, and an error is a
// fault with a bounded wait that quotes neither the answer nor the routing key.
func FuzzAnswer(f *testing.F) {
	const alert = "r0123456789"
	taken := `{"status":"success","message":"Event processed","dedup_key":"` + alert + `"}`
	for _, body := range []string{
		taken, strings.Replace(taken, alert, "another", 1), strings.Replace(taken, "success", "throttled", 1), `{"STATUS":"success","dedup_key":null}`, `null`, `[]`, ``, `"success"`,
		`<html>` + routingKey + `</html>`, `{"status":"invalid event","message":"Event object is invalid","errors":["Length of 'routing_key' is incorrect: ` + routingKey + `"]}`,
		`{"errors":"routing_key"}`, `{"errors":[{"routing_key":1}]}`, taken + taken, strings.TrimSuffix(taken, "}"),
	} {
		for _, status := range []int{200, 202, 204, 302, 400, 401, 403, 408, 429, 500, 503} {
			f.Add(status, []byte(body), "90")
		}
		f.Add(202, []byte(body), "-9223372036854775808")
		f.Add(429, []byte(body), start.Add(1000*time.Hour).Format(http.TimeFormat))
		f.Add(503, []byte(body), "9223372036854775807")
	}
	f.Fuzz(func(t *testing.T, status int, body []byte, wait string) {
		if status < 200 || status > 999 { // net/http hands on no other
			return
		}
		answer := &simtest.Answer{Status: status, Header: http.Header{"Retry-After": {wait}}, Body: body, Rest: 10 << 20}
		c := pagerduty.New(pagerduty.Config{URL: "https://pagerduty.invalid", RoutingKey: secret.New(routingKey), Transport: answer, Now: clock})
		for op, err := range map[string]error{"pagerduty.Trigger": c.Trigger(t.Context(), alert, "the key is dead", nil), "pagerduty.Resolve": c.Resolve(t.Context(), alert)} {
			if err == nil {
				if status != http.StatusAccepted || !says(body, alert) {
					t.Errorf("%d %q: %s took it for a yes", status, body, op)
				}
				continue
			}
			e, ok := errors.AsType[*fault.Error](err)
			if !ok || e.Op != op || e.Reason == "" || fault.UserText(err) == "" || fault.FixText(err) == "" {
				t.Fatalf("%s: error %#v, want a fault with op, reason and texts", op, err)
			}
			if after := fault.RetryAfter(err); after < 0 || after > 15*time.Minute {
				t.Errorf("Retry-After %q = %v, want 0 to 15 min", wait, after)
			}
			if got := simtest.Quoted(slices.Concat(body, []byte(routingKey)), err.Error(), fault.UserText(err), fault.FixText(err)); got != "" {
				t.Errorf("%s: the error quotes %q: %v", op, got, err)
			}
		}
		if read := answer.Read(); read > 1<<20 {
			t.Errorf("%d bytes of the answers were read", read)
		}
	})
}

// says reports whether a body is an object that says of alert that it was taken.
func says(body []byte, alert string) bool {
	var all map[string]json.RawMessage
	if json.Unmarshal(body, &all) != nil {
		return false
	}
	named := func(name, want string) bool {
		for k, v := range all {
			var got string
			if strings.EqualFold(k, name) && json.Unmarshal(v, &got) == nil && got == want {
				return true
			}
		}
		return false
	}
	return named("status", "success") && named("dedup_key", alert)
}
