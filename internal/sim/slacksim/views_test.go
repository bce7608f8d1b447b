package slacksim_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

// A desk is a workspace with a raw socket that acknowledges commands and
// presses with nothing and hands out their triggers.
type desk struct {
	*slacksim.Workspace
	wire *wire
	api  *slack.Client
}

func newDesk(t testing.TB, cfg slacksim.Config) *desk {
	t.Helper()
	w := workspace(t, cfg)
	d := &desk{Workspace: w, wire: dial(t, w), api: api(w)}
	d.wire.want(t, "hello")
	return d
}

// trigger returns a fresh trigger_id of a command.
func (d *desk) trigger(t testing.TB) string {
	t.Helper()
	got := command(t, d.Workspace)
	e := d.wire.want(t, "slash_commands")
	d.wire.ack(t, e, nil)
	<-got
	s, _ := in(e, "payload", "trigger_id").(string)
	return s
}

// open opens a modal for ada and returns it.
func (d *desk) open(t testing.TB, v slack.ModalViewRequest) slack.View {
	t.Helper()
	r, err := d.api.OpenViewContext(t.Context(), d.trigger(t), v)
	if err != nil {
		t.Fatalf("views.open: %v", err)
	}
	return r.View
}

// press presses a button of the modal in front and returns its envelope's payload.
func (d *desk) press(t testing.TB, button string) object {
	t.Helper()
	done := make(chan error, 1)
	ctx := soon(t)
	go func() {
		_, err := d.Press(ctx, ada, button)
		done <- err
	}()
	e := d.wire.want(t, "interactive")
	d.wire.ack(t, e, nil)
	if err := <-done; err != nil {
		t.Fatalf("Press: %v", err)
	}
	p, _ := e["payload"].(object)
	return p
}

// more is a modal with a button whose trigger can push.
func more(title string) slack.ModalViewRequest {
	return modal(title, buttons("act", slack.NewButtonBlockElement("more_v1", "", plain("More"))))
}

func TestTriggers(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	ticks := make(chan time.Time, 1)
	ticks <- now
	d := newDesk(t, slacksim.Config{Now: func() time.Time {
		v := <-ticks
		ticks <- v
		return v
	}})
	pass := func(by time.Duration) {
		now = now.Add(by)
		<-ticks
		ticks <- now
	}
	open := func(trigger string) string {
		_, err := d.api.OpenViewContext(t.Context(), trigger, modal("A", text("x")))
		return code(err)
	}
	inTime := d.trigger(t)
	pass(3 * time.Second)
	if got := open(inTime); got != "" {
		t.Errorf("after 3.0 s = %q, want ok", got)
	}
	if got := open(inTime); got != "exchanged_trigger_id" {
		t.Errorf("second use = %q, want exchanged_trigger_id", got)
	}
	late := d.trigger(t)
	pass(3*time.Second + time.Millisecond)
	if got := open(late); got != "expired_trigger_id" {
		t.Errorf("after 3.001 s = %q, want expired_trigger_id", got)
	}
	for _, bad := range []string{"nonsense", "1.2.abcdef"} {
		if got := open(bad); got != "invalid_trigger_id" {
			t.Errorf("trigger %q = %q, want invalid_trigger_id", bad, got)
		}
	}
	if got := jsonCall(t, d.Workspace, "views.open", object{"view": object{"type": "modal", "title": object{"type": "plain_text", "text": "A"}, "blocks": []object{{"type": "divider"}}}}); got.err() != "invalid_arguments" {
		t.Errorf("no trigger = %v, want invalid_arguments", got.body)
	}
	good := d.trigger(t)
	if _, err := d.api.OpenViewContext(t.Context(), good, modal(strings.Repeat("x", 25), text("x"))); code(err) != "invalid_arguments" {
		t.Errorf("long title = %v, want invalid_arguments", err)
	} else if e, _ := errors.AsType[slack.SlackErrorResponse](err); e.ResponseMetadata.Messages[0] != "[ERROR] must be less than 25 characters [json-pointer:/view/title/text]" {
		t.Errorf("messages = %q", e.ResponseMetadata.Messages)
	}
	if got := open(good); got != "" {
		t.Errorf("after a refused view = %q, want ok: the trigger is not used up", got)
	}
}

func TestViewInAnswers(t *testing.T) {
	d := newDesk(t, slacksim.Config{})
	req := modal("A", text("x"), slack.NewSectionBlock(mrkdwn("y"), nil, slack.NewAccessory(slack.NewButtonBlockElement("", "v", plain("Go")))))
	req.PrivateMetadata, req.CallbackID, req.ExternalID, req.NotifyOnClose, req.ClearOnClose = "r1", "c_v1", "e1", true, true
	v := d.open(t, req)
	if v.ID == "" || v.Hash == "" || v.RootViewID != v.ID || v.PreviousViewID != "" || v.TeamID != d.Config().TeamID || v.AppID != d.Config().AppID || v.BotID != d.Config().BotID {
		t.Errorf("ids = %+v", v)
	}
	if v.PrivateMetadata != "r1" || v.CallbackID != "c_v1" || v.ExternalID != "e1" || !v.NotifyOnClose || !v.ClearOnClose {
		t.Errorf("fields = %+v", v)
	}
	section := v.Blocks.BlockSet[1].(*slack.SectionBlock)
	if v.Blocks.BlockSet[0].(*slack.SectionBlock).BlockID == "" || section.Accessory.ButtonElement.ActionID == "" {
		t.Error("missing ids were not generated")
	}
}

func TestStack(t *testing.T) {
	d := newDesk(t, slacksim.Config{})
	root := d.open(t, more("One"))
	commandTrigger := d.trigger(t)
	if _, err := d.api.PushViewContext(t.Context(), commandTrigger, more("Two")); code(err) != "not_found" {
		t.Errorf("push with the trigger of a command = %v, want not_found", err)
	}
	push := func() (*slack.ViewResponse, error) {
		trigger, _ := d.press(t, "More")["trigger_id"].(string)
		return d.api.PushViewContext(t.Context(), trigger, more("Next"))
	}
	second, err := push()
	if err != nil || second.RootViewID != root.ID || second.PreviousViewID != root.ID {
		t.Fatalf("push = %+v, %v", second, err)
	}
	if _, err := push(); err != nil {
		t.Fatalf("third view: %v", err)
	}
	if _, err := push(); code(err) != "push_limit_reached" {
		t.Errorf("fourth view = %v, want push_limit_reached", err)
	}
	if v, _ := d.Modal(ada); v.Depth != 3 || v.RootID != root.ID {
		t.Errorf("modal = depth %d root %s", v.Depth, v.RootID)
	}
	if _, err := d.api.UpdateViewContext(t.Context(), more("Hidden"), "", "", root.ID); err != nil {
		t.Errorf("update of a hidden view: %v", err)
	}
}

func TestUpdateView(t *testing.T) {
	d := newDesk(t, slacksim.Config{})
	req := modal("A", field("key", "Key"))
	req.ExternalID = "one"
	v := d.open(t, req)
	other := modal("B", text("x"))
	other.ExternalID = "two"
	d.open(t, other)
	again := modal("C", text("x"))
	again.ExternalID = "one"
	if _, err := d.api.OpenViewContext(t.Context(), d.trigger(t), again); code(err) != "duplicate_external_id" {
		t.Errorf("open with a used external_id = %v, want duplicate_external_id", err)
	}
	update := func(view slack.ModalViewRequest, external, hash, id string) (string, string) {
		r, err := d.api.UpdateViewContext(t.Context(), view, external, hash, id)
		if err != nil {
			return "", code(err)
		}
		return r.Hash, ""
	}
	hash, got := update(req, "", v.Hash, v.ID)
	if got != "" || hash == v.Hash {
		t.Errorf("update with the right hash = %q, hash %q then %q", got, v.Hash, hash)
	}
	if _, got := update(req, "", v.Hash, v.ID); got != "hash_conflict" {
		t.Errorf("update with the old hash = %q, want hash_conflict", got)
	}
	if _, got := update(req, "one", "", ""); got != "" {
		t.Errorf("update by external_id = %q", got)
	}
	if _, got := update(other, "", "", v.ID); got != "duplicate_external_id" {
		t.Errorf("taking another view's external_id = %q, want duplicate_external_id", got)
	}
	if _, got := update(req, "", "", "V0NONE"); got != "not_found" {
		t.Errorf("unknown view = %q, want not_found", got)
	}
	for range 2 {
		if err := d.CloseModal(soon(t), ada, true); err != nil {
			t.Fatal(err)
		}
	}
	if _, got := update(req, "", "", v.ID); got != "not_found" {
		t.Errorf("closed view = %q, want not_found", got)
	}
	if _, open := d.Modal(ada); open {
		t.Error("a modal is still open")
	}
}

func TestViewTooLarge(t *testing.T) {
	d := newDesk(t, slacksim.Config{})
	blocks := make([]slack.Block, 0, 90)
	for range 90 {
		blocks = append(blocks, text(strings.Repeat("x", 2990)))
	}
	if _, err := d.api.OpenViewContext(t.Context(), d.trigger(t), modal("A", blocks...)); code(err) != "view_too_large" {
		t.Errorf("270 kB = %v, want view_too_large", err)
	}
}

func TestTypedValuesOnUpdate(t *testing.T) {
	d := newDesk(t, slacksim.Config{})
	ctx := soon(t)
	fixed := func(id string, initial string) *slack.InputBlock {
		e := slack.NewPlainTextInputBlockElement(nil, "text_v1").WithInitialValue(initial)
		return slack.NewInputBlock(id, plain("F "+id), nil, e)
	}
	v := d.open(t, modal("A", field("keep", "Keep"), field("gone", "Gone"), fixed("init", "first")))
	for _, name := range []string{"Keep", "Gone"} {
		if err := d.Type(ctx, ada, name, "typed"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.api.UpdateViewContext(ctx, modal("A", field("keep", "Keep"), field("fresh", "Gone"), fixed("init", "second")), "", "", v.ID); err != nil {
		t.Fatal(err)
	}
	now, _ := d.Modal(ada)
	keep, _ := now.Input("keep")
	fresh, _ := now.Input("fresh")
	initial, _ := now.Input("init")
	if keep.Text != "typed" || fresh.Text != "" || initial.Text != "first" {
		t.Errorf("after update: same ids %q, other block_id %q, initial value %q; want typed, blank, first", keep.Text, fresh.Text, initial.Text)
	}
}

func TestHome(t *testing.T) {
	d := newDesk(t, slacksim.Config{AckDeadline: 50 * time.Millisecond, EventRetries: []time.Duration{}})
	home := slack.HomeTabViewRequest{Type: slack.VTHomeTab, Blocks: slack.Blocks{BlockSet: []slack.Block{
		text("prod"), buttons("act", slack.NewButtonBlockElement("start_v1", "prod", plain("Start now"))),
	}}}
	publish := func(user, hash string) (*slack.ViewResponse, error) {
		req := slack.PublishViewContextRequest{UserID: user, View: home}
		if hash != "" {
			req.Hash = &hash
		}
		return d.api.PublishViewContext(t.Context(), req)
	}
	first, err := publish(ada, "")
	if err != nil || first.Type != slack.VTHomeTab || first.Hash == "" {
		t.Fatalf("publish = %+v, %v", first, err)
	}
	if second, err := publish(ada, first.Hash); err != nil || second.ID != first.ID {
		t.Errorf("publish again = %+v, %v; want the same view", second, err)
	}
	if _, err := publish(ada, first.Hash); code(err) != "hash_conflict" {
		t.Errorf("old hash = %v, want hash_conflict", err)
	}
	if _, err := publish("U0NONE", ""); code(err) != "invalid_arguments" {
		t.Errorf("unknown person = %v, want invalid_arguments", err)
	}
	v, ok := d.Home(ada)
	if !ok || v.Text() != "prod\n[Start now]" || v.Depth != 0 {
		t.Errorf("home = %q %v", v.Text(), ok)
	}
	got := make(chan object, 2)
	go func() {
		for range 2 {
			e := <-d.wire.frames
			d.wire.ack(t, e, nil)
			got <- e
		}
	}()
	if res, err := d.PressHome(soon(t), ada, "Start now"); err != nil || res.Err != "" {
		t.Fatalf("PressHome = %+v, %v", res, err)
	}
	if e := <-got; in(e, "payload", "view", "type") != "home" || in(e, "payload", "container", "view_id") != first.ID {
		t.Errorf("payload = %v", e)
	}
	if ok, err := d.OpenHome(soon(t), ada); !ok || err != nil {
		t.Errorf("OpenHome = %v, %v", ok, err)
	}
	if e := <-got; in(e, "payload", "event", "view", "id") != first.ID {
		t.Errorf("app_home_opened has view %v, want the published one", in(e, "payload", "event", "view"))
	}
	bad := object{"type": "home", "blocks": []object{{"type": "alert", "text": object{"type": "plain_text", "text": "x"}}}}
	if r := jsonCall(t, d.Workspace, "views.publish", object{"user_id": ada, "view": bad}); r.err() != "invalid_arguments" {
		t.Errorf("alert in a home tab = %v, want invalid_arguments", r.body)
	}
	if r := jsonCall(t, d.Workspace, "views.open", object{"trigger_id": d.Config().AppID, "view": object{"type": "home", "blocks": []object{{"type": "divider"}}}}); r.err() != "invalid_arguments" {
		t.Errorf("views.open of a home view = %v, want invalid_arguments", r.body)
	}
}

func TestViewAsJSONString(t *testing.T) {
	d := newDesk(t, slacksim.Config{})
	view := `{"type":"modal","title":{"type":"plain_text","text":"A"},"blocks":[{"type":"divider"}]}`
	if got := form(t, d.Workspace, "views.open", "trigger_id", d.trigger(t), "view", view); got.err() != "" {
		t.Errorf("views.open as a form = %v", got.body)
	}
	if got := form(t, d.Workspace, "views.open", "trigger_id", "1.2.a"); got.err() != "invalid_arguments" {
		t.Errorf("without a view = %v, want invalid_arguments", got.body)
	}
}
