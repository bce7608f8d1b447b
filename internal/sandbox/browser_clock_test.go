package sandbox

import (
	"net/http"
	"testing"
)

// testBrowserPaged is what somebody on call does who has nothing but the page:
// somebody deletes the account, and the bot calls.
func testBrowserPaged(t *testing.T, b *tab) {
	st := open(t, nil)
	b.open(st.url)
	st.surveyed(t)
	b.click(testID("home-tab"))
	b.says("#part-slack", "the stored pair works")
	b.looksRight(t, "Home")
	b.picture("home")
	eval[bool](b, `() => { for (const d of document.querySelectorAll('.fault-group')) d.open = true; return true; }`)
	b.click(testID("fault-account-deleted"))
	st.probed(t, http.StatusUnauthorized)
	b.click(testID("clock-30"))
	b.says("#part-outside", "rings")
	b.says(testID("coach").CSS, "Your phone rings")
	b.click(spot{In: "#part-slack", CSS: "[data-testid^=slack-channel-D]"})
	b.find(button(startNowButton))
	b.looksRight(t, "paged")
	eval[bool](b, `() => { document.getElementById('rotation').scrollTop = 0; return true; }`)
	b.picture("paged")
	b.until("nothing is left out", `!document.querySelector('.bk-unknown')`)
	b.click(button(startNowButton))
	b.find(inModal(button(goOnButton)))
	b.looksRight(t, "step 1 of a forced rotation")
}
