package rotation

import (
	"context"
	"fmt"
	"strconv"

	"github.com/raxx-app/keyturn/internal/fault"
)

// store is step 4 (R40–R43): both values in the vault, both or neither, read
// back and compared. It writes the sealed pair and nothing else; the vault's
// history is never a source. A repeat finds the pair there and writes nothing.
func (e *Engine) store(ctx context.Context, r *run) error {
	cur, _ := r.look()
	pair, err := e.led.open(ctx, &cur, candidateField(cur.Chosen))
	if err != nil {
		return err
	}
	before, err := retry(ctx, e.limits.Read, true, e.stepNote(ctx, r, StepStore), r.set.Vault.Read)
	if err != nil {
		return err
	}
	if err := e.expectedThere(ctx, &cur, before, pair); err != nil {
		return err
	}
	wrote := false
	// The closure looks before each repeat, so a lost answer is found out.
	after, err := retry(ctx, e.limits.Write, true, e.stepNote(ctx, r, StepStore), func(ctx context.Context) (Stored, error) {
		now := before
		if wrote {
			var err error
			if now, err = r.set.Vault.Read(ctx); err != nil {
				return now, err
			}
		}
		if now.Pair.Equal(pair) {
			return now, nil
		}
		wrote = true
		if err := r.set.Vault.Write(ctx, pair, before.Version.KeyID == 0 || before.Version.Secret == 0); err != nil {
			return now, err
		}
		return r.set.Vault.Read(ctx)
	})
	if err != nil {
		if cur, _ := r.look(); cur.StoreLater && passing(err) && sleep(ctx, e.limits.ProbeAgain) {
			return e.store(ctx, r) // consumers have the pair already: this goes on until it is stored
		}
		return err
	}
	if err := proveStored(before, after, pair); err != nil {
		return err
	}
	return r.update(ctx, func(cur *Rotation, _ *change) error {
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
// time. Half of each is repaired by writing both (G13).
func (e *Engine) expectedThere(ctx context.Context, cur *Rotation, there Stored, pair Pair) error {
	known := []Pair{pair}
	old, err := e.oldPair(ctx, cur)
	if err != nil {
		return err
	}
	known = append(known, old)
	for _, c := range cur.Candidates {
		if c.N == cur.Chosen {
			continue
		}
		p, err := e.led.open(ctx, cur, candidateField(c.N))
		if err != nil {
			return err
		}
		known = append(known, p)
	}
	keyID, secretKey := there.Pair.KeyID.Empty(), there.Pair.Secret.Empty()
	for _, p := range known {
		keyID = keyID || p.KeyID.Equal(there.Pair.KeyID)
		secretKey = secretKey || p.Secret.Equal(there.Pair.Secret)
	}
	if keyID && secretKey {
		return nil
	}
	return &fault.Error{
		Kind: fault.Conflict, Reason: "third_value", Op: "rotation.store",
		User: "Infisical holds a value that is neither the old pair nor the new one: somebody else changed it during this rotation. Nothing was written.",
		Fix:  "Find out who changed it. If their value is not wanted, put the old value back there, then press Retry.",
	}
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
func (e *Engine) stepNote(ctx context.Context, r *run, step StepName) func(error) {
	return func(err error) {
		// If this cannot be stored, what follows cannot either, and says so.
		_ = r.update(ctx, func(cur *Rotation, _ *change) error {
			s := cur.Step(step)
			s.Problem = problemOf(err)
			s.Note = "The bot tries again by itself."
			return nil
		})
	}
}
