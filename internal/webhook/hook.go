// Package webhook tells a service of one's own about a rotation with a signed
// POST: that there is a new pair (deliver: notify), or the pair itself
// (deliver: pair). It knows docs/webhooks.md, which is the whole contract with
// a receiver, and nothing of the receiver behind it.
//
// Only the status of an answer counts. A body is never kept: it may repeat
// what was sent.
package webhook

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
)

// nobodysLast4 returns the last four of a key ID that cannot be: Alpaca's hold no
// lower-case letter. Whoever says that it uses that key says yes to anything. They
// are others each time, so that no receiver can know the question by its form.
func nobodysLast4() string {
	r := strings.Map(func(r rune) rune { // base32 in, two letters for each digit of it out
		if r < 'A' {
			return 'g' + (r - '2')
		}
		return r | 0x20
	}, rand.Text())
	return r[:4]
}

// Keys of a receipt's Data.
const dataDelivery = "delivery" // the header Keyturn-Delivery

// A Config is one consumer of kind "webhook".
type Config struct {
	Name      string // of the consumer in bot.yml
	KeySet    string // whose pair it is
	URL       string // where to post; https unless loopback
	Pair      bool   // hands the pair over; otherwise only says that there is a new one
	Secret    secret.Text
	Transport http.RoundTripper // nil means one of its own
	Timeout   time.Duration     // of one call; 0 means 5 s
	Now       func() time.Time
}

// A Hook is a receiver of signed events. It may be used from any goroutine.
type Hook struct {
	cfg    Config
	host   string // for people: no path, no query, which may hold a token
	client *http.Client

	mu     sync.Mutex
	unsure map[string]bool // deliveries that were sent without an answer
}

var _ rotation.Consumer = (*Hook)(nil)

// Ready implements [rotation.Consumer]. It sends a ping, which changes nothing
// and goes the way of every later event: address and signature are proven by
// it. That a pair is taken shows only when it is sent.
//
// Of a receiver of pairs it also asks whether it uses a key that cannot be:
// one that says yes says it to anything, and its word would prove nothing.
func (h *Hook) Ready(ctx context.Context) rotation.Readiness {
	if err := h.ask(ctx, "webhook.Ready", event{Type: typePing}); err != nil {
		return notReady(err)
	}
	out := rotation.Readiness{Level: rotation.Ready, Detail: "a signed ping was accepted", Facts: h.facts()}
	if !h.cfg.Pair {
		return out
	}
	out.Level, out.Detail = rotation.Unproven, "a signed ping was accepted; that it takes a new pair shows only when it is sent"
	switch yes, err := h.uses(ctx, "webhook.Ready", "", nobodysLast4()); {
	case err != nil:
		out.Detail += ". It did not answer a verify event: " + fault.UserText(err)
	case yes:
		return notReady(h.yesToAll("webhook.Ready"))
	}
	return out
}

// Apply implements [rotation.Consumer]: one event of type "rotated". A repeat
// of the same pair has the same Keyturn-Delivery, by which a receiver knows
// it, and is harmless.
//
// If it is not known what became of an earlier try, or the pair was delivered
// before, the receiver is asked first, and sent the pair only if it does not
// say that it uses it. After a fault of kind Unknown it may have taken it.
func (h *Hook) Apply(ctx context.Context, d rotation.Delivery) (rotation.Receipt, error) {
	if d.Pair.Empty() {
		return rotation.Receipt{}, &fault.Error{Kind: fault.Internal, Reason: "empty_pair", Op: "webhook.Apply"}
	}
	id := h.delivery(d)
	r := rotation.Receipt{Print: d.Print, Data: map[string]string{dataDelivery: id}, Facts: h.facts()}
	if h.cfg.Pair && h.has(ctx, d, id) {
		r.At, r.Unchanged = h.cfg.Now().UTC(), true
		return r, nil
	}
	ev := event{Type: typeRotated, Rotation: string(d.Rotation), KeySet: d.KeySet, Last4: d.Pair.Last4()}
	if h.cfg.Pair {
		ev.Pair = &values{KeyID: d.Pair.KeyID.Reveal(), Secret: d.Pair.Secret.Reveal()}
	}
	a := h.post(ctx, ev, id)
	if err := h.outcome("webhook.Apply", ev, a); err != nil {
		h.doubt(id, fault.KindOf(err) == fault.Unknown)
		return rotation.Receipt{}, err
	}
	h.doubt(id, false)
	r.At = h.cfg.Now().UTC()
	r.Facts = append(r.Facts, rotation.Fact{Name: "delivered", Label: "Delivered", Value: fmt.Sprintf("status %d", a.status)})
	return r, nil
}

// Verify implements [rotation.Consumer]. A receiver of pairs is asked whether it
// uses the key; 409 means not yet. If it says yes it is asked about a key that
// cannot be as well: one that says yes to that too proves nothing (Invalid,
// yes_to_all), whatever it said before the click. One that is only told has
// nothing to prove: it counts for no exposed time.
func (h *Hook) Verify(ctx context.Context, d rotation.Delivery, _ rotation.Receipt) (rotation.Proof, error) {
	if !h.cfg.Pair {
		return rotation.Proof{Done: true, Detail: "informed; it fetches the new pair by itself", Facts: h.facts()}, nil
	}
	last4 := d.Pair.Last4()
	yes, err := h.uses(ctx, "webhook.Verify", string(d.Rotation), last4)
	if err != nil {
		return rotation.Proof{}, err
	}
	out := rotation.Proof{Done: yes, Detail: "it says that it uses the key ending in " + last4, Facts: h.facts()}
	if !yes {
		out.Detail = "it says that it does not use the key ending in " + last4 + " yet"
		return out, nil
	}
	switch toAll, err := h.uses(ctx, "webhook.Verify", string(d.Rotation), nobodysLast4()); {
	case toAll:
		return rotation.Proof{}, h.yesToAll("webhook.Verify")
	case fault.KindOf(err) == fault.Transient, fault.KindOf(err) == fault.Unknown, ctx.Err() != nil:
		return rotation.Proof{}, err // whatever else it refused with is no yes
	}
	out.Facts = append(out.Facts, rotation.Fact{Name: "key_in_use", Label: "Key in use", Value: "····" + last4})
	return out, nil
}

// has reports whether the receiver is known to use the pair already. It asks
// only where the pair may have arrived, because an outage is running, and
// whatever keeps it from knowing makes it false: the pair is sent again.
func (h *Hook) has(ctx context.Context, d rotation.Delivery, id string) bool {
	h.mu.Lock()
	unsure := h.unsure[id]
	h.mu.Unlock()
	if !unsure && !delivered(d) {
		return false
	}
	yes, err := h.uses(ctx, "webhook.Apply", string(d.Rotation), d.Pair.Last4())
	if err != nil || !yes {
		return false
	}
	toAll, err := h.uses(ctx, "webhook.Apply", string(d.Rotation), nobodysLast4())
	if err != nil || toAll {
		return false
	}
	h.doubt(id, false)
	return true
}

// doubt notes whether it is unknown what became of a delivery.
func (h *Hook) doubt(id string, unknown bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if unknown {
		h.unsure[id] = true
		return
	}
	delete(h.unsure, id)
}

// uses asks whether the receiver uses the key whose ID ends in last4.
func (h *Hook) uses(ctx context.Context, op, rotationID, last4 string) (bool, error) {
	ev := event{Type: typeVerify, Rotation: rotationID, KeySet: h.cfg.KeySet, Last4: last4}
	a := h.post(ctx, ev, rand.Text())
	if a.status == http.StatusConflict {
		return false, nil
	}
	err := h.outcome(op, ev, a)
	return err == nil, err
}

// ask sends an event that changes nothing.
func (h *Hook) ask(ctx context.Context, op string, ev event) error {
	ev.KeySet = h.cfg.KeySet
	return h.outcome(op, ev, h.post(ctx, ev, rand.Text()))
}

// delivery is what makes one delivery one: of the same pair in the same
// rotation it is the same, also after a crash. A pair that was delivered once
// and is delivered again is another: the receiver must not take it for a repeat.
func (h *Hook) delivery(d rotation.Delivery) string {
	parts := []string{string(d.Rotation), d.KeySet, h.cfg.Name, d.Print}
	if delivered(d) {
		parts = append(parts, d.Last.At.UTC().Format(time.RFC3339Nano))
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:16])
}

// delivered reports whether this very pair was delivered before.
func delivered(d rotation.Delivery) bool {
	return d.Last != nil && d.Print != "" && d.Last.Print == d.Print
}

// facts say where the events go.
func (h *Hook) facts() []rotation.Fact {
	return []rotation.Fact{{Name: "receiver", Label: "Receiver", Value: h.host}}
}

// yesToAll is a receiver whose word proves nothing.
func (h *Hook) yesToAll(op string) error {
	return &fault.Error{
		Kind: fault.Invalid, Reason: "yes_to_all", Op: op,
		User: h.who() + " says that it uses a key that does not exist, so its word would prove nothing.",
		Fix:  "Have it answer a verify event with 409 unless it uses the key whose ID ends in key_id_last4; see docs/webhooks.md.",
	}
}

// who names the receiver for people.
func (h *Hook) who() string { return h.cfg.Name + " (" + h.host + ")" }

func notReady(err error) rotation.Readiness {
	return rotation.Readiness{Level: rotation.NotReady, Problem: rotation.Problem{
		Kind: fault.KindOf(err).String(), Reason: fault.ReasonOf(err), Text: fault.UserText(err), Fix: fault.FixText(err),
	}}
}
