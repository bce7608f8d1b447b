package alpaca

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
	"github.com/raxx-app/keyturn/internal/sim/alpacasim"
	"github.com/raxx-app/keyturn/internal/sim/simhttp"
)

// start returns a running simulator with one account, and its pair.
func start(t *testing.T, c alpacasim.Config) (*alpacasim.Sim, alpacasim.Account, rotation.Pair) {
	t.Helper()
	sim := alpacasim.New(c)
	if err := sim.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sim.Close() })
	a, err := sim.OpenNew("100000")
	if err != nil {
		t.Fatal(err)
	}
	return sim, a, regenerate(t, sim, a.ID)
}

func regenerate(t *testing.T, sim *alpacasim.Sim, account string) rotation.Pair {
	t.Helper()
	k, err := sim.Regenerate(account)
	if err != nil {
		t.Fatal(err)
	}
	return pairOf(k)
}

func pairOf(k alpacasim.Key) rotation.Pair {
	return rotation.Pair{KeyID: secret.New(k.ID), Secret: secret.New(k.Secret)}
}

// client returns a client of base. A timeout of 0 is a generous one.
func client(t *testing.T, base string, timeout time.Duration) *Client {
	t.Helper()
	c, err := New(Config{BaseURL: base, Now: time.Now, Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCheckURL(t *testing.T) {
	tests := []struct {
		base string
		ok   bool
	}{
		{"https://paper-api.alpaca.markets", true},
		{"https://paper-api.alpaca.markets/", true},
		{"http://127.0.0.1:8080", true},
		{"http://localhost:1", true},
		{"http://[::1]:8080", true},
		{"", false},
		{"https://api.alpaca.markets", false}, // live
		{"http://paper-api.alpaca.markets", false},
		{"https://paper-api.alpaca.markets:443", false},
		{"https://paper-api.alpaca.markets.example.com", false},
		{"https://user@paper-api.alpaca.markets", false},
		{"https://paper-api.alpaca.markets@example.com", false},
		{"https://paper-api.alpaca.markets/v2", false},
		{"https://paper-api.alpaca.markets//", false},
		{"https://paper-api.alpaca.markets?x", false},
		{"https://PAPER-API.alpaca.markets", false},
		{"https://127.0.0.1", false},
		{"http://user:hunter2@127.0.0.1", false},
		{"http://127.0.0.1/path", false},
		{"http://127.0.0.1?q", false},
		{"http://127.0.0.1#f", false},
		{"http://192.168.0.1", false},
		{"http://127.0.0.1.example.com", false},
		{"http://localhost.example.com", false},
	}
	for _, tt := range tests {
		_, err := New(Config{BaseURL: tt.base, Now: time.Now})
		if (err == nil) != tt.ok {
			t.Errorf("New(%q) error = %v, want ok %v", tt.base, err, tt.ok)
		}
		if err == nil {
			continue
		}
		if got := fault.ReasonOf(err); got != "base_url" || fault.KindOf(err) != fault.Invalid {
			t.Errorf("New(%q) = %v %q, want invalid base_url", tt.base, fault.KindOf(err), got)
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("New(%q) error %q holds the password", tt.base, err)
		}
	}
}

func TestNewWantsAClock(t *testing.T) {
	if _, err := New(Config{BaseURL: PaperURL}); err == nil {
		t.Error("New without Now succeeded, want an error")
	}
}

// Only the real host is reached through a proxy of the environment.
func TestProxy(t *testing.T) {
	for base, want := range map[string]bool{PaperURL: true, "http://127.0.0.1:1": false} {
		tr, ok := client(t, base, 0).http.Transport.(*http.Transport)
		if !ok || (tr.Proxy != nil) != want {
			t.Errorf("proxy for %s set = %v, want %v", base, tr.Proxy != nil, want)
		}
	}
}

// Names that Alpaca's SDK reads from the environment change nothing (R19).
func TestEnvironmentIsIgnored(t *testing.T) {
	sim, a, p := start(t, alpacasim.Config{})
	t.Setenv("APCA_API_KEY_ID", "PKAMBIENT")
	t.Setenv("APCA_API_SECRET_KEY", "ambient")
	t.Setenv("APCA_API_OAUTH", "ambient")
	t.Setenv("APCA_API_BASE_URL", "https://api.alpaca.markets")
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	if got := client(t, sim.URL(), 0).Probe(t.Context(), p); got.Account.ID != a.ID {
		t.Errorf("Probe = %+v, want account %s", got, a.ID)
	}
}

// The pair does not follow a redirect, whatever asks for it.
func TestRedirectIsRefused(t *testing.T) {
	visited := make(chan string, 10)
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { visited <- r.URL.Path }))
	defer thief.Close()
	sim, _, p := start(t, alpacasim.Config{})
	c := client(t, sim.URL(), 0)
	for _, status := range []int{301, 302, 303, 307, 308} {
		undo := sim.Inject(simhttp.Fault{Status: status, Header: http.Header{"Location": {thief.URL + "/v2/account"}}})
		if got := c.Probe(t.Context(), p); got.Verdict != rotation.Unknown || got.Reason != "redirect" || got.Status != status {
			t.Errorf("Probe after %d = %+v, want unknown, redirect", status, got)
		}
		if _, err := c.Sell(t.Context(), p, "c1", "KO", "1"); fault.ReasonOf(err) != "redirect" {
			t.Errorf("Sell after %d: %v, want redirect", status, err)
		}
		undo()
	}
	select {
	case path := <-visited:
		t.Errorf("the redirect to %s was followed", path)
	default:
	}
}

// No error and no probe shows a pair, whatever comes back.
func TestNothingLeaks(t *testing.T) {
	sim, _, p := start(t, alpacasim.Config{})
	id, key := p.KeyID.Reveal(), p.Secret.Reveal()
	forms := func(s string) []string {
		return []string{s, base64.StdEncoding.EncodeToString([]byte(s)), hex.EncodeToString([]byte(s)), url.QueryEscape(s)}
	}
	echo := `{"code":40310000,"message":"` + key + `","` + id + `":"` + key + `"}`
	faults := map[string]simhttp.Fault{
		"cut":     {Cut: true},
		"hang":    {Hang: true},
		"lost":    {LoseReply: true},
		"echo":    {Status: 403, Body: echo, Header: http.Header{"X-Request-Id": {"id=" + key}}},
		"echo422": {Status: 422, Body: echo},
		"html":    {Status: 502, Body: "<html>" + key},
		"not 200": {Status: 200, Body: echo},
	}
	short := client(t, sim.URL(), 30*time.Millisecond)
	for name, f := range faults {
		undo := sim.Inject(f)
		said := []string{fmt.Sprintf("%+v", short.Probe(t.Context(), p))}
		_, err := short.Survey(t.Context(), p)
		_, err2 := short.Orders(t.Context(), p, key, time.Time{}) // a secret where an ID belongs
		_, err3 := short.Sell(t.Context(), p, "c-"+name, "KO", "1")
		err4 := short.Cancel(t.Context(), p, "o1")
		for _, err := range []error{err, err2, err3, err4} {
			if err == nil {
				t.Fatalf("%s: a call succeeded, want a fault", name)
			}
			said = append(said, err.Error(), fmt.Sprintf("%#v", err), fault.UserText(err), fault.FixText(err))
		}
		for _, text := range said {
			for _, form := range append(forms(id), forms(key)...) {
				if strings.Contains(text, form) {
					t.Errorf("%s: %q shows the pair as %q", name, text, form)
				}
			}
		}
		undo()
	}
}
