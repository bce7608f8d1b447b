package sandbox

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/sim/pagerdutysim"
)

// atATime is how many of the plays run beside each other. They mostly wait, but
// each has a bot of its own, and too many of those starve each other.
const atATime = 5

// TestPageNotices plays what the bot notices and reminds of by itself, with a
// person who has nothing but the page and its clock: R7, R10, R47, R84, R85. No
// secret is where it does not belong after any of it (R43).
func TestPageNotices(t *testing.T) {
	t.Parallel()
	plays := []struct {
		name string
		play func(t *testing.T, st *stage, ada *browser)
	}{
		{"flap", flap}, // first: it waits longest
		{"account deleted, Start now", deletedStartNow},
		{"account deleted, It was me", deletedItWasMe},
		{"key regenerated, It was me", regeneratedItWasMe},
		{"stands down", standsDown},
		{"reminders", remindersByClock},
		{"roll-call and a leaver", rollCallAndLeaver},
		{"drift", driftNoticed},
		{"changed by hand", changedByHand},
		{"commands and Home", commandsAndHome},
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	seats := make(chan struct{}, atATime)
	for _, p := range plays {
		seats <- struct{}{}
		wg.Go(func() {
			defer func() { <-seats }()
			t.Run(p.name, func(t *testing.T) {
				st := open(t, nil)
				c := st.watched(t)
				ada := browse(t, st.url, Ada)
				ada.world = st.World
				ada.online()
				st.surveyed(t)
				p.play(t, st, ada)
				ada.renders()
				c.say(p.name + " is played")
				if err := st.bot.Stop(); err != nil {
					t.Fatal(err)
				}
				c.empty = len(ada.rotation().Rotations) == 0
				c.judge(t)
				c.woke(t)
			})
		})
	}
}

// watched starts the bot anew with everything kept that comes out of it.
func (st *stage) watched(t *testing.T) *canary {
	t.Helper()
	if err := st.bot.Stop(); err != nil {
		t.Fatal(err)
	}
	c := newCanary(t, st.World)
	if err := st.bot.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

// woke looks whether the search saw the routing key on its way to PagerDuty, if
// anybody was woken: else it would be blind.
func (c *canary) woke(t *testing.T) {
	t.Helper()
	l := search(t, map[string]string{"the routing key": pagerKey})
	for _, line := range c.wires {
		for _, r := range line.all() {
			if line.to == toPager && len(l.find(r.Body)) == 0 {
				t.Errorf("a call to PagerDuty has no routing key in it, so this search proves nothing")
			}
		}
		if alerts := c.w.Pager.Alerts(); line.to == toPager && len(alerts) > 0 && len(line.all()) == 0 {
			t.Errorf("%d alerts, and nothing was kept of the calls to PagerDuty", len(alerts))
		}
	}
}

// newPair opens a new paper account, generates its pair, pastes it and adopts
// the account; the bot does the rest.
func (b *browser) newPair() {
	b.t.Helper()
	account := b.do("/api/alpaca/new", map[string]any{"balance": "100000"})["account"].(string)
	keyID, secret := b.generate(account)
	b.paste(keyID, secret)
	b.submit()
	b.press(adoptButton)
	v := b.submits(adoptButton)
	b.fill(v, last4Field, last4(account))
	b.fill(v, whyField, "somebody deleted the account")
	b.submit()
	b.completed()
	b.works(keyID)
}

// rotates does a whole rotation on a quiet day.
func (b *browser) rotates() {
	b.t.Helper()
	b.begin()
	b.submits(sealButton)
	b.finishes()
}

// finishes generates a pair for the account that is ours and pastes it.
func (b *browser) finishes() {
	b.t.Helper()
	keyID, secret := b.generate(b.account())
	b.paste(keyID, secret)
	b.submit()
	b.completed()
	b.works(keyID)
	b.do("/api/slack/close", map[string]any{"all": true})
	b.until("the modal is closed", func() bool { return b.slack().Modal == nil })
}

// paged waits for everything that must happen when a pair is dead.
func (b *browser) paged() {
	b.t.Helper()
	// Which key it is stands in the middle once step 1 has read it.
	b.reads(OpsChannel, "its key is dead", "*What was seen:* Alpaca rejects the stored key ", "(HTTP 401) since", "It last worked at")
	b.reads("", "Trading fails", "each time the bot asked", startNowButton, itWasMeButton)
	b.alerted(pagerdutysim.Triggered)
}

func deletedStartNow(t *testing.T, st *stage, ada *browser) {
	dan := browse(t, st.url, dan)
	ada.do("/api/alpaca/delete", map[string]any{"account": ada.account()})
	st.dies(ada)
	ada.paged()
	dan.reads("", "Trading fails", startNowButton)
	dan.pressIn(startNowButton)
	dan.answers("Account was reset")
	dan.newPair()
	ada.alerted(pagerdutysim.Resolved)
	ada.reads(OpsChannel, "reset or replaced", "position 3 MSFT: gone", "order buy 1 MSFT: gone")
	for _, b := range []*browser{ada, dan} { // both were paged
		b.until("the page is over", func() bool {
			return len(b.find("", startNowButton)) == 0 && len(b.find("", "This page is over")) == 1
		})
	}
}

func deletedItWasMe(_ *testing.T, st *stage, ada *browser) {
	ada.do("/api/faults/account-deleted", map[string]any{"on": true})
	st.dies(ada)
	ada.paged()
	ada.confesses("reset")
	ada.newPair()
	ada.alerted(pagerdutysim.Resolved)
	ada.reads(OpsChannel, "reset or replaced", "position 3 MSFT: gone")
}

// confesses presses It was me and says what it was.
func (b *browser) confesses(what string) {
	b.t.Helper()
	b.pressIn(itWasMeButton)
	v := b.submits(itWasMeButton)
	b.fill(v, "What did you do?", "", what)
	b.submit()
	b.submits(sealButton)
}

func regeneratedItWasMe(_ *testing.T, st *stage, ada *browser) {
	keyID, secret := ada.generate(ada.account())
	st.dies(ada)
	ada.paged()
	ada.confesses("regenerated")
	ada.paste(keyID, secret)
	ada.submit()
	ada.completed()
	ada.works(keyID)
	ada.alerted(pagerdutysim.Resolved)
	ada.reads(OpsChannel, "regenerated")
}

// flap: a pair that is rejected for less than 30 seconds, or is accepted once
// meanwhile, pages nobody.
func flap(t *testing.T, st *stage, ada *browser) {
	reject := func(on bool) { ada.do("/api/faults/alpaca-401", map[string]any{"on": on}) }
	reject(true)
	st.probed(t, http.StatusUnauthorized)
	ada.do("/api/clock", map[string]any{"advance_s": 12})
	st.probed(t, http.StatusUnauthorized)
	reject(false)
	st.probed(t, http.StatusOK)
	reject(true)
	st.probed(t, http.StatusUnauthorized)
	ada.do("/api/clock", map[string]any{"advance_s": 12})
	st.probed(t, http.StatusUnauthorized)
	reject(false)
	st.probed(t, http.StatusOK)
	ada.home("the stored pair works")
	if len(ada.outside().Alerts) > 0 || len(ada.rotation().Rotations) > 0 || len(ada.find("", "dead")) > 0 {
		t.Errorf("after a flap: alerts %v, %d rotations, messages %v, want nothing", ada.outside().Alerts, len(ada.rotation().Rotations), ada.find("", "dead"))
	}
}

// standsDown: a long rejection is paged, and when the pair is alive after all
// everybody who was woken is told.
func standsDown(_ *testing.T, st *stage, ada *browser) {
	ada.do("/api/faults/alpaca-401", map[string]any{"on": true})
	st.dies(ada)
	ada.paged()
	ada.do("/api/faults/alpaca-401", map[string]any{"on": false})
	ada.forward(5 * time.Minute)
	ada.reads(OpsChannel, "the key works again", "stood down; nothing was changed")
	ada.alerted(pagerdutysim.Resolved)
	ada.until("the rotation stood down", func() bool {
		list := ada.rotation().Rotations // empty until the bot was asked
		return len(list) > 0 && list[0].Rotation.Outcome == "stood_down"
	})
	ada.until("the page is over", func() bool {
		return len(ada.find("", startNowButton)) == 0 && len(ada.find("", "Nothing was changed, and this page is over")) == 1
	})
	dms := slices.DeleteFunc(ada.find("", "the key works again", "stood down"), func(p post) bool { return p.Channel == OpsChannel })
	if len(dms) != 1 {
		ada.t.Errorf("%d direct messages say that it is over, want 1", len(dms))
	}
}

// remindersByClock goes through half a year: R7, R84.
func remindersByClock(t *testing.T, _ *stage, ada *browser) {
	ada.forward(166 * oneDay)
	first := ada.reads("", "due in 14 days", "*Readiness", "Market", startButton, snoozeButton)
	ada.pressIn(snoozeButton)
	v := ada.submits(snoozeButton)
	ada.fill(v, "For how long?", "", "3")
	ada.fill(v, whyField, "release freeze")
	ada.submit()
	ada.reads(first.Channel, "reminders put off until", "release freeze", "The due date does not move")
	ada.forward(oneDay)
	ada.forward(oneDay)
	if list := ada.find("", "due in 12 days"); len(list) > 0 {
		t.Errorf("a reminder that was put off came: %s", list[0].text())
	}
	ada.forward(oneDay)
	ada.reads(first.Channel, "due in 11 days", startButton)
	ada.forward(11 * oneDay)
	ada.reads(OpsChannel, "due today", startButton)
	ada.forward(2 * oneDay)
	ada.reads(OpsChannel, "overdue since", "2 days")
	ada.pressIn(startButton)
	ada.answers("Scheduled")
	ada.submits(sealButton)
	ada.finishes()
	ada.reads(OpsChannel, "was rotated on", "this message is over")
}

// rollCallAndLeaver: R47, R10.
func rollCallAndLeaver(t *testing.T, st *stage, ada *browser) {
	bob := browse(t, st.url, Bob)
	ada.rotates()
	ada.reads(OpsChannel, "0 of 2 developers have pulled the new pair", "*Not yet:*")
	ada.pressIn(updated)
	ada.until("her press is taken", func() bool { return ada.button(updated) == nil }) // before the bot is stopped
	ada.forward(oneDay)
	bob.reads("", "you have not pressed Updated for 1 day", "infisical", updated)
	list := ada.reads(OpsChannel, "1 of 2 developers have pulled the new pair", "<@"+Bob+">")
	if list.Thread == "" {
		t.Errorf("the roll-call is not in a thread: %+v", list)
	}
	ada.forward(2 * oneDay)
	bob.reads("", "you have not pressed Updated for 3 days")
	bob.pressIn(updated)
	ada.reads(OpsChannel, "everybody has pulled the new pair")

	ada.do("/api/faults/bob-leaves", map[string]any{"on": true})
	ada.forward(oneDay)
	ada.reads(OpsChannel, "<@"+Bob+"> was deactivated in Slack, and has handled the pair that is in use", startButton)
	ada.pressIn(startButton)
	v := ada.submits(goOnButton)
	if got := anyValue(ada.slack().Modal.Values); !strings.Contains(got, "deactivated in Slack") && !strings.Contains(v.text(), "deactivated in Slack") {
		t.Errorf("step 1 does not know why it runs: %s\n%s", got, v.text())
	}
}

func anyValue(values map[string]map[string]map[string]any) string {
	var b strings.Builder
	for _, block := range values {
		for _, state := range block {
			if s, ok := state["value"].(string); ok {
				b.WriteString(s + "\n")
			}
		}
	}
	return b.String()
}

func driftNoticed(_ *testing.T, _ *stage, ada *browser) {
	ada.rotates()
	ada.do("/api/faults/heroku-drift", map[string]any{"on": true})
	ada.forward(15 * time.Minute)
	ada.reads(OpsChannel, "*"+stagingApp+"* no longer has what the last rotation gave it", keyIDName, startButton)
	ada.home(stagingApp)
}

// changedByHand: trading is fine where the new pair is, so nobody is paged.
func changedByHand(t *testing.T, st *stage, ada *browser) {
	ada.do("/api/faults/changed-by-hand", map[string]any{"on": true})
	st.dies(ada)
	ada.reads(OpsChannel, "rotated by hand", prodApp, "Nobody is paged", adoptByHandButton)
	ada.pressIn(adoptByHandButton)
	v := ada.submits(adoptByHandButton)
	ada.fill(v, whyField, "the new pair is fine")
	ada.submit()
	ada.completed()
	keyID := ""
	for _, p := range ada.outside().Places {
		if p.Name == prodApp {
			keyID = p.Last4
		}
	}
	ada.works(keyID)
	if alerts, pages := ada.outside().Alerts, ada.find("", startNowButton); len(alerts) > 0 || len(pages) > 0 {
		t.Errorf("alerts %v, pages %v, want nobody paged", alerts, pages)
	}
}

// home opens Home and waits until it shows all of texts.
func (b *browser) home(texts ...string) {
	b.t.Helper()
	b.do("/api/slack/home", map[string]any{})
	b.until("Home shows "+strings.Join(texts, ", "), func() bool {
		h := b.slack().Home
		return h != nil && hasAll(h.View.text(), texts)
	})
}

// types types a command and waits for an answer that only this person sees.
func (b *browser) types(text string, want ...string) {
	b.t.Helper()
	out := b.do("/api/slack/command", map[string]any{"channel": OpsChannel, "text": command + " " + text})
	if answer, _ := out["response"].(string); hasAll(answer, want) {
		return
	}
	b.whispered(want[0])
	b.reads("", want...)
}

func commandsAndHome(t *testing.T, st *stage, ada *browser) {
	gone := browse(t, st.url, gus)
	ada.home("Alpaca paper keys", KeySet, "Not rotated with this bot yet", "the stored pair works")
	ada.types("help", "history", "check", "reset", "status")
	ada.types("status", KeySet)
	ada.types("check", "Readiness", "No rotation was opened and nothing was changed")
	gone.home("⛔")
	gone.types("check", "⛔")
	if n := len(ada.rotation().Rotations); n > 0 {
		t.Errorf("%d rotations are open after a check, want none", n)
	}
	ada.do("/api/slack/command", map[string]any{"channel": OpsChannel, "text": command + " reset"})
	v := ada.submits("Start forced rotation")
	ada.fill(v, "What was seen?", "the dashboard shows a new account")
	ada.fill(v, "Confirm", "", "confirmed")
	ada.submit()
	ada.submits(goOnButton)
	ada.home("1 in rotation", "a person says that its key is dead", "the stored pair works", "Waiting for <@"+Ada+">")
	ada.answers("Account was reset")
	ada.submits(sealButton)
	ada.finishes()
	ada.types("history "+KeySet, "Account was reset", "exposed")
	ada.home("exposed", "in 180 days", "Roll-call: 0 of 2 developers updated")
}

// renders reports blocks and elements that the page's own script cannot show.
func (b *browser) renders() {
	b.t.Helper()
	can := supported(b.t)
	b.mu.Lock()
	defer b.mu.Unlock()
	for kind := range b.kinds {
		if !can[kind] {
			b.t.Errorf("the page shows a box \"Not supported\" for the %s", kind)
		}
	}
	if !b.kinds["block section"] {
		b.t.Errorf("only %v was seen, want messages or views", b.kinds)
	}
}
