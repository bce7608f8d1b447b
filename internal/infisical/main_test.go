package infisical

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
	"github.com/raxx-app/keyturn/internal/sim/infisicalsim"
)

// TestMain finds goroutines that are left when everything is closed: the SDK's
// refresh goroutine, or calls that hang for ever.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	projectID  = "9cf93f17-abcf-4f81-b5eb-6c58434d856c"
	clientID   = "c52832eb-7041-4f08-b8f5-b186d2a80f58"
	goodSecret = "dummy-client-secret-83b92d"
	keyName    = "ALPACA_PAPER_API_KEY_ID"
	secretName = "ALPACA_PAPER_API_SECRET_KEY"

	loginPath = "/api/v1/auth/universal-auth/login"
	listPath  = "/api/v3/secrets/raw"
	v4Path    = "/api/v4/secrets/batch"
	v3Path    = "/api/v3/secrets/batch/raw"
)

var names = rotation.Names{KeyID: keyName, Secret: secretName}

// A world is a simulated Infisical that holds the pair PK1, S1 in version 1,
// and the vault of it.
type world struct {
	sim   *infisicalsim.Server
	vault *Vault
	clock *clock
	cfg   Config // of the vault's client
}

// newWorld makes a world whose machine identity is a project member; change
// may alter the identity, the client and the place.
func newWorld(t *testing.T, change ...func(*infisicalsim.Identity, *Config, *Place)) *world {
	t.Helper()
	sim := infisicalsim.New()
	if err := sim.Start(); err != nil {
		t.Fatal(err)
	}
	who := infisicalsim.Identity{ClientID: clientID, ClientSecret: goodSecret, Projects: map[string]infisicalsim.Rights{projectID: infisicalsim.Member}}
	clk := &clock{at: time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)}
	own := &http.Transport{}
	cfg := Config{SiteURL: sim.URL(), ClientID: clientID, ClientSecret: secret.New(goodSecret), Transport: own, Now: clk.now}
	place := Place{ProjectID: projectID, Environment: "prod", Path: "/", Names: names}
	for _, f := range change {
		f(&who, &cfg, &place)
	}
	sim.AddProject(infisicalsim.Project{ID: projectID})
	sim.AddIdentity(who)
	sim.Put(projectID, "prod", "/", keyName, "PK1")
	sim.Put(projectID, "prod", "/", secretName, "S1")
	sim.Put(projectID, "prod", "/", "UNRELATED", "x")
	t.Cleanup(func() {
		own.CloseIdleConnections()
		if err := sim.Close(); err != nil {
			t.Errorf("close simulator: %v", err)
		}
	})
	return &world{sim: sim, vault: New(cfg).Vault(place), clock: clk, cfg: cfg}
}

// ready makes the vault ready, so that the token is there and connections are
// open.
func (w *world) ready(t *testing.T) *world {
	t.Helper()
	if r := w.vault.Ready(t.Context()); r.Level != rotation.Unproven {
		t.Fatalf("Ready = %+v, want unproven", r)
	}
	return w
}

// held returns name, value and version of the pair as the server has it.
func (w *world) held() map[string]infisicalsim.Secret {
	all := map[string]infisicalsim.Secret{}
	for _, s := range w.sim.Secrets(projectID, "prod", "/") {
		all[s.Name] = s
	}
	return all
}

// holds reports an error unless the server has these values in these versions.
func (w *world) holds(t *testing.T, keyID, secretKey string, version int) {
	t.Helper()
	k, s := w.held()[keyName], w.held()[secretName]
	if k.Value != keyID || s.Value != secretKey || k.Version != version || s.Version != version {
		t.Errorf("stored = %s v%d, %s v%d; want %s, %s v%d", k.Value, k.Version, s.Value, s.Version, keyID, secretKey, version)
	}
}

// calls returns how many calls f makes.
func (w *world) calls(f func()) int {
	before := len(w.sim.Calls())
	f()
	return len(w.sim.Calls()) - before
}

func pair(keyID, secretKey string) rotation.Pair {
	return rotation.Pair{KeyID: secret.New(keyID), Secret: secret.New(secretKey)}
}

// patience sets the deadline of each call from now on. It is short only while
// the server is told not to answer, so that a loaded machine breaks no test.
func (w *world) patience(d time.Duration) { w.vault.client.cfg.Timeout = d }

// soon is the deadline of calls that are not going to be answered.
const soon = 50 * time.Millisecond

// rights returns a change that gives the identity other rights.
func rights(r infisicalsim.Rights) func(*infisicalsim.Identity, *Config, *Place) {
	return func(i *infisicalsim.Identity, _ *Config, _ *Place) {
		i.Projects = map[string]infisicalsim.Rights{projectID: r}
	}
}

// A clock stands still until it is moved.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}
