package sandbox

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/sim/simhttp"
)

// TestCanary does a rotation in which nothing goes wrong and finds no secret
// where it does not belong; and everything that the bot writes was looked at
// (R43).
func TestCanary(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := newCanary(t, w)
	r := w.Play(t.Context(), Fault{}, c.say)
	if r.Problem() != nil {
		t.Fatal(r.Problem())
	}
	for _, args := range [][]string{{"audit", "show", r.Rotation}, {"doctor"}, {"doctor", "--json"}} {
		c.command(t, args...)
	}
	for _, s := range []interface{ Inject(simhttp.Fault) func() }{w.Slack, w.Alpaca, w.Infisical, w.Heroku, w.GitHub, w.Raptor, w.Backtest, w.Pager} {
		s.Inject(simhttp.Fault{Status: http.StatusForbidden, Header: http.Header{"Content-Type": {"application/json"}}, Body: `{"id":"` + simhttp.EchoMark + `","error":"` + simhttp.EchoMark + `","message":"` + simhttp.EchoMark + `"}`})
	}
	c.command(t, "doctor") // while everybody quotes what they were sent
	c.judge(t)
	want := []string{
		sandboxSays, "the file bot.log", "the file keyturn.db", "the file bot.yml", "a backup", "bot audit export", "bot audit verify", "bot audit show " + r.Rotation, "bot status", "bot status --json", "bot doctor", "bot doctor --json",
		"what the bot sent to Slack (views.open)", "what the bot sent to Slack (views.update)", "what the bot sent to Slack (chat.postMessage)", "what the bot sent to Slack (ack)",
	}
	if runtime.GOOS == "linux" {
		want = append(want, "a command line", environmentOf, "the answer to /healthz", "the answer to /readyz", "the answer to /metrics")
	}
	for _, name := range want {
		if len(c.sinks[name]) == 0 {
			t.Errorf("%s: nothing was kept, so nothing was searched", name)
		}
	}
	known := map[string]planted{}
	discover(w, c.wires, known)
	pairs := map[string]string{}
	for name, p := range known {
		if p.home[toHeroku] == "body" {
			pairs[name] = p.value
		}
	}
	if len(pairs) != 4 {
		t.Errorf("%d halves of pairs are known, want the old one's and the new one's", len(pairs))
	}
	c.arrived(t, search(t, pairs))
}

// arrived looks whether the search finds what must be there: both pairs on their
// way to the services that get them in clear.
func (c *canary) arrived(t *testing.T, l *leakSearch) {
	t.Helper()
	for _, line := range c.wires {
		found := map[string]bool{}
		for _, r := range line.all() {
			for _, p := range parts(r) {
				for _, f := range l.find(p.data) {
					found[f.Name] = true
				}
			}
		}
		want := map[string]int{toAlpaca: 4, toInfisical: 2, toHeroku: 2, toBacktest: 2}[line.to]
		if len(found) != want || len(line.all()) == 0 && line.to != toPager { // nobody is woken
			t.Errorf("%d halves of pairs were found in %d requests to %s, want %d", len(found), len(line.all()), line.to, want)
		}
	}
}

// TestCanaryFinds plants a leak in each kind of sink and wants each found.
func TestCanaryFinds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := newCanary(t, w)
	l := search(t, map[string]string{"the pair": w.Old.Secret, "Heroku's token": herokuToken})
	known := map[string]planted{"the pair": {w.Old.Secret, pairHome(), false}, "Heroku's token": {herokuToken, map[string]string{toHeroku: "Authorization"}, true}}
	for _, tt := range []struct {
		to, what string
		name     string
		want     bool
	}{
		{toHeroku, "body", "the pair", true},
		{toHeroku, "address", "the pair", false},
		{toHeroku, "header Authorization", "the pair", false},
		{toGitHub, "body", "the pair", false},
		{toAlpaca, "header " + alpacaSecretHeader, "the pair", true},
		{toAlpaca, "body", "the pair", false},
		{toDownstream, "body", "the pair", false},
		{toBacktest, "body", "the pair", true},
		{toJournal, "body", "the pair", false},
		{toHeroku, "header Authorization", "Heroku's token", true},
		{toGitHub, "header Authorization", "Heroku's token", false},
		{toHeroku, "body", "Heroku's token", false},
	} {
		if got := known[tt.name].mayGo(tt.to, tt.what); got != tt.want {
			t.Errorf("%s may go to %s in the %s = %t, want %t", tt.name, tt.to, tt.what, got, tt.want)
		}
	}
	for _, url := range []string{w.GitHub.URL() + "/a?secret=" + w.Old.Secret, w.Raptor.URL() + "/" + herokuToken} {
		if _, err := get(url); err != nil {
			t.Fatal(err)
		}
	}
	got := map[string]bool{}
	for _, line := range c.wires {
		for _, r := range line.all() {
			for _, p := range parts(r) {
				for _, f := range l.find(p.data) {
					got[f.Name+" in the "+p.what+" to "+line.to] = true
				}
			}
		}
	}
	for _, want := range []string{"the pair in the address to " + toGitHub, "Heroku's token in the address to " + toDownstream} {
		if !got[want] {
			t.Errorf("found %v, want %q", got, want)
		}
	}
}

// echoes has every service quote what it was sent, with the credentials, in an
// error that passes by itself.
func echoes(s *Scene) func() error {
	return func() error {
		const message = `{"id":"` + simhttp.EchoMark + `","error":"` + simhttp.EchoMark + `","message":"` + simhttp.EchoMark + `","reqId":"` + simhttp.EchoMark + `","statusCode":500}`
		once := func(status int) simhttp.Fault {
			return simhttp.Fault{Times: 1, Status: status, Body: message, Header: http.Header{"Content-Type": {"application/json"}, "Retry-After": {"1"}}}
		}
		write := func(f simhttp.Fault, method string) simhttp.Fault { f.Method = method; return f }
		for _, status := range []int{http.StatusInternalServerError, http.StatusBadGateway, http.StatusTooManyRequests} {
			s.Alpaca.Inject(once(status))
			s.Infisical.Inject(write(once(status), http.MethodPatch))
			s.Heroku.Inject(write(once(status), http.MethodPatch))
			s.GitHub.Inject(write(once(status), http.MethodPut))
			s.Raptor.Inject(write(once(status), http.MethodGet))
			s.Backtest.Inject(once(status))
		}
		s.Slack.Inject(simhttp.Fault{Path: "/api/views.update", Times: 1, Status: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: `{"ok":false,"error":"internal_error","response_metadata":{"messages":["[ERROR] ` + simhttp.EchoMark + `"]}}`})
		s.Say("every service quotes what it was sent, with its credentials, in its next errors")
		return nil
	}
}

// TestCanaryEcho: services that quote what they were sent in their errors leak
// nothing through the bot (R43).
func TestCanaryEcho(t *testing.T) {
	t.Parallel()
	const quote = `{"id":"invalid_params","error":"` + simhttp.EchoMark + `","message":"got ` + simhttp.EchoMark + `"}`
	refusal := func(method, path string) simhttp.Fault {
		return simhttp.Fault{Method: method, Path: path, Status: http.StatusUnprocessableEntity, Body: quote, Header: http.Header{"Content-Type": {"application/json"}}}
	}
	for _, f := range []Fault{
		{Name: "errors that pass", Act: func(s *Scene) error { return s.rotateWith(echoes(s)) }},
		{Name: "a refusal of Heroku", Act: func(s *Scene) error {
			if err := s.generated(); err != nil {
				return err
			}
			clear := s.Heroku.Inject(refusal(http.MethodPatch, "/apps/"+prodApp))
			return s.mendedAfter(prodApp, "Heroku takes it", clear, prodApp)
		}},
		{Name: "a refusal of GitHub", Act: func(s *Scene) error {
			if err := s.generated(); err != nil {
				return err
			}
			clear := s.GitHub.Inject(refusal(http.MethodPut, "/repos/"))
			return s.mendedAfter(ciConsumer, "GitHub takes it", clear, ciConsumer, nightlyConsumer)
		}},
	} {
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c := newCanary(t, w)
			r := w.Play(t.Context(), f, c.say)
			if err := r.Problem(); err != nil {
				t.Errorf("%v\n%s", err, tail(w.Log()))
			}
			c.judge(t)
		})
	}
}

// TestCanaryDump ends the bot with a dump of every goroutine while it has the
// pair in its hands: Go prints no value.
func TestCanaryDump(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := newCanary(t, w)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	bot, err := w.StartBot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Slack.WaitSockets(ctx, 1); err != nil {
		t.Fatal(err)
	}
	ada := &Operator{Slack: w.Slack, Dashboard: w.Alpaca, User: Ada, Name: "@ada", Say: c.say}
	for _, step := range []func(context.Context) error{ada.begin, ada.goOn} {
		if err := step(ctx); err != nil {
			t.Fatal(err)
		}
	}
	key, err := ada.dashboard(ctx)
	if err != nil {
		t.Fatal(err)
	}
	w.Infisical.Inject(simhttp.Fault{Method: http.MethodPatch, Path: vaultBatch, Hang: true}) // it is on its way with the pair
	if err := ada.seal(ctx, key); err != nil {
		t.Fatal(err)
	}
	for w.Infisical.Count(http.MethodPatch, vaultBatch) < 2 { // the first one was the check of step 1
		if err := ctx.Err(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(lookEvery)
	}
	if err := bot.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	<-bot.Exited()
	log, err := os.ReadFile(w.Log())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(log, []byte("goroutine ")) || !bytes.Contains(log, []byte("infisical.")) {
		t.Errorf("the log has no dump of a bot that calls Infisical:\n%s", tail(w.Log()))
	}
	c.judge(t)
}
