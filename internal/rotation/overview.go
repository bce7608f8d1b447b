package rotation

import (
	"context"
	"slices"
	"strings"
	"time"
)

// A Record is what is remembered of a key set between rotations.
type Record struct {
	KeySet    string             `json:"keyset"`
	Rev       Rev                `json:"-"`
	Baseline  Account            `json:"baseline,omitzero"` // identity the last completed rotation ended with
	Completed time.Time          `json:"completed,omitzero"`
	Last      ID                 `json:"last,omitempty"`       // last completed rotation
	NextDue   string             `json:"next_due,omitempty"`   // calendar day, 2027-05-21
	Exposed   []int64            `json:"exposed_ms,omitempty"` // of the last five completed, newest last
	Receipts  map[string]Receipt `json:"receipts,omitempty"`   // last successful Apply by consumer
	Print     string             `json:"print,omitempty"`      // fingerprint of the pair it left in place
}

// An Overview is everything that a person may be shown of a rotation: the
// rotation, how its key set is configured, and what is remembered of it.
type Overview struct {
	Rotation    Rotation
	Names       Names
	Place       string // of the pair in the vault
	CadenceDays int
	Targets     []TargetInfo
	Order       *OrderSpec // nil: no test order is configured
	Past        Record
	Other       *OtherOwner // nil: no pasted pair is known to be another key set's
	Now         time.Time
}

// An OtherOwner is the key set of ours that a pasted pair turned out to belong
// to (3.2 of the design).
type OtherOwner struct {
	KeySet    string
	Last4     string    // of its account's number
	DeadSince time.Time // its own pair is dead since then or longer: when the new one was pasted
}

// otherOwner returns the owner of the pair that step 3 set aside because of its
// account. It is nil for any other reason, and when the pair is in place there
// already.
func (e *Engine) otherOwner(ctx context.Context, cur *Rotation) *OtherOwner {
	if cur.Outcome != Open || len(cur.Candidates) == 0 {
		return nil
	}
	if !slices.Contains([]string{ReasonWrong, ReasonReplaced, ReasonOther}, cur.Step(StepValidate).Problem.Reason) {
		return nil
	}
	for _, cand := range slices.Backward(cur.Candidates) {
		if cand.Verdict != Valid || cur.Snapshot != nil && cand.Account.Same(cur.Snapshot.Account) {
			continue
		}
		if rec, ok := e.ownerOf(ctx, cur.KeySet, cand.Account); ok && cand.Print != rec.Print {
			return &OtherOwner{KeySet: rec.KeySet, Last4: strings.TrimPrefix(Masked(cand.Account.Number), "…"), DeadSince: cand.At}
		}
	}
	return nil
}

// A TargetInfo is one configured consumer as people see it.
type TargetInfo struct {
	Name      string
	Kind      string
	CoveredBy string
	Counts    bool
}

// A GateCount is the sum over the items of step 1 (3.1 of the design).
type GateCount struct {
	Ready, Unproven, Failed, Passed, Open int
}

// Gate counts the items of step 1: Open are still running, Passed failed but
// somebody let them pass with a reason.
func (o Overview) Gate() GateCount {
	var n GateCount
	s := o.Rotation.Step(StepPrecheck)
	if len(s.Items) == 0 && !s.State.Settled() {
		n.Open = 1 // nothing was listed yet
	}
	for _, it := range s.Items {
		switch {
		case it.State == Skipped: // removed from bot.yml
		case !it.State.Settled() && it.State != Failed:
			n.Open++
		case it.State == Failed && it.PassWhy != "":
			n.Passed++
		case it.State == Failed:
			n.Failed++
		case it.Level == Unproven:
			n.Unproven++
		default:
			n.Ready++
		}
	}
	return n
}

// A GoOn is what the operator says when they leave step 1: every question is
// asked before the click.
type GoOn struct {
	Trigger   Trigger
	Reason    string   // needed for every trigger but scheduled
	Ticks     []string // of Prerequisites, by name; all are needed
	TestOrder bool
	Pass      []string // failed items to let pass
	PassWhy   string   // needed with Pass
}

// A Prerequisite is something only the operator can confirm (R14–R17, R33).
type Prerequisite struct {
	Name string // stable: "dashboard_access"
	Text string
	Hint string // shown smaller; may be empty
}

// Numbers returns every account number that a text of the rotation may hold
// whole. Only its operator may read them so; everybody else sees them as
// [Masked] makes them. A number may be there twice.
func (o *Overview) Numbers() []string {
	r := &o.Rotation
	accounts := []*Account{&o.Past.Baseline, r.OldOwner, r.Adopted}
	if r.Snapshot != nil {
		accounts = append(accounts, &r.Snapshot.Account)
	}
	for i := range r.Candidates {
		accounts = append(accounts, &r.Candidates[i].Account)
	}
	var numbers []string
	for _, a := range accounts {
		if a != nil && a.Number != "" {
			numbers = append(numbers, a.Number)
		}
	}
	return numbers
}
