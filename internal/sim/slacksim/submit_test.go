package slacksim_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

// submit submits ada's modal and acknowledges with payload (nil for none).
func (d *desk) submit(t testing.TB, payload any) (slacksim.SubmitResult, object) {
	t.Helper()
	type outcome struct {
		res slacksim.SubmitResult
		err error
	}
	done := make(chan outcome, 1)
	ctx := soon(t)
	go func() {
		res, err := d.Submit(ctx, ada)
		done <- outcome{res, err}
	}()
	e := d.wire.want(t, "interactive")
	d.wire.ack(t, e, payload)
	o := <-done
	if o.err != nil {
		t.Fatalf("Submit: %v", o.err)
	}
	p, _ := e["payload"].(object)
	return o.res, p
}

func TestSubmitAnswers(t *testing.T) {
	good := modal("Next", text("y"))
	long := modal(strings.Repeat("x", 25), text("y"))
	taken := modal("Next", text("y"))
	taken.ExternalID = "taken"
	trouble := slacksim.SubmitResult{Trouble: slacksim.Trouble}
	tests := []struct {
		name   string
		answer any
		want   slacksim.SubmitResult
		title  string // of the modal afterwards, "" for none
		depth  int
	}{
		{"empty ack", nil, slacksim.SubmitResult{Closed: true}, "Other", 1},
		{"empty payload", object{}, slacksim.SubmitResult{Closed: true}, "Other", 1},
		{"clear", slack.NewClearViewSubmissionResponse(), slacksim.SubmitResult{Closed: true}, "Other", 1},
		{"update", slack.NewUpdateViewSubmissionResponse(&good), slacksim.SubmitResult{}, "Next", 1},
		{"push", slack.NewPushViewSubmissionResponse(&good), slacksim.SubmitResult{}, "Next", 2},
		{"errors", slack.NewErrorsViewSubmissionResponse(map[string]string{"key": "No."}), slacksim.SubmitResult{Errors: map[string]string{"key": "No."}}, "First", 1},
		{"errors for no input block", slack.NewErrorsViewSubmissionResponse(map[string]string{"note": "No."}), trouble, "First", 1},
		{"errors for an unknown block", slack.NewErrorsViewSubmissionResponse(map[string]string{"key": "No.", "x": "No."}), trouble, "First", 1},
		{"no errors", slack.NewErrorsViewSubmissionResponse(map[string]string{}), trouble, "First", 1},
		{"unknown action", object{"response_action": "close"}, trouble, "First", 1},
		{"a message", object{"text": "hello"}, trouble, "First", 1},
		{"update with a bad view", slack.NewUpdateViewSubmissionResponse(&long), trouble, "First", 1},
		{"update without a view", object{"response_action": "update"}, trouble, "First", 1},
		{"push with a used external_id", slack.NewPushViewSubmissionResponse(&taken), trouble, "First", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newDesk(t, slacksim.Config{})
			other := modal("Other", text("x"))
			other.ExternalID = "taken"
			d.open(t, other)
			d.open(t, modal("First", slack.NewSectionBlock(mrkdwn("x"), nil, nil, slack.SectionBlockOptionBlockID("note")), field("key", "Key")))
			if err := d.Type(soon(t), ada, "Key", "PK1"); err != nil {
				t.Fatal(err)
			}
			got, payload := d.submit(t, tt.answer)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
			if v := in(payload, "view", "state", "values", "key", "text_v1", "value"); v != "PK1" {
				t.Errorf("submitted value = %v, want PK1", v)
			}
			v, _ := d.Modal(ada)
			if v.Title != tt.title || v.Depth != tt.depth {
				t.Errorf("in front: %q at depth %d, want %q at %d", v.Title, v.Depth, tt.title, tt.depth)
			}
			if in, _ := v.Input("Key"); tt.title == "First" && in.Text != "PK1" {
				t.Errorf("field = %q, want what was typed to stay", in.Text)
			}
			if (len(d.Problems()) > 0) != (tt.want.Trouble != "") {
				t.Errorf("problems = %q", d.Problems())
			}
			if tt.want.Trouble != "" && !strings.Contains(v.Text(), slacksim.Trouble) {
				t.Errorf("screen does not show the trouble: %q", v.Text())
			}
		})
	}
}

func TestSubmitClearsTheStack(t *testing.T) {
	d := newDesk(t, slacksim.Config{})
	d.open(t, modal("One", text("x")))
	next := modal("Two", text("y"))
	d.submit(t, slack.NewPushViewSubmissionResponse(&next))
	d.submit(t, slack.NewPushViewSubmissionResponse(&next))
	if res, _ := d.submit(t, slack.NewPushViewSubmissionResponse(&next)); res.Trouble == "" {
		t.Error("fourth view by ack: want trouble")
	}
	if res, _ := d.submit(t, nil); !res.Closed {
		t.Errorf("empty ack = %+v", res)
	}
	if v, _ := d.Modal(ada); v.Depth != 2 {
		t.Errorf("depth = %d, want 2: the view below shows", v.Depth)
	}
	d.submit(t, slack.NewClearViewSubmissionResponse())
	if _, open := d.Modal(ada); open {
		t.Error("modal is open after clear")
	}
}

func TestSubmitWithoutAnswer(t *testing.T) {
	d := newDesk(t, slacksim.Config{AckDeadline: 30 * time.Millisecond})
	d.open(t, modal("One", field("key", "Key")))
	ctx := soon(t)
	if err := d.Type(ctx, ada, "Key", "x"); err != nil {
		t.Fatal(err)
	}
	done := make(chan slacksim.SubmitResult, 1)
	go func() {
		res, _ := d.Submit(ctx, ada)
		done <- res
	}()
	d.wire.want(t, "interactive")
	if _, err := d.Submit(ctx, ada); !errors.Is(err, slacksim.ErrBusy) {
		t.Errorf("second press while it is sent = %v, want ErrBusy", err)
	}
	if res := <-done; res.Trouble != slacksim.Trouble {
		t.Errorf("result = %+v, want trouble", res)
	}
	if v, _ := d.Modal(ada); v.Inputs[0].Text != "x" || v.Busy {
		t.Errorf("view = %+v, want it open with what was typed", v.Inputs)
	}
}

func TestClientChecksFirst(t *testing.T) {
	d := newDesk(t, slacksim.Config{})
	e := slack.NewPlainTextInputBlockElement(nil, "a")
	e.MinLength, e.MaxLength = 3, 5
	d.open(t, modal("One", slack.NewInputBlock("n", plain("Name"), nil, e), slack.NewInputBlock("o", plain("Other"), nil, slack.NewPlainTextInputBlockElement(nil, "b")).WithOptional(true)))
	ctx := soon(t)
	for _, typed := range []string{"", "ab", "abcdef"} {
		if err := d.Type(ctx, ada, "Name", typed); err != nil {
			t.Fatal(err)
		}
		res, err := d.Submit(ctx, ada)
		if err != nil || !res.Local || res.Errors["n"] == "" || len(res.Errors) != 1 {
			t.Errorf("Submit with %q = %+v, %v; want an error of the client", typed, res, err)
		}
	}
	if err := d.Type(ctx, ada, "Name", "ab\ncd"); err != nil {
		t.Fatal(err)
	}
	if _, p := d.submit(t, nil); in(p, "view", "state", "values", "n", "a", "value") != "abcd" || in(p, "view", "state", "values", "o", "b", "value") != nil {
		t.Errorf("state = %v", in(p, "view", "state"))
	}
}

func TestChoices(t *testing.T) {
	d := newDesk(t, slacksim.Config{})
	opt := func(v string) *slack.OptionBlockObject {
		return slack.NewOptionBlockObject(v, plain("The "+v), nil)
	}
	ticks := slack.NewCheckboxGroupsBlockElement("c", opt("a"), opt("b"), opt("x"))
	ticks.InitialOptions = []*slack.OptionBlockObject{opt("x")}
	d.open(t, modal("One",
		slack.NewInputBlock("checks", plain("Checks"), nil, ticks),
		slack.NewInputBlock("pick", plain("Pick"), nil, slack.NewOptionsSelectBlockElement(slack.OptTypeStatic, nil, "s", opt("a"), opt("b"))),
		slack.NewInputBlock("radio", plain("Radio"), nil, slack.NewRadioButtonsBlockElement("r", opt("yes"), opt("no"))),
		buttons("live", slack.NewRadioButtonsBlockElement("now_v1", opt("on"), opt("off"))),
	))
	ctx := soon(t)
	steps := []error{
		d.Check(ctx, ada, "Checks", "The a", "b"), d.Uncheck(ctx, ada, "Checks", "x"),
		d.Select(ctx, ada, "Pick", "The b"), d.Select(ctx, ada, "Radio", "no"),
	}
	if err := errors.Join(steps...); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"unknown option": d.Select(ctx, ada, "Pick", "zzz"), "two of one": d.Select(ctx, ada, "Pick", "a", "b"),
		"type into a select": d.Type(ctx, ada, "Pick", "a"), "unknown field": d.Select(ctx, ada, "Nope", "a"),
	} {
		if err == nil {
			t.Errorf("%s: want an error", name)
		}
	}
	done := make(chan error, 1)
	go func() { done <- d.Select(ctx, ada, "now_v1", "on") }()
	e := d.wire.want(t, "interactive")
	d.wire.ack(t, e, nil)
	if err := <-done; err != nil || in(e, "payload", "type") != "block_actions" {
		t.Errorf("an element outside an input block sends block_actions at once: %v, %v", e, err)
	}
	v, _ := d.Modal(ada)
	if !strings.Contains(v.Text(), "Checks: (x) The a (x) The b ( ) The x") {
		t.Errorf("screen = %q", v.Text())
	}
	_, p := d.submit(t, nil)
	values, _ := in(p, "view", "state", "values").(object)
	want := object{
		"checks": []any{"a", "b"}, "pick": "b", "radio": "no", "live": "on",
	}
	got := object{
		"pick": in(values, "pick", "s", "selected_option", "value"), "radio": in(values, "radio", "r", "selected_option", "value"),
		"live": in(values, "live", "now_v1", "selected_option", "value"),
	}
	list, _ := in(values, "checks", "c", "selected_options").([]any)
	var ticked []any
	for _, o := range list {
		ticked = append(ticked, in(o, "value"))
	}
	got["checks"] = ticked
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
}

func TestClose(t *testing.T) {
	tests := []struct {
		name          string
		root, top     func(*slack.ModalViewRequest)
		all           bool
		wantClosed    string // title of the view in view_closed, "" for none
		wantCleared   bool
		wantLeftDepth int
	}{
		{name: "nobody wants to know", wantLeftDepth: 1},
		{name: "cancel", top: notify, wantClosed: "Top", wantLeftDepth: 1},
		{name: "X tells of the root", root: notify, all: true, wantClosed: "Root", wantCleared: true},
		{name: "X, only the top wants to know", top: notify, all: true},
		{name: "clear_on_close", root: notify, top: func(v *slack.ModalViewRequest) { v.ClearOnClose = true }, wantClosed: "Root", wantCleared: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newDesk(t, slacksim.Config{})
			root, top := more("Root"), more("Top")
			if tt.root != nil {
				tt.root(&root)
			}
			if tt.top != nil {
				tt.top(&top)
			}
			d.open(t, root)
			trigger, _ := d.press(t, "More")["trigger_id"].(string)
			if _, err := d.api.PushViewContext(t.Context(), trigger, top); err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			ctx := soon(t)
			go func() { done <- d.CloseModal(ctx, ada, tt.all) }()
			if tt.wantClosed != "" {
				e := d.wire.want(t, "interactive")
				d.wire.ack(t, e, nil)
				if in(e, "payload", "type") != "view_closed" || in(e, "payload", "view", "title", "text") != tt.wantClosed || in(e, "payload", "is_cleared") != tt.wantCleared {
					t.Errorf("frame = %v", e)
				}
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if o := d.wire.next(20 * time.Millisecond); o != nil {
				t.Errorf("frame = %v, want no more", o)
			}
			if v, _ := d.Modal(ada); v.Depth != tt.wantLeftDepth {
				t.Errorf("depth = %d, want %d", v.Depth, tt.wantLeftDepth)
			}
		})
	}
}

func notify(v *slack.ModalViewRequest) { v.NotifyOnClose = true }

// TestSecretIsInSubmissionOnly pins what the journal is for: what a person
// types reaches the bot in one frame, and only the bot can put it anywhere else.
func TestSecretIsInSubmissionOnly(t *testing.T) {
	const secret = "s3cret/+=\"value"
	d := newDesk(t, slacksim.Config{})
	v := d.open(t, modal("One", field("key", "Secret key")))
	if err := d.Type(soon(t), ada, "Secret key", secret); err != nil {
		t.Fatal(err)
	}
	next := modal("Two", text("sealed"))
	d.submit(t, slack.NewUpdateViewSubmissionResponse(&next))
	if got := d.Find(secret); len(got) != 0 {
		t.Errorf("journal holds the secret %d times, want none: %s", len(got), got[0].Method)
	}
	var kinds []string
	for _, e := range d.Sent() {
		if strings.Contains(string(e.Raw), `s3cret/+=\"value`) {
			kinds = append(kinds, e.Method)
		}
	}
	if diff := cmp.Diff([]string{"view_submission"}, kinds); diff != "" {
		t.Errorf("frames with the secret (-want +got):\n%s", diff)
	}
	if r, err := d.api.UpdateViewContext(t.Context(), modal("Two", text("x")), "", "", v.ID); err != nil || len(r.State.Values) != 0 {
		t.Errorf("state of a view without inputs = %+v, %v; want none", r.State, err)
	}
	form(t, d.Workspace, "chat.postMessage", "channel", ops, "text", "leak: "+secret)
	if got := d.Find(secret); len(got) != 1 || got[0].Method != "chat.postMessage" {
		t.Errorf("Find after a leak = %d entries, want the post", len(got))
	}
}

func TestCommandsThatCannotBe(t *testing.T) {
	d := newDesk(t, slacksim.Config{})
	ctx := soon(t)
	if res, err := d.Command(ctx, ada, ops, "/other", ""); err != nil || res.Err != "/other is not a valid command." {
		t.Errorf("unregistered command = %+v, %v", res, err)
	}
	if res, err := d.Command(ctx, ext, shared, "/rotate-alpaca-paper", ""); err != nil || res.Err == "" {
		t.Errorf("command of an external person = %+v, %v; commands are not shared", res, err)
	}
	d.AddUser(slacksim.User{ID: "U0GONE", Deleted: true})
	for _, who := range []string{bob, "U0GONE", "U0NONE", d.Config().BotUserID} {
		if _, err := d.Command(ctx, who, ops, "/rotate-alpaca-paper", ""); err == nil {
			t.Errorf("command of %s in a channel they cannot use: want an error", who)
		}
	}
	got := command(t, d.Workspace)
	d.wire.ack(t, d.wire.want(t, "slash_commands"), object{"blocks": []object{{"type": "nope"}}})
	if res := <-got; !strings.Contains(res.Err, "invalid_command_response") {
		t.Errorf("bad message in the ack = %+v", res)
	}
	got = command(t, d.Workspace)
	d.wire.ack(t, d.wire.want(t, "slash_commands"), object{"text": "all see it", "response_type": "in_channel"})
	if res := <-got; res.Reply == nil || res.Reply.EphemeralFor != "" {
		t.Errorf("in_channel answer = %+v", res)
	}
}
