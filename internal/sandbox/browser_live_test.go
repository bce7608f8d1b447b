package sandbox

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// hearJS keeps everything that people are told who do not see the page.
const hearJS = `() => {
	window.heard = { polite: [], assertive: [] };
	for (const id of Object.keys(heard)) {
		new MutationObserver(() => { const text = document.getElementById(id).textContent; if (text) heard[id].push(text); })
			.observe(document.getElementById(id), { childList: true, characterData: true, subtree: true });
	}
	return true;
}`

// hears waits until a text was announced, politely or not.
func (b *tab) hears(how, text string) {
	b.t.Helper()
	var all []string
	b.poll(fmt.Sprintf("the announcement %q", text), func() bool {
		all = eval[[]string](b, `(how) => heard[how]`, how)
		return slices.ContainsFunc(all, func(s string) bool { return strings.Contains(s, text) })
	})
}

// A holder is a place that holds the pair, as the page shows it.
type holder struct{ Name, Works, Word, Last4, Colour, Ground, Edge string }

func (b *tab) holders() []holder {
	b.t.Helper()
	return eval[[]holder](b, `() => [...document.querySelectorAll('[data-works]')].map((el) => {
		const pill = el.querySelector('.pill'), style = getComputedStyle(pill);
		return { Name: el.querySelector('.place-name').innerText, Works: el.dataset.works, Word: pill.querySelector('[aria-hidden]').nextSibling.data,
			Last4: el.querySelector('.place-key').innerText, Colour: style.color, Ground: style.backgroundColor, Edge: getComputedStyle(el).borderLeftColor };
	})`)
}

// watchJS notes at every tick of the stopwatch where its neighbours stand, and what
// the browser itself calls a shift of the layout in the parts that tick.
const watchJS = `() => {
	const w = window.ticks = { Said: [], Moved: [], Shifts: [] };
	const at = (el, from) => { const r = el.getBoundingClientRect(), o = from?.getBoundingClientRect() ?? { x: 0, y: 0 }; return [r.x - o.x, r.y - o.y, r.width, r.height].map(Math.round).join(); };
	const boxes = () => new Map([
		...[...document.querySelectorAll('.bar > *')].map((el) => [el, at(el)]),
		...[...document.querySelectorAll('.exposed > *')].map((el) => [el, at(el, el.parentElement)]),
		...[...document.querySelectorAll('.step-top > *')].map((el) => [el, at(el, el.parentElement)]),
	]);
	const first = boxes();
	const bar = document.getElementById('bar-exposed-text'), big = document.getElementById('exposed-time');
	new MutationObserver(() => {
		if (w.Said.at(-1) !== big.textContent) w.Said.push(big.textContent);
		for (const [el, box] of boxes()) if (first.has(el) && first.get(el) !== box) w.Moved.push(big.textContent + ', ' + bar.textContent + ': ' + el.outerHTML.slice(0, 120) + ' from ' + first.get(el) + ' to ' + box);
	}).observe(bar.parentElement, { childList: true, characterData: true, subtree: true });
	window.shifts = new PerformanceObserver((list) => {
		for (const e of list.getEntries()) {
			for (const s of e.hadRecentInput ? [] : e.sources) {
				const el = s.node?.nodeType === 1 ? s.node : s.node?.parentElement;
				if (el?.closest('.bar, .exposed, .step-top')) w.Shifts.push(w.Said.at(-1) + ': ' + el.outerHTML.slice(0, 120));
			}
		}
	});
	shifts.observe({ type: 'layout-shift' });
	return PerformanceObserver.supportedEntryTypes.includes('layout-shift');
}`

// ticksQuietly looks at the page while the stopwatch runs for more than three
// seconds, and over the tens and the minute.
func (b *tab) ticksQuietly() {
	b.t.Helper()
	if !eval[bool](b, watchJS) {
		b.t.Fatal("this browser does not tell of shifts of the layout")
	}
	b.until("the stopwatch has run for three seconds", `ticks.Said.length > 30`)
	for range 2 {
		before := eval[int](b, `() => ticks.Said.length`)
		b.click(testID("clock-30"))
		b.until("it has leapt and runs on", `ticks.Said.length > a[0] + 10`, before)
	}
	b.until("it is past a minute", `ticks.Said.at(-1).includes('min')`)
	type result struct{ Said, Moved, Shifts []string }
	got := eval[result](b, `() => { const w = ticks; shifts.disconnect(); window.shifts = null; return w; }`)
	if len(got.Moved) > 0 {
		b.t.Errorf("while the numbers tick %d times something moves:\n%s", len(got.Moved), strings.Join(got.Moved[:min(6, len(got.Moved))], "\n"))
	}
	if len(got.Shifts) > 0 {
		b.t.Errorf("the browser tells of shifts where numbers tick:\n%s", strings.Join(got.Shifts[:min(6, len(got.Shifts))], "\n"))
	}
}

// testBrowserLive does a rotation, and attends to what changes by itself: what is
// announced, whether each place works now, and that ticking numbers move nothing.
func testBrowserLive(t *testing.T, b *tab) {
	b.open(open(t, nil).url)
	eval[bool](b, hearJS)
	b.until("every place works", `[...document.querySelectorAll('[data-works]')].every((el) => el.dataset.works === 'yes')`)
	before := b.holders()
	b.begin()
	b.hears("polite", "window opened")
	b.hears("polite", "Step 1, Pre-rotation checks: done")
	b.hears("polite", "Step 2, Generate the new pair: running")

	b.regenerate()
	b.hears("polite", "A new pair is on the screen")
	b.hears("assertive", "Exposed now: the old pair is dead")
	for _, h := range before {
		b.hears("polite", h.Name+" does not work")
	}
	dead := b.holders()
	if len(dead) != len(before) || len(dead) < 6 {
		t.Fatalf("%d places hold the pair, %d before; want as many, and more than five", len(dead), len(before))
	}
	for i, h := range dead {
		was := before[i]
		if was.Works != "yes" || was.Word != "works" || h.Works != "no" || h.Word != "does not work" {
			t.Errorf("%s says %q (%s), and after the old pair died %q (%s)", h.Name, was.Word, was.Works, h.Word, h.Works)
		}
		if h.Colour == was.Colour || h.Ground == was.Ground || h.Edge == was.Edge || h.Last4 != was.Last4 {
			t.Errorf("%s looks like %+v, and after the old pair died like %+v; want other colours and the same key", h.Name, was, h)
		}
	}
	b.until("the sum says so", `document.querySelector('.places-sum').innerText.startsWith('0 of ')`)
	b.ticksQuietly()

	b.carry("key-id", secretLabel)
	b.carry("secret", keyIDLabel)
	b.click(inModal(button(sealButton)))
	b.hears("assertive", "swapped")
	keyID := b.find(testID("alpaca-key-id")).Text
	b.seal()
	b.completed()
	b.hears("polite", "Step 8, Write the record: done")
	b.hears("polite", "Rotation of "+KeySet+" completed")
	b.hears("polite", "No longer exposed: it lasted 1 min")
	for i, h := range b.holders() {
		was := before[i]
		if h.Word != "works" || h.Colour != was.Colour || h.Ground != was.Ground || h.Edge != was.Edge {
			t.Errorf("%s looks like %+v after the rotation, want it as before: %+v", h.Name, h, was)
		}
		if h.Last4 == was.Last4 || !strings.HasSuffix(h.Last4, last4(keyID)) {
			t.Errorf("%s shows the key %s, before it was %s; want the end of %s", h.Name, h.Last4, was.Last4, keyID)
		}
		b.hears("polite", h.Name+" works")
	}
}

// testBrowserNotSupported sends what Slack has and this page has not: it is named,
// never left out.
func testBrowserNotSupported(t *testing.T, b *tab) {
	st := open(t, nil)
	b.open(st.url)
	text := func(s string) object { return object{"type": "plain_text", "text": s} }
	rich := object{"type": "rich_text", "elements": []any{object{"type": "rich_text_section", "elements": []any{object{"type": "text", "text": "rich"}}}}}
	blocks := []any{
		rich,
		object{"type": "section", "text": text("who?"), "accessory": object{"type": "users_select", "action_id": "who", "placeholder": text("Who")}},
		object{"type": "actions", "elements": []any{
			object{"type": "datetimepicker", "action_id": "when"},
			object{"type": "button", "action_id": "go", "text": text("A button that is known")},
		}},
		object{"type": "video", "alt_text": "a film", "title": text("Film"), "thumbnail_url": "https://films.example/a.png", "video_url": "https://films.example/a"},
	}
	want := []string{"Not supported: block rich_text", "Not supported: element users_select", "Not supported: element datetimepicker", "Not supported: block video"}
	ts := st.asBot(t, "chat.postMessage", object{"channel": OpsChannel, "text": "unknown", "blocks": blocks})
	b.notSupported("#message-list [data-ts='"+ts+"']", want)
	b.says("#message-list [data-ts='"+ts+"']", "A button that is known")
	b.looksRight(t, "a message that is not supported")

	// A view: the Home tab of somebody for whom the bot, which is dead, has none.
	b.click(testID("bot-kill"))
	b.until("the bot is seen dead", `document.querySelector('.online.is-off')`)
	st.asBot(t, "views.publish", object{"user_id": Ada, "view": object{"type": "home", "blocks": append(blocks,
		object{"type": "input", "label": text("Where?"), "element": object{"type": "channels_select", "action_id": "where"}})}})
	b.click(testID("home-tab"))
	b.notSupported("#home", append(want, "Not supported: element channels_select"))
	b.says("#home", "Where?")
	b.looksRight(t, "a view that is not supported")
}

// notSupported waits until just these boxes can be seen inside of an element.
func (b *tab) notSupported(css string, want []string) {
	b.t.Helper()
	var got []string
	b.poll(css+" says what is not supported", func() bool {
		got = eval[[]string](b, `(css) => [...document.querySelectorAll(css + ' .bk-unknown')].filter((el) => {
			const r = el.getBoundingClientRect();
			return el.checkVisibility({ visibilityProperty: true, opacityProperty: true, contentVisibilityAuto: true }) && r.width > 100 && r.height > 20;
		}).map((el) => el.innerText.replace(/\s+/g, ' '))`, css)
		return len(got) >= len(want)
	})
	if !slices.Equal(got, want) {
		b.t.Errorf("%s shows %q, want %q", css, got, want)
	}
}
