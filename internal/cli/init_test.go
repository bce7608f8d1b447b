package cli

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/config"
)

// placeholder is a value that only the operator knows.
var placeholder = regexp.MustCompile(`<[a-z-]+>`)

// initialized runs init in an empty folder and returns it.
func initialized(t *testing.T) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "keyturn")
	var stdout, stderr bytes.Buffer
	if code := Run(t.Context(), Env{Args: []string{"init", dir}, Getenv: func(string) string { return "" }, Stdout: &stdout, Stderr: &stderr, Now: time.Now}); code != 0 {
		t.Fatalf("bot init = %d: %s", code, stderr.String())
	}
	return dir
}

// What init writes is for its owner alone.
func TestInitWritesPrivateFiles(t *testing.T) {
	t.Parallel()
	dir := initialized(t)
	for name, want := range map[string]os.FileMode{".": 0o700 | os.ModeDir, settingsFile: 0o600, stateKeyFile: 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", name, info.Mode(), want)
		}
	}
}

// environment is what the tokens step of the guide leads to.
func environment(dir string) func(string) string {
	return func(name string) string {
		return map[string]string{
			"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1", "INFISICAL_CLIENT_ID": "id", "INFISICAL_CLIENT_SECRET": "secret",
			"HEROKU_API_KEY": "HRKU-1", "GITHUB_TOKEN": "github_pat_1", "STATE_KEY_FILE": filepath.Join(dir, stateKeyFile),
		}[name]
	}
}

// Every placeholder is refused by its own line, so none can be forgotten; with
// all of them replaced the settings load.
func TestInitSettingsLoadOnceFilledIn(t *testing.T) {
	t.Parallel()
	dir := initialized(t)
	path := filepath.Join(dir, settingsFile)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = config.Load(path, environment(dir))
	problems, _ := errors.AsType[config.Problems](err)
	refused := map[int]bool{}
	for _, p := range problems {
		refused[p.Line] = true
	}
	lines := 0
	for n, line := range strings.Split(string(text), "\n") {
		active, _, _ := strings.Cut(line, "#")
		if open := placeholder.MatchString(active); open != refused[n+1] {
			t.Errorf("line %d, %q: holds a placeholder: %v, refused: %v", n+1, line, open, refused[n+1])
		} else if open {
			lines++
		}
	}
	if lines < 5 {
		t.Errorf("%d lines with placeholders, want those of Slack, Infisical and the consumers", lines)
	}
	filled := strings.NewReplacer("<channel-id>", "C0RAXXOPS", "<group-id>", "S0RAXXOPS", "<user-id>", "U0ADA", "<project-id>", "3f1c0000-0000-4000-8000-000000000000",
		"<heroku-app>", "raxx-api-prod", "<owner>/<repository>", "raxx/raptor", "<host>", "backtest.raxx.app").Replace(string(text))
	if err := os.WriteFile(path, []byte(filled), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path, environment(dir))
	if err != nil {
		t.Fatalf("the settings of init, filled in, do not load:\n%v", err)
	}
	if len(cfg.KeySets) != 1 || len(cfg.KeySets[0].Consumers) != 3 || cfg.Slack.OpsChannel != "C0RAXXOPS" {
		t.Errorf("loaded %+v, want what was filled in", cfg.KeySets)
	}
}

// What stands behind # is right too: each line, taken out of its comment and
// filled in, is accepted.
func TestInitCommentsAreSettings(t *testing.T) {
	t.Parallel()
	dir := initialized(t)
	fill := strings.NewReplacer("<channel-id>", "C0RAXXOPS", "<group-id>", "S0RAXXOPS", "<user-id>", "U0ADA", "<project-id>", "3f1c0000",
		"<heroku-app>", "raxx-api-prod", "<owner>/<repository>", "raxx/raptor", "<host>", "backtest.raxx.app")
	commented := regexp.MustCompile(`(?m)^( +)# ((?:- \{)?[a-z_]+: .*)$`)
	if n := len(commented.FindAllString(initSettings, -1)); n != 6 {
		t.Errorf("%d settings are comments, want 6", n)
	}
	for _, line := range commented.FindAllString(initSettings, -1) {
		text := strings.Replace(initSettings, line, commented.ReplaceAllString(line, "$1$2"), 1)
		if strings.Contains(line, "ops_users") {
			text = regexp.MustCompile(`(?m)^  ops_group:.*\n`).ReplaceAllString(text, "")
		}
		path := filepath.Join(t.TempDir(), settingsFile)
		if err := os.WriteFile(path, []byte(fill.Replace(text)), 0o600); err != nil {
			t.Fatal(err)
		}
		env := environment(dir)
		if _, err := config.Load(path, func(name string) string {
			if name == "WEBHOOK_SECRET" {
				return "0123456789abcdef"
			}
			return env(name)
		}); err != nil {
			t.Errorf("with %q as a setting: %v", line, err)
		}
	}
}
