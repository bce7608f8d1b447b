package alpacasim

import (
	"math/big"
	"time"
)

// Flags are the blocks that an account can carry. None hides the account: it
// still answers 200 (account-get-200-blocked.json).
type Flags struct {
	TradingBlocked   bool
	AccountBlocked   bool
	TransfersBlocked bool
	SuspendedByUser  bool
}

// An Account is a copy of what the dashboard shows of one account.
type Account struct {
	ID        string
	Number    string
	Status    string
	Flags     Flags
	CreatedAt time.Time
	Cash      string // USD, decimal text
	KeyID     string // "" if no pair was generated yet
}

// An account is one paper account.
type account struct {
	id, number, status string
	flags              Flags
	created            time.Time
	cash, lastEquity   *big.Rat
	positions          []*position
	orders             []*order // oldest first
	window             time.Time
	calls              int // since window
}

// A position is what an account holds of one name; qty is negative if short.
type position struct {
	asset     assetRow
	qty, cost *big.Rat
}

// accountBody is the account as Alpaca answers it. The fields are those of
// account-get-200-recorded.json: what was retired on 2026-07-06 with the
// day-trading rule (pattern_day_trader and so on) is absent.
type accountBody struct {
	AccountBlocked    bool           `json:"account_blocked"`
	AccountNumber     string         `json:"account_number"`
	AccruedFees       string         `json:"accrued_fees"`
	AdminConfig       map[string]any `json:"admin_configurations"`
	BalanceAsOf       string         `json:"balance_asof"`
	BuyingPower       string         `json:"buying_power"`
	Cash              string         `json:"cash"`
	CreatedAt         string         `json:"created_at"`
	CryptoStatus      string         `json:"crypto_status"`
	CryptoTier        int            `json:"crypto_tier"`
	Currency          string         `json:"currency"`
	EffectiveBuying   string         `json:"effective_buying_power"`
	Equity            string         `json:"equity"`
	ID                string         `json:"id"`
	InitialMargin     string         `json:"initial_margin"`
	IntradayAdj       string         `json:"intraday_adjustments"`
	LastEquity        string         `json:"last_equity"`
	LastMaintenance   string         `json:"last_maintenance_margin"`
	LongValue         string         `json:"long_market_value"`
	Maintenance       string         `json:"maintenance_margin"`
	Multiplier        string         `json:"multiplier"`
	NonMarginable     string         `json:"non_marginable_buying_power"`
	OptionsApproved   int            `json:"options_approved_level"`
	OptionsBuying     string         `json:"options_buying_power"`
	OptionsTrading    int            `json:"options_trading_level"`
	PendingFees       string         `json:"pending_reg_taf_fees"`
	PortfolioValue    string         `json:"portfolio_value"`
	PositionValue     string         `json:"position_market_value"`
	RegTBuying        string         `json:"regt_buying_power"`
	ShortValue        string         `json:"short_market_value"`
	ShortingEnabled   bool           `json:"shorting_enabled"`
	SMA               string         `json:"sma"`
	Status            string         `json:"status"`
	Suspended         bool           `json:"trade_suspended_by_user"`
	TradingBlocked    bool           `json:"trading_blocked"`
	TransfersBlocked  bool           `json:"transfers_blocked"`
	UserConfiguration any            `json:"user_configurations"`
}

// sums are the figures that follow from cash, positions and open orders.
type sums struct {
	long, short, equity, buying, multiplier *big.Rat
}

// sums adds the account up; s.mu is held. Assumed: the way buying power is
// derived, and that a multiplier of 4 begins at $2,000 of equity (accounts of
// about $100,000 were recorded with 4, one of $500 with 1).
func (s *Sim) sums(a *account) sums {
	t := sums{long: zero(), short: zero(), equity: a.cash, multiplier: must("1")}
	for _, p := range a.positions {
		v := mul(p.qty, s.prices[p.asset.symbol].now)
		t.equity = add(t.equity, v)
		if v.Sign() > 0 {
			t.long = add(t.long, v)
		} else {
			t.short = add(t.short, v)
		}
	}
	if t.equity.Cmp(must("2000")) >= 0 {
		t.multiplier = must("4")
	}
	t.buying = sub(mul(t.multiplier, t.equity), add(t.long, abs(t.short)))
	for _, o := range a.orders {
		if o.open() && o.Side == "buy" {
			t.buying = sub(t.buying, s.cost(o))
		}
	}
	if t.buying.Sign() < 0 {
		t.buying = zero()
	}
	return t
}

// body renders the account; s.mu is held.
func (s *Sim) body(a *account) accountBody {
	t := s.sums(a)
	gross := add(t.long, abs(t.short))
	quarter := div(gross, must("4"))
	cash := a.cash
	if cash.Sign() < 0 {
		cash = zero()
	}
	return accountBody{
		AccountBlocked: a.flags.AccountBlocked, TradingBlocked: a.flags.TradingBlocked,
		TransfersBlocked: a.flags.TransfersBlocked, Suspended: a.flags.SuspendedByUser,
		AccountNumber: a.number, ID: a.id, Status: a.status, Currency: "USD",
		CreatedAt:   a.created.UTC().Format("2006-01-02T15:04:05.000000Z"),
		BalanceAsOf: s.now().In(newYork()).AddDate(0, 0, -1).Format(time.DateOnly),
		Cash:        show(a.cash), Equity: show(t.equity), PortfolioValue: show(t.equity), LastEquity: show(a.lastEquity),
		BuyingPower: show(t.buying), EffectiveBuying: show(t.buying), RegTBuying: show(div(t.buying, must("2"))),
		NonMarginable: show(cash), OptionsBuying: show(cash), SMA: show(a.lastEquity),
		LongValue: show(t.long), ShortValue: show(t.short), PositionValue: show(gross),
		InitialMargin: show(div(gross, must("2"))), Maintenance: show(quarter), LastMaintenance: "0",
		Multiplier: show(t.multiplier), ShortingEnabled: s.canShort(a),
		AccruedFees: "0", IntradayAdj: "0", PendingFees: "0",
		AdminConfig: map[string]any{}, CryptoStatus: "ACTIVE", CryptoTier: 1, OptionsApproved: 3, OptionsTrading: 3,
	}
}

// canShort reports whether the account may sell what it does not hold.
func (s *Sim) canShort(a *account) bool { return s.sums(a).multiplier.Cmp(must("1")) > 0 }

// position returns what the account holds of a name, or nil.
func (a *account) position(symbol string) *position {
	for _, p := range a.positions {
		if p.asset.held() == symbol || p.asset.symbol == symbol || p.asset.id == symbol {
			return p
		}
	}
	return nil
}
