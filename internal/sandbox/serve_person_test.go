package sandbox

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/sandbox/page"
)

// online waits for the bot.
func (b *browser) online() {
	b.t.Helper()
	b.until("the bot is online", func() bool { return b.slack().BotOnline })
}

// modal waits for a modal that is not busy and satisfies ok.
func (b *browser) modal(what string, ok func(v view) bool) (found view) {
	b.t.Helper()
	b.until(what, func() bool {
		m := b.slack().Modal
		if m == nil || m.Busy || !ok(m.View) {
			return false
		}
		found = m.View
		return true
	})
	return found
}

func (b *browser) shows(texts ...string) view {
	b.t.Helper()
	return b.modal(fmt.Sprintf("the modal shows %q", texts), func(v view) bool { return hasAll(v.text(), texts) })
}

// submits waits for a modal with this submit button.
func (b *browser) submits(button string) view {
	b.t.Helper()
	return b.modal("the modal has the button "+button, func(v view) bool { return v.Submit != nil && v.Submit.Text == button })
}

// submit presses the submit button, which must be accepted.
func (b *browser) submit() {
	b.t.Helper()
	if out := b.do("/api/slack/submit", map[string]any{}); len(out["errors"].(map[string]any)) > 0 || out["trouble"] != "" {
		b.t.Fatalf("submit = %v, want no errors", out)
	}
}

// fill types into or chooses in an input by its label.
func (b *browser) fill(v view, label string, text string, selected ...string) {
	b.t.Helper()
	i := slices.IndexFunc(v.Blocks, func(x block) bool { return x.Label.Text == label })
	if i < 0 {
		b.t.Fatalf("no input %q in the view %s", label, v.text())
	}
	body := map[string]any{"block_id": v.Blocks[i].BlockID, "action_id": v.Blocks[i].Element.ActionID}
	if body["text"] = text; text == "" {
		delete(body, "text")
		body["selected"] = selected
	}
	b.do("/api/slack/input", body)
}

// press waits for a button in the modal and presses it.
func (b *browser) press(text string) {
	b.t.Helper()
	var body map[string]any
	b.modal("there is a button "+text, func(v view) bool {
		for _, x := range v.Blocks {
			for _, e := range x.buttons() {
				if e.label() == text {
					body = map[string]any{"where": "modal", "block_id": x.BlockID, "action_id": e.ActionID, "value": e.Value}
				}
			}
		}
		return body != nil
	})
	b.online()
	b.do("/api/slack/press", body)
}

// pressIn waits for a message with a button and presses it.
func (b *browser) pressIn(text string) {
	b.t.Helper()
	var body map[string]any
	b.until("a message has the button "+text, func() bool {
		body = b.button(text)
		return body != nil
	})
	b.do("/api/slack/press", body)
}

// button returns how the button of a message is pressed; nil if none has it.
func (b *browser) button(text string) (body map[string]any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.posts {
		for _, x := range p.Blocks {
			for _, e := range x.buttons() {
				if e.label() == text && !p.Deleted {
					body = map[string]any{"where": "message", "channel": p.Channel, "ts": p.TS, "block_id": x.BlockID, "action_id": e.ActionID, "value": e.Value}
				}
			}
		}
	}
	return body
}

// whispered waits for a message that only this person sees.
func (b *browser) whispered(text string) {
	b.t.Helper()
	b.until(fmt.Sprintf("a private message says %q", text), func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, p := range b.posts {
			if p.Ephemeral && strings.Contains((view{Blocks: p.Blocks}).text(), text) {
				return true
			}
		}
		return false
	})
}

// begin types the command and answers the questions of step 1.
func (b *browser) begin() {
	b.t.Helper()
	b.online()
	b.do("/api/slack/command", map[string]any{"channel": OpsChannel, "text": command + " " + KeySet})
	b.answers("Scheduled")
}

// answers fills in the questions of step 1 and goes on.
func (b *browser) answers(why string) {
	b.t.Helper()
	v := b.submits(goOnButton)
	for _, x := range v.Blocks {
		switch {
		case x.Label.Text == whyLabel:
			for _, o := range x.Element.Options {
				if strings.HasPrefix(o.Text.Text, why) {
					b.fill(v, whyLabel, "", o.Value)
				}
			}
		case x.Element.Type == checkboxes && !x.Optional:
			var all []string
			for _, o := range x.Element.Options {
				all = append(all, o.Value)
			}
			b.fill(v, x.Label.Text, "", all...)
		case x.Element.Type == "plain_text_input" && why != "Scheduled":
			b.fill(v, x.Label.Text, "trading fails")
		case x.Label.Text == orderLabel:
			b.fill(v, orderLabel, "", x.Element.Options[0].Value)
		}
	}
	b.submit()
}

// generate makes a pair in the dashboard.
func (b *browser) generate(account string) (keyID, secret string) {
	b.t.Helper()
	out := b.do("/api/alpaca/regenerate", map[string]any{"account": account})
	return out["key_id"].(string), out["secret"].(string)
}

// account is the one that the dashboard shows as ours.
func (b *browser) account() string {
	for _, a := range b.outside().Alpaca.Accounts {
		if a.Ours == KeySet {
			return a.Number
		}
	}
	return ""
}

// paste types the pair into the modal.
func (b *browser) paste(keyID, secret string) {
	b.t.Helper()
	v := b.submits(sealButton)
	b.fill(v, keyIDLabel, keyID)
	b.fill(v, secretLabel, secret)
}

// works waits until every place works with a pair.
func (b *browser) works(keyID string) {
	b.t.Helper()
	b.until("every place works with the new pair", func() bool {
		list := b.outside().Places
		return len(list) > 0 && !slices.ContainsFunc(list, func(p page.Place) bool { return p.Works != page.Works || p.Last4 != last4(keyID) })
	})
}

// completed waits until the newest rotation is completed, with all eight steps.
func (b *browser) completed() {
	b.t.Helper()
	b.until("the rotation is completed", func() bool {
		r := b.rotation()
		return len(r.Rotations) > 0 && r.Rotations[0].Rotation.Outcome == completed && len(r.Rotations[0].Rotation.Steps) == 8
	})
}

// open starts the sandbox behind a page; s may be nil.
func open(t *testing.T, s *scenario) *stage {
	t.Helper()
	st, err := openStage(t.Context(), time.Now, "127.0.0.1:0", s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of the bot's log:\n%s", tail(st.Log()))
		}
		if err := st.close(); err != nil {
			t.Errorf("close = %v, want nil", err)
		}
	})
	return st
}
