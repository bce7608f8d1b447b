package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"

	"github.com/raxx-app/keyturn/internal/sim/alpacasim"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

// A Check is one thing that must be true of the outside world after a rotation.
type Check struct {
	Name string
	Err  error // nil: it is as it should be
}

// Checks looks at every service, past the bot, whether the rotation to now left
// it as it should be. The bot should have stopped: its files are read too.
func (w *World) Checks(now alpacasim.Key) []Check {
	checks := []Check{}
	add := func(name string, err error) { checks = append(checks, Check{Name: name, Err: err}) }
	for _, app := range []string{prodApp, stagingApp} {
		add(app+" runs with the new pair", holds(w.Heroku.Running(app), now))
		add(app+" is configured with the new pair, other settings untouched", errors.Join(holds(w.Heroku.Vars(app), now), untouched(w.Heroku.Vars(app))))
	}
	add(repoOwner+"/"+repoName+" has the new pair for its workflows", w.repoHolds(now))
	add("Infisical holds the new pair", w.vaultHolds(now))
	add("Alpaca accepts the new pair, for the same account", w.accepts(now))
	add("Alpaca rejects the old pair", w.rejects(w.Old))
	add("one test order was placed, on the paper book", w.oneOrder())
	add("positions and open orders are as before", w.sameBook())
	for _, user := range []string{Ada, Bob} {
		add(w.name(user)+" was told to pull the new pair, and by what name", w.told(user, now))
	}
	add("no secret went through Slack but in the one submission", w.slackClean(now))
	add("no secret is in the log or in the state file", w.filesClean(now))
	add("Slack had nothing to complain about", problems(w.Slack.Problems()))
	return checks
}

// holds reports what is wrong with the pair in vars.
func holds(vars map[string]string, key alpacasim.Key) error {
	switch {
	case vars == nil:
		return errors.New("nothing is running")
	case vars[keyIDName] != key.ID:
		return errors.New(keyIDName + " is another one")
	case vars[secretName] != key.Secret:
		return errors.New(secretName + " is another one")
	}
	return nil
}

func untouched(vars map[string]string) error {
	if len(vars) != 3 || vars["LOG_LEVEL"] != "info" {
		return errors.New("the other config vars were changed")
	}
	return nil
}

func (w *World) repoHolds(key alpacasim.Key) error {
	vars := map[string]string{}
	for _, name := range []string{keyIDName, secretName} {
		vars[name], _, _ = w.GitHub.Secret(repoOwner, repoName, name)
	}
	return holds(vars, key)
}

func (w *World) vaultHolds(key alpacasim.Key) error {
	vars := map[string]string{}
	for _, s := range w.Infisical.Secrets(projectID, environment, "/") {
		vars[s.Name] = s.Value
		if s.Version != 2 {
			return fmt.Errorf("%s is at version %d, want 2", s.Name, s.Version)
		}
	}
	if len(vars) != 2 {
		return fmt.Errorf("the folder has %d secrets, want 2", len(vars))
	}
	return holds(vars, key)
}

func (w *World) accepts(key alpacasim.Key) error {
	id, ok := w.Alpaca.KeyState(key.ID, key.Secret)
	if !ok {
		return errors.New("it is rejected")
	}
	account, err := w.Alpaca.Account(w.Account)
	if err != nil {
		return err
	}
	if id != account.ID {
		return errors.New("it belongs to another account")
	}
	return nil
}

func (w *World) rejects(key alpacasim.Key) error {
	if _, ok := w.Alpaca.KeyState(key.ID, key.Secret); ok {
		return errors.New("it still works")
	}
	return nil
}

func (w *World) oneOrder() error {
	if live := w.Raptor.LiveOrders(); len(live) > 0 {
		return fmt.Errorf("%d orders went to the LIVE book", len(live))
	}
	if n := len(w.Raptor.OrderBodies()); n != 1 {
		return fmt.Errorf("%d orders were sent, want 1", n)
	}
	return nil
}

func (w *World) sameBook() error {
	now := w.book()
	if !maps.Equal(now.positions, w.before.positions) {
		return fmt.Errorf("positions were %v and are %v", w.before.positions, now.positions)
	}
	if !maps.Equal(now.open, w.before.open) {
		return fmt.Errorf("%d orders were open and %d are, or others", len(w.before.open), len(now.open))
	}
	return nil
}

// told looks for one message to a person that named both secrets and the new
// key by its last four. The journal has it as it was before it was answered.
func (w *World) told(user string, key alpacasim.Key) error {
	dm, ok := w.Slack.DM(user)
	if !ok {
		return errors.New("no direct message was opened")
	}
	found := 0
	for _, e := range w.Slack.Journal() {
		text := string(e.Body)
		if e.Method != "chat.postMessage" || !strings.Contains(text, "channel="+dm+"\n") {
			continue
		}
		if strings.Contains(text, keyIDName) && strings.Contains(text, secretName) && strings.Contains(text, key.ID[len(key.ID)-4:]) {
			found++
		}
	}
	if found != 1 {
		return fmt.Errorf("%d such messages, want 1", found)
	}
	return nil
}

// slackClean searches everything that went over the wire, in both directions.
func (w *World) slackClean(now alpacasim.Key) error {
	for _, value := range []string{now.ID, now.Secret, w.Old.ID, w.Old.Secret} {
		for _, e := range w.Slack.Find(value) {
			return errors.New("the bot sent one with " + e.Method)
		}
	}
	var carried []slacksim.Entry
	for _, e := range w.Slack.Sent() {
		if bytes.Contains(e.Body, []byte(now.Secret)) || bytes.Contains(e.Raw, []byte(now.Secret)) {
			carried = append(carried, e)
		}
	}
	if len(carried) != 1 || carried[0].Method != "view_submission" {
		return fmt.Errorf("%d envelopes carried it, want 1 view_submission", len(carried))
	}
	return nil
}

func (w *World) filesClean(now alpacasim.Key) error {
	for _, path := range []string{w.Log(), w.stateFile()} {
		data, err := os.ReadFile(path) //nolint:gosec // the sandbox reads its own files
		if err != nil {
			return err
		}
		for _, value := range []string{now.Secret, w.Old.Secret, now.ID, w.Old.ID} {
			if bytes.Contains(data, []byte(value)) {
				return errors.New("one is in " + path)
			}
		}
	}
	return nil
}

// name returns how people call a user: "@ada".
func (w *World) name(user string) string {
	for _, u := range w.Slack.Users() {
		if u.ID == user {
			return "@" + u.Name
		}
	}
	return user
}

func problems(list []string) error {
	if len(list) == 0 {
		return nil
	}
	return errors.New(strings.Join(list, "; "))
}
