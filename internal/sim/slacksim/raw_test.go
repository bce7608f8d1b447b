package slacksim_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

type object = map[string]any

// A reply is the answer to one raw request.
type reply struct {
	status int
	header http.Header
	body   object
}

func (r reply) err() string {
	s, _ := r.body["error"].(string)
	return s
}

// post sends one request to a method; auth "" sends no Authorization header.
func post(t testing.TB, w *slacksim.Workspace, method, contentType, auth, body string) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.APIURL()+method, strings.NewReader(body))
	if err != nil {
		t.Fatalf("request: %v", err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if auth != "" {
		req.Header.Set("Authorization", "Bearer "+auth)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("POST %s: %v", method, err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("read answer: %v", err)
	}
	out := reply{status: resp.StatusCode, header: resp.Header}
	if err := json.Unmarshal(raw, &out.body); err != nil {
		out.body = object{"error": string(raw)}
	}
	return out
}

// form calls a method as slack-go calls most of them: token in the form.
func form(t testing.TB, w *slacksim.Workspace, method string, args ...string) reply {
	t.Helper()
	v := url.Values{"token": {w.Config().BotToken}}
	for i := 0; i < len(args); i += 2 {
		v.Set(args[i], args[i+1])
	}
	return post(t, w, method, "application/x-www-form-urlencoded", "", v.Encode())
}

// jsonCall calls a method with a JSON body and the bot token in the header.
func jsonCall(t testing.TB, w *slacksim.Workspace, method string, args object) reply {
	t.Helper()
	body, err := json.Marshal(args)
	if err != nil {
		t.Fatalf("encode: %v", err)
	}
	return post(t, w, method, "application/json; charset=utf-8", w.Config().BotToken, string(body))
}

// A wire is a raw socket: it does nothing by itself but read and answer pings.
type wire struct {
	*websocket.Conn
	frames chan object
	pings  chan struct{}
	pongs  chan string
	closed chan error // gets the read error
}

// dial opens a raw socket.
func dial(t testing.TB, w *slacksim.Workspace) *wire {
	t.Helper()
	got := post(t, w, "apps.connections.open", "application/json", w.Config().AppToken, "")
	link, _ := got.body["url"].(string)
	conn, resp, err := websocket.DefaultDialer.DialContext(t.Context(), link, http.Header{"Origin": {"https://api.slack.com"}})
	if err != nil {
		t.Fatalf("dial %q: %v", link, err)
	}
	_ = resp.Body.Close()
	c := &wire{Conn: conn, frames: make(chan object, 100), pings: make(chan struct{}, 100), pongs: make(chan string, 10), closed: make(chan error, 1)}
	conn.SetPongHandler(func(data string) error { c.pongs <- data; return nil })
	conn.SetPingHandler(func(data string) error {
		select {
		case c.pings <- struct{}{}:
		default:
		}
		_ = conn.WriteControl(websocket.PongMessage, []byte(data), time.Now().Add(time.Second))
		return nil
	})
	go func() {
		for {
			var o object
			if err := conn.ReadJSON(&o); err != nil {
				c.closed <- err
				return
			}
			c.frames <- o
		}
	}()
	t.Cleanup(func() { _ = conn.Close() })
	return c
}

// next returns the next frame, nil if none comes within d.
func (c *wire) next(d time.Duration) object {
	select {
	case o := <-c.frames:
		return o
	case <-time.After(d):
		return nil
	}
}

// want returns the next frame, which must come and have the type.
func (c *wire) want(t testing.TB, kind string) object {
	t.Helper()
	o := c.next(5 * time.Second)
	if o["type"] != kind {
		t.Fatalf("frame = %v, want type %s", o, kind)
	}
	return o
}

// ack acknowledges an envelope.
func (c *wire) ack(t testing.TB, envelope object, payload any) {
	t.Helper()
	o := object{"envelope_id": envelope["envelope_id"]}
	if payload != nil {
		o["payload"] = payload
	}
	if err := c.WriteJSON(o); err != nil {
		t.Fatalf("ack: %v", err)
	}
}

// in returns the value at a path of keys.
func in(o any, path ...string) any {
	for _, key := range path {
		m, _ := o.(object)
		o = m[key]
	}
	return o
}
