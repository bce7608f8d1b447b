package pagerdutysim_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/sim/pagerdutysim"
)

const key = "0123456789abcdef0123456789abcdef"

var start = time.Date(2026, 11, 22, 3, 12, 0, 0, time.UTC)

func run(t *testing.T) *pagerdutysim.Sim {
	t.Helper()
	s := pagerdutysim.New(pagerdutysim.Config{RoutingKey: key, Now: func() time.Time { return start }})
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// An answer is a body of the service.
type answer struct {
	Status   string   `json:"status"`
	Message  string   `json:"message"`
	DedupKey string   `json:"dedup_key"`
	Errors   []string `json:"errors"`
}

func post(t *testing.T, s *pagerdutysim.Sim, kind, body string) (int, answer) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+pagerdutysim.Path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", kind)
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var a answer
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		t.Fatalf("body of %d: %v", resp.StatusCode, err)
	}
	return resp.StatusCode, a
}

// body is a good trigger in which old is replaced by replacement.
func body(old, replacement string) string {
	good := `{"routing_key":"` + key + `","event_action":"trigger","dedup_key":"r1","payload":{"summary":"prod is dead","source":"keyturn","severity":"critical"}}`
	return strings.Replace(good, old, replacement, 1)
}

func TestRefuses(t *testing.T) {
	s := run(t)
	tests := []struct {
		name, body, want string
	}{
		{"short routing key", body(key, key[1:]), "Length of 'routing_key' is incorrect (should be 32 characters)"},
		{"routing key with a dash", body(key, key[1:]+"-"), "'routing_key' cannot contain non-alphanumeric characters."},
		{"somebody else's routing key", body(key, strings.Repeat("a", 32)), "Invalid routing key"},
		{"no action", body(`"trigger"`, `""`), "'event_action' is missing or blank"},
		{"unknown action", body(`"trigger"`, `"wake"`), "'event_action' is invalid (must be one of the following: 'trigger', 'acknowledge' or 'resolve')"},
		{"long dedup key", body("r1", strings.Repeat("x", 256)), "Length of 'dedup_key' is incorrect (should be at most 255 characters)"},
		{"no summary", body("prod is dead", " "), "'payload.summary' is missing or blank"},
		{"long summary", body("prod is dead", strings.Repeat("ü", 1025)), "Length of 'payload.summary' is incorrect (should be at most 1024 characters)"},
		{"no source", body(`"keyturn"`, `""`), "'payload.source' is missing or blank"},
		{"unknown severity", body("critical", "fatal"), "'payload.severity' is invalid (must be one of the following: 'critical', 'warning', 'error' or 'info')"},
		{"misspelt field", body("dedup_key", "dedupKey"), "'dedupKey' is not a known property"},
		{"no JSON", "{", "Event is not valid JSON"},
		{"resolve of nothing", `{"routing_key":"` + key + `","event_action":"resolve"}`, "'dedup_key' is missing or blank"},
	}
	for _, tt := range tests {
		status, a := post(t, s, "application/json", tt.body)
		want := answer{Status: "invalid event", Message: "Event object is invalid", Errors: []string{tt.want}}
		if diff := cmp.Diff(want, a); status != http.StatusBadRequest || diff != "" {
			t.Errorf("%s: status %d, want 400; body (-want +got):\n%s", tt.name, status, diff)
		}
	}
	if status, _ := post(t, s, "text/plain", body("", "")); status != http.StatusBadRequest {
		t.Errorf("text/plain: status %d, want 400", status)
	}
	if n := len(s.Alerts()); n != 0 {
		t.Errorf("%d alerts, want none", n)
	}
}

// One alert per dedup key while it is open; a new one after it was resolved.
func TestDedup(t *testing.T) {
	s := run(t)
	send := func(action string) {
		t.Helper()
		b := body("", "")
		if action != "trigger" {
			b = `{"routing_key":"` + key + `","event_action":"` + action + `","dedup_key":"r1"}`
		}
		status, a := post(t, s, "application/json", b)
		want := answer{Status: "success", Message: "Event processed", DedupKey: "r1"}
		if diff := cmp.Diff(want, a); status != http.StatusAccepted || diff != "" {
			t.Fatalf("%s: status %d, want 202; body (-want +got):\n%s", action, status, diff)
		}
	}
	states := func() string {
		var all []string
		for _, a := range s.Alerts() {
			all = append(all, a.State)
		}
		return strings.Join(all, " ")
	}
	for _, step := range [][2]string{
		{"resolve", ""}, // of nothing: dropped
		{"trigger", "triggered"},
		{"trigger", "triggered"},
		{"acknowledge", "acknowledged"},
		{"trigger", "acknowledged"},
		{"resolve", "resolved"},
		{"resolve", "resolved"},
		{"trigger", "resolved triggered"},
	} {
		send(step[0])
		if got := states(); got != step[1] {
			t.Errorf("after %s: alerts %q, want %q", step[0], got, step[1])
		}
	}
	if n := s.Alerts()[0].Triggers; n != 3 {
		t.Errorf("first alert took %d triggers, want 3", n)
	}
}
