package rotation

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// A Cause is what the evidence says killed the old pair of a forced rotation.
type Cause string

// The causes. CauseUnknown is what is left when the evidence is not clean: it is
// never rounded to one of the others.
const (
	CauseRegenerated Cause = "regenerated"      // same identity: somebody generated keys
	CauseReplaced    Cause = "account_replaced" // another identity, created after the old pair last worked: reset, or deleted and opened anew
	CauseWrong       Cause = "wrong_account"    // another identity that was there before, or that is another key set's
	CauseUnknown     Cause = "unknown"
)

// replacedMargin is how long before the old pair last worked a replacement may
// have been opened: people open the new account first and delete the old one
// then. An account from that time may be either, so it is neither.
const replacedMargin = 24 * time.Hour

// An Accident is how a forced rotation's new pair compares with what was known
// before. Account numbers are masked.
type Accident struct {
	Cause    Cause     `json:"cause"`
	At       time.Time `json:"at"`                 // of the probe that says so
	Expected string    `json:"expected,omitempty"` // account that was known
	Found    string    `json:"found,omitempty"`    // account of the new pair
	Created  time.Time `json:"created,omitzero"`   // when that was opened
	LastGood time.Time `json:"last_good,omitzero"` // when the old pair last worked
	Owner    string    `json:"owner,omitempty"`    // key set that has the new pair's account
	Lost     []string  `json:"lost,omitempty"`     // with CauseReplaced: everything in the snapshot, a line each
}

// Clues are what [Classify] goes by.
type Clues struct {
	New      Probe     // of the pair that was pasted
	Old      Probe     // of the pair that was current, in the same round; the zero Probe: none is known
	Expected *Account  // identity of the old pair; nil: not known
	LastGood time.Time // when that was last seen alive; zero: not known
	Owner    string    // other key set that has the new pair's account; "": none
}

// Classify says what killed the old pair. Only clean evidence names a cause:
//
//   - the new pair works, for an account whose identity is known before: if it is
//     the same, and the old pair is rejected, keys were regenerated;
//   - it is another one that another key set has, or that was there a day or
//     more before the old pair last worked, or the old pair still works: the
//     keys are the wrong account's;
//   - it is another one that was created after the old pair last worked, which is
//     rejected now: the account was reset or replaced.
func Classify(c Clues) Cause {
	acc := c.New.Account
	if c.New.Verdict != Valid || acc.ID == "" || c.Expected == nil || c.Expected.ID == "" {
		return CauseUnknown
	}
	halves := acc.ID == c.Expected.ID || acc.Number == c.Expected.Number
	switch {
	case acc.Same(*c.Expected):
		if c.Old.Verdict == Invalid {
			return CauseRegenerated
		}
	case halves: // the same ID with another number, or the reverse: nobody knows what that is
	case c.Owner != "", c.Old.Verdict == Valid:
		return CauseWrong
	case acc.CreatedAt.IsZero(), c.LastGood.IsZero():
	case acc.CreatedAt.After(c.LastGood):
		if c.Old.Verdict == Invalid {
			return CauseReplaced
		}
	case acc.CreatedAt.Before(c.LastGood.Add(-replacedMargin)):
		return CauseWrong
	}
	return CauseUnknown
}

// before returns the identity that the old pair had and when it was last seen
// alive, whatever a person has adopted since.
func (e *Engine) before(ctx context.Context, cur *Rotation) (*Account, time.Time) {
	good := cur.LastOK
	if s := cur.Snapshot; s != nil {
		good = later(good, later(s.At, s.Seen))
	}
	rec, err := e.led.record(ctx, cur.KeySet)
	if err != nil {
		e.cfg.Log.WarnContext(ctx, "record not readable", slog.String("keyset", cur.KeySet), errAttr(err))
	} else {
		good = later(good, rec.Completed)
	}
	switch {
	case cur.Snapshot != nil:
		return &cur.Snapshot.Account, good
	case cur.OldOwner != nil:
		return cur.OldOwner, good
	case err == nil && rec.Baseline.ID != "":
		return &rec.Baseline, good
	}
	return nil, good
}

// accident compares the pair that a round of step 3 speaks for with what was
// known before; nil if the rotation is none that was forced, or if the pair does
// not work.
func (e *Engine) accident(ctx context.Context, cur *Rotation, j judged) *Accident {
	if cur.Trigger != TriggerReset || j.New.Verdict != Valid {
		return nil
	}
	clues := Clues{New: j.New, Old: j.Old}
	if j.OldKnown && j.Old.Verdict == Unknown && !cur.ClickedAt.IsZero() && !cur.LastOK.After(cur.ClickedAt) {
		clues.Old.Verdict = Invalid // that was certain before; no answer now takes nothing back
	}
	clues.Expected, clues.LastGood = e.before(ctx, cur)
	if rec, ok := e.ownerOf(ctx, cur.KeySet, j.New.Account); ok {
		clues.Owner = rec.KeySet
	}
	a := &Accident{
		Cause: Classify(clues), At: j.New.At, Found: Masked(j.New.Account.Number), Created: j.New.Account.CreatedAt,
		LastGood: clues.LastGood, Owner: clues.Owner,
	}
	if clues.Expected != nil {
		a.Expected = Masked(clues.Expected.Number)
	}
	if a.Cause == CauseReplaced {
		a.Lost = stake(cur.Snapshot, j.New.Account)
	}
	return a
}

// same reports whether both say the same, but for the moment.
func (a *Accident) same(o *Accident) bool {
	if a == nil || o == nil {
		return a == o
	}
	return a.Cause == o.Cause && a.Found == o.Found && a.Expected == o.Expected && a.Owner == o.Owner && slices.Equal(a.Lost, o.Lost)
}

// classified stores what the evidence says, with a row when that is new.
func (r *Rotation) classified(c *change, a *Accident) {
	if a == nil || a.same(r.Accident) {
		return
	}
	r.Accident, c.quiet = a, false
	c.add(r, StepValidate, bot(), "secret.rotate.step", a.context())
}

func (a *Accident) context() map[string]any {
	return map[string]any{
		"state": "classified", "cause": string(a.Cause), "account_before": a.Expected, "account": a.Found, "created": stamp(a.Created),
		"last_good": stamp(a.LastGood), "owner": a.Owner, "lost": a.Lost,
	}
}

// stake lists what an account that is gone took with it, a line each.
func stake(snap *Snapshot, now Account) []string {
	if snap == nil || snap.NoSurvey {
		return []string{"positions and open orders of the old account are not known"}
	}
	var lost []string
	for _, p := range snap.Survey.Positions {
		lost = append(lost, fmt.Sprintf("position %s %s: gone", p.Qty, p.Symbol))
	}
	for _, o := range snap.Survey.OpenOrders {
		lost = append(lost, fmt.Sprintf("order %s %s %s: gone", o.Side, o.Qty, o.Symbol))
	}
	return append(lost, balance(snap.Account, now)...)
}

// balance says how the money of an account differs; nothing if it does not, or
// is not known.
func balance(before, now Account) []string {
	var lost []string
	for _, m := range []struct{ name, was, is string }{{"equity", before.Equity, now.Equity}, {"cash", before.Cash, now.Cash}} {
		if m.was != "" && m.is != "" && !sameNumber(m.was, m.is) {
			lost = append(lost, fmt.Sprintf("%s: %s before, %s now", m.name, m.was, m.is))
		}
	}
	return lost
}
