package rotation

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/raxx-app/keyturn/internal/fault"
)

// store is step 4 (R40–R43): both values in the vault, both or neither, read
// back and compared. It writes the sealed pair and nothing else; the vault's
// history is never a source. A repeat finds the pair there and writes nothing.
// Once consumers were given the pair first, it goes on until it is stored.
func (e *Engine) store(ctx context.Context, f *flight) error {
	for {
		err := e.storeOnce(ctx, f)
		if err == nil || !passing(err) || ctx.Err() != nil {
			return err
		}
		if cur, groundErr := f.ground(); groundErr != nil || !cur.StoreLater {
			return errors.Join(groundErr, err)
		}
		if !sleep(ctx, e.limits.ProbeAgain) {
			return ctx.Err()
		}
	}
}

// storeOnce looks before each write, so a lost answer is found out and a value
// that somebody else puts there meanwhile is not overwritten.
func (e *Engine) storeOnce(ctx context.Context, f *flight) error {
	cur, err := f.ground()
	if err != nil {
		return err
	}
	pair, err := e.led.open(ctx, &cur, candidateField(cur.Chosen))
	if err != nil {
		return err
	}
	var before *Stored
	after, err := retry(ctx, e.limits.Write, true, e.stepNote(ctx, f), func(ctx context.Context) (Stored, error) {
		there, err := f.set.Vault.Read(ctx)
		if err != nil {
			return there, err
		}
		if before == nil {
			before = &there
		}
		if there.Pair.Equal(pair) {
			return there, nil
		}
		if err := e.expectedThere(ctx, f, there); err != nil {
			return there, err
		}
		if err := e.stillAlive(ctx, f, pair, e.limits.ProbeAgain); err != nil {
			return there, err
		}
		if err := f.set.Vault.Write(ctx, pair, there.Version.KeyID == 0 || there.Version.Secret == 0); err != nil {
			return there, err
		}
		return f.set.Vault.Read(ctx)
	})
	if err != nil {
		return err
	}
	if err := proveStored(*before, after, pair); err != nil {
		return err
	}
	return f.update(ctx, func(cur *Rotation, _ *change) error {
		cur.StoreLater = false // it is stored now; a later pair is stored first again
		cur.Step(StepStore).Facts = []Fact{
			{Name: "key_id", Label: "Key stored", Value: "····" + pair.Last4()},
			{Name: "versions_before", Label: "Versions before", Value: versions(cur.OldBefore)},
			{Name: "versions_after", Label: "Versions now", Value: versions(after.Version)},
			{Name: "read_back", Label: "Read back", Value: "equal"},
		}
		return nil
	})
}

func versions(v Version) string { return strconv.Itoa(v.KeyID) + " / " + strconv.Itoa(v.Secret) }

// expectedThere stops if the vault holds a value that is neither the old
// pair's nor one that was pasted here: somebody else changes it at the same
// time. Half of each is repaired by writing both (G13). It is the last look
// before the write, so it stops, too, if the step has lost its ground.
func (e *Engine) expectedThere(ctx context.Context, f *flight, there Stored) error {
	cur, err := f.ground()
	if err != nil {
		return err
	}
	known, err := e.knownPairs(ctx, &cur)
	if err != nil {
		return err
	}
	keyID, secretKey := there.Pair.KeyID.Empty(), there.Pair.Secret.Empty()
	for _, p := range known {
		keyID = keyID || p.KeyID.Equal(there.Pair.KeyID)
		secretKey = secretKey || p.Secret.Equal(there.Pair.Secret)
	}
	switch {
	case keyID && secretKey:
		return nil
	case cur.OldPrint == "" && !cur.VaultRead && !there.Pair.Empty():
		return e.rememberLate(ctx, f, there)
	case cur.OldPrint == "" && (!cur.VaultRead || there.Version == cur.OldBefore):
		return nil // half a pair from before the start
	}
	return &fault.Error{
		Kind: fault.Conflict, Reason: "third_value", Op: "rotation.store",
		User: "Infisical holds a value that is neither the old pair nor the new one: somebody else changed it during this rotation. Nothing was written.",
		Fix:  "Find out who changed it. If their value is not wanted, put the old value back there, then press Retry.",
	}
}

// knownPairs opens the old pair, if one is known, and every candidate.
func (e *Engine) knownPairs(ctx context.Context, cur *Rotation) ([]Pair, error) {
	old, err := e.oldPair(ctx, cur)
	if err != nil {
		return nil, err
	}
	known := []Pair{old}
	for _, c := range cur.Candidates {
		p, err := e.led.open(ctx, cur, candidateField(c.N))
		if err != nil {
			return nil, err
		}
		known = append(known, p)
	}
	return known, nil
}

// rememberLate seals what the vault holds as the old pair, where step 1 could
// not read it and the rotation went on without: step 7 then proves it dead.
func (e *Engine) rememberLate(ctx context.Context, f *flight, there Stored) error {
	return f.update(ctx, func(cur *Rotation, c *change) error {
		cur.OldPrint, cur.OldLast4, cur.OldBefore = e.cfg.Sealer.Print(there.Pair), there.Pair.Last4(), there.Version
		cur.VaultRead = true
		return e.led.seal(c, cur, fieldOld, there.Pair)
	})
}

// proveStored compares the read-back (R42).
func proveStored(before, after Stored, pair Pair) error {
	switch {
	case after.Approval != "":
		return &fault.Error{
			Kind: fault.Denied, Reason: "approval_required", Op: "rotation.store",
			User: "Infisical did not store the pair: a change policy wants somebody to approve it.",
			Fix:  "Approve the change in Infisical, then press Retry.",
		}
	case !after.Pair.Equal(pair):
		return &fault.Error{
			Kind: fault.Conflict, Reason: "read_back_differs", Op: "rotation.store",
			User: "Infisical accepted the pair but holds something else now.",
			Fix:  "Look who else writes to this place (a sync, a person), then press Retry.",
		}
	case !before.Pair.Equal(pair) && (after.Version.KeyID <= before.Version.KeyID || after.Version.Secret <= before.Version.Secret):
		return &fault.Error{
			Kind: fault.Conflict, Reason: "version_not_moved", Op: "rotation.store", Err: fmt.Errorf("versions %s after %s", versions(after.Version), versions(before.Version)),
			User: "Infisical shows the new pair but its version did not move, so it is not certain that it was stored.",
			Fix:  "Press Retry; the bot reads it again.",
		}
	}
	return nil
}

// stepNote returns the note that [retry] calls: the step says what fails and
// that the bot goes on by itself.
func (e *Engine) stepNote(ctx context.Context, f *flight) func(error) {
	return func(err error) {
		// If this cannot be stored, what follows cannot either, and says so.
		_ = f.update(ctx, func(cur *Rotation, _ *change) error {
			s := cur.Step(f.name)
			s.Problem = problemOf(err)
			s.Note = "The bot tries again by itself."
			return nil
		})
	}
}
