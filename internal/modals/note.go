package modals

import (
	"cmp"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// Note returns the message to one person: for a developer how to pull the new
// pair, and a button that says it is done (R46); for others that a rotation
// waits, that a key set is due, or what the bot noticed. It never carries a value
// (R47).
func Note(n rotation.Note) Message {
	switch n.Kind {
	case rotation.NoteWaiting:
		return noteWaiting(n)
	case rotation.NoteIdle:
		return noteIdle(n)
	case rotation.NoteReminder:
		return noteReminder(n)
	case rotation.NoteForced:
		return noteForced(n)
	case rotation.NoteAlive:
		return noteAlive(n)
	case rotation.NoteTogether:
		return noteTogether(n)
	case rotation.NoteAccount, rotation.NoteVault, rotation.NoteByHand, rotation.NoteDrift, rotation.NoteBlind:
		return noteNoticed(n)
	case rotation.NoteBreakGlass:
		return noteBreakGlass(n)
	case rotation.NoteCheck:
		return noteCheck(n)
	case rotation.NoteLeaver:
		return noteLeaver(n)
	case rotation.NoteSilent:
		return noteSilent(n)
	case rotation.NoteRollCall:
		return noteRollCall(n)
	}
	p := notePage(n, noteHead)
	p.updatedButton(n)
	return Message{Text: noteText(p, n), Blocks: p.blocks}
}

// ChannelNote is [Note] for the ops channel: a reminder is one line there.
func ChannelNote(n rotation.Note) Message {
	if n.Kind == rotation.NoteReminder {
		return reminderLine(n)
	}
	return Note(n)
}

// updatedButton adds the button with which a developer says that they have
// pulled the new pair.
func (p *page) updatedButton(n rotation.Note) {
	b := Bind{Rotation: n.Rotation, Step: rotation.StepPropagate, Item: n.Consumer}
	if e := button(UpdatedAction, "Updated", b); e != nil {
		p.buttons(buttonsBlock, e.WithStyle(slack.StylePrimary))
	}
}

// NoteUpdated returns the same message after the person has pressed Updated.
func NoteUpdated(n rotation.Note, at time.Time) Message {
	p := &page{hide: hider(rotation.Overview{})}
	p.text(noteHead(p, n))
	p.text("✅ Updated at " + moment(at) + ". Thank you.")
	return Message{Text: noteText(p, n), Blocks: p.blocks}
}

func noteText(p *page, n rotation.Note) string {
	return "The Alpaca paper keys of " + p.esc(n.KeySet, nameMax) + " were rotated."
}

func noteHead(p *page, n rotation.Note) string {
	return "🔑 The Alpaca paper keys of *" + p.esc(n.KeySet, nameMax) + "* were rotated. The old pair in your local `.env` is dead."
}

func notePage(n rotation.Note, head func(*page, rotation.Note) string) *page {
	p := &page{hide: hider(rotation.Overview{})}
	p.text(head(p, n))
	p.text(strings.Join([]string{
		"*1. Pull the new pair from Infisical.* Either start your program with it:",
		"`infisical run" + p.flags(n) + " -- YOUR COMMAND`",
		"or write it to a file. This replaces the file:",
		"`infisical export" + p.flags(n) + " --format=dotenv --output-file=.env`",
		"*2. Restart what runs locally.*",
		"*3. Press Updated.*",
	}, "\n"))
	p.fields([]rotation.Fact{
		{Label: "Names", Value: secretNames(rotation.Names{KeyID: n.Data[rotation.NoteKeyIDName], Secret: n.Data[rotation.NoteSecretName]})},
		{Label: "Place", Value: n.Data[rotation.NotePlace]},
		{Label: "The new key ends with", Value: n.Data[rotation.NoteLast4]},
	})
	p.small("The value is never sent in a message. If somebody sends it to you, tell ops: it must be rotated again.")
	return p
}

// flags returns the CLI's flags that say where the pair is; what is not known
// is in capitals, to be filled in from the place below
// (infisical.com/docs/cli/commands/run and export).
func (p *page) flags(n rotation.Note) string {
	var b strings.Builder
	for _, f := range [][3]string{{"projectId", rotation.NoteProject, "PROJECT"}, {"env", rotation.NoteEnvironment, "ENV"}, {"path", rotation.NotePath, "PATH"}} {
		b.WriteString(" --" + f[0] + "=" + p.esc(cmp.Or(n.Data[f[1]], f[2]), nameMax))
	}
	return b.String()
}
