package modals

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// noteReminder says to an owner that a key set is due, and what would stand in
// the way of rotating it now.
func noteReminder(n rotation.Note) Message {
	p := &page{hide: hider(rotation.Overview{})}
	head := p.reminderHead(n)
	p.text(head)
	facts := p.readiness(n)
	p.lines(facts...)
	if first, ok := noteDay(n, rotation.NoteFirstSeen); ok {
		p.text("The bot has not rotated this key set yet. The due date is counted from " + day(first) + ", when the bot saw it for the first time: the key may be older.")
	}
	if missed, _ := strconv.Atoi(n.Data[rotation.NoteMissed]); missed > 0 {
		p.text("This stands for " + count(missed, "earlier reminder", "earlier reminders") + " too: the bot was not running on the day.")
	}
	if at, ok := noteTime(n, rotation.NoteChecked); ok {
		p.small("The checks were run at " + moment(at) + ". They only read.")
	}
	b := Bind{KeySet: n.KeySet, Item: dueItem + n.Data[rotation.NoteDue]}
	row := add(nil, startButton(b))
	row = add(row, button(SnoozeAction, "Snooze", b))
	p.buttons(buttonsBlock, row...)
	p.small("Only ops can start a rotation; owners can put reminders off.")
	text := strings.ReplaceAll(head, "*", "")
	if len(facts) > 0 {
		text += " " + strings.ReplaceAll(facts[0], "*", "")
	}
	return Message{Text: text, Blocks: p.blocks}
}

// reminderLine is the same in the ops channel.
func reminderLine(n rotation.Note) Message {
	p := &page{hide: hider(rotation.Overview{})}
	head := p.reminderHead(n)
	p.withButton(buttonsBlock, head, startButton(Bind{KeySet: n.KeySet, Item: dueItem + n.Data[rotation.NoteDue]}))
	return Message{Text: strings.ReplaceAll(head, "*", ""), Blocks: p.blocks}
}

// startButton starts a rotation of the key set that b names.
func startButton(b Bind) *slack.ButtonBlockElement {
	e := button(StartRotationAction, "Start rotation", b)
	if e != nil {
		e.WithStyle(slack.StylePrimary)
	}
	return e
}

// reminderHead says when the key set is due.
func (p *page) reminderHead(n rotation.Note) string {
	name := "*" + p.esc(n.KeySet, nameMax) + "*"
	due, known := noteDay(n, rotation.NoteDue)
	days, err := strconv.Atoi(n.Data[rotation.NoteDays])
	switch {
	case !known || err != nil:
		return "🔑 " + name + ": its Alpaca paper keys are due to be rotated."
	case days > 0:
		return fmt.Sprintf("🔑 %s: due in %s, on %s.", name, count(days, "day", "days"), day(due))
	case days == 0:
		return "🔑 " + name + ": due today, " + day(due) + "."
	}
	return fmt.Sprintf("⚠️ %s: overdue since %s, %s.", name, day(due), count(-days, "day", "days"))
}

// readiness says what stands in the way, what a rotation costs, and whether now
// is a good moment; a line each, none for what is not known.
func (p *page) readiness(n rotation.Note) []string {
	var lines []string
	ready, readyErr := strconv.Atoi(n.Data[rotation.NoteReady])
	items, itemsErr := strconv.Atoi(n.Data[rotation.NoteItems])
	first := p.esc(n.Data[rotation.NoteFirst], problemMax)
	switch {
	case readyErr != nil || itemsErr != nil || items <= 0:
		if first != "" { // the checks could not be run
			lines = append(lines, "*Readiness is not known.* "+first)
		}
	case first == "":
		lines = append(lines, fmt.Sprintf("*Readiness %d of %d:* nothing stands in the way.", ready, items))
	default:
		lines = append(lines, fmt.Sprintf("*Readiness %d of %d:* %s", ready, items, first))
	}
	exposed, err := strconv.ParseInt(n.Data[rotation.NoteExposed], 10, 64)
	times, _ := strconv.Atoi(n.Data[rotation.NoteTimes])
	known := err == nil && times > 0
	if known {
		line := "*" + upper(lastRotations(times)) + ":* " + took(millis(exposed)) + " exposed"
		if times > 1 {
			line += " (median)"
		}
		lines = append(lines, line+".")
	}
	switch n.Data[rotation.NoteMarket] {
	case "closed":
		lines = append(lines, "🌙 *Market closed now: good moment.*")
	case "open":
		line := "🔔 *Market open now:* trading would fail from the click until the last consumer is verified"
		if known {
			line += ", about " + took(millis(exposed))
		}
		lines = append(lines, line+".")
	}
	return lines
}

// noteCheck says that the weekly check of a key set finds something that it did
// not find the week before.
func noteCheck(n rotation.Note) Message {
	p := &page{hide: hider(rotation.Overview{})}
	head := "🔎 *" + p.esc(n.KeySet, nameMax) + "*: the weekly check found something to mend before the next rotation."
	p.text(head)
	p.lines(p.readiness(n)...)
	p.text("*What to do:* mend it while nothing presses. `/rotate-alpaca-paper check " + p.esc(n.KeySet, nameMax) + "` shows every check; it only reads.")
	if at, ok := noteTime(n, rotation.NoteChecked); ok {
		p.small("The checks were run at " + moment(at) + ". This is said again only when what fails has changed.")
	}
	return Message{Text: strings.ReplaceAll(head, "*", ""), Blocks: p.blocks}
}

// lastRotations names the newest n rotations of a key set.
func lastRotations(n int) string {
	words := []string{"", "rotation", "two rotations", "three rotations", "four rotations", "five rotations"}
	if n < len(words) {
		return "your last " + words[n]
	}
	return fmt.Sprintf("your last %d rotations", n)
}

// NoteSnoozed returns what becomes of a reminder that somebody put off: it says
// until when, and keeps the button that starts the rotation.
func NoteSnoozed(by rotation.Actor, ask SnoozeAsk, until string) Message {
	p := &page{hide: hider(rotation.Overview{})}
	head := "💤 *" + p.esc(ask.Bind.KeySet, nameMax) + "*: reminders put off until " + dayText(until) + " by " + p.person(by.ID) + ": " + p.esc(ask.Why, reasonMax)
	p.text(head)
	if due := ask.Bind.Due(); due != "" {
		p.small("The due date does not move: " + dayText(due) + ".")
	}
	p.buttons(buttonsBlock, add(nil, startButton(ask.Bind))...)
	return Message{Text: strings.ReplaceAll(head, "*", ""), Blocks: p.blocks}
}

// NoteOver returns what becomes of a note whose buttons are dead because the key
// set was rotated since.
func NoteOver(past rotation.Record) Message {
	p := &page{hide: hider(rotation.Overview{})}
	r := StartOver(past)
	p.text("✅ " + r.Text)
	return Message{Text: strings.ReplaceAll(r.Text, "*", ""), Blocks: p.blocks}
}

// StartOver answers a button that starts a rotation, or puts one off, when the
// key set was rotated since the button was made.
func StartOver(past rotation.Record) Refusal {
	p := &page{hide: hider(rotation.Overview{})}
	text := "*" + p.esc(past.KeySet, nameMax) + "* was rotated since"
	if !past.Completed.IsZero() {
		text = "*" + p.esc(past.KeySet, nameMax) + "* was rotated on " + day(past.Completed)
	}
	text += ": this message is over."
	if past.NextDue != "" {
		text += " It is due next on " + dayText(past.NextDue) + "."
	}
	return Refusal{Text: text, Fix: "Nothing to do. To rotate it all the same, type /rotate-alpaca-paper."}
}

// dayText shows a calendar day as it is stored.
func dayText(s string) string {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return "a day that is not known"
	}
	return day(t)
}

func noteDay(n rotation.Note, key string) (time.Time, bool) {
	t, err := time.Parse(time.DateOnly, n.Data[key])
	return t, err == nil
}
