package rotation

import (
	"strings"
	"time"
)

// An Account is the part of Alpaca's account that matters here. Money is
// decimal text, as Alpaca sends it.
type Account struct {
	ID          string    `json:"id"`     // stable identity
	Number      string    `json:"number"` // whole only in the operator's own view
	Status      string    `json:"status"`
	CreatedAt   time.Time `json:"created_at"`
	Flags       []string  `json:"flags,omitempty"` // blocks that are set: "trading_blocked"
	BuyingPower string    `json:"buying_power,omitempty"`
	Cash        string    `json:"cash,omitempty"`
	Equity      string    `json:"equity,omitempty"`
	Currency    string    `json:"currency,omitempty"`
}

// Active reports whether the account can trade (R20, R36).
func (a Account) Active() bool { return a.Status == "ACTIVE" && len(a.Flags) == 0 }

// Condition says in words how an account is: "ACTIVE", or why it cannot trade,
// "ACTIVE with trading blocked".
func (a Account) Condition() string {
	switch {
	case len(a.Flags) > 0:
		return a.Status + " with " + strings.ReplaceAll(strings.Join(a.Flags, ", "), "_", " ")
	case a.Status != "ACTIVE":
		return a.Status + ", not ACTIVE"
	}
	return a.Status
}

// Same reports whether both are the same account (R37). An account without an
// identity is the same as none.
func (a Account) Same(o Account) bool {
	return a.ID != "" && a.ID == o.ID && a.Number == o.Number
}

// A Probe is one look at the vendor with one pair.
type Probe struct {
	Verdict   Verdict   `json:"verdict"`
	Account   Account   `json:"account,omitzero"` // with Valid
	Status    int       `json:"status,omitempty"` // HTTP status; 0: no answer
	Reason    string    `json:"reason,omitempty"` // stable, with Invalid and Unknown: "unauthorized", "edge", "rate_limited", "timeout"
	RequestID string    `json:"request_id,omitempty"`
	At        time.Time `json:"at"`
	Wait      int       `json:"wait,omitempty"` // seconds the vendor asked to wait
}

// said is the reason in words: "rate limited".
func (p Probe) said() string { return strings.ReplaceAll(p.Reason, "_", " ") }

// A Holding is one position.
type Holding struct {
	Symbol string `json:"symbol"`
	Qty    string `json:"qty"` // decimal text
}

// An Order is one order on the paper book.
type Order struct {
	ID        string    `json:"id"`
	ClientID  string    `json:"client_id"`
	Symbol    string    `json:"symbol"`
	Side      string    `json:"side"`
	Type      string    `json:"type"`
	Qty       string    `json:"qty"`        // decimal text
	FilledQty string    `json:"filled_qty"` // decimal text
	Status    string    `json:"status"`
	CreatedAt time.Time `json:"created_at"`
}

// Final reports whether the order can no longer change.
func (o Order) Final() bool {
	switch o.Status {
	case "filled", "canceled", "expired", "rejected", "replaced":
		return true
	}
	return false
}

// A Survey is what stands in the account beside its identity (R18, R22).
type Survey struct {
	Positions  []Holding `json:"positions"`
	OpenOrders []Order   `json:"open_orders"`
	MarketOpen bool      `json:"market_open"`
	NextOpen   time.Time `json:"next_open,omitzero"`
	NextClose  time.Time `json:"next_close,omitzero"`
}

// A Snapshot is the account and its survey before the click.
type Snapshot struct {
	At       time.Time `json:"at"` // of the survey; with NoSurvey of the account
	Account  Account   `json:"account"`
	Survey   Survey    `json:"survey"`
	Kept     bool      `json:"kept,omitempty"`      // taken before the rotation, because its step 1 could not take one
	Seen     time.Time `json:"seen,omitzero"`       // with Kept: when the account was last seen, At or later
	NoSurvey bool      `json:"no_survey,omitempty"` // positions and orders are not known
}
