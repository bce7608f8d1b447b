package app

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/raxx-app/keyturn/internal/jobs"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// scrapeLimit is how long the parts may take to give their numbers.
const scrapeLimit = 3 * time.Second

// A shelf is what is remembered of the key sets; [rotation.Engine] is one.
type shelf interface {
	KeySets() []string
	Remembered(ctx context.Context, keyset string) (rotation.Record, error)
	Active(ctx context.Context, keyset string) (rotation.ID, error)
}

// An archive is every rotation that there was; [rotation.Engine] is one.
type archive interface {
	History(ctx context.Context, keyset string, limit int) ([]rotation.Past, error)
	Look(ctx context.Context, id rotation.ID) (rotation.Overview, error)
}

// A watcher is what the sentinel knows of the stored pairs.
type watcher interface {
	Seen(ctx context.Context, keyset string) (rotation.Seen, error)
}

// A queue is what waits to be sent; [jobs.Outbox] is one.
type queue interface {
	Waiting(ctx context.Context) (count int, oldest time.Duration, err error)
}

// Sources are where metrics come from. Shelf, Archive and Now are needed; the
// numbers of a source that is nil are left out.
type sources struct {
	Shelf     shelf
	Archive   archive
	Sentinel  watcher
	Outbox    queue
	Connected func() bool
	Scans     func() []jobs.Pulse
	Zone      *time.Location // whose calendar decides when a key is due; nil: UTC
	Now       func() time.Time
}

// metrics are the numbers of /metrics. What only this process has seen is
// counted as it happens. What is stored is read at each scrape, so that a
// restart changes nothing: a bot that rotates twice a year would else always
// say zero. No label holds anything but names of bot.yml and of this program.
// Its methods may be called from any goroutine.
type metrics struct {
	registry *prometheus.Registry

	acks     prometheus.Histogram
	probes   *prometheus.CounterVec
	requests *prometheus.CounterVec
	took     *prometheus.HistogramVec

	mu     sync.Mutex // of what follows
	from   sources    // Shelf is nil until read was called
	stored *storedMetrics
}

// newMetrics returns metrics that know no source yet.
func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		acks: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "keyturn_slack_ack_duration_seconds", Help: "From the receipt of an envelope to its acknowledgement; Slack gives up after 3 s.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2, 3},
		}),
		probes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "keyturn_alpaca_probes_total", Help: "Looks at Alpaca with one pair, by verdict.",
		}, []string{"verdict"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "keyturn_service_requests_total", Help: "Requests to outside services, by HTTP status; status 0 is no answer.",
		}, []string{"service", "status"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "keyturn_service_request_duration_seconds", Help: "Time until an outside service answered.",
			Buckets: []float64{.01, .05, .1, .25, .5, 1, 2.5, 5, 10, 15},
		}, []string{"service"}),
		stored: newStoredMetrics(),
	}
	for _, v := range []rotation.Verdict{rotation.Valid, rotation.Invalid, rotation.Unknown} {
		m.probes.WithLabelValues(string(v))
	}
	m.registry.MustRegister(m.acks, m.probes, m.requests, m.took, m,
		collectors.NewBuildInfoCollector(), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// read sets where the numbers come from that are read at each scrape.
func (m *metrics) read(from sources) {
	if from.Zone == nil {
		from.Zone = time.UTC
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.from = from
}

// handler answers scrapes.
func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 2, Timeout: 2 * scrapeLimit})
}

// acked notes how long an envelope of Slack's waited for its answer.
func (m *metrics) acked(took time.Duration) { m.acks.Observe(took.Seconds()) }

// Describe implements [prometheus.Collector].
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.stored.all() {
		c.Describe(ch)
	}
}

// Collect implements [prometheus.Collector]: it reads the sources.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeLimit)
	defer cancel()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.from.Shelf != nil {
		m.stored.refresh(ctx, m.from)
	}
	for _, c := range m.stored.all() {
		c.Collect(ch)
	}
}

// vendor counts the probes of v.
func (m *metrics) vendor(v rotation.Vendor) rotation.Vendor { return countedVendor{v, m.probes} }

// A countedVendor counts what it is asked.
type countedVendor struct {
	rotation.Vendor
	probes *prometheus.CounterVec
}

// Probe implements [rotation.Vendor].
func (v countedVendor) Probe(ctx context.Context, p rotation.Pair) rotation.Probe {
	got := v.Vendor.Probe(ctx, p)
	v.probes.WithLabelValues(string(got.Verdict)).Inc()
	return got
}

// wrap returns a [Hooks.WrapTransport] that counts the requests of next, which
// may be nil. now is for durations.
func (m *metrics) wrap(next func(string, http.RoundTripper) http.RoundTripper, now func() time.Time) func(string, http.RoundTripper) http.RoundTripper {
	return func(service string, rt http.RoundTripper) http.RoundTripper {
		if next != nil {
			rt = next(service, rt)
		}
		return countedTransport{next: rt, service: service, m: m, now: now}
	}
}

// A countedTransport counts the requests to one service.
type countedTransport struct {
	next    http.RoundTripper
	service string
	m       *metrics
	now     func() time.Time
}

// RoundTrip implements [http.RoundTripper].
func (t countedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	began := t.now()
	resp, err := t.next.RoundTrip(r)
	t.m.took.WithLabelValues(t.service).Observe(max(0, t.now().Sub(began).Seconds()))
	status := 0
	if err == nil {
		status = resp.StatusCode
	}
	t.m.requests.WithLabelValues(t.service, strconv.Itoa(status)).Inc()
	return resp, err
}

// CloseIdleConnections lets [http.Client.CloseIdleConnections] through.
func (t countedTransport) CloseIdleConnections() {
	if c, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
