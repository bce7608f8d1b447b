package slackbot

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/slack-go/slack"
	"github.com/slack-go/slack/slackevents"
	"github.com/slack-go/slack/socketmode"

	"github.com/raxx-app/keyturn/internal/commands"
	"github.com/raxx-app/keyturn/internal/modals"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

// identifiers returns the values of the exported constants of package modals
// whose names end in suffix: what is added there is tested here.
func identifiers(t *testing.T, suffix string) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../modals/ids.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 || !spec.Names[0].IsExported() || !strings.HasSuffix(spec.Names[0].Name, suffix) {
			return true
		}
		if lit, ok := spec.Values[0].(*ast.BasicLit); ok {
			found[spec.Names[0].Name], _ = strconv.Unquote(lit.Value)
		}
		return true
	})
	if len(found) < 5 {
		t.Fatalf("only %d constants …%s in package modals: the test looks at the wrong thing", len(found), suffix)
	}
	return found
}

// dumb are the views that cannot be submitted.
var dumb = []string{
	"LoadingCallback", "ValidateCallback", "StoreCallback", "PropagateCallback", "VerifyCallback", "RevokedCallback",
	"RecordCallback", "ClosedCallback", "RefusedCallback", "HomeCallback",
}

// A surface is one way in. Its payload has no person yet.
type surface struct {
	name string
	data any // slack.SlashCommand, slack.InteractionCallback or slackevents.EventsAPIEvent
}

// surfaces returns every way in to the rotation id, which is at step 2: the
// command, the Home tab, each submission, and each button of a message and of a
// view.
func surfaces(t *testing.T, id rotation.ID, pair rotation.Pair) []surface {
	t.Helper()
	var all []surface
	for _, text := range []string{"", "prod", "status", "history", "history prod", "check", "check prod", "reset", "reset prod", "help"} {
		all = append(all, surface{"command " + text, slack.SlashCommand{ChannelID: opsChannel, Command: command, Text: text}})
	}
	all = append(all, surface{"home", slackevents.EventsAPIEvent{}})
	bind := modals.Bind{Rotation: id, Step: rotation.StepGenerate, Round: 1}
	actions, callbacks := identifiers(t, "Action"), identifiers(t, "Callback")
	state := filledIn(pair)
	for name, callback := range callbacks {
		metadata := map[string]string{"": string(id)}
		if name == "AskCallback" { // one view for several acts
			metadata = map[string]string{}
			for _, act := range []string{"AcceptAction", "StoreAnywayAction", "StoreLaterAction", "AdoptAction"} {
				metadata[act] = actions[act] + "|" + bind.String()
			}
		}
		onSet := modals.Bind{KeySet: "prod", Item: "api"}
		switch name {
		case "SnoozeCallback":
			metadata = map[string]string{"": modals.Snooze(onSet, rotation.Posted{}).PrivateMetadata}
		case "AdoptByHandCallback":
			metadata = map[string]string{"": modals.AdoptByHand(onSet, rotation.Posted{}).PrivateMetadata}
		}
		for which, text := range metadata {
			if !slices.Contains(dumb, name) {
				all = append(all, surface{"submission of " + name + " " + which, slack.InteractionCallback{
					Type: slack.InteractionTypeViewSubmission,
					View: slack.View{ID: "V0FORGED", CallbackID: callback, PrivateMetadata: text, State: state},
				}})
			}
		}
	}
	for name, action := range actions {
		b := bind
		if name == "UpdatedAction" {
			b.Item = "local-dev"
		}
		if slices.Contains([]string{"StartRotationAction", "SnoozeAction", "AdoptByHandAction"}, name) {
			b = modals.Bind{KeySet: "prod", Item: "api"}
		}
		press := slack.InteractionCallback{Type: slack.InteractionTypeBlockActions}
		press.ActionCallback.BlockActions = []*slack.BlockAction{{ActionID: action, Value: b.String()}}
		inMessage, inView := press, press
		inMessage.Channel.ID, inMessage.Message.Timestamp = opsChannel, "1.000001"
		inView.View = slack.View{ID: "V0FORGED"}
		all = append(all, surface{"message button " + name, inMessage}, surface{"view button " + name, inView})
	}
	return all
}

// filledIn is a state in which every input that there is holds something
// plausible.
func filledIn(pair rotation.Pair) *slack.ViewState {
	values := map[string]map[string]slack.BlockAction{
		modals.KeySetBlock:     {"choice": {SelectedOption: slack.OptionBlockObject{Value: "prod"}}},
		"generate_key_id_v1_1": {rotation.FieldKeyID: {Value: pair.KeyID.Reveal()}},
		"generate_secret_v1_1": {rotation.FieldSecret: {Value: pair.Secret.Reveal()}},
	}
	values[modals.SnoozeDaysBlock] = map[string]slack.BlockAction{"choice": {SelectedOption: slack.OptionBlockObject{Value: "3"}}}
	values[modals.ItWasMeBlock] = map[string]slack.BlockAction{"choice": {SelectedOption: slack.OptionBlockObject{Value: rotation.ClaimReset}}}
	for _, block := range []string{modals.CancelBlock, "ask_why_v1", modals.SnoozeWhyBlock, modals.AdoptByHandBlock} {
		values[block] = map[string]slack.BlockAction{"text": {Value: "because"}}
	}
	values["ask_last4_v1"] = map[string]slack.BlockAction{"text": {Value: "7Q01"}}
	return &slack.ViewState{Values: values}
}

// A stranger is somebody who must not get in.
type stranger struct {
	name, id string
	user     func(*slacksim.User) // what users.info says; nil: nothing special
	inOps    bool                 // the group lists them
	team     string               // payloads name this one; "": ours
	install  bool                 // payloads come from an org-wide install
	why      string               // reason of the refusal
	updated  string               // the same for the developers' button
}

func strangers() []stranger {
	return []stranger{
		{name: "outsider", id: "U0OUT", why: "not_ops", updated: "not_named"},
		{name: "guest", id: "U0GUEST", user: func(u *slacksim.User) { u.Restricted = true }, inOps: true, why: "barred_guest"},
		{name: "single-channel guest", id: "U0GUEST1", user: func(u *slacksim.User) { u.UltraRestricted = true }, inOps: true, why: "barred_guest"},
		{name: "bot", id: "U0ROBOT", user: func(u *slacksim.User) { u.IsBot = true }, inOps: true, why: "barred_bot"},
		{name: "deleted", id: "U0GONE", user: func(u *slacksim.User) { u.Deleted = true }, inOps: true, why: "barred_deleted"},
		{name: "external", id: "U0EXT", user: func(u *slacksim.User) { u.TeamID = "T0OTHER" }, inOps: true, team: "T0OTHER", why: "barred_external"},
		{name: "external by the payload alone", id: "U0EXT2", inOps: true, team: "T0OTHER", why: "barred_external"},
		{name: "org-wide install", id: "U0ORG", inOps: true, install: true, why: "barred_external"},
		{name: "ops until a minute ago", id: "U0LEFT", why: "not_ops", updated: "not_named"},
	}
}

// of fills a person into a payload.
func (p stranger) of(data any) any {
	team := "T0RAXX"
	if p.team != "" {
		team = p.team
	}
	switch d := data.(type) {
	case slack.SlashCommand:
		d.UserID, d.TeamID, d.IsEnterpriseInstall = p.id, team, p.install
		return d
	case slackevents.EventsAPIEvent:
		return homeOpened(p.id, team, p.install)
	case slack.InteractionCallback:
		d.User, d.Team, d.IsEnterpriseInstall = slack.User{ID: p.id, TeamID: team}, slack.Team{ID: "T0RAXX"}, p.install
		return d
	}
	return nil
}

// R3: every way in, for every kind of person who must not get in: refused, in
// the audit record, and nothing happens.
func TestDenied(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacksim.Config{})
	people, group := strangers(), []string{ada, "U0LEFT"}
	for _, p := range people {
		u := slacksim.User{ID: p.id}
		if p.user != nil {
			p.user(&u)
		}
		w.slack.AddUser(u)
		if p.inOps {
			group = append(group, p.id)
		}
		if p.updated == "" {
			w.named = append(w.named, p.id)
		}
	}
	w.slack.AddGroup(slacksim.Group{ID: opsGroup, Users: group})
	w.start()
	w.until("who is about to leave is ops", func() bool { return w.bot.roster.Standing("U0LEFT").Ops == commands.Yes })
	w.slack.AddGroup(slacksim.Group{ID: opsGroup, Users: slices.DeleteFunc(group, func(id string) bool { return id == "U0LEFT" })})
	w.until("who left is not ops, and the others are known", func() bool {
		return w.bot.roster.Standing("U0LEFT").Ops == commands.No && !slices.ContainsFunc(people, func(p stranger) bool { return w.bot.roster.Standing(p.id).AsOf.IsZero() })
	})
	id := w.atStepTwo()
	ways := surfaces(t, id, w.shop.click("EVIL"))
	w.wait(id, "the old pair is seen dead", func(r *rotation.Rotation) bool { return r.Exposure().Running })
	before, opened := w.effects(), w.slack.Count("", "/api/views.open")
	var tried, want, got []string // one row for each attempt, in order
	for _, p := range people {
		for _, way := range ways {
			answers := w.handle(event("env "+p.name+" "+way.name, socketmode.EventTypeInteractive, p.of(way.data)))
			if len(answers) != 1 || strings.Contains(way.name, "command") && !strings.Contains(answers[0], "⛔") {
				t.Errorf("%s, %s: answers %q, want one refusal", p.name, way.name, answers)
			}
			why := p.why
			if strings.Contains(way.name, "UpdatedAction") && p.updated != "" {
				why = p.updated
			}
			if strings.Contains(way.name, "Snooze") && why == "not_ops" {
				why = "not_owner"
			}
			want = append(want, p.id+" "+why)
			tried = append(tried, p.name+", "+way.name)
		}
	}
	for _, r := range w.rows("denied") {
		got = append(got, fmt.Sprint(r.Actor, " ", r.Context["why"]))
	}
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			t.Fatalf("%s: audit rows from there on %q, want %q", tried[i], got[min(i, len(got)):], want[i:])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d audit rows about refusals, want %d", len(got), len(want))
	}
	if diff := cmp.Diff(before, w.effects()); diff != "" {
		t.Errorf("something happened all the same (-before +after):\n%s", diff)
	}
	if n := w.slack.Count("", "/api/views.open"); n != opened {
		t.Errorf("%d modals were opened", n-opened)
	}
	o, err := w.engine.Look(t.Context(), id)
	if err != nil || o.Rotation.Operator.ID != ada || len(o.Rotation.Candidates) != 0 || o.Rotation.Current().Name != rotation.StepGenerate || w.shop.wrote() != 0 {
		t.Errorf("rotation %+v, error %v, want it as it was: Ada's, at step 2, without a pair", o.Rotation, err)
	}
}

// effects returns what the audit record says that was done.
func (w *world) effects() []string {
	w.t.Helper()
	var done []string
	for _, action := range []string{"started", "forced", "sealed", "step", "deviation", "takeover", "adopted", "cancelled", "failed", "completed"} {
		for _, r := range w.rows(action) {
			done = append(done, r.Action+" "+string(r.Step)+" "+r.Actor)
		}
	}
	return done
}

// While Slack does not say who is ops: before the click nobody is let in. After
// it a last known member is, for half an hour, with a row that says so; nobody
// else ever.
func TestMembershipUnknown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacksim.Config{})
	w.start()
	id := w.atStepTwo()
	w.slack.FailMethod("usergroups.users.list", 0, "internal_error")
	w.until("the groups are no longer read", func() bool { return strings.Contains(w.log.String(), "membership not refreshed") })
	w.ahead.Store(int64(5 * time.Minute))
	pair := w.shop.vault.Pair // the one in use: the paste check complains, which is past the gate

	submit := func(who string, p rotation.Pair, n string) string {
		call := slack.InteractionCallback{Type: slack.InteractionTypeViewSubmission, User: slack.User{ID: who, TeamID: "T0RAXX"}, View: slack.View{ID: "V1", CallbackID: modals.GenerateCallback, PrivateMetadata: string(id), State: filledIn(p)}}
		answers := w.handle(event("env-"+who+n, socketmode.EventTypeInteractive, call))
		if len(answers) != 1 {
			t.Fatalf("answers %q, want one", answers)
		}
		return answers[0]
	}
	const unknown = "Slack has not said lately"
	if got := submit(ada, pair, "1"); !strings.Contains(got, unknown) {
		t.Errorf("before the click, Ada is answered %s, want %q", got, unknown)
	}
	if got := w.command("prod"); got.Reply == nil || !strings.Contains(got.Reply.Visible(), unknown) {
		t.Errorf("before the click, the command is answered %+v, want %q", got, unknown)
	}

	fresh := w.shop.click("NEW1")
	w.wait(id, "the old pair is seen dead", func(r *rotation.Rotation) bool { return r.Exposure().Running })
	if got := submit(bob, fresh, "2"); !strings.Contains(got, "Only members of the ops group") {
		t.Errorf("after the click, Bob is answered %s, want that he is not ops", got)
	}
	w.ahead.Store(int64(31 * time.Minute))
	if got := submit(ada, fresh, "3"); !strings.Contains(got, unknown) {
		t.Errorf("after half an hour, Ada is answered %s, want %q", got, unknown)
	}
	w.ahead.Store(int64(5 * time.Minute))
	if got := submit(ada, fresh, "4"); strings.Contains(got, `"errors"`) {
		t.Errorf("after the click, Ada is answered %s, want the pair taken", got)
	}
	w.completed(id)
	var stale []rotation.Row
	for _, r := range w.rows("deviation") {
		if r.Context["membership_age_s"] != nil {
			stale = append(stale, r)
		}
	}
	if len(stale) != 1 || stale[0].Actor != ada || stale[0].Context["act"] != "paste" {
		t.Errorf("rows about an old membership: %+v, want one of Ada's paste", stale)
	}
}
