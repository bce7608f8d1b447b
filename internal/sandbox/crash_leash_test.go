package sandbox

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/rotation"
)

func TestPathClass(t *testing.T) {
	t.Parallel()
	tests := []struct{ path, want string }{
		{"/v2/account", "/v2/account"},
		{"/v2/orders/61e69015-8549-4bfd-b9c3-01e75843f47d", "/v2/orders/*"},
		{"/apps/raxx-api-prod/releases/42", "/apps/raxx-api-prod/releases/*"},
		{"/repos/raxx/raptor/actions/secrets/ALPACA_PAPER_API_SECRET_KEY", "/repos/raxx/raptor/actions/secrets/ALPACA_PAPER_API_SECRET_KEY"},
		{"/api/chat.postMessage", "/api/chat.postMessage"},
		{"", ""},
	}
	for _, tt := range tests {
		if got := pathClass(tt.path); got != tt.want {
			t.Errorf("pathClass(%q) = %q, want %q", tt.path, got, tt.want)
		}
	}
}

// A quietStore does nothing.
type quietStore struct{ rotation.Store }

func (quietStore) Txn(context.Context, []rotation.Cond, []rotation.Op) (rotation.Rev, error) {
	return 7, nil
}

// TestLeash names the points around a transaction, and moves the clock.
func TestLeash(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 4, 24, 9, 0, 0, 0, time.UTC)
	orders, send := io.Pipe()
	defer send.Close()
	say := func(line string) {
		if _, err := io.WriteString(send, line+"\n"); err != nil {
			t.Error(err)
		}
	}
	go say(`{"clock":3600000000000}`)
	var points bytes.Buffer
	l, err := takeLeash(orders, &points, func() time.Time { return began })
	if err != nil {
		t.Fatal(err)
	}
	if got, want := l.Now(), began.Add(time.Hour); !got.Equal(want) {
		t.Errorf("Now = %s after the first order, want %s", got, want)
	}
	say(`{"clock":7200000000000}`)
	tick, limit := time.NewTicker(time.Millisecond), time.NewTimer(5*time.Second)
	defer tick.Stop()
	defer limit.Stop()
	for want := began.Add(2 * time.Hour); !l.Now().Equal(want); {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatalf("Now = %s, want %s", l.Now(), want)
		}
	}
	s := leashedStore{Store: quietStore{}, leash: l}
	for range 2 {
		if rev, err := s.Txn(t.Context(), nil, nil); rev != 7 || err != nil {
			t.Errorf("Txn = %d, %v, want what the store says: 7", rev, err)
		}
	}
	if got, want := points.String(), "commit 1 before\ncommit 1 after\ncommit 2 before\ncommit 2 after\n"; got != want {
		t.Errorf("points = %q, want %q", got, want)
	}
}

func TestLeashWithoutOrder(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "die\n"} {
		if _, err := takeLeash(strings.NewReader(text), io.Discard, time.Now); err == nil {
			t.Errorf("takeLeash(%q) = nil, want an error", text)
		}
	}
}

// TestChildClock: what a child writes down is by the clock that it was given.
func TestChildClock(t *testing.T) {
	t.Parallel()
	d := newDrill(t, death{order: order{Clock: 48 * time.Hour}})
	if err := d.begin(); err != nil {
		t.Fatal(err)
	}
	if err := d.act("open a rotation", func(ctx context.Context) (bool, error) {
		_, err := d.step(ctx)
		_, ok := d.message()
		return ok, err
	}); err != nil {
		t.Fatal(d.report([]Check{{"opens", err}}))
	}
	if err := d.end(); err != nil {
		t.Fatal(err)
	}
	out, problem, code := d.Bot(t.Context(), "audit", "export")
	first, _, _ := strings.Cut(out, "\n")
	if day := time.Now().UTC().Add(48 * time.Hour).Format(time.DateOnly); code != 0 || !strings.Contains(first, `"time":"`+day) {
		t.Errorf("the first row is %s %s, want it to be of %s", first, problem, day)
	}
}
