package alpaca

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// Pages of GET /v2/orders: the most that Alpaca gives at once, and how many
// are read before the account is too busy to be listed.
const (
	pageSize = 500
	maxPages = 10
)

// Codes of Alpaca that decide something here.
const (
	codeNotFound      = 40410000 // orders-get-404.json
	codeNotCancelable = 42210000 // orders-delete-422-filled.json
)

// Orders implements [rotation.Book] (R56). Reading changes nothing.
func (c *Client) Orders(ctx context.Context, p rotation.Pair, clientID string, since time.Time) ([]rotation.Order, error) {
	const op = "alpaca.Orders"
	if clientID != "" {
		o, found, err := c.byClientID(ctx, p, op, clientID)
		if err != nil || !found {
			return nil, err
		}
		return []rotation.Order{o}, nil
	}
	query := url.Values{"status": {"all"}}
	if !since.IsZero() {
		// Alpaca's bound is exclusive and of the submission, ours is neither.
		query.Set("after", since.UTC().Add(-time.Second).Format(time.RFC3339Nano))
	}
	list, err := c.list(ctx, p, op, query)
	return slices.DeleteFunc(list, func(o rotation.Order) bool {
		return !o.CreatedAt.IsZero() && o.CreatedAt.Before(since)
	}), err
}

// list reads all orders that a query asks for, newest first, page by page. A
// page after the first cannot be combined with "after", so the bound is kept
// by looking at what came.
func (c *Client) list(ctx context.Context, p rotation.Pair, op string, query url.Values) ([]rotation.Order, error) {
	query.Set("limit", strconv.Itoa(pageSize))
	query.Set("direction", "desc")
	query.Set("nested", "false")
	after := text(query.Get("after")).time()
	var all []rotation.Order
	for range maxPages {
		r := c.call(ctx, p, http.MethodGet, "/v2/orders", query, nil)
		page, ok := readOrders(r.body)
		if err := readFault(op, r, ok); err != nil {
			return nil, err
		}
		all = append(all, page...)
		if len(page) < pageSize {
			return all, nil
		}
		last := page[len(page)-1]
		if !last.CreatedAt.IsZero() && last.CreatedAt.Before(after) {
			return all, nil
		}
		query.Del("after")
		query.Set("before_order_id", last.ID)
	}
	return nil, &fault.Error{
		Kind: fault.Invalid, Reason: "too_many_orders", Op: op,
		User: "The paper account has more orders than can be listed.",
		Fix:  "Cancel the open orders that nobody needs in Alpaca's dashboard, then press Retry.",
	}
}

// byClientID reads the one order with a client order ID. The colon in the path
// must not be escaped.
func (c *Client) byClientID(ctx context.Context, p rotation.Pair, op, clientID string) (o rotation.Order, found bool, err error) {
	r := c.call(ctx, p, http.MethodGet, "/v2/orders:by_client_order_id", url.Values{"client_order_id": {clientID}}, nil)
	if isGone(r) {
		return o, false, nil
	}
	o, ok := readOrder(r.body)
	if err := readFault(op, r, ok && o.ClientID == clientID); err != nil {
		return rotation.Order{}, false, err
	}
	return o, true, nil
}

// isGone reports whether the service itself says that there is no such order.
// Another 404 is a wrong address or a proxy.
func isGone(r reply) bool {
	said, ok := readRefusal(r.body)
	return r.reason == "" && r.status == http.StatusNotFound && ok && said.code == codeNotFound
}

// Cancel implements [rotation.Book] (R79). Cancelling is a request: the order
// is pending_cancel first. A repeat is no error (orders-delete-*.json).
func (c *Client) Cancel(ctx context.Context, p rotation.Pair, orderID string) error {
	const op = "alpaca.Cancel"
	if !isID(orderID) { // an empty ID would mean every order of the account
		return &fault.Error{
			Kind: fault.Invalid, Reason: "order_id", Op: op,
			User: "The order to cancel has no usable ID.",
			Fix:  "Look for the test order in Alpaca's paper dashboard and cancel it there.",
		}
	}
	r := c.call(ctx, p, http.MethodDelete, "/v2/orders/"+orderID, nil, nil)
	said, isJSON := readRefusal(r.body)
	switch {
	case isGone(r):
		return nil
	case r.reason == "" && r.status == http.StatusUnprocessableEntity && isJSON && said.code == codeNotCancelable:
		return nil
	}
	return readFault(op, r, r.status == http.StatusNoContent) // a 200 would be somebody else's page
}

// isID reports whether s can stand as one segment of a path: letters, digits
// and hyphens, at most 64.
func isID(s string) bool {
	return s != "" && len(s) <= 64 && strings.IndexFunc(s, func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) < 0
}

// Sell implements [rotation.Book] (R80). It sends the order once. If Alpaca
// says that the client order ID was used, the first order is returned; so it
// may be repeated with the same ID. A fault of kind Unknown means that the
// order may have been placed.
func (c *Client) Sell(ctx context.Context, p rotation.Pair, clientID, symbol, qty string) (rotation.Order, error) {
	const op = "alpaca.Sell"
	if clientID == "" || symbol == "" || qty == "" { // without an ID a repeat would sell twice
		return rotation.Order{}, &fault.Error{Kind: fault.Internal, Reason: "incomplete_order", Op: op}
	}
	r := c.call(ctx, p, http.MethodPost, "/v2/orders", nil, map[string]string{
		"symbol": symbol, "qty": qty, "side": "sell", "type": "market", "time_in_force": "day", "client_order_id": clientID,
	})
	if isDuplicate(r) {
		return c.firstSale(ctx, p, op, clientID, symbol)
	}
	o, ok := readOrder(r.body)
	if err := orderFault(op, r, ok); err != nil {
		return rotation.Order{}, err
	}
	return o, nil
}

// firstSale returns the order that used the client order ID before.
func (c *Client) firstSale(ctx context.Context, p rotation.Pair, op, clientID, symbol string) (rotation.Order, error) {
	o, found, err := c.byClientID(ctx, p, op, clientID)
	switch {
	case err != nil:
		return rotation.Order{}, err
	case !found:
		return rotation.Order{}, sentFault(op, reply{reason: "duplicate_not_found"})
	case o.Side != "sell" || o.Symbol != symbol:
		return rotation.Order{}, &fault.Error{
			Kind: fault.Conflict, Reason: "client_id_taken", Op: op,
			User: "Another order has the ID under which the shares were to be sold, so they were not sold.",
			Fix:  "Sell what the test order bought in Alpaca's paper dashboard.",
		}
	}
	return o, nil
}

// isDuplicate reports whether the client order ID was used before. The code
// differs between recordings (orders-post-422-duplicate-client-id.json), the
// words do not.
func isDuplicate(r reply) bool {
	said, ok := readRefusal(r.body)
	return r.reason == "" && r.status == http.StatusUnprocessableEntity && ok &&
		strings.HasPrefix(said.message, "client_order_id must be unique")
}
