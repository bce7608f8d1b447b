package sandbox

import (
	"github.com/raxx-app/keyturn/internal/sandbox/page"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

// People whom only the page has, beside Ada, Bob and cleo.
const (
	dan = "U0DAN" // on call
	gus = "U0GUS" // a guest
	eve = "U0EVE" // of another organisation
)

// general is a channel in which the command does not work.
const general = "C0GENERAL"

// people are those between whom the page's reader can choose.
func (w *World) people() []page.Person {
	c := w.Slack.Config()
	return []page.Person{
		{ID: Ada, Name: "ada", Roles: []string{"ops", "on-call", "developer"}, Title: "Ops, on call, developer"},
		{ID: cleo, Name: "cleo", Roles: []string{"ops"}, Title: "Ops"},
		{ID: dan, Name: "dan", Roles: []string{"ops", "on-call"}, Title: "On call"},
		{ID: Bob, Name: "bob", Roles: []string{"developer"}, Title: "Developer"},
		{ID: gus, Name: "gus", Roles: []string{}, Title: "Guest", Guest: true},
		{ID: eve, Name: "eve", Roles: []string{}, Title: "External partner", External: true},
		{ID: c.BotUserID, Name: c.BotName, Roles: []string{}, Title: "App", Bot: true},
	}
}

// fillPeople adds them to the workspace, and a channel beside #ops. Whoever is on
// call belongs to ops too.
func (w *World) fillPeople() {
	w.Slack.AddUser(slacksim.User{ID: cleo, Name: "cleo"})
	w.Slack.AddUser(slacksim.User{ID: dan, Name: "dan"})
	w.Slack.AddUser(slacksim.User{ID: gus, Name: "gus", Restricted: true})
	w.Slack.AddUser(slacksim.User{ID: eve, Name: "eve", TeamID: "T0PARTNER"})
	w.Slack.AddGroup(slacksim.Group{ID: opsGroup, Handle: "raxx-ops", Users: []string{Ada, cleo, dan}})
	w.Slack.AddGroup(slacksim.Group{ID: oncallGroup, Handle: "on-call", Users: []string{Ada, dan}})
	everybody := []string{w.Slack.Config().BotUserID, Ada, cleo, dan, Bob, gus, eve}
	w.Slack.AddChannel(slacksim.Channel{ID: OpsChannel, Name: "ops", ExtShared: true, Members: everybody})
	w.Slack.AddChannel(slacksim.Channel{ID: general, Name: "general", Members: everybody[:len(everybody)-1]})
}
