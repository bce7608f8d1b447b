package alpaca

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
)

// readFault returns nil if r is a good answer, and otherwise a fault for a
// call that may be repeated: reading, or cancelling. ok says whether the body
// of a 2xx could be read.
func readFault(op string, r reply, ok bool) error {
	if r.reason == "" && r.status/100 == 2 && ok {
		return nil
	}
	e := newFault(op, r)
	switch e.Reason {
	case reasonUnauthorized, reasonForbidden:
		e.Kind = fault.Denied
		e.User = "Alpaca rejected the pair."
		e.Fix = "Somebody generated new keys or closed this paper account; paste the pair that is shown as current in Alpaca's dashboard."
	case reasonRefused:
		e.Kind = fault.Invalid
		if r.status == http.StatusNotFound {
			e.Kind = fault.NotFound
		}
		e.User = "Alpaca refused the request."
		e.Fix = "Look at the paper account in Alpaca's dashboard, then press Retry."
	case reasonRedirect:
		e.Kind = fault.Invalid
		e.User = "Alpaca's address answered with a redirect, which is not followed because it would carry the pair elsewhere."
		e.Fix = "Check the proxy between the bot and Alpaca, then press Retry."
	case "bad_pair":
		e.Kind = fault.Invalid
		e.User = "The pair is incomplete or holds characters that no key has."
		e.Fix = "Copy the key ID and the secret again and paste both."
	default:
		transient(e)
	}
	return e
}

// transient fills in the texts for what passes by itself.
func transient(e *fault.Error) {
	e.Kind = fault.Transient
	switch e.Reason {
	case reasonLimited:
		e.User = "Alpaca says that this account has made too many calls."
		e.Fix = "Wait a minute, then press Retry; the trading systems share the same limit."
	case reasonEdge:
		e.User = "Something between the bot and Alpaca answered in its place."
		e.Fix = "Check the proxy or firewall of the bot's host, then press Retry."
	case reasonServer:
		e.User = "Alpaca has an error of its own."
		e.Fix = "Wait for Alpaca to recover, then press Retry."
	case reasonBadAnswer:
		e.User = "Alpaca's answer could not be understood."
		e.Fix = "Press Retry; if it stays like this, check the proxy between the bot and Alpaca."
	case "timeout":
		e.User = "Alpaca did not answer in time."
		e.Fix = "Press Retry."
	case "canceled":
		e.User = "The request to Alpaca was stopped before an answer came."
		e.Fix = "Press Retry."
	default:
		e.User = "Alpaca could not be reached."
		e.Fix = "Check the network of the bot's host, then press Retry."
	}
}

// newFault returns a fault with what every fault of a reply has. A reply without a
// reason of its own gets that of its status.
func newFault(op string, r reply) *fault.Error {
	e := &fault.Error{Op: op, Reason: r.reason, RetryAfter: time.Duration(r.wait) * time.Second, Err: r.err}
	if e.Reason == "" {
		e.Reason = reasonOf(r)
	}
	if e.Err == nil && r.status != 0 {
		e.Err = errors.New("status " + strconv.Itoa(r.status))
	}
	return e
}

// sentFault is a fault of kind Unknown: the order may have been placed.
func sentFault(op string, r reply) error {
	e := newFault(op, r)
	e.Kind = fault.Unknown
	e.User = "The order was sent to Alpaca but no usable answer came, so it may have been placed."
	e.Fix = "Press Retry; the same order is never placed twice."
	return e
}

// orderFault is readFault for POST /v2/orders: without an answer of the
// service nobody knows whether the order was placed, and a refusal says why.
func orderFault(op string, r reply, ok bool) error {
	err := readFault(op, r, ok)
	e, is := errors.AsType[*fault.Error](err)
	if !is {
		return err
	}
	switch e.Reason {
	case "timeout", "network", "canceled", reasonServer, reasonBadAnswer:
		return sentFault(op, r)
	case reasonRefused:
		said, _ := readRefusal(r.body)
		e.Kind = fault.Invalid
		e.Reason, e.User, e.Fix = refusedOrder(r.status, said.message)
	}
	return e
}

// refusedOrder names a refusal of an order. Alpaca uses one code for all that
// the account may not do and one for all that is wrong with the order, so only
// the words tell them apart (orders-post-403-*.json, orders-post-422-*.json).
func refusedOrder(status int, message string) (reason, user, fix string) {
	switch {
	case strings.HasPrefix(message, "insufficient buying power"):
		return "insufficient_buying_power", "The paper account has not enough buying power for the order.",
			"Free some buying power in Alpaca's paper dashboard or make the test order smaller, then press Retry."
	case strings.HasPrefix(message, "insufficient qty"):
		return "insufficient_qty", "The paper account does not hold as many free shares as were to be sold.",
			"Look at the position and its open orders in Alpaca's paper dashboard; somebody may have sold the shares already."
	case strings.HasPrefix(message, "potential wash trade"):
		return "opposite_order", "Alpaca refused the order because an order of the other side is still open for the same symbol.",
			"Cancel the open order in Alpaca's paper dashboard, then press Retry."
	case strings.HasPrefix(message, "asset ") && strings.HasSuffix(message, "not found"):
		return "unknown_symbol", "Alpaca does not know the order's symbol.",
			"Correct test_order.order.symbol in bot.yml."
	case strings.HasPrefix(message, "cost basis must be"):
		return "below_minimum", "The order is below Alpaca's minimum.",
			"Choose another symbol for test_order in bot.yml."
	case strings.HasPrefix(message, "invalid crypto time_in_force"):
		return "time_in_force", "Alpaca takes crypto orders only as gtc or ioc.",
			"Choose a share, not a coin, for test_order in bot.yml."
	case status == http.StatusForbidden:
		return "order_not_allowed", "Alpaca does not allow this account to place the order.",
			"Look in Alpaca's paper dashboard whether trading is blocked or suspended."
	}
	return "order_refused", "Alpaca refused the order as wrong.",
		"Check test_order in bot.yml, then press Retry."
}
