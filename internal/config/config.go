// Package config reads the settings of the bot: one YAML file and the
// environment become one checked struct. It reports all bad settings at once,
// each with its line and how to fix it. It calls no service and does not know
// whether a token works, only whether it can be one.
package config

import (
	"log/slog"
	"time"

	"github.com/raxx-app/keyturn/internal/secret"
)

// Config is everything the bot is told. [Load] fills it; every value in it has
// been checked, every default is filled in and every path is absolute.
type Config struct {
	File      string    // absolute path of the file that was read
	Slack     Slack     // where the bot talks and who may act
	State     State     // the bot's own files
	HTTP      HTTP      // health and metrics
	Log       Log       // what is logged
	Schedules Schedules // what runs on a clock
	KeySets   []KeySet  // at least one, in the order of the file
	Endpoints Endpoints // the services' addresses
	Tokens    Tokens    // from the environment
}

// Slack says where the bot talks and who may act. Exactly one of OpsGroup and
// OpsUsers is set, and at most one of OncallGroup and OncallUsers.
type Slack struct {
	OpsChannel  string            // C… or G…: the command works here, progress is posted here
	OpsGroup    string            // S…: user group whose members have the role ops
	OpsUsers    []string          // U… or W…: the people who have the role ops
	OncallGroup string            // S…: user group that is paged for a forced rotation
	OncallUsers []string          // U… or W…: the people who are paged
	AdminIDs    map[string]string // Slack user to audit actor; a user who is not in it is its own actor
	LocalUsers  map[string]string // login on the host to Slack user, for the terminal
}

// State names the bot's own files. Both paths are absolute.
type State struct {
	Path   string // the bbolt file
	Socket string // the Unix socket between a command and the running bot; at most 107 bytes
}

// HTTP is the listener for /healthz, /readyz and /metrics.
type HTTP struct {
	Listen string // host:port; "" means off
}

// Log says what is logged.
type Log struct {
	Level slog.Level // the lowest level that is written
}

// Schedules holds the cron expressions: five fields or "@every DURATION", both
// known to parse, and to fire on each day that they name, whatever the clocks of
// Location do. Compute occurrences with Next(t.In(Location)).
type Schedules struct {
	Reminders string         // when due dates are looked at
	Sentinel  string         // when the stored pairs are probed; every 10 s at most
	Timezone  string         // IANA name
	Location  *time.Location // Timezone, loaded; never nil
}

// A KeySet is one Alpaca paper account's pair in one environment.
type KeySet struct {
	Name        string     // [a-z0-9-], at most 30 characters, unique
	CadenceDays int        // whole days by the calendar of Schedules.Location
	Owners      []string   // U… or W…: reminded by DM; empty means ops
	Infisical   Infisical  // where the pair is stored; no other key set has the same place
	Consumers   []Consumer // at least one, in the order of the file
	TestOrder   *TestOrder // nil means that step 6 places no order
}

// Infisical is the pair's place in Infisical. KeyID and Secret are also the
// names of the config vars and secrets that consumers hold.
type Infisical struct {
	ProjectID   string // the project's id
	Environment string // the environment's slug
	Path        string // folder, starts with "/", no slash at the end unless it is the root
	KeyID       string // name of the secret that holds the key ID
	Secret      string // name of the secret that holds the secret key
}

// The kinds of consumers that can be configured.
const (
	KindHeroku        = "heroku"
	KindGitHubActions = "github_actions"
	KindDevelopers    = "developers"
	KindWebhook       = "webhook"
	KindCoveredBy     = "covered_by"
)

// What a webhook is sent.
const (
	DeliverNotify = "notify" // that there is a new pair
	DeliverPair   = "pair"   // the pair
)

// A Consumer is a place that must receive the pair. Which fields are set
// depends on Kind; the others are zero.
type Consumer struct {
	Name string // [a-z0-9-], at most 30 characters, unique in its key set
	Kind string // one of the Kind constants

	App    string  // heroku: the app's name
	Verify *Verify // heroku: how the running app proves that it uses the pair; nil means by its release alone

	Repo        string // github_actions: owner/name
	Environment string // github_actions: deployment environment; "" means the repository's secrets
	Dependabot  bool   // github_actions: also Dependabot's store

	Users   []string // developers: U… or W…; empty if Channel is set
	Channel string   // developers: D…; "" if Users is set

	URL     string // webhook: where to post
	Deliver string // webhook: [DeliverNotify] or [DeliverPair]

	By string // covered_by: name of a consumer of the same key set that is no covered_by itself or leads to one
}

// Verify is a request to the downstream API whose answer proves that the pair
// works there.
type Verify struct {
	URL   string // GET with the downstream token, if there is one
	Field string // path in the JSON answer, names joined by dots
	Want  string // what the field must hold
}

// TestOrder is the order that step 6 may place through the downstream API.
type TestOrder struct {
	URL           string // POST with the downstream token, if there is one
	IDField       string // path to the order's id in the JSON answer
	ClientIDField string // name in the request that takes our client order id; "" means that it is not forwarded
	Order         Order  // the body
}

// An Order is the body of the test order. Quantity is always 1 and Mode always
// "paper": anything else is a problem, so that no real money moves.
type Order struct {
	Symbol      string // a US stock
	Qty         int    // always 1
	Side        string // always "buy": what it fills is sold again
	Type        string // "market" or "limit"
	LimitPrice  string // decimal as written, in dollars; set exactly if Type is "limit"
	TimeInForce string // "day", "gtc", "opg", "cls", "ioc" or "fok"
	Mode        string // always "paper"
}

// Endpoints holds the services' base addresses: https, or http on loopback.
// None but Slack's ends in a slash.
type Endpoints struct {
	Slack     string // ends in a slash, as the Slack library wants it
	Alpaca    string // the paper host or loopback, nothing else
	Infisical string
	Heroku    string
	GitHub    string
	PagerDuty string
}

// Tokens holds what came from the environment. A token that no consumer needs
// may be empty.
type Tokens struct {
	SlackBot         secret.Text // SLACK_BOT_TOKEN, xoxb-…
	SlackApp         secret.Text // SLACK_APP_TOKEN, xapp-…
	InfisicalID      secret.Text // INFISICAL_CLIENT_ID of a machine identity
	InfisicalSecret  secret.Text // INFISICAL_CLIENT_SECRET of the same
	Heroku           secret.Text // HEROKU_API_KEY; set if a heroku consumer exists
	GitHub           secret.Text // GITHUB_TOKEN; set if a github_actions consumer exists
	StateKey         secret.Text // STATE_KEY: age identities, one a line, comments allowed
	Downstream       secret.Text // DOWNSTREAM_TOKEN, optional: bearer for the downstream API
	Webhook          secret.Text // WEBHOOK_SECRET; set if a webhook consumer exists
	PagerDutyRouting secret.Text // PAGERDUTY_ROUTING_KEY, optional
}
