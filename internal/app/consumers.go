package app

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/raxx-app/keyturn/internal/config"
	"github.com/raxx-app/keyturn/internal/developers"
	"github.com/raxx-app/keyturn/internal/github"
	"github.com/raxx-app/keyturn/internal/heroku"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/webhook"
)

// A seat is one entry of consumers, with what belongs to its key set.
type seat struct {
	config.KeySet
	config.Consumer

	place    string // of the pair in the vault, for people
	notifier rotation.Notifier
}

// A kind is how consumers of one kind are made.
type kind struct {
	// counts reports whether trading fails until the consumer has the pair (3.5
	// of the design).
	counts func(config.Consumer) bool
	// build returns the consumer; nil if the token that it needs is not there,
	// which config refuses before.
	build func(*clients, seat) rotation.Consumer
}

// kinds is the one place where a kind of consumer is registered with the bot;
// its settings are registered in internal/config. covered_by is none of them:
// it stands for another consumer.
func kinds() map[string]kind {
	return map[string]kind{
		config.KindHeroku:        {counts: always, build: (*clients).herokuApp},
		config.KindGitHubActions: {counts: always, build: (*clients).githubRepo},
		config.KindDevelopers:    {counts: never, build: (*clients).people},
		config.KindWebhook:       {counts: handsOver, build: (*clients).hook},
	}
}

func always(config.Consumer) bool      { return true }
func never(config.Consumer) bool       { return false }
func handsOver(c config.Consumer) bool { return c.Deliver == config.DeliverPair }

// target makes one consumer.
func (c *clients) target(s seat) (rotation.Target, error) {
	t := rotation.Target{Name: s.Consumer.Name, Kind: s.Kind, Counts: counts(s.KeySet, s.Consumer), Setup: setup(s)}
	if s.Kind == config.KindCoveredBy {
		t.CoveredBy = s.By
		return t, nil
	}
	if k, ok := kinds()[s.Kind]; ok {
		t.Consumer = k.build(c, s)
	}
	if t.Consumer == nil { // config refuses the kind, or the token's absence, before
		return t, fmt.Errorf("consumer %s of %s: kind %s cannot be made", s.Consumer.Name, s.KeySet.Name, s.Kind)
	}
	if s.Verify != nil {
		t.Downstream = c.account(*s.Verify)
	}
	return t, nil
}

// counts reports whether a consumer counts for the exposed time. What is
// covered counts as what covers it; config refuses circles.
func counts(k config.KeySet, c config.Consumer) bool {
	for _, other := range k.Consumers {
		if c.Kind == config.KindCoveredBy && other.Name == c.By {
			return counts(k, other)
		}
	}
	known, ok := kinds()[c.Kind]
	return ok && known.counts(c)
}

// setup is a fingerprint of the consumer's entry and of the names that the pair
// has there. What an entry does not say is left out, so that a setting that
// only a later bot knows changes no fingerprint.
func setup(s seat) string {
	text, err := json.Marshal(s.Consumer)
	said := map[string]any{}
	if err != nil || json.Unmarshal(text, &said) != nil {
		return "" // plain data: it always can be
	}
	for name, value := range said {
		if value == nil || value == "" || value == false {
			delete(said, name)
		}
	}
	said["names"] = []string{s.Infisical.KeyID, s.Infisical.Secret}
	if text, err = json.Marshal(said); err != nil { // in the order of the names
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:6])
}

func (c *clients) herokuApp(s seat) rotation.Consumer {
	if c.heroku == nil {
		return nil
	}
	return &heroku.App{Client: c.heroku, Name: s.App, Names: namesOf(s.KeySet)}
}

func (c *clients) githubRepo(s seat) rotation.Consumer {
	if c.github == nil {
		return nil
	}
	return &github.Repo{
		Client: c.github, Name: s.Repo, Environment: s.Environment, Dependabot: s.Dependabot, Names: namesOf(s.KeySet), Covered: c.covered(s),
	}
}

// covered returns the stores of the same repository that other consumers write
// the same names to. GitHub ignores case in a repository's name.
func (c *clients) covered(s seat) (places []github.Place) {
	for _, k := range c.cfg.KeySets {
		for _, other := range k.Consumers {
			if other.Kind != config.KindGitHubActions || !strings.EqualFold(other.Repo, s.Repo) || namesOf(k) != namesOf(s.KeySet) {
				continue
			}
			places = append(places, github.Place{Environment: other.Environment})
			if other.Dependabot {
				places = append(places, github.Place{Dependabot: true})
			}
		}
	}
	return places
}

func (c *clients) people(s seat) rotation.Consumer {
	return &developers.Group{
		Name: s.Consumer.Name, KeySet: s.KeySet.Name, Users: s.Users, Channel: s.Channel,
		Place: s.place, Pull: developers.Pull{Project: s.Infisical.ProjectID, Environment: s.Infisical.Environment, Path: s.Infisical.Path},
		Names: namesOf(s.KeySet), Notifier: s.notifier, Now: c.now,
	}
}

func (c *clients) hook(s seat) rotation.Consumer {
	if c.cfg.Tokens.Webhook.Empty() {
		return nil
	}
	return webhook.New(webhook.Config{
		Name: s.Consumer.Name, KeySet: s.KeySet.Name, URL: s.URL, Pair: handsOver(s.Consumer),
		Secret: c.cfg.Tokens.Webhook, Transport: c.webhook, Now: c.now,
	})
}
