package jobs

import (
	"strings"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
)

// FuzzParseSchedule reads a schedule. The settings let no bad one pass
// (internal/config fuzzes that); whatever comes all the same: no panic, either a
// schedule or a fault, and what fires does so in the future.
func FuzzParseSchedule(f *testing.F) {
	for _, spec := range []string{"0 9 * * *", "@every 1m", "@every -1s", "TZ=", "CRON_TZ=UTC", "TZ=UTC\t* * * * *", "* * 31 2 *", "*/0 * * * *", "9223372036854775807 * * * *", "? ? ? ? ?", "@", "", " "} {
		f.Add(spec)
	}
	now := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, spec string) {
		s, err := ParseSchedule(spec)
		if err != nil {
			if s != nil || fault.ReasonOf(err) != "bad_schedule" || fault.KindOf(err) != fault.Invalid || fault.FixText(err) == "" {
				t.Errorf("ParseSchedule(%q) = %v, %#v", spec, s, err)
			}
			return
		}
		if strings.HasPrefix(spec, "@every") {
			if next := s.Next(now); !next.After(now) {
				t.Errorf("%q fires at %v, which is not after %v", spec, next, now)
			}
		}
		if hasFired(s, now, now, time.UTC) {
			t.Errorf("%q fired between now and now", spec)
		}
	})
}
