package slacksim_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/slack-go/slack/socketmode"

	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

// command types the command in the background; the result comes on the channel.
func command(t testing.TB, w *slacksim.Workspace) <-chan slacksim.CommandResult {
	t.Helper()
	out := make(chan slacksim.CommandResult, 1)
	ctx := soon(t)
	go func() {
		res, err := w.Command(ctx, ada, ops, "/rotate-alpaca-paper", "prod")
		if err != nil {
			res.Err = "test: " + err.Error()
		}
		out <- res
	}()
	return out
}

func TestHello(t *testing.T) {
	w := workspace(t, slacksim.Config{})
	dial(t, w).want(t, "hello")
	hello := dial(t, w).want(t, "hello")
	if hello["num_connections"] != 2.0 || in(hello, "connection_info", "app_id") != w.Config().AppID || in(hello, "debug_info", "approximate_connection_time") == nil {
		t.Errorf("hello of the second socket = %v", hello)
	}
	if got := w.Sockets(); got != 2 {
		t.Errorf("Sockets() = %d, want 2", got)
	}
}

func TestTicketIsForOneConnection(t *testing.T) {
	w := workspace(t, slacksim.Config{})
	link, _ := post(t, w, "apps.connections.open", "application/json", w.Config().AppToken, "").body["url"].(string)
	for i, want := range []bool{true, false} {
		c, resp, err := websocket.DefaultDialer.DialContext(t.Context(), link, nil)
		if resp != nil {
			_ = resp.Body.Close()
		}
		if (err == nil) != want {
			t.Errorf("dial %d: %v, want success %v", i+1, err, want)
		}
		if err == nil {
			_ = c.Close()
		}
	}
}

func TestEnvelopes(t *testing.T) {
	w := workspace(t, slacksim.Config{})
	c := dial(t, w)
	c.want(t, "hello")

	got := command(t, w)
	e := c.want(t, "slash_commands")
	if e["accepts_response_payload"] != true || in(e, "payload", "user_id") != ada || in(e, "payload", "command") != "/rotate-alpaca-paper" {
		t.Errorf("command = %v", e)
	}
	c.ack(t, e, nil)
	if res := <-got; res.Err != "" || res.Reply != nil {
		t.Errorf("command with an empty ack = %+v, want nothing to see", res)
	}

	home := make(chan bool, 1)
	ctx := soon(t)
	go func() {
		ok, _ := w.OpenHome(ctx, ada)
		home <- ok
	}()
	e = c.want(t, "events_api")
	if e["accepts_response_payload"] != false || in(e, "payload", "event", "type") != "app_home_opened" || e["retry_attempt"] != nil {
		t.Errorf("event = %v", e)
	}
	if in(e, "payload", "event", "view") != nil {
		t.Error("app_home_opened has a view, but none was published")
	}
	c.ack(t, e, object{"text": "no"})
	if !<-home {
		t.Error("OpenHome = false, want true after the ack")
	}
	if got := strings.Join(w.Problems(), ";"); !strings.Contains(got, "must not") {
		t.Errorf("problems = %q, want the payload in an event's ack", got)
	}
}

func TestAckDeadline(t *testing.T) {
	w := workspace(t, slacksim.Config{AckDeadline: 30 * time.Millisecond})
	if res := <-command(t, w); !strings.Contains(res.Err, "dispatch_failed") {
		t.Errorf("command without a socket = %+v, want dispatch_failed", res)
	}
	c := dial(t, w)
	c.want(t, "hello")
	got := command(t, w)
	e := c.want(t, "slash_commands")
	if res := <-got; res.Err != `/rotate-alpaca-paper failed with the error "operation_timeout"` {
		t.Errorf("command without an ack = %+v", res)
	}
	c.ack(t, e, nil)
	eventually(t, "note of the late ack", func() bool { return strings.Contains(strings.Join(w.Problems(), ";"), "after the deadline") })
}

// TestAckAfterThePersonLeft: who stops waiting does not make the bot late.
func TestAckAfterThePersonLeft(t *testing.T) {
	w := workspace(t, slacksim.Config{AckDeadline: time.Minute})
	c := dial(t, w)
	c.want(t, "hello")
	ctx, leave := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, err := w.Command(ctx, ada, ops, "/rotate-alpaca-paper", "prod")
		gone <- err
	}()
	e := c.want(t, "slash_commands")
	leave()
	<-gone
	c.ack(t, e, nil)
	eventually(t, "the ack in the journal", func() bool {
		return slices.ContainsFunc(w.Journal(), func(e slacksim.Entry) bool { return e.Method == "ack" })
	})
	if got := w.Problems(); len(got) != 0 {
		t.Errorf("problems after an ack within its deadline = %q, want none", got)
	}
}

func TestBigAckIsLost(t *testing.T) {
	w := workspace(t, slacksim.Config{AckDeadline: 100 * time.Millisecond})
	c := dial(t, w)
	c.want(t, "hello")
	got := command(t, w)
	e := c.want(t, "slash_commands")
	c.ack(t, e, object{"text": strings.Repeat("x", 20480)})
	if err := <-c.closed; !websocket.IsCloseError(err, 1009) || !strings.Contains(err.Error(), "Max frame length of 20480 has been exceeded.") {
		t.Errorf("close = %v, want 1009 with Slack's words", err)
	}
	if res := <-got; !strings.Contains(res.Err, "operation_timeout") {
		t.Errorf("command = %+v, want operation_timeout", res)
	}
	for range 2 { // on every new connection
		c = dial(t, w)
		c.want(t, "hello")
		if again := c.want(t, "slash_commands"); again["envelope_id"] != e["envelope_id"] {
			t.Errorf("redelivered envelope = %v, want %v", again["envelope_id"], e["envelope_id"])
		}
	}
	c.ack(t, e, nil)
	eventually(t, "the good ack", func() bool {
		j := w.Journal()
		return j[len(j)-1].Method == "ack" && len(j[len(j)-1].Raw) < 1000
	})
	c = dial(t, w)
	c.want(t, "hello")
	if o := c.next(50 * time.Millisecond); o != nil {
		t.Errorf("frame after a good ack = %v, want none", o)
	}
}

func TestAckJustUnderTheLimitCounts(t *testing.T) {
	w := workspace(t, slacksim.Config{})
	c := dial(t, w)
	c.want(t, "hello")
	got := command(t, w)
	e := c.want(t, "slash_commands")
	id, _ := e["envelope_id"].(string)
	frame := `{"envelope_id":"` + id + `","payload":{"text":""}}`
	frame = strings.Replace(frame, `""`, `"`+strings.Repeat("x", 20479-len(frame))+`"`, 1)
	if err := c.WriteMessage(websocket.TextMessage, []byte(frame)); err != nil {
		t.Fatalf("write: %v", err)
	}
	if res := <-got; res.Err != "" || res.Reply == nil {
		t.Errorf("command with an ack of 20,479 bytes = %+v, want the reply", res)
	}
}

func TestServerPings(t *testing.T) {
	w := workspace(t, slacksim.Config{PingEvery: 5 * time.Millisecond})
	c := dial(t, w)
	c.want(t, "hello")
	for range 3 {
		<-c.pings
	}
	if n := w.HalfOpen(); n != 1 {
		t.Fatalf("HalfOpen() = %d, want 1", n)
	}
	for len(c.pings) > 0 {
		<-c.pings
	}
	quiet := time.After(60 * time.Millisecond)
	late := 0
	for waiting := true; waiting; {
		select {
		case <-c.pings:
			late++
		case <-quiet:
			waiting = false
		}
	}
	if late > 1 { // one may have been on its way
		t.Errorf("%d pings on a half-open socket, want none", late)
	}
	if got := w.Sockets(); got != 0 {
		t.Errorf("Sockets() = %d, want 0", got)
	}
}

func TestClientPingIsAnswered(t *testing.T) {
	w := workspace(t, slacksim.Config{})
	c := dial(t, w)
	c.want(t, "hello")
	if err := c.WriteControl(websocket.PingMessage, []byte("p1"), time.Now().Add(time.Second)); err != nil {
		t.Fatalf("ping: %v", err)
	}
	if got := <-c.pongs; got != "p1" {
		t.Errorf("pong = %q, want p1", got)
	}
}

func TestHalfOpenLosesEnvelopes(t *testing.T) {
	w := workspace(t, slacksim.Config{AckDeadline: 30 * time.Millisecond})
	c := dial(t, w)
	c.want(t, "hello")
	w.HalfOpen()
	if res := <-command(t, w); !strings.Contains(res.Err, "operation_timeout") {
		t.Errorf("command on a dead socket = %+v, want operation_timeout", res)
	}
	if o := c.next(10 * time.Millisecond); o != nil {
		t.Errorf("frame on a half-open socket = %v", o)
	}
}

func TestDisconnectReasons(t *testing.T) {
	for _, reason := range []slacksim.DisconnectReason{
		slacksim.Warning, slacksim.RefreshRequested, slacksim.LinkDisabled, slacksim.TooManyWebsockets,
	} {
		t.Run(string(reason), func(t *testing.T) {
			w := workspace(t, slacksim.Config{AckDeadline: 30 * time.Millisecond, DisconnectGrace: 20 * time.Millisecond})
			c := dial(t, w)
			c.want(t, "hello")
			if n := w.Disconnect(reason); n != 1 {
				t.Fatalf("Disconnect = %d, want 1", n)
			}
			if o := c.want(t, "disconnect"); o["reason"] != string(reason) {
				t.Errorf("frame = %v", o)
			}
			want := 0
			if reason == slacksim.Warning {
				want = 1
			}
			if got := w.Sockets(); got != want {
				t.Errorf("sockets after %s = %d, want %d", reason, got, want)
			}
			if err := <-c.closed; !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
				t.Errorf("end = %v, want a close frame", err)
			}
		})
	}
}

func TestSlackGoComesBack(t *testing.T) {
	tests := []struct {
		name string
		do   func(*slacksim.Workspace) int
	}{
		{"refresh", func(w *slacksim.Workspace) int { return w.Disconnect(slacksim.RefreshRequested) }},
		{"warning", func(w *slacksim.Workspace) int { return w.Disconnect(slacksim.Warning) }},
		{"cut", (*slacksim.Workspace).CutSockets},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := workspace(t, slacksim.Config{})
			connect(t, w, func(b *bot, e socketmode.Event) { b.Ack(*e.Request) })
			if n := tt.do(w); n != 1 {
				t.Fatalf("hit %d sockets, want 1", n)
			}
			eventually(t, "second hello", func() bool { return w.Connections() == 2 })
			if err := w.WaitSockets(soon(t), 1); err != nil {
				t.Fatalf("WaitSockets: %v", err)
			}
			if res := <-command(t, w); res.Err != "" {
				t.Errorf("command after the reconnect = %+v", res)
			}
		})
	}
}

func TestDisconnectNextDrivesReconnects(t *testing.T) {
	w := workspace(t, slacksim.Config{})
	w.DisconnectNext(5, slacksim.RefreshRequested)
	connect(t, w, nil) // waits for the first hello
	if got := w.Count("", "/api/apps.connections.open"); got != 6 {
		t.Errorf("apps.connections.open was called %d times, want 6", got)
	}
}

func TestSocketCap(t *testing.T) {
	w := workspace(t, slacksim.Config{})
	for range 10 {
		dial(t, w).want(t, "hello")
	}
	if o := dial(t, w).want(t, "disconnect"); o["reason"] != "too_many_websockets" {
		t.Errorf("eleventh socket got %v", o)
	}
	if got := w.Sockets(); got != 10 {
		t.Errorf("Sockets() = %d, want 10", got)
	}
}

func TestRoute(t *testing.T) {
	w := workspace(t, slacksim.Config{})
	first := dial(t, w)
	first.want(t, "hello")
	second := dial(t, w)
	second.want(t, "hello")
	for i, c := range []*wire{first, second} {
		w.Route(func(int) int { return i })
		got := command(t, w)
		c.ack(t, c.want(t, "slash_commands"), nil)
		<-got
	}
	w.Route(nil)
	seen := map[*wire]int{}
	for range 60 {
		got := command(t, w)
		select {
		case e := <-first.frames:
			seen[first]++
			first.ack(t, e, nil)
		case e := <-second.frames:
			seen[second]++
			second.ack(t, e, nil)
		}
		<-got
	}
	if seen[first] == 0 || seen[second] == 0 {
		t.Errorf("60 commands went %d:%d, want both sockets used", seen[first], seen[second])
	}
}

func TestDuplicate(t *testing.T) {
	w := workspace(t, slacksim.Config{})
	w.Duplicate(true)
	a := dial(t, w)
	a.want(t, "hello")
	got := command(t, w)
	e := a.want(t, "slash_commands")
	if again := a.want(t, "slash_commands"); again["envelope_id"] != e["envelope_id"] {
		t.Errorf("second copy = %v, want the same envelope", again)
	}
	a.ack(t, e, nil)
	a.ack(t, e, nil)
	<-got

	b := dial(t, w)
	b.want(t, "hello")
	got = command(t, w)
	onA, onB := a.want(t, "slash_commands"), b.want(t, "slash_commands")
	if onA["envelope_id"] != onB["envelope_id"] {
		t.Errorf("copies = %v and %v, want one envelope", onA, onB)
	}
	trigger, _ := in(onA, "payload", "trigger_id").(string)
	view := modal("A", text("x"))
	if _, err := api(w).OpenViewContext(t.Context(), trigger, view); err != nil {
		t.Errorf("views.open for the first copy: %v", err)
	}
	if _, err := api(w).OpenViewContext(t.Context(), trigger, view); code(err) != "exchanged_trigger_id" {
		t.Errorf("views.open for the second copy = %v, want exchanged_trigger_id", err)
	}
	b.ack(t, onB, nil)
	a.ack(t, onA, nil)
	if res := <-got; res.Err != "" {
		t.Errorf("command = %+v", res)
	}
	if got := w.Problems(); len(got) != 0 {
		t.Errorf("problems = %q, want none", got)
	}
}

func TestAckOnAnotherSocket(t *testing.T) {
	for _, anywhere := range []bool{false, true} {
		w := workspace(t, slacksim.Config{AckDeadline: 50 * time.Millisecond, AckAnywhere: anywhere})
		a := dial(t, w)
		a.want(t, "hello")
		w.Route(func(int) int { return 0 })
		b := dial(t, w)
		b.want(t, "hello")
		got := command(t, w)
		b.ack(t, a.want(t, "slash_commands"), nil)
		if res := <-got; (res.Err == "") != anywhere {
			t.Errorf("AckAnywhere %v: command = %+v", anywhere, res)
		}
	}
}

func TestEventsAreSentAgain(t *testing.T) {
	w := workspace(t, slacksim.Config{AckDeadline: 20 * time.Millisecond, EventRetries: []time.Duration{0, time.Millisecond}})
	c := dial(t, w)
	c.want(t, "hello")
	done := make(chan bool, 1)
	ctx := soon(t)
	go func() {
		ok, _ := w.OpenHome(ctx, ada)
		done <- ok
	}()
	first, second, third := c.want(t, "events_api"), c.want(t, "events_api"), c.want(t, "events_api")
	if second["retry_attempt"] != 1.0 || third["retry_attempt"] != 2.0 || second["retry_reason"] != "timeout" {
		t.Errorf("retries = %v, %v", second, third)
	}
	if a, b := in(first, "payload", "event_id"), in(third, "payload", "event_id"); a != b || a == nil {
		t.Errorf("event_id = %v then %v, want the same", a, b)
	}
	if first["envelope_id"] == second["envelope_id"] {
		t.Error("envelope_id is the same, want a new one for each attempt")
	}
	c.ack(t, third, nil)
	if !<-done {
		t.Error("OpenHome = false, want true")
	}
}

func TestUnreadableFrames(t *testing.T) {
	w := workspace(t, slacksim.Config{})
	c := dial(t, w)
	c.want(t, "hello")
	for _, frame := range []string{"not json", `{"type":"x"}`, `{"envelope_id":"none"}`} {
		if err := c.WriteMessage(websocket.TextMessage, []byte(frame)); err != nil {
			t.Fatalf("write: %v", err)
		}
	}
	eventually(t, "three notes", func() bool { return len(w.Problems()) == 3 })
}

// TestCloseHandshakeLeavesTCP pins that Slack, after a close handshake that the
// client began, waits for the client to close the connection.
func TestCloseHandshakeLeavesTCP(t *testing.T) {
	w := workspace(t, slacksim.Config{})
	c := dial(t, w)
	c.want(t, "hello")
	if err := c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""), time.Now().Add(time.Second)); err != nil {
		t.Fatalf("close frame: %v", err)
	}
	if err := <-c.closed; !websocket.IsCloseError(err, 1000) {
		t.Fatalf("answer = %v, want a close frame", err)
	}
	_ = c.NetConn().SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	_, err := c.NetConn().Read(make([]byte, 1))
	if nerr, ok := errors.AsType[net.Error](err); !ok || !nerr.Timeout() {
		t.Errorf("read after the handshake = %v, want the connection to stay open", err)
	}
}
