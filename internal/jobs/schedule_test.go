package jobs_test

import (
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/jobs"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// The engine is what the parts that run on a clock ask.
var (
	_ jobs.Shelf   = (*rotation.Engine)(nil)
	_ jobs.Scribe  = (*rotation.Engine)(nil)
	_ jobs.Checker = (*rotation.Engine)(nil)
	_ jobs.Caller  = (*rotation.Engine)(nil)
	_ jobs.Hands   = (*rotation.Engine)(nil)
)

// What cannot be read is an error, also where the parser panics.
func TestParseSchedule(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for spec, want := range map[string]time.Time{
		"0 9 * * *": time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC),
		"@every 1m": at.Add(time.Minute),
		"TZ=":       {}, // the parser panics
		"CRON_TZ=a": {}, // here too
		"0 9 * *":   {},
		"":          {},
	} {
		s, err := jobs.ParseSchedule(spec)
		switch {
		case want.IsZero():
			if fault.KindOf(err) != fault.Invalid || fault.ReasonOf(err) != "bad_schedule" || s != nil {
				t.Errorf("ParseSchedule(%q) = %v, %v, want bad_schedule", spec, s, err)
			}
		case err != nil:
			t.Errorf("ParseSchedule(%q) = %v", spec, err)
		default:
			if got := s.Next(at); !got.Equal(want) {
				t.Errorf("ParseSchedule(%q).Next(%s) = %s, want %s", spec, at, got, want)
			}
		}
	}
}
