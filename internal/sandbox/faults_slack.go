package sandbox

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/raxx-app/keyturn/internal/sim/herokusim"
	"github.com/raxx-app/keyturn/internal/sim/simhttp"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

// slackFaults are about Slack.
func slackFaults() []Fault {
	var back time.Time
	return []Fault{
		{
			Name: "slack-disconnect", What: "In the middle of a rotation Slack asks the bot to connect again: nothing is lost.",
			Prepare: func(w *World) error { w.Heroku.SetBoot(prodApp, herokusim.Boot{Hold: true}); return nil },
			Act: func(s *Scene) error {
				return s.interrupted("Slack asks the bot to connect again", func() { s.Slack.Disconnect(slacksim.RefreshRequested) })
			},
		},
		{
			Name: "slack-cut", What: "In the middle of a rotation the connection to Slack is cut without a word: nothing is lost.",
			Prepare: func(w *World) error { w.Heroku.SetBoot(prodApp, herokusim.Boot{Hold: true}); return nil },
			Act: func(s *Scene) error {
				return s.interrupted("the connection to Slack is cut", func() { s.Slack.CutSockets() })
			},
		},
		{
			Name: "slack-down-after-click", What: "Slack is gone after the paste: the rotation goes on without it, and what people must be told follows when it is back.",
			Prepare: func(w *World) error { w.Heroku.SetBoot(prodApp, herokusim.Boot{Hold: true}); return nil },
			Act: func(s *Scene) error {
				if err := s.held(); err != nil {
					return err
				}
				clear := s.Slack.Inject(simhttp.Fault{Cut: true})
				s.Slack.CutSockets()
				s.Say("Slack is down")
				s.Heroku.FinishBoot(prodApp)
				if err := s.until(prodApp+" was asked whether it works with the new pair", func() bool {
					return hit("", s.Raptor, http.MethodGet, http.StatusOK, 1).Err == nil
				}); err != nil {
					return err
				}
				if err := s.pass(500 * time.Millisecond); err != nil { // the answer has to arrive
					return err
				}
				before := s.Slack.Connections()
				back = s.now()
				clear()
				s.Say("Slack is back")
				if err := s.reconnected(before); err != nil {
					return err
				}
				return s.Ada.finished(s.ctx)
			},
			Also: func(s *Scene, _ Report) []Check {
				return []Check{{"every consumer was verified while Slack was down", s.verifiedBefore(back)}}
			},
		},
		{
			Name: "duplicate-envelopes", What: "Slack delivers everything that people do twice: it has its effect once.",
			Prepare: func(w *World) error { w.Slack.Duplicate(true); return nil },
			Differs: Differences{Carried: 2},
			Also: func(s *Scene, r Report) []Check {
				return append(oneReleaseEach(s, r), Check{"one pair was sealed", s.sealed(1)})
			},
		},
	}
}

// held is a rotation up to where an app waits for its dynos.
func (s *Scene) held() error {
	if err := s.generated(); err != nil {
		return err
	}
	if err := s.Ada.seal(s.ctx, s.Key); err != nil {
		return err
	}
	err := s.Ada.see(s.ctx, "web.1 is starting")
	return err
}

// interrupted is a rotation that goes on while the bot has no connection to
// Slack for a moment.
func (s *Scene) interrupted(how string, interrupt func()) error {
	if err := s.held(); err != nil {
		return err
	}
	before := s.Slack.Connections()
	interrupt()
	s.Say(how)
	s.Heroku.FinishBoot(prodApp)
	if err := s.Ada.finished(s.ctx); err != nil {
		return err
	}
	return s.reconnected(before)
}

// reconnected waits until the bot has a new connection to Slack.
func (s *Scene) reconnected(before int) error {
	return s.until("the bot is connected to Slack again", func() bool { return s.Slack.Connections() > before && s.Slack.Sockets() > 0 })
}

// verifiedBefore reports whether the last consumer was verified before t, as
// the audit record has it.
func (s *Scene) verifiedBefore(t time.Time) error {
	rows, err := s.auditRows(s.after())
	if err != nil {
		return err
	}
	for _, row := range rows {
		if row.Action != "secret.rotate.completed" {
			continue
		}
		verified, err := time.Parse(time.RFC3339Nano, toText(row.Context["verified"]))
		if err == nil && !verified.Before(t) {
			err = fmt.Errorf("only %s later", verified.Sub(t))
		}
		return err
	}
	return errors.New("no rotation was completed")
}
