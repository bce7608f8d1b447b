package sandbox

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/raxx-app/keyturn/internal/app"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// File descriptors that [World.StartBot] hands to the child: the order comes in
// on one, the points that were passed go out on the other.
const (
	ordersFD = 3
	pointsFD = 4
)

// A Point is a place in the bot at which it can be killed. Counts begin at 1
// in each process. There are two kinds:
//
//	commit 12 before                     the 12th transaction, not begun
//	commit 12 after                      the same, durable
//	heroku PATCH /apps/x/config-vars 1 send     the first such call, not sent
//	heroku PATCH /apps/x/config-vars 1 answer   the same; the service has done it
//
// What is called "*" in a path is an identifier that differs from run to run.
type Point string

// An order is what the child is told: once before it begins, and again while it
// runs. The last one counts.
type order struct {
	Die   Point         `json:"die,omitempty"`   // kill yourself there
	Nth   int           `json:"nth,omitempty"`   // or at the nth point, whatever it is; 0: never
	Clock time.Duration `json:"clock,omitempty"` // how far your clock is ahead of the machine's
}

// A leash is the child's end of both pipes. It kills the process where it was
// told to, from inside, so that nothing happens in between.
type leash struct {
	points io.Writer
	now    func() time.Time
	ahead  atomic.Int64 // of the machine's clock, in nanoseconds

	mu     sync.Mutex
	order  order
	passed int
	counts map[string]int // by kind of point
}

// takeLeash waits for the first order and has the later ones followed until the
// process ends.
func takeLeash(orders io.Reader, points io.Writer, now func() time.Time) (*leash, error) {
	l := &leash{points: points, now: now, counts: map[string]int{}}
	lines := bufio.NewScanner(orders)
	if !lines.Scan() {
		return nil, errors.Join(errors.New("no order came from the parent"), lines.Err())
	}
	if err := l.follow(lines.Bytes()); err != nil {
		return nil, err
	}
	go func() { // as long as the process: nobody is left to wait for it
		for lines.Scan() {
			if l.follow(lines.Bytes()) != nil {
				return
			}
		}
	}()
	return l, nil
}

func (l *leash) follow(line []byte) error {
	var o order
	if err := json.Unmarshal(line, &o); err != nil {
		return fmt.Errorf("read order: %w", err)
	}
	l.ahead.Store(int64(o.Clock))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.order = o
	return nil
}

// Now is the child's clock.
func (l *leash) Now() time.Time { return l.now().Add(time.Duration(l.ahead.Load())) }

// wrap adds the leash to what a bot is built from.
func (l *leash) wrap(h app.Hooks) app.Hooks {
	h.WrapStore = func(s rotation.Store) rotation.Store { return &leashedStore{Store: s, leash: l} }
	h.WrapTransport = func(service string, rt http.RoundTripper) http.RoundTripper {
		return &leashedTransport{service: service, rt: rt, leash: l}
	}
	return h
}

// begin counts one more of kind.
func (l *leash) begin(kind string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[kind]++
	return l.counts[kind]
}

// pass tells the parent of a point, and ends the process if that is its order.
// Nobody passes another point meanwhile.
func (l *leash) pass(p Point) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.passed++
	_, _ = io.WriteString(l.points, string(p)+"\n") // a parent that is gone takes the child with it
	if p == l.order.Die || l.passed == l.order.Nth {
		_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
		select {}
	}
}

// A leashedStore passes a point before and after each transaction.
type leashedStore struct {
	rotation.Store
	leash *leash
}

// Txn implements [rotation.Store].
func (s *leashedStore) Txn(ctx context.Context, conds []rotation.Cond, then []rotation.Op) (rotation.Rev, error) {
	name := fmt.Sprintf("commit %d", s.leash.begin("commit"))
	s.leash.pass(Point(name + " before"))
	rev, err := s.Store.Txn(ctx, conds, then)
	s.leash.pass(Point(name + " after"))
	return rev, err
}

// A leashedTransport passes a point before each call and after its answer.
type leashedTransport struct {
	service string
	rt      http.RoundTripper
	leash   *leash
}

// RoundTrip implements [http.RoundTripper].
func (t *leashedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	kind := t.service + " " + r.Method + " " + pathClass(r.URL.EscapedPath())
	name := fmt.Sprintf("%s %d", kind, t.leash.begin(kind))
	t.leash.pass(Point(name + " send"))
	resp, err := t.rt.RoundTrip(r)
	t.leash.pass(Point(name + " answer"))
	return resp, err
}

// CloseIdleConnections does what [http.Client] asks of a transport.
func (t *leashedTransport) CloseIdleConnections() {
	if c, ok := t.rt.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// pathClass is a path with "*" for each part that is an identifier.
func pathClass(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		digits := strings.ContainsAny(part, "0123456789")
		if digits && (len(part) >= 12 || strings.Trim(part, "0123456789") == "") {
			parts[i] = "*"
		}
	}
	return strings.Join(parts, "/")
}

// openLeash is takeLeash on the descriptors that the child inherits.
func openLeash(now func() time.Time) (*leash, error) {
	orders, points := os.NewFile(ordersFD, "orders"), os.NewFile(pointsFD, "points")
	if orders == nil || points == nil {
		return nil, errors.New("the pipes of the parent are not there")
	}
	return takeLeash(orders, points, now)
}

// Points returns the points that the bot has passed, in order.
func (c *Child) Points() []Point {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.points)
}

// command gives the bot another order. It fails if the bot is gone.
func (c *Child) command(o order) error {
	line, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("encode order: %w", err)
	}
	if _, err := c.orders.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("send order: %w", err)
	}
	return nil
}

// collect reads the points that the bot passes until it is gone.
func (c *Child) collect(points io.Reader) {
	for lines := bufio.NewScanner(points); lines.Scan(); {
		c.mu.Lock()
		c.points = append(c.points, Point(lines.Text()))
		c.mu.Unlock()
	}
}
