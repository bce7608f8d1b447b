package sandbox

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// settings are those of bot.example.yml, with the addresses of the simulators.
const settings = `slack:
  ops_channel: C0RAXXOPS
  ops_group: S0RAXXOPS
  oncall_group: S0ONCALL
  admin_ids: {U0ADA: ada@raxx.app}
state: {path: keyturn.db}
http: {listen: ""}
keysets:
  - name: prod
    owners: [U0ADA]
    infisical:
      project_id: 3f1c0000-0000-4000-8000-000000000000
      environment: prod
      path: /
      key_id: ALPACA_PAPER_API_KEY_ID
      secret: ALPACA_PAPER_API_SECRET_KEY
    consumers:
      - {name: raxx-api-prod, kind: heroku, app: raxx-api-prod, verify: {url: "@raptor@/api/trading/account", field: alpaca_status, want: ACTIVE}}
      - {name: raxx-api-staging, kind: heroku, app: raxx-api-staging}
      - {name: integration-ci, kind: github_actions, repo: raxx/raptor, dependabot: true}
      - {name: nightly-ci, kind: github_actions, repo: raxx/raptor, environment: nightly}
      - {name: local-dev, kind: developers, users: [U0ADA, U0BOB]}
      - {name: backtest, kind: webhook, url: "@backtest@", deliver: pair}
      - {name: trade-journal, kind: webhook, url: "@journal@"}
      - {name: demo, kind: covered_by, by: raxx-api-prod}
    test_order:
      url: "@raptor@/api/trading/orders"
      order: {symbol: AAPL, qty: 1, side: buy, type: market, time_in_force: day, mode: paper}
endpoints:
  slack: "@slack@"
  alpaca: "@alpaca@"
  infisical: "@infisical@"
  heroku: "@heroku@"
  github: "@github@"
  pagerduty: "@pagerduty@"
schedules: {sentinel: "@sentinel@"}
`

// Config is the bot's settings file.
func (w *World) Config() string { return filepath.Join(w.Dir, "bot.yml") }

func (w *World) stateKey() string  { return filepath.Join(w.Dir, "state.key") }
func (w *World) stateFile() string { return filepath.Join(w.Dir, "keyturn.db") }

// How often the stored pair is asked for between rotations. A script that counts
// what the bot calls, or that kills it at a numbered point, is left alone after
// the first look, which no schedule puts off; somebody in front of the page need
// not wait.
const (
	rareSentinel = "@every 24h"
	pageSentinel = "@every 10s" // the shortest that bot.yml takes
)

// stagingSettings are a second key set: the other account of the login.
const stagingSettings = `  - name: staging
    owners: [U0ADA]
    infisical:
      project_id: 3f1c0000-0000-4000-8000-000000000000
      environment: staging
      path: /
      key_id: ALPACA_PAPER_API_KEY_ID
      secret: ALPACA_PAPER_API_SECRET_KEY
    consumers:
      - {name: raxx-paper-trial, kind: heroku, app: raxx-paper-trial}
`

// writeSettings writes the bot's settings, with more key sets if there are any.
func (w *World) writeSettings(more string) error {
	text := strings.NewReplacer(
		"@raptor@", w.Raptor.URL(), "@slack@", w.Slack.APIURL(), "@alpaca@", w.Alpaca.URL(),
		"@infisical@", w.Infisical.URL(), "@heroku@", w.Heroku.URL(), "@github@", w.GitHub.URL(), "@pagerduty@", w.Pager.URL(),
		"@backtest@", w.Backtest.HookURL(), "@journal@", w.Journal.HookURL(), "@sentinel@", cmp.Or(w.sentinel, rareSentinel), "endpoints:\n", more+"endpoints:\n",
	).Replace(settings)
	if err := os.WriteFile(w.Config(), []byte(text), 0o600); err != nil {
		return fmt.Errorf("write settings: %w", err)
	}
	return nil
}

// Env is the environment that the bot needs, and nothing else.
func (w *World) Env() []string {
	c := w.Slack.Config()
	return []string{
		"SLACK_BOT_TOKEN=" + c.BotToken,
		"SLACK_APP_TOKEN=" + c.AppToken,
		"INFISICAL_CLIENT_ID=" + infisicalID,
		"INFISICAL_CLIENT_SECRET=" + infisicalSecret,
		"HEROKU_API_KEY=" + herokuToken,
		"GITHUB_TOKEN=" + githubToken,
		"DOWNSTREAM_TOKEN=" + downstreamToken,
		"WEBHOOK_SECRET=" + webhookSecret,
		"PAGERDUTY_ROUTING_KEY=" + pagerKey,
		"STATE_KEY_FILE=" + w.stateKey(),
	}
}

// Getenv looks a name up in Env, as os.Getenv does in the bot.
func (w *World) Getenv(name string) string {
	for _, line := range w.Env() {
		if value, ok := strings.CutPrefix(line, name+"="); ok {
			return value
		}
	}
	return ""
}
