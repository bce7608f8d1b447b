package slacksim_test

import (
	"encoding/json"
	"os"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

const samples = "../../../testdata/contracts/slack/samples/"

func sample(t testing.TB, name string) object {
	t.Helper()
	raw, err := os.ReadFile(samples + name)
	if err != nil {
		t.Fatal(err)
	}
	var o object
	if err := json.Unmarshal(raw, &o); err != nil {
		t.Fatal(err)
	}
	return o
}

// extra returns the paths in got that the inventory does not have. Below an
// empty object or list of the inventory, and below blocks, nothing is compared.
func extra(path string, inventory, got any) []string {
	switch g := got.(type) {
	case object:
		inv, ok := inventory.(object)
		if !ok || len(inv) == 0 {
			return nil
		}
		var found []string
		for key, v := range g {
			below, known := inv[key]
			if !known {
				found = append(found, path+"/"+key)
				continue
			}
			if key != "blocks" {
				found = append(found, extra(path+"/"+key, below, v)...)
			}
		}
		sort.Strings(found)
		return found
	case []any:
		inv, _ := inventory.([]any)
		if len(inv) == 0 {
			return nil
		}
		var found []string
		for _, item := range g {
			found = append(found, extra(path+"/0", inv[0], item)...)
		}
		return found
	}
	return nil
}

// TestPayloadsFollowTheSamples pins every kind of payload that the simulator
// sends to the official SDK's inventory of fields.
func TestPayloadsFollowTheSamples(t *testing.T) {
	d := newDesk(t, slacksim.Config{})
	ctx := soon(t)
	act := func(f func() error) object {
		t.Helper()
		done := make(chan error, 1)
		go func() { done <- f() }()
		e := d.wire.next(5 * time.Second)
		if e == nil {
			t.Fatal("no frame")
		}
		d.wire.ack(t, e, nil)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		p, _ := e["payload"].(object)
		return p
	}
	// The view in payloads has blocks; the sample leaves them out there only.
	withView := func(name string) object {
		o := sample(t, name)
		view, _ := o["view"].(object)
		view["blocks"] = []any{}
		return o
	}
	link := slack.NewButtonBlockElement("go_v1", "v", plain("Go")).WithStyle(slack.StylePrimary).WithConfirm(
		slack.NewConfirmationBlockObject(plain("T"), plain("T"), plain("Y"), plain("N")))
	link.URL = "https://example.com"
	_, ts, err := d.api.PostMessageContext(ctx, ops, slack.MsgOptionText("x", false), slack.MsgOptionBlocks(buttons("a", link)))
	if err != nil {
		t.Fatal(err)
	}
	_, reply, err := d.api.PostMessageContext(ctx, ops, slack.MsgOptionTS(ts), slack.MsgOptionBlocks(buttons("a", link)))
	if err != nil {
		t.Fatal(err)
	}
	eph := form(t, d.Workspace, "chat.postEphemeral", "channel", ops, "user", ada, "text", "x",
		"blocks", `[{"type":"actions","elements":[{"type":"button","action_id":"e","text":{"type":"plain_text","text":"E"}}]}]`).body["message_ts"].(string)

	got := map[string]object{}
	got["SlashCommandPayload.json"] = act(func() error { _, err := d.Command(ctx, ada, ops, "/rotate-alpaca-paper", "x"); return err })
	trigger, _ := got["SlashCommandPayload.json"]["trigger_id"].(string)
	view := more("One")
	view.NotifyOnClose = true
	view.Blocks.BlockSet = append(view.Blocks.BlockSet, field("key", "Key"))
	if _, err := d.api.OpenViewContext(ctx, trigger, view); err != nil {
		t.Fatal(err)
	}
	if err := d.Type(ctx, ada, "Key", "x"); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func() error{
		"message":   func() error { _, err := d.PressMessage(ctx, ada, ops, ts, "Go"); return err },
		"thread":    func() error { _, err := d.PressMessage(ctx, ada, ops, reply, "Go"); return err },
		"ephemeral": func() error { _, err := d.PressMessage(ctx, ada, ops, eph, "E"); return err },
		"view":      func() error { _, err := d.Press(ctx, ada, "More"); return err },
	} {
		if diff := cmp.Diff([]string(nil), extra("", withView("BlockActionPayload.json"), act(f))); diff != "" {
			t.Errorf("block_actions of %s, fields that the sample lacks:\n%s", name, diff)
		}
	}
	got["ViewClosedPayload.json"] = act(func() error { return d.CloseModal(ctx, ada, true) })
	d.open(t, modal("Two", text("x")))
	got["ViewSubmissionPayload.json"] = act(func() error { _, err := d.Submit(ctx, ada); return err })
	home := slack.HomeTabViewRequest{Type: slack.VTHomeTab, Blocks: slack.Blocks{BlockSet: []slack.Block{text("x")}}}
	if _, err := d.api.PublishViewContext(ctx, slack.PublishViewContextRequest{UserID: ada, View: home}); err != nil {
		t.Fatal(err)
	}
	opened := act(func() error { _, err := d.OpenHome(ctx, ada); return err })
	event := sample(t, "AppHomeOpenedPayload.json")
	in(event, "event", "view").(object)["blocks"] = []any{}
	if diff := cmp.Diff([]string(nil), extra("", event, opened)); diff != "" {
		t.Errorf("app_home_opened, fields that the sample lacks:\n%s", diff)
	}
	for name, payload := range got {
		inventory := sample(t, name)
		if strings.HasPrefix(name, "View") {
			inventory = withView(name)
		}
		if diff := cmp.Diff([]string(nil), extra("", inventory, payload)); diff != "" {
			t.Errorf("%s, fields that the sample lacks:\n%s", name, diff)
		}
	}
}

// TestAnswersFollowTheSamples pins the answers of the Web API likewise.
func TestAnswersFollowTheSamples(t *testing.T) {
	d := newDesk(t, slacksim.Config{})
	d.AddUser(slacksim.User{ID: "U0FULL", Stranger: true, Teams: []string{"T1"}, EnterpriseID: "E1"})
	ts, _ := form(t, d.Workspace, "chat.postMessage", "channel", ops, "text", "x").body["ts"].(string)
	view := `{"type":"modal","title":{"type":"plain_text","text":"A"},"blocks":[{"type":"divider"}]}`
	homeView := `{"type":"home","blocks":[{"type":"divider"}]}`
	opened := form(t, d.Workspace, "views.open", "trigger_id", d.trigger(t), "view", view)
	id, _ := in(opened.body, "view", "id").(string)
	answers := map[string][]reply{
		"auth.test.json":             {form(t, d.Workspace, "auth.test")},
		"apps.connections.open.json": {post(t, d.Workspace, "apps.connections.open", jsonType, d.Config().AppToken, "")},
		"chat.postEphemeral.json":    {form(t, d.Workspace, "chat.postEphemeral", "channel", ops, "user", ada, "text", "x")},
		"chat.delete.json":           {form(t, d.Workspace, "chat.delete", "channel", ops, "ts", ts)},
		"conversations.info.json":    {form(t, d.Workspace, "conversations.info", "channel", ops, "include_num_members", "true")},
		"usergroups.list.json":       {form(t, d.Workspace, "usergroups.list", "include_users", "true", "include_count", "true")},
		"usergroups.users.list.json": {form(t, d.Workspace, "usergroups.users.list", "usergroup", "S0OPS")},
		"users.info.json":            {form(t, d.Workspace, "users.info", "user", "U0FULL"), form(t, d.Workspace, "users.info", "user", ada)},
		"views.open.json": {
			opened, form(t, d.Workspace, "views.update", "view_id", id, "view", view),
			form(t, d.Workspace, "views.publish", "user_id", ada, "view", homeView),
		},
	}
	for name, list := range answers {
		for _, r := range list {
			if r.err() != "" {
				t.Errorf("%s: %v", name, r.body)
			}
			if diff := cmp.Diff([]string(nil), extra("", sample(t, name), r.body)); diff != "" {
				t.Errorf("%s, fields that the sample lacks:\n%s", name, diff)
			}
		}
	}
}

// TestExtraFindsExtras checks the comparison itself.
func TestExtraFindsExtras(t *testing.T) {
	inventory := object{"a": object{"b": ""}, "list": []any{object{"x": 1}}, "open": object{}}
	got := object{"a": object{"b": "", "c": ""}, "list": []any{object{"x": 2.0, "y": 1.0}}, "open": object{"z": 1.0}, "new": true}
	if diff := cmp.Diff([]string{"/a/c", "/list/0/y", "/new"}, extra("", inventory, got)); diff != "" {
		t.Errorf("extra (-want +got):\n%s", diff)
	}
}
