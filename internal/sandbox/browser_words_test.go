package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// asBot calls a method of Slack's API with the bot's token, and returns the ts of
// the message, if there is one.
func (st *stage) asBot(t *testing.T, method string, args map[string]any) string {
	t.Helper()
	body, err := json.Marshal(args)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, st.Slack.APIURL()+method, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+st.Slack.Config().BotToken)
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var out struct {
		OK bool
		TS string
	}
	var all json.RawMessage
	if err := json.NewDecoder(resp.Body).Decode(&all); err != nil || json.Unmarshal(all, &out) != nil || !out.OK {
		t.Fatalf("%s %s = %s, %v, want ok", method, body, all, err)
	}
	return out.TS
}

// inTokyo moves the person, not the machine.
func (b *tab) inTokyo() {
	b.t.Helper()
	b.do(func(ctx context.Context, t *chromedp.Target) (void chromedp.Void, err error) {
		_, err = cdp.Call(ctx, t, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: "Asia/Tokyo"})
		return void, err
	})
}

// outlineJS writes an element's nodes without attributes, but with where a link
// leads and what a date is.
const outlineJS = `(css) => {
	const of = (n) => n.nodeType === 3 ? n.data : '<' + [n.localName, n.getAttribute('href'), n.getAttribute('datetime')].filter(Boolean).join(' ') + '>' + [...n.childNodes].map(of).join('') + '</' + n.localName + '>';
	const el = document.querySelector(css);
	return el ? [...el.childNodes].map(of).join('') : '';
}`

// drawn waits until an element is drawn in just these nodes.
func (b *tab) drawn(css, want string) {
	b.t.Helper()
	got := ""
	b.poll(css+" drawn", func() bool {
		got = eval[string](b, outlineJS, css)
		return got != ""
	})
	if got != want {
		b.t.Errorf("%s is drawn as\n%s\nwant\n%s", css, got, want)
	}
}

// spelling is a text as a bot writes it, and as Slack shows it.
type spelling struct{ name, text, want string }

func spellings(now time.Time) []spelling {
	wrap := func(s string) string { return "<span>" + s + "</span>" }
	return []spelling{
		{"marks", "*bold* _slanted_ ~gone~ `*not bold*` *a _both_ b* 2*3*4 _ * ~", wrap("<strong>bold</strong> <em>slanted</em> <s>gone</s> <code>*not bold*</code> <strong>a <em>both</em> b</strong> 2*3*4 _ * ~")},
		{"people and places", "<@" + Ada + "> in <#" + OpsChannel + "> <!here>", wrap("<span>@ada</span> in <button>#ops</button> <span>@here</span>")},
		{"emoji", ":key: :rotating_light: :nosuchemoji: :constructor: 12:30:45", wrap("🔑 🚨 :nosuchemoji: :constructor: 12:30:45")},
		{"links", "<https://docs.example/a?b=1&amp;c=2|the docs> https://docs.example/x.", wrap("<a https://docs.example/a?b=1&c=2>the docs</a> <a https://docs.example/x>https://docs.example/x</a>.")},
		{"escapes", "a &lt; b &amp;&amp; c &gt; d &amp;lt;", wrap("a < b && c > d &lt;")},
		{"quote and code", "said:\n> *quoted*\n```\n*x* &lt;b&gt;\n```", wrap("said:") + "<blockquote><strong>quoted</strong></blockquote><pre>*x* <b></pre>"},
		{
			"a date in the person's own zone", "<!date^1700000000^{date_num} at {time_secs}, {constructor}|fallback>",
			wrap("<time 2023-11-14T22:13:20.000Z>2023-11-15 at 07:13:20, {constructor}</time>"),
		},
		{"a day in words", "<!date^1700000000^{date_long}|fallback>", wrap("<time 2023-11-14T22:13:20.000Z>Wednesday, November 15th, 2023</time>")},
		{"a date with a link", "<!date^1700000000^{date_short}^https://docs.example/|fallback>", wrap("<a https://docs.example/><time 2023-11-14T22:13:20.000Z>Nov 15, 2023</time></a>")},
		{"no date", "<!date^soon^{date}|fallback>", wrap("fallback")},
		{"how long ago", fmt.Sprintf("<!date^%d^{ago}|fallback>", now.Add(-2*time.Hour-10*time.Minute).Unix()), wrap("<time " + now.Add(-2*time.Hour-10*time.Minute).UTC().Truncate(time.Second).Format("2006-01-02T15:04:05.000Z") + ">2 hours ago</time>")},
	}
}

// hostile are texts that would do something if they were taken for HTML, or for a
// link that is none, and what is shown of them instead.
func hostile() [][2]string {
	const img = `<img src=x onerror=window.hacked=1>`
	same := func(s string) [2]string { return [2]string{s, s} }
	return [][2]string{
		same(img), same(`<script>window.hacked=1</script>`),
		{`&lt;img src=x onerror=window.hacked=1&gt;`, img},
		same(`<javascript:window.hacked=1|press me>`), same(`<JavaScript:window.hacked=1>`), same(`<data:text/html,hacked|press me>`),
		{`*<svg onload=window.hacked=1>*`, `<svg onload=window.hacked=1>`},
		{"`<iframe src=x>`", `<iframe src=x>`},
		{`<https://ok.example/"onmouseover="window.hacked=1|<b onclick=window.hacked=1>hi</b>>`, `<b onclick=window.hacked=1hi</b>>`},
		{`<!date^1700000000^` + img + `|<b>x</b>>`, `<img src=x onerror=window.hacked=1|<b>x</b>>`},
		{`<@U0NOBODY|` + img + `>`, `@<img src=x onerror=window.hacked=1>`},
		{`<!subteam^S0|<i>x</i>>`, `<ix</i>>`},
	}
}

// testBrowserWords reads what the page makes of texts: mrkdwn, emoji, dates and
// threads, and nothing of HTML.
func testBrowserWords(t *testing.T, b *tab) {
	b.inTokyo()
	st := open(t, nil)
	b.open(st.url)
	post := func(args map[string]any) string {
		args["channel"] = OpsChannel
		return st.asBot(t, "chat.postMessage", args)
	}
	said := func(ts string) string { return "#message-list [data-ts='" + ts + "'] " }
	var checks []func() // all is said first: the page is told of many at once
	for _, s := range spellings(st.now()) {
		text, section := post(object{"text": s.text}), post(object{"text": s.name, "blocks": []any{object{"type": "section", "text": object{"type": "mrkdwn", "text": s.text}}}})
		checks = append(checks, func() {
			b.drawn(said(text)+".message-text", s.want)
			b.drawn(said(section)+".bk-text", s.want)
		})
	}
	plain := post(map[string]any{"text": "plain", "blocks": []any{object{"type": "section", "text": object{"type": "plain_text", "text": "*x* <b>&lt; :key:", "emoji": true}}}})
	b.drawn(said(plain)+".bk-text", "*x* <b>&lt; 🔑")
	checks = append(checks, b.hostile(post, said)...)
	for _, check := range checks {
		check()
	}
	if eval[bool](b, `() => 'hacked' in window`) {
		t.Error("a message ran a script")
	}
	b.thread(post, func(ts, text string) {
		st.asBot(t, "chat.update", map[string]any{"channel": OpsChannel, "ts": ts, "text": text})
	}, said)
	b.looksRight(t, "a thread")
	b.keys(kb.Escape)
	b.until("the thread is closed", `document.getElementById('thread').hidden`)
}

type object = map[string]any

// hostile has the bot say what would do harm, in each place that shows a text, and
// returns what looks at it.
func (b *tab) hostile(post func(map[string]any) string, said func(string) string) (checks []func()) {
	b.t.Helper()
	for _, text := range hostile() {
		bad, shown := text[0], text[1]
		mrkdwn, plain := object{"type": "mrkdwn", "text": bad}, object{"type": "plain_text", "text": bad}
		for css, message := range map[string]object{
			".message-text": {"text": bad},
			".bk-text":      {"text": "section", "blocks": []any{object{"type": "section", "text": mrkdwn}}},
			".bk-field":     {"text": "field", "blocks": []any{object{"type": "section", "fields": []any{mrkdwn}}}},
			".bk-context":   {"text": "context", "blocks": []any{object{"type": "context", "elements": []any{mrkdwn}}}},
			".bk-header":    {"text": "header", "blocks": []any{object{"type": "header", "text": plain}}},
		} {
			want := shown
			if css == ".bk-header" {
				want = bad
			}
			ts := post(message)
			checks = append(checks, func() { b.harmless(said(ts), css, bad, want) })
		}
	}
	return checks
}

// harmless checks that a message shows a text as a text.
func (b *tab) harmless(message, css, bad, want string) {
	b.t.Helper()
	b.until("a message is there", `!!document.querySelector(a[0])`, message+css)
	if got := eval[string](b, `(css) => document.querySelector(css).textContent`, message+css); got != want {
		b.t.Errorf("%s: %s is shown as %s, want %s", css, bad, got, want)
	}
	found := eval[string](b, `(css) => [...document.querySelectorAll(css)].map((el) => el.outerHTML).join()`,
		message+":is(img, script, svg, iframe, b, i, [onerror], [onload], [onclick], [onmouseover], a:not([href^='https://']))")
	if found != "" {
		b.t.Errorf("%s: %s became %s, want a text", css, bad, found)
	}
}

// thread has the bot answer a message of its own.
func (b *tab) thread(post func(map[string]any) string, mend func(ts, text string), said func(string) string) {
	b.t.Helper()
	root := post(map[string]any{"text": "who is here?"})
	first := post(map[string]any{"text": "*one* <img src=x onerror=window.hacked=1>", "thread_ts": root})
	b.until("one reply is counted", `document.querySelector(a[0])?.textContent.startsWith('1 reply')`, said(root)+".replies")
	post(map[string]any{"text": "two", "thread_ts": root})
	b.until("two are", `document.querySelector(a[0]).textContent.startsWith('2 replies')`, said(root)+".replies")
	if b.there(spot{CSS: said(first)}) || b.there(spot{CSS: "#thread"}) {
		b.t.Error("a reply stands in the channel, or its thread is open unasked")
	}
	b.click(spot{CSS: said(root) + ".replies"})
	b.until("the thread is open, and has the focus", `document.getElementById('thread').contains(document.activeElement)`)
	b.drawn("#thread li:nth-child(1) .message-text", "<span>who is here?</span>")
	b.drawn("#thread li:nth-child(2) .message-text", "<span><strong>one</strong> <img src=x onerror=window.hacked=1></span>")
	b.drawn("#thread li:nth-child(3) .message-text", "<span>two</span>")
	third := post(map[string]any{"text": "three", "thread_ts": root})
	b.says("#thread li:nth-child(4)", "three")
	mend(third, "three, mended")
	b.says("#thread li:nth-child(4)", "three, mended")
	if n := eval[int](b, `() => document.querySelectorAll('#thread li').length`); n != 4 {
		b.t.Errorf("the thread shows %d messages, want 4", n)
	}
	b.says(said(root)+".replies", "3 replies")
}
