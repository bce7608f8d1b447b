package rotation_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// R51: one consumer that answers only after 30 s, or fails again and again,
// delays none of the others: they are verified as early as without it.
func TestSlowConsumerDelaysNobody(t *testing.T) {
	others := func(t *testing.T, ci func(*world)) (took time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.lag = map[string]time.Duration{"api": time.Second, "dev": 1500 * time.Millisecond}
			ci(w)
			b := setUp(t, w)
			defer b.close()
			id := b.open()
			b.goOn(id, false)
			b.paste(id, w.click("acc-1", "NEW1"))
			took = b.othersVerified(id)
		})
		return took
	}
	without := others(t, func(*world) {})
	if without < 1500*time.Millisecond || without > 3*time.Second {
		t.Fatalf("verified after %s without anything slow, want the 1.5 s that dev takes", without)
	}
	for name, ci := range map[string]func(*world){
		"slow":    func(w *world) { w.lag["ci"] = 30 * time.Second },
		"failing": func(w *world) { w.applyFail["ci"] = many(1000, fault.Transient, "server") },
		"refused": func(w *world) { w.applyFail["ci"] = []error{denied()} },
		"pending": func(w *world) { w.notLive["ci"] = time.Now().AddDate(100, 0, 0) },
	} {
		with := others(t, ci)
		if ratio := float64(with) / float64(without); ratio > 1.1 {
			t.Errorf("%s: the others are verified after %s, %.2f times the %s without it, want at most 1.1", name, with, ratio, without)
		}
	}
}

// othersVerified waits until all consumers but ci are verified, and returns how
// long that was after the paste.
func (b *bench) othersVerified(id rotation.ID) time.Duration {
	b.t.Helper()
	r := b.until(id, "the others verified", func(r *rotation.Rotation) bool {
		for _, name := range []string{"api", "dev", "demo"} {
			if it := r.Step(rotation.StepVerify).Item(name); it == nil || it.State != rotation.Done {
				return false
			}
		}
		return true
	})
	return time.Since(r.SealedAt)
}

// BenchmarkSlowConsumer runs rotations with and without one consumer that
// answers only after 30 s, on the machine's own clock, and reports how much
// later the others are verified: ratio must be at most 1.1.
func BenchmarkSlowConsumer(b *testing.B) {
	lags := map[bool]time.Duration{true: 30 * time.Second}
	var sum [2]time.Duration
	for b.Loop() {
		for i, slow := range []bool{false, true} {
			w := newWorld()
			w.lag = map[string]time.Duration{"api": 100 * time.Millisecond, "ci": lags[slow]}
			x := setUp(b, w)
			id := x.open()
			x.goOn(id, false)
			x.paste(id, w.click("acc-1", "NEW1"))
			sum[i] += x.othersVerified(id)
			x.close() // the slow one is not waited for
		}
	}
	b.ReportMetric(float64(sum[0].Microseconds())/float64(b.N), "us-without")
	b.ReportMetric(float64(sum[1].Microseconds())/float64(b.N), "us-with")
	b.ReportMetric(float64(sum[1])/float64(sum[0]), "ratio")
}
