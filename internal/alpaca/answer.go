package alpaca

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// maxText is the longest text that is taken from an answer, in bytes; Alpaca's
// own are at most 128.
const maxText = 256

// A text is a string, a number or null in an answer: Alpaca sends money as
// strings, with exceptions (account-get-200-documented.json). Anything else,
// and text that is not plain printable ASCII, is empty.
type text string

// UnmarshalJSON implements [json.Unmarshaler]. It never fails, so that one odd
// field does not cost the whole answer.
func (t *text) UnmarshalJSON(b []byte) error {
	*t = ""
	s := string(b)
	switch {
	case len(b) > 6*maxText:
		return nil
	case b[0] == '"':
		if json.Unmarshal(b, &s) != nil {
			s = ""
		}
	case b[0] != '-' && (b[0] < '0' || b[0] > '9'): // null, true, an object
		return nil
	}
	if len(s) <= maxText && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
		*t = text(strings.TrimSpace(s))
	}
	return nil
}

// time reads a stamp; an unreadable one is the zero time.
func (t text) time() time.Time {
	at, err := time.Parse(time.RFC3339Nano, string(t))
	if err != nil {
		return time.Time{}
	}
	return at.UTC()
}

// A flag is a boolean in an answer. Anything but true is false.
type flag bool

// UnmarshalJSON implements [json.Unmarshaler]. It never fails.
func (f *flag) UnmarshalJSON(b []byte) error {
	*f = string(b) == "true" || string(b) == `"true"`
	return nil
}

// readAccount reads the body of GET /v2/account. Only id is required
// (so is status by the schema, but an account without one is still an
// account). ok is false if it is no account.
func readAccount(body []byte) (a rotation.Account, ok bool) {
	var raw struct {
		ID               text `json:"id"`
		Number           text `json:"account_number"`
		Status           text `json:"status"`
		CreatedAt        text `json:"created_at"`
		BuyingPower      text `json:"buying_power"`
		Cash             text `json:"cash"`
		Equity           text `json:"equity"`
		Currency         text `json:"currency"`
		AccountBlocked   flag `json:"account_blocked"`
		TradingBlocked   flag `json:"trading_blocked"`
		TransfersBlocked flag `json:"transfers_blocked"`
		Suspended        flag `json:"trade_suspended_by_user"`
	}
	if json.Unmarshal(body, &raw) != nil || raw.ID == "" {
		return rotation.Account{}, false
	}
	a = rotation.Account{
		ID: string(raw.ID), Number: string(raw.Number), Status: string(raw.Status), CreatedAt: raw.CreatedAt.time(),
		BuyingPower: string(raw.BuyingPower), Cash: string(raw.Cash), Equity: string(raw.Equity), Currency: string(raw.Currency),
	}
	for _, f := range []struct {
		name string
		set  flag
	}{
		{"account_blocked", raw.AccountBlocked},
		{"trading_blocked", raw.TradingBlocked},
		{"transfers_blocked", raw.TransfersBlocked},
		{"trade_suspended_by_user", raw.Suspended},
	} {
		if f.set {
			a.Flags = append(a.Flags, f.name)
		}
	}
	return a, true
}

// An orderBody is one order in an answer.
type orderBody struct {
	ID        text `json:"id"`
	ClientID  text `json:"client_order_id"`
	Symbol    text `json:"symbol"`
	Side      text `json:"side"`
	Type      text `json:"type"`
	Qty       text `json:"qty"`
	FilledQty text `json:"filled_qty"`
	Status    text `json:"status"`
	CreatedAt text `json:"created_at"`
}

func (o orderBody) order() rotation.Order {
	return rotation.Order{
		ID: string(o.ID), ClientID: string(o.ClientID), Symbol: string(o.Symbol), Side: string(o.Side), Type: string(o.Type),
		Qty: string(o.Qty), FilledQty: string(o.FilledQty), Status: string(o.Status), CreatedAt: o.CreatedAt.time(),
	}
}

// readOrder reads one order. ok is false if it has no ID or no status: nothing
// can be concluded from such an order.
func readOrder(body []byte) (o rotation.Order, ok bool) {
	var raw orderBody
	if json.Unmarshal(body, &raw) != nil || raw.ID == "" || raw.Status == "" {
		return rotation.Order{}, false
	}
	return raw.order(), true
}

// readOrders reads a page of orders.
func readOrders(body []byte) (list []rotation.Order, ok bool) {
	var raw []orderBody
	if json.Unmarshal(body, &raw) != nil || raw == nil {
		return nil, false
	}
	for _, o := range raw {
		if o.ID == "" || o.Status == "" {
			return nil, false
		}
		list = append(list, o.order())
	}
	return list, true
}

// readPositions reads the list of positions.
func readPositions(body []byte) (list []rotation.Holding, ok bool) {
	var raw []struct {
		Symbol text `json:"symbol"`
		Qty    text `json:"qty"`
	}
	if json.Unmarshal(body, &raw) != nil || raw == nil {
		return nil, false
	}
	for _, p := range raw {
		if p.Symbol == "" {
			return nil, false
		}
		list = append(list, rotation.Holding{Symbol: string(p.Symbol), Qty: string(p.Qty)})
	}
	return list, true
}

// readClock reads the market clock into s.
func readClock(body []byte, s *rotation.Survey) bool {
	var raw struct {
		IsOpen    *flag `json:"is_open"`
		NextOpen  text  `json:"next_open"`
		NextClose text  `json:"next_close"`
	}
	if json.Unmarshal(body, &raw) != nil || raw.IsOpen == nil {
		return false
	}
	s.MarketOpen, s.NextOpen, s.NextClose = bool(*raw.IsOpen), raw.NextOpen.time(), raw.NextClose.time()
	return true
}
