package slackbot

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/raxx-app/keyturn/internal/commands"
	"github.com/raxx-app/keyturn/internal/fault"
)

// flagsEvery is the least time between two calls of users.info on average:
// Tier 4 is "100+ a minute" (docs.slack.dev/apis/web-api/rate-limits), and the
// bot needs some for other things. flagsBurst may be made at once.
const (
	flagsEvery = 750 * time.Millisecond
	flagsBurst = 40
)

// A Role is who belongs to it: a user group, or fixed people.
type Role struct {
	Group string
	Users []string
}

// A Roster knows, from memory, who belongs to ops and to on-call and who may
// do nothing at all. It is as fresh as the last good answers of Slack; which of
// them are too old is for the gate to say. Nobody waits for it.
type Roster struct {
	b     *Bot
	pace  *rate.Limiter // of users.info
	ready chan struct{} // closed when everybody who is listed is known
	fresh chan struct{} // says that the groups were read

	mu      sync.Mutex
	asOf    time.Time // of the groups
	team    string
	ops     map[string]bool
	onCall  map[string]bool
	flags   map[string]flag
	tried   map[string]uint64 // person → when users.info was last asked for, as a count
	count   uint64
	origins map[string]origin // what the last payload said of a person, where it was not ours
}

var _ commands.Roster = (*Roster)(nil)

// A flag is what users.info said of one person.
type flag struct {
	barred string // why they may do nothing at all, or ""
	inOrg  bool   // another workspace's person who belongs to ours through the enterprise
	at     time.Time
}

func newRoster(b *Bot) *Roster {
	return &Roster{
		b: b, pace: rate.NewLimiter(rate.Every(flagsEvery), flagsBurst), ready: make(chan struct{}), fresh: make(chan struct{}, 1),
		flags: map[string]flag{}, tried: map[string]uint64{}, origins: map[string]origin{},
	}
}

// Standing implements [commands.Roster]. What is known of a person is as old as
// the older of the two answers it stands on.
func (r *Roster) Standing(person string) commands.Standing {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := commands.Standing{Owns: commands.Owned(r.b.cfg.Owners, person)}
	f, known := r.flags[person]
	s.Barred = f.barred
	if from := r.origins[person]; from.install || from.elsewhere && !f.inOrg {
		s.Barred = "external"
	}
	everybody := r.everybody()
	if r.asOf.IsZero() || everybody[person] && !known {
		return s
	}
	s.Ops, s.OnCall, s.AsOf = answer(r.ops[person]), answer(r.onCall[person]), r.asOf
	// Where Slack allows no more, what is known of a person may be older.
	oldest := f.at.Add(max(0, spread(len(everybody))-r.b.times.Roster))
	if everybody[person] && oldest.Before(s.AsOf) {
		s.AsOf = oldest
	}
	return s
}

func answer(member bool) commands.Answer {
	if member {
		return commands.Yes
	}
	return commands.No
}

// run refreshes until ctx ends.
func (r *Roster) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.keepGroups(ctx) })
	g.Go(func() error { return r.keepFlags(ctx) })
	return g.Wait()
}

// keepGroups reads the groups again and again. It goes on at its pace while
// Slack refuses the token: one look costs little, and what was a slip of
// Slack's is over soon.
func (r *Roster) keepGroups(ctx context.Context) error {
	for {
		wait := r.b.times.Roster
		err := slackFault("slackbot.Roster", r.readGroups(ctx))
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			r.b.alarm.end(ctx, partPeople)
			select {
			case r.fresh <- struct{}{}:
			default:
			}
		case fault.KindOf(err) == fault.Denied:
			r.b.alarm.ring(ctx, partPeople, err)
		default:
			wait = max(r.b.times.Again, fault.RetryAfter(err))
		}
		if err != nil {
			r.b.cfg.Log.WarnContext(ctx, "membership not refreshed", slog.Any("error", err))
		}
		if err := pause(ctx, jittered(wait), nil); err != nil {
			return err
		}
	}
}

// readGroups asks once. The answer counts whole or not at all; it is as old as
// the moment before it was asked for.
func (r *Roster) readGroups(ctx context.Context) error {
	began := r.b.cfg.Now()
	team, err := r.b.workspace(ctx)
	if err != nil {
		return err
	}
	ops, err := r.members(ctx, r.b.cfg.Ops)
	if err != nil {
		return err
	}
	onCall, err := r.members(ctx, r.b.cfg.OnCall)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asOf, r.team, r.ops, r.onCall = began, team, ops, onCall
	everybody := r.everybody()
	gone := func(person string) bool { return !everybody[person] }
	maps.DeleteFunc(r.flags, func(p string, _ flag) bool { return gone(p) })
	maps.DeleteFunc(r.tried, func(p string, _ uint64) bool { return gone(p) })
	return nil
}

func (r *Roster) members(ctx context.Context, role Role) (map[string]bool, error) {
	in := map[string]bool{}
	people := role.Users
	if role.Group != "" {
		ctx, cancel := context.WithTimeout(ctx, callLimit)
		defer cancel()
		var err error
		if people, err = r.b.api.GetUserGroupMembersContext(ctx, role.Group); err != nil {
			return nil, err
		}
	}
	for _, p := range people {
		in[p] = true
	}
	return in, nil
}

// everybody returns all people who can have a say in anything; r.mu is held.
func (r *Roster) everybody() map[string]bool {
	all := map[string]bool{}
	maps.Copy(all, r.ops)
	maps.Copy(all, r.onCall)
	for _, people := range slices.Concat(slices.Collect(maps.Values(r.b.cfg.Owners)), slices.Collect(maps.Values(r.b.cfg.Developers))) {
		for _, p := range people {
			all[p] = true
		}
	}
	return all
}
