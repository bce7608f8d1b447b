package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

const (
	readyPrefix  = "readiness/"        // + key set: its last weekly check
	checkEvery   = 7 * 24 * time.Hour  // between two weekly checks
	checkLimit   = 3 * time.Minute     // for one, whatever it asks
	checkAgain   = time.Hour           // after one that could not be done
	tokenSoon    = 21 * 24 * time.Hour // a token that runs out within this is to be renewed first
	expiresFact  = "token_expires"     // name of the fact that says when: RFC 3339 or a calendar day
	scheduleSlop = 12 * time.Hour      // the week is counted to the schedule's next time, not to the second
)

// A Checker runs the whole of step 1 without a rotation; [rotation.Engine] does.
// It only reads.
type Checker interface {
	Check(ctx context.Context, keyset string) (rotation.Report, error)
}

// A ReadinessConfig is what a [Readiness] works with. Scan may be left out.
type ReadinessConfig struct {
	Engine   Checker
	Shelf    Shelf
	Outbox   *Outbox
	Channel  string         // the ops channel
	Schedule cron.Schedule  // that of the reminders: the weekly check is run at one of its times
	Zone     *time.Location // by whose calendar days are named
	Now      func() time.Time
	Log      *slog.Logger
	Scan     time.Duration // 0 means 5 s
}

// A Readiness says how ready a key set is to be rotated: before the reminders of
// 14 and 1 day, and once a week, when the ops channel is told if something fails
// that did not fail the week before. It changes nothing but its own record.
type Readiness struct {
	cfg ReadinessConfig

	// By key set; used by Run alone.
	last  map[string]time.Time // when it was checked
	tried map[string]time.Time // when that was tried in vain

	pulse *pulse
}

// NewReadiness returns a readiness that does nothing until Run or Facts is
// called.
func NewReadiness(cfg ReadinessConfig) *Readiness {
	cfg.Scan = cmp.Or(cfg.Scan, defaultScan)
	return &Readiness{
		cfg: cfg, last: map[string]time.Time{}, tried: map[string]time.Time{},
		pulse: &pulse{name: "readiness", every: cfg.Scan, most: checkLimit + scanMost, now: cfg.Now},
	}
}

// Facts returns what a reminder says about a key set: values for
// [rotation.NoteReady] and the keys beside it. If the checks cannot be run it
// says that.
func (r *Readiness) Facts(ctx context.Context, keyset string) map[string]string {
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	rep, err := r.cfg.Engine.Check(ctx, keyset)
	if err != nil {
		r.cfg.Log.WarnContext(ctx, "readiness not known", slog.String("keyset", keyset), slog.Any("error", err))
		return map[string]string{rotation.NoteFirst: sentence("The checks could not be run:", fault.UserText(err), fault.FixText(err))}
	}
	return r.facts(rep)
}

// facts turns a report into what a note says.
func (r *Readiness) facts(rep rotation.Report) map[string]string {
	data := map[string]string{rotation.NoteChecked: stamp(rep.At)}
	ready, items := 0, 0
	for _, it := range rep.Items {
		if it.State == rotation.Skipped {
			continue
		}
		items++
		if works(it) && r.token(it, rep.At) == "" {
			ready++
		}
	}
	if items > 0 {
		data[rotation.NoteReady], data[rotation.NoteItems] = strconv.Itoa(ready), strconv.Itoa(items)
	}
	if first := r.first(rep); first != "" {
		data[rotation.NoteFirst] = first
	}
	if ms, ok := median(rep.Exposed); ok {
		data[rotation.NoteExposed], data[rotation.NoteTimes] = strconv.FormatInt(ms, 10), strconv.Itoa(min(len(rep.Exposed), exposedTimes))
	}
	if rep.Snapshot != nil {
		data[rotation.NoteMarket] = "closed"
		if rep.Snapshot.Survey.MarketOpen {
			data[rotation.NoteMarket] = "open"
		}
	}
	return data
}

// exposedTimes is of how many rotations the exposed time is summed up.
const exposedTimes = 5

// works reports whether an item of step 1 is ready, or cannot be proven without
// writing: only failed is not ready.
func works(it rotation.Item) bool { return it.State == rotation.Done && it.Level != rotation.NotReady }

// first says what to mend first: what fails, then a token that runs out soon.
func (r *Readiness) first(rep rotation.Report) string {
	hide := func(s string) string { return s }
	if s := rep.Snapshot; s != nil && s.Account.Number != "" {
		hide = strings.NewReplacer(s.Account.Number, rotation.Masked(s.Account.Number)).Replace
	}
	for _, it := range rep.Items {
		if it.State != rotation.Skipped && !works(it) {
			return hide(sentence(it.Name+":", cmp.Or(it.Problem.Text, it.Detail, "It is not ready."), it.Problem.Fix))
		}
	}
	soonest, text := time.Time{}, ""
	for _, it := range rep.Items {
		at, ok := expires(it, r.cfg.Zone)
		if s := r.token(it, rep.At); ok && s != "" && (soonest.IsZero() || at.Before(soonest)) {
			soonest, text = at, s
		}
	}
	return text
}

// token says that an item's token runs out soon, or has; "" if not.
func (r *Readiness) token(it rotation.Item, now time.Time) string {
	at, ok := expires(it, r.cfg.Zone)
	if !ok || at.After(now.Add(tokenSoon)) {
		return ""
	}
	at, now = at.In(r.cfg.Zone), now.In(r.cfg.Zone)
	on := at.Format("Monday 2 January")
	if at.Year() != now.Year() {
		on = at.Format("Monday 2 January 2006")
	}
	verb := "expires on "
	if at.Before(now) {
		verb = "expired on "
	}
	return sentence(it.Name+": its token", verb+on+".", "Renew it first.")
}

// expires returns when the token of an item runs out. A calendar day is the end
// of that day.
func expires(it rotation.Item, zone *time.Location) (time.Time, bool) {
	for _, f := range it.Facts {
		if f.Name != expiresFact {
			continue
		}
		if at, err := time.Parse(time.RFC3339, f.Value); err == nil {
			return at, true
		}
		if at, err := time.ParseInLocation(dayForm, f.Value, zone); err == nil {
			return at.AddDate(0, 0, 1).Add(-time.Second), true
		}
	}
	return time.Time{}, false
}

// median is that of the newest five; of an even number the lower one.
func median(ms []int64) (int64, bool) {
	if len(ms) == 0 {
		return 0, false
	}
	last := slices.Clone(ms[max(0, len(ms)-exposedTimes):])
	slices.Sort(last)
	return last[(len(last)-1)/2], true
}

// sentence joins parts that are not empty.
func sentence(parts ...string) string {
	parts = slices.DeleteFunc(parts, func(s string) bool { return s == "" })
	return strings.Join(parts, " ")
}

// A checked is what is kept of the last weekly check of a key set.
type checked struct {
	At     time.Time `json:"at"`
	Failed []string  `json:"failed,omitempty"` // "item reason", sorted
}

// Run checks each key set once a week until ctx ends. The first check is a week
// after the key set was first seen.
func (r *Readiness) Run(ctx context.Context) error {
	r.pulse.begin()
	for {
		now := r.cfg.Now().UTC()
		for _, name := range r.cfg.Shelf.KeySets() {
			if err := r.weekly(ctx, name, now); err != nil && ctx.Err() == nil {
				r.tried[name] = now
				r.cfg.Log.WarnContext(ctx, "weekly check not done; it is tried again in an hour", slog.String("keyset", name), slog.Any("error", err))
			}
			r.pulse.beat()
		}
		r.pulse.beat()
		if !pause(ctx, r.cfg.Scan) {
			return nil
		}
	}
}

// weekly checks one key set if it is time.
func (r *Readiness) weekly(ctx context.Context, keyset string, now time.Time) error {
	if last, ok := r.tried[keyset]; ok && now.Sub(last) >= 0 && now.Sub(last) < checkAgain {
		return nil
	}
	isDue := func(last time.Time) bool {
		return hasFired(r.cfg.Schedule, last.Add(checkEvery-scheduleSlop), now, r.cfg.Zone)
	}
	if last, ok := r.last[keyset]; ok && !isDue(last) {
		return nil
	}
	key := readyPrefix + keyset
	var was checked
	rev, err := r.cfg.Outbox.read(ctx, key, &was)
	if err != nil {
		return err
	}
	if rev == 0 {
		return r.keep(ctx, key, 0, checked{At: now})
	}
	if r.last[keyset] = was.At; !isDue(was.At) {
		return nil
	}
	if _, err := r.cfg.Shelf.Active(ctx, keyset); !errors.Is(err, rotation.ErrNotFound) {
		return err // an open rotation has checked it, and shows that
	}
	limited, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	rep, err := r.cfg.Engine.Check(limited, keyset)
	if err != nil {
		return fmt.Errorf("check %s: %w", keyset, err)
	}
	is := checked{At: now, Failed: r.failed(rep)}
	if len(is.Failed) == 0 || slices.Equal(is.Failed, was.Failed) {
		return r.keep(ctx, key, rev, is)
	}
	op, err := put(key, is)
	if err != nil {
		return err
	}
	n := rotation.Note{Kind: rotation.NoteCheck, KeySet: keyset, Data: r.facts(rep)}
	n.Data[rotation.NoteSince] = stamp(was.At)
	m := mail{key: "check/" + keyset + "/" + stamp(was.At), to: r.cfg.Channel, note: n}
	return r.cfg.Outbox.fire(ctx, m, []rotation.Cond{{Key: key, Rev: rev}}, []rotation.Op{op})
}

// failed names what is not ready, so that two checks can be compared.
func (r *Readiness) failed(rep rotation.Report) []string {
	var list []string
	for _, it := range rep.Items {
		switch {
		case it.State == rotation.Skipped:
		case !works(it):
			list = append(list, it.Name+" "+it.Problem.Reason)
		case r.token(it, rep.At) != "":
			list = append(list, it.Name+" "+expiresFact)
		}
	}
	slices.Sort(list)
	return list
}

func (r *Readiness) keep(ctx context.Context, key string, rev rotation.Rev, c checked) error {
	op, err := put(key, c)
	if err != nil {
		return err
	}
	if _, err := r.cfg.Outbox.cfg.Store.Txn(ctx, []rotation.Cond{{Key: key, Rev: rev}}, []rotation.Op{op}); err != nil {
		return fmt.Errorf("keep weekly check: %w", err)
	}
	return nil
}
