package github

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
)

// foreignAfter is how much later than our own write a secret's time may be
// before the write counts as somebody else's. GitHub's stamp was one second
// after its Date header in recorded-real-exchanges.json.
const foreignAfter = 5 * time.Second

// expirySoon is when an expiring token is worth a word.
const expirySoon = 14 * 24 * time.Hour

// fullName is what a repository may be called; it goes into paths unescaped.
var fullName = regexp.MustCompile(`^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$`)

// A Repo is one repository whose workflows read the pair from two secrets
// (R48, R49).
type Repo struct {
	Client      *Client
	Name        string         // owner/name
	Environment string         // "" means the repository's own Actions secrets
	Dependabot  bool           // also the store that runs started by Dependabot see
	Names       rotation.Names // of the two secrets
	Covered     []Place        // of the same repository and names, that consumers write to; this one may be among them

	mu   sync.Mutex
	seen shadow // when it was last looked
}

var _ rotation.Consumer = (*Repo)(nil)

// A half is one of the two secrets in one store. GitHub has no request that
// writes both.
type half struct {
	store store
	name  string
	value secret.Text

	at, since time.Time // GitHub's time of the write, and of the public key before it
	err       error     // not written, or not known
}

// Ready implements [rotation.Consumer]. Readable keys never prove that a write
// will work, so the best level is unproven. It warns of stores that hold the
// same names and that nobody updates.
func (r *Repo) Ready(ctx context.Context) rotation.Readiness {
	stores, err := r.stores()
	if err != nil {
		return notReady(err)
	}
	var (
		wg      sync.WaitGroup
		repo    repository
		repoErr error
		keyErrs = make([]error, len(stores))
		others  shadow
	)
	wg.Go(func() { repo, repoErr = r.Client.repository(ctx, stores[0]) })
	wg.Go(func() { others = r.shadow(ctx, stores) })
	for i, s := range stores {
		wg.Go(func() { _, keyErrs[i] = s.publicKey(ctx) })
	}
	wg.Wait()
	r.remember(others)
	if repoErr == nil {
		repoErr = r.mayWrite(repo)
	}
	if repoErr == nil {
		repoErr = others.missing(r)
	}
	// The repository comes first: of equals its error says more.
	if err := worst(append([]error{repoErr}, keyErrs...)...); err != nil {
		return notReady(err)
	}
	out := rotation.Readiness{
		Level:  rotation.Unproven,
		Detail: "public key readable; a write cannot be proven by reading",
		Facts:  []rotation.Fact{{Name: "repo", Label: "Repository", Value: r.Name}, {Name: "stores", Label: "Written to", Value: labels(stores)}},
	}
	if at := repo.tokenExpires; !at.IsZero() {
		out.Facts = append(out.Facts, rotation.Fact{Name: "token_expires", Label: "GitHub token expires", Value: at.Format(time.DateOnly)})
		if at.Sub(r.Client.now()) < expirySoon {
			out.Detail += "; the bot's own GitHub token expires " + stamp(at)
		}
	}
	for _, more := range []string{others.warning(r), others.blindness()} {
		if more != "" {
			out.Detail += "; " + more
		}
	}
	out.Facts = append(out.Facts, others.facts(r)...)
	return out
}

// remember keeps what was seen in step 1, so that the proof can repeat it
// without asking while trading is down.
func (r *Repo) remember(s shadow) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = s
}

// remembered returns what was seen in step 1; nothing after a restart.
func (r *Repo) remembered() shadow {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen
}

// mayWrite returns why nobody could write with this token, or nil.
func (r *Repo) mayWrite(repo repository) error {
	switch {
	case !repo.push:
		return &fault.Error{
			Kind: fault.Denied, Reason: "no_push", Op: "github.Ready",
			User: "The owner of the bot's GitHub token may read " + r.Name + " but not write to it, so it cannot set secrets there.",
			Fix:  "Give that account write access to " + r.Name + ", then press Retry.",
		}
	case repo.archived:
		return &fault.Error{
			Kind: fault.Denied, Reason: "archived", Op: "github.Ready",
			User: r.Name + " is archived, so GitHub accepts no secrets for it.",
			Fix:  "Unarchive it, or take this consumer out of bot.yml, then press Retry.",
		}
	}
	return nil
}

// Apply implements [rotation.Consumer]. It does nothing if the last receipt is
// of the same pair and GitHub says that nobody wrote since. Otherwise it
// writes both secrets at once, with a public key read just before; writing the
// same values again is harmless, so repeating is safe after any outcome.
func (r *Repo) Apply(ctx context.Context, d rotation.Delivery) (rotation.Receipt, error) {
	stores, err := r.stores()
	if err != nil {
		return rotation.Receipt{}, err
	}
	facts := []rotation.Fact{
		{Name: "repo", Label: "Repository", Value: r.Name},
		{Name: "stores", Label: "Written to", Value: labels(stores)},
		{Name: "queued_runs", Label: "Queued runs", Value: r.keepOld()},
	}
	if r.unchanged(ctx, stores, d) {
		return rotation.Receipt{At: r.Client.now().UTC(), Unchanged: true, Print: d.Print, Data: maps.Clone(d.Last.Data), Facts: facts}, nil
	}
	all := make([][]half, len(stores))
	var wg sync.WaitGroup
	for i, s := range stores {
		wg.Go(func() { all[i] = r.deliver(ctx, s, d.Pair) })
	}
	wg.Wait()
	data := map[string]string{}
	var halves []half
	for _, two := range all {
		halves = append(halves, two...)
	}
	for _, h := range halves {
		if h.err == nil {
			data[h.key("put")] = h.at.Format(time.RFC3339)
			data[h.key("since")] = h.since.Format(time.RFC3339)
		}
	}
	if err := r.outcome(halves); err != nil {
		return rotation.Receipt{}, err
	}
	return rotation.Receipt{At: r.Client.now().UTC(), Print: d.Print, Data: data, Facts: facts}, nil
}

// deliver writes both secrets into one store. If GitHub refuses a value, the
// public key may have changed in between: it is read again once.
func (r *Repo) deliver(ctx context.Context, s store, p rotation.Pair) []half {
	halves := r.halves(s)
	halves[0].value, halves[1].value = p.KeyID, p.Secret
	open := []*half{&halves[0], &halves[1]}
	for range 2 {
		key, err := s.publicKey(ctx)
		var wg sync.WaitGroup
		for _, h := range open {
			if err != nil {
				h.err = err
				continue
			}
			wg.Go(func() {
				h.since = key.at
				h.at, h.err = s.put(ctx, key, h.name, h.value)
			})
		}
		wg.Wait()
		if err != nil {
			break
		}
		refused := open[:0]
		for _, h := range open {
			if h.err != nil && fault.ReasonOf(h.err) == reasonRefused {
				refused = append(refused, h)
			}
		}
		if open = refused; len(open) == 0 {
			break
		}
	}
	return halves
}

// keepOld says which runs go on with the old value: secrets of a repository are
// read when a run is queued, those of an environment when a job starts.
func (r *Repo) keepOld() string {
	if r.Environment != "" && !r.Dependabot {
		return "jobs already started keep the old value"
	}
	return "runs already queued keep the old value"
}

// outcome is nil if every half was written; otherwise it says which were not.
func (r *Repo) outcome(halves []half) error {
	var written, missing []string
	var errs []error
	for _, h := range halves {
		if h.err == nil {
			written = append(written, h.title())
			continue
		}
		missing = append(missing, h.title())
		errs = append(errs, h.err)
	}
	err := worst(errs...)
	if err == nil || len(written) == 0 {
		return err
	}
	return &fault.Error{
		Kind: fault.KindOf(err), Reason: "partly_written", Op: "github.Apply", RetryAfter: fault.RetryAfter(err), Err: err,
		User: fmt.Sprintf("%s now holds the new %s, but not (as far as is known) %s. %s",
			r.Name, strings.Join(written, " and "), strings.Join(missing, " and "), fault.UserText(err)),
		Fix: "Until then its workflows have half a pair. " + fault.FixText(err),
	}
}

// halves returns the two secrets of a store, without values.
func (r *Repo) halves(s store) []half {
	return []half{{store: s, name: r.Names.KeyID}, {store: s, name: r.Names.Secret}}
}

// stores returns where the pair goes.
func (r *Repo) stores() ([]store, error) {
	if !fullName.MatchString(r.Name) {
		return nil, &fault.Error{
			Kind: fault.Invalid, Reason: "bad_repo", Op: "github.Repo",
			User: "The consumer's repo in bot.yml is not of the form owner/name.",
			Fix:  "Write it as owner/name, then restart the bot.",
		}
	}
	owner, name, _ := strings.Cut(r.Name, "/")
	s := store{client: r.Client, kind: actionsStore, owner: owner, name: name}
	if r.Environment != "" {
		s.kind, s.environment = environmentStore, r.Environment
	}
	out := []store{s}
	if r.Dependabot {
		out = append(out, store{client: r.Client, kind: dependabotStore, owner: owner, name: name})
	}
	return out, nil
}

// key names what a receipt remembers of the half: another repository, store or
// name in bot.yml makes another key.
func (h half) key(what string) string { return h.store.path() + " " + h.name + " " + what }

// title names the half for people.
func (h half) title() string {
	if h.store.kind == actionsStore {
		return h.name
	}
	return h.name + " (" + h.store.label() + ")"
}
