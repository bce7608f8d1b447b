package sandbox

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/raxx-app/keyturn/internal/sim/simhttp"
)

// The services, as the canary calls them.
const (
	toSlack      = "Slack"
	toAlpaca     = "Alpaca"
	toInfisical  = "Infisical"
	toHeroku     = "Heroku"
	toGitHub     = "GitHub"
	toDownstream = "the downstream service"
	toBacktest   = "the webhook that is sent the pair"
	toJournal    = "the webhook that is only told"
	toPager      = "PagerDuty"
)

// Headers in which a pair travels (testdata/contracts/alpaca).
const (
	alpacaKeyHeader    = "Apca-Api-Key-Id"
	alpacaSecretHeader = "Apca-Api-Secret-Key"
)

// A wire keeps every request that the bot sent to one service.
type wire struct {
	to string

	mu       sync.Mutex
	requests []simhttp.Request
}

// tap has every service of a world keep what it is sent.
func tap(w *World) []*wire {
	var wires []*wire
	for to, s := range map[string]interface{ Watch(func(simhttp.Request)) }{
		toSlack: w.Slack, toAlpaca: w.Alpaca, toInfisical: w.Infisical, toHeroku: w.Heroku, toGitHub: w.GitHub, toDownstream: w.Raptor,
		toBacktest: w.Backtest, toJournal: w.Journal, toPager: w.Pager,
	} {
		line := &wire{to: to}
		s.Watch(func(r simhttp.Request) {
			line.mu.Lock()
			defer line.mu.Unlock()
			line.requests = append(line.requests, r)
		})
		wires = append(wires, line)
	}
	return wires
}

func (w *wire) all() []simhttp.Request {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]simhttp.Request(nil), w.requests...)
}

// A part is a part of a request.
type part struct {
	what string // "header Authorization", "body" or "address"
	data []byte
}

func parts(r simhttp.Request) []part {
	list := []part{{"address", []byte(r.Method + " " + r.URI)}, {"body", r.Body}}
	for name, values := range r.Header {
		list = append(list, part{"header " + name, []byte(strings.Join(values, "\n"))})
	}
	return list
}

// A planted value is a secret that the bot is given or makes, and where it may
// go: the parts of requests, by service, and nothing else.
type planted struct {
	value string
	home  map[string]string // service: names of the parts, with a blank between
	given bool              // in the bot's environment
}

// mayGo reports whether a value may be in that part of a request.
func (p planted) mayGo(to, what string) bool {
	home, ok := p.home[to]
	return ok && strings.Contains(" "+home+" ", " "+strings.TrimPrefix(what, "header ")+" ")
}

// tokens are the credentials of the world's settings. The bot's own is for no
// service.
func tokens(w *World, stateKey string) map[string]planted {
	c := w.Slack.Config()
	at := func(to, home string) map[string]string { return map[string]string{to: home} }
	return map[string]planted{
		"Slack's bot token":              {c.BotToken, at(toSlack, "Authorization body"), true},
		"Slack's app token":              {c.AppToken, at(toSlack, "Authorization body"), true},
		"Infisical's client secret":      {infisicalSecret, at(toInfisical, "body"), true},
		"Heroku's token":                 {herokuToken, at(toHeroku, "Authorization"), true},
		"GitHub's token":                 {githubToken, at(toGitHub, "Authorization"), true},
		"the downstream service's token": {downstreamToken, at(toDownstream, "Authorization"), true},
		"PAGERDUTY_ROUTING_KEY":          {pagerKey, at(toPager, "body"), true},
		"WEBHOOK_SECRET":                 {webhookSecret, nil, true}, // it signs, and is sent to nobody
		"STATE_KEY":                      {stateKey, nil, false},     // a file; only its path is in the environment
	}
}

// pairHome is where a pair goes.
func pairHome() map[string]string {
	return map[string]string{toAlpaca: alpacaKeyHeader + " " + alpacaSecretHeader, toInfisical: "body", toHeroku: "body", toBacktest: "body"}
}

// discover adds what came up while the bot ran: every pair that was in use, in
// the vault or typed, access tokens and tickets.
func discover(w *World, wires []*wire, known map[string]planted) {
	add := func(name, value string, home map[string]string) {
		for _, p := range known {
			if p.value == value {
				return
			}
		}
		if len(value) >= 2*shortest {
			known[fmt.Sprintf("%s %d", name, len(known))] = planted{value, home, false}
		}
	}
	for _, env := range []string{environment, stagingSet} {
		for _, s := range w.Infisical.Secrets(projectID, env, "/") {
			for _, value := range s.History {
				add("a stored "+s.Name, value, pairHome())
			}
		}
	}
	for _, line := range wires {
		for _, r := range line.all() {
			switch line.to {
			case toAlpaca:
				add("a key ID", r.Header.Get(alpacaKeyHeader), pairHome())
				add("a secret key", r.Header.Get(alpacaSecretHeader), pairHome())
			case toInfisical:
				add("an access token", strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), map[string]string{toInfisical: "Authorization"})
			case toSlack:
				_, ticket, _ := strings.Cut(r.URI, "ticket=")
				ticket, _, _ = strings.Cut(ticket, "&")
				add("a ticket", ticket, map[string]string{toSlack: "address"})
			}
		}
	}
	for _, value := range typed(w) {
		add("a typed value", value, nil) // what Alpaca never saw goes nowhere
	}
}

// typed returns what people typed that is no prose.
func typed(w *World) []string {
	var list []string
	for _, e := range w.Slack.Sent() {
		var envelope struct {
			Payload struct {
				View struct {
					State struct {
						Values map[string]map[string]struct{ Type, Value string }
					}
				}
			}
		}
		if e.Method != "view_submission" || json.Unmarshal(e.Raw, &envelope) != nil {
			continue
		}
		for _, block := range envelope.Payload.View.State.Values {
			for _, in := range block {
				if in.Type == "plain_text_input" && !strings.ContainsAny(in.Value, " \n") {
					list = append(list, in.Value)
				}
			}
		}
	}
	return list
}
