package sandbox

import (
	"net/http"
	"time"

	"github.com/raxx-app/keyturn/internal/sandbox/page"
	"github.com/raxx-app/keyturn/internal/sim/herokusim"
	"github.com/raxx-app/keyturn/internal/sim/infisicalsim"
	"github.com/raxx-app/keyturn/internal/sim/simhttp"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

// everyConnection is more connections than a bot tries while somebody looks.
const everyConnection = 1 << 20

// socketSwitches are about the bot's connections to Slack and its tokens.
func (w *World) socketSwitches() []page.Fault {
	const group = "Slack"
	asks := func(reason slacksim.DisconnectReason) func(bool) error {
		return once(func() { w.Slack.Disconnect(reason) })
	}
	said := []string{"chat.postMessage", "chat.update", "views.open", "views.update"}
	return []page.Fault{
		{Name: "slack-warning", Group: group, Once: true, What: "Slack warns that it closes the connection in a moment.", Set: asks(slacksim.Warning)},
		{Name: "slack-link-disabled", Group: group, Once: true, What: "Slack says that Socket Mode was switched off, and closes the connections.", Set: asks(slacksim.LinkDisabled)},
		{Name: "slack-too-many-sockets", Group: group, Once: true, What: "Slack says that the app has too many connections, and closes them.", Set: asks(slacksim.TooManyWebsockets)},
		{Name: "slack-half-open", Group: group, Once: true, What: "The connections to Slack look alive, and nothing passes any more.", Set: once(func() { w.Slack.HalfOpen() })},
		{Name: "slack-no-connection", Group: group, What: "Slack closes every new connection as soon as it is open.", Set: either(func(n int) { w.Slack.DisconnectNext(n, slacksim.RefreshRequested) }, everyConnection, 0)},
		{Name: "slack-token-refused", Group: group, What: "Somebody revokes the bot's Slack tokens: Slack refuses every call.", Set: either(w.Slack.FailAuth, "token_revoked", "")},
		{Name: "slack-errors", Group: group, What: "Slack answers every message and view of the bot with an error of its own.", Set: func(on bool) error {
			times := 0 // until it is ended
			if !on {
				times = -1
			}
			for _, method := range said {
				w.Slack.FailMethod(method, times, "fatal_error")
			}
			return nil
		}},
		{Name: "slack-tiers", Group: group, What: "Slack counts calls, and refuses those above its limit for each method.", Set: either(w.Slack.EnforceTiers, true, false)},
		{Name: "slack-slow", Group: group, What: "Slack takes four seconds for each answer.", Set: injected(w.Slack, simhttp.Fault{Path: "/api/", Delay: slowBy})},
		{Name: "slack-lost-reply", Group: group, What: "Slack posts what the bot says, and its answers are lost.", Set: injected(w.Slack, lost("", "/api/chat."))},
	}
}

// accountSwitches are about the paper account in use.
func (w *World) accountSwitches() []page.Fault {
	const group = "Alpaca"
	return []page.Fault{
		{Name: "account-blocked", Group: group, What: "Alpaca blocks the paper account of prod.", Set: w.onAccount(func(account string, on bool) error {
			return w.Alpaca.SetBlocked(account, on)
		})},
		{Name: "account-restricted", Group: group, What: "Alpaca restricts the paper account of prod: ACCOUNT_UPDATED.", Set: w.onAccount(func(account string, on bool) error {
			status := "ACTIVE"
			if on {
				status = "ACCOUNT_UPDATED"
			}
			return w.Alpaca.SetStatus(account, status)
		})},
	}
}

// onAccount is a switch for a state of the paper account that the key set uses
// when it is switched on. If that account is gone by the time it is switched off,
// so is its state.
func (w *World) onAccount(set func(account string, on bool) error) func(bool) error {
	var number string
	begin := w.onOurs(func(account string) error {
		number = account
		return set(account, true)
	})
	return func(on bool) error {
		if on {
			return begin(true)
		}
		if !w.accountExists(number) {
			return nil
		}
		return set(number, false)
	}
}

// vaultAccessSwitches are about what Infisical lets the bot do.
func (w *World) vaultAccessSwitches() []page.Fault {
	const group = "Infisical"
	return []page.Fault{
		{Name: "infisical-approval", Group: group, What: "Infisical wants every change approved by somebody first.", Set: either(w.Infisical.RequireApproval, true, false)},
		{Name: "infisical-tokens-expired", Group: group, Once: true, What: "The access token that the bot has from Infisical expires.", Set: once(w.Infisical.ExpireTokens)},
		{Name: "infisical-tokens-revoked", Group: group, Once: true, What: "Somebody revokes every access token of Infisical.", Set: once(w.Infisical.RevokeTokens)},
		{Name: "infisical-secret-revoked", Group: group, What: "Somebody revokes the bot's client secret in Infisical, and every access token.", Set: func(on bool) error {
			if !on {
				w.Infisical.RestoreClientSecret(infisicalID)
				return nil
			}
			w.Infisical.RevokeClientSecret(infisicalID)
			w.Infisical.RevokeTokens()
			return nil
		}},
		{Name: "infisical-no-access", Group: group, What: "The bot's identity in Infisical has no rights in the project.", Set: either(func(r infisicalsim.Rights) {
			w.Infisical.Grant(infisicalID, projectID, r)
		}, 0, infisicalsim.Member)},
		{Name: "infisical-old-server", Group: group, What: "Infisical is a server of 2024, without today's routes.", Set: either(w.Infisical.SetOld, true, false)},
		{Name: "infisical-ignores-version", Group: group, What: "Infisical answers with the newest value, whichever version is asked for.", Set: either(w.Infisical.IgnoreVersion, true, false)},
		{Name: "infisical-managed", Group: group, Once: true, What: "Somebody has Infisical rotate the secret key itself: nobody else may change it.", Set: once(func() {
			w.Infisical.Lock(projectID, environment, "/", secretName)
		})},
		{Name: "infisical-secret-removed", Group: group, Once: true, What: "Somebody deletes the secret key in Infisical.", Set: once(func() {
			w.Infisical.Remove(projectID, environment, "/", secretName)
		})},
		{Name: "infisical-half", Group: group, Once: true, What: "Somebody types another key ID into Infisical, and no secret key.", Set: once(func() {
			w.Infisical.Put(projectID, environment, "/", keyIDName, "PKTYPEDBYHAND0000043")
		})},
	}
}

// prebootFor is how long old dynos serve on.
const prebootFor = 10 * time.Second

// appSwitches are about the apps at Heroku.
func (w *World) appSwitches() []page.Fault {
	const group = "Heroku"
	phase := dial[herokusim.Phase]{set: func(p herokusim.Phase) { w.Heroku.SetPhase(prodApp, p) }}
	boot := dial[herokusim.Boot]{set: func(b herokusim.Boot) { w.Heroku.SetBoot(stagingApp, b) }}
	prodBoot := dial[herokusim.Boot]{set: func(b herokusim.Boot) { w.Heroku.SetBoot(prodApp, b) }}
	preboot := prodBoot.to(herokusim.Boot{PrebootWindow: prebootFor})
	return []page.Fault{
		{Name: "heroku-release-fails", Group: group, What: prodApp + " has a release command, and it fails.", Set: phase.to(herokusim.Phase{On: true, Fails: true})},
		{Name: "heroku-release-pending", Group: group, What: "The release command of " + prodApp + " runs and does not end.", Set: andThen(phase.to(herokusim.Phase{On: true, Hold: true}), func() {
			for range w.Heroku.Releases(prodApp) {
				w.Heroku.FinishRelease(prodApp, true)
			}
		})},
		{Name: "heroku-crash", Group: group, What: "New dynos of " + stagingApp + " crash.", Set: boot.to(herokusim.Boot{Crashes: true})},
		{Name: "heroku-starting", Group: group, What: "New dynos of " + stagingApp + " do not get beyond starting.", Set: andThen(boot.to(herokusim.Boot{Hold: true}), func() { w.Heroku.FinishBoot(stagingApp) })},
		{Name: "heroku-dynos-crashed", Group: group, What: "The dynos of " + stagingApp + " that run crash.", Set: either(func(state string) { w.Heroku.SetDynoState(stagingApp, state) }, "crashed", "up")},
		{Name: "heroku-preboot", Group: group, What: prodApp + " has preboot: its old dynos serve on for ten seconds.", Set: func(on bool) error {
			w.Heroku.SetPreboot(prodApp, on)
			return preboot(on)
		}},
		{Name: "heroku-rollback", Group: group, Once: true, What: "Somebody rolls " + prodApp + " back to the pair that was in use at the start.", Set: once(func() {
			w.Heroku.Overwrite(prodApp, "ada@raxx.app", map[string]string{keyIDName: w.Old.ID, secretName: w.Old.Secret})
		})},
		{Name: "heroku-deploy", Group: group, Once: true, What: "Somebody deploys " + prodApp + ".", Set: once(func() { w.Heroku.Deploy(prodApp, "ada@raxx.app") })},
		{Name: "heroku-one-off", Group: group, Once: true, What: "Somebody starts a one-off dyno of " + prodApp + ", which keeps the pair that it started with.", Set: once(func() { w.Heroku.AddOneOff(prodApp, "run") })},
	}
}

// pagerSwitches are about PagerDuty.
func (w *World) pagerSwitches() []page.Fault {
	const group = "PagerDuty"
	return []page.Fault{
		{Name: "pagerduty-429", Group: group, What: "PagerDuty's rate limit refuses every call.", Set: injected(w.Pager, simhttp.Fault{Status: http.StatusTooManyRequests})},
		{Name: "pagerduty-slow", Group: group, What: "PagerDuty takes four seconds for each answer.", Set: injected(w.Pager, slow())},
		{Name: "pagerduty-lost-reply", Group: group, What: "PagerDuty wakes people, and its answers are lost.", Set: injected(w.Pager, lost(http.MethodPost, ""))},
	}
}
