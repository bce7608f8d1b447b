package rotation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
)

// What somebody says happened to the old pair; values of [Claim.What].
const (
	ClaimRegenerated = "regenerated" // they generated keys
	ClaimReset       = "reset"       // they, or somebody, reset or deleted the account
)

// A Claim is a person's word for what killed the old pair. A rotation with one
// is closed by people only.
type Claim struct {
	By   Actor     `json:"by"`
	What string    `json:"what"` // ClaimRegenerated, ClaimReset
	Mine bool      `json:"mine"` // By did it; false: By says that it happened
	At   time.Time `json:"at"`
}

// Force opens a forced rotation by the bot (R10): the stored pair is dead, as s
// says, and nobody started one. It has no operator ([BotActor]) until a person
// acts. If one is open already that is returned: what was seen becomes part of
// it, and in its step 1 it becomes a forced one. A repeat for a pair that a
// rotation has replaced since returns that rotation.
func (e *Engine) Force(ctx context.Context, s Sighting) (ID, error) {
	set, err := e.keySet(s.KeySet)
	if err != nil {
		return "", err
	}
	if id, err := e.replaced(ctx, s); id != "" || err != nil {
		return id, err
	}
	id, fresh, err := e.open(ctx, set, bot(), func(cur *Rotation, c *change) {
		cur.Trigger, cur.Reason, cur.Sighting = TriggerReset, "the bot saw that the key is dead", &s
		cur.FirstRejected, cur.ClickedAt, cur.LastOK = s.Since, s.Since, s.LastOK
		c.add(cur, "", bot(), "secret.rotate.forced", sightingContext(s))
	})
	if err != nil || fresh {
		return id, err
	}
	r, err := e.must(id)
	if err != nil {
		return id, nil //nolint:nilerr // it ended meanwhile, so somebody dealt with it
	}
	err = r.update(ctx, func(cur *Rotation, c *change) error {
		c.quiet = true
		cur.sighted(c, s)
		return nil
	})
	if errors.Is(err, errOver) {
		err = nil
	}
	return id, err
}

// replaced returns the last completed rotation of the key set if it is the one
// that replaced the pair that was seen dead.
func (e *Engine) replaced(ctx context.Context, s Sighting) (ID, error) {
	rec, err := e.led.record(ctx, s.KeySet)
	if err != nil || rec.Last == "" || s.Print == "" || rec.Print == s.Print {
		return "", err
	}
	last, err := e.led.load(ctx, rec.Last)
	if err != nil {
		e.cfg.Log.WarnContext(ctx, "last rotation not readable", slog.String("keyset", s.KeySet), errAttr(err))
		return "", nil
	}
	if last.OldPrint == s.Print || last.printed(s.Print) != nil {
		return rec.Last, nil
	}
	return "", nil
}

// sighted takes what the sentinel saw as evidence: it has confirmed the
// rejection already. What is known of another pair, or was seen alive since,
// is not touched.
func (r *Rotation) sighted(c *change, s Sighting) {
	if r.OldPrint != s.Print || !r.ClickedAt.IsZero() || r.LastOK.After(s.Since) {
		return
	}
	if r.FirstRejected.IsZero() || s.Since.Before(r.FirstRejected) {
		r.FirstRejected = s.Since
	}
	r.LastOK = later(r.LastOK, s.LastOK)
	r.click(c, "the sentinel saw it rejected for long enough", Probe{At: s.Since, Status: s.Status, RequestID: s.RequestID})
}

func sightingContext(s Sighting) map[string]any {
	return map[string]any{
		"why": "the stored pair is rejected", "fingerprint": s.Print, "first_rejected": stamp(s.Since), "last_ok": stamp(s.LastOK),
		"status": s.Status, "reason": s.Reason, "request_id": s.RequestID,
	}
}

// Reset opens a forced rotation for by, who says that the account was reset or
// deleted (R10); it does not wait until the bot sees it. If one is open already
// that is returned, and false: it becomes a forced one if it is still in step 1,
// and by its operator if it has none. Either way only people close it from then
// on. A repeat changes nothing.
func (e *Engine) Reset(ctx context.Context, by Actor, keyset, why string) (ID, bool, error) {
	set, err := e.keySet(keyset)
	if err != nil {
		return "", false, err
	}
	by = e.named(by)
	if why = strings.TrimSpace(why); why == "" {
		why = "the account was reset or deleted"
	}
	id, fresh, err := e.open(ctx, set, by, func(cur *Rotation, c *change) {
		cur.claim(c, &Claim{By: by, What: ClaimReset, At: e.now()}, why)
	})
	if err != nil || fresh {
		return id, fresh, err
	}
	r, err := e.must(id)
	if err != nil {
		return "", false, err
	}
	return id, false, r.update(ctx, func(cur *Rotation, c *change) error {
		if c.quiet = cur.Claim != nil || len(cur.Candidates) > 0; !c.quiet {
			cur.claim(c, &Claim{By: by, What: ClaimReset, At: e.now()}, why)
		}
		return nil
	})
}

// claim records a person's word. In step 1 the rotation becomes a forced one.
func (r *Rotation) claim(c *change, claim *Claim, why string) {
	r.Claim = claim
	if r.Operator.ID == BotActor {
		r.takenBy(claim.By, why, claim.At)
	}
	if !r.Step(StepPrecheck).State.Settled() {
		r.Trigger, r.Reason = TriggerReset, why
	}
	c.add(r, r.Current().Name, claim.By, "secret.rotate.forced", map[string]any{"why": why, "claim": claim.What, "did_it": claim.Mine})
}

// takenBy makes by the operator and has what waits for the one before wait for
// them. The bot waits for nobody where it works itself, so where it was the
// operator only what needs a person goes over.
func (r *Rotation) takenBy(by Actor, why string, now time.Time) {
	before := r.Operator
	r.handOver(by, why, now)
	for i := range r.Steps {
		s := &r.Steps[i]
		switch {
		case s.WaitsFor != before.ID:
		case before.ID != BotActor, s.State == Failed, s.Name == StepGenerate, s.Name == StepValidate && s.Problem.Reason == ReasonBlocked:
			s.WaitsFor = by.ID
		case s.State == Running:
			r.waits(s)
		}
	}
}

// ItWasMe records that by killed the old pair, what says how, makes them the
// operator and leaves step 1: whoever did it has the dashboard open. Nothing
// blocks a dead key, and what step 1 could not find out is retried after the
// paste. It waits up to 15 s until the current pair was read, because step 7
// needs it. A repeat by the same person changes nothing. Errors:
//
//   - Invalid, what_happened: what is neither of the two;
//   - Conflict, late: somebody else said so before, or nothing is dead;
//   - NotFound, not_open: the rotation is over.
func (e *Engine) ItWasMe(ctx context.Context, by Actor, id ID, what string) error {
	if what != ClaimRegenerated && what != ClaimReset {
		return &fault.Error{Kind: fault.Invalid, Reason: "what_happened", Op: "rotation.ItWasMe", User: "Say what you did: generated keys, or reset or deleted the account.", Fix: "Choose one of the two."}
	}
	r, err := e.must(id)
	if err != nil {
		return err
	}
	by = e.named(by)
	if err := pairRead(ctx, r, forcedWait); err != nil {
		return err
	}
	return r.update(ctx, func(cur *Rotation, c *change) error {
		switch {
		case cur.Claim != nil && cur.Claim.Mine && cur.Claim.By.ID == by.ID:
			c.quiet = true
			return nil
		case cur.Claim != nil && cur.Claim.Mine, cur.Sighting == nil && cur.Claim == nil && cur.FirstRejected.IsZero():
			return lateFault()
		}
		now := e.now()
		cur.pressed(PressItWasMe, StepPrecheck, cur.Step(StepPrecheck).Round, "", by, now)
		if len(cur.Candidates) == 0 {
			cur.takenBy(by, tookBlame, now)
		}
		why := map[string]string{ClaimRegenerated: by.Admin + " generated keys", ClaimReset: by.Admin + " reset or deleted the account"}[what]
		cur.claim(c, &Claim{By: by, What: what, Mine: true, At: now}, why)
		cur.leaveForced(c, by, now)
		return nil
	})
}

// pairRead waits until step 1 has read the current pair, or is over; at most
// limit, 0 without limit.
func pairRead(ctx context.Context, r *run, limit time.Duration) error {
	limited, cancel := ctx, context.CancelFunc(func() {})
	if limit > 0 {
		limited, cancel = context.WithTimeout(ctx, limit)
	}
	defer cancel()
	err := r.await(limited, func(cur *Rotation) bool {
		it := cur.Step(StepPrecheck).Item(CheckPair)
		return cur.Outcome != Open || cur.Step(StepPrecheck).State.Settled() || it != nil && it.State != Pending && it.State != Running
	})
	if limited.Err() != nil && ctx.Err() == nil {
		return nil // nothing blocks a dead key
	}
	return err
}

// leaveForced ends step 1 of a rotation whose old pair is dead and begins step
// 2; it does nothing if step 1 is over. Failed checks pass: the key is dead
// already.
func (r *Rotation) leaveForced(c *change, by Actor, now time.Time) {
	s := r.Step(StepPrecheck)
	if s.State.Settled() {
		return
	}
	r.passFailed(c, by, passDead, now)
	r.leave(c, StepPrecheck, by, now)
	r.enter(c, StepGenerate, by, now)
	r.Step(StepGenerate).WaitsFor, r.Visitor = by.ID, by
}

// passDead is why a failed check passes when the key is dead.
const passDead = "the key is dead already, nothing blocks"

// passFailed lets the failed checks of step 1 pass, as deviations.
func (r *Rotation) passFailed(c *change, by Actor, why string, now time.Time) {
	s := r.Step(StepPrecheck)
	for _, name := range s.failedItems() {
		it := s.Item(name)
		it.PassBy, it.PassWhy = by.Admin, why
		r.Deviations = append(r.Deviations, Deviation{At: now, By: by, What: "went on although " + it.failing(), Why: why})
		c.add(r, StepPrecheck, by, "secret.rotate.deviation", map[string]any{"check": name, "reason": it.Problem.Reason, "why": why})
	}
}

// StandDown ends a forced rotation that the bot opened by itself, because the
// stored pair answers 200 after all: p is that answer. What was sealed is
// erased in the same commit. It is refused (Conflict, not_standing_down) once a
// person has left step 1 or said that the pair is dead, once a pair was pasted,
// and if p is no 200 from after the rejections; (NotFound, not_open) if the
// rotation is over, also by an earlier StandDown.
func (e *Engine) StandDown(ctx context.Context, id ID, p Probe) error {
	r, err := e.must(id)
	if err != nil {
		return err
	}
	return e.end(ctx, r, func(cur *Rotation, c *change) error {
		if why := cur.mustStay(p); why != "" {
			return &fault.Error{
				Kind: fault.Conflict, Reason: "not_standing_down", Op: "rotation.StandDown",
				User: fmt.Sprintf("The rotation %s of %s goes on: %s.", cur.ID, cur.KeySet, why),
				Fix:  "Whoever runs it decides: go on, or cancel it if nothing was generated.",
			}
		}
		cur.Outcome, cur.LastOK = StoodDown, later(cur.LastOK, p.At)
		c.add(cur, "", bot(), "secret.rotate.stood_down", map[string]any{
			"why": "the stored pair works again", "first_rejected": stamp(cur.FirstRejected), "seen_alive": stamp(p.At), "status": p.Status, "request_id": p.RequestID,
		})
		return nil
	})
}

// mustStay says why the rotation cannot stand down; "" if it can.
func (r *Rotation) mustStay(p Probe) string {
	switch {
	case r.Sighting == nil:
		return "a person opened it"
	case len(r.Candidates) > 0:
		return "a pair was pasted"
	case r.Claim != nil:
		return r.Claim.By.Admin + " said that the key is dead"
	case r.Step(StepPrecheck).State.Settled():
		return "somebody is at step 2 and may have generated"
	case p.Verdict != Valid || !p.At.After(r.FirstRejected):
		return "the stored pair was not seen alive"
	}
	return ""
}

// end closes a rotation that changes nothing outside: apply says how, or refuses.
// What was sealed for it is erased in the same commit.
func (e *Engine) end(ctx context.Context, r *run, apply func(*Rotation, *change) error) error {
	sealed, err := e.cfg.Store.List(ctx, sealedKey(r.id, ""), "", 0)
	if err != nil {
		return fmt.Errorf("list sealed pairs: %w", err)
	}
	return r.update(ctx, func(cur *Rotation, c *change) error {
		if err := apply(cur, c); err != nil {
			return err
		}
		cur.Closed = e.now()
		for _, kv := range sealed {
			c.ops = append(c.ops, Op{Key: kv.Key, Delete: true})
		}
		// Step 1 may have sealed it since the list was read; no other is sealed without a candidate.
		c.ops = append(c.ops, Op{Key: sealedKey(cur.ID, fieldOld), Delete: true}, Op{Key: activePrefix + cur.KeySet, Delete: true})
		return nil
	})
}
