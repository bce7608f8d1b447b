package slacksim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Trouble is what Slack shows when a modal's answer is missing or wrong
// (bolt-js issue 1978).
const Trouble = "We had some trouble connecting. Try again?"

// A CommandResult is what a person sees after a slash command.
type CommandResult struct {
	Reply *Message // the app's direct answer, nil if there is none
	Err   string   // Slack's own error line, "" if all went well
}

func errNotThere(userID, channelID string) error {
	return fmt.Errorf("user %s is not in channel %s", userID, channelID)
}

// Command types a slash command in a channel and waits for its ack. An error
// means that the person cannot do that at all; what Slack shows when the app
// fails is in the result. Only people of this workspace can use commands:
// they are not shared over Slack Connect.
func (w *Workspace) Command(ctx context.Context, userID, channelID, command, text string) (CommandResult, error) {
	w.mu.Lock()
	u, err := w.actor(userID)
	r := w.channels[channelID]
	switch {
	case err != nil:
	case r == nil || !r.has(userID):
		err = errNotThere(userID, channelID)
	case !slices.Contains(w.cfg.Commands, command) || !slices.Contains(w.cfg.Scopes, "commands") || u.TeamID != w.cfg.TeamID && !slices.Contains(u.Teams, w.cfg.TeamID):
		w.mu.Unlock()
		return CommandResult{Err: command + " is not a valid command."}, nil
	}
	if err != nil {
		w.mu.Unlock()
		return CommandResult{}, err
	}
	payload, url := w.commandPayload(u, r, command, text)
	w.mu.Unlock()

	ack, err := w.deliver(ctx, &envelope{typ: "slash_commands", kind: "slash_commands", answerable: true, payload: payload})
	if errors.Is(err, ErrTimeout) || errors.Is(err, ErrNoSocket) {
		return CommandResult{Err: fmt.Sprintf("%s failed with the error %q", command, err.Error())}, nil
	}
	if err != nil {
		return CommandResult{}, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.commandReply(url, command, ack), nil
}

// commandReply shows the message in the ack of a command, if there is one. What
// Slack shows for a message that is not valid is not documented.
func (w *Workspace) commandReply(url *responseURL, command string, ack json.RawMessage) CommandResult {
	if !hasPayload(ack) {
		return CommandResult{}
	}
	v, err := decode(ack)
	args, ok := v.(object)
	c := &call{args: args, json: true}
	text, blocks, _, a := content(c, maxPostText)
	if err != nil || !ok || a.err != "" {
		w.problem(strings.TrimSpace("answer to " + command + " is not a valid message " + strings.Join(a.messages, "; ")))
		return CommandResult{Err: fmt.Sprintf("%s failed with the error %q", command, "invalid_command_response")}
	}
	m := w.seen(w.reply(url, c.str("response_type"), text, blocks))
	return CommandResult{Reply: &m}
}

// A PressResult is what a person sees after pressing something.
type PressResult struct {
	Dialog string // the question of the button's confirmation dialog, "" without one
	URL    string // the page that the button opened, "" for none
	Err    string // the warning that Slack shows when the app did not answer
}

// press sends a block_actions payload and waits for its ack, whose payload
// Slack ignores.
func (w *Workspace) press(ctx context.Context, payload object, p place) (PressResult, error) {
	res := PressResult{Dialog: w.dialog(p.element)}
	res.URL, _ = p.element["url"].(string)
	_, err := w.deliver(ctx, &envelope{typ: "interactive", kind: "block_actions", answerable: true, payload: payload})
	if errors.Is(err, ErrTimeout) || errors.Is(err, ErrNoSocket) {
		res.Err, err = err.Error(), nil
	}
	return res, err
}

// dialog returns the text of an element's confirmation dialog.
func (w *Workspace) dialog(element object) string {
	o, ok := element["confirm"].(object)
	if !ok {
		return ""
	}
	return strings.Join([]string{textIn(o["title"]), w.mrkdwn(textIn(o["text"])), "[" + textIn(o["confirm"]) + "] [" + textIn(o["deny"]) + "]"}, "\n")
}

// OpenHome opens the app's home tab: Slack sends app_home_opened on every
// visit, until the bot acknowledges it. OpenHome waits for that, and returns
// false if the bot never did.
func (w *Workspace) OpenHome(ctx context.Context, userID string) (bool, error) {
	w.mu.Lock()
	u, err := w.actor(userID)
	var dm *room
	var code string
	if err == nil {
		if dm, code = w.openDM(userID); code != "" {
			err = errors.New(code)
		}
	}
	if err != nil {
		w.mu.Unlock()
		return false, err
	}
	payload := w.homeOpened(u, dm.ID)
	w.mu.Unlock()
	ok := w.deliverEvent(ctx, "app_home_opened", payload)
	return ok, ctx.Err()
}

// Home returns the home tab that was published for a person.
func (w *Workspace) Home(userID string) (View, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	v := w.homes[userID]
	if v == nil {
		return View{}, false
	}
	return w.viewSeen(v), true
}

// WaitHome waits until a person's home tab satisfies ok and returns it. ok may
// call the workspace.
func (w *Workspace) WaitHome(ctx context.Context, userID string, ok func(View) bool) (View, error) {
	return waitFor(ctx, w, func() []View { return w.viewsSeen(w.homes[userID]) }, ok)
}

// PressHome presses a button in the home tab; see [Workspace.Press].
func (w *Workspace) PressHome(ctx context.Context, userID, button string, value ...string) (PressResult, error) {
	w.mu.Lock()
	v := w.homes[userID]
	if v == nil {
		w.mu.Unlock()
		return PressResult{}, ErrNoModal
	}
	return w.pressView(ctx, v, button, value)
}

// PressMessage presses a button of a message, found by its action_id or text,
// and where several match by its value. A confirmation dialog is answered with
// yes; its text is in the result. External people of a shared channel can press
// too. Clients let people press a button again at any time.
func (w *Workspace) PressMessage(ctx context.Context, userID, channelID, ts, button string, value ...string) (PressResult, error) {
	w.mu.Lock()
	u, err := w.actor(userID)
	r := w.channels[channelID]
	p := w.find(channelID, ts)
	switch {
	case err != nil:
	case r == nil || !r.has(userID):
		err = errNotThere(userID, channelID)
	case p == nil || !p.visibleTo(userID):
		err = ErrNoMessage
	}
	var at place
	if err == nil {
		at, err = findButton(object{"blocks": p.blocks}, button, value)
	}
	if err != nil {
		w.mu.Unlock()
		return PressResult{}, err
	}
	payload := w.messageAction(u, r, p, w.action(at, nil))
	w.mu.Unlock()
	return w.press(ctx, payload, at)
}
