package downstream

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

const (
	paper = "paper"
	idMax = 64 // characters of an order ID; Alpaca's are UUIDs
)

// An OrdersConfig says where the test order goes and what it is (R55).
type OrdersConfig struct {
	Endpoint
	Spec          rotation.OrderSpec
	Mode          string // must be exactly "paper"
	IDField       string // dotted path of the order's ID in the answer; "" means id
	ClientIDField string // name under which our client order ID is sent; "" means it is not
}

// An Orders places the test order through the consumer.
type Orders struct {
	caller
	cfg OrdersConfig
}

var _ rotation.Trader = (*Orders)(nil)

// NewOrders returns an Orders. It calls nothing, and an order that must not be
// sent is refused by Ready and Place.
func NewOrders(cfg OrdersConfig) *Orders {
	cfg.Spec.OwnClientID = cfg.ClientIDField != ""
	cfg.IDField = cmp.Or(cfg.IDField, "id")
	return &Orders{caller: newCaller(cfg.Endpoint), cfg: cfg}
}

// Spec implements [rotation.Trader].
func (o *Orders) Spec() rotation.OrderSpec { return o.cfg.Spec }

// Ready implements [rotation.Trader]. It calls nothing: that an order is taken,
// and lands on the paper book, shows only when one is placed.
func (o *Orders) Ready(context.Context) rotation.Readiness {
	if _, err := o.body("check"); err != nil {
		p := rotation.Problem{Kind: err.Kind.String(), Reason: err.Reason, Text: err.User, Fix: err.Fix}
		return rotation.Readiness{Level: rotation.NotReady, Detail: p.Text, Problem: p}
	}
	s := o.cfg.Spec
	return rotation.Readiness{
		Level:  rotation.Unproven,
		Detail: "Only placing an order proves that " + o.host + " takes one.",
		Facts:  []rotation.Fact{{Name: "test_order", Label: "Test order", Value: fmt.Sprintf("%s %s %s, %s, %s, mode %s", s.Side, s.Qty, s.Symbol, s.Type, s.TimeInForce, paper)}},
	}
}

// Place implements [rotation.Trader]. It sends one request and never repeats
// it; calling it again places a second order unless the consumer forwards the
// client ID. Everything that leaves it open whether the order was placed is a
// fault of kind Unknown: no answer, a server error, success without an ID.
func (o *Orders) Place(ctx context.Context, clientID string) (string, error) {
	body, bad := o.body(clientID)
	if bad != nil {
		return "", bad
	}
	got := o.call(ctx, http.MethodPost, body)
	id, _, found := got.field(o.cfg.IDField)
	found = found && usableID(id)
	if got.status/100 == 2 && found {
		return id, nil
	}
	f := o.fault("downstream.Place", got)
	switch s := got.status; {
	case s == 0 && !got.sent:
		return "", f
	case s == 0, s >= 500, s == http.StatusRequestTimeout, s == http.StatusFound, s == http.StatusSeeOther:
		f.Kind, f.Reason = fault.Unknown, "no_answer"
		f.User = o.host + " did not say what became of the test order, so it may have been placed."
		f.Fix = "The bot looks at the paper book. Do not send the order again by hand."
	case s/100 == 2:
		f.Kind, f.Reason = fault.Unknown, "no_order_id"
		f.User = fmt.Sprintf("%s took the test order but gave no order ID at %s.", o.host, o.cfg.IDField)
		f.Fix = "The bot looks at the paper book. Check test_order.id_field in bot.yml for the next time."
	case s == http.StatusBadRequest, s == http.StatusConflict, s == http.StatusUnprocessableEntity:
		f.Kind, f.Reason = fault.Invalid, "order_refused"
		f.User = fmt.Sprintf("%s refused the test order (status %d); nothing was placed.", o.host, s)
		f.Fix = "Look at the service's log for the reason and check test_order in bot.yml; the test order can be accepted with a reason."
	}
	return "", f
}

// body returns the request, in the SOP's order of fields. It refuses anything
// that is not one share on the paper book (R57, R78).
func (o *Orders) body(clientID string) ([]byte, *fault.Error) {
	s := o.cfg.Spec
	refuse := func(reason, user, fix string) ([]byte, *fault.Error) {
		return nil, &fault.Error{Kind: fault.Invalid, Reason: reason, Op: "downstream.Place", User: user, Fix: fix}
	}
	if o.cfg.Mode != paper {
		return refuse("not_paper", "The test order is not for the paper book, so it is not sent.", "Set test_order.order.mode to paper in bot.yml.")
	}
	if s.Qty != "1" {
		return refuse("qty_not_one", "The test order is not for exactly one share, so it is not sent.", "Set test_order.order.qty to 1 in bot.yml.")
	}
	fields := [][2]any{ // name, value
		{"symbol", s.Symbol},
		{"qty", json.Number(s.Qty)},
		{"side", s.Side},
		{"type", s.Type},
		{"time_in_force", s.TimeInForce},
		{"mode", paper},
	}
	if s.LimitPrice != "" {
		fields = append(fields, [2]any{"limit_price", s.LimitPrice})
	}
	if name := o.cfg.ClientIDField; name != "" {
		// Most readers take the last of two equal names: such a field could
		// overwrite the mode.
		if slices.ContainsFunc(append(fields, [2]any{"limit_price"}, [2]any{"notional"}), func(f [2]any) bool { return strings.EqualFold(f[0].(string), name) }) {
			return refuse("client_id_field_taken", "The name for our client order ID is one of the order's own fields, so it is not sent.", "Change test_order.client_id_field in bot.yml.")
		}
		fields = append(fields, [2]any{name, clientID})
	}
	var b bytes.Buffer
	for i, f := range fields {
		name, errName := json.Marshal(f[0])
		value, errValue := json.Marshal(f[1])
		if errName != nil || errValue != nil {
			return nil, &fault.Error{Kind: fault.Internal, Reason: "order_not_encodable", Op: "downstream.Place"}
		}
		sep := ","
		if i == 0 {
			sep = "{"
		}
		b.WriteString(sep + string(name) + ":" + string(value))
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// usableID reports whether id looks like an order ID.
func usableID(id string) bool {
	return id != "" && len(id) <= idMax && strings.IndexFunc(id, func(r rune) bool {
		return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) < 0
}
