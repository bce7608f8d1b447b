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
	return slices.Concat(
		w.slackSwitches(), w.socketSwitches(), w.alpacaSwitches(), w.accountSwitches(), w.vaultSwitches(), w.vaultAccessSwitches(),
		w.herokuSwitches(), w.appSwitches(), w.githubSwitches(), w.hookSwitches(), w.raptorSwitches(), w.pagerSwitches(), w.accidents(),
	)
}

// A dial is one setting that several switches turn. The one that was switched on
// last holds; with all of them off it is at rest. Its methods are called from one
// goroutine at a time.
type dial[T any] struct {
	set  func(T)
	rest T
	on   []*T
}

// to is the switch that turns the dial to v.
func (d *dial[T]) to(v T) func(bool) error {
	mine := &v
	return func(on bool) error {
		d.on = slices.DeleteFunc(d.on, func(x *T) bool { return x == mine })
		if on {
			d.on = append(d.on, mine)
		}
		if n := len(d.on); n > 0 {
			d.set(*d.on[n-1])
		} else {
			d.set(d.rest)
		}
		return nil
	}
}

// andThen is a switch that lets go, when it is off again, what it held up.
func andThen(set func(bool) error, release func()) func(bool) error {
	return func(on bool) error {
		if err := set(on); err != nil || on {
			return err
		}
		release()
		return nil
	}
}

// slow and lost are faults of every service.
func slow() simhttp.Fault { return simhttp.Fault{Delay: slowBy} }

func lost(method, path string) simhttp.Fault {
	return simhttp.Fault{Method: method, Path: path, LoseReply: true}
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
	outage := dial[alpacasim.Outage]{set: w.Alpaca.SetOutage, rest: alpacasim.Healthy}
	return []page.Fault{
		{Name: "alpaca-down", Group: group, What: "Alpaca answers with a proxy's error page.", Set: outage.to(alpacasim.BadGateway)},
		{Name: "alpaca-no-answer", Group: group, What: "Alpaca takes every call and never answers.", Set: outage.to(alpacasim.NoAnswer)},
		{Name: "alpaca-429", Group: group, What: "Alpaca's rate limit refuses every call.", Set: outage.to(alpacasim.Throttled)},
		{Name: "alpaca-forbidden", Group: group, What: "A proxy in front of Alpaca refuses everything with 403 and a web page.", Set: outage.to(alpacasim.EdgeForbidden)},
		{Name: "alpaca-lost-reply", Group: group, What: "Alpaca's answers are lost on their way.", Set: injected(w.Alpaca, lost("", ""))},
		{Name: "alpaca-500", Group: group, What: "Alpaca answers with error 500.", Set: outage.to(alpacasim.ServerError)},
		{Name: "alpaca-slow", Group: group, What: "Alpaca takes four seconds for each answer.", Set: injected(w.Alpaca, slow())},
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
		{Name: "infisical-slow", Group: group, What: "Infisical takes four seconds for each answer.", Set: injected(w.Infisical, slow())},
		{Name: "infisical-429", Group: group, What: "Infisical's rate limit refuses every call.", Set: while(func() func() { return w.Infisical.RateLimit("", "/api/", 0, time.Second) })},
		{Name: "infisical-lost-reply", Group: group, What: "Infisical writes what it is told, and its answers are lost.", Set: injected(w.Infisical, lost(http.MethodPatch, "/api/"))},
		{Name: "infisical-denied", Group: group, What: "The bot may not write in Infisical.", Set: while(func() func() { return w.Infisical.Deny(http.MethodPatch, "/api/", 0) })},
	}
}

func jsonHeader() http.Header { return http.Header{"Content-Type": {"application/json"}} }

func (w *World) herokuSwitches() []page.Fault {
	const group = "Heroku"
	write := simhttp.Fault{Method: http.MethodPatch, Path: "/apps/"}
	broken, limited, silent := write, write, write
	broken.Status, broken.Body, broken.Header = http.StatusInternalServerError, `{"id":"internal_server_error","message":"Internal server error."}`, jsonHeader()
	limited.Status, limited.Body = http.StatusTooManyRequests, `{"id":"rate_limit","message":"Your account reached the API rate limit."}`
	limited.Header = http.Header{"Retry-After": {"1"}, "Content-Type": {"application/json"}}
	silent.HangReply = true
	token := dial[*herokusim.Token]{rest: &herokusim.Token{Scopes: []string{"write-protected"}}, set: func(t *herokusim.Token) {
		if t == nil {
			w.Heroku.RevokeToken(herokuToken)
			return
		}
		w.Heroku.SetToken(herokuToken, *t)
	}}
	return []page.Fault{
		{Name: "heroku-500", Group: group, What: "Heroku answers every write with error 500.", Set: injected(w.Heroku, broken)},
		{Name: "heroku-429", Group: group, What: "Heroku's rate limit refuses every write.", Set: injected(w.Heroku, limited)},
		{Name: "heroku-slow", Group: group, What: "Heroku takes four seconds for each answer.", Set: injected(w.Heroku, slow())},
		{Name: "heroku-lost-reply", Group: group, What: "Heroku writes what it is told, and its answers are lost.", Set: injected(w.Heroku, lost(http.MethodPatch, "/apps/"))},
		{Name: "heroku-no-answer", Group: group, What: "Heroku writes what it is told, and never answers.", Set: injected(w.Heroku, silent)},
		{Name: "heroku-read-only", Group: group, What: "The bot's Heroku token may only read.", Set: token.to(&herokusim.Token{Scopes: []string{"read-protected"}})},
		{Name: "heroku-token-revoked", Group: group, What: "Somebody revokes the bot's Heroku token.", Set: token.to(nil)},
	}
}

func (w *World) githubSwitches() []page.Fault {
	const group = "GitHub"
	secondary := githubsim.SecondaryLimit(http.StatusForbidden, time.Second)
	secondary.Method, secondary.Times = http.MethodPut, 0 // until it is cleared
	full := githubsim.FullAccess()
	elsewhere, reader, noBots := full, full, full
	elsewhere.Repos = []string{"raxx/another"}
	reader.Secrets, reader.Dependabot = githubsim.Read, githubsim.Read
	noBots.Dependabot = githubsim.None
	token := dial[*githubsim.Access]{rest: &full, set: func(a *githubsim.Access) {
		if a == nil {
			w.GitHub.Revoke(githubToken)
			return
		}
		w.GitHub.Grant(githubToken, *a)
	}}
	const renamed = repoName + "-2"
	return []page.Fault{
		{Name: "github-404", Group: group, What: "The bot's GitHub token has no access to " + repoOwner + "/" + repoName + ".", Set: token.to(&elsewhere)},
		{Name: "github-read-only", Group: group, What: "The bot's GitHub token may only read secrets.", Set: token.to(&reader)},
		{Name: "github-no-dependabot", Group: group, What: "The bot's GitHub token has no permission for Dependabot's secrets.", Set: token.to(&noBots)},
		{Name: "github-token-revoked", Group: group, What: "Somebody revokes the bot's GitHub token.", Set: token.to(nil)},
		{Name: "github-500", Group: group, What: "GitHub answers with error 500.", Set: injected(w.GitHub, simhttp.Fault{Status: http.StatusInternalServerError, Body: `{"message":"Server Error"}`, Header: jsonHeader()})},
		{Name: "github-secondary-limit", Group: group, What: "GitHub's secondary rate limit refuses every write.", Set: injected(w.GitHub, secondary)},
		{Name: "github-primary-limit", Group: group, What: "The calls that GitHub allows the bot in an hour are used up.", Set: either(w.GitHub.SetRemaining, 0, hourly)},
		{Name: "github-slow", Group: group, What: "GitHub takes four seconds for each answer.", Set: injected(w.GitHub, slow())},
		{Name: "github-lost-reply", Group: group, What: "GitHub writes what it is told, and its answers are lost.", Set: injected(w.GitHub, lost(http.MethodPut, ""))},
		{Name: "github-renamed", Group: group, What: "Somebody renames " + repoOwner + "/" + repoName + " to " + renamed + ".", Set: func(on bool) error {
			if on {
				w.GitHub.Rename(repoOwner, repoName, renamed)
			} else {
				w.GitHub.Rename(repoOwner, renamed, repoName)
			}
			return nil
		}},
		{Name: "github-archived", Group: group, What: "Somebody archives " + repoOwner + "/" + repoName + ": it is read-only.", Set: func(on bool) error {
			if on {
				w.GitHub.Archive(repoOwner, repoName)
			} else {
				w.GitHub.Unarchive(repoOwner, repoName)
			}
			return nil
		}},
		{Name: "github-new-key", Group: group, Once: true, What: "GitHub gives the Actions store another public key under the same number.", Set: once(func() { w.GitHub.RotateKey(repoOwner, repoName, githubsim.Actions) })},
		{Name: "github-secret-deleted", Group: group, Once: true, What: "Somebody deletes the secret key from the Actions store.", Set: once(func() { w.GitHub.DeleteSecret(repoOwner, repoName, githubsim.Actions, secretName) })},
	}
}

// hourly is how many calls GitHub allows in an hour.
const hourly = 5000

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
		{Name: "downstream-slow", Group: group, What: "The service takes four seconds for each answer.", Set: injected(w.Raptor, slow())},
		{Name: "order-lost-reply", Group: group, What: "The service places every order, and its answers are lost.", Set: injected(w.Raptor, lost(http.MethodPost, orderPath))},
		{Name: "order-on-live", Group: group, What: "The service places every order on the LIVE book.", Set: option(func(o *raptorsim.Options, on bool) { o.LiveBook = on })},
	}
}
