package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/sim/alpacasim"
)

// liveKey is a pair of the live account, as a slip of the hand would bring it
// in. It opens nothing.
func liveKey() alpacasim.Key {
	return alpacasim.Key{ID: "AKLIVEDONOTPASTE0001", Secret: "LiveSecretThatMustGoNowhere0123456789abc"}
}

// pasteFaults are about the pair that is pasted, and the account behind it.
func pasteFaults() []Fault {
	return []Fault{
		{
			Name: "live-key", What: "The dashboard stood on Live: the bot refuses the pair without keeping or sending it, and takes the paper pair.",
			Act: func(s *Scene) error {
				if _, err := s.inDashboard(); err != nil {
					return err
				}
				if err := s.Ada.refused(s.ctx, liveKey(), "a pair of the LIVE account", "This is a LIVE key"); err != nil {
					return err
				}
				return s.right()
			},
			Also: func(s *Scene, _ Report) []Check {
				return []Check{{"the LIVE secret is in no file, and the bot sent it nowhere in Slack", s.nowhere(liveKey())}, {"one pair was sealed", s.sealed(1)}}
			},
		},
		{
			Name: "swapped-paste", What: "Key ID and Secret key are pasted into each other's field: refused at once, then the right way round.",
			Act: func(s *Scene) error {
				if err := s.generated(); err != nil {
					return err
				}
				wrong := alpacasim.Key{ID: s.Key.Secret, Secret: s.Key.ID}
				if err := s.Ada.refused(s.ctx, wrong, "the two values the wrong way round", "The two fields are swapped"); err != nil {
					return err
				}
				return s.Ada.paste(s.ctx, s.Key)
			},
			Differs: Differences{Carried: 2},
		},
		{
			Name: "same-key", What: "View instead of Regenerate: the pair that is in use already is refused, then a new one is generated.",
			Act: func(s *Scene) error {
				if _, err := s.inDashboard(); err != nil {
					return err
				}
				if err := s.Ada.refused(s.ctx, s.Old, "the pair that is in use now", "This is the key that is in use now"); err != nil {
					return err
				}
				return s.right()
			},
		},
		{
			Name: "rejected-pair", What: "Alpaca rejects what was pasted, also on a second and third look; nothing is written, and another pair is asked for.",
			Act: func(s *Scene) error {
				if err := s.generated(); err != nil {
					return err
				}
				if err := s.Ada.seal(s.ctx, alpacasim.Key{ID: s.Key.ID, Secret: strings.Repeat("x", len(s.Key.Secret))}); err != nil {
					return err
				}
				return s.again("Alpaca rejects the new pair. Nothing was written anywhere.")
			},
			Also: func(s *Scene, _ Report) []Check {
				return []Check{{"two pairs were sealed", s.sealed(2)}, {"the record says that the first one failed", s.recorded("secret.rotate.failed", 1)}}
			},
		},
		wrongAccount(),
		otherKeySetsAccount(),
		accountReplaced(),
		secondPaste(),
		{
			Name: "alpaca-down", What: "Alpaca answers with a proxy's error page after the click: the pair stays sealed, nothing is written, and the rotation goes on when it is back.",
			Act: func(s *Scene) error {
				if err := s.generated(); err != nil {
					return err
				}
				s.Alpaca.SetOutage(alpacasim.BadGateway)
				s.Say("Alpaca is down")
				if err := s.Ada.seal(s.ctx, s.Key); err != nil {
					return err
				}
				if err := s.Ada.see(s.ctx, "it is not known whether the new pair works"); err != nil {
					return err
				}
				s.Alpaca.SetOutage(alpacasim.Healthy)
				s.Say("Alpaca is back")
				return s.Ada.finished(s.ctx)
			},
		},
		{
			Name: "old-key-lingers", What: "Alpaca accepts the old pair for a while longer: trading goes on with the new one, step 7 raises an alarm and ends when the old one is dead.",
			Limits:  func(l *rotation.Limits) { l.OldPair = 2 * time.Second },
			Prepare: func(w *World) error { w.Alpaca.SetRevocationLag(10 * time.Minute); return nil },
			Act: func(s *Scene) error {
				if err := s.generated(); err != nil {
					return err
				}
				if err := s.Ada.seal(s.ctx, s.Key); err != nil {
					return err
				}
				if _, err := s.ops("The old pair is not proven dead after"); err != nil {
					return err
				}
				s.Say("#ops says that the old pair still works")
				if err := s.leap(10 * time.Minute); err != nil {
					return err
				}
				s.Say("ten minutes later Alpaca rejects it")
				return s.Ada.finished(s.ctx)
			},
			Later: true, // the bot's knowledge of who belongs to ops is ten minutes old as well
		},
	}
}

func wrongAccount() Fault {
	var other alpacasim.Key
	return Fault{
		Name: "wrong-account", What: "The keys were generated in another paper account: the old pair still works, nothing is written, and the bot says which account to choose.",
		Act: func(s *Scene) error {
			if _, err := s.inDashboard(); err != nil {
				return err
			}
			account, err := s.other()
			if err != nil {
				return err
			}
			if other, err = s.Ada.generate(account.Number); err != nil {
				return err
			}
			if err := s.Ada.seal(s.ctx, other); err != nil {
				return err
			}
			return s.again("In the dashboard choose account " + s.Account)
		},
		Also: func(s *Scene, _ Report) []Check {
			return []Check{{"the other account's pair is in no file, and the bot sent it nowhere in Slack", s.nowhere(other)}}
		},
	}
}

// accountReplaced has the paper account reset while its keys are rotated.
func accountReplaced() Fault {
	return Fault{
		Name: "account-replaced", What: "Somebody resets the paper account in the middle: its keys are dead and the new ones belong to another account, which the operator adopts by its last four.",
		Act: func(s *Scene) error {
			if _, err := s.inDashboard(); err != nil {
				return err
			}
			account, err := s.Alpaca.LegacyReset(s.Account)
			if err != nil {
				return err
			}
			s.Say("somebody resets the paper account: account " + account.Number + " takes its place")
			if s.Key, err = s.Ada.generate(account.Number); err != nil {
				return err
			}
			if err := s.Ada.seal(s.ctx, s.Key); err != nil {
				return err
			}
			if err := s.Ada.see(s.ctx, "the account was reset or replaced", account.Number); err != nil {
				return err
			}
			if err := s.Ada.press(s.ctx, adoptButton, ""); err != nil {
				return err
			}
			s.Account = account.Number
			if err := s.Ada.form(s.ctx, adoptButton, map[string]string{last4Field: last4(account.Number), whyField: "the account was reset this morning"}); err != nil {
				return err
			}
			if err := s.Ada.finished(s.ctx); err != nil {
				return err
			}
			_, err = s.ops("Different from the snapshot", "position 3 MSFT: gone", "order buy 1 MSFT: gone")
			return err
		},
		Differs: Differences{NewAccount: true},
	}
}

func last4(number string) string { return number[len(number)-4:] }

// otherKeySetsAccount has the keys generated in the account of another key set.
func otherKeySetsAccount() Fault {
	var account string
	var stray alpacasim.Key
	return Fault{
		Name: "other-keysets-account", What: "The keys were generated in the account of the key set staging: one press gives staging the pair, and the rotation of prod goes on with its own.",
		Prepare: func(w *World) error {
			var err error
			account, err = w.addStaging()
			return err
		},
		Act: func(s *Scene) error {
			if err := s.rotateStaging(account); err != nil { // from then on the bot knows its account
				return err
			}
			if _, err := s.inDashboard(); err != nil {
				return err
			}
			var err error
			if stray, err = s.Ada.generate(account); err != nil {
				return err
			}
			if err := s.Ada.seal(s.ctx, stray); err != nil {
				return err
			}
			if err := s.Ada.see(s.ctx, "Why you are here again", "These keys belong to account …"+last4(account)+" = "+stagingSet); err != nil {
				return err
			}
			if err := s.Ada.pressInOps(s.ctx, useForButton+stagingSet); err != nil {
				return err
			}
			if err := s.Ada.see(s.ctx, "Rotate "+stagingSet, overPrefix); err != nil {
				return err
			}
			s.Say(stagingSet + " works with the pair; now the right account")
			if err := s.Slack.CloseModal(s.ctx, Ada, true); err != nil {
				return err
			}
			if _, ok := s.Slack.Modal(Ada); !ok { // the view of prod was behind it, or is gone
				if err := s.Ada.open(s.ctx); err != nil {
					return err
				}
			}
			return s.right()
		},
		Also: func(s *Scene, _ Report) []Check {
			return []Check{{stagingSet + " works with the pair that was made for it", s.stagingHolds(account, stray)}}
		},
	}
}

// rotateStaging rotates the second key set once.
func (s *Scene) rotateStaging(account string) error {
	ada := &Operator{Slack: s.Slack, Dashboard: s.Alpaca, User: Ada, Name: s.Ada.Name, Say: s.Say, KeySet: stagingSet}
	key, err := ada.Rotate(s.ctx)
	if err != nil {
		return fmt.Errorf("rotate %s: %w", stagingSet, err)
	}
	if err := s.stagingHolds(account, key); err != nil {
		return fmt.Errorf("rotate %s: %w", stagingSet, err)
	}
	return s.Slack.CloseModal(s.ctx, Ada, true)
}

// secondPaste has two people generate, one after the other, and paste at the
// same moment.
func secondPaste() Fault {
	return Fault{
		Name: "second-paste", What: "Two people generate keys, the second one kills the first one's pair, and both paste: both pairs are kept, the one that works goes on.",
		Prepare: (*World).addCleo,
		Act: func(s *Scene) error {
			account, err := s.inDashboard()
			if err != nil {
				return err
			}
			second := s.second()
			if err := second.open(s.ctx); err != nil {
				return err
			}
			if _, err := second.account(s.ctx); err != nil {
				return err
			}
			first, err := s.Ada.generate(account)
			if err != nil {
				return err
			}
			if err := s.Ada.enter(s.ctx, first); err != nil {
				return err
			}
			if s.Key, err = second.generate(account); err != nil {
				return err
			}
			if err := second.enter(s.ctx, s.Key); err != nil {
				return err
			}
			s.Say(s.Ada.Name + " and " + second.Name + " submit their pairs at the same moment")
			late := make(chan error, 1)
			go func() { late <- second.submit(s.ctx) }()
			if err := errors.Join(s.Ada.submit(s.ctx), <-late); err != nil {
				return err
			}
			return s.Ada.finished(s.ctx)
		},
		Also: func(s *Scene, _ Report) []Check { return []Check{{"two pairs were sealed", s.sealed(2)}} },
	}
}

// sealed reports whether the audit record has n sealed pairs.
func (s *Scene) sealed(n int) error { return s.recorded("secret.rotate.sealed", n) }

// recorded reports whether the audit record has n rows of an action.
func (s *Scene) recorded(action string, n int) error {
	rows, err := s.auditRows(s.after())
	if err != nil {
		return err
	}
	got := 0
	for _, row := range rows {
		if row.Action == action {
			got++
		}
	}
	if got != n {
		return fmt.Errorf("%d rows of %s, want %d", got, action, n)
	}
	return nil
}

// nowhere looks for a pair in the bot's files, the vault and all that the bot
// sent to Slack.
func (s *Scene) nowhere(key alpacasim.Key) error {
	if len(s.Slack.Find(key.Secret)) > 0 || len(s.Slack.Find(key.ID)) > 0 {
		return errors.New("the bot sent it to Slack")
	}
	for _, path := range []string{s.Log(), s.stateFile()} {
		data, err := os.ReadFile(path) //nolint:gosec // the sandbox reads its own files
		if err != nil {
			return err
		}
		if bytes.Contains(data, []byte(key.Secret)) || bytes.Contains(data, []byte(key.ID)) {
			return errors.New("it is in " + path)
		}
	}
	for _, stored := range s.Infisical.Secrets(projectID, environment, "/") {
		for _, value := range stored.History {
			if value == key.ID || value == key.Secret {
				return errors.New("it is in Infisical")
			}
		}
	}
	return nil
}
