package github_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/github"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
	"github.com/raxx-app/keyturn/internal/sim/githubsim"
	"github.com/raxx-app/keyturn/internal/sim/simhttp"
)

// applied is a world in which the pair was written.
func applied(t *testing.T, cfg githubsim.Config) (*githubsim.Sim, *github.Repo, rotation.Receipt) {
	t.Helper()
	sim, repo := world(t, cfg)
	rec, err := repo.Apply(t.Context(), delivery(nil))
	if err != nil {
		t.Fatalf("Apply error = %v", err)
	}
	return sim, repo, rec
}

// R48: what GitHub's times say about our write.
func TestVerifyR48(t *testing.T) {
	tests := []struct {
		name   string
		change func(sim *githubsim.Sim, repo *github.Repo, d *rotation.Delivery)
		done   bool
		detail string // part
		reason string // of the error
	}{
		{name: "just written", done: true, detail: "both secrets written 2026-11-22 12:00:00 UTC"},
		{
			name: "stored one second after the answer, as recorded", done: true, detail: "12:00:01",
			change: func(sim *githubsim.Sim, _ *github.Repo, _ *rotation.Delivery) {
				sim.SetSecret("raxx", "raptor", "actions", idName, keyID, start.Add(time.Second))
			},
		},
		{
			name: "an older write", detail: secName + " was last written 2026-11-22 11:59:59 UTC, before the bot wrote it",
			change: func(sim *githubsim.Sim, _ *github.Repo, _ *rotation.Delivery) {
				sim.SetSecret("raxx", "raptor", "actions", secName, "old", start.Add(-time.Second))
			},
		},
		{
			name: "gone", detail: idName + " is not there yet",
			change: func(sim *githubsim.Sim, _ *github.Repo, _ *rotation.Delivery) {
				sim.DeleteSecret("raxx", "raptor", "actions", idName)
			},
		},
		{
			name: "written by somebody else since", reason: "overwritten",
			change: func(sim *githubsim.Sim, _ *github.Repo, _ *rotation.Delivery) {
				sim.SetSecret("raxx", "raptor", "actions", idName, "theirs", start.Add(time.Minute))
			},
		},
		{
			name: "receipt of another pair", reason: "other_receipt",
			change: func(_ *githubsim.Sim, _ *github.Repo, d *rotation.Delivery) { d.Print = "print-2" },
		},
		{
			name: "another store in bot.yml by now", reason: "other_receipt",
			change: func(_ *githubsim.Sim, repo *github.Repo, _ *rotation.Delivery) { repo.Environment = "paper" },
		},
		{
			name: "GitHub is away", reason: "unavailable",
			change: func(sim *githubsim.Sim, _ *github.Repo, _ *rotation.Delivery) {
				sim.Inject(simhttp.Fault{Method: http.MethodGet, Status: 502})
			},
		},
		{
			name: "null instead of a secret", reason: "bad_answer",
			change: func(sim *githubsim.Sim, _ *github.Repo, _ *rotation.Delivery) {
				sim.Inject(simhttp.Fault{Method: http.MethodGet, Status: 200, Body: "null"})
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sim, repo, rec := applied(t, githubsim.Config{})
			d := delivery(nil)
			if tt.change != nil {
				tt.change(sim, repo, &d)
			}
			proof, err := repo.Verify(t.Context(), d, rec)
			if proof.Done != tt.done || !strings.Contains(proof.Detail, tt.detail) {
				t.Errorf("Verify = %+v, want done %v, detail with %q", proof, tt.done, tt.detail)
			}
			if (err != nil) != (tt.reason != "") || err != nil && fault.ReasonOf(err) != tt.reason {
				t.Errorf("Verify error = %v, want reason %q", err, tt.reason)
			}
			if err != nil {
				noLeak(t, err)
			}
		})
	}
}

// GitHub stores the value before it stamps the answer. A second that begins in
// between must not make our own write look like an older one.
func TestVerifyAcrossASecond(t *testing.T) {
	sim, repo := world(t, githubsim.Config{Tick: time.Second})
	sim.SetStampOffset(-time.Second)
	rec, err := repo.Apply(t.Context(), delivery(nil))
	if err != nil {
		t.Fatalf("Apply error = %v", err)
	}
	if proof, err := repo.Verify(t.Context(), delivery(nil), rec); err != nil || !proof.Done {
		t.Errorf("Verify = %+v, %v, want done", proof, err)
	}
}

// Apply does nothing only if the receipt is of the same pair and nobody wrote
// since.
func TestApplyAgain(t *testing.T) {
	tests := []struct {
		name   string
		change func(sim *githubsim.Sim, repo *github.Repo, d *rotation.Delivery)
		writes int // of the second Apply
	}{
		{name: "same pair, untouched", writes: 0},
		{name: "other pair", writes: 2, change: func(_ *githubsim.Sim, _ *github.Repo, d *rotation.Delivery) { d.Print = "print-2" }},
		{name: "no receipt", writes: 2, change: func(_ *githubsim.Sim, _ *github.Repo, d *rotation.Delivery) { d.Last = nil }},
		{name: "no fingerprint", writes: 2, change: func(_ *githubsim.Sim, _ *github.Repo, d *rotation.Delivery) {
			last := *d.Last
			last.Print, d.Print, d.Last = "", "", &last
		}},
		{name: "one half written by somebody", writes: 2, change: func(sim *githubsim.Sim, _ *github.Repo, _ *rotation.Delivery) {
			sim.SetSecret("raxx", "raptor", "actions", secName, "theirs", start.Add(time.Hour))
		}},
		{name: "one half deleted", writes: 2, change: func(sim *githubsim.Sim, _ *github.Repo, _ *rotation.Delivery) {
			sim.DeleteSecret("raxx", "raptor", "actions", idName)
		}},
		{name: "cannot look", writes: 2, change: func(sim *githubsim.Sim, _ *github.Repo, _ *rotation.Delivery) {
			sim.Inject(simhttp.Fault{Method: http.MethodGet, Path: idAt, Status: 500, Times: 1})
		}},
		{name: "now also dependabot", writes: 4, change: func(_ *githubsim.Sim, repo *github.Repo, _ *rotation.Delivery) { repo.Dependabot = true }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sim, repo, rec := applied(t, githubsim.Config{})
			before := sim.Count(http.MethodPut, "")
			d := delivery(&rec)
			if tt.change != nil {
				tt.change(sim, repo, &d)
			}
			again, err := repo.Apply(t.Context(), d)
			if err != nil {
				t.Fatalf("second Apply error = %v", err)
			}
			if got := sim.Count(http.MethodPut, "") - before; got != tt.writes || again.Unchanged != (tt.writes == 0) {
				t.Errorf("second Apply: %d writes, unchanged %v, want %d writes", got, again.Unchanged, tt.writes)
			}
			holds(t, sim, githubsim.Actions)
			if proof, err := repo.Verify(t.Context(), d, again); err != nil || !proof.Done {
				t.Errorf("Verify = %+v, %v, want done", proof, err)
			}
		})
	}
}

// The gate tells what will fail, and never calls a write proven.
func TestReady(t *testing.T) {
	full := githubsim.FullAccess
	readOnly, noPush, expiring, blind := full(), full(), full(), full()
	readOnly.Secrets = githubsim.None
	noPush.Push, noPush.Admin = false, false
	expiring.Expires = start.Add(48 * time.Hour)
	blind.Repos = []string{"raxx/web"}
	unlisted, noEnv, noBot := full(), full(), full()
	unlisted.Actions, noEnv.Environments, noBot.Dependabot = githubsim.None, githubsim.None, githubsim.None
	tests := []struct {
		name   string
		access *githubsim.Access
		repo   func(*github.Repo)
		sim    func(*githubsim.Sim)
		level  rotation.Level
		reason string
		text   string // part of detail or problem
	}{
		{name: "all good", level: rotation.Unproven, text: "a write cannot be proven by reading"},
		{name: "token expires soon", access: &expiring, level: rotation.Unproven, text: "token expires 2026-11-24 12:00:00 UTC"},
		{name: "unknown token", access: &githubsim.Access{}, sim: func(s *githubsim.Sim) { s.Revoke(token) }, level: rotation.NotReady, reason: "bad_token", text: "wrong, expired or revoked"},
		{name: "may not write", access: &noPush, level: rotation.NotReady, reason: "no_push", text: "may read raxx/raptor but not write"},
		{name: "archived", sim: func(s *githubsim.Sim) { s.Archive("raxx", "raptor") }, level: rotation.NotReady, reason: "archived", text: "archived"},
		{name: "no Secrets permission", access: &readOnly, level: rotation.NotReady, reason: "forbidden", text: "Actions secrets"},
		{name: "repository not in the token", access: &blind, level: rotation.NotReady, reason: "not_found", text: "there is no such thing, or the token lacks"},
		{name: "unknown environment", repo: func(r *github.Repo) { r.Environment = "prod" }, level: rotation.NotReady, reason: "no_environment", text: "has no environment prod"},
		{name: "environment in other letters", repo: func(r *github.Repo) { r.Environment = "paper" }, sim: func(s *githubsim.Sim) { s.AddRepo("raxx", "raptor", "paper", "Paper-2") }, level: rotation.Unproven, text: "a write cannot be proven by reading"},
		{name: "unknown environment that cannot be listed", access: &unlisted, repo: func(r *github.Repo) { r.Environment = "prod" }, level: rotation.NotReady, reason: "not_found", text: "Environments: read and write"},
		{name: "no Environments permission", access: &noEnv, repo: func(r *github.Repo) { r.Environment = "paper" }, level: rotation.NotReady, reason: "forbidden", text: "environment paper"},
		{name: "no Dependabot permission", access: &noBot, repo: func(r *github.Repo) { r.Dependabot = true }, level: rotation.NotReady, reason: "forbidden", text: "Dependabot secrets"},
		{name: "not a name", repo: func(r *github.Repo) { r.Name = "raxx/raptor/../web" }, level: rotation.NotReady, reason: "bad_repo", text: "owner/name"},
		{name: "renamed", sim: func(s *githubsim.Sim) { s.Rename("raxx", "raptor", "hawk") }, level: rotation.NotReady, reason: "redirected", text: "renamed or moved"},
		{name: "away", sim: func(s *githubsim.Sim) { s.Inject(simhttp.Fault{Status: 500}) }, level: rotation.NotReady, reason: "unavailable", text: "status 500"},
		{name: "a person decides before a pause", access: &noPush, sim: func(s *githubsim.Sim) { s.Inject(simhttp.Fault{Path: keyAt, Status: 500}) }, level: rotation.NotReady, reason: "no_push", text: "not write"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sim, repo := world(t, githubsim.Config{})
			if tt.access != nil {
				sim.Grant(token, *tt.access)
			}
			if tt.sim != nil {
				tt.sim(sim)
			}
			if tt.repo != nil {
				tt.repo(repo)
			}
			got := repo.Ready(t.Context())
			if got.Level != tt.level || got.Problem.Reason != tt.reason || !strings.Contains(got.Detail+got.Problem.Text, tt.text) {
				t.Errorf("Ready = %+v, want level %s, reason %q, text with %q", got, tt.level, tt.reason, tt.text)
			}
			if got.Level == rotation.NotReady && got.Problem.Fix == "" {
				t.Errorf("Ready = %+v, want a fix", got)
			}
			if tt.access == &expiring && !hasFact(got.Facts, "token_expires", "2026-11-24") {
				t.Errorf("facts = %+v, want token_expires", got.Facts)
			}
			if n := sim.Count(http.MethodPut, ""); n != 0 {
				t.Errorf("Ready wrote %d times, want none", n)
			}
		})
	}
}

// Rate limits pass, and say how long; the same client may call again at once,
// so that a person's Retry does something.
func TestRateLimits(t *testing.T) {
	tests := []struct {
		name   string
		limit  func(*githubsim.Sim)
		lift   func(*githubsim.Sim)
		reason string
		wait   time.Duration
	}{
		{
			name: "primary", reason: "rate_limited", wait: time.Hour,
			limit: func(s *githubsim.Sim) { s.SetRemaining(0) }, lift: func(s *githubsim.Sim) { s.SetRemaining(100) },
		},
		{name: "secondary 403 that does not say", reason: "secondary_limit", wait: time.Minute, limit: func(s *githubsim.Sim) { s.Inject(githubsim.SecondaryLimit(403, 0)) }},
		{name: "secondary 429 that says", reason: "secondary_limit", wait: 9 * time.Second, limit: func(s *githubsim.Sim) { s.Inject(githubsim.SecondaryLimit(429, 9*time.Second)) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sim, repo := world(t, githubsim.Config{})
			tt.limit(sim)
			_, err := repo.Apply(t.Context(), delivery(nil))
			if fault.KindOf(err) != fault.Transient || fault.ReasonOf(err) != tt.reason || fault.RetryAfter(err) != tt.wait {
				t.Errorf("Apply error = %v (wait %v), want transient (%s), wait %v", err, fault.RetryAfter(err), tt.reason, tt.wait)
			}
			if tt.lift != nil {
				tt.lift(sim)
			}
			if _, err := repo.Apply(t.Context(), delivery(nil)); err != nil {
				t.Errorf("Apply after the limit: error = %v, want none", err)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	tests := []struct {
		name, url, token, reason string
	}{
		{name: "no scheme", url: "api.github.com", token: token, reason: "bad_url"},
		{name: "other scheme", url: "ftp://api.github.com", token: token, reason: "bad_url"},
		{name: "no token", url: "https://api.github.com", reason: "no_token"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := github.New(github.Config{URL: tt.url, Token: secret.New(tt.token), Now: clock})
			if fault.ReasonOf(err) != tt.reason {
				t.Errorf("New(%q) error = %v, want reason %s", tt.url, err, tt.reason)
			}
		})
	}
}
