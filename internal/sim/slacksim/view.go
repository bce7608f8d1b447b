package slacksim

import (
	"maps"
	"slices"
	"strconv"
)

// A view is a modal on somebody's screen, or a home tab.
type view struct {
	id, hash   string
	rootID     string
	previousID string
	user       string
	home       bool
	stack      *stack // nil for a home tab
	body       object // as the app sent it, with ids filled in
	state      map[string]map[string]object
	errors     map[string]string // texts under inputs, by block id
	trouble    string            // general error on the screen
	busy       bool              // a submission waits for its answer
}

// A stack is one modal window: up to three views, the last is on top.
type stack struct{ views []*view }

func (s *stack) top() *view { return s.views[len(s.views)-1] }

// str returns a string field of the view's body.
func (v *view) str(name string) string {
	s, _ := v.body[name].(string)
	return s
}

func (v *view) flag(name string) bool { return v.body[name] == true }

// newView builds a view from what the app sent; w.mu is held.
func (w *Workspace) newView(user string, body object) *view {
	v := &view{id: w.id("V"), user: user}
	v.rootID = v.id
	w.fill(v, body)
	return v
}

// fill gives a view its content, a new hash and the ids that the app left out.
// Values stay where block_id and action_id stay the same (docs.slack.dev,
// surfaces/modals); every other input starts from its initial value.
func (w *Workspace) fill(v *view, body object) {
	v.body, v.errors, v.trouble = body, nil, ""
	v.home = v.str("type") == "home"
	w.giveIDs(body)
	w.counter++
	v.hash = strconv.FormatInt(w.cfg.Now().Unix(), 10) + "." + random(4)
	old := v.state
	v.state = map[string]map[string]object{}
	for _, p := range places(body) {
		value := emptyState(p.kind)
		if value == nil {
			continue
		}
		setInitial(value, p.element)
		if kept := old[p.block][p.action]; kept != nil && kept["type"] == p.kind {
			value = kept
		}
		if v.state[p.block] == nil {
			v.state[p.block] = map[string]object{}
		}
		v.state[p.block][p.action] = value
	}
}

// giveIDs generates missing block_ids and action_ids, as Slack does.
func (w *Workspace) giveIDs(body object) {
	blocks, _ := body["blocks"].([]any)
	for _, b := range blocks {
		block, _ := b.(object)
		if id, _ := block["block_id"].(string); id == "" {
			block["block_id"] = random(3)
		}
	}
	for _, p := range places(body) {
		if p.action == "" && p.kind != "image" {
			p.element["action_id"] = random(3)
		}
	}
}

// A place is an element with the ids by which its value is kept.
type place struct {
	block, action, kind string
	parent, element     object
	input               bool // stands in an input block
}

// places lists the elements of a body's blocks in the order of the screen.
func places(body object) []place {
	var list []place
	blocks, _ := body["blocks"].([]any)
	for _, b := range blocks {
		block, _ := b.(object)
		id, _ := block["block_id"].(string)
		var elements []any
		switch block["type"] {
		case "input":
			elements = []any{block["element"]}
		case "section":
			elements = []any{block["accessory"]}
		case "actions":
			elements, _ = block["elements"].([]any)
		}
		for _, e := range elements {
			element, ok := e.(object)
			if !ok {
				continue
			}
			action, _ := element["action_id"].(string)
			kind, _ := element["type"].(string)
			list = append(list, place{id, action, kind, block, element, block["type"] == "input"})
		}
	}
	return list
}

// response returns a view as responses and payloads carry it
// (testdata/contracts/slack/samples/views.open.json).
func (w *Workspace) response(v *view) object {
	values := map[string]map[string]object{}
	for block, actions := range v.state {
		values[block] = map[string]object{}
		for action, value := range actions {
			values[block][action] = maps.Clone(value)
		}
	}
	o := object{
		"id": v.id, "team_id": w.cfg.TeamID, "type": v.str("type"), "blocks": v.body["blocks"],
		"private_metadata": v.str("private_metadata"), "callback_id": v.str("callback_id"), "external_id": v.str("external_id"),
		"state": object{"values": values}, "hash": v.hash, "title": v.body["title"], "submit": v.body["submit"], "close": v.body["close"],
		"clear_on_close": v.flag("clear_on_close"), "notify_on_close": v.flag("notify_on_close"), "submit_disabled": v.flag("submit_disabled"),
		"root_view_id": v.rootID, "previous_view_id": nil, "app_id": w.cfg.AppID, "app_installed_team_id": w.cfg.TeamID, "bot_id": w.cfg.BotID,
	}
	if v.previousID != "" {
		o["previous_view_id"] = v.previousID
	}
	if v.home {
		o["title"] = object{"type": "plain_text", "text": "View Title", "emoji": true}
	}
	return o
}

// show puts a view on top of a stack, or opens a new one; w.mu is held.
func (w *Workspace) show(v *view, on *stack) {
	if on == nil {
		on = &stack{}
		w.stacks[v.user] = append(w.stacks[v.user], on)
	} else {
		v.rootID, v.previousID = on.views[0].id, on.top().id
	}
	v.stack = on
	on.views = append(on.views, v)
	w.views[v.id] = v
	w.notify()
}

// hide takes a view, and what lies on it, off the screen; w.mu is held. What
// was typed into it is gone.
func (w *Workspace) hide(v *view) {
	at := slices.Index(v.stack.views, v)
	if at < 0 {
		return
	}
	for _, gone := range v.stack.views[at:] {
		delete(w.views, gone.id)
	}
	v.stack.views = v.stack.views[:at]
	if at == 0 {
		w.stacks[v.user] = slices.DeleteFunc(w.stacks[v.user], func(s *stack) bool { return s == v.stack })
	}
	w.notify()
}

// topView returns the view that a person sees, nil if no modal is open. The
// modal that was opened last is in front.
func (w *Workspace) topView(user string) *view {
	open := w.stacks[user]
	if len(open) == 0 {
		return nil
	}
	return open[len(open)-1].top()
}

// externalIDTaken reports whether another view has this external_id.
func (w *Workspace) externalIDTaken(id string, but *view) bool {
	if id == "" {
		return false
	}
	for _, v := range w.views {
		if v != but && v.str("external_id") == id {
			return true
		}
	}
	return false
}
