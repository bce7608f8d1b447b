package pagerdutysim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/raxx-app/keyturn/internal/sim/simhttp"
)

// Limits of an event.
const (
	bodyMax    = 512 << 10 // bytes
	routingLen = 32        // characters
	dedupMax   = 255       // characters
	summaryMax = 1024      // characters
)

const (
	actionTrigger     = "trigger"
	actionAcknowledge = "acknowledge"
	actionResolve     = "resolve"
)

var notAlnum = regexp.MustCompile(`[^0-9A-Za-z]`)

// An event is a body as it arrives.
type event struct {
	RoutingKey string  `json:"routing_key"`
	Action     string  `json:"event_action"`
	DedupKey   string  `json:"dedup_key"`
	Payload    payload `json:"payload"`
}

type payload struct {
	Summary   string         `json:"summary"`
	Source    string         `json:"source"`
	Severity  string         `json:"severity"`
	Timestamp string         `json:"timestamp"`
	Component string         `json:"component"`
	Group     string         `json:"group"`
	Class     string         `json:"class"`
	Details   map[string]any `json:"custom_details"`
}

// fields are what the documentation knows. The real service ignores others; a
// client that sends one has a typing error, so it is refused here.
var fields = map[string][]string{
	"":        {"routing_key", "event_action", "dedup_key", "payload", "images", "links", "client", "client_url"},
	"payload": {"summary", "source", "severity", "timestamp", "component", "group", "class", "custom_details"},
}

func (s *Sim) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != Path {
		simhttp.JSON(w, http.StatusNotFound, map[string]string{"message": "Not Found"})
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		simhttp.JSON(w, http.StatusMethodNotAllowed, map[string]string{"message": "Method Not Allowed"})
		return
	}
	raw, err := io.ReadAll(io.LimitReader(r.Body, bodyMax+1))
	if err != nil {
		return // the caller is gone
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(raw) > bodyMax {
		s.refuse(w, event{}, http.StatusRequestEntityTooLarge, "Event is too large (should be at most 512 KB)")
		return
	}
	e, problems := read(r, raw)
	if len(problems) == 0 {
		problems = s.judge(&e)
	}
	if len(problems) > 0 {
		s.refuse(w, e, http.StatusBadRequest, problems...)
		return
	}
	key := s.apply(&e)
	s.events = append(s.events, Event{At: s.cfg.Now().UTC(), Action: e.Action, DedupKey: key, Status: http.StatusAccepted})
	simhttp.JSON(w, http.StatusAccepted, map[string]string{"status": "success", "message": "Event processed", "dedup_key": key})
}

// refuse answers with errors in the form of the real service; s.mu is held.
func (s *Sim) refuse(w http.ResponseWriter, e event, status int, problems ...string) {
	s.events = append(s.events, Event{At: s.cfg.Now().UTC(), Action: e.Action, DedupKey: e.DedupKey, Status: status, Errors: problems})
	simhttp.JSON(w, status, map[string]any{"status": "invalid event", "message": "Event object is invalid", "errors": problems})
}

// read decodes a body strictly.
func read(r *http.Request, raw []byte) (e event, problems []string) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return e, []string{"Content-Type must be application/json"}
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if err := dec.Decode(&e); err != nil || dec.More() {
		return event{}, []string{"Event is not valid JSON"}
	}
	var all map[string]json.RawMessage
	if json.Unmarshal(raw, &all) != nil {
		return event{}, []string{"Event is not valid JSON"}
	}
	problems = unknown("", all)
	if inner, ok := all["payload"]; ok {
		var in map[string]json.RawMessage
		if json.Unmarshal(inner, &in) == nil {
			problems = append(problems, unknown("payload", in)...)
		}
	}
	slices.Sort(problems)
	return e, problems
}

func unknown(where string, all map[string]json.RawMessage) (problems []string) {
	for name := range all {
		if !slices.Contains(fields[where], name) {
			problems = append(problems, fmt.Sprintf("'%s' is not a known property", strings.TrimPrefix(where+"."+name, ".")))
		}
	}
	return problems
}

// judge lists what is wrong with an event; s.mu is held.
func (s *Sim) judge(e *event) (problems []string) {
	wrong := func(is bool, text string) {
		if is {
			problems = append(problems, text)
		}
	}
	wrong(e.RoutingKey == "", "'routing_key' cannot be blank")
	wrong(e.RoutingKey != "" && utf8.RuneCountInString(e.RoutingKey) != routingLen, "Length of 'routing_key' is incorrect (should be 32 characters)")
	wrong(notAlnum.MatchString(e.RoutingKey), "'routing_key' cannot contain non-alphanumeric characters.")
	wrong(e.Action == "", "'event_action' is missing or blank")
	known := slices.Contains([]string{actionTrigger, actionAcknowledge, actionResolve}, e.Action)
	wrong(e.Action != "" && !known, "'event_action' is invalid (must be one of the following: 'trigger', 'acknowledge' or 'resolve')")
	wrong(utf8.RuneCountInString(e.DedupKey) > dedupMax, "Length of 'dedup_key' is incorrect (should be at most 255 characters)")
	wrong(known && e.Action != actionTrigger && e.DedupKey == "", "'dedup_key' is missing or blank")
	if e.Action == actionTrigger {
		p := e.Payload
		wrong(blank(p.Summary), "'payload.summary' is missing or blank")
		wrong(utf8.RuneCountInString(p.Summary) > summaryMax, "Length of 'payload.summary' is incorrect (should be at most 1024 characters)")
		wrong(blank(p.Source), "'payload.source' is missing or blank")
		wrong(!slices.Contains([]string{"critical", "error", "warning", "info"}, p.Severity),
			"'payload.severity' is invalid (must be one of the following: 'critical', 'warning', 'error' or 'info')")
		_, err := time.Parse(time.RFC3339Nano, p.Timestamp)
		wrong(p.Timestamp != "" && err != nil, "'payload.timestamp' is invalid (must be ISO 8601)")
	}
	if len(problems) == 0 && e.RoutingKey != s.cfg.RoutingKey {
		problems = []string{"Invalid routing key"}
	}
	return problems
}

func blank(s string) bool { return strings.TrimSpace(s) == "" }

// uuid is a key that the service makes where the client sent none; s.mu is held.
func (s *Sim) uuid() string {
	s.made++
	return fmt.Sprintf("%032x", s.made)
}

// texts copies custom details.
func texts(in map[string]any) map[string]string {
	out := make(map[string]string, len(in))
	for k, v := range in {
		out[k] = fmt.Sprint(v)
	}
	return out
}
