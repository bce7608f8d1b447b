package jobs

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// died sees to a dead pair: a forced rotation is open for it and on-call is
// paged. A rotation that a person runs already is only told what was seen. If a
// consumer shows that the key was changed by hand neither happens. A repeat does
// nothing. It reports whether it must be tried again soon.
func (s *Sentinel) died(ctx context.Context, g *guard, gr ground, pair rotation.Pair, p rotation.Probe) (soon bool) {
	next := g.known
	if next.Opened != "" {
		o, err := s.cfg.Engine.Look(ctx, next.Opened)
		if err == nil && o.Rotation.Outcome != rotation.Open {
			next.Opened = "" // it ended, and the pair is dead still, or again
		} else {
			return err != nil
		}
	}
	inHand, err := s.inHand(ctx, g)
	if err != nil {
		return true
	}
	if !inHand {
		if h, ok := s.byHand(ctx, g, gr, pair); ok {
			return s.tellByHand(ctx, g, pair, p, next, h)
		}
	}
	next.ByHand, next.Holds = "", ""
	id, err := s.cfg.Engine.Force(ctx, rotation.Sighting{
		KeySet: g.set.Name, Print: next.Print, Since: next.Since, LastOK: next.LastOK, Status: p.Status, Reason: p.Reason, RequestID: p.RequestID,
	})
	if err != nil {
		s.failed(ctx, g, "the forced rotation could not be opened", err)
		return true
	}
	next.Opened = id
	paged, err := s.open(ctx, g, pair, p, next)
	if err != nil {
		s.failed(ctx, g, "the page could not be written down", err)
		return true
	}
	if !paged {
		return false // a person runs it: the ladder tells who else must know
	}
	s.cfg.Log.ErrorContext(ctx, "stored pair is dead; forced rotation open", slog.String("keyset", g.set.Name), slog.String("rotation", string(id)), slog.Time("since", next.Since))
	wake(s.pages.woken)
	return false
}

// open writes down which rotation is open for a dead pair, and pages on-call
// unless a person runs it.
func (s *Sentinel) open(ctx context.Context, g *guard, pair rotation.Pair, p rotation.Probe, next sentry) (paged bool, err error) {
	o, err := s.cfg.Engine.Look(ctx, next.Opened)
	if err != nil {
		return false, err
	}
	if o.Rotation.Operator.ID != rotation.BotActor || o.Rotation.Outcome != rotation.Open {
		return false, s.keep(ctx, g, next, nil)
	}
	op, fresh, err := s.pages.opening(ctx, page{
		Rotation: next.Opened, KeySet: g.set.Name, At: s.cfg.Now().UTC(), Since: next.Since, LastOK: next.LastOK,
		Status: p.Status, Last4: pair.Last4(), Account4: last4(next.Account.Number),
	})
	if err != nil {
		return false, err
	}
	var more []rotation.Op
	if fresh {
		more = append(more, op)
	}
	return true, s.keep(ctx, g, next, nil, more...)
}

// inHand reports whether a person runs a rotation of the key set. Its engine
// watches the old pair too, and its ladder tells who must know.
func (s *Sentinel) inHand(ctx context.Context, g *guard) (bool, error) {
	id, err := s.cfg.Engine.Active(ctx, g.set.Name)
	if errors.Is(err, rotation.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	o, err := s.cfg.Engine.Look(ctx, id)
	if err != nil {
		return false, err
	}
	return o.Rotation.Outcome == rotation.Open && o.Rotation.Operator.ID != rotation.BotActor, nil
}

// A handed is a pair that a consumer holds.
type handed struct {
	consumer, print, last4 string
}

// byHand asks every consumer whose pair can be read back. One that works and
// belongs to the same account, but is not the stored one, means that somebody
// rotated by hand: trading is fine, and a forced rotation would break it. What
// cannot be read in time does not hold up the page, and what no paste would pass
// with is not tried: a live key is sent nowhere.
func (s *Sentinel) byHand(ctx context.Context, g *guard, gr ground, pair rotation.Pair) (handed, bool) {
	expected := g.known.Owner
	if b := gr.past.Baseline; b.ID != "" {
		expected = b
	}
	if expected.ID == "" {
		return handed{}, false
	}
	ctx, cancel := context.WithTimeout(ctx, timeOfHolder)
	defer cancel()
	found := make([]handed, len(g.set.Targets))
	var wg sync.WaitGroup
	for i, t := range g.set.Targets {
		holder, ok := t.Consumer.(rotation.Holder)
		if !ok {
			continue
		}
		wg.Go(func() {
			has, err := holder.Holds(ctx)
			if err != nil {
				s.failed(ctx, g, "a consumer's pair could not be read", err)
				return
			}
			if !has.Shaped() || has.Equal(pair) || !s.pace.wait(ctx, 1) {
				return
			}
			if p := s.cfg.Vendor.Probe(ctx, has); p.Verdict == rotation.Valid && p.Account.Same(expected) {
				found[i] = handed{consumer: t.Name, print: s.cfg.Print(has), last4: has.Last4()}
			}
		})
	}
	wg.Wait()
	for _, h := range found {
		if h.consumer != "" {
			return h, true
		}
	}
	return handed{}, false
}

// tellByHand says once that a consumer holds a pair that works.
func (s *Sentinel) tellByHand(ctx context.Context, g *guard, pair rotation.Pair, p rotation.Probe, next sentry, h handed) (soon bool) {
	if next.ByHand == h.consumer && next.Holds == h.print {
		return false
	}
	next.ByHand, next.Holds = h.consumer, h.print
	m := s.mail(g, rotation.NoteByHand, "by_hand/"+g.set.Name+"/"+stamp(p.At), map[string]string{
		rotation.NoteSince: stamp(next.Since), rotation.NoteLastOK: stampOr(next.LastOK), rotation.NoteStatus: strconv.Itoa(p.Status),
		rotation.NoteOldLast4: pair.Last4(), rotation.NoteAccount4: last4(next.Account.Number),
		rotation.NoteWhat: "The stored pair (…" + pair.Last4() + ") is dead, but " + h.consumer + " holds one that works (…" + h.last4 + ") for the same account: somebody rotated by hand. Nobody was paged.",
		rotation.NoteFix:  "Press Adopt it: the bot stores that pair and hands it to every consumer.",
	})
	m.note.Consumer = h.consumer
	err := s.cfg.Engine.Note(ctx, rotation.Row{KeySet: g.set.Name, Actor: auditActor, Action: auditPrefix + rotation.NoteByHand, Context: contextOf(m.note.Data)})
	if err == nil {
		err = s.keep(ctx, g, next, []mail{m})
	}
	if err != nil {
		s.failed(ctx, g, "a key that was changed by hand could not be told", err)
	}
	return err != nil
}

// lives stands down from a forced rotation whose pair is alive after all. If
// people have it in hand it stays theirs.
func (s *Sentinel) lives(ctx context.Context, g *guard, p rotation.Probe) (soon bool) {
	next := g.known
	refused := s.cfg.Engine.StandDown(ctx, next.Opened, p)
	if refused != nil {
		o, err := s.cfg.Engine.Look(ctx, next.Opened)
		theirs := fault.ReasonOf(refused) == "not_standing_down"
		if over := err == nil && o.Rotation.Outcome != rotation.Open; !over && !theirs {
			s.failed(ctx, g, "the forced rotation could not stand down", refused)
			return true
		}
	}
	s.cfg.Log.InfoContext(ctx, "stored pair is alive after all", slog.String("keyset", g.set.Name), slog.String("rotation", string(next.Opened)), slog.Bool("stood_down", refused == nil))
	next.Opened = ""
	if err := s.keep(ctx, g, next, nil); err != nil {
		s.failed(ctx, g, "what was seen could not be written down", err)
		return true
	}
	wake(s.pages.woken)
	return false
}
