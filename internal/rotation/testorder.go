package rotation

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
)

// itemOrder is the name and kind of the test order's item in step 6.
const itemOrder = "test_order"

// testOrder places the one test order, if the operator chose it, and cleans up
// exactly what it did (R55–R57, R78–R80). It is sent at most once, whatever
// happens: the commit that announces it comes first, and a lost answer is
// looked up on the paper book, never repeated.
func (e *Engine) testOrder(ctx context.Context, f *flight) error {
	cur, err := f.ground()
	if err != nil {
		return err
	}
	if !cur.TestOrder || f.set.Trader == nil {
		return nil
	}
	if it := cur.Step(StepVerify).Item(itemOrder); it != nil && it.State.Settled() {
		return nil
	}
	pair, err := e.led.open(ctx, &cur, candidateField(cur.Chosen))
	if err != nil {
		return err
	}
	for {
		err := e.orderOnce(ctx, f, pair)
		if err == nil || ctx.Err() != nil || errors.Is(err, errMoved) {
			return err
		}
		if err := e.failItem(ctx, f, itemOrder, err); err != nil {
			return err
		}
		var state State
		if err := f.await(ctx, func(cur *Rotation) bool {
			state = cur.Step(StepVerify).Item(itemOrder).State
			return state != Failed
		}); err != nil || state.Settled() {
			return err
		}
	}
}

// orderOnce takes the order from wherever it stands to cleaned up.
func (e *Engine) orderOnce(ctx context.Context, f *flight, pair Pair) error {
	if err := e.setItem(ctx, f, itemOrder, func(_ *Rotation, it *Item) {
		it.Kind, it.State, it.Problem = itemOrder, Running, Problem{}
	}); err != nil {
		return err
	}
	o, err := e.placed(ctx, f, pair)
	if err != nil {
		return err
	}
	o, err = e.cancelled(ctx, pair, o)
	if err != nil {
		return err
	}
	cleanup, closeID, err := e.sold(ctx, f, pair, o)
	if err != nil {
		return err
	}
	return e.setItem(ctx, f, itemOrder, func(cur *Rotation, it *Item) {
		cur.Order.Status, cur.Order.FilledQty, cur.Order.Cleanup, cur.Order.CloseID = o.Status, o.FilledQty, cleanup, closeID
		it.State, it.Detail = Done, "order "+o.ID+" was on the paper book; "+cleanup
		it.Facts = []Fact{
			{Name: "order_id", Label: "Order", Value: o.ID},
			{Name: "status", Label: "Status", Value: o.Status},
			{Name: "filled_qty", Label: "Filled", Value: o.FilledQty},
			{Name: "cleanup", Label: "Clean-up", Value: cleanup},
		}
	})
}

// placed sends the order, unless it was sent before, and finds it on the paper
// book with the new pair (R56).
func (e *Engine) placed(ctx context.Context, f *flight, pair Pair) (Order, error) {
	first := false
	var sent TestOrder
	err := f.update(ctx, func(cur *Rotation, c *change) error {
		if first = cur.Order == nil; first {
			cur.Order = &TestOrder{ClientID: "keyturn-" + string(cur.ID), SentAt: e.now()}
			c.add(cur, StepVerify, bot(), "secret.rotate.step", map[string]any{"state": string(Running), "item": itemOrder, "client_id": cur.Order.ClientID})
		}
		sent = *cur.Order
		return nil
	})
	if err != nil {
		return Order{}, err
	}
	if first {
		id, err := f.set.Trader.Place(ctx, sent.ClientID)
		switch fault.KindOf(err) {
		case fault.Invalid, fault.Denied, fault.NotFound: // refused: nothing was placed, so it may be sent again
			return Order{}, errors.Join(err, f.update(ctx, func(cur *Rotation, _ *change) error { cur.Order = nil; return nil }))
		case fault.Internal, fault.Conflict, fault.Transient, fault.Unknown: // it may have been: look
		}
		if sent.ID = id; id != "" {
			if err := e.setItem(ctx, f, itemOrder, func(cur *Rotation, _ *Item) { cur.Order.ID = id }); err != nil {
				return Order{}, err
			}
		}
	}
	return e.onBook(ctx, f, pair, sent)
}

// onBook finds the order on the paper book: by its ID, by our client ID where
// the consumer forwards it, else as the only order since then that looks like
// it. None or several is unknown, and a person is asked.
func (e *Engine) onBook(ctx context.Context, f *flight, pair Pair, sent TestOrder) (Order, error) {
	spec := f.set.Trader.Spec()
	clientID := ""
	if spec.OwnClientID {
		clientID = sent.ClientID
	}
	var found []Order
	err := poll(ctx, e.limits.OrderOnBook, func(ctx context.Context) (bool, error) {
		since := sent.SentAt.Add(-2 * time.Second) // clocks differ a little
		orders, err := e.cfg.Book.Orders(ctx, pair, clientID, since)
		found = matching(orders, spec, sent)
		return len(found) > 0, err
	})
	switch {
	case len(found) == 1:
		o := found[0]
		return o, e.setItem(ctx, f, itemOrder, func(cur *Rotation, it *Item) {
			cur.Order.ID, cur.Order.Status = o.ID, o.Status
			it.Detail = "order " + o.ID + " is on the paper book: " + o.Status
		})
	case len(found) > 1:
		return Order{}, orderFault("order_ambiguous", "Several orders on the paper book could be the test order, so the bot touches none of them.",
			"Look at the paper orders and cancel the test order by hand. The order is not sent again.")
	case err != nil && !errors.Is(err, errLimit):
		return Order{}, err
	case sent.ID != "":
		return Order{}, orderFault(ReasonNotOnPaper, "ALARM: the downstream service accepted order "+sent.ID+" but it is not on the paper book.",
			"Check the LIVE dashboard now: if the order is there, cancel or sell it. Then accept this with a reason. The order is not sent again.")
	}
	return Order{}, orderFault(ReasonOrderUnknown, "The answer to the test order was lost and no such order is on the paper book, so it is not known whether it was placed.",
		"Check the paper and the LIVE dashboard, cancel or sell the order where you find it, then accept this with a reason. The order is not sent again.")
}

// Reasons of a test order that may stand where it must not.
const (
	ReasonNotOnPaper   = "order_not_on_paper" // accepted, and not on the paper book
	ReasonOrderUnknown = "order_unknown"      // the answer was lost, and it is not there either
)

func orderFault(reason, text, fix string) error {
	return &fault.Error{Kind: fault.Unknown, Reason: reason, Op: "rotation.testOrder", User: text, Fix: fix}
}

// matching returns the orders that can be the one that was sent.
func matching(orders []Order, spec OrderSpec, sent TestOrder) []Order {
	var found []Order
	for _, o := range orders {
		switch {
		case sent.ID != "" && o.ID == sent.ID, o.ClientID == sent.ClientID:
			return []Order{o}
		case sent.ID == "" && o.Symbol == spec.Symbol && o.Side == spec.Side && o.Type == spec.Type && sameNumber(o.Qty, spec.Qty):
			found = append(found, o)
		}
	}
	return found
}

// cancelled asks to cancel and waits until the order is final (R79).
func (e *Engine) cancelled(ctx context.Context, pair Pair, o Order) (Order, error) {
	asked := o.Final()
	err := poll(ctx, e.limits.Cancel, func(ctx context.Context) (bool, error) {
		if !asked {
			if err := e.cfg.Book.Cancel(ctx, pair, o.ID); err != nil {
				return false, err
			}
			asked = true
		}
		if o.Final() {
			return true, nil
		}
		orders, err := e.cfg.Book.Orders(ctx, pair, "", o.CreatedAt.Add(-time.Second))
		for _, x := range orders {
			if x.ID == o.ID {
				o = x
			}
		}
		return o.Final(), err
	})
	if errors.Is(err, errLimit) {
		return o, orderFault("order_not_final", "Test order "+o.ID+" is still "+o.Status+" although it was asked to cancel.", "Cancel it in the paper dashboard, then press Retry.")
	}
	return o, err
}

// sold closes exactly what the test order filled (R80) and nothing else: a
// position that was there before stays.
func (e *Engine) sold(ctx context.Context, f *flight, pair Pair, o Order) (cleanup, closeID string, err error) {
	if zero(o.FilledQty) {
		return "cancelled, nothing filled", "", nil
	}
	cur, err := f.ground()
	if err != nil {
		return "", "", err
	}
	clientID := cur.Order.ClientID + "-close"
	closing, err := retry(ctx, e.limits.Write, true, e.retrying(ctx, f, itemOrder), func(ctx context.Context) (Order, error) {
		return e.cfg.Book.Sell(ctx, pair, clientID, o.Symbol, o.FilledQty)
	})
	if err != nil {
		return "", "", err
	}
	err = poll(ctx, e.limits.Cancel, func(ctx context.Context) (bool, error) {
		orders, err := e.cfg.Book.Orders(ctx, pair, clientID, o.CreatedAt)
		if err == nil && len(orders) == 1 {
			closing = orders[0]
		}
		return closing.Final(), err
	})
	switch {
	case errors.Is(err, errLimit):
		return "", closing.ID, orderFault("close_not_final", fmt.Sprintf("%s %s bought by the test order are being sold by order %s, which is still %s.", o.FilledQty, o.Symbol, closing.ID, closing.Status),
			"Look at order "+closing.ID+" in the paper dashboard, then press Retry.")
	case err != nil:
		return "", closing.ID, err
	case closing.Status != "filled":
		return "", closing.ID, orderFault("close_failed", fmt.Sprintf("The order that sells %s %s back ended as %s.", o.FilledQty, o.Symbol, closing.Status), "Sell them in the paper dashboard, or accept this with a reason.")
	}
	return "filled " + o.FilledQty + ", exactly that sold again", closing.ID, nil
}

func sameNumber(a, b string) bool {
	x, okX := new(big.Rat).SetString(a)
	y, okY := new(big.Rat).SetString(b)
	return okX && okY && x.Cmp(y) == 0
}

// zero reports whether decimal text is zero; text that is no number is not.
func zero(s string) bool { return s == "" || sameNumber(s, "0") }
