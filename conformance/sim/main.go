// Command sim starts the simulators that the conformance suite drives, prints
// where they are and their tokens as one line of JSON, and ends when its
// standard input does: a script that dies takes them along.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/raxx-app/keyturn/internal/sim/githubsim"
	"github.com/raxx-app/keyturn/internal/sim/herokusim"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

// Who and what there is. The tokens open nothing anywhere else.
const (
	command     = "/rotate-alpaca-paper"
	herokuToken = "HRKU-conformance"
	githubToken = "github_pat_conformance"
	repoOwner   = "raxx"
	repoName    = "raptor"
	app         = "raxx-api-prod"
)

// A place is what the scripts are told.
type place struct {
	Slack struct{ URL, BotToken, AppToken, Ada, Bob, Ops, Group, Command string }
	// GitHub listens three times: plain, on a Unix socket, and with TLS.
	GitHub  struct{ URL, Socket, TLS, Cert, Token, Repo string }
	Heroku  struct{ URL, Token, App string }
	Control string // POST an act here, see control.go
}

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "sim:", err)
		os.Exit(1)
	}
}

// run serves until in ends. args is the folder for the socket and the
// certificate.
func run(args []string, in io.Reader, out io.Writer) (err error) {
	if len(args) != 1 {
		return errors.New("usage: sim FOLDER <PIPE")
	}
	w, p := newWorld()
	defer func() { err = errors.Join(err, w.slack.Close(), w.github.Close(), w.heroku.Close()) }()
	if err := errors.Join(w.slack.Start(), w.github.Start(), w.heroku.Start()); err != nil {
		return err
	}
	p.Slack.URL, p.GitHub.URL, p.Heroku.URL = w.slack.APIURL(), w.github.URL(), w.heroku.URL()
	if err := listenForGh(args[0], &p); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	control := &http.Server{Handler: w, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = control.Serve(l) }()
	defer func() { _ = control.Close() }()
	p.Control = "http://" + l.Addr().String()
	if err := json.NewEncoder(out).Encode(p); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, in)
	return err
}

// newWorld fills the simulators and says what is in them.
func newWorld() (*world, place) {
	var p place
	w := &world{
		slack:  slacksim.New(slacksim.Config{Commands: []string{command}}),
		github: githubsim.New(githubsim.Config{}),
		heroku: herokusim.New(herokusim.Config{
			Tokens: map[string]herokusim.Token{herokuToken: {Scopes: []string{"write-protected"}}, "HRKU-read": {Scopes: []string{"read"}}},
			Apps:   []herokusim.App{{Name: app, Vars: map[string]string{"RAILS_ENV": "production"}, Version: 41}},
		}),
	}
	cfg := w.slack.Config()
	p.Slack.BotToken, p.Slack.AppToken, p.Slack.Command = cfg.BotToken, cfg.AppToken, command
	p.Slack.Ada, p.Slack.Bob, p.Slack.Ops, p.Slack.Group = "U0ADA", "U0BOB", "C0OPS", "S0OPS"
	w.slack.AddUser(slacksim.User{ID: p.Slack.Ada, Name: "ada"})
	w.slack.AddUser(slacksim.User{ID: p.Slack.Bob, Name: "bob", Restricted: true})
	w.slack.AddGroup(slacksim.Group{ID: p.Slack.Group, Handle: "ops", Users: []string{p.Slack.Ada}})
	w.slack.AddChannel(slacksim.Channel{ID: p.Slack.Ops, Name: "ops", Members: []string{p.Slack.Ada, p.Slack.Bob, cfg.BotUserID}})

	w.github.Grant(githubToken, githubsim.FullAccess())
	w.github.AddRepo(repoOwner, repoName, "production")
	p.GitHub.Token, p.GitHub.Repo = githubToken, repoOwner+"/"+repoName
	p.Heroku.Token, p.Heroku.App = herokuToken, app
	return w, p
}
