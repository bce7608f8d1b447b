package jobs

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// The engine commits the post in the same transaction as the rotation, and
// tells the outbox just before everybody can see the change: for a moment a
// look is older than the post. It is repeated after staleWait, doubling to
// mostStaleWait; after staleLooks (about a minute) somebody else must have
// written the post, and what is there is sent.
const (
	staleWait     = 5 * time.Millisecond
	mostStaleWait = time.Second
	staleLooks    = 68
)

// A posted is what is kept of a rotation's message.
type posted struct {
	Ref
	Maybe bool `json:"maybe,omitempty"` // one was begun to be sent: it may be there
}

// A channelLane is the state of runChannel, which alone uses it.
type channelLane struct {
	*Outbox
	jobs    map[rotation.ID]*attempt
	turn    uint64
	pace    *hold // until the next update, over all rotations
	posts   *hold // the service asked to wait with posts
	updates *hold // and with updates: each method has its own limit
}

// A message is a channel post that may be sent now.
type message struct {
	id       rotation.ID
	marker   rotation.KV // the post
	posted   posted
	rev      rotation.Rev // of posted; 0: nothing is kept yet
	overview rotation.Overview
	job      *attempt
}

// first reports whether the rotation has no message yet.
func (m *message) first() bool { return m.posted.TS == "" }

// before reports whether m is sent before n: a first message, then one whose
// rotation is over, then the one that has waited for most turns.
func (m *message) before(n *message) bool {
	if m.first() != n.first() {
		return m.first()
	}
	over := m.overview.Rotation.Outcome != rotation.Open
	if over != (n.overview.Rotation.Outcome != rotation.Open) {
		return over
	}
	return m.job.turn < n.job.turn
}

// runChannel keeps each rotation's one message up to date until ctx ends.
func (o *Outbox) runChannel(ctx context.Context) {
	l := &channelLane{Outbox: o, jobs: map[rotation.ID]*attempt{}}
	o.channelPulse.begin()
	for {
		m := l.next(ctx)
		if m != nil && ctx.Err() == nil {
			l.send(ctx, m)
		}
		o.channelPulse.beat()
		if m != nil && ctx.Err() == nil {
			continue
		}
		if !o.idle(ctx, o.channel) {
			return
		}
	}
}

// next returns what is to be sent now, or nil.
func (l *channelLane) next(ctx context.Context) *message {
	kvs, err := l.cfg.Store.List(ctx, rotation.ChannelKey(""), "", 0)
	if err != nil {
		if ctx.Err() == nil {
			l.cfg.Log.WarnContext(ctx, "outbox not read", slog.Any("error", err))
		}
		return nil
	}
	var best *message
	for _, kv := range kvs {
		l.seen(kv)
		m := &message{id: channelID(kv.Key), marker: kv}
		if m.job = l.jobs[m.id]; m.job == nil {
			m.job = &attempt{}
			l.jobs[m.id] = m.job
		}
		if m.job.hold.held() || !l.look(ctx, m) {
			continue
		}
		if best == nil || m.before(best) {
			best = m
		}
	}
	return best
}

// seen remembers since when a rotation has something to show.
func (l *channelLane) seen(kv rotation.KV) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.since[kv.Key]; !ok {
		l.since[kv.Key] = createdOf(kv)
	}
}

// look fills in m and reports whether it may be sent now.
func (l *channelLane) look(ctx context.Context, m *message) bool {
	var err error
	m.posted, m.rev, err = l.posted(ctx, m.id)
	if err == nil {
		if m.first() && l.posts.held() || !m.first() && (l.pace.held() || l.updates.held()) {
			return false
		}
		m.overview, err = l.cfg.Engine.Look(ctx, m.id)
	}
	switch {
	case ctx.Err() != nil:
		return false
	case errors.Is(err, rotation.ErrNotFound):
		l.cfg.Log.ErrorContext(ctx, "post about an unknown rotation dropped", slog.String("rotation", string(m.id)))
		l.sent(ctx, m)
		delete(l.jobs, m.id)
		return false
	case err != nil:
		l.retry(ctx, m, "look", err, true, nil)
		return false
	case m.overview.Rotation.Rev < m.marker.Rev && m.job.stale < staleLooks:
		m.job.hold = holdFor(doubled(staleWait, mostStaleWait, m.job.stale), l.channel)
		m.job.stale++
		return false
	}
	return true
}

// send posts or updates m.
func (l *channelLane) send(ctx context.Context, m *message) {
	ctx, done := linger(ctx)
	defer done()
	l.turn++
	m.job.turn, m.job.stale = l.turn, 0
	if m.first() {
		l.post(ctx, m)
	} else {
		l.update(ctx, m)
	}
}

// post sends a rotation's first message. That it is going to is committed
// before: whoever finds that mark without a message knows that it may be there.
func (l *channelLane) post(ctx context.Context, m *message) {
	again := m.posted.Maybe
	if err := l.keepPosted(ctx, m, posted{Maybe: true}); err != nil {
		l.retry(ctx, m, "mark", err, true, nil)
		return
	}
	call, cancel := context.WithTimeout(ctx, callLimit)
	ref, err := l.cfg.Poster.Post(call, m.overview, again)
	cancel()
	if err != nil {
		if certain(err) && !again {
			_ = l.keepPosted(ctx, m, posted{}) // not kept: one repeat that says so
		}
		l.retry(ctx, m, "post", err, certain(err), &l.posts)
		return
	}
	if err := l.keepPosted(ctx, m, posted{Ref: ref}); err != nil {
		l.retry(ctx, m, "keep", err, true, nil)
		return
	}
	m.job.fails, m.job.unsure = 0, 0
	l.sent(ctx, m)
}

// update brings a rotation's message up to date. Repeating it is harmless.
func (l *channelLane) update(ctx context.Context, m *message) {
	l.pace = holdFor(l.cfg.Pace, l.channel)
	call, cancel := context.WithTimeout(ctx, callLimit)
	err := l.cfg.Poster.Update(call, m.posted.Ref, m.overview)
	cancel()
	switch {
	case err == nil:
		m.job.fails, m.job.unsure = 0, 0
		l.sent(ctx, m)
	case fault.KindOf(err) == fault.NotFound:
		l.cfg.Log.WarnContext(ctx, "message is gone, another one is posted", slog.String("rotation", string(m.id)), slog.Any("error", err))
		if err := l.keepPosted(ctx, m, posted{}); err != nil {
			l.retry(ctx, m, "keep", err, true, nil)
			return
		}
		if m.job.gone++; m.job.gone > 1 { // somebody, or something, takes each of them away
			m.job.hold = holdFor(doubled(unsureWait, mostUnsureWait, m.job.gone-2), l.channel)
		}
	default:
		l.retry(ctx, m, "update", err, true, &l.updates)
	}
}

// retry decides when m is tried again after err. harmless: that cannot make a
// second copy. method is where a wait goes that the service asked for.
func (l *channelLane) retry(ctx context.Context, m *message, what string, err error, harmless bool, method **hold) {
	wait := fault.RetryAfter(err)
	if wait > 0 && method != nil {
		*method = holdFor(wait, l.channel)
	} else {
		wait = m.job.wait(harmless)
		m.job.hold = holdFor(wait, l.channel)
	}
	person := !passes(err) && fault.ReasonOf(err) != m.job.reason // once for each reason
	if person {
		m.job.reason = fault.ReasonOf(err)
	}
	l.failed(ctx, what, m.marker.Key, err, wait, person)
}

// sent removes the post, unless the rotation has changed since: then it is sent
// again, so that the last state always arrives.
func (l *channelLane) sent(ctx context.Context, m *message) {
	_, err := l.keep(ctx, []rotation.Cond{{Key: m.marker.Key, Rev: m.marker.Rev}}, rotation.Op{Key: m.marker.Key, Delete: true})
	if err != nil && !errors.Is(err, rotation.ErrConflict) {
		l.retry(ctx, m, "remove", err, true, nil)
		return
	}
	l.mu.Lock()
	delete(l.since, m.marker.Key)
	l.mu.Unlock()
	if err == nil && m.overview.Rotation.Outcome != rotation.Open {
		delete(l.jobs, m.id)
	}
}

// posted returns what is kept of the rotation's message, and its revision.
func (o *Outbox) posted(ctx context.Context, id rotation.ID) (posted, rotation.Rev, error) {
	var p posted
	rev, err := o.read(ctx, postedPrefix+string(id), &p)
	return p, rev, err
}

// keepPosted replaces what is kept of m's message.
func (l *channelLane) keepPosted(ctx context.Context, m *message, p posted) error {
	key := postedPrefix + string(m.id)
	op, err := put(key, p)
	if err != nil {
		return err
	}
	rev, err := l.keep(ctx, []rotation.Cond{{Key: key, Rev: m.rev}}, op)
	if err != nil {
		return err
	}
	m.posted, m.rev = p, rev
	return nil
}
