package slackbot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/raxx-app/keyturn/internal/commands"
	"github.com/raxx-app/keyturn/internal/modals"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// A Sentinel knows how the stored pair of a key set is.
type Sentinel interface {
	Seen(ctx context.Context, keyset string) (rotation.Seen, error)
}

// A Calendar knows when key sets are due that were never rotated, and which
// reminders are put off. Each answer is a calendar day, 2027-05-21, or "":
// firstSeen is the day from which due is counted, snoozed the day until which
// nobody is reminded.
type Calendar interface {
	Due(ctx context.Context, keyset string) (due, firstSeen, snoozed string, err error)
}

// homeEvents is how many rotations of a key set Home shows.
const homeEvents = 5

// mayOpen reports whether a person would be let into a rotation.
func (b *Bot) mayOpen(who rotation.Actor) bool {
	return b.gate.May(who, commands.ActOpen, commands.Subject{}) == nil
}

// cards returns what is known of every key set, with as many rotations of its
// history. What cannot be read is left out, and the card says so.
func (b *Bot) cards(ctx context.Context, history int) []modals.Card {
	names := b.cfg.Engine.KeySets()
	all := make([]modals.Card, 0, len(names))
	for _, name := range names {
		all = append(all, b.card(ctx, name, history))
	}
	return all
}

func (b *Bot) card(ctx context.Context, keyset string, history int) modals.Card {
	c := modals.Card{Overview: rotation.Overview{Past: rotation.Record{KeySet: keyset}, Now: b.cfg.Now().UTC()}}
	unread := func(what string, err error) {
		if err != nil {
			b.warn(ctx, "read "+what, err)
			c.Problem = "Not all of this could be read (" + what + "). Look in the bot's log."
		}
	}
	rec, err := b.cfg.Engine.Remembered(ctx, keyset)
	unread("the record", err)
	if err == nil {
		c.Past, c.Due = rec, rec.NextDue
		c.Past.KeySet = keyset
	}
	last, err := b.overviewOf(ctx, keyset, rec.Last)
	unread("the rotation", err)
	switch {
	case err == nil && last.Rotation.Outcome == rotation.Open && last.Rotation.ID != "":
		c.Overview = last
	case err == nil:
		c.Targets = last.Targets
	}
	if b.cfg.Calendar != nil {
		c.Due, c.FirstSeen, c.Snoozed, err = b.cfg.Calendar.Due(ctx, keyset)
		unread("the due date", err)
	}
	if b.cfg.Sentinel != nil {
		seen, err := b.cfg.Sentinel.Seen(ctx, keyset)
		unread("what the sentinel saw", err)
		if err == nil {
			c.Seen = &seen
		}
	}
	if c.RollCall, err = b.cfg.Asker.RollCall(ctx, keyset); err != nil {
		unread("the roll-call", err)
	}
	if history > 0 {
		c.History, err = b.home.history(ctx, keyset, c, history)
		unread("the history", err)
	}
	c.Tokens = b.tokens(ctx, keyset, last)
	return c
}

// A pastOf is the history of a key set as it was when asked for.
type pastOf struct {
	key  string
	past []rotation.Past
}

// history returns the rotations of a key set that are over. To find them the
// engine reads every rotation there is, so it is asked only when one was opened
// or has ended since.
func (h *home) history(ctx context.Context, keyset string, c modals.Card, limit int) ([]rotation.Past, error) {
	key := fmt.Sprintf("%d/%s", c.Past.Rev, c.Rotation.ID)
	h.mu.Lock()
	known := h.pasts[keyset]
	h.mu.Unlock()
	if known.key == key {
		return known.past, nil
	}
	past, err := h.b.cfg.Asker.History(ctx, keyset, limit+1)
	if err != nil {
		return nil, err
	}
	past = slices.DeleteFunc(slices.Clone(past), func(p rotation.Past) bool { return p.Outcome == rotation.Open })
	past = past[:min(len(past), limit)]
	h.mu.Lock()
	h.pasts[keyset] = pastOf{key, past}
	h.mu.Unlock()
	return past, nil
}

// overviewOf returns the open rotation of a key set, or else last, its last
// one; the zero Overview if there is neither.
func (b *Bot) overviewOf(ctx context.Context, keyset string, last rotation.ID) (rotation.Overview, error) {
	id, err := b.cfg.Engine.Active(ctx, keyset)
	switch {
	case errors.Is(err, rotation.ErrNotFound):
		id = last
	case err != nil:
		return rotation.Overview{}, err
	}
	if id == "" {
		return rotation.Overview{}, nil
	}
	return b.cfg.Engine.Look(ctx, id)
}

// past returns the histories that are asked for: of one key set, or a few
// rotations of each.
func (b *Bot) past(ctx context.Context, keyset string) []modals.Card {
	names, limit := b.cfg.Engine.KeySets(), pastFew
	if keyset = b.only(keyset); keyset != "" {
		names, limit = []string{keyset}, pastMost
	}
	all := make([]modals.Card, 0, len(names))
	for _, name := range names {
		c := modals.Card{Overview: rotation.Overview{Past: rotation.Record{KeySet: name}, Now: b.cfg.Now().UTC()}}
		var err error
		if c.History, err = b.cfg.Asker.History(ctx, name, limit); err != nil {
			b.warn(ctx, "read history", err)
			c.Problem = "The history could not be read. Look in the bot's log."
		}
		all = append(all, c)
	}
	return all
}

// tokenFact is the name of the fact in which a consumer says when the token
// that the bot uses for it ends.
const tokenFact = "token_expires"

// tokensPrefix starts the keys under which it is kept what the newest check
// said of the bot's own tokens: + key set.
const tokensPrefix = "tokens/"

// A tokensRecord is what a check said of the bot's own tokens.
type tokensRecord struct {
	At    time.Time       `json:"at"`
	Facts []rotation.Fact `json:"facts,omitempty"`
}

// Checked takes note of a report: Home shows what it says of the bot's own
// tokens. Whoever else has step 1 tried, on a clock, calls it too.
func (b *Bot) Checked(ctx context.Context, r rotation.Report) {
	body, err := json.Marshal(tokensRecord{At: r.At, Facts: tokensIn(r.Items)})
	if err == nil {
		_, err = b.cfg.Store.Txn(ctx, nil, []rotation.Op{{Key: tokensPrefix + r.KeySet, Value: body}})
	}
	b.warn(ctx, "remember tokens", err)
	b.home.changed()
}

// tokens returns what is known of when the bot's own tokens end: from the
// newest check, or step 1 of the last rotation if that is newer.
func (b *Bot) tokens(ctx context.Context, keyset string, last rotation.Overview) []rotation.Fact {
	var rec tokensRecord
	kv, err := b.cfg.Store.Get(ctx, tokensPrefix+keyset)
	if err == nil {
		err = json.Unmarshal(kv.Value, &rec)
	}
	if !errors.Is(err, rotation.ErrNotFound) {
		b.warn(ctx, "read tokens", err)
	}
	if last.Rotation.ID != "" && len(last.Rotation.Steps) > 0 && last.Rotation.Opened.After(rec.At) {
		if facts := tokensIn(last.Rotation.Step(rotation.StepPrecheck).Items); len(facts) > 0 {
			return facts
		}
	}
	return rec.Facts
}

func tokensIn(items []rotation.Item) []rotation.Fact {
	var found []rotation.Fact
	for _, it := range items {
		for _, f := range it.Facts {
			if f.Name == tokenFact && !slices.Contains(found, f) {
				found = append(found, f)
			}
		}
	}
	return found
}
