package modals

import (
	"fmt"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// statusMax is how many key sets the answer to status shows.
const statusMax = 40

// Status returns the ephemeral answer to "status": each key set with its due
// day, its last rotation and the open one. An overview without an open
// rotation has a zero Rotation and the key set's name in Past.
func Status(all []rotation.Overview) Message {
	p := &page{}
	for i, o := range all {
		if i == statusMax {
			p.text(fmt.Sprintf("… and %d more", len(all)-i))
			break
		}
		p.hide = hider(o)
		section := slack.NewSectionBlock(mrkdwn(fit(p.statusLines(o), maxText)), nil, nil)
		if r := o.Rotation; r.Outcome == rotation.Open && len(r.Steps) > 0 {
			if b := button(OpenAction, "Open", bindTo(o, r.Current(), "")); b != nil {
				section.Accessory = slack.NewAccessory(b)
			}
		}
		p.add(section)
	}
	if len(all) == 0 {
		p.text("No key set is configured.")
	}
	return Message{Text: count(len(all), "key set", "key sets"), Blocks: p.blocks}
}

// statusLines shows one key set.
func (p *page) statusLines(o rotation.Overview) []string {
	lines := []string{"*" + p.esc(keySetName(o), nameMax) + "* · " + due(o.Past.NextDue, o.Now)}
	if past := o.Past; past.Completed.IsZero() {
		lines = append(lines, "Not rotated with this bot yet.")
	} else {
		line := "Last rotated " + day(past.Completed)
		if n := len(past.Exposed); n > 0 {
			line += ", exposed " + took(millis(past.Exposed[n-1]))
		}
		lines = append(lines, line+".")
	}
	if r := o.Rotation; r.Outcome == rotation.Open && len(r.Steps) > 0 {
		lines = append(lines, p.headline(o))
		if e := exposure(r); e != "" {
			lines = append(lines, e)
		}
		if w := p.waiting(o, r.Current()); w != "" {
			lines = append(lines, w)
		}
	}
	return lines
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

// Help returns the ephemeral answer to "help" and to a command that is not
// understood.
func Help() Message {
	h := rotation.SOPHead()
	lines := []string{
		"*" + h.Title + "*. Role " + h.Role + ".",
		"`/rotate-alpaca-paper` starts a rotation, or opens the one that is running",
		"`/rotate-alpaca-paper NAME` the same for one key set",
		"`/rotate-alpaca-paper status` due dates and open rotations",
		"`/rotate-alpaca-paper help` this text",
		"Never type a key after the command: Slack keeps what is typed there. The bot asks for it in a private window.",
	}
	return Message{Text: "How to use /rotate-alpaca-paper", Blocks: []slack.Block{
		slack.NewSectionBlock(mrkdwn(strings.Join(lines, "\n")), nil, nil),
	}}
}
