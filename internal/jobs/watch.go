package jobs

import (
	"time"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// How long a rejection must last before it counts (section 8 of the design).
// Valid keys have flapped for a day, so one rejection says nothing.
const (
	doubtEvery = 5 * time.Second  // between probes while a pair is doubted
	doubtFor   = 30 * time.Second // in which every answer must be a rejection
	heldFor    = 10 * time.Minute // the same, when every other pair is rejected too
	deadEvery  = 5 * time.Minute  // between probes of a pair that is known dead
	gapMax     = time.Minute      // a longer silence, as over a restart, proves nothing about itself
	hopeFor    = 2 * time.Minute  // how long a doubted pair is asked quickly although there is no answer
)

// A standing is what is known of a stored pair.
type standing string

// The standings.
const (
	unseen  standing = ""        // never answered for
	alive   standing = "alive"   // the last answer was 200
	doubted standing = "doubted" // rejected, not for long enough
	held    standing = "held"    // rejected for long enough, but so is every other pair: the vendor may be at fault
	dead    standing = "dead"    // rejected, and nothing speaks against it
)

// A watch is what the sentinel knows of one key set's pair. It is stored, so
// that a restart neither forgets a stretch of rejections nor begins it anew.
type watch struct {
	State    standing         `json:"state,omitempty"`
	Print    string           `json:"print,omitempty"`   // fingerprint of the pair
	Account  rotation.Account `json:"account,omitzero"`  // at the last 200
	LastOK   time.Time        `json:"last_ok,omitzero"`  // last 200
	Since    time.Time        `json:"since,omitzero"`    // first rejection of this stretch
	Steady   time.Time        `json:"steady,omitzero"`   // since when every answer was a rejection
	Rejected time.Time        `json:"rejected,omitzero"` // last rejection
	Asked    time.Time        `json:"asked,omitzero"`    // last probe
	Spoke    bool             `json:"spoke,omitempty"`   // it was alive when it was last sure: it can speak for others
	Flaps    int              `json:"flaps,omitempty"`   // stretches that ended with a 200
	Problem  string           `json:"problem,omitempty"` // last reason for no answer
}

// take notes one answer. What is no answer (5xx, timeout, 429, HTML) never
// counts as a rejection, but it breaks the row: the doubt begins again with the
// next rejection, while Since stays, because that is when it began to hurt.
func (w *watch) take(p rotation.Probe) {
	gap := p.At.Sub(w.Asked)
	w.Asked = p.At
	switch p.Verdict {
	case rotation.Valid:
		if !w.Since.IsZero() {
			w.Flaps++
		}
		w.State, w.LastOK, w.Account, w.Spoke, w.Problem = alive, p.At, p.Account, true, ""
		w.Since, w.Steady, w.Rejected = time.Time{}, time.Time{}, time.Time{}
	case rotation.Invalid:
		if w.Since.IsZero() {
			w.Since = p.At
		}
		if w.Steady.IsZero() || w.State != dead && gap > gapMax {
			w.Steady = p.At
		}
		w.Rejected, w.Problem = p.At, ""
		if w.State != dead && w.State != held {
			w.State = doubted
		}
	case rotation.Unknown:
		w.Problem = p.Reason
		if w.State != dead {
			w.Steady = time.Time{}
		}
	}
}

// steady returns for how long every answer has been a rejection, from the first
// of them to the last.
func (w *watch) steady() time.Duration {
	if w.Steady.IsZero() || w.Rejected.IsZero() {
		return 0
	}
	return w.Rejected.Sub(w.Steady)
}

// judge moves a doubted pair on, now that every other one was asked as well.
// The others that were alive when they were last sure are the canary: if all of
// them are rejected in the same stretch, the vendor is more likely at fault than
// every key, and only ten steady minutes are enough. One of them alive, or none
// that could speak, and thirty seconds decide. An other one that gives no answer
// cannot speak either way.
func (w *watch) judge(others []*watch) {
	if w.State != doubted && w.State != held || w.steady() < doubtFor {
		return
	}
	together := 0
	for _, o := range others {
		switch {
		case !o.Spoke:
		case o.State == alive && !o.LastOK.Before(w.Steady): // asked since, and it answered
			w.State, w.Spoke = dead, false
			return
		case o.State == doubted || o.State == held:
			together++
		}
	}
	switch {
	case together == 0, w.steady() >= heldFor:
		w.State, w.Spoke = dead, false
	default:
		w.State = held
	}
}

// next returns how long after an answer the pair is asked again. every is the
// configured interval, wait what the vendor asked for.
func (w *watch) next(every, wait time.Duration) time.Duration {
	d := every
	switch w.State {
	case doubted:
		if d = doubtEvery; w.Problem != "" && w.Asked.Sub(w.Since) > hopeFor {
			d = min(every, doubtFor) // an outage: there is no hurry to ask in vain
		}
	case held:
		d = min(every, doubtFor)
	case dead:
		d = max(every, deadEvery)
	case unseen, alive:
	}
	return max(d, wait)
}
