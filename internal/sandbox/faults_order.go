package sandbox

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/sim/raptorsim"
	"github.com/raxx-app/keyturn/internal/sim/simhttp"
)

const (
	orderSymbol = "AAPL"
	orderPath   = "/api/trading/orders"
)

// orderFaults are about the test order of step 6.
func orderFaults() []Fault {
	return []Fault{
		{
			Name: "order-fills", What: "The market is open and the test order fills before it can be cancelled: exactly what it bought is sold, and the shares that were there before stay.",
			Prepare: func(w *World) error { return w.Alpaca.AddPosition(w.Account, orderSymbol, "5") },
			Also: func(s *Scene, _ Report) []Check {
				return []Check{{"1 share was bought and 1 was sold", s.traded("buy filled 1", "sell filled 1")}}
			},
		},
		{
			Name: "order-market-closed", What: "The market is closed: the test order rests on the paper book and is cancelled.",
			Prepare: func(w *World) error { w.Alpaca.SetMarketOpen(false); return nil },
			Also: func(s *Scene, _ Report) []Check {
				return []Check{{"the order was cancelled unfilled", s.traded("buy canceled 0")}}
			},
		},
		{
			Name: "order-lost-reply", What: "The answer to the test order is lost: it is found on the paper book, cleaned up, and not sent again.",
			Prepare: func(w *World) error {
				w.Raptor.Inject(simhttp.Fault{Method: http.MethodPost, Path: orderPath, Times: 1, LoseReply: true})
				return nil
			},
			Also: func(s *Scene, _ Report) []Check {
				return []Check{hit("the answer to the order was lost", s.Raptor, http.MethodPost, 0, 1)}
			},
		},
		{
			Name: "order-on-live", What: "The downstream service takes the test order, but it is not on the paper book: red alarm, nothing is sent again, a person must look at the LIVE dashboard.",
			Limits:  func(l *rotation.Limits) { l.OrderOnBook = 2 * time.Second },
			Prepare: func(w *World) error { w.Raptor.SetOptions(raptorsim.Options{LiveBook: true}); return nil },
			Act: func(s *Scene) error {
				if err := s.generated(); err != nil {
					return err
				}
				if err := s.Ada.seal(s.ctx, s.Key); err != nil {
					return err
				}
				if err := s.Ada.see(s.ctx, "ALARM", "Check the LIVE dashboard now"); err != nil {
					return err
				}
				return s.wait("ALARM")
			},
			End: waiting, Differs: Differences{LiveOrder: true},
			Also: func(s *Scene, r Report) []Check {
				return []Check{{"everything but the order was proven meanwhile", r.settled("precheck", "generate", "validate", "store", "propagate", "revoked")}}
			},
		},
	}
}

// traded compares the orders in the symbol of the test order, oldest first.
func (s *Scene) traded(want ...string) error {
	var got []string
	for _, o := range s.Alpaca.Orders(s.Account) {
		if o.Symbol == orderSymbol {
			got = append(got, o.Side+" "+o.Status+" "+o.FilledQty)
		}
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("orders are %q, want %q", got, want)
	}
	return nil
}

// settled reports whether each of steps is done.
func (r *Report) settled(steps ...string) error {
	state := map[string]string{}
	for _, s := range r.Steps {
		state[s.Name] = s.State
	}
	for _, name := range steps {
		if state[name] != "done" {
			return fmt.Errorf("step %s is %q", name, state[name])
		}
	}
	return nil
}
