package keyturn_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/cli"
)

// TestContributing does what CONTRIBUTING.md says about a new kind of consumer,
// word by word: its files and changes are laid over the tree, its test passes,
// and a bot that is built so takes settings of that kind, which the bot of the
// tree refuses.
func TestContributing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	overlay := filepath.Join(dir, "overlay.json")
	writeOverlay(t, dir, overlay)
	// The folder is there for the compiler only: the test cannot be run in it.
	example := filepath.Join(dir, "envfile.test")
	if out, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", example, "./internal/envfile").CombinedOutput(); err != nil {
		t.Fatalf("build the test of the example: %v\n%s", err, out)
	}
	if out, err := exec.CommandContext(t.Context(), example, "-test.v").CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestFile") {
		t.Fatalf("the test of the example: %v\n%s", err, out)
	}
	bot := filepath.Join(dir, "bot")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-overlay", overlay, "-o", bot, "./cmd/bot").CombinedOutput(); err != nil {
		t.Fatalf("build a bot with the example: %v\n%s", err, out)
	}
	config := exampleSettings(t, dir)
	var refused bytes.Buffer
	code := cli.Run(t.Context(), cli.Env{Args: []string{"status", "--config", config}, Getenv: func(string) string { return "" }, Stdout: io.Discard, Stderr: &refused, Now: time.Now})
	if code != 2 || !strings.Contains(refused.String(), "is not a kind of consumer") {
		t.Errorf("the bot of the tree ended with %d and said %q, want that it refuses the kind", code, &refused)
	}
	cmd := exec.CommandContext(t.Context(), bot, "run", "--config", config)
	cmd.Env = []string{"SLACK_BOT_TOKEN=xoxb-1", "SLACK_APP_TOKEN=xapp-1", "INFISICAL_CLIENT_ID=id", "INFISICAL_CLIENT_SECRET=secret", "STATE_KEY_FILE=" + filepath.Join(dir, "state.key")}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said, started := "", false
	for lines := bufio.NewScanner(stderr); !started && lines.Scan(); {
		said += lines.Text() + "\n"
		started = strings.Contains(lines.Text(), `"msg":"bot starts"`)
	}
	if !started {
		t.Errorf("a bot with the example does not start:\n%s", said)
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	go func() { _, _ = io.Copy(io.Discard, stderr) }()
	_ = cmd.Wait()
}

// exampleSettings writes settings with the consumer of the last block, and a
// state key. Nobody listens at the services' addresses.
func exampleSettings(t *testing.T, dir string) (config string) {
	t.Helper()
	m := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$").FindStringSubmatch(read(t, "CONTRIBUTING.md"))
	if m == nil {
		t.Fatal("CONTRIBUTING.md has no settings")
	}
	if code := cli.Run(t.Context(), cli.Env{Args: []string{"init", dir}, Stdout: io.Discard, Stderr: os.Stderr, Now: time.Now}); code != 0 {
		t.Fatalf("bot init = %d", code)
	}
	config = filepath.Join(dir, "example.yml")
	text := `slack: {ops_channel: C0RAXXOPS, ops_users: [U0ADA]}
state: {path: keyturn.db}
http: {listen: ""}
endpoints: {slack: "http://127.0.0.1:1/", alpaca: "http://127.0.0.1:1", infisical: "http://127.0.0.1:1"}
keysets:
  - name: prod
    infisical: {project_id: 3f1c0000, environment: prod, path: /, key_id: KEY_ID, secret: SECRET}
    ` + strings.ReplaceAll(m[1], "\n", "\n    ") + "\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return config
}

// writeOverlay lays the files and changes of CONTRIBUTING.md over the tree, in
// the form that go build -overlay takes; the tree itself stays as it is.
func writeOverlay(t *testing.T, dir, path string) {
	t.Helper()
	doc := read(t, "CONTRIBUTING.md")
	files := map[string]string{}
	for _, m := range regexp.MustCompile("(?ms)^`([a-z/_]+\\.go)`:\n\n```go\n(.*?)^```$").FindAllStringSubmatch(doc, -1) {
		files[m[1]] = m[2]
	}
	for _, m := range regexp.MustCompile("(?ms)^```diff\n(.*?)^```$").FindAllStringSubmatch(doc, -1) {
		for _, change := range strings.Split("\n"+m[1], "\n--- ")[1:] {
			name, hunks, _ := strings.Cut(change, "\n")
			files[name] = patched(t, name, hunks)
		}
	}
	if len(files) != 6 {
		t.Fatalf("CONTRIBUTING.md has %d files, want 2 new and 4 changed ones", len(files))
	}
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	replace := map[string]string{}
	for name, text := range files {
		file := filepath.Join(dir, strings.ReplaceAll(name, "/", "_")+".txt")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(root, name)] = file
	}
	body, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, body, 0o600); err != nil {
		t.Fatal(err)
	}
}

// patched returns a file with the added lines put behind the line that stands
// before them; that line must be there once, or at least begin so.
func patched(t *testing.T, name, hunks string) string {
	t.Helper()
	lines := strings.SplitAfter(read(t, name), "\n")
	for _, hunk := range strings.Split(hunks, "@@\n")[1:] {
		var anchor string
		var added []string
		for line := range strings.Lines(hunk) {
			if text, ok := strings.CutPrefix(line, "+"); ok {
				added = append(added, strings.TrimSuffix(text, "\n")+"\n")
			} else {
				anchor = strings.TrimRight(strings.TrimPrefix(line, " "), "\n")
			}
		}
		at := -1
		for i, line := range lines {
			if strings.HasPrefix(line, anchor) {
				if at >= 0 {
					t.Errorf("%s has the line %q twice", name, anchor)
				}
				at = i
			}
		}
		if at < 0 || anchor == "" || len(added) == 0 {
			t.Fatalf("%s has no line %q", name, anchor)
		}
		rest := append(added, lines[at+1:]...)
		lines = append(lines[:at+1:at+1], rest...)
	}
	return strings.Join(lines, "")
}
