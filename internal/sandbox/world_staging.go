package sandbox

import (
	"errors"
	"fmt"

	"github.com/raxx-app/keyturn/internal/sim/alpacasim"
	"github.com/raxx-app/keyturn/internal/sim/herokusim"
)

// What the second key set has.
const (
	stagingSet = "staging" // also its environment in Infisical
	trialApp   = "raxx-paper-trial"
)

// addStaging makes the other paper account of the login that of a second key
// set, with a pair in use, and returns its number.
func (w *World) addStaging() (account string, err error) {
	for _, a := range w.Alpaca.Accounts() {
		if a.Number != w.Account {
			account = a.Number
		}
	}
	key, err := w.Alpaca.Regenerate(account)
	if err != nil {
		return "", fmt.Errorf("fill alpaca: %w", err)
	}
	w.Infisical.Put(projectID, stagingSet, "/", keyIDName, key.ID)
	w.Infisical.Put(projectID, stagingSet, "/", secretName, key.Secret)
	w.Heroku.AddApp(herokusim.App{Name: trialApp, Version: 7, Vars: map[string]string{keyIDName: key.ID, secretName: key.Secret, "LOG_LEVEL": "info"}})
	return account, w.writeSettings(stagingSettings)
}

// stagingHolds reports whether the second key set works with key.
func (w *World) stagingHolds(account string, key alpacasim.Key) error {
	stored := map[string]string{}
	for _, s := range w.Infisical.Secrets(projectID, stagingSet, "/") {
		stored[s.Name] = s.Value
	}
	if _, ok := w.Alpaca.KeyState(key.ID, key.Secret); !ok {
		return errors.New("its pair is rejected")
	}
	if err := holds(stored, key); err != nil {
		return fmt.Errorf("infisical: %w", err)
	}
	if err := holds(w.Heroku.Running(trialApp), key); err != nil {
		return fmt.Errorf("%s: %w", trialApp, err)
	}
	a, err := w.Alpaca.Account(account)
	if err == nil && a.KeyID != key.ID {
		err = errors.New("the account has another pair")
	}
	return err
}
