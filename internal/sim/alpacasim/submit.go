package alpacasim

import (
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"time"
)

// Codes of refusals that the service makes.
const (
	codeBadForm  = 40010000 // assumed: a body that is no JSON
	codeBadInput = 40010001
	codeRefused  = 40310000
	codeNotFound = 40410000
	codeNoWay    = 42210000
)

// maxClientID is the length of a client order ID, in characters.
const maxClientID = 128

// A number is decimal text that may come as a JSON string or number.
type number string

// UnmarshalJSON implements [json.Unmarshaler].
func (n *number) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) == nil { // null leaves it empty
		*n = number(s)
		return nil
	}
	var j json.Number
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*n = number(j)
	return nil
}

// An orderForm is the body of POST /v2/orders. Unknown fields are ignored.
type orderForm struct {
	Symbol        string `json:"symbol"`
	Qty           number `json:"qty"`
	Notional      number `json:"notional"`
	Side          string `json:"side"`
	Type          string `json:"type"`
	TimeInForce   string `json:"time_in_force"`
	LimitPrice    number `json:"limit_price"`
	StopPrice     number `json:"stop_price"`
	ClientOrderID string `json:"client_order_id"`
	ExtendedHours bool   `json:"extended_hours"`
}

// postOrder takes an order (orders-post-200-*.json and its refusals); s.mu is
// held.
func (s *Sim) postOrder(a *account, body []byte, bodyErr error) answer {
	var f orderForm
	if bodyErr != nil || json.Unmarshal(body, &f) != nil {
		return refuse(http.StatusBadRequest, codeBadForm, "request body format is invalid", nil)
	}
	o, no := s.draft(a, f)
	if no == nil {
		no = s.allow(a, o)
	}
	if no != nil {
		return *no
	}
	return good(s.submit(a, o))
}

// submit books a checked order.
func (s *Sim) submit(a *account, o *order) Order {
	now := s.now()
	status := "pending_new"
	if !s.trades(o.asset) {
		status = "accepted"
	}
	o.ID, o.submitted, o.fillAt = newUUID(), now, now.Add(s.cfg.FillDelay)
	o.CreatedAt, o.SubmittedAt = *stamp(now), *stamp(now)
	o.set(status, now)
	if o.TimeInForce == "day" && o.asset.class != "crypto" {
		closes, _ := time.Parse(time.RFC3339, s.clock().NextClose)
		o.ExpiresAt = closes.UTC().Format(time.RFC3339)
	}
	if o.ClientOrderID == "" {
		o.ClientOrderID = newUUID()
	}
	a.orders = append(a.orders, o)
	return o.Order
}

// draft turns a form into an order, or says what is wrong with the form.
// Recorded: both client order ID refusals, the unknown asset, the crypto time
// in force. Assumed: the words of the others.
func (s *Sim) draft(a *account, f orderForm) (*order, *answer) {
	bad := func(code int, message string) (*order, *answer) {
		no := refuse(http.StatusUnprocessableEntity, code, message, nil)
		return nil, &no
	}
	if len([]rune(f.ClientOrderID)) > maxClientID {
		return bad(codeBadInput, "client_order_id must be no more than 128 characters")
	}
	for _, o := range a.orders {
		if f.ClientOrderID != "" && o.ClientOrderID == f.ClientOrderID {
			return bad(codeBadInput, "client_order_id must be unique")
		}
	}
	if f.Symbol == "" {
		return bad(codeBadInput, "symbol is required")
	}
	as, ok := s.asset(f.Symbol)
	if !ok {
		return bad(codeNoWay, fmt.Sprintf("asset %q not found", f.Symbol))
	}
	switch {
	case f.Side != "buy" && f.Side != "sell":
		return bad(codeBadInput, "invalid side")
	case f.Type != "market" && f.Type != "limit":
		return bad(codeBadInput, "invalid order type") // stop orders are not simulated
	case f.Type == "market" && (f.LimitPrice != "" || f.StopPrice != ""):
		return bad(codeBadInput, "market orders require no stop or limit price")
	case f.Type == "limit" && f.LimitPrice == "":
		return bad(codeBadInput, "limit orders require a limit price")
	case as.class == "crypto" && f.TimeInForce != "gtc" && f.TimeInForce != "ioc":
		return bad(codeNoWay, "invalid crypto time_in_force")
	case f.TimeInForce != "day" && f.TimeInForce != "gtc" && f.TimeInForce != "ioc":
		return bad(codeBadInput, "invalid time_in_force") // opg, cls, fok are not simulated
	case (f.Qty == "") == (f.Notional == ""):
		return bad(codeBadInput, "exactly one of qty or notional is required")
	}
	o := &order{asset: as, filled: zero(), spent: zero()}
	o.AssetClass, o.AssetID, o.Symbol = as.class, as.id, as.symbol
	o.ClientOrderID, o.Side, o.Type, o.OrderType, o.TimeInForce = f.ClientOrderID, f.Side, f.Type, f.Type, f.TimeInForce
	o.FilledQty, o.ExtendedHours = "0", f.ExtendedHours
	if message := s.amounts(o, f); message != "" {
		return bad(codeBadInput, message)
	}
	o.PositionIntent = intent(a, o)
	return o, nil
}

// amounts sets quantity and limit, or says what is wrong with them.
func (s *Sim) amounts(o *order, f orderForm) string {
	if f.LimitPrice != "" {
		limit, ok := parse(string(f.LimitPrice))
		if !ok || limit.Sign() <= 0 {
			return "limit price must be > 0"
		}
		o.limit, o.LimitPrice = limit, new(show(limit))
	}
	if f.Notional != "" {
		usd, ok := parse(string(f.Notional))
		if !ok || usd.Cmp(must("1")) < 0 || f.Type != "market" {
			return "notional must be at least 1 and the order a market order"
		}
		o.Notional, o.qty = new(show(usd)), must(show(div(usd, s.prices[o.asset.symbol].now)))
		return ""
	}
	qty, ok := parse(string(f.Qty))
	if !ok || qty.Sign() <= 0 {
		return "qty must be > 0"
	}
	o.qty, o.Qty = qty, new(show(qty))
	return ""
}

// intent says what the order does to the position.
func intent(a *account, o *order) string {
	p := a.position(o.asset.symbol)
	switch {
	case o.Side == "buy" && p != nil && p.qty.Sign() < 0:
		return "buy_to_close"
	case o.Side == "buy":
		return "buy_to_open"
	case p != nil && p.qty.Sign() > 0:
		return "sell_to_close"
	}
	return "sell_to_open"
}

// allow refuses what the account may not do, all with 403 and one code: only
// the text tells the cases apart. Assumed: the texts for blocked accounts and
// for what cannot be sold short. The wash-trade refusal is known from users'
// logs, not from a recording.
func (s *Sim) allow(a *account, o *order) *answer {
	no := func(message string, extra map[string]any) *answer {
		r := refuse(http.StatusForbidden, codeRefused, message, extra)
		return &r
	}
	switch {
	case a.flags.SuspendedByUser:
		return no("new orders are rejected by user request", nil)
	case a.flags.TradingBlocked || a.flags.AccountBlocked || a.status != "ACTIVE":
		return no("account is not allowed to trade", nil)
	case o.asset.class == "crypto" && s.cost(o).Cmp(must("10")) < 0:
		return no("cost basis must be >= minimal amount of order 10", nil)
	}
	for _, x := range a.orders {
		if x.open() && x.Status != "pending_cancel" && x.asset.symbol == o.asset.symbol && crosses(x, o) {
			return no("potential wash trade detected. use complex orders", map[string]any{
				"existing_order_id": x.ID, "reject_reason": "opposite side " + x.Type + " order exists",
			})
		}
	}
	if o.Side == "buy" {
		if t := s.sums(a); s.cost(o).Cmp(t.buying) > 0 {
			return no("insufficient buying power", map[string]any{"buying_power": show(t.buying), "cost_basis": show(s.cost(o))})
		}
		return nil
	}
	return s.allowSale(a, o, no)
}

// allowSale refuses a sale of more than is free (orders-post-403-insufficient-qty.json).
// A name that is not held at all is sold short, as margin accounts may.
func (s *Sim) allowSale(a *account, o *order, no func(string, map[string]any) *answer) *answer {
	held := zero()
	if p := a.position(o.asset.symbol); p != nil {
		held = p.qty
	}
	if held.Sign() <= 0 {
		if o.asset.class == "crypto" || !o.qty.IsInt() || !s.canShort(a) {
			return no(fmt.Sprintf("insufficient qty available for order (requested: %s, available: 0)", show(o.qty)), map[string]any{
				"available": "0", "existing_qty": "0", "held_for_orders": "0", "symbol": o.asset.symbol,
			})
		}
		return nil
	}
	busy := a.busy(o.asset.symbol)
	free := sub(held, busy)
	if o.qty.Cmp(free) <= 0 {
		return nil
	}
	return no(fmt.Sprintf("insufficient qty available for order (requested: %s, available: %s)", show(o.qty), show(free)), map[string]any{
		"available": show(free), "existing_qty": show(held), "held_for_orders": show(busy), "symbol": o.asset.symbol,
	})
}

// busy is the quantity that open sell orders hold.
func (a *account) busy(symbol string) *big.Rat {
	sum := zero()
	for _, o := range a.orders {
		if o.open() && o.Side == "sell" && o.asset.symbol == symbol {
			sum = add(sum, o.rest())
		}
	}
	return sum
}

// crosses reports whether two orders of one account would trade with each
// other: opposite sides, and a market order or limits that meet.
func crosses(x, o *order) bool {
	if x.Side == o.Side {
		return false
	}
	if x.limit == nil || o.limit == nil {
		return true
	}
	buy, sell := x, o
	if o.Side == "buy" {
		buy, sell = o, x
	}
	return buy.limit.Cmp(sell.limit) >= 0
}

// A NewOrder is an order that somebody left resting before the test.
type NewOrder struct {
	Symbol     string
	Qty        string
	Side       string // "buy" if empty
	LimitPrice string // a price that does not fill; "1" if empty
	ClientID   string // made up if empty
}

// AddOpenOrder leaves a resting limit order, good till cancelled, in an account.
func (s *Sim) AddOpenOrder(ref string, n NewOrder) (Order, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := s.find(ref)
	if err != nil {
		return Order{}, err
	}
	if n.Side == "" {
		n.Side = "buy"
	}
	if n.LimitPrice == "" {
		n.LimitPrice = "1"
	}
	o, no := s.draft(a, orderForm{
		Symbol: n.Symbol, Qty: number(n.Qty), Side: n.Side, Type: "limit", TimeInForce: "gtc",
		LimitPrice: number(n.LimitPrice), ClientOrderID: n.ClientID,
	})
	if no != nil {
		return Order{}, fmt.Errorf("order for %q: %s: %w", n.Symbol, strings.TrimSpace(no.body), ErrBadValue)
	}
	s.submit(a, o)
	if o.Status == "pending_new" {
		o.set("new", s.now())
	}
	return o.Order, nil
}
