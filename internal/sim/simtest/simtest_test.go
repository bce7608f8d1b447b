package simtest_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/sim/alpacasim"
	"github.com/raxx-app/keyturn/internal/sim/githubsim"
	"github.com/raxx-app/keyturn/internal/sim/herokusim"
	"github.com/raxx-app/keyturn/internal/sim/raptorsim"
	"github.com/raxx-app/keyturn/internal/sim/simtest"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
	"github.com/raxx-app/keyturn/internal/sim/webhooksim"
)

// Every simulator answers while its test runs, and no longer.
func TestStartedUntilTheTestEnds(t *testing.T) {
	tests := []struct {
		name  string
		start func(t *testing.T) (url string)
	}{
		{"alpaca", func(t *testing.T) string { return simtest.Alpaca(t, alpacasim.Config{}).URL() }},
		{"infisical", func(t *testing.T) string { return simtest.Infisical(t).URL() }},
		{"heroku", func(t *testing.T) string { return simtest.Heroku(t, herokusim.Config{}).URL() }},
		{"github", func(t *testing.T) string { return simtest.GitHub(t, githubsim.Config{}).URL() }},
		{"raptor", func(t *testing.T) string {
			return simtest.Raptor(t, raptorsim.Config{Vars: func() map[string]string { return nil }}).URL()
		}},
		{"webhook", func(t *testing.T) string { return simtest.Webhook(t, webhooksim.Config{}).URL() }},
		{"slack", func(t *testing.T) string { return simtest.Slack(t, slacksim.Config{}).URL() }},
	}
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answers := func(url string) bool {
		resp, err := client.Get(url + "/nothing/here")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return true
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var url string
			t.Run("running", func(t *testing.T) {
				url = tt.start(t)
				if !answers(url) {
					t.Errorf("%s does not answer at %s", tt.name, url)
				}
			})
			if answers(url) {
				t.Errorf("%s still answers at %s after its test", tt.name, url)
			}
		})
	}
}
