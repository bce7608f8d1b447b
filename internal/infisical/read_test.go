package infisical

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/sim/infisicalsim"
	"github.com/raxx-app/keyturn/internal/sim/simhttp"
)

func TestRead(t *testing.T) {
	tests := []struct {
		name    string
		setup   func(*infisicalsim.Server)
		pair    rotation.Pair
		version rotation.Version
		calls   int
	}{
		{name: "both", pair: pair("PK1", "S1"), version: rotation.Version{KeyID: 1, Secret: 1}, calls: 1},
		{name: "changed", setup: func(s *infisicalsim.Server) { s.Put(projectID, "prod", "/", secretName, "S9") }, pair: pair("PK1", "S9"), version: rotation.Version{KeyID: 1, Secret: 2}, calls: 1},
		{name: "reference is not expanded", setup: func(s *infisicalsim.Server) { s.Put(projectID, "prod", "/", secretName, "${dev.X}") }, pair: pair("PK1", "${dev.X}"), version: rotation.Version{KeyID: 1, Secret: 2}, calls: 1},
		{name: "one absent", setup: func(s *infisicalsim.Server) { s.Remove(projectID, "prod", "/", keyName) }, pair: pair("", "S1"), version: rotation.Version{Secret: 1}, calls: 1},
		{name: "both absent, folder there", setup: func(s *infisicalsim.Server) {
			s.Remove(projectID, "prod", "/", keyName)
			s.Remove(projectID, "prod", "/", secretName)
		}, calls: 2},
		{name: "an imported value is not ours", setup: func(s *infisicalsim.Server) {
			s.Remove(projectID, "prod", "/", keyName)
			s.Put(projectID, "dev", "/shared", keyName, "PKSHARED")
			s.Import(projectID, "prod", "/", "dev", "/shared")
		}, pair: pair("", "S1"), version: rotation.Version{Secret: 1}, calls: 1},
		{name: "old server", setup: func(s *infisicalsim.Server) { s.SetOld(true) }, pair: pair("PK1", "S1"), version: rotation.Version{KeyID: 1, Secret: 1}, calls: 1},
		{name: "old server, both absent", setup: func(s *infisicalsim.Server) {
			s.SetOld(true)
			s.Remove(projectID, "prod", "/", keyName)
			s.Remove(projectID, "prod", "/", secretName)
		}, calls: 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t).ready(t)
			if tt.setup != nil {
				tt.setup(w.sim)
			}
			var got rotation.Stored
			var err error
			calls := w.calls(func() { got, err = w.vault.Read(t.Context()) })
			if err != nil {
				t.Fatalf("Read: %v", err)
			}
			if !got.Pair.Equal(tt.pair) || got.Version != tt.version || got.Approval != "" {
				t.Errorf("Read = %q %q %+v, want %q %q %+v", got.Pair.KeyID.Reveal(), got.Pair.Secret.Reveal(), got.Version,
					tt.pair.KeyID.Reveal(), tt.pair.Secret.Reveal(), tt.version)
			}
			if calls != tt.calls {
				t.Errorf("HTTP calls = %d, want %d", calls, tt.calls)
			}
		})
	}
}

func TestReadFailures(t *testing.T) {
	status := func(n int) func(*infisicalsim.Server) {
		return func(s *infisicalsim.Server) { s.Inject(simhttp.Fault{Method: "GET", Status: n}) }
	}
	tests := []struct {
		name   string
		setup  func(*infisicalsim.Server)
		kind   fault.Kind
		reason string
	}{
		{"400", status(400), fault.Transient, "bad_answer"}, // without Infisical's text it is somebody else's
		{"401", status(401), fault.Transient, "bad_answer"},
		{"403", status(403), fault.Transient, "bad_answer"},
		{"404", status(404), fault.Transient, "bad_answer"},
		{"500", status(500), fault.Transient, "server_error"},
		{"502", status(502), fault.Transient, "server_error"},
		{"503", status(503), fault.Transient, "server_error"},
		{"rate limit", func(s *infisicalsim.Server) { s.RateLimit("GET", listPath, 0, 7*time.Second) }, fault.Transient, "rate_limited"},
		{"HTML", func(s *infisicalsim.Server) { s.AnswerHTML("GET", listPath, 0) }, fault.Transient, "bad_answer"},
		{"no connection", func(s *infisicalsim.Server) { _ = s.Close() }, fault.Transient, "unreachable"},
		{"cut", func(s *infisicalsim.Server) { s.Inject(simhttp.Fault{Method: "GET", Cut: true}) }, fault.Transient, "unreachable"},
		{"hangs", func(s *infisicalsim.Server) { s.Inject(simhttp.Fault{Method: "GET", Hang: true}) }, fault.Transient, "timeout"},
		{"no longer allowed", func(s *infisicalsim.Server) { s.Grant(clientID, projectID, 0) }, fault.Denied, "permission_denied"},
		{"values hidden", func(s *infisicalsim.Server) { s.Grant(clientID, projectID, infisicalsim.Describe) }, fault.Denied, "value_hidden"},
		{"token refused, login refused", func(s *infisicalsim.Server) { s.ExpireTokens(); s.RevokeClientSecret(clientID) }, fault.Denied, "login_refused"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t).ready(t)
			tt.setup(w.sim)
			if tt.reason == "timeout" {
				w.patience(soon)
			}
			got, err := w.vault.Read(t.Context())
			if fault.KindOf(err) != tt.kind || fault.ReasonOf(err) != tt.reason {
				t.Errorf("Read: %v, want %v %s", err, tt.kind, tt.reason)
			}
			if got.Pair.KeyID.Reveal() != "" || got.Version != (rotation.Version{}) {
				t.Errorf("Read with an error returned %+v", got.Version)
			}
		})
	}
}

// A token that the server no longer takes is replaced once, and the caller does
// not notice.
func TestTokenExpiresMidRun(t *testing.T) {
	tests := []struct {
		name string
		end  func(*infisicalsim.Server)
	}{
		{"expired: 403 TokenError", (*infisicalsim.Server).ExpireTokens},
		{"deleted: 401", (*infisicalsim.Server).RevokeTokens},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t).ready(t)
			tt.end(w.sim)
			if got, err := w.vault.Read(t.Context()); err != nil || !got.Pair.Equal(pair("PK1", "S1")) {
				t.Errorf("Read: %v", err)
			}
			tt.end(w.sim)
			if err := w.vault.Write(t.Context(), pair("PK2", "S2"), false); err != nil {
				t.Errorf("Write: %v", err)
			}
			w.holds(t, "PK2", "S2", 2)
			if n := w.sim.Count("POST", loginPath); n != 3 {
				t.Errorf("logins = %d, want 3", n)
			}
		})
	}
}

func TestTokenIsRenewedInTime(t *testing.T) {
	w := newWorld(t, func(i *infisicalsim.Identity, _ *Config, _ *Place) { i.TTL = 100 * time.Minute }).ready(t)
	read := func(wantLogins int) {
		t.Helper()
		if _, err := w.vault.Read(t.Context()); err != nil {
			t.Errorf("Read: %v", err)
		}
		if n := w.sim.Count("POST", loginPath); n != wantLogins {
			t.Errorf("logins = %d, want %d", n, wantLogins)
		}
	}
	w.clock.move(79 * time.Minute)
	read(1)
	w.clock.move(2 * time.Minute) // 81 % of its life
	read(2)
	w.clock.move(81 * time.Minute)
	w.sim.Break("POST", loginPath, 0)
	read(3) // the login fails, but the token still has 19 %
	if got := w.vault.Ready(t.Context()); got.Problem.Reason != "server_error" {
		t.Errorf("Ready with a broken login = %+v, want it to say so", got)
	}
	w.clock.move(20 * time.Minute)
	if _, err := w.vault.Read(t.Context()); fault.ReasonOf(err) != "server_error" {
		t.Errorf("Read with an expired token and a broken login: %v, want server_error", err)
	}
}

// Several key sets with a wrong secret must not lock the identity.
func TestRefusedLoginIsNotRepeatedAtOnce(t *testing.T) {
	w := newWorld(t)
	w.sim.RevokeClientSecret(clientID)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if got := w.vault.Ready(t.Context()).Problem.Reason; got != "login_refused" {
				t.Errorf("Ready: %s, want login_refused", got)
			}
		})
	}
	group.Wait()
	if n := w.sim.Count("POST", loginPath); n != 1 {
		t.Errorf("logins = %d, want 1", n)
	}
	w.clock.move(refusedFor)
	w.vault.Ready(t.Context())
	if n := w.sim.Count("POST", loginPath); n != 2 {
		t.Errorf("logins after %v = %d, want 2", refusedFor, n)
	}
}

func TestLockout(t *testing.T) {
	w := newWorld(t)
	for range 3 { // another program with an old secret
		bad := w.cfg
		bad.ClientSecret = pair("wrong", "").KeyID
		New(bad).Vault(w.vault.place).Ready(t.Context())
	}
	_, err := w.vault.Read(t.Context())
	if fault.KindOf(err) != fault.Transient || fault.ReasonOf(err) != "login_locked" || fault.RetryAfter(err) != lockedFor {
		t.Errorf("Read: %v after %v, want transient login_locked after %v", err, fault.RetryAfter(err), lockedFor)
	}
	w.clock.move(6 * time.Minute)
	w.sim.Advance(6 * time.Minute)
	if _, err := w.vault.Read(t.Context()); err != nil {
		t.Errorf("Read after the lockout: %v", err)
	}
}

// A call of the SDK cannot be stopped. It is left behind at the deadline, the
// next one uses another connection, and there is a limit to how many are left.
func TestHangingCallsAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t).ready(t)
	w.patience(soon)
	unhang := w.sim.Inject(simhttp.Fault{Method: "GET", Hang: true})
	if _, err := w.vault.Read(t.Context()); fault.ReasonOf(err) != "timeout" {
		t.Fatalf("Read while the server hangs: %v, want timeout", err)
	}
	unhang()
	w.patience(defaultTimeout)
	if _, err := w.vault.Read(t.Context()); err != nil {
		t.Fatalf("Read after the server hung: %v", err)
	}

	w.sim.Inject(simhttp.Fault{Method: "GET", Hang: true})
	w.patience(2 * soon)
	var group sync.WaitGroup
	for range slotsMax + 8 {
		group.Go(func() {
			if _, err := w.vault.Read(t.Context()); fault.KindOf(err) != fault.Transient {
				t.Errorf("Read: %v, want a transient fault", err)
			}
		})
	}
	group.Wait()
	if got := len(w.vault.client.slots); got != slotsMax {
		t.Errorf("calls left behind = %d, want %d", got, slotsMax)
	}
	if n := w.calls(func() { _, _ = w.vault.Read(t.Context()) }); n != 0 {
		t.Errorf("a read with all slots taken made %d calls, want none", n)
	}
}

func TestReadStopsWithItsContext(t *testing.T) {
	w := newWorld(t).ready(t)
	w.sim.Inject(simhttp.Fault{Method: "GET", Hang: true})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	_, err := w.vault.Read(ctx)
	if fault.ReasonOf(err) != "timeout" {
		t.Errorf("Read: %v, want timeout at the caller's deadline, not at %v", err, defaultTimeout)
	}
}
