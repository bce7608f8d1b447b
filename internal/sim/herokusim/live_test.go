package herokusim

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	prod = "raxx-api-prod"
	vars = "/apps/raxx-api-prod/config-vars"
)

// patch sets A and returns what the answer shows for it, and its warning.
func patch(t *testing.T, s *Sim, value string) (shown, warning string) {
	t.Helper()
	resp, body := send(t, s, http.MethodPatch, vars, `{"A":"`+value+`"}`)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("PATCH = %d %s", resp.StatusCode, body)
	}
	var all map[string]string
	if err := json.Unmarshal(body, &all); err != nil || all["KEEP"] != "me" {
		t.Fatalf("PATCH answered names %v (%v), want the whole map with KEEP", keys(all), err)
	}
	return all["A"], resp.Header.Get("X-Heroku-Warning")
}

func dynoStates(t *testing.T, s *Sim) map[string]string {
	t.Helper()
	_, body := send(t, s, http.MethodGet, "/apps/raxx-api-prod/dynos", "")
	var list []struct {
		Name, State string
		Release     struct{ Version int }
	}
	if err := json.Unmarshal(body, &list); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, d := range list {
		out[d.Name] = d.State
	}
	return out
}

func specOf(change func(*App)) Config {
	a := App{Name: prod, Vars: map[string]string{"A": "old", "KEEP": "me"}, Version: 41}
	change(&a)
	return Config{Apps: []App{a}}
}

func TestPatchMakesOneRelease(t *testing.T) {
	s := start(t, specOf(func(*App) {}))
	if _, body := send(t, s, http.MethodPatch, vars, `{"B":"2","A":"1"}`); !strings.Contains(string(body), `"KEEP":"me"`) {
		t.Errorf("answer lacks what was there before")
	}
	_, _ = send(t, s, http.MethodPatch, vars, `{"B":null}`)
	want := []Release{
		{41, "Initial release", "succeeded", "owner@example.com"},
		{42, "Set A, B config vars", "succeeded", "bot@example.com"},
		{43, "Unset B config vars", "succeeded", "bot@example.com"},
	}
	if diff := cmp.Diff(want, s.Releases(prod)); diff != "" {
		t.Errorf("releases (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"A": "1", "KEEP": "me"}, s.Running(prod)); diff != "" {
		t.Errorf("running (-want +got)\n%s", diff)
	}
}

// TestSkipsNoop: both ways of answering a change that changes nothing.
func TestSkipsNoop(t *testing.T) {
	for skips, want := range map[bool]int{false: 2, true: 1} {
		s := start(t, specOf(func(a *App) { a.SkipsNoop = skips }))
		patch(t, s, "old")
		if got := len(s.Releases(prod)); got != want {
			t.Errorf("SkipsNoop %v: %d releases, want %d", skips, got, want)
		}
	}
}

// TestReleasePhase: values switch only on success, and the three ways of
// showing them meanwhile.
func TestReleasePhase(t *testing.T) {
	for _, tt := range []struct {
		name                          string
		shows                         Echo
		ok                            bool
		wantEcho, wantAfter, wantRuns string
	}{
		{"old shown, succeeds", ShowsOld, true, "old", "new", "new"},
		{"old shown, fails", ShowsOld, false, "old", "old", "old"},
		{"new shown while pending, fails", ShowsPending, false, "new", "old", "old"},
		{"new shown for ever, fails", ShowsNewest, false, "new", "new", "old"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, specOf(func(a *App) { a.Phase = Phase{On: true, Hold: true, Shows: tt.shows} }))
			shown, warning := patch(t, s, "new")
			if shown != tt.wantEcho || warning != releaseWarning {
				t.Errorf("PATCH shows %q with warning %q, want %q with one", shown, warning, tt.wantEcho)
			}
			if got := s.Running(prod)["A"]; got != "old" {
				t.Errorf("running while pending = %q, want old", got)
			}
			s.FinishRelease(prod, tt.ok)
			if got := s.Vars(prod)["A"]; got != tt.wantAfter {
				t.Errorf("shown afterwards = %q, want %q", got, tt.wantAfter)
			}
			if got := s.Running(prod)["A"]; got != tt.wantRuns {
				t.Errorf("running afterwards = %q, want %q", got, tt.wantRuns)
			}
		})
	}
}

func TestBootTime(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	cfg := specOf(func(a *App) {
		a.Phase = Phase{On: true, Takes: 10 * time.Second}
		a.Boot = Boot{Takes: 5 * time.Second}
	})
	cfg.Now = func() time.Time { return now }
	s := start(t, cfg)
	patch(t, s, "new")
	for _, tt := range []struct {
		after              time.Duration
		status, state, run string
	}{
		{0, "pending", "up", "old"},
		{9 * time.Second, "pending", "up", "old"},
		{10 * time.Second, "succeeded", "starting", "old"},
		{14 * time.Second, "succeeded", "starting", "old"},
		{15 * time.Second, "succeeded", "up", "new"},
	} {
		now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC).Add(tt.after)
		if got := s.Releases(prod)[1].Status; got != tt.status {
			t.Errorf("after %v: release %s, want %s", tt.after, got, tt.status)
		}
		if got := dynoStates(t, s)["web.1"]; got != tt.state {
			t.Errorf("after %v: web.1 %s, want %s", tt.after, got, tt.state)
		}
		if got := s.Running(prod)["A"]; got != tt.run {
			t.Errorf("after %v: running %s, want %s", tt.after, got, tt.run)
		}
	}
}

// TestPreboot: the API shows new dynos up while unseen old ones still serve.
func TestPreboot(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	cfg := specOf(func(a *App) { a.Preboot = true })
	cfg.Now = func() time.Time { return now }
	s := start(t, cfg)
	patch(t, s, "new")
	if got, run := dynoStates(t, s)["web.1"], s.Running(prod)["A"]; got != "up" || run != "old" {
		t.Errorf("right after: web.1 %s, running %s, want up, old", got, run)
	}
	now = now.Add(prebootWindow)
	if run := s.Running(prod)["A"]; run != "new" {
		t.Errorf("after the window: running %s, want new", run)
	}
	if _, body := send(t, s, http.MethodGet, "/apps/raxx-api-prod/features/preboot", ""); !strings.Contains(string(body), `"enabled":true`) {
		t.Errorf("feature = %s, want enabled", body)
	}
}

func TestCrashAndNoDynos(t *testing.T) {
	s := start(t, specOf(func(a *App) { a.Boot = Boot{Hold: true, Crashes: true} }))
	s.AddOneOff(prod, "run")
	patch(t, s, "new")
	if diff := cmp.Diff(map[string]string{"run.2": "up", "web.1": "starting"}, dynoStates(t, s)); diff != "" {
		t.Errorf("held (-want +got)\n%s", diff)
	}
	s.FinishBoot(prod)
	if got := dynoStates(t, s)["web.1"]; got != "crashed" || s.Running(prod) != nil {
		t.Errorf("web.1 %s, running %v, want crashed and nothing", got, keys(s.Running(prod)))
	}
	none := start(t, specOf(func(a *App) { a.Processes = []Process{} }))
	patch(t, none, "new")
	if got := dynoStates(t, none); len(got) != 0 || none.Running(prod) != nil {
		t.Errorf("dynos %v, want none", got)
	}
}
