package jobs

import (
	"fmt"
	"strconv"
	"time"
)

// dayForm is how a calendar day is stored: rotation.Record.NextDue has it too.
const dayForm = time.DateOnly

// snoozeLimit is how many days after the due date reminders can be put off to.
const snoozeLimit = 14

// A day is a calendar day, counted from the first of January 1970. Days are
// counted, never hours: a day with a clock change has 23 or 25 of them.
type day int

// dayOf returns the day that t falls on in zone.
func dayOf(t time.Time, zone *time.Location) day {
	y, m, d := t.In(zone).Date()
	return day(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / (24 * 60 * 60))
}

// parseDay reads the stored form.
func parseDay(s string) (day, error) {
	t, err := time.Parse(dayForm, s)
	if err != nil {
		return 0, fmt.Errorf("read calendar day: %w", err)
	}
	return dayOf(t, time.UTC), nil
}

// String returns the stored form.
func (d day) String() string { return time.Unix(int64(d)*24*60*60, 0).UTC().Format(dayForm) }

// rungsBefore are the days before the due date on which people are reminded;
// after it they are reminded daily.
func rungsBefore() []day { return []day{14, 7, 1, 0} }

// rungOn returns the day of the last rung that is not after today, and false
// before the first of them.
func rungOn(due, today day) (day, bool) {
	if today > due {
		return today, true // every day is one
	}
	at, ok := day(0), false
	for _, before := range rungsBefore() {
		if r := due - before; r <= today {
			at, ok = r, true
		}
	}
	return at, ok
}

// nextRung returns the day of the first rung after today.
func nextRung(due, today day) day {
	for _, before := range rungsBefore() {
		if r := due - before; r > today {
			return r
		}
	}
	return today + 1
}

// missed returns how many rungs fell between two days, both left out.
func missed(due, after, before day) int {
	n := 0
	for _, b := range rungsBefore() {
		if r := due - b; r > after && r < before {
			n++
		}
	}
	return n + max(0, int(before-max(after, due))-1)
}

// rungName is how a rung stands in a key: the days that are left, negative after
// the due date.
func rungName(due, at day) string { return strconv.Itoa(int(due - at)) }
