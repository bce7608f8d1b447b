package jobs

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// driftPrefix + key set is the record of its drifts.
const driftPrefix = "drift/"

// timeOfKeepers is how long all consumers of a key set together may take.
const timeOfKeepers = time.Minute

// keepersSpread is by how much looks at consumers are put apart.
const keepersSpread = time.Minute

// drifts are the consumers that no longer have what they were given, with what
// people were told of each.
type drifts map[string]string

// names returns the consumers, sorted.
func (d drifts) names() []string {
	if len(d) == 0 {
		return nil
	}
	return slices.Sorted(maps.Keys(d))
}

// hasKeepers reports whether any consumer can say whether it still has what it was given.
func (g *guard) hasKeepers() bool {
	return slices.ContainsFunc(g.set.Targets, func(t rotation.Target) bool { _, ok := t.Consumer.(rotation.Keeper); return ok })
}

// keepers looks at the consumers of a key set every 15 minutes, until ctx ends.
func (s *Sentinel) keepers(ctx context.Context, g *guard) {
	if g.keeps == nil {
		return
	}
	g.keeps.begin()
	wait := time.Duration(s.cfg.Rand() * float64(min(keepersSpread, s.interval()))) // whoever has the pair asked more often wants to know sooner
	for pause(ctx, wait) {
		if err := s.drift(ctx, g); err != nil && ctx.Err() == nil {
			s.cfg.Log.WarnContext(ctx, "not every consumer could be compared with what it was given", slog.String("keyset", g.set.Name), slog.Any("error", err))
		}
		g.keeps.beat()
		wait = fullEvery + time.Duration(s.cfg.Rand()*float64(keepersSpread))
	}
}

// drift compares each consumer once, unless a rotation is open, and tells each
// change once. One that cannot be read is left as it was.
func (s *Sentinel) drift(ctx context.Context, g *guard) error {
	gr := s.ground(ctx, g)
	if !gr.quiet() || gr.past.Last == "" {
		return nil // the bot gave them nothing, or is giving it just now
	}
	limited, cancel := context.WithTimeout(ctx, timeOfVault)
	st, err := g.set.Vault.Read(limited)
	cancel()
	if err != nil || st.Pair.Empty() {
		return err
	}
	print := s.cfg.Print(st.Pair)
	if print != gr.past.Print {
		return nil // that the vault was changed is told already, and explains the rest
	}
	next := drifts(maps.Clone(g.drifts))
	if next == nil {
		next = drifts{}
	}
	seen, err := s.compare(ctx, g, gr, st.Pair, print)
	if after := s.ground(ctx, g); !after.quiet() || after.past.Last != gr.past.Last {
		return nil // a rotation was faster
	}
	var mails []mail
	now := s.cfg.Now()
	for name, d := range seen {
		switch {
		case !d.Changed:
			delete(next, name)
		case next[name] != d.Detail:
			next[name] = d.Detail
			m := s.mail(g, rotation.NoteDrift, "drift/"+g.set.Name+"/"+name+"/"+stamp(now), map[string]string{
				rotation.NoteSince: stamp(now), rotation.NoteWhat: d.Detail, rotation.NoteFix: "Find out who changed it. A rotation hands every consumer a fresh pair.",
			})
			m.note.Consumer = name
			mails = append(mails, m)
		}
	}
	for name := range next { // removed from bot.yml
		if !slices.ContainsFunc(g.set.Targets, func(t rotation.Target) bool { return t.Name == name }) {
			delete(next, name)
		}
	}
	if maps.Equal(next, g.drifts) {
		return err
	}
	return errors.Join(err, s.keepDrifts(ctx, g, next, mails))
}

// compare asks every consumer at the same time; those that failed are left out.
func (s *Sentinel) compare(ctx context.Context, g *guard, gr ground, pair rotation.Pair, print string) (map[string]rotation.Drift, error) {
	ctx, cancel := context.WithTimeout(ctx, timeOfKeepers)
	defer cancel()
	var mu sync.Mutex
	var errs []error
	seen := map[string]rotation.Drift{}
	var wg sync.WaitGroup
	for _, t := range g.set.Targets {
		keeper, ok := t.Consumer.(rotation.Keeper)
		last, given := gr.past.Receipts[t.Name]
		if !ok || !given {
			continue
		}
		wg.Go(func() {
			d, err := keeper.Keeps(ctx, rotation.Delivery{Rotation: gr.past.Last, KeySet: g.set.Name, Pair: pair, Print: print, Last: &last})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, err)
				return
			}
			seen[t.Name] = d
		})
	}
	wg.Wait()
	return seen, errors.Join(errs...)
}

// keepDrifts writes what has drifted, audit first, and tells what is new.
func (s *Sentinel) keepDrifts(ctx context.Context, g *guard, next drifts, mails []mail) error {
	for _, m := range mails {
		data := contextOf(m.note.Data)
		data["consumer"] = m.note.Consumer
		if err := s.cfg.Engine.Note(ctx, rotation.Row{KeySet: g.set.Name, Actor: auditActor, Action: auditPrefix + rotation.NoteDrift, Context: data}); err != nil {
			return err
		}
	}
	op, err := put(driftPrefix+g.set.Name, next)
	if err != nil {
		return err
	}
	if err := s.commit(ctx, []rotation.Op{op}, mails); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g.drifts = next
	return nil
}
