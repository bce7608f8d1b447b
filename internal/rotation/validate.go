package rotation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
)

// validate is step 3 (R35–R39): every pasted pair that can still be the one and
// the old pair are tried in the same round, and [Judge] says what follows.
// Nothing is written anywhere before it says store.
func (e *Engine) validate(ctx context.Context, f *flight) error {
	tried, rejected := 0, 0
	for {
		judged, err := e.judge(ctx, f)
		if err != nil {
			return err
		}
		if judged.n != tried { // each pair gets its own moments
			tried, rejected = judged.n, 0
		}
		d, wait := judged.decision, e.limits.Recheck
		moved := false
		switch d.Action {
		case ActStore:
			moved, err = e.settle(ctx, f)
		case ActWait:
		case ActStop, ActAdopt:
			return &fault.Error{Kind: fault.Invalid, Reason: d.Problem.Reason, Op: "rotation.validate", User: d.Problem.Text, Fix: d.Problem.Fix}
		case ActPaste:
			// A pair that was just made may need a moment; a wrong account never will.
			if judged.New.Verdict == Valid || rejected == len(e.limits.RejectedAgain) {
				moved, err = e.backToGenerate(ctx, f, d.Problem)
				break
			}
			wait = e.limits.RejectedAgain[rejected]
			rejected++
		}
		if moved || err != nil {
			return err
		}
		if err := e.pause(ctx, f, wait); err != nil {
			return err
		}
	}
}

// pause waits, but no longer than until a person allows to store anyway, or
// pastes another pair.
func (e *Engine) pause(ctx context.Context, f *flight, d time.Duration) error {
	before, err := f.ground()
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	err = f.await(limited, func(cur *Rotation) bool {
		return cur.StoreAnyway != before.StoreAnyway || slices.ContainsFunc(cur.Candidates, untried)
	})
	if ctx.Err() != nil || errors.Is(err, errMoved) {
		return err
	}
	return nil // or its time is over
}

// untried reports whether a pair was pasted that no round has looked at yet.
func untried(c Candidate) bool { return c.Aside == "" && !c.Dead && c.Verdict == "" }

// A judged is the candidate that a round of probes speaks for, with its
// evidence and what follows.
type judged struct {
	Evidence
	n        int
	aside    bool // it did not do in an earlier round
	decision Decision
}

// judge tries every candidate and the old pair in one round, and stores what
// it found.
func (e *Engine) judge(ctx context.Context, f *flight) (judged, error) {
	cur, err := f.ground()
	if err != nil {
		return judged{}, err
	}
	old, err := e.oldPair(ctx, &cur)
	if err != nil {
		return judged{}, err
	}
	if cur.Snapshot == nil { // step 1 was left before it could say so
		cur.Snapshot = e.standIn(ctx, &cur)
	}
	pairs := map[int]Pair{}
	for _, c := range cur.Candidates {
		if c.Dead {
			continue
		}
		if pairs[c.N], err = e.led.open(ctx, &cur, candidateField(c.N)); err != nil {
			return judged{}, err
		}
	}
	all := e.rounds(ctx, &cur, pairs, old)
	if ctx.Err() != nil {
		return judged{}, ctx.Err()
	}
	best := choose(all)
	if cur.StoreAnyway && best.decision.Action == ActWait && best.decision.Problem.Reason == ReasonBlocked {
		best.decision = Decision{Action: ActStore}
	}
	return best, e.judgedRound(ctx, f, all, best, cur.Snapshot, e.accident(ctx, &cur, best))
}

// choose returns the candidate to go on with: one that can be stored, else the
// newest that works, else the newest that may work, else the newest. One that
// was set aside before is chosen only if it can be stored after all.
func choose(all []judged) judged {
	rank := func(j judged) int {
		switch {
		case j.decision.Action == ActStore:
			return 4
		case j.aside:
			return 0
		case j.New.Verdict == Valid:
			return 3
		case j.New.Verdict == Unknown:
			return 2
		}
		return 1
	}
	return slices.MaxFunc(all, func(a, b judged) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.n, b.n))
	})
}

// rounds probes each candidate and the old pair at the same time: each is the
// others' control.
func (e *Engine) rounds(ctx context.Context, cur *Rotation, pairs map[int]Pair, old Pair) []judged {
	var wg sync.WaitGroup
	var oldProbe Probe
	if !old.Empty() {
		wg.Go(func() { oldProbe = e.probe(ctx, old) })
	}
	all := make([]judged, 0, len(pairs))
	for _, n := range slices.Sorted(maps.Keys(pairs)) {
		all = append(all, judged{n: n, aside: cur.candidate(n).Aside != ""})
	}
	for i := range all {
		wg.Go(func() { all[i].New = e.probe(ctx, pairs[all[i].n]) })
	}
	wg.Wait()
	expected := e.expected(ctx, cur)
	if expected == nil && oldProbe.Verdict == Valid {
		expected = &oldProbe.Account
	}
	for i := range all {
		all[i].Old, all[i].OldKnown, all[i].Expected, all[i].Opened = oldProbe, !old.Empty(), expected, cur.Opened
		if _, good := e.before(ctx, cur); !good.IsZero() && good.Before(cur.Opened) {
			all[i].LastGood = good
		}
		all[i].decision = Judge(all[i].Evidence)
		if p := &all[i].decision.Problem; adoptable(p.Reason) && p.Reason != ReasonNoBaseline {
			if rec, ok := e.ownerOf(ctx, cur.KeySet, all[i].New.Account); ok {
				owned := ownedFault(rec.KeySet)
				p.Fix = owned.User + " " + owned.Fix
			}
		}
	}
	return all
}

// round probes one new pair and one superseded pair at the same time.
func (e *Engine) round(ctx context.Context, pair, old Pair) (fresh, stale Probe) {
	var wg sync.WaitGroup
	wg.Go(func() { fresh = e.probe(ctx, pair) })
	wg.Go(func() { stale = e.probe(ctx, old) })
	wg.Wait()
	return fresh, stale
}

// expected is the identity that the new pair must have: the adopted one, the
// snapshot's, the old pair's when it was seen alive, or the one that the last
// rotation ended with; nil if none is known.
func (e *Engine) expected(ctx context.Context, cur *Rotation) *Account {
	switch {
	case cur.Adopted != nil:
		return cur.Adopted
	case cur.Snapshot != nil:
		return &cur.Snapshot.Account
	case cur.OldOwner != nil:
		return cur.OldOwner
	}
	if rec, err := e.led.record(ctx, cur.KeySet); err == nil && rec.Baseline.ID != "" {
		return &rec.Baseline
	}
	return nil
}

// judgedRound stores what a round of probes said and which candidate it speaks
// for.
func (e *Engine) judgedRound(ctx context.Context, f *flight, all []judged, best judged, snap *Snapshot, accident *Accident) error {
	return f.update(ctx, func(cur *Rotation, c *change) error {
		c.quiet = true
		for _, j := range all {
			cand := cur.candidate(j.n)
			cand.Verdict, cand.Account = j.New.Verdict, j.New.Account
			if best.decision.Action == ActStore && j.n != best.n && cand.Aside == "" {
				cand.Aside = reasonSuperseded
			}
		}
		ev, d := best.Evidence, best.decision
		chosen := cur.candidate(best.n)
		if cur.Chosen != chosen.N {
			cur.VerifiedAt = time.Time{} // what was verified was another pair
		}
		cur.Chosen, cur.SealedAt = chosen.N, chosen.At
		if d.Action == ActStore {
			chosen.Aside = ""
		}
		cur.saw(c, ev.Old)
		if ev.New.Verdict == Valid && ev.Old.Verdict == Invalid {
			cur.click(c, "the new pair works and the old one is rejected", ev.Old)
		}
		if cur.Snapshot == nil {
			cur.Snapshot = snap
		}
		cur.classified(c, accident)
		s, facts := cur.Step(StepValidate), validateFacts(ev)
		c.quiet = c.quiet && s.Problem == d.Problem && slices.Equal(s.Facts, facts) // nothing new to tell
		s.Facts, s.Problem, s.Note, s.WaitsFor = facts, d.Problem, "", BotActor
		if d.Action == ActWait || d.Action == ActPaste {
			s.Note = fmt.Sprintf("The bot looks again by itself, since %s UTC.", s.Started.Format("15:04"))
		}
		if d.Problem.Reason == ReasonBlocked {
			s.WaitsFor = cur.Operator.ID // to have the block lifted, or to store anyway
		}
		return nil
	})
}

// settle ends step 3, unless a pair has come in that no round has looked at.
func (e *Engine) settle(ctx context.Context, f *flight) (moved bool, err error) {
	err = f.update(ctx, func(cur *Rotation, c *change) error {
		if moved = !slices.ContainsFunc(cur.Candidates, untried); moved {
			cur.leave(c, StepValidate, bot(), e.now())
		} else {
			c.quiet = true
		}
		return nil
	})
	return moved, err
}

// validateFacts shows status, account and buying power of the new pair, and
// nothing else of the account (R38). The number is whole only in the
// operator's own view, which reads it from the candidate.
func validateFacts(ev Evidence) []Fact {
	facts := []Fact{{Name: "new_pair", Label: "New pair", Value: verdictText(ev.New)}}
	if ev.New.Verdict == Valid {
		facts = append(facts,
			Fact{Name: "account", Label: "Account", Value: Masked(ev.New.Account.Number)},
			Fact{Name: "status", Label: "Status", Value: ev.New.Account.Status},
			Fact{Name: "buying_power", Label: "Buying power", Value: ev.New.Account.BuyingPower})
	}
	old := "none known"
	if ev.OldKnown {
		old = verdictText(ev.Old)
	}
	return append(facts, Fact{Name: "old_pair", Label: "Old pair", Value: old})
}

func verdictText(p Probe) string {
	switch p.Verdict {
	case Valid:
		return "works"
	case Invalid:
		return fmt.Sprintf("rejected (%d)", p.Status)
	case Unknown:
	}
	return "not known (" + p.said() + ")"
}

// backToGenerate asks for another pair, unless one has come in meanwhile. Those
// that did not do stay sealed.
func (e *Engine) backToGenerate(ctx context.Context, f *flight, why Problem) (moved bool, err error) {
	err = f.update(ctx, func(cur *Rotation, c *change) error {
		if moved = !slices.ContainsFunc(cur.Candidates, untried); moved {
			cur.again(c, StepValidate, why, bot(), e.now())
		} else {
			c.quiet = true
		}
		return nil
	})
	return moved, err
}

// again goes back to step 2 from a step that cannot go on with the pair at
// hand. Every candidate so far is set aside; none is forgotten.
func (r *Rotation) again(c *change, from StepName, why Problem, by Actor, now time.Time) {
	for i := range r.Candidates {
		if r.Candidates[i].Aside == "" {
			r.Candidates[i].Aside = why.Reason
		}
	}
	r.Chosen, r.VerifiedAt, r.StoreAnyway, r.StoreLater = 0, time.Time{}, false, false
	if r.FirstRejected.IsZero() && r.LastOK.After(r.SealedAt) {
		r.SealedAt = time.Time{} // the old pair works: nothing is exposed
	}
	s := r.Step(from)
	s.State, s.Ended, s.Problem, s.WaitsFor = Failed, now, why, ""
	c.add(r, from, bot(), "secret.rotate.failed", stepContext(s))
	r.reset(StepValidate, StepStore, StepPropagate, StepVerify, StepRevoked, StepRecord)
	r.enter(c, StepGenerate, by, now)
	g := r.Step(StepGenerate)
	g.Note, g.WaitsFor = why.Text+" "+why.Fix, r.Operator.ID
}

// revalidate goes back to step 3 with the pairs that are sealed.
func (r *Rotation) revalidate(c *change, now time.Time) {
	if r.Step(StepGenerate).State != Done {
		r.leave(c, StepGenerate, bot(), now)
	}
	r.reset(StepValidate, StepStore, StepPropagate, StepVerify, StepRevoked, StepRecord)
	r.enter(c, StepValidate, bot(), now)
}

// reset sets steps back to pending; their items are done again, and what was
// bound to them is too late.
func (r *Rotation) reset(names ...StepName) {
	for _, name := range names {
		s := r.Step(name)
		if s.Round > 0 {
			s.Round++
		}
		s.State, s.Started, s.Ended, s.WaitsFor, s.Items, s.Facts, s.Note = Pending, time.Time{}, time.Time{}, "", nil, nil, ""
	}
}

// candidate returns candidate n. It panics if there is none: a step that needs
// one begins only behind a paste.
func (r *Rotation) candidate(n int) *Candidate {
	for i := range r.Candidates {
		if r.Candidates[i].N == n {
			return &r.Candidates[i]
		}
	}
	panic(fmt.Sprintf("rotation: no candidate %d", n))
}
