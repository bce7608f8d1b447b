package slackbot

import (
	"context"
	"slices"
	"strings"

	"github.com/slack-go/slack"
)

// What follows is for `bot doctor`: single looks that change nothing, on a [Bot]
// that is never run. Their errors are *fault.Error.

// An Install is what Slack says of the bot token.
type Install struct {
	Workspace string
	Team      string // its ID
	Scopes    []string
}

// Lacks returns which of scopes the token does not have.
func (i Install) Lacks(scopes ...string) []string {
	return slices.DeleteFunc(scopes, func(s string) bool { return slices.Contains(i.Scopes, s) })
}

// Install looks whose token the bot has, and which scopes it brings
// (X-OAuth-Scopes, docs.slack.dev/authentication/tokens).
func (b *Bot) Install(ctx context.Context) (Install, error) {
	team, err := b.workspace(ctx)
	if err != nil {
		return Install{}, slackFault("slackbot.Install", err)
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	who, err := b.api.AuthTestContext(ctx)
	if err != nil {
		return Install{}, slackFault("slackbot.Install", err)
	}
	scopes := strings.FieldsFunc(who.Header.Get("X-OAuth-Scopes"), func(r rune) bool { return r == ',' || r == ' ' })
	return Install{Workspace: who.Team, Team: team, Scopes: scopes}, nil
}

// MayConnect asks for a socket and does not dial it: Slack would deliver real
// commands to it. The address that it gets is forgotten.
func (b *Bot) MayConnect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	_, _, err := b.api.StartSocketModeContext(ctx)
	return slackFault("slackbot.MayConnect", err)
}

// A Room is the ops channel as the bot sees it.
type Room struct {
	Name     string
	Joined   bool
	Archived bool
}

// Room looks at the ops channel.
func (b *Bot) Room(ctx context.Context) (Room, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	c, err := b.api.GetConversationInfoContext(ctx, &slack.GetConversationInfoInput{ChannelID: b.cfg.Channel})
	if err != nil {
		return Room{}, slackFault("slackbot.Room", err)
	}
	return Room{Name: c.Name, Joined: c.IsMember, Archived: c.IsArchived}, nil
}

// In returns who has a role now, sorted.
func (b *Bot) In(ctx context.Context, role Role) ([]string, error) {
	people := slices.Clone(role.Users)
	if role.Group != "" {
		ctx, cancel := context.WithTimeout(ctx, callLimit)
		defer cancel()
		var err error
		if people, err = b.api.GetUserGroupMembersContext(ctx, role.Group); err != nil {
			return nil, slackFault("slackbot.In", err)
		}
	}
	slices.Sort(people)
	return slices.Compact(people), nil
}

// A Person is somebody whom bot.yml or a group names.
type Person struct {
	Name   string
	Barred string // why they may do nothing at all: "deleted", "bot", "guest", "external"; "" means that they may
}

// Person looks somebody up, as the roster of a running bot does; team is that of
// [Install].
func (b *Bot) Person(ctx context.Context, id, team string) (Person, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	u, err := b.api.GetUserInfoContext(ctx, id)
	switch code := slackCode(err); {
	case code == "user_not_found":
		return Person{Name: id, Barred: "deleted"}, nil
	case code == "user_not_visible":
		return Person{Name: id, Barred: "external"}, nil
	case err != nil:
		return Person{}, slackFault("slackbot.Person", err)
	}
	ours := team == "" || u.TeamID == team || slices.Contains(u.Enterprise.Teams, team)
	return Person{Name: u.Name, Barred: bar(u, ours)}, nil
}
