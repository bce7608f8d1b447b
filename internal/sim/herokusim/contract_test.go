package herokusim

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

const contracts = "../../../testdata/contracts/heroku"

// A recorded exchange; bodies are text in requests, anything in answers.
type exchange struct {
	Request struct {
		Method, Path, Body string
		Headers            [][2]string
	}
	Response struct {
		Status  int
		Headers json.RawMessage
		Body    json.RawMessage
	}
}

func readContract(t *testing.T, name string, v any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(contracts, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// newSchema returns a function that checks a body against a definition of the
// vendor's schema.
func newSchema(t *testing.T) func(definition string, body []byte) error {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	return func(definition string, body []byte) error {
		s, err := c.Compile(filepath.Join(contracts, "platform-api.draft04.schema.json") + "#/definitions/" + definition)
		if err != nil {
			return err
		}
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(string(body)))
		if err != nil {
			return err
		}
		return s.Validate(v)
	}
}

func start(t *testing.T, cfg Config) *Sim {
	t.Helper()
	if cfg.Tokens == nil {
		cfg.Tokens = map[string]Token{"tok": {}}
	}
	s := New(cfg)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// send makes one call as a well-behaved client would; headers override.
func send(t *testing.T, s *Sim, method, path, body string, headers ...[2]string) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/vnd.heroku+json; version=3")
	req.Header.Set("Authorization", "Bearer tok")
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		if http.CanonicalHeaderKey(h[0]) != "Host" && http.CanonicalHeaderKey(h[0]) != "Content-Length" {
			req.Header.Set(h[0], strings.ReplaceAll(h[1], "<token>", "tok"))
		}
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp, data
}

// TestCommandLineRequests replays what the vendor's own command line sends
// (cli-exchanges.json: the requests are evidence, the answers a stub's).
func TestCommandLineRequests(t *testing.T) {
	var file struct {
		Recordings []struct {
			Command   string
			Exchanges []exchange
		}
	}
	readContract(t, "cli-exchanges.json", &file)
	if len(file.Recordings) < 5 {
		t.Fatalf("%d recordings, want at least 5", len(file.Recordings))
	}
	check := newSchema(t)
	s := start(t, Config{Apps: []App{{Name: "raxx-api-prod", Vars: map[string]string{"RAILS_ENV": "production"}, Version: 41}}})
	for _, rec := range file.Recordings {
		for _, e := range rec.Exchanges {
			resp, body := send(t, s, e.Request.Method, e.Request.Path, e.Request.Body, e.Request.Headers...)
			at := rec.Command + ": " + e.Request.Method + " " + e.Request.Path
			if resp.StatusCode != e.Response.Status {
				t.Fatalf("%s = %d %s, want %d", at, resp.StatusCode, body, e.Response.Status)
			}
			if e.Request.Method == http.MethodPatch {
				if err := check("config-var/links/2/schema", []byte(e.Request.Body)); err != nil {
					t.Errorf("%s request: %v", at, err)
				}
			}
			switch filepath.Base(e.Request.Path) {
			case "config-vars":
				var got, want map[string]string
				_, _ = json.Unmarshal(body, &got), json.Unmarshal(e.Response.Body, &want)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s (-want +got)\n%s", at, diff)
				}
			default:
				checkItems(t, check, strings.TrimSuffix(filepath.Base(e.Request.Path), "s"), at, body, e.Response.Body)
			}
		}
	}
	if got, want := s.Releases("raxx-api-prod")[1].Description, "Set A, B config vars"; got != want {
		t.Errorf("release of config:set A B = %q, want %q", got, want)
	}
}

// checkItems validates every element and wants all fields that recorded has.
func checkItems(t *testing.T, check func(string, []byte) error, definition, at string, body, recorded []byte) {
	t.Helper()
	var got, want []map[string]any
	if err := json.Unmarshal(body, &got); err != nil || len(got) == 0 {
		t.Fatalf("%s = %s (%v), want a list with elements", at, body, err)
	}
	_ = json.Unmarshal(recorded, &want)
	for _, it := range got {
		data, _ := json.Marshal(it)
		if err := check(definition, data); err != nil {
			t.Errorf("%s: %v", at, err)
		}
		for k := range want[0] {
			if _, ok := it[k]; !ok {
				t.Errorf("%s lacks %q", at, k)
			}
		}
	}
}

// TestRecordedRefusal replays the recorded 422 of the real service and wants
// the same status, body and header names.
func TestRecordedRefusal(t *testing.T) {
	var file struct{ Exchanges []exchange }
	readContract(t, "recorded-real-exchanges.json", &file)
	e := file.Exchanges[0]
	s := start(t, Config{Apps: []App{{Name: "raxx-api-prod", Processes: []Process{{Type: "web", Quantity: 1}, {Type: "worker"}}}}})
	path := strings.Replace(e.Request.Path, "00000000-0000-0000-0000-000000000000", "raxx-api-prod", 1)
	resp, body := send(t, s, e.Request.Method, path, e.Request.Body, e.Request.Headers...)

	var want string
	_ = json.Unmarshal(e.Response.Body, &want)
	if resp.StatusCode != e.Response.Status || !sameJSON(body, []byte(want)) {
		t.Errorf("answer = %d %s, want %d %s", resp.StatusCode, body, e.Response.Status, want)
	}
	var headers [][2]string
	_ = json.Unmarshal(e.Response.Headers, &headers)
	for _, h := range headers {
		if resp.Header.Get(h[0]) == "" {
			t.Errorf("header %s is missing, recorded %q", h[0], h[1])
		}
		if slices.Contains([]string{"Oauth-Scope", "Oauth-Scope-Accepted", "Ratelimit-Multiplier", "Content-Type", "Cache-Control"}, h[0]) && resp.Header.Get(h[0]) != h[1] {
			t.Errorf("header %s = %q, recorded %q", h[0], resp.Header.Get(h[0]), h[1])
		}
	}
	if got := strings.Split(resp.Header.Get("Request-Id"), ","); !slices.Contains(got, "53b4ae57-6355-439c-8b17-5a20c2a3afd8") {
		t.Errorf("Request-Id = %q, want the client's ID echoed", got)
	}
}

func sameJSON(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && cmp.Equal(x, y)
}

// TestAnswersObeySchema validates every endpoint, also in the states between.
func TestAnswersObeySchema(t *testing.T) {
	check := newSchema(t)
	s := start(t, Config{Apps: []App{{Name: "raxx-api-prod", Vars: map[string]string{"A": "1"}, Phase: Phase{On: true, Hold: true}}}})
	s.AddOneOff("raxx-api-prod", "run")
	answers := func(when string) {
		for path, definition := range map[string]string{
			"": "app", "/releases/1": "release", "/config-vars": "config-var/definitions/config_vars",
			"/releases/v1/config-vars": "config-var/definitions/config_vars", "/releases": "release", "/dynos": "dyno", "/formation": "formation", "/dynos/web.1": "dyno",
		} {
			resp, body := send(t, s, http.MethodGet, "/apps/raxx-api-prod"+path, "")
			bodies := []json.RawMessage{body}
			if body[0] == '[' {
				bodies = nil
				_ = json.Unmarshal(body, &bodies)
			}
			if resp.StatusCode != http.StatusOK || len(bodies) == 0 {
				t.Errorf("%s: GET %s = %d %s", when, path, resp.StatusCode, body)
			}
			for _, b := range bodies {
				if err := check(definition, b); err != nil {
					t.Errorf("%s: GET %s: %v", when, path, err)
				}
			}
		}
	}
	answers("at rest")
	_, _ = send(t, s, http.MethodPatch, "/apps/raxx-api-prod/config-vars", `{"A":"2"}`)
	answers("release pending")
	s.FinishRelease("raxx-api-prod", false)
	answers("release failed")

	resp, body := send(t, s, http.MethodGet, "/account/rate-limits", "")
	if err := check("rate-limit", body); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("rate limits = %d, %v", resp.StatusCode, err)
	}
}

// TestRefusals: the status codes of a strict service, each with an error body
// that obeys the schema.
func TestRefusals(t *testing.T) {
	check := newSchema(t)
	s := start(t, Config{
		Tokens: map[string]Token{"tok": {}, "read": {Scopes: []string{"read", "write"}}, "readp": {Scopes: []string{"read-protected"}}, "other": {Apps: []string{"x"}}, "empty": {}},
		Apps:   []App{{Name: "raxx-api-prod"}},
	})
	s.SetRemaining("empty", 0)
	vars := "/apps/raxx-api-prod/config-vars"
	tests := []struct {
		name, method, path, body string
		header                   [2]string
		want                     int
		wantID                   string
	}{
		{"unknown token", "GET", vars, "", [2]string{"Authorization", "Bearer nope"}, 401, "unauthorized"},
		{"no bearer", "GET", vars, "", [2]string{"Authorization", "Basic dG9r"}, 401, "unauthorized"},
		{"plain scopes may not read", "GET", vars, "", [2]string{"Authorization", "Bearer read"}, 403, "forbidden"},
		{"plain scopes may not list releases", "GET", "/apps/raxx-api-prod/releases", "", [2]string{"Authorization", "Bearer read"}, 403, "forbidden"},
		{"read-protected may not write", "PATCH", vars, `{"A":"1"}`, [2]string{"Authorization", "Bearer readp"}, 403, "forbidden"},
		{"no access to the app", "GET", vars, "", [2]string{"Authorization", "Bearer other"}, 403, "forbidden"},
		{"unknown app", "GET", "/apps/nope/config-vars", "", [2]string{}, 404, "not_found"},
		{"unknown path", "GET", "/apps/raxx-api-prod/config-vars/A", "", [2]string{}, 404, "not_found"},
		{"wrong verb", "PUT", vars, `{"A":"1"}`, [2]string{}, 404, "not_found"},
		{"no version", "GET", vars, "", [2]string{"Accept", "application/json"}, 406, "not_acceptable"},
		{"bad JSON", "PATCH", vars, `{"A":`, [2]string{}, 400, "bad_request"},
		{"not JSON", "PATCH", vars, `A=1`, [2]string{"Content-Type", "application/x-www-form-urlencoded"}, 400, "bad_request"},
		{"bad name", "PATCH", vars, `{"A-B":"1"}`, [2]string{}, 422, "invalid_params"},
		{"number", "PATCH", vars, `{"A":1}`, [2]string{}, 422, "invalid_params"},
		{"too large", "PATCH", vars, `{"A":"` + strings.Repeat("x", varsMax) + `"}`, [2]string{}, 422, "invalid_params"},
		{"bad range", "GET", "/apps/raxx-api-prod/releases", "", [2]string{"Range", "size ..; max=1"}, 416, "requested_range_not_satisfiable"},
		{"rate limit", "GET", vars, "", [2]string{"Authorization", "Bearer empty"}, 429, "rate_limit"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var headers [][2]string
			if tt.header[0] != "" {
				headers = append(headers, tt.header)
			}
			resp, body := send(t, s, tt.method, tt.path, tt.body, headers...)
			var got struct{ ID string }
			_ = json.Unmarshal(body, &got)
			if resp.StatusCode != tt.want || got.ID != tt.wantID {
				t.Errorf("%s %s = %d %q, want %d %q", tt.method, tt.path, resp.StatusCode, got.ID, tt.want, tt.wantID)
			}
			if err := check("error", body); err != nil {
				t.Error(err)
			}
			if tt.want == 403 && tt.name != "no access to the app" && !strings.Contains(resp.Header.Get("Oauth-Scope-Accepted"), "write-protected") {
				t.Errorf("Oauth-Scope-Accepted = %q, want write-protected in it", resp.Header.Get("Oauth-Scope-Accepted"))
			}
		})
	}
	if n := len(s.Releases("raxx-api-prod")); n != 1 {
		t.Errorf("%d releases after refusals, want 1", n)
	}
}

func TestRanges(t *testing.T) {
	s := start(t, Config{Apps: []App{{Name: "raxx-api-prod"}}})
	for range 4 {
		s.Deploy("raxx-api-prod", "dev@example.com")
	}
	tests := []struct {
		header     string
		want       []int
		wantStatus int
		wantNext   string
	}{
		{"", []int{1, 2, 3, 4, 5}, 200, ""},
		{"version ..; max=1,order=desc", []int{5}, 206, "version ]5..; max=1, order=desc"},
		{"version ..; order=desc,max=2", []int{5, 4}, 206, "version ]4..; max=2, order=desc"},
		{"version ]4..; max=2, order=desc", []int{3, 2}, 206, "version ]2..; max=2, order=desc"},
		{"version ]2..; max=2, order=desc", []int{1}, 200, ""},
		{"version 2..3", []int{2, 3}, 200, ""},
		{"version ]9..", []int{}, 200, ""},
	}
	for _, tt := range tests {
		resp, body := send(t, s, http.MethodGet, "/apps/raxx-api-prod/releases", "", [2]string{"Range", tt.header})
		var rows []struct{ Version int }
		_ = json.Unmarshal(body, &rows)
		got := []int{}
		for _, r := range rows {
			got = append(got, r.Version)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" || resp.StatusCode != tt.wantStatus || resp.Header.Get("Next-Range") != tt.wantNext {
			t.Errorf("Range %q = %v %d next %q, want %v %d next %q", tt.header, got, resp.StatusCode, resp.Header.Get("Next-Range"), tt.want, tt.wantStatus, tt.wantNext)
		}
	}
}

func TestRateLimitFalls(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	s := start(t, Config{Apps: []App{{Name: "raxx-api-prod"}}, Now: func() time.Time { return now }})
	for _, want := range []string{"4499", "4498"} {
		resp, _ := send(t, s, http.MethodGet, "/apps/raxx-api-prod", "")
		if got := resp.Header.Get("RateLimit-Remaining"); got != want {
			t.Errorf("RateLimit-Remaining = %s, want %s", got, want)
		}
	}
	resp, _ := send(t, s, http.MethodGet, "/account/rate-limits", "")
	if got := resp.Header.Get("RateLimit-Remaining"); got != "4498" {
		t.Errorf("RateLimit-Remaining after a free call = %s, want 4498", got)
	}
}

// keys is for failure texts that must not hold values.
func keys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
