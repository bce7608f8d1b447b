package page

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/raxx-app/keyturn/internal/control"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/sim/alpacasim"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	ada = "U0ADA"
	bob = "U0BOB"
	ops = "C0RAXXOPS"
)

// A robot stands in for the bot: a process, a record and a clock.
type robot struct {
	mu    sync.Mutex
	pid   int
	ahead time.Duration
	rows  []control.AuditRow
	acts  []Act
	ended bool
}

func (r *robot) PID() int { r.mu.Lock(); defer r.mu.Unlock(); return r.pid }
func (r *robot) Start(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pid = 77
	return nil
}
func (r *robot) Stop() error { r.mu.Lock(); defer r.mu.Unlock(); r.pid = 0; return nil }
func (r *robot) Kill() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pid == 0 {
		return errors.New("the bot does not run")
	}
	r.pid = 0
	return nil
}
func (r *robot) Now() time.Time       { return time.Now().Add(r.Ahead()) }
func (r *robot) Ahead() time.Duration { r.mu.Lock(); defer r.mu.Unlock(); return r.ahead }
func (r *robot) Advance(d time.Duration) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ahead += d
	return nil
}

func (r *robot) Rotations(context.Context) ([]control.RotationView, error) {
	old := rotation.Rotation{ID: "r1", Opened: time.Unix(1, 0)}
	return []control.RotationView{{Rotation: old}, {Rotation: rotation.Rotation{ID: "r2", Opened: time.Unix(2, 0)}}}, nil
}

func (r *robot) Audit(_ context.Context, after uint64) ([]control.AuditRow, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.rows[min(int(after), len(r.rows)):]), nil
}

func (r *robot) Verify(context.Context) (control.Verdict, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return control.Verdict{Rows: uint64(len(r.rows)), Problem: "row 1 was changed"}, nil
}

func (r *robot) addRow() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows = append(r.rows, fmt.Appendf(nil, `{"seq":%d,"time":"2026-01-02T03:04:05Z","actor":"ada","action":"x","hash":"ab"}`, len(r.rows)+1))
}

func (r *robot) View() DrillView {
	r.mu.Lock()
	defer r.mu.Unlock()
	return DrillView{Name: "d", Running: !r.ended}
}
func (r *robot) Note(a Act) { r.mu.Lock(); defer r.mu.Unlock(); r.acts = append(r.acts, a) }
func (r *robot) Finish()    { r.mu.Lock(); defer r.mu.Unlock(); r.ended = true }

// A desk is a page that is served, over a workspace and a dashboard.
type desk struct {
	t       *testing.T
	robot   *robot
	slack   *slacksim.Workspace
	alpaca  *alpacasim.Sim
	account string
	url     string
	client  *http.Client
	fault   func() bool
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{t: t, robot: &robot{pid: 42}, slack: slacksim.New(slacksim.Config{}), alpaca: alpacasim.New(alpacasim.Config{}), client: &http.Client{Transport: &http.Transport{}}}
	for _, s := range []interface{ Start() error }{d.slack, d.alpaca} {
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
	}
	d.slack.AddUser(slacksim.User{ID: ada, Name: "ada"})
	d.slack.AddUser(slacksim.User{ID: bob, Name: "bob"})
	d.slack.AddChannel(slacksim.Channel{ID: ops, Name: "ops", Members: []string{d.slack.Config().BotUserID, ada, bob}})
	a, err := d.alpaca.AddAccount(alpacasim.Seed{Cash: "1000.5"})
	if err != nil {
		t.Fatal(err)
	}
	d.account = a.Number
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	on := false
	var mu sync.Mutex
	d.fault = func() bool { mu.Lock(); defer mu.Unlock(); return on }
	s, err := New(Config{
		Addr: ln.Addr().String(), Version: "v1", Team: "Raxx", Command: "/rotate-alpaca-paper", Slack: d.slack, Alpaca: d.alpaca,
		People: []Person{{ID: ada}, {ID: bob}, {ID: "U0KEYTURN", Bot: true}}, Ours: func(string) string { return "prod" },
		Places: func() []Place { return []Place{{ID: "infisical", Works: Works, Fields: [][2]string{{"a", "b"}}}} },
		Bot:    d.robot, Record: d.robot, Clock: d.robot, Drill: d.robot,
		Faults: []Fault{
			{Name: "flood", Group: "Weather", What: "Water.", Set: func(is bool) error { mu.Lock(); defer mu.Unlock(); on = is; return nil }},
			{Name: "flash", Group: "Weather", What: "Light.", Once: true, Set: func(bool) error { return nil }},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	srv := &httptest.Server{Listener: ln, Config: &http.Server{Handler: s, BaseContext: func(net.Listener) context.Context { return ctx }}}
	srv.Start()
	d.url = srv.URL
	var work sync.WaitGroup
	work.Go(func() { s.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		srv.CloseClientConnections()
		srv.Close()
		work.Wait()
		d.client.CloseIdleConnections()
		_ = d.slack.Close()
		_ = d.alpaca.Close()
	})
	return d
}

// ask sends a request with headers and returns status and body.
func (d *desk) ask(method, path, body string, headers ...string) (int, http.Header, string) {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), method, d.url+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if req.Header.Set(headers[i], headers[i+1]); headers[i] == "Host" {
			req.Host = headers[i+1]
		}
	}
	resp, err := d.client.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	got, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, string(got)
}

// post does something and returns the answer.
func (d *desk) post(path, body string) (out map[string]any) {
	d.t.Helper()
	status, _, got := d.ask(http.MethodPost, path, body, "Content-Type", "application/json")
	if err := json.Unmarshal([]byte(got), &out); err != nil || status != http.StatusOK {
		d.t.Fatalf("POST %s %s = %d %s, want 200 and JSON", path, body, status, got)
	}
	return out
}

// A feed is a stream of events.
type feed struct {
	t      *testing.T
	events chan [2]string
}

func (d *desk) feed(as string) *feed {
	d.t.Helper()
	ctx, cancel := context.WithCancel(d.t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url+"/api/events?as="+as, http.NoBody)
	if err != nil {
		d.t.Fatal(err)
	}
	resp, err := d.client.Do(req)
	if err != nil || resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		d.t.Fatalf("GET /api/events = %v, %v, want a stream", resp, err)
	}
	f := &feed{t: d.t, events: make(chan [2]string, 10_000)}
	var work sync.WaitGroup
	work.Go(func() {
		name := ""
		for r := bufio.NewReader(resp.Body); ; {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			if cut, ok := strings.CutPrefix(line, "event: "); ok {
				name = strings.TrimSpace(cut)
			}
			if data, ok := strings.CutPrefix(line, "data: "); ok {
				f.events <- [2]string{name, strings.TrimSpace(data)}
			}
		}
	})
	d.t.Cleanup(func() { cancel(); _ = resp.Body.Close(); work.Wait() })
	return f
}

// until returns the first event of a name from now on that contains all of parts.
func (f *feed) until(name string, parts ...string) string {
	f.t.Helper()
	limit := time.After(10 * time.Second)
	last := ""
	for {
		select {
		case e := <-f.events:
			if e[0] != name {
				continue
			}
			last = e[1]
			if !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(last, p) }) {
				return last
			}
		case <-limit:
			f.t.Fatalf("no event %s with %q; the last one is %s", name, parts, last)
		}
	}
}

// api calls the workspace as the bot does.
func (d *desk) api(method, body string) map[string]any {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), http.MethodPost, d.slack.APIURL()+method, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+d.slack.Config().BotToken)
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	resp, err := d.client.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	var out map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil || out["ok"] != true {
		d.t.Fatalf("%s = %v, %v, want ok", method, out, err)
	}
	return out
}
