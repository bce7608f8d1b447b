package config

import (
	"strings"
	"testing"
	"time"

	"github.com/robfig/cron/v3"
)

// TestClockChanges: a schedule whose time does not exist on a day on which the
// clocks go forward is a problem with a line, and it says which day.
func TestClockChanges(t *testing.T) {
	const lost = "schedules.reminders: does not fire on every day that it names: "
	in := func(zone, spec string) string {
		return "schedules:\n  timezone: " + zone + "\n  reminders: \"" + spec + "\"\n"
	}
	run(t, []broken{
		{"inside the gap", "", in("America/New_York", "30 2 * * *"), []string{"15 " + lost + "on 2026-03-08, for one, the clocks go from 02:00 to 03:00"}},
		{"at its first minute", "", in("America/New_York", "0 2 * * *"), []string{"15 " + lost + "on 2026-03-08, for one, the clocks go from 02:00 to 03:00"}},
		{"at its end", "", in("America/New_York", "0 3 * * *"), nil},
		{"just before it", "", in("America/New_York", "59 1 * * *"), nil},
		{"only partly inside", "", in("America/New_York", "30 2,9 * * *"), nil},
		{"each half hour", "", in("America/New_York", "*/30 * * * *"), nil},
		{"on Sundays", "", in("Europe/Berlin", "30 2 * * 0"), []string{"15 " + lost + "on 2026-03-29, for one, the clocks go from 02:00 to 03:00"}},
		{"on weekdays", "", in("Europe/Berlin", "30 2 * * 1-5"), nil},
		{"on a date that is seldom a Sunday", "", in("Europe/Berlin", "30 2 28 3 *"), []string{"15 " + lost + "on 2027-03-28, for one, the clocks go from 02:00 to 03:00"}},
		{"another hour in autumn", "", in("Europe/Berlin", "30 2 25 10 *"), nil},
		{"no clock change", "", in("UTC", "30 2 * * *"), nil},
		{"a zone without any", "", in("Asia/Tokyo", "30 2 * * *"), nil},
		{"half an hour", "", in("Australia/Lord_Howe", "0 9 * * *"), []string{"15 " + lost + "the clocks of the time zone change by part of an hour"}},
		{"half an hour, but each day", "", "schedules:\n  timezone: Australia/Lord_Howe\n  reminders: '@every 24h'\n", nil},
		{"midnight is skipped", "", in("Africa/Cairo", "30 0 * * *"), []string{"15 " + lost + "on 2026-04-24, for one, the clocks go from 00:00 to 01:00"}},
		{"after a midnight that is skipped", "", in("Africa/Cairo", "0 9 * * *"), nil},
	})
}

// TestEvery: what "@every" may say depends on who it is for.
func TestEvery(t *testing.T) {
	run(t, []broken{
		{"sentinel too often", "", "schedules: {sentinel: '@every 9s'}\n", []string{"13 schedules.sentinel: fires too often: every pair is asked for each time, and Alpaca limits requests"}},
		{"sentinel just right", "", "schedules: {sentinel: '@every 10s'}\n", nil},
		{"reminders often", "", "schedules: {reminders: '@every 1s'}\n", nil},
		{"longer than a year", "", "schedules: {reminders: '@every 8785h'}\n", []string{"13 schedules.reminders: waits for more than a year, which is as good as never"}},
		{"too long for a number", "", "schedules: {sentinel: '@every 9999999999h'}\n", []string{"13 schedules.sentinel: does not name a time to wait"}},
		{"a field of commas", "", "schedules: {reminders: '0 9 , * 1'}\n", []string{"13 schedules.reminders: has a field that cron does not understand: the day of the month"}},
	})
}

// The default fires on each day, whatever the clocks do, but where they go
// forward by half an hour.
func TestDefaultFiresEverywhere(t *testing.T) {
	t.Parallel()
	for _, zone := range []string{"UTC", "America/New_York", "America/Santiago", "America/Havana", "America/Nuuk", "Africa/Cairo", "Africa/Casablanca", "Asia/Beirut", "Asia/Gaza", "Antarctica/Troll", "Pacific/Chatham", "Europe/Dublin"} {
		loc, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		if what, _ := schedule("0 9 * * *", loc, everyLeast); what != "" {
			t.Errorf("0 9 * * * in %s: %s, want no problem", zone, what)
		}
	}
}

// FuzzSchedule checks that no text makes the check panic or hang, and that what
// passes is safe to hand to the parser: it fires, on each day that it names.
func FuzzSchedule(f *testing.F) {
	zones := []string{"UTC", "America/New_York", "Europe/Berlin", "Africa/Cairo", "America/Santiago", "Australia/Lord_Howe", "Africa/Casablanca", "America/Nuuk"}
	for i, spec := range []string{
		"0 9 * * *", "30 2 * * *", "TZ=", "CRON_TZ=", "TZ=UTC\t* * * * *", "TZ= 0 9 * * *", "@every 1m", "@every -1s", "@daily", "* * 31 2 *", "0 9 , * *",
		"*/0 * * * *", "0-59/18446744073709551615 * * * *", "9223372036854775807 * * * *", "? ? ? ? ?", "0 9 29 2 mon", "59 23 31 12 0", "0 0 * * *", "1,2,3- * * * *", "/ / / / /", "- - - - -", "@", "", " ",
	} {
		f.Add(spec, i)
	}
	f.Fuzz(func(t *testing.T, spec string, n int) {
		loc, err := time.LoadLocation(zones[uint(n)%uint(len(zones))])
		if err != nil {
			t.Fatal(err)
		}
		what, fix := schedule(spec, loc, everyLeast)
		if what != "" {
			if fix == "" {
				t.Errorf("schedule(%q) = %q without a fix", spec, what)
			}
			return
		}
		s, err := cron.ParseStandard(spec) // as whoever uses it does
		if err != nil {
			t.Fatalf("schedule(%q) finds no problem, the parser %v", spec, err)
		}
		if strings.HasPrefix(spec, "@") {
			return
		}
		day := time.Date(2026, 1, 1, 12, 0, 0, 0, loc)
		last := day
		for range 400 {
			last = s.Next(last)
			if last.IsZero() {
				t.Fatalf("%q stops to fire", spec)
			}
			y, m, d := last.Date()
			for next := day.AddDate(0, 0, 1); next.Before(time.Date(y, m, d, 0, 0, 0, 0, loc)); next = next.AddDate(0, 0, 1) {
				if ny, nm, nd := next.Date(); wallFires(s, ny, nm, nd) && next.Sub(day) < 12*365*24*time.Hour {
					t.Fatalf("%q in %s does not fire on %s", spec, loc, next.Format(time.DateOnly))
				}
			}
			if day = time.Date(y, m, d, 12, 0, 0, 0, loc); day.Year() > 2030 {
				return
			}
		}
	})
}
