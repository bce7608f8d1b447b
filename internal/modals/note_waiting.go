package modals

import (
	"regexp"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// mentionsMax is how many people and groups one message mentions.
const mentionsMax = 50

// slackGroup matches the ID of a user group.
var slackGroup = regexp.MustCompile(`^S[A-Z0-9]{2,20}$`)

// noteWaiting says that a rotation waits for a person while trading is down, to
// one person or, as the last rung, to the ops channel. It stays true while it
// waits: running times are start stamps.
func noteWaiting(n rotation.Note) Message {
	p := &page{hide: hider(rotation.Overview{})}
	head := "🔴 *" + p.esc(n.KeySet, nameMax) + "*: " + downText(n) + ", and the rotation waits for " + p.waitedFor(n) + "."
	mention := p.mentions(n.Data[rotation.NoteMention])
	p.text(strings.TrimSpace(mention + " " + head))
	lines := []string{"*Waits for:* " + p.esc(n.Data[rotation.NoteFor], detailMax)}
	if what := p.problem(rotation.Problem{Text: n.Data[rotation.NoteWhat], Fix: n.Data[rotation.NoteFix]}); what != "" {
		lines = append(lines, what)
	}
	p.text(strings.Join(lines, "\n"))
	lines = nil
	if at, ok := noteTime(n, rotation.NoteSince); ok {
		lines = append(lines, "*Waiting since* "+since(at))
	}
	if at, ok := noteTime(n, rotation.NoteDown); ok {
		lines = append(lines, "*"+upper(downText(n))+" since* "+since(at))
	}
	p.text(strings.Join(append(lines, p.runs(n)), "\n"))
	if skipped := p.mentions(n.Data[rotation.NoteSkipped]); skipped != "" {
		p.small("On call but not told, because they are not in ops: " + skipped)
	}
	p.small("Press Open: it shows what is wrong and the button that goes on. Only ops can act.")
	p.openButton(n)
	return Message{Text: strings.TrimSpace(mention + " " + strings.ReplaceAll(head, "*", "")), Blocks: p.blocks}
}

// noteIdle says that nothing has happened for long before the click: to the
// operator, or to the ops channel if the bot could not cancel.
func noteIdle(n rotation.Note) Message {
	p := &page{hide: hider(rotation.Overview{})}
	name := "*" + p.esc(n.KeySet, nameMax) + "*"
	head := "⏳ " + name + ": the rotation that you run has not gone on for a while. The pair was not changed."
	more := "Press Open to go on or to cancel. After 24 hours without anybody doing anything the bot cancels it."
	refused, isRefused := n.Data[rotation.NoteRefused]
	if isRefused {
		head = "⏳ " + name + ": nobody has gone on with this rotation for 24 hours, and the bot could not cancel it."
		more = "The bot tries again every 10 minutes and says nothing more about it. Press Open to go on or to cancel."
	}
	p.text(head)
	var lines []string
	if isRefused {
		lines = append(lines, "*Why not:* "+p.esc(refused, problemMax), p.runs(n))
	}
	if at, ok := noteTime(n, rotation.NoteSince); ok {
		lines = append(lines, "*Nothing has happened since* "+moment(at)+" ("+ago(at)+")")
	}
	p.text(strings.Join(append(lines, more), "\n"))
	p.openButton(n)
	return Message{Text: strings.ReplaceAll(head, "*", ""), Blocks: p.blocks}
}

// waitedFor says as whom the reader is told.
func (p *page) waitedFor(n rotation.Note) string {
	switch n.Data[rotation.NoteRung] {
	case rotation.RungOperator:
		return "you"
	case rotation.RungOnCall:
		return "a person. You are on call"
	case rotation.RungOwners:
		return "a person. You own this key set"
	}
	return "a person. Nobody has gone on so far"
}

// runs says who runs the rotation.
func (p *page) runs(n rotation.Note) string {
	if id := n.Data[rotation.NoteOperator]; id != "" {
		return "*Operator:* " + p.person(clean(id))
	}
	return "*Operator:* nobody yet"
}

// mentions turns Slack IDs, separated by spaces, into mentions. Whatever is no
// ID is left out.
func (p *page) mentions(ids string) string {
	var all []string
	for id := range strings.FieldsSeq(ids) {
		switch {
		case len(all) == mentionsMax:
		case slackGroup.MatchString(id):
			all = append(all, "<!subteam^"+id+">") // docs.slack.dev/messaging/formatting-message-text
		case slackUser.MatchString(id):
			all = append(all, p.person(id))
		}
	}
	return strings.Join(all, " ")
}

// openButton adds the button that leads to the present step, whichever it is
// by then.
func (p *page) openButton(n rotation.Note) {
	if b := button(OpenAction, "Open", Bind{Rotation: n.Rotation}); b != nil {
		p.buttons(buttonsBlock, b.WithStyle(slack.StylePrimary))
	}
}

func downText(n rotation.Note) string {
	if n.Data[rotation.NoteMaybe] != "" {
		return "trading may be down"
	}
	return "trading is down"
}

// upper makes the first letter of a text of ours a capital.
func upper(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// lower makes it a small one; names inside keep theirs.
func lower(s string) string { return strings.ToLower(s[:1]) + s[1:] }

// ago shows how long ago something was, as the reader's client says it.
func ago(t time.Time) string { return strings.TrimPrefix(started(t), "started ") }

func noteTime(n rotation.Note, key string) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339Nano, n.Data[key])
	return t, err == nil
}
