// Package developers tells people that a pair has changed and where to pull it
// from. It reaches them through a [rotation.Notifier] only, and it never hands
// a value on (R46, R47): a developer reads the new pair from the vault.
//
// It does not know how a note looks, nor who pressed Updated: the roll-call
// goes on after the rotation.
package developers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// A Group is the people of one consumer of kind "developers".
type Group struct {
	Name     string   // of the consumer in bot.yml
	KeySet   string   // whose pair it is
	Users    []string // Slack user IDs; a repeated one is told once
	Channel  string   // instead of Users: the ID of a direct conversation that the bot is in
	Place    string   // where the pair is pulled from, for people
	Pull     Pull     // the same for the command that pulls it
	Names    rotation.Names
	Notifier rotation.Notifier
	Now      func() time.Time
}

// sendLimit is how long telling one person may hold a rotation up.
const sendLimit = 5 * time.Second

// A Pull is what the infisical command needs to find the pair.
type Pull struct {
	Project     string
	Environment string
	Path        string
}

var _ rotation.Consumer = (*Group)(nil)

const (
	dataTold   = "informed"       // in a receipt: how many were told
	reasonDM   = "dm_not_ours"    // G6
	reasonNone = "nobody_to_tell" // neither users nor channel
)

// Ready implements [rotation.Consumer]: it tries whether each person can be
// written to, without writing.
func (g *Group) Ready(ctx context.Context) rotation.Readiness {
	to := g.people()
	if len(to) == 0 {
		return notReady(g.nobody())
	}
	errs := each(to, func(person string) error { return g.Notifier.Reach(ctx, person) })
	if failed, err := sum(to, errs); err != nil {
		return notReady(g.unreachable(failed, err))
	}
	return rotation.Readiness{
		Level:  rotation.Ready,
		Detail: fmt.Sprintf("%d of %d can be written to", len(to), len(to)),
	}
}

// Apply implements [rotation.Consumer]: it tells everybody at once. A note has
// a key of its own for each rotation, consumer, person and pair, so that a
// repeat tells only those who were not told yet.
func (g *Group) Apply(ctx context.Context, d rotation.Delivery) (rotation.Receipt, error) {
	to := g.people()
	if len(to) == 0 {
		return rotation.Receipt{}, g.nobody()
	}
	note := rotation.Note{
		Kind: rotation.NoteUpdate, Rotation: d.Rotation, KeySet: d.KeySet, Consumer: g.Name,
		Data: map[string]string{
			rotation.NotePlace: g.Place, rotation.NoteProject: g.Pull.Project, rotation.NoteEnvironment: g.Pull.Environment, rotation.NotePath: g.Pull.Path,
			rotation.NoteKeyIDName: g.Names.KeyID, rotation.NoteSecretName: g.Names.Secret, rotation.NoteLast4: d.Pair.Last4(),
		},
	}
	var queued atomic.Int32
	errs := each(to, func(person string) error {
		limited, cancel := context.WithTimeout(ctx, sendLimit)
		defer cancel()
		err := g.Notifier.Send(limited, g.key(d, person), person, note)
		if ctx.Err() == nil && fault.ReasonOf(err) == rotation.ReasonWaiting {
			queued.Add(1) // it is kept and follows when Slack is back: a rotation does not wait for that
			return nil
		}
		return err
	})
	if failed, err := sum(to, errs); err != nil {
		return rotation.Receipt{}, &fault.Error{
			Kind: fault.KindOf(err), Reason: "not_all_told", Op: "developers.Apply", RetryAfter: fault.RetryAfter(err), Err: err,
			User: fmt.Sprintf("%d of %d were told; not %s. %s", len(to)-len(failed), len(to), strings.Join(failed, ", "), fault.UserText(err)),
			Fix:  "Tell them to pull the new pair from " + g.Place + ". " + fault.FixText(err),
		}
	}
	told := fmt.Sprintf("%d of %d", len(to)-int(queued.Load()), len(to))
	if n := queued.Load(); n > 0 {
		told += fmt.Sprintf(", %d as soon as Slack answers", n)
	}
	return rotation.Receipt{
		At: g.Now().UTC(), Print: d.Print,
		Data:  map[string]string{dataTold: told, rotation.DataPeople: strings.Join(to, " ")},
		Facts: []rotation.Fact{{Name: "informed", Label: "Informed", Value: told}},
	}, nil
}

// Verify implements [rotation.Consumer]. Having told people is all that this
// consumer can prove; it does not count for the exposed time.
func (g *Group) Verify(_ context.Context, _ rotation.Delivery, r rotation.Receipt) (rotation.Proof, error) {
	told := r.Data[dataTold]
	return rotation.Proof{
		Done:   true,
		Detail: "informed " + told + "; roll-call goes on",
		Facts:  []rotation.Fact{{Name: "informed", Label: "Informed", Value: told}},
	}, nil
}

// people returns who is told, each once.
func (g *Group) people() []string {
	if g.Channel != "" {
		return []string{g.Channel}
	}
	var out []string
	for _, u := range g.Users {
		if !slices.Contains(out, u) {
			out = append(out, u)
		}
	}
	return out
}

// key is what makes a note one note: a pair that is generated again in the same
// rotation is told anew, because what people pulled before is dead.
func (g *Group) key(d rotation.Delivery, person string) string {
	return strings.Join([]string{"developers", string(d.Rotation), g.Name, person, d.Print}, "/")
}

func (g *Group) nobody() error {
	return &fault.Error{
		Kind: fault.Invalid, Reason: reasonNone, Op: "developers.Group",
		User: "The consumer " + g.Name + " names nobody to tell.",
		Fix:  "Give it users (Slack user IDs) in bot.yml, then restart the bot.",
	}
}

// unreachable explains why some cannot be written to. A configured channel
// that Slack does not show is nearly always somebody else's direct message
// (G6): a bot can only write into conversations that it is in.
func (g *Group) unreachable(failed []string, err error) error {
	kind := fault.KindOf(err)
	if g.Channel != "" && (kind == fault.NotFound || kind == fault.Denied || kind == fault.Invalid) {
		return &fault.Error{
			Kind: kind, Reason: reasonDM, Op: "developers.Ready", Err: err,
			User: "The bot cannot write into " + g.Channel + ". The ID of a direct message works only for the two who are in it, and the bot is not one of them.",
			Fix:  "Name the people instead: users: [U…] in bot.yml; the bot then opens its own direct message with each. Then restart the bot.",
		}
	}
	return &fault.Error{
		Kind: kind, Reason: fault.ReasonOf(err), Op: "developers.Ready", RetryAfter: fault.RetryAfter(err), Err: err,
		User: "The bot cannot write to " + strings.Join(failed, ", ") + ". " + fault.UserText(err),
		Fix:  fault.FixText(err),
	}
}

// each runs f for everybody at once and returns their errors in order.
func each(to []string, f func(person string) error) []error {
	errs := make([]error, len(to))
	var wg sync.WaitGroup
	for i, person := range to {
		wg.Go(func() { errs[i] = f(person) })
	}
	wg.Wait()
	return errs
}

// sum returns whom it went wrong for, and the error that decides: one that
// needs a person before one that passes.
func sum(to []string, errs []error) (failed []string, err error) {
	passes := func(err error) bool {
		k := fault.KindOf(err)
		return k == fault.Transient || k == fault.Unknown
	}
	for i, e := range errs {
		if e == nil {
			continue
		}
		failed = append(failed, to[i])
		if err == nil || passes(err) && (!passes(e) || fault.RetryAfter(e) > fault.RetryAfter(err)) {
			err = e
		}
	}
	return failed, err
}

func notReady(err error) rotation.Readiness {
	return rotation.Readiness{Level: rotation.NotReady, Problem: rotation.Problem{
		Kind: fault.KindOf(err).String(), Reason: fault.ReasonOf(err), Text: fault.UserText(err), Fix: fault.FixText(err),
	}}
}
