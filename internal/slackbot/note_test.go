package slackbot

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/commands"
	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/modals"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
	"github.com/raxx-app/keyturn/internal/state"
)

// A snoozer notes what was put off, or refuses.
type snoozer struct {
	mu   sync.Mutex
	got  []string
	fail error
}

func (s *snoozer) Snooze(_ context.Context, by rotation.Actor, z Snooze) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return "", s.fail
	}
	s.got = append(s.got, fmt.Sprint(by.ID, " ", z))
	return "2026-12-08", nil
}

func (s *snoozer) refuse(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

func (s *snoozer) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

// noteWorld is a world in which Bob owns the key set and is not in ops, and Eve
// is in ops. Carol owns another key set.
func noteWorld(t *testing.T) (*world, *snoozer) {
	t.Helper()
	w, z := newWorld(t, slacksim.Config{}), &snoozer{}
	for _, id := range []string{eve, carol} {
		w.slack.AddUser(slacksim.User{ID: id})
	}
	w.slack.AddGroup(slacksim.Group{ID: opsGroup, Users: []string{ada, eve}})
	w.slack.AddChannel(slacksim.Channel{ID: opsChannel, Members: []string{w.slack.Config().BotUserID, ada, eve}})
	w.config = func(cfg *Config) {
		cfg.Snoozer, cfg.Owners = z, map[string][]string{"prod": {bob}, "staging": {carol}}
	}
	w.start()
	w.until("everybody is known", func() bool {
		return !slices.ContainsFunc([]string{ada, bob, carol, eve}, func(p string) bool { return w.bot.roster.Standing(p).AsOf.IsZero() })
	})
	return w, z
}

const carol = "U0CAROL"

// post posts a note and returns the message as it is on the screen.
func (w *world) post(to string, n rotation.Note) slacksim.Message {
	w.t.Helper()
	at, err := w.bot.Note(w.t.Context(), to, n, false)
	if err != nil {
		w.t.Fatalf("post %s to %s: %v", n.Kind, to, err)
	}
	return w.find(at)
}

func (w *world) find(at rotation.Posted) slacksim.Message {
	w.t.Helper()
	for _, m := range w.slack.Messages(at.Channel) {
		if m.TS == at.TS {
			return m
		}
	}
	w.t.Fatalf("no message at %+v", at)
	return slacksim.Message{}
}

// shows waits until a message of m's channel shows text.
func (w *world) shows(m slacksim.Message, text string) slacksim.Message {
	w.t.Helper()
	ctx, cancel := w.ctx()
	defer cancel()
	got, err := w.slack.WaitMessage(ctx, m.Channel, func(m slacksim.Message) bool { return strings.Contains(m.Visible(), text) })
	if err != nil {
		w.t.Fatalf("no message in %s shows %q: %v; log:\n%s", m.Channel, text, err, w.log)
	}
	return got
}

// fillIn fills in the modal that who sees, choices first, and submits it.
func (w *world) fillIn(who string, choose, write map[string]string) slacksim.SubmitResult {
	w.t.Helper()
	ctx, cancel := w.ctx()
	defer cancel()
	for field, option := range choose {
		if err := w.slack.Select(ctx, who, field, option); err != nil {
			w.t.Fatalf("%s selects %s in %s: %v", who, option, field, err)
		}
	}
	for field, text := range write {
		if err := w.slack.Type(ctx, who, field, text); err != nil {
			w.t.Fatalf("%s types %s: %v", who, field, err)
		}
	}
	got, err := w.slack.Submit(ctx, who)
	if err != nil || got.Trouble != "" {
		w.t.Fatalf("%s submits: %v %s; log:\n%s", who, err, got.Trouble, w.log)
	}
	return got
}

func reminder() rotation.Note {
	return rotation.Note{Kind: rotation.NoteReminder, KeySet: "prod", Data: map[string]string{rotation.NoteDue: "2026-12-19", rotation.NoteDays: "14"}}
}

// R7, R84: an owner puts the reminders of their key set off, with a reason; they
// cannot start a rotation, and ops can. Once it is completed the buttons are
// dead.
func TestReminderButtons(t *testing.T) {
	t.Parallel()
	w, z := noteWorld(t)
	m := w.post(bob, reminder())

	w.press(bob, m, "Start rotation")
	w.shows(m, "Only members of the ops group may do this") // in his own conversation: he is not in the ops channel
	w.press(bob, m, "Snooze")
	w.see(bob, "The due date does not move")
	const key = "PKABCDEFGHIJ12345678"
	if got := w.fillIn(bob, map[string]string{"For how long?": "3 days"}, map[string]string{"Why?": "it is " + key}); !strings.Contains(fmt.Sprint(got.Errors), "looks like a key") {
		t.Errorf("a reason that holds a key: %v, want it refused", got.Errors)
	}
	z.refuse(&fault.Error{Kind: fault.Invalid, Reason: "snooze_too_long", User: "Reminders cannot be put off past 2 January.", Fix: "Choose fewer days."})
	if got := w.fillIn(bob, map[string]string{"For how long?": "7 days"}, map[string]string{"Why?": "Ada is on leave"}); !strings.Contains(fmt.Sprint(got.Errors[modals.SnoozeDaysBlock]), "past 2 January") {
		t.Errorf("too long: %v, want it said under the days", got.Errors)
	}
	z.refuse(nil)
	if got := w.fillIn(bob, map[string]string{"For how long?": "3 days"}, nil); len(got.Errors) > 0 {
		t.Errorf("errors %v, want it put off", got.Errors)
	}
	w.shows(m, "put off until 8 Dec 2026")
	if diff := cmp.Diff([]string{"U0BOB {prod 2026-12-19 3 Ada is on leave}"}, z.all()); diff != "" {
		t.Errorf("put off (-want +got):\n%s", diff)
	}

	mine := w.post(ada, reminder())
	asked := w.post(bob, reminder())
	w.press(bob, asked, "Snooze") // and leaves it open
	w.see(bob, "The due date does not move")
	line := w.post(opsChannel, reminder())
	if buttons := line.Buttons(); len(buttons) != 1 || buttons[0].Text != "Start rotation" || !strings.Contains(line.Visible(), "due in 14 days") {
		t.Errorf("the line in the ops channel shows %q with %v", line.Visible(), buttons)
	}
	w.press(ada, line, "Start rotation")
	w.see(ada, "Step 1 of 8")
	id := w.active()
	w.press(ada, mine, "Start rotation") // the same one
	w.see(ada, "Step 1 of 8")
	if again := w.active(); again != id {
		t.Errorf("rotation %s, want %s", again, id)
	}
	w.finish(id)

	for _, press := range []struct {
		who, button string
		m           slacksim.Message
	}{{ada, "Start rotation", mine}, {bob, "Snooze", w.post(bob, reminder())}} {
		w.press(press.who, press.m, press.button)
		over := w.shows(press.m, "this message is over")
		w.until("the buttons are gone", func() bool {
			return len(w.find(rotation.Posted{Channel: press.m.Channel, TS: press.m.TS}).Buttons()) == 0
		})
		if !strings.Contains(over.Visible(), "was rotated on") {
			t.Errorf("the answer is %q", over.Visible())
		}
	}
	z.refuse(&fault.Error{Kind: fault.Conflict, Reason: "reminder_over", User: "It is over."})
	w.fillIn(bob, nil, map[string]string{"Why?": "later"})
	w.see(bob, "this message is over")
	if _, err := w.engine.Active(t.Context(), "prod"); err == nil {
		t.Error("a dead button opened a rotation")
	}
	if got := w.slack.Problems(); len(got) > 0 {
		t.Errorf("problems: %q", got)
	}
}

// finish goes through a rotation that is at step 1.
func (w *world) finish(id rotation.ID) {
	w.t.Helper()
	w.wait(id, "step 1 is ready", func(r *rotation.Rotation) bool {
		items := r.Step(rotation.StepPrecheck).Items
		return len(items) > 0 && !slices.ContainsFunc(items, func(it rotation.Item) bool { return !it.State.Settled() })
	})
	var ticks []string
	for _, p := range rotation.Prerequisites() {
		ticks = append(ticks, p.Name)
	}
	problems, err := w.engine.GoOn(w.t.Context(), rotation.Actor{ID: ada}, id, rotation.GoOn{Trigger: rotation.TriggerScheduled, Ticks: ticks})
	if err != nil || len(problems) > 0 {
		w.t.Fatalf("GoOn = %v, %v", problems, err)
	}
	w.see(ada, "Step 2 of 8")
	if got := w.paste(w.shop.click("NEW1")); len(got.Errors) > 0 {
		w.t.Fatalf("the pair is not accepted: %v", got.Errors)
	}
	w.completed(id)
}

// R10: somebody who handled a pair has left: the rotation that the note starts is
// an offboarding one, with the reason filled in, and a note about an older pair
// is over.
func TestLeaverButton(t *testing.T) {
	t.Parallel()
	w, _ := noteWorld(t)
	leaver := rotation.Note{Kind: rotation.NoteLeaver, KeySet: "prod", Data: map[string]string{rotation.NotePeople: "U0GONE", rotation.NotePairs: "prod=rbeforethis"}}
	old := w.post(opsChannel, leaver)
	w.press(ada, old, "Start rotation")
	w.shows(old, "was rotated since: this message is over")
	delete(leaver.Data, rotation.NotePairs)
	w.press(ada, w.post(opsChannel, leaver), "Start rotation")
	id := w.active()
	w.see(ada, "Step 1 of 8")
	o, err := w.engine.Look(t.Context(), id)
	if err != nil || o.Rotation.Trigger != rotation.TriggerOffboarding || o.Rotation.Reason != "U0GONE was deactivated in Slack" || o.Rotation.Operator.ID != ada {
		t.Errorf("rotation %+v, error %v, want an offboarding one of Ada's with the reason", o.Rotation, err)
	}
	w.see(ada, "U0GONE was deactivated in Slack")
}

// seenDead kills the key and opens the forced rotation, as the sentinel does.
func (w *world) seenDead() rotation.ID {
	w.t.Helper()
	sealer, err := state.LoadSealer(w.t.Context(), w.store, identity())
	if err != nil {
		w.t.Fatal(err)
	}
	w.shop.click("GONE")
	now := time.Now()
	id, err := w.engine.Force(w.t.Context(), rotation.Sighting{KeySet: "prod", Print: sealer.Print(w.shop.vault.Pair), Since: now.Add(-40 * time.Second), LastOK: now.Add(-time.Minute), Status: 401})
	if err != nil {
		w.t.Fatalf("Force: %v", err)
	}
	return id
}

func paged(id rotation.ID) rotation.Note {
	return rotation.Note{Kind: rotation.NoteForced, Rotation: id, KeySet: "prod", Data: map[string]string{rotation.NoteStatus: "401", rotation.NoteSince: "2026-11-22T03:12:04Z"}}
}

// R85: on-call is paged; one takes it over, and who comes late is told who has
// it; who killed the key says so and goes on at step 2.
func TestForcedPage(t *testing.T) {
	t.Parallel()
	w, _ := noteWorld(t)
	id := w.seenDead()
	first, second := w.post(ada, paged(id)), w.post(eve, paged(id))
	w.press(ada, first, "Start now")
	w.see(ada, "Step 1 of 8")
	w.wait(id, "Ada's", func(r *rotation.Rotation) bool { return r.Operator.ID == ada })
	w.message("What was seen")
	w.press(eve, second, "Start now")
	w.shows(second, "@u0ada has this rotation already")
	w.wait(id, "still Ada's", func(r *rotation.Rotation) bool { return r.Operator.ID == ada })

	w.press(eve, second, "It was me")
	w.see(eve, "you become its operator")
	if got := w.fillIn(eve, nil, nil); len(got.Errors) == 0 && got.Trouble == "" {
		w.until("the missing choice is said", func() bool { v, _ := w.slack.Modal(eve); return strings.Contains(v.Text(), "Choose what you did") })
	}
	w.fillIn(eve, map[string]string{"What did you do?": "reset"}, nil)
	w.see(eve, "Step 2 of 8")
	o, err := w.engine.Look(t.Context(), id)
	if err != nil || o.Rotation.Operator.ID != eve || o.Rotation.Claim == nil || o.Rotation.Claim.What != rotation.ClaimReset || !o.Rotation.Claim.Mine {
		t.Errorf("rotation %+v, error %v, want it Eve's, who reset the account", o.Rotation, err)
	}
	w.press(ada, first, "It was me")
	w.shows(first, "Already done by @u0eve")
	if got := w.slack.Problems(); len(got) > 0 {
		t.Errorf("problems: %q", got)
	}
}

// TestTakeFreeHasOneWinner: two who press Start now at the same time.
func TestTakeFreeHasOneWinner(t *testing.T) {
	t.Parallel()
	w, _ := noteWorld(t)
	id := w.seenDead()
	results := make(chan bool, 2)
	for _, who := range []string{ada, eve} {
		go func() {
			taken, err := w.bot.takeFree(t.Context(), rotation.Actor{ID: who}, id)
			results <- taken == nil && err == nil
		}()
	}
	if a, b := <-results, <-results; a == b {
		t.Errorf("first %t, second %t, want exactly one to have it", a, b)
	}
}

// A stood-down rotation's page is over, and its message says why.
func TestStoodDown(t *testing.T) {
	t.Parallel()
	w, _ := noteWorld(t)
	id := w.seenDead()
	page := w.post(ada, paged(id))
	w.shop.revive()
	if err := w.engine.StandDown(t.Context(), id, w.shop.Probe(t.Context(), w.shop.vault.Pair)); err != nil {
		t.Fatalf("StandDown: %v", err)
	}
	w.message("stood down. The key works again since")
	for _, button := range []string{"Start now", "It was me"} {
		w.press(ada, page, button)
	}
	w.until("both presses are answered", func() bool {
		n := 0
		for _, m := range w.slack.Messages(page.Channel) {
			if m.EphemeralFor == ada && strings.Contains(m.Visible(), "The key works again since") && strings.Contains(m.Visible(), "nothing was changed") {
				n++
			}
		}
		return n == 2
	})
}

// revive makes the stored pair the live one again.
func (s *shop) revive() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live = s.vault.Pair.KeyID.Reveal()
}

// Holds implements [rotation.Holder].
func (a shopApp) Holds(context.Context) (rotation.Pair, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.app, nil
}

// TestAdoptByHandButton: somebody rotated by hand and gave the pair to the app
// only. It is adopted with a reason; a pair that cannot be read is said to be so
// where it was asked for.
func TestAdoptByHandButton(t *testing.T) {
	t.Parallel()
	w, _ := noteWorld(t)
	byHand := func(consumer string) slacksim.Message {
		return w.post(opsChannel, rotation.Note{Kind: rotation.NoteByHand, KeySet: "prod", Consumer: consumer, Data: map[string]string{}})
	}
	w.press(ada, byHand("local-dev"), "Adopt it")
	w.see(ada, "Nothing is generated")
	if got := w.fillIn(ada, nil, map[string]string{"Why?": "PKABCDEFGHIJ12345678"}); !strings.Contains(fmt.Sprint(got.Errors), "looks like a key") {
		t.Errorf("a reason that holds a key: %v, want it refused", got.Errors)
	}
	w.fillIn(ada, nil, map[string]string{"Why?": "Bob rotated by hand"})
	w.reads(ada, "cannot be read back") // with the answer: a drawing right after it may come before it
	if _, err := w.engine.Active(t.Context(), "prod"); err == nil {
		t.Error("a rotation was opened")
	}

	if err := w.engine.Snapshot(t.Context(), "prod", w.shop.Probe(t.Context(), w.shop.vault.Pair), nil); err != nil { // as the sentinel does
		t.Fatalf("Snapshot: %v", err)
	}
	pair := w.shop.click("HAND")
	w.shop.mu.Lock()
	w.shop.app = pair
	w.shop.mu.Unlock()
	w.press(ada, byHand("api"), "Adopt it")
	w.see(ada, "Nothing is generated")
	w.fillIn(ada, nil, map[string]string{"Why?": "Bob rotated by hand"})
	w.see(ada, "Rotated")
	w.shop.mu.Lock()
	defer w.shop.mu.Unlock()
	if !w.shop.vault.Pair.Equal(pair) || w.shop.writes != 1 {
		t.Errorf("the vault was written %d times, holds the adopted pair: %t; want once", w.shop.writes, w.shop.vault.Pair.Equal(pair))
	}
}

// The list of who has updated goes into the thread of the rotation's message, and
// into the channel if that message is gone.
func TestNotesInThreads(t *testing.T) {
	t.Parallel()
	w, _ := noteWorld(t)
	head := w.post(opsChannel, reminder())
	list := rotation.Note{Kind: rotation.NoteRollCall, KeySet: "prod", Data: map[string]string{rotation.NoteDone: ada, rotation.NoteOpen: bob, rotation.NoteThread: head.TS}}
	if got := w.post(opsChannel, list); got.ThreadTS != head.TS || !strings.Contains(got.Visible(), "1 of 2 developers") {
		t.Errorf("posted under %q: %s, want it under %q", got.ThreadTS, got.Visible(), head.TS)
	}
	list.Data[rotation.NoteThread] = "1.000009"
	if got := w.post(opsChannel, list); got.ThreadTS != "" {
		t.Errorf("posted under %q, which is gone", got.ThreadTS)
	}
	at := rotation.Posted{Channel: head.Channel, TS: head.TS}
	past := rotation.Record{KeySet: "prod", Completed: time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC), NextDue: "2027-05-30"}
	for range 2 {
		if err := w.bot.CloseNote(t.Context(), at, past); err != nil {
			t.Fatalf("CloseNote: %v", err)
		}
	}
	if got := w.find(at); len(got.Buttons()) != 0 || !strings.Contains(got.Visible(), "was rotated on 1 Dec 2026") {
		t.Errorf("the closed note shows %q with %v", got.Visible(), got.Buttons())
	}
}

// A page whose rotation stood down says so, and nobody can press anything on it.
func TestPageStoodDown(t *testing.T) {
	t.Parallel()
	w, _ := noteWorld(t)
	m := w.post(opsChannel, reminder())
	at := rotation.Posted{Channel: m.Channel, TS: m.TS}
	o := rotation.Overview{Rotation: rotation.Rotation{KeySet: "prod", Outcome: rotation.StoodDown, LastOK: time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC)}}
	for range 2 {
		if err := w.bot.ClosePage(t.Context(), at, o); err != nil {
			t.Fatalf("ClosePage: %v", err)
		}
	}
	if got := w.find(at); len(got.Buttons()) != 0 || !strings.Contains(got.Visible(), "works again since 1 Dec 2026") {
		t.Errorf("the page shows %q with %v", got.Visible(), got.Buttons())
	}
}

// R3: who may put reminders off: ops, and the owners of that key set.
func TestWhoMaySnooze(t *testing.T) {
	t.Parallel()
	w, _ := noteWorld(t)
	for who, want := range map[string]string{ada: "", eve: "", bob: "", carol: "not_owner"} {
		err := w.bot.checkBind(t.Context(), rotation.Actor{ID: who}, commands.ActSnooze, modals.Bind{KeySet: "prod"})
		if got := fault.ReasonOf(err); err == nil && want != "" || err != nil && got != want {
			t.Errorf("%s: %v (%s), want %q", who, err, got, want)
		}
		err = w.bot.checkBind(t.Context(), rotation.Actor{ID: who}, commands.ActStartNow, modals.Bind{KeySet: "prod"})
		if ops := who == ada || who == eve; (err == nil) != ops {
			t.Errorf("%s may start now: %v, want %t", who, err, ops)
		}
	}
}
