package rotation

import (
	"fmt"
	"time"
)

// An Action is what the bot does after looking at the new and the old pair.
type Action string

// The actions of table 3.2.
const (
	ActStore Action = "store" // store and propagate at once
	ActWait  Action = "wait"  // look again by itself; nothing is written
	ActPaste Action = "paste" // back to step 2: another pair is needed
	ActAdopt Action = "adopt" // a person must say that this account is the right one
	ActStop  Action = "stop"  // a person must repair something first
)

// Reasons of a decision about a pair whose account is not in question.
const (
	ReasonRejected = "rejected"        // the new pair is
	ReasonBlocked  = "account_blocked" // the pair works, its account cannot trade
)

// Reasons of a decision about a pair of another account.
const (
	ReasonNoBaseline = "no_baseline"      // no account is known to compare it with
	ReasonWrong      = "wrong_account"    // the old pair still works
	ReasonReplaced   = "account_replaced" // created after the old pair last worked
	ReasonOther      = "other_account"    // older
)

// Evidence is what one round of probes says.
type Evidence struct {
	New      Probe
	Old      Probe
	OldKnown bool     // false: there is no old pair, Old is empty
	Expected *Account // identity before the click; nil: none is known
	Opened   time.Time
	LastGood time.Time // when the old pair last worked, if that was before Opened
}

// A Decision is what follows from the evidence, with the words for it.
type Decision struct {
	Action  Action
	Problem Problem // the zero Problem with ActStore
}

// Judge says what to do with a new pair (R35–R37, R39, R59, R60, R66). It is
// the table in 3.2 of the design, row by row; unknown is never rounded to
// either side.
func Judge(e Evidence) Decision {
	switch e.New.Verdict {
	case Invalid:
		return decide(ActPaste, ReasonRejected, "Alpaca rejects the new pair. Nothing was written anywhere.",
			"Copy both values again; the secret is shown only once, so generate again if it is gone. Check that the switcher shows Paper. Then paste the new pair.")
	case Valid:
	case Unknown:
		return decide(ActWait, "new_unknown", "Alpaca does not answer properly, so it is not known whether the new pair works. It is sealed and safe; nothing was written.",
			"Nothing to do: the bot keeps asking. Leave the dashboard as it is.")
	default:
		return decide(ActWait, "new_unknown", "The new pair was not tried yet.", "Nothing to do: the bot tries it.")
	}
	acc := e.New.Account
	if e.Expected == nil && e.OldKnown && e.Old.Verdict == Unknown {
		return decide(ActWait, "old_unknown", "The new pair works, but no account is known to compare it with, and the old pair, which would tell, cannot be asked now. Nothing was written.",
			"Nothing to do: the bot keeps asking.")
	}
	if e.Expected == nil {
		return decide(ActAdopt, ReasonNoBaseline, fmt.Sprintf("The new pair works for account %s, but no account is known to compare it with.", acc.Number),
			"Check in the dashboard that this is the right paper account, then adopt it.")
	}
	if !acc.Same(*e.Expected) {
		return otherAccount(e, acc)
	}
	if acc.Active() {
		return Decision{Action: ActStore}
	}
	why := fmt.Sprintf("The new pair works, but account %s is %s.", acc.Number, acc.Condition())
	if e.OldKnown && e.Old.Verdict == Invalid {
		return decide(ActWait, ReasonBlocked, why+" The old pair is dead already.", "The bot keeps looking. Ask Alpaca's support why the account is blocked.")
	}
	return decide(ActStop, ReasonBlocked, why+" That is a problem of the account, not of the key.", "Ask Alpaca's support why the account is blocked, then press Retry.")
}

// otherAccount judges a pair that works for an account that was not expected.
func otherAccount(e Evidence, acc Account) Decision {
	which := fmt.Sprintf("This pair belongs to account %s, but %s was expected. Nothing was written.", acc.Number, e.Expected.Number)
	switch {
	case e.OldKnown && e.Old.Verdict == Valid:
		return decide(ActPaste, ReasonWrong, which+" The old pair still works, so the keys were generated in another paper account.",
			fmt.Sprintf("In the dashboard choose account %s in the switcher at the upper left, generate there, and paste that pair. The keys that account %s had before are dead now.", e.Expected.Number, acc.Number))
	case e.OldKnown && e.Old.Verdict != Invalid:
		return decide(ActWait, "old_unknown", which+" Whether the old pair is dead is not known yet.", "Nothing to do: the bot keeps asking.")
	case acc.CreatedAt.After(e.Opened), !e.LastGood.IsZero() && acc.CreatedAt.After(e.LastGood):
		when := "this rotation began"
		if !acc.CreatedAt.After(e.Opened) {
			when = "the old pair last worked"
		}
		return decide(ActAdopt, ReasonReplaced, which+" It was created after "+when+" and the old pair is dead: the account was reset or replaced. Its history, positions and open orders are gone.",
			"If that is right, adopt the new account. If not, find out who deleted the old one.")
	}
	return decide(ActAdopt, ReasonOther, which+" The old pair is dead.",
		fmt.Sprintf("Generate in account %s and paste that pair; or adopt this account if it is the right one now.", e.Expected.Number))
}

func decide(a Action, reason, text, fix string) Decision {
	return Decision{Action: a, Problem: Problem{Reason: reason, Text: text, Fix: fix}}
}
