package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/raxx-app/keyturn/internal/sim/pagerdutysim"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

// serviceLooks return what somebody sees of a service with a switch on or off, by
// its name.
func serviceLooks() map[string]func(c *client) string {
	order := `{"symbol":"AAPL","qty":"2","side":"buy","type":"market","time_in_force":"day"}`
	return map[string]func(c *client) string{
		"slack-down": func(c *client) string { return c.slack("auth.test", "{}") },
		"slack-429":  func(c *client) string { return c.slack("chat.postMessage", `{"channel":"`+OpsChannel+`","text":"x"}`) },
		"slack-duplicates": func(c *client) string {
			conn := c.socket()
			defer conn.Close()
			if err := c.Slack.WaitSockets(c.t.Context(), 1); err != nil {
				c.t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(c.t.Context(), 200*time.Millisecond)
			defer cancel()
			_, _ = c.Slack.Command(ctx, Ada, OpsChannel, command, "status")
			got := fmt.Sprint(c.frames(conn))
			_ = conn.Close()
			if err := c.Slack.WaitSockets(c.t.Context(), 0); err != nil {
				c.t.Fatal(err)
			}
			return got
		},
		"alpaca-down":     func(c *client) string { return c.alpaca("GET", "/v2/account", "") },
		"alpaca-500":      func(c *client) string { return c.alpaca("GET", "/v2/account", "") },
		"alpaca-slow":     func(c *client) string { return c.alpaca("GET", "/v2/account", "") },
		"alpaca-flapping": func(c *client) string { return c.alpaca("GET", "/v2/account", "") + c.alpaca("GET", "/v2/account", "") },
		"alpaca-rate-limit": func(c *client) (last string) {
			for range 3 {
				last = c.alpaca("GET", "/v2/account", "")
			}
			return last
		},
		"alpaca-lag": func(c *client) string {
			first, _ := c.Alpaca.Regenerate(c.Account)
			_, _ = c.Alpaca.Regenerate(c.Account)
			_, ok := c.Alpaca.KeyState(first.ID, first.Secret)
			return fmt.Sprint(ok)
		},
		"market-closed": func(c *client) string { return c.alpaca("GET", "/v2/clock", "") },
		"partial-fills": func(c *client) string {
			c.alpaca("POST", "/v2/orders", order)
			list := c.Alpaca.Orders(c.Account)
			return list[len(list)-1].Status
		},
		"infisical-down":   (*client).login,
		"infisical-html":   (*client).login,
		"infisical-slow":   (*client).login,
		"infisical-429":    (*client).login,
		"infisical-denied": func(c *client) string { return c.call("PATCH", c.Infisical.URL()+vaultBatch, "{}") },
		"heroku-500":       func(c *client) string { return c.vars("PATCH", "{}") },
		"heroku-429":       func(c *client) string { return c.vars("PATCH", "{}") },
		"heroku-read-only": func(c *client) string { return c.vars("PATCH", "{}") },
		"heroku-slow":      func(c *client) string { return c.vars("GET", "") },

		"heroku-release-fails":      func(c *client) string { return c.released(prodApp) },
		"heroku-preboot":            func(c *client) string { return c.released(prodApp) },
		"heroku-crash":              func(c *client) string { return c.released(stagingApp) },
		"github-404":                func(c *client) string { return c.github("GET", "/repos/raxx/raptor/actions/secrets/public-key", "") },
		"github-slow":               func(c *client) string { return c.github("GET", "/repos/raxx/raptor/actions/secrets/public-key", "") },
		"github-secondary-limit":    func(c *client) string { return c.github("PUT", "/repos/raxx/raptor/actions/secrets/X", "{}") },
		"webhook-500":               func(c *client) string { return c.hook(pingEvent) },
		"webhook-slow":              func(c *client) string { return c.hook(pingEvent) },
		"webhook-lost-reply":        func(c *client) string { return c.hook(pingEvent) },
		"webhook-redirect":          func(c *client) string { return c.hook(pingEvent) },
		"webhook-login-page":        func(c *client) string { return c.hook(pingEvent) },
		"webhook-rejects-signature": func(c *client) string { return c.hook(pingEvent) },
		"webhook-yes-to-all":        func(c *client) string { return c.hook(nobodysEvent) },
		"downstream-500":            func(c *client) string { return c.raptor("GET", "/api/trading/account", "") },
		"downstream-old-pair": func(c *client) string {
			k, _ := c.Alpaca.Regenerate(c.Account)
			c.Heroku.Overwrite(prodApp, "ada@raxx.app", map[string]string{keyIDName: k.ID, secretName: k.Secret})
			return c.raptor("GET", "/api/trading/account", "")
		},
		"order-on-live": func(c *client) string {
			before := len(c.Raptor.LiveOrders())
			c.raptor("POST", orderPath, `{"symbol":"AAPL","qty":1,"side":"buy","type":"market","time_in_force":"day","mode":"paper"}`)
			return fmt.Sprint(len(c.Raptor.LiveOrders()) - before)
		},
	}
}

// accidentLooks are those of what happens between rotations.
func accidentLooks() map[string]func(c *client) string {
	return map[string]func(c *client) string{
		"alpaca-401":      func(c *client) string { return c.alpaca("GET", "/v2/account", "") },
		"alpaca-401-20s":  func(c *client) string { return c.alpaca("GET", "/v2/account", "") },
		"account-deleted": func(c *client) string { return fmt.Sprint(c.accountExists(c.Account)) },
		"key-regenerated": func(c *client) string { return fmt.Sprint(c.rejects(c.Old)) },
		"changed-by-hand": func(c *client) string { return fmt.Sprint(c.rejects(c.Old), c.exposed(), c.appPlace(prodApp).Works) },
		"heroku-drift":    func(c *client) string { return fmt.Sprint(c.Heroku.Vars(stagingApp)[keyIDName] == c.Old.ID) },
		"pagerduty-down":  func(c *client) string { return c.call(http.MethodPost, c.Pager.URL()+pagerdutysim.Path, "{}") },
		"bob-leaves": func(c *client) string {
			return fmt.Sprint(slices.ContainsFunc(c.Slack.Users(), func(u slacksim.User) bool { return u.ID == Bob && u.Deleted }))
		},
	}
}

// moreLooks are those of the switches for connections, tokens, states and
// replies.
func moreLooks() map[string]func(c *client) string {
	account := func(c *client) string { return c.alpaca("GET", "/v2/account", "") }
	vars := func(c *client) string { return c.vars("PATCH", "{}") }
	post := func(c *client) string {
		return c.slack("chat.postMessage", `{"channel":"`+OpsChannel+`","text":"x"}`) + c.errorCode()
	}
	publicKey := func(store string) func(c *client) string {
		return func(c *client) string { return c.github("GET", "/repos/raxx/raptor/"+store+"/secrets/public-key", "") }
	}
	write := func(c *client) string { return c.github("PUT", "/repos/raxx/raptor/actions/secrets/X", "{}") }
	list := func(c *client) string { return c.vault("GET", "/api/v4/secrets?secretPath=/&"+inVault, "") }
	page := func(c *client) string { return c.call(http.MethodPost, c.Pager.URL()+pagerdutysim.Path, "{}") }
	return map[string]func(c *client) string{
		"slack-no-connection": (*client).greeting,
		"slack-token-refused": post, "slack-errors": post, "slack-slow": post, "slack-lost-reply": post,
		"slack-tiers": func(c *client) string { return c.slack("usergroups.list", "{}") + c.flood("usergroups.list", 25) },

		"alpaca-no-answer": account, "alpaca-429": account, "alpaca-forbidden": account, "alpaca-lost-reply": account,
		"account-blocked": func(c *client) string {
			a, _ := c.Alpaca.Account(c.Account)
			return fmt.Sprint(a.Flags)
		},
		"account-restricted": func(c *client) string {
			a, _ := c.Alpaca.Account(c.Account)
			return a.Status
		},

		"infisical-lost-reply":     func(c *client) string { return c.call("PATCH", c.Infisical.URL()+vaultBatch, "{}") },
		"infisical-tokens-expired": list, "infisical-tokens-revoked": list, "infisical-no-access": list, "infisical-old-server": list,
		"infisical-secret-revoked": (*client).login,
		"infisical-approval":       func(c *client) string { return c.stores() },
		"infisical-managed":        func(c *client) string { return c.stores() },
		"infisical-ignores-version": func(c *client) string {
			c.Infisical.Put(projectID, environment, "/", keyIDName, "PKNEWER")
			c.vault("GET", "/api/v4/secrets/"+keyIDName+"?version=1&secretPath=/&"+inVault, "")
			return fmt.Sprint(bytes.Contains(c.body, []byte(c.Old.ID)))
		},
		"infisical-secret-removed": func(c *client) string { _, secret := c.stored(); return fmt.Sprint(secret == "") },
		"infisical-half":           func(c *client) string { keyID, _ := c.stored(); return fmt.Sprint(keyID == c.Old.ID) },

		"heroku-lost-reply": vars, "heroku-no-answer": vars, "heroku-token-revoked": vars,
		"heroku-release-pending": func(c *client) string { return c.released(prodApp) },
		"heroku-starting":        func(c *client) string { return c.released(stagingApp) },
		"heroku-dynos-crashed":   func(c *client) string { l, _ := c.Heroku.Look(stagingApp); return fmt.Sprint(l.Dynos) },
		"heroku-one-off":         func(c *client) string { l, _ := c.Heroku.Look(prodApp); return fmt.Sprint(l.Dynos) },
		"heroku-deploy":          func(c *client) string { return fmt.Sprint(len(c.Heroku.Releases(prodApp))) },
		"heroku-rollback":        func(c *client) string { return fmt.Sprint(len(c.Heroku.Releases(prodApp))) },

		"github-read-only": write, "github-archived": write, "github-lost-reply": write,
		"github-token-revoked": publicKey("actions"), "github-500": publicKey("actions"), "github-primary-limit": publicKey("actions"), "github-renamed": publicKey("actions"),
		"github-no-dependabot": publicKey("dependabot"),
		"github-new-key":       func(c *client) string { return publicKey("actions")(c) + string(c.body) },
		"github-secret-deleted": func(c *client) string {
			_, _, ok := c.GitHub.Secret(repoOwner, repoName, secretName)
			return fmt.Sprint(ok)
		},

		"webhook-old-pair": func(c *client) string {
			c.n++
			keyID := fmt.Sprintf("PKHANDEDOUT%04d", c.n)
			c.hook(fmt.Sprintf(`{"type":"rotated","rotation":"r%d","keyset":"prod","key_id_last4":%q,"pair":{"key_id":%q,"secret":"of it"}}`, c.n, last4(keyID), keyID))
			got, _ := c.Backtest.Pair()
			return fmt.Sprint(got == keyID)
		},
		"downstream-slow":  func(c *client) string { return c.raptor("GET", "/api/trading/account", "") },
		"order-lost-reply": func(c *client) string { return c.raptor("POST", orderPath, "{}") },
		"pagerduty-429":    page, "pagerduty-slow": page, "pagerduty-lost-reply": page,
		"disk-full": (*client).fileLimit,
	}
}

// switchEvents are what a socket shows after the switches that happen once.
func switchEvents() map[string]func(c *client, conn *websocket.Conn) string {
	asked := func(c *client, conn *websocket.Conn) string { return c.frame(conn) }
	return map[string]func(c *client, conn *websocket.Conn) string{
		"slack-disconnect": asked, "slack-cut": asked, "slack-warning": asked, "slack-link-disabled": asked, "slack-too-many-sockets": asked,
		"slack-half-open": func(c *client, _ *websocket.Conn) string {
			if err := c.Slack.WaitSockets(c.t.Context(), 0); err != nil {
				return ""
			}
			return "lost"
		},
	}
}

// inVault are the parameters that say where the pair is in Infisical.
const inVault = "projectId=" + projectID + "&environment=" + environment

// vault calls Infisical with the access token that it gave first.
func (c *client) vault(method, path, body string) string {
	c.t.Helper()
	if c.token == "" {
		c.login()
		var out struct{ AccessToken string }
		if err := json.Unmarshal(c.body, &out); err != nil || out.AccessToken == "" {
			c.t.Fatalf("Infisical gives no token: %v", err)
		}
		c.token = out.AccessToken
	}
	return c.call(method, c.Infisical.URL()+path, body, "Authorization", "Bearer "+c.token)
}

// stores writes the secret key in Infisical and returns by how many versions it
// is newer.
func (c *client) stores() string {
	version := func() (n int) {
		for _, s := range c.Infisical.Secrets(projectID, environment, "/") {
			n += s.Version
		}
		return n
	}
	before := version()
	c.n++
	c.vault("PATCH", "/api/v3/secrets/raw/"+secretName, fmt.Sprintf(`{"workspaceId":%q,"environment":%q,"secretPath":"/","secretValue":"another %d"}`, projectID, environment, c.n))
	return fmt.Sprint(version() - before)
}

// errorCode is what Slack's last answer says is wrong.
func (c *client) errorCode() string {
	var out struct{ Error string }
	_ = json.Unmarshal(c.body, &out)
	return " " + out.Error
}

// flood calls a method of Slack more often than it allows, and returns the last
// answer.
func (c *client) flood(method string, times int) (last string) {
	for range times {
		last = c.slack(method, "{}")
	}
	return last
}

// greeting is the first frame on a new socket.
func (c *client) greeting() string {
	conn := c.socket()
	defer conn.Close()
	return c.next(conn)
}

// frame is the first frame but for the greeting, "end" if the socket ended.
func (c *client) frame(conn *websocket.Conn) string {
	for {
		if kind := c.next(conn); kind != "hello" {
			return kind
		}
	}
}

// next waits for a frame and returns its type.
func (c *client) next(conn *websocket.Conn) string {
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	var frame struct{ Type string }
	switch err := conn.ReadJSON(&frame); {
	case err != nil && strings.Contains(err.Error(), "timeout"):
		return ""
	case err != nil:
		return "end"
	}
	return frame.Type
}

// fileLimit is what the kernel says of the files of a bot that runs.
func (c *client) fileLimit() string {
	if c.bot.PID() == 0 {
		if err := c.bot.Start(c.t.Context()); err != nil {
			c.t.Fatal(err)
		}
		c.t.Cleanup(func() { _ = c.bot.Kill() })
	}
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", c.bot.PID()))
	if err != nil {
		c.t.Skip("a full disk can be played on Linux only")
	}
	for line := range strings.Lines(string(limits)) {
		if strings.HasPrefix(line, "Max file size") {
			return line
		}
	}
	return ""
}
