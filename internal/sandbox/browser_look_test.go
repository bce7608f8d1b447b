package sandbox

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// axeJS returns what people with disabilities could
// not use.
const axeJS = `(rules) => {
	return axe.run(document, { resultTypes: ['violations'], runOnly: rules })
		.then((r) => r.violations.filter((v) => v.impact === 'serious' || v.impact === 'critical')
			.map((v) => v.id + ' (' + v.impact + '): ' + v.nodes.slice(0, 4).map((n) => n.html.slice(0, 160) + ' ' + (n.any[0]?.message || '')).join('\n    ')));
}`

// outOfSight returns what sticks out of the window sideways, where nobody can
// scroll to it. A field scrolls with the cursor, although its style says clip: a
// secret of wide letters is longer than its field.
const outOfSight = `() => {
	const scrolls = (el) => { for (let p = el.parentElement; p; p = p.parentElement) { if (['auto', 'scroll'].includes(getComputedStyle(p).overflowX) && p.scrollWidth > p.clientWidth) return true; } return false; };
	const wide = (el) => !el.matches('input, textarea') && el.scrollWidth > el.clientWidth + 1 && ['hidden', 'clip'].includes(getComputedStyle(el).overflowX) && getComputedStyle(el).textOverflow !== 'ellipsis';
	return [...document.body.querySelectorAll('*')].filter((el) => {
		if (el.closest('.sr, .skip, [hidden]') || !el.checkVisibility({ visibilityProperty: true })) return false;
		const r = el.getBoundingClientRect();
		if (r.width === 0 || r.height === 0) return false;
		return (r.right > innerWidth + 1 || r.left < -1) && !scrolls(el) || wide(el);
	}).slice(0, 5).map((el) => el.outerHTML.slice(0, 160));
}`

// What is asked of axe-core: everything, or what a change of colours can break.
func allRules() []string {
	return []string{"wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"}
}

func colourRules() []string { return []string{"color-contrast", "link-in-text-block"} }

// looksRight checks what is on the screen, for people who cannot see it and for
// those who can, in light and in dark.
func (b *tab) looksRight(t *testing.T, state string) {
	t.Helper()
	b.still()
	if out := eval[[]string](b, outOfSight); len(out) > 0 {
		t.Errorf("%s: cut off at the side:\n%s", state, strings.Join(out, "\n"))
	}
	b.accessible(t, state, allRules())
	b.dark(true)
	b.accessible(t, state+", dark", colourRules())
	b.dark(false)
}

// accessible has axe-core look, if it is there.
func (b *tab) accessible(t *testing.T, state string, rules []string) {
	t.Helper()
	if b.axe == "" {
		return
	}
	b.still()
	if !eval[bool](b, `() => !!window.axe`) {
		b.do(chromedp.Evaluate[chromedp.Void](b.axe))
	}
	if out := eval[[]string](b, axeJS, rules); len(out) > 0 {
		t.Errorf("%s: axe-core finds\n%s", state, strings.Join(out, "\n"))
	}
}
