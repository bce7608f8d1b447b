package modals

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// cards are overviews as key sets that nobody watches.
func cards(all ...rotation.Overview) []Card {
	list := make([]Card, 0, len(all))
	for _, o := range all {
		list = append(list, Card{Overview: o, Due: o.Past.NextDue})
	}
	return list
}

// starting is a key set whose rotation has just been opened.
func starting() Card {
	c := cards(fresh())[0]
	c.Rotation.ID = "rstarting01"
	return c
}

// idle is a key set between rotations, with all that there is to show.
func idle() Card {
	o := rotation.Overview{Past: fresh().Past, Now: fresh().Now, Targets: fresh().Targets}
	return Card{
		Overview: o, Due: o.Past.NextDue,
		Seen: &rotation.Seen{State: "alive", LastOK: at("03:19:30"), Asked: at("03:19:30"), Account: rotation.Account{ID: "acc-1", Number: wholeNumber, Status: "ACTIVE"}},
		History: []rotation.Past{
			{ID: "rzzzzzzzzzz", KeySet: "prod", Trigger: rotation.TriggerScheduled, Operator: rotation.Actor{ID: "U0ADA"}, Opened: at("03:00:00").AddDate(0, -5, 0), Closed: at("03:08:00").AddDate(0, -5, 0), Outcome: rotation.Completed, Exposed: 61 * time.Second, AtMost: 66 * time.Second, OldLast4: "OLD0", NewLast4: "OLD1"},
			{ID: "rwwwwwwwwww", KeySet: "prod", Trigger: rotation.TriggerReset, Cause: rotation.CauseReplaced, Operator: rotation.Actor{ID: "U0ADA"}, Closed: at("03:08:00").AddDate(0, -5, -9), Outcome: rotation.Completed, Exposed: time.Hour, AtMost: time.Hour, NewLast4: "OLD0"},
			{ID: "ryyyyyyyyyy", KeySet: "prod", Trigger: rotation.TriggerReset, Reason: "the pair was rejected", Operator: rotation.Actor{ID: rotation.BotActor}, Closed: at("03:08:00").AddDate(0, -6, 0), Outcome: rotation.StoodDown},
			{ID: "rxxxxxxxxxx", KeySet: "prod", Trigger: rotation.TriggerOffboarding, Reason: "bob left", Operator: rotation.Actor{ID: "local:ada"}, Closed: at("03:08:00").AddDate(0, -7, 0), Outcome: rotation.Cancelled},
		},
		RollCall: rotation.RollCall{Rotation: "rzzzzzzzzzz", Completed: at("03:08:00").AddDate(0, -5, 0), People: []rotation.Called{
			{ID: "U0ADA", Consumer: "local-dev", Updated: at("04:00:00").AddDate(0, -5, 0)}, {ID: "U0BOB", Consumer: "local-dev"},
		}},
		Tokens: []rotation.Fact{{Name: "token_expires", Label: "GitHub token expires", Value: "2026-12-01 09:00:00 UTC"}},
	}
}

// never is a key set that was never rotated.
func never() Card {
	return Card{
		Overview: rotation.Overview{Past: rotation.Record{KeySet: "staging"}, Now: fresh().Now},
		Due:      "2027-04-01", FirstSeen: "2026-10-03", Snoozed: "2026-11-25", Seen: &rotation.Seen{},
	}
}

// inState is a key set whose stored pair is as the sentinel says.
func inState(state string) Card {
	c := idle()
	c.Past.KeySet, c.Due = state, "2026-11-20"
	c.Seen = &rotation.Seen{State: state, LastOK: at("03:02:00"), Since: at("03:04:00"), Asked: at("03:19:30"), Problem: "rate_limited", Drifted: []string{"raxx-api-prod"}}
	c.RollCall.People, c.Snoozed = c.RollCall.People[:1], "2026-11-22" // over
	c.Tokens = []rotation.Fact{{Name: "token_expires", Label: "GitHub token expires", Value: "2026-11-20 09:00:00 UTC"}, {Name: "token_expires", Label: "Staging token expires", Value: "2026-11-20T09:00:00Z"}, {Name: "token_expires", Label: "Another token expires", Value: "soon"}}
	return c
}

// blockedCard is a key set whose account is blocked.
func blockedCard() Card {
	c := idle()
	c.Seen.Account.Flags = []string{"trading_blocked"}
	c.Problem = "Not all of this could be read (the history). Look in the bot's log."
	c.History = nil
	return c
}

// rotating is a key set with an open rotation.
func rotating() Card {
	c := idle()
	o := propagating()
	c.Overview = o
	return c
}

// report is what a check finds with two failures, three unproven and a closed
// market.
func report() rotation.Report {
	r := gateFailed().Rotation
	items := r.Step(rotation.StepPrecheck).Items
	items[3].Facts = []rotation.Fact{{Name: "token_expires", Label: "GitHub token expires", Value: "2026-12-01 09:00:00 UTC"}}
	return rotation.Report{KeySet: "prod", At: at("03:20:00"), Items: items, Snapshot: r.Snapshot, Exposed: []int64{41000, 38000, 22000, 35000, 61000}, Due: "2026-12-19"}
}

// goodReport is one without failures, of a key set that was never rotated.
func goodReport() rotation.Report {
	r := checked().Rotation
	return rotation.Report{KeySet: "staging", At: at("03:20:00"), Items: r.Step(rotation.StepPrecheck).Items, Snapshot: r.Snapshot}
}

// homes are Home tabs in their main states.
func homes() map[string]slack.HomeTabViewRequest {
	many := Home{Now: fresh().Now, MayOpen: true}
	for i := range homeFull + 40 {
		c := never()
		c.Past.KeySet = fmt.Sprintf("set-%02d", i)
		if i == homeFull+30 {
			c.Seen = inState("dead").Seen
		}
		many.Cards = append(many.Cards, c)
	}
	return map[string]slack.HomeTabViewRequest{
		"idle":     HomeTab(Home{Now: fresh().Now, MayOpen: true, Cards: []Card{idle(), never()}}),
		"rotating": HomeTab(Home{Now: fresh().Now, MayOpen: true, Cards: []Card{rotating(), never()}}),
		"owner":    HomeTab(Home{Now: fresh().Now, Cards: []Card{rotating()}}),
		"trouble":  HomeTab(Home{Now: fresh().Now, MayOpen: true, Cards: []Card{inState("dead"), inState("held"), inState("doubted"), blockedCard()}}),
		"many":     HomeTab(many),
		"none":     HomeTab(Home{Now: fresh().Now}),
		"refused":  HomeRefused(Refused("Only ops, on-call and the owners of a key set may see this.", "Ask somebody in ops.")),
	}
}

func TestHomeTabs(t *testing.T) {
	for name, v := range homes() {
		t.Run(name, func(t *testing.T) {
			if err := CheckHome(v); err != nil {
				t.Errorf("CheckHome(%s) = %v, want nil", name, err)
			}
			golden(t, "home_"+name, encode(t, v))
		})
	}
}

// What Home must show of a key set (section 5 of the design; R2, R84).
func TestHomeSaysWhatMatters(t *testing.T) {
	tests := []struct {
		view string
		want []string
		not  []string
	}{
		{"idle", []string{
			"▰▰▰▰▰▰▰▰▱▱ 85 %", "due 2026-12-19, in 27 days", "Last rotated 22 Jun 2026, exposed 1 min 01 s", "the stored pair works", "2 consumers, no change by others seen",
			"exposed 1 min 01 s (at most 1 min 06 s)", "stood down", "1 of 2 developers updated, silent: ",
			"*GitHub token expires* Tuesday 1 Dec 2026, in 9 days", "counted from 2026-10-03", "reminders put off until 2026-11-25", "Not rotated with this bot yet", "No rotation yet",
		}, []string{wholeNumber, OpenAction}},
		{"rotating", []string{OpenAction, "step 5 of 8", "Trading fails since", "in rotation"}, []string{wholeNumber}},
		{"owner", []string{"step 5 of 8"}, []string{OpenAction}},
		{"trouble", []string{"*dead* since 03:04 UTC", "Alpaca may be at fault", "not certain yet", "…MB7Q is ACTIVE with trading blocked", "raxx-api-prod", "overdue since 2026-11-20", "no answer: rate limited", "Staging token expires*: that was 20 Nov 2026 09:00 UTC", "Another token expires: soon", "Not all of this could be read"}, []string{wholeNumber, "No rotation yet", "put off"}},
		{"many", []string{"*40 key sets more*", "room for 25 in full", "65 key sets, 1 dead or rejected"}, nil},
		{"none", []string{"No key set is configured."}, nil},
		{"refused", []string{"Only ops, on-call and the owners"}, nil},
	}
	all := homes()
	for _, tt := range tests {
		got := string(encode(t, all[tt.view]))
		for _, want := range tt.want {
			if !strings.Contains(got, want) {
				t.Errorf("Home %s lacks %q", tt.view, want)
			}
		}
		for _, not := range tt.not {
			if strings.Contains(got, not) {
				t.Errorf("Home %s holds %q", tt.view, not)
			}
		}
	}
	// The one that needs somebody comes first.
	first := string(encode(t, all["many"].Blocks.BlockSet[3]))
	if !strings.Contains(first, "*set-55*") {
		t.Errorf("the first of many key sets is %s, want the one whose pair is dead", first)
	}
}

// The age bar counts from the last rotation, or else from the first observation.
func TestAgeBar(t *testing.T) {
	tests := []struct {
		completed, first, due, now, want string
	}{
		{"2026-01-01", "", "2026-06-30", "2026-01-01", "▱▱▱▱▱▱▱▱▱▱ 0 %"},
		{"2026-01-01", "", "2026-06-30", "2026-04-01", "▰▰▰▰▰▱▱▱▱▱ 50 %"},
		{"2026-01-01", "", "2026-06-30", "2026-06-30", "▰▰▰▰▰▰▰▰▰▰ 100 %"},
		{"2026-01-01", "", "2026-06-30", "2026-09-28", "▰▰▰▰▰▰▰▰▰▰ 150 %"},
		{"2026-01-01", "2020-01-01", "2026-06-30", "2026-04-01", "▰▰▰▰▰▱▱▱▱▱ 50 %"},
		{"", "2026-01-01", "2026-06-30", "2026-04-01", "▰▰▰▰▰▱▱▱▱▱ 50 %"},
		{"2026-01-01", "", "2026-06-30", "2025-04-01", "▱▱▱▱▱▱▱▱▱▱ 0 %"}, // the clock was put back
		{"", "", "2026-06-30", "2026-04-01", ""},
		{"2026-01-01", "", "", "2026-04-01", ""},
		{"2026-01-01", "", "2025-06-30", "2026-04-01", ""},
	}
	date := func(s string) (d time.Time) {
		if s != "" {
			var err error
			if d, err = time.Parse(time.DateOnly, s); err != nil {
				t.Fatal(err)
			}
		}
		return d
	}
	for _, tt := range tests {
		c := Card{Overview: rotation.Overview{Now: date(tt.now), Past: rotation.Record{Completed: date(tt.completed)}}, FirstSeen: tt.first, Due: tt.due}
		if got := ageBar(c); got != tt.want {
			t.Errorf("ageBar(completed %q, first seen %q, due %q, now %q) = %q, want %q", tt.completed, tt.first, tt.due, tt.now, got, tt.want)
		}
	}
}

// However much there is, Home and the answers fit Slack's limits.
func TestHomeFitsWhateverThereIs(t *testing.T) {
	long := strings.Repeat("<&>`*_~ü🔥", 334)
	for _, n := range []int{1, homeFull, homeFull + homeShort + 1} {
		h := Home{Now: fresh().Now, MayOpen: true}
		c := worstCard(long)
		for range n {
			h.Cards = append(h.Cards, c)
		}
		if err := CheckHome(HomeTab(h)); err != nil {
			t.Errorf("CheckHome(Home of %d key sets) = %v, want nil", n, err)
		}
		for name, m := range map[string]Message{"status": Status(h.Cards, true), "history": History(h.Cards)} {
			if err := CheckMessage(m); err != nil {
				t.Errorf("CheckMessage(%s of %d key sets) = %v, want nil", name, n, err)
			}
		}
	}
	r := report()
	o := worst(rotation.StepPrecheck)
	r.KeySet, r.Items, r.Snapshot, r.Due = long, o.Rotation.Step(rotation.StepPrecheck).Items, o.Rotation.Snapshot, long
	for _, m := range []Message{Report(r, o.Past), Checking([]string{long, long}), Report(rotation.Report{}, rotation.Record{})} {
		if err := CheckMessage(m); err != nil {
			t.Errorf("CheckMessage(answer to check) = %v, want nil", err)
		}
	}
}

// worstCard has text in every place.
func worstCard(text string) Card {
	c := rotating()
	c.Overview = worst(rotation.StepPropagate)
	for i := range c.Rotation.Steps { // a card shows no items but names those that failed
		s := &c.Rotation.Steps[i]
		s.Items = s.Items[:min(len(s.Items), 30)]
	}
	c.Snoozed, c.FirstSeen, c.Problem = text, text, text
	c.Seen = &rotation.Seen{State: text, Problem: text, LastOK: at("03:00:00"), Since: at("03:00:00")}
	c.Tokens = nil
	for i := range 8 {
		c.Seen.Drifted = append(c.Seen.Drifted, text)
		c.History = append(c.History, rotation.Past{ID: rotation.ID(text), Trigger: rotation.Trigger(text), Reason: text, Operator: rotation.Actor{ID: text}, Exposed: time.Hour, AtMost: 2 * time.Hour, OldLast4: text, NewLast4: text, Outcome: rotation.Outcome(text)})
		c.RollCall.People = append(c.RollCall.People, rotation.Called{ID: text})
		c.Tokens = append(c.Tokens, rotation.Fact{Name: "token_expires", Label: fmt.Sprint(i, text), Value: text})
	}
	return c
}
