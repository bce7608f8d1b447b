package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// pagePrefix + rotation ID is the record of a page: a forced rotation that the
// bot opened, and who was woken for it.
const pagePrefix = "page/"

// Waits between two tries to reach the pager.
const (
	pageWait     = 5 * time.Second
	mostPageWait = 2 * time.Minute
	brokenWait   = 10 * time.Minute // a person must mend something first
)

// A Pager wakes people beside Slack. Errors are faults: Transient and Unknown
// are tried again by themselves.
type Pager interface {
	// Trigger wakes people once per key; a repeat while it is not resolved wakes
	// nobody again.
	Trigger(ctx context.Context, key, summary string, details map[string]string) error
	// Resolve ends it; a repeat does nothing.
	Resolve(ctx context.Context, key string) error
}

// A page is stored until everybody who was woken knows that it is over.
type page struct {
	Rotation rotation.ID `json:"rotation"`
	KeySet   string      `json:"keyset"`
	At       time.Time   `json:"at"` // when it was decided
	Since    time.Time   `json:"since"`
	LastOK   time.Time   `json:"last_ok,omitzero"`
	Status   int         `json:"status,omitempty"`
	Last4    string      `json:"last4,omitempty"`    // of the dead key's ID
	Account4 string      `json:"account4,omitempty"` // of the account's number

	Told   bool      `json:"told,omitempty"`   // on-call was told in Slack
	People []string  `json:"people,omitempty"` // who that was
	Tried  bool      `json:"tried,omitempty"`  // the pager may have been reached
	Woken  time.Time `json:"woken,omitzero"`   // the pager took it
	Over   time.Time `json:"over,omitzero"`    // the rotation ended
	Tries  int       `json:"tries,omitempty"`  // in a row, without success
	Next   time.Time `json:"next,omitzero"`    // not before
	Taken  bool      `json:"taken,omitempty"`  // a person has it in hand: nobody else is woken

	rev rotation.Rev
}

// pages sees to every page that is stored: it keeps nothing in memory, so a
// restart loses and repeats nothing.
type pages struct {
	cfg   SentinelConfig
	woken chan struct{}
	pulse *pulse
}

// run looks at every page at each scan of the outbox, and when woken.
func (p *pages) run(ctx context.Context) {
	p.pulse.begin()
	for ctx.Err() == nil {
		if err := p.scan(ctx); err != nil && ctx.Err() == nil {
			p.cfg.Log.WarnContext(ctx, "not every page could be seen to; the next scan tries again", slog.Any("error", err))
		}
		p.pulse.beat()
		t := time.NewTimer(p.cfg.Outbox.cfg.Scan)
		select {
		case <-t.C:
		case <-p.woken:
		case <-ctx.Done():
		}
		t.Stop()
	}
}

// opening returns what stores a new page, and whether there is none yet.
func (p *pages) opening(ctx context.Context, pg page) (op rotation.Op, fresh bool, err error) {
	rev, err := p.cfg.Outbox.read(ctx, pagePrefix+string(pg.Rotation), &page{})
	if err != nil || rev != 0 {
		return op, false, err
	}
	op, err = put(pagePrefix+string(pg.Rotation), pg)
	return op, err == nil, err
}

// scan sees to all pages at the same time: a pager that hangs for one holds up
// no other.
func (p *pages) scan(ctx context.Context) error {
	kvs, err := p.cfg.Outbox.cfg.Store.List(ctx, pagePrefix, "", 0)
	if err != nil {
		return fmt.Errorf("list pages: %w", err)
	}
	errs := make([]error, len(kvs))
	var wg sync.WaitGroup
	for i, kv := range kvs {
		wg.Go(func() {
			pg := page{rev: kv.Rev}
			if errs[i] = json.Unmarshal(kv.Value, &pg); errs[i] == nil {
				errs[i] = p.see(ctx, pg)
			}
			if errs[i] != nil {
				errs[i] = fmt.Errorf("page %s: %w", strings.TrimPrefix(kv.Key, pagePrefix), errs[i])
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// see does the next thing for one page.
func (p *pages) see(ctx context.Context, pg page) error {
	o, err := p.cfg.Engine.Look(ctx, pg.Rotation)
	if err != nil {
		return err
	}
	if o.Rotation.Outcome != rotation.Open {
		return p.end(ctx, pg, o)
	}
	if o.Rotation.Operator.ID != rotation.BotActor {
		return p.taken(ctx, pg)
	}
	var errs []error
	if !pg.Told {
		if pg, err = p.tell(ctx, pg, o); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, p.wakeUp(ctx, pg))...)
}

// taken stops the page: a person has the rotation in hand, and from here on the
// ladder tells who must know. What was sent is ended when the rotation is.
func (p *pages) taken(ctx context.Context, pg page) error {
	if pg.Taken {
		return nil
	}
	if err := p.cfg.Outbox.Withdraw(ctx, forcedKey(pg.Rotation, "")); err != nil {
		return err
	}
	pg.Taken = true
	_, err := p.keep(ctx, pg)
	return err
}

// wakeUp reaches the pager once.
func (p *pages) wakeUp(ctx context.Context, pg page) error {
	if p.cfg.Pager == nil || !pg.Woken.IsZero() || p.cfg.Now().Before(pg.Next) {
		return nil
	}
	pg.Tried = true // before it is: whoever finds this must resolve it
	pg, err := p.keep(ctx, pg)
	if err != nil {
		return err
	}
	if err = p.cfg.Pager.Trigger(ctx, string(pg.Rotation), summaryOf(pg), detailsOf(pg)); err != nil {
		return p.again(ctx, pg, "trigger", err)
	}
	pg.Woken, pg.Tries, pg.Next = p.cfg.Now().UTC(), 0, time.Time{}
	p.cfg.Log.InfoContext(ctx, "on-call paged", slog.String("rotation", string(pg.Rotation)), slog.String("keyset", pg.KeySet))
	_, err = p.keep(ctx, pg)
	return err
}

// end tells whoever was woken that it is over, and then forgets the page.
func (p *pages) end(ctx context.Context, pg page, o rotation.Overview) error {
	now := p.cfg.Now().UTC()
	if pg.Over.IsZero() {
		if err := p.cfg.Outbox.Withdraw(ctx, forcedKey(pg.Rotation, "")); err != nil {
			return err
		}
		pg.Over, pg.Tries, pg.Next = now, 0, time.Time{}
		var mails []mail
		if o.Rotation.Outcome == rotation.StoodDown {
			mails = p.aliveMails(pg, o)
		}
		kept, err := p.keep(ctx, pg, mails...)
		if err != nil {
			return err
		}
		pg = kept
	}
	if now.Before(pg.Next) {
		return nil
	}
	if pg.Tried && p.cfg.Pager != nil {
		if err := p.cfg.Pager.Resolve(ctx, string(pg.Rotation)); err != nil {
			return p.again(ctx, pg, "resolve", err)
		}
	}
	if p.cfg.Closer != nil {
		if err := p.closeAll(ctx, pg, o); err != nil {
			return p.again(ctx, pg, "end the page in Slack", err)
		}
	}
	key := pagePrefix + string(pg.Rotation)
	if _, err := p.cfg.Outbox.keep(ctx, []rotation.Cond{{Key: key, Rev: pg.rev}}, rotation.Op{Key: key, Delete: true}); err != nil {
		return err
	}
	return nil
}

// closeAll changes every page that was delivered: nobody who opens it later
// reads that trading fails, or is asked to start. One that is gone, or no longer
// ours to change, is left.
func (p *pages) closeAll(ctx context.Context, pg page, o rotation.Overview) error {
	kvs, err := p.cfg.Outbox.cfg.Store.List(ctx, toldPrefix+forcedKey(pg.Rotation, ""), "", 0)
	if err != nil {
		return &fault.Error{Kind: fault.Transient, Reason: "not_read", Op: "jobs.pages", Err: err}
	}
	for _, kv := range kvs {
		var t told
		if err := json.Unmarshal(kv.Value, &t); err != nil {
			return fmt.Errorf("decode %s: %w", kv.Key, err)
		}
		if !t.delivered() || t.Ref.TS == "" {
			continue
		}
		limited, cancel := context.WithTimeout(ctx, callLimit)
		err := p.cfg.Closer.ClosePage(limited, t.Ref, o)
		cancel()
		p.pulse.beat() // there may be many
		switch {
		case err != nil && (ctx.Err() != nil || passes(err)):
			return err
		case err != nil:
			p.cfg.Log.InfoContext(ctx, "page not changed", slog.String("rotation", string(pg.Rotation)), slog.Any("error", err))
		}
	}
	return nil
}

// again notes a try that failed and when the next one is due.
func (p *pages) again(ctx context.Context, pg page, what string, cause error) error {
	if ctx.Err() != nil {
		return ctx.Err() // the bot stops; the next start tries again
	}
	wait, level := doubled(pageWait, mostPageWait, pg.Tries), slog.LevelWarn
	if !passes(cause) {
		wait, level = brokenWait, slog.LevelError
	}
	wait = max(wait, fault.RetryAfter(cause))
	pg.Tries++
	pg.Next = p.cfg.Now().UTC().Add(wait)
	p.cfg.Log.LogAttrs(ctx, level, "pager not reached", slog.String("what", what), slog.String("rotation", string(pg.Rotation)), slog.Any("error", cause), slog.Int64("again_in_ms", wait.Milliseconds()))
	_, err := p.keep(ctx, pg)
	return err
}

// keep stores pg, with mails, if nobody else has changed it.
func (p *pages) keep(ctx context.Context, pg page, mails ...mail) (page, error) {
	box, key := p.cfg.Outbox, pagePrefix+string(pg.Rotation)
	op, err := put(key, pg)
	if err != nil {
		return pg, err
	}
	conds, ops, err := box.posting(ctx, []rotation.Cond{{Key: key, Rev: pg.rev}}, []rotation.Op{op}, mails...)
	if err != nil {
		return pg, err
	}
	rev, err := box.keep(ctx, conds, ops...)
	if err != nil {
		return pg, err
	}
	pg.rev = rev
	wake(box.notes)
	return pg, nil
}
