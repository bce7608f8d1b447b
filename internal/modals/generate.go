package modals

import (
	"strconv"
	"strings"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
)

// pasteMax is how many characters either field takes: enough for a whole
// "export NAME=value" line.
const pasteMax = 500

// Generate returns the view of step 2: the guided visit to the dashboard
// (R25–R33) and the two inputs for the new pair (R34). Slack cannot mask them, so
// the view names the way that can.
//
// The inputs have nothing that Slack reports before Submit: no button stands
// beside them, because a press would send what is typed so far. Their block
// IDs hold the step's round, so a new round begins with empty fields.
func Generate(o rotation.Overview) slack.ModalViewRequest {
	p, s := stepPage(o, rotation.StepGenerate)
	t := rotation.Text(rotation.StepGenerate)
	p.text(escape(t.Lead, maxText))
	switch {
	case doubted(o.Rotation):
		p.alert(slack.AlertLevelError, "Alpaca rejects the old key since "+clock(o.Rotation.FirstRejected)+". If you have generated the new pair, paste it now. If you have not clicked yet, wait a minute: the bot asks again.")
	case deadBefore(o.Rotation):
		p.alert(slack.AlertLevelError, "Alpaca rejects the old key since "+clock(o.Rotation.FirstRejected)+": it is dead. Generate a new pair, if you have not yet, and paste it now.")
	case !o.Rotation.FirstRejected.IsZero():
		p.alert(slack.AlertLevelError, "Alpaca rejects the old key since "+clock(o.Rotation.FirstRejected)+": it is dead. Paste the new pair now.")
	}
	if s.Note != "" {
		p.text("⚠️ *Why you are here again:* " + p.esc(s.Note, noteMax))
	}
	p.text(p.problem(s.Problem))
	if s.Note != "" {
		p.text(p.already(o))
		p.text("*The bot:* " + goesOn(o, s))
	}
	p.text(p.otherOwner(o, s))
	p.account(o)
	warn := t.Warn
	if deadBefore(o.Rotation) {
		p.text("*Is that account not in the switcher any more?* Then it was deleted or reset. Open a new paper account there, generate its keys and paste those: step 3 asks whether to adopt it.")
		warn = warn[1:] // the click makes nothing worse than it is
	}
	p.text(numbered(t.Do))
	p.small(links(t.Links))
	p.text(bullets("⚠️", warn))
	p.alert(slack.AlertLevelWarning, "What you type here is readable on your screen and passes through Slack. The other way, with masked input, is a terminal on the bot's host: bot rotate "+o.Rotation.KeySet)
	p.add(
		paste(keyIDBlock, s.Round, KeyIDLabel, rotation.FieldKeyID, "Begins with PK. Not masked."),
		paste(secretBlock, s.Round, SecretLabel, rotation.FieldSecret, "Shown once by Alpaca. Not masked. Keep the dashboard tab open until you see ✔ sealed."),
	)
	p.small(bullets("•", t.Gotchas))
	v := view(o, GenerateCallback, p)
	v.Submit = plain(SealSubmit, maxTitle)
	return v
}

// deadBefore reports whether the old pair of a forced rotation is dead and no new
// one was pasted yet: whoever is here did not necessarily click, and the account
// may be gone.
func deadBefore(r rotation.Rotation) bool {
	return r.Trigger == rotation.TriggerReset && !r.FirstRejected.IsZero() && len(r.Candidates) == 0 && !doubted(r)
}

// account names the account to choose in the dashboard.
func (p *page) account(o rotation.Overview) {
	if s := o.Rotation.Snapshot; s != nil {
		p.fields([]rotation.Fact{{Label: "Account to choose", Value: s.Account.Number}, {Label: "Current key ends with", Value: o.Rotation.OldLast4}})
	}
}

func paste(block string, round int, label, action, hint string) *slack.InputBlock {
	in := slack.NewPlainTextInputBlockElement(nil, action)
	in.MaxLength = pasteMax
	return slack.NewInputBlock(block+strconv.Itoa(round), plain(label, maxLabel), plain(hint, maxLabel), in)
}

// GenerateBlocks are the block IDs of the two inputs as they were on screen.
type GenerateBlocks struct {
	KeyID  string
	Secret string
}

// Problems turns problems by field ("key_id", "secret") into problems by block
// ID, the form of Slack's "errors" answer. A problem of any other field is
// shown under the secret.
func (b GenerateBlocks) Problems(fields map[string]string) map[string]string {
	out := map[string]string{}
	for field, text := range fields {
		id := b.Secret
		if field == rotation.FieldKeyID {
			id = b.KeyID
		}
		if out[id] != "" {
			text = out[id] + " " + text
		}
		out[id] = text
	}
	return out
}

// ParseGenerate reads the submitted pair as it was typed. A field that is not
// there is empty.
func ParseGenerate(state *slack.ViewState) (keyID, key secret.Text, blocks GenerateBlocks) {
	for id, actions := range values(state) {
		switch {
		case strings.HasPrefix(id, keyIDBlock):
			blocks.KeyID, keyID = id, secret.New(actions[rotation.FieldKeyID].Value)
		case strings.HasPrefix(id, secretBlock):
			blocks.Secret, key = id, secret.New(actions[rotation.FieldSecret].Value)
		}
	}
	return keyID, key, blocks
}

// values returns the state's inputs by block and action; nil if there are none.
func values(state *slack.ViewState) map[string]map[string]slack.BlockAction {
	if state == nil {
		return nil
	}
	return state.Values
}
