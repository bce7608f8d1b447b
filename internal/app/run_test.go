package app_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/app"
	"github.com/raxx-app/keyturn/internal/config"
	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/sandbox"
	"github.com/raxx-app/keyturn/internal/secret"
	"github.com/raxx-app/keyturn/internal/state"
)

// A sandboxed bot runs in this process, in the world of the sandbox.
type sandboxed struct {
	*sandbox.World
	opts app.Options
	log  *journal
}

func newSandboxed(t *testing.T) *sandboxed {
	t.Helper()
	w, err := sandbox.NewWorld(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Errorf("close world: %v", err)
		}
	})
	cfg, err := config.Load(w.Config(), w.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	b := &sandboxed{World: w, log: &journal{}}
	b.opts = app.Options{Config: cfg, Now: time.Now, Log: slog.New(slog.NewJSONHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	return b
}

// run starts the bot and returns what stops it; that returns what Run did.
func (b *sandboxed) run(t *testing.T) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- app.Run(ctx, b.opts) }()
	ready, enough := context.WithTimeout(t.Context(), 10*time.Second)
	defer enough()
	if err := b.Slack.WaitSockets(ready, 1); err != nil {
		cancel()
		t.Fatalf("the bot has no socket: %v; Run = %v\n%s", err, <-ended, b.log)
	}
	return func() error {
		cancel()
		return <-ended
	}
}

// TestHooks does a whole rotation in this process, so that the hooks can be seen
// at work: everything that is stored passes the store's hook, and every service
// is called through the transport's. Nothing secret is logged (R43, R82), and
// no goroutine is left.
func TestHooks(t *testing.T) {
	b := newSandboxed(t)
	var mu sync.Mutex
	services, stored, readies := map[string]int{}, 0, 0
	b.opts.WrapStore = func(s rotation.Store) rotation.Store {
		return countingStore{Store: s, add: func() {
			mu.Lock()
			stored++
			mu.Unlock()
		}}
	}
	b.opts.WrapTransport = func(service string, rt http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			mu.Lock()
			services[service]++
			mu.Unlock()
			return rt.RoundTrip(r)
		})
	}
	b.opts.Ready = func() {
		mu.Lock()
		readies++
		mu.Unlock()
	}
	stop := b.run(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	ada := &sandbox.Operator{Slack: b.Slack, Dashboard: b.Alpaca, User: sandbox.Ada, Name: "@ada", Say: func(string) {}}
	key, err := ada.Rotate(ctx)
	if err != nil {
		t.Fatalf("Rotate = %v\n%s", err, b.log)
	}
	if err := stop(); err != nil {
		t.Errorf("Run = %v after its context ended, want nil", err)
	}
	var names []string
	for name := range services {
		names = append(names, name)
	}
	slices.Sort(names)
	if diff := cmp.Diff([]string{"alpaca", "downstream", "github", "heroku", "infisical", "slack", "webhook"}, names); diff != "" {
		t.Errorf("services that were called (-want +got):\n%s", diff)
	}
	if stored < 20 || readies != 1 {
		t.Errorf("%d commits passed WrapStore and Ready was called %d times, want at least 20, and 1", stored, readies)
	}
	for what, value := range map[string]string{
		"new secret": key.Secret, "old secret": b.Old.Secret, "new key ID": key.ID, "bot token": b.Getenv("SLACK_BOT_TOKEN"),
		"app token": b.Getenv("SLACK_APP_TOKEN"), "Infisical secret": b.Getenv("INFISICAL_CLIENT_SECRET"),
		"Heroku token": b.Getenv("HEROKU_API_KEY"), "GitHub token": b.Getenv("GITHUB_TOKEN"), "state key": stateKey(t, b.World),
	} {
		if strings.Contains(b.log.String(), value) {
			t.Errorf("the log holds the %s", what)
		}
	}
	if !strings.Contains(b.log.String(), `"msg":"bot stopped"`) {
		t.Errorf("the log does not end with the bot's stop:\n%s", b.log)
	}
}

// TestRunRefuses: what makes a start impossible is said with what to do, and
// leaves nothing behind.
func TestRunRefuses(t *testing.T) {
	b := newSandboxed(t)
	otherKey := filepath.Join(t.TempDir(), "other.key")
	if err := app.WriteStateKey(otherKey); err != nil {
		t.Fatal(err)
	}
	if err := b.run(t)(); err != nil { // seals something with the first key
		t.Fatal(err)
	}
	other, err := os.ReadFile(otherKey)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		change func(*config.Config)
		held   bool
		want   string
	}{
		{"another bot holds the state", func(*config.Config) {}, true, "state_locked"},
		{"another state key", func(c *config.Config) { c.Tokens.StateKey = secret.New(string(other)) }, false, "state_key_wrong"},
		{"health for the whole network", func(c *config.Config) { c.HTTP.Listen = "0.0.0.0:0" }, false, "listen_not_loopback"},
		{"live keys", func(c *config.Config) { c.Endpoints.Alpaca = "https://api.alpaca.markets" }, false, "base_url"},
		{"a kind that is not registered", func(c *config.Config) { c.KeySets[0].Consumers[0].Kind = "pigeon" }, false, "internal"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.held {
				store, err := state.Open(t.Context(), state.Config{Path: b.opts.Config.State.Path})
				if err != nil {
					t.Fatal(err)
				}
				defer store.Close()
			}
			o := b.opts
			o.Config.KeySets = slices.Clone(o.Config.KeySets)
			o.Config.KeySets[0].Consumers = slices.Clone(o.Config.KeySets[0].Consumers)
			tt.change(&o.Config)
			err := app.Run(t.Context(), o)
			if got := fault.ReasonOf(err); err == nil || got != tt.want {
				t.Errorf("Run = %v with reason %q, want %q", err, got, tt.want)
			}
		})
	}
}

// TestRunWithADamagedPair: what no key opens keeps nobody from running the bot; it is
// said in the log.
func TestRunWithADamagedPair(t *testing.T) {
	b := newSandboxed(t)
	store, err := state.Open(t.Context(), state.Config{Path: b.opts.Config.State.Path})
	if err != nil {
		t.Fatal(err)
	}
	_, err = store.Txn(t.Context(), nil, []rotation.Op{{Key: rotation.SealedPrefix + "r000000001/old", Value: []byte("torn")}})
	if err := errors.Join(err, store.Close()); err != nil {
		t.Fatal(err)
	}
	if err := b.run(t)(); err != nil {
		t.Errorf("Run = %v, want it to run", err)
	}
	if !strings.Contains(b.log.String(), `"level":"ERROR","msg":"a sealed pair does not open"`) {
		t.Errorf("the log says nothing about the pair:\n%s", b.log)
	}
}

// TestRunWithoutSlack: Slack being down stops nothing else, neither at the
// start nor later; the bot still stops when it is told to.
func TestRunWithoutSlack(t *testing.T) {
	b := newSandboxed(t)
	b.Slack.FailAuth("account_inactive")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- app.Run(ctx, b.opts) }()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	for tick := time.NewTicker(5 * time.Millisecond); b.Infisical.Count("", "/api/v") == 0; {
		select {
		case err := <-ended:
			t.Fatalf("Run = %v while Slack refuses the bot, want it to go on", err)
		case <-deadline.C:
			t.Fatalf("the bot does nothing without Slack\n%s", b.log)
		case <-tick.C:
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run = %v after its context ended, want nil", err)
	}
}

func TestWriteStateKey(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.key")
	if err := app.WriteStateKey(path); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("mode = %o, want 600", got)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := state.CheckIdentities(secret.New(string(text))); err != nil {
		t.Errorf("CheckIdentities = %v, want nil", err)
	}
	if err := app.WriteStateKey(path); !errors.Is(err, os.ErrExist) {
		t.Errorf("WriteStateKey over a key = %v, want %v", err, os.ErrExist)
	}
	if again, err := os.ReadFile(path); err != nil || !bytes.Equal(again, text) {
		t.Errorf("the key was changed by a refused call (%v)", err)
	}
}

// stateKey returns the last line of the state key: the identity itself.
func stateKey(t *testing.T, w *sandbox.World) string {
	t.Helper()
	text, err := os.ReadFile(w.Getenv("STATE_KEY_FILE"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}

type countingStore struct {
	rotation.Store
	add func()
}

func (s countingStore) Txn(ctx context.Context, conds []rotation.Cond, then []rotation.Op) (rotation.Rev, error) {
	s.add()
	return s.Store.Txn(ctx, conds, then)
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A cancelling store has the bot told to stop while it reads what is open.
type cancelling struct {
	rotation.Store
	cancel context.CancelFunc
}

func (s cancelling) List(ctx context.Context, prefix, after string, limit int) ([]rotation.KV, error) {
	s.cancel()
	return s.Store.List(ctx, prefix, after, limit)
}

// A bot that is told to stop while it starts has not failed.
func TestStopWhileStarting(t *testing.T) {
	t.Parallel()
	b := newSandboxed(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b.opts.WrapStore = func(s rotation.Store) rotation.Store { return cancelling{s, cancel} }
	if err := app.Run(ctx, b.opts); err != nil {
		t.Errorf("Run = %v, want nil: it was told to stop", err)
	}
	if got := b.log.String(); !strings.Contains(got, "bot stopped") {
		t.Errorf("log = %s, want a line that it stopped", got)
	}
}
