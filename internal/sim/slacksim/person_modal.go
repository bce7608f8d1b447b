package slacksim

import (
	"context"
	"encoding/json"
	"errors"
)

// ErrNoModal is returned when the person has no modal open, or no home tab.
var ErrNoModal = errors.New("no view is open for this person")

// ErrBusy is returned while a submission waits for its answer.
var ErrBusy = errors.New("the view is being submitted")

// A SubmitResult is what a person sees after pressing a modal's submit button.
type SubmitResult struct {
	Local   bool              // Slack's client found Errors itself; the bot was not asked
	Closed  bool              // the view is gone; the one below it, if any, is in front
	Errors  map[string]string // by block_id; the view stays with what was typed
	Trouble string            // [Trouble] or ""; the view stays with what was typed
}

// Modal returns the modal that a person sees now; false means none.
func (w *Workspace) Modal(userID string) (View, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	v := w.topView(userID)
	if v == nil {
		return View{}, false
	}
	return w.viewSeen(v), true
}

// WaitModal waits until the modal that a person sees satisfies ok and returns it.
// ok may call the workspace.
func (w *Workspace) WaitModal(ctx context.Context, userID string, ok func(View) bool) (View, error) {
	return waitFor(ctx, w, func() []View { return w.viewsSeen(w.topView(userID)) }, ok)
}

// WaitClosed waits until a person has no modal open.
func (w *Workspace) WaitClosed(ctx context.Context, userID string) error {
	return w.wait(ctx, func() bool { return w.topView(userID) == nil })
}

// Press presses a button of the modal in front, found by its action_id or its
// text, and where several match by its value. A confirmation dialog is answered
// with yes; its text is in the result. A button with a URL is sent to the bot too.
func (w *Workspace) Press(ctx context.Context, userID, button string, value ...string) (PressResult, error) {
	w.mu.Lock()
	v := w.topView(userID)
	if v == nil {
		w.mu.Unlock()
		return PressResult{}, ErrNoModal
	}
	return w.pressView(ctx, v, button, value)
}

// pressView presses a button of a view; it is called with w.mu held and
// releases it.
func (w *Workspace) pressView(ctx context.Context, v *view, button string, value []string) (PressResult, error) {
	u, err := w.actor(v.user)
	var at place
	if err == nil {
		at, err = findButton(v.body, button, value)
	}
	if err != nil {
		w.mu.Unlock()
		return PressResult{}, err
	}
	payload := w.viewAction(u, v, w.action(at, nil))
	w.mu.Unlock()
	return w.press(ctx, payload, at)
}

// Submit presses the submit button of the modal in front and waits for the
// answer. Inputs that are required and empty, or too short or too long, are
// found by the client, as in Slack.
func (w *Workspace) Submit(ctx context.Context, userID string) (SubmitResult, error) {
	w.mu.Lock()
	u, err := w.actor(userID)
	v := w.topView(userID)
	switch {
	case err != nil:
	case v == nil:
		err = ErrNoModal
	case v.body["submit"] == nil:
		err = errors.New("the view has no submit button")
	case v.flag("submit_disabled"):
		err = errors.New("the submit button is disabled")
	case v.busy:
		err = ErrBusy
	}
	if err != nil {
		w.mu.Unlock()
		return SubmitResult{}, err
	}
	v.trouble = ""
	if v.errors = clientErrors(v); len(v.errors) > 0 {
		defer w.mu.Unlock()
		w.notify()
		return SubmitResult{Local: true, Errors: copyOf(v.errors)}, nil
	}
	v.busy = true
	payload := w.submission(u, v)
	w.notify()
	w.mu.Unlock()

	ack, err := w.deliver(ctx, &envelope{typ: "interactive", kind: "view_submission", answerable: true, payload: payload})
	w.mu.Lock()
	defer w.mu.Unlock()
	v.busy = false
	defer w.notify()
	switch {
	case errors.Is(err, ErrTimeout) || errors.Is(err, ErrNoSocket):
		return w.trouble(v, ""), nil
	case err != nil:
		return SubmitResult{}, err
	}
	return w.submitted(v, ack), nil
}

// trouble shows Slack's general error. why is for the list of problems: nobody
// at Slack tells the bot.
func (w *Workspace) trouble(v *view, why string) SubmitResult {
	if why != "" {
		w.problem("answer to view_submission: " + why)
	}
	v.trouble = Trouble
	return SubmitResult{Trouble: Trouble}
}

// submitted applies the answer to a submission (docs.slack.dev, surfaces/modals).
func (w *Workspace) submitted(v *view, ack json.RawMessage) SubmitResult {
	if w.views[v.id] != v {
		return SubmitResult{Closed: true} // closed while it waited
	}
	if !hasPayload(ack) {
		w.hide(v)
		return SubmitResult{Closed: true}
	}
	var answer struct {
		Action string            `json:"response_action"`
		View   json.RawMessage   `json:"view"`
		Errors map[string]string `json:"errors"`
	}
	if err := json.Unmarshal(ack, &answer); err != nil {
		return w.trouble(v, "not readable")
	}
	switch answer.Action {
	case "clear":
		w.hide(v.stack.views[0])
		return SubmitResult{Closed: true}
	case "errors":
		return w.submitErrors(v, answer.Errors)
	case "update", "push":
		return w.submitView(v, answer.Action, answer.View)
	}
	return w.trouble(v, "unknown response_action")
}

// submitErrors shows texts under inputs. Every key must be the block_id of an
// input block of the view (slack-go views.go).
func (w *Workspace) submitErrors(v *view, texts map[string]string) SubmitResult {
	inputs := map[string]bool{}
	for _, p := range places(v.body) {
		inputs[p.block] = inputs[p.block] || p.input
	}
	for block := range texts {
		if !inputs[block] {
			return w.trouble(v, "errors has a key that is no input block: "+block)
		}
	}
	if len(texts) == 0 {
		return w.trouble(v, "errors is empty")
	}
	v.errors = texts
	return SubmitResult{Errors: copyOf(texts)}
}

// submitView applies update and push. Nobody tells the bot what was wrong with
// the view: the person sees the general error.
func (w *Workspace) submitView(v *view, action string, raw json.RawMessage) SubmitResult {
	if len(raw) > maxViewBytes {
		return w.trouble(v, "view_too_large")
	}
	body, a := checkedView(raw, "modal")
	if a.err != "" {
		for _, m := range a.messages {
			w.problem("answer to view_submission: " + m)
		}
		return w.trouble(v, a.err)
	}
	id, _ := body["external_id"].(string)
	if action == "update" {
		if w.externalIDTaken(id, v) {
			return w.trouble(v, "duplicate_external_id")
		}
		w.fill(v, body)
		return SubmitResult{}
	}
	switch {
	case w.externalIDTaken(id, nil):
		return w.trouble(v, "duplicate_external_id")
	case len(v.stack.views) >= maxStack:
		return w.trouble(v, "push_limit_reached")
	}
	w.show(w.newView(v.user, body), v.stack)
	return SubmitResult{}
}

// CloseModal closes the modal in front: its close button, or with all the X,
// which ends the whole stack. The bot hears of it only with notify_on_close:
// of the view, or with all of the root view, then with is_cleared. A view with
// clear_on_close ends the stack either way.
func (w *Workspace) CloseModal(ctx context.Context, userID string, all bool) error {
	w.mu.Lock()
	u, err := w.actor(userID)
	v := w.topView(userID)
	if err == nil && v == nil {
		err = ErrNoModal
	}
	if err != nil {
		w.mu.Unlock()
		return err
	}
	all = all || v.flag("clear_on_close")
	if all {
		v = v.stack.views[0]
	}
	notify := v.flag("notify_on_close")
	payload := w.closing(u, v, all)
	w.hide(v)
	w.mu.Unlock()
	if !notify {
		return nil
	}
	_, err = w.deliver(ctx, &envelope{typ: "interactive", kind: "view_closed", answerable: true, payload: payload})
	if errors.Is(err, ErrTimeout) || errors.Is(err, ErrNoSocket) {
		return nil // nobody sees that
	}
	return err
}
