package rotation

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
)

// exposedKept is how many exposed times are remembered of a key set.
const exposedKept = 5

// finish is step 8 (R61–R63): compare with the snapshot, write the record, and
// in the same commit close the rotation and erase every sealed pair.
func (e *Engine) finish(ctx context.Context, f *flight) error {
	cur, err := f.ground()
	if err != nil {
		return err
	}
	pair, err := e.led.open(ctx, &cur, candidateField(cur.Chosen))
	if err != nil {
		return err
	}
	if err := e.stillAlive(ctx, f, pair, 0); err != nil {
		return err
	}
	survey, surveyErr := retry(ctx, e.limits.Read, true, e.stepNote(ctx, f), func(ctx context.Context) (Survey, error) {
		return e.cfg.Vendor.Survey(ctx, pair)
	})
	lost := []string{"positions and open orders could not be read again, so they were not compared"}
	acc := cur.candidate(cur.Chosen).Account
	now := kept{Account: acc, Seen: e.now()}
	if surveyErr == nil {
		now.Survey, now.At = &survey, now.Seen
		if lost, err = e.compare(ctx, pair, cur.Snapshot, survey); err != nil {
			return err
		}
	}
	if cur.Trigger == TriggerReset && cur.Snapshot != nil {
		lost = append(lost, balance(cur.Snapshot.Account, acc)...)
	}
	for {
		err := e.closeIt(ctx, f, lost, now)
		if !errors.Is(err, ErrConflict) || ctx.Err() != nil {
			return err
		}
		if !sleep(ctx, e.limits.Recheck) { // somebody else changed the key set's record: read it again
			return ctx.Err()
		}
	}
}

// closeIt writes the record and the last good snapshot, closes the rotation and
// erases what was sealed for it.
func (e *Engine) closeIt(ctx context.Context, f *flight, lost []string, snap kept) error {
	cur, err := f.ground()
	if err != nil {
		return err
	}
	past, err := e.led.record(ctx, cur.KeySet)
	if err != nil {
		return err
	}
	sealed, err := e.cfg.Store.List(ctx, sealedKey(cur.ID, ""), "", 0)
	if err != nil {
		return fmt.Errorf("list sealed pairs: %w", err)
	}
	told, err := Notices(ctx, e.cfg.Store, cur.ID)
	if err != nil {
		return err
	}
	return f.update(ctx, func(cur *Rotation, c *change) error {
		now := e.now()
		sum := e.sum(cur, past, lost, f.set, now)
		cur.Summary, cur.Outcome, cur.Closed = &sum, Completed, now
		s := cur.Step(StepRecord)
		s.Facts = summaryFacts(sum)
		cur.leave(c, StepRecord, bot(), now)
		c.add(cur, StepRecord, cur.Operator, "secret.rotate.completed", e.completedContext(cur, f.set, told))
		for _, kv := range sealed {
			c.ops = append(c.ops, Op{Key: kv.Key, Delete: true})
		}
		c.ops = append(c.ops, Op{Key: activePrefix + cur.KeySet, Delete: true})
		c.conds = append(c.conds, Cond{Key: recordPrefix + cur.KeySet, Rev: past.Rev})
		if err := c.put(snapshotPrefix+cur.KeySet, snap); err != nil {
			return err
		}
		return c.put(recordPrefix+cur.KeySet, remember(cur, past, sum))
	})
}

// sum adds the rotation up.
func (e *Engine) sum(cur *Rotation, past Record, lost []string, set *KeySet, now time.Time) Summary {
	x := cur.Exposure()
	zone := e.cfg.Zone
	if zone == nil {
		zone = time.UTC
	}
	sum := Summary{
		ExposedMS: x.Took.Milliseconds(), ExposedMaxMS: x.AtMost.Milliseconds(), PasteToVerified: x.Machine.Milliseconds(),
		TookMS: now.Sub(cur.Opened).Milliseconds(), KeyAgeDays: -1, Lost: lost, RotatedAt: cur.SealedAt,
		NextDue: now.In(zone).AddDate(0, 0, set.CadenceDays).Format(time.DateOnly), TextsSHA256: TextsSHA256(), PreviousRotation: past.Last,
	}
	if !past.Completed.IsZero() {
		sum.KeyAgeDays = int(now.Sub(past.Completed).Hours() / 24)
	}
	if cur.Trigger == TriggerReset {
		sum.Cause = CauseUnknown
		if cur.Accident != nil {
			sum.Cause = cur.Accident.Cause
		}
	}
	if cur.Snapshot != nil {
		sum.SnapshotSHA256 = snapshotHash(*cur.Snapshot)
	}
	return sum
}

// snapshotHash is over the snapshot with the account number masked.
func snapshotHash(s Snapshot) string {
	s.Account.Number = Masked(s.Account.Number)
	b, err := json.Marshal(s)
	if err != nil {
		return ""
	}
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// remember is what is kept of the key set from now on.
func remember(cur *Rotation, past Record, sum Summary) Record {
	rec := Record{
		KeySet: cur.KeySet, Baseline: cur.candidate(cur.Chosen).Account, Completed: cur.Closed, Last: cur.ID, NextDue: sum.NextDue,
		Print: cur.candidate(cur.Chosen).Print, Receipts: maps.Clone(past.Receipts), Exposed: append(slices.Clone(past.Exposed), sum.ExposedMS),
	}
	if n := len(rec.Exposed); n > exposedKept {
		rec.Exposed = rec.Exposed[n-exposedKept:]
	}
	if rec.Receipts == nil {
		rec.Receipts = map[string]Receipt{}
	}
	for _, it := range cur.Step(StepPropagate).Items {
		if it.Receipt != nil {
			rec.Receipts[it.Name] = *it.Receipt
		}
	}
	return rec
}

// compare lists what differs from the snapshot, a line each (R18, R22). It
// never blocks: orders fill and positions move while keys are rotated.
func (e *Engine) compare(ctx context.Context, pair Pair, snap *Snapshot, now Survey) ([]string, error) {
	switch {
	case snap == nil:
		return nil, nil
	case snap.NoSurvey:
		return []string{"positions and open orders were not known before, so they were not compared"}, nil
	}
	var lost []string
	held := map[string]string{}
	for _, p := range now.Positions {
		held[p.Symbol] = p.Qty
	}
	for _, p := range snap.Survey.Positions {
		if qty, ok := held[p.Symbol]; !ok {
			lost = append(lost, fmt.Sprintf("position %s %s: gone", p.Qty, p.Symbol))
		} else if !sameNumber(qty, p.Qty) {
			lost = append(lost, fmt.Sprintf("position %s: %s before, %s now", p.Symbol, p.Qty, qty))
		}
	}
	still := map[string]Order{}
	for _, o := range now.OpenOrders {
		still[o.ID] = o
	}
	for _, o := range snap.Survey.OpenOrders {
		if open, ok := still[o.ID]; ok {
			if !sameFill(open, o) {
				lost = append(lost, fmt.Sprintf("order %s %s %s: open, %s filled", o.Side, o.Qty, o.Symbol, open.FilledQty))
			}
			continue
		}
		became, err := e.became(ctx, pair, o)
		if err != nil {
			return nil, err
		}
		lost = append(lost, fmt.Sprintf("order %s %s %s: %s", o.Side, o.Qty, o.Symbol, became))
	}
	return lost, nil
}

// sameFill reports whether as much of the order is filled as before.
func sameFill(now, before Order) bool {
	return zero(now.FilledQty) && zero(before.FilledQty) || sameNumber(now.FilledQty, before.FilledQty)
}

// became says what happened to an order that is not open any more: how it
// ended, or "gone" if the account no longer knows it.
func (e *Engine) became(ctx context.Context, pair Pair, o Order) (string, error) {
	orders, err := retry(ctx, e.limits.Read, true, nil, func(ctx context.Context) ([]Order, error) {
		return e.cfg.Book.Orders(ctx, pair, o.ClientID, o.CreatedAt)
	})
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil: // listed as it is: the comparison never blocks
		return "not open any more; how it ended could not be read", nil //nolint:nilerr // see above
	case len(orders) == 0:
		return "gone", nil
	}
	if end := orders[0]; end.Status != "filled" && !zero(end.FilledQty) {
		return end.Status + ", " + end.FilledQty + " filled", nil
	}
	return orders[0].Status, nil
}

func summaryFacts(s Summary) []Fact {
	facts := []Fact{
		{Name: "exposed", Label: "Exposed", Value: exposedText(s.ExposedMS, s.ExposedMaxMS)},
		{Name: "paste_to_verified", Label: "Paste to verified", Value: strconv.FormatInt(s.PasteToVerified, 10) + " ms"},
		{Name: "next_due", Label: "Next due", Value: s.NextDue},
		{Name: "compared", Label: "Against the snapshot", Value: "nothing is missing"},
	}
	if len(s.Lost) > 0 {
		facts[3].Value = strconv.Itoa(len(s.Lost)) + " differences"
	}
	return facts
}

func exposedText(took, atMost int64) string {
	sec := func(ms int64) string {
		if ms < 1000 {
			return strconv.FormatInt(ms, 10) + " ms"
		}
		if ms < 10_000 {
			return strconv.FormatFloat(float64(ms)/1000, 'f', 1, 64) + " s"
		}
		return strconv.FormatInt((ms+500)/1000, 10) + " s"
	}
	if atMost <= took {
		return sec(took)
	}
	return sec(took) + " (at most " + sec(atMost) + ")"
}
