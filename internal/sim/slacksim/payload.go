package slacksim

import "strconv"

// The payloads follow the field inventories under
// testdata/contracts/slack/samples; no key is sent that is not there.

// interaction returns what every interactive payload starts with; w.mu is held.
func (w *Workspace) interaction(kind string, u *User) object {
	return object{
		"type": kind, "token": "sim-verification-token", "api_app_id": w.cfg.AppID, "enterprise": nil, "is_enterprise_install": false,
		"team": object{"id": w.cfg.TeamID, "domain": w.cfg.TeamDomain},
		"user": object{"id": u.ID, "username": u.Name, "name": u.Name, "team_id": u.TeamID},
	}
}

// commandPayload returns the payload of a slash command.
func (w *Workspace) commandPayload(u *User, r *room, command, text string) (object, *responseURL) {
	url := w.newResponseURL(u.ID, r.ID, nil)
	return object{
		"token": "sim-verification-token", "api_app_id": w.cfg.AppID, "team_id": w.cfg.TeamID, "team_domain": w.cfg.TeamDomain,
		"channel_id": r.ID, "channel_name": r.Name, "user_id": u.ID, "user_name": u.Name, "command": command, "text": text,
		"response_url": url.url, "trigger_id": w.newTrigger(u.ID, ""), "is_enterprise_install": false,
	}, url
}

// action returns one entry of "actions".
func (w *Workspace) action(p place, extra object) object {
	o := object{"action_id": p.action, "block_id": p.block, "type": p.kind, "action_ts": w.timestamp()}
	if p.kind == "button" {
		for _, key := range []string{"text", "value", "style", "url", "confirm"} {
			if v, ok := p.element[key]; ok {
				o[key] = v
			}
		}
	}
	for k, v := range extra {
		if k != "type" {
			o[k] = v
		}
	}
	return o
}

// viewAction returns the block_actions payload of a press in a view.
func (w *Workspace) viewAction(u *User, v *view, action object) object {
	from := v.id
	if v.home {
		from = ""
	}
	o := w.interaction("block_actions", u)
	o["container"] = object{"type": "view", "view_id": v.id}
	o["trigger_id"] = w.newTrigger(u.ID, from)
	o["view"] = w.response(v)
	o["actions"] = []object{action}
	return o
}

// messageAction returns the block_actions payload of a press in a message. An
// ephemeral message is not stored, so it is not in the payload.
func (w *Workspace) messageAction(u *User, r *room, p *post, action object) object {
	o := w.interaction("block_actions", u)
	container := object{"type": "message", "message_ts": p.TS, "channel_id": r.ID, "is_ephemeral": p.EphemeralFor != ""}
	if p.ThreadTS != "" {
		container["thread_ts"] = p.ThreadTS
	}
	o["container"] = container
	o["trigger_id"] = w.newTrigger(u.ID, "")
	o["channel"] = object{"id": r.ID, "name": r.Name}
	if p.EphemeralFor == "" {
		o["message"] = w.messageObject(p)
	}
	o["state"] = object{"values": object{}}
	o["response_url"] = w.newResponseURL(u.ID, r.ID, p).url
	o["actions"] = []object{action}
	return o
}

// submission returns the view_submission payload.
func (w *Workspace) submission(u *User, v *view) object {
	o := w.interaction("view_submission", u)
	o["trigger_id"] = w.newTrigger(u.ID, v.id)
	o["view"] = w.response(v)
	return o
}

// closing returns the view_closed payload.
func (w *Workspace) closing(u *User, v *view, cleared bool) object {
	o := w.interaction("view_closed", u)
	o["view"] = w.response(v)
	o["is_cleared"] = cleared
	return o
}

// homeOpened returns the event_callback payload of app_home_opened. It has a
// view only if one was published before.
func (w *Workspace) homeOpened(u *User, channel string) object {
	event := object{"type": "app_home_opened", "user": u.ID, "channel": channel, "tab": "home", "event_ts": w.timestamp()}
	if v := w.homes[u.ID]; v != nil {
		event["view"] = w.response(v)
	}
	id := w.id("Ev")
	return object{
		"token": "sim-verification-token", "team_id": w.cfg.TeamID, "api_app_id": w.cfg.AppID, "type": "event_callback", "event": event,
		"event_id": id, "event_time": w.cfg.Now().Unix(), "event_context": "4-" + strconv.FormatInt(w.counter, 10), "is_ext_shared_channel": false,
		"authorizations": []object{{
			"enterprise_id": nil, "team_id": w.cfg.TeamID, "user_id": w.cfg.BotUserID, "is_bot": true, "is_enterprise_install": false,
		}},
	}
}
