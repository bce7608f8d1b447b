package infisicalsim

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/sim/simhttp"
)

const (
	projectID = "9cf93f17-abcf-4f81-b5eb-6c58434d856c"
	keyName   = "ALPACA_PAPER_API_KEY_ID"
	secName   = "ALPACA_PAPER_API_SECRET_KEY"
)

// caller is one logged-in machine identity.
type caller struct {
	sim   *Server
	token string
}

// member starts a server with both names stored and logs an identity in.
func member(t *testing.T, r Rights) caller {
	t.Helper()
	s := started(t)
	s.AddProject(Project{ID: projectID})
	s.AddIdentity(Identity{ClientID: "bot", ClientSecret: "s3cret", Projects: map[string]Rights{projectID: r}})
	s.Put(projectID, "prod", "/", keyName, "PK1")
	s.Put(projectID, "prod", "/", secName, "S1")
	c := caller{sim: s}
	c.token, _ = object(c.login(t, "s3cret").body)["accessToken"].(string)
	return c
}

func (c caller) login(t *testing.T, clientSecret string) answer {
	t.Helper()
	return caller{sim: c.sim}.call(t, "POST", "/api/v1/auth/universal-auth/login", map[string]any{"clientId": "bot", "clientSecret": clientSecret})
}

func (c caller) call(t *testing.T, method, path string, body any) answer {
	t.Helper()
	var payload io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		payload = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, c.sim.URL()+path, payload)
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	return do(t, req)
}

func (c caller) patch(t *testing.T, mode string, values map[string]string) answer {
	t.Helper()
	var secrets []any
	for _, name := range []string{keyName, secName, "OTHER"} {
		if v, ok := values[name]; ok {
			secrets = append(secrets, map[string]any{"secretKey": name, "secretValue": v})
		}
	}
	return c.call(t, "PATCH", "/api/v4/secrets/batch", map[string]any{
		"projectId": projectID, "environment": "prod", "secretPath": "/", "mode": mode, "secrets": secrets,
	})
}

// stored returns "name=value@version" of what the folder holds.
func (c caller) stored() string {
	var all []string
	for _, s := range c.sim.Secrets(projectID, "prod", "/") {
		all = append(all, s.Name+"="+s.Value+"@"+string(rune('0'+s.Version)))
	}
	return strings.Join(all, " ")
}

const untouched = keyName + "=PK1@1 " + secName + "=S1@1"

func TestBatchUpdateV4(t *testing.T) {
	tests := []struct {
		name    string
		rights  Rights
		mode    string
		values  map[string]string
		setup   func(*Server)
		status  int
		message string // start of it
		stored  string
	}{
		{name: "both", rights: Viewer | Edit, mode: "failOnNotFound", values: map[string]string{keyName: "PK2", secName: " S2 "}, status: 200, stored: keyName + "=PK2@2 " + secName + "=S2@2"},
		{name: "one absent changes nothing", rights: Member, mode: "failOnNotFound", values: map[string]string{keyName: "PK2", "OTHER": "x"}, status: 404, message: "Secret does not exist: OTHER in path /", stored: untouched},
		{name: "upsert creates", rights: Member, mode: "upsert", values: map[string]string{keyName: "PK2", "OTHER": "x"}, status: 200, stored: keyName + "=PK2@2 " + secName + "=S1@1 OTHER=x@1"},
		{name: "upsert without the right to create", rights: Viewer | Edit, mode: "upsert", values: map[string]string{keyName: "PK2", "OTHER": "x"}, status: 403, message: "You are not allowed to create on secrets", stored: untouched},
		{name: "ignore skips", rights: Member, mode: "ignore", values: map[string]string{keyName: "PK2", "OTHER": "x"}, status: 200, stored: keyName + "=PK2@2 " + secName + "=S1@1"},
		{name: "viewer", rights: Viewer, mode: "failOnNotFound", values: map[string]string{keyName: "PK2"}, status: 403, message: "You are not allowed to edit on secrets", stored: untouched},
		{name: "viewer, absent name: looked up before the right", rights: Viewer, mode: "failOnNotFound", values: map[string]string{"OTHER": "x"}, status: 404, message: "Secret does not exist: OTHER", stored: untouched},
		{name: "unknown mode", rights: Member, mode: "maybe", values: map[string]string{keyName: "PK2"}, status: 422, stored: untouched},
		{name: "locked by a rotation", rights: Member, mode: "failOnNotFound", values: map[string]string{keyName: "PK2", secName: "S2"}, setup: func(s *Server) { s.Lock(projectID, "prod", "/", secName) }, status: 400, message: "Cannot update rotated secret name or value: " + secName, stored: untouched},
		{name: "approval", rights: Member, mode: "failOnNotFound", values: map[string]string{keyName: "PK2", secName: "S2"}, setup: func(s *Server) { s.RequireApproval(true) }, status: 200, stored: untouched},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := member(t, tt.rights)
			if tt.setup != nil {
				tt.setup(c.sim)
			}
			a := c.patch(t, tt.mode, tt.values)
			message, _ := object(a.body)["message"].(string)
			if a.status != tt.status || !strings.HasPrefix(message, tt.message) {
				t.Errorf("answer = %d %q, want %d %q", a.status, message, tt.status, tt.message)
			}
			if got := c.stored(); got != tt.stored {
				t.Errorf("stored = %s, want %s", got, tt.stored)
			}
			_, waits := object(a.body)["approval"]
			if want := tt.name == "approval"; waits != want {
				t.Errorf("approval in the answer = %v, want %v", waits, want)
			}
		})
	}
}

func TestEveryValuedWriteIsAVersion(t *testing.T) {
	c := member(t, Member)
	c.patch(t, "failOnNotFound", map[string]string{keyName: "PK2"})
	c.patch(t, "failOnNotFound", map[string]string{keyName: "PK2"})
	got := c.sim.Secrets(projectID, "prod", "/")[0]
	if want := []string{"PK1", "PK2", "PK2"}; got.Version != 3 || !slices.Equal(got.History, want) {
		t.Errorf("version, history = %d, %v, want 3, %v", got.Version, got.History, want)
	}
	read := "/api/v4/secrets/" + keyName + "?environment=prod&projectId=" + projectID
	for query, want := range map[string]any{"": "PK2", "&version=1": "PK1", "&version=9": nil} {
		if got := object(object(c.call(t, "GET", read+query, nil).body)["secret"])["secretValue"]; got != want {
			t.Errorf("value of %q = %v, want %v", query, got, want)
		}
	}
	c.sim.IgnoreVersion(true)
	if got := object(object(c.call(t, "GET", read+"&version=1", nil).body)["secret"])["secretValue"]; got != "PK2" {
		t.Errorf("value of version=1 with the field ignored = %v, want PK2", got)
	}
}

func TestLockout(t *testing.T) {
	c := member(t, Member)
	for i := range 3 {
		if got := object(c.login(t, "wrong").body)["message"]; got != "Invalid credentials" {
			t.Errorf("failure %d: message = %v, want Invalid credentials", i+1, got)
		}
	}
	if a := c.login(t, "s3cret"); a.status != 401 || !strings.Contains(object(a.body)["message"].(string), "temporarily locked") {
		t.Errorf("right secret while locked: %d %v, want 401 temporarily locked", a.status, a.body)
	}
	c.sim.Advance(lockoutLasts + time.Second)
	if a := c.login(t, "s3cret"); a.status != 200 {
		t.Errorf("right secret after the lockout: %d, want 200", a.status)
	}
	for range 4 {
		c.login(t, "wrong")
		c.sim.Advance(lockoutWindow + time.Second)
	}
	if a := c.login(t, "s3cret"); a.status != 200 {
		t.Errorf("right secret after four slow failures: %d, want 200", a.status)
	}
}

func TestTokensEnd(t *testing.T) {
	list := "/api/v3/secrets/raw?environment=prod&workspaceId=" + projectID
	tests := []struct {
		name    string
		end     func(*Server)
		status  int
		message string
	}{
		{"expired", (*Server).ExpireTokens, 403, "Your token has expired. Please re-authenticate."},
		{"revoked", (*Server).RevokeTokens, 401, "No identity access token found"},
		{"client secret revoked", func(s *Server) { s.RevokeClientSecret("bot") }, 200, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := member(t, Member)
			tt.end(c.sim)
			a := c.call(t, "GET", list, nil)
			if message, _ := object(a.body)["message"].(string); a.status != tt.status || message != tt.message {
				t.Errorf("list = %d %q, want %d %q", a.status, message, tt.status, tt.message)
			}
			if login := c.login(t, "s3cret").status; (login == 200) == (tt.name == "client secret revoked") {
				t.Errorf("login = %d", login)
			}
		})
	}
}

func TestMaskAndImports(t *testing.T) {
	c := member(t, Describe)
	c.sim.Put(projectID, "dev", "/shared", "OTHER", "x")
	c.sim.Import(projectID, "prod", "/", "dev", "/shared")
	list := object(c.call(t, "GET", "/api/v4/secrets?environment=prod&projectId="+projectID, nil).body)
	secrets, imports := list["secrets"].([]any), list["imports"].([]any)
	if len(secrets) != 2 || object(secrets[0])["secretValue"] != masked || object(secrets[0])["secretValueHidden"] != true {
		t.Errorf("secrets = %v, want two masked ones", secrets)
	}
	if len(imports) != 1 || object(imports[0])["secretPath"] != "/shared" {
		t.Errorf("imports = %v, want one of /shared", imports)
	}
}

func TestFaultSwitches(t *testing.T) {
	path := "/api/v4/secrets/batch"
	tests := []struct {
		name   string
		on     func(*Server)
		status int
		header string // Retry-After
	}{
		{"rate limit", func(s *Server) { s.RateLimit("PATCH", path, 1, 7*time.Second) }, 429, "7"},
		{"broken", func(s *Server) { s.Break("PATCH", path, 1) }, 500, ""},
		{"denied", func(s *Server) { s.Deny("PATCH", path, 1) }, 403, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := member(t, Member)
			tt.on(c.sim)
			a := c.patch(t, "failOnNotFound", map[string]string{keyName: "PK2"})
			if a.status != tt.status || a.header.Get("Retry-After") != tt.header || object(a.body)["reqId"] == nil {
				t.Errorf("answer = %d, Retry-After %q, body %v; want %d, %q, a reqId", a.status, a.header.Get("Retry-After"), a.body, tt.status, tt.header)
			}
			if got := c.stored(); got != untouched {
				t.Errorf("stored = %s, want %s", got, untouched)
			}
			if a := c.patch(t, "failOnNotFound", map[string]string{keyName: "PK2"}); a.status != 200 {
				t.Errorf("second call = %d, want 200", a.status)
			}
		})
	}
}

func TestLostReplyIsApplied(t *testing.T) {
	c := member(t, Member)
	c.sim.Inject(simhttp.Fault{Method: "PATCH", Times: 1, LoseReply: true})
	req, err := http.NewRequestWithContext(t.Context(), "PATCH", c.sim.URL()+"/api/v3/secrets/raw/"+keyName,
		strings.NewReader(`{"workspaceId":"`+projectID+`","environment":"prod","secretValue":"PK2"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+c.token)
	if resp, err := http.DefaultClient.Do(req); err == nil {
		resp.Body.Close()
		t.Errorf("status = %d, want no answer", resp.StatusCode)
	}
	if got, want := c.stored(), keyName+"=PK2@2 "+secName+"=S1@1"; got != want {
		t.Errorf("stored = %s, want %s", got, want)
	}
}
