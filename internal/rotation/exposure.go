package rotation

import "time"

// An Exposure is how long trading systems held a dead pair (3.5 of the design).
type Exposure struct {
	From    time.Time     // zero: the old pair still answers, or nothing says that it was replaced
	Running bool          // no end yet
	Took    time.Duration // From → last consumer verified
	AtMost  time.Duration // last time the old pair was seen alive → last consumer verified
	Machine time.Duration // pair sealed → last consumer verified: the machine's own share
}

// Exposure returns the rotation's exposed time. It starts at the first
// rejection of the old pair, or when the new pair was sealed if that was
// earlier, and ends when the last consumer that counts is verified.
//
// While the old pair is known to answer nothing is exposed, and nobody is woken
// for it: a pasted pair that cannot be used yet hurts no trading that goes on
// with the old one. If it is never seen dead before the end, the time since the
// pair was sealed counts, because the bot looked only now and then.
func (r *Rotation) Exposure() Exposure {
	if r.VerifiedAt.IsZero() && r.oldAnswers() {
		return Exposure{}
	}
	e := Exposure{From: r.FirstRejected}
	if e.From.IsZero() || !r.SealedAt.IsZero() && r.SealedAt.Before(e.From) {
		e.From = r.SealedAt
	}
	if e.From.IsZero() {
		return e
	}
	if r.VerifiedAt.IsZero() {
		e.Running = true
		return e
	}
	e.Took = max(0, r.VerifiedAt.Sub(e.From))
	e.AtMost = e.Took
	if !r.LastOK.IsZero() && r.LastOK.Before(e.From) {
		e.AtMost = r.VerifiedAt.Sub(r.LastOK)
	}
	e.Machine = max(0, r.VerifiedAt.Sub(r.SealedAt))
	return e
}

// oldAnswers reports whether the last that is known of the old pair is that it
// works: it was seen alive since a pair was pasted and was not rejected since.
func (r *Rotation) oldAnswers() bool {
	return r.ClickedAt.IsZero() && r.LastOK.After(r.SealedAt) && r.LastOK.After(r.FirstRejected)
}
