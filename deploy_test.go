package keyturn_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/raxx-app/keyturn"
)

// read returns a file of the project.
func read(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// ownMetric is the name of one of our metrics in an expression.
var ownMetric = regexp.MustCompile(`\bkeyturn_[a-z_]+`)

// unknownMetrics returns the metrics in an expression that the bot does not have.
// The list is what a test of package app sees on /metrics.
func unknownMetrics(t *testing.T, expr string) (unknown []string) {
	t.Helper()
	var known []string
	for line := range strings.Lines(read(t, "internal", "app", "testdata", "metrics.txt")) {
		name, kind, _ := strings.Cut(strings.TrimSpace(line), " ")
		known = append(known, name)
		if kind == "histogram" {
			known = append(known, name+"_bucket", name+"_sum", name+"_count")
		}
	}
	for _, name := range ownMetric.FindAllString(expr, -1) {
		if !slices.Contains(known, name) {
			unknown = append(unknown, name)
		}
	}
	return unknown
}

// TestAlerts: each alert is about metrics that there are, and says where it is
// explained; there is a section about it, and none about others.
func TestAlerts(t *testing.T) {
	t.Parallel()
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr         string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, "deploy", "alerts.yml")), &file); err != nil {
		t.Fatal(err)
	}
	var alerts []string
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			alerts = append(alerts, r.Alert)
			if bad := unknownMetrics(t, r.Expr); len(bad) > 0 {
				t.Errorf("%s: the bot has no metrics %v", r.Alert, bad)
			}
			if want := "docs/operations.md#" + strings.ToLower(r.Alert); r.Annotations["runbook"] != want {
				t.Errorf("%s: runbook %q, want %q", r.Alert, r.Annotations["runbook"], want)
			}
			if r.Annotations["summary"] == "" || !slices.Contains([]string{"page", "warn", "info"}, r.Labels["severity"]) {
				t.Errorf("%s: summary %q, severity %q", r.Alert, r.Annotations["summary"], r.Labels["severity"])
			}
		}
	}
	var explained []string
	for _, m := range regexp.MustCompile(`(?m)^### (Keyturn[A-Za-z]+)$`).FindAllStringSubmatch(read(t, "docs", "operations.md"), -1) {
		explained = append(explained, m[1])
	}
	slices.Sort(alerts)
	slices.Sort(explained)
	if len(alerts) == 0 || !slices.Equal(alerts, explained) {
		t.Errorf("docs/operations.md explains %v, want %v", explained, alerts)
	}
}

// TestDashboard: the dashboard is JSON, and each panel is about metrics that
// there are.
func TestDashboard(t *testing.T) {
	t.Parallel()
	var board struct {
		Title  string
		Panels []struct {
			ID      int
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "deploy", "dashboard.json")), &board); err != nil {
		t.Fatal(err)
	}
	if board.Title == "" || len(board.Panels) < 10 {
		t.Errorf("dashboard %q has %d panels", board.Title, len(board.Panels))
	}
	seen := map[int]bool{}
	for _, p := range board.Panels {
		if seen[p.ID] || len(p.Targets) == 0 {
			t.Errorf("panel %q: id %d is there before, or it shows nothing", p.Title, p.ID)
		}
		seen[p.ID] = true
		for _, target := range p.Targets {
			if bad := unknownMetrics(t, target.Expr); len(bad) > 0 {
				t.Errorf("panel %q: the bot has no metrics %v", p.Title, bad)
			}
		}
	}
}

// TestUnit: the unit hands over each secret as a file that only the service
// sees, starts the bot with a command that there is, and closes the rest.
func TestUnit(t *testing.T) {
	t.Parallel()
	unit := read(t, "deploy", "keyturn.service")
	for _, name := range variables(t) {
		if !strings.Contains(unit, name) {
			t.Errorf("the unit does not mention %s", name)
		}
	}
	given := regexp.MustCompile(`(?m)^LoadCredential=([A-Z_]+):`).FindAllStringSubmatch(unit, -1)
	if len(given) < 5 {
		t.Errorf("%d credentials, want those that every bot needs", len(given))
	}
	for _, m := range given {
		if line := "Environment=" + m[1] + "_FILE=%d/" + m[1] + "\n"; !strings.Contains(unit, line) {
			t.Errorf("the unit lacks %q", line)
		}
	}
	for _, line := range []string{
		"ExecStart=/usr/local/bin/bot run --config /etc/keyturn/bot.yml", "ExecReload=/bin/kill -HUP $MAINPID", "RestartPreventExitStatus=2",
		"DynamicUser=yes", "StateDirectory=keyturn", "ProtectSystem=strict", "ProtectHome=yes", "NoNewPrivileges=yes", "CapabilityBoundingSet=", "LimitCORE=0", "UMask=0077",
	} {
		if !strings.Contains(unit, "\n"+line+"\n") {
			t.Errorf("the unit lacks %q", line)
		}
	}
	for _, never := range []string{"PrivateUsers=yes", "ProtectProc=invisible"} { // they hide who logged in
		if strings.Contains(unit, never) {
			t.Errorf("the unit has %s, and the record of acts in the terminal would not know who acts", never)
		}
	}
}

// variables returns the names of the environment that the settings read, as
// bot.example.yml lists them.
func variables(t *testing.T) (names []string) {
	t.Helper()
	for _, m := range regexp.MustCompile(`(?m)^# {3}([A-Z_]{6,}) `).FindAllStringSubmatch(keyturn.ExampleConfig(), -1) {
		names = append(names, m[1])
	}
	if len(names) < 8 {
		t.Fatalf("bot.example.yml lists %v", names)
	}
	return names
}

// TestImage: the image is built as releases are, runs as somebody who is not
// root, and has no shell.
func TestImage(t *testing.T) {
	t.Parallel()
	text := read(t, "deploy", "Dockerfile")
	for _, want := range []string{"CGO_ENABLED=0", "-trimpath", "\nUSER 65532:65532\n", "\nFROM gcr.io/distroless/static-debian12:nonroot\n", `ENTRYPOINT ["/usr/local/bin/bot"]`} {
		if !strings.Contains(text, want) {
			t.Errorf("the Dockerfile lacks %q", want)
		}
	}
}

// TestWorkflows: each action is pinned to one version, one Go version is used
// everywhere, and tokens may do nothing that is not said.
func TestWorkflows(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(".github", "workflows", "*.yml"))
	if err != nil || len(files) < 2 {
		t.Fatalf("workflows %v, %v", files, err)
	}
	versions := map[string]bool{}
	for _, path := range append(files, filepath.Join("deploy", "Dockerfile")) {
		text := read(t, path)
		for _, m := range regexp.MustCompile(`(?:go-version: |golang:)([0-9.]+)`).FindAllStringSubmatch(text, -1) {
			versions[m[1]] = true
		}
		if !slices.Contains(files, path) {
			continue
		}
		var flow map[string]any
		if err := yaml.Unmarshal([]byte(text), &flow); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if _, ok := flow["permissions"]; !ok {
			t.Errorf("%s grants whatever is the default", path)
		}
		for _, m := range regexp.MustCompile(`uses: (\S+)`).FindAllStringSubmatch(text, -1) {
			if !strings.HasPrefix(m[1], "./") && !regexp.MustCompile(`@(v\d+\.\d+\.\d+|[0-9a-f]{40})$`).MatchString(m[1]) {
				t.Errorf("%s uses %s, which can move", path, m[1])
			}
		}
	}
	if len(versions) != 1 {
		t.Errorf("Go versions %v, want one", versions)
	}
}

// TestScopesHaveReasons: whoever installs the app reads why each scope is there.
func TestScopesHaveReasons(t *testing.T) {
	t.Parallel()
	for _, scope := range readManifest(t).OAuth.Scopes.Bot {
		if !regexp.MustCompile(`(?m)^ +- ` + regexp.QuoteMeta(scope) + ` # .{10,}$`).MatchString(keyturn.Manifest()) {
			t.Errorf("manifest.yml does not say what %s is for", scope)
		}
	}
}
