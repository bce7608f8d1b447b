package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// rollPrefix + key set is the record of its roll-call.
const rollPrefix = "rollcall/"

// The stages of a roll-call, in the order in which they are reached. They are
// stored: a number never changes its meaning. 0 is before the first.
const (
	rollBegun  = 1 // at completion
	rollFirst  = 2 // after 1 day
	rollSecond = 3 // after 3 days
	rollClosed = 4 // all have pressed, or there is nobody
)

// rollOld is how long after its completion the roll-call of a rotation is not
// begun any more.
const rollOld = 30 * 24 * time.Hour

// rollDays is after how many days a stage is reached.
func rollDays(stage int) int {
	switch stage {
	case rollFirst:
		return 1
	case rollSecond:
		return 3
	}
	return 0
}

// A Caller knows the developers who were told of a pair; [rotation.Engine] does.
type Caller interface {
	RollCall(ctx context.Context, keyset string) (rotation.RollCall, error)
}

// A RollCallConfig is what a [RollCall] works with. Pull and Scan may be left
// out.
type RollCallConfig struct {
	Engine  Caller
	Shelf   Shelf
	Outbox  *Outbox
	Channel string // the ops channel
	// Pull says for each key set how its pair is pulled: the keys of
	// [rotation.Note] data that a note of kind NoteUpdate has too.
	Pull map[string]map[string]string
	Now  func() time.Time
	Log  *slog.Logger
	Scan time.Duration // 0 means 5 s
}

// A RollCall goes on after a rotation: it reminds developers who have not
// pressed Updated after 1 and 3 days, and says in the thread of the rotation's
// message who has, at completion, after 1 and 3 days, and when it was the last
// one (R47). Each stage is written down in the transaction that queues what is
// said in the thread, so it is said once, also across restarts; stages that
// passed while the bot was down become one.
//
// Run must be called once.
type RollCall struct {
	cfg    RollCallConfig
	closed map[string]rotation.ID // key set → rotation whose roll-call is over; used by Run alone
	said   map[string]string      // key set → failure that was logged
	pulse  *pulse
}

// NewRollCall returns a roll-call that does nothing until Run is called.
func NewRollCall(cfg RollCallConfig) *RollCall {
	cfg.Scan = cmp.Or(cfg.Scan, defaultScan)
	return &RollCall{
		cfg: cfg, closed: map[string]rotation.ID{}, said: map[string]string{},
		pulse: &pulse{name: "roll-call", every: cfg.Scan, most: scanMost, now: cfg.Now},
	}
}

// Run scans until ctx ends.
func (c *RollCall) Run(ctx context.Context) error {
	c.pulse.begin()
	for {
		now := c.cfg.Now().UTC()
		for _, name := range c.cfg.Shelf.KeySets() {
			err := c.call(ctx, name, now)
			switch {
			case err == nil:
				delete(c.said, name)
			case ctx.Err() == nil && c.said[name] != err.Error():
				c.said[name] = err.Error()
				c.cfg.Log.WarnContext(ctx, "roll-call not made; the next scan tries again", slog.String("keyset", name), slog.Any("error", err))
			}
			c.pulse.beat()
		}
		c.pulse.beat()
		if !pause(ctx, c.cfg.Scan) {
			return nil
		}
	}
}

// A roll is how far the roll-call of a key set is, as it is stored.
type roll struct {
	Rotation rotation.ID  `json:"rotation"`
	Stage    int          `json:"stage"`
	rev      rotation.Rev // 0: there is none
}

// call makes the roll-call of one key set, if a stage is reached.
func (c *RollCall) call(ctx context.Context, keyset string, now time.Time) error {
	rec, err := c.cfg.Shelf.Remembered(ctx, keyset)
	if err != nil || rec.Last == "" || c.closed[keyset] == rec.Last {
		return err
	}
	was, err := c.read(ctx, keyset)
	if err != nil {
		return err
	}
	if was.Rotation == rec.Last && was.Stage == rollClosed {
		c.closed[keyset] = rec.Last
		return nil
	}
	rc, err := c.cfg.Engine.RollCall(ctx, keyset)
	if err != nil {
		return err
	}
	if rc.Rotation != rec.Last {
		return nil // it changes just now
	}
	if was.Rotation != rc.Rotation {
		if was.Rotation != "" {
			if err := c.cfg.Outbox.Withdraw(ctx, silentKey(was.Rotation)); err != nil {
				return err
			}
		}
		was = roll{Rotation: rc.Rotation, rev: was.rev}
	}
	if was.Stage == 0 && now.Sub(rc.Completed) > rollOld {
		rc.People = nil
	}
	if err := c.spare(ctx, rc); err != nil {
		return err
	}
	stage := reachedStage(rc, now)
	if stage <= was.Stage {
		return nil
	}
	return c.say(ctx, keyset, rc, was, stage, now)
}

// reachedStage returns the last stage that is reached.
func reachedStage(rc rotation.RollCall, now time.Time) int {
	_, open := pressed(rc)
	waited := now.Sub(rc.Completed)
	switch {
	case len(open) == 0:
		return rollClosed
	case waited >= 3*24*time.Hour:
		return rollSecond
	case waited >= 24*time.Hour:
		return rollFirst
	}
	return rollBegun
}

// pressed returns who has pressed Updated for all that they were told of, and
// who has not; each once.
func pressed(rc rotation.RollCall) (done, open []string) {
	for _, p := range rc.People {
		if p.Updated.IsZero() && !slices.Contains(open, p.ID) {
			open = append(open, p.ID)
		}
	}
	for _, p := range rc.People {
		if !slices.Contains(open, p.ID) && !slices.Contains(done, p.ID) {
			done = append(done, p.ID)
		}
	}
	return done, open
}

// say reminds the silent and then says in the thread how it stands, which is
// also what is written down.
func (c *RollCall) say(ctx context.Context, keyset string, rc rotation.RollCall, was roll, stage int, now time.Time) error {
	posted, err := c.cfg.Outbox.Posted(ctx, rc.Rotation)
	if err != nil {
		return err
	}
	if posted.TS == "" && now.Sub(rc.Completed) < 24*time.Hour && len(rc.People) > 0 {
		return nil // its message is not in the channel yet: there is no thread
	}
	if stage == rollFirst || stage == rollSecond {
		if err := c.remind(ctx, keyset, rc, rollDays(stage)); err != nil {
			return err
		}
	}
	op, err := put(rollPrefix+keyset, roll{Rotation: rc.Rotation, Stage: stage})
	if err != nil {
		return err
	}
	conds, ops := []rotation.Cond{{Key: op.Key, Rev: was.rev}}, []rotation.Op{op}
	if len(rc.People) == 0 { // nobody to call
		if _, err := c.store().Txn(ctx, conds, ops); err != nil {
			return fmt.Errorf("keep roll-call: %w", err)
		}
		return nil
	}
	done, open := pressed(rc)
	n := rotation.Note{Kind: rotation.NoteRollCall, Rotation: rc.Rotation, KeySet: keyset, Data: map[string]string{rotation.NoteSince: stamp(rc.Completed), rotation.NoteDays: strconv.Itoa(int(now.Sub(rc.Completed).Hours() / 24))}}
	for k, v := range map[string]string{rotation.NoteDone: strings.Join(done, " "), rotation.NoteOpen: strings.Join(open, " "), rotation.NoteThread: posted.TS} {
		if v != "" {
			n.Data[k] = v
		}
	}
	// What was to be said earlier and was not sent says less than this.
	if err := c.cfg.Outbox.Withdraw(ctx, "roll/"+string(rc.Rotation)+"/"); err != nil {
		return err
	}
	m := mail{key: "roll/" + string(rc.Rotation) + "/" + strconv.Itoa(stage), to: cmp.Or(posted.Channel, c.cfg.Channel), note: n}
	return c.cfg.Outbox.fire(ctx, m, conds, ops)
}

// remind queues a note to everybody who has not pressed Updated, in place of an
// earlier one that was not sent.
func (c *RollCall) remind(ctx context.Context, keyset string, rc rotation.RollCall, days int) error {
	var errs []error
	for _, p := range rc.People {
		if !p.Updated.IsZero() {
			continue
		}
		n := rotation.Note{Kind: rotation.NoteSilent, Rotation: rc.Rotation, KeySet: keyset, Consumer: p.Consumer, Data: map[string]string{}}
		maps.Copy(n.Data, c.cfg.Pull[keyset])
		n.Data[rotation.NoteSince], n.Data[rotation.NoteDays] = stamp(rc.Completed), strconv.Itoa(days)
		if days > 1 {
			errs = append(errs, c.cfg.Outbox.Withdraw(ctx, personKey(rc.Rotation, p)))
		}
		errs = append(errs, c.cfg.Outbox.Queue(ctx, personKey(rc.Rotation, p)+strconv.Itoa(days), p.ID, n))
	}
	return errors.Join(errs...)
}

// spare takes back what waits to be sent to people who have pressed meanwhile.
func (c *RollCall) spare(ctx context.Context, rc rotation.RollCall) error {
	waits, err := c.store().List(ctx, notePrefix+silentKey(rc.Rotation), "", 1)
	if err != nil {
		return fmt.Errorf("list outbox: %w", err)
	}
	if len(waits) == 0 {
		return nil
	}
	for _, p := range rc.People {
		if p.Updated.IsZero() {
			continue
		}
		if err := c.cfg.Outbox.Withdraw(ctx, personKey(rc.Rotation, p)); err != nil {
			return err
		}
	}
	return nil
}

// silentKey starts the keys of the notes to the silent of one rotation, and
// personKey those to one of them; how many days follows.
func silentKey(id rotation.ID) string { return "silent/" + string(id) + "/" }

func personKey(id rotation.ID, p rotation.Called) string {
	return silentKey(id) + p.ID + "/" + p.Consumer + "/"
}

func (c *RollCall) read(ctx context.Context, keyset string) (was roll, err error) {
	was.rev, err = c.cfg.Outbox.read(ctx, rollPrefix+keyset, &was)
	return was, err
}

func (c *RollCall) store() rotation.Store { return c.cfg.Outbox.cfg.Store }
