package sandbox

import (
	"errors"
	"fmt"

	"github.com/raxx-app/keyturn/internal/sim/alpacasim"
	"github.com/raxx-app/keyturn/internal/sim/herokusim"
)

// forwardFaults are about what people decide after the click: none of it goes
// back (R65–R68).
func forwardFaults() []Fault {
	return []Fault{keyDead(), takeOver(), storeAnyway(), superseded(), herokuRollback()}
}

// keyDead begins when trading is down already, and with the bot knowing nothing
// of the account.
func keyDead() Fault {
	return Fault{
		Name: "key-dead", What: "The pair is dead before anybody begins, and the bot has never seen its account: nothing blocks the way to the click, and the operator says by its last four which account is the right one.",
		Prepare: func(w *World) error {
			_, err := w.Alpaca.Regenerate(w.Account)
			return err
		},
		Act: func(s *Scene) error {
			if err := s.Ada.begin(s.ctx); err != nil {
				return err
			}
			if err := s.Ada.see(s.ctx, "rejected", "forced rotation"); err != nil {
				return err
			}
			if err := s.Ada.goOnBecause(s.ctx, deadChoice, "trading fails with 401 since this morning"); err != nil {
				return err
			}
			if _, err := s.Ada.account(s.ctx); err != nil {
				return err
			}
			var err error
			if s.Key, err = s.Ada.generate(s.Account); err != nil {
				return err
			}
			if err := s.Ada.seal(s.ctx, s.Key); err != nil {
				return err
			}
			if err := s.Ada.see(s.ctx, "no account is known to compare it with", s.Account); err != nil {
				return err
			}
			if err := s.Ada.press(s.ctx, adoptButton, ""); err != nil {
				return err
			}
			if err := s.Ada.form(s.ctx, adoptButton, map[string]string{last4Field: last4(s.Account), whyField: "it is the one that the dashboard shows"}); err != nil {
				return err
			}
			return s.Ada.finished(s.ctx)
		},
		Also: func(s *Scene, _ Report) []Check {
			return []Check{
				{"the record says that it was forced", s.recorded("secret.rotate.forced", 1)},
				{"the record says who adopted the account", s.recorded("secret.rotate.adopted", 1)},
			}
		},
	}
}

// storeAnyway has the account blocked between the click and the paste.
func storeAnyway() Fault {
	early := errors.New("it was not so")
	return Fault{
		Name: "store-anyway", What: "Alpaca restricts the account right after the click: the new pair works but cannot trade, the old one is dead, so the operator stores it anyway and trading works as soon as the block is lifted.",
		Act: func(s *Scene) error {
			if err := s.generated(); err != nil {
				return err
			}
			if err := s.Alpaca.SetStatus(s.Account, "ACCOUNT_UPDATED"); err != nil {
				return err
			}
			s.Say("Alpaca restricts the account: ACCOUNT_UPDATED")
			if err := s.Ada.seal(s.ctx, s.Key); err != nil {
				return err
			}
			if err := s.Ada.see(s.ctx, "is ACCOUNT_UPDATED, not ACTIVE", "nothing is written to Infisical or to a consumer yet"); err != nil {
				return err
			}
			if _, err := s.ops("Waiting for " + s.Ada.Name + ": the account cannot trade"); err != nil {
				return err
			}
			if err := s.vaultHolds(s.Old, 1, 1); err != nil {
				return fmt.Errorf("before somebody decided, Infisical: %w", err)
			}
			if err := s.Ada.press(s.ctx, storeAnywayButton, ""); err != nil {
				return err
			}
			if err := s.Ada.form(s.ctx, storeAnywayButton, map[string]string{whyField: "support lifts the block within minutes; the pair must be there by then"}); err != nil {
				return err
			}
			if err := s.until("everybody has the new pair", func() bool {
				early = errors.Join(s.vaultHolds(s.Key, 2, 2), holds(s.Heroku.Running(prodApp), s.Key), holds(s.Heroku.Running(stagingApp), s.Key), s.repoHolds(s.Key))
				return early == nil
			}); err != nil {
				return err
			}
			if err := s.Alpaca.SetStatus(s.Account, "ACTIVE"); err != nil {
				return err
			}
			s.Say("everybody has the new pair; Alpaca lifts the block")
			if err := s.Ada.finished(s.ctx); err != nil {
				return err
			}
			_, err := s.ops("Deviations:", "stored although the account is blocked", "the pair must be there by then")
			return err
		},
		Also: func(*Scene, Report) []Check {
			return []Check{{"everybody had the new pair while the account was still blocked", early}}
		},
	}
}

// superseded has somebody generate again while the pair before is being handed
// out.
func superseded() Fault {
	var first alpacasim.Key
	return Fault{
		Name: "superseded", What: "While the pair is being handed out somebody generates once more and tells nobody: the bot notices that its pair is dead, writes nothing more with it and asks for the next one.",
		Prepare: func(w *World) error { w.Heroku.SetBoot(stagingApp, herokusim.Boot{Hold: true}); return nil },
		Act: func(s *Scene) error {
			if err := s.held(); err != nil {
				return err
			}
			first = s.Key
			if _, err := s.Alpaca.Regenerate(s.Account); err != nil {
				return err
			}
			s.Say("somebody presses Regenerate in the dashboard once more: the pair that is being handed out is dead")
			if err := s.Ada.see(s.ctx, "Why you are here again", "is dead already: somebody generated keys again", "ada@raxx.app"); err != nil {
				return err
			}
			s.Heroku.SetBoot(stagingApp, herokusim.Boot{})
			s.Heroku.FinishBoot(stagingApp)
			return s.right()
		},
		Differs: Differences{KeyIDVersion: 3, SecretVersion: 3},
		Also: func(s *Scene, r Report) []Check {
			return []Check{
				{"two pairs were sealed", s.sealed(2)},
				{"the record says that the first one failed", s.recorded("secret.rotate.failed", 1)},
				{"Alpaca rejects the pair that was superseded", s.rejects(first)},
				{prodApp + " was released once for each pair", s.releases(prodApp, "succeeded", "succeeded")},
			}
		},
	}
}

// herokuRollback has somebody put the dead pair back while the rotation is
// still open.
func herokuRollback() Fault {
	return Fault{
		Name: "heroku-rollback", What: "Somebody rolls an app back, which brings the dead pair back, while the rotation waits for another app: the operator redoes store, propagate and verify with the live pair.",
		Prepare: func(w *World) error { w.Heroku.SetBoot(stagingApp, herokusim.Boot{Hold: true}); return nil },
		Act: func(s *Scene) error {
			if err := s.held(); err != nil {
				return err
			}
			if err := s.Ada.see(s.ctx, "✅ "+prodApp+" — 1 up"); err != nil {
				return err
			}
			s.Heroku.Overwrite(prodApp, "dev@raxx.app", map[string]string{keyIDName: s.Old.ID, secretName: s.Old.Secret})
			s.Say("somebody rolls " + prodApp + " back: it has the dead pair again")
			if holds(s.Heroku.Vars(prodApp), s.Old) != nil {
				return errors.New("the roll-back had no effect")
			}
			if err := s.Ada.press(s.ctx, redoButton, ""); err != nil {
				return err
			}
			if err := s.until(prodApp+" has the new pair again", func() bool { return holds(s.Heroku.Vars(prodApp), s.Key) == nil }); err != nil {
				return err
			}
			s.Heroku.SetBoot(stagingApp, herokusim.Boot{})
			s.Heroku.FinishBoot(stagingApp)
			return s.Ada.finished(s.ctx)
		},
		Also: func(s *Scene, _ Report) []Check {
			return []Check{
				{"one pair was sealed", s.sealed(1)},
				{prodApp + " was released for the pair, by the roll-back, and for the pair again", s.releases(prodApp, "succeeded", "succeeded", "succeeded")},
			}
		},
	}
}
