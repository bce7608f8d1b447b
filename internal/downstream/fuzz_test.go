package downstream

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
	"github.com/raxx-app/keyturn/internal/sim/simtest"
)

// FuzzAnswer gives both calls the same answer. Whatever comes: an account is
// proven only by a success whose JSON says so at the wanted place, an order has
// an ID only if the answer of a success names it, what is unclear about an order
// stays unknown, and an error is a fault that quotes nothing.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{
		`{"alpaca_status":"ACTIVE","id":"b0b6dd9d-8b9b-48a9-ba46-b9d54906e415"}`, `{"alpaca_status":["ACTIVE"]}`, `{"alpaca_status":"ACTIVE"} {}`,
		`{"alpaca_status":"ACTIVE","alpaca_status":"DEAD"}`, `"ACTIVE"`, `<html>ACTIVE Zx9QmW3vKb7TnY5rLc2</html>`, ``, `null`, `{"id":1e999}`, `{"id":{"id":"Zx9QmW3vKb7TnY5rLc2"}}`,
		`{"alpaca_status":"\u202eEVITCA","id":"../../x"}`, `{"data":[{"status":"ACTIVE"}]}`, strings.Repeat(`{"a":`, 1000),
	} {
		for _, status := range []int{200, 201, 302, 401, 404, 422, 500} {
			f.Add(status, []byte(body), "alpaca_status")
		}
		f.Add(200, []byte(body), "data.0.status")
		f.Add(200, []byte(body), "..")
	}
	for _, r := range simtest.Recordings(f, "alpaca") { // some services hand those on as they are
		f.Add(r.Status, r.Body, "status")
	}
	f.Fuzz(func(t *testing.T, status int, body []byte, path string) {
		if status < 200 || status > 999 {
			return
		}
		endpoint := Endpoint{URL: "https://raptor.invalid/api", Token: secret.New(token), Transport: &simtest.Answer{Status: status, Body: body}}
		account := NewAccount(AccountConfig{Endpoint: endpoint, Field: path})
		proof, err := account.Check(t.Context())
		if proof.Done && (status/100 != 2 || err != nil || !json.Valid(body) || !strings.Contains(unescaped(body), `"ACTIVE"`)) {
			t.Errorf("%d %q at %q: proven (%s, %v)", status, body, path, proof.Detail, err)
		}
		if strings.ContainsFunc(strings.TrimPrefix(proof.Detail, account.field), func(r rune) bool { return unicode.IsControl(r) || r == '\u202e' }) {
			t.Errorf("%d %q: the detail %q is not printable", status, body, proof.Detail)
		}
		check(t, body, path, err)

		order := NewOrders(OrdersConfig{Endpoint: endpoint, Spec: rotation.OrderSpec{Symbol: "AAPL", Qty: "1", Side: "buy", Type: "market", TimeInForce: "day"}, Mode: paper, IDField: path})
		id, err := order.Place(t.Context(), "kt-1")
		switch {
		case err == nil && (status/100 != 2 || !usableID(id) || !strings.Contains(unescaped(body), id)):
			t.Errorf("%d %q at %q: placed as %q", status, body, path, id)
		case err != nil && id != "":
			t.Errorf("%d %q: %v, and the order %q", status, body, err, id)
		case err != nil && status/100 == 2 && fault.KindOf(err) != fault.Unknown, err != nil && status >= 500 && fault.KindOf(err) != fault.Unknown:
			t.Errorf("%d %q: Place = %v, want unknown: it may have been placed", status, body, err)
		}
		check(t, body, path, err)
	})
}

// check reports an error that is not as it must be. It may name path: that is
// from bot.yml, whatever the answer says.
func check(t *testing.T, body []byte, path string, err error) {
	t.Helper()
	if err == nil {
		return
	}
	e, ok := errors.AsType[*fault.Error](err)
	if !ok || e.Reason == "" || e.Op == "" || fault.UserText(err) == "" {
		t.Errorf("error %#v, want a fault with reason, op and text", err)
	}
	if got := simtest.Quoted(body, err.Error(), fault.UserText(err), fault.FixText(err)); got != "" && !strings.Contains(path, got) {
		t.Errorf("the error quotes %q of the answer: %v", got, err)
	}
}

// unescaped returns body as JSON without needless escapes: "\u0041" is "A".
func unescaped(body []byte) string {
	var v any
	dec := json.NewDecoder(strings.NewReader(string(body)))
	dec.UseNumber()
	if dec.Decode(&v) != nil {
		return ""
	}
	data, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(data)
}

// TestReadsNoMoreThanItShould: a body that never ends is given up on, and an
// order that it answers may have been placed.
func TestReadsNoMoreThanItShould(t *testing.T) {
	for _, status := range []int{200, 403, 500} {
		answer := &simtest.Answer{Status: status, Body: []byte(`{"alpaca_status":"ACTIVE","id":"1"}`), Rest: 10 << 20}
		endpoint := Endpoint{URL: "https://raptor.invalid/api", Transport: answer}
		p, err := NewAccount(AccountConfig{Endpoint: endpoint}).Check(t.Context())
		if p.Done || err == nil {
			t.Errorf("status %d: Check = %+v, %v, want a fault", status, p, err)
		}
		order := NewOrders(OrdersConfig{Endpoint: endpoint, Spec: rotation.OrderSpec{Symbol: "AAPL", Qty: "1", Side: "buy", Type: "market", TimeInForce: "day"}, Mode: paper})
		if id, err := order.Place(t.Context(), "kt-1"); id != "" || status != 403 && fault.KindOf(err) != fault.Unknown || err == nil {
			t.Errorf("status %s: Place = %q, %v, want unknown", strconv.Itoa(status), id, err)
		}
		if got := answer.Read(); got > 2*(bodyMax+4096) {
			t.Errorf("status %d: %d bytes were read, want at most %d each", status, got, bodyMax)
		}
	}
}
