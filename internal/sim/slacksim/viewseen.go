package slacksim

import "encoding/json"

// A View is a modal or home tab as a person sees it.
type View struct {
	ID              string
	RootID          string
	ExternalID      string
	CallbackID      string
	PrivateMetadata string // not on the screen
	Hash            string
	Title           string
	Submit, Close   string // button texts, "" for no submit button
	Depth           int    // views in the stack; 0 for a home tab
	Busy            bool   // a submission waits for its answer
	Trouble         string // Slack's general error, "" for none
	Raw             json.RawMessage
	Inputs          []Input
	Buttons         []Button

	text string
}

// An Input is one field of a view.
type Input struct {
	BlockID  string
	ActionID string
	Label    string // "" for an element outside an input block
	Hint     string
	Type     string
	Optional bool
	Text     string   // what was typed
	Selected []string // values of the chosen options
	Options  []Option
	Error    string // text under the input, "" for none
}

// An Option is one choice.
type Option struct{ Text, Value, Description string }

// A Button is one button of a view or message.
type Button struct {
	BlockID, ActionID, Text, Value, Style, URL string
	Confirms                                   bool // asks before it does anything
}

// Text returns what a person reads: title, blocks, fields with what is in them
// and the errors below them, buttons.
func (v View) Text() string { return v.text }

// Input returns the field with this label, block_id or action_id.
func (v View) Input(field string) (Input, bool) {
	for _, in := range v.Inputs {
		if in.Label == field || in.BlockID == field || in.ActionID == field {
			return in, true
		}
	}
	return Input{}, false
}

// Button returns the button with this text or action_id.
func (v View) Button(name string) (Button, bool) {
	for _, b := range v.Buttons {
		if b.Text == name || b.ActionID == name {
			return b, true
		}
	}
	return Button{}, false
}

// Errors returns the texts under inputs by label, or by block_id where there is
// no label.
func (v View) Errors() map[string]string {
	found := map[string]string{}
	for _, in := range v.Inputs {
		name := in.Label
		if name == "" {
			name = in.BlockID
		}
		if in.Error != "" {
			found[name] = in.Error
		}
	}
	return found
}

// viewSeen returns a view as its person sees it; w.mu is held.
func (w *Workspace) viewSeen(v *view) View {
	raw, _ := json.Marshal(w.response(v))
	o := View{
		ID: v.id, RootID: v.rootID, ExternalID: v.str("external_id"), CallbackID: v.str("callback_id"),
		PrivateMetadata: v.str("private_metadata"), Hash: v.hash, Title: textIn(v.body["title"]), Submit: textIn(v.body["submit"]),
		Close: textIn(v.body["close"]), Busy: v.busy, Trouble: v.trouble, Raw: raw, Buttons: buttonsOf(v.body),
	}
	if v.stack != nil {
		o.Depth = len(v.stack.views)
	}
	if o.Close == "" && !v.home {
		o.Close = "Close" // what Slack writes without one
	}
	for _, p := range places(v.body) {
		if emptyState(p.kind) != nil {
			o.Inputs = append(o.Inputs, w.inputSeen(v, p))
		}
	}
	o.text = w.visibleView(v)
	return o
}

// viewsSeen is viewSeen for a view that may be nil, which is none; w.mu is held.
func (w *Workspace) viewsSeen(v *view) []View {
	if v == nil {
		return nil
	}
	return []View{w.viewSeen(v)}
}

func (w *Workspace) inputSeen(v *view, p place) Input {
	in := Input{
		BlockID: p.block, ActionID: p.action, Label: textIn(p.parent["label"]), Hint: textIn(p.parent["hint"]),
		Type: p.kind, Optional: p.parent["optional"] == true, Error: v.errors[p.block],
	}
	in.Text, in.Selected = chosen(v.state[p.block][p.action])
	for _, o := range optionsOf(p.element) {
		value, _ := o["value"].(string)
		in.Options = append(in.Options, Option{Text: textIn(o["text"]), Value: value, Description: textIn(o["description"])})
	}
	return in
}

// buttonsOf lists the buttons of a body's blocks.
func buttonsOf(body object) []Button {
	var list []Button
	for _, p := range places(body) {
		if p.kind != "button" {
			continue
		}
		text := func(key string) string {
			s, _ := p.element[key].(string)
			return s
		}
		list = append(list, Button{
			BlockID: p.block, ActionID: p.action, Text: textIn(p.element["text"]), Value: text("value"),
			Style: text("style"), URL: text("url"), Confirms: p.element["confirm"] != nil,
		})
	}
	return list
}
