package slacksim_test

import (
	"errors"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

func TestNobodyHasAView(t *testing.T) {
	w := workspace(t, slacksim.Config{})
	ctx := soon(t)
	_, submit := w.Submit(ctx, ada)
	_, press := w.Press(ctx, ada, "X")
	_, home := w.PressHome(ctx, ada, "X")
	for name, err := range map[string]error{
		"Submit": submit, "Press": press, "PressHome": home, "Type": w.Type(ctx, ada, "f", "x"), "CloseModal": w.CloseModal(ctx, ada, false),
	} {
		if !errors.Is(err, slacksim.ErrNoModal) {
			t.Errorf("%s = %v, want ErrNoModal", name, err)
		}
	}
	if _, ok := w.Home(ada); ok {
		t.Error("ada has a home tab before it was published")
	}
}

// TestWaits checks that what waits is woken by the change itself.
func TestWaits(t *testing.T) {
	d := newDesk(t, slacksim.Config{})
	ctx := soon(t)
	home := make(chan slacksim.View, 1)
	go func() {
		v, _ := d.WaitHome(ctx, ada, func(v slacksim.View) bool { return strings.Contains(v.Text(), "two") })
		home <- v
	}()
	for _, s := range []string{"one", "two"} {
		changed := d.Changed()
		view := slack.HomeTabViewRequest{Type: slack.VTHomeTab, Blocks: slack.Blocks{BlockSet: []slack.Block{text(s)}}}
		if _, err := d.api.PublishViewContext(ctx, slack.PublishViewContextRequest{UserID: ada, View: view}); err != nil {
			t.Fatal(err)
		}
		<-changed
	}
	if v := <-home; v.Text() != "two" {
		t.Errorf("WaitHome = %q, want two", v.Text())
	}
	d.open(t, modal("A", text("x")))
	closed := make(chan error, 1)
	go func() { closed <- d.WaitClosed(ctx, ada) }()
	if err := d.CloseModal(ctx, ada, false); err != nil {
		t.Fatal(err)
	}
	if err := <-closed; err != nil {
		t.Errorf("WaitClosed = %v", err)
	}
	waiting := make(chan error, 1)
	go func() {
		_, err := d.WaitMessage(ctx, ops, func(slacksim.Message) bool { return false })
		waiting <- err
	}()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-waiting; !errors.Is(err, slacksim.ErrClosed) {
		t.Errorf("WaitMessage after Close = %v, want ErrClosed", err)
	}
}

// TestWaitsMayAsk: what a caller waits for with may look at the workspace, and
// wait for somebody who calls it, without standing in anybody's way.
func TestWaitsMayAsk(t *testing.T) {
	d := newDesk(t, slacksim.Config{})
	ctx := soon(t)
	d.open(t, modal("A", text("x")))
	home := slack.HomeTabViewRequest{Type: slack.VTHomeTab, Blocks: slack.Blocks{BlockSet: []slack.Block{text("home")}}}
	if _, err := d.api.PublishViewContext(ctx, slack.PublishViewContextRequest{UserID: ada, View: home}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.api.PostMessageContext(ctx, ops, slack.MsgOptionText("hello", false)); err != nil {
		t.Fatal(err)
	}
	ask := func() bool {
		_, _ = d.Modal(ada)
		_, err := d.api.AuthTestContext(ctx) // somebody else's call, which needs the workspace too
		return err == nil && len(d.Messages(ops)) == 1
	}
	for name, wait := range map[string]func() error{
		"WaitModal": func() error { _, err := d.WaitModal(ctx, ada, func(slacksim.View) bool { return ask() }); return err },
		"WaitHome":  func() error { _, err := d.WaitHome(ctx, ada, func(slacksim.View) bool { return ask() }); return err },
		"WaitMessage": func() error {
			_, err := d.WaitMessage(ctx, ops, func(slacksim.Message) bool { return ask() })
			return err
		},
	} {
		done := make(chan error, 1)
		go func() { done <- wait() }()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("%s, asking the workspace = %v, want nil", name, err)
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("%s hangs when its caller asks the workspace", name)
		}
	}
}

// TestSetDeadlines: an envelope that nobody acknowledges fails after the time
// that was set last, and a trigger that is older than that opens nothing.
func TestSetDeadlines(t *testing.T) {
	w := workspace(t, slacksim.Config{AckDeadline: time.Hour, TriggerLife: time.Hour})
	connect(t, w, nil)
	w.SetDeadlines(10*time.Millisecond, time.Nanosecond)
	got, err := w.Command(soon(t), ada, ops, "/rotate-alpaca-paper", "")
	if err != nil || !strings.Contains(got.Err, "operation_timeout") {
		t.Errorf("Command that nobody acknowledges = %+v, %v, want operation_timeout", got, err)
	}
	trigger := regexp.MustCompile(`[0-9]+\.[0-9]+\.[0-9a-f]{32}`).FindString(string(w.Sent()[len(w.Sent())-1].Raw))
	if _, err := api(w).OpenViewContext(soon(t), trigger, modal("A", text("x"))); code(err) != "expired_trigger_id" {
		t.Errorf("views.open with %q = %v, want expired_trigger_id", trigger, err)
	}
}

// TestDispatchedTyping pins that a field which dispatches on every character
// sends what is typed, which a field for a secret must never do.
func TestDispatchedTyping(t *testing.T) {
	for _, on := range []string{"", "on_enter_pressed", "on_character_entered"} {
		d := newDesk(t, slacksim.Config{})
		element := object{"type": "plain_text_input", "action_id": "a"}
		if on != "" {
			element["dispatch_action_config"] = object{"trigger_actions_on": []string{on}}
		}
		view := object{"type": "modal", "title": object{"type": "plain_text", "text": "A"}, "submit": object{"type": "plain_text", "text": "S"}, "blocks": []object{
			{"type": "input", "dispatch_action": true, "label": object{"type": "plain_text", "text": "F"}, "element": element},
		}}
		if got := jsonCall(t, d.Workspace, "views.open", object{"trigger_id": d.trigger(t), "view": view}); got.err() != "" {
			t.Fatalf("views.open: %v", got.body)
		}
		done := make(chan error, 1)
		ctx := soon(t)
		go func() { done <- d.Type(ctx, ada, "F", "typed") }()
		if on == "on_character_entered" {
			e := d.wire.want(t, "interactive")
			d.wire.ack(t, e, nil)
			actions, _ := in(e, "payload", "actions").([]any)
			if in(actions[0], "value") != "typed" {
				t.Errorf("action = %v, want what was typed", actions)
			}
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if o := d.wire.next(20 * time.Millisecond); o != nil {
			t.Errorf("%q: frame = %v, want no more", on, o)
		}
	}
}

func TestListsAreCopies(t *testing.T) {
	w := workspace(t, slacksim.Config{})
	for _, c := range w.Channels() {
		for i := range c.Members {
			c.Members[i] = "U0CHANGED"
		}
	}
	if got := w.Channels()[0].Members[0]; got == "U0CHANGED" {
		t.Error("Channels() hands out its own slice")
	}
	users := w.Users()
	if len(users) != 4 || users[0].ID != ada {
		t.Errorf("Users() = %+v, want 4 ordered by id", users)
	}
}

func TestUnknownPathIsAProblem(t *testing.T) {
	w := workspace(t, slacksim.Config{})
	resp, err := http.Get(w.URL() + "/nowhere")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound || len(w.Problems()) != 1 {
		t.Errorf("status %d, problems %q; want 404 and a note", resp.StatusCode, w.Problems())
	}
}

func TestDisconnectOne(t *testing.T) {
	w := workspace(t, slacksim.Config{})
	first := dial(t, w)
	first.want(t, "hello")
	second := dial(t, w)
	second.want(t, "hello")
	if n := w.DisconnectOne(slacksim.RefreshRequested); n != 1 || w.Sockets() != 1 {
		t.Errorf("DisconnectOne = %d, sockets left %d; want 1 and 1", n, w.Sockets())
	}
	first.want(t, "disconnect")
	got := command(t, w)
	second.ack(t, second.want(t, "slash_commands"), nil) // the other one gets everything
	if res := <-got; res.Err != "" {
		t.Errorf("command = %+v", res)
	}
}

func TestPressNeedsAButton(t *testing.T) {
	d := newDesk(t, slacksim.Config{})
	v := d.open(t, more("A"))
	if _, err := d.Press(soon(t), ada, "Less"); err == nil || !strings.Contains(err.Error(), `"More"`) {
		t.Errorf("press of nothing = %v, want an error that lists the buttons", err)
	}
	seen, _ := d.Modal(ada)
	if b, ok := seen.Button("More"); !ok || b.ActionID != "more_v1" || seen.ID != v.ID {
		t.Errorf("Button = %+v, %v", b, ok)
	}
}
