package app

import (
	"context"
	"fmt"
	"strings"

	"github.com/raxx-app/keyturn/internal/infisical"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// A storedPair is what the vault holds for a key set, and what Alpaca says of it.
type storedPair struct {
	pair  rotation.Pair
	probe rotation.Probe
}

// vault tries login, read and, as far as that changes nothing, write.
func (e *examination) vault(set rotation.KeySet) check {
	return func(ctx context.Context) []Finding {
		f := ready(set.Name, "vault", set.Vault.Ready(ctx))
		if f.Reason == "approval_required" {
			f.Fix = "Have a project admin take " + set.Place + " out of the change policy, or add the bot's machine identity to those who may bypass it: a rotation cannot wait for an approval."
		}
		return []Finding{f}
	}
}

// A syncer is a vault that can tell who else writes what is in it.
type syncer interface {
	Syncs(ctx context.Context) (found []infisical.Sync, known bool)
}

// syncs finds copies that Infisical itself makes of the pair's folder: two
// writers restart an app twice, and the slower one may write last.
func (e *examination) syncs(set rotation.KeySet) check {
	return func(ctx context.Context) (found []Finding) {
		const name = "second writer"
		v, ok := set.Vault.(syncer)
		if !ok {
			return nil
		}
		list, known := v.Syncs(ctx)
		for _, s := range list {
			found = append(found, warned(set.Name, name, "synced", "Infisical itself copies this folder to "+s.Destination+" (sync "+s.Name+"): two write the same names there.",
				"Take the two names out of that sync or switch it off; or take the consumer out of bot.yml, if the sync is what you want."))
		}
		switch {
		case len(found) > 0:
			return found
		case !known:
			return []Finding{fine(set.Name, name, "whether Infisical syncs this folder elsewhere is not shown to the bot")}
		}
		return []Finding{fine(set.Name, name, "Infisical syncs this folder nowhere")}
	}
}

// pair asks Alpaca about the stored pair. What keeps it from reading one is the
// vault's finding; that nobody asked Alpaca is one too.
func (e *examination) pair(i int) check {
	return func(ctx context.Context) []Finding {
		const name = "stored pair"
		set := e.sets[i]
		stored, err := set.Vault.Read(ctx)
		switch {
		case err != nil:
			return []Finding{warned(set.Name, name, "pair_not_read", "Alpaca was not asked: the stored pair could not be read.", "Mend what the line \"vault\" says, then run bot doctor again.")}
		case stored.Pair.Empty():
			return nil
		}
		probe := e.clients.alpaca.Probe(ctx, stored.Pair)
		e.stored[i] = storedPair{pair: stored.Pair, probe: probe}
		last4 := "the pair ending in " + stored.Pair.Last4()
		switch {
		case probe.Verdict == rotation.Invalid:
			return []Finding{broken(set.Name, name, "pair_rejected", fmt.Sprintf("Alpaca rejects %s (status %d): trading fails with it.", last4, probe.Status),
				"If somebody regenerated it or reset the account, type /rotate-alpaca-paper reset in the ops channel and paste the new pair; also look whether endpoints.alpaca and the names in bot.yml are right.")}
		case probe.Verdict != rotation.Valid:
			return []Finding{broken(set.Name, name, "pair_unknown", "Alpaca does not say whether "+last4+" works ("+probe.Reason+").",
				"Check that this machine reaches endpoints.alpaca, then run bot doctor again.")}
		case !probe.Account.Active():
			return []Finding{broken(set.Name, name, "account_blocked", "Alpaca knows "+last4+", but its account ····"+tail(probe.Account.Number)+" cannot trade: "+strings.Join(append([]string{probe.Account.Status}, probe.Account.Flags...), ", ")+".",
				"This is a matter of the account, not of the key: look at it in Alpaca's dashboard, or ask Alpaca's support.")}
		}
		return []Finding{fine(set.Name, name, last4+" works; account ····"+tail(probe.Account.Number)+" is ACTIVE")}
	}
}

// shared finds key sets that hold the same key or the same account: rotating one
// would kill the other.
func (e *examination) shared() (found []Finding) {
	for i, a := range e.stored {
		for j, b := range e.stored[:i] {
			sameKey := !a.pair.Empty() && !b.pair.Empty() && a.pair.KeyID.Equal(b.pair.KeyID)
			sameAccount := a.probe.Account.ID != "" && a.probe.Account.ID == b.probe.Account.ID
			if !sameKey && !sameAccount {
				continue
			}
			one, two := e.sets[j].Name, e.sets[i].Name
			found = append(found, broken(two, "account", "account_shared", "The key sets "+one+" and "+two+" hold keys of one account: rotating one kills the other.",
				"Make one key set of them with the consumers of both, or give "+two+" an account of its own."))
		}
	}
	return found
}

// tail returns the last four of an account's number.
func tail(number string) string { return number[max(0, len(number)-4):] }
