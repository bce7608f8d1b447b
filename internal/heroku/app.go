package heroku

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

const (
	lookBack    = 20              // releases among which ours is looked for
	prebootWait = 2 * time.Second // a warning is worth no more of an outage
)

// Keys of a receipt's Data.
const (
	dataRelease = "release" // version that carries the pair: "42"
	dataAfter   = "after"   // newest version before the write, if release is not known
	dataPreboot = "preboot" // "on"
)

// An App is one Heroku app that reads the pair from two config vars (R44, R45).
type App struct {
	Client *Client
	Name   string
	Names  rotation.Names // of the two config vars
}

var _ rotation.Consumer = (*App)(nil)

// A view is what Ready and Apply see of an app at once.
type view struct {
	vars     Vars
	releases []Release // newest first
	preboot  string    // "on", "off", "" if Heroku did not say
}

// look makes its calls at the same time, because the outage may be running.
func (a *App) look(ctx context.Context) (v view, err error) {
	var varsErr, releasesErr error
	var wg sync.WaitGroup
	wg.Go(func() { v.vars, varsErr = a.Client.Vars(ctx, a.Name, a.Names) })
	wg.Go(func() { v.releases, releasesErr = a.Client.Releases(ctx, a.Name, lookBack) })
	wg.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, prebootWait)
		defer cancel()
		switch on, err := a.Client.Preboot(ctx, a.Name); {
		case err == nil && on:
			v.preboot = "on"
		case err == nil:
			v.preboot = "off"
		}
	})
	wg.Wait()
	if varsErr != nil {
		return v, varsErr
	}
	return v, releasesErr
}

// Ready implements [rotation.Consumer]. It is never [rotation.Ready]: that the
// app takes new values, and that its release command works, shows only when
// they are written.
func (a *App) Ready(ctx context.Context) rotation.Readiness {
	v, err := a.look(ctx)
	if err != nil {
		return failed(err)
	}
	if held := v.vars.Scopes; len(held) > 0 && !overlap(held, []string{"global", writeScope}) {
		return failed(&fault.Error{
			Kind: fault.Denied, Reason: "scope_missing", Op: "heroku.Ready", Fix: newTokenFix,
			User: "The bot's Heroku token can read " + a.Name + " but not change it: its scope is " + strings.Join(held, " ") + ", and write-protected is needed.",
		})
	}
	r := rotation.Readiness{Level: rotation.Unproven}
	detail := []string{"Config vars and releases can be read; only a write proves that they can be set."}
	switch len(v.vars.Missing) {
	case 0:
		detail = append(detail, "Both names are there.")
	default:
		detail = append(detail, strings.Join(v.vars.Missing, " and ")+" will be created.")
	}
	if len(v.vars.Scopes) == 0 {
		detail = append(detail, "Heroku did not say which scope the token has.")
	} else {
		r.Facts = append(r.Facts, rotation.Fact{Name: "scope", Label: "Token scope", Value: strings.Join(v.vars.Scopes, " ")})
	}
	if len(v.releases) > 0 {
		newest := v.releases[0]
		r.Facts = append(r.Facts, rotation.Fact{Name: "newest_release", Label: "Newest release", Value: fmt.Sprintf("v%d %s", newest.Version, status(newest))})
		switch newest.Status {
		case "failed":
			detail = append(detail, fmt.Sprintf("The newest release v%d failed: if its release command still fails, the new pair cannot go live.", newest.Version))
		case "pending":
			detail = append(detail, fmt.Sprintf("Release v%d is still pending.", newest.Version))
		}
	}
	if hasPhase(v.releases) {
		detail = append(detail, phaseText)
		r.Facts = append(r.Facts, rotation.Fact{Name: "release_phase", Label: "Release phase", Value: "on: live only when the release command succeeds"})
	}
	if v.preboot == "on" {
		detail = append(detail, prebootText)
	}
	r.Facts = append(r.Facts, prebootFact(v.preboot)...)
	r.Detail = strings.Join(detail, " ")
	return r
}

// hasPhase reports whether the app has a release command, as far as the newest
// deploy or change of config vars shows; changes of add-ons never run it
// (devcenter.heroku.com/articles/release-phase). list is newest first.
func hasPhase(list []Release) bool {
	i := slices.IndexFunc(list, func(r Release) bool {
		return strings.HasPrefix(r.Description, "Deploy") || strings.HasPrefix(r.Description, "Set ")
	})
	return i >= 0 && list[i].Command
}

// Apply implements [rotation.Consumer]. It sets both vars in one request, which
// makes one release, and finds that release. It looks first: vars that hold the
// pair already, or a pending release that carries it, are taken as they are, so
// repeating is safe, also after a fault of kind Unknown.
func (a *App) Apply(ctx context.Context, d rotation.Delivery) (rotation.Receipt, error) {
	r := rotation.Receipt{Print: d.Print, Data: map[string]string{}}
	if d.Pair.Empty() {
		return r, &fault.Error{Kind: fault.Internal, Reason: "empty_pair", Op: "heroku.Apply"}
	}
	v, err := a.look(ctx)
	if err != nil {
		return r, fmt.Errorf("look at %s: %w", a.Name, err)
	}
	if v.preboot == "on" {
		r.Data[dataPreboot] = v.preboot
	}
	r.Facts = prebootFact(v.preboot)

	carrier, dead := a.carrier(v.releases)
	if v.vars.Pair.Equal(d.Pair) && !dead || a.waiting(ctx, carrier, d.Pair) {
		r.At, r.Unchanged = a.Client.now(), true
		a.note(&r, carrier.Version)
		return r, nil
	}
	before := 0
	if len(v.releases) > 0 {
		before = v.releases[0].Version
	}
	warning, err := a.Client.SetVars(ctx, a.Name, a.Names, d.Pair)
	if err != nil {
		return r, fmt.Errorf("set config vars of %s: %w", a.Name, err)
	}
	r.At = a.Client.now()
	if warning != "" {
		r.Facts = append(r.Facts, rotation.Fact{Name: "warning", Label: "Heroku's warning", Value: warning})
	}
	// The vars are set: a release that cannot be found now is Verify's business.
	r.Data[dataAfter] = strconv.Itoa(before)
	if list, err := a.Client.Releases(ctx, a.Name, lookBack); err == nil {
		ours := a.ours(above(list, before))
		if ours.Version == 0 && dead {
			return r, a.releaseFailed("heroku.Apply", carrier.Version)
		}
		a.note(&r, ours.Version)
	}
	return r, nil
}

// note puts the release that carries the pair into the receipt.
func (a *App) note(r *rotation.Receipt, version int) {
	if version == 0 {
		return
	}
	r.Data[dataRelease] = strconv.Itoa(version)
	r.Facts = append(r.Facts, rotation.Fact{Name: "release", Label: "Release", Value: "v" + strconv.Itoa(version)})
}

// waiting reports whether a pending release of ours carries the pair, as after
// a lost reply to an app with a release phase. If Heroku does not say what the
// release carries, it counts as ours: [App.Verify] finds out before it is done.
func (a *App) waiting(ctx context.Context, carrier Release, p rotation.Pair) bool {
	if carrier.Status != "pending" {
		return false
	}
	held, err := a.Client.ReleaseVars(ctx, a.Name, carrier.Version, a.Names)
	if err != nil {
		return true
	}
	return held.Pair.Equal(p)
}

// carrier returns the release that brought the present values of the two vars:
// the newest that set them or, if that failed, the next one after it that did
// not. dead: it failed, and nothing came after it. The zero Release: it is
// older than what was looked at.
func (a *App) carrier(list []Release) (r Release, dead bool) {
	r = a.ours(list)
	if r.Status != "failed" {
		return r, false
	}
	for _, later := range slices.Backward(above(list, r.Version)) {
		if later.Status != "failed" {
			return later, false
		}
	}
	return r, true
}

// ours returns the newest release that set both of our names, else the newest
// that set one of them, else the zero Release.
func (a *App) ours(list []Release) (found Release) {
	for _, r := range list {
		names := setNames(r.Description)
		key, sec := slices.Contains(names, a.Names.KeyID), slices.Contains(names, a.Names.Secret)
		if key && sec {
			return r
		}
		if (key || sec) && found.Version == 0 {
			found = r
		}
	}
	return found
}

// setNames reads the names out of "Set A, B config vars" (cli-exchanges.json).
func setNames(description string) []string {
	rest, ok := strings.CutPrefix(description, "Set ")
	if !ok {
		return nil
	}
	names, _, _ := strings.Cut(rest, " config var")
	return strings.Split(names, ", ")
}

// above returns the releases after version; list is newest first.
func above(list []Release, version int) []Release {
	if i := slices.IndexFunc(list, func(r Release) bool { return r.Version <= version }); i >= 0 {
		return list[:i]
	}
	return list
}
