package slacksim

// reach returns the channel that the bot wants to post to. A user id stands
// for the direct message with that person.
func (w *Workspace) reach(id string) (*room, string) {
	if id == "" {
		return nil, "channel_not_found"
	}
	if w.users[id] != nil {
		r, code := w.openDM(id)
		if code == "user_not_found" || code == "user_not_visible" {
			code = "channel_not_found"
		}
		return r, code
	}
	r := w.channels[id]
	switch {
	case r == nil, r.Private && !r.has(w.cfg.BotUserID):
		return nil, "channel_not_found"
	case !r.has(w.cfg.BotUserID):
		return nil, "not_in_channel"
	case r.Archived:
		return nil, "is_archived"
	}
	return r, ""
}

// unfurl reports whether the links of a message may unfold: yes unless the app
// says no to both kinds.
func unfurl(c *call) bool {
	links, media := c.args["unfurl_links"], c.args["unfurl_media"]
	off := func(v any) bool { return v == false || v == "false" || v == "0" }
	return !off(links) || !off(media)
}

// chatPostMessage serves chat.postMessage.
func (w *Workspace) chatPostMessage(c *call) answer {
	r, code := w.reach(c.str("channel"))
	if code != "" {
		return fail(code)
	}
	text, blocks, _, a := content(c, maxPostText)
	if a.err != "" {
		return a
	}
	thread := c.str("thread_ts")
	if thread != "" && w.find(r.ID, thread) == nil {
		return fail("thread_not_found")
	}
	p := w.add(&post{blocks: blocks, Message: Message{
		Channel: r.ID, User: w.cfg.BotUserID, Text: text, ThreadTS: thread, Unfurl: unfurl(c),
	}})
	return answer{body: object{"channel": r.ID, "ts": p.TS, "message": w.messageObject(p)}}
}

// chatPostEphemeral serves chat.postEphemeral.
func (w *Workspace) chatPostEphemeral(c *call) answer {
	user := c.str("user")
	if user == "" {
		return missing("user")
	}
	r, code := w.reach(c.str("channel"))
	if code != "" {
		return fail(code)
	}
	if !r.has(user) {
		return fail("user_not_in_channel")
	}
	text, blocks, _, a := content(c, maxPostText)
	if a.err != "" {
		return a
	}
	p := w.add(&post{blocks: blocks, Message: Message{
		Channel: r.ID, User: w.cfg.BotUserID, Text: text, ThreadTS: c.str("thread_ts"), EphemeralFor: user,
	}})
	return answer{body: object{"message_ts": p.TS}}
}

// own returns the bot's own message that a call names. A direct message is
// named by its D… id, never by the person's.
func (w *Workspace) own(c *call, refused string) (*post, answer) {
	channel, ts := c.str("channel"), c.str("ts")
	switch {
	case channel == "":
		return nil, missing("channel")
	case ts == "":
		return nil, missing("ts")
	case w.channels[channel] == nil:
		return nil, fail("channel_not_found")
	}
	p := w.find(channel, ts)
	switch {
	case p == nil, p.EphemeralFor != "":
		return nil, fail("message_not_found")
	case p.User != w.cfg.BotUserID:
		return nil, fail(refused)
	}
	return p, answer{}
}

// chatUpdate serves chat.update. Text without blocks removes the blocks.
func (w *Workspace) chatUpdate(c *call) answer {
	p, a := w.own(c, "cant_update_message")
	if a.err != "" {
		return a
	}
	text, blocks, hasBlocks, a := content(c, maxUpdateText)
	if a.err != "" {
		return a
	}
	if _, given := c.args["text"]; given || !hasBlocks {
		p.Text = text
	}
	p.blocks = blocks
	w.giveIDs(object{"blocks": p.blocks})
	p.Updates++
	w.notify()
	return answer{body: object{"channel": p.Channel, "ts": p.TS, "text": p.Text, "message": w.messageObject(p)}}
}

// chatDelete serves chat.delete.
func (w *Workspace) chatDelete(c *call) answer {
	p, a := w.own(c, "cant_delete_message")
	if a.err != "" {
		return a
	}
	p.deleted = true
	w.notify()
	return answer{body: object{"channel": p.Channel, "ts": p.TS}}
}

// Say posts a message of a person, as people do; the bot is not told.
func (w *Workspace) Say(userID, channelID, text string) (ts string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, err := w.actor(userID); err != nil {
		return "", err
	}
	if r := w.channels[channelID]; r == nil || !r.has(userID) {
		return "", errNotThere(userID, channelID)
	}
	return w.add(&post{Message: Message{Channel: channelID, User: userID, Text: text}}).TS, nil
}
