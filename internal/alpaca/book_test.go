package alpaca

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/sim/alpacasim"
	"github.com/raxx-app/keyturn/internal/sim/simhttp"
)

// rest leaves a resting order in the account.
func rest(t *testing.T, sim *alpacasim.Sim, account, clientID string) alpacasim.Order {
	t.Helper()
	o, err := sim.AddOpenOrder(account, alpacasim.NewOrder{Symbol: "KO", Qty: "1", ClientID: clientID})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// hold lets the account hold shares.
func hold(t *testing.T, sim *alpacasim.Sim, account, symbol, qty string) {
	t.Helper()
	if err := sim.AddPosition(account, symbol, qty); err != nil {
		t.Fatal(err)
	}
}

// R18, R22: positions, open orders and the clock.
func TestSurvey(t *testing.T) {
	at := time.Date(2026, 11, 20, 19, 0, 0, 0, time.UTC) // Friday, 14:00 in New York
	sim, a, p := start(t, alpacasim.Config{Now: func() time.Time { return at }})
	c := client(t, sim.URL(), 0)

	empty, err := c.Survey(t.Context(), p)
	want := rotation.Survey{
		MarketOpen: true,
		NextClose:  time.Date(2026, 11, 20, 21, 0, 0, 0, time.UTC),
		NextOpen:   time.Date(2026, 11, 23, 14, 30, 0, 0, time.UTC),
	}
	if diff := cmp.Diff(want, empty); diff != "" || err != nil {
		t.Fatalf("Survey error %v (-want +got):\n%s", err, diff)
	}

	hold(t, sim, a.ID, "KO", "0.557436865")
	o := rest(t, sim, a.ID, "mine")
	sim.SetMarketOpen(false)
	got, err := c.Survey(t.Context(), p)
	want.MarketOpen = false
	want.NextClose = time.Date(2026, 11, 23, 21, 0, 0, 0, time.UTC)
	want.Positions = []rotation.Holding{{Symbol: "KO", Qty: "0.557436865"}}
	want.OpenOrders = []rotation.Order{{
		ID: o.ID, ClientID: "mine", Symbol: "KO", Side: "buy", Type: "limit", Qty: "1", FilledQty: "0", Status: "new", CreatedAt: at,
	}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("Survey error %v (-want +got):\n%s", err, diff)
	}
}

// A survey is whole or it is an error.
func TestSurveyFaults(t *testing.T) {
	for _, path := range []string{"/v2/positions", "/v2/orders", "/v2/clock"} {
		for _, body := range []string{`[{}]`, `{}`, `null`, `[{"symbol":`, `<html>`} {
			sim, _, p := start(t, alpacasim.Config{})
			sim.Inject(simhttp.Fault{Path: path, Status: 200, Body: body})
			got, err := client(t, sim.URL(), 0).Survey(t.Context(), p)
			if fault.ReasonOf(err) != "bad_answer" || fault.KindOf(err) != fault.Transient || len(got.Positions) != 0 {
				t.Errorf("Survey with %s answering %s = %+v, %v; want bad_answer", path, body, got, err)
			}
		}
	}
}

// Each status that a call can get, as a fault. A read may be repeated; an order
// that was sent without an answer is Unknown.
func TestFaults(t *testing.T) {
	tests := []struct {
		name   string
		fault  simhttp.Fault
		reason string
		read   fault.Kind // Survey, Orders, Cancel
		sell   fault.Kind
	}{
		{"rejected", simhttp.Fault{Status: 401, Body: `{"message": "unauthorized."}`}, "unauthorized", fault.Denied, fault.Denied},
		{"no credentials", simhttp.Fault{Status: 403, Body: `{"message": "forbidden."}`}, "forbidden", fault.Denied, fault.Denied},
		{"proxy", simhttp.Fault{Status: 403, Body: `<html>`}, "edge", fault.Transient, fault.Transient},
		{"limit", simhttp.Fault{Status: 429, Body: `{"code":42910000,"message":"rate limit exceeded"}`}, "rate_limited", fault.Transient, fault.Transient},
		{"500", simhttp.Fault{Status: 500, Body: `{"message":"Internal Server Error"}`}, "server", fault.Transient, fault.Unknown},
		{"502", simhttp.Fault{Status: 502, Body: `<html>`}, "server", fault.Transient, fault.Unknown},
		{"404 of another service", simhttp.Fault{Status: 404, Body: `<html>`}, "edge", fault.Transient, fault.Transient},
		{"cut", simhttp.Fault{Cut: true}, "network", fault.Transient, fault.Unknown},
		{"no answer", simhttp.Fault{Hang: true}, "timeout", fault.Transient, fault.Unknown},
		{"captive portal", simhttp.Fault{Status: 200, Body: `<html>`}, "bad_answer", fault.Transient, fault.Unknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sim, _, p := start(t, alpacasim.Config{})
			sim.Inject(tt.fault)
			timeout := 5 * time.Second
			if tt.fault.Hang {
				timeout = 50 * time.Millisecond
			}
			c := client(t, sim.URL(), timeout)
			_, survey := c.Survey(t.Context(), p)
			_, orders := c.Orders(t.Context(), p, "", time.Time{})
			_, byID := c.Orders(t.Context(), p, "c1", time.Time{})
			cancel := c.Cancel(t.Context(), p, "o1")
			before := sim.Count("", "")
			_, sell := c.Sell(t.Context(), p, "c1", "KO", "1")
			if n := sim.Count("", "") - before; n != 1 {
				t.Errorf("Sell made %d calls, want 1", n)
			}
			for call, err := range map[string]error{"Survey": survey, "Orders": orders, "Orders by ID": byID, "Cancel": cancel, "Sell": sell} {
				kind := tt.read
				if call == "Sell" {
					kind = tt.sell
				}
				if err == nil || fault.KindOf(err) != kind || fault.ReasonOf(err) != tt.reason {
					t.Errorf("%s: %v, want %v %q", call, err, kind, tt.reason)
					continue
				}
				for _, text := range []string{fault.UserText(err), fault.FixText(err)} {
					if !strings.HasSuffix(text, ".") || strings.Contains(text, "html") {
						t.Errorf("%s text %q is no sentence for people", call, text)
					}
				}
			}
			if tt.reason == "rate_limited" && fault.RetryAfter(survey) != time.Minute {
				t.Errorf("RetryAfter = %v, want a minute", fault.RetryAfter(survey))
			}
		})
	}
}

// R56: the test order, by client ID and by time.
func TestOrders(t *testing.T) {
	at := time.Date(2026, 11, 20, 19, 0, 0, 0, time.UTC)
	now := at
	sim, a, p := start(t, alpacasim.Config{Now: func() time.Time { return now }})
	c := client(t, sim.URL(), 0)
	old := rest(t, sim, a.ID, "old")
	now = at.Add(time.Minute)
	young := rest(t, sim, a.ID, "rot-r1-1")
	youngest := rest(t, sim, a.ID, "")
	if err := c.Cancel(t.Context(), p, youngest.ID); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, clientID string
		since          time.Time
		want           []string
	}{
		{"by client ID, whatever the time", "old", now, []string{old.ID}},
		{"unknown client ID", "rot-r1-2", time.Time{}, nil},
		{"client ID that needs escaping", "a&b/c d#é", time.Time{}, nil},
		{"all, newest first", "", time.Time{}, []string{youngest.ID, young.ID, old.ID}},
		{"the bound is inclusive", "", now, []string{youngest.ID, young.ID}},
		{"nothing after", "", now.Add(time.Millisecond), nil},
	}
	for _, tt := range tests {
		got, err := c.Orders(t.Context(), p, tt.clientID, tt.since)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		var ids []string
		for _, o := range got {
			ids = append(ids, o.ID)
		}
		if diff := cmp.Diff(tt.want, ids); diff != "" {
			t.Errorf("%s: IDs (-want +got):\n%s", tt.name, diff)
		}
	}
}

// Orders of a busy account come in pages; none is lost between them.
func TestOrdersPages(t *testing.T) {
	sim, a, p := start(t, alpacasim.Config{})
	for i := range pageSize + 2 {
		rest(t, sim, a.ID, fmt.Sprintf("c%d", i))
	}
	got, err := client(t, sim.URL(), 0).Orders(t.Context(), p, "", time.Now().Add(-time.Hour))
	seen := map[string]bool{}
	for _, o := range got {
		seen[o.ID] = true
	}
	if err != nil || len(got) != pageSize+2 || len(seen) != len(got) {
		t.Errorf("Orders = %d, %d different, %v; want %d", len(got), len(seen), err, pageSize+2)
	}
	if n := sim.Count("GET", "/v2/orders"); n != 2 {
		t.Errorf("%d pages read, want 2", n)
	}
}

// Only Alpaca's own "order not found" means that there is none: another 404
// must not lead to a second order.
func TestNoOrderIsSaidByAlpacaOnly(t *testing.T) {
	for body, want := range map[string]string{
		`{"code":40410000,"message":"order not found for c1"}`: "",
		`{"message":"endpoint not found."}`:                    "refused",
		`<html>404</html>`:                                     "edge",
	} {
		sim, _, p := start(t, alpacasim.Config{})
		sim.Inject(simhttp.Fault{Status: 404, Body: body})
		got, err := client(t, sim.URL(), 0).Orders(t.Context(), p, "c1", time.Time{})
		if len(got) != 0 || (err == nil) != (want == "") || err != nil && fault.ReasonOf(err) != want {
			t.Errorf("Orders with 404 %s = %v, %v; want %q", body, got, err, want)
		}
	}
}

// R79: cancelling, and what it does with orders that are past it.
func TestCancel(t *testing.T) {
	sim, a, p := start(t, alpacasim.Config{})
	c := client(t, sim.URL(), 0)
	o := rest(t, sim, a.ID, "c1")
	for i, want := range []string{"pending_cancel", "canceled", "canceled"} {
		if err := c.Cancel(t.Context(), p, o.ID); err != nil {
			t.Errorf("Cancel %d: %v", i+1, err)
		}
		got, err := c.Orders(t.Context(), p, "c1", time.Time{})
		if err != nil || len(got) != 1 || got[0].Status != want {
			t.Errorf("after cancel %d: %+v, %v; want %s", i+1, got, err, want)
		}
	}
	hold(t, sim, a.ID, "KO", "1")
	filled, err := c.Sell(t.Context(), p, "c2", "KO", "1")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Cancel(t.Context(), p, filled.ID); err != nil {
		t.Errorf("Cancel of a filled order: %v, want nil", err)
	}
	if err := c.Cancel(t.Context(), p, "00000000-0000-4000-8000-00000000dead"); err != nil {
		t.Errorf("Cancel of no order: %v, want nil", err)
	}
}

// An ID that is no single path segment could address every order.
func TestCancelRefusesOddIDs(t *testing.T) {
	sim, _, p := start(t, alpacasim.Config{})
	c := client(t, sim.URL(), 0)
	for _, id := range []string{"", ".", "..", "/", "a/b", "a?b", "%2e"} {
		if err := c.Cancel(t.Context(), p, id); fault.ReasonOf(err) != "order_id" {
			t.Errorf("Cancel(%q) = %v, want order_id", id, err)
		}
	}
	if n := sim.Count("", ""); n != 0 {
		t.Errorf("%d calls were made, want 0", n)
	}
}

// R80: exactly the quantity is sold, and what was there before stays.
func TestSell(t *testing.T) {
	sim, a, p := start(t, alpacasim.Config{})
	c := client(t, sim.URL(), 0)
	hold(t, sim, a.ID, "AAPL", "3")
	hold(t, sim, a.ID, "KO", "5")
	o, err := c.Sell(t.Context(), p, "close-1", "AAPL", "1")
	if err != nil || o.Status != "pending_new" || o.Side != "sell" || o.Type != "market" || o.Qty != "1" || o.ClientID != "close-1" {
		t.Fatalf("Sell = %+v, %v; want a pending market sale of 1", o, err)
	}
	again, err := c.Sell(t.Context(), p, "close-1", "AAPL", "1")
	if err != nil || again.ID != o.ID || again.Status != "filled" {
		t.Errorf("Sell again = %+v, %v; want the same order, filled", again, err)
	}
	s, err := c.Survey(t.Context(), p)
	want := []rotation.Holding{{Symbol: "AAPL", Qty: "2"}, {Symbol: "KO", Qty: "5"}}
	if diff := cmp.Diff(want, s.Positions); diff != "" || err != nil {
		t.Errorf("positions, error %v (-want +got):\n%s", err, diff)
	}
}

// A lost or late reply never sells twice.
func TestSellOnce(t *testing.T) {
	for name, f := range map[string]simhttp.Fault{
		"lost":  {Method: "POST", Times: 1, LoseReply: true},
		"never": {Method: "POST", Times: 1, HangReply: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, a, p := start(t, alpacasim.Config{})
			hold(t, sim, a.ID, "AAPL", "3")
			sim.Inject(f)
			c := client(t, sim.URL(), 150*time.Millisecond)
			if _, err := c.Sell(t.Context(), p, "close-1", "AAPL", "1"); fault.KindOf(err) != fault.Unknown {
				t.Fatalf("Sell: %v, want unknown", err)
			}
			o, err := c.Sell(t.Context(), p, "close-1", "AAPL", "1")
			if err != nil || o.Status != "filled" {
				t.Errorf("Sell again = %+v, %v; want the filled order", o, err)
			}
			if got := sim.Orders(a.ID); len(got) != 1 {
				t.Errorf("%d orders were placed, want 1", len(got))
			}
		})
	}
}

// Both recorded codes of a used client ID are understood.
func TestSellDuplicateCodes(t *testing.T) {
	for _, code := range []int{40010001, 42210000} {
		sim, a, p := start(t, alpacasim.Config{})
		hold(t, sim, a.ID, "KO", "2")
		c := client(t, sim.URL(), 0)
		first, err := c.Sell(t.Context(), p, "c1", "KO", "1")
		if err != nil {
			t.Fatal(err)
		}
		sim.Inject(simhttp.Fault{Method: "POST", Status: 422, Body: fmt.Sprintf(`{"code":%d,"message":"client_order_id must be unique"}`, code)})
		if got, err := c.Sell(t.Context(), p, "c1", "KO", "1"); err != nil || got.ID != first.ID {
			t.Errorf("code %d: Sell = %+v, %v; want order %s", code, got, err, first.ID)
		}
		if _, err := c.Sell(t.Context(), p, "c2", "KO", "1"); fault.KindOf(err) != fault.Unknown {
			t.Errorf("code %d, no such order: %v, want unknown", code, err)
		}
	}
}

// A client ID that belongs to another order is not mistaken for the sale.
func TestSellForeignClientID(t *testing.T) {
	sim, a, p := start(t, alpacasim.Config{})
	rest(t, sim, a.ID, "rot-r1-1")
	_, err := client(t, sim.URL(), 0).Sell(t.Context(), p, "rot-r1-1", "KO", "1")
	if fault.KindOf(err) != fault.Conflict || fault.ReasonOf(err) != "client_id_taken" {
		t.Errorf("Sell under the ID of a buy order: %v, want conflict", err)
	}
}

// Each refusal of an order has its own reason and words.
func TestSellRefusals(t *testing.T) {
	tests := []struct {
		name, symbol, qty, reason string
		do                        func(*alpacasim.Sim, string)
	}{
		{"more than held", "AAPL", "4", "insufficient_qty", nil},
		{"unknown symbol", "ZZZZ", "1", "unknown_symbol", nil},
		{"coin by the day", "BTC/USD", "1", "time_in_force", nil},
		{"not a number", "AAPL", "x", "order_refused", nil},
		{"blocked", "AAPL", "1", "order_not_allowed", func(s *alpacasim.Sim, id string) { _ = s.SetBlocked(id, true) }},
		{"open buy order", "AAPL", "1", "opposite_order", func(s *alpacasim.Sim, id string) {
			_, _ = s.AddOpenOrder(id, alpacasim.NewOrder{Symbol: "AAPL", Qty: "1"})
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sim, a, p := start(t, alpacasim.Config{})
			hold(t, sim, a.ID, "AAPL", "3")
			if tt.do != nil {
				tt.do(sim, a.ID)
			}
			before := len(sim.Orders(a.ID))
			_, err := client(t, sim.URL(), 0).Sell(t.Context(), p, "c1", tt.symbol, tt.qty)
			if fault.KindOf(err) != fault.Invalid || fault.ReasonOf(err) != tt.reason {
				t.Fatalf("Sell = %v, want invalid %q", err, tt.reason)
			}
			if fault.UserText(err) == "" || !strings.HasSuffix(fault.FixText(err), ".") {
				t.Errorf("texts %q, %q; want sentences", fault.UserText(err), fault.FixText(err))
			}
			if got := len(sim.Orders(a.ID)); got != before {
				t.Errorf("%d orders were placed, want 0", got-before)
			}
		})
	}
}

// The words of refusals that the simulator makes for buyers only.
func TestRefusedOrder(t *testing.T) {
	for message, want := range map[string]string{
		"insufficient buying power":                         "insufficient_buying_power",
		"cost basis must be >= minimal amount of order 10":  "below_minimum",
		"something that nobody has seen yet":                "order_not_allowed",
		"asset is fine but the rest of this text is \x1b[m": "order_not_allowed",
	} {
		if got, user, fix := refusedOrder(403, message); got != want || user == "" || fix == "" {
			t.Errorf("refusedOrder(403, %q) = %q, %q, %q; want %q with texts", message, got, user, fix, want)
		}
	}
}

// Without a client ID a repeat would sell twice, so nothing is sent.
func TestSellNeedsAClientID(t *testing.T) {
	sim, _, p := start(t, alpacasim.Config{})
	if _, err := client(t, sim.URL(), 0).Sell(t.Context(), p, "", "AAPL", "1"); err == nil || sim.Count("", "") != 0 {
		t.Errorf("Sell without a client ID: %v after %d calls, want an error after none", err, sim.Count("", ""))
	}
}
