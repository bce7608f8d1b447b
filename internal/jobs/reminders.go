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
	"time"

	"github.com/robfig/cron/v3"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// Keys of what is remembered.
const (
	reminderPrefix = "reminder/"       // + key set: its reminders
	firedKey       = "reminders-fired" // when every due date was last looked at
)

// defaultCadence is that of a key set for which none is known, in days.
const defaultCadence = 180

// A Shelf is the key sets and what is remembered of them; [rotation.Engine] is
// one.
type Shelf interface {
	KeySets() []string
	Remembered(ctx context.Context, keyset string) (rotation.Record, error)
	Active(ctx context.Context, keyset string) (rotation.ID, error)
}

// A Scribe writes the audit row of a snooze; [rotation.Engine] does.
type Scribe interface {
	Snoozed(ctx context.Context, by rotation.Actor, keyset, until, why string) error
}

// A Closer changes a message with buttons so that it says that it is over, and
// since when: its key set was rotated, as past says. A repeat changes nothing.
// Its errors mean what those of [Poster.Update] mean.
type Closer interface {
	CloseNote(ctx context.Context, at Ref, past rotation.Record) error
	// ClosePage does the same to a page: it says how the forced rotation ended.
	ClosePage(ctx context.Context, at Ref, o rotation.Overview) error
}

// A RemindersConfig is what [Reminders] work with. Owners, Facts, Closer and
// Scan may be left out.
type RemindersConfig struct {
	Outbox   *Outbox
	Shelf    Shelf
	Scribe   Scribe
	People   People
	Owners   map[string][]string // key set → Slack users; none: ops
	Cadence  map[string]int      // key set → days; none: 180
	Channel  string              // the ops channel
	Schedule cron.Schedule       // when due dates are looked at
	Zone     *time.Location      // whose calendar counts
	// Facts adds what helps whoever is reminded, such as how ready the key set
	// is. It is asked before the 14 and 1 day rungs; nil: nothing is added.
	Facts  func(ctx context.Context, keyset string) map[string]string
	Closer Closer // nil: what was delivered stays as it is, and a press on it is answered as over
	Now    func() time.Time
	Log    *slog.Logger
	Scan   time.Duration // 0 means 5 s
}

// Reminders tell owners when a key set is due (end of section 8 of the design):
// 14, 7, 1 and 0 days before, then daily. They keep no timers. Each scan works
// out from what is stored which rung was reached last, and each person gets one
// note per rung: its key says so, also after a restart or when the clock was
// moved. Rungs that passed while the bot was down become one note. There must be
// one that runs on a store.
//
// Run must be called once; the other methods may be called from any goroutine.
type Reminders struct {
	cfg RemindersConfig

	// Used by Run alone.
	fired fired
	sets  map[string]*memo // by key set
	said  string           // the last failure that was logged

	pulse *pulse
}

// A memo is what Run remembers of a key set, so that most scans read nothing.
type memo struct {
	last  reminder     // when Run last read or wrote it
	told  bool         // people hold reminders of the present due date
	over  bool         // messages of an earlier one are still to be changed
	done  map[Ref]bool // those that were
	again time.Time    // not before that
}

// NewReminders returns reminders that do nothing until Run is called.
func NewReminders(cfg RemindersConfig) *Reminders {
	cfg.Scan = cmp.Or(cfg.Scan, defaultScan)
	return &Reminders{
		cfg: cfg, sets: map[string]*memo{},
		pulse: &pulse{name: "reminders", every: cfg.Scan, most: checkLimit + scanMost, now: cfg.Now}, // Facts runs the checks
	}
}

// Run scans until ctx ends.
func (r *Reminders) Run(ctx context.Context) error {
	r.pulse.begin()
	for {
		err := r.scan(ctx)
		if err != nil && ctx.Err() == nil && err.Error() != r.said {
			r.cfg.Log.WarnContext(ctx, "not every due date could be looked at; the next scan tries again", slog.Any("error", err))
			r.said = err.Error()
		} else if err == nil {
			r.said = ""
		}
		r.pulse.beat()
		if !pause(ctx, r.cfg.Scan) {
			return nil
		}
	}
}

// A fired is when every due date was last looked at.
type fired struct {
	At  time.Time    `json:"at"`
	rev rotation.Rev // 0: not read yet, or never
}

// A reminder is what is remembered of one key set.
type reminder struct {
	FirstSeen time.Time    `json:"first_seen"`           // when the bot first knew of the key set
	Due       string       `json:"due,omitempty"`        // what the rung below belongs to
	Rung      string       `json:"rung,omitempty"`       // last that people were told of
	Snoozed   string       `json:"snoozed,omitempty"`    // day of the next reminder, if it was put off
	SnoozedBy string       `json:"snoozed_by,omitempty"` // Slack user
	Over      []string     `json:"over,omitempty"`       // due dates that are over, whose messages still look as if they were not
	rev       rotation.Rev // 0: there is none
}

// scan ends the reminders of key sets that were rotated, and looks at every due
// date if the schedule has fired since the last time.
func (r *Reminders) scan(ctx context.Context) error {
	now := r.cfg.Now()
	if r.fired.rev == 0 {
		if err := r.start(ctx, now); err != nil {
			return err
		}
	}
	var errs []error
	for _, name := range r.cfg.Shelf.KeySets() {
		if err := r.tidy(ctx, name, now); err != nil {
			errs = append(errs, fmt.Errorf("reminders of %s: %w", name, err))
		}
		r.pulse.beat()
	}
	if r.fires(now) {
		errs = append(errs, r.lookAll(ctx, now))
	}
	return errors.Join(errs...)
}

// lookAll looks at every due date. What fails for one key set holds up no other;
// the next scan looks again.
func (r *Reminders) lookAll(ctx context.Context, now time.Time) error {
	var errs []error
	for _, name := range r.cfg.Shelf.KeySets() {
		if err := r.look(ctx, name, now); err != nil {
			errs = append(errs, fmt.Errorf("due date of %s: %w", name, err))
		}
		r.pulse.beat()
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return r.looked(ctx, now)
}

// fires reports whether due dates are to be looked at.
func (r *Reminders) fires(now time.Time) bool {
	if r.fired.At.After(now.Add(r.cfg.Scan)) {
		return true // the clock was put back
	}
	return hasFired(r.cfg.Schedule, r.fired.At, now, r.cfg.Zone)
}

// start reads when due dates were last looked at. The very first start counts as
// a look: the first reminder comes when the schedule fires.
func (r *Reminders) start(ctx context.Context, now time.Time) error {
	var f fired
	rev, err := r.cfg.Outbox.read(ctx, firedKey, &f)
	if err != nil {
		return err
	}
	if f.rev = rev; rev == 0 {
		return r.looked(ctx, now)
	}
	r.fired = f
	return nil
}

// looked notes that every due date was looked at.
func (r *Reminders) looked(ctx context.Context, now time.Time) error {
	op, err := put(firedKey, fired{At: now.UTC()})
	if err != nil {
		return err
	}
	rev, err := r.store().Txn(ctx, []rotation.Cond{{Key: op.Key, Rev: r.fired.rev}}, []rotation.Op{op})
	if err != nil {
		r.fired = fired{} // read it again
		return fmt.Errorf("note when due dates were looked at: %w", err)
	}
	r.fired = fired{At: now.UTC(), rev: rev}
	return nil
}

// look reminds people of one key set if a rung was reached.
func (r *Reminders) look(ctx context.Context, keyset string, now time.Time) error {
	rem, err := r.read(ctx, keyset)
	m := r.sets[keyset]
	if err != nil || rem.rev == 0 || m == nil { // tidy notes it first
		return err
	}
	due, guessed, err := r.due(ctx, keyset, rem)
	if err != nil {
		return err
	}
	fresh := rem.Due != due.String()
	if fresh {
		rem = rem.begin(due)
	}
	today := dayOf(now, r.cfg.Zone)
	at, reached := rungOn(due, today)
	if !reached || rem.sleeps(today) {
		return nil
	}
	rung := rem.rung(due, at)
	if rung == rem.Rung {
		return nil
	}
	if open, err := r.open(ctx, keyset); open || err != nil {
		return err // its own message says what is to do
	}
	if fresh { // before anybody is told: whatever happens now, a rotation ends it
		if rem, err = r.begun(ctx, keyset, rem); err != nil {
			return err
		}
	}
	if err := r.tell(ctx, keyset, rem, rung, due, at, today, guessed); err != nil {
		return err
	}
	rem.Rung = rung
	if err := r.write(ctx, keyset, rem); err != nil {
		return err
	}
	m.took(rem)
	return nil
}

// begun writes rem down and returns it as it is stored.
func (r *Reminders) begun(ctx context.Context, keyset string, rem reminder) (reminder, error) {
	if err := r.write(ctx, keyset, rem); err != nil {
		return rem, err
	}
	return r.read(ctx, keyset)
}

// begin returns what is remembered at the start of another due date. People may
// hold reminders of the one before.
func (r reminder) begin(due day) reminder {
	next := reminder{FirstSeen: r.FirstSeen, Due: due.String(), Over: r.Over, rev: r.rev}
	if r.Due != "" && !slices.Contains(r.Over, r.Due) {
		next.Over = slices.Concat(r.Over, []string{r.Due})
	}
	return next
}

// sleeps reports whether reminders were put off to a later day.
func (r reminder) sleeps(today day) bool {
	until, err := parseDay(r.Snoozed)
	return err == nil && today < until
}

// rung names what is told: the rung that was reached, or, where reminders were
// put off past it, the day on which they go on.
func (r reminder) rung(due, at day) string {
	if until, err := parseDay(r.Snoozed); err == nil && at < until {
		return "snoozed-" + r.Snoozed
	}
	return rungName(due, at)
}

// due returns the day on which a key set is due, and whether that is counted
// from the day on which the bot first saw it.
func (r *Reminders) due(ctx context.Context, keyset string, rem reminder) (due day, guessed bool, err error) {
	rec, err := r.cfg.Shelf.Remembered(ctx, keyset)
	if err != nil {
		return 0, false, err
	}
	if rec.NextDue != "" {
		due, err = parseDay(rec.NextDue)
		return due, false, err
	}
	return dayOf(rem.FirstSeen, r.cfg.Zone) + day(cmp.Or(r.cfg.Cadence[keyset], defaultCadence)), true, nil
}

// open reports whether a rotation of the key set is open.
func (r *Reminders) open(ctx context.Context, keyset string) (bool, error) {
	_, err := r.cfg.Shelf.Active(ctx, keyset)
	if errors.Is(err, rotation.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// tell queues one note to each person, in place of one of an earlier rung that
// has not gone out.
func (r *Reminders) tell(ctx context.Context, keyset string, rem reminder, rung string, due, at, today day, guessed bool) error {
	to := r.cfg.Owners[keyset]
	if len(to) == 0 {
		if to = r.cfg.People.Members(rotation.RoleOps); to == nil {
			return &fault.Error{Kind: fault.Transient, Reason: "ops_unknown", Op: "jobs.Reminders", User: "Who belongs to ops is not known yet."}
		}
	}
	if rem.Rung != "" {
		if err := r.cfg.Outbox.Withdraw(ctx, dueKey(keyset, due.String())+rem.Rung+"/"); err != nil {
			return err
		}
	}
	data := map[string]string{
		rotation.NoteDue: due.String(), rotation.NoteDays: strconv.Itoa(int(due - today)),
		rotation.NoteMissed: strconv.Itoa(missed(due, dayOf(r.fired.At, r.cfg.Zone), at)),
	}
	if guessed {
		data[rotation.NoteFirstSeen] = dayOf(rem.FirstSeen, r.cfg.Zone).String()
	}
	if left := int(due - at); r.cfg.Facts != nil && (left == 14 || left == 1) {
		maps.Copy(data, r.cfg.Facts(ctx, keyset))
	}
	if at >= due {
		to = slices.Concat(to, []string{r.cfg.Channel})
	}
	var errs []error
	for _, person := range to {
		n := rotation.Note{Kind: rotation.NoteReminder, KeySet: keyset, Data: data}
		errs = append(errs, r.cfg.Outbox.Queue(ctx, dueKey(keyset, due.String())+rung+"/"+person, person, n))
	}
	return errors.Join(errs...)
}

// dueKey starts the keys of the notes about one due date; the rung and the person
// follow.
func dueKey(keyset, due string) string { return "due/" + keyset + "/" + due + "/" }

func (r *Reminders) read(ctx context.Context, keyset string) (rem reminder, err error) {
	rem.rev, err = r.cfg.Outbox.read(ctx, reminderPrefix+keyset, &rem)
	return rem, err
}

func (r *Reminders) write(ctx context.Context, keyset string, rem reminder) error {
	op, err := put(reminderPrefix+keyset, rem)
	if err != nil {
		return err
	}
	if _, err := r.store().Txn(ctx, []rotation.Cond{{Key: op.Key, Rev: rem.rev}}, []rotation.Op{op}); err != nil {
		return fmt.Errorf("write reminder: %w", err)
	}
	return nil
}

func (r *Reminders) store() rotation.Store { return r.cfg.Outbox.cfg.Store }
