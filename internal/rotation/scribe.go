package rotation

import (
	"cmp"
	"context"
)

// Note appends one audit row that belongs to no change of a rotation: a drift
// that was seen, a leaver that was proposed. At is set to now; an Actor that is
// missing is the bot, or with Slack set that person's audit name. A repeat
// appends another row.
func (e *Engine) Note(ctx context.Context, row Row) error {
	if row.Actor == "" {
		row.Actor = e.named(Actor{ID: cmp.Or(row.Slack, BotActor)}).Admin
	}
	return e.led.note(ctx, row)
}

// Snoozed writes the audit row of a reminder that by has put off until a
// calendar day. A repeat appends another row.
func (e *Engine) Snoozed(ctx context.Context, by Actor, keyset, until, why string) error {
	row := e.aside(by, "", "secret.rotate.snoozed", map[string]any{"until": until, "why": why})
	row.KeySet = keyset
	return e.led.note(ctx, row)
}
