package modals

import (
	"fmt"
	"strings"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// why says what made a rotation a forced one: what the bot saw, who said what,
// and how old the snapshot is that later findings are compared with; "" for a
// rotation that is not forced.
func (p *page) why(o rotation.Overview) string {
	r := o.Rotation
	var lines []string
	if s := r.Sighting; s != nil {
		line := "*What was seen:* Alpaca rejects the stored key"
		if r.OldLast4 != "" {
			line += " " + p.esc(last4(r.OldLast4), 12)
		}
		if s.Status != 0 {
			line += fmt.Sprintf(" (HTTP %d)", s.Status)
		}
		line += " since " + moment(s.Since) + ". "
		if s.LastOK.IsZero() {
			line += "The bot has never seen it work."
		} else {
			line += "It last worked at " + moment(s.LastOK) + "."
		}
		lines = append(lines, line)
	}
	if c := r.Claim; c != nil {
		lines = append(lines, "*What was said:* "+p.claimed(*c))
	}
	if s := r.Snapshot; s != nil && s.Kept {
		line := "*Last good snapshot:* " + moment(s.At) + ", " + old(r) + ". What is lost is found by comparing with it."
		if s.NoSurvey {
			line = "*Last good snapshot:* " + moment(s.At) + ", " + old(r) + ". It has no positions and orders, so what is lost of them cannot be said."
		}
		lines = append(lines, line)
	} else if s == nil && len(lines) > 0 && r.Step(rotation.StepPrecheck).State.Settled() {
		lines = append(lines, "*Last good snapshot:* none, so what is lost cannot be said.")
	}
	return strings.Join(lines, "\n")
}

// cause says what killed the old pair, as far as the new one tells, and what was
// lost with it; nothing before a new pair works.
func (p *page) cause(r rotation.Rotation) []string {
	a := r.Accident
	if a == nil {
		return nil
	}
	lines := []string{"*What happened to the old key:* " + p.causeText(*a)}
	if r.Summary != nil && len(r.Summary.Lost) > 0 {
		return lines // it lists what differs
	}
	for i, l := range a.Lost {
		if i == 0 {
			lines = append(lines, "*Lost with it:*")
		}
		lines = append(lines, "• "+p.esc(l, detailMax))
	}
	return lines
}

func (p *page) causeText(a rotation.Accident) string {
	found, expected := "the new pair's account "+p.esc(a.Found, nameMax), p.esc(a.Expected, nameMax)
	switch a.Cause {
	case rotation.CauseRegenerated:
		return "keys were *regenerated*. The account is the same, " + p.esc(a.Found, nameMax) + "."
	case rotation.CauseReplaced:
		text := "the account was *reset or replaced*. " + upper(found) + " was created"
		if !a.Created.IsZero() {
			text += " at " + moment(a.Created) + ","
		}
		return text + " after the old key last worked; before it was " + expected + "."
	case rotation.CauseWrong:
		text := "this is the *wrong account*. " + upper(found) + " was there before"
		if a.Owner != "" {
			text = "this is the *wrong account*. " + upper(found) + " is *" + p.esc(a.Owner, nameMax) + "*'s"
		}
		return text + "; " + expected + " was expected."
	case rotation.CauseUnknown:
	}
	text := "*not known*: the evidence is not clean."
	if a.Found != "" && a.Expected != "" {
		text += " The account before was " + expected + ", the new pair's is " + p.esc(a.Found, nameMax) + "."
	}
	return text
}

// claimed says what somebody said about the dead key.
func (p *page) claimed(c rotation.Claim) string {
	who := p.person(c.By.ID)
	switch {
	case c.Mine && c.What == rotation.ClaimRegenerated:
		return who + " generated keys in the dashboard, as they said at " + moment(c.At) + "."
	case c.Mine:
		return who + " reset or deleted the account, as they said at " + moment(c.At) + "."
	case c.What == rotation.ClaimRegenerated:
		return "keys were generated, " + who + " said at " + moment(c.At) + "."
	}
	return "the account was reset or deleted, " + who + " said at " + moment(c.At) + "."
}

// old says how old the snapshot was when the rotation was opened: that does not
// change while it is looked at.
func old(r rotation.Rotation) string {
	age := r.Opened.Sub(r.Snapshot.At)
	if minutes := int(age.Minutes()); minutes < 120 {
		return count(minutes, "minute", "minutes") + " old when this was opened"
	}
	if hours := int(age.Hours()); hours < 48 {
		return fmt.Sprintf("%d hours old when this was opened", hours)
	}
	return fmt.Sprintf("%d days old when this was opened", int(age.Hours())/24)
}

// stoodDown says how a forced rotation ended whose key turned out alive.
func stoodDown(r rotation.Rotation) string {
	if r.LastOK.IsZero() {
		return "The key works again"
	}
	return "The key works again since " + moment(r.LastOK)
}

// deadAtStart reports whether a forced rotation is still in step 1, where
// nothing holds it up but that nobody has gone on.
func deadAtStart(r rotation.Rotation) bool {
	return r.Outcome == rotation.Open && r.Trigger == rotation.TriggerReset && r.Current().Name == rotation.StepPrecheck
}
