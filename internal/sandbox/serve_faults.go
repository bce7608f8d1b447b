package sandbox

import (
	"net/http"
	"slices"
	"time"

	"github.com/raxx-app/keyturn/internal/sandbox/page"
	"github.com/raxx-app/keyturn/internal/sim/alpacasim"
	"github.com/raxx-app/keyturn/internal/sim/githubsim"
	"github.com/raxx-app/keyturn/internal/sim/herokusim"
	"github.com/raxx-app/keyturn/internal/sim/raptorsim"
	"github.com/raxx-app/keyturn/internal/sim/simhttp"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

// slowBy is how long a slow service takes.
const slowBy = 4 * time.Second

// lagSwitch is how long Alpaca accepts an old pair with that switch on.
const lagSwitch = time.Minute

// while is a switch for something that is put in and taken away again.
func while(put func() (clear func())) func(bool) error {
	var clear func()
	return func(on bool) error {
		if on {
			clear = put()
		} else {
			clear()
		}
		return nil
	}
}

// injected is a switch for a fault of a service.
func injected(sim interface{ Inject(simhttp.Fault) func() }, f simhttp.Fault) func(bool) error {
	return while(func() func() { return sim.Inject(f) })
}

// either is a switch between two values.
func either[T any](set func(T), on, off T) func(bool) error {
	return func(is bool) error {
		if is {
			set(on)
		} else {
			set(off)
		}
		return nil
	}
}

// once is a switch for something that happens and is over.
func once(f func()) func(bool) error {
	return func(on bool) error {
		if on {
			f()
		}
		return nil
	}
}

// switches returns every fault that can be switched on the page.
func (w *World) switches() []page.Fault {
	return slices.Concat(w.slackSwitches(), w.alpacaSwitches(), w.vaultSwitches(), w.consumerSwitches(), w.hookSwitches(), w.raptorSwitches(), w.accidents())
}

func (w *World) slackSwitches() []page.Fault {
	const group = "Slack"
	return []page.Fault{
		{Name: "slack-down", Group: group, What: "Slack answers nobody, and the bot's connections are cut.", Set: while(func() func() {
			clear := w.Slack.Inject(simhttp.Fault{Cut: true})
			w.Slack.CutSockets()
			return clear
		})},
		{Name: "slack-429", Group: group, What: "Slack's rate limit refuses every message and every view that the bot updates.", Set: func(on bool) error {
			times := 0 // until it is ended
			if !on {
				times = -1
			}
			for _, method := range []string{"chat.postMessage", "chat.update", "views.update"} {
				w.Slack.RateLimit(method, times, time.Second)
			}
			return nil
		}},
		{Name: "slack-duplicates", Group: group, What: "Slack delivers everything that people do twice.", Set: either(w.Slack.Duplicate, true, false)},
		{Name: "slack-disconnect", Group: group, Once: true, What: "Slack asks the bot to connect again.", Set: once(func() { w.Slack.Disconnect(slacksim.RefreshRequested) })},
		{Name: "slack-cut", Group: group, Once: true, What: "The connection to Slack is cut without a word.", Set: once(func() { w.Slack.CutSockets() })},
	}
}

func (w *World) alpacaSwitches() []page.Fault {
	const group = "Alpaca"
	outage := func(o alpacasim.Outage) func(bool) error { return either(w.Alpaca.SetOutage, o, alpacasim.Healthy) }
	return []page.Fault{
		{Name: "alpaca-down", Group: group, What: "Alpaca answers with a proxy's error page.", Set: outage(alpacasim.BadGateway)},
		{Name: "alpaca-500", Group: group, What: "Alpaca answers with error 500.", Set: injected(w.Alpaca, simhttp.Fault{Status: http.StatusInternalServerError, Body: `{"code":50010000,"message":"internal server error occurred"}`, Header: jsonHeader()})},
		{Name: "alpaca-slow", Group: group, What: "Alpaca takes four seconds for each answer.", Set: injected(w.Alpaca, simhttp.Fault{Delay: slowBy})},
		{Name: "alpaca-flapping", Group: group, What: "Alpaca refuses every second call with 401, whatever the pair, as in April 2020.", Set: either(func(n int) { w.Alpaca.SetAuthIncident("", n) }, 2, 0)},
		{Name: "alpaca-rate-limit", Group: group, What: "Alpaca allows two calls a minute for each account.", Set: either(w.Alpaca.SetRateLimit, 2, 0)},
		{Name: "alpaca-lag", Group: group, What: "A pair that was replaced works for another minute.", Set: either(w.Alpaca.SetRevocationLag, lagSwitch, 0)},
		{Name: "market-closed", Group: group, What: "The market is closed.", Set: either(w.Alpaca.SetMarketOpen, false, true)},
		{Name: "partial-fills", Group: group, What: "Orders fill by half and stay there.", Set: either(w.Alpaca.SetPartialFills, true, false)},
	}
}

func (w *World) vaultSwitches() []page.Fault {
	const group = "Infisical"
	return []page.Fault{
		{Name: "infisical-down", Group: group, What: "Infisical answers everything with error 500.", Set: while(func() func() { return w.Infisical.Break("", "/api/", 0) })},
		{Name: "infisical-html", Group: group, What: "A proxy in front of Infisical answers with a web page.", Set: while(func() func() { return w.Infisical.AnswerHTML("", "/api/", 0) })},
		{Name: "infisical-slow", Group: group, What: "Infisical takes four seconds for each answer.", Set: injected(w.Infisical, simhttp.Fault{Delay: slowBy})},
		{Name: "infisical-429", Group: group, What: "Infisical's rate limit refuses every call.", Set: while(func() func() { return w.Infisical.RateLimit("", "/api/", 0, time.Second) })},
		{Name: "infisical-denied", Group: group, What: "The bot may not write in Infisical.", Set: while(func() func() { return w.Infisical.Deny(http.MethodPatch, "/api/", 0) })},
	}
}

func jsonHeader() http.Header { return http.Header{"Content-Type": {"application/json"}} }

func (w *World) consumerSwitches() []page.Fault {
	const heroku, github = "Heroku", "GitHub"
	write := simhttp.Fault{Method: http.MethodPatch, Path: "/apps/"}
	broken, limited := write, write
	broken.Status, broken.Body, broken.Header = http.StatusInternalServerError, `{"id":"internal_server_error","message":"Internal server error."}`, jsonHeader()
	limited.Status, limited.Body = http.StatusTooManyRequests, `{"id":"rate_limit","message":"Your account reached the API rate limit."}`
	limited.Header = http.Header{"Retry-After": {"1"}, "Content-Type": {"application/json"}}
	secondary := githubsim.SecondaryLimit(http.StatusForbidden, time.Second)
	secondary.Method = http.MethodPut
	return []page.Fault{
		{Name: "heroku-500", Group: heroku, What: "Heroku answers every write with error 500.", Set: injected(w.Heroku, broken)},
		{Name: "heroku-429", Group: heroku, What: "Heroku's rate limit refuses every write.", Set: injected(w.Heroku, limited)},
		{Name: "heroku-slow", Group: heroku, What: "Heroku takes four seconds for each answer.", Set: injected(w.Heroku, simhttp.Fault{Delay: slowBy})},
		{Name: "heroku-release-fails", Group: heroku, What: prodApp + " has a release command, and it fails.", Set: either(func(p herokusim.Phase) { w.Heroku.SetPhase(prodApp, p) }, herokusim.Phase{On: true, Fails: true}, herokusim.Phase{})},
		{Name: "heroku-crash", Group: heroku, What: "New dynos of " + stagingApp + " crash.", Set: either(func(b herokusim.Boot) { w.Heroku.SetBoot(stagingApp, b) }, herokusim.Boot{Crashes: true}, herokusim.Boot{})},
		{Name: "heroku-preboot", Group: heroku, What: prodApp + " has preboot: its old dynos serve on for ten seconds.", Set: func(on bool) error {
			w.Heroku.SetPreboot(prodApp, on)
			return either(func(b herokusim.Boot) { w.Heroku.SetBoot(prodApp, b) }, herokusim.Boot{PrebootWindow: 10 * time.Second}, herokusim.Boot{})(on)
		}},
		{Name: "heroku-read-only", Group: heroku, What: "The bot's Heroku token may only read.", Set: either(func(scope string) {
			w.Heroku.SetToken(herokuToken, herokusim.Token{Scopes: []string{scope}})
		}, "read-protected", "write-protected")},
		{Name: "github-404", Group: github, What: "The bot's GitHub token has no access to " + repoOwner + "/" + repoName + ".", Set: either(func(a githubsim.Access) { w.GitHub.Grant(githubToken, a) },
			githubsim.Access{Secrets: githubsim.Write, Push: true, Admin: true, Repos: []string{"raxx/another"}}, githubsim.FullAccess())},
		{Name: "github-secondary-limit", Group: github, What: "GitHub's secondary rate limit refuses every write.", Set: injected(w.GitHub, secondary)},
		{Name: "github-slow", Group: github, What: "GitHub takes four seconds for each answer.", Set: injected(w.GitHub, simhttp.Fault{Delay: slowBy})},
	}
}

func (w *World) raptorSwitches() []page.Fault {
	const group = "Downstream API"
	var now raptorsim.Options // of all its switches together
	option := func(f func(o *raptorsim.Options, on bool)) func(bool) error {
		return func(on bool) error {
			_, _, _ = w.Raptor.Working() // it has started by now
			f(&now, on)
			w.Raptor.SetOptions(now)
			return nil
		}
	}
	return []page.Fault{
		{Name: "downstream-old-pair", Group: group, What: "The service goes on with the pair that it started with.", Set: option(func(o *raptorsim.Options, on bool) {
			if o.Lag = 0; on {
				o.Lag = 24 * time.Hour
			}
		})},
		{Name: "downstream-500", Group: group, What: "The service answers with error 500.", Set: injected(w.Raptor, simhttp.Fault{Status: http.StatusInternalServerError, Body: `{"error":"internal"}`, Header: jsonHeader()})},
		{Name: "order-on-live", Group: group, What: "The service places every order on the LIVE book.", Set: option(func(o *raptorsim.Options, on bool) { o.LiveBook = on })},
	}
}
