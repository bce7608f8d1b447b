package alpacasim

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// read returns an order as the API shows it.
func (w *world) read(t *testing.T, id string) Order {
	t.Helper()
	res, body := w.send(t, "GET", "/v2/orders/"+id, "")
	var o Order
	if err := json.Unmarshal([]byte(body), &o); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("order %s = %d %s", id, res.StatusCode, body)
	}
	return o
}

// held returns the quantities by symbol.
func (w *world) held(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, p := range w.Positions(w.self) {
		out[p.Symbol] = p.Qty
	}
	return out
}

const sellOne = `{"symbol":"KO","qty":"1","side":"sell","type":"market","time_in_force":"day"}`

func TestMarketOrderFills(t *testing.T) {
	w := newWorld(t, "1000")
	if got := w.read(t, w.order(t, market)); got.Status != "filled" || got.FilledQty != "1" || *got.FilledAvgPrice != "86.88" {
		t.Errorf("next read = %s, %s; want filled, 1", got.Status, got.FilledQty)
	}
	if a := w.Accounts()[0]; a.Cash != "913.12" {
		t.Errorf("cash = %s, want 913.12", a.Cash)
	}
	if got := w.read(t, w.order(t, sellOne)); got.Status != "filled" || got.PositionIntent != "sell_to_close" {
		t.Errorf("sale = %s, %s; want filled, sell_to_close", got.Status, got.PositionIntent)
	}
	if a := w.Accounts()[0]; a.Cash != "1000" || len(w.held(t)) != 0 {
		t.Errorf("cash = %s, holding %v; want 1000 and nothing", a.Cash, w.held(t))
	}
}

func TestFillDelay(t *testing.T) {
	w := newWorld(t, "1000")
	w.cfg.FillDelay = 10 * time.Second
	id := w.order(t, market)
	if got := w.read(t, id).Status; got != "new" {
		t.Errorf("before the delay: %s, want new", got)
	}
	w.now = w.now.Add(10 * time.Second)
	if got := w.read(t, id).Status; got != "filled" {
		t.Errorf("after the delay: %s, want filled", got)
	}
}

// Outside hours an order waits, and fills at the open unless it is cancelled.
func TestMarketClosed(t *testing.T) {
	w := newWorld(t, "1000")
	w.SetMarketOpen(false)
	kept := w.order(t, market)
	dropped := w.order(t, strings.Replace(market, "015-2", "015-3", 1))
	for _, id := range []string{kept, dropped} {
		if got := w.read(t, id).Status; got != "accepted" {
			t.Errorf("closed: %s, want accepted", got)
		}
	}
	w.send(t, "DELETE", "/v2/orders/"+dropped, "")
	w.read(t, dropped)
	w.SetMarketOpen(true)
	if got := [2]string{w.read(t, kept).Status, w.read(t, dropped).Status}; got != [2]string{"filled", "canceled"} {
		t.Errorf("after the open: %v, want filled and canceled", got)
	}
	if diff := cmp.Diff(map[string]string{"KO": "1"}, w.held(t)); diff != "" {
		t.Errorf("positions (-want +got):\n%s", diff)
	}
}

func TestDayOrderExpires(t *testing.T) {
	w := newWorld(t, "1000")
	day := w.order(t, resting)
	gtc, err := w.AddOpenOrder(w.self, NewOrder{Symbol: "AAPL", Qty: "1"})
	if err != nil {
		t.Fatal(err)
	}
	w.SetMarketOpen(false)
	if got := [2]string{w.read(t, day).Status, w.read(t, gtc.ID).Status}; got != [2]string{"expired", "new"} {
		t.Errorf("after the close: %v, want expired and new", got)
	}
}

// Cancelling is a request: pending_cancel is seen first, and for as long as
// the delay says.
func TestCancelIsAsynchronous(t *testing.T) {
	w := newWorld(t, "1000")
	w.cfg.CancelDelay = time.Second
	id := w.order(t, resting)
	w.send(t, "DELETE", "/v2/orders/"+id, "")
	var got []string
	for range 3 {
		got = append(got, w.read(t, id).Status)
		w.now = w.now.Add(500 * time.Millisecond)
	}
	if diff := cmp.Diff([]string{"pending_cancel", "pending_cancel", "canceled"}, got); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
}

// A partial fill leaves a part of the quantity; while the rest is open, a sale
// would be a wash trade.
func TestPartialFill(t *testing.T) {
	w := newWorld(t, "1000")
	w.SetPartialFills(true)
	id := w.order(t, strings.Replace(market, `"qty":"1"`, `"qty":"4"`, 1))
	if got := w.read(t, id); got.Status != "partially_filled" || got.FilledQty != "2" {
		t.Errorf("order = %s, %s; want partially_filled, 2", got.Status, got.FilledQty)
	}
	if res, body := w.send(t, "POST", "/v2/orders", sellOne); res.StatusCode != 403 || !strings.Contains(body, "wash trade") || !strings.Contains(body, id) {
		t.Errorf("sale beside the open rest = %d %s, want 403 wash trade", res.StatusCode, body)
	}
	w.send(t, "DELETE", "/v2/orders/"+id, "")
	w.read(t, id)
	if got := w.read(t, id); got.Status != "canceled" || got.FilledQty != "2" {
		t.Errorf("cancelled order = %s, %s; want canceled, 2", got.Status, got.FilledQty)
	}
	if diff := cmp.Diff(map[string]string{"KO": "2"}, w.held(t)); diff != "" {
		t.Errorf("positions (-want +got):\n%s", diff)
	}
}

// Shares that an open sale holds cannot be sold again; what is not held at all
// is sold short by an account that may.
func TestSelling(t *testing.T) {
	w := newWorld(t, "100000")
	if err := w.AddPosition(w.self, "KO", "1"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.AddOpenOrder(w.self, NewOrder{Symbol: "KO", Qty: "1", Side: "sell", LimitPrice: "500"}); err != nil {
		t.Fatal(err)
	}
	if res, body := w.send(t, "POST", "/v2/orders", sellOne); res.StatusCode != 403 || !strings.Contains(body, `"held_for_orders":"1"`) {
		t.Errorf("sale of held shares = %d %s, want 403", res.StatusCode, body)
	}
	w.order(t, strings.Replace(sellOne, "KO", "AAPL", 1))
	if diff := cmp.Diff(map[string]string{"KO": "1", "AAPL": "-1"}, w.held(t)); diff != "" {
		t.Errorf("positions (-want +got):\n%s", diff)
	}
	poor, err := w.OpenNew("500")
	if err != nil {
		t.Fatal(err)
	}
	if w.key, err = w.Regenerate(poor.ID); err != nil {
		t.Fatal(err)
	}
	if res, body := w.send(t, "POST", "/v2/orders", sellOne); res.StatusCode != 403 || !strings.Contains(body, "insufficient qty") {
		t.Errorf("short sale by a cash account = %d %s, want 403", res.StatusCode, body)
	}
}

func TestRestingOrderFillsAtItsPrice(t *testing.T) {
	w := newWorld(t, "1000")
	id := w.order(t, resting)
	if got := w.read(t, id).Status; got != "new" {
		t.Errorf("above the limit: %s, want new", got)
	}
	if err := w.SetPrice("KO", "78.19"); err != nil {
		t.Fatal(err)
	}
	if got := w.read(t, id).Status; got != "filled" {
		t.Errorf("at the limit: %s, want filled", got)
	}
}

func TestClosePosition(t *testing.T) {
	w := newWorld(t, "1000")
	if err := w.AddPosition(w.self, "BTC/USD", "0.002"); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/v2/positions/BTCUSD?percentage=50", "/v2/positions/BTC%2FUSD"} {
		if res, body := w.send(t, "DELETE", path, ""); res.StatusCode != 200 {
			t.Errorf("DELETE %s = %d %s, want 200", path, res.StatusCode, body)
		}
	}
	if got := w.held(t); len(got) != 0 {
		t.Errorf("positions = %v, want none", got)
	}
}

// What the getters return is the caller's own.
func TestGettersCopy(t *testing.T) {
	w := newWorld(t, "1000")
	w.order(t, resting)
	w.Orders(w.self)[0].Status = "changed"
	w.Accounts()[0].Status = "changed"
	if o, a := w.Orders(w.self)[0].Status, w.Accounts()[0].Status; o != "new" || a != "ACTIVE" {
		t.Errorf("order %s, account %s; want new, ACTIVE", o, a)
	}
}
