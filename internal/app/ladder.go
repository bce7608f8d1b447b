package app

import (
	"github.com/raxx-app/keyturn/internal/jobs"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/slackbot"
)

var (
	_ jobs.Desk   = (*rotation.Engine)(nil)
	_ jobs.People = (*slackbot.Bot)(nil)
)

// newLadder makes what tells more and more people while a rotation waits.
func newLadder(o Options, p *parts) *jobs.Ladder {
	cfg := o.Config
	owners := map[string][]string{}
	for _, k := range cfg.KeySets {
		owners[k.Name] = k.Owners
	}
	mention := cfg.Slack.OpsUsers
	if cfg.Slack.OpsGroup != "" {
		mention = []string{cfg.Slack.OpsGroup}
	}
	return jobs.NewLadder(jobs.LadderConfig{
		Outbox: p.outbox, Desk: p.engine, People: p.slack, Owners: owners, Channel: cfg.Slack.OpsChannel, Mention: mention,
		Local: cfg.Slack.LocalUsers, Now: o.Now, Log: o.Log,
	})
}
