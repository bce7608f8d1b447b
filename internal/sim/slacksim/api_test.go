package slacksim_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"

	"github.com/raxx-app/keyturn/internal/sim/simhttp"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

const (
	jsonType = "application/json; charset=utf-8"
	formType = "application/x-www-form-urlencoded"
)

func TestTokens(t *testing.T) {
	w := workspace(t, slacksim.Config{})
	bot, app := w.Config().BotToken, w.Config().AppToken
	tests := []struct {
		name, method, contentType, auth, body, want string
	}{
		{"bot token in the header", "auth.test", formType, bot, "", ""},
		{"bot token in the form", "auth.test", formType, "", "token=" + bot, ""},
		{"no content type", "auth.test", "", bot, "", ""},
		{"nothing", "auth.test", formType, "", "", "not_authed"},
		{"empty token", "auth.test", formType, "", "token=", "not_authed"},
		{"token in a JSON body", "auth.test", jsonType, "", `{"token":"` + bot + `"}`, "not_authed"},
		{"wrong token", "auth.test", formType, "xoxb-wrong", "", "invalid_auth"},
		{"app token for a bot method", "auth.test", formType, app, "", "not_allowed_token_type"},
		{"bot token for the socket", "apps.connections.open", jsonType, bot, "", "not_allowed_token_type"},
		{"app token as a parameter", "apps.connections.open", formType, "", "token=" + app, "not_authed"},
		{"app token in the header", "apps.connections.open", jsonType, app, "", ""},
		{"unknown method", "views.opne", jsonType, bot, "{}", "unknown_method"},
		{"broken JSON", "views.open", jsonType, bot, "{", "invalid_json"},
		{"JSON array", "views.open", jsonType, bot, "[]", "json_not_object"},
		{"broken form", "auth.test", formType, bot, "a=%zz", "invalid_form_data"},
		{"plain text", "auth.test", "text/plain", bot, "x", "invalid_post_type"},
		{"body without a type", "auth.test", "", bot, "x=1", "missing_post_type"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := post(t, w, tt.method, tt.contentType, tt.auth, tt.body)
			if got.err() != tt.want || got.status != http.StatusOK || got.body["ok"] != (tt.want == "") {
				t.Errorf("%s = %d %v, want error %q", tt.method, got.status, got.body, tt.want)
			}
		})
	}
}

func TestFatalAuthEndsSlackGo(t *testing.T) {
	w := workspace(t, slacksim.Config{})
	w.FailAuth("token_revoked")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := socketmode.New(api(w)).RunContext(ctx); code(err) != "token_revoked" {
		t.Errorf("RunContext = %v, want token_revoked", err)
	}
	if _, err := api(w).AuthTestContext(ctx); code(err) != "token_revoked" {
		t.Errorf("auth.test = %v, want token_revoked", err)
	}
	w.FailAuth("")
	if got, err := api(w).AuthTestContext(ctx); err != nil || got.UserID != w.Config().BotUserID {
		t.Errorf("auth.test = %+v, %v", got, err)
	}
}

func TestGetIsRefused(t *testing.T) {
	w := workspace(t, slacksim.Config{})
	resp, err := http.Get(w.APIURL() + "auth.test")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET = %d, want 405", resp.StatusCode)
	}
}

func TestScopes(t *testing.T) {
	w := workspace(t, slacksim.Config{Scopes: []string{"commands"}, AppScopes: []string{"authorizations:read"}})
	tests := map[string]string{
		"chat.postMessage": "chat:write", "chat.postEphemeral": "chat:write", "chat.update": "chat:write", "chat.delete": "chat:write",
		"conversations.open": "im:write", "users.info": "users:read", "usergroups.list": "usergroups:read", "usergroups.users.list": "usergroups:read",
	}
	for method, scope := range tests {
		got := form(t, w, method)
		if got.err() != "missing_scope" || got.body["needed"] != scope || got.body["provided"] != "commands" || got.header.Get("X-OAuth-Scopes") != "commands" {
			t.Errorf("%s = %v %v, want missing_scope %s", method, got.body, got.header, scope)
		}
	}
	for channel, scope := range map[string]string{ops: "channels:read"} {
		if got := form(t, w, "conversations.info", "channel", channel); got.err() != "missing_scope" || got.body["needed"] != scope {
			t.Errorf("conversations.info %s = %v, want missing_scope %s", channel, got.body, scope)
		}
	}
	if got := post(t, w, "apps.connections.open", jsonType, w.Config().AppToken, ""); got.err() != "missing_scope" || got.body["needed"] != "connections:write" {
		t.Errorf("apps.connections.open = %v, want missing_scope", got.body)
	}
	if got := form(t, w, "auth.test"); got.err() != "" {
		t.Errorf("auth.test = %v, want ok: it needs no scope", got.body)
	}
}

func TestCharsetWarning(t *testing.T) {
	w := workspace(t, slacksim.Config{})
	got := post(t, w, "apps.connections.open", "application/json", w.Config().AppToken, "")
	if got.body["warning"] != "missing_charset" {
		t.Errorf("warning = %v, want missing_charset", got.body["warning"])
	}
}

func TestRateLimit(t *testing.T) {
	w := workspace(t, slacksim.Config{})
	w.RateLimit("users.info", 2, 1500*time.Millisecond)
	for range 2 {
		got := form(t, w, "users.info", "user", ada)
		if got.status != http.StatusTooManyRequests || got.header.Get("Retry-After") != "2" || got.err() != "ratelimited" {
			t.Errorf("users.info = %d %v %v, want 429 with Retry-After 2", got.status, got.header, got.body)
		}
	}
	if got := form(t, w, "users.info", "user", ada); got.status != http.StatusOK {
		t.Errorf("third call = %d, want 200", got.status)
	}
	w.RateLimit("auth.test", 0, time.Second)
	for i := range 2 {
		if got := form(t, w, "auth.test"); got.status != http.StatusTooManyRequests {
			t.Errorf("times 0, call %d = %d, want 429: it ended by itself", i+1, got.status)
		}
	}
	w.RateLimit("auth.test", -1, 0)
	if got := form(t, w, "auth.test"); got.status != http.StatusOK {
		t.Errorf("after the end = %d, want 200", got.status)
	}
}

func TestTiers(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	w := workspace(t, slacksim.Config{Now: func() time.Time { return now }, EnforceTiers: true})
	for i := range 21 {
		got := form(t, w, "usergroups.list")
		if want := i >= 20; (got.status == 429) != want {
			t.Fatalf("call %d of a tier 2 method = %d", i+1, got.status)
		}
	}
	if got := form(t, w, "users.info", "user", ada); got.status != 200 {
		t.Errorf("another method = %d, want 200: limits are per method", got.status)
	}
	now = now.Add(time.Minute)
	if got := form(t, w, "usergroups.list"); got.status != 200 {
		t.Errorf("a minute later = %d, want 200", got.status)
	}
	post := func(channel string) int {
		return form(t, w, "chat.postMessage", "channel", channel, "text", "x").status
	}
	if a, b, c := post(ops), post(ops), post(shared); a != 200 || b != 429 || c != 200 {
		t.Errorf("posts to one channel twice and to another = %d %d %d, want 200 429 200", a, b, c)
	}
	w.EnforceTiers(false)
	if got := post(ops); got != 200 {
		t.Errorf("switched off = %d, want 200", got)
	}
}

func TestFailMethod(t *testing.T) {
	w := workspace(t, slacksim.Config{})
	w.FailMethod("chat.postMessage", 1, "internal_error")
	if got := form(t, w, "chat.postMessage", "channel", ops, "text", "x"); got.err() != "internal_error" {
		t.Errorf("answer = %v, want internal_error", got.body)
	}
	if got := len(w.Messages(ops)); got != 0 {
		t.Errorf("%d messages, want none: nothing is applied", got)
	}
	if got := form(t, w, "chat.postMessage", "channel", ops, "text", "x"); got.err() != "" {
		t.Errorf("second = %v", got.body)
	}
}

func TestHTTPFaults(t *testing.T) {
	w := workspace(t, slacksim.Config{})
	w.Inject(simhttp.Fault{Path: "/api/auth.test", Times: 1, Status: 503})
	if _, err := api(w).AuthTestContext(t.Context()); err == nil {
		t.Error("auth.test succeeded, want 503")
	}
	w.Inject(simhttp.Fault{Path: "/api/chat.postMessage", Times: 1, LoseReply: true})
	if _, _, err := api(w).PostMessageContext(t.Context(), ops, slack.MsgOptionText("x", false)); err == nil {
		t.Error("chat.postMessage succeeded, want a lost reply")
	}
	if got := len(w.Messages(ops)); got != 1 {
		t.Errorf("%d messages after a lost reply, want 1", got)
	}
}

func TestUsers(t *testing.T) {
	w := workspace(t, slacksim.Config{})
	w.AddUser(slacksim.User{ID: "U0GUEST", Restricted: true, UltraRestricted: true, Deleted: true, Stranger: true, Teams: []string{"T0RAXX"}, EnterpriseID: "E1"})
	u, err := api(w).GetUserInfoContext(t.Context(), "U0GUEST")
	if err != nil || !u.IsRestricted || !u.IsUltraRestricted || !u.Deleted || !u.IsStranger || u.Enterprise.Teams[0] != "T0RAXX" {
		t.Errorf("guest = %+v, %v", u, err)
	}
	if u, err = api(w).GetUserInfoContext(t.Context(), w.Config().BotUserID); err != nil || !u.IsBot {
		t.Errorf("bot = %+v, %v", u, err)
	}
	if u, err = api(w).GetUserInfoContext(t.Context(), ext); err != nil || u.TeamID != "T0OTHER" {
		t.Errorf("external = %+v, %v", u, err)
	}
	if _, err = api(w).GetUserInfoContext(t.Context(), "U0NONE"); code(err) != "user_not_found" {
		t.Errorf("unknown = %v, want user_not_found", err)
	}
	if !w.ChangeUser(ada, func(u *slacksim.User) { u.Deleted = true }) || w.ChangeUser("U0NONE", nil) {
		t.Error("ChangeUser must tell known from unknown")
	}
	if u, _ = api(w).GetUserInfoContext(t.Context(), ada); !u.Deleted {
		t.Error("ada is not deleted after ChangeUser")
	}
}

func TestGroups(t *testing.T) {
	w := workspace(t, slacksim.Config{})
	w.AddGroup(slacksim.Group{ID: "S0OFF", Disabled: true, Users: []string{bob}})
	groups, err := api(w).GetUserGroupsContext(t.Context(), slack.GetUserGroupsOptionIncludeUsers(true))
	if err != nil || len(groups) != 1 || groups[0].Handle != "ops" || groups[0].Users[0] != ada {
		t.Errorf("groups = %+v, %v", groups, err)
	}
	users, err := api(w).GetUserGroupMembersContext(t.Context(), "S0OPS")
	if err != nil || strings.Join(users, ",") != ada {
		t.Errorf("members = %v, %v", users, err)
	}
	for _, id := range []string{"S0OFF", "S0NONE"} {
		if _, err := api(w).GetUserGroupMembersContext(t.Context(), id); code(err) != "no_such_subteam" {
			t.Errorf("members of %s = %v, want no_such_subteam", id, err)
		}
	}
}

func TestConversations(t *testing.T) {
	w := workspace(t, slacksim.Config{})
	for channel, want := range map[string]string{ops: "", shared: "", public: "", private: "channel_not_found", "C0NONE": "channel_not_found"} {
		c, err := api(w).GetConversationInfoContext(t.Context(), &slack.GetConversationInfoInput{ChannelID: channel})
		if code(err) != want {
			t.Errorf("info of %s = %v, want %q", channel, err, want)
			continue
		}
		if want == "" && (c.IsMember != (channel != public) || c.IsExtShared != (channel == shared)) {
			t.Errorf("info of %s = member %v, external %v", channel, c.IsMember, c.IsExtShared)
		}
	}
	open := func(user string) (string, error) {
		c, _, _, err := api(w).OpenConversationContext(t.Context(), &slack.OpenConversationParameters{Users: []string{user}})
		if err != nil {
			return "", err
		}
		return c.ID, nil
	}
	first, err := open(ada)
	again, err2 := open(ada)
	if err != nil || err2 != nil || first != again || !strings.HasPrefix(first, "D") {
		t.Errorf("DM = %q (%v) then %q (%v), want one D… id", first, err, again, err2)
	}
	if id, ok := w.DM(ada); !ok || id != first {
		t.Errorf("DM(ada) = %q, %v", id, ok)
	}
	w.AddUser(slacksim.User{ID: "U0GONE", Deleted: true})
	for user, want := range map[string]string{"U0NONE": "user_not_found", "U0GONE": "user_disabled", w.Config().BotUserID: "cannot_dm_bot"} {
		if _, err := open(user); code(err) != want {
			t.Errorf("DM with %s = %v, want %s", user, err, want)
		}
	}
}
