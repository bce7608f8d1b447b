package sandbox

import (
	"errors"

	"github.com/raxx-app/keyturn/internal/rotation"
)

const vaultBatch = "/api/v4/secrets/batch"

// vaultFaults are about Infisical.
func vaultFaults() []Fault {
	return []Fault{
		{
			Name: "infisical-500", What: "Infisical answers nothing but errors for a moment after the click: the pair stays sealed, step 4 tries again, and the rotation goes on by itself.",
			Act: func(s *Scene) error {
				if err := s.generated(); err != nil {
					return err
				}
				clear := s.Infisical.Break("", "/api/", 0)
				s.Say("Infisical has errors of its own")
				if err := s.Ada.seal(s.ctx, s.Key); err != nil {
					return err
				}
				if err := s.Ada.see(s.ctx, "Infisical has an error of its own", "tries again by itself"); err != nil {
					return err
				}
				clear()
				s.Say("Infisical has recovered")
				return s.Ada.finished(s.ctx)
			},
		},
		infisicalDown(),
		{
			Name: "infisical-half", What: "Somebody has put the new key ID into Infisical by hand, without its secret: the bot writes both, and both are the new ones.",
			Act: func(s *Scene) error {
				return s.rotateWith(func() error {
					s.Infisical.Put(projectID, environment, "/", keyIDName, s.Key.ID)
					s.Say("somebody puts the new key ID into Infisical by hand, and not the secret")
					return nil
				})
			},
			Differs: Differences{KeyIDVersion: 3},
		},
	}
}

// infisicalDown has Infisical gone for longer than trading can wait.
func infisicalDown() Fault {
	early := errors.New("it was not so")
	return Fault{
		Name: "infisical-down", What: "Infisical is down for minutes after the click: the operator hands the sealed pair out first, trading works again, and the rotation ends when Infisical has stored it.",
		Act: func(s *Scene) error {
			if err := s.generated(); err != nil {
				return err
			}
			clear := s.Infisical.Break("", "/api/", 0)
			s.Say("Infisical is down")
			if err := s.Ada.seal(s.ctx, s.Key); err != nil {
				return err
			}
			if err := s.Ada.see(s.ctx, "Infisical has an error of its own"); err != nil {
				return err
			}
			if err := s.leap(rotation.StoreLaterAfter); err != nil {
				return err
			}
			s.Say("two minutes later Infisical is still down")
			if err := s.Ada.press(s.ctx, laterButton, ""); err != nil {
				return err
			}
			if err := s.Ada.form(s.ctx, "Propagate now", map[string]string{whyField: "trading cannot wait for Infisical"}); err != nil {
				return err
			}
			if err := s.until("the consumers have the new pair", func() bool {
				return holds(s.Heroku.Running(prodApp), s.Key) == nil && holds(s.Heroku.Running(stagingApp), s.Key) == nil && s.repoHolds(s.Key) == nil
			}); err != nil {
				return err
			}
			if s.vaultHolds(s.Old, 1, 1) == nil {
				early = nil
			}
			clear()
			s.Say("every consumer has the new pair; Infisical is back")
			return s.Ada.finished(s.ctx)
		},
		Later: true, // the bot's knowledge of who belongs to ops is two minutes old as well
		Also: func(*Scene, Report) []Check {
			return []Check{{"every consumer had the new pair while Infisical still held the old one", early}}
		},
	}
}
