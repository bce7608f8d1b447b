package webhook

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
)

const (
	plantedKey  = "PKPLANTEDPLANTEDWXYZ"
	plantedSec  = "planted/new+secret=value&<0123456789>"
	plantedSign = "planted-webhook-secret-0123456789"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// A reply answers every request without a network; err, if set, is what the
// transport says instead.
type reply struct {
	status int
	header http.Header
	body   string
	err    error
}

// RoundTrip implements [http.RoundTripper].
func (r reply) RoundTrip(req *http.Request) (*http.Response, error) {
	sent, _ := io.ReadAll(req.Body)
	if r.err != nil {
		return nil, fmt.Errorf("%w: %s", r.err, sent) // a transport that quotes what it sent
	}
	body := strings.ReplaceAll(r.body, "{echo}", string(sent)+req.Header.Get("Keyturn-Signature"))
	return &http.Response{StatusCode: r.status, Header: r.header, Body: io.NopCloser(strings.NewReader(body)), Request: req}, nil
}

func planted(r reply, pair bool) *Hook {
	return New(Config{
		Name: "backtest", KeySet: "prod", URL: "https://hooks.example/in/planted-path?token=planted-query", Pair: pair,
		Secret: secret.New(plantedSign), Transport: r, Now: func() time.Time { return noon },
	})
}

func plantedDelivery() rotation.Delivery {
	return rotation.Delivery{
		Rotation: "r0123456789", KeySet: "prod", Print: "print-1",
		Pair: rotation.Pair{KeyID: secret.New(plantedKey), Secret: secret.New(plantedSec)},
	}
}

// everything returns all that the hook says to people, records and logs when it
// is answered with r.
func everything(t *testing.T, h *Hook) string {
	t.Helper()
	var out strings.Builder
	add := func(v any) {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatalf("encode %T: %v", v, err)
		}
		out.Write(text)
		fmt.Fprintf(&out, "%+v", v)
	}
	say := func(err error) {
		if err != nil {
			fmt.Fprintf(&out, "%v %+v %s %s", err, err, fault.UserText(err), fault.FixText(err))
		}
	}
	add(h.Ready(t.Context()))
	rec, err := h.Apply(t.Context(), plantedDelivery())
	add(rec)
	say(err)
	rec, err = h.Apply(t.Context(), plantedDelivery()) // after an unknown one it asks first
	add(rec)
	say(err)
	proof, err := h.Verify(t.Context(), plantedDelivery(), rec)
	add(proof)
	say(err)
	return out.String()
}

// leaks returns the planted texts that text holds, in clear or encoded.
func leaks(text string) (found []string) {
	for _, value := range []string{plantedKey, plantedSec, plantedSign, "planted-path", "planted-query"} {
		quoted, _ := json.Marshal(value)
		for _, form := range []string{
			value, value[:12], strings.Trim(string(quoted), `"`), url.QueryEscape(value), hex.EncodeToString([]byte(value)),
			base64.StdEncoding.EncodeToString([]byte(value))[:12], base64.URLEncoding.EncodeToString([]byte(value))[:12],
		} {
			if strings.Contains(text, form) {
				found = append(found, form)
			}
		}
	}
	return found
}

// R43, R82: whatever the receiver answers, even all that it was sent, nothing of
// it is in what the bot says.
func TestNothingLeaksR43(t *testing.T) {
	if len(leaks("x"+plantedSec+"x")) == 0 || len(leaks(`{"s":"planted/new+secret=value\u0026\u003c0123456789\u003e"}`)) == 0 {
		t.Fatal("leaks finds nothing where something is planted")
	}
	for _, pair := range []bool{true, false} {
		for status := 100; status < 600; status += 1 + status%7 { // some of each hundred
			for _, kind := range []string{"application/json", "text/html"} {
				r := reply{status: status, header: http.Header{"Content-Type": {kind}, "Retry-After": {plantedSec}, "Date": {plantedSec}, "Location": {plantedSec}}, body: "{echo}"}
				if found := leaks(everything(t, planted(r, pair))); len(found) > 0 {
					t.Errorf("pair %v, status %d, %s: %q left the package", pair, status, kind, found)
				}
			}
		}
		for _, err := range []error{io.ErrUnexpectedEOF, os.ErrDeadlineExceeded} {
			if found := leaks(everything(t, planted(reply{err: err}, pair))); len(found) > 0 {
				t.Errorf("pair %v, %v: %q left the package", pair, err, found)
			}
		}
	}
	h := planted(reply{status: 204}, true)
	if text := fmt.Sprintf("%v %+v %#v", h, h, h.cfg); strings.Contains(text, plantedSign[:12]) {
		t.Errorf("printed, the hook shows its key: %s", text)
	}
}

// A receiver that is only told never gets a value, whatever it answers.
func TestNotifyBodyHasNoPair(t *testing.T) {
	var bodies []string
	h := planted(reply{status: 204}, false)
	h.client.Transport = seen{&bodies}
	_ = everything(t, h)
	if len(bodies) != 3 { // ping, and twice the news
		t.Fatalf("%d bodies, want 3: %q", len(bodies), bodies)
	}
	for _, b := range bodies {
		if len(leaks(b)) > 0 || strings.Contains(b, "pair") {
			t.Errorf("body %s, want no value", b)
		}
	}
}

type seen struct{ bodies *[]string }

// RoundTrip implements [http.RoundTripper].
func (s seen) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	*s.bodies = append(*s.bodies, string(body))
	return &http.Response{StatusCode: http.StatusNoContent, Header: http.Header{}, Body: http.NoBody, Request: req}, err
}

// The example of docs/webhooks.md, whose signature openssl made, is what the
// code sends.
func TestSignIsAsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/webhooks.md")
	if err != nil {
		t.Fatal(err)
	}
	body := regexp.MustCompile(`(?m)^\{"type":"rotated".*\}$`).FindString(string(page))
	header := regexp.MustCompile(`Keyturn-Signature: (t=.*)`).FindStringSubmatch(string(page))
	if body == "" || header == nil {
		t.Fatal("docs/webhooks.md has no example")
	}
	if got := sign(secret.New("example-webhook-secret"), noon, []byte(body)); got != header[1] {
		t.Errorf("sign = %s, want %s", got, header[1])
	}
	made, err := json.Marshal(event{Type: typeRotated, Rotation: "r0123456789", KeySet: "prod", Last4: "WXYZ"})
	if err != nil || string(made) != body {
		t.Errorf("event = %s, %v, want the documented one", made, err)
	}
}

// FuzzAnswer feeds any answer to every act. Whatever comes, only a 2xx that is
// no page is a yes, only a 409 to a question is a no, everything else is a fault
// that says what to do, and nothing leaks.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{"", "{}", "{echo}", "<html>{echo}", " \n<", "\x00", strings.Repeat("a", 600)} {
		for _, status := range []int{100, 200, 204, 301, 401, 409, 429, 500, 503} {
			f.Add(status, "application/json", "3", body)
		}
	}
	f.Add(200, "text/html", "Sun, 22 Nov 2026 12:00:30 GMT", "")
	f.Add(429, "", "99999999999999999999", "")
	f.Fuzz(func(t *testing.T, status int, kind, wait, body string) {
		r := reply{status: status, header: http.Header{"Content-Type": {kind}, "Retry-After": {wait}, "Date": {wait}}, body: body}
		for _, pair := range []bool{true, false} {
			h := planted(r, pair)
			_, err := h.Apply(t.Context(), plantedDelivery())
			if err == nil != (status/100 == 2 && !h.post(t.Context(), event{}, "x").html) {
				t.Errorf("Apply answered %d, %q: error = %v", status, kind, err)
			}
			if err != nil && (fault.UserText(err) == "" || fault.ReasonOf(err) == "internal" || fault.RetryAfter(err) < 0 || fault.RetryAfter(err) > retryAfterMax) {
				t.Errorf("Apply answered %d: error = %v, want one that a person can read", status, err)
			}
			proof, err := h.Verify(t.Context(), plantedDelivery(), rotation.Receipt{})
			if pair && proof.Done && status/100 != 2 || pair && err == nil && !proof.Done && status != http.StatusConflict {
				t.Errorf("Verify answered %d = %+v, %v", status, proof, err)
			}
			if found := leaks(everything(t, h)); len(found) > 0 {
				t.Errorf("status %d: %q left the package", status, found)
			}
		}
	})
}
