package sandbox

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/cli"
	"github.com/raxx-app/keyturn/internal/sim/alpacasim"
)

// cliArg, as the first argument, makes the test binary be cmd/bot.
const cliArg = "__cli"

// sandboxArg, as the first argument, makes it be cmd/sandbox.
const sandboxArg = "__sandbox"

// beCLI is what cmd/bot does.
func beCLI(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return cli.Run(ctx, cli.Env{Args: args, Getenv: os.Getenv, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Now: time.Now})
}

// beSandbox is what cmd/sandbox does.
func beSandbox(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return Main(ctx, Env{Args: args, Getenv: os.Getenv, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Now: time.Now})
}

// TestMain lets the test binary be the bot that a World starts, and both programs
// of cmd.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == cliArg {
		os.Exit(beCLI(os.Args[2:]))
	}
	if len(os.Args) > 1 && os.Args[1] == sandboxArg {
		os.Exit(beSandbox(os.Args[2:]))
	}
	if IsBot(os.Args[1:]) {
		os.Exit(Main(context.Background(), Env{Args: os.Args[1:], Getenv: os.Getenv, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Now: time.Now}))
	}
	os.Exit(m.Run())
}

func env(args []string, stdout, stderr io.Writer) Env {
	return Env{Args: args, Getenv: func(string) string { return "" }, Stdin: strings.NewReader(""), Stdout: stdout, Stderr: stderr, Now: time.Now}
}

// TestAutoJSON does a whole rotation with the bot as a process of its own, over
// real sockets, and reads the lines that the command line promises: R44–R46,
// R48, R50, R52, R55–R57, R59, R61, R79–R83.
func TestAutoJSON(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	if code := Main(t.Context(), env([]string{"--auto", "--json"}, &stdout, &stderr)); code != 0 {
		t.Fatalf("sandbox --auto --json = %d, want 0; stderr:\n%s", code, stderr.String())
	}
	var names []string
	var last map[string]any
	for lines := bufio.NewScanner(&stdout); lines.Scan(); {
		var line map[string]any
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("line %q is no JSON object: %v", lines.Text(), err)
		}
		if last = line; line["outcome"] != nil {
			continue
		}
		names = append(names, line["name"].(string))
		if int(line["step"].(float64)) != len(names) || line["state"] != "done" {
			t.Errorf("line %d = step %v %v, want done and in order", len(names), line["step"], line["state"])
		}
		if _, ok := line["took_ms"].(float64); !ok {
			t.Errorf("step %v has took_ms %v, want a number", line["name"], line["took_ms"])
		}
		if got, _ := line["evidence"].(map[string]any); len(got) == 0 {
			t.Errorf("step %v has no evidence", line["name"])
		}
	}
	want := []string{"precheck", "generate", "validate", "store", "propagate", "verify", "revoked", "record"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	if last["outcome"] != "completed" || !strings.HasPrefix(last["rotation"].(string), "r") {
		t.Errorf("last line = %v, want a completed rotation", last)
	}
	exposed, machine := last["exposed_ms"].(float64), last["paste_to_verified_ms"].(float64)
	if exposed <= 0 || machine <= 0 || machine > exposed {
		t.Errorf("exposed_ms = %v, paste_to_verified_ms = %v, want both above 0, and the bot's share no more than the whole", exposed, machine)
	}
}

// TestAutoText shows a person each step with its evidence, and what was checked.
func TestAutoText(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	if code := Main(t.Context(), env([]string{"--auto"}, &stdout, &stderr)); code != 0 {
		t.Fatalf("sandbox --auto = %d, want 0; stderr:\n%s", code, stderr.String())
	}
	for _, want := range []string{
		"types /rotate-alpaca-paper prod", "Step 1 of 8", "presses Regenerate", "✔ sealed", "The audit record says:",
		"step 8  record", "ok     Alpaca rejects the old pair", "ok     positions and open orders are as before", "completed. Exposed time:",
	} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("output lacks %q:\n%s", want, stdout.String())
		}
	}
	if strings.Contains(stdout.String(), "WRONG") {
		t.Errorf("a check is wrong although the exit code is 0:\n%s", stdout.String())
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		args []string
		want int
		says string
	}{
		{"drill with auto", []string{"--auto", "--drill", "scheduled-day"}, 2, "--drill"},
		{"unknown drill", []string{"--drill", "flood"}, 2, "flood"},
		{"not on loopback", []string{"--listen", "0.0.0.0:8484"}, 2, "loopback"},
		{"no address", []string{"--listen", "8484"}, 2, "loopback"},
		{"json alone", []string{"--json"}, 2, "--auto"},
		{"unknown flag", []string{"--atuo"}, 2, "atuo"},
		{"stray word", []string{"--auto", "now"}, 2, "now"},
		{"fault alone", []string{"--fault", "live-key"}, 2, "--auto"},
		{"unknown fault", []string{"--auto", "--fault", "earthquake"}, 2, "earthquake"},
		{"help", []string{"--help"}, 0, "-auto"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if got := Main(t.Context(), env(tt.args, &stdout, &stderr)); got != tt.want {
				t.Errorf("sandbox %v = %d, want %d", tt.args, got, tt.want)
			}
			if !strings.Contains(stderr.String(), tt.says) || stdout.Len() > 0 {
				t.Errorf("sandbox %v wrote %q and %q, want only stderr, with %q", tt.args, stdout.String(), stderr.String(), tt.says)
			}
		})
	}
}

// TestKilledAfterPaste kills the bot as soon as the new pair is sealed: the
// restarted one finishes by itself, and nobody pastes again (R82, R83).
func TestKilledAfterPaste(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	bot, err := w.StartBot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Slack.WaitSockets(ctx, 1); err != nil {
		t.Fatal(err)
	}
	ada := &Operator{Slack: w.Slack, Dashboard: w.Alpaca, User: Ada, Name: "@ada", Say: func(string) {}}
	for _, step := range []func(context.Context) error{ada.begin, ada.goOn} {
		if err := step(ctx); err != nil {
			t.Fatal(err)
		}
	}
	key, err := ada.dashboard(ctx)
	if err != nil {
		t.Fatal(err)
	}
	// Infisical takes no writes from here on: the rotation cannot get past step 4.
	clearFault := w.Infisical.Break("PATCH", "/api/v4/secrets/batch", 0)
	if err := errors.Join(ada.Slack.Type(ctx, Ada, keyIDLabel, key.ID), ada.Slack.Type(ctx, Ada, secretLabel, key.Secret), ada.submit(ctx)); err != nil {
		t.Fatal(err)
	}
	if err := bot.Kill(); err != nil {
		t.Fatalf("Kill = %v, want nil", err)
	}
	clearFault()
	if bot, err = w.StartBot(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := w.channel(ctx, func(string) {}); err != nil {
		t.Fatalf("the restarted bot did not finish: %v\n%s", err, tail(w.Log()))
	}
	if code := bot.Stop(); code != 0 {
		t.Errorf("Stop = %d, want 0\n%s", code, tail(w.Log()))
	}
	for _, c := range w.Checks(key) {
		if c.Err != nil {
			t.Errorf("%s: %v", c.Name, c.Err)
		}
	}
}

// TestAutoBrokenBot: a bot that does not start is no rotation, and says why.
func TestAutoBrokenBot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := os.WriteFile(w.Config(), []byte("slack: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	report := w.Auto(t.Context(), func(string) {})
	if err := report.Problem(); err == nil || !strings.Contains(err.Error(), "the bot ended by itself") {
		t.Errorf("Problem = %v, want that the bot ended by itself", err)
	}
	var stdout bytes.Buffer
	if err := report.writeJSON(&stdout); err != nil {
		t.Fatal(err)
	}
	if got, want := stdout.String(), `{"outcome":"failed","exposed_ms":0,"paste_to_verified_ms":0,"rotation":""}`+"\n"; got != want {
		t.Errorf("JSON = %s, want %s", got, want)
	}
	if got := string(tail(w.Log())); !strings.Contains(got, "slack.ops_channel") {
		t.Errorf("log = %s, want the problems of the settings", got)
	}
}

// TestChecksFind breaks the world in each way that a check is there for.
func TestChecksFind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := os.WriteFile(w.stateFile(), nil, 0o600); err != nil { // a bot never ran here
		t.Fatal(err)
	}
	if err := os.WriteFile(w.Log(), []byte("level=INFO secret="+w.Old.Secret), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := w.Alpaca.AddPosition(w.Account, "AAPL", "1"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Slack.Say(Ada, OpsChannel, "hello"); err != nil {
		t.Fatal(err)
	}
	wrong := map[string]bool{}
	for _, c := range w.Checks(alpacasim.Key{ID: "PKNEVERMADE123456789", Secret: "never-made-by-anybody-anywhere-0000000000"}) {
		if c.Err != nil {
			wrong[c.Name] = true
		}
	}
	for _, want := range []string{
		"raxx-api-prod runs with the new pair", "raxx-api-staging is configured with the new pair, other settings untouched",
		"raxx/raptor has the new pair for its workflows", "Infisical holds the new pair", "Alpaca accepts the new pair, for the same account",
		"Alpaca rejects the old pair", "one test order was placed, on the paper book", "positions and open orders are as before",
		"@bob was told to pull the new pair, and by what name", "no secret went through Slack but in the one submission",
		"no secret is in the log or in the state file",
	} {
		if !wrong[want] {
			t.Errorf("nothing wrong was found by %q", want)
		}
	}
}

func newWorld(t *testing.T) *World {
	t.Helper()
	w, err := NewWorld(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Errorf("close world: %v", err)
		}
	})
	return w
}
