package sandbox

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/raxx-app/keyturn/internal/sandbox/page"
	"github.com/raxx-app/keyturn/internal/sim/alpacasim"
	"github.com/raxx-app/keyturn/internal/sim/githubsim"
	"github.com/raxx-app/keyturn/internal/sim/simhttp"
	"github.com/raxx-app/keyturn/internal/sim/webhooksim"
)

// Names of the consumers that are webhooks, as bot.yml of the world has them.
const (
	pairHook = "backtest"
	newsHook = "trade-journal"
)

// hooks makes both receivers of webhooks.
func (w *World) hooks(now func() time.Time) (backtest, journal *webhooksim.Sim) {
	backtest = webhooksim.New(webhooksim.Config{Secret: webhookSecret, Pair: true, Now: now, Works: func(keyID, secret string) bool {
		_, ok := w.Alpaca.KeyState(keyID, secret)
		return ok
	}})
	return backtest, webhooksim.New(webhooksim.Config{Secret: webhookSecret, Now: now})
}

// repoEnvironment is the deployment environment with a copy of its own.
const repoEnvironment = "nightly"

// repoStores are the stores of the repository that hold the pair.
func repoStores() []string {
	return []string{githubsim.Actions, githubsim.Dependabot, "environments/" + repoEnvironment}
}

// hookHolds reports whether the receiver of pairs works with key.
func (w *World) hookHolds(key alpacasim.Key) error {
	keyID, secret := w.Backtest.Pair()
	return holds(map[string]string{keyIDName: keyID, secretName: secret}, key)
}

// hookTold reports whether the receiver that is only told was last told of key.
// It must have refused nothing: it would refuse a pair.
func (w *World) hookTold(key alpacasim.Key) error {
	for _, e := range w.Journal.Events() {
		if e.Pair {
			return errors.New("it was sent a pair")
		}
	}
	if got := w.Journal.Last4(); got != last4(key.ID) {
		return fmt.Errorf("it was last told of a key that ends in %q, want %q", got, last4(key.ID))
	}
	return nil
}

// hookUntold reports whether the receiver that is only told heard of nothing.
func (w *World) hookUntold() error {
	if got := w.Journal.Last4(); got != "" {
		return fmt.Errorf("it was told of a key that ends in %q", got)
	}
	return nil
}

// hookPlaces shows both receivers.
func (w *World) hookPlaces() []page.Place {
	const group = "Webhooks"
	keyID, secret := w.Backtest.Pair()
	holder := page.Place{
		ID: "webhook:" + pairHook, Group: group, Name: pairHook, Last4: page.Last4(keyID), Works: w.works(keyID, secret),
		Detail: "is handed the pair", Fields: [][2]string{{"Deliver", "pair"}, {"Last event", lastEvent(w.Backtest)}},
	}
	keyID, secret = w.fetched()
	told := page.Place{
		ID: "webhook:" + newsHook, Group: group, Name: newsHook, Last4: page.Last4(keyID), Works: w.works(keyID, secret),
		Detail: "fetches the pair from Infisical when it is told", Fields: [][2]string{{"Deliver", "notify"}, {"Last event", lastEvent(w.Journal)}},
	}
	if keyID == "" {
		told.Detail = "was told of a key that Infisical does not hold"
	}
	return []page.Place{holder, told}
}

// fetched returns the pair with which the receiver that is only told works: the
// one that Infisical holds once it is told of it, none if that is another one.
func (w *World) fetched() (keyID, secret string) {
	told := w.Journal.Last4()
	if told == "" {
		return w.Old.ID, w.Old.Secret
	}
	if keyID, secret = w.stored(); last4(keyID) != told {
		return "", ""
	}
	return keyID, secret
}

// lastEvent says what a receiver was last sent.
func lastEvent(s *webhooksim.Sim) string {
	list := s.Events()
	if len(list) == 0 {
		return "none"
	}
	e := list[len(list)-1]
	text := fmt.Sprintf("%s, answered %d", e.Type, e.Status)
	if e.Repeat {
		text += " as a repeat"
	}
	return text
}

// storePlaces shows the repository's stores beside the Actions secrets: what jobs of
// a deployment environment are given, and what runs that Dependabot starts.
func (w *World) storePlaces() []page.Place {
	place := func(store, id, name, detail string) page.Place {
		keyID, at, _ := w.GitHub.StoreSecret(repoOwner, repoName, store, keyIDName)
		secret, _, _ := w.GitHub.StoreSecret(repoOwner, repoName, store, secretName)
		return page.Place{
			ID: "github:" + repoOwner + "/" + repoName + ":" + id, Group: "GitHub", Name: repoOwner + "/" + repoName + " (" + name + ")",
			Last4: page.Last4(keyID), Works: w.works(keyID, secret), Detail: detail, Fields: [][2]string{{"Key ID updated_at", stampText(at)}},
		}
	}
	return []page.Place{
		place("environments/"+repoEnvironment, repoEnvironment, repoEnvironment, "the environment's own secrets"),
		place(githubsim.Dependabot, "dependabot", "Dependabot", "Dependabot's own store"),
	}
}

// hookSwitches are the faults of the receiver that is handed the pair.
func (w *World) hookSwitches() []page.Fault {
	const group = "Webhooks"
	failing := simhttp.Fault{Method: http.MethodPost, Status: http.StatusInternalServerError, Body: `{"error":"internal"}`, Header: jsonHeader()}
	var now webhooksim.Options // of all its switches together
	option := func(f func(on bool)) func(bool) error {
		return func(on bool) error {
			f(on)
			w.Backtest.SetOptions(now)
			return nil
		}
	}
	return []page.Fault{
		{Name: "webhook-500", Group: group, What: pairHook + " answers with error 500.", Set: injected(w.Backtest, failing)},
		{Name: "webhook-slow", Group: group, What: pairHook + " takes four seconds for each answer.", Set: injected(w.Backtest, slow())},
		{Name: "webhook-lost-reply", Group: group, What: pairHook + " does what it is told, and its answers are lost.", Set: injected(w.Backtest, lost("", ""))},
		{Name: "webhook-old-pair", Group: group, What: pairHook + " takes the new pair, and goes on with the one before.", Set: option(func(on bool) {
			if now.Lag = 0; on {
				now.Lag = 24 * time.Hour
			}
		})},
		{Name: "webhook-redirect", Group: group, What: pairHook + " has moved and redirects.", Set: injected(w.Backtest, webhooksim.Redirect("http://127.0.0.1:9/hooks/keys"))},
		{Name: "webhook-login-page", Group: group, What: pairHook + " answers with a login page.", Set: injected(w.Backtest, webhooksim.Page())},
		{Name: "webhook-rejects-signature", Group: group, What: pairHook + " has another secret for signatures.", Set: option(func(on bool) { now.RejectsSignature = on })},
		{Name: "webhook-yes-to-all", Group: group, What: pairHook + " says that it uses any key that it is asked about.", Set: option(func(on bool) { now.YesToAll = on })},
	}
}
