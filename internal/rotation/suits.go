package rotation

import (
	"context"
	"fmt"
	"slices"

	"github.com/raxx-app/keyturn/internal/fault"
)

// Suits reports why the engine could not go on with other key sets: an open
// rotation's key set may neither be removed nor get another place in the vault
// (3.4 of the design). It changes nothing, and nil is no promise: a rotation may
// be opened meanwhile, and [Engine.Load] looks again.
func (e *Engine) Suits(ctx context.Context, sets []KeySet) error {
	open, err := e.stored(ctx)
	if err != nil {
		return err
	}
	for i := range open {
		cur := &open[i]
		set := slices.IndexFunc(sets, func(s KeySet) bool { return s.Name == cur.KeySet })
		if set < 0 {
			return keySetGone(cur)
		}
		if err := samePlace(cur, &sets[set]); err != nil {
			return err
		}
	}
	return nil
}

// keySetGone refuses settings without a key set whose rotation is open: nobody
// could finish it.
func keySetGone(cur *Rotation) error {
	return &fault.Error{
		Kind: fault.Invalid, Reason: "keyset_gone", Op: "rotation.Suits",
		User: fmt.Sprintf("The rotation %s of %s is open, and bot.yml has no such key set any more.", cur.ID, cur.KeySet),
		Fix:  "Put the key set back into bot.yml and finish the rotation first.",
	}
}
