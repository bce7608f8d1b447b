package sandbox

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// atMost is how long a person waits for something to appear.
const atMost = 20 * time.Second

// A tab is a window of the browser with its own storage. It acts by mouse and
// keyboard only, and notes whatever goes wrong inside the page.
type tab struct {
	t      testing.TB
	ctx    context.Context //nolint:containedctx // a tab is its context
	cancel context.CancelFunc
	ended  bool
	axe    string

	mu       sync.Mutex
	expected []string // parts of problems that belong to the case
	problems []string
	urls     map[network.RequestID]string
}

func newTab(browser context.Context, t testing.TB, axe string) *tab {
	t.Helper()
	b := &tab{t: t, axe: axe, urls: map[network.RequestID]string{}}
	b.ctx, b.cancel = chromedp.NewContext(browser, chromedp.WithNewBrowserContext(), chromedp.WithListener(b.note))
	t.Cleanup(b.end)
	b.do()
	return b
}

// end closes the tab and tells what went wrong in it. A second end does nothing.
func (b *tab) end() {
	if b.ended {
		return
	}
	b.ended = true
	if b.t.Failed() {
		b.report()
	}
	b.cancel()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.problems {
		if !slices.ContainsFunc(b.expected, func(part string) bool { return strings.Contains(p, part) }) {
			b.t.Errorf("in the browser: %s", p)
		}
	}
}

// note writes down what a developer would see in red.
func (b *tab) note(ev any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	problem := func(format string, args ...any) { b.problems = append(b.problems, fmt.Sprintf(format, args...)) }
	switch ev := ev.(type) {
	case *runtime.EventExceptionThrown:
		problem("exception %s: %+v", ev.ExceptionDetails.Text, ev.ExceptionDetails.Exception)
	case *runtime.EventConsoleAPICalled:
		if ev.Type == runtime.ConsoleAPICalledTypeError || ev.Type == runtime.ConsoleAPICalledTypeWarning {
			problem("console %s: %s", ev.Type, ev.Args[0].Description)
		}
	case *log.EventEntryAdded:
		if ev.Entry.Level == log.EntryLevelError || ev.Entry.Level == log.EntryLevelWarning {
			problem("log %s: %s %s", ev.Entry.Level, ev.Entry.Text, ev.Entry.URL)
		}
	case *network.EventRequestWillBeSent:
		b.urls[ev.RequestID] = ev.Request.URL
	case *network.EventResponseReceived:
		if ev.Response.Status >= 400 {
			problem("%s = %d", ev.Response.URL, ev.Response.Status)
		}
	case *network.EventLoadingFailed:
		if !ev.Canceled {
			problem("%s failed: %s", b.urls[ev.RequestID], ev.ErrorText)
		}
	}
}

// report shows what the person had before their eyes when the test failed.
func (b *tab) report() {
	text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.body.innerText`))
	b.t.Logf("the page when it failed (%v):\n%.4000s", err, text)
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatalf("the browser: %v", err)
	}
}

// eval calls a function of JavaScript with arguments.
func eval[T any](b *tab, function string, args ...any) T {
	b.t.Helper()
	out, err := attempt[T](b, function, args...)
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

func attempt[T any](b *tab, function string, args ...any) (out T, err error) {
	list, err := json.Marshal(append([]any{}, args...))
	if err != nil {
		return out, err
	}
	if out, err = chromedp.Run(b.ctx, chromedp.Evaluate[T]("("+function+")(..."+string(list)+")", chromedp.EvalAwaitPromise)); err != nil {
		return out, fmt.Errorf("%.200s with %.200s: %w", function, list, err)
	}
	return out, nil
}

// poll asks again until ok; what says what is waited for.
func (b *tab) poll(what string, ok func() bool) {
	b.t.Helper()
	limit, tick := time.NewTimer(atMost), time.NewTicker(15*time.Millisecond)
	defer limit.Stop()
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-limit.C:
			b.t.Fatalf("waited for %s", what)
		}
	}
}

// until waits until a condition of JavaScript holds, be it on the next page.
func (b *tab) until(what, condition string, args ...any) {
	b.t.Helper()
	b.poll(what+", "+condition, func() bool {
		ok, err := attempt[bool](b, "(...a) => !!("+condition+")", args...)
		if err != nil && !strings.Contains(err.Error(), "navigated") {
			b.t.Fatal(err)
		}
		return ok
	})
}

// A spot says which element is meant: the last visible one in In, which is a
// selector, that fits.
type spot struct {
	In    string `json:"in,omitempty"`
	CSS   string `json:"css,omitempty"`
	Text  string `json:"text,omitempty"`  // of a button, without what is hidden from screen readers
	Label string `json:"label,omitempty"` // of an input
}

// seen is what find returns of an element.
type seen struct {
	X, Y  float64 // its middle
	By    string  // what covers it, "" for nothing
	Text  string
	Value string
}

const findJS = `(q, focus) => {
	const shown = (el) => el && el.getClientRects().length > 0 && el.checkVisibility({ visibilityProperty: true });
	const text = (el) => {
		const c = el.cloneNode(true);
		for (const x of c.querySelectorAll('[aria-hidden=true], .sr')) x.remove();
		return c.textContent.replace(/\s+/g, ' ').trim();
	};
	const all = (css) => [...document.querySelectorAll(q.in || 'body')].flatMap((root) => [...root.querySelectorAll(css)]);
	let list = q.css ? all(q.css) : q.text ? all('button, summary').filter((el) => text(el) === q.text)
		: all('label').filter((el) => text(el).startsWith(q.label)).map((el) => el.control);
	const el = list.filter(shown).at(-1);
	if (!el) return null;
	if (focus) el.focus();
	let r = el.getBoundingClientRect();
	const inside = (r) => { const at = document.elementFromPoint(r.x + r.width / 2, r.y + r.height / 2); return at === el || el.contains(at) || at?.contains(el) && at.closest('label')?.control === el ? '' : at ? at.outerHTML.slice(0, 120) : 'outside of the window'; };
	let by = inside(r);
	if (by) { el.scrollIntoView({ block: 'center' }); r = el.getBoundingClientRect(); by = inside(r); }
	return { X: r.x + r.width / 2, Y: r.y + r.height / 2, By: by, Text: text(el), Value: String(el.value ?? '') };
}`

// find waits for an element that can be clicked and stays where it is.
func (b *tab) find(q spot) (at seen) {
	b.t.Helper()
	var before *seen
	b.poll(fmt.Sprintf("%+v", q), func() bool {
		now := eval[*seen](b, findJS, q)
		if now == nil || now.By != "" || before == nil || now.X != before.X || now.Y != before.Y {
			before = now
			return false
		}
		at = *now
		return true
	})
	return at
}

// there reports whether an element can be seen now.
func (b *tab) there(q spot) bool {
	b.t.Helper()
	return eval[*seen](b, findJS, q) != nil
}

func (b *tab) click(q spot) {
	b.t.Helper()
	at := b.find(q)
	b.do(chromedp.MouseClickXY(at.X, at.Y))
}

// keys presses keys one after the other; see package kb for those without a letter.
// Each is one event with its text, as from a keyboard: a page that handles the key
// gets no letter.
func (b *tab) keys(text string, mod ...chromedp.Modifier) {
	b.t.Helper()
	for _, r := range text {
		var down *input.DispatchKeyEventParams
		for _, p := range kb.Encode(r) {
			for _, m := range mod {
				p.Modifiers |= m.Int64()
			}
			switch {
			case p.Type == kb.KeyDown:
				down = p
				continue
			case p.Type == kb.KeyChar && len(mod) == 0:
				down.Text, down.UnmodifiedText = p.Text, p.UnmodifiedText
				continue
			case p.Type == kb.KeyUp:
				b.send(down)
				b.send(p)
			}
		}
	}
}

func (b *tab) send(p *input.DispatchKeyEventParams) {
	b.t.Helper()
	b.do(func(ctx context.Context, t *chromedp.Target) (void chromedp.Void, err error) {
		_, err = cdp.Call(ctx, t, input.DispatchKeyEvent, *p)
		return void, err
	})
}

// command presses Ctrl and a letter that the browser itself understands.
func (b *tab) command(letter, command string) {
	b.t.Helper()
	p := input.DispatchKeyEventParams{
		Type: input.DispatchKeyEventTypeRawKeyDown, Modifiers: chromedp.ModifierCtrl.Int64(), Commands: []string{command},
		Key: letter, Code: "Key" + strings.ToUpper(letter), WindowsVirtualKeyCode: int64(strings.ToUpper(letter)[0]),
	}
	b.send(&p)
	p.Type, p.Commands = input.DispatchKeyEventTypeKeyUp, nil
	b.send(&p)
}

// paste replaces what is in an input by what was copied.
func (b *tab) paste(q spot) {
	b.t.Helper()
	b.click(q)
	b.command("a", "selectAll")
	b.command("v", "paste")
}

// choose goes to a list and types how the choice begins. A click would open the
// list in a window of its own.
func (b *tab) choose(q spot, text string) {
	b.t.Helper()
	b.find(q)
	eval[*seen](b, findJS, q, true)
	b.keys(text)
}
