package config

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/secret"
)

func TestEnvironmentProblems(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tests := []struct {
		name string
		set  map[string]string // "" unsets
		want []string
	}{
		{name: "nothing wrong"},
		{
			name: "nothing set",
			set: map[string]string{
				"SLACK_BOT_TOKEN": "", "SLACK_APP_TOKEN": "", "INFISICAL_CLIENT_ID": "", "INFISICAL_CLIENT_SECRET": "",
				"HEROKU_API_KEY": "", "GITHUB_TOKEN": "", "WEBHOOK_SECRET": "", "STATE_KEY": "",
			},
			want: []string{
				"0 SLACK_BOT_TOKEN: is not set", "0 SLACK_APP_TOKEN: is not set", "0 INFISICAL_CLIENT_ID: is not set",
				"0 INFISICAL_CLIENT_SECRET: is not set", "0 STATE_KEY: is not set",
				"9 keysets[0].consumers[0]: needs HEROKU_API_KEY, which is not set",
				"10 keysets[0].consumers[1]: needs GITHUB_TOKEN, which is not set",
			},
		},
		{name: "only spaces count as not set", set: map[string]string{"INFISICAL_CLIENT_ID": " \n"}, want: []string{"0 INFISICAL_CLIENT_ID: is not set"}},
		{name: "trimmed", set: map[string]string{"SLACK_BOT_TOKEN": "  xoxb-" + canary + "\n"}},
		{
			name: "Slack tokens swapped",
			set:  map[string]string{"SLACK_BOT_TOKEN": "xapp-" + canary, "SLACK_APP_TOKEN": "xoxb-" + canary},
			want: []string{
				"0 SLACK_BOT_TOKEN: is not the token of a Slack bot: the two Slack tokens are swapped",
				"0 SLACK_APP_TOKEN: is not an app-level token of Slack: the two Slack tokens are swapped",
			},
		},
		{name: "user token", set: map[string]string{"SLACK_BOT_TOKEN": "xoxp-" + canary}, want: []string{"0 SLACK_BOT_TOKEN: is not the token of a Slack bot"}},
		{name: "line break inside", set: map[string]string{"HEROKU_API_KEY": canary + "\r\nX-Evil: 1"}, want: []string{"0 HEROKU_API_KEY: holds characters that no token has"}},
		{name: "wrong token that nobody needs", set: map[string]string{"DOWNSTREAM_TOKEN": canary + " x"}, want: []string{"0 DOWNSTREAM_TOKEN: holds characters that no token has"}},
		{name: "signing key that can be guessed", set: map[string]string{"WEBHOOK_SECRET": "whs-" + canary}, want: []string{"0 WEBHOOK_SECRET: is shorter than 16 characters, or holds a space"}},
		{name: "state key is a recipient", set: map[string]string{"STATE_KEY": "age1" + canary}, want: []string{"0 STATE_KEY: is not a list of age identities"}},
		{name: "state key is comments only", set: map[string]string{"STATE_KEY": "# " + canary}, want: []string{"0 STATE_KEY: is not a list of age identities"}},
		{name: "from a file", set: map[string]string{"SLACK_BOT_TOKEN": "", "SLACK_BOT_TOKEN_FILE": file("bot", "xoxb-"+canary+"\n")}},
		{
			name: "both ways",
			set:  map[string]string{"GITHUB_TOKEN_FILE": file("gh", "ghp_"+canary)},
			want: []string{"0 GITHUB_TOKEN: is set beside GITHUB_TOKEN_FILE"},
		},
		{
			name: "file is not there",
			set:  map[string]string{"STATE_KEY": "", "STATE_KEY_FILE": filepath.Join(dir, "none")},
			want: []string{"0 STATE_KEY_FILE: names a file that cannot be read: no such file or directory"},
		},
		{
			name: "file is a folder",
			set:  map[string]string{"STATE_KEY": "", "STATE_KEY_FILE": dir},
			want: []string{"0 STATE_KEY_FILE: names a file that cannot be read: is a directory"},
		},
		{
			name: "file is empty",
			set:  map[string]string{"HEROKU_API_KEY": "", "HEROKU_API_KEY_FILE": file("empty", "\n")},
			want: []string{"0 HEROKU_API_KEY_FILE: names an empty file"},
		},
		{
			name: "file is huge",
			set:  map[string]string{"HEROKU_API_KEY": "", "HEROKU_API_KEY_FILE": file("huge", strings.Repeat("x", maxTokenBytes+1))},
			want: []string{"0 HEROKU_API_KEY_FILE: names a file that is too large for a token"},
		},
		{
			name: "file holds another token",
			set:  map[string]string{"SLACK_APP_TOKEN": "", "SLACK_APP_TOKEN_FILE": file("app", canary)},
			want: []string{"0 SLACK_APP_TOKEN: is not an app-level token of Slack"},
		},
		{
			name: "on a dyno",
			set:  map[string]string{"DYNO": "worker.1"},
			want: []string{"4 state.path: is on a Heroku dyno, whose disk is wiped at least once a day: sealed pairs and the audit would be lost"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			env := tokens()
			maps.Copy(env, tt.set)
			cfg, err := Load(write(t, base), lookup(env))
			if diff := cmp.Diff(tt.want, problems(t, err)); diff != "" {
				t.Fatalf("problems (-want +got):\n%s", diff)
			}
			if err == nil && !cfg.Tokens.SlackBot.HasPrefix("xoxb-"+canary) {
				t.Errorf("bot token has %d characters, want xoxb- and the canary", cfg.Tokens.SlackBot.Len())
			}
			if err == nil && cfg.Tokens.SlackBot.Len() != len("xoxb-"+canary) {
				t.Errorf("bot token has %d characters, want %d: trimmed", cfg.Tokens.SlackBot.Len(), len("xoxb-"+canary))
			}
		})
	}
}

// TestWebhookNeedsItsSecret: without it events could not be signed.
func TestWebhookNeedsItsSecret(t *testing.T) {
	env := tokens()
	delete(env, "WEBHOOK_SECRET")
	const demo = "{name: demo, kind: covered_by, by: api}"
	text := strings.Replace(base, demo, "{name: demo, kind: webhook, url: https://a.example/hook}\n      - {name: risk, kind: webhook, url: https://a.example/risk}", 1)
	_, err := Load(write(t, text), lookup(env))
	if diff := cmp.Diff([]string{"12 keysets[0].consumers[3]: needs WEBHOOK_SECRET, which is not set"}, problems(t, err)); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	env["WEBHOOK_SECRET"] = "webhook-" + canary + "-00"
	cfg, err := Load(write(t, text), lookup(env))
	if err != nil {
		t.Fatalf("Load = %v, want no problem", err)
	}
	want := []Consumer{
		{Name: "demo", Kind: KindWebhook, URL: "https://a.example/hook", Deliver: DeliverNotify},
		{Name: "risk", Kind: KindWebhook, URL: "https://a.example/risk", Deliver: DeliverNotify},
	}
	if diff := cmp.Diff(want, cfg.KeySets[0].Consumers[3:]); diff != "" || !cfg.Tokens.Webhook.Equal(secret.New("webhook-"+canary+"-00")) {
		t.Errorf("consumers (-want +got):\n%s\nor the secret is another one", diff)
	}
}

// TestTokensOfNoConsumer lets a bot without Heroku and GitHub start without
// their tokens.
func TestTokensOfNoConsumer(t *testing.T) {
	env := tokens()
	delete(env, "HEROKU_API_KEY")
	delete(env, "GITHUB_TOKEN")
	text := strings.Replace(base, "{name: api, kind: heroku, app: raxx-api-prod}", "{name: api, kind: developers, users: [U0BOB]}", 1)
	text = strings.Replace(text, "{name: ci, kind: github_actions, repo: raxx/raptor}", "{name: ci, kind: covered_by, by: devs}", 1)
	if _, err := Load(write(t, text), lookup(env)); err != nil {
		t.Errorf("Load = %v, want no problem", err)
	}
}
