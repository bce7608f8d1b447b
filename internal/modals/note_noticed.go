package modals

import (
	"strings"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// A noticed is what a note says of something that the bot saw outside a
// rotation.
type noticed struct {
	head  string
	seen  string // what was seen
	means string
	fix   string // what to do, unless the note says it
	row   []slack.BlockElement
}

// noteNoticed says what the bot noticed outside a rotation: what was seen, what
// it means, and what to do.
func noteNoticed(n rotation.Note) Message {
	p := &page{hide: hider(rotation.Overview{})}
	var text noticed
	switch n.Kind {
	case rotation.NoteAccount:
		text = p.noticedAccount(n)
	case rotation.NoteVault:
		text = p.noticedVault(n)
	case rotation.NoteByHand:
		text = p.noticedByHand(n)
	case rotation.NoteDrift:
		text = p.noticedDrift(n)
	case rotation.NoteBlind:
		text = p.noticedBlind(n)
	}
	p.text(text.head)
	seen := text.seen
	if what := n.Data[rotation.NoteWhat]; what != "" {
		seen = p.esc(what, problemMax)
	}
	at, dated := noteTime(n, rotation.NoteSince)
	switch last, known := noteTime(n, rotation.NoteLastOK); {
	case dated && n.Kind == rotation.NoteByHand && known:
		seen += " The stored pair is rejected since " + since(at) + "; it last worked at " + moment(last) + "."
	case dated && n.Kind == rotation.NoteByHand:
		seen += " The stored pair is rejected since " + since(at) + "."
	case dated && n.Kind == rotation.NoteBlind:
		seen += " Since " + since(at) + "."
	case dated:
		seen += " Seen at " + moment(at) + "."
	}
	lines := []string{"*What was seen:* " + seen}
	if text.means != "" {
		lines = append(lines, "*What it means:* "+text.means)
	}
	fix := text.fix
	if own := n.Data[rotation.NoteFix]; own != "" {
		fix = p.esc(own, problemMax)
	}
	p.lines(append(lines, "*What to do:* "+fix)...)
	p.buttons(buttonsBlock, text.row...)
	return Message{Text: strings.ReplaceAll(text.head, "*", ""), Blocks: p.blocks}
}

func (p *page) noticedAccount(n rotation.Note) noticed {
	name, account := "*"+p.esc(n.KeySet, nameMax)+"*", "the account"
	if last := n.Data[rotation.NoteAccount4]; last != "" {
		account = "account …" + p.esc(last, 8)
	}
	text := noticed{
		head:  "⚠️ " + name + ": something is wrong with its Alpaca account, not with its key.",
		seen:  "the key works, but not as it should.",
		means: "orders may be refused. A new pair would not help.",
		fix:   "Look at the account in Alpaca's dashboard, or ask Alpaca's support.",
	}
	if status := n.Data[rotation.NoteStatus]; status != "" {
		text.seen = "The key works; " + account + " is " + p.esc(status, nameMax) + "."
	}
	switch n.Data[rotation.NoteReason] {
	case rotation.AccountOther:
		text.head = "⚠️ " + name + ": its key belongs to another Alpaca account than before, " + account + "."
		text.means = "what trades with it trades in that account. Positions and orders of the one before are not there."
		text.fix = "Find out who reset or replaced the account. If the new one is right, start a rotation and adopt it."
		text.row = add(nil, startButton(Bind{KeySet: n.KeySet}))
	case rotation.AccountWell:
		text.head = "✅ " + name + ": its Alpaca account is well again."
		text.means, text.fix = "", "Nothing must be done."
	}
	return text
}

func (p *page) noticedVault(n rotation.Note) noticed {
	seen := "Infisical holds another pair than the last rotation put there."
	if last := n.Data[rotation.NoteOldLast4]; last != "" {
		seen = "Infisical holds another pair than the last rotation put there; its key ID ends with " + p.esc(last, 8) + "."
	}
	return noticed{
		head:  "⚠️ *" + p.esc(n.KeySet, nameMax) + "*: the stored pair was changed outside a rotation.",
		seen:  seen,
		means: "the consumers may still have the pair before it. From now on the bot watches the one that is stored.",
		fix:   "Find out who changed it: Infisical's audit log says so. If it was no mistake, start a rotation, so that every consumer gets one pair that is proven.",
		row:   add(nil, startButton(Bind{KeySet: n.KeySet})),
	}
}

func (p *page) noticedByHand(n rotation.Note) noticed {
	consumer := "*" + p.esc(n.Consumer, nameMax) + "*"
	b := button(AdoptByHandAction, AdoptByHandSubmit, Bind{KeySet: n.KeySet, Item: n.Consumer})
	if b != nil {
		b.WithStyle(slack.StylePrimary)
	}
	return noticed{
		head:  "🟠 *" + p.esc(n.KeySet, nameMax) + "*: rotated by hand. The stored pair is dead, but " + consumer + " has one that works.",
		seen:  "The stored key is dead, and " + consumer + " has another one, which works with the same account.",
		means: "trading goes on where that pair is, and fails everywhere else. Nobody is paged: generating a new pair now would stop what works.",
		fix:   "Press Adopt it: the bot stores that pair and hands it to every other consumer.",
		row:   add(nil, b),
	}
}

func (p *page) noticedDrift(n rotation.Note) noticed {
	consumer := "*" + p.esc(n.Consumer, nameMax) + "*"
	return noticed{
		head:  "⚠️ *" + p.esc(n.KeySet, nameMax) + "*: " + consumer + " no longer has what the last rotation gave it.",
		seen:  "Somebody else wrote there since.",
		means: consumer + " may fail with its pair, or work with one that nobody else has.",
		fix:   "Ask who changed it. If it was a mistake, put the pair from Infisical back. If you do not know, start a rotation: it gives every consumer one pair that is proven.",
		row:   add(nil, startButton(Bind{KeySet: n.KeySet})),
	}
}

func (p *page) noticedBlind(n rotation.Note) noticed {
	return noticed{
		head:  "⚠️ *" + p.esc(n.KeySet, nameMax) + "*: nobody watches its key. The bot cannot read the stored pair.",
		seen:  "Infisical does not give the pair out.",
		means: "a dead key would not be noticed, and no rotation can begin with a check of the old pair.",
		fix:   "Run bot doctor on the bot's host: it says what is missing.",
	}
}
