package rotation

import "time"

// An Exposure is how long trading systems held a dead pair (3.5 of the design).
type Exposure struct {
	From    time.Time     // zero: the old pair is not known to be dead yet
	Running bool          // no end yet
	Took    time.Duration // From → last consumer verified
	AtMost  time.Duration // last time the old pair was seen alive → last consumer verified
	Machine time.Duration // pair sealed → last consumer verified: the machine's own share
}

// Exposure returns the rotation's exposed time. It starts at the first
// rejection of the old pair, or when the new pair was sealed if that was
// earlier, and ends when the last consumer that counts is verified.
func (r *Rotation) Exposure() Exposure {
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
