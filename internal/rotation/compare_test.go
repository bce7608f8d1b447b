package rotation_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// R18, R22: step 8 says of every position and open order of the snapshot what has
// become of it, and nothing of those that are as they were. It never blocks.
func TestComparedWithTheSnapshot(t *testing.T) {
	order := func(id, qty, filled, status string) rotation.Order {
		return rotation.Order{ID: id, ClientID: "client-" + id, Symbol: "AAPL", Side: "buy", Type: "limit", Qty: qty, FilledQty: filled, Status: status}
	}
	hold := func(qty string) rotation.Survey {
		return rotation.Survey{Positions: []rotation.Holding{{Symbol: "MSFT", Qty: qty}}}
	}
	orders := func(all ...rotation.Order) rotation.Survey { return rotation.Survey{OpenOrders: all} }
	tests := []struct {
		name          string
		before, after rotation.Survey
		book          []rotation.Order // what the account knows of orders that are not open
		want          string           // the one difference; "": none
	}{
		{name: "position as it was", before: hold("5"), after: hold("5")},
		{name: "position written in another way", before: hold("5"), after: hold("5.0")},
		{name: "position grew", before: hold("5"), after: hold("7.5"), want: "position MSFT: 5 before, 7.5 now"},
		{name: "position shrank", before: hold("5"), after: hold("1"), want: "position MSFT: 5 before, 1 now"},
		{name: "position turned", before: hold("5"), after: hold("-5"), want: "position MSFT: 5 before, -5 now"},
		{name: "position is gone", before: hold("5"), want: "position 5 MSFT: gone"},
		{name: "position is new", after: hold("5")},
		{name: "order open", before: orders(order("o1", "10", "0", "new")), after: orders(order("o1", "10", "0", "new"))},
		{name: "order open, no fill told before", before: orders(order("o1", "10", "", "new")), after: orders(order("o1", "10", "0", "accepted"))},
		{name: "order open, partly filled as before", before: orders(order("o1", "10", "3", "partially_filled")), after: orders(order("o1", "10", "3.0", "partially_filled"))},
		{name: "order open, partly filled since", before: orders(order("o1", "10", "0", "new")), after: orders(order("o1", "10", "3", "partially_filled")), want: "order buy 10 AAPL: open, 3 filled"},
		{name: "order open, more filled", before: orders(order("o1", "10", "3", "partially_filled")), after: orders(order("o1", "10", "4", "partially_filled")), want: "order buy 10 AAPL: open, 4 filled"},
		{name: "order filled", before: orders(order("o1", "10", "0", "new")), book: []rotation.Order{order("o1", "10", "10", "filled")}, want: "order buy 10 AAPL: filled"},
		{name: "order cancelled", before: orders(order("o1", "10", "0", "new")), book: []rotation.Order{order("o1", "10", "0", "canceled")}, want: "order buy 10 AAPL: canceled"},
		{name: "order cancelled, partly filled", before: orders(order("o1", "10", "0", "new")), book: []rotation.Order{order("o1", "10", "3", "canceled")}, want: "order buy 10 AAPL: canceled, 3 filled"},
		{name: "order expired", before: orders(order("o1", "10", "0", "new")), book: []rotation.Order{order("o1", "10", "0", "expired")}, want: "order buy 10 AAPL: expired"},
		{name: "order is gone", before: orders(order("o1", "10", "0", "new")), want: "order buy 10 AAPL: gone"},
		{name: "order is gone, others are there", before: orders(order("o1", "10", "0", "new")), after: orders(order("o2", "10", "0", "new")), book: []rotation.Order{order("o3", "10", "10", "filled")}, want: "order buy 10 AAPL: gone"},
		{name: "order is new", after: orders(order("o1", "10", "0", "new"))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			alone(t, func(t *testing.T, b *bench) {
				b.w.set(func() { b.w.survey = tt.before })
				id := b.open()
				b.goOn(id, false)
				time.Sleep(time.Minute)
				b.w.set(func() { b.w.survey, b.w.orders = tt.after, tt.book })
				b.paste(id, b.w.click("acc-1", "NEW1"))
				r := b.over(id)
				var want []string
				compared := "nothing is missing"
				if tt.want != "" {
					want, compared = []string{tt.want}, "1 differences"
				}
				if diff := cmp.Diff(want, r.Summary.Lost); diff != "" {
					t.Errorf("differences (-want +got)\n%s", diff)
				}
				for _, f := range r.Step(rotation.StepRecord).Facts {
					if f.Name == "compared" && f.Value != compared {
						t.Errorf("step 8 shows %q, want %q", f.Value, compared)
					}
				}
				row := b.actions(id, "secret.rotate.completed")[0]
				if got, _ := row.Context["differences"].([]any); len(got) != len(want) || len(want) == 1 && got[0] != want[0] {
					t.Errorf("the row says %q, want %q", got, want)
				}
			})
		})
	}
}

// What cannot be read now is listed as that, and completes all the same.
func TestNotComparedWithTheSnapshot(t *testing.T) {
	alone(t, func(t *testing.T, b *bench) {
		b.w.set(func() {
			b.w.survey = rotation.Survey{Positions: []rotation.Holding{{Symbol: "MSFT", Qty: "5"}}}
		})
		id := b.open()
		b.goOn(id, false)
		b.w.set(func() { b.w.unread = true })
		b.paste(id, b.w.click("acc-1", "NEW1"))
		if r := b.over(id); len(r.Summary.Lost) != 1 || !strings.Contains(r.Summary.Lost[0], "not compared") {
			t.Errorf("differences %q, want that they were not compared", r.Summary.Lost)
		}
	})
}
