package slacksim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gorilla/websocket"
)

// Errors of a delivery. People see their consequences, not these.
var (
	// ErrNoSocket means that the app had no open socket.
	ErrNoSocket = errors.New("dispatch_failed")
	// ErrTimeout means that no valid ack came within the deadline.
	ErrTimeout = errors.New("operation_timeout")
)

// An envelope is one payload on its way to the bot.
type envelope struct {
	id, typ, kind string // type of the envelope; of the payload, for the journal
	answerable    bool   // accepts_response_payload
	payload       any
	retry         int
	sentOn        []*socket
	acked         chan json.RawMessage // gets the ack's payload, nil if it has none
	tooBig        bool                 // an ack of 20,480 bytes or more came
}

// deliver sends one envelope and waits for its ack, at most the ack deadline.
func (w *Workspace) deliver(ctx context.Context, e *envelope) (json.RawMessage, error) {
	e.id = uuid()
	e.acked = make(chan json.RawMessage, 1)
	w.mu.Lock()
	limit := w.ackIn
	due := time.Now().Add(limit)
	first := w.choose(nil)
	if first == nil {
		w.mu.Unlock()
		return nil, ErrNoSocket
	}
	w.sockets.pending[e.id] = e
	targets := []*socket{first}
	if w.sockets.double {
		second := w.choose(first)
		if second == nil {
			second = first
		}
		targets = append(targets, second)
	}
	w.mu.Unlock()
	for _, s := range targets {
		w.sendOn(s, e)
	}
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	select {
	case payload := <-e.acked:
		return payload, nil
	case <-deadline.C:
		w.expire(e, due)
		return nil, ErrTimeout
	case <-ctx.Done():
		w.expire(e, due)
		return nil, ctx.Err()
	case <-w.closed:
		return nil, ErrClosed
	}
}

// sendOn writes an envelope to a socket; a half-open one swallows it.
func (w *Workspace) sendOn(s *socket, e *envelope) {
	o := object{"envelope_id": e.id, "type": e.typ, "accepts_response_payload": e.answerable, "payload": e.payload}
	if e.retry > 0 {
		o["retry_attempt"], o["retry_reason"] = e.retry, "timeout"
	}
	w.mu.Lock()
	e.sentOn = append(e.sentOn, s)
	data := w.frame(e.kind, o)
	lost := s.halfOpen
	w.mu.Unlock()
	if !lost {
		s.send(data)
	}
}

// expire ends the wait for an ack. An envelope whose ack was too big stays and
// is sent again on every new connection until it is acknowledged. That a person
// stopped waiting does not bring the deadline forward.
func (w *Workspace) expire(e *envelope, due time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !e.tooBig {
		delete(w.sockets.pending, e.id)
	}
	if !w.sockets.done[e.id] {
		w.sockets.late[e.id] = lateAck{e.kind, due}
	}
}

// A lateAck is an envelope that nobody waits for any more, and until when its ack
// is in time.
type lateAck struct {
	kind string
	due  time.Time
}

// received takes one frame from the bot.
func (w *Workspace) received(s *socket, data []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note("socket", "ack", data, nil)
	var ack struct {
		EnvelopeID string          `json:"envelope_id"`
		Payload    json.RawMessage `json:"payload"`
	}
	err := json.Unmarshal(data, &ack)
	e := w.sockets.pending[ack.EnvelopeID]
	if len(data) >= maxAckBytes {
		w.problem(fmt.Sprintf("frame of %d bytes is over the limit", len(data)))
		if e != nil {
			e.tooBig = true
		}
		s.draining = true
		w.spawn(func() {
			s.control(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseMessageTooBig, "Max frame length of 20480 has been exceeded."))
		})
		w.notify()
		return
	}
	given, late := w.sockets.late[ack.EnvelopeID]
	switch {
	case err != nil || ack.EnvelopeID == "":
		w.problem("frame is no ack: no JSON object with an envelope_id")
		return
	case w.sockets.done[ack.EnvelopeID]:
		return // the second ack of a duplicate
	case e == nil && late:
		if time.Now().After(given.due) {
			w.problem("ack of " + given.kind + " came after the deadline")
		}
		return
	case e == nil:
		w.problem("ack of an unknown envelope")
		return
	case !slices.Contains(e.sentOn, s) && !w.cfg.AckAnywhere:
		w.problem("ack of " + e.kind + " came on another socket than the envelope")
		return
	case !e.answerable && hasPayload(ack.Payload):
		w.problem("ack of " + e.kind + " has a payload but must not")
	}
	select {
	case e.acked <- ack.Payload:
	default: // it was too big before, and nobody waits any more
	}
	delete(w.sockets.pending, e.id)
	w.sockets.done[e.id] = true
}

func hasPayload(p json.RawMessage) bool {
	return len(p) > 0 && string(p) != "null" && string(p) != "{}"
}

// deliverEvent sends an event and, until it is acknowledged, sends it again
// after the waits of [Config]. Each attempt is a new envelope with the same
// event_id. It reports whether the bot acknowledged one.
func (w *Workspace) deliverEvent(ctx context.Context, kind string, payload any) bool {
	for attempt := 0; ; attempt++ {
		_, err := w.deliver(ctx, &envelope{typ: "events_api", kind: kind, payload: payload, retry: attempt})
		if err == nil || ctx.Err() != nil || errors.Is(err, ErrClosed) || attempt >= len(w.cfg.EventRetries) {
			return err == nil
		}
		t := time.NewTimer(w.cfg.EventRetries[attempt])
		select {
		case <-t.C:
		case <-ctx.Done():
		case <-w.closed:
		}
		t.Stop()
	}
}
