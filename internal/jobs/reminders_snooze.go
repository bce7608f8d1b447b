package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// A Snooze is a wish to be left alone for some days.
type Snooze struct {
	KeySet string
	Due    string // the due date that the pressed reminder named; "": the last one that was sent
	Days   int    // 1, 3 or 7
	Why    string
}

// SnoozeDays returns for how many days reminders may be put off.
func SnoozeDays() []int { return []int{1, 3, 7} }

// Snooze puts the reminders of a key set off, for everybody, and returns the day
// on which they go on. The due date does not move. It is refused (Conflict,
// reason reminder_over) if that key set was rotated since, and (Invalid, reason
// snooze_too_long) past 14 days overdue. A repeat on the same day changes
// nothing.
func (r *Reminders) Snooze(ctx context.Context, by rotation.Actor, s Snooze) (until string, err error) {
	if !slices.Contains(SnoozeDays(), s.Days) || strings.TrimSpace(s.Why) == "" {
		return "", &fault.Error{Kind: fault.Invalid, Reason: "bad_snooze", Op: "jobs.Snooze", User: "Reminders can be put off by 1, 3 or 7 days, with a reason.", Fix: "Choose one of them and say why."}
	}
	for written := false; ; {
		rem, due, err := r.current(ctx, s.KeySet, s.Due)
		if err != nil {
			return "", err
		}
		wake := dayOf(r.cfg.Now(), r.cfg.Zone) + day(s.Days)
		if wake > due+snoozeLimit {
			return "", &fault.Error{
				Kind: fault.Invalid, Reason: "snooze_too_long", Op: "jobs.Snooze",
				User: fmt.Sprintf("Reminders cannot be put off past %s, %d days after the due date.", due+snoozeLimit, snoozeLimit), Fix: "Choose fewer days, or start the rotation: it takes minutes.",
			}
		}
		if rem.Due != due.String() {
			rem = rem.begin(due)
		}
		if rem.Snoozed == wake.String() && rem.SnoozedBy == by.ID {
			return rem.Snoozed, nil
		}
		if !written {
			if err := r.cfg.Scribe.Snoozed(ctx, by, s.KeySet, wake.String(), s.Why); err != nil {
				return "", err
			}
			written = true
		}
		rem.Snoozed, rem.SnoozedBy = wake.String(), by.ID
		err = r.write(ctx, s.KeySet, rem)
		if errors.Is(err, rotation.ErrConflict) && ctx.Err() == nil {
			continue // a reminder went out meanwhile
		}
		if err != nil {
			return "", err
		}
		// What waits to be sent says what is not wanted any more. If that fails,
		// one reminder too many arrives.
		if err := r.cfg.Outbox.Withdraw(ctx, dueKey(s.KeySet, rem.Due)); err != nil {
			r.cfg.Log.WarnContext(ctx, "reminders not withdrawn", slog.String("keyset", s.KeySet), slog.Any("error", err))
		}
		return rem.Snoozed, nil
	}
}
