package heroku

import (
	"context"
	"fmt"
	"strings"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

var (
	_ rotation.Holder = (*App)(nil)
	_ rotation.Keeper = (*App)(nil)
)

// Holds implements [rotation.Holder]. It reads the config vars, which changes
// nothing. With a release phase they may be those of a release that never went
// live: whoever uses the pair has to probe it first.
func (a *App) Holds(ctx context.Context) (rotation.Pair, error) {
	vars, err := a.Client.Vars(ctx, a.Name, a.Names)
	if err != nil {
		return rotation.Pair{}, fmt.Errorf("read config vars of %s: %w", a.Name, err)
	}
	return vars.Pair, nil
}

// Keeps implements [rotation.Keeper]: the config vars are compared with d.Pair.
// If they differ, one more call asks which release set them.
func (a *App) Keeps(ctx context.Context, d rotation.Delivery) (rotation.Drift, error) {
	if d.Pair.Empty() {
		return rotation.Drift{}, &fault.Error{Kind: fault.Internal, Reason: "empty_pair", Op: "heroku.Keeps"}
	}
	vars, err := a.Client.Vars(ctx, a.Name, a.Names)
	if err != nil {
		return rotation.Drift{}, fmt.Errorf("read config vars of %s: %w", a.Name, err)
	}
	if vars.Pair.Equal(d.Pair) {
		return rotation.Drift{}, nil
	}
	out := rotation.Drift{Changed: true, Detail: a.differs(vars, d.Pair), Facts: []rotation.Fact{{Name: "app", Label: "App", Value: a.Name}}}
	list, err := a.Client.Releases(ctx, a.Name, lookBack)
	if err != nil {
		return out, nil //nolint:nilerr // that they differ is known
	}
	if r, _ := a.carrier(list); r.Version > 0 {
		out.Detail += fmt.Sprintf("; its last change there is release v%d", r.Version)
		out.Facts = append(out.Facts, rotation.Fact{Name: "release", Label: "Release", Value: fmt.Sprintf("v%d %s", r.Version, status(r))})
	}
	return out, nil
}

// differs says in which of the two vars an app differs from the pair. A key ID
// is named by its last four, a secret by nothing.
func (a *App) differs(have Vars, want rotation.Pair) string {
	if len(have.Missing) > 0 {
		return strings.Join(have.Missing, " and ") + " of " + a.Name + " is not set any more"
	}
	if have.Pair.KeyID.Equal(want.KeyID) {
		return a.Names.Secret + " of " + a.Name + " is not the stored one, although the key ID is"
	}
	return fmt.Sprintf("%s of %s ends in %s, the stored one in %s", a.Names.KeyID, a.Name, have.Pair.Last4(), want.Last4())
}
