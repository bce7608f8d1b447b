package github_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/raxx-app/keyturn/internal/github"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/sim/githubsim"
	"github.com/raxx-app/keyturn/internal/sim/simhttp"
)

// R49: who goes on with the old pair, because GitHub gives the nearest secret of
// a name, is said before the click and again with the proof.
func TestShadowsAreWarnedOfR49(t *testing.T) {
	const paper, repository, dependabot = "environments/paper", githubsim.Actions, githubsim.Dependabot
	noEnv, unlisted, noBot := githubsim.FullAccess(), githubsim.FullAccess(), githubsim.FullAccess()
	noEnv.Environments, unlisted.Actions, noBot.Dependabot = githubsim.None, githubsim.None, githubsim.None
	hidden := noBot
	hidden.Hide = true
	tests := []struct {
		name     string
		held     []string // stores that hold one of the names
		repo     func(*github.Repo)
		access   *githubsim.Access
		warns    []string // parts of the detail
		not      []string // parts that must be absent
		stores   string   // fact not_updated
		unlooked string   // fact not_looked_at
	}{
		{name: "nothing else", held: []string{repository}, not: []string{"⚠️", "may not see"}},
		{name: "environment beside the repository", held: []string{repository, paper}, warns: []string{"⚠️ jobs of the environment paper use that environment's own copy, which this rotation does not update"}, stores: "environment paper"},
		{name: "dependabot beside the repository", held: []string{dependabot}, warns: []string{"runs that Dependabot starts see only Dependabot's own copy"}, stores: "Dependabot secrets"},
		{name: "dependabot is written", held: []string{dependabot}, repo: func(r *github.Repo) { r.Dependabot = true }, not: []string{"⚠️"}},
		{name: "repository beside the environment", held: []string{repository, paper}, repo: func(r *github.Repo) { r.Environment = "paper" }, warns: []string{"jobs outside the environment paper use the repository's own copy"}, not: []string{"jobs of the environment"}, stores: "Actions secrets"},
		{name: "both", held: []string{paper, dependabot}, warns: []string{"jobs of the environment paper", "runs that Dependabot starts"}, stores: "environment paper and Dependabot secrets"},
		{name: "another consumer writes there", held: []string{paper, dependabot}, repo: func(r *github.Repo) { r.Covered = []github.Place{{Environment: "PAPER"}, {Dependabot: true}} }, not: []string{"⚠️"}},
		{name: "another consumer writes the repository's own", held: []string{repository}, repo: func(r *github.Repo) { r.Environment, r.Covered = "paper", []github.Place{{}} }, not: []string{"⚠️"}},
		{name: "environments cannot be listed", held: []string{paper}, access: &unlisted, warns: []string{"may not see whether there are copies in: environments"}, not: []string{"⚠️"}, unlooked: "environments"},
		{name: "environment cannot be looked into", held: []string{paper}, access: &noEnv, warns: []string{"copies in: environment paper"}, not: []string{"⚠️"}, unlooked: "environment paper"},
		{name: "dependabot cannot be looked into", held: []string{dependabot}, access: &noBot, warns: []string{"copies in: Dependabot secrets"}, not: []string{"⚠️"}, unlooked: "Dependabot secrets"},
		{name: "dependabot is hidden", held: []string{dependabot}, access: &hidden, warns: []string{"copies in: Dependabot secrets"}, not: []string{"⚠️"}, unlooked: "Dependabot secrets"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sim, repo := world(t, githubsim.Config{})
			for i, store := range tt.held { // one of the two is enough
				sim.SetSecret("raxx", "raptor", store, []string{idName, secName}[i%2], "old", start)
			}
			if tt.access != nil {
				sim.Grant(token, *tt.access)
			}
			if tt.repo != nil {
				tt.repo(repo)
			}
			check := func(detail string, facts []rotation.Fact, parts []string) {
				for _, part := range parts {
					if !strings.Contains(detail, part) {
						t.Errorf("detail %q lacks %q", detail, part)
					}
				}
				for _, part := range tt.not {
					if strings.Contains(detail, part) {
						t.Errorf("detail %q has %q", detail, part)
					}
				}
				if (tt.stores != "") != hasFact(facts, "not_updated", tt.stores) || (tt.unlooked != "") != hasFact(facts, "not_looked_at", tt.unlooked) {
					t.Errorf("facts = %+v, want not_updated %q and not_looked_at %q", facts, tt.stores, tt.unlooked)
				}
			}
			ready := repo.Ready(t.Context())
			if ready.Level != rotation.Unproven {
				t.Fatalf("Ready = %+v, want unproven", ready)
			}
			check(ready.Detail, ready.Facts, tt.warns)
			rec, err := repo.Apply(t.Context(), delivery(nil))
			if err != nil {
				t.Fatalf("Apply error = %v", err)
			}
			before := len(sim.Calls())
			proof, err := repo.Verify(t.Context(), delivery(nil), rec)
			if err != nil || !proof.Done || len(sim.Calls())-before != len(rec.Data)/2 {
				t.Fatalf("Verify = %+v, %v after %d calls, want done, and no call beyond one a secret", proof, err, len(sim.Calls())-before)
			}
			if tt.stores == "" {
				tt.warns = nil // the proof repeats what is known, not what is not
			}
			check(proof.Detail, proof.Facts, tt.warns)
		})
	}
}

// A list of environments that fails or is not one stops nobody.
func TestShadowNeverFails(t *testing.T) {
	for _, f := range []simhttp.Fault{
		{Status: 500}, {Status: 200, Body: "<html>"}, {Status: 200, Body: "null"}, {Status: 200, Body: `{"environments":[null,{},{"name":"../x"},{"name":"a\u0000b"}]}`}, {Cut: true},
	} {
		sim, repo := world(t, githubsim.Config{})
		f.Method, f.Path = http.MethodGet, repoAt+"/environments"
		sim.Inject(f)
		if ready := repo.Ready(t.Context()); ready.Level != rotation.Unproven {
			t.Errorf("%+v: Ready = %+v, want unproven", f, ready)
		}
		if n := sim.Count("", repoAt+"/environments/"); n != 0 {
			t.Errorf("%+v: %d calls for environments that are none", f, n)
		}
	}
}

// What runs already queued, or jobs already started, keep depends on the store.
func TestWhoKeepsTheOldValueR48(t *testing.T) {
	for env, want := range map[string]string{"": "runs already queued", "paper": "jobs already started"} {
		_, repo := world(t, githubsim.Config{})
		repo.Environment = env
		rec, err := repo.Apply(t.Context(), delivery(nil))
		if err != nil || !hasFact(rec.Facts, "queued_runs", want+" keep the old value") {
			t.Errorf("environment %q: receipt %+v, %v, want %q", env, rec.Facts, err, want)
		}
	}
}
