package sandbox

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/raxx-app/keyturn/internal/sim/alpacasim"
)

// A Check is one thing that must be true of the outside world after a rotation.
type Check struct {
	Name string
	Err  error // nil: it is as it should be
}

// Checks looks at every service, past the bot, whether the rotation to now left
// it as it should be. The bot should have stopped: its files are read too.
func (w *World) Checks(now alpacasim.Key) []Check { return w.rotated(now, Differences{}) }

// checks returns what must be true at the end of a scene.
func (s *Scene) checks(f Fault) []Check {
	if f.end() == cancelled {
		return s.unchanged()
	}
	return s.rotated(s.Key, f.Differs)
}

// A checklist collects checks.
type checklist []Check

func (c *checklist) add(name string, err error) { *c = append(*c, Check{Name: name, Err: err}) }

// rotated looks whether everything works with the pair now.
func (w *World) rotated(now alpacasim.Key, d Differences) []Check {
	var c checklist
	w.consumersHold(&c, "the new pair", now, d.Down)
	c.add("Infisical holds the new pair", w.vaultHolds(now, cmp.Or(d.KeyIDVersion, 2), cmp.Or(d.SecretVersion, 2)))
	c.add("Alpaca accepts the new pair, for the same account", w.accepts(now))
	c.add("Alpaca rejects the old pair", w.rejects(w.Old))
	if d.LiveOrder {
		c.add("one test order was sent, and none after it", w.orders(1, 1))
	} else {
		c.add("one test order was placed, on the paper book", w.orders(1, 0))
	}
	if !d.NewAccount {
		c.add("positions and open orders are as before", w.sameBook())
	}
	for _, user := range []string{Ada, Bob} {
		c.add(w.name(user)+" was told to pull the new pair, and by what name", w.told(user, now, d.Repeats))
	}
	c.add(newsHook+" was told that there is a new pair, and not which", w.hookTold(now))
	c.add("no secret went through Slack but in the one submission", w.slackClean(now, cmp.Or(d.Carried, 1)))
	w.clean(&c, now)
	return c
}

// unchanged looks whether everything is as before a rotation that was
// cancelled.
func (w *World) unchanged() []Check {
	var c checklist
	w.consumersHold(&c, "the old pair", w.Old)
	c.add("Infisical holds the old pair", w.vaultHolds(w.Old, 1, 1))
	c.add("Alpaca accepts the old pair, for the same account", w.accepts(w.Old))
	c.add("no test order was placed", w.orders(0, 0))
	c.add("positions and open orders are as before", w.sameBook())
	c.add(newsHook+" was told nothing", w.hookUntold())
	c.add("no secret went through Slack", w.slackClean(w.Old, 0))
	w.clean(&c, w.Old)
	return c
}

// consumersHold looks at every consumer that holds a pair itself; down are apps
// that do not run.
func (w *World) consumersHold(c *checklist, pair string, key alpacasim.Key, down ...string) {
	for _, app := range []string{prodApp, stagingApp} {
		if !slices.Contains(down, app) {
			c.add(app+" runs with "+pair, holds(w.Heroku.Running(app), key))
		}
		c.add(app+" is configured with "+pair+", other settings untouched", errors.Join(holds(w.Heroku.Vars(app), key), untouched(w.Heroku.Vars(app))))
	}
	c.add(repoOwner+"/"+repoName+" has "+pair+" for its workflows", w.repoHolds(key))
	c.add(pairHook+" works with "+pair, w.hookHolds(key))
}

// clean looks for secrets where none may be, and for complaints.
func (w *World) clean(c *checklist, now alpacasim.Key) {
	c.add("no secret is in the log or in the state file", w.filesClean(now))
	c.add("Slack had nothing to complain about", problems(w.Slack.Problems()))
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
	var errs []error
	for _, store := range repoStores() {
		vars := map[string]string{}
		for _, name := range []string{keyIDName, secretName} {
			vars[name], _, _ = w.GitHub.StoreSecret(repoOwner, repoName, store, name)
		}
		if err := holds(vars, key); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", store, err))
		}
	}
	return errors.Join(errs...)
}

func (w *World) vaultHolds(key alpacasim.Key, keyIDVersion, secretVersion int) error {
	vars := map[string]string{}
	want := map[string]int{keyIDName: keyIDVersion, secretName: secretVersion}
	for _, s := range w.Infisical.Secrets(projectID, environment, "/") {
		vars[s.Name] = s.Value
		if s.Version != want[s.Name] {
			return fmt.Errorf("%s is at version %d, want %d", s.Name, s.Version, want[s.Name])
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

// orders reports whether sent orders were asked for, and how many of them went
// to the LIVE book.
func (w *World) orders(sent, live int) error {
	if got := len(w.Raptor.LiveOrders()); got != live {
		return fmt.Errorf("%d orders went to the LIVE book, want %d", got, live)
	}
	if got := len(w.Raptor.OrderBodies()); got != sent {
		return fmt.Errorf("%d orders were sent, want %d", got, sent)
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
// key by its last four. The journal has it as it was before it was answered. With
// repeats there may be another one that says that it may be a repeat.
func (w *World) told(user string, key alpacasim.Key, repeats bool) error {
	dm, ok := w.Slack.DM(user)
	if !ok {
		return errors.New("no direct message was opened")
	}
	found, again := 0, 0
	for _, e := range w.Slack.Journal() {
		text := string(e.Body)
		if e.Method != "chat.postMessage" || !strings.Contains(text, "channel="+dm+"\n") {
			continue
		}
		if strings.Contains(text, keyIDName) && strings.Contains(text, secretName) && strings.Contains(text, last4(key.ID)) {
			found++
			if strings.Contains(text, "This may be a repeat.") {
				again++
			}
		}
	}
	if found == 1 || repeats && found == 2 && again == 1 {
		return nil
	}
	return fmt.Errorf("%d such messages, want 1", found)
}

// slackClean searches everything that went over the wire, in both directions.
// now's secret may have come in with carried submissions.
func (w *World) slackClean(now alpacasim.Key, carried int) error {
	l, err := w.leaks(now)
	if err != nil {
		return err
	}
	for _, e := range w.Slack.Journal() {
		for _, f := range append(l.find(e.Raw), l.find(e.Body)...) {
			return fmt.Errorf("the bot sent %s with %s", f, e.Method)
		}
	}
	got := 0
	for _, e := range w.Slack.Sent() {
		if !bytes.Contains(e.Body, []byte(now.Secret)) && !bytes.Contains(e.Raw, []byte(now.Secret)) {
			continue
		}
		if got++; e.Method != "view_submission" {
			return errors.New("it came in with " + e.Method)
		}
	}
	if got != carried {
		return fmt.Errorf("%d submissions carried it, want %d", got, carried)
	}
	return nil
}

func (w *World) filesClean(now alpacasim.Key) error {
	l, err := w.leaks(now)
	if err != nil {
		return err
	}
	for _, path := range []string{w.Log(), w.stateFile()} {
		data, err := os.ReadFile(path) //nolint:gosec // the sandbox reads its own files
		if err != nil {
			return err
		}
		for _, f := range l.find(data) {
			return fmt.Errorf("%s is in %s", f, path)
		}
	}
	return nil
}

// leaks returns a search for both pairs.
func (w *World) leaks(now alpacasim.Key) (*leakSearch, error) {
	return newLeakSearch(map[string]string{
		"the key ID in use": now.ID, "the secret key in use": now.Secret, "the old key ID": w.Old.ID, "the old secret key": w.Old.Secret,
	})
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
