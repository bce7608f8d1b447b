package jobs

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// Problems of a pair that was not asked: values of [rotation.Seen.Problem]
// beside the reasons of a probe.
const (
	problemVault = "vault_unreadable"
	problemEmpty = "vault_empty"
)

// A ground is what stands around one look at a pair. It is read before the
// vault: a rotation that ends in between can then not look like a stranger's
// change.
type ground struct {
	open  rotation.ID // the open rotation; "": none
	past  rotation.Record
	known bool // both could be read
}

// quiet reports whether the key set is surely nobody's work at the moment.
func (gr ground) quiet() bool { return gr.known && gr.open == "" }

func (s *Sentinel) ground(ctx context.Context, g *guard) (gr ground) {
	id, err := s.cfg.Engine.Active(ctx, g.set.Name)
	if err == nil || errors.Is(err, rotation.ErrNotFound) {
		gr.open = id
		gr.past, err = s.cfg.Engine.Remembered(ctx, g.set.Name)
		gr.known = err == nil
	}
	if err != nil && ctx.Err() == nil && !errors.Is(err, rotation.ErrNotFound) {
		s.cfg.Log.WarnContext(ctx, "key set could not be looked up", slog.String("keyset", g.set.Name), slog.Any("error", err))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g.open = gr.open != ""
	return gr
}

// round looks at one pair once, tells and does what follows, and returns how
// long to wait.
func (s *Sentinel) round(ctx context.Context, g *guard) time.Duration {
	gr := s.ground(ctx, g)
	pair, err := s.stored(ctx, g)
	if err != nil {
		return s.blind(ctx, g, gr, err)
	}
	if !s.pace.wait(ctx, 1) {
		return 0
	}
	p := s.probe(ctx, pair)
	if ctx.Err() != nil {
		return 0
	}
	was, next := s.take(g, s.cfg.Print(pair), p)
	next.Blind, next.BlindMsg = time.Time{}, false
	soon := false
	if err := s.tell(ctx, g, gr, pair, p, was, next); err != nil {
		s.failed(ctx, g, "what was seen could not be written down", err)
		soon = true
	} else {
		soon = s.act(ctx, g, gr, pair, p)
	}
	return s.after(g, gr, p, soon)
}

// stored returns the pair that the vault holds. While it is asked every few
// seconds the vault is not: it has limits of its own, and a vault that fails
// then does not end the doubt.
func (s *Sentinel) stored(ctx context.Context, g *guard) (rotation.Pair, error) {
	now := s.cfg.Now()
	age, has := now.Sub(g.read).Abs(), !g.pair.Empty()
	if has && age < doubtFor {
		return g.pair, nil
	}
	limited, cancel := context.WithTimeout(ctx, timeOfVault)
	defer cancel()
	st, err := g.set.Vault.Read(limited)
	switch {
	case err != nil && has && age < blindFor:
		return g.pair, nil
	case err != nil:
		return rotation.Pair{}, err
	case st.Pair.Empty():
		return rotation.Pair{}, &fault.Error{
			Kind: fault.NotFound, Reason: problemEmpty, Op: "jobs.Sentinel",
			User: "The vault holds no pair for " + g.set.Name + ".", Fix: "Rotate the key set once, or check its place in bot.yml.",
		}
	}
	g.pair, g.read = st.Pair, now
	return st.Pair, nil
}

func (s *Sentinel) probe(ctx context.Context, pair rotation.Pair) rotation.Probe {
	limited, cancel := context.WithTimeout(ctx, timeOfProbe)
	defer cancel()
	return s.cfg.Vendor.Probe(limited, pair)
}

// take judges an answer in the view of all others, and lets those see it. A key
// set whose rotation is open speaks for nobody: its pair is about to die.
func (s *Sentinel) take(g *guard, print string, p rotation.Probe) (was, next sentry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was, next = g.known, g.known
	if next.Print != print {
		next.replaced(print)
	}
	next.take(p)
	var others []*watch
	for _, o := range s.guards {
		if o != g && !o.open {
			others = append(others, &o.known.watch)
		}
	}
	next.judge(others)
	if next.State == doubted && !g.open {
		s.nudgeSome(g)
	}
	g.known.watch = next.watch
	return was, next
}

// act does what follows from what is known now, and reports whether it must be
// tried again soon.
func (s *Sentinel) act(ctx context.Context, g *guard, gr ground, pair rotation.Pair, p rotation.Probe) (soon bool) {
	switch known := g.known; {
	case known.State == dead && p.Verdict == rotation.Invalid:
		return s.died(ctx, g, gr, pair, p)
	case known.State == alive && p.Verdict == rotation.Valid && known.Opened != "":
		return s.lives(ctx, g, p)
	case known.State == alive && p.Verdict == rotation.Valid:
		s.snapshot(ctx, g, gr, pair, p)
	}
	return false
}

// after returns how long to wait, and lets go of the pair unless it is needed
// again in seconds.
func (s *Sentinel) after(g *guard, gr ground, p rotation.Probe, soon bool) time.Duration {
	every := s.interval()
	d := g.known.next(every, time.Duration(p.Wait)*time.Second)
	switch {
	case soon:
		d = min(d, againSoon)
	case gr.open != "": // the engine asks as well; what ends it brings a pair that is to be watched soon
		d = max(every, time.Duration(p.Wait)*time.Second)
	case p.Reason == "rate_limited": // and did not say for how long
		d = max(d, doubtFor)
	}
	if g.known.State != doubted && !s.cfg.Now().Before(g.busy) {
		g.pair = rotation.Pair{}
	}
	return d
}

// blind notes that the stored pair cannot be read, and tells that once after ten
// minutes.
func (s *Sentinel) blind(ctx context.Context, g *guard, gr ground, cause error) time.Duration {
	if ctx.Err() != nil {
		return 0
	}
	now := s.cfg.Now().UTC()
	reason := problemVault
	if fault.ReasonOf(cause) == problemEmpty {
		reason = problemEmpty
	}
	s.mu.Lock()
	next := g.known
	s.mu.Unlock()
	silence := now.Sub(next.Asked) > blindFor+s.interval() // the bot was down: nothing is known of that time
	if next.Blind.IsZero() || silence && !next.BlindMsg {
		next.Blind = now
	}
	next.take(rotation.Probe{Verdict: rotation.Unknown, Reason: reason, At: now})
	var mails []mail
	if !next.BlindMsg && now.Sub(next.Blind) >= blindFor && gr.open == "" {
		next.BlindMsg = true
		mails = append(mails, s.mail(g, rotation.NoteBlind, "blind/"+g.set.Name+"/"+stamp(next.Blind), map[string]string{
			rotation.NoteSince: stamp(next.Blind), rotation.NoteWhat: fault.UserText(cause),
			rotation.NoteFix: "Until then nobody would notice that the key dies. `bot doctor` says what the vault refuses.",
		}))
		s.cfg.Log.WarnContext(ctx, "stored pair cannot be read", slog.String("keyset", g.set.Name), slog.Any("error", cause))
	}
	if err := s.keep(ctx, g, next, mails); err != nil {
		s.failed(ctx, g, "what was seen could not be written down", err)
	}
	return next.next(s.interval(), fault.RetryAfter(cause))
}

// mail is a note to the ops channel.
func (s *Sentinel) mail(g *guard, kind, key string, data map[string]string) mail {
	return mail{key: key, to: s.cfg.Channel, note: rotation.Note{Kind: kind, KeySet: g.set.Name, Data: present(data)}}
}

// present leaves out what is empty.
func present(data map[string]string) map[string]string {
	for k, v := range data {
		if v == "" {
			delete(data, k)
		}
	}
	return data
}

func (s *Sentinel) failed(ctx context.Context, g *guard, what string, err error) {
	if ctx.Err() == nil {
		s.cfg.Log.WarnContext(ctx, "sentinel will try again", slog.String("what", what), slog.String("keyset", g.set.Name), slog.Any("error", err))
	}
}

// snapshot hands the engine what the account looks like: it at each probe, or
// every five minutes while it is equal, and the full set every 15 minutes and
// at each start.
func (s *Sentinel) snapshot(ctx context.Context, g *guard, gr ground, pair rotation.Pair, p rotation.Probe) {
	if base := gr.past.Baseline; !gr.quiet() || base.ID != "" && !p.Account.Same(base) {
		return // of another account it would be no help
	}
	now := s.cfg.Now()
	var survey *rotation.Survey
	switch {
	case now.Sub(g.full).Abs() >= fullEvery: // at a start it is never
		if !s.pace.wait(ctx, 3) {
			return
		}
		limited, cancel := context.WithTimeout(ctx, timeOfProbe)
		defer cancel()
		full, err := s.cfg.Vendor.Survey(limited, pair)
		if err != nil {
			s.failed(ctx, g, "positions and orders could not be read", err)
			break
		}
		survey = &full
	case equalAccounts(g.kept, p.Account) && now.Sub(g.keptT).Abs() < accountEvery:
		return
	}
	if err := s.cfg.Engine.Snapshot(ctx, g.set.Name, p, survey); err != nil {
		s.failed(ctx, g, "the snapshot could not be kept", err)
		return
	}
	if g.kept, g.keptT = p.Account, now; survey != nil {
		g.full = now
	}
}

func equalAccounts(a, b rotation.Account) bool {
	return a.Same(b) && a.Status == b.Status && a.Cash == b.Cash && a.Equity == b.Equity && a.BuyingPower == b.BuyingPower && slices.Equal(a.Flags, b.Flags)
}
