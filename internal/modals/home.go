package modals

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/rotation"
)

const (
	homeFull   = 25   // key sets that Home shows in full: three blocks each
	homeShort  = 200  // more that it shows in a line each
	homeCard   = 1800 // characters of one key set
	homePast   = 1000 // the same of its history
	homeEvents = 5    // rotations of its history

	// tokenSoon is how long before its end a token of the bot's own is shown.
	tokenSoon = 30 * 24 * time.Hour
)

// A Home is what the Home tab shows.
type Home struct {
	Now     time.Time
	MayOpen bool // the viewer may open rotations
	Cards   []Card
}

// HomeTab returns the Home tab: each key set with its age bar, due day, last
// rotation, what the sentinel knows, consumers, roll-call, open rotation and
// history. Where there are more key sets than fit, those that need a person
// come first, and it says what is left out.
func HomeTab(h Home) slack.HomeTabViewRequest {
	p := &page{}
	p.header("Alpaca paper keys")
	p.small(homeSum(h) + " · as of " + moment(h.Now) + ". It stays up to date by itself while something happens; open this tab again for the newest.")
	p.lines(p.tokens(h)...)
	cards := h.Cards
	if len(cards) > homeFull {
		cards = slices.Clone(cards)
		slices.SortStableFunc(cards, func(a, b Card) int { return cmp.Compare(rank(a), rank(b)) })
	}
	full := cards[:min(len(cards), homeFull)]
	for _, c := range full {
		p.add(slack.NewDividerBlock())
		p.homeCard(c, h.MayOpen)
	}
	if len(cards) == 0 {
		p.text(noKeySet)
	}
	p.homeRest(cards[len(full):])
	p.small("`/rotate-alpaca-paper` starts a rotation, `/rotate-alpaca-paper help` says what else there is.")
	return homeView(p)
}

// HomeRefused returns the Home tab of somebody who may not see it.
func HomeRefused(r Refusal) slack.HomeTabViewRequest {
	p := &page{}
	p.header("Nothing to see here")
	p.text("⛔ " + r.Text)
	p.text(r.Fix)
	return homeView(p)
}

func homeView(p *page) slack.HomeTabViewRequest {
	return slack.HomeTabViewRequest{Type: slack.VTHomeTab, CallbackID: HomeCallback, Blocks: slack.Blocks{BlockSet: p.blocks}}
}

// CheckHome is [Check] for the Home tab.
func CheckHome(v slack.HomeTabViewRequest) error {
	c := &checker{surface: "home", ids: map[string]bool{}}
	raw, m := c.decode(v)
	if len(raw) > maxViewBytes {
		c.broken("view", "is %d bytes, at most %d", len(raw), maxViewBytes)
	}
	if m["type"] != "home" {
		c.broken("type", "is not home")
	}
	c.length("callback_id", m["callback_id"], maxID)
	c.blocks(m["blocks"], maxModalBlocks)
	return errors.Join(c.errs...)
}

// homeSum counts what needs somebody.
func homeSum(h Home) string {
	n := map[int]int{}
	for _, c := range h.Cards {
		n[rank(c)]++
	}
	parts := []string{count(len(h.Cards), "key set", "key sets")}
	for r, word := range []string{"dead or rejected", "in rotation", "overdue", "with changes by others"} {
		if n[r] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n[r], word))
		}
	}
	return strings.Join(parts, ", ")
}

// rank orders key sets by how much they need somebody: less is more.
func rank(c Card) int {
	switch {
	case c.Seen != nil && slices.Contains([]string{"dead", "held", "doubted"}, c.Seen.State) && !c.replaced():
		return 0
	case c.open():
		return 1
	case strings.HasPrefix(due(c.Due, c.Now), "⚠️"):
		return 2
	case c.Seen != nil && len(c.Seen.Drifted) > 0:
		return 3
	}
	return 4
}

// homeCard shows one key set in full, in two blocks.
func (p *page) homeCard(c Card, mayOpen bool) {
	p.hide = cardHider(c)
	var open *slack.ButtonBlockElement
	if c.open() && mayOpen {
		if open = button(OpenAction, "Open", bindTo(c.Overview, c.Rotation.Current(), "")); open != nil {
			open = open.WithStyle(slack.StylePrimary)
		}
	}
	p.withButton(openBlock+string(c.Rotation.ID), fit(p.cardLines(c), homeCard), open)
	some := c
	some.History = c.History[:min(len(c.History), homeEvents)]
	p.small(fit(p.pastLines(some), homePast))
}

// homeRest shows the key sets that do not fit, a line each, and says so.
func (p *page) homeRest(rest []Card) {
	if len(rest) == 0 {
		return
	}
	p.add(slack.NewDividerBlock())
	p.text(fmt.Sprintf("*%s more*, in short: Home has room for %d in full, those that need somebody first. `/rotate-alpaca-paper history NAME` shows one.", count(len(rest), "key set", "key sets"), homeFull))
	lines := make([]string, 0, homeShort)
	for _, c := range rest[:min(len(rest), homeShort)] {
		p.hide = cardHider(c)
		lines = append(lines, "*"+p.esc(keySetName(c.Overview), nameMax)+"* · "+due(c.Due, c.Now)+" · "+short(c))
	}
	if left := len(rest) - len(lines); left > 0 {
		lines = append(lines, fmt.Sprintf("… and %d more that are not shown", left))
	}
	const lineMax = 25 // to a section: less than maxText, whatever their names
	for some := range slices.Chunk(lines, lineMax) {
		p.lines(some...)
	}
}

// short says in a word what needs somebody.
func short(c Card) string {
	switch rank(c) {
	case 0:
		return "❌ pair rejected"
	case 1:
		return "🔑 in rotation"
	case 3:
		return "⚠️ changed by others"
	}
	if c.Seen == nil || c.Seen.State == "" {
		return "not watched yet"
	}
	return "✅ works"
}

// tokens says which tokens of the bot's own end soon. Several key sets know the
// same token, and some knew it before it was replaced: the latest end counts.
func (p *page) tokens(h Home) []string {
	var all []rotation.Fact
	for _, c := range h.Cards {
		hide := cardHider(c)
		for _, f := range c.Tokens {
			f.Label, f.Value = hide(clean(f.Label)), hide(clean(f.Value))
			i := slices.IndexFunc(all, func(o rotation.Fact) bool { return o.Label == f.Label })
			switch {
			case i < 0:
				all = append(all, f)
			case endsLater(f, all[i]):
				all[i] = f
			}
		}
	}
	var lines []string
	for _, f := range all {
		if line := p.token(f, h.Now); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// endsLater compares two facts about one token. One that can be read counts
// more.
func endsLater(f, than rotation.Fact) bool {
	at, err := tokenEnd(f.Value)
	before, unread := tokenEnd(than.Value)
	return err == nil && (unread != nil || at.After(before))
}

// token says when a token of the bot's own ends, if that is soon or cannot be
// read; else "".
func (p *page) token(f rotation.Fact, now time.Time) string {
	label := p.esc(f.Label, nameMax)
	at, err := tokenEnd(f.Value)
	if err != nil {
		return "⚠️ " + label + ": " + p.esc(f.Value, nameMax)
	}
	switch left := at.Sub(now); {
	case left <= 0:
		return "❌ *" + label + "*: that was " + moment(at) + ". Make a new one and give it to the bot: rotations fail without it."
	case left <= tokenSoon:
		return "⚠️ *" + label + "* " + at.UTC().Format("Monday 2 Jan 2006") + ", in " + took(left) + ". Make a new one and give it to the bot before that."
	}
	return ""
}

// tokenEnd reads the time in a fact: as the consumers write it, or RFC 3339.
func tokenEnd(value string) (time.Time, error) {
	if at, err := time.Parse("2006-01-02 15:04:05 MST", value); err == nil {
		return at, nil
	}
	return time.Parse(time.RFC3339, value)
}
