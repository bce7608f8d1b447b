package app

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/config"
	"github.com/raxx-app/keyturn/internal/developers"
	"github.com/raxx-app/keyturn/internal/github"
	"github.com/raxx-app/keyturn/internal/heroku"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
)

// settings have one consumer of each kind (R44–R50), and one that is covered
// by another that is covered itself.
func settings() config.Config {
	return config.Config{
		Tokens: config.Tokens{
			InfisicalID: secret.New("id"), InfisicalSecret: secret.New("secret"), Heroku: secret.New("heroku"), GitHub: secret.New("github"), Webhook: secret.New("webhook"),
		},
		Endpoints: config.Endpoints{Alpaca: "http://127.0.0.1:1", Infisical: "http://127.0.0.1:1", Heroku: "http://127.0.0.1:1", GitHub: "http://127.0.0.1:1"},
		KeySets: []config.KeySet{
			{
				Name: "prod", CadenceDays: 180, Owners: []string{"U0ADA"},
				Infisical: config.Infisical{ProjectID: "p1", Environment: "prod", Path: "/", KeyID: "KEY_ID", Secret: "SECRET"},
				Consumers: []config.Consumer{
					{Name: "api", Kind: config.KindHeroku, App: "raxx-api", Verify: &config.Verify{URL: "http://127.0.0.1:1/account", Field: "alpaca_status", Want: "ACTIVE"}},
					{Name: "staging", Kind: config.KindHeroku, App: "raxx-staging"},
					{Name: "ci", Kind: config.KindGitHubActions, Repo: "raxx/raptor", Dependabot: true},
					{Name: "deploy", Kind: config.KindGitHubActions, Repo: "raxx/raptor", Environment: "paper"},
					{Name: "local", Kind: config.KindDevelopers, Users: []string{"U0ADA"}},
					{Name: "demo", Kind: config.KindCoveredBy, By: "backtest"},
					{Name: "backtest", Kind: config.KindCoveredBy, By: "api"},
					{Name: "notes", Kind: config.KindCoveredBy, By: "local"},
					{Name: "risk", Kind: config.KindWebhook, URL: "http://127.0.0.1:1/hooks", Deliver: config.DeliverPair},
					{Name: "wiki", Kind: config.KindWebhook, URL: "http://127.0.0.1:1/hooks", Deliver: config.DeliverNotify},
					{Name: "desk", Kind: config.KindCoveredBy, By: "risk"},
				},
				TestOrder: &config.TestOrder{
					URL: "http://127.0.0.1:1/orders", IDField: "id", ClientIDField: "client_order_id",
					Order: config.Order{Symbol: "AAPL", Qty: 1, Side: "buy", Type: "limit", LimitPrice: "1.00", TimeInForce: "day", Mode: "paper"},
				},
			},
			{
				Name: "dev", CadenceDays: 30,
				Infisical: config.Infisical{ProjectID: "p1", Environment: "dev", Path: "/x", KeyID: "DEV_ID", Secret: "DEV_SECRET"},
				Consumers: []config.Consumer{{Name: "api", Kind: config.KindHeroku, App: "raxx-dev"}},
			},
		},
	}
}

func TestKeySets(t *testing.T) {
	t.Parallel()
	wires := newWires(nil)
	defer wires.close()
	clients, err := newClients(settings(), wires, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	sets, err := clients.keySets(nil)
	if err != nil {
		t.Fatal(err)
	}
	type target struct {
		Name, Kind, CoveredBy        string
		Counts, Consumer, Downstream bool
	}
	var got []target
	for _, x := range sets[0].Targets {
		got = append(got, target{x.Name, x.Kind, x.CoveredBy, x.Counts, x.Consumer != nil, x.Downstream != nil})
	}
	want := []target{
		{Name: "api", Kind: "heroku", Counts: true, Consumer: true, Downstream: true},
		{Name: "staging", Kind: "heroku", Counts: true, Consumer: true},
		{Name: "ci", Kind: "github_actions", Counts: true, Consumer: true},
		{Name: "deploy", Kind: "github_actions", Counts: true, Consumer: true},
		{Name: "local", Kind: "developers", Consumer: true},
		{Name: "demo", Kind: "covered_by", CoveredBy: "backtest", Counts: true},
		{Name: "backtest", Kind: "covered_by", CoveredBy: "api", Counts: true},
		{Name: "notes", Kind: "covered_by", CoveredBy: "local"},
		{Name: "risk", Kind: "webhook", Counts: true, Consumer: true},
		{Name: "wiki", Kind: "webhook", Consumer: true},
		{Name: "desk", Kind: "covered_by", CoveredBy: "risk", Counts: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("targets (-want +got):\n%s", diff)
	}
	names := rotation.Names{KeyID: "KEY_ID", Secret: "SECRET"}
	if app, ok := sets[0].Targets[1].Consumer.(*heroku.App); !ok || app.Name != "raxx-staging" || app.Names != names {
		t.Errorf("staging = %+v, want the app raxx-staging with %v", sets[0].Targets[1].Consumer, names)
	}
	if repo, ok := sets[0].Targets[2].Consumer.(*github.Repo); !ok || repo.Name != "raxx/raptor" || !repo.Dependabot || repo.Names != names {
		t.Errorf("ci = %+v, want the repository raxx/raptor with %v", sets[0].Targets[2].Consumer, names)
	}
	if repo, ok := sets[0].Targets[3].Consumer.(*github.Repo); !ok || !cmp.Equal(repo.Covered, []github.Place{{}, {Dependabot: true}, {Environment: "paper"}}) || repo.Environment != "paper" || repo.Dependabot {
		t.Errorf("deploy = %+v, want the environment paper (R49), and the stores of ci known", sets[0].Targets[3].Consumer)
	}
	pull := developers.Pull{Project: "p1", Environment: "prod", Path: "/"}
	if group, ok := sets[0].Targets[4].Consumer.(*developers.Group); !ok || group.KeySet != "prod" || group.Pull != pull {
		t.Errorf("local = %+v, want developers who pull from %v", sets[0].Targets[4].Consumer, pull)
	}
	spec := rotation.OrderSpec{Symbol: "AAPL", Qty: "1", Side: "buy", Type: "limit", TimeInForce: "day", LimitPrice: "1.00", OwnClientID: true}
	if diff := cmp.Diff(spec, sets[0].Trader.Spec()); diff != "" {
		t.Errorf("test order (-want +got):\n%s", diff)
	}
	if sets[1].Trader != nil { // an interface that holds a nil pointer would not be nil either
		t.Errorf("dev has the test order %+v, want none", sets[1].Trader)
	}
	if sets[1].CadenceDays != 30 || sets[1].Names.KeyID != "DEV_ID" || sets[1].Place == sets[0].Place {
		t.Errorf("dev = %+v, want its own cadence, names and place (R5)", sets[1])
	}
}

// TestSetup: what a consumer is changes its fingerprint, and nothing else does;
// an open rotation does it anew then.
func TestSetup(t *testing.T) {
	t.Parallel()
	k := settings().KeySets[0]
	of := func(change func(*seat)) string {
		s := seat{KeySet: k, Consumer: k.Consumers[0]}
		change(&s)
		return setup(s)
	}
	first := of(func(*seat) {})
	if len(first) != 12 || first != of(func(s *seat) { s.place, s.CadenceDays, s.Users = "elsewhere", 7, nil }) {
		t.Errorf("setup = %q, want 12 digits that depend on the entry only", first)
	}
	for name, change := range map[string]func(*seat){
		"app": func(s *seat) { s.App = "another" }, "verify": func(s *seat) { s.Verify = nil }, "deliver": func(s *seat) { s.Deliver = "pair" },
		"names": func(s *seat) { s.Infisical.Secret = "OTHER" }, "dependabot": func(s *seat) { s.Dependabot = true },
	} {
		if of(change) == first {
			t.Errorf("another %s has the same setup", name)
		}
	}
}

// TestWires: consumers of one service share connections, and a hook sees each
// service once by name.
func TestWires(t *testing.T) {
	t.Parallel()
	w := newWires(nil)
	defer w.close()
	if w.to("heroku") != w.to("heroku") || w.to("heroku") == w.to("github") {
		t.Error("to gives another way each time, or the same way to two services")
	}
}
