package slacksim_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"

	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

func TestPostMessage(t *testing.T) {
	w := workspace(t, slacksim.Config{})
	tests := []struct {
		name    string
		channel string
		args    []string
		want    string
	}{
		{"text", ops, []string{"text", "hi"}, ""},
		{"blocks", ops, []string{"blocks", `[{"type":"divider"}]`}, ""},
		{"bot is not in the channel", public, []string{"text", "hi"}, "not_in_channel"},
		{"private channel without the bot", private, []string{"text", "hi"}, "channel_not_found"},
		{"unknown channel", "C0NONE", []string{"text", "hi"}, "channel_not_found"},
		{"unknown person", "U0NONE", []string{"text", "hi"}, "channel_not_found"},
		{"nothing to say", ops, nil, "no_text"},
		{"blank", ops, []string{"text", " "}, "no_text"},
		{"text too long", ops, []string{"text", strings.Repeat("x", 40001)}, "msg_too_long"},
		{"blocks are no JSON", ops, []string{"blocks", "["}, "invalid_blocks_format"},
		{"blocks are an object", ops, []string{"blocks", "{}"}, "invalid_blocks_format"},
		{"block for modals only", ops, []string{"blocks", `[{"type":"alert","text":{"type":"plain_text","text":"x"}}]`}, "invalid_blocks"},
		{"51 blocks", ops, []string{"blocks", "[" + strings.Repeat(`{"type":"divider"},`, 50) + `{"type":"divider"}]`}, "invalid_blocks"},
		{"thread of nothing", ops, []string{"text", "hi", "thread_ts", "1.000001"}, "thread_not_found"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := form(t, w, "chat.postMessage", append([]string{"channel", tt.channel}, tt.args...)...)
			if got.err() != tt.want {
				t.Errorf("answer = %v, want %q", got.body, tt.want)
			}
		})
	}
	got := jsonCall(t, w, "chat.postMessage", object{"channel": ops, "blocks": []object{{"type": "header", "text": object{"type": "plain_text", "text": strings.Repeat("x", 151)}}}})
	if msgs, _ := in(got.body, "response_metadata", "messages").([]any); got.err() != "invalid_blocks" || len(msgs) != 1 || msgs[0] != "[ERROR] must be less than 151 characters [json-pointer:/blocks/0/text/text]" {
		t.Errorf("long header in a JSON call = %v", got.body)
	}
}

func TestArchivedChannel(t *testing.T) {
	w := workspace(t, slacksim.Config{})
	w.AddChannel(slacksim.Channel{ID: "C0OLD", Archived: true, Members: []string{w.Config().BotUserID}})
	if got := form(t, w, "chat.postMessage", "channel", "C0OLD", "text", "x"); got.err() != "is_archived" {
		t.Errorf("answer = %v, want is_archived", got.body)
	}
}

func TestUpdate(t *testing.T) {
	w := workspace(t, slacksim.Config{})
	ctx := t.Context()
	dm, ts, err := api(w).PostMessageContext(ctx, ada, slack.MsgOptionText("due", false), slack.MsgOptionBlocks(text("*due*")), slack.MsgOptionDisableLinkUnfurl(), slack.MsgOptionDisableMediaUnfurl())
	if err != nil || !strings.HasPrefix(dm, "D") {
		t.Fatalf("post to a user id = %q, %v; want a D… channel", dm, err)
	}
	said, err := w.Say(ada, ops, "hello")
	if err != nil {
		t.Fatal(err)
	}
	if m := w.Messages(dm)[0]; m.Unfurl || m.Visible() != "*due*" {
		t.Errorf("message = %+v", m)
	}
	eph := form(t, w, "chat.postEphemeral", "channel", ops, "user", ada, "text", "x").body["message_ts"].(string)
	tests := []struct{ name, channel, ts, text, want string }{
		{"by the person's id", ada, ts, "x", "channel_not_found"},
		{"unknown ts", dm, "1.000000", "x", "message_not_found"},
		{"ephemeral", ops, eph, "x", "message_not_found"},
		{"somebody else's", ops, said, "x", "cant_update_message"},
		{"4,001 characters", dm, ts, strings.Repeat("x", 4001), "msg_too_long"},
		{"4,000 characters", dm, ts, strings.Repeat("x", 4000), ""},
		{"nothing", dm, ts, "", "no_text"},
	}
	for _, tt := range tests {
		if got := form(t, w, "chat.update", "channel", tt.channel, "ts", tt.ts, "text", tt.text); got.err() != tt.want {
			t.Errorf("%s: answer = %v, want %q", tt.name, got.body, tt.want)
		}
	}
	m := w.Messages(dm)[0]
	if m.Blocks != nil || m.Updates != 1 {
		t.Errorf("after text without blocks: %d blocks bytes, %d updates; want no blocks, 1", len(m.Blocks), m.Updates)
	}
	if got := form(t, w, "chat.delete", "channel", ops, "ts", said); got.err() != "cant_delete_message" {
		t.Errorf("delete of somebody else's = %v", got.body)
	}
	if got := form(t, w, "chat.delete", "channel", dm, "ts", ts); got.err() != "" || len(w.Messages(dm)) != 0 {
		t.Errorf("delete = %v, %d left", got.body, len(w.Messages(dm)))
	}
}

func TestEphemeral(t *testing.T) {
	w := workspace(t, slacksim.Config{})
	for user, want := range map[string]string{ada: "", bob: "user_not_in_channel", "": "invalid_arguments"} {
		if got := form(t, w, "chat.postEphemeral", "channel", ops, "user", user, "text", "no"); got.err() != want {
			t.Errorf("for %q = %v, want %q", user, got.body, want)
		}
	}
	if m := w.Messages(ops)[0]; m.EphemeralFor != ada {
		t.Errorf("message = %+v, want it for ada only", m)
	}
}

func TestMessageButtons(t *testing.T) {
	w := workspace(t, slacksim.Config{})
	var got slack.InteractionCallback
	hit := make(chan struct{}, 10)
	connect(t, w, func(b *bot, e socketmode.Event) {
		got = e.Data.(slack.InteractionCallback)
		hit <- struct{}{}
		b.Ack(*e.Request)
	})
	sure := slack.NewButtonBlockElement("retry_v1", "r2", plain("Retry")).WithConfirm(
		slack.NewConfirmationBlockObject(plain("Sure?"), mrkdwn("Really *retry*"), plain("Yes"), plain("No")))
	dash := slack.NewButtonBlockElement("dash_v1", "", plain("Dashboard"))
	dash.URL = "https://app.alpaca.markets"
	_, ts, err := api(w).PostMessageContext(t.Context(), shared, slack.MsgOptionText("x", false), slack.MsgOptionBlocks(
		buttons("a", slack.NewButtonBlockElement("open_v1", "r1", plain("Open")), dash), buttons("b", sure, slack.NewButtonBlockElement("x", "", plain("Open")))))
	if err != nil {
		t.Fatal(err)
	}
	ctx := soon(t)
	if _, err := w.PressMessage(ctx, ada, shared, ts, "Open"); err == nil {
		t.Error("two buttons say Open: want an error")
	}
	if _, err := w.PressMessage(ctx, ada, shared, ts, "Open", "r1"); err != nil {
		t.Errorf("press by text and value: %v", err)
	}
	<-hit
	if a := got.ActionCallback.BlockActions[0]; a.ActionID != "open_v1" || a.BlockID != "a" || a.Value != "r1" || got.Container.MessageTs != ts || got.Channel.ID != shared || got.User.ID != ada || got.Message.Timestamp != ts {
		t.Errorf("payload = %+v", got)
	}
	res, err := w.PressMessage(ctx, ext, shared, ts, "retry_v1")
	<-hit
	if err != nil || !strings.Contains(res.Dialog, "Really *retry*") || got.User.TeamID != "T0OTHER" {
		t.Errorf("press by an external person = %+v, %v; team %q", res, err, got.User.TeamID)
	}
	res, err = w.PressMessage(ctx, ada, shared, ts, "Dashboard")
	<-hit
	if err != nil || res.URL != "https://app.alpaca.markets" {
		t.Errorf("URL button = %+v, %v; it must be sent to the bot too", res, err)
	}
	if _, err := w.PressMessage(ctx, bob, shared, ts, "Dashboard"); err == nil {
		t.Error("bob is not in the channel: want an error")
	}
	w.ChangeUser(ada, func(u *slacksim.User) { u.Deleted = true })
	if _, err := w.PressMessage(ctx, ada, shared, ts, "Dashboard"); err == nil {
		t.Error("a deactivated person pressed a button")
	}
}

func TestResponseURL(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	clock := make(chan time.Time, 1)
	clock <- now
	w := workspace(t, slacksim.Config{Now: func() time.Time {
		v := <-clock
		clock <- v
		return v
	}})
	c := dial(t, w)
	c.want(t, "hello")
	link := func() string {
		got := command(t, w)
		e := c.want(t, "slash_commands")
		c.ack(t, e, nil)
		<-got
		s, _ := in(e, "payload", "response_url").(string)
		return s
	}
	answer := func(url string, m *slack.WebhookMessage) int {
		err := slack.PostWebhookContext(t.Context(), url, m)
		if err == nil {
			return http.StatusOK
		}
		if e, ok := errors.AsType[slack.StatusCodeError](err); ok {
			return e.Code
		}
		t.Fatalf("PostWebhook: %v", err)
		return 0
	}
	first := link()
	if got := answer(first, &slack.WebhookMessage{}); got != http.StatusBadRequest {
		t.Errorf("empty message = %d, want 400", got)
	}
	for i := range 6 {
		want := http.StatusOK
		if i == 5 {
			want = http.StatusNotFound
		}
		if got := answer(first, &slack.WebhookMessage{Text: "one"}); got != want {
			t.Errorf("use %d = %d, want %d", i+1, got, want)
		}
	}
	if m := w.Messages(ops); len(m) != 5 || m[0].EphemeralFor != ada {
		t.Errorf("messages = %+v, want 5 for ada only", m)
	}
	second := link()
	<-clock
	clock <- now.Add(31 * time.Minute)
	if got := answer(second, &slack.WebhookMessage{Text: "late"}); got != http.StatusNotFound {
		t.Errorf("after 31 min = %d, want 404", got)
	}
	if got := len(w.Find("one")); got != 6 {
		t.Errorf("journal holds %d of 6 posts to a response_url", got)
	}
}

func TestResponseURLOfAMessage(t *testing.T) {
	w := workspace(t, slacksim.Config{})
	var urls []string
	connect(t, w, func(b *bot, e socketmode.Event) {
		urls = append(urls, e.Data.(slack.InteractionCallback).ResponseURL)
		b.Ack(*e.Request)
	})
	_, ts, err := api(w).PostMessageContext(t.Context(), ops, slack.MsgOptionBlocks(buttons("a", slack.NewButtonBlockElement("x", "", plain("Open")))))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.PressMessage(soon(t), ada, ops, ts, "Open"); err != nil {
		t.Fatal(err)
	}
	if err := slack.PostWebhookContext(t.Context(), urls[0], &slack.WebhookMessage{Text: "gone", ReplaceOriginal: true}); err != nil {
		t.Fatal(err)
	}
	if m := w.Messages(ops); len(m) != 1 || m[0].Text != "gone" || m[0].Blocks != nil {
		t.Errorf("messages = %+v, want the original replaced", m)
	}
	if err := slack.PostWebhookContext(t.Context(), urls[0], &slack.WebhookMessage{DeleteOriginal: true}); err != nil || len(w.Messages(ops)) != 0 {
		t.Errorf("delete = %v, %d messages left", err, len(w.Messages(ops)))
	}
}
