package downstream

import (
	"testing"

	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
	"github.com/raxx-app/keyturn/internal/sim/alpacasim"
	"github.com/raxx-app/keyturn/internal/sim/herokusim"
	"github.com/raxx-app/keyturn/internal/sim/raptorsim"
)

const (
	prod    = "raxx-api-prod"
	keyName = "ALPACA_PAPER_API_KEY_ID"
	secName = "ALPACA_PAPER_API_SECRET_KEY"
	token   = "planted-downstream-token"
)

// A world is the trading service on its Heroku app, with Alpaca behind it. The
// app holds the account's pair.
type world struct {
	alpaca  *alpacasim.Sim
	heroku  *herokusim.Sim
	raptor  *raptorsim.Sim
	account string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{alpaca: alpacasim.New(alpacasim.Config{})}
	acc, err := w.alpaca.OpenNew("100000")
	if err != nil {
		t.Fatal(err)
	}
	w.account = acc.ID
	key := w.regenerate(t)
	w.heroku = herokusim.New(herokusim.Config{Apps: []herokusim.App{{Name: prod, Vars: map[string]string{keyName: key.ID, secName: key.Secret}}}})
	start(t, w.alpaca)
	start(t, w.heroku)
	w.raptor = raptorsim.New(raptorsim.Config{
		Vars: func() map[string]string { return w.heroku.Running(prod) }, AlpacaURL: w.alpaca.URL(), Token: token,
	})
	start(t, w.raptor)
	return w
}

func start(t *testing.T, s interface {
	Start() error
	Close() error
},
) {
	t.Helper()
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
}

// regenerate is the click: the pair that the app holds is dead afterwards.
func (w *world) regenerate(t *testing.T) alpacasim.Key {
	t.Helper()
	key, err := w.alpaca.Regenerate(w.account)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// propagate gives the app a new pair, as the Heroku consumer does.
func (w *world) propagate(k alpacasim.Key) {
	w.heroku.Overwrite(prod, "bot@example.com", map[string]string{keyName: k.ID, secName: k.Secret})
}

func (w *world) accountCheck(t *testing.T, change func(*AccountConfig)) *Account {
	t.Helper()
	cfg := AccountConfig{Endpoint: Endpoint{URL: w.raptor.URL() + "/api/trading/account", Token: secret.New(token)}, Field: "alpaca_status", Want: "ACTIVE"}
	if change != nil {
		change(&cfg)
	}
	a := NewAccount(cfg)
	t.Cleanup(a.Close)
	return a
}

func (w *world) orders(t *testing.T, change func(*OrdersConfig)) *Orders {
	t.Helper()
	cfg := OrdersConfig{
		Endpoint: Endpoint{URL: w.raptor.URL() + "/api/trading/orders", Token: secret.New(token)},
		Spec:     rotation.OrderSpec{Symbol: "AAPL", Qty: "1", Side: "buy", Type: "market", TimeInForce: "day"},
		Mode:     "paper", IDField: "id",
	}
	if change != nil {
		change(&cfg)
	}
	o := NewOrders(cfg)
	t.Cleanup(o.Close)
	return o
}
