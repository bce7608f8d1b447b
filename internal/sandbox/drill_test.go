package sandbox

import (
	"bytes"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/sandbox/page"
	"github.com/raxx-app/keyturn/internal/sim/pagerdutysim"
)

// drilled opens a drill and waits until the person's time runs.
func drilled(t *testing.T, name string) (*stage, *browser) {
	t.Helper()
	s, ok := scenarioByName(name)
	if !ok {
		t.Fatalf("there is no drill %q", name)
	}
	st := open(t, s)
	ada := browse(t, st.url, Ada)
	ada.until("the drill runs", func() bool { return ada.drill().Running })
	if len(ada.rotation().Faults) > 0 {
		t.Error("a drill shows its switches")
	}
	return st, ada
}

// score waits for the card, and checks what every drill has.
func (b *browser) score() page.Score {
	b.t.Helper()
	b.until("the score card is there", func() bool { return b.drill().Score != nil })
	s := *b.drill().Score
	if s.Actions == 0 || len(s.Lines) < 5 || s.Passed != (len(s.Undone) == 0) {
		b.t.Errorf("score = %+v, want actions, lines, and passed only if nothing is left", s)
	}
	return s
}

// turns reports whether the card has exactly these wrong turns, by what they
// contain.
func turns(s page.Score, want ...string) bool {
	return slices.EqualFunc(s.WrongTurns, want, func(w page.WrongTurn, part string) bool { return strings.Contains(w.What, part) })
}

// TestDrillScheduledDay makes some mistakes on a quiet day and finds them on the
// card.
func TestDrillScheduledDay(t *testing.T) {
	t.Parallel()
	_, ada := drilled(t, "scheduled-day")
	ada.begin()
	ada.submits(sealButton)
	account := ada.account()
	ada.do("/api/slack/submit", map[string]any{})
	ada.generate(account)
	keyID, secret := ada.generate(account)
	ada.paste(secret, keyID)
	ada.do("/api/slack/submit", map[string]any{})
	ada.paste(keyID, secret)
	ada.submit()
	ada.completed()
	ada.pressIn(updated)
	s := ada.score()
	if !s.Passed || !turns(s, "required field", "again", "swapped") || s.Exposed <= 0 {
		t.Errorf("score = %+v, want passed, exposed for a while, and three wrong turns", s)
	}
	ada.until("the bot was asked once more", func() bool {
		list := ada.rotation().Rotations
		return len(list) > 0 && list[0].Rotation.Outcome == completed
	})
	ms := ada.rotation().Rotations[0].Exposure.TookMS
	if shown := seconds((time.Duration(ms) * time.Millisecond).Round(100 * time.Millisecond)); int64(math.Round(s.Exposed*1000)) != ms || s.Lines[0][1] != shown {
		t.Errorf("the card says %v s, %q, and the bot %d ms; want the same", s.Exposed, s.Lines[0][1], ms)
	}
}

// TestDrillGivenUp shows what is left undone.
func TestDrillGivenUp(t *testing.T) {
	t.Parallel()
	_, ada := drilled(t, "scheduled-day")
	ada.generate(ada.account())
	ada.until("nothing works any more", func() bool {
		return !slices.ContainsFunc(ada.outside().Places, func(p page.Place) bool { return p.Works == page.Works })
	})
	time.Sleep(2 * judgeEvery) // the judge looks now and then
	ada.do("/api/drill/finish", map[string]any{})
	s := ada.score()
	if left := strings.Join(s.Undone, "\n"); s.Passed || !hasAll(left, []string{"No rotation", prodApp + " does not work", "raxx/raptor does not work"}) {
		t.Errorf("score = %+v, want not passed, and what does not work", s)
	}
}

// TestDrillBotKilled: the bot dies after the paste; started again, it goes on by
// itself.
func TestDrillBotKilled(t *testing.T) {
	t.Parallel()
	_, ada := drilled(t, "bot-killed-after-paste")
	ada.begin()
	ada.submits(sealButton)
	keyID, secret := ada.generate(ada.account())
	ada.paste(keyID, secret)
	ada.submit()
	ada.until("the bot is dead", func() bool { return !ada.rotation().BotRunning })
	ada.do("/api/bot/start", map[string]any{})
	ada.completed()
	ada.works(keyID)
	ada.pressIn(updated)
	if s := ada.score(); !s.Passed || !turns(s) {
		t.Errorf("score = %+v, want passed without wrong turns", s)
	}
}

// TestDrillFridayNight: the account is gone; the person opens another one.
func TestDrillFridayNight(t *testing.T) {
	t.Parallel()
	st, ada := drilled(t, "friday-night-delete")
	if now := st.now().UTC(); now.Weekday() != time.Friday || now.Hour() != 23 {
		t.Errorf("it is %s, want Friday night", now)
	}
	if !strings.Contains(ada.drill().Story, "your phone rings") {
		t.Errorf("story %q, want it to begin with the page", ada.drill().Story)
	}
	ada.alerted(pagerdutysim.Triggered)
	ada.pressIn(startNowButton)
	ada.answers("Account was reset")
	ada.newPair()
	ada.alerted(pagerdutysim.Resolved)
	ada.pressIn(updated)
	s := ada.score()
	if !s.Passed || !turns(s) || s.Exposed <= 0 {
		t.Errorf("score = %+v, want passed without wrong turns, exposed from the start", s)
	}
	if i := slices.IndexFunc(s.Lines, func(l [2]string) bool { return l[0] == startNowButton && strings.HasPrefix(l[1], "after ") }); i < 0 {
		t.Errorf("lines %q do not say when Start now was pressed", s.Lines)
	}
}

// TestDrillChangedByHand adopts the pair that works; with another click it would
// be dead.
func TestDrillChangedByHand(t *testing.T) {
	t.Parallel()
	_, ada := drilled(t, "changed-by-hand")
	ada.pressIn(adoptByHandButton)
	v := ada.submits(adoptByHandButton)
	ada.fill(v, whyField, "@cleo was in a hurry")
	ada.submit()
	ada.completed()
	ada.pressIn(updated)
	if s := ada.score(); !s.Passed || !turns(s) {
		t.Errorf("score = %+v, want passed without wrong turns", s)
	}
}

// TestDrillWrongAccount goes on where a colleague went wrong.
func TestDrillWrongAccount(t *testing.T) {
	t.Parallel()
	_, ada := drilled(t, "wrong-account")
	ada.pressIn(openButton)
	ada.shows("Why you are here again")
	keyID, secret := ada.generate(ada.account())
	ada.paste(keyID, secret)
	ada.submit()
	ada.completed()
	ada.works(keyID)
	ada.pressIn(updated)
	if s := ada.score(); !s.Passed || !turns(s) {
		t.Errorf("score = %+v, want passed without wrong turns", s)
	}
}

// TestDrillSecondPaste: a colleague's pair lives, the person's own is dead.
func TestDrillSecondPaste(t *testing.T) {
	t.Parallel()
	_, ada := drilled(t, "second-paste")
	ada.begin()
	ada.submits(sealButton)
	ada.generate(ada.account())
	ada.completed()
	ada.do("/api/slack/close", map[string]any{"all": true})
	ada.pressIn(updated)
	if s := ada.score(); !s.Passed || !turns(s) {
		t.Errorf("score = %+v, want passed without wrong turns", s)
	}
}

// TestDrillInfisicalDown hands the pair out before it can be stored.
func TestDrillInfisicalDown(t *testing.T) {
	t.Parallel()
	_, ada := drilled(t, "infisical-down-after-click")
	ada.begin()
	ada.submits(sealButton)
	keyID, secret := ada.generate(ada.account())
	ada.paste(keyID, secret)
	ada.submit()
	ada.press(laterButton)
	v := ada.submits("Propagate now")
	ada.fill(v, whyField, "trading cannot wait")
	ada.submit()
	ada.completed()
	ada.works(keyID)
	ada.pressIn(updated)
	if s := ada.score(); !s.Passed || !turns(s) {
		t.Errorf("score = %+v, want passed without wrong turns", s)
	}
}

// TestDrillLingeringKey: nothing helps but to wait until the old pair is dead.
func TestDrillLingeringKey(t *testing.T) {
	t.Parallel()
	_, ada := drilled(t, "lingering-old-key")
	ada.begin()
	ada.submits(sealButton)
	keyID, secret := ada.generate(ada.account())
	ada.paste(keyID, secret)
	ada.submit()
	ada.works(keyID)
	ada.until("step 6 is settled", func() bool { // moving the clock restarts the bot, and a test order is not sent again
		list := ada.rotation().Rotations // empty until the bot was asked
		return len(list) > 0 && slices.ContainsFunc(list[0].Rotation.Steps, func(s struct{ Name, State string }) bool {
			return s.Name == "verify" && s.State == "done"
		})
	})
	ada.do("/api/clock", map[string]any{"advance_s": 60})
	ada.completed()
	ada.pressIn(updated)
	if s := ada.score(); !s.Passed || !turns(s) {
		t.Errorf("score = %+v, want passed without wrong turns", s)
	}
}

// TestDrillList shows at least five, each with a story and a goal that a person
// can read.
func TestDrillList(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	if code := Main(t.Context(), env([]string{"--drill", "list"}, &stdout, &stderr)); code != 0 {
		t.Fatalf("sandbox --drill list = %d, %q, want 0", code, stderr.String())
	}
	lines := strings.Split(strings.TrimSpace(stdout.String()), "\n")
	if all := scenarios(); len(lines) != len(all) || len(all) < 5 {
		t.Errorf("sandbox --drill list wrote %d lines, want one for each of %d drills, at least five", len(lines), len(all))
	}
	for _, line := range lines {
		if !regexp.MustCompile(`^[a-z0-9-]+  [A-Z].+$`).MatchString(line) {
			t.Errorf("line %q, want a name and a title", line)
		}
	}
	for _, s := range scenarios() {
		if !strings.HasSuffix(s.Story, ".") || !strings.HasSuffix(s.Goal, ".") {
			t.Errorf("drill %s: story %q, goal %q, want sentences", s.Name, s.Story, s.Goal)
		}
	}
}
