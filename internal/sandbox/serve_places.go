package sandbox

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/raxx-app/keyturn/internal/sandbox/page"
)

// places shows every place that holds the pair, past the bot.
func (w *World) places() []page.Place {
	list := []page.Place{w.vaultPlace()}
	for _, app := range []string{prodApp, stagingApp} {
		list = append(list, w.appPlace(app))
	}
	list = append(append(list, w.repoPlace()), w.storePlaces()...)
	return append(append(list, w.hookPlaces()...), w.raptorPlace())
}

// works says whether Alpaca accepts a pair now.
func (w *World) works(keyID, secret string) string {
	if keyID == "" && secret == "" {
		return page.Unset
	}
	if _, ok := w.Alpaca.KeyState(keyID, secret); ok {
		return page.Works
	}
	return page.Fails
}

// ours returns the key set that uses an account: the one whose pair in
// Infisical belongs to it; where that pair is dead, the one it was before.
func (w *World) ours(accountID string) string {
	keyID, secret := w.stored()
	if owner, ok := w.Alpaca.KeyState(keyID, secret); ok {
		if owner == accountID {
			return KeySet
		}
		return ""
	}
	if a, err := w.Alpaca.Account(w.Account); err == nil && a.ID == accountID {
		return KeySet
	}
	return ""
}

// stored returns the pair in Infisical.
func (w *World) stored() (keyID, secret string) {
	for _, s := range w.Infisical.Secrets(projectID, environment, "/") {
		switch s.Name {
		case keyIDName:
			keyID = s.Value
		case secretName:
			secret = s.Value
		}
	}
	return keyID, secret
}

func (w *World) vaultPlace() page.Place {
	p := page.Place{ID: "infisical", Group: "Infisical", Name: environment + " /", Fields: [][2]string{}}
	versions := map[string]int{}
	for _, s := range w.Infisical.Secrets(projectID, environment, "/") {
		versions[s.Name] = s.Version
		p.Version = max(p.Version, s.Version)
	}
	keyID, secret := w.stored()
	p.Last4, p.Works = page.Last4(keyID), w.works(keyID, secret)
	for _, half := range [][2]string{{"Key ID version", keyIDName}, {"Secret version", secretName}} {
		if v, ok := versions[half[1]]; ok {
			p.Fields = append(p.Fields, [2]string{half[0], fmt.Sprint(v)})
		}
	}
	switch {
	case keyID == "" && secret == "":
		p.Detail = "no secrets"
	case keyID == "" || secret == "":
		p.Detail = "one of the two secrets is missing"
	case versions[keyIDName] != versions[secretName]:
		p.Detail = "both secrets, of different versions"
	default:
		p.Detail = fmt.Sprintf("both secrets, version %d", p.Version)
	}
	return p
}

func (w *World) appPlace(app string) page.Place {
	look, _ := w.Heroku.Look(app)
	running, vars := w.Heroku.Running(app), w.Heroku.Vars(app)
	p := page.Place{ID: "heroku:" + app, Group: "Heroku", Name: app, Last4: page.Last4(running[keyIDName]), Works: w.works(running[keyIDName], running[secretName])}
	counts, order := map[string]int{}, []string{}
	for _, d := range look.Dynos {
		if counts[d.State]++; counts[d.State] == 1 {
			order = append(order, d.State)
		}
	}
	var dynos []string
	for _, state := range order {
		dynos = append(dynos, fmt.Sprintf("%d %s", counts[state], state))
	}
	up := cmp.Or(strings.Join(dynos, ", "), "none")
	release := fmt.Sprintf("v%d %s", look.Release.Version, look.Release.Status)
	p.Detail = "release " + release + ", dynos: " + up
	switch {
	case running == nil:
		p.Works, p.Detail = page.Fails, p.Detail+"; nothing serves"
	case vars[keyIDName] != running[keyIDName] || vars[secretName] != running[secretName]:
		p.Detail += "; what it is configured with is not live yet"
	}
	p.Fields = [][2]string{
		{"Release", release},
		{"Dynos", up},
		{"Configured with", last4Text(vars[keyIDName])},
		{"Release phase", onOff(look.Phase)},
		{"Preboot", onOff(look.Preboot)},
	}
	return p
}

func last4Text(keyID string) string {
	if keyID == "" {
		return "nothing"
	}
	return "…" + page.Last4(keyID)
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func (w *World) repoPlace() page.Place {
	keyID, at, _ := w.GitHub.Secret(repoOwner, repoName, keyIDName)
	secret, secretAt, _ := w.GitHub.Secret(repoOwner, repoName, secretName)
	p := page.Place{
		ID: "github:" + repoOwner + "/" + repoName, Group: "GitHub", Name: repoOwner + "/" + repoName,
		Last4: page.Last4(keyID), Works: w.works(keyID, secret), Detail: "both Actions secrets are set",
		Fields: [][2]string{{"Key ID updated_at", stampText(at)}, {"Secret updated_at", stampText(secretAt)}},
	}
	if keyID == "" || secret == "" {
		p.Detail = "an Actions secret is missing"
	}
	return p
}

func stampText(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.RFC3339)
}

func (w *World) raptorPlace() page.Place {
	keyID, secret, running := w.Raptor.Working()
	p := page.Place{
		ID: "raptor", Group: "Downstream API", Name: "api.raxx.app", Last4: page.Last4(keyID), Works: w.works(keyID, secret),
		Fields: [][2]string{{"Orders on the LIVE book", fmt.Sprint(len(w.Raptor.LiveOrders()))}},
	}
	id, ok := w.Alpaca.KeyState(keyID, secret)
	switch a, err := w.Alpaca.Account(id); {
	case !running:
		p.Works, p.Detail = page.Fails, "does not run"
	case !ok:
		p.Detail = "account UNAUTHORIZED: Alpaca rejects its pair"
	case err != nil:
		p.Detail = "the account is deleted; its pair works for a moment longer"
	case a.Flags.TradingBlocked || a.Flags.AccountBlocked:
		p.Works, p.Detail = page.Fails, "account "+a.Status+", blocked"
	default:
		p.Detail = "account " + a.Status
	}
	return p
}

// alerts are what PagerDuty wakes people with, the newest first.
func (st *stage) alerts() []page.Alert {
	list := st.Pager.Alerts()
	out := make([]page.Alert, 0, len(list))
	for _, a := range slices.Backward(list) {
		out = append(out, page.Alert{Key: a.DedupKey, State: a.State, Summary: a.Summary, Opened: a.Opened.UTC()})
	}
	return out
}
