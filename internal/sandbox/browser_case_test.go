package sandbox

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"
)

// testBrowserRotation does a whole rotation, with a slip on the way: R44, R48,
// R50, R52, R55, R59, R61.
func testBrowserRotation(t *testing.T, b *tab) {
	st := open(t, nil)
	b.open(st.url)
	b.looksRight(t, "the start")
	b.picture("start")

	// A click into the message box offers the command; typing replaces it.
	b.click(testID("slack-composer"))
	b.until("the command is offered", `document.activeElement.value === a[0]`, command+" "+KeySet)
	b.keys(command + " " + KeySet + kb.Enter)
	b.find(inModal(button(goOnButton)))
	b.picture("precheck")
	b.answer()
	b.looksRight(t, "step 1")
	b.click(inModal(button(goOnButton)))
	b.until("the next step is read from its beginning", `document.querySelector('[data-block^=generate_]') && document.querySelector('.modal-body').scrollTop === 0`)
	b.looksRight(t, "step 2")

	// A closed window stops nothing and comes back.
	b.click(testID("slack-modal-close"))
	b.until("the window is closed", `!document.querySelector(a[0])`, slackModal)
	b.click(spot{In: "#message-list", Text: openButton})
	b.find(inModal(spot{Label: secretLabel}))

	before := b.find(testID("alpaca-key-id")).Text
	b.click(testID("alpaca-view-key"))
	b.until("View shows the key ID", `document.getElementById('alpaca-key-id').textContent.startsWith('PK')`)
	if shown := b.find(testID("alpaca-key-id")).Text; last4(shown) != last4(before) {
		t.Errorf("View shows %s, want the key ID that ends like %s", shown, before)
	}
	b.regenerate()

	b.carry("key-id", keyIDLabel)
	b.carry("secret", secretLabel)
	b.looksRight(t, "exposed")
	b.picture("exposed")

	// The halves in each other's field are refused there, and stay where they are.
	b.carry("key-id", secretLabel)
	b.carry("secret", keyIDLabel)
	b.click(inModal(button(sealButton)))
	b.until("both fields have an error under them", `[...document.querySelectorAll('.bk-wrong .bk-error')].filter((el) => el.checkVisibility() && el.innerText.includes('swapped')).length === 2`)
	b.looksRight(t, "errors")
	if kept := b.find(inModal(spot{Label: keyIDLabel})).Value; kept != b.find(testID("alpaca-secret")).Text {
		t.Errorf("after the refusal Key ID holds %d characters, want what was pasted", len(kept))
	}
	if at := eval[string](b, `() => document.activeElement.labels?.[0]?.textContent ?? document.activeElement.tagName`); at != keyIDLabel {
		t.Errorf("after the refusal the focus is on %q, want the first wrong field", at)
	}
	b.picture("refused")

	b.seal()
	b.completed()
	b.looksRight(t, "completed, with the window")
	b.click(testID("slack-modal-x"))
	b.until("the window is closed", `!document.querySelector(a[0])`, slackModal)
	b.click(testID("alpaca-hide-secret"))
	b.looksRight(t, "completed")
	eval[bool](b, `() => { [...document.querySelectorAll('.message-row')].find((el) => el.innerText.includes('rotated. The new pair')).scrollIntoView(); return true; }`)
	b.picture("completed")
	b.dark(true)
	b.picture("dark")
	b.dark(false)
	if kept := eval[string](b, `() => JSON.stringify({ ...localStorage, ...sessionStorage })`); strings.Contains(kept, "PK") {
		t.Errorf("the browser keeps %s, want nothing of a pair", kept)
	}
}

// testBrowserTakeOver kills the bot while trading fails, and has a second person
// finish.
func testBrowserTakeOver(t *testing.T, b *tab) {
	b.open(open(t, nil).url)
	b.begin()
	b.regenerate()
	b.click(testID("bot-kill"))
	b.until("the bot is seen dead", `document.getElementById('bar-bot').dataset.state === 'off' && document.querySelector('.online.is-off')`)
	b.says("[data-testid=coach]", "The bot is down")
	b.looksRight(t, "the bot is down")
	b.click(testID("bot-start"))
	b.until("the bot is back", `document.getElementById('bar-bot').dataset.state === 'on' && document.querySelector('.online.is-on')`)

	b.click(testID("slack-modal-x"))
	b.be("cleo")
	b.click(spot{In: "#message-list", Text: takeOverButton})
	b.says("#message-list", "@cleo")
	b.click(spot{In: "#message-list", Text: openButton})
	b.find(inModal(spot{Label: secretLabel}))
	b.seal()
	b.completed()
	b.click(testID("slack-modal-x"))
	b.be("ada")
	b.says("#message-list", "@cleo")
}

// testBrowserGuest has people ask who may not.
func testBrowserGuest(t *testing.T, b *tab) {
	b.open(open(t, nil).url)
	for _, name := range []string{"gus", "bob"} {
		b.be(name)
		b.tell(command + " " + KeySet)
		b.until("the refusal is there, for "+name+" alone", `[...document.querySelectorAll('.is-ephemeral')].some((el) => el.innerText.includes('⛔') && el.innerText.includes('Only visible to you'))`)
	}
	b.looksRight(t, "refused")
	b.be("eve")
	b.tell(command)
	b.says(".is-ephemeral", command+" is not a valid command.")
	if b.there(spot{CSS: slackModal}) || !b.there(testID("step-precheck")) || b.there(spot{CSS: ".step[data-state=running]"}) {
		t.Error("a refused person has a window, or a rotation runs")
	}
	b.be("ada")
	b.until("ada does not see what was said to others alone", `!document.querySelector('.is-ephemeral')`)
}

// testBrowserDrill does a drill up to its score card.
func testBrowserDrill(t *testing.T, b *tab) {
	s, ok := scenarioByName("scheduled-day")
	if !ok {
		t.Fatal("there is no drill scheduled-day")
	}
	b.open(open(t, s).url)
	b.says("[data-testid=drill-card]", s.Title)
	b.until("the drill runs", `document.querySelector('[data-testid=drill-finish]')`)
	if b.there(spot{CSS: "[data-testid^=fault-]"}) {
		t.Error("a drill shows the faults")
	}
	b.looksRight(t, "drill")
	b.begin()
	b.regenerate()
	b.seal()
	b.completed()
	b.click(testID("slack-modal-x"))
	b.click(spot{CSS: ".side-item[data-testid^=slack-channel-D]"})
	b.click(spot{In: "#message-list", Text: updated})
	b.find(testID("score-card"))
	if card := b.find(testID("score-card")).Text; !strings.Contains(card, "Passed, and not one wrong turn") || !strings.Contains(card, "Left undone0") {
		t.Errorf("score card = %q, want passed without a wrong turn", card)
	}
	b.looksRight(t, "score card")
	b.picture("score")
}
