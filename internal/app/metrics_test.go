package app

import (
	"context"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/raxx-app/keyturn/internal/jobs"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/state"
)

var updateMetrics = flag.Bool("app.update", false, "write the list of metrics anew")

// openState opens an empty state until the test ends.
func openState(t *testing.T) *state.Store {
	t.Helper()
	store, err := state.Open(t.Context(), state.Config{Path: filepath.Join(t.TempDir(), "keyturn.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

// A company is every source of metrics: prod was rotated and has a forced
// rotation open, staging was never rotated.
type company struct {
	now    time.Time
	broken bool
	looks  int
	past   []rotation.Rotation
	open   rotation.Rotation
}

func (c *company) Scans() []jobs.Pulse {
	return []jobs.Pulse{{Name: "ladder", Last: c.now.Add(-100 * time.Second), Late: 35 * time.Second}, {Name: "reminders"}}
}

func (c *company) KeySets() []string { return []string{"prod", "staging"} }

func (c *company) Remembered(_ context.Context, keyset string) (rotation.Record, error) {
	if keyset != "prod" {
		return rotation.Record{}, rotation.ErrNotFound
	}
	return rotation.Record{Completed: c.now.AddDate(0, 0, -181), NextDue: "2026-11-22"}, nil
}

func (c *company) Active(_ context.Context, keyset string) (rotation.ID, error) {
	if keyset == "prod" {
		return c.open.ID, nil
	}
	return "", rotation.ErrNotFound
}

func (c *company) History(_ context.Context, keyset string, _ int) ([]rotation.Past, error) {
	if c.broken {
		return nil, errors.New("no")
	}
	var list []rotation.Past
	for _, r := range append(c.past, c.open) {
		if r.KeySet == keyset {
			list = append(list, rotation.Past{ID: r.ID, KeySet: keyset, Outcome: r.Outcome})
		}
	}
	return list, nil
}

func (c *company) Look(_ context.Context, id rotation.ID) (rotation.Overview, error) {
	c.looks++
	for _, r := range append(c.past, c.open) {
		if r.ID == id {
			return rotation.Overview{Rotation: r}, nil
		}
	}
	return rotation.Overview{}, rotation.ErrNotFound
}

func (c *company) Seen(_ context.Context, keyset string) (rotation.Seen, error) {
	if keyset == "prod" {
		return rotation.Seen{State: "dead", LastOK: c.now.Add(-time.Hour), Asked: c.now, Drifted: []string{"raxx-api-prod"}}, nil
	}
	return rotation.Seen{}, nil
}

func (c *company) Waiting(context.Context) (int, time.Duration, error) {
	return 2, 90 * time.Second, nil
}

// newCompany has one completed and one cancelled rotation of prod, and an open
// one that has kept trading down for two minutes.
func newCompany() *company {
	now := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	at := now.AddDate(0, 0, -181)
	return &company{
		now: now,
		past: []rotation.Rotation{
			{
				ID: "r000000001", KeySet: "prod", Trigger: rotation.TriggerScheduled, Outcome: rotation.Completed, Opened: at, Closed: at.Add(time.Minute),
				FirstRejected: at, SealedAt: at.Add(30 * time.Second), ClickedAt: at, VerifiedAt: at.Add(41 * time.Second),
				Steps: []rotation.Step{{Number: 5, Name: rotation.StepPropagate, State: rotation.Done, Started: at, Ended: at.Add(2 * time.Second), Items: []rotation.Item{{Name: "a", Tries: 3}, {Name: "b"}}}},
			},
			{ID: "r000000002", KeySet: "prod", Trigger: rotation.TriggerOperator, Outcome: rotation.Cancelled, Opened: at, Closed: at},
		},
		open: rotation.Rotation{
			ID: "r000000003", KeySet: "prod", Trigger: rotation.TriggerReset, Opened: now, FirstRejected: now.Add(-2 * time.Minute), ClickedAt: now.Add(-2 * time.Minute),
			Steps: []rotation.Step{{Number: 1, Name: rotation.StepPrecheck, State: rotation.Done}, {Number: 2, Name: rotation.StepGenerate, State: rotation.Running, WaitsFor: "U0ADA"}},
		},
	}
}

// newTestMetrics returns metrics of c.
func newTestMetrics(c *company) *metrics {
	m := newMetrics()
	m.read(sources{Shelf: c, Archive: c, Sentinel: c, Outbox: c, Scans: c.Scans, Connected: func() bool { return true }, Now: func() time.Time { return c.now }})
	return m
}

// scrape returns the lines of /metrics that are Keyturn's own.
func scrape(t *testing.T, m *metrics) (all string, own map[string]string) {
	t.Helper()
	rec := httptest.NewRecorder()
	m.handler().ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if rec.Code != http.StatusOK {
		t.Fatalf("GET /metrics = %d: %s", rec.Code, rec.Body)
	}
	own = map[string]string{}
	for line := range strings.Lines(rec.Body.String()) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && strings.HasPrefix(name, "keyturn_") {
			own[name] = value
		}
	}
	return rec.Body.String(), own
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	c := newCompany()
	m := newTestMetrics(c)
	m.acked(120 * time.Millisecond)
	m.vendor(deadVendor{}).Probe(t.Context(), rotation.Pair{})
	scrape(t, m)
	looks := c.looks
	_, got := scrape(t, m) // a second look counts nothing twice
	if c.looks-looks != 1 {
		t.Errorf("a scrape without news reads %d rotations, want the open one only", c.looks-looks)
	}
	want := map[string]string{
		`keyturn_rotations_total{keyset="prod",outcome="completed",trigger="scheduled"}`: "1",
		`keyturn_rotations_total{keyset="prod",outcome="cancelled",trigger="operator"}`:  "1",
		`keyturn_rotations_total{keyset="staging",outcome="completed",trigger="reset"}`:  "0",
		`keyturn_rotation_step_duration_seconds_sum{step="propagate"}`:                   "2",
		`keyturn_rotation_exposed_seconds_sum{keyset="prod"}`:                            "41",
		`keyturn_rotation_paste_to_verified_seconds_sum{keyset="prod"}`:                  "11",
		`keyturn_rotation_retries_total{keyset="prod",step="propagate"}`:                 "3",
		`keyturn_rotation_open{keyset="prod"}`:                                           "1",
		`keyturn_rotation_open{keyset="staging"}`:                                        "0",
		`keyturn_rotation_open_step{keyset="prod"}`:                                      "2",
		`keyturn_rotation_open_waits_for_person{keyset="prod"}`:                          "1",
		`keyturn_rotation_open_exposed_seconds{keyset="prod"}`:                           "120",
		`keyturn_key_due_timestamp_seconds{keyset="prod"}`:                               "1.7953056e+09",
		`keyturn_key_breached{keyset="prod"}`:                                            "1",
		`keyturn_key_breached{keyset="staging"}`:                                         "0",
		`keyturn_key_due_known{keyset="staging"}`:                                        "0",
		`keyturn_sentinel_state{keyset="prod",state="dead"}`:                             "1",
		`keyturn_sentinel_state{keyset="prod",state="alive"}`:                            "0",
		`keyturn_sentinel_state{keyset="staging",state="unknown"}`:                       "1",
		`keyturn_consumers_drifted{keyset="prod"}`:                                       "1",
		`keyturn_outbox_posts`:                                                           "2",
		`keyturn_outbox_oldest_age_seconds`:                                              "90",
		`keyturn_slack_connected`:                                                        "1",
		`keyturn_slack_ack_duration_seconds_count`:                                       "1",
		`keyturn_alpaca_probes_total{verdict="invalid"}`:                                 "1",
		`keyturn_alpaca_probes_total{verdict="valid"}`:                                   "0",
		`keyturn_source_up{source="history"}`:                                            "1",
		`keyturn_scan_late_seconds{scan="ladder"}`:                                       "35",
		`keyturn_scan_late_seconds{scan="reminders"}`:                                    "0",
	}
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s = %q, want %s", name, got[name], value)
		}
	}
	if _, ok := got[`keyturn_key_due_timestamp_seconds{keyset="staging"}`]; ok {
		t.Error("a key set that was never rotated has a due day")
	}
	if _, ok := got[`keyturn_scan_last_timestamp_seconds{scan="reminders"}`]; ok || got[`keyturn_scan_last_timestamp_seconds{scan="ladder"}`] == "" {
		t.Error("want the time of a scan that has got on, and none of one that has not")
	}
}

// A part that cannot be read leaves its numbers out, says so, and harms no other.
func TestMetricsOfABrokenPart(t *testing.T) {
	t.Parallel()
	c := newCompany()
	c.broken = true
	_, got := scrape(t, newTestMetrics(c))
	if got[`keyturn_source_up{source="history"}`] != "0" || got[`keyturn_source_up{source="outbox"}`] != "1" || got["keyturn_outbox_posts"] != "2" {
		t.Errorf("sources %v, want history down and the outbox up", got)
	}
}

// TestMetricsAreWellNamed checks names, units and help with the rules that
// promtool has.
func TestMetricsAreWellNamed(t *testing.T) {
	t.Parallel()
	m := newTestMetrics(newCompany())
	m.acked(time.Millisecond)
	answering := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	defer answering.Close()
	client := &http.Client{Transport: m.wrap(nil, time.Now)("alpaca", &http.Transport{DisableKeepAlives: true})}
	for _, url := range []string{answering.URL, "http://127.0.0.1:1/"} { // nobody listens on the second
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := client.Do(req); err == nil {
			resp.Body.Close()
		}
	}
	all, got := scrape(t, m)
	if got[`keyturn_service_requests_total{service="alpaca",status="418"}`] != "1" || got[`keyturn_service_requests_total{service="alpaca",status="0"}`] != "1" {
		t.Errorf("requests are not counted:\n%s", all)
	}
	problems, err := promlint.New(strings.NewReader(all)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	if len(problems) > 0 {
		t.Errorf("problems: %v", problems)
	}
	var families []string
	for line := range strings.Lines(all) {
		if name, ok := strings.CutPrefix(line, "# TYPE "); ok && strings.HasPrefix(name, "keyturn_") {
			families = append(families, strings.TrimSpace(name))
		}
	}
	golden := filepath.Join("testdata", "metrics.txt")
	if *updateMetrics {
		if err := os.WriteFile(golden, []byte(strings.Join(families, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Fields(string(want)), strings.Fields(strings.Join(families, "\n"))); diff != "" {
		t.Errorf("metrics (-%s +got), run with -app.update if that is meant:\n%s", golden, diff)
	}
}

// TestReadySaysWhatIsLate: a scan that does not come makes the bot not ready,
// and its metrics are served beside.
func TestReadySaysWhatIsLate(t *testing.T) {
	t.Parallel()
	late := ""
	store := &writtenStore{Store: openState(t)}
	h := &health{store: store, connected: func() bool { return true }, late: func(context.Context) string { return late }, metrics: newTestMetrics(newCompany()).handler(), log: slog.New(slog.DiscardHandler)}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if err := h.listen(ctx, "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- h.run(ctx) }()
	base := "http://" + h.ln.Addr().String()
	if code, text := get(t, base+"/readyz"); code != 200 {
		t.Errorf("GET /readyz = %d %q, want 200", code, text)
	}
	late = "late scans: ladder"
	if code, text := get(t, base+"/readyz"); code != 503 || text != "late scans: ladder\n" {
		t.Errorf("GET /readyz = %d %q, want 503 and what is late", code, text)
	}
	if code, text := get(t, base+"/metrics"); code != 200 || !strings.Contains(text, "keyturn_rotation_open") {
		t.Errorf("GET /metrics = %d %.200q, want the numbers", code, text)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("run = %v", err)
	}
}

// A deadVendor rejects every pair.
type deadVendor struct{}

func (deadVendor) Probe(context.Context, rotation.Pair) rotation.Probe {
	return rotation.Probe{Verdict: rotation.Invalid}
}

func (deadVendor) Survey(context.Context, rotation.Pair) (rotation.Survey, error) {
	return rotation.Survey{}, io.EOF
}
