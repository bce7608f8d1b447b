package sandbox

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// What the page's reader finds in messages of the bot.
const (
	startButton  = "Start rotation"
	snoozeButton = "Snooze"
)

// oneDay is how far the clock is moved where days count.
const oneDay = 24 * time.Hour

// text is all that a message shows, roughly.
func (p post) text() string {
	text := p.Text + "\n" + (view{Blocks: p.Blocks}).text()
	for _, x := range p.Blocks {
		text += x.Accessory.label() + "\n"
	}
	return text
}

// find returns the messages that show all of texts, in a channel; "": in any.
func (b *browser) find(channel string, texts ...string) (list []post) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.posts {
		if !p.Deleted && (channel == "" || p.Channel == channel) && hasAll(p.text(), texts) {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b post) int { return strings.Compare(a.TS, b.TS) })
	return list
}

// reads waits for a message that shows all of texts, and returns the newest.
func (b *browser) reads(channel string, texts ...string) (p post) {
	b.t.Helper()
	b.until(fmt.Sprintf("a message says %q", texts), func() bool {
		list := b.find(channel, texts...)
		if len(list) > 0 {
			p = list[len(list)-1]
		}
		return len(list) > 0
	})
	return p
}

// forward moves the clock; the bot is back after that, with a connection of its
// own: what the page shows may be a moment old.
func (b *browser) forward(d time.Duration) {
	b.t.Helper()
	before := 0
	if b.world != nil {
		before = b.world.Slack.Connections()
	}
	b.do("/api/clock", map[string]any{"advance_s": d.Seconds()})
	b.until("the clock is moved and the bot runs", func() bool { return b.rotation().BotRunning })
	b.online()
	for deadline := time.Now().Add(30 * time.Second); b.world != nil && d > smallLeap && (b.world.Slack.Connections() == before || b.world.Slack.Sockets() == 0); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatal("the bot has no connection after the leap")
		}
	}
}

// surveyed waits until the bot has seen the account with its positions and
// orders.
func (st *stage) surveyed(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); st.Alpaca.Count(http.MethodGet, "/v2/orders") == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the bot did not look at the account's orders")
		}
	}
}

// asked counts the bot's probes that were answered so, and accepted or rejected.
func (st *stage) asked(status int) (n int) {
	for _, c := range st.Alpaca.Calls() {
		if c.Path == "/v2/account" && c.Status == status {
			n++
		}
	}
	return n
}

// probed waits for one more probe with this answer.
func (st *stage) probed(t *testing.T, status int) {
	t.Helper()
	want := st.asked(status) + 1 // one that is under way counts when it is answered
	for deadline := time.Now().Add(40 * time.Second); st.asked(status) < want; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d probes were answered %d, want %d", st.asked(status), status, want)
		}
	}
}

// dies has the bot see for long enough that its pair is rejected. It does not
// start anew: its clock is moved by less than a leap between two probes.
func (st *stage) dies(b *browser) {
	b.t.Helper()
	st.probed(b.t, http.StatusUnauthorized)
	b.do("/api/clock", map[string]any{"advance_s": 28})
	st.probed(b.t, http.StatusUnauthorized)
}

// alerted waits until PagerDuty has one alert, in this state.
func (b *browser) alerted(state string) {
	b.t.Helper()
	b.until("PagerDuty's alert is "+state, func() bool {
		list := b.outside().Alerts
		return len(list) == 1 && list[0].State == state
	})
}
