package config

import (
	"regexp"
	"strings"

	"github.com/raxx-app/keyturn/internal/secret"
)

// maxTokenBytes limits a NAME_FILE: no token is near it.
const maxTokenBytes = 64 << 10

// An environment is what was found outside the file.
type environment struct {
	tokens Tokens
	absent map[string]bool // names of variables that are not set and have no problem of their own
	dyno   bool            // on Heroku, where the disk is wiped daily
}

// A variable is one name that the bot reads.
type variable struct {
	name     string
	needed   bool // by every bot; the others are needed by a consumer, or not at all
	check    rule
	into     func(*Tokens) *secret.Text
	whatItIs string // for the fix: "set NAME to …"
}

// oneWord is the rule of most tokens. Anything else would break a header.
var oneWord = matching(`^[!-~]+$`, "holds characters that no token has", "copy the token again, without spaces and line breaks inside")

// signingKey is the rule of a secret that signs: long enough not to be guessed
// from a signature.
var signingKey = matching(`^[!-~]{16,}$`, "is shorter than 16 characters, or holds a space", "set it to what openssl rand -hex 32 prints, the same at the receivers")

// prefixed is the rule of a token that starts with a known word.
func prefixed(prefix, what string) rule {
	return matching(`^`+prefix+`[!-~]+$`, what, "set it to the token that starts with "+prefix)
}

// identities is the rule of STATE_KEY: what age-keygen writes, comments included.
var identities = rule{
	ok: func(s string) bool {
		found := false
		for line := range strings.Lines(s) {
			line = strings.TrimSpace(line)
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			if !regexp.MustCompile(`^AGE-SECRET-KEY-(PQ-)?1[A-Z0-9]+$`).MatchString(line) {
				return false
			}
			found = true
		}
		return found
	},
	what: "is not a list of age identities",
	fix:  "set it to what age-keygen writes: lines that start with AGE-SECRET-KEY-, the first one seals",
}

// variables returns every name that is read, in the order of the documentation.
func variables() []variable {
	return []variable{
		{"SLACK_BOT_TOKEN", true, prefixed("xoxb-", "is not the token of a Slack bot"), func(t *Tokens) *secret.Text { return &t.SlackBot }, "the bot token (xoxb-…) of the page OAuth & Permissions"},
		{"SLACK_APP_TOKEN", true, prefixed("xapp-", "is not an app-level token of Slack"), func(t *Tokens) *secret.Text { return &t.SlackApp }, "an app-level token (xapp-…) with the scope connections:write"},
		{"INFISICAL_CLIENT_ID", true, oneWord, func(t *Tokens) *secret.Text { return &t.InfisicalID }, "the client id of the bot's machine identity"},
		{"INFISICAL_CLIENT_SECRET", true, oneWord, func(t *Tokens) *secret.Text { return &t.InfisicalSecret }, "the client secret of the bot's machine identity"},
		{"HEROKU_API_KEY", false, oneWord, func(t *Tokens) *secret.Text { return &t.Heroku }, "a token of heroku authorizations:create with the scope write-protected"},
		{"GITHUB_TOKEN", false, oneWord, func(t *Tokens) *secret.Text { return &t.GitHub }, "a token that may write the repository's Actions secrets"},
		{"STATE_KEY", true, identities, func(t *Tokens) *secret.Text { return &t.StateKey }, "the age identities that seal the state: what age-keygen writes"},
		{"DOWNSTREAM_TOKEN", false, oneWord, func(t *Tokens) *secret.Text { return &t.Downstream }, "the bearer token of the downstream API"},
		{"WEBHOOK_SECRET", false, signingKey, func(t *Tokens) *secret.Text { return &t.Webhook }, "the secret that signs webhooks, the same as at the receivers: what openssl rand -hex 32 prints"},
		{"PAGERDUTY_ROUTING_KEY", false, oneWord, func(t *Tokens) *secret.Text { return &t.PagerDutyRouting }, "the routing key of an Events v2 integration"},
	}
}

// readEnvironment reads every variable.
func readEnvironment(r *reader, getenv func(string) string) environment {
	env := environment{absent: map[string]bool{}, dyno: getenv("DYNO") != ""}
	for _, v := range variables() {
		value, found, ok := v.read(r, getenv)
		switch {
		case !ok: // said already
		case !found && v.needed:
			r.addEnv(v.name, "is not set", v.fix())
		case !found:
			env.absent[v.name] = true
		case !v.check.ok(value):
			r.addEnv(v.name, v.check.what+swapped(v.name, value), v.check.fix)
		default:
			*v.into(&env.tokens) = secret.New(value)
		}
	}
	return env
}

// read returns the variable's trimmed value, directly or from its file. It is
// not ok after a problem.
func (v variable) read(r *reader, getenv func(string) string) (value string, found, ok bool) {
	value, file := strings.TrimSpace(getenv(v.name)), strings.TrimSpace(getenv(v.name+"_FILE"))
	switch {
	case value != "" && file != "":
		r.addEnv(v.name, "is set beside "+v.name+"_FILE", "unset one of the two")
		return "", false, false
	case file == "":
		return value, value != "", true
	}
	data, err := readFile(file, maxTokenBytes+1)
	if err != nil {
		r.addEnv(v.name+"_FILE", "names a file that cannot be read: "+reason(err), "correct the path, or who may read the file")
		return "", false, false
	}
	if len(data) > maxTokenBytes {
		r.addEnv(v.name+"_FILE", "names a file that is too large for a token", "correct the path")
		return "", false, false
	}
	value = strings.TrimSpace(string(data))
	if value == "" {
		r.addEnv(v.name+"_FILE", "names an empty file", "write "+v.whatItIs+" into it")
		return "", false, false
	}
	return value, true, true
}

// fix says how to set the variable.
func (v variable) fix() string {
	return "set " + v.name + " to " + v.whatItIs + ", or " + v.name + "_FILE to a file that holds it"
}

// fixFor returns how to set the variable called name.
func fixFor(name string) string {
	for _, v := range variables() {
		if v.name == name {
			return v.fix()
		}
	}
	return "set " + name
}

// swapped adds the usual reason why one Slack token is wrong.
func swapped(name, value string) string {
	if name == "SLACK_BOT_TOKEN" && strings.HasPrefix(value, "xapp-") || name == "SLACK_APP_TOKEN" && strings.HasPrefix(value, "xoxb-") {
		return ": the two Slack tokens are swapped"
	}
	return ""
}

// addEnv notes a problem with the environment.
func (r *reader) addEnv(name, what, fix string) {
	r.problems = append(r.problems, Problem{Path: name, What: what, Fix: fix})
}
