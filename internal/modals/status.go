package modals

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// statusMax is how many key sets the answer to status shows.
const statusMax = 40

// A Card is what is known of one key set between rotations and in one. Home,
// "status" and "history" say the same of it in the same words.
type Card struct {
	// Overview is the open rotation. Without one its Rotation is zero; Targets
	// may then be nil, and the key set's name stands in Past.
	rotation.Overview
	Due       string            // calendar day; "": none yet
	FirstSeen string            // calendar day from which Due is counted, for a key set that was never rotated; else ""
	Snoozed   string            // calendar day until which reminders are put off; "": they are not
	Seen      *rotation.Seen    // nil: nobody watches the stored pair
	History   []rotation.Past   // newest first
	RollCall  rotation.RollCall // of the last completed rotation
	Tokens    []rotation.Fact   // when the bot's own tokens end, see [rotation.Fact]: "token_expires"
	Problem   string            // what could not be read: one sentence; "": all of it was
}

// open reports whether a rotation of the key set is open.
func (c Card) open() bool {
	return c.Rotation.ID != "" && c.Rotation.Outcome == rotation.Open && len(c.Rotation.Steps) > 0
}

// replaced reports whether what the sentinel saw was of a pair that a rotation
// has replaced since: it asks a dead pair slowly, and the new one was proven by
// that rotation.
func (c Card) replaced() bool {
	s := c.Seen
	return s != nil && slices.Contains([]string{"dead", "held", "doubted"}, s.State) && !s.Since.IsZero() && c.Past.Completed.After(s.Since)
}

// Status returns the ephemeral answer to "status": each key set with its due
// day, its last rotation, what the sentinel knows, and the open rotation. Only
// who may open one is shown the button.
func Status(all []Card, mayOpen bool) Message {
	p := &page{}
	for i, c := range all {
		if i == statusMax {
			p.text(fmt.Sprintf("… and %d more", len(all)-i))
			break
		}
		p.card(c, mayOpen)
	}
	if len(all) == 0 {
		p.text(noKeySet)
	}
	return Message{Text: count(len(all), "key set", "key sets"), Blocks: p.blocks}
}

const noKeySet = "No key set is configured."

// card adds one key set as a section, with Open if a rotation is open.
func (p *page) card(c Card, mayOpen bool) {
	p.hide = cardHider(c)
	var open *slack.ButtonBlockElement
	if c.open() && mayOpen {
		open = button(OpenAction, "Open", bindTo(c.Overview, c.Rotation.Current(), ""))
	}
	p.withButton(openBlock+string(c.Rotation.ID), fit(p.cardLines(c), maxText), open)
}

// cardHider hides what [hider] does, and the account that the sentinel saw.
func cardHider(c Card) func(string) string {
	hide := hider(c.Overview)
	if c.Seen == nil || len(clean(c.Seen.Account.Number)) <= 4 {
		return hide
	}
	number := clean(c.Seen.Account.Number)
	return func(s string) string { return hide(strings.ReplaceAll(s, number, rotation.Masked(number))) }
}

// cardLines shows one key set: what needs a person comes first.
func (p *page) cardLines(c Card) []string {
	lines := []string{"*" + p.esc(keySetName(c.Overview), nameMax) + "* · " + p.dueLine(c)}
	if c.open() {
		lines = append(lines, p.headline(c.Overview))
		for _, more := range []string{exposure(c.Rotation), p.waiting(c.Overview, c.Rotation.Current())} {
			if more != "" {
				lines = append(lines, more)
			}
		}
	}
	lines = append(lines, p.sentinel(c), lastRotated(c.Past))
	for _, more := range []string{p.consumers(c), p.rollCall(c.RollCall)} {
		if more != "" {
			lines = append(lines, more)
		}
	}
	if c.Problem != "" {
		lines = append(lines, "⚠️ "+p.esc(c.Problem, detailMax))
	}
	return lines
}

// lastRotated says when a key set was last rotated, and what that cost.
func lastRotated(past rotation.Record) string {
	if past.Completed.IsZero() {
		return "Not rotated with this bot yet."
	}
	line := "Last rotated " + day(past.Completed)
	if n := len(past.Exposed); n > 0 {
		line += ", exposed " + took(millis(past.Exposed[n-1]))
	}
	return line + "."
}

// barLength is how many signs an age bar has.
const barLength = 10

// ageBar shows how much of its time a pair has used, in signs and in percent;
// "" if that is not known.
func ageBar(c Card) string {
	from := c.Past.Completed.UTC().Truncate(24 * time.Hour)
	if c.Past.Completed.IsZero() {
		var err error
		if from, err = time.Parse(time.DateOnly, c.FirstSeen); err != nil {
			return ""
		}
	}
	until, err := time.Parse(time.DateOnly, c.Due)
	if err != nil || !until.After(from) || c.Now.IsZero() {
		return ""
	}
	percent := max(0, int(100*c.Now.Sub(from)/until.Sub(from)))
	full := min(barLength, percent*barLength/100)
	return fmt.Sprintf("%s%s %d %%", strings.Repeat("▰", full), strings.Repeat("▱", barLength-full), percent)
}

// dueLine says when a key set is due, how old its pair is, and from when that
// is counted.
func (p *page) dueLine(c Card) string {
	line := due(c.Due, c.Now)
	if bar := ageBar(c); bar != "" {
		line = bar + " · " + line
	}
	if c.FirstSeen != "" && c.Past.Completed.IsZero() {
		line += " (counted from " + p.esc(c.FirstSeen, 12) + ", when the bot first saw it)"
	}
	if c.Snoozed > c.Now.UTC().Format(time.DateOnly) { // it may be over
		line += " · reminders put off until " + p.esc(c.Snoozed, 12)
	}
	return line
}

// due says when a key set is due, as seen on the day of now in UTC.
func due(next string, now time.Time) string {
	at, err := time.Parse(time.DateOnly, next)
	if err != nil {
		return "no due date yet"
	}
	today := now.UTC().Truncate(24 * time.Hour)
	switch days := int(at.Sub(today) / (24 * time.Hour)); {
	case days > 0:
		return fmt.Sprintf("due %s, in %s", next, count(days, "day", "days"))
	case days == 0:
		return "due today"
	default:
		return fmt.Sprintf("⚠️ overdue since %s, %s", next, count(-days, "day", "days"))
	}
}

// sentinel says what the sentinel knows of the stored pair, and since when.
func (p *page) sentinel(c Card) string {
	s := c.Seen
	switch {
	case s == nil:
		return "Sentinel: nobody watches the stored pair between rotations."
	case c.replaced():
		return "Sentinel: ✅ the pair that it saw rejected was replaced, and the new one worked at " + moment(c.Past.Completed) + ". It asks again within minutes."
	}
	lastOK := "it was never seen alive"
	if !s.LastOK.IsZero() {
		lastOK = "last seen alive " + moment(s.LastOK)
	}
	line := "Sentinel: "
	switch s.State {
	case "":
		line += "the stored pair has not answered yet."
	case "alive":
		line += "✅ the stored pair works, last answer " + moment(s.LastOK) + "."
		if a := s.Account; a.ID != "" && !a.Active() {
			line += " ⚠️ Account " + p.esc(rotation.Masked(a.Number), 12) + " is " + p.esc(a.Condition(), nameMax) + "."
		}
	case "doubted":
		line += "❓ the stored pair is rejected since " + since(s.Since) + ", which is not certain yet; " + lastOK + "."
	case "held":
		line += "❓ the stored pair is rejected since " + since(s.Since) + ", and so is every other one: Alpaca may be at fault. After ten steady minutes it counts; " + lastOK + "."
	case "dead":
		line += "❌ the stored pair is *dead* since " + since(s.Since) + "; " + lastOK + "."
	default:
		line += p.esc(s.State, nameMax) + "."
	}
	if s.Problem != "" {
		line += " ⚠️ The last look got no answer: " + p.esc(strings.ReplaceAll(s.Problem, "_", " "), nameMax) + "."
	}
	return line
}

// consumers says which consumers no longer have what they were given; "" if
// nothing was given yet, or nobody looks.
func (p *page) consumers(c Card) string {
	if c.Seen == nil {
		return ""
	}
	var off []string
	for _, name := range c.Seen.Drifted {
		off = append(off, "*"+p.esc(name, nameMax)+"*")
	}
	if len(off) > 0 {
		return "Consumers: ⚠️ changed by somebody else: " + fitWords(off, detailMax) + ". Find out who; a rotation gives them the pair again."
	}
	if n := len(given(c)); n > 0 {
		return "Consumers: ✅ " + count(n, "consumer", "consumers") + ", no change by others seen."
	}
	return ""
}

// given returns the consumers that the bot has handed a pair and that are
// still configured, as far as that is known.
func given(c Card) []string {
	var names []string
	if len(c.Targets) == 0 {
		for name := range c.Past.Receipts {
			names = append(names, name)
		}
		return names
	}
	for _, t := range c.Targets {
		if _, got := c.Past.Receipts[t.Name]; got && t.CoveredBy == "" && t.Kind != "developers" {
			names = append(names, t.Name)
		}
	}
	return names
}

// rollCall says which developers have pulled the last pair; "" if nobody was
// told.
func (p *page) rollCall(rc rotation.RollCall) string {
	if len(rc.People) == 0 {
		return ""
	}
	var silent []string
	for _, who := range rc.People {
		if who.Updated.IsZero() {
			silent = append(silent, p.person(who.ID))
		}
	}
	line := fmt.Sprintf("Roll-call: %d of %s updated", len(rc.People)-len(silent), count(len(rc.People), "developer", "developers"))
	if len(silent) == 0 {
		return line + "."
	}
	return line + ", silent: " + fitWords(silent, detailMax) + "."
}

// Help returns the ephemeral answer to "help" and to a command that is not
// understood.
func Help() Message {
	h := rotation.SOPHead()
	lines := []string{
		"*" + h.Title + "*. Role " + h.Role + ".",
		"`/rotate-alpaca-paper` starts a rotation, or opens the one that is running",
		"`/rotate-alpaca-paper NAME` the same for one key set",
		"`/rotate-alpaca-paper status` due dates, what the sentinel sees, and open rotations",
		"`/rotate-alpaca-paper history [NAME]` earlier rotations and how long trading was exposed",
		"`/rotate-alpaca-paper check [NAME]` tries everything that a rotation will need; opens and changes nothing",
		"`/rotate-alpaca-paper reset [NAME]` somebody reset or deleted the account: a forced rotation, ops only",
		"`/rotate-alpaca-paper help` this text",
		"The bot's Home tab shows the same as `status` and `history`, and stays up to date.",
		"Never type a key after the command: Slack keeps what is typed there. The bot asks for it in a private window.",
	}
	return Message{Text: "How to use /rotate-alpaca-paper", Blocks: []slack.Block{
		slack.NewSectionBlock(mrkdwn(strings.Join(lines, "\n")), nil, nil),
	}}
}
