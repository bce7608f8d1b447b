package slacksim

// sentView reads and checks the view argument; kind is "modal" or "home".
func sentView(c *call, kind string) (object, answer) {
	raw := c.raw("view")
	if len(raw) == 0 {
		return nil, missing("view")
	}
	if len(raw) > maxViewBytes {
		return nil, fail("view_too_large")
	}
	return checkedView(raw, kind)
}

func checkedView(raw []byte, kind string) (object, answer) {
	if problems := CheckView(raw); len(problems) > 0 {
		return nil, invalid(problems...)
	}
	v, _ := decode(raw)
	body, _ := v.(object)
	if body["type"] != kind {
		return nil, invalid("[ERROR] must be a valid enum value [json-pointer:/view/type]")
	}
	return body, answer{}
}

// viewsOpen serves views.open: a new modal in front of whatever is open.
func (w *Workspace) viewsOpen(c *call) answer {
	body, a := sentView(c, "modal")
	if a.err != "" {
		return a
	}
	t, a := w.exchange(c)
	if a.err != "" {
		return a
	}
	if id, _ := body["external_id"].(string); w.externalIDTaken(id, nil) {
		return fail("duplicate_external_id")
	}
	t.used = true
	v := w.newView(t.user, body)
	w.show(v, nil)
	return answer{body: object{"view": w.response(v)}}
}

// viewsPush serves views.push. Only a trigger that came from inside a modal
// that is still open names a stack; Slack's list of errors has nothing closer
// than not_found for any other.
func (w *Workspace) viewsPush(c *call) answer {
	body, a := sentView(c, "modal")
	if a.err != "" {
		return a
	}
	t, a := w.exchange(c)
	if a.err != "" {
		return a
	}
	from := w.views[t.viewID]
	switch id, _ := body["external_id"].(string); {
	case from == nil || from.stack == nil:
		return fail("not_found")
	case len(from.stack.views) >= maxStack:
		return fail("push_limit_reached")
	case w.externalIDTaken(id, nil):
		return fail("duplicate_external_id")
	}
	t.used = true
	v := w.newView(t.user, body)
	w.show(v, from.stack)
	return answer{body: object{"view": w.response(v)}}
}

// viewsUpdate serves views.update, on hidden views too. A view that was closed
// is not_found.
func (w *Workspace) viewsUpdate(c *call) answer {
	id, external := c.str("view_id"), c.str("external_id")
	if id == "" && external == "" {
		return missing("view_id")
	}
	v := w.views[id]
	for _, o := range w.views {
		if id == "" && o.str("external_id") == external {
			v = o
		}
	}
	kind := "modal"
	if v != nil && v.home {
		kind = "home"
	}
	body, a := sentView(c, kind)
	if a.err != "" {
		return a
	}
	switch external, _ := body["external_id"].(string); {
	case v == nil:
		return fail("not_found")
	case c.str("hash") != "" && c.str("hash") != v.hash:
		return fail("hash_conflict")
	case w.externalIDTaken(external, v):
		return fail("duplicate_external_id")
	}
	w.fill(v, body)
	w.notify()
	return answer{body: object{"view": w.response(v)}}
}

// viewsPublish serves views.publish: the home tab of one person.
func (w *Workspace) viewsPublish(c *call) answer {
	user := c.str("user_id")
	if user == "" {
		return missing("user_id")
	}
	body, a := sentView(c, "home")
	if a.err != "" {
		return a
	}
	v := w.homes[user]
	switch external, _ := body["external_id"].(string); {
	case w.users[user] == nil:
		return invalid("[ERROR] user_id is not a valid user [json-pointer:/user_id]")
	case c.str("hash") != "" && (v == nil || c.str("hash") != v.hash):
		return fail("hash_conflict")
	case w.externalIDTaken(external, v):
		return fail("duplicate_external_id")
	}
	if v == nil {
		v = w.newView(user, body)
		w.homes[user], w.views[v.id] = v, v
	} else {
		w.fill(v, body)
	}
	w.notify()
	return answer{body: object{"view": w.response(v)}}
}
