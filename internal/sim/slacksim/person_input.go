package slacksim

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

func copyOf(m map[string]string) map[string]string { return maps.Clone(m) }

// Type puts text into an input of the modal in front, in place of what was
// there. field is the label, block_id or action_id. A field for one line drops
// line breaks, as browsers do. The bot learns of it on submit, or at once if
// the input dispatches on every character.
func (w *Workspace) Type(ctx context.Context, userID, field, text string) error {
	return w.enter(ctx, userID, field, func(p place, state object) error {
		if _, ok := state["value"]; !ok {
			return fmt.Errorf("field %q is a %s: use Select", field, p.kind)
		}
		if p.element["multiline"] != true {
			text = strings.NewReplacer("\r", "", "\n", "").Replace(text)
		}
		state["value"] = text
		if text == "" {
			state["value"] = nil
		}
		return nil
	})
}

// Select sets what is chosen in an input of the modal in front: options by
// their text or value, in place of what was chosen; none clears it. Pickers of
// dates, times, users and channels take the bare value.
func (w *Workspace) Select(ctx context.Context, userID, field string, options ...string) error {
	return w.enter(ctx, userID, field, func(p place, state object) error {
		return choose(p, state, options)
	})
}

// Check ticks options and leaves the others as they are.
func (w *Workspace) Check(ctx context.Context, userID, field string, options ...string) error {
	return w.enter(ctx, userID, field, func(p place, state object) error {
		_, now := chosen(state)
		return choose(p, state, append(now, options...))
	})
}

// Uncheck takes ticks away and leaves the other options as they are.
func (w *Workspace) Uncheck(ctx context.Context, userID, field string, options ...string) error {
	return w.enter(ctx, userID, field, func(p place, state object) error {
		_, now := chosen(state)
		for _, name := range options {
			o, err := findOption(p, name)
			if err != nil {
				return err
			}
			now = slices.DeleteFunc(now, func(v string) bool { return v == o["value"] })
		}
		return choose(p, state, now)
	})
}

// choose writes the chosen options into a state.
func choose(p place, state object, names []string) error {
	for key, old := range state {
		_, many := old.([]any)
		switch {
		case key == "type":
			continue
		case key == "value":
			return fmt.Errorf("field is a %s: use Type", p.kind)
		case !many && len(names) > 1:
			return fmt.Errorf("a %s takes one option, not %d", p.kind, len(names))
		}
		picked := []any{}
		for _, name := range names {
			var v any = name
			if strings.HasPrefix(key, "selected_option") {
				o, err := findOption(p, name)
				if err != nil {
					return err
				}
				v = o
			}
			if !slices.ContainsFunc(picked, func(x any) bool { return same(x, v) }) {
				picked = append(picked, v)
			}
		}
		switch {
		case many:
			state[key] = picked
		case len(picked) == 0:
			state[key] = nil
		default:
			state[key] = picked[0]
		}
	}
	return nil
}

func same(a, b any) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}

// findOption returns the option with this value or text.
func findOption(p place, name string) (object, error) {
	var texts []string
	for _, o := range optionsOf(p.element) {
		if o["value"] == name || textIn(o["text"]) == name {
			return o, nil
		}
		texts = append(texts, textIn(o["text"]))
	}
	return nil, fmt.Errorf("no option %q; there is %q", name, texts)
}

// enter changes the state of one field. An element outside an input block, or
// with dispatch_action, sends block_actions.
func (w *Workspace) enter(ctx context.Context, userID, field string, change func(place, object) error) error {
	w.mu.Lock()
	u, err := w.actor(userID)
	v := w.topView(userID)
	var at place
	switch {
	case err != nil:
	case v == nil:
		err = ErrNoModal
	case v.busy:
		err = ErrBusy
	default:
		if at, err = findField(v.body, field); err == nil {
			err = change(at, v.state[at.block][at.action])
		}
	}
	if err != nil {
		w.mu.Unlock()
		return err
	}
	if !dispatches(at) {
		defer w.mu.Unlock()
		w.notify()
		return nil
	}
	payload := w.viewAction(u, v, w.action(at, v.state[at.block][at.action]))
	w.notify()
	w.mu.Unlock()
	_, err = w.press(ctx, payload, at)
	return err
}

// dispatches reports whether a change is sent at once. Text is sent on enter
// unless the input asks for every character.
func dispatches(p place) bool {
	if p.input && p.parent["dispatch_action"] != true {
		return false
	}
	if !hasValue(p.kind) {
		return true
	}
	config, _ := p.element["dispatch_action_config"].(object)
	on, _ := config["trigger_actions_on"].([]any)
	return slices.Contains(on, any("on_character_entered"))
}

// hasValue reports whether an element is typed into.
func hasValue(kind string) bool {
	_, ok := emptyState(kind)["value"]
	return ok
}

// findField returns the element with this label, block_id or action_id.
func findField(body object, field string) (place, error) {
	var labels []string
	for _, p := range places(body) {
		if emptyState(p.kind) == nil {
			continue
		}
		label := textIn(p.parent["label"])
		if strings.EqualFold(label, field) && field != "" || p.block == field || p.action == field {
			return p, nil
		}
		labels = append(labels, label)
	}
	return place{}, fmt.Errorf("no field %q in this view; there is %q", field, labels)
}

// findButton returns the button with this action_id or text; value tells
// several of them apart.
func findButton(body object, button string, value []string) (place, error) {
	var found []place
	var texts []string
	for _, p := range places(body) {
		if p.kind != "button" {
			continue
		}
		text := textIn(p.element["text"])
		texts = append(texts, text)
		v, _ := p.element["value"].(string)
		if (p.action == button || text == button) && (len(value) == 0 || v == value[0]) {
			found = append(found, p)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return place{}, fmt.Errorf("no button %q %q; there is %q", button, value, texts)
	}
	return place{}, fmt.Errorf("%d buttons %q: tell them apart by value", len(found), button)
}

// clientErrors returns what Slack's client finds wrong before it submits.
func clientErrors(v *view) map[string]string {
	found := map[string]string{}
	for _, p := range places(v.body) {
		if !p.input {
			continue
		}
		text, values := chosen(v.state[p.block][p.action])
		n := utf8.RuneCountInString(text)
		switch {
		case n == 0 && len(values) == 0:
			if p.parent["optional"] != true {
				found[p.block] = "Please complete this required field."
			}
		case exceeds(json.Number(fmt.Sprint(n)), number(p.element["max_length"])):
			found[p.block] = fmt.Sprintf("Please enter fewer than %s characters.", number(p.element["max_length"]))
		case exceeds(number(p.element["min_length"]), json.Number(fmt.Sprint(n))):
			found[p.block] = fmt.Sprintf("Please enter at least %s characters.", number(p.element["min_length"]))
		}
	}
	return found
}

func number(v any) json.Number {
	n, _ := v.(json.Number)
	return n
}
