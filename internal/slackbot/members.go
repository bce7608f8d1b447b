package slackbot

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/raxx-app/keyturn/internal/commands"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// Members returns the people of [rotation.RoleOps] or [rotation.RoleOnCall],
// sorted, from memory and at once. Whoever is known to be barred is left out.
// Nil means that Slack has not said yet who belongs to the role's group; a role
// without a group is what is configured.
func (b *Bot) Members(role string) []string {
	r := b.roster
	r.mu.Lock()
	defer r.mu.Unlock()
	var from Role
	var known map[string]bool
	switch role {
	case rotation.RoleOps:
		from, known = b.cfg.Ops, r.ops
	case rotation.RoleOnCall:
		from, known = b.cfg.OnCall, r.onCall
	}
	people := slices.Clone(from.Users)
	if from.Group != "" {
		if r.asOf.IsZero() {
			return nil
		}
		people = slices.Collect(maps.Keys(known))
	}
	slices.Sort(people)
	people = slices.DeleteFunc(slices.Compact(people), func(p string) bool { return r.flags[p].barred != "" })
	return append([]string{}, people...) // not nil: it is known that there is nobody
}

// Check decides whether by may do act, as for everybody who presses something in
// Slack (section 5 of the design): terminals pass the same gate. A bot that a
// command has just started does not know anybody yet: the first Check waits up to
// 2 s for Slack's first word, so that somebody in ops is not made to break glass,
// and somebody who is not in ops cannot.
func (b *Bot) Check(ctx context.Context, by rotation.Actor, act commands.Act, about commands.Subject) error {
	b.introduced.Do(func() {
		timer := time.NewTimer(introLimit)
		defer timer.Stop()
		select {
		case <-b.roster.ready:
		case <-timer.C:
		case <-ctx.Done():
		}
	})
	return b.gate.Check(ctx, by, act, about)
}

// introLimit is how long a terminal waits for Slack to say who is who.
const introLimit = 2 * time.Second
