package alpacasim

import (
	"math/big"
	"time"
)

// An Order is one order as Alpaca answers it (orders-get-200-*.json). Numbers
// are decimal text; nil is JSON null.
type Order struct {
	AssetClass     string  `json:"asset_class"`
	AssetID        string  `json:"asset_id"`
	CanceledAt     *string `json:"canceled_at"`
	ClientOrderID  string  `json:"client_order_id"`
	CreatedAt      string  `json:"created_at"`
	ExpiredAt      *string `json:"expired_at"`
	ExpiresAt      string  `json:"expires_at,omitempty"` // day orders only, as recorded
	ExtendedHours  bool    `json:"extended_hours"`
	FailedAt       *string `json:"failed_at"`
	FilledAt       *string `json:"filled_at"`
	FilledAvgPrice *string `json:"filled_avg_price"`
	FilledQty      string  `json:"filled_qty"`
	HWM            *string `json:"hwm"`
	ID             string  `json:"id"`
	Legs           *string `json:"legs"`
	LimitPrice     *string `json:"limit_price"`
	Notional       *string `json:"notional"`
	OrderClass     string  `json:"order_class"`
	OrderType      string  `json:"order_type"`
	PositionIntent string  `json:"position_intent"`
	Qty            *string `json:"qty"`
	ReplacedAt     *string `json:"replaced_at"`
	ReplacedBy     *string `json:"replaced_by"`
	Replaces       *string `json:"replaces"`
	Side           string  `json:"side"`
	Source         *string `json:"source"`
	Status         string  `json:"status"`
	StopPrice      *string `json:"stop_price"`
	SubmittedAt    string  `json:"submitted_at"`
	Subtag         *string `json:"subtag"`
	Symbol         string  `json:"symbol"`
	TimeInForce    string  `json:"time_in_force"`
	TrailPercent   *string `json:"trail_percent"`
	TrailPrice     *string `json:"trail_price"`
	Type           string  `json:"type"`
	UpdatedAt      string  `json:"updated_at"`
}

// An order is an Order with what it takes to move it on.
type order struct {
	Order
	asset       assetRow
	submitted   time.Time
	qty, filled *big.Rat
	spent       *big.Rat // USD for filled
	limit       *big.Rat // nil: market
	fillAt      time.Time
	cancelAt    time.Time
	seen        bool // pending_cancel was shown to somebody
}

// stamp renders a time as order stamps have it: nanoseconds, UTC.
func stamp(t time.Time) *string { return new(t.UTC().Format(time.RFC3339Nano)) }

// open reports whether the order still holds money or shares.
func (o *order) open() bool {
	switch o.Status {
	case "filled", "canceled", "expired", "rejected", "replaced":
		return false
	}
	return true
}

// set moves the order to a status.
func (o *order) set(status string, now time.Time) {
	o.Status = status
	o.UpdatedAt = *stamp(now)
}

// rest is the quantity that is not filled yet.
func (o *order) rest() *big.Rat { return sub(o.qty, o.filled) }

// cost is what the rest of a buy order holds, in USD; s.mu is held.
func (s *Sim) cost(o *order) *big.Rat {
	if o.limit != nil {
		return mul(o.rest(), o.limit)
	}
	return mul(o.rest(), s.prices[o.asset.symbol].now)
}

// settle moves every open order of an account on, as far as the clock and the
// market let it: pending_new, new, filled; accepted until the market opens;
// pending_cancel, canceled. s.mu is held.
func (s *Sim) settle(a *account) {
	now := s.now()
	for _, o := range a.orders {
		switch o.Status {
		case "pending_new":
			o.set("new", now)
		case "accepted":
			if s.trades(o.asset) {
				o.set("new", now)
				o.fillAt = now.Add(s.cfg.FillDelay)
			}
		case "pending_cancel":
			// A second after its time it happens unseen.
			if !now.Before(o.cancelAt) && (o.seen || now.Sub(o.cancelAt) >= time.Second) {
				o.set("canceled", now)
				o.CanceledAt = stamp(now)
			}
		}
		if (o.Status == "new" || o.Status == "partially_filled") && s.reaches(o) && !now.Before(o.fillAt) {
			s.fill(a, o)
		}
	}
}

// trades reports whether orders for the asset are routed now.
func (s *Sim) trades(a assetRow) bool { return s.open || a.class == "crypto" }

// reaches reports whether the price lets the order fill.
func (s *Sim) reaches(o *order) bool {
	price := s.prices[o.asset.symbol].now
	switch {
	case !s.trades(o.asset):
		return false
	case o.limit == nil:
		return true
	case o.Side == "buy":
		return o.limit.Cmp(price) >= 0
	}
	return o.limit.Cmp(price) <= 0
}

// fill fills the order, or half of it while partial fills are on; s.mu is held.
// Alpaca says that paper fills are partial at random; the share is made up.
func (s *Sim) fill(a *account, o *order) {
	qty := o.rest()
	if s.partial {
		if o.filled.Sign() > 0 {
			return // waits for the rest
		}
		qty = mul(qty, must("0.5"))
	}
	now, price := s.now(), s.prices[o.asset.symbol].now
	signed := qty
	if o.Side == "sell" {
		signed = new(big.Rat).Neg(qty)
	}
	a.cash = sub(a.cash, mul(signed, price))
	a.take(o.asset, signed, price)
	o.filled, o.spent = add(o.filled, qty), add(o.spent, mul(qty, price))
	o.FilledQty = show(o.filled)
	o.FilledAvgPrice = new(show(div(o.spent, o.filled)))
	if o.rest().Sign() > 0 {
		o.set("partially_filled", now)
		return
	}
	o.set("filled", now)
	o.FilledAt = stamp(now)
}

// take books qty (negative: sold) of an asset at price.
func (a *account) take(as assetRow, qty, price *big.Rat) {
	p := a.position(as.symbol)
	if p == nil {
		p = &position{asset: as, qty: zero(), cost: zero()}
		a.positions = append(a.positions, p)
	}
	if p.qty.Sign()*qty.Sign() >= 0 {
		p.cost = add(p.cost, mul(qty, price))
	} else { // the basis shrinks with the quantity
		p.cost = mul(div(p.cost, p.qty), add(p.qty, qty))
	}
	p.qty = add(p.qty, qty)
	if p.qty.Sign() != 0 {
		return
	}
	for i := range a.positions {
		if a.positions[i] == p {
			a.positions = append(a.positions[:i:i], a.positions[i+1:]...)
			return
		}
	}
}

// SetPartialFills makes orders stop at half until it is switched off again.
func (s *Sim) SetPartialFills(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.partial = on
}

// Orders returns a copy of every order of an account as it stands now, oldest
// first; none if there is no such account.
func (s *Sim) Orders(ref string) []Order {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := s.find(ref)
	if err != nil {
		return nil
	}
	s.settle(a)
	out := make([]Order, 0, len(a.orders))
	for _, o := range a.orders {
		out = append(out, o.Order)
	}
	return out
}
