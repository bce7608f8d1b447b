package config

import (
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// Limits of a schedule.
const (
	everyLeast    = time.Second
	everyMost     = 366 * 24 * time.Hour // longer is as good as never
	sentinelLeast = 10 * time.Second     // for the sentinel: each key set costs a request of Alpaca's limit of 200 a minute
	lookAhead     = 12                   // years in which clock changes are looked at
)

// from is where the look ahead begins. It is fixed, so that the same file has
// the same problems on every day.
func from(loc *time.Location) time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, loc) }

const scheduleExample = `write five fields such as "0 9 * * *", or "@every 1m"`

// schedule checks a schedule: that the parser understands it, that it fires,
// and that it fires on days on which the clocks of loc change, too. least is the
// shortest time that "@every" may wait. what is "" if nothing is wrong.
func schedule(spec string, loc *time.Location, least time.Duration) (what, fix string) {
	if every, ok := strings.CutPrefix(spec, "@every "); ok {
		return everyProblem(every, least)
	}
	if strings.Contains(spec, "TZ=") {
		return "holds a time zone", "write the zone as schedules.timezone"
	}
	fields := strings.Fields(spec)
	if len(fields) != 5 {
		return "does not have five fields", scheduleExample
	}
	for i, name := range []string{"minute", "hour", "day of the month", "month", "day of the week"} {
		alone := []string{"*", "*", "*", "*", "*"}
		alone[i] = fields[i]
		if s, err := parseCron(strings.Join(alone, " ")); err != nil || s.Next(from(time.UTC)).IsZero() {
			return "has a field that cron does not understand: the " + name, scheduleExample + "; minutes are 0-59, hours 0-23, Sunday is 0"
		}
	}
	s, err := parseCron(spec)
	if err != nil {
		return "is not a cron expression", scheduleExample
	}
	if s.Next(from(time.UTC)).IsZero() { // looks five years ahead
		return "never fires: there is no such day", "correct the day or the month"
	}
	return gapProblem(s, loc)
}

// everyProblem checks the duration of "@every".
func everyProblem(every string, least time.Duration) (what, fix string) {
	d, err := time.ParseDuration(every)
	switch {
	case err != nil || d < everyLeast || d%time.Second != 0:
		return "does not name a time to wait", `write whole seconds, minutes or hours, for example "@every 1m"`
	case d < least:
		return "fires too often: every pair is asked for each time, and Alpaca limits requests", fmt.Sprintf(`write "@every %s" or longer; "@every 1m" is usual`, least)
	case d > everyMost:
		return "waits for more than a year, which is as good as never", `write a shorter time, for example "@every 24h"`
	}
	return "", ""
}

// parseCron is [cron.ParseStandard] for text of people, on which it may panic.
func parseCron(spec string) (s cron.Schedule, err error) {
	defer func() {
		if recover() != nil {
			err = fmt.Errorf("cron: panic")
		}
	}()
	return cron.ParseStandard(spec)
}

// changes returns when the clocks of loc change, in the years that are looked at.
func changes(loc *time.Location) []time.Time {
	var all []time.Time
	t := from(loc)
	for end := t.AddDate(lookAhead, 0, 0); ; {
		_, next := t.ZoneBounds()
		if next.IsZero() || next.After(end) {
			return all
		}
		all = append(all, next)
		t = next
	}
}

func offset(t time.Time) int { _, seconds := t.Zone(); return seconds }

// gapProblem looks for a day on which s should fire and does not, because its
// local time is skipped when the clocks go forward. Where they change by half an
// hour (Australia/Lord_Howe) the parser, which adds whole hours, steps over
// times that exist, also weeks later: there nothing but "@every" is safe.
func gapProblem(s cron.Schedule, loc *time.Location) (what, fix string) {
	for _, to := range changes(loc) {
		before, after := offset(to.Add(-time.Second)), offset(to)
		if (after-before)%3600 != 0 {
			return "does not fire on every day that it names: the clocks of the time zone change by part of an hour", `set schedules.timezone to UTC, or write for example "@every 24h"`
		}
		was := to.In(time.FixedZone("", before)) // as the clocks show it when they are changed
		for _, day := range []time.Time{was, to} {
			y, m, d := day.Date()
			if after > before && wallFires(s, y, m, d) && !fires(s, loc, y, m, d) {
				return fmt.Sprintf("does not fire on every day that it names: on %s, for one, the clocks go from %s to %s", day.Format(time.DateOnly), was.Format("15:04"), to.Format("15:04")),
					`set schedules.timezone to UTC, or choose a time that every day has, for example "0 9 * * *"`
			}
		}
	}
	return "", ""
}

// wallFires reports whether s names a time on a calendar day, if no clock is
// changed.
func wallFires(s cron.Schedule, y int, m time.Month, d int) bool {
	day := time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	next := s.Next(day.Add(-time.Second))
	return !next.IsZero() && next.Before(day.AddDate(0, 0, 1))
}

// fires reports whether s fires on a calendar day of loc, whenever it fired
// before: the noon before, a week or a month before.
func fires(s cron.Schedule, loc *time.Location, y int, m time.Month, d int) bool {
	on := func(t time.Time) bool { ty, tm, td := t.In(loc).Date(); return ty == y && tm == m && td == d }
	end := time.Date(y, m, d+1, 12, 0, 0, 0, loc)
	noon := time.Date(y, m, d-1, 12, 0, 0, 0, loc)
	for _, start := range []time.Time{noon, noon.AddDate(0, 0, -6), noon.AddDate(0, 0, -30)} {
		next := s.Next(start)
		for n := 0; !next.IsZero() && next.Before(end) && !on(next); next = s.Next(next) {
			if n++; n > 62 && next.Before(noon) {
				next = noon // it fires often: what came long before does not matter
			}
		}
		if next.IsZero() || !on(next) {
			return false
		}
	}
	return true
}
