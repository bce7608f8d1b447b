package sandbox

import (
	"fmt"

	"github.com/raxx-app/keyturn/internal/sim/alpacasim"
)

// rotate is a rotation as usual.
func (s *Scene) rotate() error { return s.rotateWith(nil) }

// rotateWith is a rotation as usual, with something done after the new pair was
// generated and before it is pasted.
func (s *Scene) rotateWith(before func() error) error {
	if err := s.generated(); err != nil {
		return err
	}
	if before != nil {
		if err := before(); err != nil {
			return err
		}
	}
	if err := s.Ada.seal(s.ctx, s.Key); err != nil {
		return err
	}
	return s.Ada.finished(s.ctx)
}

// inDashboard is everything before the click; it returns the number of the
// account that step 2 names.
func (s *Scene) inDashboard() (string, error) {
	if err := s.Ada.begin(s.ctx); err != nil {
		return "", err
	}
	if err := s.Ada.goOn(s.ctx); err != nil {
		return "", err
	}
	return s.Ada.account(s.ctx)
}

// generated is everything before the paste.
func (s *Scene) generated() error {
	account, err := s.inDashboard()
	if err != nil {
		return err
	}
	s.Key, err = s.Ada.generate(account)
	return err
}

// again follows the bot back to step 2, because of why, and does it right.
func (s *Scene) again(why string) error {
	if err := s.Ada.see(s.ctx, "Why you are here again", why); err != nil {
		return err
	}
	return s.right()
}

// right generates for the account that step 2 names, pastes that pair and
// waits for the end.
func (s *Scene) right() error {
	account, err := s.Ada.account(s.ctx)
	if err != nil {
		return err
	}
	if s.Key, err = s.Ada.generate(account); err != nil {
		return err
	}
	if err := s.Ada.seal(s.ctx, s.Key); err != nil {
		return err
	}
	return s.Ada.finished(s.ctx)
}

// other returns the other paper account of the same login.
func (s *Scene) other() (alpacasim.Account, error) {
	for _, a := range s.Alpaca.Accounts() {
		if a.Number != s.Account {
			return a, nil
		}
	}
	return alpacasim.Account{}, fmt.Errorf("there is no account but %s", s.Account)
}
