package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// tell writes what is known now, and puts what people should hear of it into the
// outbox with it.
func (s *Sentinel) tell(ctx context.Context, g *guard, gr ground, pair rotation.Pair, p rotation.Probe, was, next sentry) error {
	var mails []mail
	if gr.quiet() {
		mails = slices.Concat(s.aboutAccount(g, gr, pair, p, &next), s.aboutVault(g, gr, pair, p, &next))
	}
	for _, m := range mails { // audit before effect
		row := rotation.Row{KeySet: g.set.Name, Actor: auditActor, Action: auditPrefix + m.note.Kind, Context: contextOf(m.note.Data)}
		if err := s.cfg.Engine.Note(ctx, row); err != nil {
			return err
		}
	}
	if was.State != next.State {
		s.cfg.Log.InfoContext(ctx, "stored pair", slog.String("keyset", g.set.Name), slog.String("was", string(was.State)), slog.String("is", string(next.State)), slog.String("reason", p.Reason))
	}
	if was.State != held && next.State != held {
		return s.keep(ctx, g, next, mails)
	}
	return s.keepTogether(ctx, g, p, was, next, mails)
}

func contextOf(data map[string]string) map[string]any {
	out := map[string]any{}
	for k, v := range data {
		out[k] = v
	}
	return out
}

// aboutAccount says once per change that the account is another one, blocked,
// or well again.
func (s *Sentinel) aboutAccount(g *guard, gr ground, pair rotation.Pair, p rotation.Probe, next *sentry) []mail {
	if p.Verdict != rotation.Valid {
		return nil
	}
	base := gr.past.Baseline
	if base.ID != "" {
		next.Owner = rotation.Account{ID: base.ID, Number: base.Number}
	} else if next.Owner.ID == "" {
		next.Owner = rotation.Account{ID: p.Account.ID, Number: p.Account.Number}
	}
	acc, reason, report, what, fix := p.Account, "", "", "", ""
	switch {
	case !acc.Same(next.Owner):
		reason, report = rotation.AccountOther, "other "+acc.ID
		what = fmt.Sprintf("The stored pair belongs to another account now: %s, not %s.", rotation.Masked(acc.Number), rotation.Masked(next.Owner.Number))
		fix = "Find out who reset or replaced the account. If the new one is right, start a rotation and adopt it."
	case !acc.Active():
		reason, report = rotation.AccountBlocked, strings.Join(slices.Concat([]string{acc.Status}, acc.Flags), " ")
		what = fmt.Sprintf("The key works, but the account is %s.", report)
		fix = "That is a problem of the account, not of the key: rotating does not help. Ask Alpaca's support why."
	default:
		reason = rotation.AccountWell
		what = "The account is ACTIVE again, and the right one."
		fix = "Nothing must be done."
	}
	if report == next.Reported {
		return nil
	}
	next.Reported = report
	return []mail{s.mail(g, rotation.NoteAccount, "account/"+g.set.Name+"/"+stamp(p.At), map[string]string{
		rotation.NoteSince: stamp(p.At), rotation.NoteStatus: acc.Status, rotation.NoteAccount4: last4(acc.Number),
		rotation.NoteOldLast4: pair.Last4(), rotation.NoteReason: reason, rotation.NoteWhat: what, rotation.NoteFix: fix,
	})}
}

// aboutVault says once that somebody put another pair into the vault without a
// rotation.
func (s *Sentinel) aboutVault(g *guard, gr ground, pair rotation.Pair, p rotation.Probe, next *sentry) []mail {
	ours := gr.past.Print
	if ours == "" {
		ours = next.Base
	}
	switch {
	case ours == "":
		next.Base = next.Print // first look at a key set that the bot never rotated
		return nil
	case ours == next.Print:
		next.Vault = ""
		return nil
	case next.Print == next.Vault, p.Verdict == rotation.Unknown:
		return nil
	}
	next.Vault = next.Print
	if gr.past.Print == "" {
		next.Base = next.Print
	}
	what := "Somebody changed the stored pair without a rotation."
	switch {
	case p.Verdict == rotation.Invalid:
		what += " Alpaca rejects the new one."
	case next.Reported != "":
		what += " The new one works, but see the account."
	default:
		what += " The new one works for the same account."
	}
	data := map[string]string{
		rotation.NoteSince: stamp(p.At), rotation.NoteStatus: strconv.Itoa(p.Status), rotation.NoteOldLast4: pair.Last4(), rotation.NoteWhat: what,
		rotation.NoteFix: "Ask who did it. The consumers may still have the old pair: start a rotation, which hands a fresh one to all of them.",
	}
	if p.Verdict == rotation.Valid {
		data[rotation.NoteAccount4] = last4(p.Account.Number)
	}
	return []mail{s.mail(g, rotation.NoteVault, "vault/"+g.set.Name+"/"+stamp(p.At), data)}
}

// keepTogether is keep for a pair that is, or was, rejected together with every
// other one: the first of them says so, for all.
func (s *Sentinel) keepTogether(ctx context.Context, g *guard, p rotation.Probe, was, next sentry, mails []mail) error {
	s.team.Lock()
	defer s.team.Unlock()
	var since time.Time
	rev, err := s.cfg.Outbox.read(ctx, togetherKey, &since)
	if err != nil {
		return err
	}
	var more []rotation.Op
	names, others := s.rejected(g)
	switch {
	case next.State == held && rev == 0:
		op, err := put(togetherKey, next.Steady.UTC())
		if err != nil {
			return err
		}
		more = append(more, op)
		m := s.mail(g, rotation.NoteTogether, "together/"+stamp(next.Steady), map[string]string{
			rotation.NoteSince: stamp(next.Steady), rotation.NoteKeySets: strings.Join(names, " "), rotation.NoteStatus: strconv.Itoa(p.Status),
			rotation.NoteWhat: "Alpaca rejects every stored pair at once, so it is more likely at fault than the keys. Nobody is paged before this has lasted ten minutes.",
			rotation.NoteFix:  "Nothing must be done yet; do not generate new keys. Look at Alpaca's status page.",
		})
		m.note.KeySet = ""
		mails = append(mails, m)
	case was.State == held && next.State != held && !others && rev != 0:
		more = append(more, rotation.Op{Key: togetherKey, Delete: true})
	}
	return s.keep(ctx, g, next, mails, more...)
}

// rejected returns the key sets whose pairs are doubted or held, and whether one
// beside g is held.
func (s *Sentinel) rejected(g *guard) (names []string, others bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.guards {
		if st := o.known.State; st == doubted || st == held {
			names = append(names, o.set.Name)
			others = others || st == held && o != g
		}
	}
	return names, others
}

// last4 of an account's number; fewer if it is shorter.
func last4(number string) string { return strings.TrimPrefix(rotation.Masked(number), "…") }
