package alpacasim

import (
	"fmt"
	"math/big"
	"net/http"
	"net/url"
)

// A Position is one holding as Alpaca answers it
// (positions-list-200-held.json). Numbers are decimal text; qty is negative if
// the side is short.
type Position struct {
	AssetClass     string `json:"asset_class"`
	AssetID        string `json:"asset_id"`
	Marginable     bool   `json:"asset_marginable"`
	AvgEntryPrice  string `json:"avg_entry_price"`
	ChangeToday    string `json:"change_today"`
	CostBasis      string `json:"cost_basis"`
	CurrentPrice   string `json:"current_price"`
	Exchange       string `json:"exchange"`
	LastDayPrice   string `json:"lastday_price"`
	MarketValue    string `json:"market_value"`
	Qty            string `json:"qty"`
	QtyAvailable   string `json:"qty_available"`
	Side           string `json:"side"`
	Symbol         string `json:"symbol"`
	IntradayPL     string `json:"unrealized_intraday_pl"`
	IntradayPLPC   string `json:"unrealized_intraday_plpc"`
	UnrealizedPL   string `json:"unrealized_pl"`
	UnrealizedPLPC string `json:"unrealized_plpc"`
}

// positionBody renders one holding; s.mu is held.
func (s *Sim) positionBody(a *account, p *position) Position {
	q := s.prices[p.asset.symbol]
	value := mul(p.qty, q.now)
	gain := sub(value, p.cost)
	part := show(div(gain, abs(p.cost)))
	side := "long"
	if p.qty.Sign() < 0 {
		side = "short"
	}
	return Position{
		AssetClass: p.asset.class, AssetID: p.asset.id, Exchange: p.asset.exchange, Symbol: p.asset.held(),
		Marginable: p.asset.class != "crypto", Side: side,
		Qty: show(p.qty), QtyAvailable: show(sub(p.qty, a.busy(p.asset.symbol))),
		AvgEntryPrice: show(div(p.cost, p.qty)), CostBasis: show(p.cost), MarketValue: show(value),
		CurrentPrice: show(q.now), LastDayPrice: show(q.last), ChangeToday: show(div(sub(q.now, q.last), q.last)),
		UnrealizedPL: show(gain), UnrealizedPLPC: part, IntradayPL: show(gain), IntradayPLPC: part,
	}
}

func (s *Sim) positionList(a *account) []Position {
	out := make([]Position, 0, len(a.positions))
	for _, p := range a.positions {
		out = append(out, s.positionBody(a, p))
	}
	return out
}

// noPosition is position-get-404.json.
func noPosition() answer {
	return refuse(http.StatusNotFound, codeNotFound, "position does not exist", nil)
}

func (s *Sim) positionGet(a *account, symbol string) answer {
	p := a.position(symbol)
	if p == nil {
		return noPosition()
	}
	return good(s.positionBody(a, p))
}

// positionClose sends the market order that closes a holding, or the part that
// qty or percentage names, and answers it (position-delete-200.json).
func (s *Sim) positionClose(a *account, symbol string, q url.Values) answer {
	p := a.position(symbol)
	if p == nil {
		return noPosition()
	}
	qty := abs(p.qty)
	for name, f := range map[string]func(*big.Rat) *big.Rat{
		"qty":        func(v *big.Rat) *big.Rat { return v },
		"percentage": func(v *big.Rat) *big.Rat { return mul(qty, div(v, must("100"))) },
	} {
		if v := q.Get(name); v != "" {
			r, ok := parse(v)
			if !ok || r.Sign() <= 0 {
				return refuse(http.StatusUnprocessableEntity, codeBadInput, "invalid "+name, nil)
			}
			qty = f(r)
		}
	}
	f := orderForm{Symbol: p.asset.symbol, Qty: number(show(qty)), Side: "sell", Type: "market", TimeInForce: "day"}
	if p.qty.Sign() < 0 {
		f.Side = "buy"
	}
	if p.asset.class == "crypto" {
		f.TimeInForce = "gtc"
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

// AddPosition lets an account hold qty of symbol (negative: short) at today's
// price, without an order and without touching its cash.
func (s *Sim) AddPosition(ref, symbol, qty string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := s.find(ref)
	if err != nil {
		return err
	}
	as, ok := s.asset(symbol)
	r, good := parse(qty)
	if !ok || !good || r.Sign() == 0 {
		return fmt.Errorf("position of %q %q: %w", qty, symbol, ErrBadValue)
	}
	a.take(as, r, s.prices[as.symbol].now)
	return nil
}

// Positions returns a copy of what an account holds now; none if there is no
// such account.
func (s *Sim) Positions(ref string) []Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := s.find(ref)
	if err != nil {
		return nil
	}
	s.settle(a)
	return s.positionList(a)
}
