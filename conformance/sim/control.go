package main

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/raxx-app/keyturn/internal/sim/githubsim"
	"github.com/raxx-app/keyturn/internal/sim/herokusim"
	"github.com/raxx-app/keyturn/internal/sim/simhttp"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

// patience is how long one act may take: longer than Slack waits for an ack.
const patience = 10 * time.Second

// A world is every simulator. It serves the control endpoint, where a script
// does what a person would do, or looks at what a service holds.
type world struct {
	slack  *slacksim.Workspace
	github *githubsim.Sim
	heroku *herokusim.Sim
}

// An act is one thing to do; each uses the fields that it needs.
type act struct {
	Op                          string
	User, Channel, TS           string
	Text, Field, Button         string
	Options                     []string
	Reason, Method, Code, Store string
	Name                        string
	N                           int
}

// A screen is a view as a person reads it.
type screen struct {
	slacksim.View
	Text string
}

// A line is a message as a person reads it.
type line struct {
	slacksim.Message
	Visible string
	Buttons []slacksim.Button
}

// ServeHTTP takes an act and answers {"value":…} or {"error":"…"}.
func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	var a act
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil {
		simhttp.JSON(rw, http.StatusBadRequest, map[string]string{"error": err.Error()})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	value, err := w.do(ctx, a)
	if err != nil {
		simhttp.JSON(rw, http.StatusOK, map[string]string{"error": err.Error()})
		return
	}
	simhttp.JSON(rw, http.StatusOK, map[string]any{"value": value})
}

// do finds the service that an act is for; one that no service knows is a
// mistake in a script.
func (w *world) do(ctx context.Context, a act) (any, error) {
	for _, part := range []func(context.Context, act) (any, bool, error){w.doSlack, w.lookSlack, w.doOthers} {
		if value, known, err := part(ctx, a); known {
			return value, err
		}
	}
	return nil, errUnknown(a.Op)
}

type errUnknown string

func (e errUnknown) Error() string { return "unknown act " + string(e) }

// doSlack does what people at Slack do.
func (w *world) doSlack(ctx context.Context, a act) (value any, known bool, err error) {
	switch a.Op {
	case "command":
		value, err = w.slack.Command(ctx, a.User, a.Channel, command, a.Text)
	case "home.open":
		value, err = w.slack.OpenHome(ctx, a.User)
	case "type":
		err = w.slack.Type(ctx, a.User, a.Field, a.Text)
	case "select":
		err = w.slack.Select(ctx, a.User, a.Field, a.Options...)
	case "submit":
		value, err = w.slack.Submit(ctx, a.User)
	case "close":
		err = w.slack.CloseModal(ctx, a.User, false)
	case "press":
		value, err = w.slack.Press(ctx, a.User, a.Button)
	case "press.home":
		value, err = w.slack.PressHome(ctx, a.User, a.Button)
	case "press.message":
		value, err = w.slack.PressMessage(ctx, a.User, a.Channel, a.TS, a.Button)
	case "disconnect":
		value = w.slack.Disconnect(slacksim.DisconnectReason(a.Reason))
	case "cut":
		value = w.slack.CutSockets()
	case "limit":
		w.slack.RateLimit(a.Method, a.N, time.Second)
	default:
		return nil, false, nil
	}
	return value, true, err
}

// lookSlack tells what is on the screens. What is not there is null.
func (w *world) lookSlack(_ context.Context, a act) (value any, known bool, err error) {
	see := func(v slacksim.View, ok bool) any {
		if !ok {
			return nil
		}
		return screen{v, v.Text()}
	}
	switch a.Op {
	case "modal":
		return see(w.slack.Modal(a.User)), true, nil
	case "home":
		return see(w.slack.Home(a.User)), true, nil
	case "messages":
		lines := []line{}
		for _, m := range w.slack.Messages(a.Channel) {
			lines = append(lines, line{m, m.Visible(), m.Buttons()})
		}
		return lines, true, nil
	case "sockets":
		return map[string]int{"open": w.slack.Sockets(), "ever": w.slack.Connections()}, true, nil
	case "problems":
		return append([]string{}, w.slack.Problems()...), true, nil // [] rather than null
	}
	return nil, false, nil
}

// doOthers looks at, and spoils, what GitHub and Heroku hold.
func (w *world) doOthers(_ context.Context, a act) (value any, known bool, err error) {
	switch a.Op {
	case "github.secret":
		if value, at, ok := w.github.StoreSecret(repoOwner, repoName, a.Store, a.Name); ok {
			return map[string]string{"value": value, "updated_at": at.UTC().Format(time.RFC3339)}, true, nil
		}
		return nil, true, nil
	case "github.access":
		access := githubsim.FullAccess()
		access.Secrets = githubsim.Level(a.Code)
		w.github.Grant(githubToken, access)
	case "heroku":
		return map[string]any{
			"vars": w.heroku.Vars(app), "running": w.heroku.Running(app), "releases": w.heroku.Releases(app),
			"calls": w.heroku.Count(http.MethodGet, "/apps/"+app+"/dynos"),
		}, true, nil
	case "heroku.hold":
		w.heroku.SetBoot(app, herokusim.Boot{Hold: true})
	case "heroku.finish":
		w.heroku.FinishBoot(app)
	case "refused": // calls to GitHub and Heroku that a simulator did not know, and gave 404 or worse
		calls := []string{}
		for _, c := range append(w.github.Calls(), w.heroku.Calls()...) {
			if c.Status >= http.StatusBadRequest {
				calls = append(calls, strings.Join([]string{http.StatusText(c.Status), c.Method, c.Path}, " "))
			}
		}
		return calls, true, nil
	default:
		return nil, false, nil
	}
	return nil, true, nil
}
