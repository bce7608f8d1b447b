package jobs

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// Keys of what is remembered of people who left.
const (
	leaverPrefix = "leaver/"        // + key set + "/" + user: the pair for which an offboarding was proposed
	lookedKey    = "leavers-looked" // when that was last looked at
)

const (
	leaversEvery = 24 * time.Hour
	leaversAgain = time.Hour // if Slack did not say about everybody
)

// Hands knows who has handled the present pair of each key set;
// [rotation.Engine] does. Note appends an audit row.
type Hands interface {
	Hands(ctx context.Context) (map[string][]rotation.Hand, error)
	Note(ctx context.Context, row rotation.Row) error
}

// A Directory says whether somebody was deactivated in Slack. What is not known
// is never rounded: known is false if Slack does not answer, or does not know
// the person.
type Directory interface {
	Deactivated(ctx context.Context, id string) (gone, known bool)
}

// A LeaversConfig is what [Leavers] work with. Local and Scan may be left out.
type LeaversConfig struct {
	Engine  Hands
	Shelf   Shelf
	People  Directory
	Outbox  *Outbox
	Channel string            // the ops channel
	Local   map[string]string // login on the host → Slack user, for who acted in a terminal
	Now     func() time.Time
	Log     *slog.Logger
	Scan    time.Duration // 0 means 5 s
}

// Leavers look once a day whether somebody who handled a pair that is in use
// was deactivated in Slack, and propose an offboarding rotation to ops (R10).
// That is said once for a person and a pair: it is written down in the
// transaction that queues it. Run must be called once.
type Leavers struct {
	cfg  LeaversConfig
	next time.Time // not before; used by Run alone

	pulse *pulse
}

// NewLeavers returns leavers that do nothing until Run is called.
func NewLeavers(cfg LeaversConfig) *Leavers {
	cfg.Scan = cmp.Or(cfg.Scan, defaultScan)
	return &Leavers{cfg: cfg, pulse: &pulse{name: "leavers", every: cfg.Scan, most: scanMost, now: cfg.Now}}
}

// Run scans until ctx ends.
func (l *Leavers) Run(ctx context.Context) error {
	l.pulse.begin()
	for {
		if now := l.cfg.Now().UTC(); !now.Before(l.next) || l.next.Sub(now) > leaversEvery {
			if err := l.scan(ctx, now); err != nil && ctx.Err() == nil {
				l.next = now.Add(leaversAgain)
				l.cfg.Log.WarnContext(ctx, "people who left were not looked for; that is tried again in an hour", slog.Any("error", err))
			}
		}
		l.pulse.beat()
		if !pause(ctx, l.cfg.Scan) {
			return nil
		}
	}
}

// A looked is when people who left were last looked for.
type looked struct {
	At time.Time `json:"at"`
}

// A proposed is for which pair of a key set a person's leaving was told.
type proposed struct {
	Pair string    `json:"pair"`
	At   time.Time `json:"at"`
}

// scan looks at everybody if a day has passed.
func (l *Leavers) scan(ctx context.Context, now time.Time) error {
	var last looked
	rev, err := l.cfg.Outbox.read(ctx, lookedKey, &last)
	if err != nil {
		return err
	}
	if next := last.At.Add(leaversEvery); rev != 0 && now.Before(next) && !last.At.After(now) {
		l.next = next
		return nil
	}
	hands, err := l.cfg.Engine.Hands(ctx)
	if err != nil {
		return err
	}
	by := l.byPerson(hands)
	unknown := 0
	for _, person := range slices.Sorted(maps.Keys(by)) {
		gone, known := l.cfg.People.Deactivated(ctx, person)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !known {
			unknown++
		}
		if known && gone {
			if err := l.propose(ctx, person, by[person], now); err != nil {
				return err
			}
		}
		l.pulse.beat()
	}
	if unknown > 0 {
		l.next = now.Add(leaversAgain)
		l.cfg.Log.InfoContext(ctx, "not known of everybody whether they left; that is asked again in an hour", slog.Int("people", unknown))
		return nil
	}
	op, err := put(lookedKey, looked{At: now})
	if err != nil {
		return err
	}
	if _, err := l.store().Txn(ctx, []rotation.Cond{{Key: lookedKey, Rev: rev}}, []rotation.Op{op}); err != nil {
		return fmt.Errorf("keep when people were looked for: %w", err)
	}
	l.next = now.Add(leaversEvery)
	return nil
}

// A handled is what one person did with the present pair of a key set.
type handled struct {
	keyset string
	what   []string
}

// byPerson turns hands round. Who acted in a terminal counts as their Slack user.
func (l *Leavers) byPerson(hands map[string][]rotation.Hand) map[string][]handled {
	by := map[string][]handled{}
	for _, keyset := range slices.Sorted(maps.Keys(hands)) {
		for _, h := range hands[keyset] {
			id := h.ID
			if login, ok := strings.CutPrefix(id, "local:"); ok {
				id = l.cfg.Local[login]
			}
			if !strings.HasPrefix(id, "U") && !strings.HasPrefix(id, "W") {
				continue // nobody whom Slack knows
			}
			all := by[id]
			if len(all) == 0 || all[len(all)-1].keyset != keyset {
				all = append(all, handled{keyset: keyset})
			}
			at := &all[len(all)-1]
			if did := handText(h.What); !slices.Contains(at.what, did) {
				at.what = append(at.what, did)
			}
			by[id] = all
		}
	}
	return by
}

// handText says what somebody did with a pair.
func handText(what string) string {
	switch what {
	case rotation.HandOperator:
		return "ran the rotation"
	case rotation.HandPasted:
		return "pasted the pair"
	case rotation.HandVisitor:
		return "opened step 2"
	case rotation.HandTold:
		return "was told to pull it"
	case rotation.HandUpdated:
		return "pulled it"
	}
	return what
}

// propose queues one note about a person, for the pairs for which it was not
// told yet.
func (l *Leavers) propose(ctx context.Context, person string, all []handled, now time.Time) error {
	var sets, what, pairs []string
	var conds []rotation.Cond
	var ops []rotation.Op
	for _, h := range all {
		rec, err := l.cfg.Shelf.Remembered(ctx, h.keyset)
		if err != nil {
			return err
		}
		key, pair := leaverPrefix+h.keyset+"/"+person, cmp.Or(string(rec.Last), rec.Print)
		var was proposed
		rev, err := l.cfg.Outbox.read(ctx, key, &was)
		if err != nil {
			return err
		}
		if rev != 0 && was.Pair == pair {
			continue
		}
		op, err := put(key, proposed{Pair: pair, At: now})
		if err != nil {
			return err
		}
		conds, ops = append(conds, rotation.Cond{Key: key, Rev: rev}), append(ops, op)
		sets, pairs = append(sets, h.keyset), append(pairs, h.keyset+"="+pair)
		what = append(what, h.keyset+": "+strings.Join(h.what, ", "))
	}
	if len(sets) == 0 {
		return nil
	}
	for _, set := range sets {
		row := rotation.Row{At: now, KeySet: set, Actor: rotation.BotActor, Action: "secret.rotate.leaver", Context: map[string]any{"person": person}}
		if err := l.cfg.Engine.Note(ctx, row); err != nil {
			return err
		}
	}
	n := rotation.Note{Kind: rotation.NoteLeaver, Data: map[string]string{
		rotation.NotePeople: person, rotation.NoteKeySets: strings.Join(sets, " "), rotation.NoteWhat: strings.Join(what, "; "), rotation.NotePairs: strings.Join(pairs, " "),
	}}
	if len(sets) == 1 {
		n.KeySet = sets[0]
	}
	return l.cfg.Outbox.fire(ctx, mail{key: "leaver/" + person + "/" + strings.Join(pairs, ","), to: l.cfg.Channel, note: n}, conds, ops)
}

func (l *Leavers) store() rotation.Store { return l.cfg.Outbox.cfg.Store }
