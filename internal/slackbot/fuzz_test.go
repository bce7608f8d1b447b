package slackbot

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/secret"
	"github.com/raxx-app/keyturn/internal/sim/simtest"
)

// FuzzWorkspace answers auth.test, which the bot decodes itself. Whatever comes:
// only a 200 whose JSON names a workspace, and no organisation, is one, an error
// is a fault with a bounded wait that quotes neither the answer nor the token,
// and little of the answer is read.
func FuzzWorkspace(f *testing.F) {
	const token = "xoxb-planted0bot0token0planted01234"
	good := `{"ok":true,"url":"https://raxx.slack.com/","team":"Raxx","user":"keyturn","team_id":"T0RAXX","user_id":"U0BOT","bot_id":"B0BOT","is_enterprise_install":false}`
	for _, body := range []string{
		good, strings.Replace(good, `"is_enterprise_install":false`, `"is_enterprise_install":true`, 1), strings.Replace(good, "T0RAXX", "E0RAXX", 1), strings.Replace(good, `"T0RAXX"`, `null`, 1),
		strings.Replace(good, "T0RAXX", `T\u202e<!channel>\n`, 1), strings.Replace(good, "T0RAXX", "T"+strings.Repeat("0", 1000), 1),
		`{"ok":false,"error":"invalid_auth"}`, `{"ok":false,"error":"` + token + `"}`, `{"ok":false}`, `{"ok":"` + token + `"}`, `{"error":"ratelimited"}`,
		`null`, `[]`, ``, `<html>` + token + `</html>`, good + good, strings.TrimSuffix(good, "}"),
	} {
		for _, status := range []int{200, 204, 302, 401, 403, 429, 500, 503} {
			f.Add(status, []byte(body), "30")
		}
		f.Add(429, []byte(body), "-1")
		f.Add(429, []byte(body), "9223372036854775807")
	}
	f.Fuzz(func(t *testing.T, status int, body []byte, wait string) {
		if status < 200 || status > 999 { // net/http hands on no other
			return
		}
		answer := &simtest.Answer{Status: status, Header: http.Header{"Retry-After": {wait}}, Body: body, Rest: 10 << 20}
		b := New(Config{APIURL: "https://slack.invalid/api/", BotToken: secret.New(token), Transport: answer, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		team, err := b.workspace(t.Context())
		if read := answer.Read(); read > 2*answerMax {
			t.Errorf("%d bytes of the answer were read", read)
		}
		if err == nil {
			if status != http.StatusOK || !names(body, team) || !strings.HasPrefix(team, "T") {
				t.Errorf("%d %q: workspace %q", status, body, team)
			}
			return
		}
		if team != "" {
			t.Errorf("%d %q: workspace %q beside the error %v", status, body, team, err)
		}
		err = slackFault("slackbot.Install", err)
		e, ok := errors.AsType[*fault.Error](err)
		if !ok || e.Op == "" || e.Reason == "" || fault.UserText(err) == "" || fault.FixText(err) == "" {
			t.Fatalf("error %#v, want a fault with op, reason and texts", err)
		}
		if after := fault.RetryAfter(err); after < 0 || after > 15*time.Minute {
			t.Errorf("Retry-After %q = %v, want 0 to 15 min", wait, after)
		}
		if got := simtest.Quoted(slices.Concat(body, []byte(token)), err.Error(), fault.UserText(err), fault.FixText(err)); got != "" {
			t.Errorf("the error quotes %q: %v", got, err)
		}
	})
}

// names reports whether the first JSON value of body is a yes that names team and
// does not only say that it is an organisation's.
func names(body []byte, team string) bool {
	var all map[string]json.RawMessage
	if json.NewDecoder(strings.NewReader(string(body))).Decode(&all) != nil {
		return false
	}
	has := func(name string, want any) bool {
		for k, v := range all {
			var got any
			if strings.EqualFold(k, name) && json.Unmarshal(v, &got) == nil && got == want {
				return true
			}
		}
		return false
	}
	return has("ok", true) && has("team_id", team) && (!has("is_enterprise_install", true) || has("is_enterprise_install", false))
}
