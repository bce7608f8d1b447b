package github

import (
	"context"
	"slices"
	"strings"
	"sync"

	gogithub "github.com/google/go-github/v92/github"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

const (
	pageMax         = 100 // entries of a list that are asked for; a store holds no more
	environmentsMax = 20  // environments that are looked into
)

// A Place is a store of secrets that another consumer of the same repository
// writes the same names to.
type Place struct {
	Environment string // "" means the repository's own
	Dependabot  bool   // Dependabot's store instead
}

// A shadow is what else holds secrets of our names. GitHub gives a job the
// nearest: its environment's before the repository's; a run that Dependabot
// started sees Dependabot's only
// (docs.github.com/en/actions/reference/security/secrets).
type shadow struct {
	environments []string // every one of the repository
	listed       bool     // environments is all of them
	holds        []store  // those that no consumer writes
	blind        []string // what the token may not look into, for people
}

// shadow looks into every other store of the repository. It fails never: where
// it may not look it says so.
func (r *Repo) shadow(ctx context.Context, written []store) shadow {
	var out shadow
	var err error
	if out.environments, err = r.Client.environments(ctx, written[0]); err != nil {
		out.blind = append(out.blind, "environments")
	}
	out.listed = err == nil && len(out.environments) < environmentsMax
	others := r.others(written, out.environments[:min(len(out.environments), environmentsMax)])
	found, errs := make([]bool, len(others)), make([]error, len(others))
	var wg sync.WaitGroup
	for i, s := range others {
		wg.Go(func() { found[i], errs[i] = s.has(ctx, r.Names) })
	}
	wg.Wait()
	for i, s := range others {
		if errs[i] != nil {
			out.blind = append(out.blind, s.label())
		}
		if found[i] {
			out.holds = append(out.holds, s)
		}
	}
	return out
}

// others returns every store of the repository that neither this consumer nor
// another one writes to. GitHub ignores case in an environment's name.
func (r *Repo) others(written []store, environments []string) []store {
	base := store{client: r.Client, kind: actionsStore, owner: written[0].owner, name: written[0].name}
	all := []store{base}
	for _, env := range environments {
		s := base
		s.kind, s.environment = environmentStore, env
		all = append(all, s)
	}
	bot := base
	bot.kind = dependabotStore
	all = append(all, bot)
	for _, p := range r.Covered {
		s := base
		switch {
		case p.Dependabot:
			s = bot
		case p.Environment != "":
			s.kind, s.environment = environmentStore, p.Environment
		}
		written = append(slices.Clip(written), s)
	}
	return slices.DeleteFunc(all, func(s store) bool {
		return slices.ContainsFunc(written, func(w store) bool { return s.kind == w.kind && strings.EqualFold(s.environment, w.environment) })
	})
}

// missing is the error of an environment that the repository does not have.
func (s shadow) missing(r *Repo) error {
	same := func(name string) bool { return strings.EqualFold(name, r.Environment) }
	if r.Environment == "" || !s.listed || slices.ContainsFunc(s.environments, same) {
		return nil
	}
	return &fault.Error{
		Kind: fault.NotFound, Reason: "no_environment", Op: "github.Ready",
		User: r.Name + " has no environment " + r.Environment + ".",
		Fix:  "Correct the consumer's environment in bot.yml, or make it in the repository's settings, then press Retry.",
	}
}

// warning says who goes on with the old pair after the rotation; "" means
// nobody, as far as is known.
func (s shadow) warning(r *Repo) string {
	var out []string
	for _, other := range s.holds {
		switch other.kind {
		case dependabotStore:
			out = append(out, "runs that Dependabot starts see only Dependabot's own copy")
		case environmentStore:
			out = append(out, "jobs of the environment "+other.environment+" use that environment's own copy")
		default:
			out = append(out, "jobs outside the environment "+r.Environment+" use the repository's own copy")
		}
	}
	if len(out) == 0 {
		return ""
	}
	return "⚠️ " + strings.Join(out, "; ") + ", which this rotation does not update"
}

// blindness says where it was not looked.
func (s shadow) blindness() string {
	if len(s.blind) == 0 {
		return ""
	}
	return "the token may not see whether there are copies in: " + strings.Join(s.blind, ", ")
}

// facts are what a record shows of it.
func (s shadow) facts(r *Repo) []rotation.Fact {
	var out []rotation.Fact
	if w := s.warning(r); w != "" {
		out = append(out, rotation.Fact{Name: "not_updated", Label: "Not updated", Value: labels(s.holds)})
	}
	if len(s.blind) > 0 {
		out = append(out, rotation.Fact{Name: "not_looked_at", Label: "Not looked at", Value: strings.Join(s.blind, ", ")})
	}
	return out
}

// environments lists the names of the repository's environments; a token needs
// the permission Actions: read.
func (c *Client) environments(ctx context.Context, s store) ([]string, error) {
	var got *gogithub.EnvResponse
	p := s.place("github.Environments", "the environments", false)
	_, err := c.call(ctx, p, func(ctx context.Context) (resp *gogithub.Response, err error) {
		got, resp, err = c.api.Repositories.ListEnvironments(ctx, s.owner, s.name, &gogithub.EnvironmentListOptions{ListOptions: gogithub.ListOptions{PerPage: pageMax}})
		return resp, err
	})
	if err != nil || got == nil {
		return nil, err
	}
	var out []string
	for _, e := range got.Environments {
		if name := e.GetName(); plainName(name) {
			out = append(out, name)
		}
	}
	return out, nil
}

// has reports whether the store holds a secret of either name.
func (s store) has(ctx context.Context, names rotation.Names) (bool, error) {
	var got *gogithub.Secrets
	p := s.place("github.Secrets", "the names in "+s.label(), false)
	opts := &gogithub.ListOptions{PerPage: pageMax}
	_, err := s.client.call(ctx, p, func(ctx context.Context) (resp *gogithub.Response, err error) {
		switch s.kind {
		case dependabotStore:
			got, resp, err = s.client.api.Dependabot.ListRepoSecrets(ctx, s.owner, s.name, opts)
		case environmentStore:
			got, resp, err = s.client.api.Actions.ListEnvSecrets(ctx, s.owner, s.name, s.environment, opts)
		default:
			got, resp, err = s.client.api.Actions.ListRepoSecrets(ctx, s.owner, s.name, opts)
		}
		return resp, err
	})
	if err != nil || got == nil {
		return false, err
	}
	return slices.ContainsFunc(got.Secrets, func(one *gogithub.Secret) bool {
		return one != nil && (strings.EqualFold(one.Name, names.KeyID) || strings.EqualFold(one.Name, names.Secret))
	}), nil
}

// plainName reports whether an environment's name can be shown to people as it
// is.
func plainName(name string) bool {
	return name != "" && len(name) <= 255 && strings.IndexFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == '/' || r == '\\' }) < 0
}
