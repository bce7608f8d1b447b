package sandbox

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/raxx-app/keyturn/internal/sandbox/page"
)

// A client calls the simulators of a world as the bot does.
type client struct {
	t *testing.T
	*World
	http  http.Client
	bot   *keeper
	n     int    // makes values differ
	token string // of Infisical
	body  []byte // of the last answer
}

// call returns what a client sees of one answer: its status and type, "slow" or
// "cut".
func (c *client) call(method, url, body string, headers ...string) string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), slowBy/2)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := c.http.Do(req)
	switch {
	case ctx.Err() != nil:
		return "slow"
	case err != nil:
		return "cut"
	}
	defer resp.Body.Close()
	data, _ := io.ReadAll(resp.Body)
	c.body = data
	var open struct {
		IsOpen *bool `json:"is_open"`
	}
	_ = json.Unmarshal(data, &open)
	text := fmt.Sprint(resp.StatusCode, " ", resp.Header.Get("Content-Type"))
	if open.IsOpen != nil {
		text += fmt.Sprint(" open ", *open.IsOpen)
	}
	return text
}

func (c *client) alpaca(method, path, body string) string {
	return c.call(method, c.Alpaca.URL()+path, body, "APCA-API-KEY-ID", c.Old.ID, "APCA-API-SECRET-KEY", c.Old.Secret)
}

func (c *client) login() string {
	return c.call(http.MethodPost, c.Infisical.URL()+"/api/v1/auth/universal-auth/login", `{"clientId":"`+infisicalID+`","clientSecret":"`+infisicalSecret+`"}`)
}

func (c *client) slack(method, body string) string {
	return c.call(http.MethodPost, c.Slack.APIURL()+method, body, "Authorization", "Bearer "+c.Slack.Config().BotToken)
}

// vars calls the config vars of an app.
func (c *client) vars(method, body string) string {
	return c.call(method, c.Heroku.URL()+"/apps/"+prodApp+"/config-vars", body, "Authorization", "Bearer "+herokuToken, "Accept", "application/vnd.heroku+json; version=3")
}

func (c *client) github(method, path, body string) string {
	return c.call(method, c.GitHub.URL()+path, body, "Authorization", "Bearer "+githubToken, "Accept", "application/vnd.github+json", "User-Agent", "test")
}

func (c *client) raptor(method, path, body string) string {
	return c.call(method, c.Raptor.URL()+path, body, "Authorization", "Bearer "+downstreamToken)
}

// Events of a webhook, as docs/webhooks.md has them.
const (
	pingEvent    = `{"type":"ping","rotation":"","keyset":"prod","key_id_last4":""}`
	nobodysEvent = `{"type":"verify","rotation":"","keyset":"prod","key_id_last4":"none"}`
)

// hook sends a signed event to the webhook that is handed the pair.
func (c *client) hook(event string) string {
	stamp := fmt.Sprint(time.Now().Unix())
	m := hmac.New(sha256.New, []byte(webhookSecret))
	_, _ = io.WriteString(m, stamp+"."+event)
	c.n++
	return c.call(http.MethodPost, c.Backtest.HookURL(), event,
		"Keyturn-Signature", "t="+stamp+",v1="+hex.EncodeToString(m.Sum(nil)), "Keyturn-Delivery", fmt.Sprint(c.n))
}

// released sets a config var and returns how the release ended, and whether the
// dynos run with it.
func (c *client) released(app string) string {
	c.n++
	value := fmt.Sprint(c.n)
	c.Heroku.Overwrite(app, "ada@raxx.app", map[string]string{"N": value})
	look, _ := c.Heroku.Look(app)
	return fmt.Sprint(look.Release.Status, look.Dynos, c.Heroku.Running(app)["N"] == value)
}

// socket opens a socket to Slack.
func (c *client) socket() *websocket.Conn {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.Slack.APIURL()+"apps.connections.open", http.NoBody)
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.Slack.Config().AppToken)
	resp, err := c.http.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	var out struct{ URL string }
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		c.t.Fatal(err)
	}
	conn, answer, err := websocket.DefaultDialer.DialContext(c.t.Context(), out.URL, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	_ = answer.Body.Close()
	c.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// frames returns the types of frames that come in until there is a pause.
func (c *client) frames(conn *websocket.Conn) (types []string) {
	for {
		_ = conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		var frame struct{ Type string }
		if err := conn.ReadJSON(&frame); err != nil {
			if !strings.Contains(err.Error(), "timeout") {
				types = append(types, "end")
			}
			return types
		}
		if frame.Type != "hello" {
			types = append(types, frame.Type)
		}
	}
}

// TestSwitches looks at each switch of the page with a client of the simulator:
// it sees something else when the switch is on, and the same as before when it is
// off again.
func TestSwitches(t *testing.T) {
	t.Parallel()
	looks, happens := serviceLooks(), switchEvents()
	maps.Copy(looks, accidentLooks())
	maps.Copy(looks, moreLooks())
	w, err := NewWorld(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	names := map[string]bool{}
	for _, s := range append(w.switches(), (&keeper{}).botSwitches()...) {
		if names[s.Name] || s.Group == "" || !strings.HasSuffix(s.What, ".") {
			t.Errorf("switch %q of group %q: %q: want a name of its own, a group and a sentence", s.Name, s.Group, s.What)
		}
		names[s.Name] = true
		if looks[s.Name] == nil && happens[s.Name] == nil {
			t.Errorf("switch %s has no test", s.Name)
		}
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			w, err := NewWorld(time.Now)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = w.Close() })
			c := &client{t: t, World: w, bot: &keeper{w: w, ctx: context.WithoutCancel(t.Context())}, http: http.Client{
				Transport:     &http.Transport{DisableKeepAlives: true},
				CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			}}
			all := append(w.switches(), c.bot.botSwitches()...)
			s := all[slices.IndexFunc(all, func(f page.Fault) bool { return f.Name == s.Name })]
			set := func(on bool) {
				if err := s.Set(on); err != nil {
					t.Fatalf("set %v: %v", on, err)
				}
			}
			look := looks[s.Name]
			if s.Once && look != nil {
				before := look(c)
				set(true)
				if on := look(c); on == before {
					t.Errorf("%s: %q before and after, want something to have happened", s.Name, on)
				}
				return
			}
			if s.Once {
				conn := c.socket()
				if err := w.Slack.WaitSockets(t.Context(), 1); err != nil {
					t.Fatal(err)
				}
				set(true)
				if got := happens[s.Name](c, conn); got == "" {
					t.Errorf("after %s the socket shows %s, want something to have happened", s.Name, got)
				}
				return
			}
			before := look(c)
			set(true)
			on := look(c)
			set(false)
			after := look(c)
			if on == before || after != before {
				t.Errorf("%s: off %q, on %q, off again %q; want on to differ and off to be as before", s.Name, before, on, after)
			}
		})
	}
}
