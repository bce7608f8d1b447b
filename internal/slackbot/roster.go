package slackbot

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/commands"
)

// How often membership is asked for. It is never asked for in the path of an
// interaction.
const (
	rosterEvery = 45 * time.Second
	rosterAgain = 5 * time.Second // after a failure
	rosterFirst = 3 * time.Second // how long the socket waits for the first answer
)

// A Role is who belongs to it: a user group, or fixed people.
type Role struct {
	Group string
	Users []string
}

// A Roster knows, from memory, who belongs to ops and to on-call and who may
// do nothing at all. It is as fresh as the last good answer of Slack.
type Roster struct {
	api   *slack.Client
	cfg   Config
	ready chan struct{} // closed after the first good answer

	mu     sync.Mutex
	asOf   time.Time
	team   string
	ops    map[string]bool
	onCall map[string]bool
	barred map[string]string
}

var _ commands.Roster = (*Roster)(nil)

func newRoster(api *slack.Client, cfg Config) *Roster {
	return &Roster{api: api, cfg: cfg, ready: make(chan struct{})}
}

// Standing implements [commands.Roster].
func (r *Roster) Standing(person string) commands.Standing {
	r.mu.Lock()
	defer r.mu.Unlock()
	return commands.Standing{
		Barred: r.barred[person], Ops: answer(r.asOf, r.ops[person]), OnCall: answer(r.asOf, r.onCall[person]),
		Owns: commands.Owned(r.cfg.Owners, person), AsOf: r.asOf,
	}
}

func answer(asOf time.Time, member bool) commands.Answer {
	switch {
	case asOf.IsZero():
		return commands.Unknown
	case member:
		return commands.Yes
	}
	return commands.No
}

// run refreshes until ctx ends.
func (r *Roster) run(ctx context.Context) error {
	for first := true; ; {
		wait := rosterEvery
		if err := r.refresh(ctx); err != nil {
			wait = rosterAgain
			r.cfg.Log.WarnContext(ctx, "membership not refreshed", slog.Any("error", slackFault("slackbot.Roster", err)))
		} else if first {
			first = false
			close(r.ready)
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		}
	}
}

// refresh asks Slack once. The answer counts whole or not at all; it is as old
// as the moment before it was asked for.
func (r *Roster) refresh(ctx context.Context) error {
	began := r.cfg.Now()
	team, err := r.ourTeam(ctx)
	if err != nil {
		return err
	}
	ops, err := r.members(ctx, r.cfg.Ops)
	if err != nil {
		return err
	}
	onCall, err := r.members(ctx, r.cfg.OnCall)
	if err != nil {
		return err
	}
	barred := map[string]string{}
	for person := range r.everybody(ops, onCall) {
		if barred[person], err = r.bar(ctx, person, team); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asOf, r.team, r.ops, r.onCall, r.barred = began, team, ops, onCall, barred
	return nil
}

func (r *Roster) ourTeam(ctx context.Context) (string, error) {
	r.mu.Lock()
	team := r.team
	r.mu.Unlock()
	if team != "" {
		return team, nil
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	who, err := r.api.AuthTestContext(ctx)
	if err != nil {
		return "", err
	}
	return who.TeamID, nil
}

func (r *Roster) members(ctx context.Context, role Role) (map[string]bool, error) {
	in := map[string]bool{}
	people := role.Users
	if role.Group != "" {
		ctx, cancel := context.WithTimeout(ctx, callLimit)
		defer cancel()
		var err error
		if people, err = r.api.GetUserGroupMembersContext(ctx, role.Group); err != nil {
			return nil, err
		}
	}
	for _, p := range people {
		in[p] = true
	}
	return in, nil
}

// everybody returns all people who can have a say in anything.
func (r *Roster) everybody(ops, onCall map[string]bool) map[string]bool {
	all := maps.Clone(ops)
	maps.Copy(all, onCall)
	for _, people := range slices.Concat(slices.Collect(maps.Values(r.cfg.Owners)), slices.Collect(maps.Values(r.cfg.Developers))) {
		for _, p := range people {
			all[p] = true
		}
	}
	return all
}

// bar says why a person may do nothing at all, or "".
func (r *Roster) bar(ctx context.Context, person, team string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	u, err := r.api.GetUserInfoContext(ctx, person)
	if err != nil {
		if slackCode(err) == "user_not_found" {
			return "deleted", nil
		}
		return "", err
	}
	ours := u.TeamID == team || slices.Contains(u.Enterprise.Teams, team)
	switch {
	case u.Deleted:
		return "deleted", nil
	case u.IsBot || u.IsAppUser:
		return "bot", nil
	case u.IsRestricted || u.IsUltraRestricted:
		return "guest", nil
	case u.IsStranger || !ours:
		return "external", nil
	}
	return "", nil
}
