package rotation

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
)

// setItem changes one item of the flight's step, adding it if it is not there,
// and commits. An item that is running has a start, one that is not has an end.
func (e *Engine) setItem(ctx context.Context, f *flight, name string, set func(*Rotation, *Item)) error {
	return f.update(ctx, func(cur *Rotation, _ *change) error {
		s := cur.Step(f.name)
		it := s.itemOrNew(name)
		was := it.State
		set(cur, it)
		it.stamp(was, e.now())
		cur.waits(s)
		return nil
	})
}

// itemOrNew returns the item called name, which is added if it is not there.
func (s *Step) itemOrNew(name string) *Item {
	if it := s.Item(name); it != nil {
		return it
	}
	s.Items = append(s.Items, Item{Name: name, State: Pending})
	return &s.Items[len(s.Items)-1]
}

// called is what an item is called in a sentence. Consumers keep the name that
// bot.yml gives them.
func (it *Item) called() string {
	if it.Kind == kindCheck || it.Kind == itemOrder {
		return strings.ReplaceAll(it.Name, "_", " ")
	}
	return it.Name
}

// failing says in a sentence which check failed, and how.
func (it *Item) failing() string {
	text := fmt.Sprintf("the check %q failed", it.called())
	if why := strings.TrimSuffix(it.Problem.Text, "."); why != "" {
		text += " (" + why + ")"
	}
	return text
}

// begin marks an item running and returns it. began is false if it does not
// wait to be begun any more: a person has accepted it meanwhile.
func (e *Engine) begin(ctx context.Context, f *flight, name string) (it Item, began bool, err error) {
	err = e.setItem(ctx, f, name, func(_ *Rotation, item *Item) {
		if began = item.State == Pending; began {
			item.State, item.Problem, item.Detail = Running, Problem{}, ""
		}
		it = *item
	})
	return it, began, err
}

// waits says who a running step waits for: for a person once nothing is left
// that goes on by itself.
func (r *Rotation) waits(s *Step) {
	s.WaitsFor = BotActor
	if s.State == Running && !s.openItems() && (s.Name == StepPrecheck || len(s.failedItems()) > 0) {
		s.WaitsFor = r.Operator.ID
	}
}

// stamp sets the times that follow from a change of state.
func (it *Item) stamp(was State, now time.Time) {
	switch it.State {
	case was:
	case Running:
		it.Started, it.Ended, it.Tries = now, time.Time{}, 0
		it.Begun++
	case Pending:
		it.Started, it.Ended = time.Time{}, time.Time{}
	case Done, Failed, Skipped:
		if it.Ended = now; it.Started.IsZero() {
			it.Started = now
		}
	}
}

// failItem marks one item of the flight's step failed with what err says to
// people, with a row of its own: the step may go on for long.
func (e *Engine) failItem(ctx context.Context, f *flight, name string, err error) error {
	return f.update(ctx, func(cur *Rotation, c *change) error {
		s := cur.Step(f.name)
		it := s.itemOrNew(name)
		was := it.State
		it.State, it.Problem = Failed, problemOf(err)
		it.stamp(was, e.now())
		cur.waits(s)
		row := itemContext(*it)
		row["item"], row["round"], row["tries"] = name, s.Round, it.Tries
		c.add(cur, f.name, bot(), "secret.rotate.failed", row)
		return nil
	})
}

// retrying returns the note that [retry] calls before it tries again: people
// see what fails and that the bot goes on by itself.
func (e *Engine) retrying(ctx context.Context, f *flight, name string) func(error) {
	return func(err error) {
		// If this cannot be stored, what follows cannot either, and says so.
		_ = e.setItem(ctx, f, name, func(_ *Rotation, it *Item) {
			it.Tries++
			it.Begun++
			it.Detail = fault.UserText(err) + " The bot tries again by itself."
		})
	}
}

// openItems reports whether an item of the step still has something to do.
func (s *Step) openItems() bool {
	for _, it := range s.Items {
		if it.State == Pending || it.State == Running {
			return true
		}
	}
	return false
}

// pendingItems reports whether an item waits to be begun.
func (s *Step) pendingItems() bool {
	return slices.ContainsFunc(s.Items, func(it Item) bool { return it.State == Pending })
}

// failedItems returns the names of the items that failed and that nobody let
// pass.
func (s *Step) failedItems() []string {
	var names []string
	for _, it := range s.Items {
		if it.State == Failed && it.PassWhy == "" {
			names = append(names, it.Name)
		}
	}
	return names
}

// stepContext is what the audit row of a step holds.
func stepContext(s *Step) map[string]any {
	m := map[string]any{"number": s.Number, "state": string(s.State), "round": s.Round}
	if !s.Started.IsZero() && !s.Ended.IsZero() {
		m["took_ms"] = s.Ended.Sub(s.Started).Milliseconds()
	}
	if s.Problem.Reason != "" {
		m["reason"] = s.Problem.Reason
	}
	if s.State == Skipped {
		m["why"] = s.Note
	}
	if len(s.Facts) > 0 {
		m["evidence"] = factMap(s.Facts)
	}
	if len(s.Items) > 0 {
		items := map[string]any{}
		for _, it := range s.Items {
			items[it.Name] = itemContext(it)
		}
		m["items"] = items
	}
	return m
}

func itemContext(it Item) map[string]any {
	m := map[string]any{"kind": it.Kind, "state": string(it.State)}
	for k, v := range map[string]string{"level": string(it.Level), "detail": clip(it.Detail), "reason": it.Problem.Reason, "passed_because": clip(it.PassWhy), "passed_by": it.PassBy} {
		if v != "" {
			m[k] = v
		}
	}
	if !it.Started.IsZero() {
		m["started"] = stamp(it.Started)
	}
	if !it.Ended.IsZero() {
		m["ended"], m["took_ms"] = stamp(it.Ended), it.Ended.Sub(it.Started).Milliseconds()
	}
	switch {
	case it.Kind == kindOldPair:
		m["attempts"] = it.Tries
	case it.Begun > 0:
		m["attempts"] = it.Begun
	}
	if it.Receipt != nil && it.Receipt.Data[DataPeople] != "" {
		m["told"] = clip(it.Receipt.Data[DataPeople])
	}
	if len(it.Facts) > 0 {
		m["evidence"] = factMap(it.Facts)
	}
	return m
}

func factMap(facts []Fact) map[string]any {
	m := map[string]any{}
	for _, f := range facts {
		m[f.Name] = clip(f.Value)
	}
	return m
}

// Masked returns an account number with all but its last four hidden, as it is
// written everywhere but in the operator's own view.
func Masked(number string) string {
	r := []rune(number)
	if len(r) <= 4 {
		return "…"
	}
	return "…" + string(r[len(r)-4:])
}
