package modals

import (
	"slices"
	"strings"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// noteForced is the page: the stored pair is dead, and a forced rotation is
// open. It stays true while it waits: running times are start stamps.
func noteForced(n rotation.Note) Message {
	p := &page{hide: hider(rotation.Overview{})}
	head := "🚨 *" + p.esc(n.KeySet, nameMax) + "*: its Alpaca paper key is dead. Trading fails."
	p.text(head)
	lines := []string{"*What was seen:* " + p.sighted(n)}
	if at, ok := noteTime(n, rotation.NoteLastOK); ok {
		lines = append(lines, "*Last seen alive:* "+since(at))
	} else {
		lines = append(lines, "*Last seen alive:* the bot has never seen it work.")
	}
	lines = append(lines, "*What it means:* everything that uses this key set fails until somebody pastes a new pair. A forced rotation is open, and nobody has it yet.")
	if what := p.problem(rotation.Problem{Text: n.Data[rotation.NoteWhat], Fix: n.Data[rotation.NoteFix]}); what != "" {
		lines = append(lines, what)
	}
	p.lines(lines...)
	p.text("*Start now* makes you the operator and opens the window.\n*It was me* is for whoever has just regenerated the key, or reset or deleted the account: nobody else is called then.")
	b := Bind{Rotation: n.Rotation}
	var row []slack.BlockElement
	if e := button(StartNowAction, "Start now", b); n.Rotation != "" && e != nil {
		row = append(row, e.WithStyle(slack.StyleDanger))
		row = add(row, button(ItWasMeAction, "It was me", b))
	}
	p.buttons(buttonsBlock, row...)
	if skipped := p.mentions(n.Data[rotation.NoteSkipped]); skipped != "" {
		p.small("On call but not told, because they are not in ops: " + skipped)
	}
	p.small("Only ops can act. If nobody does, owners are told after 15 minutes and the ops channel after 30.")
	return Message{Text: strings.ReplaceAll(head, "*", ""), Blocks: p.blocks}
}

// sighted says what the sentinel saw of a dead pair.
func (p *page) sighted(n rotation.Note) string {
	text := "Alpaca rejects the stored key"
	if last := n.Data[rotation.NoteOldLast4]; last != "" {
		text += " " + p.esc(last4(last), 12)
	}
	if status := n.Data[rotation.NoteStatus]; status != "" {
		text += " (HTTP " + p.esc(status, 12) + ")"
	}
	if at, ok := noteTime(n, rotation.NoteSince); ok {
		text += " since " + since(at)
	}
	text += ", each time the bot asked."
	if account := n.Data[rotation.NoteAccount4]; account != "" {
		text += " Its account is …" + p.esc(account, 8) + "."
	}
	return text
}

// noteAlive says that the key works after all.
func noteAlive(n rotation.Note) Message {
	p := &page{hide: hider(rotation.Overview{})}
	head := "✅ *" + p.esc(n.KeySet, nameMax) + "*: the key works again"
	if at, ok := noteTime(n, rotation.NoteLastOK); ok {
		head += " since " + clock(at)
	}
	head += ". The forced rotation stood down; nothing was changed."
	p.text(head)
	var lines []string
	if at, ok := noteTime(n, rotation.NoteSince); ok {
		lines = append(lines, "*What was seen:* Alpaca rejected the stored key from "+moment(at)+" on, and then took it again.")
	}
	lines = append(lines, "*What to do:* nothing. If somebody has generated a new pair meanwhile, start a rotation: the stored one dies with it.")
	if what := p.problem(rotation.Problem{Text: n.Data[rotation.NoteWhat], Fix: n.Data[rotation.NoteFix]}); what != "" {
		lines = append(lines, what)
	}
	p.lines(lines...)
	p.small("The page is over: its buttons do nothing any more.")
	return Message{Text: strings.ReplaceAll(head, "*", ""), Blocks: p.blocks}
}

// noteTogether says that every pair is rejected at once.
func noteTogether(n rotation.Note) Message {
	p := &page{hide: hider(rotation.Overview{})}
	names := p.keySets(n)
	head := "🟠 Alpaca rejects every key at once: " + names + "."
	p.text(head)
	lines := []string{}
	if at, ok := noteTime(n, rotation.NoteSince); ok {
		lines = append(lines, "*Since* "+since(at)+".")
	}
	if n.Data[rotation.NoteWhat] == "" {
		lines = append(lines, "*What it means:* Alpaca is more likely at fault than every key, so nobody is paged yet.")
	}
	lines = append(lines,
		"*The bot:* It goes on asking. If the rejections last for 10 minutes without a break, it pages on-call and opens a forced rotation for each.")
	fix := n.Data[rotation.NoteFix]
	if fix == "" {
		fix = "Look at Alpaca's status page. Do not generate anything: it would kill a key that may be fine. If you know that the accounts were reset, type /rotate-alpaca-paper reset."
	}
	lines = append(lines, p.problem(rotation.Problem{Text: n.Data[rotation.NoteWhat], Fix: fix}))
	p.lines(lines...)
	return Message{Text: strings.ReplaceAll(head, "*", ""), Blocks: p.blocks}
}

// keySets names the key sets that a note is about.
func (p *page) keySets(n rotation.Note) string {
	names := setsOf(n)
	shown := make([]string, 0, len(names))
	for _, name := range names {
		shown = append(shown, "*"+p.esc(name, nameMax)+"*")
	}
	return fitWords(shown, problemMax)
}

// setsOf returns the key sets that a note is about, without doubles.
func setsOf(n rotation.Note) []string {
	var sets []string
	for name := range strings.FieldsSeq(n.Data[rotation.NoteKeySets]) {
		if !slices.Contains(sets, name) {
			sets = append(sets, name)
		}
	}
	if len(sets) == 0 && n.KeySet != "" {
		sets = []string{n.KeySet}
	}
	return sets
}

// PageOver returns what becomes of a page when its rotation is over: how it ended,
// and no buttons.
func PageOver(o rotation.Overview) Message {
	p := &page{hide: hider(o)}
	r := o.Rotation
	name := "*" + p.esc(r.KeySet, nameMax) + "*"
	var text string
	switch r.Outcome {
	case rotation.Completed:
		text = "✅ " + name + " was rotated at " + moment(r.Closed) + ". This page is over."
	case rotation.StoodDown:
		text = "✅ " + name + ": " + lower(stoodDown(r)) + ". Nothing was changed, and this page is over."
	case rotation.Cancelled:
		text = "⏹️ " + name + ": the forced rotation was cancelled at " + moment(r.Closed) + ". This page is over."
	case rotation.Open:
		text = "The forced rotation of " + name + " is open."
	}
	p.text(text)
	return Message{Text: strings.ReplaceAll(text, "*", ""), Blocks: p.blocks}
}
