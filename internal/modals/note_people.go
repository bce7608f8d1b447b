package modals

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// leaverButtons is for how many key sets a note about somebody who left has
// buttons; the rest is named.
const leaverButtons = 10

// noteLeaver proposes an offboarding rotation: somebody who handled a pair that
// is in use was deactivated in Slack (R10).
func noteLeaver(n rotation.Note) Message {
	p := &page{hide: hider(rotation.Overview{})}
	who := p.mentions(n.Data[rotation.NotePeople])
	if who == "" {
		who = "Somebody"
	}
	was, has, used := " was", "has", "the pair that is in use"
	if len(strings.Fields(n.Data[rotation.NotePeople])) > 1 {
		was, has = " were", "have"
	}
	if len(setsOf(n)) > 1 {
		used = "pairs that are in use"
	}
	head := "👋 " + who + was + " deactivated in Slack, and " + has + " handled " + used + ": " + p.keySets(n) + "."
	p.text(head)
	lines := []string{}
	if what := n.Data[rotation.NoteWhat]; what != "" {
		lines = append(lines, "*What the record says:* "+p.esc(what, problemMax))
	}
	fix := n.Data[rotation.NoteFix]
	if fix == "" {
		fix = "Start an offboarding rotation. The reason is filled in."
	}
	lines = append(lines, "*What it means:* whoever has seen a pair may still have it. It stays good until the next rotation.", "*What to do:* "+p.esc(fix, problemMax))
	p.lines(lines...)
	sets := setsOf(n)
	for i, set := range sets {
		if i == leaverButtons {
			p.text(fmt.Sprintf("… and %d more. Type /rotate-alpaca-paper NAME for each.", len(sets)-i))
			break
		}
		e := startButton(Bind{Rotation: rotation.ID(pairOf(n, set)), KeySet: set, Item: leaverItem + n.Data[rotation.NotePeople]})
		switch {
		case e == nil:
		case len(sets) == 1:
			p.buttons(buttonsBlock, e)
		default:
			p.withButton(keySetBlock+set, "*"+p.esc(set, nameMax)+"*", e)
		}
	}
	p.small("This is said once for each person and each pair.")
	return Message{Text: strings.ReplaceAll(head, "*", ""), Blocks: p.blocks}
}

// pairOf says which pair of a key set a note is about: by the rotation that
// made it or by its fingerprint; "" if it does not say.
func pairOf(n rotation.Note, set string) string {
	for p := range strings.FieldsSeq(n.Data[rotation.NotePairs]) {
		if name, pair, ok := strings.Cut(p, "="); ok && name == set {
			return strings.ReplaceAll(pair, "|", "") // a bind is divided by it
		}
	}
	return ""
}

// LeaverReason is the reason that an offboarding rotation begins with; the
// operator can change it. "" if nobody is named.
func LeaverReason(people []string) string {
	if len(people) == 0 {
		return ""
	}
	verb := " was"
	if len(people) > 1 {
		verb = " were"
	}
	return cut(strings.Join(people, ", ")+verb+" deactivated in Slack", reasonMax)
}

// noteSilent reminds a developer who has not pressed Updated.
func noteSilent(n rotation.Note) Message {
	p := notePage(n, silentHead)
	p.updatedButton(n)
	return Message{Text: strings.ReplaceAll(silentHead(p, n), "*", ""), Blocks: p.blocks}
}

func silentHead(p *page, n rotation.Note) string {
	head := "🔔 The Alpaca paper keys of *" + p.esc(n.KeySet, nameMax) + "* were rotated"
	if at, ok := noteTime(n, rotation.NoteSince); ok {
		head += " on " + day(at)
	}
	head += ", and you have not pressed Updated"
	if days, err := strconv.Atoi(n.Data[rotation.NoteDays]); err == nil && days > 0 {
		head += " for " + count(days, "day", "days")
	}
	return head + ". What runs with the old pair locally fails."
}

// noteRollCall lists who has pressed Updated and who has not, in the thread of
// the rotation's message.
func noteRollCall(n rotation.Note) Message {
	p := &page{hide: hider(rotation.Overview{})}
	done, open := p.mentions(n.Data[rotation.NoteDone]), p.mentions(n.Data[rotation.NoteOpen])
	head := "📋 *" + p.esc(n.KeySet, nameMax) + "*: " + rollCount(n) + " pulled the new pair."
	p.text(head)
	if open != "" {
		p.lines("*Not yet:* " + open)
	}
	if done != "" {
		p.lines("*Updated:* " + done)
	}
	if what := p.problem(rotation.Problem{Text: n.Data[rotation.NoteWhat], Fix: n.Data[rotation.NoteFix]}); what != "" {
		p.text(what)
	}
	if open != "" {
		p.small("Nothing waits for them: the rotation is over. What they run locally fails until they pull the pair.")
	}
	return Message{Text: strings.ReplaceAll(head, "*", ""), Blocks: p.blocks}
}

// rollCount says how many developers have the pair.
func rollCount(n rotation.Note) string {
	done, open := len(strings.Fields(n.Data[rotation.NoteDone])), len(strings.Fields(n.Data[rotation.NoteOpen]))
	if open == 0 {
		return "everybody has"
	}
	return strconv.Itoa(done) + " of " + count(done+open, "developer has", "developers have")
}

// noteBreakGlass says that somebody acts in the terminal for whom nobody can
// vouch.
func noteBreakGlass(n rotation.Note) Message {
	p := &page{hide: hider(rotation.Overview{})}
	who := "Somebody"
	if names := strings.Fields(n.Data[rotation.NotePeople]); len(names) > 0 {
		who = p.person(clean(names[0]))
	}
	head := "🪟 " + who + " acts as break-glass in the terminal"
	if n.KeySet != "" {
		head += ", on *" + p.esc(n.KeySet, nameMax) + "*"
	}
	p.text(head + ".")
	var lines []string
	if what := n.Data[rotation.NoteWhat]; what != "" {
		line := "*What:* " + p.esc(what, detailMax)
		if at, ok := noteTime(n, rotation.NoteSince); ok {
			line += ", at " + moment(at)
		}
		lines = append(lines, line)
	}
	if why := n.Data[rotation.NoteWhy]; why != "" {
		lines = append(lines, "*Why, in their words:* "+p.esc(why, reasonMax))
	}
	p.lines(append(lines,
		"*What it means:* their membership in ops could not be checked. What they do is recorded as break-glass.",
		"*What to do:* if this is not expected, look at the bot's host now, and treat the pair as known to others.")...)
	if n.Rotation != "" {
		p.openButton(n)
	}
	return Message{Text: strings.ReplaceAll(head+".", "*", ""), Blocks: p.blocks}
}
