package config

import (
	"errors"
	"strings"
	"testing"
)

// FuzzLoad checks that no text makes Load panic, that every problem has a place
// inside the text, and that what passes is safe to use.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		base, "", "\ufeff" + base, strings.ReplaceAll(base, "\n", "\r\n"), "slack: [", "a: &a [*a]", "? [a]\n: b\n", "- - - a", "{a: {b: {c: }}}",
		"keysets: [{name: x, consumers: [{name: y, kind: covered_by, by: y}]}]", "keysets:\n-\n-\n", "slack: {ops_users: [[U1], {a: b}, null]}",
		"schedules: {reminders: TZ=, sentinel: \"@every 999999999999h\", timezone: ../etc}", "schedules: {reminders: \"*/0 * * * *\"}",
		"endpoints: {alpaca: \"http://127.0.0.1:0x1\", slack: \"http://[::1%25eth0]:1\"}", "slack: |\n  a\n\n  b\nstate: >\n  x\n", "a: \"\\\n\"", "\t", "%YAML 9.9\n---\na", "...", "--- a\n--- b",
		strings.Replace(base, "{name: demo, kind: covered_by, by: api}", "{name: demo, kind: webhook, url: http://[::1]:1/a?b, deliver: pair}", 1),
		base + "    test_order:\n      url: https://a.example\n      order: {symbol: AAPL, qty: 1, side: buy, type: limit, limit_price: 1.00, time_in_force: day, mode: paper}\n",
	} {
		f.Add(seed)
	}
	env := environment{absent: map[string]bool{}}
	f.Fuzz(func(t *testing.T, text string) {
		r := &reader{file: "bot.yml"}
		cfg := Config{File: "/etc/bot.yml"}
		r.settings(&cfg, []byte(text), env)
		last := 1 + strings.Count(text, "\n") + strings.Count(text, "\r")
		for _, p := range r.problems {
			if p.Line < 1 || p.Line > last || p.What == "" || p.Fix == "" {
				t.Errorf("problem %+v of a text of %d lines: want a line in it, what and a fix", p, last)
			}
		}
		if len(r.problems) == 0 {
			checkSafe(t, cfg)
		}
		if _, ok := errors.AsType[Problems](error(r.problems)); !ok {
			t.Error("problems are not an error of type Problems")
		}
	})
}

// checkSafe reports what must never pass.
func checkSafe(t *testing.T, cfg Config) {
	t.Helper()
	if cfg.Endpoints.Alpaca != paperHost && !strings.HasPrefix(cfg.Endpoints.Alpaca, "http") {
		t.Errorf("Alpaca endpoint = %q", cfg.Endpoints.Alpaca)
	}
	if (cfg.Slack.OpsGroup == "") == (len(cfg.Slack.OpsUsers) == 0) {
		t.Errorf("ops group %q and users %q: want exactly one", cfg.Slack.OpsGroup, cfg.Slack.OpsUsers)
	}
	if len(cfg.KeySets) == 0 {
		t.Error("no key set")
	}
	places := map[string]bool{}
	for _, k := range cfg.KeySets {
		place := strings.Join([]string{k.Infisical.ProjectID, k.Infisical.Environment, k.Infisical.Path, k.Infisical.KeyID}, "|")
		if places[place] {
			t.Errorf("two key sets have the place %s", place)
		}
		places[place] = true
		if !entryName.ok(k.Name) || k.CadenceDays < 1 || len(k.Consumers) == 0 {
			t.Errorf("key set %q: cadence %d, %d consumers", k.Name, k.CadenceDays, len(k.Consumers))
		}
		if o := k.TestOrder; o != nil && (o.Order.Mode != "paper" || o.Order.Qty != 1 || o.Order.Side != "buy") {
			t.Errorf("key set %q: test order %+v", k.Name, o.Order)
		}
		for _, c := range k.Consumers {
			if c.Kind == "" || c.Kind == KindWebhook && (!webURL.ok(c.URL) || c.Deliver != DeliverNotify && c.Deliver != DeliverPair) || c.Kind == KindCoveredBy && c.By == c.Name {
				t.Errorf("key set %q: consumer %+v", k.Name, c)
			}
		}
	}
}
