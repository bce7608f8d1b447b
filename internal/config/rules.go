package config

import (
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // schedules.timezone must load on a machine without zone files
)

// A rule says what a text must look like.
type rule struct {
	ok   func(string) bool
	what string // what is wrong with a text that is not ok
	fix  string // what to do, for a wrong text and for a missing one
}

// matching is the rule of a pattern.
func matching(pattern, what, fix string) rule {
	return rule{ok: regexp.MustCompile(pattern).MatchString, what: what, fix: fix}
}

// oneOf is the rule of a few words.
func oneOf(what string, words ...string) rule {
	return matching("^("+strings.Join(words, "|")+")$", what, "write "+strings.Join(words, " or "))
}

// The rules of plain texts.
var (
	channelID = matching(`^[CG][A-Z0-9]{2,20}$`, "is not the id of a Slack channel", "write the channel's id (C… or G…), shown at the bottom of the channel's details")
	groupID   = matching(`^S[A-Z0-9]{2,20}$`, "is not the id of a Slack user group", "write the group's id (S…), the last part of the group's address in a browser")
	userID    = matching(`^[UW][A-Z0-9]{2,20}$`, "is not the id of a Slack user", "write the person's member id (U…), under the three dots of the profile")
	dmID      = matching(`^D[A-Z0-9]{2,20}$`, "is not the id of a Slack DM", "write the id of the bot's own DM (D…), or list users instead")
	actor     = matching(`^[^\s\x00-\x1f\x7f]{1,100}$`, "is not a name for the audit", "write an e-mail address or a name without spaces, at most 100 characters")

	entryName = matching(`^[a-z0-9-]{1,30}$`, "is not a name", "use lower-case letters, digits and dashes, at most 30 characters")
	secretKey = matching(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`, "is not the name of a secret", "use letters, digits and _, starting with a letter, for example ALPACA_PAPER_API_KEY_ID")
	projectID = matching(`^[A-Za-z0-9-]{1,64}$`, "is not the id of an Infisical project", "write the id that the project's settings page shows, not its name")
	slug      = matching(`^[a-z0-9][a-z0-9_-]{0,63}$`, "is not the slug of an Infisical environment", "write the slug, for example prod or staging")
	folder    = matching(`^/([A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*/?)?$`, "is not a folder in Infisical", "write a path that starts with /, for example / or /alpaca")

	herokuApp   = matching(`^[a-z][a-z0-9-]{1,28}[a-z0-9]$`, "is not the name of a Heroku app", `write the name that "heroku apps" shows`)
	githubRepo  = matching(`^[A-Za-z0-9][A-Za-z0-9-]{0,38}/([A-Za-z0-9_-][A-Za-z0-9._-]{0,99}|\.[A-Za-z0-9_-][A-Za-z0-9._-]{0,98})$`, "is not a GitHub repository", "write owner/name, without https://github.com/")
	githubPlace = matching(`^[^\x00-\x1f\x7f/\\]{1,255}$`, "is not the name of a deployment environment", "write the name that the repository's settings show")
	fieldPath   = matching(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){0,9}$`, "is not the path of a JSON field", "write names joined by dots, for example alpaca_status or account.status")
	fieldName   = matching(`^[A-Za-z0-9_-]{1,64}$`, "is not the name of a JSON field", "write the name, for example client_order_id")
	wanted      = matching(`^[^\x00-\x1f\x7f]{1,100}$`, "is not a value to wait for", "write the value, for example ACTIVE")

	filePath = matching(`^[^\x00-\x1f\x7f]{1,1000}$`, "is not a path", "write a path; a relative one starts at this file's folder")
	logLevel = oneOf("is not a log level", "debug", "info", "warn", "error")
	days     = matching(`^[1-9][0-9]{0,3}d$`, "is not a number of whole days", "write for example 180d, from 1d to 9999d")
	cronText = matching(`^[^\x00-\x1f\x7f]{1,100}$`, "is not a cron expression", `write five fields such as "0 9 * * *", or "@every 1m"`)
	zone     = rule{ok: isZone, what: "is not a time zone", fix: "write UTC or a name such as America/New_York"}
	hostPort = rule{ok: isHostPort, what: "is not an address to listen on", fix: `write for example 127.0.0.1:9464, or "" to switch it off`}
)

// isZone accepts what can be loaded and is the same on every machine.
func isZone(s string) bool {
	_, err := time.LoadLocation(s)
	return err == nil && s != "Local"
}

// isHostPort accepts host:port with a numeric port; the host may be empty.
func isHostPort(s string) bool {
	host, port, err := net.SplitHostPort(s)
	if err != nil || !regexp.MustCompile(`^[A-Za-z0-9.:%_-]*$`).MatchString(host) {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

// webURL is the rule of an address: https unless it is on loopback, and no
// user, password or fragment in it.
var webURL = rule{
	ok: func(s string) bool {
		u, err := url.Parse(s)
		return err == nil && u.Opaque == "" && u.Hostname() != "" && u.User == nil && u.Fragment == "" && portOK(u) &&
			!strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f }) &&
			(u.Scheme == "https" || u.Scheme == "http" && loopback(u))
	},
	what: "is not a safe address",
	fix:  "write a whole https:// address without user or password; http:// works for 127.0.0.1 and localhost only",
}

// baseURL is the rule of an endpoint: a webURL without a query.
var baseURL = rule{
	ok:   func(s string) bool { return webURL.ok(s) && !strings.Contains(s, "?") },
	what: webURL.what,
	fix:  webURL.fix + ", and nothing after a ?",
}

// paperHost is the only host outside this machine that may see the pair as
// Alpaca's: the live host would place real orders.
const paperHost = "https://paper-api.alpaca.markets"

// alpacaURL is the rule of Alpaca's endpoint.
var alpacaURL = rule{
	ok: func(s string) bool {
		u, err := url.Parse(s)
		return s == paperHost || baseURL.ok(s) && err == nil && loopback(u)
	},
	what: "is neither Alpaca's paper host nor on this machine",
	fix:  "write exactly " + paperHost + ", or remove the line; only a simulator on 127.0.0.1 may stand in for it",
}

// portOK reports whether u has no port or a possible one.
func portOK(u *url.URL) bool {
	if u.Port() == "" {
		return !strings.HasSuffix(u.Host, ":")
	}
	n, err := strconv.ParseUint(u.Port(), 10, 16)
	return err == nil && n > 0
}

// loopback reports whether u stays on this machine.
func loopback(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}
