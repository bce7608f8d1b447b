package infisical

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/raxx-app/keyturn/internal/sim/simhttp"
)

// A redirect of a login or a read is refused: the client secret and the access
// token go to nobody else.
func TestReadFollowsNoRedirect(t *testing.T) {
	var mu sync.Mutex
	var got []string
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		got = append(got, r.Method+" "+r.Header.Get("Authorization")+" "+string(body))
	}))
	defer elsewhere.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, path := range []string{loginPath, listPath} {
			w := newWorld(t)
			if path == listPath {
				w.ready(t)
			}
			w.sim.Inject(simhttp.Fault{Path: path, Status: status, Header: http.Header{"Location": {elsewhere.URL + path}}})
			if stored, err := w.vault.Read(t.Context()); err == nil {
				t.Errorf("%d at %s: read %+v, want a fault", status, path, stored)
			}
		}
	}
	for _, call := range got {
		if strings.Contains(call, goodSecret) || strings.Contains(call, "Bearer") {
			t.Errorf("a credential went elsewhere: %s", call[:min(len(call), 60)])
		}
	}
	if len(got) > 0 {
		t.Errorf("%d calls followed a redirect, want none", len(got))
	}
}

// The organisation that the SDK's own login takes from the environment is not
// sent: a variable of somebody else's must not decide where the bot logs in.
func TestAmbientOrganizationChangesNothing(t *testing.T) {
	t.Setenv("INFISICAL_AUTH_ORGANIZATION_SLUG", "somebody-else")
	w := newWorld(t)
	var logins []string
	w.sim.Watch(func(r simhttp.Request) {
		if r.URI == loginPath {
			logins = append(logins, string(r.Body)) // one login at a time
		}
	})
	w.ready(t)
	if len(logins) != 1 || strings.Contains(logins[0], "rganization") || !strings.Contains(logins[0], clientID) {
		t.Errorf("logins: %q, want one with the client ID and no organisation", logins)
	}
}

// A list that never ends is given up on.
func TestReadOfAnEndlessList(t *testing.T) {
	w := newWorld(t).ready(t)
	w.sim.Inject(simhttp.Fault{Path: listPath, Status: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: `{"secrets":[],"pad":"` + strings.Repeat("x", 2*listMax) + `"}`})
	if stored, err := w.vault.Read(t.Context()); err == nil {
		t.Errorf("read %+v, want a fault", stored)
	}
}
