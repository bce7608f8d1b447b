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
	"sync"
	"time"

	"github.com/slack-go/slack"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"

	"github.com/raxx-app/keyturn/internal/commands"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
)

// Time that a call to Slack may take.
const (
	callLimit = 5 * time.Second
	openLimit = 2 * time.Second // views.open: a trigger lives 3 s
	ackLimit  = 2 * time.Second // our own budget; Slack's is 3 s
	httpLimit = 10 * time.Second
)

// A Config is what a [Bot] works with. All fields but Transport, Ready, Alarm,
// Times, Acked, Owners, Developers, OnCall, Asker, Sentinel and Calendar are needed.
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

	Engine   *rotation.Engine
	Asker    Asker    // nil: Engine
	Sentinel Sentinel // nil: people are told that nobody watches the stored pairs
	Calendar Calendar // nil: due dates are those of completed rotations
	Store    rotation.Store
	Now      func() time.Time
	Log      *slog.Logger
	Snoozer  Snoozer // puts reminders off; nil: nothing reminds people

	Ready func()              // called when a socket is up; may be nil
	Alarm func(error)         // called once when Slack refuses the bot until a person mends it; must not block; may be nil
	Times Times               // zero: as the design says
	Acked func(time.Duration) // called with the time from an envelope to its answer; must not block; may be nil
}

// A Bot is the Slack side of Keyturn. Its methods may be called from any
// goroutine.
type Bot struct {
	cfg       Config
	times     Times
	transport http.RoundTripper
	api       *slack.Client
	alarm     *alarm
	roster    *Roster
	gate      *commands.Gate
	views     *views
	taking    sync.Mutex // held by whoever takes a rotation that nobody has

	introduced sync.Once // of the wait in Check
	home       *home
	checking   singleflight.Group // by key set
	seen       *seen
	lines      *lines
	workers    chan struct{}  // one for each envelope that is handled
	handlers   sync.WaitGroup // the same
}

// New returns a bot that does nothing until Run is called.
func New(cfg Config) *Bot {
	if cfg.Asker == nil {
		cfg.Asker = cfg.Engine
	}
	b := &Bot{
		cfg: cfg, times: cfg.Times.withDefaults(), transport: cfg.Transport,
		alarm:   newAlarm(cfg.Log, cfg.Alarm),
		seen:    newSeen(cfg.Store, cfg.Now, cfg.Log),
		workers: make(chan struct{}, workersMax),
	}
	if b.transport == nil {
		b.transport = http.DefaultTransport
	}
	b.api = b.newAPI(b.transport)
	b.roster = newRoster(b)
	b.gate = &commands.Gate{Roster: b.roster, Ledger: cfg.Engine, Now: cfg.Now}
	b.views = newViews(b)
	b.home = newHome(b)
	b.lines = newLines(b)
	return b
}

// newAPI returns a client of Slack's Web API that goes through t.
func (b *Bot) newAPI(t http.RoundTripper) *slack.Client {
	return slack.New(b.cfg.BotToken.Reveal(),
		slack.OptionAppLevelToken(b.cfg.AppToken.Reveal()),
		slack.OptionAPIURL(b.cfg.APIURL),
		slack.OptionHTTPClient(&http.Client{Transport: t, Timeout: httpLimit}),
		slack.OptionLog(silent()))
}

// Run connects and serves until ctx ends. Trouble with Slack never ends it, and
// it needs no Slack to begin: what can be tried again is, and everything else
// of Keyturn goes on. Answers under way when ctx ends have 2 s.
func (b *Bot) Run(ctx context.Context) error {
	if err := b.seen.load(ctx); err != nil {
		b.cfg.Log.WarnContext(ctx, "envelopes of earlier runs not known", slog.Any("error", err))
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return b.roster.run(ctx) })
	g.Go(func() error { return b.views.run(ctx) })
	g.Go(func() error { return b.home.run(ctx) })
	g.Go(func() error { return b.serve(ctx) })
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("serve Slack: %w", err)
	}
	return nil
}

// Connected reports whether a socket is up and Slack accepts the bot's token:
// without it nothing that people ask for could be done.
func (b *Bot) Connected() bool {
	refused, _ := b.alarm.rings(partPeople)
	return !refused && b.lines.any()
}

// Changed says that a rotation changed; open views of it and the Home tabs are
// drawn again soon. It does not block.
func (b *Bot) Changed(id rotation.ID) {
	b.views.changed(id)
	b.home.changed()
}

// Saw says that what the sentinel knows has changed; the Home tabs are drawn
// again soon. It does not block.
func (b *Bot) Saw() { b.home.changed() }
