package rotation

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
)

// holdsLimit is how long a consumer may take to say which pair it holds.
const holdsLimit = 15 * time.Second

// AdoptByHand takes over a key that was rotated by hand: the stored pair is
// dead, but the consumer (a [Holder]) has one that works for the same account. It
// opens a rotation with by as operator, or uses the open one, leaves step 1 and
// makes that pair the candidate; validate, store, propagate and verify go on by
// themselves, and the stored pair is the superseded one. A repeat finds the
// rotation, and the pair in it. With an ID and an error the rotation is open, but
// does not have the pair yet: do it again. Errors, with nothing opened:
//
//   - Invalid, no_reason: why is empty;
//   - NotFound, not_a_holder: no such consumer, or its pair cannot be read;
//   - NotFound, holds_nothing: it has no whole pair;
//   - Invalid, held_odd: what it has cannot be a pair of a paper account;
//   - Conflict, pair_in_use: it has the stored pair;
//   - Conflict, stored_works: the stored pair works, so nothing was rotated;
//   - Conflict, held_dead: its pair is rejected;
//   - Conflict, other_account: it works for another account, or none is known to
//     compare it with;
//   - Unknown, held_unknown or stored_unknown: Alpaca does not answer properly.
func (e *Engine) AdoptByHand(ctx context.Context, by Actor, keyset, consumer, why string) (ID, error) {
	why, err := needWhy(why)
	if err != nil {
		return "", err
	}
	set, err := e.keySet(keyset)
	if err != nil {
		return "", err
	}
	held, err := holds(ctx, set, consumer)
	if err != nil {
		return "", err
	}
	print := e.cfg.Sealer.Print(held)
	if id, err := e.led.active(ctx, keyset); err == nil {
		if cur, err := e.current(ctx, id); err == nil && cur.printed(print) != nil {
			return id, nil
		}
	}
	if err := e.suitsByHand(ctx, set, consumer, held); err != nil {
		return "", err
	}
	by = e.named(by)
	seen := e.sightingOf(ctx, keyset)
	id, _, err := e.open(ctx, set, by, func(cur *Rotation, _ *change) {
		cur.Trigger, cur.Reason = TriggerReset, "the key was rotated by hand: "+why
		if seen != nil { // trading fails since then, not since somebody adopted the pair
			cur.Sighting, cur.FirstRejected, cur.ClickedAt, cur.LastOK = seen, seen.Since, seen.Since, seen.LastOK
		}
	})
	if err != nil {
		return "", err
	}
	row := map[string]any{"consumer": consumer, "fingerprint": print, "key_id_last4": held.Last4(), "why": why}
	return id, e.force(ctx, by, id, held, fmt.Sprintf("the pair that %s holds was adopted: %s", consumer, why), row)
}

// holds returns the pair that a consumer has.
func holds(ctx context.Context, set *KeySet, consumer string) (Pair, error) {
	i := slices.IndexFunc(set.Targets, func(t Target) bool { return t.Name == consumer })
	var h Holder
	if i >= 0 {
		h, _ = set.Targets[i].Consumer.(Holder)
	}
	if h == nil {
		return Pair{}, &fault.Error{
			Kind: fault.NotFound, Reason: "not_a_holder", Op: "rotation.AdoptByHand",
			User: fmt.Sprintf("The pair of %q cannot be read back.", consumer), Fix: "Rotate with /rotate-alpaca-paper instead.",
		}
	}
	p, err := retry(ctx, holdsLimit, true, nil, h.Holds)
	if err != nil {
		return Pair{}, fmt.Errorf("read the pair of %s: %w", consumer, err)
	}
	if p.Empty() {
		return Pair{}, &fault.Error{
			Kind: fault.NotFound, Reason: "holds_nothing", Op: "rotation.AdoptByHand",
			User: consumer + " does not hold a whole pair.", Fix: "Rotate with /rotate-alpaca-paper instead.",
		}
	}
	if !p.Shaped() {
		return Pair{}, &fault.Error{
			Kind: fault.Invalid, Reason: "held_odd", Op: "rotation.AdoptByHand",
			User: "What " + consumer + " holds cannot be a pair of a paper account: it is a live or broker key, the two halves are swapped, or there is space or another odd character in it. It was sent nowhere.",
			Fix:  "Correct it there and press Adopt it again, or rotate with /rotate-alpaca-paper instead.",
		}
	}
	return p, nil
}

// suitsByHand refuses a held pair that is not plainly the successor of the
// stored one.
func (e *Engine) suitsByHand(ctx context.Context, set *KeySet, consumer string, held Pair) error {
	refuse := func(kind fault.Kind, reason, user string) error {
		return &fault.Error{Kind: kind, Reason: reason, Op: "rotation.AdoptByHand", User: user, Fix: "Look in the dashboard what happened. If the key is dead, rotate with /rotate-alpaca-paper."}
	}
	stored, err := retry(ctx, holdsLimit, true, nil, set.Vault.Read)
	if err != nil {
		return fmt.Errorf("read the stored pair of %s: %w", set.Name, err)
	}
	if stored.Pair.Equal(held) {
		return refuse(fault.Conflict, "pair_in_use", consumer+" holds the pair that is stored: there is nothing to adopt.")
	}
	fresh, stale := e.round(ctx, held, stored.Pair)
	if err := ctx.Err(); err != nil {
		return err
	}
	switch {
	case fresh.Verdict == Invalid:
		return refuse(fault.Conflict, "held_dead", "Alpaca rejects the pair that "+consumer+" holds.")
	case fresh.Verdict != Valid:
		return refuse(fault.Unknown, "held_unknown", "Alpaca does not answer properly, so it is not known whether the pair that "+consumer+" holds works.")
	case !stored.Pair.Empty() && stale.Verdict == Valid:
		return refuse(fault.Conflict, "stored_works", "The stored pair works, so the key was not rotated by hand.")
	case !stored.Pair.Empty() && stale.Verdict != Invalid:
		return refuse(fault.Unknown, "stored_unknown", "Alpaca does not answer properly, so it is not known whether the stored pair is dead.")
	}
	expected, _ := e.before(ctx, &Rotation{KeySet: set.Name, Snapshot: e.lastSnapshot(ctx, set.Name)})
	if expected == nil || !fresh.Account.Same(*expected) {
		return refuse(fault.Conflict, "other_account", "The pair that "+consumer+" holds works for account "+Masked(fresh.Account.Number)+", which is not known to be the one of "+set.Name+".")
	}
	return nil
}

// sightingOf returns since when the sentinel knows the stored pair to be dead; nil if
// it does not.
func (e *Engine) sightingOf(ctx context.Context, keyset string) *Sighting {
	if e.cfg.Seen == nil {
		return nil
	}
	s, err := e.cfg.Seen(ctx, keyset)
	if err != nil || s.Since.IsZero() || s.Print == "" {
		return nil
	}
	return &Sighting{KeySet: keyset, Print: s.Print, Since: s.Since, LastOK: s.LastOK, Reason: s.Problem}
}
