package app

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/raxx-app/keyturn/internal/alpaca"
	"github.com/raxx-app/keyturn/internal/config"
	"github.com/raxx-app/keyturn/internal/downstream"
	"github.com/raxx-app/keyturn/internal/github"
	"github.com/raxx-app/keyturn/internal/heroku"
	"github.com/raxx-app/keyturn/internal/infisical"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// clients are the ways to the outside services, one of each.
type clients struct {
	cfg        config.Config
	now        func() time.Time
	alpaca     *alpaca.Client
	infisical  *infisical.Client
	heroku     *heroku.Client // nil if no consumer needs it
	github     *github.Client // nil if no consumer needs it
	downstream http.RoundTripper
	webhook    http.RoundTripper
}

// newClients calls nothing.
func newClients(cfg config.Config, wires *wires, now func() time.Time) (*clients, error) {
	c := &clients{cfg: cfg, now: now, downstream: wires.to(serviceDownstream), webhook: wires.to(serviceWebhook)}
	var err error
	if c.alpaca, err = alpaca.New(alpaca.Config{BaseURL: cfg.Endpoints.Alpaca, Transport: wires.to(serviceAlpaca), Now: now}); err != nil {
		return nil, fmt.Errorf("set up alpaca: %w", err)
	}
	c.infisical = infisical.New(infisical.Config{
		SiteURL:      cfg.Endpoints.Infisical,
		ClientID:     cfg.Tokens.InfisicalID.Reveal(), //nolint:forbidigo // it names the identity and is no secret by itself
		ClientSecret: cfg.Tokens.InfisicalSecret, Transport: wires.to(serviceInfisical), Now: now,
	})
	if !cfg.Tokens.Heroku.Empty() {
		c.heroku = heroku.New(heroku.Config{URL: cfg.Endpoints.Heroku, Token: cfg.Tokens.Heroku, Transport: wires.to(serviceHeroku), Now: now})
	}
	if !cfg.Tokens.GitHub.Empty() {
		c.github, err = github.New(github.Config{URL: cfg.Endpoints.GitHub, Token: cfg.Tokens.GitHub, Transport: wires.to(serviceGitHub), Now: now})
		if err != nil {
			return nil, fmt.Errorf("set up github: %w", err)
		}
	}
	return c, nil
}

// keySets returns every configured key set with everything that is done to
// rotate it. Developers are told through notifier.
func (c *clients) keySets(notifier rotation.Notifier) ([]rotation.KeySet, error) {
	sets := make([]rotation.KeySet, 0, len(c.cfg.KeySets))
	for _, k := range c.cfg.KeySets {
		place := infisical.Place{ProjectID: k.Infisical.ProjectID, Environment: k.Infisical.Environment, Path: k.Infisical.Path, Names: namesOf(k)}
		set := rotation.KeySet{
			Name: k.Name, CadenceDays: k.CadenceDays, Owners: k.Owners, Names: namesOf(k),
			Place: place.String(), Vault: c.infisical.Vault(place), Trader: c.trader(k.TestOrder),
		}
		for _, consumer := range k.Consumers {
			target, err := c.target(seat{KeySet: k, Consumer: consumer, place: place.String(), notifier: notifier})
			if err != nil {
				return nil, err
			}
			set.Targets = append(set.Targets, target)
		}
		sets = append(sets, set)
	}
	return sets, nil
}

func namesOf(k config.KeySet) rotation.Names {
	return rotation.Names{KeyID: k.Infisical.KeyID, Secret: k.Infisical.Secret}
}

// account reads the consumer's own view of its trading account.
func (c *clients) account(v config.Verify) rotation.Downstream {
	return downstream.NewAccount(downstream.AccountConfig{
		Endpoint: downstream.Endpoint{URL: v.URL, Token: c.cfg.Tokens.Downstream, Transport: c.downstream},
		Field:    v.Field, Want: v.Want,
	})
}

// trader places the test order; nil if none is configured.
func (c *clients) trader(t *config.TestOrder) rotation.Trader {
	if t == nil {
		return nil
	}
	return downstream.NewOrders(downstream.OrdersConfig{
		Endpoint: downstream.Endpoint{URL: t.URL, Token: c.cfg.Tokens.Downstream, Transport: c.downstream},
		Mode:     t.Order.Mode, IDField: t.IDField, ClientIDField: t.ClientIDField,
		Spec: rotation.OrderSpec{
			Symbol: t.Order.Symbol, Qty: strconv.Itoa(t.Order.Qty), Side: t.Order.Side, Type: t.Order.Type,
			TimeInForce: t.Order.TimeInForce, LimitPrice: t.Order.LimitPrice,
		},
	})
}
