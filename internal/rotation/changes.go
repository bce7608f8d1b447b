package rotation

import (
	"context"
	"log/slog"
)

// logChanges writes a line for each state that a commit has changed, and no
// other: a step's, the operator, the outcome. That a step has failed is written
// where its cause is known.
func logChanges(ctx context.Context, log *slog.Logger, before, after *Rotation) {
	at := func(step StepName, attrs ...slog.Attr) []slog.Attr {
		return append([]slog.Attr{slog.String("rotation", string(after.ID)), slog.String("step", string(step))}, attrs...)
	}
	for i := range after.Steps {
		was, s := &before.Steps[i], &after.Steps[i]
		switch {
		case s.State == Running && (was.State != Running || was.Round != s.Round):
			log.LogAttrs(ctx, slog.LevelInfo, "step running", at(s.Name, slog.Int("round", s.Round))...)
		case s.State == was.State:
		case s.State.Settled():
			log.LogAttrs(ctx, slog.LevelInfo, "step over", at(s.Name, slog.String("state", string(s.State)))...)
		case s.State == Pending:
			log.LogAttrs(ctx, slog.LevelInfo, "step set back", at(s.Name)...)
		}
	}
	now := after.Current().Name
	if n := len(after.Takeovers); n > len(before.Takeovers) {
		t := after.Takeovers[n-1]
		log.LogAttrs(ctx, slog.LevelInfo, "operator changed", at(now, slog.String("from", t.From.ID), slog.String("to", t.To.ID))...)
	}
	if after.Outcome != before.Outcome {
		log.LogAttrs(ctx, slog.LevelInfo, "rotation over", at(now, slog.String("outcome", string(after.Outcome)))...)
	}
}
