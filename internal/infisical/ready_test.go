package infisical

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
	"github.com/raxx-app/keyturn/internal/sim/infisicalsim"
	"github.com/raxx-app/keyturn/internal/sim/simhttp"
)

// R16: the key is there under both names, and the versions are remembered.
func TestReadyReadsBothNamesWithVersions(t *testing.T) {
	w := newWorld(t)
	w.sim.Put(projectID, "prod", "/", keyName, "PK1b")
	got := w.vault.Ready(t.Context())
	want := []rotation.Fact{
		{Name: "version_key_id", Label: "Version of " + keyName, Value: "2"},
		{Name: "version_secret", Label: "Version of " + secretName, Value: "1"},
	}
	if diff := cmp.Diff(want, got.Facts); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
	if got.Level != rotation.Unproven || got.Detail == "" || got.Problem != (rotation.Problem{}) {
		t.Errorf("Ready = %+v, want unproven with a detail and no problem", got)
	}
	if n := w.sim.Count("POST", loginPath); n != 1 {
		t.Errorf("logins = %d, want 1", n)
	}
	w.ready(t)
	if n := w.sim.Count("POST", loginPath); n != 1 {
		t.Errorf("logins after a second Ready = %d, want 1: the token is fresh", n)
	}
}

func TestReadyFindsWhatIsWrong(t *testing.T) {
	type change = func(*infisicalsim.Identity, *Config, *Place)
	approval := simhttp.Fault{
		Method: "PATCH", Status: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: `{"approval":{"id":"a","status":"open"}}`,
	}
	tests := []struct {
		name   string
		change change
		setup  func(*infisicalsim.Server)
		kind   string
		reason string
	}{
		{name: "wrong client secret", change: func(_ *infisicalsim.Identity, c *Config, _ *Place) { c.ClientSecret = secret.New("wrong") }, kind: "denied", reason: "login_refused"},
		{name: "revoked client secret", setup: func(s *infisicalsim.Server) { s.RevokeClientSecret(clientID) }, kind: "denied", reason: "login_refused"},
		{name: "unknown client ID", change: func(_ *infisicalsim.Identity, c *Config, _ *Place) { c.ClientID = "nobody" }, kind: "denied", reason: "login_refused"},
		{name: "unknown client ID, old server", change: func(_ *infisicalsim.Identity, c *Config, _ *Place) { c.ClientID = "nobody" }, setup: func(s *infisicalsim.Server) { s.SetOld(true) }, kind: "denied", reason: "login_refused"},
		{name: "no client secret", change: func(_ *infisicalsim.Identity, c *Config, _ *Place) { c.ClientSecret = secret.Text{} }, kind: "denied", reason: "no_credentials"},
		{name: "not Infisical's address", change: func(_ *infisicalsim.Identity, c *Config, _ *Place) { c.SiteURL += "/elsewhere" }, kind: "not_found", reason: "no_route"},
		{name: "login answers HTML", setup: func(s *infisicalsim.Server) { s.AnswerHTML("POST", loginPath, 0) }, kind: "transient", reason: "bad_answer"},
		{name: "login behind a firewall", setup: func(s *infisicalsim.Server) {
			s.Inject(simhttp.Fault{Path: loginPath, Status: 403, Body: "<h1>no</h1>"})
		}, kind: "transient", reason: "bad_answer"},
		{name: "login limited", setup: func(s *infisicalsim.Server) { s.RateLimit("POST", loginPath, 0, time.Second) }, kind: "transient", reason: "rate_limited"},
		{name: "login broken", setup: func(s *infisicalsim.Server) { s.Break("POST", loginPath, 0) }, kind: "transient", reason: "server_error"},
		{name: "not in the project", change: func(i *infisicalsim.Identity, _ *Config, _ *Place) { i.Projects = nil }, kind: "denied", reason: "permission_denied"},
		{name: "role no-access", change: rights(0), kind: "denied", reason: "permission_denied"},
		{name: "may not see values", change: rights(infisicalsim.Describe | infisicalsim.Edit), kind: "denied", reason: "value_hidden"},
		{name: "wrong project", change: func(_ *infisicalsim.Identity, _ *Config, p *Place) {
			p.ProjectID = "00000000-0000-4000-8000-000000000000"
		}, kind: "not_found", reason: "place_not_found"},
		{name: "wrong environment", change: func(_ *infisicalsim.Identity, _ *Config, p *Place) { p.Environment = "nope" }, kind: "not_found", reason: "place_not_found"},
		{name: "wrong folder", change: func(_ *infisicalsim.Identity, _ *Config, p *Place) { p.Path = "/missing" }, kind: "not_found", reason: "place_not_found"},
		{name: "no environment", change: func(_ *infisicalsim.Identity, _ *Config, p *Place) { p.Environment = "" }, kind: "invalid", reason: "bad_place"},
		{name: "both names absent", change: func(_ *infisicalsim.Identity, _ *Config, p *Place) { p.Environment = "dev" }, kind: "not_found", reason: "names_absent"},
		{name: "one name absent", setup: func(s *infisicalsim.Server) { s.Remove(projectID, "prod", "/", secretName) }, kind: "not_found", reason: "names_absent"},
		{name: "writes denied", setup: func(s *infisicalsim.Server) { s.Deny("PATCH", v4Path, 0) }, kind: "denied", reason: "permission_denied"},
		{name: "writes wait for approval", setup: func(s *infisicalsim.Server) { s.Inject(approval) }, kind: "denied", reason: "approval_required"},
		{name: "writes answer HTML", setup: func(s *infisicalsim.Server) { s.AnswerHTML("PATCH", v4Path, 0) }, kind: "unknown", reason: "bad_answer"},
		{name: "writes limited", setup: func(s *infisicalsim.Server) { s.RateLimit("PATCH", v4Path, 0, time.Second) }, kind: "transient", reason: "rate_limited"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var changes []change
			if tt.change != nil {
				changes = append(changes, tt.change)
			}
			w := newWorld(t, changes...)
			if tt.setup != nil {
				tt.setup(w.sim)
			}
			before := w.held()
			got := w.vault.Ready(t.Context())
			if got.Level != rotation.NotReady || got.Problem.Kind != tt.kind || got.Problem.Reason != tt.reason {
				t.Errorf("Ready = %s %s %s, want failed %s %s", got.Level, got.Problem.Kind, got.Problem.Reason, tt.kind, tt.reason)
			}
			for what, text := range map[string]string{"text": got.Problem.Text, "fix": got.Problem.Fix} {
				if !strings.HasSuffix(text, ".") {
					t.Errorf("%s = %q, want a full sentence", what, text)
				}
			}
			if diff := cmp.Diff(before, w.held()); diff != "" {
				t.Errorf("Ready changed what is stored:\n%s", diff)
			}
		})
	}
}

// A current server looks for the name before the right to edit, so a viewer is
// found out only by the write itself.
func TestReadyCannotProveTheRightToEdit(t *testing.T) {
	w := newWorld(t, rights(infisicalsim.Viewer)).ready(t)
	if err := w.vault.Write(t.Context(), pair("PK2", "S2"), false); err == nil {
		t.Error("Write as a viewer: no error")
	}
	w.holds(t, "PK1", "S1", 1)
}

func TestReadyOnAnOldServer(t *testing.T) {
	w := newWorld(t)
	w.sim.SetOld(true)
	if got := w.vault.Ready(t.Context()); got.Level != rotation.Unproven || !strings.Contains(got.Detail, "old") {
		t.Errorf("Ready = %+v, want unproven and a word about the old server", got)
	}
	w.holds(t, "PK1", "S1", 1)
}

// Ambient variables that the SDK reads by itself change nothing.
func TestAmbientCredentialsChangeNothing(t *testing.T) {
	t.Setenv("INFISICAL_UNIVERSAL_AUTH_CLIENT_ID", clientID)
	t.Setenv("INFISICAL_UNIVERSAL_AUTH_CLIENT_SECRET", goodSecret)
	tests := []struct {
		name   string
		id     string
		secret string
		want   string
	}{
		{"no ID", "", goodSecret, "no_credentials"},
		{"no secret", clientID, "", "no_credentials"},
		{"wrong secret", clientID, "wrong", "login_refused"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, func(_ *infisicalsim.Identity, c *Config, _ *Place) {
				c.ClientID, c.ClientSecret = tt.id, secret.New(tt.secret)
			})
			if got := w.vault.Ready(t.Context()).Problem.Reason; got != tt.want {
				t.Errorf("Ready: %s, want %s", got, tt.want)
			}
			if tt.want == "no_credentials" && len(w.sim.Calls()) != 0 {
				t.Errorf("%d calls were made, want none", len(w.sim.Calls()))
			}
		})
	}
}

func TestAddress(t *testing.T) {
	untrusted := httptest.NewUnstartedServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	untrusted.StartTLS()
	defer untrusted.Close()
	w := newWorld(t)
	tests := []struct {
		name, url string
		want      string // reason; "" means ready
	}{
		{"plain", w.sim.URL(), ""},
		{"with a slash", w.sim.URL() + "/", ""},
		{"with the API's path", w.sim.URL() + "/api", ""},
		{"with both", w.sim.URL() + "/api/", ""},
		{"certificate of nobody we know", untrusted.URL, "bad_certificate"},
		{"not a URL", "://", "unreachable"},
		{"empty", "", "unreachable"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := w.cfg
			cfg.SiteURL, cfg.Transport = tt.url, nil // its own transport
			v := New(cfg).Vault(w.vault.place)
			defer v.client.http.CloseIdleConnections()
			if got := v.Ready(t.Context()).Problem.Reason; got != tt.want {
				t.Errorf("Ready at %q: reason %q, want %q", tt.url, got, tt.want)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-1": 0, "soon": 0,
		"Sun, 22 Nov 2026 03:00:09 GMT": 9 * time.Second, "Sun, 22 Nov 2026 02:00:00 GMT": 0,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("retryAfter(%q) = %v, want %v", value, got, want)
		}
	}
}
