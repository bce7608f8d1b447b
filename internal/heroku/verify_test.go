package heroku

import (
	"strings"
	"testing"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/sim/herokusim"
	"github.com/raxx-app/keyturn/internal/sim/simhttp"
)

// TestVerifyWaitsForDynos: R54.
func TestVerifyWaitsForDynos(t *testing.T) {
	tests := []struct {
		name   string
		change func(*herokusim.App)
		act    func(*herokusim.Sim)
		done   bool
		detail string
	}{
		{"starting", func(a *herokusim.App) { a.Boot.Hold = true }, nil, false, "web.1 is starting on v42"},
		{"came up", func(a *herokusim.App) { a.Boot.Hold = true }, func(s *herokusim.Sim) { s.FinishBoot(prod) }, true, "1 up on v42 or later"},
		{"crashed", func(a *herokusim.App) { a.Boot.Crashes = true }, nil, false, "crashed: web.1; look at `heroku logs -a APP`"},
		{"down", nil, func(s *herokusim.Sim) { s.SetDynoState(prod, "down") }, false, "web.1 is down on v42"},
		{"idle", nil, func(s *herokusim.Sim) { s.SetDynoState(prod, "idle") }, true, "0 up on v42 or later, 1 idle"},
		{"no dynos", func(a *herokusim.App) { a.Processes = []herokusim.Process{} }, nil, true, "no dynos are running"},
		{"many", func(a *herokusim.App) {
			a.Processes = []herokusim.Process{{Type: "web", Quantity: 250}, {Type: "worker", Quantity: 2}}
		}, nil, true, "252 up on v42 or later"},
		{"many starting", func(a *herokusim.App) {
			a.Boot.Hold = true
			a.Processes = []herokusim.Process{{Type: "web", Quantity: 5}}
		}, nil, false, " and 2 more"},
		{"deploy after it", nil, func(s *herokusim.Sim) { s.Deploy(prod, "dev@example.com") }, true, "1 up on v42 or later"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sim, a := start(t, tt.change)
			sim.AddOneOff(prod, "run") // keeps v41 and holds nothing up
			r := apply(t, a)
			if tt.act != nil {
				tt.act(sim)
			}
			p := verify(t, a, r)
			if p.Done != tt.done || !strings.Contains(p.Detail, tt.detail) {
				t.Errorf("proof = %v %q, want %v with %q", p.Done, p.Detail, tt.done, tt.detail)
			}
			if got := factOf(p.Facts, "one_off"); !strings.HasPrefix(got, "1 still") {
				t.Errorf("one-off fact = %q, want 1 still on old vars", got)
			}
		})
	}
}

func TestJudge(t *testing.T) {
	web := func(state string, version int) Dyno {
		return Dyno{Name: "web.1", Type: "web", State: state, Version: version}
	}
	tests := []struct {
		name   string
		dynos  []Dyno
		done   bool
		detail string
	}{
		{"up on it", []Dyno{web("up", 42)}, true, "1 up on v42 or later"},
		{"up on an older one", []Dyno{web("up", 42), web("up", 41)}, false, "web.1 is up on v41"},
		{"up on a later one", []Dyno{web("up", 43)}, true, "1 up on v42 or later"},
		{"crashed on an older one", []Dyno{web("crashed", 41)}, false, "web.1 is crashed on v41"},
		{"crash before others", []Dyno{web("starting", 42), web("crashed", 42)}, false, "crashed: web.1; look at `heroku logs -a APP`"},
		{"unknown state", []Dyno{web("dancing", 42)}, false, "web.1 is dancing on v42"},
		{"only one-off", []Dyno{{Name: "run.1", Type: "run", State: "up", Version: 41}}, true, "no dynos are running"},
	}
	for _, tt := range tests {
		if done, detail, _ := judge(tt.dynos, 42); done != tt.done || detail != tt.detail {
			t.Errorf("%s: %v %q, want %v %q", tt.name, done, detail, tt.done, tt.detail)
		}
	}
}

// TestVerifyUnknownStatus: a state that the schema does not know is no success.
func TestVerifyUnknownStatus(t *testing.T) {
	sim, a := start(t, nil)
	r := apply(t, a)
	sim.Inject(simhttp.Fault{Times: 1, Path: "/apps/raxx-api-prod/releases/42", Status: 200, Body: `{"version":42,"status":"running"}`})
	if p := verify(t, a, r); p.Done || p.Detail != "release v42 is in an unknown state" {
		t.Errorf("proof = %+v, want not done", p)
	}
	sim.Inject(simhttp.Fault{Times: 1, Path: "/apps/raxx-api-prod/releases/42", Status: 200, Body: `{}`})
	if p, err := a.Verify(t.Context(), delivery(), rotation.Receipt{Data: map[string]string{dataRelease: "42"}}); fault.ReasonOf(err) != "bad_answer" {
		t.Errorf("Verify of an empty release = %+v, %v, want bad_answer", p, err)
	}
}

func TestVerifyOverwritten(t *testing.T) {
	sim, a := start(t, nil)
	r := apply(t, a)
	sim.Overwrite(prod, "dev@example.com", map[string]string{keyName: "PKX", secName: "x"})
	for name, receipt := range map[string]rotation.Receipt{"later release": r, "followed the wrong one": {Data: map[string]string{dataRelease: "43"}}, "release unknown": {}} {
		if p, err := a.Verify(t.Context(), delivery(), receipt); fault.KindOf(err) != fault.Conflict || fault.ReasonOf(err) != "overwritten" {
			t.Errorf("%s: Verify = %+v, %v, want conflict (overwritten)", name, p, err)
		}
	}
	if r := apply(t, a); r.Unchanged || r.Data[dataRelease] != "44" {
		t.Errorf("receipt of the retry = %+v, want release 44", r)
	}
}

// TestPrebootIsWarned: the dynos that Heroku shows are up, and the proof says
// what it cannot see.
func TestPrebootIsWarned(t *testing.T) {
	sim, a := start(t, func(s *herokusim.App) { s.Preboot = true })
	ready := a.Ready(t.Context())
	if !strings.Contains(ready.Detail, "Preboot is on") || factOf(ready.Facts, "preboot") == "" {
		t.Errorf("readiness = %+v, want preboot in detail and facts", ready)
	}
	r := apply(t, a)
	p := verify(t, a, r)
	if !p.Done || !strings.Contains(p.Detail, "1 up on v42 or later. Preboot is on") || !strings.Contains(factOf(p.Facts, "preboot"), "old dynos") || factOf(r.Facts, "preboot") == "" {
		t.Errorf("proof = %+v, want done with the preboot fact", p)
	}
	if sim.Running(prod)[keyName] != "PKOLD" {
		t.Errorf("the simulator's old dynos already stopped: the warning would be wrong")
	}
}

// TestReleasePhaseIsWarned: before the click people hear that only the release
// command makes the pair live, and meanwhile that it runs.
func TestReleasePhaseIsWarned(t *testing.T) {
	sim, a := start(t, func(s *herokusim.App) { s.Phase = herokusim.Phase{On: true} })
	if ready := a.Ready(t.Context()); factOf(ready.Facts, "release_phase") != "" {
		t.Errorf("readiness = %+v, want no word of a release phase that was never seen", ready)
	}
	sim.Deploy(prod, "dev@example.com")
	ready := a.Ready(t.Context())
	if !strings.Contains(ready.Detail, "The app has a release command") || !strings.HasPrefix(factOf(ready.Facts, "release_phase"), "on") {
		t.Errorf("readiness = %+v, want the release phase in detail and facts", ready)
	}
	sim.SetPhase(prod, herokusim.Phase{On: true, Hold: true})
	r := apply(t, a)
	if !strings.Contains(factOf(r.Facts, "warning"), "Release command executing") {
		t.Errorf("receipt = %+v, want Heroku's own warning", r)
	}
	if p := verify(t, a, r); p.Done || p.Detail != "release v43 is pending: its release command still runs" {
		t.Errorf("proof = %+v, want pending with its command", p)
	}
	sim.FinishRelease(prod, true)
	if p := verify(t, a, r); !p.Done {
		t.Errorf("proof = %+v, want done", p)
	}
}
