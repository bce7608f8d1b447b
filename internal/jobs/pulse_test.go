package jobs_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/jobs"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// lateOf returns for how long a scan is late, and fails if there is none of that
// name.
func lateOf(t *testing.T, pulses []jobs.Pulse, name string) jobs.Pulse {
	t.Helper()
	i := slices.IndexFunc(pulses, func(p jobs.Pulse) bool { return p.Name == name })
	if i < 0 {
		t.Fatalf("no scan is called %s: %+v", name, pulses)
	}
	return pulses[i]
}

// A slowChecker takes as long as a check may.
type slowChecker struct{ checker }

func (c *slowChecker) Check(ctx context.Context, keyset string) (rotation.Report, error) {
	time.Sleep(170 * time.Second)
	return c.checker.Check(ctx, keyset)
}

// A scan that takes long because it has many key sets to see to gets on all the
// time, and is not late.
func TestLongScanIsNotLate(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.scan = time.Minute
		s := &shelf{names: []string{"a", "b", "c", "d", "e"}, due: map[string]string{}, open: map[string]bool{}}
		c := &slowChecker{}
		r := b.readiness(newMemory(), c, s)
		if got := r.Pulses()[0]; got.Late != 0 {
			t.Errorf("%+v before it runs, want not late", got)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx) }()
		began, long := time.Now(), time.Duration(0)
		for time.Since(began) < 9*24*time.Hour {
			time.Sleep(30 * time.Second)
			got := lateOf(t, r.Pulses(), "readiness")
			if long = max(long, time.Since(got.Last)); got.Late != 0 {
				t.Fatalf("after %s: %+v, want not late", time.Since(began), got)
			}
		}
		if c.times < 5 || long < 150*time.Second {
			t.Errorf("%d checks, and at most %s without a beat; want slow ones of every key set", c.times, long)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
}

// A stuckBox is a consumer that does not answer until it is let go, whatever its
// context says.
type stuckBox struct {
	*box
	open chan struct{}
}

func (b stuckBox) Keeps(context.Context, rotation.Delivery) (rotation.Drift, error) {
	<-b.open
	return rotation.Drift{}, nil
}

// Looks at the consumers of a key set that hang are late, by key set: they come every
// 15 minutes or a little more, and may take two.
func TestHungKeepersAreLate(t *testing.T) {
	watching(t, 2, func(t *testing.T, w *outside) {
		w.fixed = always(0)
		stuck := stuckBox{withBox(w), make(chan struct{})}
		w.sets[0].Targets[1].Consumer = stuck
		w.run(w.store)
		sleep(18 * time.Minute)
		if got := lateOf(t, w.s.Pulses(), "drift/a"); got.Late != 0 || !got.Last.IsZero() {
			t.Errorf("after 18 minutes: %+v, want not late yet", got)
		}
		sleep(time.Second)
		if got := lateOf(t, w.s.Pulses(), "drift/a"); got.Late != time.Second {
			t.Errorf("a second later: %+v, want late by that", got)
		}
		if got := lateOf(t, w.s.Pulses(), "pages"); got.Late != 0 {
			t.Errorf("%+v, want on time", got)
		}
		if n := len(w.s.Pulses()); n != 2 {
			t.Errorf("%d scans, want those of the pages and of a: nothing can be looked at in b", n)
		}
		close(stuck.open)
		sleep(time.Second)
		if got := lateOf(t, w.s.Pulses(), "drift/a"); got.Late != 0 || got.Last.IsZero() {
			t.Errorf("after it answered: %+v, want on time", got)
		}
	})
}

// A stuckStore never answers a read of what starts with prefix.
type stuckStore struct {
	rotation.Store
	prefix string
}

func (s stuckStore) Get(ctx context.Context, key string) (rotation.KV, error) {
	if strings.HasPrefix(key, s.prefix) {
		<-ctx.Done()
		return rotation.KV{}, ctx.Err()
	}
	return s.Store.Get(ctx, key)
}

// A sentinel that hangs before it has asked for anything is late as well.
func TestHungStartIsLate(t *testing.T) {
	watching(t, 2, func(t *testing.T, w *outside) {
		w.run(stuckStore{w.store, "sentinel/"})
		sleep(10 * time.Minute)
		if diff := cmp.Diff(10*time.Minute, w.s.Late()); diff != "" {
			t.Errorf("Late (-want +got):\n%s", diff)
		}
	})
}
