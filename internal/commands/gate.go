package commands

import (
	"context"
	"slices"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// How old a membership may be when it counts.
const (
	Fresh     = time.Minute
	LastKnown = 30 * time.Minute // for acts on an exposed rotation, while Slack does not answer
)

// An Act is something that a person asks for.
type Act string

// The acts. Whatever is not named in [Gate.Check] is for ops only.
const (
	ActStart       Act = "start"
	ActOpen        Act = "open"
	ActGoOn        Act = "go_on"
	ActPaste       Act = "paste"
	ActRetry       Act = "retry"
	ActRegenerate  Act = "regenerate"   // back to step 2 for another pair
	ActRedo        Act = "redo"         // store, propagate, verify and prove once more
	ActAccept      Act = "accept"       // a failed item counts as done
	ActStoreAnyway Act = "store_anyway" // although the account cannot trade
	ActStoreLater  Act = "store_later"  // hand the pair out before it is stored
	ActAdopt       Act = "adopt"        // the new pair's account is the right one
	ActUseFor      Act = "use_for"      // a pasted pair goes to the key set it belongs to
	ActCancel      Act = "cancel"
	ActTakeOver    Act = "take_over"
	ActReset       Act = "reset"         // a forced rotation because somebody saw the account reset
	ActStartNow    Act = "start_now"     // take a forced rotation that opened by itself
	ActItWasMe     Act = "it_was_me"     // the same, by who killed the old pair
	ActAdoptByHand Act = "adopt_by_hand" // take over the pair that a consumer holds
	ActSnooze      Act = "snooze"        // put a reminder off
	ActStatus      Act = "status"
	ActHistory     Act = "history"
	ActCheck       Act = "check"
	ActHome        Act = "home"
	ActUpdated     Act = "updated" // a developer has pulled the new pair
)

// An Answer to whether a person belongs to a group. Unknown is no answer.
type Answer int

// The answers.
const (
	Unknown Answer = iota
	Yes
	No
)

// A Standing is what is known of a person, from memory.
type Standing struct {
	Barred string    // why this person may do nothing at all: "guest", "bot", "deleted", "external"
	Ops    Answer    // as of AsOf
	OnCall Answer    // as of AsOf
	Owns   []string  // key sets
	AsOf   time.Time // of the last good answer; zero: there was none
}

// A Roster knows people. It must answer at once, from memory.
type Roster interface {
	Standing(person string) Standing
}

// A Ledger records refusals, and permissions that stand on old knowledge.
type Ledger interface {
	Denied(ctx context.Context, by rotation.Actor, id rotation.ID, what, why string) error
	Stale(ctx context.Context, by rotation.Actor, id rotation.ID, what string, age time.Duration) error
}

// A Gate decides who may do what.
type Gate struct {
	Roster Roster
	Ledger Ledger
	Now    func() time.Time
}

// A Subject is what an act is about. The zero Subject is nothing in particular.
type Subject struct {
	Rotation rotation.ID
	KeySet   string
	Exposed  bool   // trading is down until this rotation goes on
	Named    string // with ActUpdated: the person whose row it is
}

// Check returns nil if by may do act now. A refusal is a fault of kind Denied,
// or Unknown where Slack has not said who belongs to ops, and leaves an audit
// row. It never waits for Slack.
func (g *Gate) Check(ctx context.Context, by rotation.Actor, act Act, about Subject) error {
	s := g.Roster.Standing(by.ID)
	age := g.Now().Sub(s.AsOf)
	err := decide(by, s, act, about, age)
	if err == nil {
		if age > Fresh {
			return g.Ledger.Stale(ctx, by, about.Rotation, string(act), age)
		}
		return nil
	}
	if rowErr := g.Ledger.Denied(ctx, by, about.Rotation, string(act), fault.ReasonOf(err)); rowErr != nil {
		return rowErr // refused all the same, but for a reason that needs a person
	}
	return err
}

// May is [Gate.Check] for what the bot shows by itself, where nobody asked for
// anything: it leaves no row. What a person asks for passes Check.
func (g *Gate) May(by rotation.Actor, act Act, about Subject) error {
	s := g.Roster.Standing(by.ID)
	return decide(by, s, act, about, g.Now().Sub(s.AsOf))
}

// decide is the table in section 5 of the design.
func decide(by rotation.Actor, s Standing, act Act, about Subject, age time.Duration) error {
	if s.Barred != "" {
		return denied("barred_"+s.Barred, "Guests, bots, deleted and external users cannot use Keyturn.")
	}
	if s.AsOf.IsZero() || age > LastKnown || age > Fresh && !about.Exposed {
		return &fault.Error{
			Kind: fault.Unknown, Reason: "membership_unknown", Op: "commands.Gate",
			User: "Slack has not said lately who belongs to the ops group, so nobody can be let in.",
			Fix:  "Try again in a minute. If Slack stays silent, somebody with access to the bot's host has to go on there.",
		}
	}
	switch act {
	case ActUpdated:
		if by.ID != about.Named {
			return denied("not_named", "Only the person whom this message names can press Updated.")
		}
		return nil
	case ActStatus, ActHistory, ActCheck, ActHome:
		if s.Ops == Yes || s.OnCall == Yes || len(s.Owns) > 0 {
			return nil
		}
		return denied("not_ops", "Only ops, on-call and the owners of a key set may see this.")
	case ActSnooze:
		if s.Ops == Yes || about.KeySet != "" && slices.Contains(s.Owns, about.KeySet) {
			return nil
		}
		return denied("not_owner", "Only ops and the owners of this key set may put its reminders off.")
	case ActStart, ActOpen, ActGoOn, ActPaste, ActRetry, ActRegenerate, ActRedo, ActAccept, ActStoreAnyway, ActStoreLater,
		ActAdopt, ActUseFor, ActCancel, ActTakeOver, ActReset, ActStartNow, ActItWasMe, ActAdoptByHand: // ops only
	}
	switch s.Ops {
	case Yes:
		return nil
	case No:
		return denied("not_ops", "Only members of the ops group may do this. The attempt is recorded.")
	case Unknown:
	}
	return &fault.Error{Kind: fault.Unknown, Reason: "membership_unknown", Op: "commands.Gate", User: "Slack has not said yet who belongs to the ops group.", Fix: "Try again in a minute."}
}

func denied(reason, text string) error {
	return &fault.Error{Kind: fault.Denied, Reason: reason, Op: "commands.Gate", User: text, Fix: "Ask somebody in ops."}
}

// Owned returns the key sets of owners that person owns.
func Owned(owners map[string][]string, person string) []string {
	var sets []string
	for set, people := range owners {
		if slices.Contains(people, person) {
			sets = append(sets, set)
		}
	}
	slices.Sort(sets)
	return sets
}
