package slacksim

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/raxx-app/keyturn/internal/sim/simhttp"
)

// A call is one request to a Web API method.
type call struct {
	method string
	args   object // JSON body, or the form's first values as strings
	json   bool
	token  string
}

// str returns a string argument, "" if it is absent or no string.
func (c *call) str(name string) string {
	s, _ := c.args[name].(string)
	return s
}

// flag returns a boolean argument; forms carry it as text.
func (c *call) flag(name string) bool {
	switch v := c.args[name].(type) {
	case bool:
		return v
	case string:
		return v == "true" || v == "1"
	}
	return false
}

// raw returns an argument that holds JSON: in a form and, as slack.com allows,
// in a JSON body too it may be a string. nil means that it is absent.
func (c *call) raw(name string) []byte {
	switch v := c.args[name].(type) {
	case nil:
		return nil
	case string:
		return []byte(v)
	default:
		b, _ := json.Marshal(v)
		return b
	}
}

// An answer is what a method returns. Exactly one of err and body is set.
type answer struct {
	err      string
	body     object
	messages []string // response_metadata.messages
	needed   string   // with missing_scope
}

func fail(code string) answer { return answer{err: code} }

// A method serves one Web API method; w.mu is held.
type method struct {
	app   bool   // wants the app-level token
	scope string // "" needs none
	serve func(*call) answer
}

func (w *Workspace) methodOf(name string) (method, bool) {
	switch name {
	case "auth.test":
		return method{serve: w.authTest}, true
	case "apps.connections.open":
		return method{app: true, scope: "connections:write", serve: w.connectionsOpen}, true
	case "views.open":
		return method{serve: w.viewsOpen}, true
	case "views.push":
		return method{serve: w.viewsPush}, true
	case "views.update":
		return method{serve: w.viewsUpdate}, true
	case "views.publish":
		return method{serve: w.viewsPublish}, true
	case "chat.postMessage":
		return method{scope: "chat:write", serve: w.chatPostMessage}, true
	case "chat.postEphemeral":
		return method{scope: "chat:write", serve: w.chatPostEphemeral}, true
	case "chat.update":
		return method{scope: "chat:write", serve: w.chatUpdate}, true
	case "chat.delete":
		return method{scope: "chat:write", serve: w.chatDelete}, true
	case "conversations.open":
		return method{scope: "im:write", serve: w.conversationsOpen}, true
	case "conversations.info":
		return method{serve: w.conversationsInfo}, true // the scope depends on the channel
	case "users.info":
		return method{scope: "users:read", serve: w.usersInfo}, true
	case "usergroups.list":
		return method{scope: "usergroups:read", serve: w.usergroupsList}, true
	case "usergroups.users.list":
		return method{scope: "usergroups:read", serve: w.usergroupsUsersList}, true
	}
	return method{}, false
}

// serveAPI answers POST /api/METHOD. The simulator takes POST only, which is
// what every Slack library uses for these methods.
func (w *Workspace) serveAPI(rw http.ResponseWriter, r *http.Request, name string) {
	if r.Method != http.MethodPost {
		http.Error(rw, "this simulator takes POST only", http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 8<<20))
	if err != nil {
		return // the caller went away
	}
	c, warning, code := parseCall(r, name, body)
	w.mu.Lock()
	var form url.Values
	if !c.json {
		form, _ = url.ParseQuery(string(body))
	}
	w.note("web", name, body, form)
	m, known := w.methodOf(name)
	var a answer
	var wait time.Duration
	switch {
	case !known:
		w.problem("unknown method " + name)
		a = fail("unknown_method")
	case code != "":
		a = fail(code)
	default:
		if a = w.authorise(&c, m); a.err == "" {
			if wait = w.throttled(&c); wait == 0 {
				a = w.serveMethod(&c, m)
			}
		}
	}
	w.mu.Unlock()
	scopes := w.cfg.Scopes
	if m.app {
		scopes = w.cfg.AppScopes
	}
	rw.Header().Set("X-OAuth-Scopes", strings.Join(scopes, ","))
	if m.scope != "" {
		rw.Header().Set("X-Accepted-OAuth-Scopes", m.scope)
	}
	if wait > 0 {
		rw.Header().Set("Retry-After", strconv.Itoa(seconds(wait)))
		simhttp.JSON(rw, http.StatusTooManyRequests, object{"ok": false, "error": "ratelimited"})
		return
	}
	simhttp.JSON(rw, http.StatusOK, a.object(warning, scopes))
}

func (w *Workspace) serveMethod(c *call, m method) answer {
	if f := take(w.limits.codes, c.method); f != nil {
		return fail(f.code)
	}
	return m.serve(c)
}

// throttled returns how long the call must wait.
func (w *Workspace) throttled(c *call) time.Duration {
	if f := take(w.limits.forced, c.method); f != nil {
		return max(f.retryAfter, time.Second)
	}
	if !w.cfg.EnforceTiers {
		return 0
	}
	if c.method == "chat.postMessage" {
		return w.limits.retryAfter(c.method+" "+c.str("channel"), 1, w.cfg.RateWindow/60, w.cfg.Now())
	}
	return w.limits.retryAfter(c.method, tierOf(c.method), w.cfg.RateWindow, w.cfg.Now())
}

// object builds the response body.
func (a answer) object(warning string, scopes []string) object {
	o := object{"ok": a.err == ""}
	maps.Copy(o, a.body)
	meta := object{}
	if a.err != "" {
		o["error"] = a.err
	}
	if a.needed != "" {
		o["needed"], o["provided"] = a.needed, strings.Join(scopes, ",")
	}
	if len(a.messages) > 0 {
		meta["messages"] = a.messages
	}
	if warning != "" {
		o["warning"] = warning
		meta["warnings"] = []string{warning}
	}
	if len(meta) > 0 {
		o["response_metadata"] = meta
	}
	return o
}

// parseCall reads the arguments. A token in a JSON body is not looked at.
func parseCall(r *http.Request, name string, body []byte) (c call, warning, code string) {
	c = call{method: name, args: object{}}
	if auth, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		c.token = strings.TrimSpace(auth)
	}
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case r.Header.Get("Content-Type") == "" && len(body) == 0:
		return c, "", ""
	case err != nil:
		return c, "", "missing_post_type"
	case kind == "application/json":
		c.json = true
		if params["charset"] == "" {
			warning = "missing_charset"
		}
		if len(bytes.TrimSpace(body)) == 0 {
			return c, warning, ""
		}
		v, err := decode(body)
		if err != nil {
			return c, warning, "invalid_json"
		}
		args, ok := v.(object)
		if !ok {
			return c, warning, "json_not_object"
		}
		c.args = args
		return c, warning, ""
	case kind == "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return c, "", "invalid_form_data"
		}
		for key := range form {
			c.args[key] = form.Get(key)
		}
		if c.token == "" {
			c.token = form.Get("token")
		}
		return c, "", ""
	}
	return c, "", "invalid_post_type"
}

// authorise checks the token and the scope: no token is not_authed, an unknown
// one invalid_auth, the other kind of token not_allowed_token_type.
func (w *Workspace) authorise(c *call, m method) answer {
	want, other, scopes := w.cfg.BotToken, w.cfg.AppToken, w.cfg.Scopes
	if m.app {
		want, other, scopes = other, want, w.cfg.AppScopes
	}
	switch {
	case c.token == "":
		return fail("not_authed")
	case c.token == other:
		return fail("not_allowed_token_type")
	case c.token != want:
		return fail("invalid_auth")
	case w.authFail != "":
		return fail(w.authFail)
	case m.scope != "" && !slices.Contains(scopes, m.scope):
		return answer{err: "missing_scope", needed: m.scope}
	}
	return answer{}
}

// invalid returns invalid_arguments with its messages.
func invalid(messages ...string) answer {
	return answer{err: "invalid_arguments", messages: messages}
}

// missing returns the answer to a call without a required argument.
func missing(field string) answer { return invalid("[ERROR] missing required field: " + field) }
