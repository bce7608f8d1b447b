package app

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// unknownState is the label of what the sentinel has no answer for yet.
const unknownState = "unknown"

// storedMetrics are the numbers that are read from the parts.
type storedMetrics struct {
	up *prometheus.GaugeVec // by source

	// Of rotations that are over. They never change, so each is read once.
	over      *prometheus.CounterVec
	steps     *prometheus.HistogramVec
	exposed   *prometheus.HistogramVec
	machine   *prometheus.HistogramVec
	retries   *prometheus.CounterVec
	collected map[rotation.ID]bool

	// Of each key set, made anew at each scrape.
	open, step, waits, exposedNow   *prometheus.GaugeVec
	rotated, due, breached          *prometheus.GaugeVec
	state, lastOK, asked, drifted   *prometheus.GaugeVec
	posts, oldest, connected, known *prometheus.GaugeVec

	scanned, late *prometheus.GaugeVec // by scan
}

func newStoredMetrics() *storedMetrics {
	set := []string{"keyset"}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "keyturn_" + name, Help: help}, labels)
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "keyturn_" + name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "keyturn_" + name, Help: help, Buckets: buckets}, labels)
	}
	return &storedMetrics{
		collected: map[rotation.ID]bool{},
		up:        gauge("source_up", "Whether the last scrape could read this part of the bot.", "source"),

		over: counter("rotations_total", "Rotations that are over, by why they ran and how they ended; also those before this start.", "keyset", "trigger", "outcome"),
		steps: histogram("rotation_step_duration_seconds", "Duration of the steps of completed rotations; steps 1 and 2 are mostly people.",
			[]float64{.1, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800}, "step"),
		exposed: histogram("rotation_exposed_seconds", "Time in which trading failed, of completed rotations: first rejection of the old pair to last consumer verified.",
			[]float64{5, 10, 20, 30, 45, 60, 90, 120, 300, 600, 1800, 3600}, set...),
		machine: histogram("rotation_paste_to_verified_seconds", "The bot's own share of the exposed time: pair sealed to last consumer verified.",
			[]float64{.1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300}, set...),
		retries: counter("rotation_retries_total", "Tries beyond the first, of rotations that are over.", "keyset", "step"),

		open:       gauge("rotation_open", "Whether a rotation is open.", set...),
		step:       gauge("rotation_open_step", "Number of the first step of the open rotation that is not done; 0 if none is open.", set...),
		waits:      gauge("rotation_open_waits_for_person", "Whether the open rotation waits for a person.", set...),
		exposedNow: gauge("rotation_open_exposed_seconds", "For how long trading has failed because of the open rotation; 0 if it does not.", set...),
		rotated:    gauge("key_rotated_timestamp_seconds", "When the last rotation was completed.", set...),
		due:        gauge("key_due_timestamp_seconds", "Start of the calendar day on which the next rotation is due; absent before the first rotation.", set...),
		breached:   gauge("key_breached", "Whether the due day is over.", set...),
		known:      gauge("key_due_known", "Whether a due day is known, that is, whether the key set was ever rotated with the bot.", set...),
		state:      gauge("sentinel_state", "1 for what the sentinel holds of the stored pair: alive, doubted, held, dead or unknown; 0 for the others.", "keyset", "state"),
		lastOK:     gauge("sentinel_last_ok_timestamp_seconds", "When the stored pair last worked.", set...),
		asked:      gauge("sentinel_last_probe_timestamp_seconds", "When the stored pair was last probed.", set...),
		drifted:    gauge("consumers_drifted", "Consumers that no longer have what they were given.", set...),
		posts:      gauge("outbox_posts", "Messages that wait to be sent."),
		oldest:     gauge("outbox_oldest_age_seconds", "Age of the oldest message that waits to be sent; 0 if none does."),
		connected:  gauge("slack_connected", "Whether a Slack socket is up and Slack accepts the bot."),
		scanned:    gauge("scan_last_timestamp_seconds", "When a scan last got on; absent before it has.", "scan"),
		late:       gauge("scan_late_seconds", "For how long a scan should have got on since; 0: it is on time.", "scan"),
	}
}

// all returns every collector.
func (s *storedMetrics) all() []prometheus.Collector {
	return []prometheus.Collector{
		s.up, s.over, s.steps, s.exposed, s.machine, s.retries, s.open, s.step, s.waits, s.exposedNow, s.rotated, s.due, s.breached, s.known,
		s.state, s.lastOK, s.asked, s.drifted, s.posts, s.oldest, s.connected, s.scanned, s.late,
	}
}

// refresh reads everything. What cannot be read is absent, and its source is
// marked as not up.
func (s *storedMetrics) refresh(ctx context.Context, from sources) {
	for _, g := range []*prometheus.GaugeVec{
		s.open, s.step, s.waits, s.exposedNow, s.rotated, s.due, s.breached, s.known, s.state, s.lastOK, s.asked, s.drifted, s.posts, s.oldest, s.connected, s.scanned, s.late,
	} {
		g.Reset() // a key set may be gone since
	}
	now := from.Now()
	var keys, past, watch []error
	for _, name := range from.Shelf.KeySets() {
		keys = append(keys, s.key(ctx, from, name, now), s.current(ctx, from, name, now))
		past = append(past, s.past(ctx, from, name))
		if from.Sentinel != nil {
			watch = append(watch, s.seen(ctx, from, name))
		}
	}
	s.source("rotations", errors.Join(keys...))
	s.source("history", errors.Join(past...))
	if from.Sentinel != nil {
		s.source("sentinel", errors.Join(watch...))
	}
	if from.Outbox != nil {
		count, oldest, err := from.Outbox.Waiting(ctx)
		if err == nil {
			s.posts.WithLabelValues().Set(float64(count))
			s.oldest.WithLabelValues().Set(oldest.Seconds())
		}
		s.source("outbox", err)
	}
	if from.Connected != nil {
		s.connected.WithLabelValues().Set(truth(from.Connected()))
	}
	if from.Scans != nil {
		for _, scan := range from.Scans() {
			stamp(s.scanned, scan.Last, scan.Name)
			s.late.WithLabelValues(scan.Name).Set(scan.Late.Seconds())
		}
	}
}

// source notes whether a source could be read.
func (s *storedMetrics) source(name string, err error) {
	s.up.WithLabelValues(name).Set(truth(err == nil))
}

// key reads what is remembered of a key set.
func (s *storedMetrics) key(ctx context.Context, from sources, name string, now time.Time) error {
	rec, err := from.Shelf.Remembered(ctx, name)
	if err != nil && !errors.Is(err, rotation.ErrNotFound) {
		return fmt.Errorf("read key set: %w", err)
	}
	stamp(s.rotated, rec.Completed, name)
	s.known.WithLabelValues(name).Set(truth(rec.NextDue != ""))
	if rec.NextDue == "" {
		s.breached.WithLabelValues(name).Set(0)
		return nil
	}
	due, err := time.ParseInLocation(time.DateOnly, rec.NextDue, from.Zone)
	if err != nil {
		return fmt.Errorf("read due day: %w", err)
	}
	stamp(s.due, due, name)
	s.breached.WithLabelValues(name).Set(truth(!now.Before(due.AddDate(0, 0, 1))))
	return nil
}

// current reads the open rotation of a key set.
func (s *storedMetrics) current(ctx context.Context, from sources, name string, now time.Time) error {
	var step int
	var waits bool
	var exposed time.Duration
	id, err := from.Shelf.Active(ctx, name)
	switch {
	case errors.Is(err, rotation.ErrNotFound):
	case err != nil:
		return fmt.Errorf("read open rotation: %w", err)
	default:
		o, err := from.Archive.Look(ctx, id)
		if err != nil {
			return fmt.Errorf("read open rotation: %w", err)
		}
		step, waits = standing(o.Rotation)
		if e := o.Rotation.Exposure(); e.Running {
			exposed = max(0, now.Sub(e.From))
		}
	}
	s.open.WithLabelValues(name).Set(truth(step > 0))
	s.step.WithLabelValues(name).Set(float64(step))
	s.waits.WithLabelValues(name).Set(truth(waits))
	s.exposedNow.WithLabelValues(name).Set(exposed.Seconds())
	return nil
}

// standing returns the first step of an open rotation that is not done, and
// whether any step waits for a person.
func standing(r rotation.Rotation) (step int, waits bool) {
	for _, st := range r.Steps {
		if step == 0 && st.State != rotation.Done && st.State != rotation.Skipped {
			step = st.Number
		}
		waits = waits || st.WaitsFor != "" && st.WaitsFor != "bot" && st.State != rotation.Done
	}
	return max(step, 1), waits // it is open, whatever its steps say
}

// past reads the rotations of a key set that are over since the last scrape.
func (s *storedMetrics) past(ctx context.Context, from sources, name string) error {
	for _, t := range []rotation.Trigger{rotation.TriggerScheduled, rotation.TriggerOperator, rotation.TriggerOffboarding, rotation.TriggerReset} {
		for _, o := range []rotation.Outcome{rotation.Completed, rotation.Cancelled, rotation.StoodDown} {
			s.over.WithLabelValues(name, string(t), string(o)) // a rate needs the zero before the one
		}
	}
	list, err := from.Archive.History(ctx, name, math.MaxInt32)
	if err != nil {
		return fmt.Errorf("read history: %w", err)
	}
	for _, p := range list {
		if p.Outcome == rotation.Open || s.collected[p.ID] {
			continue
		}
		o, err := from.Archive.Look(ctx, p.ID)
		if err != nil {
			return fmt.Errorf("read rotation %s: %w", p.ID, err)
		}
		s.collected[p.ID] = true
		s.count(o.Rotation)
	}
	return nil
}

// count adds a rotation that is over.
func (s *storedMetrics) count(r rotation.Rotation) {
	s.over.WithLabelValues(r.KeySet, string(r.Trigger), string(r.Outcome)).Inc()
	for _, st := range r.Steps {
		if r.Outcome == rotation.Completed && st.State == rotation.Done && !st.Started.IsZero() && !st.Ended.IsZero() {
			s.steps.WithLabelValues(string(st.Name)).Observe(max(0, st.Ended.Sub(st.Started).Seconds()))
		}
		for _, it := range st.Items {
			s.retries.WithLabelValues(r.KeySet, string(st.Name)).Add(float64(max(0, it.Tries)))
		}
	}
	if e := r.Exposure(); r.Outcome == rotation.Completed && !e.From.IsZero() && !e.Running {
		s.exposed.WithLabelValues(r.KeySet).Observe(e.Took.Seconds())
		s.machine.WithLabelValues(r.KeySet).Observe(e.Machine.Seconds())
	}
}

// seen reads what the sentinel knows of a key set.
func (s *storedMetrics) seen(ctx context.Context, from sources, name string) error {
	got, err := from.Sentinel.Seen(ctx, name)
	if err != nil && !errors.Is(err, rotation.ErrNotFound) {
		return fmt.Errorf("read sentinel: %w", err)
	}
	if got.State == "" {
		got.State = unknownState
	}
	for _, state := range []string{"alive", "doubted", "held", "dead", unknownState} {
		s.state.WithLabelValues(name, state).Set(truth(state == got.State))
	}
	stamp(s.lastOK, got.LastOK, name)
	stamp(s.asked, got.Asked, name)
	s.drifted.WithLabelValues(name).Set(float64(len(got.Drifted)))
	return nil
}

// stamp sets a time in seconds since 1970; the zero time is left out.
func stamp(g *prometheus.GaugeVec, at time.Time, name string) {
	if !at.IsZero() {
		g.WithLabelValues(name).Set(float64(at.UnixMilli()) / 1000)
	}
}

// truth returns 1 for true.
func truth(v bool) float64 {
	if v {
		return 1
	}
	return 0
}
