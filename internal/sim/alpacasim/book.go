package alpacasim

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits of GET /v2/orders.
const (
	defaultPage = 50
	maxPage     = 500
)

func orderNotFound(id string) answer {
	return refuse(http.StatusNotFound, codeNotFound, "order not found for "+id, nil)
}

// shown marks an order as seen and copies it.
func (o *order) shown() Order {
	o.seen = o.seen || o.Status == "pending_cancel"
	return o.Order
}

// orderByID answers one order (orders-get-200-*.json); s.mu is held.
func (s *Sim) orderByID(a *account, id string) answer {
	for _, o := range a.orders {
		if o.ID == id {
			return good(o.shown())
		}
	}
	return orderNotFound(id)
}

// orderByClientID answers one order (orders-by-client-id-*.json).
func (s *Sim) orderByClientID(a *account, id string) answer {
	if id == "" { // assumed
		return refuse(http.StatusUnprocessableEntity, codeBadInput, "client_order_id is required", nil)
	}
	for _, o := range a.orders {
		if o.ClientOrderID == id {
			return good(o.shown())
		}
	}
	return orderNotFound(id)
}

// orderList answers the orders that a query asks for. Assumed: what a wrong
// parameter gets.
func (s *Sim) orderList(a *account, q url.Values) answer {
	bad := func(name string) answer {
		return refuse(http.StatusUnprocessableEntity, codeBadInput, "invalid "+name, nil)
	}
	status, limit := "open", defaultPage
	if v := q.Get("status"); v != "" {
		status = v
	}
	if status != "open" && status != "closed" && status != "all" {
		return bad("status")
	}
	if v := q.Get("limit"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > maxPage {
			return bad("limit")
		}
		limit = n
	}
	in, name := s.window(a, q)
	if name != "" {
		return bad(name)
	}
	var found []*order
	for i, o := range a.orders {
		if in(i, o) && (status == "all" || o.open() == (status == "open")) && matches(o, q) {
			found = append(found, o)
		}
	}
	switch q.Get("direction") {
	case "", "desc":
		slices.Reverse(found)
	case "asc":
	default:
		return bad("direction")
	}
	out := make([]Order, 0, min(limit, len(found)))
	for _, o := range found[:min(limit, len(found))] {
		out = append(out, o.shown())
	}
	return good(out)
}

// matches applies the filters by symbol and side.
func matches(o *order, q url.Values) bool {
	if v := q.Get("side"); v != "" && v != o.Side {
		return false
	}
	v := q.Get("symbols")
	return v == "" || slices.ContainsFunc(strings.Split(v, ","), func(x string) bool {
		return x == o.asset.symbol || x == o.asset.held()
	})
}

// window returns which orders lie between the bounds of a query, all of them
// exclusive, or the name of a bound that cannot be read.
func (s *Sim) window(a *account, q url.Values) (in func(int, *order) bool, bad string) {
	var after, until time.Time
	for name, t := range map[string]*time.Time{"after": &after, "until": &until} {
		if v := q.Get(name); v != "" {
			at, err := time.Parse(time.RFC3339Nano, v)
			if err != nil {
				return nil, name
			}
			*t = at
		}
	}
	low, high := -1, len(a.orders)
	for name, at := range map[string]*int{"after_order_id": &low, "before_order_id": &high} {
		if v := q.Get(name); v != "" {
			*at = slices.IndexFunc(a.orders, func(o *order) bool { return o.ID == v })
			if *at < 0 {
				return nil, name
			}
		}
	}
	return func(i int, o *order) bool {
		return i > low && i < high &&
			(after.IsZero() || o.submitted.After(after)) && (until.IsZero() || o.submitted.Before(until))
	}, ""
}

// cancel asks to cancel one order (orders-delete-*.json). The answer comes
// before the deed: the order is pending_cancel first. A repeat is no error.
func (s *Sim) cancel(a *account, id string) answer {
	for _, o := range a.orders {
		if o.ID != id {
			continue
		}
		switch {
		case o.open() && o.Status != "pending_cancel":
			o.set("pending_cancel", s.now())
			o.cancelAt = s.now().Add(s.cfg.CancelDelay)
		case !o.open() && o.Status != "canceled":
			return refuse(http.StatusUnprocessableEntity, codeNoWay, fmt.Sprintf("order is already in %q state", o.Status), nil)
		}
		return answer{status: http.StatusNoContent}
	}
	return orderNotFound(id)
}
