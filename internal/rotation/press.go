package rotation

import (
	"slices"
	"time"
)

// What people press after the click, and what they decide before it. They are
// values of [Press.What].
const (
	PressRetry       = "retry"
	PressAccept      = "accept"
	PressRedo        = "redo"
	PressRegenerate  = "regenerate"
	PressStoreAnyway = "store_anyway"
	PressStoreLater  = "store_later"
	PressAdopt       = "adopt"
	PressUseFor      = "use_for"
	PressItWasMe     = "it_was_me"
)

// A Press is a button that was pressed in time. A later press of the same one
// is answered with it: "already done by @ada at 12:03 UTC" (R88).
type Press struct {
	What  string    `json:"what"` // PressRetry and so on
	Step  StepName  `json:"step"`
	Round int       `json:"round"` // of the step, that the button was made for
	Item  string    `json:"item,omitempty"`
	By    Actor     `json:"by"`
	At    time.Time `json:"at"`
}

// pressesKept is how many presses a rotation remembers.
const pressesKept = 50

// pressed remembers that by pressed a button.
func (r *Rotation) pressed(what string, step StepName, round int, item string, by Actor, now time.Time) {
	r.Presses = append(r.Presses, Press{What: what, Step: step, Round: round, Item: item, By: by, At: now})
	if n := len(r.Presses); n > pressesKept {
		r.Presses = slices.Delete(r.Presses, 0, n-pressesKept)
	}
}

// Pressed returns who pressed a button before, and when: the press of the same
// step and round, else the newest press of a button of that name on that item.
// A press of Retry for a whole step stands for each of its items. It reports
// false if nobody is known to have.
func (r *Rotation) Pressed(what string, step StepName, round int, item string) (Press, bool) {
	var found Press
	for _, p := range slices.Backward(r.Presses) {
		whole := what == PressRetry && p.Item == "" && p.Step == step
		if p.What != what || p.Item != item && !whole {
			continue
		}
		if p.Step == step && p.Round == round {
			return p, true
		}
		if found.What == "" && (what != PressRetry || p.Step == step) {
			found = p
		}
	}
	return found, found.What != ""
}
