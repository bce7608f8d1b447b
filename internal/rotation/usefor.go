package rotation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/raxx-app/keyturn/internal/fault"
)

// Owner returns the key set that the pair set aside last belongs to, if it is
// one of ours: its name and the last four of its account's number.
func (e *Engine) Owner(ctx context.Context, cur *Rotation) (keyset, last4 string) {
	for _, cand := range slices.Backward(cur.Candidates) {
		if cand.Verdict != Valid || cur.Snapshot != nil && cand.Account.Same(cur.Snapshot.Account) {
			continue
		}
		if rec, ok := e.ownerOf(ctx, cur.KeySet, cand.Account); ok {
			return rec.KeySet, strings.TrimPrefix(Masked(cand.Account.Number), "…")
		}
	}
	return "", ""
}

// ownerOf returns what is known of the key set, other than keyset, that has
// this account: by its open rotation's snapshot, or by how its last one ended.
func (e *Engine) ownerOf(ctx context.Context, keyset string, acc Account) (Record, bool) {
	for _, other := range e.others(keyset) {
		if rec, ok := e.opened(other.Name); ok && rec.Baseline.Same(acc) {
			return rec, true
		}
		rec, err := e.led.record(ctx, other.Name)
		if err != nil {
			e.cfg.Log.WarnContext(ctx, "record not readable", slog.String("keyset", other.Name), errAttr(err))
		} else if rec.Baseline.Same(acc) {
			return rec, true
		}
	}
	return Record{}, false
}

// opened returns what the open rotation of a key set found in its step 1.
func (e *Engine) opened(keyset string) (Record, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range e.runs {
		if cur, _ := r.look(); cur.KeySet == keyset && cur.OldOwner != nil {
			return Record{KeySet: keyset, Baseline: *cur.OldOwner, Print: cur.OldPrint}, true
		}
	}
	return Record{}, false
}

// UseFor opens a forced rotation of the key set that a pasted pair belongs to
// and seals the pair again for it: that key set's old pair is dead since the
// pair was generated. A repeat finds the pair there. Errors: Conflict, late if the
// pair is not that key set's; Conflict, pair_in_use if it is in place there
// already; NotFound, not_open once rotation id is over. With an ID and an error
// the other rotation is open, but does not have the pair yet: do it again.
func (e *Engine) UseFor(ctx context.Context, by Actor, id ID, keyset string) (ID, error) {
	r, err := e.must(id)
	if err != nil {
		return "", err
	}
	cur, _ := r.look()
	if owner, _ := e.Owner(ctx, &cur); owner == "" || owner != keyset {
		return "", lateFault()
	}
	var cand Candidate // the newest that is that key set's
	for _, c := range cur.Candidates {
		if c.Verdict != Valid {
			continue
		}
		if rec, ok := e.ownerOf(ctx, cur.KeySet, c.Account); ok && rec.KeySet == keyset {
			if cand = c; c.Print == rec.Print {
				return "", inUseFault(keyset)
			}
		}
	}
	pair, err := e.led.open(ctx, &cur, candidateField(cand.N))
	if err != nil {
		return "", err
	}
	other, _, err := e.Start(ctx, by, keyset)
	if err != nil {
		return "", err
	}
	if err := e.force(ctx, by, other, pair, fmt.Sprintf("the pair was pasted into rotation %s of %s", id, cur.KeySet), nil); err != nil {
		return other, err
	}
	err = r.update(ctx, func(cur *Rotation, c *change) error {
		c.quiet = true
		cur.pressed(PressUseFor, StepValidate, cur.Step(StepValidate).Round, keyset, e.named(by), e.now())
		return nil
	})
	if errors.Is(err, errOver) {
		err = nil // what was asked for is done; that this rotation ended meanwhile changes nothing
	}
	return other, err
}

// inUseFault says that a pair was copied, not generated.
func inUseFault(keyset string) error {
	return &fault.Error{
		Kind: fault.Conflict, Reason: "pair_in_use", Op: "rotation.UseFor",
		User: fmt.Sprintf("This is the pair that %s uses already: View shows it, it does not rotate. Nothing was generated there.", keyset),
		Fix:  "Nothing to do for " + keyset + ". Generate in the account of this rotation and paste that pair.",
	}
}

// force leaves step 1 of a rotation whose pair is at hand already, and takes
// the pair. What is current in the vault is sealed first, for step 7. row is what
// the audit row of its own says that the pair is taken with; nil: none.
func (e *Engine) force(ctx context.Context, by Actor, id ID, p Pair, why string, row map[string]any) error {
	r, err := e.must(id)
	if err != nil {
		return err
	}
	by = e.named(by)
	if err := pairRead(ctx, r, 0); err != nil {
		return err
	}
	return r.update(ctx, func(cur *Rotation, c *change) error {
		now := e.now()
		if cur.Operator.ID == BotActor {
			cur.takenBy(by, why, now)
		}
		if !cur.Step(StepPrecheck).State.Settled() {
			cur.Trigger, cur.Reason = TriggerReset, why
			cur.AskedFor = cmp.Or(cur.AskedFor, TriggerReset)
			c.add(cur, StepPrecheck, by, "secret.rotate.forced", map[string]any{"why": why})
			cur.leaveForced(c, by, now)
		}
		print := e.cfg.Sealer.Print(p)
		switch {
		case print == cur.OldPrint:
			return inUseFault(cur.KeySet)
		case slices.ContainsFunc(cur.Candidates, func(x Candidate) bool { return x.Print == print }):
			return nil
		}
		if row != nil {
			c.add(cur, StepGenerate, by, "secret.rotate.adopted", row)
		}
		return e.take(cur, c, Candidate{N: len(cur.Candidates) + 1, Print: print, Last4: p.Last4(), By: by, At: now}, p)
	})
}
