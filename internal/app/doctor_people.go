package app

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/slackbot"
)

// A seenPerson is somebody with what Slack says of them.
type seenPerson struct {
	id    string
	roles []string // "ops", "on-call", "owner of prod", "developer of prod"
	who   answered[slackbot.Person]
	reach error
}

// people looks everybody up who can be asked for something, and tries whether
// they can be written to.
func (e *examination) people(ctx context.Context, l slackLook) []Finding {
	all := e.everybody(l)
	var wg sync.WaitGroup
	turns := make(chan struct{}, lookups)
	for i := range all {
		p := &all[i]
		wg.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			var both sync.WaitGroup
			both.Go(func() { p.who.got, p.who.err = e.slack.Person(ctx, p.id, l.install.got.Team) })
			both.Go(func() { p.reach = e.slack.Reach(ctx, p.id) })
			both.Wait()
		})
	}
	wg.Wait()
	var found []Finding
	for _, p := range all {
		if f, ok := p.finding(); ok {
			found = append(found, f)
		}
	}
	if len(found) == 0 {
		found = append(found, fine(areaPeople, "direct messages", fmt.Sprintf("all %d people can be written to", len(all))))
	}
	return found
}

// everybody returns every person once, with all their roles, sorted.
func (e *examination) everybody(l slackLook) []seenPerson {
	roles := map[string][]string{}
	add := func(role string, people []string) {
		for _, p := range people {
			if !slices.Contains(roles[p], role) {
				roles[p] = append(roles[p], role)
			}
		}
	}
	add("ops", l.ops.got)
	add("on-call", l.onCall.got)
	for _, k := range e.Config.KeySets {
		add("owner of "+k.Name, k.Owners)
		for _, c := range k.Consumers {
			add("developer of "+k.Name, c.Users)
		}
	}
	all := make([]seenPerson, 0, len(roles))
	for id, r := range roles {
		all = append(all, seenPerson{id: id, roles: r})
	}
	slices.SortFunc(all, func(a, b seenPerson) int { return cmp.Compare(a.id, b.id) })
	return all
}

// finding says what is wrong with a person; ok is false if nothing is.
func (p seenPerson) finding() (f Finding, ok bool) {
	role := strings.Join(p.roles, ", ")
	put := func(level Level, reason, text, fix string) (Finding, bool) {
		return Finding{Area: areaPeople, Check: p.id, Level: level, Reason: reason, Text: text, Fix: fix}, true
	}
	switch err := cmp.Or(p.who.err, p.reach); {
	case p.who.err == nil && p.who.got.Barred != "":
		return put(LevelFail, "barred_"+p.who.got.Barred, p.id+" ("+role+") is "+barredText(p.who.got.Barred)+": the bot refuses everything they ask for.",
			"Name somebody else in their place, in bot.yml or in the group.")
	case err == nil:
		return Finding{}, false
	case fault.KindOf(err) == fault.Transient || fault.KindOf(err) == fault.Unknown:
		return put(LevelWarn, fault.ReasonOf(err), p.id+" ("+role+") could not be looked up. "+fault.UserText(err), "Run bot doctor again in a minute.")
	case fault.ReasonOf(err) == "missing_scope":
		return put(LevelFail, "missing_scope", p.id+" ("+role+") cannot be looked up or written to: a scope is missing.", "Add the scopes users:read and im:write, and install the app again.")
	}
	return put(LevelFail, fault.ReasonOf(cmp.Or(p.who.err, p.reach)), p.id+" ("+role+") cannot be written to. "+fault.UserText(p.reach),
		"Check the ID in bot.yml (Slack profile, More, Copy member ID).")
}

func barredText(barred string) string {
	switch barred {
	case "deleted":
		return "not in this workspace, or deactivated"
	case "bot":
		return "a bot or an app"
	case "guest":
		return "a guest"
	}
	return "a member of another organisation"
}
