package slacksim

import (
	"slices"
	"strings"
)

// usersInfo serves users.info.
func (w *Workspace) usersInfo(c *call) answer {
	id := c.str("user")
	u := w.users[id]
	if u == nil {
		return fail("user_not_found")
	}
	o := object{
		"id": u.ID, "team_id": u.TeamID, "name": u.Name, "deleted": u.Deleted, "real_name": u.RealName, "color": "9f69e7",
		"tz": u.TZ, "tz_label": u.TZ, "tz_offset": 0, "updated": 1_700_000_000,
		"profile": object{
			"real_name": u.RealName, "real_name_normalized": u.RealName, "display_name": u.Name,
			"display_name_normalized": u.Name, "team": u.TeamID, "title": "", "phone": "", "status_text": "", "status_emoji": "",
		},
		"is_admin": u.Admin, "is_owner": false, "is_primary_owner": false, "is_restricted": u.Restricted,
		"is_ultra_restricted": u.UltraRestricted, "is_bot": u.IsBot, "is_app_user": false, "is_email_confirmed": !u.IsBot,
		"who_can_share_contact_card": "EVERYONE",
	}
	if u.Stranger {
		o["is_stranger"] = true
	}
	if len(u.Teams) > 0 {
		o["enterprise_user"] = object{
			"id": u.ID, "enterprise_id": u.EnterpriseID, "enterprise_name": "", "is_admin": false, "is_owner": false,
			"teams": slices.Clone(u.Teams),
		}
	}
	return answer{body: object{"user": o}}
}

// usergroupsList serves usergroups.list.
func (w *Workspace) usergroupsList(c *call) answer {
	list := []object{}
	for _, g := range w.groups {
		if g.Disabled && !c.flag("include_disabled") {
			continue
		}
		deleted := 0
		if g.Disabled {
			deleted = 1_700_000_000
		}
		o := object{
			"id": g.ID, "team_id": w.cfg.TeamID, "is_usergroup": true, "is_subteam": true, "name": g.Handle, "handle": g.Handle,
			"description": "", "is_external": false, "date_create": 1_600_000_000, "date_update": 1_600_000_000, "date_delete": deleted,
			"created_by": w.cfg.BotUserID, "updated_by": w.cfg.BotUserID, "prefs": object{"channels": []string{}, "groups": []string{}},
		}
		if c.flag("include_users") {
			o["users"] = append([]string{}, g.Users...)
		}
		if c.flag("include_count") {
			o["user_count"] = len(g.Users)
		}
		list = append(list, o)
	}
	return answer{body: object{"usergroups": list}}
}

// usergroupsUsersList serves usergroups.users.list.
func (w *Workspace) usergroupsUsersList(c *call) answer {
	id := c.str("usergroup")
	if id == "" {
		return missing("usergroup")
	}
	for _, g := range w.groups {
		if g.ID == id && (!g.Disabled || c.flag("include_disabled")) {
			return answer{body: object{"users": append([]string{}, g.Users...)}}
		}
	}
	return fail("no_such_subteam")
}

// conversationsOpen serves conversations.open for a direct message with one
// person; opening it again returns the same one.
func (w *Workspace) conversationsOpen(c *call) answer {
	var r *room
	if id := c.str("channel"); id != "" {
		if r = w.channels[id]; r == nil || !r.im {
			return fail("channel_not_found")
		}
	} else {
		ids := strings.FieldsFunc(c.str("users"), func(r rune) bool { return r == ',' || r == ' ' })
		switch len(ids) {
		case 0:
			return fail("users_list_not_supplied")
		case 1:
		default:
			return answer{err: "missing_scope", needed: "mpim:write"}
		}
		existed := w.findDM(ids[0]) != nil
		var code string
		if r, code = w.openDM(ids[0]); code != "" {
			return fail(code)
		}
		if existed {
			return answer{body: object{"no_op": true, "already_open": true, "channel": w.dmObject(r, c.flag("return_im"))}}
		}
	}
	return answer{body: object{"channel": w.dmObject(r, c.flag("return_im"))}}
}

func (w *Workspace) dmObject(r *room, whole bool) object {
	if !whole {
		return object{"id": r.ID}
	}
	return object{"id": r.ID, "created": 1_700_000_000, "is_im": true, "is_org_shared": false, "user": r.with}
}

// conversationsInfo serves conversations.info. A private channel that the bot
// is not in does not exist for it.
func (w *Workspace) conversationsInfo(c *call) answer {
	id := c.str("channel")
	if id == "" {
		return missing("channel")
	}
	r := w.channels[id]
	if r == nil || r.Private && !r.has(w.cfg.BotUserID) {
		return fail("channel_not_found")
	}
	scope := "channels:read"
	switch {
	case r.im:
		scope = "im:read"
	case r.Private:
		scope = "groups:read"
	}
	if !slices.Contains(w.cfg.Scopes, scope) {
		return answer{err: "missing_scope", needed: scope}
	}
	o := object{
		"id": r.ID, "name": r.Name, "name_normalized": r.Name, "is_channel": !r.im && !r.Private, "is_group": r.Private, "is_im": r.im,
		"is_mpim": false, "is_private": r.Private || r.im, "created": 1_600_000_000, "is_archived": r.Archived, "is_general": false,
		"is_shared": r.ExtShared, "is_ext_shared": r.ExtShared, "is_org_shared": false, "is_pending_ext_shared": false,
		"is_member": r.has(w.cfg.BotUserID), "creator": w.cfg.BotUserID, "shared_team_ids": []string{w.cfg.TeamID},
		"pending_shared": []string{}, "pending_connected_team_ids": []string{}, "context_team_id": w.cfg.TeamID,
		"topic": object{"value": "", "creator": "", "last_set": 0}, "purpose": object{"value": "", "creator": "", "last_set": 0},
		"previous_names": []string{}, "unlinked": 0,
	}
	if c.flag("include_num_members") {
		o["num_members"] = len(r.Members)
	}
	return answer{body: object{"channel": o}}
}
