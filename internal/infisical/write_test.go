package infisical

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/sim/infisicalsim"
	"github.com/raxx-app/keyturn/internal/sim/simhttp"
)

// R40, R41, R42: both names in one request, read back equal, versions moved.
func TestWriteStoresBoth(t *testing.T) {
	w := newWorld(t).ready(t)
	if n := w.calls(func() {
		if err := w.vault.Write(t.Context(), pair("PK2", "S2"), false); err != nil {
			t.Errorf("Write: %v", err)
		}
	}); n != 1 {
		t.Errorf("HTTP calls = %d, want 1", n)
	}
	w.holds(t, "PK2", "S2", 2)
	got, err := w.vault.Read(t.Context())
	if err != nil || !got.Pair.Equal(pair("PK2", "S2")) || got.Version.KeyID != 2 || got.Version.Secret != 2 {
		t.Errorf("read back: version %+v, %v; want the new pair in version 2", got.Version, err)
	}
	if x := w.held()["UNRELATED"]; x.Value != "x" || x.Version != 1 {
		t.Errorf("another secret = %+v, want it untouched", x)
	}
}

// A repeat is harmless: the same values become a new version.
func TestWriteAgain(t *testing.T) {
	w := newWorld(t).ready(t)
	for range 2 {
		if err := w.vault.Write(t.Context(), pair("PK2", "S2"), true); err != nil {
			t.Errorf("Write: %v", err)
		}
	}
	w.holds(t, "PK2", "S2", 3)
}

func TestWriteUpsert(t *testing.T) {
	tests := []struct {
		name   string
		old    bool
		absent []string
		upsert bool
		rights infisicalsim.Rights
		reason string // "" means stored
	}{
		{name: "both absent", absent: []string{keyName, secretName}, upsert: true, rights: infisicalsim.Member},
		{name: "one absent", absent: []string{secretName}, upsert: true, rights: infisicalsim.Member},
		{name: "one absent, not asked to create", absent: []string{secretName}, rights: infisicalsim.Member, reason: "names_absent"},
		{name: "may not create", absent: []string{secretName}, upsert: true, rights: infisicalsim.Viewer | infisicalsim.Edit, reason: "permission_denied"},
		{name: "old server, both absent", old: true, absent: []string{keyName, secretName}, upsert: true, rights: infisicalsim.Member},
		{name: "old server, one absent", old: true, absent: []string{secretName}, upsert: true, rights: infisicalsim.Member, reason: "half_stored"},
		{name: "old server, not asked to create", old: true, absent: []string{secretName}, rights: infisicalsim.Member, reason: "names_absent"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, rights(tt.rights))
			w.sim.SetOld(tt.old)
			for _, n := range tt.absent {
				w.sim.Remove(projectID, "prod", "/", n)
			}
			before := w.held()
			err := w.vault.Write(t.Context(), pair("PK2", "S2"), tt.upsert)
			if tt.reason == "" {
				if err != nil {
					t.Errorf("Write: %v", err)
				}
				if k, s := w.held()[keyName].Value, w.held()[secretName].Value; k != "PK2" || s != "S2" {
					t.Errorf("stored = %q, %q, want PK2, S2", k, s)
				}
				return
			}
			if fault.ReasonOf(err) != tt.reason {
				t.Errorf("Write: %v, want %s", err, tt.reason)
			}
			if k := w.held()[keyName]; k.Version != before[keyName].Version { // R42: both or neither
				t.Errorf("%s = v%d, want v%d: nothing may be written", keyName, k.Version, before[keyName].Version)
			}
		})
	}
}

// R42: both or neither, whatever goes wrong. Version 1 is what was there, 2
// means that the call was applied although it failed for us.
func TestWriteFailures(t *testing.T) {
	patch := func(f simhttp.Fault) func(*infisicalsim.Server) {
		f.Method = "PATCH"
		return func(s *infisicalsim.Server) { s.Inject(f) }
	}
	asJSON := http.Header{"Content-Type": {"application/json"}}
	tests := []struct {
		name    string
		setup   func(*infisicalsim.Server)
		kind    fault.Kind
		reason  string
		version int
	}{
		{"400", patch(simhttp.Fault{Status: 400, Header: asJSON, Body: `{"statusCode":400,"message":"x","error":"BadRequest"}`}), fault.Invalid, "refused", 1},
		{"401 for ever", patch(simhttp.Fault{Status: 401, Header: asJSON, Body: `{"message":"x","error":"UnauthorizedError"}`}), fault.Denied, "token_refused", 1},
		{"403 for ever", patch(simhttp.Fault{Status: 403, Header: asJSON, Body: `{"message":"x","error":"TokenError"}`}), fault.Denied, "token_refused", 1},
		{"403 of a firewall", patch(simhttp.Fault{Status: 403, Body: "<h1>no</h1>"}), fault.Unknown, "bad_answer", 1},
		{"404 of a proxy", patch(simhttp.Fault{Status: 404, Body: "<h1>no</h1>"}), fault.Unknown, "bad_answer", 1},
		{"409", patch(simhttp.Fault{Status: 409, Header: asJSON, Body: `{"message":"x"}`}), fault.Invalid, "refused", 1},
		{"422", patch(simhttp.Fault{Status: 422, Header: asJSON, Body: `{"message":[{"code":"invalid_type"}],"error":"ValidationFailure"}`}), fault.Invalid, "refused", 1},
		{"500", func(s *infisicalsim.Server) { s.Break("PATCH", v4Path, 0) }, fault.Transient, "server_error", 1},
		{"502", patch(simhttp.Fault{Status: 502}), fault.Unknown, "server_error", 1},
		{"503", patch(simhttp.Fault{Status: 503}), fault.Transient, "server_error", 1},
		{"504", patch(simhttp.Fault{Status: 504}), fault.Unknown, "server_error", 1},
		{"rate limit", func(s *infisicalsim.Server) { s.RateLimit("PATCH", v4Path, 0, 7*time.Second) }, fault.Transient, "rate_limited", 1},
		{"HTML", func(s *infisicalsim.Server) { s.AnswerHTML("PATCH", v4Path, 0) }, fault.Unknown, "bad_answer", 1},
		{"JSON that is cut short", patch(simhttp.Fault{Status: 200, Header: asJSON, Body: `{"secrets":[{"secr`}), fault.Unknown, "bad_answer", 1},
		{"yes, but nothing written", patch(simhttp.Fault{Status: 200, Header: asJSON, Body: `{"secrets":[]}`}), fault.Unknown, "not_confirmed", 1},
		{"yes, but an old version", patch(simhttp.Fault{Status: 200, Header: asJSON, Body: `{"secrets":[{"secretKey":"` + keyName + `","version":2},{"secretKey":"` + secretName + `","version":1}]}`}), fault.Unknown, "not_confirmed", 1},
		{"approval", func(s *infisicalsim.Server) { s.RequireApproval(true) }, fault.Denied, "approval_required", 1},
		{"no longer allowed", func(s *infisicalsim.Server) { s.Grant(clientID, projectID, infisicalsim.Viewer) }, fault.Denied, "permission_denied", 1},
		{"not in the project", func(s *infisicalsim.Server) {
			s.AddIdentity(infisicalsim.Identity{ClientID: clientID, ClientSecret: goodSecret})
			s.RevokeTokens()
		}, fault.Denied, "permission_denied", 1},
		{"managed by Infisical's own rotation", func(s *infisicalsim.Server) { s.Lock(projectID, "prod", "/", secretName) }, fault.Conflict, "managed_by_infisical", 1},
		{"token refused, login refused", func(s *infisicalsim.Server) { s.ExpireTokens(); s.RevokeClientSecret(clientID) }, fault.Denied, "login_refused", 1},
		{"cut before it is applied", patch(simhttp.Fault{Cut: true}), fault.Unknown, "no_answer", 1},
		{"lost reply", patch(simhttp.Fault{LoseReply: true}), fault.Unknown, "no_answer", 2},
		{"no reply in time", patch(simhttp.Fault{HangReply: true}), fault.Unknown, "timeout", 2},
		{"hangs", patch(simhttp.Fault{Hang: true}), fault.Unknown, "timeout", 1},
		{"no connection", func(s *infisicalsim.Server) { _ = s.Close() }, fault.Transient, "unreachable", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t).ready(t)
			tt.setup(w.sim)
			if tt.reason == "timeout" {
				w.patience(10 * soon) // time enough to apply it
			}
			if own, ok := w.cfg.Transport.(*http.Transport); ok {
				own.CloseIdleConnections() // so that a closed server is noticed before the call is sent
			}
			err := w.vault.Write(t.Context(), pair("PK2", "S2"), false)
			if fault.KindOf(err) != tt.kind || fault.ReasonOf(err) != tt.reason {
				t.Errorf("Write: %v, want %v %s", err, tt.kind, tt.reason)
			}
			if tt.name == "rate limit" && fault.RetryAfter(err) != 7*time.Second {
				t.Errorf("retry after = %v, want 7s", fault.RetryAfter(err))
			}
			if tt.version == 1 {
				w.holds(t, "PK1", "S1", 1)
			} else {
				w.holds(t, "PK2", "S2", 2)
			}
			if n := w.sim.Count("PATCH", "/api"); n > 3 { // one by Ready, one, one after a new login
				t.Errorf("PATCH calls = %d: a write is not repeated", n)
			}
		})
	}
}

// What is lost on the way is found by reading, as the engine does.
func TestLostReplyIsFoundByReading(t *testing.T) {
	w := newWorld(t).ready(t)
	w.sim.Inject(simhttp.Fault{Method: "PATCH", Times: 1, LoseReply: true})
	if err := w.vault.Write(t.Context(), pair("PK2", "S2"), false); fault.KindOf(err) != fault.Unknown {
		t.Errorf("Write: %v, want unknown", err)
	}
	got, err := w.vault.Read(t.Context())
	if err != nil || !got.Pair.Equal(pair("PK2", "S2")) || got.Version.KeyID != 2 {
		t.Errorf("Read: version %+v, %v; want the new pair in version 2", got.Version, err)
	}
}

func TestWriteOnAnOldServer(t *testing.T) {
	w := newWorld(t)
	w.sim.SetOld(true)
	if err := w.vault.Write(t.Context(), pair("PK2", "S2"), false); err != nil {
		t.Fatalf("Write: %v", err)
	}
	w.holds(t, "PK2", "S2", 2)
	if n := w.calls(func() {
		if err := w.vault.Write(t.Context(), pair("PK3", "S3"), false); err != nil {
			t.Errorf("second Write: %v", err)
		}
	}); n != 1 {
		t.Errorf("HTTP calls of the second Write = %d, want 1: the old route is remembered", n)
	}
	if v4, v3 := w.sim.Count("PATCH", v4Path), w.sim.Count("PATCH", v3Path); v4 != 1 || v3 != 2 {
		t.Errorf("PATCH calls to v4, v3 = %d, %d, want 1, 2", v4, v3)
	}
	w.sim.SetOld(false) // upgraded
	w.ready(t)
	if err := w.vault.Write(t.Context(), pair("PK4", "S4"), false); err != nil {
		t.Errorf("Write after the upgrade: %v", err)
	}
	if n := w.sim.Count("PATCH", v3Path); n != 2 {
		t.Errorf("PATCH calls to v3 after the upgrade = %d, want 2", n)
	}
}

// The server trims values, so what it would change is not sent.
func TestWriteRefusesWhatWouldBeTrimmed(t *testing.T) {
	for _, p := range [][2]string{{" PK2", "S2"}, {"PK2", "S2\n"}, {"PK2", ""}, {"", "S2"}, {"PK2", "\tS2"}} {
		w := newWorld(t)
		err := w.vault.Write(t.Context(), pair(p[0], p[1]), true)
		if fault.KindOf(err) != fault.Invalid || fault.ReasonOf(err) != "bad_pair" {
			t.Errorf("Write(%q): %v, want invalid bad_pair", p, err)
		}
		if n := len(w.sim.Calls()); n != 0 {
			t.Errorf("Write(%q) made %d calls, want none", p, n)
		}
	}
}

// A redirect would carry the pair to wherever it points.
func TestWriteFollowsNoRedirect(t *testing.T) {
	reached := false
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer elsewhere.Close()
	w := newWorld(t).ready(t)
	w.sim.Inject(simhttp.Fault{Method: "PATCH", Status: 307, Header: http.Header{"Location": {elsewhere.URL}}})
	if err := w.vault.Write(t.Context(), pair("PK2", "S2"), false); fault.ReasonOf(err) != "bad_answer" {
		t.Errorf("Write: %v, want bad_answer", err)
	}
	if reached {
		t.Error("the redirect was followed")
	}
}
