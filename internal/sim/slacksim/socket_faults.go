package slacksim

import (
	"time"

	"github.com/gorilla/websocket"
)

// A DisconnectReason says why Slack wants a socket to go (docs.slack.dev,
// using-socket-mode; the last one node-slack-sdk issue 1654).
type DisconnectReason string

// The reasons.
const (
	Warning           DisconnectReason = "warning"           // about 10 s before the end
	RefreshRequested  DisconnectReason = "refresh_requested" // every few hours
	LinkDisabled      DisconnectReason = "link_disabled"     // Socket Mode was switched off
	TooManyWebsockets DisconnectReason = "too_many_websockets"
)

func disconnectFrame(reason DisconnectReason) object {
	return object{"type": "disconnect", "reason": reason, "debug_info": object{"host": "wss-sim.slack.com"}}
}

// Disconnect sends a disconnect frame on every open socket and returns how
// many there were. A socket that was only warned gets envelopes until its end;
// any other gets none. After the grace of [Config] a close frame follows; the
// TCP connection is left to the bot.
func (w *Workspace) Disconnect(reason DisconnectReason) int {
	return w.disconnect(reason, func(*socket) bool { return true })
}

// DisconnectOne is [Workspace.Disconnect] for the oldest open socket.
func (w *Workspace) DisconnectOne(reason DisconnectReason) int {
	first := true
	return w.disconnect(reason, func(*socket) bool {
		defer func() { first = false }()
		return first
	})
}

func (w *Workspace) disconnect(reason DisconnectReason, which func(*socket) bool) int {
	w.mu.Lock()
	var hit []*socket
	for _, s := range w.sockets.all {
		if !s.draining && !s.halfOpen && which(s) {
			s.draining = reason != Warning
			hit = append(hit, s)
			w.closeLater(s)
		}
	}
	frame := w.frame("disconnect", disconnectFrame(reason))
	w.notify()
	w.mu.Unlock()
	for _, s := range hit {
		s.send(frame)
	}
	return len(hit)
}

// closeLater sends a close frame after the grace; w.mu is held.
func (w *Workspace) closeLater(s *socket) {
	w.spawn(func() {
		t := time.NewTimer(w.cfg.DisconnectGrace)
		defer t.Stop()
		select {
		case <-t.C:
			w.mu.Lock()
			s.draining = true
			w.mu.Unlock()
			s.control(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""))
		case <-s.done:
		}
	})
}

// DisconnectNext answers the next n connections with a disconnect frame
// instead of hello, which drives slack-go into a loop of reconnects.
func (w *Workspace) DisconnectNext(n int, reason DisconnectReason) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sockets.refuse, w.sockets.reason = n, reason
}

// CutSockets tears every socket's TCP connection down, without a close frame,
// and returns how many there were.
func (w *Workspace) CutSockets() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, s := range w.sockets.all {
		if !s.halfOpen {
			n++
			s.draining = true
			s.cut(true)
		}
	}
	w.notify()
	return n
}

// HalfOpen makes every open socket look alive while nothing passes in either
// direction any more: no pings, no reads, envelopes get lost. It returns how
// many there were. They count for the cap of 10 for a minute.
func (w *Workspace) HalfOpen() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, s := range w.sockets.all {
		if !s.halfOpen && !s.draining {
			n++
			s.halfOpen = true
			_ = s.conn.SetReadDeadline(time.Now()) // ends the reader, which keeps the connection
		}
	}
	w.notify()
	return n
}

// Duplicate makes every envelope come twice, the second time on another socket
// if there is one.
func (w *Workspace) Duplicate(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sockets.double = on
}

// Route chooses the socket for each envelope: f gets the number of open
// sockets, oldest first, and returns an index. nil means at random, as at Slack.
func (w *Workspace) Route(f func(n int) int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sockets.pick = f
}
