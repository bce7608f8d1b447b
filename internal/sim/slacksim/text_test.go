package slacksim_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

func TestVisibleText(t *testing.T) {
	w := workspace(t, slacksim.Config{})
	blocks := `[
		{"type":"header","text":{"type":"plain_text","text":"Rotation"}},
		{"type":"section","text":{"type":"mrkdwn","text":"*Step 5* by <@U0ADA> in <#C0OPS>, <!subteam^S0OPS> &amp; <https://x.test/a|the page>"},
		 "fields":[{"type":"mrkdwn","text":"since <!date^1700000000^{time}|22:13 UTC>"},{"type":"plain_text","text":"<raw>"}],
		 "accessory":{"type":"image","image_url":"https://x.test/a.png","alt_text":"clock"}},
		{"type":"divider"},
		{"type":"context","elements":[{"type":"plain_text","text":"exposed"},{"type":"mrkdwn","text":"38 s"}]},
		{"type":"actions","elements":[{"type":"button","text":{"type":"plain_text","text":"Open"}},
		 {"type":"static_select","placeholder":{"type":"plain_text","text":"p"},"options":[{"text":{"type":"plain_text","text":"A"},"value":"a","description":{"type":"plain_text","text":"first"}}]}]},
		{"type":"markdown","text":"**bold**"},
		{"type":"rich_text","elements":[{"type":"rich_text_section","elements":[{"type":"text","text":"by "},{"type":"user","user_id":"U0ADA"},{"type":"emoji","name":"key"}]}]},
		{"type":"input","label":{"type":"plain_text","text":"Reason"},"hint":{"type":"plain_text","text":"short"},"element":{"type":"plain_text_input"}}
	]`
	if got := form(t, w, "chat.postMessage", "channel", ops, "text", "fallback", "blocks", blocks); got.err() != "" {
		t.Fatalf("post: %v", got.body)
	}
	want := `# Rotation
*Step 5* by @ada in #ops, @ops & the page
since 22:13 UTC
<raw>
(picture: clock)
---
exposed 38 s
[Open] ( ) A - first
**bold**
by @ada:key:
Reason: __
  short`
	m := w.Messages(ops)[0]
	if diff := cmp.Diff(want, m.Visible()); diff != "" {
		t.Errorf("visible text (-want +got):\n%s", diff)
	}
	if b := m.Buttons(); len(b) != 1 || b[0].Text != "Open" || b[0].ActionID == "" {
		t.Errorf("buttons = %+v, want Open with a generated action_id", b)
	}
}
