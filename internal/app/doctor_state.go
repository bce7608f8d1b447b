package app

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/state"
)

const areaState = "state"

// state opens the state for reading, checks the audit record, and opens every
// sealed pair. On the way it reads every record of the file.
func (e *examination) state(ctx context.Context) []Finding {
	const name = "file"
	store, err := e.Open(ctx)
	if fault.ReasonOf(err) == "state_missing" {
		found := []Finding{fine(areaState, name, e.Config.State.Path+" is not there yet: the first start makes it")}
		if err := state.CheckIdentities(e.Config.Tokens.StateKey); err != nil {
			return append(found, bad(areaState, "STATE_KEY", err))
		}
		return append(found, fine(areaState, "STATE_KEY", "can be used; nothing is sealed yet"))
	}
	if err != nil {
		f := bad(areaState, name, err)
		if f.Reason == "" {
			f.Reason = "state_unusable"
		}
		return []Finding{f}
	}
	defer func() { _ = store.Close() }() // nothing was written
	found := []Finding{fine(areaState, name, e.Config.State.Path+" is whole")}
	verdict := record{store}.Verify(ctx)
	if verdict.Intact {
		found = append(found, fine(areaState, "audit record", fmt.Sprintf("%d rows, none changed", verdict.Rows)))
	} else {
		found = append(found, broken(areaState, "audit record", "audit_broken", verdict.Problem, "Run bot audit verify, keep a copy of the file, and find out who had access to it."))
	}
	return append(found, e.sealed(ctx, store)...)
}

// sealed opens every sealed blob: those that STATE_KEY does not open would be
// lost in the middle of a rotation.
func (e *examination) sealed(ctx context.Context, store rotation.Store) []Finding {
	const name = "STATE_KEY"
	sealer, err := state.LoadSealer(ctx, dryStore{store}, e.Config.Tokens.StateKey)
	if err != nil {
		return []Finding{bad(areaState, name, err)}
	}
	kvs, err := store.List(ctx, rotation.SealedPrefix, "", 0)
	if err != nil {
		return []Finding{bad(areaState, name, err)}
	}
	engine := rotation.New(rotation.Config{Store: store, Now: e.Now})
	for _, kv := range kvs {
		id, field, _ := strings.Cut(strings.TrimPrefix(kv.Key, rotation.SealedPrefix), "/")
		look, err := engine.Look(ctx, rotation.ID(id))
		if errors.Is(err, rotation.ErrNotFound) {
			return []Finding{broken(areaState, name, "sealed_alone", "A pair is sealed for the rotation "+id+", which is not in the state.", "Keep a copy of the file and look at bot audit show "+id+".")}
		}
		if err == nil {
			_, err = sealer.Open(rotation.Ref{Rotation: rotation.ID(id), KeySet: look.Rotation.KeySet, Field: field}, kv.Value)
		}
		if err != nil {
			f := bad(areaState, name, err)
			f.Text = "The pair sealed for the rotation " + id + " does not open. " + f.Text
			return []Finding{f}
		}
	}
	if len(kvs) == 0 {
		return []Finding{fine(areaState, name, "it opens this state; no pair is sealed now")}
	}
	return []Finding{fine(areaState, name, fmt.Sprintf("it opens all %d sealed pairs", len(kvs)))}
}

// A dryStore reads and writes nothing, whatever it is asked.
type dryStore struct{ rotation.Store }

// Txn implements [rotation.Store]. It pretends.
func (dryStore) Txn(context.Context, []rotation.Cond, []rotation.Op) (rotation.Rev, error) {
	return 1, nil
}
