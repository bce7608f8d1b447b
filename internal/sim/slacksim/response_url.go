package slacksim

import (
	"io"
	"net/http"
	"strings"
	"time"
)

// A responseURL lets the bot answer a command or a press up to five times in 30
// minutes, even in a channel that it is not in (docs.slack.dev,
// handling-user-interaction).
type responseURL struct {
	url     string
	at      time.Time
	uses    int
	user    string
	channel string
	origin  *post // the message that was pressed, nil for a command
}

const responseURLLife = 30 * time.Minute

// newResponseURL registers a response_url; w.mu is held.
func (w *Workspace) newResponseURL(user, channel string, origin *post) *responseURL {
	path := "/response/" + w.cfg.TeamID + "/" + random(12)
	u := &responseURL{url: w.URL() + path, at: w.cfg.Now(), user: user, channel: channel, origin: origin}
	w.urls[path] = u
	return u
}

// serveResponseURL answers POST on a response_url.
func (w *Workspace) serveResponseURL(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return // the caller went away
	}
	w.mu.Lock()
	w.note("response_url", r.URL.Path, body, nil)
	status, text := w.respond(r, body)
	w.mu.Unlock()
	rw.WriteHeader(status)
	_, _ = io.WriteString(rw, text)
}

// respond applies one use of a response_url; w.mu is held.
func (w *Workspace) respond(r *http.Request, body []byte) (status int, text string) {
	u := w.urls[r.URL.Path]
	switch {
	case r.Method != http.MethodPost:
		return http.StatusMethodNotAllowed, "method_not_allowed"
	case u == nil:
		return http.StatusNotFound, "no_team"
	case w.cfg.Now().Sub(u.at) > responseURLLife:
		return http.StatusNotFound, "expired_url"
	case u.uses >= maxResponseURLUses:
		return http.StatusNotFound, "used_url"
	}
	v, err := decode(body)
	args, ok := v.(object)
	if err != nil || !ok || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		return http.StatusBadRequest, "invalid_payload"
	}
	c := &call{args: args, json: true}
	if c.flag("delete_original") {
		if u.origin == nil {
			return http.StatusBadRequest, "invalid_payload"
		}
		u.uses++
		u.origin.deleted = true
		w.notify()
		return http.StatusOK, "ok"
	}
	message, blocks, _, a := content(c, maxPostText)
	if a.err != "" {
		return http.StatusBadRequest, a.err
	}
	u.uses++
	if c.flag("replace_original") && u.origin != nil && !u.origin.deleted {
		u.origin.Text, u.origin.blocks = message, blocks
		w.giveIDs(object{"blocks": blocks})
		u.origin.Updates++
		w.notify()
		return http.StatusOK, "ok"
	}
	w.reply(u, c.str("response_type"), message, blocks)
	return http.StatusOK, "ok"
}

// reply posts an answer, ephemeral unless it is to be in the channel.
func (w *Workspace) reply(u *responseURL, kind, text string, blocks []any) *post {
	m := Message{Channel: u.channel, User: w.cfg.BotUserID, Text: text, EphemeralFor: u.user}
	if kind == "in_channel" {
		m.EphemeralFor = ""
	}
	return w.add(&post{Message: m, blocks: blocks})
}
