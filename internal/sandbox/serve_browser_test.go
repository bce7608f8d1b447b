package sandbox

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/sandbox/page"
)

// A browser knows the sandbox only by its page: what comes in as events, and
// what it may post. It has no knowledge of the world behind it.
type browser struct {
	world *World // nil: it is not looked at past the page
	t     *testing.T
	url   string
	as    string
	http  *http.Client

	mu      sync.Mutex
	changed chan struct{}
	raw     map[string][]byte // the last event of each name
	posts   map[string]post   // by channel and ts
	rows    []map[string]any  // of the audit record
	kinds   map[string]bool   // "block section", "element button": all that was ever to be shown
}

type post struct {
	Channel, TS, User, Text string
	Thread                  string `json:"thread_ts"`
	Blocks                  []block
	Ephemeral, Deleted      bool
}

type textObject struct{ Text string }

type option struct {
	Text  textObject
	Value string
}

type element struct {
	Type     string
	ActionID string `json:"action_id"`
	Value    string
	Text     json.RawMessage
	Options  []option
}

func (e element) label() string {
	var o textObject
	_ = json.Unmarshal(e.Text, &o)
	return o.Text
}

type block struct {
	Type      string
	BlockID   string `json:"block_id"`
	Label     textObject
	Text      textObject
	Fields    []textObject
	Optional  bool
	Element   element
	Accessory element
	Elements  json.RawMessage
}

// buttons lists what can be pressed in a block.
func (b block) buttons() []element {
	list := []element{b.Accessory}
	if b.Type == "actions" {
		var more []element
		_ = json.Unmarshal(b.Elements, &more)
		list = append(list, more...)
	}
	return slices.DeleteFunc(list, func(e element) bool { return e.Type != "button" })
}

type view struct {
	CallbackID string `json:"callback_id"`
	Submit     *textObject
	Blocks     []block
}

// text is all that stands in the blocks, roughly.
func (v view) text() string {
	var b strings.Builder
	for _, x := range v.Blocks {
		b.WriteString(x.Text.Text + "\n" + x.Label.Text + "\n" + string(x.Elements) + "\n")
		for _, f := range x.Fields {
			b.WriteString(f.Text + "\n")
		}
	}
	return b.String()
}

type slackEvent struct {
	Channels []struct{ ID, Kind string }
	Modal    *struct {
		Depth  int
		Busy   bool
		View   view
		Values map[string]map[string]map[string]any
		Errors map[string]string
	}
	Home      *struct{ View view }
	BotOnline bool
}

type outsideEvent struct {
	Alpaca struct {
		MarketOpen bool
		Accounts   []struct{ Number, KeyID, Ours string }
	}
	Places []page.Place
	Alerts []page.Alert
}

type rotationEvent struct {
	BotRunning bool
	PID        int
	Rotations  []struct {
		Rotation struct {
			ID, Outcome string
			Steps       []struct{ Name, State string }
		}
		Exposure struct {
			TookMS int64 `json:"took_ms"`
		}
	}
	Audit struct {
		Intact bool
		Rows   int
	}
	Faults []struct {
		Name string
		On   bool
	}
	Clock struct {
		Ahead int64 `json:"ahead_s"`
	}
}

// browse opens the page as a person.
func browse(t *testing.T, url, as string) *browser {
	t.Helper()
	transport := &http.Transport{}
	b := &browser{t: t, url: url, as: as, http: &http.Client{Transport: transport}, changed: make(chan struct{}), raw: map[string][]byte{}, posts: map[string]post{}, kinds: map[string]bool{}}
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/api/events?as="+as, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := b.http.Do(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET /api/events = %v, %v, want 200", resp, err)
	}
	var work sync.WaitGroup
	work.Go(func() { b.read(bufio.NewReader(resp.Body)) })
	t.Cleanup(func() {
		cancel()
		_ = resp.Body.Close()
		work.Wait()
		transport.CloseIdleConnections()
	})
	return b
}

func (b *browser) read(r *bufio.Reader) {
	name := ""
	for {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return
		}
		if v, ok := bytes.CutPrefix(line, []byte("event: ")); ok {
			name = string(bytes.TrimSpace(v))
		}
		if v, ok := bytes.CutPrefix(line, []byte("data: ")); ok {
			b.take(name, bytes.TrimSpace(v))
		}
	}
}

func (b *browser) take(name string, data []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.raw[name] = bytes.Clone(data)
	if name == "slack" || name == "messages" {
		var any any
		_ = json.Unmarshal(data, &any)
		b.note(any, "")
	}
	switch name {
	case "messages":
		var in struct {
			Reset    bool
			Messages []post
		}
		if err := json.Unmarshal(data, &in); err != nil {
			b.t.Errorf("event messages: %v", err)
		}
		if in.Reset {
			clear(b.posts)
		}
		for _, p := range in.Messages {
			b.posts[p.Channel+p.TS] = p
		}
	case "audit":
		var in struct {
			Reset bool
			Rows  []map[string]any
		}
		if err := json.Unmarshal(data, &in); err != nil {
			b.t.Errorf("event audit: %v", err)
		}
		if in.Reset {
			b.rows = nil
		}
		b.rows = append(b.rows, in.Rows...)
	}
	close(b.changed)
	b.changed = make(chan struct{})
}

// event decodes the last event of a name, if there was one.
func (b *browser) event(name string, into any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if data, ok := b.raw[name]; ok {
		if err := json.Unmarshal(data, into); err != nil {
			b.t.Errorf("event %s: %v", name, err)
		}
	}
}

func (b *browser) slack() (e slackEvent)       { b.event("slack", &e); return e }
func (b *browser) outside() (e outsideEvent)   { b.event("outside", &e); return e }
func (b *browser) rotation() (e rotationEvent) { b.event("rotation", &e); return e }
func (b *browser) drill() (e page.DrillView)   { b.event("drill", &e); return e }

// until waits for events until ok.
func (b *browser) until(what string, ok func() bool) {
	b.t.Helper()
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	for {
		b.mu.Lock()
		next := b.changed
		b.mu.Unlock()
		if ok() {
			return
		}
		select {
		case <-next:
		case <-limit.C:
			b.mu.Lock()
			defer b.mu.Unlock()
			b.t.Fatalf("%s waits until %s; the page shows\nslack %s\nrotation %s\ndrill %s\nmessages %q", b.as, what, b.raw["slack"], b.raw["rotation"], b.raw["drill"], b.heads())
		}
	}
}

// heads are the first lines of all messages; b.mu is held.
func (b *browser) heads() (list []string) {
	for _, p := range b.posts {
		list = append(list, p.TS+" "+p.Channel+": "+p.Text)
	}
	slices.Sort(list)
	return list
}

// do posts and returns the answer, which must be ok.
func (b *browser) do(path string, body map[string]any) map[string]any {
	b.t.Helper()
	out := b.try(path, body)
	if out["ok"] != true {
		b.t.Fatalf("POST %s = %v, want ok", path, out)
	}
	return out
}

// try posts and returns the answer.
func (b *browser) try(path string, body map[string]any) map[string]any {
	b.t.Helper()
	if _, given := body["as"]; !given && strings.HasPrefix(path, "/api/slack/") {
		body["as"] = b.as
	}
	data, err := json.Marshal(body)
	if err != nil {
		b.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.url+path, bytes.NewReader(data))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := b.http.Do(req)
	if err != nil {
		b.t.Fatalf("POST %s: %v", path, err)
	}
	defer resp.Body.Close()
	var out map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil || resp.StatusCode != http.StatusOK {
		b.t.Fatalf("POST %s = %d %v, %v, want 200", path, resp.StatusCode, out, err)
	}
	return out
}

// note remembers the types of all blocks and elements below v; as is what v
// itself is.
func (b *browser) note(v any, as string) {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			b.note(x, as)
		}
	case map[string]any:
		if kind, ok := v["type"].(string); ok && as != "" && kind != "mrkdwn" && kind != "plain_text" {
			b.kinds[as+" "+kind] = true
		}
		for name, x := range v {
			switch name {
			case "blocks":
				b.note(x, "block")
			case "element", "elements", "accessory":
				b.note(x, "element")
			default:
				b.note(x, "")
			}
		}
	}
}

// supported returns what blockkit.js can show.
func supported(t *testing.T) map[string]bool {
	t.Helper()
	script, err := os.ReadFile("page/assets/blockkit.js")
	if err != nil {
		t.Fatal(err)
	}
	can := map[string]bool{}
	for list, as := range map[string]string{"kinds": "block", "elements": "element"} {
		_, rest, _ := strings.Cut(string(script), "\nconst "+list+" = {\n")
		body, _, _ := strings.Cut(rest, "\n};")
		for _, m := range regexp.MustCompile(`(?m)^  (\w+)[:(]`).FindAllStringSubmatch(body, -1) {
			can[as+" "+m[1]] = true
		}
	}
	if !can["block section"] || !can["element button"] {
		t.Fatalf("blockkit.js can show %v, want at least a section and a button", can)
	}
	return can
}
