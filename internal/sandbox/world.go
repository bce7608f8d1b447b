package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/raxx-app/keyturn/internal/app"
	"github.com/raxx-app/keyturn/internal/sim/alpacasim"
	"github.com/raxx-app/keyturn/internal/sim/githubsim"
	"github.com/raxx-app/keyturn/internal/sim/herokusim"
	"github.com/raxx-app/keyturn/internal/sim/infisicalsim"
	"github.com/raxx-app/keyturn/internal/sim/pagerdutysim"
	"github.com/raxx-app/keyturn/internal/sim/raptorsim"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
	"github.com/raxx-app/keyturn/internal/sim/webhooksim"
)

// Who and what there is in a [World].
const (
	OpsChannel = "C0RAXXOPS"
	Ada        = "U0ADA" // ops, on call, and a developer
	Bob        = "U0BOB" // a developer
	KeySet     = "prod"

	opsGroup    = "S0RAXXOPS"
	oncallGroup = "S0ONCALL"
	projectID   = "3f1c0000-0000-4000-8000-000000000000"
	environment = "prod"
	keyIDName   = "ALPACA_PAPER_API_KEY_ID"
	secretName  = "ALPACA_PAPER_API_SECRET_KEY" //nolint:gosec // a name, not a credential
	prodApp     = "raxx-api-prod"
	stagingApp  = "raxx-api-staging"
	repoOwner   = "raxx"
	repoName    = "raptor"
)

// Tokens of the simulated services. They open nothing anywhere else.
const (
	infisicalID     = "sandbox-identity"
	infisicalSecret = "sandbox-identity-secret"
	herokuToken     = "sandbox-heroku-token" //nolint:gosec // opens nothing outside the sandbox
	githubToken     = "sandbox-github-token" //nolint:gosec // opens nothing outside the sandbox
	downstreamToken = "sandbox-downstream-token"
	webhookSecret   = "sandbox-webhook-secret"
	pagerKey        = "5a4d80b0c0ffee00000000keyturn001" // of the simulated PagerDuty
)

// A World is every outside service as a simulator, filled with a company that
// has one pair in use everywhere, and a folder for the bot's files. The
// simulators may be looked at and changed while it runs.
type World struct {
	Slack     *slacksim.Workspace
	Alpaca    *alpacasim.Sim
	Infisical *infisicalsim.Server
	Heroku    *herokusim.Sim
	GitHub    *githubsim.Sim
	Raptor    *raptorsim.Sim
	Backtest  *webhooksim.Sim // a webhook that is sent the pair
	Journal   *webhooksim.Sim // a webhook that is only told
	Pager     *pagerdutysim.Sim

	Dir      string        // the bot's files
	Account  string        // number of the paper account whose pair is rotated
	Old      alpacasim.Key // the pair that was in use at the start
	now      func() time.Time
	sentinel string       // schedule of it in bot.yml; "" means rareSentinel
	ahead    atomic.Int64 // nanoseconds by which now is ahead of the clock that the world was given
	started  []simulator
	before   book
}

// A book is what stands in the paper account.
type book struct {
	positions map[string]string // quantity by symbol
	open      map[string]bool   // IDs of open orders
}

type simulator interface {
	Start() error
	Close() error
}

// NewWorld starts every simulator on a free loopback port and fills it. now is
// the clock of all of them.
func NewWorld(now func() time.Time) (*World, error) {
	w := &World{}
	w.now = func() time.Time { return now().Add(time.Duration(w.ahead.Load())) }
	if err := w.start(w.now); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

func (w *World) start(now func() time.Time) error {
	dir, err := os.MkdirTemp("", "keyturn-sandbox-")
	if err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	w.Dir = dir
	w.Slack = slacksim.New(slacksim.Config{Now: now})
	w.Alpaca = alpacasim.New(alpacasim.Config{Now: now})
	w.Infisical = infisicalsim.New()
	w.Heroku = herokusim.New(herokusim.Config{Tokens: map[string]herokusim.Token{herokuToken: {Scopes: []string{"write-protected"}}}, Now: now})
	w.GitHub = githubsim.New(githubsim.Config{Now: now})
	w.Backtest, w.Journal = w.hooks(now)
	w.Pager = pagerdutysim.New(pagerdutysim.Config{RoutingKey: pagerKey, Now: now})
	for _, s := range []simulator{w.Slack, w.Alpaca, w.Infisical, w.Heroku, w.GitHub, w.Backtest, w.Journal, w.Pager} {
		if err := w.run(s); err != nil {
			return err
		}
	}
	w.Raptor = raptorsim.New(raptorsim.Config{
		Vars: func() map[string]string { return w.Heroku.Running(prodApp) }, AlpacaURL: w.Alpaca.URL(), Token: downstreamToken, Now: now,
	})
	if err := w.run(w.Raptor); err != nil {
		return err
	}
	if err := w.fill(now()); err != nil {
		return err
	}
	if err := w.writeSettings(""); err != nil {
		return err
	}
	return app.WriteStateKey(w.stateKey())
}

func (w *World) run(s simulator) error {
	if err := s.Start(); err != nil {
		return fmt.Errorf("start simulator: %w", err)
	}
	w.started = append(w.started, s)
	return nil
}

// Close stops every simulator and removes the folder. A second Close does
// nothing.
func (w *World) Close() error {
	var errs []error
	for _, s := range w.started {
		errs = append(errs, s.Close())
	}
	w.started = nil
	if w.Dir != "" {
		errs = append(errs, os.RemoveAll(w.Dir))
	}
	return errors.Join(errs...)
}

// Log is the file into which the bot's log lines go.
func (w *World) Log() string { return filepath.Join(w.Dir, "bot.log") }

// fill gives every service what it holds at the start.
func (w *World) fill(now time.Time) error {
	if err := w.fillAlpaca(now); err != nil {
		return fmt.Errorf("fill alpaca: %w", err)
	}
	w.Infisical.AddProject(infisicalsim.Project{ID: projectID, Slug: "raxx"})
	w.Infisical.AddIdentity(infisicalsim.Identity{ClientID: infisicalID, ClientSecret: infisicalSecret, Projects: map[string]infisicalsim.Rights{projectID: infisicalsim.Member}})
	w.Infisical.Put(projectID, environment, "/", keyIDName, w.Old.ID)
	w.Infisical.Put(projectID, environment, "/", secretName, w.Old.Secret)
	for _, name := range []string{prodApp, stagingApp} {
		w.Heroku.AddApp(herokusim.App{Name: name, Version: 41, Vars: map[string]string{keyIDName: w.Old.ID, secretName: w.Old.Secret, "LOG_LEVEL": "info"}})
	}
	w.GitHub.Grant(githubToken, githubsim.FullAccess())
	w.GitHub.AddRepo(repoOwner, repoName, repoEnvironment)
	for _, store := range repoStores() {
		w.GitHub.SetSecret(repoOwner, repoName, store, keyIDName, w.Old.ID, now.Add(-time.Hour))
		w.GitHub.SetSecret(repoOwner, repoName, store, secretName, w.Old.Secret, now.Add(-time.Hour))
	}
	w.Backtest.SetPair(w.Old.ID, w.Old.Secret)
	w.fillSlack()
	return nil
}

// fillAlpaca opens the paper account, and another one of the same login that
// must stay as it is.
func (w *World) fillAlpaca(now time.Time) error {
	account, err := w.Alpaca.AddAccount(alpacasim.Seed{CreatedAt: now.AddDate(0, -7, 0)})
	if err != nil {
		return err
	}
	w.Account = account.Number
	if w.Old, err = w.Alpaca.Regenerate(w.Account); err != nil {
		return err
	}
	if _, err = w.Alpaca.AddAccount(alpacasim.Seed{CreatedAt: now.AddDate(0, -2, 0)}); err != nil {
		return err
	}
	if err = w.Alpaca.AddPosition(w.Account, "MSFT", "3"); err != nil {
		return err
	}
	if _, err = w.Alpaca.AddOpenOrder(w.Account, alpacasim.NewOrder{Symbol: "MSFT", Qty: "1"}); err != nil {
		return err
	}
	w.before = w.book()
	return nil
}

func (w *World) fillSlack() {
	config := w.Slack.Config()
	w.Slack.AddUser(slacksim.User{ID: Ada, Name: "ada"})
	w.Slack.AddUser(slacksim.User{ID: Bob, Name: "bob"})
	w.Slack.AddGroup(slacksim.Group{ID: opsGroup, Handle: "raxx-ops", Users: []string{Ada}})
	w.Slack.AddGroup(slacksim.Group{ID: oncallGroup, Handle: "on-call", Users: []string{Ada}})
	w.Slack.AddChannel(slacksim.Channel{ID: OpsChannel, Name: "ops", Members: []string{config.BotUserID, Ada, Bob}})
}

// book returns what stands in the paper account now.
func (w *World) book() book {
	b := book{positions: map[string]string{}, open: map[string]bool{}}
	for _, p := range w.Alpaca.Positions(w.Account) {
		b.positions[p.Symbol] = p.Qty
	}
	for _, o := range w.Alpaca.Orders(w.Account) {
		switch o.Status {
		case "filled", "canceled", "expired", "rejected", "replaced":
		default:
			b.open[o.ID] = true
		}
	}
	return b
}
