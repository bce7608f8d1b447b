package app_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/app"
	"github.com/raxx-app/keyturn/internal/config"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/sim/alpacasim"
	"github.com/raxx-app/keyturn/internal/sim/githubsim"
	"github.com/raxx-app/keyturn/internal/sim/herokusim"
	"github.com/raxx-app/keyturn/internal/sim/infisicalsim"
	"github.com/raxx-app/keyturn/internal/sim/raptorsim"
	"github.com/raxx-app/keyturn/internal/sim/simtest"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

// Who and what there is in every world.
const (
	opsChannel = "C0RAXXOPS"
	general    = "C0GENERAL" // a channel in which the command does not work
	opsGroup   = "S0RAXXOPS"
	onCall     = "S0ONCALL"
	adaID      = "U0ADA" // ops, owner, developer
	bobID      = "U0BOB" // developer
	eveID      = "U0EVE" // ops
	malID      = "U0MAL" // nobody

	keyIDName  = "ALPACA_PAPER_API_KEY_ID"
	secretName = "ALPACA_PAPER_API_SECRET_KEY"
	projectID  = "3f1c0000-0000-4000-8000-000000000000"
	prodApp    = "raxx-api-prod"
	stagingApp = "raxx-api-staging"
)

// Tokens of the simulated services. They open nothing anywhere else.
const (
	infisicalID     = "test-identity"
	infisicalSecret = "test-identity-secret"
	herokuToken     = "test-heroku-token"
	githubToken     = "test-github-token"
	downstreamToken = "test-downstream-token"
)

// patience is how long a person looks at the screen before the test fails.
const patience = 25 * time.Second

// An options says how a world differs from the plain one, which has the key set
// "prod" with the six consumers of bot.example.yml and a test order.
type options struct {
	apps, repos int             // more of them, as consumers of prod
	second      bool            // a key set "dev" with an account of its own and one app
	noDelays    bool            // the engine's waits are short, so that nobody waits in a test
	limits      rotation.Limits // or these

	now   func() time.Time                    // the bot's clock; nil: the real one
	store func(rotation.Store) rotation.Store // around what the bot stores; nil: nothing
}

// quick are the engine's waits in tests that are not about them.
func quick() rotation.Limits {
	const soon = 20 * time.Millisecond
	return rotation.Limits{ProbeFast: soon, ProbeSlow: soon, Confirm: 2 * soon, Recheck: soon, RejectedAgain: []time.Duration{soon, soon}}
}

// A world is every outside service as a simulator, with one pair in use
// everywhere, and a folder for the bot's files.
type world struct {
	t         testing.TB
	slack     *slacksim.Workspace
	alpaca    *alpacasim.Sim
	infisical *infisicalsim.Server
	heroku    *herokusim.Sim
	github    *githubsim.Sim
	raptor    *raptorsim.Sim
	dir       string
	opts      options
	log       *journal
	gates     *gates

	account map[string]string        // number of the paper account by key set
	old     map[string]alpacasim.Key // pair in use at the start by key set

	ada, bob, eve, mal person
}

func newWorld(t testing.TB, o options) *world {
	t.Helper()
	if o.noDelays {
		o.limits = quick()
	}
	w := &world{t: t, opts: o, dir: t.TempDir(), log: &journal{}, gates: &gates{}, account: map[string]string{}, old: map[string]alpacasim.Key{}}
	w.ada, w.bob, w.eve, w.mal = person{w, adaID}, person{w, bobID}, person{w, eveID}, person{w, malID}
	w.slack = simtest.Slack(t, slacksim.Config{})
	w.alpaca = simtest.Alpaca(t, alpacasim.Config{})
	w.infisical = simtest.Infisical(t)
	w.heroku = simtest.Heroku(t, herokusim.Config{Tokens: map[string]herokusim.Token{herokuToken: {Scopes: []string{"write-protected"}}}})
	w.github = simtest.GitHub(t, githubsim.Config{})
	w.raptor = simtest.Raptor(t, raptorsim.Config{Vars: func() map[string]string { return w.heroku.Running(prodApp) }, AlpacaURL: w.alpaca.URL(), Token: downstreamToken})
	w.infisical.AddProject(infisicalsim.Project{ID: projectID, Slug: "raxx"})
	w.infisical.AddIdentity(infisicalsim.Identity{ClientID: infisicalID, ClientSecret: infisicalSecret, Projects: map[string]infisicalsim.Rights{projectID: infisicalsim.Member}})
	w.github.Grant(githubToken, githubsim.FullAccess())
	w.fillSlack()
	w.fillKeySet("prod", append([]string{prodApp, stagingApp}, numbered("app", o.apps)...), append([]string{"raptor"}, numbered("repo", o.repos)...))
	if o.second {
		w.fillKeySet("dev", []string{"raxx-api-dev"}, nil)
	}
	w.must(w.alpaca.AddPosition(w.account["prod"], "MSFT", "3"))
	_, err := w.alpaca.AddOpenOrder(w.account["prod"], alpacasim.NewOrder{Symbol: "MSFT", Qty: "1"})
	w.must(err)
	w.writeSettings()
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func numbered(name string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("%s-%03d", name, i+1)
	}
	return list
}

func (w *world) fillSlack() {
	for id, name := range map[string]string{adaID: "ada", bobID: "bob", eveID: "eve", malID: "mal"} {
		w.slack.AddUser(slacksim.User{ID: id, Name: name})
	}
	w.slack.AddGroup(slacksim.Group{ID: opsGroup, Handle: "raxx-ops", Users: []string{adaID, eveID}})
	w.slack.AddGroup(slacksim.Group{ID: onCall, Handle: "on-call", Users: []string{adaID}})
	everybody := []string{w.slack.Config().BotUserID, adaID, bobID, eveID, malID}
	w.slack.AddChannel(slacksim.Channel{ID: opsChannel, Name: "ops", Members: everybody})
	w.slack.AddChannel(slacksim.Channel{ID: general, Name: "general", Members: everybody})
}

// fillKeySet opens a paper account and puts its pair into the vault, the apps
// and the repositories.
func (w *world) fillKeySet(name string, apps, repos []string) {
	account, err := w.alpaca.AddAccount(alpacasim.Seed{CreatedAt: time.Now().AddDate(0, -7, 0)})
	w.must(err)
	pair, err := w.alpaca.Regenerate(account.Number)
	w.must(err)
	w.account[name], w.old[name] = account.Number, pair
	w.infisical.Put(projectID, name, "/", keyIDName, pair.ID)
	w.infisical.Put(projectID, name, "/", secretName, pair.Secret)
	for _, app := range apps {
		w.heroku.AddApp(herokusim.App{Name: app, Version: 41, Vars: map[string]string{keyIDName: pair.ID, secretName: pair.Secret, "LOG_LEVEL": "info"}})
	}
	for _, repo := range repos {
		w.github.AddRepo("raxx", repo)
		for key, value := range map[string]string{keyIDName: pair.ID, secretName: pair.Secret} {
			w.github.SetSecret("raxx", repo, githubsim.Actions, key, value, time.Now().Add(-time.Hour))
		}
	}
}

// writeSettings writes bot.yml and the state key, as an operator would.
func (w *world) writeSettings() {
	var b strings.Builder
	fmt.Fprintf(&b, `slack:
  ops_channel: %s
  ops_group: %s
  oncall_group: %s
  admin_ids: {%s: ada@raxx.app}
state: {path: keyturn.db}
http: {listen: ""}
log: {level: debug}
endpoints: {slack: %q, alpaca: %q, infisical: %q, heroku: %q, github: %q}
keysets:
`, opsChannel, opsGroup, onCall, adaID, w.slack.APIURL(), w.alpaca.URL(), w.infisical.URL(), w.heroku.URL(), w.github.URL())
	place := `  - name: %[1]s
    owners: [%[2]s]
    infisical: {project_id: %[3]s, environment: %[1]s, path: /, key_id: %[4]s, secret: %[5]s}
    consumers:
`
	fmt.Fprintf(&b, place, "prod", adaID, projectID, keyIDName, secretName)
	fmt.Fprintf(&b, "      - {name: %s, kind: heroku, app: %[1]s, verify: {url: %q, field: alpaca_status, want: ACTIVE}}\n", prodApp, w.raptor.URL()+"/api/trading/account")
	fmt.Fprintf(&b, "      - {name: %s, kind: heroku, app: %[1]s}\n", stagingApp)
	for _, app := range numbered("app", w.opts.apps) {
		fmt.Fprintf(&b, "      - {name: %s, kind: heroku, app: %[1]s}\n", app)
	}
	b.WriteString("      - {name: integration-ci, kind: github_actions, repo: raxx/raptor}\n")
	for _, repo := range numbered("repo", w.opts.repos) {
		fmt.Fprintf(&b, "      - {name: %s, kind: github_actions, repo: raxx/%[1]s}\n", repo)
	}
	fmt.Fprintf(&b, `      - {name: local-dev, kind: developers, users: [%s, %s]}
      - {name: backtest, kind: covered_by, by: %s}
      - {name: demo, kind: covered_by, by: %[3]s}
    test_order:
      url: %q
      order: {symbol: AAPL, qty: 1, side: buy, type: market, time_in_force: day, mode: paper}
`, adaID, bobID, prodApp, w.raptor.URL()+"/api/trading/orders")
	if w.opts.second {
		fmt.Fprintf(&b, place, "dev", adaID, projectID, keyIDName, secretName)
		b.WriteString("      - {name: raxx-api-dev, kind: heroku, app: raxx-api-dev}\n")
	}
	w.must(os.WriteFile(w.settings(), []byte(b.String()), 0o600))
	w.must(app.WriteStateKey(filepath.Join(w.dir, "state.key")))
}

func (w *world) settings() string  { return filepath.Join(w.dir, "bot.yml") }
func (w *world) stateFile() string { return filepath.Join(w.dir, "keyturn.db") }

// environment is what the bot is given beside its file.
func (w *world) environment() map[string]string {
	c := w.slack.Config()
	return map[string]string{
		"SLACK_BOT_TOKEN": c.BotToken, "SLACK_APP_TOKEN": c.AppToken,
		"INFISICAL_CLIENT_ID": infisicalID, "INFISICAL_CLIENT_SECRET": infisicalSecret,
		"HEROKU_API_KEY": herokuToken, "GITHUB_TOKEN": githubToken, "DOWNSTREAM_TOKEN": downstreamToken,
		"STATE_KEY_FILE": filepath.Join(w.dir, "state.key"),
	}
}

// config loads the settings file as the program does.
func (w *world) config() config.Config {
	w.t.Helper()
	env := w.environment()
	cfg, err := config.Load(w.settings(), func(name string) string { return env[name] })
	w.must(err)
	return cfg
}

// A bot is a running bot.
type bot struct {
	w      *world
	reload chan config.Config
	cancel context.CancelFunc
	ended  chan error
	once   sync.Once
	err    error
}

// launch begins to run a bot and returns at once; ready is closed when its
// socket is up.
func (w *world) launch() (b *bot, ready <-chan struct{}) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	b = &bot{w: w, cancel: cancel, ended: make(chan error, 1), reload: make(chan config.Config)}
	up := make(chan struct{})
	var once sync.Once
	o := app.Options{
		Config: w.config(), Reload: b.reload, Now: time.Now, Log: slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Hooks: app.Hooks{WrapTransport: w.gates.wrap, Limits: w.opts.limits, WrapStore: w.opts.store, Ready: func() { once.Do(func() { close(up) }) }},
	}
	if w.opts.now != nil {
		o.Now = w.opts.now
	}
	go func() { b.ended <- app.Run(ctx, o) }()
	w.t.Cleanup(b.stop)
	return b, up
}

// start runs a bot until it is stopped, or the test is over. It returns when
// the bot is connected and knows who is who.
func (w *world) start() *bot {
	w.t.Helper()
	b, ready := w.launch()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case <-ready:
	case err := <-b.ended:
		w.t.Fatalf("the bot ended before it was connected: %v", err)
	case <-limit.C:
		w.t.Fatalf("the bot has no socket after %s; log:\n%s", patience, w.log)
	}
	w.ada.command(opsChannel, "help") // answered once the bot knows who is who
	return b
}

// stop ends the bot as SIGTERM would. Stopping it again does nothing.
func (b *bot) stop() {
	b.once.Do(func() {
		b.cancel()
		if b.err = <-b.ended; b.err != nil {
			b.w.t.Errorf("the bot ended with %v, want nil", b.err)
		}
	})
}

// until waits until ok holds.
func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("not after %s: %s; log:\n%s", patience, what, w.log)
		}
	}
}

// A journal keeps log lines.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

// A gates holds the bot's calls where a test wants to look at that moment.
type gates struct {
	mu   sync.Mutex
	list []*gate
}

type gate struct {
	match func(service string, r *http.Request) bool
	open  chan struct{}
}

// hold makes calls that match wait. release lets them and all later ones go.
func (w *world) hold(match func(service string, r *http.Request) bool) (release func()) {
	g := &gate{match: match, open: make(chan struct{})}
	w.gates.mu.Lock()
	w.gates.list = append(w.gates.list, g)
	w.gates.mu.Unlock()
	release = sync.OnceFunc(func() { close(g.open) })
	w.t.Cleanup(release)
	return release
}

// drawings are the calls that change what a modal shows, for hold. Answers to
// submissions are none of them.
func drawings(service string, r *http.Request) bool {
	return service == "slack" && strings.HasSuffix(r.URL.Path, "/views.update")
}

// wrap is the hook that a bot is started with.
func (g *gates) wrap(service string, next http.RoundTripper) http.RoundTripper {
	return gated{g, service, next}
}

type gated struct {
	gates   *gates
	service string
	next    http.RoundTripper
}

func (g gated) RoundTrip(r *http.Request) (*http.Response, error) {
	g.gates.mu.Lock()
	list := append([]*gate(nil), g.gates.list...)
	g.gates.mu.Unlock()
	for _, gate := range list {
		if !gate.match(g.service, r) {
			continue
		}
		select {
		case <-gate.open:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	return g.next.RoundTrip(r)
}
