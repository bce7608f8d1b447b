package slackbot

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// Requests for sockets are a second apart, further and further while they
// fail, as far as Slack asks for, and a second apart again after a stable
// minute.
func TestPacer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := Times{}.withDefaults()
		p := newPacer(d.Open, d.OpenMax)
		defer p.stop()
		last := time.Now()
		next := func() time.Duration {
			if err := p.wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			gap := time.Since(last)
			last = time.Now()
			return gap
		}
		want := func(what string, least time.Duration) {
			t.Helper()
			if gap := next(); gap < least || gap > least+least/8 {
				t.Errorf("%s: the next request may be made after %s, want %s and an eighth more at most", what, gap, least)
			}
		}
		want("at first", 0)
		want("second", time.Second)
		want("third", time.Second)
		for _, s := range []time.Duration{2, 4, 8, 16, 30, 30} {
			p.failed(0)
			want("after a failure", s*time.Second)
		}
		p.failed(5 * time.Minute)
		want("as Slack asked", 5*time.Minute)
		p.stable()
		want("one that was planned before the socket was stable", 30*time.Second)
		want("after a stable socket", time.Second)

		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := p.wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("wait without room = %v, want the context's error", err)
		}
	})
}

// The defaults are those of the design.
func TestTimes(t *testing.T) {
	t.Parallel()
	d := Times{}.withDefaults()
	if d.Second != time.Minute || d.Alone != 5*time.Second || d.Open != time.Second || d.Stable != time.Minute || d.Refused != 5*time.Minute || d.Answers != 2*time.Second {
		t.Errorf("default times = %+v", d)
	}
	if slowest := jittered(d.Roster) + d.Roster/8 + callLimit; slowest > time.Minute {
		t.Errorf("membership may be %s old, want a minute at most", slowest)
	}
	if got := (Times{Second: 3}).withDefaults(); got.Second != 3 {
		t.Errorf("Second = %d, want the 3 that was set", got.Second)
	}
}
