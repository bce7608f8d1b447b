package slacksim_test

import (
	"strings"
	"testing"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"

	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

// TestCommandToClosedModal drives slack-go's real client from a command to the
// end of a modal: the shape of a rotation.
func TestCommandToClosedModal(t *testing.T) {
	w := workspace(t, slacksim.Config{})
	posted := make(chan string, 1)
	connect(t, w, func(b *bot, e socketmode.Event) {
		ctx := t.Context()
		switch data := e.Data.(type) {
		case slack.SlashCommand:
			view := modal("Rotate prod", text("Ready, <@"+ada+">?"), buttons("act", slack.NewButtonBlockElement("check_v1", "prod", plain("Check"))), field("key", "Key ID"))
			view.PrivateMetadata, view.CallbackID = "r1", "rotate_v1"
			if _, err := b.OpenViewContext(ctx, data.TriggerID, view); err != nil {
				t.Errorf("views.open: %v", err)
			}
			b.Ack(*e.Request, map[string]any{"text": "Opening for " + data.Text})
		case slack.InteractionCallback:
			switch data.Type { //nolint:exhaustive // the people below press and submit, nothing else
			case slack.InteractionTypeBlockActions:
				b.Ack(*e.Request)
				if got := data.ActionCallback.BlockActions[0].Value; got != "prod" {
					t.Errorf("value of the pressed button = %q, want prod", got)
				}
				view := modal("Rotate prod", text("Checked"), field("key", "Key ID"))
				if _, err := b.UpdateViewContext(ctx, view, "", data.View.Hash, data.View.ID); err != nil {
					t.Errorf("views.update: %v", err)
				}
			case slack.InteractionTypeViewSubmission:
				if got := data.View.State.Values["key"]["text_v1"].Value; got != "PK123" {
					b.Ack(*e.Request, slack.NewErrorsViewSubmissionResponse(map[string]string{"key": "Not a key: " + got}))
					return
				}
				b.Ack(*e.Request)
				_, ts, err := b.PostMessageContext(ctx, ops, slack.MsgOptionText("done", false), slack.MsgOptionBlocks(text("Rotation *done*")))
				if err != nil {
					t.Errorf("chat.postMessage: %v", err)
				}
				posted <- ts
			}
		}
	})
	ctx := soon(t)

	res, err := w.Command(ctx, ada, ops, "/rotate-alpaca-paper", "prod")
	if err != nil || res.Err != "" || res.Reply == nil || res.Reply.Text != "Opening for prod" || res.Reply.EphemeralFor != ada {
		t.Fatalf("Command = %+v, %v", res, err)
	}
	v, err := w.WaitModal(ctx, ada, func(v slacksim.View) bool { return v.Title == "Rotate prod" })
	if err != nil || !strings.Contains(v.Text(), "Ready, @ada?") || !strings.Contains(v.Text(), "[Check]") {
		t.Fatalf("modal = %q, %v", v.Text(), err)
	}
	if err := w.Type(ctx, ada, "Key ID", "oops"); err != nil {
		t.Fatalf("Type: %v", err)
	}
	if _, err := w.Press(ctx, ada, "Check"); err != nil {
		t.Fatalf("Press: %v", err)
	}
	v, err = w.WaitModal(ctx, ada, func(v slacksim.View) bool { return strings.Contains(v.Text(), "Checked") })
	if in, _ := v.Input("Key ID"); err != nil || in.Text != "oops" {
		t.Fatalf("field after update with the same ids = %q, want what was typed (%v)", in.Text, err)
	}
	sub, err := w.Submit(ctx, ada)
	if err != nil || sub.Errors["key"] != "Not a key: oops" || sub.Closed {
		t.Fatalf("Submit = %+v, %v; want an error under the field", sub, err)
	}
	if v, _ = w.Modal(ada); v.Errors()["Key ID"] == "" || !strings.Contains(v.Text(), "! Not a key") {
		t.Errorf("modal does not show the error: %q", v.Text())
	}
	if err := w.Type(ctx, ada, "Key ID", "PK123"); err != nil {
		t.Fatalf("Type: %v", err)
	}
	if sub, err = w.Submit(ctx, ada); err != nil || !sub.Closed {
		t.Fatalf("Submit = %+v, %v; want closed", sub, err)
	}
	m, err := w.WaitMessage(ctx, ops, func(m slacksim.Message) bool { return m.Visible() == "Rotation *done*" })
	if err != nil || m.User != w.Config().BotUserID {
		t.Fatalf("message = %+v, %v", m, err)
	}
	if got := <-posted; got != m.TS {
		t.Errorf("ts in the answer = %q, want %q", got, m.TS)
	}
	if got := w.Problems(); len(got) != 0 {
		t.Errorf("problems = %q, want none", got)
	}
	if got := len(w.Find("oops")); got != 1 {
		t.Errorf("the typed text is in %d entries of the journal, want 1 (the bot's error text)", got)
	}
}
