package jobs

import (
	"fmt"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/raxx-app/keyturn/internal/fault"
)

// ParseSchedule reads a schedule as bot.yml has it: five fields or "@every
// DURATION". Internal/config lets nothing pass that fails here; on other text
// the parser may panic, which is an error too (Invalid, reason bad_schedule).
func ParseSchedule(spec string) (s cron.Schedule, err error) {
	defer func() {
		if p := recover(); p != nil {
			s, err = nil, badSchedule(fmt.Errorf("parser panicked: %v", p))
		}
	}()
	if s, err = cron.ParseStandard(spec); err != nil {
		return nil, badSchedule(err)
	}
	return s, nil
}

func badSchedule(err error) error {
	return &fault.Error{
		Kind: fault.Invalid, Reason: "bad_schedule", Op: "jobs.ParseSchedule", Err: err,
		User: "A schedule in bot.yml cannot be read.", Fix: `Write five fields such as "0 9 * * *", or "@every 1m".`,
	}
}

// hasFired reports whether s has fired since last, by the clock of zone. A schedule
// that never fires has not.
func hasFired(s cron.Schedule, last, now time.Time, zone *time.Location) bool {
	next := s.Next(last.In(zone))
	return !next.IsZero() && !next.After(now)
}
