package sandbox

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// tabTo goes on by keyboard until the focus is where it should be.
func (b *tab) tabTo(what, condition string) {
	b.t.Helper()
	for range 80 {
		if eval[bool](b, `() => { const el = document.activeElement; return !!(`+condition+`); }`) {
			return
		}
		b.keys(kb.Tab)
	}
	b.t.Fatalf("the Tab key does not lead to %s", what)
}

// testBrowserKeyboard has no mouse.
func testBrowserKeyboard(t *testing.T, b *tab) {
	b.open(open(t, nil).url)
	b.tabTo("the message box", `el.dataset.testid === 'slack-composer'`)
	b.keys("/rot")
	b.until("commands are suggested", `document.querySelectorAll('.suggest-row').length === 7`)
	b.keys(kb.ArrowDown + kb.Enter)
	b.until("the first is taken", `document.activeElement.value === a[0]`, command+" "+KeySet)
	b.keys(kb.Enter)
	b.find(inModal(button(goOnButton)))
	b.until("the focus is in the window", `document.querySelector(a[0]).contains(document.activeElement)`, slackModal)
	b.tabTo("Why", `el.labels?.[0]?.textContent === '`+whyLabel+`'`)
	b.keys("Sched")
	ticks := eval[int](b, `() => document.querySelectorAll('[data-block=precheck_ticks_v1] input').length`)
	for range ticks {
		b.tabTo("the next box", `el.type === 'checkbox' && el.closest('[data-block=precheck_ticks_v1]') && !el.checked`)
		b.keys(" ")
	}
	b.tabTo("the test order", `el.type === 'radio'`)
	b.keys(" ")
	b.until("something is chosen", `document.activeElement.checked`)
	b.tabTo("Go on", `el.dataset.testid === 'slack-modal-submit'`)
	outline := eval[string](b, `() => getComputedStyle(document.activeElement).outlineStyle + ' ' + getComputedStyle(document.activeElement).outlineWidth`)
	if outline != "solid 2px" {
		t.Errorf("the focus on Go on has the outline %q, want one that can be seen", outline)
	}
	b.keys(kb.Enter)
	b.find(inModal(spot{Label: secretLabel}))
	b.until("the focus is in the window", `document.querySelector(a[0]).contains(document.activeElement)`, slackModal)

	// To the dashboard and back, and out of the window with what was typed.
	b.keys("2", chromedp.ModifierAlt)
	b.tabTo("Regenerate", `el.dataset.testid === 'alpaca-regenerate'`)
	b.keys(kb.Enter)
	b.until("it asks first, and the safe answer has the focus", `document.activeElement.dataset.testid === 'ask-no'`)
	b.keys(kb.Escape)
	b.until("the focus is back", `document.activeElement.dataset.testid === 'alpaca-regenerate'`)
	b.keys("1", chromedp.ModifierAlt)
	b.tabTo("Key ID", `el.labels?.[0]?.textContent === '`+keyIDLabel+`'`)
	b.keys("PKNOT" + kb.Enter)
	b.until("it is refused under its field", `document.activeElement.closest('.bk-wrong')?.querySelector('.bk-error:not([hidden])')?.innerText.length > 10`)
	b.keys(kb.Escape)
	b.until("closing asks first", `document.activeElement.dataset.testid === 'ask-no'`)
	b.tabTo("Close", `el.dataset.testid === 'ask-yes'`)
	b.keys(kb.Enter)
	b.until("the window is closed", `!document.querySelector(a[0])`, slackModal)
}

// testBrowserNarrow looks at the page on a telephone, and at its themes.
func testBrowserNarrow(t *testing.T, b *tab) {
	b.open(open(t, nil).url)
	b.size(narrow, narrowHigh)
	for _, part := range []string{"outside", "rotation", "slack"} {
		b.click(spot{CSS: "#tab-" + part})
		b.until("one part at a time", `[...document.querySelectorAll('.part')].filter((el) => el.checkVisibility()).map((el) => el.id).join() === a[0]`, "part-"+part)
		b.looksRight(t, "narrow, "+part)
	}
	b.tell(command + " " + KeySet)
	b.answer()
	b.looksRight(t, "narrow, step 1")
	b.click(inModal(button(goOnButton)))
	b.find(inModal(spot{Label: secretLabel}))
	b.until("the line on top is about step 2", `document.querySelector('[data-testid=coach]').dataset.stage === 'generate'`)
	eval[bool](b, `() => { document.querySelector('.modal-body .bk-alert').scrollIntoView(); return true; }`)
	b.picture("narrow")
	b.click(spot{CSS: "#tab-outside"})
	b.click(testID("alpaca-regenerate"))
	b.looksRight(t, "narrow, a question")
	b.click(testID("ask-yes"))
	b.until("the tab of Slack says that something waits there", `document.getElementById('tab-slack').classList.contains('is-marked')`)
	b.looksRight(t, "narrow, the pair")
	for _, half := range [][2]string{{"key-id", keyIDLabel}, {"secret", secretLabel}} {
		b.click(testID("alpaca-copy-" + half[0]))
		b.until("it is copied", `document.querySelector(a[0]).textContent === 'Copied'`, testID("alpaca-copy-"+half[0]).CSS)
		b.click(spot{CSS: "#tab-slack"})
		b.paste(inModal(spot{Label: half[1]}))
		b.click(spot{CSS: "#tab-outside"})
	}
	b.click(spot{CSS: "#tab-slack"})
	b.click(inModal(button(sealButton)))
	b.click(spot{CSS: "#tab-rotation"})
	b.completed()
	b.looksRight(t, "narrow, completed")
	b.picture("narrow rotation")

	// The switch is kept over a reload.
	ground := `getComputedStyle(document.body).backgroundColor`
	light := eval[string](b, "() => "+ground)
	b.click(testID("theme-switch"))
	b.click(testID("theme-switch"))
	b.until("it is dark", ground+` !== a[0]`, light)
	b.do(chromedp.Reload())
	b.until("it is still dark", `document.documentElement.dataset.theme === 'dark' && `+ground+` !== a[0]`, light)
}

// countJS counts what the page does for one more message: nodes that come and go
// in the list, and the milliseconds until it is drawn.
const countJS = `() => {
	const list = document.getElementById('message-list');
	window.work = { nodes: 0, changes: 0, long: 0, at: 0 };
	const size = (n) => 1 + (n.querySelectorAll ? n.querySelectorAll('*').length : 0);
	new MutationObserver((records) => {
		for (const r of records) {
			work.changes++;
			for (const n of [...r.addedNodes, ...r.removedNodes]) work.nodes += size(n);
		}
		work.at = performance.timeOrigin + performance.now();
	}).observe(list, { childList: true, subtree: true, characterData: true, attributes: true });
	new PerformanceObserver((l) => { for (const e of l.getEntries()) work.long = Math.max(work.long, e.duration); }).observe({ type: 'longtask' });
	return list.children.length;
}`

// testBrowserMessages fills #ops and looks at what one more message costs.
func testBrowserMessages(t *testing.T, b *tab) {
	const n = 2000
	st := open(t, nil)
	say := func(text string) {
		if _, err := st.Slack.Say(cleo, OpsChannel, text); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		say(fmt.Sprintf("message %d of a long day", i+1))
	}
	began := time.Now()
	b.open(st.url)
	b.says("#message-list", fmt.Sprintf("message %d of", n))
	loaded := time.Since(began)
	rows := eval[int](b, countJS)
	if rows == 0 || rows > 250 {
		t.Errorf("%d of %d messages are in the page, want the newest hundred or so", rows, n)
	}
	sent := time.Now()
	say("one more")
	b.says("#message-list .message:last-child", "one more")
	type work struct{ Nodes, Changes, Long, At float64 }
	one := eval[work](b, `() => work`)
	if one.Nodes == 0 || one.Nodes > 60 || one.Changes > 30 {
		t.Errorf("one more message among %d: %g nodes came or went in %g changes, want those of the message", n, one.Nodes, one.Changes)
	}
	shown := time.UnixMicro(int64(one.At * 1000)).Sub(sent)
	if at := eval[float64](b, `() => { const m = document.getElementById('messages'); return m.scrollHeight - m.scrollTop - m.clientHeight; }`); at > 2 {
		t.Errorf("the last message is %g px below what can be seen", at)
	}
	for i := range 100 {
		say(fmt.Sprintf("burst %d", i+1))
	}
	b.says("#message-list", "burst 100")
	burst := eval[work](b, `() => work`)
	if burst.Nodes > 100*60 {
		t.Errorf("100 more messages: %g nodes came or went, want those of the messages", burst.Nodes-one.Nodes)
	}
	b.click(spot{CSS: "#older"})
	b.until("more are shown", `document.querySelectorAll('#message-list > li').length > a[0] + 150`, rows)
	t.Logf("%d messages: loaded and drawn in %s; one more is there %s after it was sent (%g nodes); longest task %g ms, in a burst of 100 %g ms",
		n, loaded.Round(time.Millisecond), shown.Round(time.Millisecond), one.Nodes, one.Long, burst.Long)
}

// testBrowserRestart ends the sandbox under the page, and starts another.
func testBrowserRestart(t *testing.T, b *tab) {
	b.expected = []string{"ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET"}
	first := open(t, nil)
	addr := strings.TrimPrefix(first.url, "http://")
	b.open(first.url)
	eval[bool](b, `() => window.before = true`)
	if b.there(spot{CSS: "#lost"}) {
		t.Error("the page says that the sandbox is lost while it answers")
	}

	// The way to it is cut, and comes back: the page goes on.
	shown := first.server.Handler
	if err := first.server.Close(); err != nil {
		t.Fatal(err)
	}
	b.says("#lost", "The sandbox does not answer")
	b.looksRight(t, "lost")
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	first.server = &http.Server{Handler: shown, ReadHeaderTimeout: time.Second, BaseContext: func(net.Listener) context.Context { return first.ctx }}
	first.work.Go(func() { _ = first.server.Serve(ln) })
	b.until("the page has found it again", `document.getElementById('lost').hidden && window.before`)
	b.tell(command + " status")
	b.says(".is-ephemeral", KeySet)

	// Another sandbox is another world: the page begins anew.
	if err := first.close(); err != nil {
		t.Errorf("close = %v, want nil", err)
	}
	second, err := openStage(t.Context(), time.Now, addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := second.close(); err != nil {
			t.Errorf("close = %v, want nil", err)
		}
	})
	b.until("the page is loaded anew", `!window.before && document.querySelector('.online.is-on') && !document.querySelector('.is-ephemeral')`)
}
