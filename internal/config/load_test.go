package config

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/secret"
)

// base is a file without problems; the tests break it line by line.
const base = `slack:
  ops_channel: C0RAXXOPS
  ops_group: S0RAXXOPS
state: {path: data/keyturn.db}
keysets:
  - name: prod
    infisical: {project_id: 3f1c0000, environment: prod, path: /, key_id: KEY_ID, secret: SECRET_KEY}
    consumers:
      - {name: api, kind: heroku, app: raxx-api-prod}
      - {name: ci, kind: github_actions, repo: raxx/raptor}
      - {name: devs, kind: developers, users: [U0ADA]}
      - {name: demo, kind: covered_by, by: api}
`

// canary is in every value of the fake environment; it must never be seen.
const canary = "C4N4RY"

// tokens returns an environment in which nothing is wrong.
func tokens() map[string]string {
	return map[string]string{
		"SLACK_BOT_TOKEN": "xoxb-" + canary, "SLACK_APP_TOKEN": "xapp-" + canary,
		"INFISICAL_CLIENT_ID": "id-" + canary, "INFISICAL_CLIENT_SECRET": "secret-" + canary,
		"HEROKU_API_KEY": "HRKU-" + canary, "GITHUB_TOKEN": "ghp_" + canary, "WEBHOOK_SECRET": "webhook-" + canary + "-00",
		"STATE_KEY": "# created: today\n# public key: age1x\nAGE-SECRET-KEY-1" + canary + "\nAGE-SECRET-KEY-PQ-1" + canary,
	}
}

// lookup returns env as a getenv.
func lookup(env map[string]string) func(string) string {
	return func(name string) string { return env[name] }
}

// write puts text into a file of its own and returns the file's path.
func write(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bot.yml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// problems returns what err says, as "line path: what", and checks that each
// problem has a fix and that none holds a value of the environment.
func problems(t testing.TB, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	ps, ok := errors.AsType[Problems](err)
	if !ok {
		t.Fatalf("error is %T (%v), want Problems", err, err)
	}
	if strings.Contains(err.Error(), canary) {
		t.Errorf("the problems hold a value: %v", err)
	}
	var out []string
	for _, p := range ps {
		if p.Fix == "" || strings.HasSuffix(p.Fix, ".") || strings.HasSuffix(p.What, ".") {
			t.Errorf("problem %+v: want a fix, and no full stop at the end of What and Fix", p)
		}
		out = append(out, fmt.Sprintf("%d %s: %s", p.Line, p.Path, p.What))
	}
	return out
}

func TestLoadFillsDefaults(t *testing.T) {
	path := write(t, base)
	dir := filepath.Dir(path)
	got, err := Load(path, lookup(tokens()))
	if err != nil {
		t.Fatalf("Load = %v, want no problem", err)
	}
	want := Config{
		File:      path,
		Slack:     Slack{OpsChannel: "C0RAXXOPS", OpsGroup: "S0RAXXOPS", AdminIDs: map[string]string{}, LocalUsers: map[string]string{}},
		State:     State{Path: filepath.Join(dir, "data/keyturn.db"), Socket: filepath.Join(dir, "data/keyturn.sock")},
		HTTP:      HTTP{Listen: "127.0.0.1:9464"},
		Log:       Log{Level: slog.LevelInfo},
		Schedules: Schedules{Reminders: "0 9 * * *", Sentinel: "@every 1m", Timezone: "UTC", Location: time.UTC},
		KeySets: []KeySet{{
			Name: "prod", CadenceDays: 180,
			Infisical: Infisical{ProjectID: "3f1c0000", Environment: "prod", Path: "/", KeyID: "KEY_ID", Secret: "SECRET_KEY"},
			Consumers: []Consumer{
				{Name: "api", Kind: KindHeroku, App: "raxx-api-prod"},
				{Name: "ci", Kind: KindGitHubActions, Repo: "raxx/raptor"},
				{Name: "devs", Kind: KindDevelopers, Users: []string{"U0ADA"}},
				{Name: "demo", Kind: KindCoveredBy, By: "api"},
			},
		}},
		Endpoints: Endpoints{
			Slack: "https://slack.com/api/", Alpaca: "https://paper-api.alpaca.markets", Infisical: "https://app.infisical.com",
			Heroku: "https://api.heroku.com", GitHub: "https://api.github.com", PagerDuty: "https://events.pagerduty.com",
		},
		Tokens: Tokens{
			SlackBot: secret.New("xoxb-" + canary), SlackApp: secret.New("xapp-" + canary),
			InfisicalID: secret.New("id-" + canary), InfisicalSecret: secret.New("secret-" + canary),
			Heroku: secret.New("HRKU-" + canary), GitHub: secret.New("ghp_" + canary),
			Webhook:  secret.New("webhook-" + canary + "-00"),
			StateKey: secret.New(tokens()["STATE_KEY"]),
		},
	}
	if diff := cmp.Diff(want, got, compareLocation); diff != "" {
		t.Errorf("Load (-want +got):\n%s", diff)
	}
}

// compareLocation compares time zones by name.
var compareLocation = cmp.Comparer(func(a, b *time.Location) bool { return a.String() == b.String() })

// TestLoadReadsEverySetting covers R5: one key set for each environment.
func TestLoadReadsEverySetting(t *testing.T) {
	path := write(t, `slack:
  ops_channel: G0RAXXOPS
  ops_users: [U0ADA, W0BOB]
  oncall_users:
    - U0ADA
  admin_ids: {U0ADA: ada@raxx.app}
  local_users: {ada: U0ADA}
state: {path: /var/lib/keyturn/k.db, socket: run.sock}
http: {listen: ""}
log: {level: debug}
schedules: {reminders: "30 8 * * 1-5", sentinel: "*/2 * * * *", timezone: America/New_York}
keysets:
  - name: prod
    cadence: 90d
    owners: [U0ADA]
    infisical: {project_id: p-1, environment: prod, path: /alpaca/, key_id: K, secret: S}
    consumers:
      - name: api
        kind: heroku
        app: api-prod
        verify: {url: "https://api.raxx.app/api/trading/account?x=1", field: a.status, want: ACTIVE}
      - {name: ci, kind: github_actions, repo: raxx/raptor, environment: "", dependabot: false}
      - {name: devs, kind: developers, channel: D0AJ7K184TV}
    test_order:
      url: http://127.0.0.1:8080/orders
      id_field: order.id
      client_id_field: client_order_id
      order: {symbol: BRK.B, qty: "1", side: buy, type: limit, limit_price: 1.00, time_in_force: gtc, mode: paper}
  - name: staging
    infisical: {project_id: p-1, environment: staging, key_id: K, secret: S}
    consumers: [{name: api, kind: heroku, app: api-staging}]
endpoints: {slack: "http://localhost:1/api", alpaca: "http://127.0.0.1:2/", infisical: "http://[::1]:3", heroku: "https://h.example", github: "https://g.example/api/v3/", pagerduty: "https://p.example"}
`)
	got, err := Load(path, lookup(tokens()))
	if err != nil {
		t.Fatalf("Load = %v, want no problem", err)
	}
	got.Tokens = Tokens{}
	ny, _ := time.LoadLocation("America/New_York")
	want := Config{
		File: path,
		Slack: Slack{
			OpsChannel: "G0RAXXOPS", OpsUsers: []string{"U0ADA", "W0BOB"}, OncallUsers: []string{"U0ADA"},
			AdminIDs: map[string]string{"U0ADA": "ada@raxx.app"}, LocalUsers: map[string]string{"ada": "U0ADA"},
		},
		State:     State{Path: "/var/lib/keyturn/k.db", Socket: filepath.Join(filepath.Dir(path), "run.sock")},
		Log:       Log{Level: slog.LevelDebug},
		Schedules: Schedules{Reminders: "30 8 * * 1-5", Sentinel: "*/2 * * * *", Timezone: "America/New_York", Location: ny},
		KeySets: []KeySet{
			{
				Name: "prod", CadenceDays: 90, Owners: []string{"U0ADA"},
				Infisical: Infisical{ProjectID: "p-1", Environment: "prod", Path: "/alpaca", KeyID: "K", Secret: "S"},
				Consumers: []Consumer{
					{Name: "api", Kind: KindHeroku, App: "api-prod", Verify: &Verify{URL: "https://api.raxx.app/api/trading/account?x=1", Field: "a.status", Want: "ACTIVE"}},
					{Name: "ci", Kind: KindGitHubActions, Repo: "raxx/raptor"},
					{Name: "devs", Kind: KindDevelopers, Channel: "D0AJ7K184TV"},
				},
				TestOrder: &TestOrder{
					URL: "http://127.0.0.1:8080/orders", IDField: "order.id", ClientIDField: "client_order_id",
					Order: Order{Symbol: "BRK.B", Qty: 1, Side: "buy", Type: "limit", LimitPrice: "1.00", TimeInForce: "gtc", Mode: "paper"},
				},
			},
			{
				Name: "staging", CadenceDays: 180,
				Infisical: Infisical{ProjectID: "p-1", Environment: "staging", Path: "/", KeyID: "K", Secret: "S"},
				Consumers: []Consumer{{Name: "api", Kind: KindHeroku, App: "api-staging"}},
			},
		},
		Endpoints: Endpoints{
			Slack: "http://localhost:1/api/", Alpaca: "http://127.0.0.1:2", Infisical: "http://[::1]:3",
			Heroku: "https://h.example", GitHub: "https://g.example/api/v3", PagerDuty: "https://p.example",
		},
	}
	if diff := cmp.Diff(want, got, compareLocation); diff != "" {
		t.Errorf("Load (-want +got):\n%s", diff)
	}
}

// TestExampleLoads keeps the example that operators copy free of problems.
func TestExampleLoads(t *testing.T) {
	cfg, err := Load(filepath.Join("..", "..", "bot.example.yml"), lookup(tokens()))
	if err != nil {
		t.Fatalf("bot.example.yml has problems:\n%v", err)
	}
	if want, _ := filepath.Abs("../../data/keyturn.db"); cfg.State.Path != want {
		t.Errorf("state.path = %q, want %q: relative to the file", cfg.State.Path, want)
	}
	if len(cfg.KeySets) != 1 || len(cfg.KeySets[0].Consumers) != 6 || cfg.KeySets[0].TestOrder == nil {
		t.Errorf("bot.example.yml: got %d key sets, want 1 with 6 consumers and a test order", len(cfg.KeySets))
	}
}

// TestAmbientNamesChangeNothing covers the names that SDKs read by themselves.
func TestAmbientNamesChangeNothing(t *testing.T) {
	path := write(t, base)
	plain, err := Load(path, lookup(tokens()))
	if err != nil {
		t.Fatal(err)
	}
	var asked []string
	env := tokens()
	for _, name := range []string{
		"APCA_API_KEY_ID", "APCA_API_SECRET_KEY", "APCA_API_BASE_URL", "GH_TOKEN", "GH_HOST", "HEROKU_HOST",
		"INFISICAL_UNIVERSAL_AUTH_CLIENT_ID", "INFISICAL_UNIVERSAL_AUTH_CLIENT_SECRET", "INFISICAL_API_URL", "INFISICAL_TOKEN",
	} {
		env[name] = "https://live.example"
		t.Setenv(name, "https://live.example")
	}
	got, err := Load(path, func(name string) string {
		asked = append(asked, name)
		return env[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(plain, got, compareLocation); diff != "" {
		t.Errorf("ambient names change the settings (-without +with):\n%s", diff)
	}
	for _, name := range asked {
		known := slices.ContainsFunc(variables(), func(v variable) bool { return name == v.name || name == v.name+"_FILE" })
		if !known && name != "DYNO" {
			t.Errorf("Load asks for %s, want only the documented names", name)
		}
	}
}

func TestErrorText(t *testing.T) {
	path := write(t, strings.Replace(base, "app: raxx-api-prod", "ap: raxx-api-prod", 1))
	env := tokens()
	delete(env, "STATE_KEY")
	_, err := Load(path, lookup(env))
	if err == nil {
		t.Fatal("Load = nil, want problems")
	}
	want := "environment: STATE_KEY: is not set. Fix: set STATE_KEY to the age identities that seal the state: what age-keygen writes, or STATE_KEY_FILE to a file that holds it.\n" +
		path + `:9: keysets[0].consumers[0].ap: is not a setting of kind heroku. Fix: did you mean "app"? Write that, or remove it.` + "\n" +
		path + `:9: keysets[0].consumers[0].app: is missing. Fix: write the name that "heroku apps" shows.`
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("error text (-want +got):\n%s", diff)
	}
}

func TestMissingFile(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "none.yml"), lookup(tokens()))
	want := []string{"0 : cannot be read: no such file or directory"}
	if diff := cmp.Diff(want, problems(t, err)); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}
