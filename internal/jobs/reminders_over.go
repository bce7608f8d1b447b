package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
)

// amendAgain is how long messages are left alone after one could not be changed.
const amendAgain = time.Minute

// tidy notes a key set that is new, and ends the reminders of one that was
// rotated: what waits is taken back, and what was delivered is changed, one
// message a scan, so that its buttons go. A press that is faster is answered by
// [Reminders.Current].
func (r *Reminders) tidy(ctx context.Context, keyset string, now time.Time) error {
	m := r.sets[keyset]
	if m != nil && !m.over {
		if !m.told {
			return nil
		}
		due, _, err := r.due(ctx, keyset, m.last)
		if err != nil || due.String() == m.last.Due {
			return err
		}
	}
	rem, err := r.read(ctx, keyset)
	if err == nil && rem.rev == 0 {
		err = r.write(ctx, keyset, reminder{FirstSeen: now.UTC()})
	}
	if err != nil {
		return err
	}
	if m == nil {
		m = &memo{done: map[Ref]bool{}}
		r.sets[keyset] = m
	}
	m.took(rem)
	if m.told {
		due, _, err := r.due(ctx, keyset, rem)
		if err != nil {
			return err
		}
		if rem.Due != due.String() {
			return r.rotated(ctx, keyset, rem, due)
		}
	}
	if m.over && !now.Before(m.again) {
		return r.amend(ctx, keyset, rem, now)
	}
	return nil
}

// took keeps what most scans need of a record.
func (m *memo) took(rem reminder) {
	m.last, m.told, m.over = rem, rem.Due != "", len(rem.Over) > 0
}

// rotated ends the reminders of the due date in rem: there is another one now.
func (r *Reminders) rotated(ctx context.Context, keyset string, rem reminder, due day) error {
	if err := r.cfg.Outbox.Withdraw(ctx, dueKey(keyset, rem.Due)); err != nil {
		return err
	}
	return r.write(ctx, keyset, rem.begin(due)) // the next scan finds what is to be changed
}

// amend changes one message of a due date that is over; when there is none left
// it forgets that date.
func (r *Reminders) amend(ctx context.Context, keyset string, rem reminder, now time.Time) error {
	m, over := r.sets[keyset], rem.Over[0]
	ref, to, waits, err := r.delivered(ctx, dueKey(keyset, over), m.done)
	if err != nil || waits {
		return err
	}
	if ref != (Ref{}) && r.cfg.Closer != nil {
		err := r.closeNote(ctx, keyset, ref)
		switch {
		case err != nil && ctx.Err() != nil:
			return ctx.Err() // stopping
		case err != nil && passes(err):
			m.again = now.Add(max(amendAgain, fault.RetryAfter(err)))
			return fmt.Errorf("end reminder to %s: %w", to, err)
		case err != nil: // it is gone, or no longer ours to change
			r.cfg.Log.InfoContext(ctx, "reminder not changed", slog.String("keyset", keyset), slog.Any("error", err))
		}
		m.done[ref] = true
		return nil
	}
	rem.Over = slices.Clone(rem.Over[1:])
	clear(m.done)
	return r.write(ctx, keyset, rem)
}

// closeNote changes one message.
func (r *Reminders) closeNote(ctx context.Context, keyset string, at Ref) error {
	past, err := r.cfg.Shelf.Remembered(ctx, keyset)
	if err != nil {
		return &fault.Error{Kind: fault.Transient, Reason: "not_read", Op: "jobs.Reminders", Err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	return r.cfg.Closer.CloseNote(ctx, at, past)
}

// delivered returns one message that was delivered under prefix and is not in
// done, and whether one still is under way.
func (r *Reminders) delivered(ctx context.Context, prefix string, done map[Ref]bool) (at Ref, to string, waits bool, err error) {
	under, err := r.store().List(ctx, notePrefix+prefix, "", 1)
	if err != nil {
		return Ref{}, "", false, fmt.Errorf("list outbox: %w", err)
	}
	if len(under) > 0 {
		return Ref{}, "", true, r.cfg.Outbox.Withdraw(ctx, prefix)
	}
	kvs, err := r.store().List(ctx, toldPrefix+prefix, "", 0)
	if err != nil {
		return Ref{}, "", false, fmt.Errorf("list reminders: %w", err)
	}
	for _, kv := range kvs {
		var t told
		if err := json.Unmarshal(kv.Value, &t); err != nil {
			return Ref{}, "", false, fmt.Errorf("decode %s: %w", kv.Key, err)
		}
		if t.delivered() && t.Ref.TS != "" && !done[t.Ref] {
			return t.Ref, kv.Key[strings.LastIndexByte(kv.Key, '/')+1:], false, nil
		}
	}
	return Ref{}, "", false, nil
}

// Current returns nil if a reminder about that due date still stands, and else
// (Conflict, reason reminder_over) says what is the case now. An empty due means
// the last reminder that was sent.
func (r *Reminders) Current(ctx context.Context, keyset, due string) error {
	_, _, err := r.current(ctx, keyset, due)
	return err
}

// current is Current, and returns what it saw.
func (r *Reminders) current(ctx context.Context, keyset, due string) (reminder, day, error) {
	rem, err := r.read(ctx, keyset)
	if err != nil {
		return rem, 0, err
	}
	now, _, err := r.due(ctx, keyset, rem)
	if err != nil {
		return rem, 0, err
	}
	if due == "" {
		if due = rem.Due; rem.Rung == "" {
			due = ""
		}
	}
	if due != now.String() {
		return rem, 0, &fault.Error{
			Kind: fault.Conflict, Reason: "reminder_over", Op: "jobs.Reminders",
			User: "This reminder is over: " + keyset + " is due on " + now.String() + " now.", Fix: "Nothing must be done.",
		}
	}
	return rem, now, nil
}
