package slacksim

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// A socketPool holds the sockets of the app and the envelopes under way.
type socketPool struct {
	all      []*socket
	tickets  map[string]bool
	pending  map[string]*envelope // not acknowledged yet
	late     map[string]lateAck   // envelopes that nobody waits for any more
	done     map[string]bool      // envelopes that were acknowledged
	double   bool
	pick     func(n int) int
	refuse   int // connections that get a disconnect instead of hello
	reason   DisconnectReason
	counter  int
	accepted int
}

func newSocketPool() socketPool {
	return socketPool{tickets: map[string]bool{}, pending: map[string]*envelope{}, late: map[string]lateAck{}, done: map[string]bool{}}
}

// A socket is one WebSocket connection of the bot. Its flags are guarded by
// the workspace's mutex.
type socket struct {
	id       int
	conn     *websocket.Conn
	write    sync.Mutex
	done     chan struct{} // closed when it is gone
	once     sync.Once
	halfOpen bool // the wire is dead but nobody knows
	draining bool // gets no new envelopes
}

// cut closes the TCP connection; with reset it is torn down without a FIN.
func (s *socket) cut(reset bool) {
	if tcp, ok := s.conn.NetConn().(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0)
	}
	_ = s.conn.NetConn().Close()
	s.once.Do(func() { close(s.done) })
}

// send writes one text frame.
func (s *socket) send(data []byte) {
	s.write.Lock()
	defer s.write.Unlock()
	_ = s.conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
	if err := s.conn.WriteMessage(websocket.TextMessage, data); err != nil {
		_ = s.conn.NetConn().Close() // the reader notices
	}
}

// control writes a ping or close frame.
func (s *socket) control(kind int, data []byte) {
	_ = s.conn.WriteControl(kind, data, time.Now().Add(5*time.Second))
}

// serveSocket upgrades GET /link/. A ticket that is unknown or used gets 409,
// one of the statuses seen at Slack (bolt-js issues 1061 and 2318).
func (w *Workspace) serveSocket(rw http.ResponseWriter, r *http.Request) {
	ticket := r.URL.Query().Get("ticket")
	w.mu.Lock()
	ok := w.sockets.tickets[ticket]
	delete(w.sockets.tickets, ticket)
	w.mu.Unlock()
	if !ok {
		http.Error(rw, "ticket is not valid", http.StatusConflict)
		return
	}
	up := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }} // slack-go says https://api.slack.com
	conn, err := up.Upgrade(rw, r, nil)
	if err != nil {
		return // answered
	}
	s := &socket{conn: conn, done: make(chan struct{})}
	w.mu.Lock()
	select {
	case <-w.closed:
		w.mu.Unlock()
		s.cut(false)
		return
	default:
	}
	w.work.Add(1)
	defer w.work.Done()
	greeting, resend := w.welcome(s, r.URL.Query().Get("debug_reconnects") == "true")
	refused := s.draining
	w.mu.Unlock()
	s.send(greeting)
	for _, e := range resend {
		w.sendOn(s, e)
	}
	if !refused {
		w.work.Go(func() { w.ping(s) })
	}
	w.read(s)
	w.leave(s)
}

// welcome registers a socket and returns its first frame and the envelopes to
// send again; w.mu is held. Over the cap, or when told to refuse, the first
// frame is a disconnect and the socket gets nothing else.
func (w *Workspace) welcome(s *socket, short bool) (frame []byte, resend []*envelope) {
	p := &w.sockets
	p.counter++
	s.id = p.counter
	reason := DisconnectReason("")
	switch {
	case p.refuse > 0:
		p.refuse--
		reason = p.reason
	case len(p.all) >= maxSockets:
		reason = TooManyWebsockets
	}
	if reason != "" {
		s.draining = true
		p.all = append(p.all, s)
		frame = w.frame("disconnect", disconnectFrame(reason))
		w.closeLater(s)
		return frame, nil
	}
	life := 3600
	if short {
		life = 360
	}
	p.all = append(p.all, s)
	p.accepted++
	for _, id := range sortedKeys(p.pending) {
		if e := p.pending[id]; e.tooBig {
			resend = append(resend, e)
		}
	}
	w.notify()
	return w.frame("hello", object{
		"type": "hello", "num_connections": len(p.all), "connection_info": object{"app_id": w.cfg.AppID},
		"debug_info": object{"host": "applink-sim", "build_number": 54, "approximate_connection_time": life},
	}), resend
}

// frame encodes a frame and writes it down; w.mu is held.
func (w *Workspace) frame(kind string, v any) []byte {
	data, _ := json.Marshal(v)
	w.sent = append(w.sent, Entry{At: w.cfg.Now().UTC(), Via: "socket", Method: kind, Raw: data, Body: data})
	return data
}

// ping sends server pings until the socket is gone or half open.
func (w *Workspace) ping(s *socket) {
	t := time.NewTicker(w.cfg.PingEvery)
	defer t.Stop()
	for {
		w.mu.Lock()
		dead := s.halfOpen
		w.mu.Unlock()
		if dead {
			return
		}
		s.control(websocket.PingMessage, []byte("Ping from applink-sim"))
		select {
		case <-t.C:
		case <-s.done:
			return
		}
	}
}

// read takes frames until the connection ends. After a close handshake the TCP
// connection stays open until the peer closes it, as at Slack
// (node-slack-sdk 3.2.0 release notes).
func (w *Workspace) read(s *socket) {
	for {
		kind, r, err := s.conn.NextReader()
		if err == nil {
			var data []byte
			if data, err = io.ReadAll(r); err == nil {
				if kind == websocket.TextMessage {
					w.received(s, data)
				}
				continue
			}
		}
		w.mu.Lock()
		halfOpen := s.halfOpen
		if !halfOpen {
			s.draining = true
		}
		w.mu.Unlock()
		if halfOpen {
			select {
			case <-s.done:
			case <-time.After(time.Minute): // then Slack gives it up
			}
			return
		}
		if _, isClose := errors.AsType[*websocket.CloseError](err); isClose {
			_, _ = io.Copy(io.Discard, s.conn.NetConn())
		}
		return
	}
}

// leave takes a socket out of the pool.
func (w *Workspace) leave(s *socket) {
	s.cut(false)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sockets.all = slices.DeleteFunc(w.sockets.all, func(o *socket) bool { return o == s })
	w.notify()
}

// choose returns the socket for the next envelope, nil if there is none. A
// half-open socket may be chosen: Slack does not know that it is dead.
func (w *Workspace) choose(but *socket) *socket {
	var open []*socket
	for _, s := range w.sockets.all {
		if !s.draining && s != but {
			open = append(open, s)
		}
	}
	if len(open) == 0 {
		return nil
	}
	if w.sockets.pick != nil {
		return open[(w.sockets.pick(len(open))%len(open)+len(open))%len(open)]
	}
	return open[rand.IntN(len(open))]
}

// Sockets returns how many sockets are open and get envelopes.
func (w *Workspace) Sockets() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.liveSockets()
}

func (w *Workspace) liveSockets() int {
	n := 0
	for _, s := range w.sockets.all {
		if !s.draining && !s.halfOpen {
			n++
		}
	}
	return n
}

// Connections returns how many sockets got a hello so far.
func (w *Workspace) Connections() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sockets.accepted
}

// WaitSockets waits until exactly n sockets are open and get envelopes.
func (w *Workspace) WaitSockets(ctx context.Context, n int) error {
	return w.wait(ctx, func() bool { return w.liveSockets() == n })
}
