package app

import (
	"context"
	"errors"

	"github.com/raxx-app/keyturn/internal/jobs"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/slackbot"
)

var (
	_ jobs.Desk   = desk{}
	_ jobs.People = (*slackbot.Bot)(nil)
)

// desk is the engine as the ladder sees it.
type desk struct{ *rotation.Engine }

// Open implements [jobs.Desk].
func (d desk) Open(ctx context.Context) ([]rotation.ID, error) {
	var ids []rotation.ID
	for _, name := range d.KeySets() {
		id, err := d.Active(ctx, name)
		if errors.Is(err, rotation.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

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
		Outbox: p.outbox, Desk: desk{p.engine}, People: p.slack, Owners: owners, Channel: cfg.Slack.OpsChannel, Mention: mention,
		Local: cfg.Slack.LocalUsers, Now: o.Now, Log: o.Log,
	})
}
