package github

import (
	"context"
	"strings"

	"github.com/raxx-app/keyturn/internal/rotation"
)

var _ rotation.Keeper = (*Repo)(nil)

// Keeps implements [rotation.Keeper]. GitHub shows no value, so the times at
// which the secrets were last written, in every store of this consumer, are
// compared with those that d.Last remembers. d.Pair is not used. Without a
// receipt, or with one of other stores or names, nothing is known and nothing
// is asked.
func (r *Repo) Keeps(ctx context.Context, d rotation.Delivery) (rotation.Drift, error) {
	stores, err := r.stores()
	if err != nil {
		return rotation.Drift{}, err
	}
	if d.Last == nil {
		return rotation.Drift{Detail: "the bot has not written it yet"}, nil
	}
	halves, ok := r.recall(stores, *d.Last)
	if !ok {
		return rotation.Drift{Detail: "the bot has not written it yet as bot.yml says now"}, nil
	}
	looks, err := look(ctx, halves)
	if err != nil {
		return rotation.Drift{}, err
	}
	var said []string
	out := rotation.Drift{}
	for _, l := range looks {
		what := ""
		switch {
		case !l.there:
			what = l.title() + " of " + r.Name + " is not there any more, or the token may not see it"
		case l.foreign():
			what = l.title() + " of " + r.Name + " was written " + stamp(l.updated) + " by somebody else"
			out.Facts = append(out.Facts, rotation.Fact{Name: "updated_at", Label: l.title() + " written", Value: stamp(l.updated)})
		case l.updated.Before(l.since):
			what = l.title() + " of " + r.Name + " was last written " + stamp(l.updated) + ", before the bot wrote it " + stamp(l.at)
			out.Facts = append(out.Facts, rotation.Fact{Name: "updated_at", Label: l.title() + " written", Value: stamp(l.updated)})
		default:
			continue
		}
		said = append(said, what)
	}
	out.Changed, out.Detail = len(said) > 0, strings.Join(said, "; ")
	return out, nil
}
