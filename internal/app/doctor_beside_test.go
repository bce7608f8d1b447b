package app_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/app"
	"github.com/raxx-app/keyturn/internal/cli"
	"github.com/raxx-app/keyturn/internal/sim/simhttp"
)

// doctor runs the command and returns what it prints.
func (w *world) doctor(args ...string) (code int, stdout, stderr string) {
	w.t.Helper()
	env := w.environment()
	var out, errs bytes.Buffer
	code = cli.Run(w.t.Context(), cli.Env{
		Args: append([]string{"doctor", "--config", w.settings()}, args...), Getenv: func(name string) string { return env[name] },
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Now: time.Now,
	})
	return code, out.String(), errs.String()
}

// A diagnosis is what the command prints with --json.
type diagnosis struct {
	Findings []app.Finding     `json:"findings"`
	Count    map[app.Level]int `json:"count"`
}

// diagnose returns what the command finds. It must end with that code.
func (w *world) diagnose(want int) (d diagnosis) {
	w.t.Helper()
	code, stdout, stderr := w.doctor("--json")
	if code != want || stderr != "" {
		w.t.Fatalf("doctor --json = %d, stderr %q, want %d and nothing; stdout:\n%s", code, stderr, want, stdout)
	}
	w.must(json.Unmarshal([]byte(stdout), &d))
	return d
}

// findings returns what the command printed with --json; none if it printed nothing.
func findings(t *testing.T, stdout string) []app.Finding {
	t.Helper()
	var d diagnosis
	if err := json.Unmarshal([]byte(stdout), &d); err != nil {
		t.Logf("doctor --json: %v; stdout:\n%s", err, stdout)
	}
	return d.Findings
}

// Beside a running bot the doctor needs neither the state's lock nor a socket,
// and asks the bot for what only it can know.
func TestDoctorBesideABot(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.start()
	sockets := w.slack.Connections()
	d := w.diagnose(0)
	for check, want := range map[string]string{
		"running bot": fmt.Sprintf("runs as pid %d and is connected to Slack", os.Getpid()),
		"file":        w.stateFile() + " is whole",
		"STATE_KEY":   "it opens this state",
	} {
		if i := slices.IndexFunc(d.Findings, func(f app.Finding) bool { return f.Check == check }); i < 0 || !strings.HasPrefix(d.Findings[i].Text, want) {
			t.Errorf("findings of %s: want text %q; all: %+v", check, want, d.Findings)
		}
	}
	if d.Count[app.LevelFail] != 0 || d.Count[app.LevelOK] == 0 {
		t.Errorf("count = %v, want some ok and no fail", d.Count)
	}
	if n := w.slack.Connections(); n != sockets {
		t.Errorf("%d sockets, want the bot's %d", n, sockets)
	}
}

// The table names what has to be mended, and the exit code says that there is
// something; tokens are in neither.
func TestDoctorTable(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.heroku.RevokeToken(herokuToken)
	code, stdout, stderr := w.doctor()
	if code != 1 || stderr != "" {
		t.Errorf("doctor = %d, stderr %q, want 1 and nothing", code, stderr)
	}
	for _, want := range []string{"ok    slack", "fail  prod", "→ ", " ok · ", " warn · 2 fail, in "} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the table has no %q:\n%s", want, stdout)
		}
	}
	for name, value := range w.environment() {
		if !strings.HasSuffix(name, "_FILE") && name != "INFISICAL_CLIENT_ID" && strings.Contains(stdout, value) {
			t.Errorf("the table holds %s", name)
		}
	}
	if strings.Contains(stdout, w.old["prod"].Secret) || strings.Contains(stdout, w.old["prod"].ID) {
		t.Error("the table holds the pair")
	}
}

// Were every call to take a second, the whole would take less than ten: no ten
// calls wait for each other. Calls that happen to come one after the other count
// as if they did.
func TestDoctorWaitsInParallel(t *testing.T) {
	t.Parallel()
	const delay = 100 * time.Millisecond
	w := newWorld(t, options{second: true, apps: 20, repos: 5})
	p := w.patient()
	servers := []*simhttp.Server{w.slack.Server, w.alpaca.Server, w.infisical.Server, w.heroku.Server, w.github.Server, w.raptor.Server}
	for _, s := range servers {
		s.SetDelay(delay)
	}
	p.examine()
	var starts []time.Time
	for _, s := range servers {
		for _, c := range s.Calls() {
			starts = append(starts, c.At)
		}
	}
	slices.SortFunc(starts, time.Time.Compare)
	chain, over := 0, time.Time{}
	for _, at := range starts { // taking what ends first makes the longest chain
		if !at.Before(over) {
			chain, over = chain+1, at.Add(delay)
		}
	}
	t.Logf("%d calls, at most %d of them one after the other", len(starts), chain)
	if chain >= 10 {
		t.Errorf("%d calls one after the other, want fewer than 10", chain)
	}
}
