package slackbot

import (
	"fmt"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/commands"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

// look has the roster ask Slack about everybody, as its loops do.
func (w *world) look() {
	w.t.Helper()
	if err := w.bot.roster.readGroups(w.t.Context()); err != nil {
		w.t.Fatalf("read groups: %v", err)
	}
	for _, n, _ := w.bot.roster.next(); n > 0; n-- {
		person, _, _ := w.bot.roster.next()
		if err := w.bot.roster.ask(w.t.Context(), person); err != nil {
			w.t.Fatalf("look up %s: %v", person, err)
		}
	}
}

// Who leaves or joins the group is known soon, without anybody asking; and the
// answer is never older than the refresh takes.
func TestRosterFollowsTheGroup(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacksim.Config{})
	w.start()
	w.slack.AddGroup(slacksim.Group{ID: opsGroup, Users: []string{bob}})
	w.until("Ada is out and Bob is in", func() bool {
		a, b := w.bot.roster.Standing(ada), w.bot.roster.Standing(bob)
		return a.Ops == commands.No && b.Ops == commands.Yes && !a.AsOf.IsZero() && !b.AsOf.IsZero()
	})
	w.slack.ChangeUser(bob, func(u *slacksim.User) { u.Restricted = true })
	w.until("Bob is a guest", func() bool { return w.bot.roster.Standing(bob).Barred == "guest" })
}

// While Slack does not answer the last good answer stays, as old as it is.
func TestRosterKeepsTheLastAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacksim.Config{})
	w.build()
	w.look()
	before := w.bot.roster.Standing(ada)
	for _, method := range []string{"usergroups.users.list", "users.info"} {
		w.slack.FailMethod(method, 0, "internal_error")
	}
	if err := w.bot.roster.readGroups(t.Context()); err == nil {
		t.Error("reading the groups = nil, want an error")
	}
	if err := w.bot.roster.ask(t.Context(), ada); err == nil {
		t.Error("looking Ada up = nil, want an error")
	}
	if after := w.bot.roster.Standing(ada); after.Ops != commands.Yes || !after.AsOf.Equal(before.AsOf) {
		t.Errorf("standing = %+v, want that of before: %+v", after, before)
	}
}

// Nothing is known of a new member until they were looked up, and what is known
// of a person is as old as the older of the two answers.
func TestStandingIsAsOldAsItsParts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacksim.Config{})
	w.times.Roster = 0 // as in the real program: two people are asked about in time
	w.build()
	now := time.Now()
	w.bot.cfg.Now = func() time.Time { return now }
	if got := w.bot.roster.Standing(ada); got.Ops != commands.Unknown || !got.AsOf.IsZero() {
		t.Errorf("before the first answer: %+v, want unknown", got)
	}
	if err := w.bot.roster.readGroups(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.bot.roster.Standing(ada); got.Ops != commands.Unknown || !got.AsOf.IsZero() {
		t.Errorf("of a member who was not looked up: %+v, want unknown", got)
	}
	if got := w.bot.roster.Standing("U0NOBODY"); got.Ops != commands.No || !got.AsOf.Equal(now) {
		t.Errorf("of somebody in no group: %+v, want a definite no", got)
	}
	lookedUp := now
	w.look()
	now = now.Add(50 * time.Second)
	if err := w.bot.roster.readGroups(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.bot.roster.Standing(ada); got.Ops != commands.Yes || !got.AsOf.Equal(lookedUp) {
		t.Errorf("standing = %+v, want a yes as of %s", got, lookedUp)
	}
}

// People are asked about in turn, new ones first, and one whom Slack does not
// answer about holds nobody up.
func TestFlagsAreSpread(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacksim.Config{})
	var people []string
	for i := range 9 {
		people = append(people, fmt.Sprintf("U0OPS%d", i))
		w.slack.AddUser(slacksim.User{ID: people[i]})
	}
	w.slack.AddGroup(slacksim.Group{ID: opsGroup, Users: people})
	w.build()
	if err := w.bot.roster.readGroups(t.Context()); err != nil {
		t.Fatal(err)
	}
	turn := func() map[string]int {
		asked := map[string]int{}
		_, n, _ := w.bot.roster.next()
		for range n {
			p, _, _ := w.bot.roster.next()
			asked[p]++
			_ = w.bot.roster.ask(t.Context(), p)
		}
		return asked
	}
	w.slack.FailMethod("users.info", 1, "internal_error")
	for i := range 2 {
		if got := turn(); len(got) != 10 { // and Bob
			t.Errorf("turn %d asked about %v, want each of ten once", i+1, got)
		}
	}
	if _, _, isNew := w.bot.roster.next(); isNew {
		t.Error("somebody is new after two turns")
	}
	w.slack.AddGroup(slacksim.Group{ID: opsGroup, Users: append(people, ada)})
	if err := w.bot.roster.readGroups(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p, _, isNew := w.bot.roster.next(); p != ada || !isNew {
		t.Errorf("next is %s (new %t), want Ada, who is new", p, isNew)
	}
}

// A payload from elsewhere bars, unless Slack says that the person's
// organisation shares our workspace.
func TestPayloadNamesAnotherTeam(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacksim.Config{})
	w.slack.ChangeUser(bob, func(u *slacksim.User) {
		u.TeamID, u.Teams, u.EnterpriseID = "T0SISTER", []string{"T0SISTER", "T0RAXX"}, "E0RAXX"
	})
	w.build()
	w.look()
	r := w.bot.roster
	tests := []struct {
		person  string
		install bool
		teams   []string
		want    string
	}{
		{ada, false, []string{"T0RAXX"}, ""},
		{ada, false, []string{"T0RAXX", "T0OTHER"}, "external"},
		{ada, false, []string{"T0OTHER", "T0RAXX"}, "external"},
		{ada, false, []string{"", "T0RAXX"}, ""},
		{ada, true, []string{"T0RAXX"}, "external"},
		{ada, false, nil, ""},
		{"U0NOBODY", false, []string{"T0OTHER"}, "external"},
		{bob, false, []string{"T0RAXX", "T0SISTER"}, ""},
		{bob, true, []string{"T0RAXX", "T0SISTER"}, "external"},
	}
	for _, tt := range tests {
		r.came(tt.person, tt.install, tt.teams...)
		if got := r.Standing(tt.person).Barred; got != tt.want {
			t.Errorf("%s, install %t, teams %q: barred %q, want %q", tt.person, tt.install, tt.teams, got, tt.want)
		}
	}
}
