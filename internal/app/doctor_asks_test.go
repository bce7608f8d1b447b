package app_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/app"
	"github.com/raxx-app/keyturn/internal/control"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/state"
)

// of returns the findings of one area.
func of(area string, all []app.Finding) []app.Finding {
	return slices.DeleteFunc(slices.Clone(all), func(f app.Finding) bool { return f.Area != area })
}

// What a running bot says of itself becomes findings; an older one, which does not
// say how its parts are, is none the worse for it.
func TestDoctorAsksTheBot(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	pid := os.Getpid()
	up := app.Finding{Area: "bot", Check: "running bot", Level: app.LevelOK, Text: fmt.Sprintf("runs as pid %d and is connected to Slack", pid)}
	says := func(parts ...control.Part) func(context.Context) control.Health {
		return func(context.Context) control.Health { return control.Health{Parts: parts} }
	}
	tests := []struct {
		name   string
		down   bool // it has no socket
		health func(context.Context) control.Health
		want   []app.Finding
	}{
		{name: "an older bot", want: []app.Finding{up}},
		{name: "no part", health: says(), want: []app.Finding{up}},
		{name: "no socket", down: true, health: says(control.Part{Name: "ladder", OK: true}), want: []app.Finding{{
			Area: "bot", Check: "running bot", Level: app.LevelFail, Reason: "no_socket", Text: fmt.Sprintf("A bot runs (pid %d), but it has no Slack socket: nobody can reach it.", pid),
			Fix: "Look at the other findings about Slack, and at the bot's log; it tries again by itself.",
		}}},
		{name: "parts that get on", health: says(control.Part{Name: "slack", OK: true, Detail: "a socket is up"}, control.Part{Name: "ladder", OK: true, Last: at}, control.Part{Name: "pages", OK: true}, control.Part{Name: "outbox", OK: true, Detail: "0 posts wait", Last: at}), want: []app.Finding{
			up,
			{Area: "bot", Check: "slack", Level: app.LevelOK, Text: "a socket is up"},
			{Area: "bot", Check: "ladder", Level: app.LevelOK, Text: "last 2026-05-06 07:08:09 UTC"},
			{Area: "bot", Check: "pages", Level: app.LevelOK, Text: "goes on"},
			{Area: "bot", Check: "outbox", Level: app.LevelOK, Text: "0 posts wait; last 2026-05-06 07:08:09 UTC"},
		}},
		{name: "parts that do not", health: says(control.Part{Name: "ladder", Detail: "its scan is late by 2m0s", Last: at, Fix: "Restart the bot."}, control.Part{Name: "leavers"}, control.Part{Name: "pages", OK: true}), want: []app.Finding{
			up,
			{Area: "bot", Check: "ladder", Level: app.LevelFail, Reason: "part_stalled", Text: "its scan is late by 2m0s; last 2026-05-06 07:08:09 UTC.", Fix: "Restart the bot."},
			{Area: "bot", Check: "leavers", Level: app.LevelFail, Reason: "part_stalled", Text: "it does not do its work.", Fix: "Look at the bot's log."},
			{Area: "bot", Check: "pages", Level: app.LevelOK, Text: "goes on"},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newWorld(t, options{}).patient()
			p.beside(!tt.down, tt.health)
			all, _ := p.examine()
			if diff := cmp.Diff(tt.want, of("bot", all)); diff != "" {
				t.Errorf("findings about the bot (-want +got):\n%s", diff)
			}
		})
	}
}

// beside has a bot run, as far as the doctor can tell.
func (p *patient) beside(connected bool, health func(context.Context) control.Health) {
	p.t.Helper()
	store, err := state.Open(p.t.Context(), state.Config{Path: p.stateFile()})
	p.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	server, err := control.Listen(ctx, control.Config{
		Path: p.Config.State.Socket, Engine: rotation.New(rotation.Config{Store: store, Now: time.Now}), Connected: func() bool { return connected },
		Log: slog.New(slog.DiscardHandler), Health: health,
	})
	p.must(err)
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	p.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			p.t.Errorf("the bot's socket ended with %v", err)
		}
		p.must(store.Close())
	})
	p.Open = func(context.Context) (*state.Store, error) { // a copy, as the command takes one
		path := p.stateFile() + ".copy"
		file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, err
		}
		if err := errors.Join(store.Snapshot(p.t.Context(), file), file.Close()); err != nil {
			return nil, err
		}
		return state.Open(p.t.Context(), state.Config{Path: path, ReadOnly: true})
	}
}

// Beside a bot that Slack refuses the doctor says that nobody can reach it.
func TestDoctorBesideABotWithoutASocket(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.slack.FailAuth("account_inactive")
	bot, _ := w.launch()
	var last []app.Finding
	w.until("the doctor finds a bot without a socket", func() bool {
		_, stdout, _ := w.doctor("--json")
		last = of("bot", findings(t, stdout))
		return len(last) == 1 && last[0].Reason == "no_socket"
	})
	if f := last[0]; f.Level != app.LevelFail || !strings.Contains(f.Text, fmt.Sprintf("pid %d", os.Getpid())) {
		t.Errorf("finding %+v, want a failure with the bot's pid", f)
	}
	bot.stop()
}

// Where no service answers nobody tells the time, which is said and is no failure of
// the clock.
func TestDoctorWithoutAClock(t *testing.T) {
	t.Parallel()
	p := newWorld(t, options{}).patient()
	const nobody = "http://127.0.0.1:1"
	e := &p.Config.Endpoints
	e.Slack, e.Alpaca, e.Infisical, e.Heroku, e.GitHub = nobody+"/api/", nobody, nobody, nobody, nobody
	all, _ := p.examine()
	i := slices.IndexFunc(all, func(f app.Finding) bool { return f.Check == "clock" })
	if want := (app.Finding{Area: "machine", Check: "clock", Level: app.LevelWarn, Reason: "clock_unknown", Text: "No service told the time.", Fix: "Mend the other findings first, then run bot doctor again."}); i < 0 || all[i] != want {
		t.Errorf("findings %+v, want among them %+v", all, want)
	}
}

// A disk with room is in order, and how much there is is said.
func TestDoctorSaysHowMuchRoomThereIs(t *testing.T) {
	t.Parallel()
	p := newWorld(t, options{}).patient()
	p.free(256 << 20)
	all, _ := p.examine()
	if i := slices.IndexFunc(all, func(f app.Finding) bool { return f.Check == "disk" }); i < 0 || all[i].Level != app.LevelOK || !strings.HasSuffix(all[i].Text, ", 256 MB free") {
		t.Errorf("findings %+v, want a disk with 256 MB free among them", all)
	}
}
