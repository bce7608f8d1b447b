package alpacasim

import (
	"fmt"
	"math/big"
	"strings"
)

// An assetRow is one tradable name.
type assetRow struct {
	symbol   string
	id       string
	class    string // us_equity, crypto
	exchange string
	price    string // USD at the start
	lastDay  string // USD, last close
}

// A quote is what a name costs, in USD.
type quote struct{ now, last *big.Rat }

// assetTable lists the names that the simulator knows. KO's ID and prices are
// those of positions-list-200-held.json, AAPL's ID that of
// orders-post-200-outside-hours.json; the others are made up.
func assetTable() []assetRow {
	return []assetRow{
		{"AAPL", "b0b6dd9d-8b9b-48a9-ba46-b9d54906e415", "us_equity", "NASDAQ", "226.4", "225.1"},
		{"KO", "3795cafe-fd54-4f66-a31e-66774be875ca", "us_equity", "NYSE", "86.88", "85.82"},
		{"MSFT", "b6d1aa75-5c9c-4353-a305-9e2caa1925ab", "us_equity", "NASDAQ", "431.5", "430"},
		{"SPY", "b28f4066-5c6d-479b-a2af-85dc1a8f16fb", "us_equity", "ARCA", "588.2", "587"},
		{"TSLA", "8ccae427-5dd0-45b3-b5fe-7ba5e422c766", "us_equity", "NASDAQ", "342.7", "340"},
		{"BTC/USD", "276e2673-764b-4ab6-a611-caf665ca6340", "crypto", "", "64250", "64000"},
	}
}

// held returns the symbol under which a position in a is listed: crypto loses
// its slash.
func (a assetRow) held() string { return strings.ReplaceAll(a.symbol, "/", "") }

// asset finds a name, also by the symbol of its position or by its asset ID.
func (s *Sim) asset(symbol string) (assetRow, bool) {
	if a, ok := s.assets[symbol]; ok {
		return a, true
	}
	for _, a := range s.assets {
		if a.held() == symbol || a.id == symbol {
			return a, true
		}
	}
	return assetRow{}, false
}

// SetPrice changes what symbol costs, in USD as decimal text. Resting orders
// that it reaches are filled at the next look.
func (s *Sim) SetPrice(symbol, price string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.asset(symbol)
	r, good := parse(price)
	if !ok || !good || r.Sign() <= 0 {
		return fmt.Errorf("alpacasim: no price %q for %q", price, symbol)
	}
	s.prices[a.symbol] = quote{now: r, last: s.prices[a.symbol].last}
	return nil
}
