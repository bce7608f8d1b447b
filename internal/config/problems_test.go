package config

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A broken file is base with one text replaced; an empty old appends.
type broken struct {
	name     string
	old, new string
	want     []string
}

// run checks the problems of every broken file.
func run(t *testing.T, tests []broken) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if !strings.Contains(base, tt.old) {
				t.Fatalf("the base file does not hold %q", tt.old)
			}
			text := base + tt.new
			if tt.old != "" {
				text = strings.Replace(base, tt.old, tt.new, 1)
			}
			_, err := Load(write(t, text), lookup(tokens()))
			if diff := cmp.Diff(tt.want, problems(t, err)); diff != "" {
				t.Errorf("problems of %q (-want +got):\n%s", tt.new, diff)
			}
		})
	}
}

func TestSlackProblems(t *testing.T) {
	const channel, group = "  ops_channel: C0RAXXOPS\n", "  ops_group: S0RAXXOPS\n"
	run(t, []broken{
		{"no block", "slack:\n" + channel + group, "", []string{"1 slack: is missing"}},
		{"empty block", channel + group, "", []string{"1 slack: is missing"}},
		{"no channel", channel, "", []string{"1 slack.ops_channel: is missing"}},
		{"channel by name", "C0RAXXOPS", `"#ops"`, []string{"2 slack.ops_channel: is not the id of a Slack channel"}},
		{"DM as channel", "C0RAXXOPS", "D0RAXXOPS", []string{"2 slack.ops_channel: is not the id of a Slack channel"}},
		{"no ops", group, "", []string{"1 slack: does not say who has the role ops"}},
		{"empty ops list", group, "  ops_users: []\n", []string{"1 slack: does not say who has the role ops"}},
		{"two ops", group, group + "  ops_users: [U0ADA]\n", []string{"4 slack.ops_users: is there beside ops_group"}},
		{"user as group", "S0RAXXOPS", "U0RAXXOPS", []string{"3 slack.ops_group: is not the id of a Slack user group"}},
		{"group as user", group, "  ops_users: [U0ADA, S0RAXXOPS]\n", []string{"3 slack.ops_users[1]: is not the id of a Slack user"}},
		{"user twice", group, "  ops_users: [U0ADA, U0ADA]\n", []string{"3 slack.ops_users[1]: is there twice"}},
		{"users are no list", group, "  ops_users: U0ADA\n", []string{"3 slack.ops_users: must be a list"}},
		{"line of an item", group, "  ops_users:\n    - U0ADA\n    # bob\n    - bob\n", []string{"6 slack.ops_users[1]: is not the id of a Slack user"}},
		{"two on-call", group, group + "  oncall_group: S0ONCALL\n  oncall_users: [U0ADA]\n", []string{"5 slack.oncall_users: is there beside oncall_group"}},
		{"on-call by name", group, group + "  oncall_group: oncall\n", []string{"4 slack.oncall_group: is not the id of a Slack user group"}},
		{"on-call user by name", group, group + "  oncall_users: [ada]\n", []string{"4 slack.oncall_users[0]: is not the id of a Slack user"}},
		{"admin by name", group, group + "  admin_ids: {ada: ada@raxx.app}\n", []string{"4 slack.admin_ids.ada: has a key that is not the id of a Slack user"}},
		{"admin without a name", group, group + "  admin_ids: {U0ADA: }\n", []string{"4 slack.admin_ids.U0ADA: is empty"}},
		{"admin name with a space", group, group + "  admin_ids:\n    U0ADA: Ada L\n", []string{"5 slack.admin_ids.U0ADA: is not a name for the audit"}},
		{"admins are no map", group, group + "  admin_ids: [U0ADA]\n", []string{"4 slack.admin_ids: must hold keys and values"}},
		{"local user by name", group, group + "  local_users: {ada: ada}\n", []string{"4 slack.local_users.ada: is not the id of a Slack user"}},
		{"login with a space", group, group + "  local_users: {\"a b\": U0ADA}\n", []string{"4 slack.local_users.(a key): has a key that is not a login"}},
	})
}

func TestBlockProblems(t *testing.T) {
	const state = "state: {path: data/keyturn.db}"
	run(t, []broken{
		{"no state", state + "\n", "", []string{"1 state: is missing"}},
		{"no path", state, "state: {socket: x.sock}", []string{"4 state.path: is missing"}},
		{"path is a list", "data/keyturn.db", "[a]", []string{"4 state.path: must be text"}},
		{"path with a control character", "data/keyturn.db", `"a\tb"`, []string{"4 state.path: is not a path"}},
		{"long socket", state, "state: {path: a.db, socket: /" + strings.Repeat("x", 107) + "}", []string{"4 state.socket: makes a path that is too long for a Unix socket (107 bytes)"}},
		{"socket is the file", state, "state: {path: a.db, socket: ./a.db}", []string{"4 state.socket: is the state file"}},
		{"listen without a port", "", "http: {listen: localhost}\n", []string{"13 http.listen: is not an address to listen on"}},
		{"listen with a large port", "", "http: {listen: 'localhost:65536'}\n", []string{"13 http.listen: is not an address to listen on"}},
		{"http is text", "", "http: on\n", []string{"13 http: must hold keys and values"}},
		{"log level", "", "log:\n  level: verbose\n", []string{"14 log.level: is not a log level"}},
		{"cron field", "", "schedules: {reminders: 0 24 * * *}\n", []string{"13 schedules.reminders: has a field that cron does not understand: the hour"}},
		{"cron weekday", "", "schedules: {reminders: 0 9 * * 7}\n", []string{"13 schedules.reminders: has a field that cron does not understand: the day of the week"}},
		{"cron with seconds", "", "schedules: {reminders: 0 0 9 * * *}\n", []string{"13 schedules.reminders: does not have five fields"}},
		{"cron word", "", "schedules:\n  reminders: '@daily'\n", []string{"14 schedules.reminders: does not have five fields"}},
		{"cron that never fires", "", "schedules: {reminders: 0 9 30 2 *}\n", []string{"13 schedules.reminders: never fires: there is no such day"}},
		{"cron that panics", "", "schedules: {reminders: TZ=}\n", []string{"13 schedules.reminders: holds a time zone"}},
		{"cron with a zone", "", "schedules: {sentinel: CRON_TZ=UTC 0 9 * * *}\n", []string{"13 schedules.sentinel: holds a time zone"}},
		{"every nothing", "", "schedules: {sentinel: '@every 0s'}\n", []string{"13 schedules.sentinel: does not name a time to wait"}},
		{"every negative", "", "schedules: {sentinel: '@every -1m'}\n", []string{"13 schedules.sentinel: does not name a time to wait"}},
		{"every half second", "", "schedules: {sentinel: '@every 1.5s'}\n", []string{"13 schedules.sentinel: does not name a time to wait"}},
		{"every day", "", "schedules: {sentinel: '@every 1d'}\n", []string{"13 schedules.sentinel: does not name a time to wait"}},
		{"time zone", "", "schedules: {timezone: Mars/Base}\n", []string{"13 schedules.timezone: is not a time zone"}},
		{"time zone of the host", "", "schedules: {timezone: Local}\n", []string{"13 schedules.timezone: is not a time zone"}},
		{"Alpaca live", "", "endpoints: {alpaca: https://api.alpaca.markets}\n", []string{"13 endpoints.alpaca: is neither Alpaca's paper host nor on this machine"}},
		{"Alpaca paper in disguise", "", "endpoints: {alpaca: https://paper-api.alpaca.markets@evil.example}\n", []string{"13 endpoints.alpaca: is neither Alpaca's paper host nor on this machine"}},
		{"Alpaca paper in another case", "", "endpoints: {alpaca: https://paper-api.alpaca.markets/v2}\n", []string{"13 endpoints.alpaca: is neither Alpaca's paper host nor on this machine"}},
		{"Alpaca paper in clear", "", "endpoints: {alpaca: http://paper-api.alpaca.markets}\n", []string{"13 endpoints.alpaca: is neither Alpaca's paper host nor on this machine"}},
		{"loopback in disguise", "", "endpoints: {heroku: http://127.0.0.1.evil.example}\n", []string{"13 endpoints.heroku: is not a safe address"}},
		{"http to the world", "", "endpoints:\n  infisical: http://app.infisical.com\n", []string{"14 endpoints.infisical: is not a safe address"}},
		{"address with a password", "", "endpoints: {github: https://me:pass@api.github.com}\n", []string{"13 endpoints.github: is not a safe address"}},
		{"address with a query", "", "endpoints: {pagerduty: https://events.pagerduty.com/?k=v}\n", []string{"13 endpoints.pagerduty: is not a safe address"}},
		{"address without a scheme", "", "endpoints: {slack: slack.com/api/}\n", []string{"13 endpoints.slack: is not a safe address"}},
		{"address with a bad port", "", "endpoints: {slack: https://slack.com:99999/}\n", []string{"13 endpoints.slack: is not a safe address"}},
	})
}

func TestKeySetProblems(t *testing.T) {
	const in = "infisical: {project_id: 3f1c0000, environment: prod, path: /, key_id: KEY_ID, secret: SECRET_KEY}"
	second := func(name, infisical, app string) string {
		return "  - name: " + name + "\n    " + infisical + "\n    consumers: [{name: api, kind: heroku, app: " + app + "}]\n"
	}
	run(t, []broken{
		{"no key sets", base[strings.Index(base, "keysets"):], "", []string{"1 keysets: holds no key set"}},
		{"empty key sets", base[strings.Index(base, "keysets"):], "keysets: []\n", []string{"5 keysets: holds no key set"}},
		{"key sets are no list", base[strings.Index(base, "keysets"):], "keysets: prod\n", []string{"5 keysets: must be a list"}},
		{"key set is text", base[strings.Index(base, "  - name: prod"):], "  - prod\n", []string{
			"6 keysets[0]: must hold keys and values", "6 keysets[0].name: is missing", "6 keysets[0].infisical: is missing", "6 keysets[0].consumers: holds no consumer",
		}},
		{"key set is empty", base[strings.Index(base, "  - name: prod"):], "  -\n", []string{
			"6 keysets[0].name: is missing", "6 keysets[0].infisical: is missing", "6 keysets[0].consumers: holds no consumer",
		}},
		{"no name", "- name: prod\n   ", "-", []string{"6 keysets[0].name: is missing"}},
		{"name in capitals", "name: prod", "name: Prod", []string{"6 keysets[0].name: is not a name"}},
		{"long name", "name: prod", "name: " + strings.Repeat("a", 31), []string{"6 keysets[0].name: is not a name"}},
		{"name is a truth", "name: prod", "name: true", []string{"6 keysets[0].name: must be text"}},
		{"name twice", "", second("prod", strings.Replace(in, "environment: prod", "environment: staging", 1), "other"), []string{"13 keysets[1].name: is the name of keysets[0] too"}},
		{"cadence in weeks", "name: prod", "name: prod\n    cadence: 26w", []string{"7 keysets[0].cadence: is not a number of whole days"}},
		{"cadence without unit", "name: prod", "name: prod\n    cadence: 180", []string{"7 keysets[0].cadence: is not a number of whole days"}},
		{"cadence in hours", "name: prod", "name: prod\n    cadence: 4320h", []string{"7 keysets[0].cadence: is not a number of whole days"}},
		{"cadence of nothing", "name: prod", "name: prod\n    cadence: 0d", []string{"7 keysets[0].cadence: is not a number of whole days"}},
		{"owner by name", "name: prod", "name: prod\n    owners: [ada]", []string{"7 keysets[0].owners[0]: is not the id of a Slack user"}},
		{"no infisical", "    " + in + "\n", "", []string{"6 keysets[0].infisical: is missing"}},
		{"infisical without names", ", key_id: KEY_ID, secret: SECRET_KEY", "", []string{"7 keysets[0].infisical.key_id: is missing", "7 keysets[0].infisical.secret: is missing"}},
		{"infisical without a project", "project_id: 3f1c0000, ", "", []string{"7 keysets[0].infisical.project_id: is missing"}},
		{"project by name", "3f1c0000", "my project", []string{"7 keysets[0].infisical.project_id: is not the id of an Infisical project"}},
		{"no environment", "environment: prod, ", "", []string{"7 keysets[0].infisical.environment: is missing"}},
		{"environment by name", "environment: prod", "environment: Production", []string{"7 keysets[0].infisical.environment: is not the slug of an Infisical environment"}},
		{"relative folder", "path: /", "path: alpaca", []string{"7 keysets[0].infisical.path: is not a folder in Infisical"}},
		{"secret with a dash", "key_id: KEY_ID", "key_id: KEY-ID", []string{"7 keysets[0].infisical.key_id: is not the name of a secret"}},
		{"one name for both", "secret: SECRET_KEY", "secret: KEY_ID", []string{"7 keysets[0].infisical.secret: is the same name as key_id"}},
		{"one place for two", "", second("staging", in, "other"), []string{"14 keysets[1].infisical: is the place of keysets[0] too: rotating one would overwrite the other"}},
		{"one name in two", "", second("staging", strings.Replace(strings.Replace(in, "path: /, ", "", 1), "key_id: KEY_ID", "key_id: OTHER", 1), "other"), []string{"14 keysets[1].infisical: is the place of keysets[0] too: rotating one would overwrite the other"}},
		{"one app for two", "", second("staging", strings.Replace(in, "environment: prod", "environment: staging", 1), "raxx-api-prod"), []string{"15 keysets[1].consumers[0]: writes to the same place as keysets[0].consumers[0]"}},
		{"names that GitHub keeps", "key_id: KEY_ID", "key_id: GITHUB_KEY", []string{"10 keysets[0].consumers[1]: cannot hold a secret whose name starts with GITHUB_"}},
	})
}

// TestTestOrderProblems covers R57: never without mode=paper.
func TestTestOrderProblems(t *testing.T) {
	order := func(body string) string {
		return "    test_order:\n      url: https://api.raxx.app/orders\n      order: {" + body + "}\n"
	}
	const good = "symbol: AAPL, qty: 1, side: buy, type: market, time_in_force: day, mode: paper"
	change := func(old, with string) string { return order(strings.Replace(good, old, with, 1)) }
	at := func(key, what string) []string {
		return []string{"15 keysets[0].test_order.order." + key + ": " + what}
	}
	run(t, []broken{
		{"good", "", order(good), nil},
		{"quantity in quotes", "", change("qty: 1", `qty: "1"`), nil},
		{"mode live", "", change("mode: paper", "mode: live"), at("mode", "is not exactly paper")},
		{"mode in capitals", "", change("mode: paper", "mode: Paper"), at("mode", "is not exactly paper")},
		{"mode with a space", "", change("mode: paper", `mode: "paper "`), at("mode", "is not exactly paper")},
		{"mode empty", "", change("mode: paper", `mode: ""`), at("mode", "is not exactly paper")},
		{"no mode", "", change(", mode: paper", ""), at("mode", "is missing")},
		{"quantity 2", "", change("qty: 1", "qty: 2"), at("qty", "is not 1")},
		{"quantity 1.5", "", change("qty: 1", "qty: 1.5"), at("qty", "is not 1")},
		{"quantity 01", "", change("qty: 1", "qty: 01"), at("qty", "is not 1")},
		{"quantity -1", "", change("qty: 1", "qty: -1"), at("qty", "is not 1")},
		{"no quantity", "", change("qty: 1, ", ""), at("qty", "is missing")},
		{"notional", "", change("mode: paper", "mode: paper, notional: 5"), at("notional", "is an amount of money")},
		{"notional empty", "", change("mode: paper", "mode: paper, notional: "), at("notional", "is an amount of money")},
		{"sale", "", change("side: buy", "side: sell"), at("side", "is not buy")},
		{"stop order", "", change("type: market", "type: stop"), at("type", "is not an order type that the bot can clean up")},
		{"time in force", "", change("day", "week"), at("time_in_force", "is not a time in force")},
		{"symbol", "", change("AAPL", "BTC/USD"), at("symbol", "is not the symbol of a US stock")},
		{"limit without a price", "", change("type: market", "type: limit"), at("limit_price", "is missing")},
		{"market with a price", "", change("type: market", "type: market, limit_price: 1"), at("limit_price", "is there although type is market")},
		{"price of nothing", "", change("type: market", "type: limit, limit_price: 0.00"), at("limit_price", "is not a price")},
		{"price in parts of a cent", "", change("type: market", "type: limit, limit_price: 1.005"), at("limit_price", "is not a price")},
		{"price in words", "", change("type: market", "type: limit, limit_price: one"), at("limit_price", "is not a price")},
		{"unknown field", "", change("mode: paper", "mode: paper, extended_hours: true"), at("extended_hours", "is not a setting")},
		{"no order", "", "    test_order: {url: https://api.raxx.app/orders}\n", []string{"13 keysets[0].test_order.order: is missing"}},
		{"no address", "", "    test_order:\n      order: {" + good + "}\n", []string{"13 keysets[0].test_order.url: is missing"}},
		{"address in clear", "", strings.Replace(order(good), "https", "http", 1), []string{"14 keysets[0].test_order.url: is not a safe address"}},
		{"id field", "", order(good) + "      id_field: $.id\n", []string{"16 keysets[0].test_order.id_field: is not the path of a JSON field"}},
		{"client id field", "", order(good) + "      client_id_field: a.b\n", []string{"16 keysets[0].test_order.client_id_field: is not the name of a JSON field"}},
		{"client id field is taken", "", order(good) + "      client_id_field: mode\n", []string{"16 keysets[0].test_order.client_id_field: is a field that the order has already"}},
	})
}

func TestConsumerProblems(t *testing.T) {
	const api, ci, devs, demo = "{name: api, kind: heroku, app: raxx-api-prod}", "{name: ci, kind: github_actions, repo: raxx/raptor}", "{name: devs, kind: developers, users: [U0ADA]}", "{name: demo, kind: covered_by, by: api}"
	at := func(place, problem string) []string { // place is line/index
		line, index, _ := strings.Cut(place, "/")
		return []string{line + " keysets[0].consumers[" + index + "]" + problem}
	}
	run(t, []broken{
		{"none", base[strings.Index(base, "    consumers"):], "", []string{"6 keysets[0].consumers: holds no consumer"}},
		{"no name", "name: api, ", "", []string{"9 keysets[0].consumers[0].name: is missing", "12 keysets[0].consumers[3].by: names no consumer of this key set"}},
		{"name with a space", "name: demo", "name: my demo", at("12/3", ".name: is not a name")},
		{"name twice", "name: ci", "name: api", at("10/1", ".name: is the name of keysets[0].consumers[0] too")},
		{"no kind", "kind: github_actions, ", "", at("10/1", ".kind: is missing")},
		{"unknown kind", "kind: heroku", "kind: herokuu", at("9/0", ".kind: is not a kind of consumer")},
		{"kind is a list", "kind: heroku", "kind: [heroku]", at("9/0", ".kind: is not a kind of consumer")},
		{"no app", ", app: raxx-api-prod", "", at("9/0", ".app: is missing")},
		{"app is no name", "raxx-api-prod", "Raxx_API", at("9/0", ".app: is not the name of a Heroku app")},
		{"app twice", ci, "{name: ci, kind: heroku, app: raxx-api-prod}", at("10/1", ": writes to the same place as keysets[0].consumers[0]")},
		{"setting of another kind", "app: raxx-api-prod", "app: raxx-api-prod, repo: a/b", at("9/0", ".repo: is not a setting of kind heroku")},
		{"verify without all", "app: raxx-api-prod", "app: raxx-api-prod, verify: {url: https://a.example}", []string{
			"9 keysets[0].consumers[0].verify.field: is missing", "9 keysets[0].consumers[0].verify.want: is missing",
		}},
		{"verify in clear", "app: raxx-api-prod", "app: raxx-api-prod, verify: {url: http://a.example, field: s, want: ACTIVE}", at("9/0", ".verify.url: is not a safe address")},
		{"verify by jq", "app: raxx-api-prod", "app: raxx-api-prod, verify: {url: https://a.example, field: .s, want: ACTIVE}", at("9/0", ".verify.field: is not the path of a JSON field")},
		{"repo by address", "repo: raxx/raptor", "repo: https://github.com/raxx/raptor", at("10/1", ".repo: is not a GitHub repository")},
		{"repo without owner", "repo: raxx/raptor", "repo: raptor", at("10/1", ".repo: is not a GitHub repository")},
		{"repo that climbs", "repo: raxx/raptor", "repo: raxx/..", at("10/1", ".repo: is not a GitHub repository")},
		{"repo twice", devs, "{name: ci2, kind: github_actions, repo: Raxx/Raptor}", at("11/2", ": writes to the same place as keysets[0].consumers[1]")},
		{"environment beside the repository's own", devs, "{name: ci2, kind: github_actions, repo: Raxx/Raptor, environment: paper}", nil},
		{"environment twice", ci + "\n      - " + devs, "{name: ci, kind: github_actions, repo: raxx/raptor, environment: paper}\n      - {name: ci2, kind: github_actions, repo: Raxx/Raptor, environment: Paper}", at("11/2", ": writes to the same place as keysets[0].consumers[1]")},
		{"dependabot twice", ci + "\n      - " + devs, "{name: ci, kind: github_actions, repo: raxx/raptor, dependabot: true}\n      - {name: ci2, kind: github_actions, repo: raxx/raptor, environment: paper, dependabot: true}", at("11/2", ": writes to the same place as keysets[0].consumers[1]")},
		{"environment that climbs", "repo: raxx/raptor", "repo: raxx/raptor, environment: ../x", at("10/1", ".environment: is not the name of a deployment environment")},
		{"dependabot in words", "repo: raxx/raptor", "repo: raxx/raptor, dependabot: yes", at("10/1", ".dependabot: is neither true nor false")},
		{"nobody", ", users: [U0ADA]", "", at("11/2", ".users: is missing")},
		{"people and channel", "users: [U0ADA]", "users: [U0ADA], channel: D0AJ7K184TV", at("11/2", ".channel: is there beside users")},
		{"public channel", "users: [U0ADA]", "channel: C0RAXXOPS", at("11/2", ".channel: is not the id of a Slack DM")},
		{"developer by name", "users: [U0ADA]", "users: [ada]", at("11/2", ".users[0]: is not the id of a Slack user")},
		{"webhook", demo, "{name: demo, kind: webhook, url: https://a.example/hook?to=x, deliver: pair}", nil},
		{"webhook on this machine", demo, "{name: demo, kind: webhook, url: http://127.0.0.1:8080/hook}", nil},
		{"webhook without an address", demo, "{name: demo, kind: webhook}", at("12/3", ".url: is missing")},
		{"webhook in clear", demo, "{name: demo, kind: webhook, url: http://a.example/hook, deliver: all}", []string{
			"12 keysets[0].consumers[3].url: is not a safe address", "12 keysets[0].consumers[3].deliver: is not a way to deliver",
		}},
		{"webhook with a password", demo, "{name: demo, kind: webhook, url: https://u:p@a.example/hook}", at("12/3", ".url: is not a safe address")},
		{"covered by nothing", ", by: api", "", at("12/3", ".by: is missing")},
		{"covered by a stranger", "by: api", "by: prod", at("12/3", ".by: names no consumer of this key set")},
		{"covered by itself", "by: api", "by: demo", at("12/3", ".by: leads in a circle, so nothing would be updated")},
		{"covered in a circle", devs, "{name: devs, kind: covered_by, by: loop}\n      - {name: loop, kind: covered_by, by: devs}", []string{
			"11 keysets[0].consumers[2].by: leads in a circle, so nothing would be updated", "12 keysets[0].consumers[3].by: leads in a circle, so nothing would be updated",
		}},
		{"covered by a chain", devs, "{name: devs, kind: covered_by, by: demo}", nil},
		{"two at once, sorted by line", base[strings.Index(base, api):], "{name: api, kind: heroku, app: A}\n      - {name: B, kind: covered_by, by: api}\nlog: {level: loud}\n", []string{
			"9 keysets[0].consumers[0].app: is not the name of a Heroku app", "10 keysets[0].consumers[1].name: is not a name", "11 log.level: is not a log level",
		}},
	})
}

func TestSyntaxProblems(t *testing.T) {
	at := func(line, what string) []string { return []string{line + " : " + what} }
	const reader = "uses a YAML anchor, alias, merge, tag or complex key"
	run(t, []broken{
		{"empty", base, "", at("1", "is empty")},
		{"only a comment", base, "# nothing\n", at("1", "is empty")},
		{"a list", base, "- a\n", at("1", "does not hold settings")},
		{"a text", base, "\n\nhello\n", at("3", "does not hold settings")},
		{"two documents", "", "---\nlog: {level: info}\n", at("14", "holds a second YAML document")},
		{"open quote", "S0RAXXOPS", `"S0RAXXOPS`, at("3", "is not YAML (could not find end character of double-quoted text)")},
		{"bare at sign", "", "schedules:\n  sentinel: @every 1m\n", at("14", "is not YAML ('@' is a reserved character)")},
		{"colon in text", "", "log: a: b\n", at("13", "is not YAML (mapping value is not allowed in this context)")},
		{"tab", "  ops_group", "\tops_group", at("3", "is not YAML (found character '\t' that cannot start any token)")},
		{"not text", "S0RAXXOPS", "S0\xff", at("3", "is not text in UTF-8")},
		{"zero byte", "S0RAXXOPS", "S0\x00", at("3", "is not text in UTF-8")},
		{"anchor and alias", "C0RAXXOPS\n  ops_group: S0RAXXOPS", "&a C0RAXXOPS\n  ops_group: *a", append(at("2", reader), at("3", reader)...)},
		{"tag", "S0RAXXOPS", "!!str S0RAXXOPS", at("3", reader)},
		{"merge", "  ops_group", "  <<: {}\n  ops_group", at("3", reader)},
		{"too deep", "S0RAXXOPS", strings.Repeat("[", 100), at("3", "is nested too deeply")},
		{"too deep with dashes", "", "log: \n" + strings.Repeat("- ", 100), at("14", "is nested too deeply")},
		{"too large", "", strings.Repeat("# x\n", maxFileBytes/4), at("1", "is larger than 128 KiB")},
		{"windows line ends", base, strings.ReplaceAll(strings.Replace(base, "S0RAXXOPS", "ops", 1), "\n", "\r\n"), []string{"3 slack.ops_group: is not the id of a Slack user group"}},
		{"byte order mark", base, "\ufeff" + base, nil},
		{"unknown block", "", "keyset: []\n", []string{"13 keyset: is not a setting"}},
		{"unknown setting", "ops_group", "ops_gruop", []string{"1 slack: does not say who has the role ops", "3 slack.ops_gruop: is not a setting"}},
		{"setting twice", "  ops_group: S0RAXXOPS", "  ops_group: S0RAXXOPS\n  ops_group: S0RAXXOPT", []string{"4 slack.ops_group: is there twice"}},
		{"block twice", "", "state: {path: b.db}\n", []string{"13 state: is there twice"}},
		{"a secret as a key", "", "xoxb-123456789012: 1\n", []string{"13 (a key): is not a setting"}},
	})
}

func TestSuggestions(t *testing.T) {
	tests := []struct{ got, want string }{
		{"ops_gruop", `did you mean "ops_group"? Write that, or remove it`},
		{"OPS_GROUP", `did you mean "ops_group"? Write that, or remove it`},
		{"opsgroup", `did you mean "ops_group"? Write that, or remove it`},
		{"webhooks", "use one of ops_group, ops_users, url, or remove it"},
		{"x", "use one of ops_group, ops_users, url, or remove it"},
	}
	for _, tt := range tests {
		if got := suggest(tt.got, []string{"ops_group", "ops_users", "url"}); got != tt.want {
			t.Errorf("suggest(%q) = %q, want %q", tt.got, got, tt.want)
		}
	}
}

// TestProblemsHoldNoValue puts a secret in the place of every value of the file,
// closed and as an open quote, and looks for it in the problems.
func TestProblemsHoldNoValue(t *testing.T) {
	values := regexp.MustCompile(`: ([^{}\[\],\n]+)`).FindAllStringSubmatchIndex(base, -1)
	if len(values) < 20 {
		t.Fatalf("found %d values in the base file, want all of them", len(values))
	}
	found := 0
	for _, at := range values {
		for _, secret := range []string{`"` + canary + ` !"`, `"` + canary, canary + ": " + canary} {
			_, err := Load(write(t, base[:at[2]]+secret+base[at[3]:]), lookup(tokens()))
			found += len(problems(t, err)) // fails if it sees the canary
		}
	}
	if found < 2*len(values) {
		t.Errorf("%d problems for %d broken files, want at least two for each three", found, 3*len(values))
	}
}
