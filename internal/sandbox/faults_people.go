package sandbox

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/raxx-app/keyturn/internal/sim/alpacasim"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

// cleo is a second person in ops, who is on call.
const cleo = "U0CLEO"

// onCallAfter is how long an exposed rotation waits before who is on call is
// told (3.4 of the design).
const onCallAfter = 5 * time.Minute

// addCleo lets a second person into ops.
func (w *World) addCleo() error {
	w.Slack.AddUser(slacksim.User{ID: cleo, Name: "cleo"})
	w.Slack.AddGroup(slacksim.Group{ID: opsGroup, Handle: "raxx-ops", Users: []string{Ada, cleo}})
	w.Slack.AddGroup(slacksim.Group{ID: oncallGroup, Handle: "on-call", Users: []string{cleo}})
	w.Slack.AddChannel(slacksim.Channel{ID: OpsChannel, Name: "ops", Members: []string{w.Slack.Config().BotUserID, Ada, Bob, cleo}})
	return nil
}

// second returns the person whom addCleo let in.
func (s *Scene) second() *Operator {
	return &Operator{Slack: s.Slack, Dashboard: s.Alpaca, User: cleo, Name: s.name(cleo), Say: s.Say}
}

// takeOver has the operator vanish between the click and the paste.
func takeOver() Fault {
	var lost alpacasim.Key
	return Fault{
		Name: "take-over", What: "The operator generates keys and is gone before they paste them: trading is down, who is on call is told, takes over from #ops, generates once more and finishes.",
		Prepare: (*World).addCleo,
		Act: func(s *Scene) error {
			if err := s.generated(); err != nil {
				return err
			}
			lost = s.Key
			s.Say(s.Ada.Name + " is gone; nobody has the pair that was shown once")
			if _, err := s.ops("Trading fails since", "Waiting for "+s.Ada.Name); err != nil {
				return err
			}
			if err := s.leap(onCallAfter); err != nil {
				return err
			}
			s.Say("five minutes later nothing was pasted")
			if err := s.paged(cleo, "trading is down", "You are on call", "Operator: "+s.Ada.Name); err != nil {
				return err
			}
			second := s.second()
			if err := second.pressInOps(s.ctx, takeOverButton); err != nil {
				return err
			}
			if _, err := s.ops("Waiting for " + second.Name); err != nil {
				return err
			}
			if err := second.open(s.ctx); err != nil {
				return err
			}
			key, err := second.dashboard(s.ctx)
			if err != nil {
				return err
			}
			s.Key = key
			return second.paste(s.ctx, key)
		},
		Later: true, // the bot's knowledge of who belongs to ops is five minutes old as well
		Also: func(s *Scene, _ Report) []Check {
			return []Check{
				{"one pair was sealed", s.sealed(1)},
				{"Alpaca rejects the pair that was lost", s.rejects(lost)},
				{"the record says who took over, and from whom", s.tookOver("ada@raxx.app", cleo)},
			}
		},
	}
}

// paged waits for a direct message to user that says all of texts.
func (s *Scene) paged(user string, texts ...string) error {
	if err := s.until(s.name(user)+" has a direct message", func() bool { _, ok := s.Slack.DM(user); return ok }); err != nil {
		return err
	}
	dm, _ := s.Slack.DM(user)
	m, err := s.Slack.WaitMessage(s.ctx, dm, func(m slacksim.Message) bool { return hasAll(plain(m.Visible()), texts) })
	if err != nil {
		return fmt.Errorf("wait until the direct message to %s says %q: %w", s.name(user), texts, err)
	}
	s.Say("direct message to " + s.name(user) + ":")
	for line := range strings.Lines(plain(m.Visible())) {
		s.Say("  " + strings.TrimSpace(line))
	}
	return nil
}

// tookOver looks for the one row of a take-over, and for whose name stands
// under the rotation.
func (s *Scene) tookOver(from, by string) error {
	rows, err := s.auditRows(s.after())
	if err != nil {
		return err
	}
	found, ended := 0, ""
	for _, row := range rows {
		switch row.Action {
		case "secret.rotate.takeover":
			if toText(row.Context["from"]) != from || row.Actor != by {
				return fmt.Errorf("%s took over from %s, want %s from %s", row.Actor, toText(row.Context["from"]), by, from)
			}
			found++
		case "secret.rotate.completed":
			ended = row.Actor
		}
	}
	switch {
	case found != 1:
		return fmt.Errorf("%d rows say so, want 1", found)
	case ended == "":
		return errors.New("no rotation was completed")
	case ended != by:
		return fmt.Errorf("the rotation was completed by %s, want %s", ended, by)
	}
	return nil
}
