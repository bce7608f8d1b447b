// Package archtest checks who imports whom.
package archtest

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/raxx-app/keyturn/"

// allowed lists, for each package, the non-standard packages it may import
// directly. A new package fails the test until it has a line here, and a line
// fails it that names no package.
var allowed = map[string][]string{
	"github.com/raxx-app/keyturn": {}, // embeds manifest.yml; go:embed cannot reach upwards

	"cmd/bot":     {"internal/cli"},
	"cmd/sandbox": {"internal/sandbox"},

	"conformance":     {},                 // holds tests only
	"conformance/sim": {"internal/sim/*"}, // starts simulators for clients that we did not write; neither program of cmd links it

	// "internal/*" never matches internal/sim/x, so cmd/bot links no simulator.
	"internal/app":      {"internal/*", "golang.org/x/sync/errgroup", "github.com/prometheus/client_golang/*", "github.com/prometheus/client_golang/*/*"},
	"internal/archtest": {},
	"internal/cli":      {"github.com/raxx-app/keyturn", "internal/app", "internal/commands", "internal/config", "internal/control", "internal/fault", "internal/rotation", "internal/secret", "internal/state", "github.com/spf13/cobra", "charm.land/huh/v2"},
	"internal/commands": {"internal/fault", "internal/rotation"},
	"internal/config":   {"internal/secret", "github.com/robfig/cron/v3", "github.com/goccy/go-yaml", "github.com/goccy/go-yaml/*"},
	"internal/control":  {"internal/commands", "internal/fault", "internal/rotation", "internal/secret"},
	"internal/fault":    {},
	"internal/jobs":     {"internal/fault", "internal/rotation", "github.com/robfig/cron/v3", "golang.org/x/sync/errgroup"},
	"internal/modals":   {"internal/rotation", "internal/secret", "github.com/slack-go/slack"},
	"internal/rotation": {"internal/fault", "internal/secret", "github.com/cenkalti/backoff/v5", "golang.org/x/sync/*"},
	"internal/sandbox":  {"internal/app", "internal/cli", "internal/control", "internal/rotation", "internal/sandbox/page", "internal/sim/*"},
	"internal/secret":   {},
	"internal/slackbot": {"internal/commands", "internal/fault", "internal/modals", "internal/rotation", "internal/secret", "github.com/slack-go/slack", "github.com/slack-go/slack/*", "golang.org/x/sync/*", "golang.org/x/time/rate"},
	"internal/state":    {"internal/fault", "internal/rotation", "internal/secret", "go.etcd.io/bbolt", "go.etcd.io/bbolt/*", "filippo.io/age"},

	"internal/sandbox/page": {"internal/control", "internal/rotation", "internal/sim/*"},

	"internal/state/statetest": {"internal/fault", "internal/rotation", "internal/secret", "github.com/google/go-cmp/cmp", "pgregory.net/rapid"}, // the conformance suite of every Store; for tests only

	// Clients never import each other.
	"internal/alpaca":     {"internal/fault", "internal/rotation", "internal/secret"},
	"internal/developers": {"internal/fault", "internal/rotation", "internal/secret"},
	"internal/downstream": {"internal/fault", "internal/rotation", "internal/secret"},
	"internal/github":     {"internal/fault", "internal/rotation", "internal/secret", "github.com/google/go-github/v92/*", "golang.org/x/crypto/nacl/box"},
	"internal/heroku":     {"internal/fault", "internal/rotation", "internal/secret", "github.com/heroku/heroku-go/v5"},
	"internal/infisical":  {"internal/fault", "internal/rotation", "internal/secret", "github.com/infisical/go-sdk/packages/*", "github.com/infisical/go-sdk/packages/*/*", "github.com/go-resty/resty/v2"},
	"internal/pagerduty":  {"internal/fault", "internal/secret"},
	"internal/webhook":    {"internal/fault", "internal/rotation", "internal/secret"},

	// Keys are no patterns: each simulator is named. None knows the code it stands in for.
	"internal/sim/alpacasim":    {"internal/sim/*", "github.com/gorilla/websocket"},
	"internal/sim/githubsim":    {"internal/sim/*", "golang.org/x/crypto/nacl/*", "golang.org/x/crypto/blake2b"},
	"internal/sim/herokusim":    {"internal/sim/*"},
	"internal/sim/infisicalsim": {"internal/sim/*"},
	"internal/sim/pagerdutysim": {"internal/sim/*"},
	"internal/sim/raptorsim":    {"internal/sim/*"},
	"internal/sim/simhttp":      {},
	"internal/sim/simtest":      {"internal/sim/*"},
	"internal/sim/slacksim":     {"internal/sim/*", "github.com/gorilla/websocket"},
	"internal/sim/webhooksim":   {"internal/sim/*"},
}

// forbidden lists packages of the standard library that a package may not
// import although everything else there is welcome.
var forbidden = map[string][]string{
	"internal/rotation": {"net/http", "net/http/*", "database/sql", "os/exec", "log"}, // the domain does not speak HTTP
	"internal/modals":   {"net", "net/*", "os", "os/*", "log"},                        // pure functions
	"internal/commands": {"net/http", "os", "os/*", "log"},
	"internal/config":   {"net/http", "log"}, // calls no service
}

// matches reports whether one of rules, which are patterns of [path.Match],
// covers name.
func matches(rules []string, name string) bool {
	return slices.ContainsFunc(rules, func(r string) bool { ok, _ := path.Match(r, name); return ok })
}

// list runs go list at the module's root and returns what it writes.
func list(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...)
	cmd.Dir = filepath.Join("..", "..")
	out, err := cmd.Output()
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		t.Fatalf("go list %s: %v\n%s", strings.Join(args, " "), err, e.Stderr)
	} else if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestImports(t *testing.T) {
	seen := map[string]bool{}
	for dec := json.NewDecoder(strings.NewReader(list(t, "-json=ImportPath,Imports", "./..."))); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(p.ImportPath, module)
		seen[name] = true
		rules, ok := allowed[name]
		if !ok {
			t.Errorf("%s has no import rule; add one", name)
			continue
		}
		for _, imp := range p.Imports {
			if first, _, _ := strings.Cut(imp, "/"); !strings.Contains(first, ".") {
				if matches(forbidden[name], imp) || imp == "os/exec" && name != "internal/sandbox" { // a process would inherit every token
					t.Errorf("%s must not import %s", name, imp)
				}
				continue // the rest of the standard library
			}
			if imp = strings.TrimPrefix(imp, module); !matches(rules, imp) {
				t.Errorf("%s must not import %s", name, imp)
			}
		}
	}
	for name := range allowed {
		if !seen[name] {
			t.Errorf("%s has an import rule but is no package", name)
		}
	}
}

// TestBotLinksNoSimulator keeps what pretends to be a service out of the program
// that holds real keys.
func TestBotLinksNoSimulator(t *testing.T) {
	deps := strings.Fields(list(t, "-deps", "./cmd/bot"))
	if !slices.Contains(deps, module+"internal/cli") {
		t.Errorf("cmd/bot links %d packages but not internal/cli: the test looks at the wrong thing", len(deps))
	}
	for _, d := range deps {
		if strings.HasPrefix(d, module+"internal/sim") || strings.HasPrefix(d, module+"internal/sandbox") || d == module+"internal/state/statetest" {
			t.Errorf("cmd/bot links %s", d)
		}
	}
}

// TestSimulatorsDoNotKnowTesting lets the sandbox run them.
func TestSimulatorsDoNotKnowTesting(t *testing.T) {
	dirs, err := os.ReadDir(filepath.Join("..", "sim"))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		files, _ := filepath.Glob(filepath.Join("..", "sim", d.Name(), "*.go"))
		if len(files) == 0 || d.Name() == "simtest" {
			continue
		}
		if imports := strings.Fields(list(t, "-f", `{{join .Imports " "}}`, "./internal/sim/"+d.Name())); slices.Contains(imports, "testing") {
			t.Errorf("internal/sim/%s imports testing", d.Name())
		}
	}
}
