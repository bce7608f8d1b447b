package webhooksim_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/sim/webhooksim"
)

const (
	key     = "example-webhook-secret"
	ping    = `{"type":"ping","rotation":"","keyset":"prod","key_id_last4":""}`
	rotated = `{"type":"rotated","rotation":"r0123456789","keyset":"prod","key_id_last4":"WXYZ"}`
	pair    = `{"type":"rotated","rotation":"r0123456789","keyset":"prod","key_id_last4":"WXYZ","pair":{"key_id":"PKSIMULATEDWXYZ","secret":"s"}}`
	verify  = `{"type":"verify","rotation":"r0123456789","keyset":"prod","key_id_last4":"WXYZ"}`
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func run(t *testing.T, cfg webhooksim.Config) *webhooksim.Sim {
	t.Helper()
	cfg.Secret = key
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return start }
	}
	s := webhooksim.New(cfg)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// signed is made here anew, so that a mistake is not made twice.
func signed(at time.Time, body string) string {
	m := hmac.New(sha256.New, []byte(key))
	fmt.Fprintf(m, "%d.%s", at.Unix(), body)
	return fmt.Sprintf("t=%d,v1=%s", at.Unix(), hex.EncodeToString(m.Sum(nil)))
}

// post sends a good request, changed by change, and returns its status.
func post(t *testing.T, s *webhooksim.Sim, body, delivery string, change func(*http.Request)) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.HookURL(), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Keyturn-Delivery", delivery)
	req.Header.Set("Keyturn-Signature", signed(start, body))
	if change != nil {
		change(req)
	}
	resp, err := (&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// The example of docs/webhooks.md, whose signature openssl made, is accepted.
func TestDocumentedExample(t *testing.T) {
	page, err := os.ReadFile("../../../docs/webhooks.md")
	if err != nil {
		t.Fatal(err)
	}
	header := regexp.MustCompile(`Keyturn-Signature: (t=.*)`).FindStringSubmatch(string(page))
	if header == nil || !strings.Contains(string(page), rotated) {
		t.Fatal("docs/webhooks.md has no example, or another one")
	}
	s := run(t, webhooksim.Config{})
	if got := post(t, s, rotated, "d1", func(r *http.Request) { r.Header.Set("Keyturn-Signature", header[1]) }); got != 204 || s.Last4() != "WXYZ" {
		t.Errorf("status %d, told of %q, want 204 and WXYZ", got, s.Last4())
	}
}

func TestStrict(t *testing.T) {
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	late := func(d time.Duration, body string) func(*http.Request) {
		return header("Keyturn-Signature", signed(start.Add(d), body))
	}
	tests := []struct {
		name, body string
		change     func(*http.Request)
		want       int
	}{
		{"good", pair, nil, 204},
		{"at the edge of the age", pair, late(-5*time.Minute, pair), 204},
		{"too old", pair, late(-5*time.Minute-time.Second, pair), 401},
		{"from the future", pair, late(5*time.Minute+time.Second, pair), 401},
		{"signed for another body", pair, late(0, rotated), 401},
		{"no signature", pair, header("Keyturn-Signature", ""), 401},
		{"another version", pair, header("Keyturn-Signature", strings.Replace(signed(start, pair), "v1", "v0", 1)), 401},
		{"upper-case hex", pair, header("Keyturn-Signature", strings.ToUpper(signed(start, pair))), 401},
		{"GET", pair, func(r *http.Request) { r.Method = http.MethodGet }, 405},
		{"another path", pair, func(r *http.Request) { r.URL.Path = "/hooks" }, 404},
		{"a form", pair, header("Content-Type", "application/x-www-form-urlencoded"), 415},
		{"no delivery", pair, header("Keyturn-Delivery", ""), 400},
		{"too large", strings.Repeat(" ", 64<<10) + pair, nil, 413},
		{"no JSON", "type=ping", nil, 400},
		{"two events", ping + ping, nil, 400},
		{"unknown field", strings.Replace(ping, `"type"`, `"x":1,"type"`, 1), nil, 400},
		{"unknown field in the pair", strings.Replace(pair, `"secret"`, `"x":1,"secret"`, 1), nil, 400},
		{"field missing", strings.Replace(ping, `"rotation":"",`, "", 1), nil, 400},
		{"no key set", strings.Replace(ping, "prod", "", 1), nil, 400},
		{"unknown type", strings.Replace(verify, "verify", "revoked", 1), nil, 422},
		{"ping with a rotation", strings.Replace(ping, `"rotation":""`, `"rotation":"r0123456789"`, 1), nil, 422},
		{"verify with a pair", strings.Replace(pair, "rotated", "verify", 1), nil, 422},
		{"rotated without the pair", rotated, nil, 422},
		{"half a pair", strings.Replace(pair, `"secret":"s"`, `"secret":""`, 1), nil, 422},
		{"last four of another key", strings.Replace(pair, `"WXYZ"`, `"ABCD"`, 1), nil, 422},
		{"whole key ID as last four", strings.Replace(pair, `"WXYZ"`, `"PKSIMULATEDWXYZ"`, 1), nil, 422},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := run(t, webhooksim.Config{Pair: true})
			if got := post(t, s, tt.body, "d1", tt.change); got != tt.want {
				t.Errorf("status %d, want %d", got, tt.want)
			}
			if keyID, _ := s.Pair(); (keyID != "") != (tt.want == 204) {
				t.Errorf("the receiver has %q after status %d", keyID, tt.want)
			}
		})
	}
}

// One that is only told refuses a pair: it has no place to keep it.
func TestNotifiedRefusesAPair(t *testing.T) {
	s := run(t, webhooksim.Config{})
	for body, want := range map[string]int{ping: 204, rotated: 204, pair: 422, verify: 422} {
		if got := post(t, s, body, "d-"+body[9:13], nil); got != want {
			t.Errorf("%s: status %d, want %d", body, got, want)
		}
	}
	if s.Works() || s.Last4() != "WXYZ" {
		t.Errorf("works %v, told of %q, want no pair and the news of WXYZ", s.Works(), s.Last4())
	}
}

func TestPairIsUsed(t *testing.T) {
	now, alive := start, true
	s := run(t, webhooksim.Config{Pair: true, Now: func() time.Time { return now }, Works: func(keyID, secret string) bool { return alive && keyID+secret == "PKSIMULATEDWXYZs" }})
	s.SetPair("PKOLDOLDOLD", "old")
	s.SetOptions(webhooksim.Options{Lag: time.Minute})
	for _, step := range []struct {
		name, body, delivery string
		want                 int
		last4                string
		works                bool
	}{
		{"before", verify, "v1", 409, "DOLD", false},
		{"sent", pair, "d1", 204, "DOLD", false},
		{"not yet", verify, "v2", 409, "DOLD", false},
		{"by now", verify, "v3", 204, "WXYZ", true},
		{"a repeat", pair, "d1", 204, "WXYZ", true},
	} {
		if step.name == "by now" {
			now = now.Add(2 * time.Minute)
		}
		if got := post(t, s, step.body, step.delivery, nil); got != step.want || s.Last4() != step.last4 || s.Works() != step.works {
			t.Errorf("%s: status %d, holds %s, works %v; want %d, %s, %v", step.name, got, s.Last4(), s.Works(), step.want, step.last4, step.works)
		}
	}
	if e := s.Events(); len(e) != 5 || !e[1].Pair || e[1].Repeat || !e[4].Repeat {
		t.Errorf("events = %+v, want five, the last one a repeat", e)
	}
	s.SetOptions(webhooksim.Options{YesToAll: true})
	if got := post(t, s, strings.Replace(verify, "WXYZ", "none", 1), "v4", nil); got != 204 {
		t.Errorf("yes to all: status %d, want 204", got)
	}
	s.SetOptions(webhooksim.Options{RejectsSignature: true})
	if got := post(t, s, ping, "p1", nil); got != 401 {
		t.Errorf("rejects the signature: status %d, want 401", got)
	}
	if alive = false; s.Works() {
		t.Error("the pair works although it is dead")
	}
}

func TestFaults(t *testing.T) {
	s := run(t, webhooksim.Config{})
	clear := s.Inject(webhooksim.Redirect("http://127.0.0.1:1/"))
	if got := post(t, s, ping, "p1", nil); got != http.StatusTemporaryRedirect {
		t.Errorf("moved: status %d, want 307", got)
	}
	clear()
	s.Inject(webhooksim.Page())
	if got := post(t, s, ping, "p2", nil); got != http.StatusOK || len(s.Events()) != 0 {
		t.Errorf("page: status %d after %d events, want 200 and none", got, len(s.Events()))
	}
}
