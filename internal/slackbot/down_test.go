package slackbot

import (
	"strings"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/sim/simhttp"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

// Slack goes away after the click: the rotation goes on to its end without it,
// and the posts and the modal follow when it is back.
func TestSlackDownAfterTheClick(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacksim.Config{})
	w.start()
	id := w.atStepTwo()
	w.message("step 2 of 8")
	release := w.shop.holdVault()
	if got := w.paste(w.shop.click("NEW1")); len(got.Errors) > 0 {
		t.Fatalf("the pair is not accepted: %v", got.Errors)
	}
	clear := w.slack.Inject(simhttp.Fault{Cut: true})
	w.slack.CutSockets()
	w.until("the bot has lost Slack", func() bool { return !w.bot.Connected() })
	release()
	w.wait(id, "everything but the developers' note is done", func(r *rotation.Rotation) bool {
		return r.Step(rotation.StepStore).State == rotation.Done && r.Step(rotation.StepRevoked).State == rotation.Done && !r.VerifiedAt.IsZero()
	})
	for _, m := range w.slack.Messages(opsChannel) {
		if strings.Contains(m.Visible(), "The new pair works") {
			t.Errorf("a message came through although Slack is down: %s", m.Visible())
		}
	}
	clear()
	w.connected()
	w.completed(id)
	w.message("rotated. The new pair works")
	w.see(ada, "Rotated")
	dm, _ := w.slack.DM(bob)
	w.until("Bob was told", func() bool { return len(w.slack.Messages(dm)) == 1 })
}

// 429 on updates: calls are held back as long as Slack asks, and the last state
// always arrives, of the message and of the modal.
func TestLastStateArrivesAfter429(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacksim.Config{})
	w.start()
	id := w.atStepTwo()
	w.message("step 2 of 8")
	release := w.shop.holdVault()
	for _, method := range []string{"chat.update", "views.update"} {
		w.slack.RateLimit(method, 1, time.Second)
	}
	if got := w.paste(w.shop.click("NEW1")); len(got.Errors) > 0 {
		t.Fatalf("the pair is not accepted: %v", got.Errors)
	}
	limited := func() bool {
		n := 0
		for _, c := range w.slack.Calls() {
			if c.Status == 429 {
				n++
			}
		}
		return n == 2
	}
	w.until("both methods were limited", limited)
	release()
	w.completed(id)
	w.message("rotated. The new pair works")
	w.see(ada, "Rotated")
	if !limited() {
		t.Error("calls were made while Slack asked to wait")
	}
}
