package sandbox

import (
	"errors"
	"net/http"
	"time"

	"github.com/raxx-app/keyturn/internal/sandbox/page"
	"github.com/raxx-app/keyturn/internal/sim/simhttp"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

// flapFor is how long Alpaca refuses everything with that switch: less than what
// the bot needs to be sure.
const flapFor = 20 * time.Second

// errNoAccount is what a switch says that needs a paper account in use.
var errNoAccount = errors.New("prod has no paper account; open a new one and rotate first")

// accidents are what happens to a pair between rotations, for the bot to notice.
func (w *World) accidents() []page.Fault {
	const alpaca, heroku = "Alpaca", "Heroku"
	return []page.Fault{
		{Name: "alpaca-401", Group: alpaca, What: "Alpaca refuses every call with 401, whatever the pair.", Set: either(func(n int) { w.Alpaca.SetAuthIncident("", n) }, 1, 0)},
		{Name: "alpaca-401-20s", Group: alpaca, Once: true, What: "Alpaca refuses every call with 401 for 20 seconds, whatever the pair.", Set: once(func() {
			clear := w.Alpaca.Inject(simhttp.Fault{Status: http.StatusUnauthorized, Body: `{"message":"unauthorized."}`, Header: jsonHeader()})
			time.AfterFunc(flapFor, clear)
		})},
		{Name: "account-deleted", Group: alpaca, Once: true, What: "Somebody deletes the paper account of prod and tells nobody.", Set: w.onOurs(w.Alpaca.Delete)},
		{Name: "key-regenerated", Group: alpaca, Once: true, What: "Somebody generates keys in the account of prod and tells nobody.", Set: w.onOurs(func(account string) error {
			_, err := w.Alpaca.Regenerate(account)
			return err
		})},
		{Name: "changed-by-hand", Group: alpaca, Once: true, What: "Somebody generates keys in the account of prod, and sets them in " + prodApp + " only.", Set: w.onOurs(w.changeByHand)},
		{Name: "heroku-drift", Group: heroku, Once: true, What: "Somebody writes another key ID into " + stagingApp + ".", Set: once(func() {
			w.Heroku.Overwrite(stagingApp, "ada@raxx.app", map[string]string{keyIDName: "PKTYPEDBYHAND0000042"})
		})},
		{Name: "pagerduty-down", Group: "PagerDuty", What: "PagerDuty answers with error 500.", Set: injected(w.Pager, simhttp.Fault{Status: http.StatusInternalServerError})},
		{Name: "bob-leaves", Group: "Slack", What: "@bob leaves: his Slack account is deactivated.", Set: func(on bool) error {
			w.Slack.ChangeUser(Bob, func(u *slacksim.User) { u.Deleted = on })
			return nil
		}},
	}
}

// onOurs is a switch for something that happens once to the paper account that
// the key set uses now.
func (w *World) onOurs(f func(account string) error) func(bool) error {
	return func(on bool) error {
		if !on {
			return nil
		}
		for _, a := range w.Alpaca.Accounts() {
			if w.ours(a.ID) == KeySet {
				return f(a.Number)
			}
		}
		return errNoAccount
	}
}

// changeByHand does what the procedure forbids: a new pair, in one place only.
func (w *World) changeByHand(account string) error {
	key, err := w.Alpaca.Regenerate(account)
	if err != nil {
		return err
	}
	w.Heroku.Overwrite(prodApp, "ada@raxx.app", map[string]string{keyIDName: key.ID, secretName: key.Secret})
	return nil
}
