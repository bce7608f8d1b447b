package rotation

import (
	"context"
	"fmt"
	"strings"

	"github.com/raxx-app/keyturn/internal/fault"
)

// StoreAnyway stores a pair that works although its account cannot trade. The
// old pair must be rejected: then nothing better is left. Errors: Invalid,
// no_reason without a why; Conflict, late for a repeat and where step 3 does not
// wait for that; NotFound, not_open once the rotation is over.
func (e *Engine) StoreAnyway(ctx context.Context, by Actor, id ID, round int, why string) error {
	r, by, why, err := e.reasoned(by, id, why)
	if err != nil {
		return err
	}
	return r.update(ctx, func(cur *Rotation, c *change) error {
		s, err := cur.at(StepValidate, round)
		if err != nil {
			return err
		}
		if s.State != Running || s.Problem.Reason != ReasonBlocked || cur.StoreAnyway {
			return lateFault()
		}
		cur.StoreAnyway = true
		cur.pressed(PressStoreAnyway, StepValidate, round, "", by, e.now())
		cur.deviate(c, StepValidate, by, "stored although the account is blocked", why, e.now())
		return nil
	})
}

// Adopt makes the account of the new pair the expected one. last4 must be the
// last four of its number, typed by a person who looked. Errors: Invalid,
// no_reason without a why, or wrong_last4; Conflict, owned if another key set has
// the account, or late for a repeat and where step 3 does not wait for that;
// NotFound, not_open once the rotation is over.
func (e *Engine) Adopt(ctx context.Context, by Actor, id ID, round int, last4, why string) error {
	r, by, why, err := e.reasoned(by, id, why)
	if err != nil {
		return err
	}
	// Without a baseline there is nothing but this to go on with, so then it is a
	// person's word; else the pair has a better use.
	if cur, _ := r.look(); cur.Chosen != 0 && cur.Step(StepValidate).Problem.Reason != ReasonNoBaseline {
		if rec, ok := e.ownerOf(ctx, cur.KeySet, cur.candidate(cur.Chosen).Account); ok {
			return ownedFault(rec.KeySet)
		}
	}
	return r.update(ctx, func(cur *Rotation, c *change) error {
		s, err := cur.at(StepValidate, round)
		if err != nil {
			return err
		}
		if s.State != Failed || cur.Chosen == 0 || !adoptable(s.Problem.Reason) {
			return lateFault()
		}
		acc := cur.candidate(cur.Chosen).Account
		if want := strings.TrimPrefix(Masked(acc.Number), "…"); want == "" || !strings.EqualFold(strings.TrimSpace(last4), want) {
			return &fault.Error{Kind: fault.Invalid, Reason: "wrong_last4", Op: "rotation.Adopt", User: "These are not the last four characters of the new account's number.", Fix: "Read them in the dashboard, in the switcher at the upper left."}
		}
		cur.Adopted = &acc
		cur.pressed(PressAdopt, StepValidate, round, "", by, e.now())
		cur.Deviations = append(cur.Deviations, Deviation{At: e.now(), By: by, What: "adopted account " + Masked(acc.Number), Why: why})
		c.add(cur, StepValidate, by, "secret.rotate.adopted", map[string]any{"account": Masked(acc.Number), "why": why, "reason": s.Problem.Reason})
		s.State, s.Problem = Pending, Problem{}
		return nil
	})
}

// ownedFault refuses an account that another key set has: whichever of the two
// is rotated next would kill the other's pair.
func ownedFault(keyset string) *fault.Error {
	return &fault.Error{
		Kind: fault.Conflict, Reason: "owned", Op: "rotation.Adopt",
		User: fmt.Sprintf("This account belongs to key set %s, so it cannot become this one's.", keyset),
		Fix:  fmt.Sprintf("Use the pair for %s, then generate in the account of this rotation.", keyset),
	}
}
