package alpaca

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
	"github.com/raxx-app/keyturn/internal/sim/alpacasim"
	"github.com/raxx-app/keyturn/internal/sim/simhttp"
)

// R19, R20, R35, R36: the pair's account, whole.
func TestProbeValid(t *testing.T) {
	at := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	sim, _, _ := start(t, alpacasim.Config{})
	a, err := sim.AddAccount(alpacasim.Seed{ID: "id-1", Number: "PA3EXAMPLE01", CreatedAt: at, Cash: "2500.5"})
	if err != nil {
		t.Fatal(err)
	}
	p := regenerate(t, sim, a.ID)
	got := client(t, sim.URL(), 0).Probe(t.Context(), p)
	want := rotation.Account{
		ID: "id-1", Number: "PA3EXAMPLE01", Status: "ACTIVE", CreatedAt: at,
		BuyingPower: "10002", Cash: "2500.5", Equity: "2500.5", Currency: "USD",
	}
	if diff := cmp.Diff(want, got.Account); diff != "" {
		t.Errorf("account (-want +got):\n%s", diff)
	}
	if got.Verdict != rotation.Valid || got.Status != 200 || got.Reason != "" || len(got.RequestID) != 32 || got.At.IsZero() {
		t.Errorf("Probe = %+v, want valid, 200, a request ID of 32 and a time", got)
	}
	if n := sim.Count("", ""); n != 1 {
		t.Errorf("Probe made %d calls, want 1", n)
	}
}

// R21, R36: a blocked or inactive account is no rejected pair.
func TestProbeBlocked(t *testing.T) {
	tests := []struct {
		name   string
		flags  alpacasim.Flags
		status string
		want   []string
	}{
		{"account", alpacasim.Flags{AccountBlocked: true}, "ACTIVE", []string{"account_blocked"}},
		{"trading", alpacasim.Flags{TradingBlocked: true}, "ACTIVE", []string{"trading_blocked"}},
		{"transfers", alpacasim.Flags{TransfersBlocked: true}, "ACTIVE", []string{"transfers_blocked"}},
		{"by user", alpacasim.Flags{SuspendedByUser: true}, "ACTIVE", []string{"trade_suspended_by_user"}},
		{"status", alpacasim.Flags{}, "ACCOUNT_UPDATED", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sim, a, p := start(t, alpacasim.Config{})
			if err := sim.SetFlags(a.ID, tt.flags); err != nil {
				t.Fatal(err)
			}
			if err := sim.SetStatus(a.ID, tt.status); err != nil {
				t.Fatal(err)
			}
			got := client(t, sim.URL(), 0).Probe(t.Context(), p)
			if got.Verdict != rotation.Valid || got.Account.Active() || got.Account.Status != tt.status {
				t.Errorf("Probe = %+v, want valid, not active, status %s", got, tt.status)
			}
			if diff := cmp.Diff(tt.want, got.Account.Flags); diff != "" {
				t.Errorf("flags (-want +got):\n%s", diff)
			}
		})
	}
}

// R59: after a regeneration the old pair is rejected, and only that counts.
// R60: 5xx, timeouts and what a proxy says are never a rejection.
func TestProbeVerdicts(t *testing.T) {
	tests := []struct {
		name    string
		do      func(*alpacasim.Sim, *rotation.Pair)
		verdict rotation.Verdict
		status  int
		reason  string
	}{
		{"old pair", func(s *alpacasim.Sim, _ *rotation.Pair) { _, _ = s.Regenerate(s.Accounts()[0].ID) }, rotation.Invalid, 401, "unauthorized"},
		{"deleted account", func(s *alpacasim.Sim, _ *rotation.Pair) { _ = s.Delete(s.Accounts()[0].ID) }, rotation.Invalid, 401, "unauthorized"},
		{"wrong secret", func(_ *alpacasim.Sim, p *rotation.Pair) { p.Secret = secret.New("wrong") }, rotation.Invalid, 401, "unauthorized"},
		{"live key", func(_ *alpacasim.Sim, p *rotation.Pair) { p.KeyID = secret.New("AKLIVE") }, rotation.Invalid, 401, "unauthorized"},
		{"incident", func(s *alpacasim.Sim, _ *rotation.Pair) { s.SetAuthIncident("", 1) }, rotation.Invalid, 401, "unauthorized"},
		{"old pair, revocation lags", func(s *alpacasim.Sim, _ *rotation.Pair) {
			s.SetRevocationLag(time.Hour)
			_, _ = s.Regenerate(s.Accounts()[0].ID)
		}, rotation.Valid, 200, ""},
		{"server error", func(s *alpacasim.Sim, _ *rotation.Pair) { s.SetOutage(alpacasim.ServerError) }, rotation.Unknown, 500, "server"},
		{"bad gateway", func(s *alpacasim.Sim, _ *rotation.Pair) { s.SetOutage(alpacasim.BadGateway) }, rotation.Unknown, 502, "server"},
		{"proxy page", func(s *alpacasim.Sim, _ *rotation.Pair) { s.SetOutage(alpacasim.EdgeForbidden) }, rotation.Unknown, 403, "edge"},
		{"throttled", func(s *alpacasim.Sim, _ *rotation.Pair) { s.SetOutage(alpacasim.Throttled) }, rotation.Unknown, 429, "rate_limited"},
		{"no answer", func(s *alpacasim.Sim, _ *rotation.Pair) { s.SetOutage(alpacasim.NoAnswer) }, rotation.Unknown, 0, "timeout"},
		{"slow", func(s *alpacasim.Sim, _ *rotation.Pair) { s.SetDelay(time.Hour) }, rotation.Unknown, 0, "timeout"},
		{"reply lost", func(s *alpacasim.Sim, _ *rotation.Pair) { s.Inject(simhttp.Fault{LoseReply: true}) }, rotation.Unknown, 0, "network"},
		{"host down", func(s *alpacasim.Sim, _ *rotation.Pair) { _ = s.Close() }, rotation.Unknown, 0, "network"},
		{"no pair", func(_ *alpacasim.Sim, p *rotation.Pair) { *p = rotation.Pair{} }, rotation.Unknown, 0, "bad_pair"},
		{"line break in the secret", func(_ *alpacasim.Sim, p *rotation.Pair) { p.Secret = secret.New("a\r\nX: y") }, rotation.Unknown, 0, "bad_pair"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sim, _, p := start(t, alpacasim.Config{})
			timeout := 5 * time.Second
			if tt.reason == "timeout" {
				timeout = 50 * time.Millisecond
			}
			tt.do(sim, &p)
			got := client(t, sim.URL(), timeout).Probe(t.Context(), p)
			if got.Verdict != tt.verdict || got.Status != tt.status || got.Reason != tt.reason {
				t.Errorf("Probe = %s, %d, %q; want %s, %d, %q", got.Verdict, got.Status, got.Reason, tt.verdict, tt.status, tt.reason)
			}
			if got.Verdict != rotation.Valid && got.Account.ID != "" {
				t.Errorf("%s probe names account %q", got.Verdict, got.Account.ID)
			}
			if n := sim.Count("", ""); n > 1 {
				t.Errorf("Probe made %d calls, want at most 1", n)
			}
		})
	}
}

// The rule of rotation-truth-table.json, on bodies that no simulator has (R59,
// R60).
func TestProbeBodies(t *testing.T) {
	long := strings.Repeat("x", 10<<20)
	tests := []struct {
		name    string
		status  int
		body    string
		verdict rotation.Verdict
		reason  string
	}{
		{"401 without a message", 401, `{}`, rotation.Invalid, "unauthorized"},
		{"401 empty", 401, ``, rotation.Unknown, "edge"},
		{"401 HTML", 401, `<html>401</html>`, rotation.Unknown, "edge"},
		{"401 JSON text", 401, `"unauthorized."`, rotation.Unknown, "edge"},
		{"401 list", 401, `[]`, rotation.Unknown, "edge"},
		{"401 cut off", 401, `{"message": "unauth`, rotation.Unknown, "edge"},
		{"401 with more after it", 401, `{"message":"unauthorized."}<html>`, rotation.Unknown, "edge"},
		{"403 forbidden", 403, "{\"message\": \"forbidden.\"}\n", rotation.Invalid, "forbidden"},
		{"403 forbidden, null code", 403, `{"code":null,"message":"forbidden."}`, rotation.Invalid, "forbidden"},
		{"403 forbidden, code", 403, `{"code":40310000,"message":"forbidden."}`, rotation.Unknown, "refused"},
		{"403 forbidden, code zero", 403, `{"code":0,"message":"forbidden."}`, rotation.Unknown, "refused"},
		{"403 forbidden, code as text", 403, `{"code":"40310000","message":"forbidden."}`, rotation.Unknown, "refused"},
		{"403 of a gateway", 403, `{"message":"Forbidden"}`, rotation.Unknown, "refused"},
		{"403 refused order", 403, `{"code":40310000,"message":"insufficient buying power"}`, rotation.Unknown, "refused"},
		{"403 plain", 403, `Access denied`, rotation.Unknown, "edge"},
		{"404 JSON", 404, `{"message":"endpoint not found."}`, rotation.Unknown, "refused"},
		{"404 HTML", 404, `<html>`, rotation.Unknown, "edge"},
		{"503", 503, ``, rotation.Unknown, "server"},
		{"200 HTML", 200, `<html>Log in to the hotel</html>`, rotation.Unknown, "bad_answer"},
		{"200 empty", 200, ``, rotation.Unknown, "bad_answer"},
		{"200 null", 200, `null`, rotation.Unknown, "bad_answer"},
		{"200 list", 200, `[{"id":"x"}]`, rotation.Unknown, "bad_answer"},
		{"200 no id", 200, `{"status":"ACTIVE"}`, rotation.Unknown, "bad_answer"},
		{"200 id of another type", 200, `{"id":{"a":1},"status":"ACTIVE"}`, rotation.Unknown, "bad_answer"},
		{"200 cut off", 200, `{"id":"x","status":"ACTIVE"`, rotation.Unknown, "bad_answer"},
		{"200 id with a line break", 200, `{"id":"x\ny","status":"ACTIVE"}`, rotation.Unknown, "bad_answer"},
		{"200 of 10 MB", 200, `{"id":"x","pad":"` + long + `"}`, rotation.Unknown, "bad_answer"},
		{"201 account", 201, `{"id":"x","status":"ACTIVE"}`, rotation.Unknown, "bad_answer"},
		{"200 little", 200, `{"id":"x"}`, rotation.Valid, ""},
		{"200 odd types", 200, `{"id":"x","status":"ACTIVE","cash":12.50,"equity":null,"created_at":7,"trading_blocked":"no","user_configurations":[]}`, rotation.Valid, ""},
	}
	sim, _, p := start(t, alpacasim.Config{})
	c := client(t, sim.URL(), 0)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sim.Inject(simhttp.Fault{Times: 1, Status: tt.status, Body: tt.body})
			got := c.Probe(t.Context(), p)
			if got.Verdict != tt.verdict || got.Reason != tt.reason || got.Status != tt.status {
				t.Errorf("Probe of %d %.60q = %s, %d, %q; want %s, %q", tt.status, tt.body, got.Verdict, got.Status, got.Reason, tt.verdict, tt.reason)
			}
		})
	}
}

func TestMoneyMayBeANumber(t *testing.T) {
	a, ok := readAccount([]byte(`{"id":"x","cash":12.50,"equity":"7.123456789012","buying_power":null,"account_number":123}`))
	want := rotation.Account{ID: "x", Cash: "12.50", Equity: "7.123456789012", Number: "123"}
	if diff := cmp.Diff(want, a); diff != "" || !ok {
		t.Errorf("readAccount ok = %v (-want +got):\n%s", ok, diff)
	}
}

// Every recorded answer to GET /v2/account has the verdict that its file
// describes.
func TestProbeRecordings(t *testing.T) {
	files, err := filepath.Glob("../../testdata/contracts/alpaca/account-get-*.json")
	if err != nil || len(files) < 10 {
		t.Fatalf("found %d recordings (%v), want at least 10", len(files), err)
	}
	sim, _, p := start(t, alpacasim.Config{})
	c := client(t, sim.URL(), 0)
	wants := map[int]rotation.Verdict{200: rotation.Valid, 401: rotation.Invalid, 403: rotation.Invalid, 429: rotation.Unknown, 500: rotation.Unknown}
	for _, file := range files {
		var rec struct {
			Response struct {
				Status int
				Body   json.RawMessage
			}
		}
		b, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(b, &rec)
		}
		if err != nil {
			t.Fatal(err)
		}
		sim.Inject(simhttp.Fault{Times: 1, Status: rec.Response.Status, Body: string(rec.Response.Body)})
		got := c.Probe(t.Context(), p)
		if got.Verdict != wants[rec.Response.Status] {
			t.Errorf("%s: verdict %q (%s), want %q", filepath.Base(file), got.Verdict, got.Reason, wants[rec.Response.Status])
		}
		if blocked := strings.Contains(file, "blocked"); got.Verdict == rotation.Valid && got.Account.Active() == blocked {
			t.Errorf("%s: active = %v, want %v", filepath.Base(file), got.Account.Active(), !blocked)
		}
	}
}

// R60: Alpaca's own word on when to ask again.
func TestProbeWait(t *testing.T) {
	now := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	tests := []struct {
		name   string
		status int
		header http.Header
		want   int
	}{
		{"429 without headers", 429, nil, 60},
		{"429 reset", 429, http.Header{"X-Ratelimit-Reset": {"1795316425"}}, 25},
		{"429 reset in the past", 429, http.Header{"X-Ratelimit-Reset": {"1795316000"}}, 1},
		{"429 reset far away", 429, http.Header{"X-Ratelimit-Reset": {"99999999999"}}, 600},
		{"429 Retry-After first", 429, http.Header{"Retry-After": {"7"}, "X-Ratelimit-Reset": {"1795316425"}}, 7},
		{"429 Retry-After date", 429, http.Header{"Retry-After": {"Sun, 22 Nov 2026 03:00:09 GMT"}}, 9},
		{"429 nonsense", 429, http.Header{"Retry-After": {"soon"}, "X-Ratelimit-Reset": {"x"}}, 60},
		{"503 Retry-After", 503, http.Header{"Retry-After": {"30"}}, 30},
		{"503", 503, nil, 0},
		{"200", 200, http.Header{"Retry-After": {"30"}}, 0},
	}
	if now.Unix() != 1795316400 {
		t.Fatalf("now = %d, the table is made for 1795316400", now.Unix())
	}
	for _, tt := range tests {
		if got := wait(tt.status, tt.header, now); got != tt.want {
			t.Errorf("%s: wait = %d s, want %d", tt.name, got, tt.want)
		}
	}
}

// The simulator's own limit, end to end.
func TestProbeRateLimit(t *testing.T) {
	sim, _, p := start(t, alpacasim.Config{RateLimit: 2})
	c := client(t, sim.URL(), 0)
	for i, want := range []rotation.Verdict{rotation.Valid, rotation.Valid, rotation.Unknown} {
		got := c.Probe(t.Context(), p)
		if got.Verdict != want {
			t.Errorf("probe %d = %+v, want %s", i+1, got, want)
		}
		if want == rotation.Unknown && (got.Wait < 1 || got.Wait > 60) {
			t.Errorf("wait = %d s, want 1 to 60", got.Wait)
		}
	}
}

func TestProbeCanceled(t *testing.T) {
	sim, _, p := start(t, alpacasim.Config{})
	sim.SetOutage(alpacasim.NoAnswer)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := client(t, sim.URL(), 0).Probe(ctx, p); got.Verdict != rotation.Unknown || got.Reason != "canceled" {
		t.Errorf("Probe = %+v, want unknown, canceled", got)
	}
}

// The request ID is kept for support, and only if it is one.
func TestRequestID(t *testing.T) {
	tests := map[string]string{
		"8fe0e1ccf75ec4f0c42a613868e1ab5a":     "8fe0e1ccf75ec4f0c42a613868e1ab5a",
		"2f1b6a0e-7f6d-4c3e-9b5d-1a2b3c4d5e6f": "2f1b6a0e-7f6d-4c3e-9b5d-1a2b3c4d5e6f",
		"":                                     "",
		"<!channel>":                           "",
		"PKECHOED0123456789AB":                 "",
		strings.Repeat("a", 65):                "",
	}
	for in, want := range tests {
		if got := requestID(in); got != want {
			t.Errorf("requestID(%q) = %q, want %q", in, got, want)
		}
	}
}

// What At says: alive at least until the call was sent, dead at the latest
// when the answer came.
func TestProbeTimes(t *testing.T) {
	sim, _, p := start(t, alpacasim.Config{})
	var ticks int
	begin := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	c, err := New(Config{BaseURL: sim.URL(), Now: func() time.Time {
		ticks++
		return begin.Add(time.Duration(ticks) * time.Second)
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Probe(t.Context(), p); !got.At.Equal(begin.Add(time.Second)) {
		t.Errorf("valid: At = %s, want the first second (sent)", got.At)
	}
	ticks = 0
	if got := c.Probe(t.Context(), rotation.Pair{KeyID: p.KeyID, Secret: p.KeyID}); !got.At.After(begin.Add(time.Second)) || got.Verdict != rotation.Invalid {
		t.Errorf("invalid: %s at %s, want after the first second", got.Verdict, got.At)
	}
}
