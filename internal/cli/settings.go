package cli

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/raxx-app/keyturn/internal/config"
	"github.com/raxx-app/keyturn/internal/secret"
	"github.com/raxx-app/keyturn/internal/state"
)

// load reads the settings with every token. Its error is that of [config.Load]; a
// problem with STATE_KEY also names the identity that the state was sealed for, if
// there is one, so that whoever keeps several knows which.
func load(ctx context.Context, path string, getenv func(string) string) (config.Config, error) {
	cfg, err := config.Load(path, getenv)
	problems, ok := errors.AsType[config.Problems](err)
	if !ok {
		return cfg, err
	}
	i := slices.IndexFunc(problems, func(p config.Problem) bool {
		return p.File == "" && (p.Path == "STATE_KEY" || p.Path == "STATE_KEY_FILE")
	})
	if i < 0 {
		return cfg, err
	}
	if names := sealedFor(ctx, path, getenv); len(names) > 0 {
		problems = slices.Clone(problems)
		problems[i].What += "; what is sealed in the state needs the identity whose public key starts with " + strings.Join(names, ", and the one with ")
		err = problems
	}
	return cfg, err
}

// sealedFor returns the names of the identities that the state was sealed for; none
// if nothing is sealed, or that cannot be read.
func sealedFor(ctx context.Context, path string, getenv func(string) string) []string {
	cfg, err := loadForReading(path, getenv)
	if err != nil {
		return nil
	}
	store, err := openForReading(ctx, cfg)
	if err != nil {
		return nil
	}
	defer func() { _ = store.Close() }() // nothing was written
	shut, err := state.Shuts(ctx, store, secret.Text{})
	if err != nil {
		return nil
	}
	return state.Identities(shut)
}
