package slacksim

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// A Message is one message that people see.
type Message struct {
	Channel      string
	TS           string
	User         string          // who posted it
	Text         string          // the fallback where there are blocks
	Blocks       json.RawMessage // nil if there are none
	ThreadTS     string
	EphemeralFor string // the only person who sees it, "" for everybody
	Updates      int    // how often it was changed
	Unfurl       bool   // links may unfold
	At           time.Time
	visible      string
}

// Visible returns what a person reads in the message.
func (m Message) Visible() string { return m.visible }

// Buttons returns the message's buttons in the order of the screen.
func (m Message) Buttons() []Button {
	v, err := decode(m.Blocks)
	if err != nil {
		return nil
	}
	return buttonsOf(object{"blocks": v})
}

// A post is a message as the workspace keeps it.
type post struct {
	Message
	blocks  []any
	deleted bool
}

// visibleTo reports whether a person in the channel sees the post.
func (p *post) visibleTo(user string) bool {
	return !p.deleted && (p.EphemeralFor == "" || p.EphemeralFor == user)
}

// Messages returns what was posted to a channel, ephemeral messages of
// everybody included, deleted ones not, oldest first.
func (w *Workspace) Messages(channelID string) []Message {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.messages(channelID)
}

func (w *Workspace) messages(channelID string) []Message {
	var list []Message
	for _, p := range w.posts {
		if p.Channel == channelID && !p.deleted {
			list = append(list, w.seen(p))
		}
	}
	return list
}

// seen returns a copy of a post as people see it.
func (w *Workspace) seen(p *post) Message {
	m := p.Message
	m.visible = w.mrkdwn(p.Text)
	m.Blocks = nil
	if len(p.blocks) > 0 {
		m.Blocks, _ = json.Marshal(p.blocks)
		m.visible = w.visibleBlocks(p.blocks, nil, nil)
	}
	return m
}

// WaitMessage waits until a message of the channel satisfies ok and returns it.
// ok may call the workspace.
func (w *Workspace) WaitMessage(ctx context.Context, channelID string, ok func(Message) bool) (Message, error) {
	return waitFor(ctx, w, func() []Message { return w.messages(channelID) }, ok)
}

// ErrNoMessage is returned for a message that is not there, or that the person
// does not see.
var ErrNoMessage = errors.New("no such message in this channel")

// add puts a post into its channel; w.mu is held.
func (w *Workspace) add(p *post) *post {
	p.TS = w.timestamp()
	p.At = w.cfg.Now().UTC()
	w.giveIDs(object{"blocks": p.blocks})
	w.posts = append(w.posts, p)
	w.notify()
	return p
}

// find returns the post with this ts, nil if there is none.
func (w *Workspace) find(channelID, ts string) *post {
	for _, p := range w.posts {
		if p.Channel == channelID && p.TS == ts && !p.deleted {
			return p
		}
	}
	return nil
}

// messageObject returns a post as responses and payloads carry it.
func (w *Workspace) messageObject(p *post) object {
	o := object{
		"type": "message", "user": p.User, "text": p.Text, "ts": p.TS, "team": w.cfg.TeamID,
		"bot_id": w.cfg.BotID, "app_id": w.cfg.AppID,
	}
	if len(p.blocks) > 0 {
		o["blocks"] = p.blocks
	}
	if p.ThreadTS != "" {
		o["thread_ts"] = p.ThreadTS
	}
	if p.Updates > 0 {
		o["edited"] = object{"user": p.User, "ts": p.TS}
	}
	return o
}

// content reads and checks text and blocks of a message.
func content(c *call, limit int) (text string, blocks []any, hasBlocks bool, a answer) {
	text = c.str("text")
	raw := c.raw("blocks")
	hasBlocks = len(raw) > 0
	if hasBlocks {
		v, err := decode(raw)
		list, ok := v.([]any)
		if err != nil || !ok {
			return "", nil, true, fail("invalid_blocks_format")
		}
		if problems := CheckBlocks(raw); len(problems) > 0 {
			return "", nil, true, answer{err: "invalid_blocks", messages: problems}
		}
		blocks = list
	}
	switch {
	case strings.TrimSpace(text) == "" && len(blocks) == 0:
		return "", nil, hasBlocks, fail("no_text")
	case len([]rune(text)) > limit:
		return "", nil, hasBlocks, fail("msg_too_long")
	}
	return text, blocks, hasBlocks, answer{}
}
