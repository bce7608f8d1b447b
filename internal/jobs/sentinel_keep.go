package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// Keys of what the sentinel keeps.
const (
	sentryPrefix = "sentinel/"         // + key set: a sentry
	togetherKey  = "sentinel-together" // while every pair is rejected: since when
	writeAtLeast = 5 * time.Minute     // between two writes of what has not changed
	auditPrefix  = "secret.watch."     // + what the sentinel noticed
	auditActor   = rotation.BotActor   // who noticed it
	timeOfVault  = 10 * time.Second    // for one read
	timeOfProbe  = 10 * time.Second    // for a Vendor that forgot its own
	timeOfHolder = 8 * time.Second     // for all consumers together: a page waits for them
	blindFor     = 10 * time.Minute    // before people are told that a pair cannot be read
	fullEvery    = 15 * time.Minute    // between two full snapshots, and looks at consumers
	againSoon    = 15 * time.Second    // after what must not fail has failed
	accountEvery = writeAtLeast        // between two snapshots of an account that is equal
)

// A sentry is what is stored of one key set. What people were told is in it: an
// event is told once, in the transaction that writes that it was.
type sentry struct {
	watch
	Opened   rotation.ID      `json:"opened,omitempty"`    // forced rotation of this stretch
	Owner    rotation.Account `json:"owner,omitzero"`      // identity that is expected
	Reported string           `json:"reported,omitempty"`  // account: what was last told
	Base     string           `json:"base,omitempty"`      // print that was there when the bot first looked, or that people were told of
	Vault    string           `json:"vault,omitempty"`     // print that people were told was put there outside a rotation
	ByHand   string           `json:"by_hand,omitempty"`   // consumer whose pair works, and
	Holds    string           `json:"holds,omitempty"`     // its print
	Blind    time.Time        `json:"blind,omitzero"`      // since when the pair cannot be read
	BlindMsg bool             `json:"blind_msg,omitempty"` // people were told that
}

// replaced forgets what belongs to a pair that is not the stored one any more.
func (e *sentry) replaced(print string) {
	e.watch = watch{Print: print, Account: e.Account, Asked: e.Asked, Flaps: e.Flaps}
	e.Opened, e.ByHand, e.Holds = "", "", ""
}

// form is what must be written as soon as it changes. When a living pair was
// asked, and what the account is worth, is not in it.
func (e sentry) form() string {
	e.LastOK, e.Asked = time.Time{}, time.Time{}
	e.Account.Cash, e.Account.Equity, e.Account.BuyingPower = "", "", ""
	b, err := json.Marshal(e)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func (s *Sentinel) loadOne(ctx context.Context, g *guard) error {
	if g.loaded {
		return nil
	}
	var known sentry
	if _, err := s.cfg.Outbox.read(ctx, sentryPrefix+g.set.Name, &known); err != nil {
		return err
	}
	var d drifts
	if _, err := s.cfg.Outbox.read(ctx, driftPrefix+g.set.Name, &d); err != nil {
		return err
	}
	g.wrote = known.form()
	s.mu.Lock()
	defer s.mu.Unlock()
	g.known, g.drifts, g.loaded = known, d, true
	return nil
}

// keep writes what is known of g, with mails and more, in one transaction. If
// there is nothing new it writes every five minutes only.
func (s *Sentinel) keep(ctx context.Context, g *guard, next sentry, mails []mail, more ...rotation.Op) error {
	now := s.cfg.Now()
	form := next.form()
	if form == g.wrote && len(mails)+len(more) == 0 && now.Sub(g.at).Abs() < writeAtLeast {
		s.show(g, next)
		return nil
	}
	op, err := put(sentryPrefix+g.set.Name, next)
	if err != nil {
		return err
	}
	if err := s.commit(ctx, append(slices.Clone(more), op), mails); err != nil {
		return fmt.Errorf("keep what is known of %s: %w", g.set.Name, err)
	}
	g.wrote, g.at = form, now
	s.show(g, next)
	return nil
}

// show lets others see what is known of g.
func (s *Sentinel) show(g *guard, next sentry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g.known = next
}

// commit does ops and puts mails into the outbox, all or nothing. A mail that
// waits or was sent already is left out.
func (s *Sentinel) commit(ctx context.Context, ops []rotation.Op, mails []mail) error {
	box := s.cfg.Outbox
	for {
		conds, all, err := box.posting(ctx, nil, ops, mails...)
		if err != nil {
			return err
		}
		_, err = box.keep(ctx, conds, all...)
		if errors.Is(err, rotation.ErrConflict) && len(conds) > 0 && ctx.Err() == nil {
			continue // one of them was queued meanwhile
		}
		if err == nil && len(conds) > 0 {
			wake(box.notes)
		}
		return err
	}
}
