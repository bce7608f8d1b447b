package infisicalsim

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
)

const contracts = "../../../testdata/contracts/infisical"

// An exchange is one recorded request with its answer.
type exchange struct {
	Seq            int                 `json:"seq"`
	Scenario       string              `json:"scenario"`
	Via            string              `json:"via"`
	Method         string              `json:"method"`
	Path           string              `json:"path"`
	Query          map[string][]string `json:"query"`
	RequestHeaders map[string]string   `json:"request_headers"`
	RequestBody    any                 `json:"request_body"`
	Status         int                 `json:"status"`
	Headers        map[string]string   `json:"response_headers"`
	ResponseBody   any                 `json:"response_body"`
}

// The recorded project and identities (01-setup.json).
const (
	recordedProject = "9cf93f17-abcf-4f81-b5eb-6c58434d856c"
	rotator         = "c52832eb-7041-4f08-b8f5-b186d2a80f58"
	viewer          = "5217c7a0-2068-4374-b421-2a38dcba3d75"
	outsider        = "f9bc912c-da4c-45db-8f5e-6107286ccf40"
	shortlived      = "f8552ee5-9039-41a0-9f03-e7d6e7dc99a1"
	renewable       = "241a8831-15a2-4a5b-8483-4c557b0e6f74"
)

// notReplayed are the recorded calls that a person's token made, or that only
// set the project up.
var notReplayed = map[int]string{
	44: "lists versions with a person's token; people are not simulated",
	71: "creates a change policy with a person's token",
	75: "creates an identity", 76: "attaches universal auth", 77: "creates a client secret", 78: "adds an identity to the project",
}

// waits are the seconds that passed before a recorded call where that matters.
var waits = map[int]time.Duration{82: 3, 83: 3, 84: 3, 85: 3, 86: 3, 87: 3, 88: 3, 89: 3, 93: 9}

// A difference is a recorded answer that a current server gives otherwise.
type difference struct {
	status  int
	message string // start of it; "" is not compared
	why     string
}

// currentDiffers lists every recorded call that the simulator answers otherwise
// when it is not told to be the old server. What is compared for these is the
// status and the start of the message.
var currentDiffers = map[int]difference{
	21:  {401, "Invalid credentials", "an unknown client ID is no longer told apart from a wrong secret"},
	22:  {401, "Invalid credentials", "empty client ID: as unknown"},
	23:  {422, "", "validation failures are 422"},
	36:  {200, "", "secretValue became optional on PATCH"},
	38:  {404, "Secret with name 'NOPE' not found", "text"},
	39:  {200, "", "version= is honoured: the body is that of version 1"},
	40:  {200, "", "version= is honoured: the body is that of version 2"},
	41:  {404, "Secret with name 'ALPACA_PAPER_API_KEY_ID' not found", "version= is honoured: there is no version 99"},
	45:  {404, "Secret with name 'NOPE' not found", "text"},
	46:  {404, "Folder with path '/' in environment with slug 'nope' not found", "text"},
	47:  {404, "Folder with path '/missing' in environment with slug 'dev' not found", "text"},
	53:  {404, "Folder with path '/' in environment with slug 'nope' not found", "text"},
	54:  {404, "Folder with path '/' in environment with slug 'nope' not found", "text"},
	68:  {404, "Secret does not exist: NOPE in path /", "it names the absent secret"},
	70:  {422, "", "the v4 route is there and finds the body incomplete"},
	73:  {422, "", "validation failures are 422"},
	80:  {200, "", "a renewal gives a new token"},
	93:  {403, "Your token has expired", "the token's own expiry is its TTL, no longer its maximum"},
	104: {200, "", "v4 is there"}, 105: {200, "", "v4 is there"}, 106: {200, "", "v4 is there"}, 107: {200, "", "v4 is there"},
	108: {403, "The provided access token is malformed", "v4 is there"},
}

func TestContractOldServer(t *testing.T) {
	r := newReplay(t, true)
	for _, e := range recordings(t) {
		got := r.send(t, e)
		if got.status != e.Status {
			t.Errorf("%d %s: status = %d, want %d", e.Seq, e.Scenario, got.status, e.Status)
			continue
		}
		want, have := normal(e.ResponseBody), normal(got.body)
		if s := route(want); s != "" { // the order of the query in the text is the client's
			want, have = s, route(have)
		}
		if diff := gocmp.Diff(want, have); diff != "" {
			t.Errorf("%d %s: body (-recorded +simulated):\n%s", e.Seq, e.Scenario, diff)
		}
	}
}

func TestContractCurrentServer(t *testing.T) {
	r := newReplay(t, false)
	for _, e := range recordings(t) {
		got := r.send(t, e)
		d, differs := currentDiffers[e.Seq]
		want := e.Status
		if differs {
			want = d.status
		}
		if got.status != want {
			t.Errorf("%d %s: status = %d, want %d %s", e.Seq, e.Scenario, got.status, want, d.why)
			continue
		}
		if message, _ := object(got.body)["message"].(string); differs && !strings.HasPrefix(message, d.message) {
			t.Errorf("%d %s: message = %q, want %q (%s)", e.Seq, e.Scenario, message, d.message, d.why)
		}
		if got.status >= 400 && object(got.body)["error"] != "Not Found" {
			if id, _ := object(got.body)["reqId"].(string); len(id) != len("req-")+14 {
				t.Errorf("%d %s: reqId = %q, want req- and 14 characters", e.Seq, e.Scenario, id)
			}
		}
		if !differs {
			lacks(t, fmt.Sprintf("%d %s", e.Seq, e.Scenario), normal(e.ResponseBody), normal(got.body))
		}
	}
	for seq, d := range currentDiffers {
		if d.why == "" || notReplayed[seq] != "" {
			t.Errorf("difference %d has no reason or is not replayed", seq)
		}
	}
}

// lacks reports what the recorded body has and got has not. More keys are
// allowed: current servers add some. "metadata" was dropped.
func lacks(t *testing.T, at string, want, got any) {
	t.Helper()
	switch want := want.(type) {
	case map[string]any:
		for k, v := range want {
			if k == "metadata" && v == nil {
				continue
			}
			if _, ok := object(got)[k]; !ok {
				t.Errorf("%s: no %q in the simulated answer", at, k)
				continue
			}
			lacks(t, at+"."+k, v, object(got)[k])
		}
	case []any:
		list, _ := got.([]any)
		if len(list) != len(want) {
			t.Errorf("%s: %d items, want %d", at, len(list), len(want))
			return
		}
		for i := range want {
			lacks(t, fmt.Sprintf("%s[%d]", at, i), want[i], list[i])
		}
	default:
		if !reflect.DeepEqual(want, got) {
			t.Errorf("%s: got %v, want %v", at, got, want)
		}
	}
}

// recordings returns the calls of 02 to 11 and 13 in the order they were made.
func recordings(t *testing.T) []exchange {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(contracts, "[01]*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings under %s (%v)", contracts, err)
	}
	var all []exchange
	for _, name := range files {
		switch base := filepath.Base(name)[:2]; base {
		case "00", "01", "12": // status page, setup, the recorded server's own rate limit
			continue
		}
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var some []exchange
		if err := json.Unmarshal(data, &some); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, some...)
	}
	all = slices.DeleteFunc(all, func(e exchange) bool { return notReplayed[e.Seq] != "" })
	slices.SortFunc(all, func(a, b exchange) int { return cmp.Compare(a.Seq, b.Seq) })
	if len(all) < 80 {
		t.Fatalf("%d recorded calls to replay, want at least 80", len(all))
	}
	return all
}

// A replay sends recorded calls to a simulator, with its own tokens, ids and
// ETags in the place of the recorded ones.
type replay struct {
	sim     *Server
	tokens  map[string]string // recorded token → ours
	last    map[string]string // client ID → our last token
	ids     map[string]string // recorded secret ID → ours
	listTag string
}

func newReplay(t *testing.T, old bool) *replay {
	t.Helper()
	s := started(t)
	s.SetOld(old)
	s.AddProject(Project{ID: recordedProject, Slug: "paper-keys-9450-u-xcn"})
	in := func(r Rights) map[string]Rights { return map[string]Rights{recordedProject: r} }
	s.AddIdentity(Identity{ClientID: rotator, ClientSecret: "dummy-client-secret-83b92d", Projects: in(Member)})
	s.AddIdentity(Identity{ClientID: viewer, ClientSecret: "dummy-client-secret-524d65", Projects: in(Viewer)})
	s.AddIdentity(Identity{ClientID: outsider, ClientSecret: "dummy-client-secret-af04c7"})
	s.AddIdentity(Identity{ClientID: shortlived, ClientSecret: "dummy-client-secret-038547", Projects: in(Member), TTL: 8 * time.Second, MaxTTL: 20 * time.Second})
	s.AddIdentity(Identity{ClientID: renewable, ClientSecret: "dummy-client-secret-c8d1fa", Projects: in(Member), TTL: time.Minute, MaxTTL: 10 * time.Minute})
	return &replay{sim: s, tokens: map[string]string{}, last: map[string]string{}, ids: map[string]string{}}
}

type answer struct {
	status int
	header http.Header
	body   any
}

func (r *replay) send(t *testing.T, e exchange) answer {
	t.Helper()
	r.sim.Advance(waits[e.Seq] * time.Second)
	path := e.Path
	for old, ours := range r.ids {
		path = strings.ReplaceAll(path, old, ours)
	}
	if q := url.Values(e.Query).Encode(); q != "" {
		path += "?" + q
	}
	var payload io.Reader
	switch b := e.RequestBody.(type) {
	case nil:
	case string:
		payload = strings.NewReader(b)
	default:
		data, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		for old, ours := range r.tokens {
			data = bytes.ReplaceAll(data, []byte(old), []byte(ours))
		}
		payload = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(t.Context(), e.Method, r.sim.URL()+path, payload)
	if err != nil {
		t.Fatal(err)
	}
	if payload != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if auth := r.authorization(e); auth != "" {
		req.Header.Set("Authorization", auth)
	}
	if e.RequestHeaders["If-None-Match"] != "" {
		req.Header.Set("If-None-Match", r.listTag)
	}
	a := do(t, req)
	if e.Headers["Etag"] != "" && len(a.header.Get("ETag")) != len(e.Headers["Etag"]) {
		t.Errorf("%d %s: ETag = %q, want one like %q", e.Seq, e.Scenario, a.header.Get("ETag"), e.Headers["Etag"])
	}
	r.learn(e, a)
	return a
}

// authorization returns the header with our own token for the recorded one.
func (r *replay) authorization(e exchange) string {
	recorded := e.RequestHeaders["Authorization"]
	switch {
	case recorded == "":
		return ""
	case !strings.Contains(recorded, "<access token>"):
		return recorded
	case strings.Contains(e.Scenario, "bad signature"):
		return "Bearer " + r.last[rotator][:len(r.last[rotator])-4] + "AAAA"
	case strings.HasPrefix(e.Scenario, "10 viewer"), strings.HasPrefix(e.Scenario, "19 revoke"):
		return "Bearer " + r.last[viewer]
	case strings.HasPrefix(e.Scenario, "11 outsider"):
		return "Bearer " + r.last[outsider]
	case e.Seq == 89: // the first of the two short-lived tokens
		return "Bearer " + r.tokens["dummy.jwt.12605906"]
	case strings.HasPrefix(e.Scenario, "17 "), strings.HasPrefix(e.Scenario, "18 "):
		return "Bearer " + r.last[shortlived]
	}
	return "Bearer " + r.last[rotator]
}

// learn remembers what our answer has in the place of the recorded one.
func (r *replay) learn(e exchange, a answer) {
	want, got := object(e.ResponseBody), object(a.body)
	if ours, ok := got["accessToken"].(string); ok {
		if recorded, ok := want["accessToken"].(string); ok {
			r.tokens[recorded] = ours
		}
		if id, ok := object(e.RequestBody)["clientId"].(string); ok {
			r.last[id] = ours
		} else if strings.HasPrefix(e.Scenario, "17 ") {
			r.last[shortlived] = ours
		}
	}
	if want, got := object(want["secret"]), object(got["secret"]); want["id"] != nil && got["id"] != nil {
		r.ids[want["id"].(string)] = got["id"].(string)
	}
	if e.Scenario == "05 list: etag" {
		r.listTag = a.header.Get("ETag")
	}
}

func do(t *testing.T, req *http.Request) answer {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", req.Method, req.URL.Path, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: resp.StatusCode, header: resp.Header}
	if len(data) > 0 {
		if err := json.Unmarshal(data, &a.body); err != nil {
			t.Fatalf("%s %s: body is no JSON: %v", req.Method, req.URL.Path, err)
		}
	}
	return a
}

// normal returns the body without what differs from run to run, and with
// secrets in name order.
func normal(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := maps.Clone(v)
		for _, k := range []string{"id", "_id", "createdAt", "updatedAt", "accessToken"} {
			if _, ok := m[k].(string); ok {
				m[k] = "(text)"
			}
		}
		if e, ok := m["error"].(string); ok && strings.HasPrefix(e, "Forbidden access to /api/v1/secret/") {
			m["error"] = "Forbidden access to /api/v1/secret/(text)"
		}
		for k, x := range m {
			m[k] = normal(x)
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = normal(v[i])
		}
		slices.SortStableFunc(list, func(a, b any) int {
			x, _ := object(a)["secretKey"].(string)
			y, _ := object(b)["secretKey"].(string)
			return cmp.Compare(x, y)
		})
		return list
	}
	return v
}

// route returns the text of a missing route without its query, or "".
func route(v any) string {
	message, _ := object(v)["message"].(string)
	before, _, _ := strings.Cut(message, "?")
	if !strings.HasPrefix(before, "Route ") {
		return ""
	}
	return before
}

func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

func started(t *testing.T) *Server {
	t.Helper()
	s := New()
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}
