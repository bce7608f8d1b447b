package github_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/github"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/sim/githubsim"
	"github.com/raxx-app/keyturn/internal/sim/simhttp"
)

// What GitHub's times say of somebody else's writes, in every store.
func TestKeeps(t *testing.T) {
	later := start.Add(time.Hour)
	tests := []struct {
		name    string
		change  func(sim *githubsim.Sim, repo *github.Repo, d *rotation.Delivery)
		changed bool
		detail  string
		reason  string // of the error
	}{
		{name: "untouched"},
		{name: "stored a second later, as recorded", change: func(sim *githubsim.Sim, _ *github.Repo, _ *rotation.Delivery) {
			sim.SetSecret("raxx", "raptor", githubsim.Actions, idName, keyID, start.Add(time.Second))
		}},
		{
			name: "written by somebody else", changed: true, detail: secName + " of raxx/raptor was written 2026-11-22 13:00:00 UTC by somebody else",
			change: func(sim *githubsim.Sim, _ *github.Repo, _ *rotation.Delivery) {
				sim.SetSecret("raxx", "raptor", githubsim.Actions, secName, "theirs", later)
			},
		},
		{
			name: "Dependabot's copy written", changed: true, detail: idName + " (Dependabot secrets) of raxx/raptor was written 2026-11-22 13:00:00 UTC by somebody else",
			change: func(sim *githubsim.Sim, _ *github.Repo, _ *rotation.Delivery) {
				sim.SetSecret("raxx", "raptor", githubsim.Dependabot, idName, "theirs", later)
			},
		},
		{
			name: "deleted", changed: true, detail: idName + " of raxx/raptor is not there any more, or the token may not see it",
			change: func(sim *githubsim.Sim, _ *github.Repo, _ *rotation.Delivery) {
				sim.DeleteSecret("raxx", "raptor", githubsim.Actions, idName)
			},
		},
		{
			name: "older than our write", changed: true, detail: idName + " of raxx/raptor was last written 2026-11-22 11:00:00 UTC, before the bot wrote it 2026-11-22 12:00:00 UTC",
			change: func(sim *githubsim.Sim, _ *github.Repo, _ *rotation.Delivery) {
				sim.SetSecret("raxx", "raptor", githubsim.Actions, idName, "theirs", start.Add(-time.Hour))
			},
		},
		{
			name: "no receipt", detail: "the bot has not written it yet",
			change: func(_ *githubsim.Sim, _ *github.Repo, d *rotation.Delivery) { d.Last = nil },
		},
		{
			name: "receipt of other stores", detail: "the bot has not written it yet as bot.yml says now",
			change: func(_ *githubsim.Sim, repo *github.Repo, _ *rotation.Delivery) { repo.Environment = "paper" },
		},
		{
			name: "GitHub is away", reason: "unavailable",
			change: func(sim *githubsim.Sim, _ *github.Repo, _ *rotation.Delivery) { sim.Inject(simhttp.Fault{Status: 502}) },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sim, repo := world(t, githubsim.Config{})
			repo.Dependabot = true
			rec, err := repo.Apply(t.Context(), delivery(nil))
			if err != nil {
				t.Fatalf("Apply error = %v", err)
			}
			writes := sim.Count(http.MethodPut, "")
			d := delivery(&rec)
			if tt.change != nil {
				tt.change(sim, repo, &d)
			}
			got, err := repo.Keeps(t.Context(), d)
			if (err != nil) != (tt.reason != "") || err != nil && fault.ReasonOf(err) != tt.reason {
				t.Errorf("Keeps error = %v, want reason %q", err, tt.reason)
			}
			if diff := cmp.Diff(rotation.Drift{Changed: tt.changed, Detail: tt.detail}, rotation.Drift{Changed: got.Changed, Detail: got.Detail}); diff != "" {
				t.Errorf("Keeps (-want +got):\n%s", diff)
			}
			if n := sim.Count(http.MethodPut, ""); n != writes {
				t.Errorf("Keeps wrote %d times, want none", n-writes)
			}
		})
	}
}

// A token whose end GitHub does not tell is unknown, not everlasting; one that
// ends is named by its day, and said aloud when that is near.
func TestReadyTokenExpires(t *testing.T) {
	tests := []struct {
		name    string
		expires time.Time
		fact    string // "" means none
		detail  string // what follows the usual detail
	}{
		{name: "not said"},
		{name: "in 13 days", expires: start.Add(13 * 24 * time.Hour), fact: "2026-12-05", detail: "; the bot's own GitHub token expires 2026-12-05 12:00:00 UTC"},
		{name: "in 15 days", expires: start.Add(15 * 24 * time.Hour), fact: "2026-12-07"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sim, repo := world(t, githubsim.Config{})
			access := githubsim.FullAccess()
			access.Expires = tt.expires
			sim.Grant(token, access)
			got := repo.Ready(t.Context())
			fact := ""
			for _, f := range got.Facts {
				if f.Name == "token_expires" {
					fact = f.Value
				}
			}
			if fact != tt.fact {
				t.Errorf("fact token_expires = %q, want %q", fact, tt.fact)
			}
			if want := "public key readable; a write cannot be proven by reading" + tt.detail; got.Detail != want {
				t.Errorf("detail = %q, want %q", got.Detail, want)
			}
		})
	}
}
