package sandbox

import (
	"errors"
	"net/http"
	"time"
)

// Buttons of what the bot says by itself.
const (
	startNowButton    = "Start now"
	itWasMeButton     = "It was me"
	adoptByHandButton = "Adopt it"
)

// startNowAction is the action ID of the first of them.
const startNowAction = "start_now_v1"

// noticeLimit is how long the bot may take to notice that its pair is dead, in a
// drill: its clock is moved meanwhile.
const noticeLimit = time.Minute

// fridayDrill begins with the page.
func fridayDrill() scenario {
	return scenario{
		Name: "friday-night-delete", Title: "Somebody deleted the paper account on a Friday night",
		Story: "It is Friday, 23:40 UTC. You are @ada, on call, and your phone rings: the key of prod is dead, trading fails. " +
			"Somebody deleted the paper account in Alpaca's dashboard; it was not you. The page is in your direct message from the bot. Nobody else is awake.",
		Goal:  "Press Start now, open a new paper account and give trading its pair. " + everything,
		Paged: true,
		Prepare: func(w *World) error {
			w.ahead.Store(int64(untilFriday(w.now())))
			w.Alpaca.SetMarketOpen(false)
			return nil
		},
		Stage: func(d *drillRun) error {
			return d.killed(func() error { return d.st.Alpaca.Delete(d.st.Account) }, func() bool { return d.offered(Ada, startNowButton) })
		},
	}
}

// byHandDrill begins with what the bot says of a key that somebody rotated by
// hand. The one thing that must not be done is to generate once more.
func byHandDrill() scenario {
	return scenario{
		Name: "changed-by-hand", Title: "Somebody rotated the key by hand, in one place only",
		Story: "@cleo generated keys for prod in Alpaca's dashboard and set them in " + prodApp + " alone, because it was urgent. Trading works there and fails everywhere else. " +
			"You are @ada, in ops. The bot has noticed it and says so in #ops; it has paged nobody.",
		Goal:    "Do not stop what works: no other pair is needed. " + everything,
		NoClick: true,
		Stage: func(d *drillRun) error {
			return d.killed(func() error { return d.st.changeByHand(d.st.Account) }, func() bool { return d.inOps(adoptByHandButton) })
		},
	}
}

// killed lets the bot see the living account, kills its pair, and waits until the
// bot is sure and has told.
func (d *drillRun) killed(kill func() error, told func() bool) error {
	orders := func() int { return d.st.Alpaca.Count(http.MethodGet, "/v2/orders") }
	if d.waitFor(readyLimit, func() bool { return orders() > 0 }); orders() == 0 {
		return errors.New("the bot did not look at the account")
	}
	if err := kill(); err != nil {
		return err
	}
	if d.waitFor(noticeLimit, func() bool { return d.st.rejections() > 0 }); d.st.rejections() == 0 {
		return errors.New("the bot did not notice")
	}
	if err := d.st.bot.Advance(smallLeap - 2*time.Second); err != nil {
		return err
	}
	if d.waitFor(noticeLimit, told); !told() {
		return errors.New("the bot did not tell anybody")
	}
	return nil
}

// rejections counts the calls in which Alpaca rejected a pair.
func (w *World) rejections() (n int) {
	for _, c := range w.Alpaca.Calls() {
		if c.Status == http.StatusUnauthorized {
			n++
		}
	}
	return n
}

// offered reports whether a person has a direct message with a button.
func (d *drillRun) offered(user, button string) bool {
	dm, ok := d.st.Slack.DM(user)
	return ok && d.st.shows(dm, button)
}

// inOps reports whether a message in #ops has a button.
func (d *drillRun) inOps(button string) bool { return d.st.shows(OpsChannel, button) }

// shows reports whether a message in a channel has a button.
func (w *World) shows(channel, button string) bool {
	for _, m := range w.Slack.Messages(channel) {
		for _, b := range m.Buttons() {
			if b.Text == button {
				return true
			}
		}
	}
	return false
}
