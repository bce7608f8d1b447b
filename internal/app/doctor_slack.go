package app

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/raxx-app/keyturn/internal/config"
	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/slackbot"
)

const (
	areaSlack  = "slack"
	areaPeople = "people"
)

// lookups is how many people are asked about at the same time.
const lookups = 32

// A scope is one that the bot token needs, and what for.
type scope struct{ name, why string }

// scopes are those of manifest.yml. usergroups:read is only needed where
// bot.yml names groups.
func scopes(cfg config.Slack) []scope {
	all := []scope{
		{"commands", "/rotate-alpaca-paper"},
		{"chat:write", "posting in the ops channel and to people"},
		{"im:write", "writing to people directly"},
		{"users:read", "knowing who is a guest or was deactivated"},
		{"channels:read", "seeing whether the bot is in the ops channel"},
		{"groups:read", "the same of a private channel"},
	}
	if cfg.OpsGroup != "" || cfg.OncallGroup != "" {
		all = append(all, scope{"usergroups:read", "knowing who belongs to ops and on-call"})
	}
	return all
}

// What an answer about Slack is, or why there is none.
type (
	answered[T any] struct {
		got T
		err error
	}
	slackLook struct {
		install     answered[slackbot.Install]
		connect     error
		room        answered[slackbot.Room]
		ops, onCall answered[[]string]
	}
)

// slackAndPeople looks at Slack, and then at everybody whom it or bot.yml names.
func (e *examination) slackAndPeople(ctx context.Context) []Finding {
	cfg := slackConfig(Options{Config: e.Config}, nil, nil, newWires(nil))
	var l slackLook
	var wg sync.WaitGroup
	wg.Go(func() { l.install.got, l.install.err = e.slack.Install(ctx) })
	wg.Go(func() { l.connect = e.slack.MayConnect(ctx) })
	wg.Go(func() { l.room.got, l.room.err = e.slack.Room(ctx) })
	wg.Go(func() { l.ops.got, l.ops.err = e.slack.In(ctx, cfg.Ops) })
	wg.Go(func() { l.onCall.got, l.onCall.err = e.slack.In(ctx, cfg.OnCall) })
	wg.Wait()
	found := []Finding{e.botToken(l.install), appToken(l.connect)}
	if fault.KindOf(l.install.err) == fault.Denied && l.install.err != nil {
		return found // everything else would say the same
	}
	found = append(found, e.scopes(l.install)...)
	found = append(found, e.room(l.room), e.ops(l.ops), e.onCall(l))
	return append(found, e.people(ctx, l)...)
}

func (e *examination) botToken(a answered[slackbot.Install]) Finding {
	const name = "bot token"
	if a.err == nil {
		return fine(areaSlack, name, "installed in the workspace "+a.got.Workspace)
	}
	f := bad(areaSlack, name, a.err)
	if fault.KindOf(a.err) == fault.Denied && fault.ReasonOf(a.err) != "org_wide_install" {
		f.Text = "Slack does not accept SLACK_BOT_TOKEN (" + fault.ReasonOf(a.err) + ")."
		f.Fix = "Set SLACK_BOT_TOKEN to the Bot User OAuth Token (xoxb-…) that the app's page OAuth & Permissions shows; install the app there first."
	}
	return f
}

func appToken(err error) Finding {
	const name = "app token"
	switch reason := fault.ReasonOf(err); {
	case err == nil:
		return fine(areaSlack, name, "Slack would open a socket; none was opened")
	case reason == "missing_scope":
		return broken(areaSlack, name, reason, "SLACK_APP_TOKEN lacks the scope connections:write.",
			"In the app's page Basic Information, App-Level Tokens, make a token with connections:write and set SLACK_APP_TOKEN to it.")
	case reason == "link_disabled":
		return bad(areaSlack, name, err)
	case fault.KindOf(err) == fault.Denied || reason == "not_allowed_token_type":
		return broken(areaSlack, name, reason, "Slack does not accept SLACK_APP_TOKEN ("+reason+").",
			"Set SLACK_APP_TOKEN to an app-level token (xapp-…) with the scope connections:write, from the app's page Basic Information, App-Level Tokens.")
	}
	return bad(areaSlack, name, err)
}

// scopes says which are missing, one finding each.
func (e *examination) scopes(a answered[slackbot.Install]) (found []Finding) {
	if a.err != nil {
		return nil
	}
	for _, s := range scopes(e.Config.Slack) {
		if len(a.got.Lacks(s.name)) > 0 {
			found = append(found, broken(areaSlack, "scope "+s.name, "missing_scope", "The bot token lacks the scope "+s.name+" (for "+s.why+").",
				"Add "+s.name+" in the app's page OAuth & Permissions, install the app again, and set SLACK_BOT_TOKEN to the new token."))
		}
	}
	if len(found) == 0 {
		found = append(found, fine(areaSlack, "scopes", fmt.Sprintf("all %d that are needed", len(scopes(e.Config.Slack)))))
	}
	return found
}

func (e *examination) room(a answered[slackbot.Room]) Finding {
	const name = "ops channel"
	id := e.Config.Slack.OpsChannel
	invite := "Open the channel in Slack and type /invite with the bot's name; then run bot doctor again."
	switch {
	case fault.ReasonOf(a.err) == "missing_scope":
		return broken(areaSlack, name, "missing_scope", "The bot may not look at channels.", "Add the scopes channels:read and groups:read, and install the app again.")
	case a.err != nil && fault.KindOf(a.err) == fault.NotFound:
		return broken(areaSlack, name, fault.ReasonOf(a.err), "Slack shows the bot no channel "+id+".", "Check slack.ops_channel in bot.yml (the channel's ID, C…). If it is private: "+invite)
	case a.err != nil:
		return bad(areaSlack, name, a.err)
	case a.got.Archived:
		return broken(areaSlack, name, "is_archived", "#"+a.got.Name+" is archived.", "Unarchive it, or name another channel as slack.ops_channel in bot.yml.")
	case !a.got.Joined:
		return broken(areaSlack, name, "not_in_channel", "The bot is not in #"+a.got.Name+".", invite)
	}
	return fine(areaSlack, name, "the bot is in #"+a.got.Name)
}

// group is the finding of a group that cannot be read.
func group(name, key, instead string, err error) Finding {
	fix := "Check slack." + key + " in bot.yml: it is a group's ID (S…), and the group must not be disabled. Without user groups name the people: " + instead + "."
	if fault.ReasonOf(err) == "missing_scope" {
		fix = "Add the scope usergroups:read in the app's page OAuth & Permissions, and install the app again; or name the people: " + instead + "."
	}
	if k := fault.KindOf(err); k == fault.Transient || k == fault.Unknown {
		fix = again(fault.FixText(err))
	}
	return broken(areaPeople, name, fault.ReasonOf(err), "Who belongs to slack."+key+" cannot be read. "+fault.UserText(err), fix)
}

func (e *examination) ops(a answered[[]string]) Finding {
	const name = "ops"
	switch {
	case a.err != nil:
		return group(name, "ops_group", "slack.ops_users", a.err)
	case len(a.got) == 0:
		return broken(areaPeople, name, "nobody", "Nobody belongs to ops: nobody could rotate a key.", "Put people into the group that slack.ops_group names, or name them as slack.ops_users in bot.yml.")
	case len(a.got) == 1:
		return warned(areaPeople, name, "one_person", "Only "+a.got[0]+" belongs to ops: nobody could take over from them.", "Add a second person.")
	}
	return fine(areaPeople, name, fmt.Sprintf("%d people: %s", len(a.got), some(a.got)))
}

func (e *examination) onCall(l slackLook) Finding {
	const name = "on-call"
	cfg := e.Config.Slack
	outside := slices.DeleteFunc(slices.Clone(l.onCall.got), func(p string) bool { return slices.Contains(l.ops.got, p) })
	switch {
	case l.onCall.err != nil:
		return group(name, "oncall_group", "slack.oncall_users", l.onCall.err)
	case len(l.onCall.got) == 0 && cfg.OncallGroup == "":
		return warned(areaPeople, name, "nobody", "Nobody is on call: a key that dies by itself is only told to ops, in the channel.", "Name them as slack.oncall_group or slack.oncall_users in bot.yml.")
	case len(l.onCall.got) == 0:
		return broken(areaPeople, name, "nobody", "The group slack.oncall_group is empty: nobody is paged when a key dies.", "Put people into it.")
	case l.ops.err == nil && len(outside) > 0:
		return broken(areaPeople, name, "oncall_not_ops", some(outside)+": on call, but not in ops. They would be paged and could not act.", "Add them to ops, or take them off call.")
	}
	return fine(areaPeople, name, "all of them ops: "+some(l.onCall.got))
}

// some names at most ten of list.
func some(list []string) string {
	if len(list) <= 10 {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:10], ", "), len(list)-10)
}
