package app_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/sim/simhttp"
)

// attack is what somebody may type where a reason is asked for: mentions, a
// link, a faked line, marks that turn the text around, and what ends a code span.
const attack = "\u202eINC-42\u2066 <!channel> <@U0MAL> <!subteam^S0RAXXOPS> <https://evil.example|app.alpaca.markets> `*_~ &lt;!here&gt;\n✅ 8 Write the record\x00\u200b"

// markup is what Slack would read as more than text, and what we write ourselves.
var markup, own = regexp.MustCompile(`<[^>]*>`), regexp.MustCompile(`^<(@U0ADA|@U0BOB|@U0EVE|!date\^\d+\^\{ago\}\|[^<>|]*|https://([a-z]+\.)?alpaca\.markets/[^|<>]*\|[^<>]*)>$`)

// What people type as a reason goes through the modal, the channel, the record
// and the status as plain text, however long and odd it is.
func TestHostileReason(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{noDelays: true})
	b := w.start()
	w.ada.begin("prod")
	w.ada.answer(false)
	w.ada.choose("Why", "Suspected compromise")
	w.ada.typeIn("Reason", strings.Repeat("ü", 3000))
	if got := w.ada.submit(); !got.Local {
		t.Errorf("a reason of 3000 characters: %+v, want Slack itself to refuse it", got)
	}
	room := 500 - len([]rune(attack))
	w.ada.typeIn("Reason", attack+strings.Repeat("ü", room))
	if got := w.ada.submit(); len(got.Errors) > 0 {
		t.Fatalf("the reason is refused: %v", got.Errors)
	}
	w.ada.see(stepHeader(2))
	w.eve.command(opsChannel, "status")
	w.ada.pressIn(w.opsMessage("*2 Generate the new pair*", "[Cancel rotation]"), cancelIt)
	w.ada.see("Why is it cancelled?")
	w.ada.typeIn("Why is it cancelled?", attack)
	if got := w.ada.submit(); len(got.Errors) > 0 {
		t.Fatalf("the reason is refused: %v", got.Errors)
	}
	w.opsMessage("rotation cancelled")
	b.stop()

	for _, e := range w.slack.Journal() {
		for _, text := range mrkdwn(e.Body) {
			for _, form := range markup.FindAllString(text, -1) {
				if !own.MatchString(form) {
					t.Errorf("%s holds the markup %q: %q", e.Method, form, text)
				}
			}
			if strings.ContainsAny(text, "\u202e\u2066\u200b\x00") || strings.Contains(text, "\n✅ 8 Write the record") {
				t.Errorf("%s holds what was typed as it was typed: %q", e.Method, text)
			}
		}
	}
	if got := w.slack.Problems(); len(got) > 0 {
		t.Errorf("problems: %q", got)
	}
	rows, last := w.left()
	if !strings.HasPrefix(last.Reason, "INC-42 <!channel> <@U0MAL>") || strings.ContainsAny(last.Reason, "\u202e\u2066\n\x00") {
		t.Errorf("the record has the reason %q, want the words on one line", last.Reason)
	}
	if why, _ := row(t, rows, "secret.rotate.cancelled").Context["why"].(string); !strings.HasPrefix(why, "INC-42 <!channel>") || strings.ContainsAny(why, "\u202e\u2066\n\x00") {
		t.Errorf("the record has the reason %q, want the words on one line", why)
	}
}

// mrkdwn returns what Slack would parse in a request: each mrkdwn text of the
// blocks or the view, and the fallback.
func mrkdwn(form []byte) (list []string) {
	for line := range strings.Lines(string(form)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if name == "text" {
			list = append(list, value)
		}
		var v any
		if json.Unmarshal([]byte(value), &v) == nil {
			list = append(list, mrkdwnIn(v)...)
		}
	}
	var v any
	if json.Unmarshal(form, &v) == nil {
		list = append(list, mrkdwnIn(v)...)
	}
	return list
}

func mrkdwnIn(v any) (list []string) {
	switch at := v.(type) {
	case []any:
		for _, v := range at {
			list = append(list, mrkdwnIn(v)...)
		}
	case map[string]any:
		if text, ok := at["text"].(string); ok && at["type"] != "plain_text" {
			list = append(list, text)
		}
		for _, v := range at {
			list = append(list, mrkdwnIn(v)...)
		}
	}
	return list
}

// What is typed after the command is answered, to the person alone, as text.
func TestHostileCommand(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{noDelays: true})
	b := w.start()
	for _, text := range []string{"<!channel>", "<@U0MAL>", "\u202edorp", "prod\u200b\x00", "`prod`", strings.Repeat("ü", 3000), "<https://evil.example|prod>"} {
		got := w.ada.command(opsChannel, text)
		if got.Reply == nil || got.Reply.EphemeralFor != adaID {
			t.Errorf("%.40q is answered %+v, want a refusal to Ada alone", text, got)
			continue
		}
		said := mrkdwn(got.Reply.Blocks)
		for _, form := range markup.FindAllString(strings.Join(append(said, got.Reply.Text), "\n"), -1) {
			if !own.MatchString(form) {
				t.Errorf("the answer to %.40q holds the markup %q", text, form)
			}
		}
		if strings.ContainsAny(got.Reply.Visible(), "\u202e\u200b\x00") {
			t.Errorf("the answer to %.40q holds what was typed as it was typed: %q", text, got.Reply.Visible())
		}
	}
	if _, open := w.slack.Modal(adaID); open {
		t.Error("a modal is open after commands that name no key set")
	}
	if got := w.slack.Problems(); len(got) > 0 {
		t.Errorf("problems: %q", got)
	}
	b.stop()
	if _, last := w.left(); last.ID != "" {
		t.Errorf("rotation %s was opened", last.ID)
	}
}

// A redirect of Slack's is not followed: neither the token nor what was to be
// said goes to somebody else. What was to be said follows later.
func TestSlackRedirectIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{noDelays: true})
	var strayed atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		strayed.Add(1)
	}))
	defer elsewhere.Close()
	b := w.start()
	for _, status := range []int{302, 307} {
		w.slack.Inject(simhttp.Fault{Path: "/api/chat.postMessage", Times: 1, Status: status, Header: http.Header{"Location": {elsewhere.URL + "/api/chat.postMessage"}}})
	}
	w.ada.begin("prod")
	w.opsMessage("step 1 of 8")
	b.stop()
	if n := strayed.Load(); n > 0 {
		t.Errorf("%d calls followed a redirect, want none", n)
	}
	if n := w.slack.Count(http.MethodPost, "/api/chat.postMessage"); n < 3 {
		t.Errorf("%d posts were tried, want the two redirected ones and one more", n)
	}
	w.left()
}

// An answer of Slack's without an end, or that is no JSON, is no harm: the bot
// asks again.
func TestSlackAnswersNonsense(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{noDelays: true})
	b := w.start()
	w.slack.Inject(simhttp.Fault{Path: "/api/chat.postMessage", Times: 1, Status: http.StatusOK, Body: `{"ok":true,"pad":"` + strings.Repeat("x", 10<<20)})
	for _, body := range []string{`{"ok":true,"view":{`, "<html>sign in</html>"} {
		w.slack.Inject(simhttp.Fault{Path: "/api/views.update", Times: 1, Status: http.StatusOK, Body: body})
	}
	w.ada.begin("prod")
	w.opsMessage("step 1 of 8")
	w.ada.press(cancelIt)
	w.ada.see("Why is it cancelled?")
	w.ada.typeIn("Why is it cancelled?", "enough")
	w.ada.submit()
	w.opsMessage("rotation cancelled")
	b.stop()
	if _, last := w.left(); last.Outcome != rotation.Cancelled {
		t.Errorf("outcome %q, want cancelled", last.Outcome)
	}
}
