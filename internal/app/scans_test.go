package app_test

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/app"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/state"
)

// A scanHung is a job that scans, and what it reads first in each scan.
type scanHung struct{ name, reads string }

// scansHung has the jobs that read something that no other does, in the order in
// which the bot names them.
func scansHung() []scanHung {
	return []scanHung{
		{"outbox/channel", rotation.ChannelKey("")},
		{"outbox/notes", rotation.OutboxPrefix + rotation.PostNote + "/"},
		{"ladder", "waiting/"},
		{"pages", "page/"},
		{"reminders", "reminders-fired"},
		{"readiness", "readiness/prod"},
		{"roll-call", "rollcall/prod"},
		{"leavers", "leavers-looked"},
	}
}

// A hungStore has reads wait until they are let go.
type hungStore struct {
	rotation.Store
	wait map[string]*hang // by key or prefix
}

type hang struct {
	hit  func()        // a read waits
	open chan struct{} // closed: reads go
}

func (s hungStore) pass(ctx context.Context, what string) error {
	h := s.wait[what]
	if h == nil {
		return nil
	}
	h.hit()
	select {
	case <-h.open:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s hungStore) Get(ctx context.Context, key string) (rotation.KV, error) {
	if err := s.pass(ctx, key); err != nil {
		return rotation.KV{}, err
	}
	return s.Store.Get(ctx, key)
}

func (s hungStore) List(ctx context.Context, prefix, after string, limit int) ([]rotation.KV, error) {
	if err := s.pass(ctx, prefix); err != nil {
		return nil, err
	}
	return s.Store.List(ctx, prefix, after, limit)
}

// TestHungScansAreNotReady: a scan that hangs makes the bot not ready as soon as it
// is late, and not before; /readyz, the metrics and the doctor name it until it gets
// on. The bot's clock moves only when the test says so, so nothing here depends on
// how fast the machine is.
func TestHungScansAreNotReady(t *testing.T) {
	t.Parallel()
	began := time.Now()
	var moved atomic.Int64
	hangs := map[string]*hang{}
	var hit sync.WaitGroup
	for _, s := range scansHung() {
		hit.Add(1)
		hangs[s.reads] = &hang{hit: sync.OnceFunc(hit.Done), open: make(chan struct{})}
	}
	w := newWorld(t, options{
		now:   func() time.Time { return began.Add(time.Duration(moved.Load())) },
		store: func(s rotation.Store) rotation.Store { return hungStore{s, hangs} },
	})
	w.rotatedBefore("prod")
	addr := w.serveHealth()
	bot := w.start()
	hit.Wait() // the test's own limit ends this
	at := func(d time.Duration, late ...string) {
		t.Helper()
		moved.Store(int64(d))
		code, text := fetch(t, "http://"+addr+"/readyz")
		wantCode, want := http.StatusOK, "ok\n"
		if len(late) > 0 {
			wantCode, want = http.StatusServiceUnavailable, "late scans: "+strings.Join(late, ", ")+"\n"
		}
		if code != wantCode || text != want {
			t.Errorf("GET /readyz after %s = %d %q, want %d %q", d, code, text, wantCode, want)
		}
	}
	// Every 5 s, and a minute for what is slow; a check may take three minutes more.
	const short, long, more = 65 * time.Second, 245 * time.Second, time.Millisecond
	quick := []string{"outbox/channel", "outbox/notes", "ladder", "pages", "roll-call", "leavers"}
	names := []string{"outbox/channel", "outbox/notes", "ladder", "pages", "reminders", "readiness", "roll-call", "leavers"}
	at(0)
	at(short)
	at(short+more, quick...)
	at(long, quick...)
	at(long+more, names...)
	if _, page := fetch(t, "http://"+addr+"/metrics"); !strings.Contains(page, `keyturn_scan_late_seconds{scan="ladder"} 180.001`) || !strings.Contains(page, `keyturn_scan_late_seconds{scan="reminders"} 0.001`) || strings.Contains(page, `keyturn_scan_last_timestamp_seconds{scan="ladder"}`) {
		t.Errorf("/metrics does not say how late the scans are:\n%s", page)
	}
	if diff := cmp.Diff(names, w.stalled()); diff != "" {
		t.Errorf("parts that the doctor finds stalled (-want +got):\n%s", diff)
	}
	for _, s := range scansHung() { // each is named until it gets on, and no other instead
		close(hangs[s.reads].open)
		names = slices.DeleteFunc(names, func(name string) bool { return name == s.name })
		want := "ok\n"
		if len(names) > 0 {
			want = "late scans: " + strings.Join(names, ", ") + "\n"
		}
		w.until("/readyz says "+want, func() bool { _, text := fetch(t, "http://"+addr+"/readyz"); return text == want })
	}
	if _, page := fetch(t, "http://"+addr+"/metrics"); !strings.Contains(page, `keyturn_scan_late_seconds{scan="ladder"} 0`+"\n") || !strings.Contains(page, `keyturn_scan_last_timestamp_seconds{scan="ladder"} `) {
		t.Errorf("/metrics does not say when the scans last got on:\n%s", page)
	}
	bot.stop()
}

// rotatedBefore has the state know of an earlier rotation of a key set.
func (w *world) rotatedBefore(keyset string) {
	w.t.Helper()
	store, err := state.Open(w.t.Context(), state.Config{Path: w.stateFile()})
	w.must(err)
	body, err := json.Marshal(rotation.Record{KeySet: keyset, Last: "r000000000", Completed: time.Now().AddDate(0, -1, 0)})
	w.must(err)
	_, err = store.Txn(w.t.Context(), nil, []rotation.Op{{Key: "keyset/" + keyset, Value: body}})
	w.must(err)
	w.must(store.Close())
}

// stalled returns the parts of the running bot of which the doctor says that they do
// not get on, other than the one that sums them up.
func (w *world) stalled() []string {
	w.t.Helper()
	var names []string
	for _, f := range w.diagnose(1).Findings {
		if f.Reason == "part_stalled" && f.Check != "ready" {
			names = append(names, f.Check)
			if f.Area != "bot" || f.Level != app.LevelFail || !strings.HasPrefix(f.Text, "its scan is late by ") || !strings.HasPrefix(f.Fix, "Restart the bot") {
				w.t.Errorf("finding %+v, want a failure that says by how much it is late and to restart the bot", f)
			}
		}
	}
	return names
}
