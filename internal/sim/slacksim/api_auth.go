package slacksim

import (
	"strings"
)

// authTest serves auth.test (testdata/contracts/slack/samples/auth.test.json).
func (w *Workspace) authTest(*call) answer {
	return answer{body: object{
		"url": "https://" + w.cfg.TeamDomain + ".slack.com/", "team": w.cfg.TeamDomain, "user": w.cfg.BotName,
		"team_id": w.cfg.TeamID, "user_id": w.cfg.BotUserID, "bot_id": w.cfg.BotID, "is_enterprise_install": false,
	}}
}

// connectionsOpen serves apps.connections.open. The token must be in the
// header; each URL is good for one connection.
func (w *Workspace) connectionsOpen(c *call) answer {
	if !c.json && c.str("token") != "" {
		return fail("not_authed")
	}
	ticket := uuid()
	w.sockets.tickets[ticket] = true
	return answer{body: object{
		"url": "ws" + strings.TrimPrefix(w.URL(), "http") + "/link/?ticket=" + ticket + "&app_id=" + random(8),
	}}
}
