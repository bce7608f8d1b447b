package downstream

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/sim/raptorsim"
	"github.com/raxx-app/keyturn/internal/sim/simhttp"
)

// sopBody is R55, letter by letter.
const sopBody = `{"symbol":"AAPL","qty":1,"side":"buy","type":"market","time_in_force":"day","mode":"paper"}`

// TestPlace: R55. The order that Alpaca has on its paper book is the one whose
// ID comes back.
func TestPlace(t *testing.T) {
	tests := []struct {
		name     string
		change   func(*OrdersConfig)
		options  raptorsim.Options
		wantBody string
		wantOurs bool // Alpaca has our client order ID
	}{
		{"the SOP's order", nil, raptorsim.Options{}, sopBody, false},
		{"limit order", func(c *OrdersConfig) { c.Spec.Type, c.Spec.LimitPrice = "limit", "1.00" }, raptorsim.Options{}, `{"symbol":"AAPL","qty":1,"side":"buy","type":"limit","time_in_force":"day","mode":"paper","limit_price":"1.00"}`, false},
		{"client ID not forwarded", func(c *OrdersConfig) { c.ClientIDField = "client_order_id" }, raptorsim.Options{}, sopBody[:len(sopBody)-1] + `,"client_order_id":"kt-r0000000000"}`, false},
		{"client ID forwarded", func(c *OrdersConfig) { c.ClientIDField = "client_order_id" }, raptorsim.Options{ForwardsClientID: true}, sopBody[:len(sopBody)-1] + `,"client_order_id":"kt-r0000000000"}`, true},
		{"wrapped answer", func(c *OrdersConfig) { c.IDField = "data.id" }, raptorsim.Options{Wrapper: "data"}, sopBody, false},
		{"default id field", func(c *OrdersConfig) { c.IDField = "" }, raptorsim.Options{}, sopBody, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.raptor.SetOptions(tt.options)
			o := w.orders(t, tt.change)
			id, err := o.Place(t.Context(), "kt-r0000000000")
			if err != nil {
				t.Fatalf("Place: %v", err)
			}
			if got := w.raptor.OrderBodies(); !slices.Equal(got, []string{tt.wantBody}) {
				t.Errorf("bodies = %s, want %s", got, tt.wantBody)
			}
			book := w.alpaca.Orders(w.account)
			if len(book) != 1 || book[0].ID != id || (book[0].ClientOrderID == "kt-r0000000000") != tt.wantOurs {
				t.Errorf("paper book = %+v, want one order %s, our client ID %v", book, id, tt.wantOurs)
			}
			if got := o.Spec().OwnClientID; got != strings.Contains(tt.wantBody, "client_order_id") {
				t.Errorf("OwnClientID = %v", got)
			}
			if n := len(w.raptor.LiveOrders()); n != 0 {
				t.Errorf("%d live orders, want none", n)
			}
		})
	}
}

// TestPlaceRefuses: R57, R78. What is not one share on the paper book never
// leaves the program.
func TestPlaceRefuses(t *testing.T) {
	tests := []struct {
		name, reason string
		change       func(*OrdersConfig)
	}{
		{"no mode", "not_paper", func(c *OrdersConfig) { c.Mode = "" }},
		{"live", "not_paper", func(c *OrdersConfig) { c.Mode = "live" }},
		{"other case", "not_paper", func(c *OrdersConfig) { c.Mode = "Paper" }},
		{"space", "not_paper", func(c *OrdersConfig) { c.Mode = "paper " }},
		{"ten shares", "qty_not_one", func(c *OrdersConfig) { c.Spec.Qty = "10" }},
		{"no shares", "qty_not_one", func(c *OrdersConfig) { c.Spec.Qty = "" }},
		{"client ID as mode", "client_id_field_taken", func(c *OrdersConfig) { c.ClientIDField = "mode" }},
		{"client ID as Mode", "client_id_field_taken", func(c *OrdersConfig) { c.ClientIDField = "Mode" }},
		{"client ID as qty", "client_id_field_taken", func(c *OrdersConfig) { c.ClientIDField = "qty" }},
		{"client ID as notional", "client_id_field_taken", func(c *OrdersConfig) { c.ClientIDField = "notional" }},
	}
	w := newWorld(t)
	for _, tt := range tests {
		o := w.orders(t, tt.change)
		if _, err := o.Place(t.Context(), "live"); fault.KindOf(err) != fault.Invalid || fault.ReasonOf(err) != tt.reason {
			t.Errorf("%s: Place = %v, want invalid (%s)", tt.name, err, tt.reason)
		}
		if r := o.Ready(t.Context()); r.Level != rotation.NotReady || r.Problem.Reason != tt.reason || r.Problem.Fix == "" {
			t.Errorf("%s: Ready = %+v, want failed (%s)", tt.name, r, tt.reason)
		}
	}
	if n := w.raptor.Count("", ""); n != 0 {
		t.Errorf("%d calls, want none", n)
	}
}

func TestOrdersReady(t *testing.T) {
	w := newWorld(t)
	r := w.orders(t, nil).Ready(t.Context())
	if r.Level != rotation.Unproven || r.Detail == "" || len(r.Facts) != 1 || r.Facts[0].Value != "buy 1 AAPL, market, day, mode paper" {
		t.Errorf("Ready = %+v, want unproven with the order", r)
	}
	if n := w.raptor.Count("", ""); n != 0 {
		t.Errorf("%d calls, want none", n)
	}
}

// TestPlaceStatuses: whatever leaves it open whether the order was placed is
// unknown, and nothing is ever sent twice.
func TestPlaceStatuses(t *testing.T) {
	tests := []struct {
		name   string
		fault  simhttp.Fault
		want   fault.Kind
		reason string
		placed int
	}{
		{"reply lost", simhttp.Fault{LoseReply: true}, fault.Unknown, "no_answer", 1},
		{"reply hangs", simhttp.Fault{HangReply: true}, fault.Unknown, "no_answer", 1},
		{"cut", simhttp.Fault{Cut: true}, fault.Unknown, "no_answer", 0},
		{"hangs", simhttp.Fault{Hang: true}, fault.Unknown, "no_answer", 0},
		{"500", simhttp.Fault{Status: 500, Body: `{"id":"1"}`}, fault.Unknown, "no_answer", 0},
		{"502", simhttp.Fault{Status: 502}, fault.Unknown, "no_answer", 0},
		{"503", simhttp.Fault{Status: 503}, fault.Unknown, "no_answer", 0},
		{"408", simhttp.Fault{Status: 408}, fault.Unknown, "no_answer", 0},
		{"303", simhttp.Fault{Status: 303, Header: http.Header{"Location": {"/x"}}}, fault.Unknown, "no_answer", 0},
		{"307", simhttp.Fault{Status: 307, Header: http.Header{"Location": {"/x"}}}, fault.Invalid, "redirected", 0},
		{"200 HTML", simhttp.Fault{Status: 200, Body: "<html>"}, fault.Unknown, "no_order_id", 0},
		{"200 without an ID", simhttp.Fault{Status: 200, Body: `{"status":"accepted"}`}, fault.Unknown, "no_order_id", 0},
		{"200 with a strange ID", simhttp.Fault{Status: 200, Body: `{"id":"<!channel> x"}`}, fault.Unknown, "no_order_id", 0},
		{"200 with 10 MB", simhttp.Fault{Status: 200, Body: `{"id":"a","x":"` + strings.Repeat("x", 10<<20) + `"}`}, fault.Unknown, "no_order_id", 0},
		{"400", simhttp.Fault{Status: 400}, fault.Invalid, "order_refused", 0},
		{"401", simhttp.Fault{Status: 401}, fault.Denied, "token_rejected", 0},
		{"403", simhttp.Fault{Status: 403}, fault.Denied, "token_rejected", 0},
		{"404", simhttp.Fault{Status: 404}, fault.NotFound, "route_not_found", 0},
		{"409", simhttp.Fault{Status: 409}, fault.Invalid, "order_refused", 0},
		{"422", simhttp.Fault{Status: 422}, fault.Invalid, "order_refused", 0},
		{"429", simhttp.Fault{Status: 429}, fault.Transient, "rate_limited", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			o := w.orders(t, func(c *OrdersConfig) { c.Timeout = 200 * time.Millisecond })
			w.raptor.Inject(tt.fault)
			id, err := o.Place(t.Context(), "kt-1")
			if err == nil || id != "" || fault.KindOf(err) != tt.want || fault.ReasonOf(err) != tt.reason {
				t.Errorf("Place = %q, %v, want %v (%s)", id, err, tt.want, tt.reason)
			}
			if n := w.raptor.Count("", ""); n != 1 {
				t.Errorf("%d calls, want 1", n)
			}
			if n := len(w.alpaca.Orders(w.account)); n != tt.placed {
				t.Errorf("%d orders on the paper book, want %d", n, tt.placed)
			}
		})
	}
	o := NewOrders(OrdersConfig{Endpoint: Endpoint{URL: "http://127.0.0.1:1/"}, Spec: rotation.OrderSpec{Qty: "1"}, Mode: "paper"})
	if _, err := o.Place(t.Context(), "kt-1"); fault.KindOf(err) != fault.Transient {
		t.Errorf("closed port: %v, want transient: it was never sent", err)
	}
}

// TestNothingLeaks: neither the token, nor a body, nor a query is said.
func TestNothingLeaks(t *testing.T) {
	w := newWorld(t)
	planted := []string{token, "planted-body", "planted-query"}
	var said strings.Builder
	say := func(v any, err error) {
		data, _ := json.Marshal(v)
		fmt.Fprintf(&said, "%s %v %+v %v\n", data, v, v, err)
		if err != nil {
			said.WriteString(fault.UserText(err) + fault.FixText(err))
		}
	}
	for _, status := range []int{200, 302, 400, 401, 403, 404, 422, 429, 500} {
		for _, body := range []string{"planted-body", `{"id":"planted-body ` + token + `","error":"planted-body"}`, `{"alpaca_status":"` + token + `"}`} {
			w.raptor.Inject(simhttp.Fault{Times: 2, Status: status, Body: body, Header: http.Header{"Location": {"http://127.0.0.1:1/?planted-query"}, "Retry-After": {"planted-body"}}})
			a := w.accountCheck(t, func(c *AccountConfig) { c.URL += "?q=planted-query" })
			p, err := a.Check(t.Context())
			say(p, err)
			o := w.orders(t, func(c *OrdersConfig) { c.URL += "?q=planted-query" })
			id, err := o.Place(t.Context(), "kt-1")
			say(id, err)
			say(o.Ready(t.Context()), nil)
		}
	}
	for _, url := range []string{"http://127.0.0.1:1/?planted-query", "http://%zz/planted-query", "::planted-query"} {
		p, err := w.accountCheck(t, func(c *AccountConfig) { c.URL = url }).Check(t.Context())
		if err == nil {
			t.Errorf("Check of %s succeeded", url)
		}
		say(p, err)
	}
	for _, p := range planted {
		if i := strings.Index(said.String(), p); i >= 0 {
			t.Errorf("%q leaked after: %s", p, said.String()[max(0, i-120):i])
		}
	}
}
