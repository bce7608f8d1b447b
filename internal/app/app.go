// Package app builds, starts and stops the parts of the bot. It is the only one
// that knows them all, and it does nothing else: no step, no view and no call
// to a service is in here.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/raxx-app/keyturn/internal/config"
	"github.com/raxx-app/keyturn/internal/control"
	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/jobs"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/slackbot"
	"github.com/raxx-app/keyturn/internal/state"
)

// stopLimit is how long the parts may take to stop. What is unfinished then is
// resumed from the state by the next start.
const stopLimit = 5 * time.Second

// Hooks change what a bot is built from. Crash tests use them; the real program
// sets none.
type Hooks struct {
	WrapStore     func(rotation.Store) rotation.Store                          // nil: none
	WrapTransport func(service string, rt http.RoundTripper) http.RoundTripper // nil: none; service is "slack", "alpaca", "infisical", "heroku", "github", "downstream", "webhook" or "pagerduty"
	Ready         func()                                                       // called each time a Slack socket is up; nil: none
	Limits        rotation.Limits                                              // how long the engine waits; zero: as the design says
	Times         slackbot.Times                                               // how long the Slack side waits; zero: as the design says
	Alarm         func(error)                                                  // called once when Slack refuses the bot until a person mends it; must not block; nil: none
}

// Options are what a bot is run with.
type Options struct {
	Config config.Config        // as config.Load returned it
	Reload <-chan config.Config // settings to go on with; nil: those above stay
	Now    func() time.Time
	Log    *slog.Logger
	Hooks
}

// Run runs the bot until ctx ends, and then stops it within 5 s. It returns nil
// if ctx was the reason to stop. Running it again goes on with what is open.
// Only one Run can hold the state; a second one returns a fault that says who
// does.
func Run(ctx context.Context, o Options) (err error) {
	store, err := state.Open(ctx, state.Config{Path: o.Config.State.Path})
	if err != nil {
		return fmt.Errorf("open state: %w", err)
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if err := stopped(ctx, serve(ctx, o, store)); err != nil {
		return err
	}
	o.Log.InfoContext(context.WithoutCancel(ctx), "bot stopped")
	return nil
}

// parts is a built bot.
type parts struct {
	wires   *wires
	vaults  []rotation.Vault
	engine  *rotation.Engine
	outbox  *jobs.Outbox
	ladder  *jobs.Ladder
	clock   *clockwork
	refusal *refusal
	slack   *slackbot.Bot
	health  *health
	control *control.Server
	log     *slog.Logger
}

// build makes every part and reads what is open. The outbox is told about
// changes and asks the engine; the engine's consumers write through the outbox,
// which posts through Slack; Slack hands acts to the engine. So the outbox gets
// its two ends late, before anything runs.
func build(ctx context.Context, o Options, file *state.Store) (*parts, error) {
	cfg := o.Config
	store := &writtenStore{Store: file}
	if o.WrapStore != nil {
		store.Store = o.WrapStore(file)
	}
	sealer, err := state.LoadSealer(ctx, store, cfg.Tokens.StateKey)
	if err != nil {
		return nil, fmt.Errorf("load state key: %w", err)
	}
	// A key that opens some pairs and not all would be found out in mid-rotation. What
	// is damaged no key opens: its rotation says so, and the others go on.
	if err := sealer.CheckAll(ctx, store, rotation.SealedPrefix); fault.ReasonOf(err) == "state_key_wrong" {
		return nil, fmt.Errorf("try state key: %w", err)
	} else if err != nil {
		o.Log.ErrorContext(ctx, "a sealed pair does not open", slog.Any("error", err))
	}
	m := newMetrics()
	p := &parts{wires: newWires(m.wrap(o.WrapTransport, o.Now)), log: o.Log}
	clients, err := newClients(cfg, p.wires, o.Now)
	if err != nil {
		return nil, err
	}
	ends := &lateEnds{}
	p.outbox = jobs.New(jobs.Config{Store: store, Engine: ends, Poster: ends, Reacher: ends, Now: o.Now, Log: o.Log})
	sets, err := clients.keySets(p.outbox)
	if err != nil {
		return nil, err
	}
	for _, set := range sets {
		p.vaults = append(p.vaults, set.Vault)
	}
	vendor := m.vendor(clients.alpaca)
	watch := &lateClock{}
	p.engine = rotation.New(rotation.Config{
		Store: store, Chain: state.NewChain(store), Sealer: sealer, Vendor: vendor, Book: clients.alpaca,
		KeySets: sets, Zone: cfg.Schedules.Location, Limits: o.Limits, Admin: adminOf(cfg.Slack.AdminIDs), Now: o.Now, Log: o.Log,
		Role: rotation.RolesOf(func(role string) []string { return p.slack.Members(role) }), Seen: watch.Seen,
		Tell: func(id rotation.ID) {
			ends.slack.Changed(id)
			p.outbox.Wake()
		},
	})
	slackCfg := slackConfig(o, p.engine, store, p.wires)
	p.refusal = &refusal{pager: pagerOf(cfg, p.wires, o.Now), also: o.Alarm, log: o.Log, came: make(chan error, 1), every: time.Minute}
	slackCfg.Alarm = p.refusal.ring
	slackCfg.Sentinel, slackCfg.Calendar, slackCfg.Snoozer, slackCfg.Acked = watch, watch, watch, m.acked
	p.slack = slackbot.New(slackCfg)
	p.refusal.connected = p.slack.Connected
	*ends = lateEnds{slack: p.slack, engine: p.engine}
	p.ladder = newLadder(o, p)
	if p.clock, err = newClockwork(o, p, sets, vendor, sealer, ends); err != nil {
		return nil, err
	}
	watch.clockwork = p.clock
	if err := p.engine.Load(ctx); err != nil {
		return nil, fmt.Errorf("resume: %w", err)
	}
	m.read(sources{
		Shelf: p.engine, Archive: p.engine, Sentinel: p.clock.sentinel, Outbox: p.outbox, Connected: p.slack.Connected, Scans: p.pulses,
		Zone: cfg.Schedules.Location, Now: o.Now,
	})
	return p, p.listen(ctx, o, store, m)
}

// listen opens the address of the health checks and the socket of the commands,
// or neither: settings that are gone back to after a reload need both.
func (p *parts) listen(ctx context.Context, o Options, store *writtenStore, m *metrics) (err error) {
	cfg := o.Config
	p.health = &health{store: store, connected: p.slack.Connected, late: p.late, metrics: m.handler(), log: o.Log}
	if err := p.health.listen(ctx, cfg.HTTP.Listen); err != nil {
		return err
	}
	p.control, err = control.Listen(ctx, control.Config{
		Path: cfg.State.Socket, Engine: p.engine, Record: record{store}, Connected: p.slack.Connected, Log: o.Log,
		Acts: p.engine, Watcher: p.engine, Gate: p.slack, Now: o.Now,
		Person: func(login string) string { return cfg.Slack.LocalUsers[login] }, Admin: adminOf(cfg.Slack.AdminIDs),
		Queue: p.outbox, Channel: cfg.Slack.OpsChannel, Health: healthOf(p),
	})
	if err != nil {
		p.health.close()
	}
	return err
}

// adminOf returns the audit name of a person (R62).
func adminOf(names map[string]string) func(string) string {
	return func(id string) string {
		if name := names[id]; name != "" {
			return name
		}
		return id
	}
}

func slackConfig(o Options, engine *rotation.Engine, store rotation.Store, wires *wires) slackbot.Config {
	cfg := o.Config
	owners, people := map[string][]string{}, map[string][]string{}
	for _, k := range cfg.KeySets {
		owners[k.Name] = k.Owners
		for _, c := range k.Consumers {
			if c.Kind == config.KindDevelopers {
				people[k.Name+"/"+c.Name] = c.Users
			}
		}
	}
	return slackbot.Config{
		BotToken: cfg.Tokens.SlackBot, AppToken: cfg.Tokens.SlackApp, APIURL: cfg.Endpoints.Slack, Transport: wires.to(serviceSlack),
		Channel: cfg.Slack.OpsChannel,
		Ops:     slackbot.Role{Group: cfg.Slack.OpsGroup, Users: cfg.Slack.OpsUsers},
		OnCall:  slackbot.Role{Group: cfg.Slack.OncallGroup, Users: cfg.Slack.OncallUsers},
		Owners:  owners, Developers: people,
		Engine: engine, Store: store, Now: o.Now, Log: o.Log, Ready: o.Ready, Times: o.Times,
	}
}

// run runs every part until ctx ends or one of them fails.
func (p *parts) run(ctx context.Context) error {
	g, inner := errgroup.WithContext(ctx)
	g.Go(func() error { return p.engine.Run(inner) })
	g.Go(func() error { return p.outbox.Run(inner) })
	g.Go(func() error { return p.ladder.Run(inner) })
	p.clock.run(inner, g)
	g.Go(func() error { return p.refusal.run(inner) })
	g.Go(func() error { return p.slack.Run(inner) })
	g.Go(func() error { return p.health.run(inner) })
	g.Go(func() error { return p.control.Run(inner) })
	g.Go(func() error { p.warm(inner); return nil })
	ended := make(chan error, 1)
	go func() { ended <- g.Wait() }()
	select {
	case err := <-ended:
		return stopped(ctx, err)
	case <-inner.Done(): // a part failed, or it is time to stop
	}
	timer := time.NewTimer(stopLimit)
	defer timer.Stop()
	select {
	case err := <-ended:
		return stopped(ctx, err)
	case <-timer.C: // the process ends now; what is unfinished is resumed from the state
		return fmt.Errorf("stop: some parts did not end within %s", stopLimit)
	}
}

// stopped returns why the bot stopped; nil if it was told to.
func stopped(ctx context.Context, err error) error {
	if err == nil && ctx.Err() == nil {
		return errors.New("every part ended by itself")
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// warm logs in where that takes time, so that the first rotation after a start
// does not. Trouble is left for step 1 to find: it says what to do.
func (p *parts) warm(ctx context.Context) {
	for _, v := range p.vaults {
		if _, err := v.Read(ctx); err != nil && ctx.Err() == nil {
			p.log.WarnContext(ctx, "vault not readable yet", slog.Any("error", err))
		}
	}
}
