package slacksim

import (
	"fmt"
	"regexp"
	"time"
)

// A trigger lets the bot open one view soon after a person acted.
type trigger struct {
	at     time.Time
	user   string
	viewID string // of the modal that it came from, "" if from none
	used   bool
}

// newTrigger returns a trigger_id such as "132456.7890123.abcdef"; w.mu is held.
func (w *Workspace) newTrigger(user, viewID string) string {
	w.counter++
	id := fmt.Sprintf("%d.%d.%s", 1_000_000_000+w.counter, 7_000_000_000+w.counter, random(16))
	w.triggers[id] = &trigger{at: w.cfg.Now(), user: user, viewID: viewID}
	return id
}

// exchange looks a trigger up. It is used up only by take, so that a call with
// a wrong view does not cost the trigger.
func (w *Workspace) exchange(c *call) (*trigger, answer) {
	id := c.str("trigger_id")
	if id == "" {
		return nil, missing("trigger_id")
	}
	t := w.triggers[id]
	switch {
	case !regexp.MustCompile(`^\d+\.\d+\.[0-9a-f]+$`).MatchString(id) || t == nil:
		return nil, fail("invalid_trigger_id")
	case t.used:
		return nil, fail("exchanged_trigger_id")
	case w.cfg.Now().Sub(t.at) > w.openIn:
		return nil, fail("expired_trigger_id")
	}
	return t, answer{}
}
