package slackbot

import (
	"cmp"
	"context"
	"log/slog"
	"strings"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/modals"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// maybeRepeat marks a message whose first try may have arrived.
const maybeRepeat = "(This may be a repeat.) "

// Post posts a rotation's message in the ops channel. With again it says that
// it may be a repeat: Slack has no way to ask whether the first one arrived.
func (b *Bot) Post(ctx context.Context, o rotation.Overview, again bool) (rotation.Posted, error) {
	return b.send(ctx, b.cfg.Channel, "", modals.Channel(o), again)
}

// Update brings a posted message up to date; a repeat changes nothing.
func (b *Bot) Update(ctx context.Context, at rotation.Posted, o rotation.Overview) error {
	return b.edit(ctx, at, modals.Channel(o))
}

// Note posts a note to one person, or to a channel that the bot is in; there
// into a thread, if the note names one that still is.
func (b *Bot) Note(ctx context.Context, to string, n rotation.Note, again bool) (rotation.Posted, error) {
	channel, err := b.dm(ctx, to)
	if err != nil {
		return rotation.Posted{}, err
	}
	if !isChannel(to) {
		return b.send(ctx, channel, "", modals.Note(n), again)
	}
	at, err := b.send(ctx, channel, n.Data[rotation.NoteThread], modals.ChannelNote(n), again)
	if fault.ReasonOf(err) == "thread_not_found" { // the message was deleted: nothing was sent
		return b.send(ctx, channel, "", modals.ChannelNote(n), again)
	}
	return at, err
}

// CloseNote makes a note that was posted say that it is over, because its key set
// was rotated, as past says; a repeat changes nothing. A note that is gone is
// NotFound.
func (b *Bot) CloseNote(ctx context.Context, at rotation.Posted, past rotation.Record) error {
	return b.edit(ctx, at, modals.NoteOver(past))
}

// ClosePage makes a page that was posted say how the forced rotation ended, without
// buttons; a repeat changes nothing. A page that is gone is NotFound.
func (b *Bot) ClosePage(ctx context.Context, at rotation.Posted, o rotation.Overview) error {
	return b.edit(ctx, at, modals.PageOver(o))
}

// isChannel tells a channel from a person and from a direct conversation.
func isChannel(id string) bool { return strings.HasPrefix(id, "C") || strings.HasPrefix(id, "G") }

// Reach tries whether a person, or a channel, can be written to, without
// writing.
func (b *Bot) Reach(ctx context.Context, to string) error {
	_, err := b.dm(ctx, to)
	return err
}

// dm returns the channel in which to can be written to. A DM id works only if
// it is the bot's own DM (G6), which opening it tells.
func (b *Bot) dm(ctx context.Context, to string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	if isChannel(to) {
		c, err := b.api.GetConversationInfoContext(ctx, &slack.GetConversationInfoInput{ChannelID: to})
		if err != nil {
			return "", slackFault("slackbot.dm", err)
		}
		if !c.IsMember {
			return "", &fault.Error{Kind: fault.Denied, Reason: "not_in_channel", Op: "slackbot.dm", User: "The bot is not in that channel.", Fix: "Invite it with /invite."}
		}
		return c.ID, nil
	}
	params := &slack.OpenConversationParameters{Users: []string{to}}
	if strings.HasPrefix(to, "D") {
		params = &slack.OpenConversationParameters{ChannelID: to}
	}
	c, _, _, err := b.api.OpenConversationContext(ctx, params)
	if err != nil {
		return "", slackFault("slackbot.dm", err)
	}
	return c.ID, nil
}

// send posts a message, with thread under another one.
func (b *Bot) send(ctx context.Context, channel, thread string, m modals.Message, again bool) (rotation.Posted, error) {
	if err := modals.CheckMessage(m); err != nil {
		return rotation.Posted{}, b.overLimit(ctx, err)
	}
	text := m.Text
	blocks := m.Blocks
	if again {
		text = maybeRepeat + text
		blocks = append([]slack.Block{slack.NewContextBlock("", slack.NewTextBlockObject(slack.PlainTextType, strings.TrimSpace(maybeRepeat), false, false))}, blocks...)
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	options := []slack.MsgOption{slack.MsgOptionText(text, false), slack.MsgOptionBlocks(blocks...), slack.MsgOptionDisableLinkUnfurl(), slack.MsgOptionDisableMediaUnfurl()}
	if thread != "" {
		options = append(options, slack.MsgOptionTS(thread))
	}
	in, ts, err := b.api.PostMessageContext(ctx, channel, options...)
	if err != nil {
		return rotation.Posted{}, slackFault("slackbot.send", err)
	}
	return rotation.Posted{Channel: in, TS: ts}, nil
}

func (b *Bot) edit(ctx context.Context, at rotation.Posted, m modals.Message) error {
	if err := modals.CheckMessage(m); err != nil {
		return b.overLimit(ctx, err)
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	_, _, _, err := b.api.UpdateMessageContext(ctx, at.Channel, at.TS, slack.MsgOptionText(m.Text, false), slack.MsgOptionBlocks(m.Blocks...))
	return slackFault("slackbot.edit", err)
}

func (b *Bot) overLimit(ctx context.Context, err error) error {
	b.cfg.Log.ErrorContext(ctx, "message breaks Slack's limits", slog.Any("error", err))
	return &fault.Error{Kind: fault.Internal, Reason: "message_over_limit", Op: "slackbot.send", Err: err, User: "A message was too large for Slack.", Fix: "Look in the bot's log."}
}

// complain tells one person what went wrong: in the view if there is one, else
// in the ops channel, seen by them alone.
func (b *Bot) complain(ctx context.Context, user, view string, err error) {
	b.cfg.Log.InfoContext(ctx, "act refused", slog.String("user", user), slog.String("reason", fault.ReasonOf(err)))
	why := refusal(err)
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	if view != "" {
		_, updateErr := b.api.UpdateViewContext(ctx, why.View(), "", "", view)
		b.warn(ctx, "views.update", slackFault("slackbot.complain", updateErr))
		return
	}
	b.whisper(ctx, b.cfg.Channel, user, why)
}

// tell answers somebody who pressed a button: on top of the modal in which they
// pressed it, else beside the message, seen by them alone. Not everybody who
// gets direct messages is in the ops channel.
func (b *Bot) tell(ctx context.Context, call slack.InteractionCallback, why modals.Refusal) {
	if call.View.ID != "" {
		_, err := b.side(ctx, call, why.View())
		if err == nil {
			return
		}
		b.warn(ctx, "views.push", err) // the trigger is used up, say
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	b.whisper(ctx, cmp.Or(call.Channel.ID, b.cfg.Channel), call.User.ID, why)
}

// whisper posts in a channel, seen by one person alone.
func (b *Bot) whisper(ctx context.Context, channel, user string, why modals.Refusal) {
	m := why.Message()
	_, err := b.api.PostEphemeralContext(ctx, channel, user, slack.MsgOptionText(m.Text, false), slack.MsgOptionBlocks(m.Blocks...))
	b.warn(ctx, "chat.postEphemeral", slackFault("slackbot.whisper", err))
}

// openView opens a modal and returns its ID. It is the first call after a
// command: a trigger lives 3 s and works once.
func (b *Bot) openView(ctx context.Context, trigger string, v slack.ModalViewRequest) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, openLimit)
	defer cancel()
	opened, err := b.api.OpenViewContext(ctx, trigger, v)
	if err != nil {
		return "", slackFault("slackbot.openView", err)
	}
	return opened.ID, nil
}
