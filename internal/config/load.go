package config

import (
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Load reads the file at path and the environment. Every problem is in the
// error, which is a [Problems]; the Config is complete only if it is nil.
// Load changes nothing, so it may be repeated.
//
// Relative paths inside the file start at the file's folder, a NAME_FILE in
// the environment at the working directory. Only the variables of [Tokens],
// their NAME_FILE forms and DYNO are asked for: names that other tools would
// read by themselves change nothing.
func Load(path string, getenv func(string) string) (Config, error) {
	r := &reader{file: path}
	data, err := readFile(path, maxFileBytes+1) // one more, so that too large is seen
	if err != nil {
		r.add(0, "", "cannot be read: "+reason(err), "name the settings with --config; bot.example.yml is a start")
	}
	abs, absErr := filepath.Abs(path)
	if absErr != nil {
		r.add(0, "", "cannot be found: "+reason(absErr), "start the bot in a folder that exists")
	}
	env := readEnvironment(r, getenv)
	cfg := Config{File: abs, Tokens: env.tokens}
	if err == nil {
		r.settings(&cfg, data, env)
	}
	if len(r.problems) > 0 {
		r.problems.sort()
		return cfg, r.problems
	}
	return cfg, nil
}

// settings fills cfg from the file's text.
func (r *reader) settings(cfg *Config, data []byte, env environment) {
	root, ok := r.parse(data)
	if !ok {
		return
	}
	top := root.object("slack", "state", "http", "log", "schedules", "keysets", "endpoints")
	cfg.Slack = readSlack(top.at("slack"))
	cfg.State = readState(top.at("state"), filepath.Dir(cfg.File), env.dyno)
	cfg.HTTP = readHTTP(top.at("http"))
	cfg.Log = readLog(top.at("log"))
	cfg.Schedules = readSchedules(top.at("schedules"))
	cfg.KeySets = readKeySets(top.at("keysets"), env)
	cfg.Endpoints = readEndpoints(top.at("endpoints"))
}

// readSlack reads the block slack.
func readSlack(p place) Slack {
	o := p.object("ops_channel", "ops_group", "ops_users", "oncall_group", "oncall_users", "admin_ids", "local_users")
	if !p.there() {
		p.wrong("is missing", "say where the bot talks and who may act: ops_channel, and ops_group or ops_users")
		return Slack{}
	}
	s := Slack{
		OpsChannel:  o.need("ops_channel", channelID),
		OpsGroup:    o.may("ops_group", "", groupID),
		OpsUsers:    o.at("ops_users").texts(userID),
		OncallGroup: o.may("oncall_group", "", groupID),
		OncallUsers: o.at("oncall_users").texts(userID),
		AdminIDs:    map[string]string{},
		LocalUsers:  map[string]string{},
	}
	ops, users := o.at("ops_group").given(), o.at("ops_users").given()
	switch {
	case ops && users:
		o.at("ops_users").wrong("is there beside ops_group", "keep one of the two: either the group or the list says who is ops")
	case !ops && !users:
		p.wrong("does not say who has the role ops", "set ops_group to a user group (S…), or ops_users to a list of people (U…)")
	}
	if o.at("oncall_group").given() && o.at("oncall_users").given() {
		o.at("oncall_users").wrong("is there beside oncall_group", "keep one of the two: either the group or the list says who is paged")
	}
	keys, values := o.at("admin_ids").mapping()
	for _, k := range keys {
		if !userID.ok(k) {
			values[k].wrong("has a key that "+userID.what, userID.fix)
			continue
		}
		s.AdminIDs[k] = values[k].text(actor)
	}
	keys, values = o.at("local_users").mapping()
	for _, k := range keys {
		if !actor.ok(k) {
			values[k].wrong("has a key that is not a login", "write the login name as the host knows it")
			continue
		}
		s.LocalUsers[k] = values[k].text(userID)
	}
	return s
}

// readState reads the block state. Relative paths start at dir.
func readState(p place, dir string, dyno bool) State {
	const maxSocket = 107 // bytes of a Unix socket's path on Linux, unix(7)
	o := p.object("path", "socket")
	if !p.there() {
		p.wrong("is missing", "say where the bot keeps its file, for example state: {path: data/keyturn.db}")
		return State{}
	}
	file := o.need("path", filePath)
	if file == "" {
		return State{}
	}
	if dyno {
		o.at("path").wrong("is on a Heroku dyno, whose disk is wiped at least once a day: sealed pairs and the audit would be lost",
			"run the bot on a machine with a lasting disk")
	}
	s := State{Path: absolute(dir, file)}
	s.Socket = absolute(dir, o.may("socket", filepath.Join(filepath.Dir(s.Path), "keyturn.sock"), filePath))
	if len(s.Socket) > maxSocket {
		o.at("socket").wrong("makes a path that is too long for a Unix socket (107 bytes)", "set state.socket to a short path, for example /run/keyturn/keyturn.sock")
	}
	if s.Socket == s.Path {
		o.at("socket").wrong("is the state file", "give the socket a name of its own, or remove the line")
	}
	return s
}

// absolute returns path as it is seen from dir.
func absolute(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}

// readHTTP reads the block http.
func readHTTP(p place) HTTP {
	o := p.object("listen")
	if s, ok := scalar(o.at("listen").node); ok && s == "" {
		return HTTP{} // off, on purpose
	}
	return HTTP{Listen: o.may("listen", "127.0.0.1:9464", hostPort)}
}

// readLog reads the block log.
func readLog(p place) Log {
	var l Log
	_ = l.Level.UnmarshalText([]byte(p.object("level").may("level", slog.LevelInfo.String(), logLevel))) // the rule lets only levels pass
	return l
}

// readSchedules reads the block schedules.
func readSchedules(p place) Schedules {
	o := p.object("reminders", "sentinel", "timezone")
	s := Schedules{Timezone: o.may("timezone", "UTC", zone), Location: time.UTC}
	if loc, err := time.LoadLocation(s.Timezone); err == nil {
		s.Location = loc
	}
	read := func(key, otherwise string, least time.Duration) string {
		spec := o.may(key, otherwise, cronText)
		if what, fix := schedule(spec, s.Location, least); what != "" {
			o.at(key).wrong(what, fix)
			return otherwise
		}
		return spec
	}
	s.Reminders = read("reminders", "0 9 * * *", everyLeast)
	s.Sentinel = read("sentinel", "@every 1m", sentinelLeast)
	return s
}

// readEndpoints reads the block endpoints.
func readEndpoints(p place) Endpoints {
	o := p.object("slack", "alpaca", "infisical", "heroku", "github", "pagerduty")
	read := func(key, otherwise string, check rule) string {
		return strings.TrimRight(o.may(key, otherwise, check), "/")
	}
	return Endpoints{
		Slack:     read("slack", "https://slack.com/api", baseURL) + "/",
		Alpaca:    read("alpaca", paperHost, alpacaURL),
		Infisical: read("infisical", "https://app.infisical.com", baseURL),
		Heroku:    read("heroku", "https://api.heroku.com", baseURL),
		GitHub:    read("github", "https://api.github.com", baseURL),
		PagerDuty: read("pagerduty", "https://events.pagerduty.com", baseURL),
	}
}

// readFile reads at most limit bytes. A pipe works too.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path) //nolint:gosec // the operator names the file; reading it is the job
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

// reason returns why a file could not be read, without naming it again.
func reason(err error) string {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err.Error()
	}
	return err.Error()
}
