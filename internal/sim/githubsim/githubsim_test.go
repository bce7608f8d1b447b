package githubsim_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/raxx-app/keyturn/internal/sim/githubsim"
)

// put is the body of a write.
func put(value string) string {
	return fmt.Sprintf(`{"encrypted_value":%q,"key_id":%q}`, value, githubsim.KeyID)
}

// Every error has the status and the message of the real service, in the body
// that its description calls basic-error.
func TestRefuses(t *testing.T) {
	const (
		repo   = "/repos/raxx/raptor"
		secret = repo + "/actions/secrets/K"
		key    = repo + "/actions/secrets/public-key"
	)
	readOnly := githubsim.FullAccess()
	readOnly.Secrets = githubsim.Read
	hidden := readOnly
	hidden.Hide = true
	noPush := githubsim.FullAccess()
	noPush.Push, noPush.Admin = false, false
	elsewhere := githubsim.FullAccess()
	elsewhere.Repos = []string{"raxx/web"}
	expired := githubsim.FullAccess()
	expired.Expires = time.Now().Add(-time.Minute)
	tests := []struct {
		name    string
		access  *githubsim.Access
		header  http.Header // replaces the token's
		method  string
		path    string
		body    string
		status  int
		message string // part
	}{
		{name: "no token", header: http.Header{}, method: "GET", path: key, status: 401, message: "Requires authentication"},
		{name: "unknown token", header: http.Header{"Authorization": {"Bearer nope"}}, method: "GET", path: key, status: 401, message: "Bad credentials"},
		{name: "basic auth", header: http.Header{"Authorization": {"Basic " + token}}, method: "GET", path: key, status: 401, message: "Bad credentials"},
		{name: "expired token", access: &expired, method: "GET", path: key, status: 401, message: "Bad credentials"},
		{name: "unknown version", header: http.Header{"Authorization": {"token " + token}, "X-Github-Api-Version": {"2020-01-01"}}, method: "GET", path: key, status: 400},
		{name: "unknown repository", method: "GET", path: "/repos/raxx/nope", status: 404, message: "Not Found"},
		{name: "repository not in the token", access: &elsewhere, method: "GET", path: repo, status: 404, message: "Not Found"},
		{name: "classic token without repo", access: &githubsim.Access{Scopes: []string{"gist"}, Push: true}, method: "GET", path: key, status: 404, message: "Not Found"},
		{name: "no permission to read", access: &githubsim.Access{Push: true}, method: "GET", path: key, status: 403, message: "Resource not accessible by personal access token"},
		{name: "read only token writes", access: &readOnly, method: "PUT", path: secret, body: put("AAAA"), status: 403, message: "Resource not accessible"},
		{name: "read only token writes, hidden", access: &hidden, method: "PUT", path: secret, body: put("AAAA"), status: 404, message: "Not Found"},
		{name: "person may not write", access: &noPush, method: "GET", path: key, status: 403, message: "Must have admin rights"},
		{name: "other store's permission", access: &githubsim.Access{Secrets: githubsim.Write, Push: true}, method: "GET", path: repo + "/dependabot/secrets/public-key", status: 403, message: "Resource not accessible"},
		{name: "unknown environment", method: "GET", path: repo + "/environments/nope/secrets/public-key", status: 404},
		{name: "unknown path", method: "GET", path: repo + "/actions/variables", status: 404},
		{name: "unknown method", method: "POST", path: secret, body: "{}", status: 404},
		{name: "unknown secret", method: "GET", path: secret, status: 404},
		{name: "delete of an unknown secret", method: "DELETE", path: secret, status: 404},
		{name: "not JSON", method: "PUT", path: secret, body: "K=V", status: 400, message: "Problems parsing JSON"},
		{name: "no key_id", method: "PUT", path: secret, body: `{"encrypted_value":"AAAA"}`, status: 422, message: `"key_id" wasn't supplied`},
		{name: "numeric key_id", method: "PUT", path: secret, body: `{"encrypted_value":"AAAA","key_id":5}`, status: 422},
		{name: "plain text is echoed", method: "PUT", path: secret, body: put("plain text!"), status: 422, message: "plain text! does not match"},
		{name: "base64 that is no box", method: "PUT", path: secret, body: put("AAAA"), status: 422, message: "improperly encrypted secret"},
		{name: "name of GitHub's own", method: "PUT", path: repo + "/actions/secrets/github_x", body: put("AAAA"), status: 422, message: "Secret names"},
		{name: "name with a dash", method: "PUT", path: repo + "/actions/secrets/a-b", body: put("AAAA"), status: 422, message: "Secret names"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, githubsim.Config{})
			s.AddRepo("raxx", "raptor", "paper")
			if tt.access != nil {
				s.Grant(token, *tt.access)
			}
			header := tt.header
			if header == nil {
				header = auth()
			}
			resp, body := send(t, http.DefaultTransport, tt.method, s.URL()+tt.path, tt.body, header)
			var got struct{ Message, Status string }
			if err := json.Unmarshal(body, &got); err != nil {
				t.Fatalf("decode %q: %v", body, err)
			}
			if resp.StatusCode != tt.status || got.Status != fmt.Sprint(tt.status) || !strings.Contains(got.Message, tt.message) {
				t.Errorf("%s %s = %d %s, want %d with %q", tt.method, tt.path, resp.StatusCode, body, tt.status, tt.message)
			}
			checkSchema(t, "basic-error", body)
			if _, _, ok := s.Secret("raxx", "raptor", "K"); ok {
				t.Error("the secret was written, want nothing")
			}
		})
	}
}

// checkSchema validates a body with a component of GitHub's description.
func checkSchema(t *testing.T, component string, body []byte) {
	t.Helper()
	doc, err := components()
	if err != nil {
		t.Fatalf("load OpenAPI: %v", err)
	}
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatalf("decode %q: %v", body, err)
	}
	if err := doc[component].Value.VisitJSON(v); err != nil {
		t.Errorf("%s is no %s: %v", body, component, err)
	}
}

// A repository shows what the person behind the token may do, and is a
// "repository" of GitHub's description.
func TestRepository(t *testing.T) {
	s := start(t, githubsim.Config{})
	s.AddRepo("raxx", "raptor")
	s.Grant(token, githubsim.Access{Push: false, Secrets: githubsim.Read})
	for _, path := range []string{"/repos/raxx/raptor", "/api/v3/repos/RAXX/Raptor"} {
		resp, body := send(t, http.DefaultTransport, http.MethodGet, s.URL()+path, "", auth())
		checkSchema(t, "repository", body)
		var got struct {
			FullName    string `json:"full_name"`
			Permissions map[string]bool
		}
		if err := json.Unmarshal(body, &got); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("GET %s = %d %s: %v", path, resp.StatusCode, body, err)
		}
		if got.FullName != "raxx/raptor" || got.Permissions["push"] || !got.Permissions["pull"] {
			t.Errorf("GET %s = %+v, want raxx/raptor with pull and without push", path, got)
		}
	}
}

// One key_id stands for different keys; a box for one store is refused by
// another, and by the same one once its key has changed (recorded).
func TestEachStoreHasItsOwnKey(t *testing.T) {
	s := start(t, githubsim.Config{})
	s.AddRepo("raxx", "raptor", "paper")
	base := s.URL() + "/repos/raxx/raptor"
	sealed := put(seal(t, base, "actions", "value"))
	for _, step := range []struct {
		store  string
		rotate bool
		want   int
	}{
		{store: "environments/paper", want: 422},
		{store: "dependabot", want: 422},
		{store: "actions", want: 201},
		{store: "actions", want: 204},
		{store: "actions", rotate: true, want: 422},
	} {
		if step.rotate {
			s.RotateKey("raxx", "raptor", step.store)
		}
		resp, body := send(t, http.DefaultTransport, http.MethodPut, base+"/"+step.store+"/secrets/k_lower", sealed, auth())
		if resp.StatusCode != step.want {
			t.Errorf("PUT to %s (rotated: %v) = %d %s, want %d", step.store, step.rotate, resp.StatusCode, body, step.want)
		}
	}
	if got, _, ok := s.Secret("raxx", "raptor", "K_LOWER"); !ok || got != "value" {
		t.Errorf("secret = %q, %v, want value", got, ok)
	}
}

// No answer ever holds a value; names are upper-case, times whole seconds.
func TestShowsNamesAndTimesOnly(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 900_000_000, time.UTC)
	s := start(t, githubsim.Config{Now: func() time.Time { return at }, Tick: time.Second})
	s.AddRepo("raxx", "raptor")
	base := s.URL() + "/repos/raxx/raptor"
	const value = "the-value-itself"
	var all bytes.Buffer
	for range 2 {
		sealed := seal(t, base, "actions", value)
		_, body := send(t, http.DefaultTransport, http.MethodPut, base+"/actions/secrets/k", put(sealed), auth())
		all.Write(body)
	}
	for _, path := range []string{"/actions/secrets/k", "/actions/secrets?per_page=100", ""} {
		_, body := send(t, http.DefaultTransport, http.MethodGet, base+path, "", auth())
		all.Write(body)
	}
	if strings.Contains(all.String(), value) {
		t.Errorf("an answer holds the value: %s", all.String())
	}
	want := `{"name":"K","created_at":"2026-11-22T12:00:02Z","updated_at":"2026-11-22T12:00:04Z"}`
	if n := strings.Count(all.String(), want); n != 2 {
		t.Errorf("%s is shown %d times in %s, want by get and list", want, n, all.String())
	}
}

// The limits: at 0 the primary one refuses; the secondary one may leave out
// Retry-After; a renamed repository redirects.
func TestLimitsAndRedirect(t *testing.T) {
	s := start(t, githubsim.Config{})
	s.AddRepo("raxx", "raptor")
	url := s.URL() + "/repos/raxx/raptor/actions/secrets/public-key"
	get := func() *http.Response {
		resp, body := send(t, http.DefaultTransport, http.MethodGet, url, "", auth())
		checkSchema(t, "basic-error", body)
		return resp
	}
	s.SetRemaining(1)
	if resp := get(); resp.StatusCode != 200 || resp.Header.Get("X-RateLimit-Remaining") != "0" {
		t.Errorf("last call = %d, remaining %q, want 200, 0", resp.StatusCode, resp.Header.Get("X-RateLimit-Remaining"))
	}
	if resp := get(); resp.StatusCode != 403 || resp.Header.Get("X-RateLimit-Remaining") != "0" {
		t.Errorf("call over the limit = %d, want 403", resp.StatusCode)
	}
	s.SetRemaining(100)
	s.Inject(githubsim.SecondaryLimit(403, 0))
	s.Inject(githubsim.SecondaryLimit(429, 9*time.Second))
	for _, want := range []struct {
		status int
		wait   string
	}{{403, ""}, {429, "9"}, {200, ""}} {
		if resp := get(); resp.StatusCode != want.status || resp.Header.Get("Retry-After") != want.wait {
			t.Errorf("call = %d, Retry-After %q, want %d, %q", resp.StatusCode, resp.Header.Get("Retry-After"), want.status, want.wait)
		}
	}
	s.Rename("raxx", "raptor", "hawk")
	if resp := get(); resp.StatusCode != 301 || !strings.Contains(resp.Header.Get("Location"), "/repositories/") {
		t.Errorf("renamed = %d to %q, want 301 to a number", resp.StatusCode, resp.Header.Get("Location"))
	}
	if resp, _ := send(t, http.DefaultTransport, http.MethodPut, s.URL()+"/repos/raxx/raptor/actions/secrets/K", put("AAAA"), auth()); resp.StatusCode != 307 {
		t.Errorf("write to the old name = %d, want 307", resp.StatusCode)
	}
}

// components returns the schemas of GitHub's description by name.
var components = sync.OnceValues(func() (openapi3.Schemas, error) {
	doc, err := openapi3.NewLoader().LoadFromFile(contracts + "/openapi.actions-secrets.subset.json")
	if err != nil {
		return nil, err
	}
	return doc.Components.Schemas, nil
})
