package slacksim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// What a client on a screen needs beside what a scripted person does.

// A Room is a channel or a direct message that a person is in.
type Room struct {
	ID   string
	Name string // of a channel
	With string // of a direct message with the bot: the person; "" for a channel
}

// Rooms returns where a person is, ordered by ID.
func (w *Workspace) Rooms(userID string) []Room {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []Room
	for _, id := range sortedKeys(w.channels) {
		if r := w.channels[id]; r.has(userID) {
			list = append(list, Room{ID: id, Name: r.Name, With: r.with})
		}
	}
	return list
}

// A Note is a message with a number that grows whenever it changes. It has no
// [Message.Visible].
type Note struct {
	Message
	N       int
	Deleted bool
}

// Notes returns what changed on a person's screen since have, which is what an
// earlier call returned as now; nil is nothing. At most limit notes are returned,
// oldest first: call again until there are none. After the person's rooms changed
// begin with nil.
func (w *Workspace) Notes(userID string, have []int, limit int) (changed []Note, now []int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now = slices.Clone(have)
	for i, p := range w.posts {
		n := 1 + p.Updates
		if p.deleted {
			n++
		}
		if i < len(now) && now[i] == n {
			continue
		}
		if len(changed) == limit {
			break
		}
		known := i < len(now)
		if known {
			now[i] = n
		} else {
			now = append(now, n)
		}
		r := w.channels[p.Channel]
		if r == nil || !r.has(userID) || p.EphemeralFor != "" && p.EphemeralFor != userID || p.deleted && !known {
			continue
		}
		note := Note{Message: p.Message, N: n, Deleted: p.deleted}
		if len(p.blocks) > 0 {
			note.Blocks, _ = json.Marshal(p.blocks)
		}
		changed = append(changed, note)
	}
	return changed, now
}

// A Sheet is a modal or a home tab with all that a client draws.
type Sheet struct {
	ID      string
	Hash    string
	Depth   int  // views in the stack; 0 for a home tab
	Busy    bool // a submission waits for its answer
	Trouble string
	View    json.RawMessage   // as views.open answers it, without its state
	Values  json.RawMessage   // state.values
	Errors  map[string]string // by block_id
}

// Sheet returns the modal in front of a person; false means none.
func (w *Workspace) Sheet(userID string) (Sheet, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sheet(w.topView(userID))
}

// HomeSheet returns the home tab that was published for a person; false means
// none.
func (w *Workspace) HomeSheet(userID string) (Sheet, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sheet(w.homes[userID])
}

func (w *Workspace) sheet(v *view) (Sheet, bool) {
	if v == nil {
		return Sheet{}, false
	}
	s := Sheet{ID: v.id, Hash: v.hash, Busy: v.busy, Trouble: v.trouble, Errors: map[string]string{}}
	if v.stack != nil {
		s.Depth = len(v.stack.views)
	}
	maps.Copy(s.Errors, v.errors)
	o := w.response(v)
	delete(o, "state")
	s.View, _ = json.Marshal(o)
	s.Values, _ = json.Marshal(v.state)
	return s, true
}

// A Spot is an element on somebody's screen. With a Channel it is in a message,
// with Home in the home tab, else in the modal in front.
type Spot struct {
	Channel, TS       string
	Home              bool
	BlockID, ActionID string
}

// PressAt presses the button at a spot, or chooses options of another element of
// the modal. A confirmation dialog was answered with yes.
func (w *Workspace) PressAt(ctx context.Context, userID string, at Spot, options ...string) (PressResult, error) {
	w.mu.Lock()
	if at.Channel != "" {
		return w.pressMessageAt(ctx, userID, at)
	}
	v := w.topView(userID)
	if at.Home {
		v = w.homes[userID]
	}
	if v == nil {
		w.mu.Unlock()
		return PressResult{}, ErrNoModal
	}
	p, ok := at.in(v.body)
	u, err := w.actor(userID)
	switch {
	case err != nil:
	case !ok:
		err = errGone
	case p.kind != "button" && at.Home:
		err = fmt.Errorf("a %s in a home tab cannot be used here", p.kind)
	}
	if err != nil || p.kind != "button" {
		w.mu.Unlock()
		if err != nil {
			return PressResult{}, err
		}
		return PressResult{}, w.Select(ctx, userID, at.BlockID, options...)
	}
	payload := w.viewAction(u, v, w.action(p, nil))
	w.mu.Unlock()
	return w.press(ctx, payload, p)
}

// errGone is for an element that the bot has taken off the screen meanwhile.
var errGone = errors.New("this button is not there any more")

// pressMessageAt is called with w.mu held and releases it.
func (w *Workspace) pressMessageAt(ctx context.Context, userID string, at Spot) (PressResult, error) {
	u, err := w.actor(userID)
	r, m := w.channels[at.Channel], w.find(at.Channel, at.TS)
	var p place
	switch {
	case err != nil:
	case r == nil || !r.has(userID):
		err = errNotThere(userID, at.Channel)
	case m == nil || !m.visibleTo(userID):
		err = ErrNoMessage
	default:
		var ok bool
		if p, ok = at.in(object{"blocks": m.blocks}); !ok || p.kind != "button" {
			err = errGone
		}
	}
	if err != nil {
		w.mu.Unlock()
		return PressResult{}, err
	}
	payload := w.messageAction(u, r, m, w.action(p, nil))
	w.mu.Unlock()
	return w.press(ctx, payload, p)
}

// in returns the element at the spot.
func (at Spot) in(body object) (place, bool) {
	for _, p := range places(body) {
		if p.block == at.BlockID && p.action == at.ActionID {
			return p, true
		}
	}
	return place{}, false
}
