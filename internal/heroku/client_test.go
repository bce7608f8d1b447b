package heroku

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/secret"
	"github.com/raxx-app/keyturn/internal/sim/herokusim"
	"github.com/raxx-app/keyturn/internal/sim/simhttp"
)

// TestStatuses: every error status, for a read and for the write.
func TestStatuses(t *testing.T) {
	tests := []struct {
		status                  int
		header                  http.Header
		wantRead, wantWrite     fault.Kind
		readReason, writeReason string
		wait                    time.Duration
	}{
		{status: 302, header: http.Header{"Location": {"http://127.0.0.1:1/"}}, wantRead: fault.Invalid, wantWrite: fault.Invalid, readReason: "redirected"},
		{status: 400, wantRead: fault.Invalid, wantWrite: fault.Invalid, readReason: "refused"},
		{status: 401, wantRead: fault.Denied, wantWrite: fault.Denied, readReason: "token_rejected"},
		{status: 402, wantRead: fault.Denied, wantWrite: fault.Denied, readReason: "forbidden"},
		{status: 403, wantRead: fault.Denied, wantWrite: fault.Denied, readReason: "forbidden"},
		{status: 404, wantRead: fault.NotFound, wantWrite: fault.NotFound, readReason: "app_not_found"},
		{status: 406, wantRead: fault.Invalid, wantWrite: fault.Invalid, readReason: "refused"},
		{status: 409, wantRead: fault.Conflict, wantWrite: fault.Conflict, readReason: "conflict"},
		{status: 410, wantRead: fault.NotFound, wantWrite: fault.NotFound, readReason: "app_not_found"},
		{status: 422, wantRead: fault.Invalid, wantWrite: fault.Invalid, readReason: "refused"},
		{status: 429, wantRead: fault.Transient, wantWrite: fault.Transient, readReason: "rate_limited"},
		{status: 429, header: http.Header{"Retry-After": {"7"}}, wantRead: fault.Transient, wantWrite: fault.Transient, readReason: "rate_limited", wait: 7 * time.Second},
		{status: 500, wantRead: fault.Transient, wantWrite: fault.Unknown, readReason: "unavailable", writeReason: "no_answer"},
		{status: 502, wantRead: fault.Transient, wantWrite: fault.Unknown, readReason: "unavailable", writeReason: "no_answer"},
		{status: 503, wantRead: fault.Transient, wantWrite: fault.Transient, readReason: "unavailable"},
		{status: 504, wantRead: fault.Transient, wantWrite: fault.Unknown, readReason: "unavailable", writeReason: "no_answer"},
	}
	sim, a := start(t, nil)
	for _, tt := range tests {
		for _, body := range []string{"", "<html>nope</html>", `{"id":"x","message":"planted body"}`} {
			for _, write := range []bool{false, true} {
				sim.Inject(simhttp.Fault{Times: 1, Status: tt.status, Header: tt.header, Body: body})
				want, reason := tt.wantRead, tt.readReason
				var err error
				if write {
					want = tt.wantWrite
					if tt.writeReason != "" {
						reason = tt.writeReason
					}
					_, err = a.Client.SetVars(t.Context(), prod, names, newPair)
				} else {
					_, err = a.Client.Vars(t.Context(), prod, names)
				}
				if err == nil || fault.KindOf(err) != want || fault.ReasonOf(err) != reason || fault.RetryAfter(err) != tt.wait {
					t.Errorf("%d %q write=%v: %v wait %v, want %v (%s) wait %v", tt.status, body, write, err, fault.RetryAfter(err), want, reason, tt.wait)
				}
				if err != nil && strings.Contains(err.Error()+fault.UserText(err)+fault.FixText(err), "planted body") {
					t.Errorf("%d: error quotes the body: %v", tt.status, err)
				}
			}
		}
	}
	if n := sim.Count("", ""); n != len(tests)*6 {
		t.Errorf("%d calls, want %d: nothing is retried or followed", n, len(tests)*6)
	}
}

// TestNoAnswer: what may have been sent is unknown, the rest is transient.
func TestNoAnswer(t *testing.T) {
	tests := []struct {
		name        string
		fault       simhttp.Fault
		write       bool
		want        fault.Kind
		reason      string
		wantWritten bool
	}{
		{"read cut", simhttp.Fault{Cut: true}, false, fault.Transient, "unreachable", false},
		{"read hangs", simhttp.Fault{Hang: true}, false, fault.Transient, "timeout", false},
		{"write cut", simhttp.Fault{Cut: true}, true, fault.Unknown, "no_answer", false},
		{"write hangs", simhttp.Fault{Hang: true}, true, fault.Unknown, "no_answer", false},
		{"write lost", simhttp.Fault{LoseReply: true}, true, fault.Unknown, "no_answer", true},
		{"write done, answer hangs", simhttp.Fault{HangReply: true}, true, fault.Unknown, "no_answer", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sim, _ := start(t, nil)
			c := New(Config{URL: sim.URL(), Token: secret.New(token), Timeout: 100 * time.Millisecond, Now: time.Now})
			defer c.Close()
			sim.Inject(tt.fault)
			var err error
			if tt.write {
				_, err = c.SetVars(t.Context(), prod, names, newPair)
			} else {
				_, err = c.Vars(t.Context(), prod, names)
			}
			if err == nil || fault.KindOf(err) != tt.want || fault.ReasonOf(err) != tt.reason {
				t.Errorf("error = %v, want %v (%s)", err, tt.want, tt.reason)
			}
			if got := len(sim.Releases(prod)) == 2; got != tt.wantWritten {
				t.Errorf("written = %v, want %v", got, tt.wantWritten)
			}
		})
	}
	c := New(Config{URL: "http://127.0.0.1:1", Token: secret.New(token), Now: time.Now})
	if _, err := c.SetVars(t.Context(), prod, names, newPair); fault.KindOf(err) != fault.Transient || fault.ReasonOf(err) != "unreachable" {
		t.Errorf("write to a closed port = %v, want transient (unreachable): it was never sent", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Vars(ctx, prod, names); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled read = %v, want it to be context.Canceled", err)
	}
}

// TestUnusableAnswers: 200 that is no answer; for the write it is one.
func TestUnusableAnswers(t *testing.T) {
	big := `{"A":"` + strings.Repeat("x", 10<<20) + `"}`
	for _, tt := range []struct {
		name, body string
		want       fault.Kind
		reason     string
	}{
		{"HTML", "<html>log in</html>", fault.Transient, "bad_answer"},
		{"empty", "", fault.Transient, "bad_answer"},
		{"numbers", `{"` + keyName + `":1}`, fault.Transient, "bad_answer"},
		{"10 MB", big, fault.Invalid, "answer_too_large"},
	} {
		sim, a := start(t, nil)
		sim.Inject(simhttp.Fault{Status: 200, Body: tt.body})
		if _, err := a.Client.Vars(t.Context(), prod, names); err == nil || fault.KindOf(err) != tt.want || fault.ReasonOf(err) != tt.reason {
			t.Errorf("%s: Vars = %v, want %v (%s)", tt.name, err, tt.want, tt.reason)
		}
		if _, err := a.Client.SetVars(t.Context(), prod, names, newPair); err != nil {
			t.Errorf("%s: SetVars = %v, want nil: its body proves nothing", tt.name, err)
		}
	}
}

// TestTrafficObeysSchema validates what we send and what we get, both by the
// vendor's schema, over a whole rotation with a release phase.
func TestTrafficObeysSchema(t *testing.T) {
	sim, _ := start(t, func(s *herokusim.App) { s.Phase = herokusim.Phase{On: true, Hold: true} })
	tap := &tap{}
	a := appAt(t, sim.URL(), tap)
	a.Ready(t.Context())
	r := apply(t, a)
	verify(t, a, r)
	apply(t, a)
	sim.FinishRelease(prod, true)
	verify(t, a, r)

	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	check := func(definition string, body []byte) error {
		s, err := compiler.Compile(filepath.Join("../../testdata/contracts/heroku/platform-api.draft04.schema.json") + "#/definitions/" + definition)
		if err != nil {
			return err
		}
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
		if err != nil {
			return err
		}
		return s.Validate(v)
	}
	answers := map[string]string{"config-vars": "config-var/definitions/config_vars", "releases": "release", "42": "release", "dynos": "dyno"}
	seen := map[string]int{}
	for _, x := range tap.taken {
		last := x.path[strings.LastIndex(x.path, "/")+1:]
		if x.accept != "application/vnd.heroku+json; version=3" || x.auth != "Bearer "+token || len(x.requestID) != 36 {
			t.Errorf("%s %s: Accept %q, Request-Id %q, or the token is not as it must be", x.method, x.path, x.accept, x.requestID)
		}
		if x.method == http.MethodPatch {
			if err := check("config-var/links/2/schema", x.sent); err != nil {
				t.Errorf("PATCH body: %v", err)
			}
		}
		definition, ok := answers[last]
		if !ok {
			continue // preboot: the schema's subset has no app features
		}
		seen[last]++
		bodies := []json.RawMessage{x.got}
		if x.got[0] == '[' {
			_ = json.Unmarshal(x.got, &bodies)
		}
		for _, b := range bodies {
			if err := check(definition, b); err != nil {
				t.Errorf("%s %s: %v", x.method, x.path, err)
			}
		}
	}
	for last := range answers {
		if seen[last] == 0 {
			t.Errorf("no call to …/%s was seen", last)
		}
	}
}

// A tap keeps the traffic.
type tap struct {
	mu    sync.Mutex
	taken []taken
}

type taken struct {
	method, path, accept, auth, requestID string
	sent, got                             []byte
}

func (p *tap) RoundTrip(r *http.Request) (*http.Response, error) {
	x := taken{method: r.Method, path: r.URL.Path, accept: r.Header.Get("Accept"), auth: r.Header.Get("Authorization"), requestID: r.Header.Get("Request-Id")}
	if r.Body != nil {
		x.sent, _ = io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(x.sent))
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	x.got, _ = io.ReadAll(resp.Body)
	resp.Body = io.NopCloser(bytes.NewReader(x.got))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken = append(p.taken, x)
	return resp, nil
}

func TestRetryAfter(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"": 0, "5": 5 * time.Second, "-3": 0, "soon": 0, "99999": retryAfterMax, "99999999999999999999": 0,
		stamp.Add(time.Minute).Format(http.TimeFormat):    time.Minute,
		fmt.Sprint(stamp.Add(30 * time.Second).Unix()):    30 * time.Second,
		stamp.Add(-time.Minute).Format(http.TimeFormat):   0,
		stamp.Add(24 * time.Hour).Format(http.TimeFormat): retryAfterMax,
	} {
		if got := retryAfter(http.Header{"Retry-After": {value}}, stamp); got != want {
			t.Errorf("Retry-After %q = %v, want %v", value, got, want)
		}
	}
}

// TestNothingLeaks: R43, R82. Services that quote what they were sent, in every
// place they can, and everything that we say afterwards.
func TestNothingLeaks(t *testing.T) {
	var said strings.Builder
	previous := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&said, nil))) // the SDK prints through package log
	t.Cleanup(func() { slog.SetDefault(previous) })

	planted := []string{token, newPair.KeyID.Reveal(), newPair.Secret.Reveal(), "other-app-secret"}
	quote := strings.Join(planted, " ")
	warn := http.Header{"X-Heroku-Warning": {quote}, "Warning-Message": {quote}, "Request-Id": {quote}, "Oauth-Scope": {"read " + quote}, "Oauth-Scope-Accepted": {quote + " global"}, "Location": {"http://127.0.0.1:1/?" + planted[1]}}
	say := func(v ...any) {
		for _, x := range v {
			fmt.Fprintf(&said, "%v %+v %s\n", x, x, x)
			if err, ok := x.(error); ok {
				said.WriteString(fault.UserText(err) + fault.FixText(err))
			}
			if data, err := json.Marshal(x); err == nil {
				said.Write(data)
			}
		}
	}
	run := func(a *App) {
		say(a.Ready(t.Context()))
		r, err := a.Apply(t.Context(), delivery())
		say(r, err)
		p, err := a.Verify(t.Context(), delivery(), r)
		say(p, err)
		warning, err := a.Client.SetVars(t.Context(), prod, names, newPair)
		say(warning, err, a, a.Client)
	}
	bodies := []string{quote, `{"id":"` + planted[2] + `","message":"` + quote + `"}`, `{"` + keyName + `":{"` + quote + `":1}}`}
	for _, status := range []int{200, 302, 400, 401, 403, 404, 422, 429, 500, 503} {
		for _, body := range bodies {
			sim, a := start(t, nil)
			sim.Inject(simhttp.Fault{Status: status, Body: body, Header: warn})
			run(a)
		}
	}
	run(appAt(t, "http://"+raw(t, "HTTP/1.1 2x0 "+quote+"\r\n"+quote+"\r\n\r\n"), nil))
	_, a := start(t, func(s *herokusim.App) {
		s.Vars = map[string]string{"OTHER": "other-app-secret"}
		s.Phase = herokusim.Phase{On: true, Hold: true}
	})
	run(a)
	for _, p := range planted {
		if strings.Contains(said.String(), p) {
			i := strings.Index(said.String(), p)
			t.Errorf("a planted value leaked: …%s[here]", said.String()[max(0, i-120):i])
		}
	}
	if strings.Contains(said.String(), "level=INFO") {
		t.Errorf("the SDK printed something: %s", said.String()[:200])
	}
}

// raw answers every connection with text.
func raw(t *testing.T, text string) string {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, text)
			_ = c.Close()
		}
	}()
	return ln.Addr().String()
}
