package slackbot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/slackevents"

	"github.com/raxx-app/keyturn/internal/commands"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

const publishCall = "/api/views.publish"

// homeOpened is what Slack sends when somebody opens the Home tab.
func homeOpened(user, team string, install bool) slackevents.EventsAPIEvent {
	return slackevents.EventsAPIEvent{
		TeamID: team, Type: slackevents.CallbackEvent,
		Data:       &slackevents.EventsAPICallbackEvent{TeamID: team, Authorizations: []slack.EventAuthorization{{TeamID: team, IsEnterpriseInstall: install}}},
		InnerEvent: slackevents.EventsAPIInnerEvent{Type: "app_home_opened", Data: &slackevents.AppHomeOpenedEvent{User: user, Tab: "home"}},
	}
}

// A watcher is a sentinel that says what it is told to.
type watcher struct {
	mu   sync.Mutex
	seen rotation.Seen
	err  error
}

func (w *watcher) Seen(context.Context, string) (rotation.Seen, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen, w.err
}

func (w *watcher) set(s rotation.Seen) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = s
}

// An asker answers what it is told to, and counts.
type asker struct {
	engine func() *rotation.Engine

	mu     sync.Mutex
	past   []rotation.Past
	report rotation.Report
	err    error
	hold   chan struct{} // Check and Reset wait until it is closed; nil: they do not
	checks int
	resets []string
}

func (a *asker) History(_ context.Context, _ string, limit int) ([]rotation.Past, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.past[:min(limit, len(a.past))], a.err
}

func (a *asker) RollCall(context.Context, string) (rotation.RollCall, error) {
	return rotation.RollCall{Rotation: "rold", People: []rotation.Called{{ID: bob, Consumer: "local-dev"}}}, nil
}

func (a *asker) Check(ctx context.Context, keyset string) (rotation.Report, error) {
	a.mu.Lock()
	a.checks++
	hold, r, err := a.hold, a.report, a.err
	a.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return r, ctx.Err()
		}
	}
	r.KeySet = keyset
	return r, err
}

func (a *asker) Reset(ctx context.Context, by rotation.Actor, keyset, why string) (rotation.ID, bool, error) {
	a.mu.Lock()
	err, hold := a.err, a.hold
	a.resets = append(a.resets, by.ID+" "+keyset+" "+why)
	a.mu.Unlock()
	if hold != nil {
		<-hold
	}
	if err != nil {
		return "", false, err
	}
	return a.engine().Start(ctx, by, keyset)
}

// homeWorld is a world whose bot has a sentinel and an asker, both fake.
func homeWorld(t *testing.T) (*world, *watcher, *asker) {
	t.Helper()
	w := newWorld(t, slacksim.Config{})
	eyes := &watcher{seen: rotation.Seen{State: "alive", LastOK: time.Now(), Asked: time.Now()}}
	asks := &asker{
		engine: func() *rotation.Engine { return w.engine },
		past:   []rotation.Past{{ID: "rold", KeySet: "prod", Trigger: rotation.TriggerScheduled, Operator: rotation.Actor{ID: ada}, Outcome: rotation.Completed, Closed: time.Now(), Exposed: 41 * time.Second, AtMost: 46 * time.Second}},
		report: rotation.Report{At: time.Now(), Items: []rotation.Item{
			{Name: "current_pair", Kind: "check", State: rotation.Done, Level: rotation.Ready},
			{Name: "ci", Kind: "github_actions", State: rotation.Failed, Level: rotation.NotReady, Problem: rotation.Problem{Text: "The token may not write.", Fix: "Give it write access."}, Facts: []rotation.Fact{{Name: "token_expires", Label: "GitHub token expires", Value: time.Now().Add(100 * time.Hour).UTC().Format(time.RFC3339)}}},
		}},
	}
	w.config = func(c *Config) {
		c.Asker, c.Sentinel = asks, eyes
		c.Owners, c.OnCall = map[string][]string{"prod": {"U0OWNER"}}, Role{Users: []string{"U0CALL"}}
	}
	for _, id := range []string{"U0OWNER", "U0CALL", "U0OUT"} {
		w.slack.AddUser(slacksim.User{ID: id})
	}
	w.slack.AddChannel(slacksim.Channel{ID: opsChannel, Members: []string{w.slack.Config().BotUserID, ada, bob, "U0OWNER", "U0CALL", "U0OUT"}})
	return w, eyes, asks
}

// opens has somebody open the Home tab.
func (w *world) opens(who string) {
	w.t.Helper()
	ctx, cancel := w.ctx()
	defer cancel()
	if ok, err := w.slack.OpenHome(ctx, who); err != nil || !ok {
		w.t.Fatalf("%s opens Home: acknowledged %t, error %v", who, ok, err)
	}
}

// home waits until somebody's Home tab shows text.
func (w *world) homeShows(who, text string) slacksim.View {
	w.t.Helper()
	ctx, cancel := w.ctx()
	defer cancel()
	v, err := w.slack.WaitHome(ctx, who, func(v slacksim.View) bool { return strings.Contains(v.Text(), text) })
	if err != nil {
		last, _ := w.slack.Home(who)
		w.t.Fatalf("Home of %s does not show %q: %v; it shows:\n%s\nlog:\n%s", who, text, err, last.Text(), w.log)
	}
	return v
}

// known waits until the roster knows these people.
func (w *world) known(people ...string) {
	w.t.Helper()
	for _, p := range people {
		w.until(p+" is known", func() bool { return !w.bot.roster.Standing(p).AsOf.IsZero() })
	}
}

// Home shows what is known of each key set, follows a rotation and the
// sentinel, and leads into the rotation. Who may not see it is told so.
func TestHome(t *testing.T) {
	t.Parallel()
	w, eyes, _ := homeWorld(t)
	w.start()
	w.known("U0OWNER", "U0CALL")
	w.opens(ada)
	for _, want := range []string{"prod", "the stored pair works", "exposed 41 s (at most 46 s)", "0 of 1 developer updated"} {
		w.homeShows(ada, want)
	}
	w.opens("U0OWNER")
	w.opens("U0CALL")
	w.opens("U0OUT")
	w.homeShows("U0OWNER", "the stored pair works")
	w.homeShows("U0CALL", "the stored pair works")
	if v := w.homeShows("U0OUT", "Only ops, on-call and the owners"); strings.Contains(v.Text(), "prod") {
		t.Errorf("Home of somebody without a role shows:\n%s", v.Text())
	}
	if rows := w.rows("denied"); len(rows) != 1 || rows[0].Actor != "U0OUT" || rows[0].Context["act"] != string(commands.ActHome) {
		t.Errorf("audit rows about refusals %+v, want one of U0OUT's Home", rows)
	}

	eyes.set(rotation.Seen{State: "dead", Since: time.Now(), LastOK: time.Now().Add(-time.Minute)})
	w.bot.Saw()
	w.homeShows(ada, "*dead* since")

	id, _, err := w.engine.Start(t.Context(), rotation.Actor{ID: bob}, "prod")
	if err != nil {
		t.Fatal(err)
	}
	v := w.homeShows(ada, "step 1 of 8")
	if _, ok := v.Button("Open"); !ok {
		t.Errorf("Home of an ops person has no Open button:\n%s", v.Text())
	}
	if v := w.homeShows("U0OWNER", "step 1 of 8"); len(v.Buttons) != 0 {
		t.Errorf("Home of an owner has the buttons %+v, want none: they may not open a rotation", v.Buttons)
	}
	ctx, cancel := w.ctx()
	defer cancel()
	if _, err := w.slack.PressHome(ctx, ada, "Open"); err != nil {
		t.Fatalf("press Open in Home: %v", err)
	}
	w.see(ada, "Step 1 of 8")
	if o, err := w.engine.Look(t.Context(), id); err != nil || o.Rotation.Operator.ID != bob {
		t.Errorf("operator %+v, error %v, want bob: looking takes nothing over", o.Rotation.Operator, err)
	}
	if p := w.slack.Problems(); len(p) > 0 {
		t.Errorf("Slack notes %q", p)
	}
}

// publishes returns when Home tabs were published.
func (w *world) publishes() []time.Time {
	var at []time.Time
	for _, c := range w.slack.Calls() {
		if c.Path == publishCall {
			at = append(at, c.At)
		}
	}
	return at
}

// However often something changes and somebody opens Home, their tab is drawn
// at most once in a while, and the last state arrives. What changes with each
// probe alone draws nothing.
func TestHomeIsDrawnNowAndThen(t *testing.T) {
	t.Parallel()
	w, eyes, _ := homeWorld(t)
	w.times.Home = 400 * time.Millisecond
	w.start()
	w.opens(ada)
	w.homeShows(ada, "the stored pair works")
	for i := range 30 {
		eyes.set(rotation.Seen{State: "alive", LastOK: time.Now().Add(time.Duration(i) * time.Minute), Asked: time.Now(), Drifted: []string{fmt.Sprintf("app-%d", i)}})
		w.bot.Saw()
		w.opens(ada)
	}
	w.homeShows(ada, "app-29")
	at := w.publishes()
	for i := 1; i < len(at); i++ {
		if gap := at[i].Sub(at[i-1]); gap < w.times.Home-50*time.Millisecond {
			t.Errorf("Home was drawn again after %s, want %s or more", gap, w.times.Home)
		}
	}
	if len(at) > 20 {
		t.Errorf("Home was drawn %d times for 61 reasons", len(at))
	}

	w.until("nothing is left to draw", func() bool {
		w.bot.home.mu.Lock()
		defer w.bot.home.mu.Unlock()
		g := w.bot.home.guests[ada]
		return !g.asked && !g.rests
	})
	before := len(w.publishes())
	eyes.set(rotation.Seen{State: "alive", LastOK: time.Now().Add(time.Hour), Asked: time.Now(), Drifted: []string{"app-29"}})
	w.bot.home.round(t.Context()) // by hand: that nothing comes cannot be waited for
	if n := len(w.publishes()); n != before {
		t.Errorf("a probe drew Home %d times, want none", n-before)
	}
}

// Who loses the role is shown an empty Home, once, without a row: they asked
// for nothing. Who opened Home is remembered across restarts, and nobody else's
// tab is drawn.
func TestHomeIsTakenAway(t *testing.T) {
	t.Parallel()
	w, eyes, _ := homeWorld(t)
	w.times.Look = soon
	w.slack.AddGroup(slacksim.Group{ID: opsGroup, Users: []string{ada, "U0LEFT"}})
	w.slack.AddUser(slacksim.User{ID: "U0LEFT"})
	w.start()
	w.known("U0LEFT")
	w.opens(ada)
	w.opens("U0LEFT")
	w.homeShows(ada, "the stored pair works")
	w.homeShows("U0LEFT", "the stored pair works")
	w.slack.AddGroup(slacksim.Group{ID: opsGroup, Users: []string{ada}})
	if v := w.homeShows("U0LEFT", "Only ops, on-call and the owners"); strings.Contains(v.Text(), "prod") {
		t.Errorf("Home of somebody who lost the role shows:\n%s", v.Text())
	}
	if rows := w.rows("denied"); len(rows) != 0 {
		t.Errorf("audit rows about refusals %+v, want none", rows)
	}
	w.until("who left is forgotten", func() bool {
		_, err := w.store.Get(t.Context(), homePrefix+"U0LEFT")
		return errors.Is(err, rotation.ErrNotFound)
	})

	w.stop()
	eyes.set(rotation.Seen{State: "dead", Since: time.Now()})
	w.start()
	w.homeShows(ada, "*dead* since")
	for _, who := range []string{bob, "U0OWNER", "U0CALL"} {
		if v, ok := w.slack.Home(who); ok {
			t.Errorf("%s never opened Home and is shown:\n%s", who, v.Text())
		}
	}

	// Somebody who opened it long ago is forgotten.
	w.ahead.Store(int64(homeFor + time.Hour))
	w.until("ada is forgotten", func() bool {
		w.bot.home.mu.Lock()
		defer w.bot.home.mu.Unlock()
		return w.bot.home.guests[ada] == nil
	})
}

// While Slack does not say who is ops, what stands there stays; who opens it is
// told to try again.
func TestHomeWhileMembershipIsUnknown(t *testing.T) {
	t.Parallel()
	w, eyes, _ := homeWorld(t)
	w.start()
	w.opens(ada)
	w.homeShows(ada, "the stored pair works")
	w.slack.FailMethod("usergroups.users.list", 0, "internal_error")
	w.until("the groups are no longer read", func() bool { return strings.Contains(w.log.String(), "membership not refreshed") })
	w.ahead.Store(int64(5 * time.Minute))
	before := len(w.publishes())
	eyes.set(rotation.Seen{State: "dead", Since: time.Now()})
	w.until("ada's tab may be drawn", func() bool { w.bot.home.mu.Lock(); defer w.bot.home.mu.Unlock(); return !w.bot.home.guests[ada].rests })
	w.bot.home.round(t.Context())
	if n := len(w.publishes()); n != before {
		t.Errorf("Home was drawn although Slack does not say who may see it")
	}
	w.opens(ada)
	w.homeShows(ada, "Slack has not said lately")
}

// A tab that Slack refuses for a moment is tried again; one that it goes on
// refusing is left until something changes.
func TestHomeThatSlackRefuses(t *testing.T) {
	t.Parallel()
	w, eyes, _ := homeWorld(t)
	w.start()
	w.slack.FailMethod("views.publish", 2, "internal_error")
	w.opens(ada)
	w.homeShows(ada, "the stored pair works")
	w.slack.FailMethod("views.publish", homeRefused, "not_enabled")
	eyes.set(rotation.Seen{State: "held", Since: time.Now()})
	w.bot.Saw()
	w.until("it was refused for good", func() bool { return strings.Count(w.log.String(), `"reason":"not_enabled"`) >= homeRefused })
	eyes.set(rotation.Seen{State: "dead", Since: time.Now()})
	w.bot.Saw()
	w.homeShows(ada, "*dead* since")
}

// What cannot be read is left out, and Home says so.
func TestHomeSaysWhatItCannotRead(t *testing.T) {
	t.Parallel()
	w, eyes, asks := homeWorld(t)
	eyes.err, asks.err = errors.New("down"), errors.New("down")
	w.start()
	w.opens(ada)
	w.homeShows(ada, "Not all of this could be read")
	if strings.Contains(w.homeShows(ada, "prod").Text(), "down") {
		t.Error("Home shows the text of an error")
	}
}

// A token that a check found to end soon stands on Home, also after a restart.
func TestHomeShowsTokens(t *testing.T) {
	t.Parallel()
	w, _, asks := homeWorld(t)
	w.start()
	w.opens(ada)
	w.homeShows(ada, "the stored pair works")
	asks.report.KeySet = "prod"
	w.bot.Checked(t.Context(), asks.report)
	w.homeShows(ada, "GitHub token expires")
	if facts := w.bot.tokens(t.Context(), "prod", rotation.Overview{}); !slices.Equal(facts, asks.report.Items[1].Facts) {
		t.Errorf("tokens = %+v, want what the check said", facts)
	}
}

// Without fakes: what the engine remembers of a rotation is on Home, in status
// and in history, and check tries the real step 1.
func TestHomeOfTheEngine(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacksim.Config{})
	w.start()
	w.opens(ada)
	w.homeShows(ada, "Not rotated with this bot yet.")
	w.homeShows(ada, "nobody watches the stored pair")
	id := w.atStepTwo()
	w.homeShows(ada, "step 2 of 8")
	w.paste(w.shop.click("NEW1"))
	w.completed(id)
	for _, want := range []string{"Last rotated", " rotated ·", "····OLD1 → ····NEW1", string(id), "0 of 1 developer updated", "▱ 0 %"} {
		w.homeShows(ada, want)
	}
	w.says(ada, "status", "Last rotated", "0 of 1 developer updated")
	w.says(ada, "history", "····OLD1 → ····NEW1")
	w.says(ada, "check", "Checking *prod*")
	w.until("ada is told what the check found", func() bool {
		return slices.ContainsFunc(w.slack.Messages(opsChannel), func(m slacksim.Message) bool {
			return m.EphemeralFor == ada && strings.Contains(m.Visible(), "prod: Readiness ")
		})
	})
	if _, err := w.engine.Active(t.Context(), "prod"); err == nil {
		t.Error("a check opened a rotation")
	}
	if p := w.slack.Problems(); len(p) > 0 {
		t.Errorf("Slack notes %q", p)
	}
}
