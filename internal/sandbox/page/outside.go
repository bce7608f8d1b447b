package page

import (
	"context"
	"errors"
	"math/big"
	"time"

	"github.com/raxx-app/keyturn/internal/sim/alpacasim"
)

// A Place is one that holds the pair.
type Place struct {
	ID      string      `json:"id"`
	Group   string      `json:"group"`
	Name    string      `json:"name"`
	Version int         `json:"version,omitempty"`
	Last4   string      `json:"last4"`
	Works   string      `json:"works"` // [Works], [Fails] or [Unset]
	Detail  string      `json:"detail"`
	Fields  [][2]string `json:"fields"` // name and value
}

// Whether a place works now.
const (
	Works = "yes"
	Fails = "no"
	Unset = "unset"
)

type position struct {
	Symbol string `json:"symbol"`
	Qty    string `json:"qty"`
}

type order struct {
	ID        string `json:"id"`
	Symbol    string `json:"symbol"`
	Side      string `json:"side"`
	Qty       string `json:"qty"`
	FilledQty string `json:"filledQty"`
	Type      string `json:"type"`
	Status    string `json:"status"`
	At        string `json:"at"`
}

type account struct {
	Number    string     `json:"number"`
	ID        string     `json:"id"`
	Status    string     `json:"status"`
	Blocked   bool       `json:"blocked"`
	CreatedAt time.Time  `json:"createdAt"`
	KeyID     string     `json:"keyID"`
	Last4     string     `json:"last4"` // of the key ID
	Equity    string     `json:"equity"`
	Positions []position `json:"positions"`
	Orders    []order    `json:"orders"`
	Ours      string     `json:"ours"`
}

// outsideView is the event "outside".
type outsideView struct {
	Alpaca struct {
		MarketOpen bool      `json:"marketOpen"`
		Accounts   []account `json:"accounts"`
	} `json:"alpaca"`
	Places []Place `json:"places"`
	Alerts []Alert `json:"alerts"`
}

// An Alert is one that PagerDuty wakes people with.
type Alert struct {
	Key     string    `json:"key"`
	State   string    `json:"state"` // triggered, acknowledged, resolved
	Summary string    `json:"summary"`
	Opened  time.Time `json:"opened"`
}

// ordersShown is how many orders of an account are shown, the newest ones.
const ordersShown = 50

func (s *Server) outside() outsideView {
	v := outsideView{Places: s.cfg.Places(), Alerts: []Alert{}}
	if s.cfg.Alerts != nil {
		v.Alerts = append(v.Alerts, s.cfg.Alerts()...)
	}
	v.Alpaca.MarketOpen = s.cfg.Alpaca.MarketOpen()
	v.Alpaca.Accounts = []account{}
	for _, a := range s.cfg.Alpaca.Accounts() {
		v.Alpaca.Accounts = append(v.Alpaca.Accounts, s.account(a))
	}
	return v
}

func (s *Server) account(a alpacasim.Account) account {
	o := account{
		Number: a.Number, ID: a.ID, Status: a.Status, Blocked: a.Flags != alpacasim.Flags{}, CreatedAt: a.CreatedAt.UTC(),
		KeyID: a.KeyID, Last4: Last4(a.KeyID), Positions: []position{}, Orders: []order{}, Ours: s.cfg.Ours(a.ID),
	}
	sum, _ := new(big.Rat).SetString(a.Cash)
	if sum == nil {
		sum = new(big.Rat)
	}
	for _, p := range s.cfg.Alpaca.Positions(a.ID) {
		o.Positions = append(o.Positions, position{p.Symbol, p.Qty})
		if worth, ok := new(big.Rat).SetString(p.MarketValue); ok {
			sum.Add(sum, worth)
		}
	}
	o.Equity = sum.FloatString(2)
	list := s.cfg.Alpaca.Orders(a.ID)
	for _, x := range list[max(0, len(list)-ordersShown):] {
		qty := ""
		if x.Qty != nil {
			qty = *x.Qty
		}
		o.Orders = append(o.Orders, order{
			ID: x.ID, Symbol: x.Symbol, Side: x.Side, Qty: qty, FilledQty: x.FilledQty, Type: x.Type, Status: x.Status, At: x.SubmittedAt,
		})
	}
	return o
}

// Last4 returns the last four characters of a key ID, "" of none.
func Last4(keyID string) string { return keyID[max(0, len(keyID)-4):] }

func (s *Server) alpacaRoutes() {
	type ref struct{ Account string }
	dash := s.cfg.Alpaca
	post(s, "/api/alpaca/regenerate", func(_ context.Context, in ref) (answer, error) {
		if in.Account == Live {
			k := alpacasim.Key{ID: "AKLIVEDONOTPASTE0001", Secret: "LiveSecretThatMustGoNowhere0123456789abc"} // opens nothing
			s.note(Act{Kind: ActRegenerate, Account: Live}, nil)
			return answer{"key_id": k.ID, "secret": k.Secret}, nil
		}
		k, err := dash.Regenerate(in.Account)
		s.note(Act{Kind: ActRegenerate, Account: in.Account}, err)
		if err != nil {
			return nil, onDashboard(err)
		}
		return answer{"key_id": k.ID, "secret": k.Secret}, nil
	})
	post(s, "/api/alpaca/view", func(_ context.Context, in ref) (answer, error) {
		id, err := dash.View(in.Account)
		return answer{"key_id": id}, onDashboard(err)
	})
	post(s, "/api/alpaca/new", func(_ context.Context, in struct{ Balance string }) (answer, error) {
		a, err := dash.OpenNew(in.Balance)
		s.note(Act{Kind: ActOpenAccount, Account: a.Number}, err)
		return answer{"account": a.Number}, onDashboard(err)
	})
	post(s, "/api/alpaca/delete", func(_ context.Context, in ref) (answer, error) {
		err := dash.Delete(in.Account)
		s.note(Act{Kind: ActDelete, Account: in.Account}, err)
		return nil, onDashboard(err)
	})
	post(s, "/api/alpaca/reset", func(_ context.Context, in ref) (answer, error) {
		a, err := dash.LegacyReset(in.Account)
		s.note(Act{Kind: ActDelete, Account: in.Account}, err)
		return answer{"account": a.Number}, onDashboard(err)
	})
	post(s, "/api/alpaca/market", func(_ context.Context, in struct{ Open bool }) (answer, error) {
		dash.SetMarketOpen(in.Open)
		return nil, nil
	})
	post(s, "/api/alpaca/flags", func(_ context.Context, in struct {
		Account string
		Blocked bool
	},
	) (answer, error) {
		return nil, onDashboard(dash.SetBlocked(in.Account, in.Blocked))
	})
}

// Live stands for the account with real money in place of an account's number: a
// slip of the hand in the dashboard. Its pair opens nothing.
const Live = "LIVE"

// onDashboard says what the dashboard would.
func onDashboard(err error) error {
	switch {
	case errors.Is(err, alpacasim.ErrTooMany):
		return errors.New("a login has at most three paper accounts; delete one first")
	case errors.Is(err, alpacasim.ErrNoAccount):
		return errors.New("there is no such paper account")
	case errors.Is(err, alpacasim.ErrBadValue):
		return errors.New("the dashboard does not take this value")
	}
	return err
}
