// Package jobs is what runs on a clock:
//
//   - the outbox delivers what people are to be told;
//   - the ladder tells more of them the longer a rotation waits, and ends those
//     that nobody goes on with before the click;
//   - the sentinel watches the pairs in use, and pages when one is dead;
//   - reminders tell owners that a key set is due;
//   - readiness tries a key set before it is due, as step 1 does;
//   - the roll-call asks developers whether they have pulled the new pair;
//   - leavers are people who handled a pair in use and were deactivated.
//
// It knows when something is sent, to whom and how often, not what it says nor
// how it reaches Slack.
package jobs

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// Keys of the records that the outbox keeps. What waits is under
// [rotation.OutboxPrefix].
const (
	notePrefix   = rotation.OutboxPrefix + rotation.PostNote + "/" // + key: a note that waits
	postedPrefix = "posted/"                                       // + rotation ID: where its channel message is
	toldPrefix   = rotation.ToldPrefix                             // + key: what became of a note
)

const (
	defaultScan = 5 * time.Second
	defaultPace = 1500 * time.Millisecond
	callLimit   = 20 * time.Second // for a Poster that forgot its own
	grace       = 3 * time.Second  // for a call under way when the bot stops
)

// A Ref is where a message is.
type Ref struct {
	Channel string `json:"channel,omitempty"` // for a person the D… ID of the conversation
	TS      string `json:"ts,omitempty"`
}

// A Poster puts messages in front of people. Each call has its own deadline.
// What its errors mean:
//
//   - fault.Transient: nothing was sent; with RetryAfter, no call of the same
//     method is welcome before that;
//   - fault.Unknown: it may have been sent;
//   - fault.NotFound of Update: the message is gone, or can no longer be
//     changed by us;
//   - fault.Denied, fault.Invalid, fault.NotFound: nothing was sent, and a
//     person must do something first.
type Poster interface {
	// Post puts a new message about a rotation into the ops channel; again
	// says that an earlier one may be there already, which the text must say.
	Post(ctx context.Context, o rotation.Overview, again bool) (Ref, error)
	// Update replaces what the message says. A repeat changes nothing.
	Update(ctx context.Context, ref Ref, o rotation.Overview) error
	// Note writes to one person, or into a direct conversation; again as in
	// Post.
	Note(ctx context.Context, to string, n rotation.Note, again bool) (Ref, error)
}

// A Looker says how a rotation stands; [rotation.Engine] does.
type Looker interface {
	Look(ctx context.Context, id rotation.ID) (rotation.Overview, error)
}

// A LookFunc is a [Looker]. It lets the outbox be made before the engine, whose
// consumers need the outbox: it is first called in Run.
type LookFunc func(ctx context.Context, id rotation.ID) (rotation.Overview, error)

// Look implements [Looker].
func (f LookFunc) Look(ctx context.Context, id rotation.ID) (rotation.Overview, error) {
	return f(ctx, id)
}

// A Reacher tries whether a person can be written to, without writing.
type Reacher interface {
	Reach(ctx context.Context, to string) error
}

// A Config is what an [Outbox] works with. All fields but Scan and Pace are
// needed.
type Config struct {
	Store   rotation.Store
	Engine  Looker
	Poster  Poster
	Reacher Reacher
	Now     func() time.Time // for stamps; waiting does not depend on it
	Log     *slog.Logger
	Scan    time.Duration // how often it looks without being woken; 0 means 5 s
	Pace    time.Duration // between two updates, over all rotations; 0 means 1.5 s
}

// An Outbox delivers posts: the one message that each rotation has in the ops
// channel, and notes to people. What waits is in the store, so that a kill at
// any instant loses nothing; at worst something is sent once more, and says so.
// Its methods may be called from any goroutine. There must be one Outbox that
// runs on a store.
type Outbox struct {
	cfg     Config
	channel chan struct{} // wakes runChannel
	notes   chan struct{} // wakes runNotes

	channelPulse, notePulse *pulse

	mu      sync.Mutex
	settled chan struct{}        // closed when a note is delivered or has failed
	since   map[string]time.Time // channel post → Created of the first change not shown yet
	tries   map[string]*attempt  // notes that were begun, by key of their record
	limited *hold                // notes: the service asked to wait
	running int                  // notes under way
}

var _ rotation.Notifier = (*Outbox)(nil)

// New returns an outbox that sends nothing until Run is called.
func New(cfg Config) *Outbox {
	cfg.Scan = cmp.Or(cfg.Scan, defaultScan)
	cfg.Pace = cmp.Or(cfg.Pace, defaultPace)
	return &Outbox{
		cfg: cfg, channel: make(chan struct{}, 1), notes: make(chan struct{}, 1),
		settled: make(chan struct{}), since: map[string]time.Time{}, tries: map[string]*attempt{},
		channelPulse: &pulse{name: "outbox/channel", every: cfg.Scan, most: scanMost, now: cfg.Now},
		notePulse:    &pulse{name: "outbox/notes", every: cfg.Scan, most: scanMost, now: cfg.Now},
	}
}

// Run delivers until ctx ends. A call that is under way then has 3 s to come
// back; what is not known after that is sent once more by the next Run.
func (o *Outbox) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { o.runChannel(ctx) })
	wg.Go(func() { o.runNotes(ctx) })
	wg.Wait()
	return nil
}

// Wake says that there may be something to send. It never blocks.
func (o *Outbox) Wake() {
	wake(o.channel)
	wake(o.notes)
}

// Waiting returns how many posts wait and how long the oldest change has not
// been shown.
func (o *Outbox) Waiting(ctx context.Context) (count int, oldest time.Duration, err error) {
	kvs, err := o.cfg.Store.List(ctx, rotation.OutboxPrefix, "", 0)
	if err != nil {
		return 0, 0, fmt.Errorf("list outbox: %w", err)
	}
	now := o.cfg.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, kv := range kvs {
		created := createdOf(kv)
		if first, ok := o.since[kv.Key]; ok && first.Before(created) {
			created = first // later changes have replaced the record
		}
		oldest = max(oldest, now.Sub(created))
	}
	return len(kvs), oldest, nil
}

// Posted returns where the newest message of a rotation is; its zero value if
// none is known to be there.
func (o *Outbox) Posted(ctx context.Context, id rotation.ID) (Ref, error) {
	p, _, err := o.posted(ctx, id)
	return p.Ref, err
}

// idle waits until the loop is woken or should look by itself, and reports
// whether it should go on.
func (o *Outbox) idle(ctx context.Context, woken <-chan struct{}) bool {
	t := time.NewTimer(o.cfg.Scan)
	defer t.Stop()
	select {
	case <-woken:
	case <-t.C:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it is awake, or will be
	}
}

// createdOf returns when the post in kv was made; the zero time if it cannot be
// read.
func createdOf(kv rotation.KV) time.Time {
	var p rotation.Post
	if err := json.Unmarshal(kv.Value, &p); err != nil {
		return time.Time{}
	}
	return p.Created
}

// channelID returns the rotation that the channel post under key is about.
func channelID(key string) rotation.ID {
	return rotation.ID(strings.TrimPrefix(key, rotation.ChannelKey("")))
}
