package jobs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// episodePrefix + rotation ID is the record of an episode: a rotation that is
// exposed and waits for a person.
const episodePrefix = "waiting/"

// A Desk is the open rotations; [rotation.Engine] is one.
type Desk interface {
	// Open returns the IDs of the rotations that are open.
	Open(ctx context.Context) ([]rotation.ID, error)
	Looker
	// Cancel ends a rotation before the click, after a look at the old pair.
	Cancel(ctx context.Context, by rotation.Actor, id rotation.ID, why string) error
}

// People says who belongs to a role.
type People interface {
	// Members returns the Slack users of [rotation.RoleOps] or
	// [rotation.RoleOnCall], from memory. Nil means that it is not known yet;
	// an empty list that there is nobody.
	Members(role string) []string
}

// A LadderConfig is what a [Ladder] works with. Owners, Mention, Local and Scan
// may be left out.
type LadderConfig struct {
	Outbox  *Outbox
	Desk    Desk
	People  People
	Owners  map[string][]string // key set → Slack users; none: ops
	Channel string              // the ops channel
	Mention []string            // who is mentioned there: ID of a user group, or users
	Local   map[string]string   // login on the host → Slack user, for rotations run in a terminal
	Now     func() time.Time
	Log     *slog.Logger
	Scan    time.Duration // 0 means 5 s
}

// A Ladder tells more and more people while an exposed rotation waits for one,
// and ends rotations that nobody goes on with before the click (3.4 of the
// design). It keeps no timers: each scan works out from what is stored who
// should know by now, and the outbox sends each of them one message. So
// nothing is sent twice after a restart, and rungs that passed while the bot
// was down become one message. There must be one Ladder that runs on a store.
type Ladder struct {
	cfg   LadderConfig
	tried map[rotation.ID]time.Time // when cancelling was last refused; used by Run alone
	pulse *pulse
}

// NewLadder returns a ladder that does nothing until Run is called.
func NewLadder(cfg LadderConfig) *Ladder {
	cfg.Scan = cmp.Or(cfg.Scan, defaultScan)
	return &Ladder{cfg: cfg, tried: map[rotation.ID]time.Time{}, pulse: &pulse{name: "ladder", every: cfg.Scan, most: scanMost, now: cfg.Now}}
}

// Run scans until ctx ends.
func (l *Ladder) Run(ctx context.Context) error {
	l.pulse.begin()
	for {
		if err := l.scan(ctx); err != nil && ctx.Err() == nil {
			l.cfg.Log.WarnContext(ctx, "not everybody could be told who should know; the next scan tries again", slog.Any("error", err))
		}
		l.pulse.beat()
		if !pause(ctx, l.cfg.Scan) {
			return nil
		}
	}
}

// An episode is one time in which a rotation waits, as it is stored. It goes on
// while anything that was wanted in it is still wanted: if two consumers
// failed and one is mended, people are not told all over again.
type episode struct {
	Start time.Time    `json:"start"`
	Last  time.Time    `json:"last"` // when the newest thing seen in it began
	rev   rotation.Rev // of the record; 0: there is none
}

// scan looks at every open rotation once. What fails for one is tried again by
// the next scan and holds up no other.
func (l *Ladder) scan(ctx context.Context) error {
	ids, err := l.cfg.Desk.Open(ctx)
	if err != nil {
		return err
	}
	episodes, err := l.episodes(ctx)
	if err != nil {
		return err
	}
	now := l.cfg.Now().UTC()
	var errs []error
	var early []rotation.Overview
	for _, id := range ids {
		o, err := l.cfg.Desk.Look(ctx, id)
		was := episodes[id]
		delete(episodes, id)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		w, waits := o.Rotation.Waiting(now)
		switch {
		case waits && w.Exposed && (!w.Claimed || len(o.Rotation.Candidates) > 0): // who said "It was me" has it until they paste
			err = l.climb(ctx, o, w, was, now)
		case was.rev != 0:
			err = l.over(ctx, id, was)
		}
		errs = append(errs, err)
		early = append(early, o)
		l.pulse.beat()
	}
	for id, was := range episodes { // of rotations that are over
		errs = append(errs, l.over(ctx, id, was))
	}
	for _, o := range early { // last: it asks Alpaca, and the others need not wait for that
		errs = append(errs, l.idle(ctx, o, now))
		l.pulse.beat()
	}
	return errors.Join(errs...)
}

// climb queues a message to everybody who should know by now and has none.
func (l *Ladder) climb(ctx context.Context, o rotation.Overview, w rotation.Waiting, was episode, now time.Time) error {
	id := o.Rotation.ID
	ep, err := l.begin(ctx, id, w, was)
	if err != nil {
		return err
	}
	var errs []error
	for _, c := range l.due(o.Rotation.KeySet, w, now.Sub(ep.Start)) {
		for _, lower := range c.below { // it says less than the one that follows now
			errs = append(errs, l.cfg.Outbox.Withdraw(ctx, callKey(id, ep, lower, c.to)))
		}
		key, n := callKey(id, ep, c.rung.name, c.to), l.note(o, w, ep, c)
		if c.rung.name == rotation.RungOnCall && isPage(&o.Rotation) {
			key, n = forcedKey(id, c.to), forcedNote(o, l.page(ctx, id), c.rung)
		}
		errs = append(errs, l.cfg.Outbox.Queue(ctx, key, c.to, n))
	}
	return errors.Join(errs...)
}

// page returns what is stored of a page; the zero page if nothing is.
func (l *Ladder) page(ctx context.Context, id rotation.ID) (pg page) {
	if _, err := l.cfg.Outbox.read(ctx, pagePrefix+string(id), &pg); err != nil {
		return page{}
	}
	return pg
}

// callKey is the key of the note to one person as one rung of one episode.
func callKey(id rotation.ID, ep episode, rung, to string) string {
	return episodeKey(id, ep) + to + "/" + rung
}

func episodeKey(id rotation.ID, ep episode) string {
	return rotation.NoticeCall + "/" + string(id) + "/" + stamp(ep.Start) + "/"
}

// begin returns the episode that w belongs to. A new one is stored, and what
// was still to be sent in the one before it is withdrawn.
func (l *Ladder) begin(ctx context.Context, id rotation.ID, w rotation.Waiting, was episode) (episode, error) {
	ep := episode{Start: w.Since, Last: w.Last}
	switch {
	case was.rev == 0:
		l.cfg.Log.WarnContext(ctx, "exposed rotation waits for a person", slog.String("rotation", string(id)), slog.String("for", w.For))
	case w.Since.After(was.Last): // nothing that was wanted then is wanted now
		if err := l.cfg.Outbox.Withdraw(ctx, episodeKey(id, was)); err != nil {
			return ep, err
		}
	case w.Last.After(was.Last):
		ep.Start = was.Start
	default:
		return was, nil
	}
	op, err := put(episodePrefix+string(id), ep)
	if err != nil {
		return ep, err
	}
	ep.rev, err = l.store().Txn(ctx, []rotation.Cond{{Key: op.Key, Rev: was.rev}}, []rotation.Op{op})
	if err != nil {
		return ep, fmt.Errorf("store episode of %s: %w", id, err) // also if it was stored after all: the next scan finds it
	}
	return ep, nil
}

// over ends an episode: what nobody has read yet is not sent any more.
func (l *Ladder) over(ctx context.Context, id rotation.ID, was episode) error {
	if err := l.cfg.Outbox.Withdraw(ctx, episodeKey(id, was)); err != nil {
		return err
	}
	_, err := l.store().Txn(ctx, []rotation.Cond{{Key: episodePrefix + string(id), Rev: was.rev}}, []rotation.Op{{Key: episodePrefix + string(id), Delete: true}})
	if err != nil {
		return fmt.Errorf("end episode of %s: %w", id, err)
	}
	l.cfg.Log.InfoContext(ctx, "exposed rotation waits no longer", slog.String("rotation", string(id)))
	return nil
}

// episodes reads every episode that was going on at the last scan.
func (l *Ladder) episodes(ctx context.Context) (map[rotation.ID]episode, error) {
	kvs, err := l.store().List(ctx, episodePrefix, "", 0)
	if err != nil {
		return nil, fmt.Errorf("list episodes: %w", err)
	}
	all := map[rotation.ID]episode{}
	for _, kv := range kvs {
		ep := episode{rev: kv.Rev}
		if err := json.Unmarshal(kv.Value, &ep); err != nil {
			return nil, fmt.Errorf("decode %s: %w", kv.Key, err)
		}
		all[rotation.ID(strings.TrimPrefix(kv.Key, episodePrefix))] = ep
	}
	return all, nil
}

func (l *Ladder) store() rotation.Store { return l.cfg.Outbox.cfg.Store }

// stamp is how a time stands in a key and in a note.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
