package alpaca

import (
	"context"
	"net/http"
	"net/url"
	"sync"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// Probe implements [rotation.Vendor]: one GET /v2/account (R19, R35, R59). It
// changes nothing, so it may be repeated at any time; Alpaca allows 200 calls
// a minute and account, the trading runtime's included.
//
// At is when the call was sent if the pair is Valid, and when the answer came
// otherwise: the pair was alive at least until the one and dead at the latest
// at the other.
func (c *Client) Probe(ctx context.Context, p rotation.Pair) rotation.Probe {
	return judge(c.call(ctx, p, http.MethodGet, "/v2/account", nil, nil))
}

// Survey implements [rotation.Vendor] (R18, R22): positions, open orders and
// the clock, asked at the same time. It reads everything or returns the first
// error; none of its calls is repeated.
func (c *Client) Survey(ctx context.Context, p rotation.Pair) (rotation.Survey, error) {
	const op = "alpaca.Survey"
	var s rotation.Survey
	var errs [3]error
	var wg sync.WaitGroup
	wg.Go(func() {
		r := c.call(ctx, p, http.MethodGet, "/v2/positions", nil, nil)
		list, ok := readPositions(r.body)
		s.Positions, errs[0] = list, readFault(op, r, ok)
	})
	wg.Go(func() {
		s.OpenOrders, errs[1] = c.list(ctx, p, op, url.Values{"status": {"open"}})
	})
	wg.Go(func() {
		r := c.call(ctx, p, http.MethodGet, "/v2/clock", nil, nil)
		var clock rotation.Survey
		errs[2] = readFault(op, r, readClock(r.body, &clock))
		s.MarketOpen, s.NextOpen, s.NextClose = clock.MarketOpen, clock.NextOpen, clock.NextClose
	})
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return rotation.Survey{}, err
		}
	}
	return s, nil
}
