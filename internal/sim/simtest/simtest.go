// Package simtest starts simulated services for a test and ends them with it.
// The simulators themselves know nothing of testing.
package simtest

import (
	"testing"

	"github.com/raxx-app/keyturn/internal/sim/alpacasim"
	"github.com/raxx-app/keyturn/internal/sim/githubsim"
	"github.com/raxx-app/keyturn/internal/sim/herokusim"
	"github.com/raxx-app/keyturn/internal/sim/infisicalsim"
	"github.com/raxx-app/keyturn/internal/sim/raptorsim"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
	"github.com/raxx-app/keyturn/internal/sim/webhooksim"
)

// Alpaca starts Alpaca's paper host, without accounts.
func Alpaca(t testing.TB, cfg alpacasim.Config) *alpacasim.Sim {
	t.Helper()
	return run(t, "Alpaca", alpacasim.New(cfg))
}

// Infisical starts Infisical, without projects and identities.
func Infisical(t testing.TB) *infisicalsim.Server {
	t.Helper()
	return run(t, "Infisical", infisicalsim.New())
}

// Heroku starts Heroku's platform API.
func Heroku(t testing.TB, cfg herokusim.Config) *herokusim.Sim {
	t.Helper()
	return run(t, "Heroku", herokusim.New(cfg))
}

// GitHub starts GitHub's REST API, without tokens and repositories.
func GitHub(t testing.TB, cfg githubsim.Config) *githubsim.Sim {
	t.Helper()
	return run(t, "GitHub", githubsim.New(cfg))
}

// Raptor starts the trading service that the pair is for.
func Raptor(t testing.TB, cfg raptorsim.Config) *raptorsim.Sim {
	t.Helper()
	return run(t, "Raptor", raptorsim.New(cfg))
}

// Slack starts a workspace that holds only the bot.
func Slack(t testing.TB, cfg slacksim.Config) *slacksim.Workspace {
	t.Helper()
	return run(t, "Slack", slacksim.New(cfg))
}

// Webhook starts a receiver of the bot's webhooks.
func Webhook(t testing.TB, cfg webhooksim.Config) *webhooksim.Sim {
	t.Helper()
	return run(t, "webhook receiver", webhooksim.New(cfg))
}

// A simulator is what every simulated service is.
type simulator interface {
	Start() error
	Close() error
}

// run starts s and ends it with t.
func run[S simulator](t testing.TB, name string, s S) S {
	t.Helper()
	if err := s.Start(); err != nil {
		t.Fatalf("start simulated %s: %v", name, err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close simulated %s: %v", name, err)
		}
	})
	return s
}
