package alpacasim

import (
	"errors"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// status returns what GET /v2/account answers a pair.
func (w *world) status(t *testing.T, k Key) int {
	t.Helper()
	res, _ := w.sendAs(t, k, "GET", "/v2/account", "")
	return res.StatusCode
}

func TestKeyForm(t *testing.T) {
	w := newWorld(t, "1000")
	if !regexp.MustCompile(`^PK[A-Z2-7]{24}$`).MatchString(w.key.ID) || !regexp.MustCompile(`^[1-9A-Za-z]{44}$`).MatchString(w.key.Secret) {
		t.Errorf("pair has %d and %d characters, want PK and 24 of base32, 44 of base58", len(w.key.ID), len(w.key.Secret))
	}
	if a := w.Accounts()[0]; !regexp.MustCompile(`^PA3[0-9A-Z]{9}$`).MatchString(a.Number) || len(a.ID) != 36 {
		t.Errorf("account %s, %s; want a UUID and PA3 with nine more", a.ID, a.Number)
	}
}

// A regeneration kills the pair before it, and only that account's.
func TestRegenerate(t *testing.T) {
	w := newWorld(t, "1000")
	other, err := w.OpenNew("500")
	if err != nil {
		t.Fatal(err)
	}
	otherKey, err := w.Regenerate(other.Number)
	if err != nil {
		t.Fatal(err)
	}
	before := w.Accounts()
	next, err := w.Regenerate(w.self)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		key  Key
		want int
	}{"old": {w.key, 401}, "new": {next, 200}, "other account": {otherKey, 200}, "halves mixed": {Key{next.ID, w.key.Secret}, 401}} {
		if got := w.status(t, tt.key); got != tt.want {
			t.Errorf("%s pair = %d, want %d", name, got, tt.want)
		}
		if _, ok := w.KeyState(tt.key.ID, tt.key.Secret); ok != (tt.want == 200) {
			t.Errorf("KeyState of the %s pair = %v, want %v", name, ok, tt.want == 200)
		}
	}
	before[0].KeyID = next.ID
	if diff := cmp.Diff(before, w.Accounts()); diff != "" {
		t.Errorf("accounts changed (-want +got):\n%s", diff)
	}
	if id, err := w.View(w.self); id != next.ID || err != nil {
		t.Errorf("View = %q, %v; want the new key ID", id, err)
	}
}

func TestRevocationLag(t *testing.T) {
	w := newWorld(t, "1000")
	w.SetRevocationLag(10 * time.Second)
	next, err := w.Regenerate(w.self)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		after time.Duration
		want  int
	}{{0, 200}, {9 * time.Second, 200}, {time.Second, 401}} {
		w.now = w.now.Add(step.after)
		if got := w.status(t, w.key); got != step.want {
			t.Errorf("old pair after another %v = %d, want %d", step.after, got, step.want)
		}
		if got := w.status(t, next); got != 200 {
			t.Errorf("new pair after another %v = %d, want 200", step.after, got)
		}
	}
}

// A login has three accounts at most; a deleted or reset one takes its pair
// along, and the successor has another identity and none.
func TestAccounts(t *testing.T) {
	w := newWorld(t, "1000")
	for range 2 {
		if _, err := w.OpenNew("0"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.OpenNew("0"); !errors.Is(err, ErrTooMany) {
		t.Errorf("fourth account: %v, want ErrTooMany", err)
	}
	old, err := w.Account(w.self)
	if err != nil {
		t.Fatal(err)
	}
	next, err := w.LegacyReset(w.self)
	if err != nil || next.ID == old.ID || next.Number == old.Number || next.KeyID != "" || next.Cash != "100000" {
		t.Errorf("LegacyReset = %+v, %v; want another account with 100000 and no pair", next, err)
	}
	if got := w.status(t, w.key); got != 401 {
		t.Errorf("pair of the account that was reset = %d, want 401", got)
	}
	if err := w.Delete(next.ID); err != nil || len(w.Accounts()) != 2 {
		t.Errorf("Delete: %v, %d accounts left; want 2", err, len(w.Accounts()))
	}
	if _, err := w.Regenerate(next.ID); !errors.Is(err, ErrNoAccount) {
		t.Errorf("Regenerate of a deleted account: %v, want ErrNoAccount", err)
	}
	if err := w.UsePair(w.Accounts()[0].ID, w.key); !errors.Is(err, ErrBadValue) {
		t.Errorf("UsePair with a dead pair: %v, want ErrBadValue", err)
	}
}

func TestStrict(t *testing.T) {
	w := newWorld(t, "1000")
	tests := []struct {
		method, path, body string
		want               int
	}{
		{"GET", "/", "", 404},
		{"GET", "/v2/account/", "", 404},
		{"GET", "/v1/account", "", 404},
		{"POST", "/v2/account", "", 404},
		{"DELETE", "/v2/orders", "", 404}, // would cancel everything; not simulated
		{"DELETE", "/v2/orders/", "", 404},
		{"GET", "/v2/orders:by_client_order_id", "", 422},
		{"GET", "/v2/orders?status=cancelled", "", 422},
		{"GET", "/v2/orders?limit=501", "", 422},
		{"GET", "/v2/orders?after=yesterday", "", 422},
		{"GET", "/v2/orders?direction=up", "", 422},
		{"POST", "/v2/orders", "symbol=KO", 400},
		{"POST", "/v2/orders", "{}", 422},
		{"POST", "/v2/orders", `{"symbol":"KO","qty":"1","notional":"5","side":"buy","type":"market","time_in_force":"day"}`, 422},
		{"POST", "/v2/orders", `{"symbol":"KO","qty":"1","side":"buy","type":"market","time_in_force":"day","limit_price":"1"}`, 422},
		{"POST", "/v2/orders", `{"symbol":"KO","qty":"1","side":"buy","type":"limit","time_in_force":"day"}`, 422},
		{"POST", "/v2/orders", `{"symbol":"KO","qty":"-1","side":"buy","type":"market","time_in_force":"day"}`, 422},
		{"POST", "/v2/orders", `{"symbol":"KO","qty":"1/3","side":"buy","type":"market","time_in_force":"day"}`, 422},
		{"POST", "/v2/orders", `{"symbol":"KO","qty":"1","side":"hold","type":"market","time_in_force":"day"}`, 422},
		{"POST", "/v2/orders", `{"symbol":"KO","qty":1,"side":"buy","type":"market","time_in_force":"day"}`, 200}, // a number is taken
	}
	for _, tt := range tests {
		res, body := w.send(t, tt.method, tt.path, tt.body)
		if res.StatusCode != tt.want || len(res.Header.Get("X-Request-ID")) != 32 {
			t.Errorf("%s %s %s = %d %s, want %d with a request ID", tt.method, tt.path, tt.body, res.StatusCode, body, tt.want)
		}
		if res, _ := w.sendAs(t, Key{}, tt.method, tt.path, tt.body); res.StatusCode != http.StatusForbidden {
			t.Errorf("%s %s without a pair = %d, want 403", tt.method, tt.path, res.StatusCode)
		}
	}
}

func TestOutages(t *testing.T) {
	w := newWorld(t, "1000")
	for _, tt := range []struct {
		outage Outage
		want   int
		body   string
	}{
		{ServerError, 500, "Internal Server Error"},
		{BadGateway, 502, "<html>"},
		{EdgeForbidden, 403, "<html>"},
		{Throttled, 429, "42910000"},
		{Healthy, 200, "ACTIVE"},
	} {
		w.SetOutage(tt.outage)
		if res, body := w.send(t, "GET", "/v2/account", ""); res.StatusCode != tt.want || !strings.Contains(body, tt.body) {
			t.Errorf("outage %d = %d %s, want %d with %s", tt.outage, res.StatusCode, body, tt.want, tt.body)
		}
		if id, ok := w.KeyState(w.key.ID, w.key.Secret); !ok || id != w.self {
			t.Errorf("outage %d: KeyState = %q, %v; want the account all the same", tt.outage, id, ok)
		}
	}
}

// An incident hits living pairs, in turns.
func TestAuthIncident(t *testing.T) {
	w := newWorld(t, "1000")
	w.SetAuthIncident(w.key.ID, 2)
	var got []int
	for range 4 {
		got = append(got, w.status(t, w.key))
	}
	w.SetAuthIncident(w.key.ID, 0)
	got = append(got, w.status(t, w.key))
	if diff := cmp.Diff([]int{401, 200, 401, 200, 200}, got); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
}

func TestRateLimit(t *testing.T) {
	w := newWorld(t, "1000")
	w.SetRateLimit(2)
	var got []int
	for range 3 {
		got = append(got, w.status(t, w.key))
	}
	res, _ := w.send(t, "GET", "/v2/clock", "")
	if res.Header.Get("X-RateLimit-Reset") != "1791472275" || w.now.Unix() != 1791472215 {
		t.Errorf("reset = %s at %d, want a minute later", res.Header.Get("X-RateLimit-Reset"), w.now.Unix())
	}
	w.now = w.now.Add(time.Minute)
	got = append(got, w.status(t, w.key))
	if diff := cmp.Diff([]int{200, 200, 429, 200}, got); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
}
