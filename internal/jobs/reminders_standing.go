package jobs

import (
	"context"
	"fmt"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// A Standing is how a key set stands with its due date. Days are calendar days
// such as 2027-05-21.
type Standing struct {
	Due       string // day of the last completion, or FirstSeen, plus the cadence
	FirstSeen string // day on which the bot first saw the key set, if Due is counted from there
	DaysLeft  int    // until Due; negative: overdue
	Breached  bool   // Due is past
	Reminder  string // day of the next reminder
	Snoozed   string // day to which reminders were put off; "": they were not
	SnoozedBy string // Slack user
}

// Standing returns how a key set stands today. It is ErrNotFound for one that
// no scan has seen yet.
func (r *Reminders) Standing(ctx context.Context, keyset string) (Standing, error) {
	rem, err := r.read(ctx, keyset)
	if err != nil {
		return Standing{}, err
	}
	if rem.rev == 0 {
		return Standing{}, fmt.Errorf("due date of %s: %w", keyset, rotation.ErrNotFound)
	}
	due, guessed, err := r.due(ctx, keyset, rem)
	if err != nil {
		return Standing{}, err
	}
	if rem.Due != due.String() {
		rem = rem.begin(due)
	}
	today := dayOf(r.cfg.Now(), r.cfg.Zone)
	s := Standing{Due: due.String(), DaysLeft: int(due - today), Breached: today > due, Reminder: nextRung(due, today).String()}
	if guessed {
		s.FirstSeen = dayOf(rem.FirstSeen, r.cfg.Zone).String()
	}
	if at, ok := rungOn(due, today); ok && rem.rung(due, at) != rem.Rung {
		s.Reminder = today.String() // it is about to come
	}
	if rem.sleeps(today) {
		s.Reminder, s.Snoozed, s.SnoozedBy = rem.Snoozed, rem.Snoozed, rem.SnoozedBy
	}
	return s, nil
}
