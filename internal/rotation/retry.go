package rotation

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/raxx-app/keyturn/internal/fault"
)

// Limits are the times of 3.6 of the design. The zero value of a field means
// the design's.
type Limits struct {
	Read, Write              time.Duration // retries of what only reads, and of what writes
	Live                     time.Duration // a consumer running on the new pair
	Downstream, Cancel       time.Duration
	OldPair                  time.Duration // step 7 before it alarms
	ProbeFast, ProbeSlow     time.Duration // old pair's probes in step 2
	ProbeFastFor, ProbeAgain time.Duration // how long fast; and between step 7's probes after the alarm
	Confirm                  time.Duration // between two rejections that count without a control
	OrderOnBook              time.Duration // a test order accepted downstream must be on the paper book by then
	Recheck                  time.Duration // between probes while step 3 waits
	RejectedAgain            []time.Duration
}

// withDefaults fills what is not set.
func (l Limits) withDefaults() Limits {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&l.Read, 2*time.Minute)
	def(&l.Write, 10*time.Minute)
	def(&l.Live, 10*time.Minute)
	def(&l.Downstream, 5*time.Minute)
	def(&l.Cancel, 30*time.Second)
	def(&l.OldPair, 2*time.Minute)
	def(&l.ProbeFast, 5*time.Second)
	def(&l.ProbeSlow, time.Minute)
	def(&l.ProbeFastFor, 10*time.Minute)
	def(&l.ProbeAgain, time.Minute)
	def(&l.Confirm, 30*time.Second)
	def(&l.OrderOnBook, 15*time.Second)
	def(&l.Recheck, 5*time.Second)
	if l.RejectedAgain == nil {
		l.RejectedAgain = []time.Duration{2 * time.Second, 5 * time.Second, 10 * time.Second}
	}
	return l
}

// retry calls f until it succeeds, for at most limit: after 250 ms, doubling to
// 15 s, with full jitter, or as late as the service asks. Only transient
// failures are tried again, and with looks also unknown outcomes: f then looks
// at what is there before it writes. note hears of each failure that is going
// to be tried again.
func retry[T any](ctx context.Context, limit time.Duration, looks bool, note func(error), f func(context.Context) (T, error)) (T, error) {
	b := backoff.NewExponentialBackOff()
	// Full jitter is anything from nothing to the whole wait; the library draws
	// from nothing to twice the interval, so it is given half.
	b.InitialInterval, b.Multiplier, b.MaxInterval, b.RandomizationFactor = 125*time.Millisecond, 2, 7500*time.Millisecond, 1
	return backoff.Retry(ctx, func() (T, error) {
		v, err := f(ctx)
		switch kind := fault.KindOf(err); {
		case err == nil:
			return v, nil
		case ctx.Err() != nil:
			return v, backoff.Permanent(err)
		case kind != fault.Transient && (kind != fault.Unknown || !looks):
			return v, backoff.Permanent(err)
		}
		if note != nil {
			note(err)
		}
		if wait := fault.RetryAfter(err); wait > 0 {
			return v, errors.Join(err, backoff.RetryAfter(int((wait+time.Second-1)/time.Second)))
		}
		return v, err
	}, backoff.WithBackOff(b), backoff.WithMaxElapsedTime(limit))
}

// errLimit is returned by poll when its time is over.
var errLimit = errors.New("not in time")

// poll calls look at once, then after 0.25, 0.5, 1 and 2 s, then every 5 s,
// until it reports done, fails, or limit is over. A transient or unknown
// failure of a look is only one look lost.
func poll(ctx context.Context, limit time.Duration, look func(context.Context) (bool, error)) error {
	deadline, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	waits := []time.Duration{250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second}
	var last error
	for i := 0; ; i++ {
		done, err := look(ctx)
		if done || err != nil && !passing(err) {
			return err
		}
		last = err
		wait := 5 * time.Second
		if i < len(waits) {
			wait = waits[i]
		}
		if !sleep(deadline, max(wait, fault.RetryAfter(err))) {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return errors.Join(errLimit, last)
		}
	}
}

// passing reports whether trying again may help without anybody's doing.
func passing(err error) bool {
	kind := fault.KindOf(err)
	return kind == fault.Transient || kind == fault.Unknown
}

// sleep waits d and reports whether ctx let it.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// problemOf turns an error into what people read.
func problemOf(err error) Problem {
	return Problem{Kind: fault.KindOf(err).String(), Reason: fault.ReasonOf(err), Text: fault.UserText(err), Fix: fault.FixText(err)}
}
