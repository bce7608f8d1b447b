package sandbox

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// atOnce is how many faults are played at the same time: they mostly wait.
const atOnce = 6

// TestFaults plays every fault to its right end, with the bot as a process of
// its own: R21 (key-dead), R39, R42 (infisical-half), R51, R60 (old-key-lingers,
// alpaca-down), R64 (what the record says), R65–R68 (superseded, heroku-rollback),
// R78–R80, R82, R83, R87 (duplicate-envelopes).
func TestFaults(t *testing.T) {
	t.Parallel()
	places := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, f := range Faults() {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			t.Run(f.Name, func(t *testing.T) { playFault(t, f) })
		})
	}
}

func playFault(t *testing.T, f Fault) {
	t.Helper()
	w := newWorld(t)
	c := newCanary(t, w)
	r := w.Play(t.Context(), f, c.say)
	if err := r.Problem(); err != nil {
		t.Errorf("%s: %v\n%s\n%s", f.Name, err, c.sinks[sandboxSays], tail(w.Log()))
	}
	c.judge(t)
	if (r.For != "") != (r.Outcome == waiting) {
		t.Errorf("%s: outcome %q is for %q, want a reason with waiting only", f.Name, r.Outcome, r.For)
	}
}

// TestFaultWrongEnd: a rotation that ends otherwise than its fault says is a
// problem.
func TestFaultWrongEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.Play(t.Context(), Fault{Name: "none", End: cancelled}, func(string) {})
	if err := r.Problem(); err == nil || !strings.Contains(err.Error(), "the rotation is completed , want cancelled") {
		t.Errorf("Problem = %v, want that it is completed and should be cancelled", err)
	}
}

// TestFaultList: the list has a line for each fault that issue and design name.
func TestFaultList(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	if code := Main(t.Context(), env([]string{"--auto", "--fault", "list"}, &stdout, &stderr)); code != 0 || stderr.Len() > 0 {
		t.Fatalf("--fault list = %d, %q, want 0", code, stderr.String())
	}
	var listed []string
	for lines := bufio.NewScanner(&stdout); lines.Scan(); {
		name, what, ok := strings.Cut(lines.Text(), "  ")
		if !ok || len(what) < 20 || !strings.HasSuffix(what, ".") || slices.Contains(listed, name) {
			t.Errorf("line %q, want a name of its own, two spaces and a sentence", lines.Text())
		}
		listed = append(listed, name)
	}
	for _, want := range []string{
		"live-key", "swapped-paste", "same-key", "rejected-pair", "wrong-account", "other-keysets-account", "account-replaced",
		"old-key-lingers", "second-paste", "take-over", "store-anyway", "superseded", "heroku-rollback", "key-dead",
		"infisical-down", "infisical-half", "heroku-500", "heroku-429", "heroku-release-fails", "heroku-no-permission", "github-404",
		"github-secondary-limit", "webhook-rejects-signature", "webhook-500", "webhook-lost-reply", "downstream-not-active", "order-fills", "order-market-closed", "order-lost-reply", "order-on-live",
		"lost-reply", "slow-consumer", "slack-disconnect", "slack-down-after-click", "duplicate-envelopes", "kill-after-paste",
		"kill-in-propagate", "disk-full",
	} {
		if !slices.Contains(listed, want) {
			t.Errorf("%s is not listed", want)
		}
	}
}

// TestFaultJSON: the last line says how it ended, and for whom it waits.
func TestFaultJSON(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, outcome, waitsFor string }{
		{"heroku-no-permission", "cancelled", ""},
		{"order-on-live", "waiting", "Waiting for @ada"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			if code := Main(t.Context(), env([]string{"--auto", "--json", "--fault", tt.name}, &stdout, &stderr)); code != 0 {
				t.Fatalf("--fault %s = %d, want 0; stderr:\n%s", tt.name, code, stderr.String())
			}
			lines := strings.Split(strings.TrimSpace(stdout.String()), "\n")
			var last struct{ Outcome, For, Rotation string }
			if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
				t.Fatal(err)
			}
			if last.Outcome != tt.outcome || !strings.HasPrefix(last.For, tt.waitsFor) || (last.For == "") != (tt.waitsFor == "") || last.Rotation == "" {
				t.Errorf("%s: last line is %+v, want %s for %q…", tt.name, last, tt.outcome, tt.waitsFor)
			}
		})
	}
}

// TestRecovery: the page for operators has a section for each fault and for each
// accident that can be switched on the sandbox's page, and none for one that does
// not exist.
func TestRecovery(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/recovery.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	name := ""
	for line := range strings.Lines(string(page)) {
		if rest, ok := strings.CutPrefix(line, "### "); ok {
			name = strings.Trim(strings.TrimSpace(rest), "`")
			continue
		}
		if strings.HasPrefix(line, "## ") {
			name = ""
		}
		sections[name] += line
	}
	delete(sections, "")
	var names []string
	for _, f := range Faults() {
		names = append(names, f.Name)
	}
	for _, f := range (&World{}).accidents() {
		names = append(names, f.Name)
	}
	for _, name := range names {
		for _, part := range []string{"**You see:**", "**The bot:**", "**You press:**"} {
			if !strings.Contains(sections[name], part) {
				t.Errorf("docs/recovery.md: the section %s has no %q", name, part)
			}
		}
		delete(sections, name)
	}
	for name := range sections {
		t.Errorf("docs/recovery.md: there is no fault %s", name)
	}
}

// TestInherited: what the parent tells its child arrives, and a child that is
// told nothing waits as the design says.
func TestInherited(t *testing.T) {
	w := newWorld(t)
	t.Chdir(w.Dir)
	if hooks, err := inherited(); err != nil || hooks.Limits.ProbeAgain != 0 {
		t.Errorf("without a file: %+v, %v, want nothing", hooks.Limits, err)
	}
	if err := w.bequeath(quick()); err != nil {
		t.Fatal(err)
	}
	hooks, err := inherited()
	if err != nil || hooks.Limits.ProbeAgain != time.Second || len(hooks.Limits.RejectedAgain) != 3 {
		t.Errorf("inherited %+v, %v, want what was bequeathed", hooks.Limits, err)
	}
	if err := os.WriteFile(childFile, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := inherited(); err == nil {
		t.Error("a broken file is no error")
	}
}
