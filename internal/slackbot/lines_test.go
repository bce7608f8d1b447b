package slackbot

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/sim/simhttp"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

const openCall = "/api/apps.connections.open"

// The second socket opens a while after the first, and the bot counts as
// connected with one.
func TestSecondSocketOpensLater(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacksim.Config{})
	w.times.Second = 400 * time.Millisecond
	w.launch()
	w.until("connected with one socket", w.bot.Connected)
	w.connected()
	var at []time.Time
	for _, c := range w.slack.Calls() {
		if c.Path == openCall {
			at = append(at, c.At)
		}
	}
	if len(at) != 2 || at[1].Sub(at[0]) < w.times.Second {
		t.Errorf("sockets were asked for at %v, want two, %s apart or more", at, w.times.Second)
	}
	w.stop()
	w.until("Slack has seen both sockets go", func() bool { return w.slack.Sockets() == 0 })
}

// A disconnect of either socket, for each of Slack's reasons, an abrupt cut and
// a half-open socket lose nothing: the other one takes over, both come back,
// and the rotation goes on to its end (R83).
func TestSocketTroubleMidRotation(t *testing.T) {
	t.Parallel()
	type trouble struct {
		name string
		make func(w *slacksim.Workspace) (hit int)
	}
	// Slack goes on to use dead sockets for a while, and people have to try again
	// then; so this comes last only.
	const halfOpen = "half-open"
	var tests []trouble
	for _, reason := range []slacksim.DisconnectReason{slacksim.Warning, slacksim.RefreshRequested, slacksim.LinkDisabled, slacksim.TooManyWebsockets} {
		tests = append(tests,
			trouble{string(reason) + ", one", func(w *slacksim.Workspace) int { return w.DisconnectOne(reason) }},
			trouble{string(reason) + ", both", func(w *slacksim.Workspace) int { return w.Disconnect(reason) }})
	}
	tests = append(tests,
		trouble{"cut", func(w *slacksim.Workspace) int { return w.CutSockets() }},
		trouble{halfOpen, func(w *slacksim.Workspace) int { return w.HalfOpen() }})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, slacksim.Config{PingEvery: soon, DisconnectGrace: time.Millisecond})
			if tt.name == halfOpen {
				w.times.Ping = 20 * soon
			}
			w.start()
			again := func() {
				before := w.slack.Connections()
				hit := tt.make(w.slack)
				w.until("each socket is replaced", func() bool { return w.slack.Connections() >= before+hit && w.slack.Sockets() == 2 })
				w.connected()
			}
			if tt.name != halfOpen {
				again()
			}
			id := w.atStepTwo()
			if tt.name != halfOpen {
				again()
			}
			release := w.shop.holdVault()
			pair := w.shop.click("NEW1")
			if got := w.paste(pair); len(got.Errors) > 0 {
				t.Fatalf("the pair is not accepted: %v", got.Errors)
			}
			again()
			release()
			w.see(ada, "Rotated")
			w.completed(id)
			w.message("rotated. The new pair works")
			if n := w.shop.wrote(); n != 1 {
				t.Errorf("the vault was written %d times, want once", n)
			}
			if p := w.slack.Problems(); len(p) > 0 {
				t.Errorf("Slack notes %q", p)
			}
		})
	}
}

// While one socket goes and comes, the other serves people: nobody sees an
// error. Each is hit in turn.
func TestOneSocketIsEnough(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacksim.Config{DisconnectGrace: time.Millisecond})
	w.start()
	for i, reason := range []slacksim.DisconnectReason{slacksim.Warning, slacksim.RefreshRequested, slacksim.RefreshRequested, slacksim.TooManyWebsockets} {
		before := w.slack.Connections()
		w.slack.DisconnectOne(reason) // the oldest: the other one each time
		if reason != slacksim.Warning {
			if got := w.command("help"); got.Err != "" || got.Reply == nil {
				t.Errorf("command after disconnect %d (%s) = %+v, want help", i+1, reason, got)
			}
		}
		w.until("the socket is back", func() bool { return w.slack.Connections() == before+1 && w.slack.Sockets() == 2 })
		w.connected()
	}
}

// A server that ends every connection at once is asked less and less often,
// never in a storm; and the bot comes back by itself.
func TestHotLoopIsBounded(t *testing.T) {
	t.Parallel()
	for _, reason := range []slacksim.DisconnectReason{slacksim.RefreshRequested, slacksim.TooManyWebsockets} {
		t.Run(string(reason), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, slacksim.Config{DisconnectGrace: time.Second})
			w.times.Open, w.times.OpenMax = 10*time.Millisecond, 160*time.Millisecond
			const refused = 6
			w.slack.DisconnectNext(refused, reason)
			w.launch()
			w.until("connected", w.bot.Connected)
			var at []time.Time
			for _, c := range w.slack.Calls() {
				if c.Path == openCall {
					at = append(at, c.At)
				}
			}
			if len(at) < refused+1 {
				t.Fatalf("%d requests for a socket, want %d or more", len(at), refused+1)
			}
			for i, least := range []time.Duration{20, 40, 80, 160, 160, 160} { // ms
				if gap := at[i+1].Sub(at[i]); gap < (least-5)*time.Millisecond {
					t.Errorf("gap %d between requests is %s, want %s or more", i+1, gap, least*time.Millisecond)
				}
			}
		})
	}
}

// Where Slack limits the requests for sockets, the bot waits as long as it is
// told to.
func TestOpenIsRateLimited(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacksim.Config{})
	w.slack.RateLimit("apps.connections.open", 1, time.Second)
	w.launch()
	w.until("connected", w.bot.Connected)
	var at []time.Time
	for _, c := range w.slack.Calls() {
		if c.Path == openCall {
			at = append(at, c.At)
		}
	}
	if len(at) < 2 || at[1].Sub(at[0]) < time.Second-10*time.Millisecond {
		t.Errorf("requests at %v, want a second between the first two", at)
	}
}

// A refusal that only a person can mend stops the Slack part alone: it is told
// once, the engine goes on, and the bot is back when it is mended.
func TestSlackRefusesTheBot(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"invalid_auth", "account_inactive", "not_authed", "token_revoked", "link_disabled", "missing_scope"} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, slacksim.Config{})
			w.slack.FailMethod("apps.connections.open", 0, code)
			w.launch()
			w.until("the sockets were tried again", func() bool { return w.slack.Count("", openCall) >= 3 })
			if w.bot.Connected() {
				t.Error("Connected() = true, want false")
			}
			if err := w.alarm(); fault.ReasonOf(err) != code || fault.KindOf(err) != fault.Denied || fault.UserText(err) == "" {
				t.Errorf("alarm %v (%s), want a denial with reason %s", err, fault.ReasonOf(err), code)
			}
			if _, fresh, err := w.engine.Start(t.Context(), rotation.Actor{ID: ada}, "prod"); err != nil || !fresh {
				t.Errorf("Start while Slack refuses = %t, %v, want a new rotation", fresh, err)
			}
			w.slack.FailMethod("apps.connections.open", -1, "")
			w.connected()
			if n := strings.Count(w.log.String(), `"msg":"slack refuses the bot"`); n != 1 || len(w.alarms) > 0 {
				t.Errorf("the refusal was logged %d times, and %d more alarms rang; want once and none", n, len(w.alarms))
			}
		})
	}
}

// The bot's own token can be refused while sockets are up. That is one alarm
// too, and the bot does not count as connected.
func TestTokenIsRevokedWhileConnected(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacksim.Config{})
	w.start()
	w.slack.FailAuth("token_revoked")
	w.until("not connected", func() bool { return !w.bot.Connected() })
	if err := w.alarm(); fault.ReasonOf(err) != "token_revoked" {
		t.Errorf("alarm %v, want token_revoked", err)
	}
	w.slack.FailAuth("")
	w.connected()
	if len(w.alarms) > 0 {
		t.Errorf("another alarm: %v", <-w.alarms)
	}
}

// The bot starts without Slack, does its work, and stops at once.
func TestStartsWithoutSlack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacksim.Config{})
	clear := w.slack.Inject(simhttp.Fault{Cut: true})
	w.times.First = soon
	w.launch()
	if _, fresh, err := w.engine.Start(t.Context(), rotation.Actor{ID: ada}, "prod"); err != nil || !fresh {
		t.Errorf("Start without Slack = %t, %v, want a new rotation", fresh, err)
	}
	w.until("a socket was tried", func() bool { return w.slack.Count("", openCall) >= 2 })
	if w.bot.Connected() {
		t.Error("Connected() = true without Slack")
	}
	w.stop()
	clear()
	w.start()
	w.message("step 1 of 8")
}

// An installation for a whole organisation is refused at start, with that
// reason, and nobody is let in.
func TestOrgWideInstallIsRefused(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]map[string]any{
		"by its flag": {"ok": true, "team_id": "T0RAXX", "user_id": "U0KEYTURN", "enterprise_id": "E0RAXX", "is_enterprise_install": true},
		"by its team": {"ok": true, "team_id": "E0RAXX", "user_id": "U0KEYTURN", "enterprise_id": "E0RAXX"},
		"no team":     {"ok": true, "user_id": "U0KEYTURN"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, slacksim.Config{})
			text, _ := json.Marshal(body)
			clear := w.slack.Inject(simhttp.Fault{Path: "/api/auth.test", Status: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: string(text)})
			w.times.First = patience // it is known before a socket is opened
			w.launch()
			err := w.alarm()
			if fault.ReasonOf(err) != "org_wide_install" || !strings.Contains(fault.UserText(err), "whole organisation") {
				t.Errorf("alarm %v, want org_wide_install", err)
			}
			w.until("it is looked at again", func() bool { return w.slack.Count("", "/api/auth.test") >= 3 })
			if n := w.slack.Count("", openCall); n != 0 || w.bot.Connected() {
				t.Errorf("%d sockets were asked for, connected %t; want none", n, w.bot.Connected())
			}
			clear()
			w.connected()
		})
	}
}

// alarm waits for the next alarm.
func (w *world) alarm() error {
	w.t.Helper()
	select {
	case err := <-w.alarms:
		return err
	case <-time.After(patience):
		w.t.Fatalf("no alarm; log:\n%s", w.log)
		return nil
	}
}

// A slowStore makes each commit slow.
type slowStore struct {
	rotation.Store
	mu    sync.Mutex
	delay time.Duration
}

func (s *slowStore) Txn(ctx context.Context, conds []rotation.Cond, then []rotation.Op) (rotation.Rev, error) {
	s.mu.Lock()
	delay := s.delay
	s.mu.Unlock()
	time.Sleep(delay)
	return s.Store.Txn(ctx, conds, then)
}

func (s *slowStore) set(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delay = d
}

// SIGTERM in the middle of a key submission: it is committed and answered
// before the sockets close, and the next bot goes on with it.
func TestStopFinishesAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacksim.Config{})
	slow := &slowStore{Store: w.store}
	w.wrap = func(rotation.Store) rotation.Store { return slow }
	w.times.Answers = patience
	w.start()
	id := w.atStepTwo()
	pair := w.shop.click("NEW1")
	slow.set(150 * time.Millisecond)
	sent := len(w.slack.Sent())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		w.until("the pair is on its way", func() bool {
			for _, e := range w.slack.Sent()[sent:] {
				if e.Method == "view_submission" {
					return true
				}
			}
			return false
		})
		w.until("it is being handled", func() bool { return len(w.bot.workers) > 0 })
		w.stop()
	}()
	ctx, cancel := w.ctx()
	defer cancel()
	for field, text := range map[string]string{"Key ID": pair.KeyID.Reveal(), "Secret key": pair.Secret.Reveal()} {
		if err := w.slack.Type(ctx, ada, field, text); err != nil {
			t.Fatal(err)
		}
	}
	got, err := w.slack.Submit(ctx, ada)
	if err != nil || got.Trouble != "" || len(got.Errors) > 0 {
		t.Errorf("submission while the bot stops = %+v, %v, want it accepted", got, err)
	}
	w.see(ada, "sealed")
	<-stopped
	slow.set(0)
	w.start()
	w.completed(id)
	if p := w.slack.Problems(); len(p) > 0 {
		t.Errorf("Slack notes %q", p)
	}
}

// The socket is cut while a key submission is handled: the answer is lost, the
// pair is not. It is sealed, the screen shows it, and nobody has to paste again.
func TestCutWhileThePairIsSealed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacksim.Config{AckDeadline: 20 * soon})
	slow := &slowStore{Store: w.store}
	w.wrap = func(rotation.Store) rotation.Store { return slow }
	w.start()
	id := w.atStepTwo()
	pair := w.shop.click("NEW1")
	ctx, cancel := w.ctx()
	defer cancel()
	for field, text := range map[string]string{"Key ID": pair.KeyID.Reveal(), "Secret key": pair.Secret.Reveal()} {
		if err := w.slack.Type(ctx, ada, field, text); err != nil {
			t.Fatal(err)
		}
	}
	slow.set(5 * soon)
	cut := make(chan struct{})
	go func() {
		defer close(cut)
		w.until("the pair is being handled", func() bool { return len(w.bot.workers) > 0 })
		w.slack.CutSockets()
	}()
	if got, err := w.slack.Submit(ctx, ada); err != nil || got.Trouble == "" && !got.Closed && len(got.Errors) > 0 {
		t.Errorf("submission = %+v, %v", got, err)
	}
	<-cut
	slow.set(0)
	w.see(ada, "Rotated")
	w.completed(id)
	if n := len(w.rows("sealed")); n != 1 {
		t.Errorf("%d pairs were sealed, want one", n)
	}
	if p := w.slack.Problems(); len(p) > 0 { // no answer went out on a socket that it did not belong to
		t.Errorf("Slack notes %q", p)
	}
}

// What came before a socket ended is done, although it cannot be answered.
func TestEnvelopeOfADeadSocketIsHandled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacksim.Config{})
	w.start()
	over := make(chan struct{})
	close(over)
	c := &connection{client: socketmode.New(w.bot.api), over: over}
	c.client.Events <- event("", socketmode.EventTypeHello, nil)
	c.client.Events <- event("env-1", socketmode.EventTypeSlashCommand, slack.SlashCommand{UserID: ada, TeamID: "T0RAXX", ChannelID: opsChannel, Text: "prod"})
	w.bot.lines.rest(t.Context(), t.Context(), c)
	w.active()
	c.unanswered.Wait()
	w.until("the handler is done", func() bool { return len(w.bot.workers) == 0 })
}

// Ten sockets of other programs fill the app's share: the bot waits calmly for
// room.
func TestNoRoomForSockets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacksim.Config{})
	w.slack.DisconnectNext(3, slacksim.TooManyWebsockets)
	w.launch()
	w.connected()
	if n := w.slack.Count("", openCall); n != 5 {
		t.Errorf("%d requests for a socket, want 5: three refused, two good", n)
	}
	if s := fmt.Sprint(w.slack.Problems()); s != "[]" {
		t.Errorf("Slack notes %s", s)
	}
}
