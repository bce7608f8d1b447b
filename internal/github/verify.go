package github

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// A seen is what GitHub says of one half, beside what the receipt says.
type seen struct {
	half
	updated time.Time // whole seconds
	there   bool
}

// Verify implements [rotation.Consumer]. GitHub shows when a secret was
// written, never what. Done means: each was last written at or after the
// moment at which GitHub itself stamped our write, in whole seconds, and not
// so much later that it was somebody else.
//
// GitHub stamps its answer after it stored the value, so a store in the last
// instant of a second would look one second too old. A time between the
// reading of the public key and the answer to our write is therefore ours too.
func (r *Repo) Verify(ctx context.Context, d rotation.Delivery, rec rotation.Receipt) (rotation.Proof, error) {
	stores, err := r.stores()
	if err != nil {
		return rotation.Proof{}, err
	}
	halves, ok := r.recall(stores, rec)
	if !ok || rec.Print != d.Print {
		return rotation.Proof{}, &fault.Error{
			Kind: fault.Conflict, Reason: "other_receipt", Op: "github.Verify",
			User: "What the bot last wrote to " + r.Name + " was another pair, or went to other secrets than bot.yml names now.",
			Fix:  "Press Retry: the pair is written again.",
		}
	}
	looks, err := look(ctx, halves)
	if err != nil {
		return rotation.Proof{}, err
	}
	out := rotation.Proof{Done: true, Facts: []rotation.Fact{{Name: "repo", Label: "Repository", Value: r.Name}}}
	var waits []string
	for _, l := range looks {
		switch {
		case !l.there:
			waits = append(waits, l.title()+" is not there yet")
		case l.updated.Before(l.since):
			waits = append(waits, l.title()+" was last written "+stamp(l.updated)+", before the bot wrote it")
		case l.foreign():
			return rotation.Proof{}, &fault.Error{
				Kind: fault.Conflict, Reason: "overwritten", Op: "github.Verify",
				User: "Somebody else wrote " + l.title() + " of " + r.Name + " " + stamp(l.updated) + ", after the bot wrote it " + stamp(l.at) + ".",
				Fix:  "Find out who did; then press Retry: the pair is written again.",
			}
		default:
			out.Facts = append(out.Facts, rotation.Fact{Name: "updated_at", Label: l.title() + " written", Value: stamp(l.updated)})
		}
	}
	if len(waits) > 0 {
		return rotation.Proof{Detail: strings.Join(waits, "; "), Facts: out.Facts}, nil
	}
	out.Detail = "both secrets written " + stamp(looks[0].updated) + "; " + r.keepOld()
	if len(stores) > 1 {
		out.Detail = "both secrets written to " + labels(stores) + " " + stamp(looks[0].updated) + "; " + r.keepOld()
	}
	others := r.remembered()
	if w := others.warning(r); w != "" {
		out.Detail += "; " + w
	}
	out.Facts = append(out.Facts, others.facts(r)...)
	return out, nil
}

// unchanged reports whether GitHub still holds what the last receipt says.
// Whatever keeps it from knowing makes it false: the write then tells.
func (r *Repo) unchanged(ctx context.Context, stores []store, d rotation.Delivery) bool {
	if d.Last == nil || d.Print == "" || d.Last.Print != d.Print {
		return false
	}
	halves, ok := r.recall(stores, *d.Last)
	if !ok {
		return false
	}
	looks, err := look(ctx, halves)
	if err != nil {
		return false
	}
	for _, l := range looks {
		if !l.there || l.updated.Before(l.since) || l.foreign() {
			return false
		}
	}
	return true
}

// recall returns the halves with the times that a receipt remembers; ok is
// false if it is not of these stores and names.
func (r *Repo) recall(stores []store, rec rotation.Receipt) (halves []half, ok bool) {
	for _, s := range stores {
		halves = append(halves, r.halves(s)...)
	}
	for i := range halves {
		h := &halves[i]
		at, errAt := time.Parse(time.RFC3339, rec.Data[h.key("put")])
		since, errSince := time.Parse(time.RFC3339, rec.Data[h.key("since")])
		if errAt != nil || errSince != nil {
			return nil, false
		}
		h.at, h.since = at, since
	}
	return halves, true
}

// look asks GitHub about every half at once.
func look(ctx context.Context, halves []half) ([]seen, error) {
	out := make([]seen, len(halves))
	errs := make([]error, len(halves))
	var wg sync.WaitGroup
	for i, h := range halves {
		wg.Go(func() {
			out[i].half = h
			out[i].updated, out[i].there, errs[i] = h.store.updated(ctx, h.name)
		})
	}
	wg.Wait()
	return out, worst(errs...)
}

// foreign reports whether the secret was written after our own write.
func (s seen) foreign() bool { return s.updated.After(s.at.Add(foreignAfter)) }

// worst returns the error that decides: one that needs a person before one
// whose outcome is unknown, and that before one that passes; of those that
// pass the one that asks to wait longest. It is nil if all are.
func worst(errs ...error) error {
	rank := func(err error) int {
		switch fault.KindOf(err) {
		case fault.Transient:
			return 1
		case fault.Unknown:
			return 2
		case fault.Internal, fault.Invalid, fault.Denied, fault.NotFound, fault.Conflict:
		}
		return 3
	}
	var out error
	for _, err := range errs {
		switch {
		case err == nil:
		case out == nil || rank(err) > rank(out),
			rank(err) == rank(out) && fault.RetryAfter(err) > fault.RetryAfter(out):
			out = err
		}
	}
	return out
}

func notReady(err error) rotation.Readiness {
	return rotation.Readiness{Level: rotation.NotReady, Problem: rotation.Problem{
		Kind: fault.KindOf(err).String(), Reason: fault.ReasonOf(err), Text: fault.UserText(err), Fix: fault.FixText(err),
	}}
}

func labels(stores []store) string {
	var out []string
	for _, s := range stores {
		out = append(out, s.label())
	}
	return strings.Join(out, " and ")
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
