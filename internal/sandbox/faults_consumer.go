package sandbox

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/sim/githubsim"
	"github.com/raxx-app/keyturn/internal/sim/herokusim"
	"github.com/raxx-app/keyturn/internal/sim/raptorsim"
	"github.com/raxx-app/keyturn/internal/sim/simhttp"
)

// Names of consumers, as bot.yml of the world has them.
const (
	ciConsumer      = "integration-ci"
	nightlyConsumer = "nightly-ci"
)

// consumerFaults are about the places that must get the pair.
func consumerFaults() []Fault {
	return []Fault{
		{
			Name: "heroku-500", What: "Heroku answers the first three writes with error 500: the bot looks whether they were done, and writes again by itself.",
			Prepare: func(w *World) error {
				w.Heroku.Inject(writes(prodApp, simhttp.Fault{Status: http.StatusInternalServerError, Times: 3}))
				return nil
			},
			Also: func(s *Scene, r Report) []Check {
				return append(oneReleaseEach(s, r), hit("Heroku answered 500", s.Heroku, http.MethodPatch, http.StatusInternalServerError, 3))
			},
		},
		{
			Name: "heroku-429", What: "Heroku's rate limit is used up: the bot waits as long as Heroku says and writes again by itself.",
			Prepare: func(w *World) error {
				w.Heroku.Inject(writes(prodApp, simhttp.Fault{Status: http.StatusTooManyRequests, Times: 2, Header: http.Header{"Retry-After": {"1"}}, Body: `{"id":"rate_limit","message":"Your account reached the API rate limit."}`}))
				return nil
			},
			Also: func(s *Scene, r Report) []Check {
				return append(oneReleaseEach(s, r), hit("Heroku answered 429", s.Heroku, http.MethodPatch, http.StatusTooManyRequests, 2))
			},
		},
		{
			Name: "heroku-release-fails", What: "The release command of an app fails, so the new pair is not live there: somebody mends it and presses Retry.",
			Prepare: func(w *World) error { w.Heroku.SetPhase(prodApp, herokusim.Phase{On: true, Fails: true}); return nil },
			Act: func(s *Scene) error {
				return s.mended(prodApp, "its release command ended with an error", "the release command is mended", func() {
					s.Heroku.SetPhase(prodApp, herokusim.Phase{On: true})
				})
			},
			Also: func(s *Scene, _ Report) []Check {
				return []Check{{"one release failed and the next one is live", s.releases(prodApp, "failed", "succeeded")}}
			},
		},
		{
			Name: "heroku-no-permission", What: "The bot's Heroku token may not write: step 1 finds it before the click, and the rotation is cancelled.",
			Prepare: func(w *World) error {
				w.Heroku.SetToken(herokuToken, herokusim.Token{Scopes: []string{"read-protected"}})
				return nil
			},
			Act: func(s *Scene) error {
				if err := s.Ada.begin(s.ctx); err != nil {
					return err
				}
				if err := s.Ada.see(s.ctx, "write-protected is needed", "2 failed"); err != nil {
					return err
				}
				return s.Ada.cancel(s.ctx, "the Heroku token must be replaced first")
			},
			End: cancelled,
			Also: func(s *Scene, _ Report) []Check {
				return []Check{{"the record says that it was cancelled", s.recorded("secret.rotate.cancelled", 1)}}
			},
		},
		{
			Name: "github-404", What: "The bot's GitHub token lost its access to the repository after the click: its consumers fail, the others go on, and Retry does them when access is back.",
			Act: func(s *Scene) error {
				if err := s.generated(); err != nil {
					return err
				}
				s.GitHub.Grant(githubToken, githubsim.Access{Secrets: githubsim.Write, Push: true, Admin: true, Repos: []string{"raxx/another"}})
				s.Say("the GitHub token loses its access to " + repoOwner + "/" + repoName)
				return s.mendedAfter(repoOwner+"/"+repoName, "access is given back", func() { s.GitHub.Grant(githubToken, githubsim.FullAccess()) }, ciConsumer, nightlyConsumer)
			},
		},
		{
			Name: "github-secondary-limit", What: "GitHub's secondary rate limit refuses two writes: the bot waits as long as GitHub says and writes again by itself.",
			Prepare: func(w *World) error {
				for range 2 {
					f := githubsim.SecondaryLimit(http.StatusForbidden, time.Second)
					f.Method = http.MethodPut
					w.GitHub.Inject(f)
				}
				return nil
			},
			Also: func(s *Scene, _ Report) []Check {
				return []Check{hit("GitHub refused a write", s.GitHub, http.MethodPut, http.StatusForbidden, 2)}
			},
		},
		{
			Name: "downstream-not-active", What: "The app has the new pair but its own endpoint does not say ACTIVE, because it still works with the old one: somebody restarts it and presses Retry.",
			Limits: func(l *rotation.Limits) { l.Downstream = 2 * time.Second },
			Prepare: func(w *World) error {
				w.Raptor.SetOptions(raptorsim.Options{Lag: time.Hour})
				return w.visitRaptor() // so that it has started with the old pair
			},
			Act: func(s *Scene) error {
				return s.mended(prodApp, "does not work with it yet", "the app's process is restarted", func() { s.Raptor.SetOptions(raptorsim.Options{}) })
			},
			Also: oneReleaseEach,
		},
		dynosCrash(),
		slowConsumer(),
		{
			Name: "lost-reply", What: "Infisical, Heroku and GitHub do what they are told but their answers are lost: the bot looks before it repeats, and nothing is done twice.",
			Act: func(s *Scene) error {
				return s.rotateWith(func() error {
					s.Infisical.Inject(simhttp.Fault{Method: http.MethodPatch, Path: vaultBatch, Times: 1, LoseReply: true})
					s.Heroku.Inject(writes(prodApp, simhttp.Fault{Times: 1, LoseReply: true}))
					s.Heroku.Inject(writes(stagingApp, simhttp.Fault{Times: 1, LoseReply: true}))
					s.GitHub.Inject(simhttp.Fault{Method: http.MethodPut, Times: 1, LoseReply: true})
					s.Say("the next answer of Infisical, GitHub and each Heroku app will be lost")
					return nil
				})
			},
			Also: func(s *Scene, r Report) []Check {
				return append(oneReleaseEach(s, r), hit("an answer of Infisical was lost", s.Infisical, http.MethodPatch, 0, 1),
					hit("an answer of Heroku was lost", s.Heroku, http.MethodPatch, 0, 2), hit("an answer of GitHub was lost", s.GitHub, http.MethodPut, 0, 1))
			},
		},
	}
}

// dynosCrash has an app that does not run, whatever pair it has.
func dynosCrash() Fault {
	return Fault{
		Name: "dynos-crash", What: "An app has the new pair but its dynos crash for another reason: it cannot be proven, so the operator accepts it with a reason.",
		Limits:  func(l *rotation.Limits) { l.Live = 2 * time.Second },
		Prepare: func(w *World) error { w.Heroku.SetBoot(stagingApp, herokusim.Boot{Crashes: true}); return nil },
		Act: func(s *Scene) error {
			if err := s.generated(); err != nil {
				return err
			}
			if err := s.Ada.seal(s.ctx, s.Key); err != nil {
				return err
			}
			if err := s.Ada.see(s.ctx, stagingApp+" has the new pair but does not work with it yet: crashed"); err != nil {
				return err
			}
			if err := s.Ada.press(s.ctx, acceptButton, stagingApp); err != nil {
				return err
			}
			if err := s.Ada.form(s.ctx, "Accept", map[string]string{whyField: "staging crashes since yesterday's deploy, with any pair"}); err != nil {
				return err
			}
			if err := s.Ada.finished(s.ctx); err != nil {
				return err
			}
			_, err := s.ops("rotated, but 1 thing was accepted without proof", "Deviations:", stagingApp+" was accepted without proof", "since yesterday's deploy")
			return err
		},
		Differs: Differences{Down: stagingApp},
	}
}

// slowConsumer lets one app take its time.
func slowConsumer() Fault {
	return Fault{
		Name: "slow-consumer", What: "One Heroku app is slow to answer and to start: all the others have the new pair and are verified meanwhile.",
		Prepare: func(w *World) error { w.Heroku.SetBoot(stagingApp, herokusim.Boot{Hold: true}); return nil },
		Act: func(s *Scene) error {
			if err := s.generated(); err != nil {
				return err
			}
			s.Heroku.Inject(writes(stagingApp, simhttp.Fault{Times: 1, Delay: time.Second}))
			s.Say(stagingApp + " will take its time")
			if err := s.Ada.seal(s.ctx, s.Key); err != nil {
				return err
			}
			if err := s.Ada.see(s.ctx, "✅ "+prodApp+" — 1 up", "✅ "+ciConsumer+" — both secrets written", stagingApp+" — web.1 is starting"); err != nil {
				return err
			}
			s.Say("the others are verified; " + stagingApp + " starts at last")
			s.Heroku.FinishBoot(stagingApp)
			return s.Ada.finished(s.ctx)
		},
		Also: oneReleaseEach,
	}
}

// writes is a fault of writes to the config vars of an app.
func writes(app string, f simhttp.Fault) simhttp.Fault {
	f.Method, f.Path = http.MethodPatch, "/apps/"+app+"/config-vars"
	return f
}

// mended is a rotation in which a consumer fails with says, until somebody
// mends it and presses Retry beside it.
func (s *Scene) mended(consumer, says, how string, mend func()) error {
	if err := s.generated(); err != nil {
		return err
	}
	return s.mendedAfter(says, how, mend, consumer)
}

// mendedAfter is mended from the paste on, for each of the consumers that failed.
func (s *Scene) mendedAfter(says, how string, mend func(), consumers ...string) error {
	if err := s.Ada.seal(s.ctx, s.Key); err != nil {
		return err
	}
	if err := s.Ada.see(s.ctx, says); err != nil {
		return err
	}
	if err := s.alarmed(says); err != nil {
		return err
	}
	mend()
	s.Say(how)
	for _, consumer := range consumers {
		if err := s.Ada.press(s.ctx, retryButton, consumer); err != nil {
			return err
		}
	}
	return s.Ada.finished(s.ctx)
}

// hit looks whether a fault was really met: that n calls were answered with
// status, 0 if the answer was lost.
func hit(what string, sim interface{ Calls() []simhttp.Call }, method string, status, n int) Check {
	got := 0
	for _, c := range sim.Calls() {
		if c.Method == method && c.Status == status {
			got++
		}
	}
	c := Check{Name: fmt.Sprintf("%s, %d times", what, n)}
	if got != n {
		c.Err = fmt.Errorf("%d times", got)
	}
	return c
}

// visitRaptor calls the downstream service, as somebody must have before.
func (w *World) visitRaptor() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.Raptor.URL()+"/", http.NoBody)
	if err != nil {
		return fmt.Errorf("visit the downstream service: %w", err)
	}
	resp, err := (&http.Client{}).Do(req)
	if err != nil {
		return fmt.Errorf("visit the downstream service: %w", err)
	}
	return resp.Body.Close()
}

// oneReleaseEach looks whether each app was released once.
func oneReleaseEach(s *Scene, _ Report) []Check {
	return []Check{
		{prodApp + " was released once", s.releases(prodApp, "succeeded")},
		{stagingApp + " was released once", s.releases(stagingApp, "succeeded")},
	}
}

// releases reports whether the releases of an app since the start ended as want
// says, oldest first.
func (s *Scene) releases(app string, want ...string) error {
	list := s.Heroku.Releases(app)[1:] // the first one was there before
	if len(list) != len(want) {
		return fmt.Errorf("%d releases were made, want %d", len(list), len(want))
	}
	for i, r := range list {
		if status := want[i]; r.Status != status { //nolint:gosec // as many as there are releases, see above
			return fmt.Errorf("release v%d %s, want %s", r.Version, r.Status, status)
		}
	}
	return nil
}
