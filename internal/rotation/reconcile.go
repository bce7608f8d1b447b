package rotation

import (
	"context"
	"time"
)

// removed is the detail of an item whose consumer is no longer configured.
const removed = "removed from bot.yml"

// reconcile brings the consumers of an open rotation in line with bot.yml (3.4
// of the design): they are matched by name; one that was removed is skipped
// and says so, one that is new or was changed is pending.
func (e *Engine) reconcile(ctx context.Context, r *run) error {
	return r.update(ctx, func(cur *Rotation, c *change) error {
		c.quiet = true
		for _, name := range []StepName{StepPrecheck, StepPropagate, StepVerify} {
			s := cur.Step(name)
			if name == StepPrecheck && s.State.Settled() {
				continue // it is history
			}
			for _, what := range append(s.dropGone(r.set, e.now()), s.renewChanged(r.set)...) {
				c.quiet = false
				c.add(cur, name, bot(), "secret.rotate.deviation", map[string]any{"what": what})
			}
		}
		return nil
	})
}

// dropGone skips the items that nobody would ever work on again, and says which.
func (s *Step) dropGone(set *KeySet, now time.Time) (what []string) {
	known := map[string]bool{itemOrder: set.Trader != nil}
	if s.Name == StepPrecheck {
		for _, name := range []string{CheckPair, CheckAccount, CheckVault, CheckShared, CheckAudit} {
			known[name] = true
		}
	}
	for _, t := range set.Targets {
		known[t.Name] = true
	}
	for i := range s.Items {
		if it := &s.Items[i]; !known[it.Name] && !it.State.Settled() {
			was := it.State
			it.State, it.Detail, it.Problem = Skipped, removed, Problem{}
			it.stamp(was, now)
			what = append(what, it.Name+" was "+removed)
		}
	}
	return what
}

// renewChanged has what is new or different done, though the step may have
// ended, and says what differs.
func (s *Step) renewChanged(set *KeySet) (what []string) {
	over := s.State == Done
	for _, t := range set.Targets {
		it := s.Item(t.Name)
		switch {
		case it == nil && over:
			what = append(what, t.Name+" was added to bot.yml") // the step lists it when it begins
		case it != nil && (it.Kind != t.Kind || it.Setup != "" && t.Setup != "" && it.Setup != t.Setup):
			*it = Item{Name: t.Name, Kind: t.Kind, State: Pending, Counts: t.Counts, Setup: t.Setup, Round: it.Round}
			what = append(what, t.Name+" was changed in bot.yml")
		default:
			continue
		}
		if over {
			s.State = Pending
		}
	}
	return what
}
