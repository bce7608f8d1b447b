package modals

import (
	"strings"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// historyMax is how many key sets the answer to history shows.
const historyMax = 20

// History returns the ephemeral answer to "history": the rotations of each key
// set, newest first. Of a card it reads the name and the history alone.
func History(all []Card) Message {
	p := &page{}
	for i, c := range all {
		if i == historyMax {
			p.text("… and " + count(len(all)-i, "key set more", "key sets more") + ". Name one: `/rotate-alpaca-paper history NAME`")
			break
		}
		p.hide = cardHider(c)
		lines := append([]string{"*" + p.esc(keySetName(c.Overview), nameMax) + "*"}, p.pastLines(c)...)
		if c.Problem != "" {
			lines = append(lines, "⚠️ "+p.esc(c.Problem, detailMax))
		}
		p.lines(lines...)
	}
	if len(all) == 0 {
		p.text(noKeySet)
	}
	return Message{Text: "History of " + count(len(all), "key set", "key sets"), Blocks: p.blocks}
}

// pastLines shows earlier rotations, a line each.
func (p *page) pastLines(c Card) []string {
	var lines []string
	for _, r := range c.History {
		lines = append(lines, p.pastLine(r))
	}
	if len(lines) == 0 && c.Problem == "" {
		return []string{"No rotation yet."}
	}
	return lines
}

// pastLine shows one rotation.
func (p *page) pastLine(r rotation.Past) string {
	var what string
	switch r.Outcome {
	case rotation.Completed:
		what = "✅ " + day(r.Closed) + " rotated"
	case rotation.Cancelled:
		what = "⏹️ " + day(r.Closed) + " cancelled, nothing changed"
	case rotation.StoodDown:
		what = "⏹️ " + day(r.Closed) + " stood down: the pair worked again"
	case rotation.Open:
		what = "🔑 open since " + moment(r.Opened)
	default:
		what = "❔ " + day(r.Closed) + " " + p.esc(string(r.Outcome), nameMax)
	}
	parts := []string{what, rotation.TriggerText(r.Trigger)}
	if r.Reason != "" {
		parts = append(parts, p.esc(r.Reason, 120))
	}
	if cause := pastCause(r.Cause); cause != "" {
		parts = append(parts, cause)
	}
	parts = append(parts, p.person(r.Operator.ID))
	switch {
	case r.Exposed > 0:
		parts = append(parts, "exposed "+exposedFor(r.Exposed, r.AtMost))
	case r.Outcome == rotation.Completed:
		parts = append(parts, "not exposed")
	}
	if r.NewLast4 != "" {
		keys := p.esc(last4(r.NewLast4), 12)
		if r.OldLast4 != "" {
			keys = p.esc(last4(r.OldLast4), 12) + " → " + keys
		}
		parts = append(parts, keys)
	}
	return strings.Join(append(parts, "`"+p.esc(string(r.ID), 20)+"`"), " · ")
}

// pastCause says in a few words why an old pair had died; "" if nobody knows.
func pastCause(c rotation.Cause) string {
	switch c {
	case rotation.CauseRegenerated:
		return "somebody had regenerated the keys"
	case rotation.CauseReplaced:
		return "the account had been reset or replaced"
	case rotation.CauseWrong:
		return "keys of another account"
	case rotation.CauseUnknown:
		return "cause not known"
	}
	return ""
}
