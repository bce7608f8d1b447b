package heroku

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/sim/herokusim"
	"github.com/raxx-app/keyturn/internal/sim/simhttp"
)

func TestHolds(t *testing.T) {
	sim, a := start(t, nil)
	got, err := a.Holds(t.Context())
	if want := pairOf("PKOLD", "old-secret"); err != nil || !got.Equal(want) {
		t.Errorf("Holds = a pair ending in %s, %v, want the one ending in %s", got.Last4(), err, want.Last4())
	}
	sim.AddApp(herokusim.App{Name: prod, Vars: map[string]string{keyName: "PKOLD"}})
	if got, err = a.Holds(t.Context()); err != nil || got.KeyID.Empty() || !got.Secret.Empty() {
		t.Errorf("Holds with one var absent: key ID empty %v, secret empty %v, error %v; want only the secret empty", got.KeyID.Empty(), got.Secret.Empty(), err)
	}
	sim.RevokeToken(token)
	if got, err = a.Holds(t.Context()); fault.KindOf(err) != fault.Denied || !got.KeyID.Empty() {
		t.Errorf("Holds with a revoked token: error %v, want kind denied and no pair", err)
	}
	if n := sim.Count(http.MethodPatch, ""); n != 0 {
		t.Errorf("Holds wrote %d times", n)
	}
}

func TestKeeps(t *testing.T) {
	id, sec := newPair.KeyID.Reveal(), newPair.Secret.Reveal()
	tests := []struct {
		name   string
		vars   map[string]string
		fail   bool   // the list of releases cannot be read
		detail string // "" means no drift
	}{
		{name: "as it was given", vars: map[string]string{keyName: id, secName: sec}},
		{
			name: "another key", vars: map[string]string{keyName: "PKTHEIRS0000ABCD", secName: "theirs-and-secret"},
			detail: keyName + " of " + prod + " ends in ABCD, the stored one in 0001; its last change there is release v42",
		},
		{name: "another secret", vars: map[string]string{keyName: id, secName: "theirs-and-secret"}, detail: secName + " of " + prod + " is not the stored one, although the key ID is; its last change there is release v42"},
		{name: "another key, releases not readable", vars: map[string]string{keyName: "PKTHEIRS0000ABCD", secName: sec}, fail: true, detail: "ends in ABCD, the stored one in 0001"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sim, a := start(t, nil)
			sim.Overwrite(prod, "ops@example.com", tt.vars)
			if tt.fail {
				sim.Inject(simhttp.Fault{Path: "/apps/" + prod + "/releases", Status: http.StatusServiceUnavailable})
			}
			got, err := a.Keeps(t.Context(), delivery())
			if err != nil || got.Changed != (tt.detail != "") || !strings.Contains(got.Detail, tt.detail) {
				t.Errorf("Keeps = %+v, %v, want detail with %q", got, err, tt.detail)
			}
			if shown := fmt.Sprintf("%+v", got); strings.Contains(shown, "theirs-and-secret") || strings.Contains(shown, sec) || strings.Contains(shown, "PKTHEIRS0000ABCD") {
				t.Errorf("Keeps = %s: holds a value", shown)
			}
			if n := sim.Count(http.MethodPatch, ""); n != 0 {
				t.Errorf("Keeps wrote %d times", n)
			}
		})
	}
}

func TestKeepsNotThere(t *testing.T) {
	sim, a := start(t, func(spec *herokusim.App) { spec.Vars = map[string]string{keyName: newPair.KeyID.Reveal()} })
	if got, err := a.Keeps(t.Context(), delivery()); err != nil || !got.Changed || !strings.Contains(got.Detail, secName+" of "+prod+" is not set any more") {
		t.Errorf("Keeps with one var absent = %+v, %v", got, err)
	}
	if _, err := a.Keeps(t.Context(), rotation.Delivery{}); fault.ReasonOf(err) != "empty_pair" {
		t.Errorf("Keeps of no pair: error %v, want empty_pair", err)
	}
	sim.FailNext(http.StatusServiceUnavailable)
	if got, err := a.Keeps(t.Context(), delivery()); fault.KindOf(err) != fault.Transient || got.Changed {
		t.Errorf("Keeps while Heroku is away = %+v, %v, want a transient fault and no drift", got, err)
	}
}
