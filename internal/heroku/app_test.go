package heroku

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
	"github.com/raxx-app/keyturn/internal/sim/herokusim"
	"github.com/raxx-app/keyturn/internal/sim/simhttp"
)

const (
	prod     = "raxx-api-prod"
	varsPath = "/apps/raxx-api-prod/config-vars"
	keyName  = "ALPACA_PAPER_API_KEY_ID"
	secName  = "ALPACA_PAPER_API_SECRET_KEY"
	token    = "HRKU-0000-planted-token"
)

var (
	names   = rotation.Names{KeyID: keyName, Secret: secName}
	stamp   = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	newPair = pairOf("PKNEWPLANTED0001", "planted/new+secret=value")
	oldVars = map[string]string{keyName: "PKOLD", secName: "old-secret", "RAILS_ENV": "production"}
)

func pairOf(keyID, sec string) rotation.Pair {
	return rotation.Pair{KeyID: secret.New(keyID), Secret: secret.New(sec)}
}

func delivery() rotation.Delivery {
	return rotation.Delivery{Rotation: "r0000000000", KeySet: "prod", Pair: newPair, Print: "0123456789ab"}
}

// start runs the simulator with one app, changed by change, and returns both.
func start(t *testing.T, change func(*herokusim.App)) (*herokusim.Sim, *App) {
	t.Helper()
	spec := herokusim.App{Name: prod, Vars: oldVars, Version: 41}
	if change != nil {
		change(&spec)
	}
	sim := herokusim.New(herokusim.Config{Tokens: map[string]herokusim.Token{token: {}}, Apps: []herokusim.App{spec}})
	if err := sim.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sim.Close() })
	return sim, appAt(t, sim.URL(), nil)
}

func appAt(t *testing.T, url string, transport http.RoundTripper) *App {
	t.Helper()
	c := New(Config{URL: url, Token: secret.New(token), Transport: transport, Now: func() time.Time { return stamp }})
	t.Cleanup(c.Close)
	return &App{Client: c, Name: prod, Names: names}
}

func apply(t *testing.T, a *App) rotation.Receipt {
	t.Helper()
	r, err := a.Apply(t.Context(), delivery())
	if err != nil {
		t.Fatalf("Apply: %v", err)
	}
	return r
}

// verify wants no error.
func verify(t *testing.T, a *App, r rotation.Receipt) rotation.Proof {
	t.Helper()
	p, err := a.Verify(t.Context(), delivery(), r)
	if err != nil {
		t.Fatalf("Verify: %v", err)
	}
	return p
}

func factOf(facts []rotation.Fact, name string) string {
	for _, f := range facts {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// TestApplySetsBothInOneRelease: R44. R45 is the same for the second app.
func TestApplySetsBothInOneRelease(t *testing.T) {
	sim, prodApp := start(t, nil)
	sim.AddApp(herokusim.App{Name: "raxx-api-staging", Vars: oldVars, Version: 7})
	stagingApp := &App{Client: prodApp.Client, Name: "raxx-api-staging", Names: names}
	for _, tt := range []struct {
		app  *App
		want string
	}{{prodApp, "42"}, {stagingApp, "8"}} {
		r := apply(t, tt.app)
		want := rotation.Receipt{
			At: stamp, Print: "0123456789ab", Data: map[string]string{dataRelease: tt.want, dataAfter: fmt.Sprint(len(tt.want)*34 - 27)},
			Facts: []rotation.Fact{{Name: "release", Label: "Release", Value: "v" + tt.want}},
		}
		if diff := cmp.Diff(want, r); diff != "" {
			t.Errorf("%s: receipt (-want +got)\n%s", tt.app.Name, diff)
		}
		wantVars := map[string]string{keyName: newPair.KeyID.Reveal(), secName: newPair.Secret.Reveal(), "RAILS_ENV": "production"}
		if !cmp.Equal(wantVars, sim.Vars(tt.app.Name)) || !cmp.Equal(wantVars, sim.Running(tt.app.Name)) {
			t.Errorf("%s: vars or running vars are not the new pair with the rest untouched", tt.app.Name)
		}
		if rel := sim.Releases(tt.app.Name); len(rel) != 2 {
			t.Errorf("%s: %d releases, want 2", tt.app.Name, len(rel))
		}
		if p := verify(t, tt.app, r); !p.Done || factOf(p.Facts, "release") != "v"+tt.want+" succeeded" || factOf(p.Facts, "dynos") != "1 up on v"+tt.want+" or later" {
			t.Errorf("%s: proof = %+v, want done with release and dynos", tt.app.Name, p)
		}
	}
}

func TestApplyTwiceWritesOnce(t *testing.T) {
	sim, a := start(t, nil)
	apply(t, a)
	r := apply(t, a)
	if !r.Unchanged || r.Data[dataRelease] != "42" || r.Print == "" || r.At != stamp {
		t.Errorf("second receipt = %+v, want unchanged, release 42", r)
	}
	if n := sim.Count(http.MethodPatch, varsPath); n != 1 {
		t.Errorf("%d PATCHes, want 1", n)
	}
	if p := verify(t, a, r); !p.Done {
		t.Errorf("proof = %+v, want done", p)
	}
}

// TestLostReply: whatever the app's release phase, the next Apply finds what
// the first one did, and nothing is done twice.
func TestLostReply(t *testing.T) {
	for name, phase := range map[string]herokusim.Phase{
		"no release phase":           {},
		"pending, old values shown":  {On: true, Hold: true},
		"pending, new values shown":  {On: true, Hold: true, Shows: herokusim.ShowsPending},
		"finished in the meantime":   {On: true},
		"new values shown for ever":  {On: true, Hold: true, Shows: herokusim.ShowsNewest},
		"release phase takes a bit":  {On: true, Takes: time.Hour},
		"release phase with no hold": {On: true, Shows: herokusim.ShowsNewest},
	} {
		t.Run(name, func(t *testing.T) {
			sim, a := start(t, func(s *herokusim.App) { s.Phase = phase })
			sim.Inject(simhttp.Fault{Method: http.MethodPatch, Times: 1, LoseReply: true})
			if _, err := a.Apply(t.Context(), delivery()); fault.KindOf(err) != fault.Unknown || fault.ReasonOf(err) != "no_answer" {
				t.Fatalf("Apply with a lost reply = %v, want unknown (no_answer)", err)
			}
			r := apply(t, a)
			if !r.Unchanged || r.Data[dataRelease] != "42" {
				t.Errorf("receipt = %+v, want unchanged, release 42", r)
			}
			if n := sim.Count(http.MethodPatch, ""); n != 1 {
				t.Errorf("%d PATCHes, want 1", n)
			}
			if phase.Hold {
				if p := verify(t, a, r); p.Done || !strings.Contains(p.Detail, "v42 is pending") {
					t.Errorf("proof = %+v, want release v42 pending", p)
				}
				sim.FinishRelease(prod, true)
			}
			if phase.Takes == 0 {
				if p := verify(t, a, r); !p.Done {
					t.Errorf("proof = %+v, want done", p)
				}
			}
		})
	}
}

// TestPendingReleaseOfSomebodyElse: a pending release that sets our names to
// other values is not taken for ours.
func TestPendingReleaseOfSomebodyElse(t *testing.T) {
	sim, a := start(t, func(s *herokusim.App) { s.Phase = herokusim.Phase{On: true, Hold: true} })
	sim.Overwrite(prod, "dev@example.com", map[string]string{keyName: "PKX", secName: "x"})
	if r := apply(t, a); r.Unchanged || r.Data[dataRelease] != "43" {
		t.Errorf("receipt = %+v, want release 43 of our own", r)
	}
}

// TestFindsOwnRelease: a deploy between the write and the look is not taken for
// ours.
func TestFindsOwnRelease(t *testing.T) {
	sim, _ := start(t, nil)
	once := &deployAfterPatch{sim: sim}
	a := appAt(t, sim.URL(), once)
	if r := apply(t, a); r.Data[dataRelease] != "42" {
		t.Errorf("receipt = %+v, want release 42, not the deploy v43", r)
	}
	if got := sim.Releases(prod)[2].Description; !strings.HasPrefix(got, "Deploy") {
		t.Fatalf("v43 = %q, want the deploy", got)
	}
}

type deployAfterPatch struct{ sim *herokusim.Sim }

func (d *deployAfterPatch) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if r.Method == http.MethodPatch {
		d.sim.Deploy(prod, "dev@example.com")
	}
	return resp, err
}

// TestReleaseListFailsAfterWrite: the write is done, so Apply is; Verify finds
// the release.
func TestReleaseListFailsAfterWrite(t *testing.T) {
	sim, _ := start(t, nil)
	a := appAt(t, sim.URL(), &failAfterPatch{sim: sim})
	r := apply(t, a)
	if r.Data[dataRelease] != "" || r.Data[dataAfter] != "41" {
		t.Errorf("receipt = %+v, want no release, after 41", r)
	}
	if p := verify(t, a, r); !p.Done || factOf(p.Facts, "release") != "v42 succeeded" {
		t.Errorf("proof = %+v, want done on v42", p)
	}
	if p := verify(t, a, rotation.Receipt{Data: map[string]string{dataAfter: "42"}}); p.Done {
		t.Errorf("proof without a release above v42 = %+v, want not done", p)
	}
}

type failAfterPatch struct{ sim *herokusim.Sim }

func (f *failAfterPatch) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if r.Method == http.MethodPatch {
		f.sim.FailNext(http.StatusBadGateway)
	}
	return resp, err
}

// TestReleasePhase: R54, R67. A pending release is waited for; a failed one is
// said with its fix, never with a rollback; after the fix Retry makes a new one.
func TestReleasePhase(t *testing.T) {
	for name, shows := range map[string]herokusim.Echo{"old": herokusim.ShowsOld, "pending": herokusim.ShowsPending, "newest": herokusim.ShowsNewest} {
		t.Run("shows "+name, func(t *testing.T) {
			sim, a := start(t, func(s *herokusim.App) { s.Phase = herokusim.Phase{On: true, Hold: true, Shows: shows} })
			r := apply(t, a)
			if w := factOf(r.Facts, "warning"); !strings.HasPrefix(w, "Release command executing") {
				t.Errorf("warning fact = %q, want Heroku's", w)
			}
			if p := verify(t, a, r); p.Done || !strings.Contains(p.Detail, "v42 is pending") {
				t.Errorf("proof = %+v, want pending", p)
			}
			sim.FinishRelease(prod, false)
			_, err := a.Verify(t.Context(), delivery(), r)
			if fault.KindOf(err) != fault.Invalid || fault.ReasonOf(err) != "release_failed" {
				t.Fatalf("Verify of a failed release = %v, want invalid (release_failed)", err)
			}
			text := fault.UserText(err) + fault.FixText(err)
			for _, want := range []string{"v42", prod, "fix the release command", "Retry", "old pair no longer works"} {
				if !strings.Contains(text, want) {
					t.Errorf("text %q lacks %q", text, want)
				}
			}
			if strings.Contains(strings.ToLower(text), "rollback") || strings.Contains(text, "releases:rollback") {
				t.Errorf("text %q offers a rollback", text)
			}
			sim.SetPhase(prod, herokusim.Phase{On: true, Shows: shows})
			again := apply(t, a)
			if again.Unchanged || again.Data[dataRelease] != "43" {
				t.Errorf("receipt of the retry = %+v, want a new release 43", again)
			}
			if p := verify(t, a, again); !p.Done {
				t.Errorf("proof of the retry = %+v, want done", p)
			}
		})
	}
}

// TestFailedReleaseThatCannotBeRepeated: the vars show the pair, its release
// failed, and setting them again makes none. That is said at once.
func TestFailedReleaseThatCannotBeRepeated(t *testing.T) {
	sim, a := start(t, func(s *herokusim.App) {
		s.Phase, s.SkipsNoop = herokusim.Phase{On: true, Fails: true, Shows: herokusim.ShowsNewest}, true
	})
	apply(t, a)
	if r, err := a.Apply(t.Context(), delivery()); fault.ReasonOf(err) != "release_failed" {
		t.Errorf("Apply = %+v, %v, want release_failed", r, err)
	}
	if n := len(sim.Releases(prod)); n != 2 {
		t.Errorf("%d releases, want 2", n)
	}
}

// TestFixDeployedByHand: a deploy that came after our failed release carries
// the pair, so nothing is written again.
func TestFixDeployedByHand(t *testing.T) {
	sim, a := start(t, func(s *herokusim.App) { s.Phase = herokusim.Phase{On: true, Fails: true, Shows: herokusim.ShowsNewest} })
	apply(t, a)
	sim.SetPhase(prod, herokusim.Phase{Shows: herokusim.ShowsNewest})
	sim.Deploy(prod, "dev@example.com")
	r := apply(t, a)
	if !r.Unchanged || r.Data[dataRelease] != "43" {
		t.Errorf("receipt = %+v, want unchanged on v43", r)
	}
	if p := verify(t, a, r); !p.Done {
		t.Errorf("proof = %+v, want done", p)
	}
}

// TestReadyLevels: R17 of the gate; reading proves nothing about writing.
func TestReadyLevels(t *testing.T) {
	tests := []struct {
		name           string
		change         func(*herokusim.Sim)
		level          rotation.Level
		detail, reason string
		fix            string
	}{
		{"both names there", func(*herokusim.Sim) {}, rotation.Unproven, "Both names are there.", "", ""},
		{"one name absent", func(s *herokusim.Sim) { s.AddApp(herokusim.App{Name: prod, Vars: map[string]string{keyName: "x"}}) }, rotation.Unproven, secName + " will be created", "", ""},
		{"last release failed", func(s *herokusim.Sim) {
			s.SetPhase(prod, herokusim.Phase{On: true, Fails: true})
			s.Deploy(prod, "dev@example.com")
		}, rotation.Unproven, "The newest release v42 failed", "", ""},
		{"release pending", func(s *herokusim.Sim) {
			s.SetPhase(prod, herokusim.Phase{On: true, Hold: true})
			s.Deploy(prod, "dev@example.com")
		}, rotation.Unproven, "Release v42 is still pending", "", ""},
		{"scope write-protected", func(s *herokusim.Sim) { s.SetToken(token, herokusim.Token{Scopes: []string{"write-protected"}}) }, rotation.Unproven, "Both names", "", ""},
		{"may only read", func(s *herokusim.Sim) { s.SetToken(token, herokusim.Token{Scopes: []string{"read-protected"}}) }, rotation.NotReady, "can read", "scope_missing", "write-protected"},
		{"plain scopes", func(s *herokusim.Sim) { s.SetToken(token, herokusim.Token{Scopes: []string{"read", "write"}}) }, rotation.NotReady, "global read-protected write-protected", "scope_missing", "write-protected"},
		{"token revoked", func(s *herokusim.Sim) { s.RevokeToken(token) }, rotation.NotReady, "does not accept", "token_rejected", "-s write-protected"},
		{"no access", func(s *herokusim.Sim) { s.SetToken(token, herokusim.Token{Apps: []string{"x"}}) }, rotation.NotReady, "no access to raxx-api-prod", "forbidden", "write-protected"},
		{"rate limit", func(s *herokusim.Sim) { s.SetRemaining(token, 0) }, rotation.NotReady, "rate limit", "rate_limited", "Wait"},
		{"heroku is down", func(s *herokusim.Sim) { s.Inject(simhttp.Fault{Status: 503}) }, rotation.NotReady, "not available", "unavailable", "status.heroku.com"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sim, a := start(t, nil)
			tt.change(sim)
			got := a.Ready(t.Context())
			if got.Level != tt.level || !strings.Contains(got.Detail, tt.detail) || got.Problem.Reason != tt.reason || !strings.Contains(got.Problem.Fix, tt.fix) {
				t.Errorf("Ready = %+v, want %s with %q, reason %q, fix with %q", got, tt.level, tt.detail, tt.reason, tt.fix)
			}
			if n := sim.Count(http.MethodPatch, ""); n != 0 {
				t.Errorf("%d writes, want none", n)
			}
		})
	}
	sim, a := start(t, nil)
	a.Name = "raxx-api-typo"
	if got := a.Ready(t.Context()); got.Problem.Reason != "app_not_found" || !strings.Contains(got.Problem.Fix, "write-protected") {
		t.Errorf("Ready of an unknown app = %+v, want app_not_found", got)
	}
	_ = sim
}

// TestRefusesHalfAPair: R4. Nothing is sent.
func TestRefusesHalfAPair(t *testing.T) {
	sim, a := start(t, nil)
	d := delivery()
	d.Pair.Secret = secret.Text{}
	if _, err := a.Apply(t.Context(), d); err == nil || len(sim.Calls()) != 0 {
		t.Errorf("Apply of half a pair = %v with %d calls, want an error and none", err, len(sim.Calls()))
	}
}

// TestDependentCalls counts calls that wait for one another: with 100 ms each,
// an outage lasts that much longer. The clock is synctest's.
func TestDependentCalls(t *testing.T) {
	sim, _ := start(t, nil)
	const each = 100 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		a := appAt(t, sim.URL(), slow{each, &http.Transport{DisableKeepAlives: true}})
		waves := func(f func()) int {
			begin := time.Now()
			f()
			return int(time.Since(begin) / each)
		}
		var r rotation.Receipt
		var got []int
		got = append(got, waves(func() { a.Ready(t.Context()) }))
		got = append(got, waves(func() { r = apply(t, a) }))
		got = append(got, waves(func() { verify(t, a, r) }))
		got = append(got, waves(func() { apply(t, a) }))
		if want := []int{1, 3, 1, 1}; !slices.Equal(got, want) {
			t.Errorf("dependent calls of Ready, Apply, Verify, repeated Apply = %v, want %v", got, want)
		}
	})
}

type slow struct {
	each time.Duration
	base http.RoundTripper
}

func (s slow) RoundTrip(r *http.Request) (*http.Response, error) {
	time.Sleep(s.each)
	return s.base.RoundTrip(r)
}

// TestReceiptSurvivesStorage: what Verify needs is in the stored form.
func TestReceiptSurvivesStorage(t *testing.T) {
	_, a := start(t, nil)
	data, err := json.Marshal(apply(t, a))
	if err != nil {
		t.Fatal(err)
	}
	var r rotation.Receipt
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	if p := verify(t, a, r); !p.Done {
		t.Errorf("proof from a stored receipt = %+v, want done", p)
	}
}
