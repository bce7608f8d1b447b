package rotation

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Past is one rotation in the history of a key set.
type Past struct {
	ID       ID
	KeySet   string
	Trigger  Trigger
	Reason   string
	Operator Actor // [BotActor]: it opened by itself and nobody took it
	Opened   time.Time
	Closed   time.Time // zero: it is open
	Outcome  Outcome
	Exposed  time.Duration // 0: nothing was exposed, or it did not complete
	AtMost   time.Duration
	Cause    Cause  // of a forced one; "": none is known
	OldLast4 string // "": no old pair was known
	NewLast4 string // "": none was chosen
}

// History returns rotations of a key set, open or over, newest first: at most
// limit, 0 means all. It reads every rotation there is. One that another version
// of the bot wrote and this one cannot read is left out.
func (e *Engine) History(ctx context.Context, keyset string, limit int) ([]Past, error) {
	kvs, err := e.cfg.Store.List(ctx, rotationPrefix, "", 0)
	if err != nil {
		return nil, fmt.Errorf("list rotations: %w", err)
	}
	var all []Past
	for _, kv := range kvs {
		var r Rotation
		if err := json.Unmarshal(kv.Value, &r); err != nil {
			e.cfg.Log.WarnContext(ctx, "rotation not readable", slog.String("key", kv.Key), errAttr(err))
		} else if r.KeySet == keyset {
			all = append(all, past(&r))
		}
	}
	slices.SortFunc(all, func(a, b Past) int { return cmp.Or(b.Opened.Compare(a.Opened), cmp.Compare(b.ID, a.ID)) })
	if limit > 0 && len(all) > limit {
		all = all[:limit]
	}
	return all, nil
}

func past(r *Rotation) Past {
	p := Past{
		ID: r.ID, KeySet: r.KeySet, Trigger: r.Trigger, Reason: r.Reason, Operator: r.Operator,
		Opened: r.Opened, Closed: r.Closed, Outcome: r.Outcome, OldLast4: r.OldLast4,
	}
	if r.Accident != nil {
		p.Cause = r.Accident.Cause
	}
	if r.Outcome == Completed {
		x := r.Exposure()
		p.Exposed, p.AtMost = x.Took, x.AtMost
	}
	if r.Chosen != 0 {
		p.NewLast4 = r.candidate(r.Chosen).Last4
	}
	return p
}

// What somebody did with a pair; values of [Hand.What].
const (
	HandOperator = "operator" // ran the rotation
	HandPasted   = "pasted"   // pasted the pair
	HandVisitor  = "visitor"  // was at step 2 last
	HandTold     = "told"     // was told to pull it
	HandUpdated  = "updated"  // has pulled it
)

// A Hand is somebody who has handled a pair.
type Hand struct {
	ID   string // Slack user, or "local:<login>"
	What string // HandOperator and so on
	At   time.Time
}

// Hands returns who has handled the present pair of each configured key set, in
// the order of time: one entry for each person and what they did. A key set that
// the bot never rotated has none: who knows its pair is not known.
func (e *Engine) Hands(ctx context.Context) (map[string][]Hand, error) {
	all := map[string][]Hand{}
	for _, keyset := range e.KeySets() {
		last, err := e.last(ctx, keyset)
		if err != nil {
			return nil, err
		}
		if last == nil || last.Chosen == 0 {
			continue
		}
		cand := last.candidate(last.Chosen)
		hands := []Hand{{last.Operator.ID, HandOperator, last.Opened}, {cand.By.ID, HandPasted, cand.At}, {last.Visitor.ID, HandVisitor, last.Step(StepGenerate).Started}}
		called, err := e.called(ctx, last)
		if err != nil {
			return nil, err
		}
		for _, c := range called {
			hands = append(hands, Hand{c.ID, HandTold, c.Told})
			if !c.Updated.IsZero() {
				hands = append(hands, Hand{c.ID, HandUpdated, c.Updated})
			}
		}
		slices.SortStableFunc(hands, func(a, b Hand) int { return a.At.Compare(b.At) })
		for _, h := range hands {
			known := func(o Hand) bool { return o.ID == h.ID && o.What == h.What }
			if h.ID != "" && h.ID != BotActor && !slices.ContainsFunc(all[keyset], known) {
				all[keyset] = append(all[keyset], h)
			}
		}
	}
	return all, nil
}

// last returns the last completed rotation of a key set, or nil.
func (e *Engine) last(ctx context.Context, keyset string) (*Rotation, error) {
	rec, err := e.led.record(ctx, keyset)
	if err != nil || rec.Last == "" {
		return nil, err
	}
	r, err := e.led.load(ctx, rec.Last)
	if errors.Is(err, ErrNotFound) {
		return nil, nil //nolint:nilnil // there is none, which is no error
	}
	return &r, err
}

// A RollCall says which developers were told of the last completed rotation's
// pair, and who has pressed Updated.
type RollCall struct {
	Rotation  ID        // "": the key set was never rotated
	Completed time.Time // when that was
	People    []Called  // by consumer, in the order in which they are configured
}

// A Called is one developer in a [RollCall].
type Called struct {
	ID       string // Slack user; or the conversation that was told
	Consumer string
	Told     time.Time // when the note was handed over
	Updated  time.Time // zero: not yet
}

// RollCall returns the roll-call of the last completed rotation of a key set. A
// developer who was told of a pair that was superseded before the end, and
// pressed Updated for that, has not updated.
func (e *Engine) RollCall(ctx context.Context, keyset string) (RollCall, error) {
	last, err := e.last(ctx, keyset)
	if err != nil || last == nil {
		return RollCall{}, err
	}
	people, err := e.called(ctx, last)
	return RollCall{Rotation: last.ID, Completed: last.Closed, People: people}, err
}

// DataPeople is the key of [Receipt.Data] under which a consumer that tells
// people keeps who they are, separated by spaces.
const DataPeople = "people"

// called returns who was told in a rotation, and who has updated.
func (e *Engine) called(ctx context.Context, r *Rotation) ([]Called, error) {
	kvs, err := e.cfg.Store.List(ctx, rollCallPrefix+string(r.ID)+"/", "", 0)
	if err != nil {
		return nil, fmt.Errorf("list roll-call: %w", err)
	}
	var all []Called
	for _, it := range r.Step(StepPropagate).Items {
		if it.Receipt == nil {
			continue
		}
		for id := range strings.FieldsSeq(it.Receipt.Data[DataPeople]) {
			c := Called{ID: id, Consumer: it.Name, Told: it.Receipt.At}
			for _, kv := range kvs {
				if !answers(kv.Key, rollCallKey(r.ID, it.Name, id, r.given(it.Name)), r.ID) {
					continue
				}
				at, err := time.Parse(time.RFC3339Nano, string(kv.Value))
				if err != nil {
					return nil, fmt.Errorf("decode %s: %w", kv.Key, err)
				}
				if c.Updated.IsZero() || at.Before(c.Updated) {
					c.Updated = at
				}
			}
			all = append(all, c)
		}
	}
	return all, nil
}

// answers reports whether the press under key counts for the one that is
// expected under want. In a conversation anybody may press.
func answers(key, want string, id ID) bool {
	if key == want {
		return true
	}
	k, w := strings.Split(key, "/"), strings.Split(want, "/")
	conversation := len(w) == 5 && w[3] != "" && strings.ContainsRune("CDG", rune(w[3][0]))
	return conversation && len(k) == len(w) && w[1] == string(id) && k[1] == w[1] && k[2] == w[2] && k[4] == w[4]
}

// given returns the candidate whose pair a consumer was given last, by what its
// receipt says; 0: none that is known.
func (r *Rotation) given(consumer string) int {
	it := r.Step(StepPropagate).Item(consumer)
	if it == nil || it.Receipt == nil {
		return 0
	}
	if c := r.printed(it.Receipt.Print); c != nil {
		return c.N
	}
	return 0
}

// rollCallKey names the press of one person for one pair.
func rollCallKey(id ID, consumer, person string, candidate int) string {
	return rollCallPrefix + strings.Join([]string{string(id), consumer, person, strconv.Itoa(candidate)}, "/")
}
