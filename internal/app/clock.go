package app

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/raxx-app/keyturn/internal/config"
	"github.com/raxx-app/keyturn/internal/jobs"
	"github.com/raxx-app/keyturn/internal/pagerduty"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/slackbot"
)

// clockwork is what runs on a clock beside the outbox and the ladder.
type clockwork struct {
	sentinel  *jobs.Sentinel
	reminders *jobs.Reminders
	readiness *jobs.Readiness
	rollCall  *jobs.RollCall
	leavers   *jobs.Leavers
}

// newClockwork makes what runs on a clock. vendor is asked by the sentinel.
func newClockwork(o Options, p *parts, sets []rotation.KeySet, vendor rotation.Vendor, sealer rotation.Sealer, closer jobs.Closer) (*clockwork, error) {
	cfg := o.Config
	due, err := jobs.ParseSchedule(cfg.Schedules.Reminders)
	if err != nil {
		return nil, err
	}
	every, err := jobs.ParseSchedule(cfg.Schedules.Sentinel)
	if err != nil {
		return nil, err
	}
	owners, cadence, pull := map[string][]string{}, map[string]int{}, map[string]map[string]string{}
	for i, k := range cfg.KeySets {
		owners[k.Name], cadence[k.Name], pull[k.Name] = k.Owners, k.CadenceDays, pullOf(k, sets[i])
	}
	w := &clockwork{}
	w.readiness = jobs.NewReadiness(jobs.ReadinessConfig{
		Engine: checker{p.engine, p.slack}, Shelf: p.engine, Outbox: p.outbox, Channel: cfg.Slack.OpsChannel,
		Schedule: due, Zone: cfg.Schedules.Location, Now: o.Now, Log: o.Log,
	})
	w.reminders = jobs.NewReminders(jobs.RemindersConfig{
		Outbox: p.outbox, Shelf: p.engine, Scribe: p.engine, People: p.slack, Owners: owners, Cadence: cadence, Channel: cfg.Slack.OpsChannel,
		Schedule: due, Zone: cfg.Schedules.Location, Facts: w.readiness.Facts, Closer: closer, Now: o.Now, Log: o.Log,
	})
	w.rollCall = jobs.NewRollCall(jobs.RollCallConfig{
		Engine: p.engine, Shelf: p.engine, Outbox: p.outbox, Channel: cfg.Slack.OpsChannel, Pull: pull, Now: o.Now, Log: o.Log,
	})
	w.leavers = jobs.NewLeavers(jobs.LeaversConfig{
		Engine: p.engine, Shelf: p.engine, People: p.slack, Outbox: p.outbox, Channel: cfg.Slack.OpsChannel, Local: cfg.Slack.LocalUsers, Now: o.Now, Log: o.Log,
	})
	w.sentinel = jobs.NewSentinel(jobs.SentinelConfig{
		KeySets: sets, Vendor: vendor, Print: sealer.Print, Engine: p.engine, Outbox: p.outbox, Pager: pagerOf(cfg, p.wires, o.Now),
		People: p.slack, Closer: closer, Channel: cfg.Slack.OpsChannel, Every: every, Now: o.Now, Log: o.Log,
	})
	return w, nil
}

// A checker shows people what every look at a key set's readiness finds, such as
// a token that is about to run out.
type checker struct {
	engine *rotation.Engine
	slack  *slackbot.Bot
}

// Check implements [jobs.Checker].
func (c checker) Check(ctx context.Context, keyset string) (rotation.Report, error) {
	r, err := c.engine.Check(ctx, keyset)
	if err == nil {
		c.slack.Checked(ctx, r)
	}
	return r, err
}

// pullOf is how developers pull the pair of a key set: what the first note about
// it said too.
func pullOf(k config.KeySet, set rotation.KeySet) map[string]string {
	return map[string]string{
		rotation.NotePlace: set.Place, rotation.NoteProject: k.Infisical.ProjectID, rotation.NoteEnvironment: k.Infisical.Environment,
		rotation.NotePath: k.Infisical.Path, rotation.NoteKeyIDName: set.Names.KeyID, rotation.NoteSecretName: set.Names.Secret,
	}
}

// pagerOf returns what wakes people at night; nil if no routing key is set.
func pagerOf(cfg config.Config, wires *wires, now func() time.Time) jobs.Pager {
	if cfg.Tokens.PagerDutyRouting.Empty() {
		return nil
	}
	return pagerduty.New(pagerduty.Config{
		URL: cfg.Endpoints.PagerDuty, RoutingKey: cfg.Tokens.PagerDutyRouting, Transport: wires.to(servicePagerDuty), Now: now,
	})
}

// run runs everything until ctx ends.
func (w *clockwork) run(ctx context.Context, g *errgroup.Group) {
	for _, run := range []func(context.Context) error{w.sentinel.Run, w.reminders.Run, w.readiness.Run, w.rollCall.Run, w.leavers.Run} {
		g.Go(func() error { return run(ctx) })
	}
}

// Snooze implements [slackbot.Snoozer].
func (w *clockwork) Snooze(ctx context.Context, by rotation.Actor, s slackbot.Snooze) (string, error) {
	return w.reminders.Snooze(ctx, by, jobs.Snooze(s))
}

// Due implements [slackbot.Calendar].
func (w *clockwork) Due(ctx context.Context, keyset string) (due, firstSeen, snoozed string, err error) {
	s, err := w.reminders.Standing(ctx, keyset)
	return s.Due, s.FirstSeen, s.Snoozed, err
}

// A lateClock is the clockwork as the Slack side sees it, which is made before.
type lateClock struct{ *clockwork }

// Seen implements [slackbot.Sentinel].
func (l *lateClock) Seen(ctx context.Context, keyset string) (rotation.Seen, error) {
	return l.sentinel.Seen(ctx, keyset)
}

// FirstDue returns, from what a bot has stored, when a key set is due that it never
// rotated, and from which day that is counted; "" if none has run yet. It changes
// nothing.
func FirstDue(ctx context.Context, cfg config.Config, store rotation.Store, engine *rotation.Engine, keyset string, now func() time.Time) (due, firstSeen string, err error) {
	cadence := map[string]int{}
	for _, k := range cfg.KeySets {
		cadence[k.Name] = k.CadenceDays
	}
	r := jobs.NewReminders(jobs.RemindersConfig{
		Outbox: jobs.New(jobs.Config{Store: store, Now: now}), Shelf: engine, Cadence: cadence, Zone: cfg.Schedules.Location, Now: now,
	})
	s, err := r.Standing(ctx, keyset)
	if errors.Is(err, rotation.ErrNotFound) {
		return "", "", nil
	}
	return s.Due, s.FirstSeen, err
}
