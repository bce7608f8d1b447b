package app

import (
	"context"
	"io"

	"github.com/raxx-app/keyturn/internal/control"
	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/state"
)

// record is what a command beside the bot may ask of the state file.
type record struct{ store rotation.Store }

var _ control.Record = record{}

// Snapshot implements [control.Record].
func (r record) Snapshot(ctx context.Context, w io.Writer) error { return r.store.Snapshot(ctx, w) }

// Export implements [control.Record].
func (r record) Export(ctx context.Context, after uint64, w io.Writer) error {
	return state.ExportAfter(ctx, r.store, after, w)
}

// Verify implements [control.Record].
func (r record) Verify(ctx context.Context) control.Verdict {
	got, err := state.Verify(ctx, r.store, nil)
	v := control.Verdict{Intact: err == nil, Rows: got.Rows, Head: got.Head}
	if err != nil {
		v.Problem = fault.UserText(err)
	}
	return v
}
