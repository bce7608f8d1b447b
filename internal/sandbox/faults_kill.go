package sandbox

import (
	"errors"
	"net/http"

	"github.com/raxx-app/keyturn/internal/sim/simhttp"
)

// crashFaults are about the bot's own process and disk.
func crashFaults() []Fault {
	return []Fault{
		{
			Name: "kill-after-paste", What: "The bot is killed as soon as the pair is sealed: the next one finishes by itself, and nobody pastes again.",
			Act: func(s *Scene) error {
				if err := s.generated(); err != nil {
					return err
				}
				back := s.Infisical.Break(http.MethodPatch, vaultBatch, 0) // it cannot get past step 4
				if err := s.Ada.seal(s.ctx, s.Key); err != nil {
					return err
				}
				if err := s.kill(); err != nil {
					return err
				}
				back()
				if err := s.restart(); err != nil {
					return err
				}
				return s.Ada.finished(s.ctx)
			},
			Also: func(s *Scene, _ Report) []Check { return []Check{{"one pair was sealed", s.sealed(1)}} },
		},
		{
			Name: "kill-in-propagate", What: "The bot is killed while a Heroku app has taken the new pair but not answered yet: the next one finds it there and does nothing twice.",
			Act: func(s *Scene) error {
				if err := s.generated(); err != nil {
					return err
				}
				back := s.Heroku.Inject(writes(stagingApp, simhttp.Fault{HangReply: true}))
				if err := s.Ada.seal(s.ctx, s.Key); err != nil {
					return err
				}
				if err := s.until(stagingApp+" has the new pair", func() bool { return holds(s.Heroku.Vars(stagingApp), s.Key) == nil }); err != nil {
					return err
				}
				if err := s.kill(); err != nil {
					return err
				}
				back()
				if err := s.restart(); err != nil {
					return err
				}
				return s.Ada.finished(s.ctx)
			},
			Differs: Differences{Repeats: true},
			Also: func(s *Scene, r Report) []Check {
				return append(oneReleaseEach(s, r), hit(stagingApp+" was written before the kill", s.Heroku, http.MethodPatch, 0, 1),
					hit(prodApp+" was written", s.Heroku, http.MethodPatch, http.StatusOK, 1))
			},
		},
		{
			Name: "disk-full", What: "The disk of the state file is full when the pair is pasted: nothing is taken in, the screen says so and keeps what was typed; with room again the same Submit works.",
			Act: func(s *Scene) error {
				if err := s.generated(); err != nil {
					return err
				}
				makeRoom, err := fillDisk(s.running().cmd.Process.Pid)
				if err != nil {
					return err
				}
				s.Say("the disk of the state file is full")
				if err := s.Ada.refused(s.ctx, s.Key, "the new pair", "is full. Nothing of this change was stored."); err != nil {
					return errors.Join(err, makeRoom())
				}
				if err := makeRoom(); err != nil {
					return err
				}
				s.Say("somebody makes room on the disk")
				s.Ada.Say(s.Ada.Name + " presses Submit again: what was typed is still there")
				if err := s.Ada.submit(s.ctx); err != nil {
					return err
				}
				return s.Ada.finished(s.ctx)
			},
			Differs: Differences{Carried: 2},
			Also:    func(s *Scene, _ Report) []Check { return []Check{{"one pair was sealed", s.sealed(1)}} },
		},
	}
}
