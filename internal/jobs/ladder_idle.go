package jobs

import (
	"context"
	"log/slog"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// What happens before the click while no person does anything (3.4 of the
// design).
const (
	idleNote   = 30 * time.Minute // the operator is told
	idleCancel = 24 * time.Hour   // the bot cancels
	idleAgain  = 10 * time.Minute // between two tries to cancel
)

// cancelLimit is how long one try to cancel may hold up a scan.
const cancelLimit = 20 * time.Second

// idleWhy is the reason in the record of a rotation that the bot cancelled.
const idleWhy = "nobody went on for 24 hours"

// idle reminds the operator once of a rotation that stands before the click,
// and cancels it after a day.
func (l *Ladder) idle(ctx context.Context, o rotation.Overview, now time.Time) error {
	r := &o.Rotation
	since, early := r.IdleSince()
	if !early || now.Sub(since) < idleNote {
		delete(l.tried, r.ID)
		return nil
	}
	key := "idle/" + string(r.ID) + "/" + stamp(since)
	if now.Sub(since) >= idleCancel {
		return l.cancel(ctx, o, since, key, now)
	}
	for _, to := range l.operator(r.Operator) {
		return l.cfg.Outbox.Queue(ctx, key+"/"+to, to, idleNoteOf(o, since))
	}
	return nil
}

// cancel tries to end an idle rotation, at most every ten minutes. The engine
// looks at the old pair first. Why it refused is posted in the ops channel,
// once for each reason, unless the refusal shows that the keys were generated:
// that is an outage, and the ladder's.
func (l *Ladder) cancel(ctx context.Context, o rotation.Overview, since time.Time, key string, now time.Time) error {
	id := o.Rotation.ID
	if last, ok := l.tried[id]; ok && now.Sub(last) < idleAgain {
		return nil
	}
	l.tried[id] = now
	limited, cancel := context.WithTimeout(ctx, cancelLimit)
	defer cancel()
	refused := l.cfg.Desk.Cancel(limited, rotation.Actor{ID: rotation.BotActor}, id, idleWhy)
	if refused == nil {
		l.cfg.Log.InfoContext(ctx, "idle rotation cancelled", slog.String("rotation", string(id)))
		delete(l.tried, id)
		return nil
	}
	if ctx.Err() != nil {
		return nil // the bot stops; the next start tries again
	}
	after, err := l.cfg.Desk.Look(ctx, id)
	if err != nil {
		return err
	}
	if _, early := after.Rotation.IdleSince(); !early {
		return nil // clicked, or over
	}
	l.cfg.Log.WarnContext(ctx, "idle rotation not cancelled", slog.String("rotation", string(id)), slog.Any("error", refused))
	n := idleNoteOf(o, since)
	n.Data[rotation.NoteRefused] = hider(o)(fault.UserText(refused))
	return l.cfg.Outbox.Queue(ctx, key+"/refused/"+fault.ReasonOf(refused), l.cfg.Channel, n)
}

func idleNoteOf(o rotation.Overview, since time.Time) rotation.Note {
	data := map[string]string{rotation.NoteSince: stamp(since)}
	if o.Rotation.Operator.ID != rotation.BotActor {
		data[rotation.NoteOperator] = o.Rotation.Operator.ID
	}
	return rotation.Note{Kind: rotation.NoteIdle, Rotation: o.Rotation.ID, KeySet: o.Rotation.KeySet, Data: data}
}
