package heroku

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

const phaseText = "The app has a release command: the new pair goes live only when that succeeds."

const prebootText = "Preboot is on: for about three minutes after the release, old dynos that Heroku does not show may still answer with the old pair."

// Verify implements [rotation.Consumer]. It is one look: the release succeeded,
// the vars are equal, and every dyno of the formation is up on that release or a
// later one. Looking again is harmless.
//
// A release that failed is a fault of kind Invalid and reason release_failed;
// vars that somebody changed since are Conflict, overwritten.
func (a *App) Verify(ctx context.Context, d rotation.Delivery, r rotation.Receipt) (rotation.Proof, error) {
	version, _ := strconv.Atoi(r.Data[dataRelease])
	var release Release
	var vars Vars
	var dynos []Dyno
	var releaseErr, varsErr, dynosErr error
	var wg sync.WaitGroup
	wg.Go(func() { release, releaseErr = a.release(ctx, version, r.Data[dataAfter]) })
	wg.Go(func() { vars, varsErr = a.Client.Vars(ctx, a.Name, a.Names) })
	wg.Go(func() { dynos, dynosErr = a.Client.Dynos(ctx, a.Name) })
	wg.Wait()

	if releaseErr != nil {
		return rotation.Proof{}, fmt.Errorf("read release of %s: %w", a.Name, releaseErr)
	}
	if release.Version == 0 && r.Data[dataAfter] != "" {
		return rotation.Proof{Detail: "Heroku does not show the release of this change yet"}, nil
	}
	facts := append(releaseFact(release), prebootFact(r.Data[dataPreboot])...)
	switch {
	case release.Status == "failed":
		return rotation.Proof{}, a.releaseFailed("heroku.Verify", release.Version)
	case release.Version != 0 && release.Status != "succeeded" && release.Status != "expired":
		return rotation.Proof{Detail: unfinished(release), Facts: facts}, nil
	}
	if varsErr != nil {
		return rotation.Proof{}, fmt.Errorf("read config vars of %s: %w", a.Name, varsErr)
	}
	if !vars.Pair.Equal(d.Pair) {
		return a.unequal(ctx, d.Pair, release.Version, facts)
	}
	if dynosErr != nil {
		return rotation.Proof{}, fmt.Errorf("read dynos of %s: %w", a.Name, dynosErr)
	}
	done, detail, more := judge(dynos, release.Version)
	if done && r.Data[dataPreboot] == "on" {
		detail += ". " + prebootText
	}
	return rotation.Proof{Done: done, Detail: detail, Facts: append(facts, more...)}, nil
}

// release returns release version, or looks for ours above after. The zero
// Release: it is not known, or not shown yet.
func (a *App) release(ctx context.Context, version int, after string) (Release, error) {
	if version > 0 {
		return a.Client.Release(ctx, a.Name, version)
	}
	before, err := strconv.Atoi(after)
	if err != nil {
		return Release{}, nil //nolint:nilerr // without it the vars were equal before, by a release too old to find
	}
	list, err := a.Client.Releases(ctx, a.Name, lookBack)
	return a.ours(above(list, before)), err
}

// unequal decides whether somebody changed the vars, or whether they were read
// in the moment before the release went live: it looks once more, and at what
// the release carries if that is the newest.
func (a *App) unequal(ctx context.Context, p rotation.Pair, version int, facts []rotation.Fact) (rotation.Proof, error) {
	v, err := a.look(ctx)
	if err != nil {
		return rotation.Proof{}, fmt.Errorf("look again at %s: %w", a.Name, err)
	}
	newest := version
	if later := above(v.releases, version); len(later) > 0 {
		newest = later[0].Version
	}
	lag := v.vars.Pair.Equal(p)
	if !lag && newest == version {
		held, err := a.Client.ReleaseVars(ctx, a.Name, version, a.Names)
		lag = err != nil || held.Pair.Equal(p)
	}
	if lag {
		return rotation.Proof{Detail: "the config vars do not show the pair yet", Facts: facts}, nil
	}
	return rotation.Proof{}, &fault.Error{
		Kind: fault.Conflict, Reason: "overwritten", Op: "heroku.Verify",
		User: fmt.Sprintf("Somebody changed the pair in the config vars of %s after the bot had set it; the newest release is v%d.", a.Name, newest),
		Fix:  "Find out who it was (`heroku releases -a " + a.Name + "`), then press Retry: the bot sets the current pair again.",
	}
}

// releaseFailed never offers a rollback: the old pair is dead (R67).
func (a *App) releaseFailed(op string, version int) error {
	return &fault.Error{
		Kind: fault.Invalid, Reason: "release_failed", Op: op,
		User: fmt.Sprintf("Release v%d of %s failed: its release command ended with an error, so the new pair is not live there.", version, a.Name),
		Fix: fmt.Sprintf("Read `heroku releases:output v%d -a %s`, fix the release command, then press Retry. Going back to an earlier release does not help: the old pair no longer works.",
			version, a.Name),
	}
}

// judge says whether every dyno of the formation is up on version or later. A
// one-off dyno keeps its environment until it ends and is only reported; an
// idle one holds no process and starts with the new values; none at all is done
// (so does the vendor's own ps:wait).
func judge(dynos []Dyno, version int) (done bool, detail string, facts []rotation.Fact) {
	var up, idle, oneOff int
	var waiting, crashed []string
	for _, d := range dynos {
		switch {
		case d.Type == "run" || d.Type == "release":
			if d.Version < version {
				oneOff++
			}
		case d.State == "idle":
			idle++
		case d.State == "crashed" && d.Version >= version:
			crashed = append(crashed, oneLine(d.Name, 30))
		case d.State == "up" && d.Version >= version:
			up++
		default:
			waiting = append(waiting, fmt.Sprintf("%s is %s on v%d", oneLine(d.Name, 30), oneLine(d.State, 20), d.Version))
		}
	}
	value := fmt.Sprintf("%d up", up)
	if version > 0 {
		value += fmt.Sprintf(" on v%d or later", version)
	}
	if idle > 0 {
		value += fmt.Sprintf(", %d idle", idle)
	}
	facts = []rotation.Fact{{Name: "dynos", Label: "Dynos", Value: value}}
	if oneOff > 0 {
		facts = append(facts, rotation.Fact{Name: "one_off", Label: "One-off dynos", Value: fmt.Sprintf("%d still run with older config vars until they end", oneOff)})
	}
	switch {
	case len(crashed) > 0:
		return false, "crashed: " + first(crashed) + "; look at `heroku logs -a APP`", facts
	case len(waiting) > 0:
		return false, first(waiting), facts
	case up+idle == 0:
		return true, "no dynos are running", facts
	}
	return true, value, facts
}

// first returns the first three of list and how many more there are.
func first(list []string) string {
	if len(list) <= 3 {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:3], ", "), len(list)-3)
}

func releaseFact(r Release) []rotation.Fact {
	if r.Version == 0 {
		return nil
	}
	return []rotation.Fact{{Name: "release", Label: "Release", Value: fmt.Sprintf("v%d %s", r.Version, status(r))}}
}

// unfinished says what a release waits for.
func unfinished(r Release) string {
	text := fmt.Sprintf("release v%d is %s", r.Version, status(r))
	if r.Command {
		text += ": its release command still runs"
	}
	return text
}

// status returns one of the schema's states, never an unknown text.
func status(r Release) string {
	switch r.Status {
	case "pending", "succeeded", "failed", "expired":
		return r.Status
	}
	return "in an unknown state"
}

func prebootFact(preboot string) []rotation.Fact {
	if preboot != "on" {
		return nil
	}
	return []rotation.Fact{{Name: "preboot", Label: "Preboot", Value: "on: for about 3 minutes old dynos may use the old pair"}}
}

// failed turns an error into a failed readiness.
func failed(err error) rotation.Readiness {
	p := rotation.Problem{Kind: fault.KindOf(err).String(), Reason: fault.ReasonOf(err), Text: fault.UserText(err), Fix: fault.FixText(err)}
	return rotation.Readiness{Level: rotation.NotReady, Detail: p.Text, Problem: p}
}
