// Package slackbot connects Keyturn to Slack over Socket Mode: it receives,
// acknowledges, hands on, shows and posts. It decides nothing: who may do what
// is asked of package commands, what happens of package rotation, and what it
// looks like of package modals.
package slackbot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/slack-go/slack"
	"golang.org/x/sync/errgroup"

	"github.com/raxx-app/keyturn/internal/commands"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
)

// Time that a call to Slack may take.
const (
	callLimit = 5 * time.Second
	openLimit = 2 * time.Second // views.open: a trigger lives 3 s
	ackLimit  = 2 * time.Second // our own budget; Slack's is 3 s
)

// A Config is what a [Bot] works with. All fields but Transport, Ready, Owners,
// Developers and OnCall are needed.
type Config struct {
	BotToken  secret.Text // xoxb-
	AppToken  secret.Text // xapp-
	APIURL    string      // ends in "/": https://slack.com/api/
	Transport http.RoundTripper

	Channel    string // the ops channel: the command works here, progress is posted here
	Ops        Role
	OnCall     Role
	Owners     map[string][]string // key set → people
	Developers map[string][]string // key set + "/" + consumer → people who may press Updated

	Engine *rotation.Engine
	Store  rotation.Store
	Now    func() time.Time
	Log    *slog.Logger
	Ready  func() // called when a socket is up; may be nil
}

// A Bot is the Slack side of Keyturn. Its methods may be called from any
// goroutine.
type Bot struct {
	cfg    Config
	api    *slack.Client
	roster *Roster
	gate   *commands.Gate
	views  *views
	seen   *seen
	up     atomic.Bool
}

// New returns a bot that does nothing until Run is called.
func New(cfg Config) *Bot {
	transport := cfg.Transport
	if transport == nil {
		transport = http.DefaultTransport
	}
	b := &Bot{
		cfg: cfg,
		api: slack.New(cfg.BotToken.Reveal(),
			slack.OptionAppLevelToken(cfg.AppToken.Reveal()),
			slack.OptionAPIURL(cfg.APIURL),
			slack.OptionHTTPClient(&http.Client{Transport: &paced{next: transport, limit: openPace()}, Timeout: 10 * time.Second}),
			slack.OptionLog(silent())),
		seen: newSeen(cfg.Now),
	}
	b.roster = newRoster(b.api, cfg)
	b.gate = &commands.Gate{Roster: b.roster, Ledger: cfg.Engine, Now: cfg.Now}
	b.views = newViews(b)
	return b
}

// Run connects and serves until ctx ends. Trouble with Slack never ends it:
// what can be tried again is, and everything else of Keyturn goes on.
func (b *Bot) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return b.roster.run(ctx) })
	g.Go(func() error { return b.views.run(ctx) })
	g.Go(func() error { return b.serve(ctx) })
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("serve Slack: %w", err)
	}
	return nil
}

// Connected reports whether a socket is up.
func (b *Bot) Connected() bool { return b.up.Load() }

// Changed says that a rotation changed; open views of it are drawn again soon.
// It does not block.
func (b *Bot) Changed(id rotation.ID) { b.views.changed(id) }
