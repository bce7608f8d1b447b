package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/sim/herokusim"
	"github.com/raxx-app/keyturn/internal/sim/simhttp"
)

// A moment is when the bot is told to stop.
type moment struct {
	name    string
	prepare func(*drill) (back func()) // what is slow then; nil: nothing is
	early   bool                       // it is so from the start, not only from step 2 on
	people  func(*drill) bool          // what people have done by then
	world   func(*drill) bool          // what the world shows by then; nil: nothing
}

// moments are everywhere in a rotation, above all where something does not
// answer.
func moments() []moment {
	typed := func(d *drill) bool { return d.Slack.Sockets() > 0 && d.typed > 0 }
	gate := func(d *drill) bool {
		v, ok := d.Slack.Modal(Ada)
		return ok && v.Submit == goOnButton && hasResult(v.Text())
	}
	fields := func(d *drill) bool { v, ok := d.Slack.Modal(Ada); return ok && hasKeyFields(v) }
	sealed := func(d *drill) bool { return d.sealed }
	hang := func(s *simhttp.Server, f simhttp.Fault) func() { return s.Inject(f) }
	return []moment{
		{"connected", nil, false, func(d *drill) bool { return d.Slack.Sockets() > 0 }, nil},
		{
			"a check of step 1 hangs", func(d *drill) func() { return hang(d.Heroku.Server, simhttp.Fault{Method: http.MethodGet, Hang: true}) },
			true, typed, func(d *drill) bool { return d.Heroku.Count(http.MethodGet, "/apps/") > 0 },
		},
		{"at the gate", nil, false, gate, nil},
		{"somebody types the pair", nil, false, fields, nil},
		{"just sealed", nil, false, sealed, nil},
		{
			"the vault hangs", func(d *drill) func() {
				return d.Infisical.Inject(simhttp.Fault{Method: http.MethodPatch, Path: vaultBatch, Hang: true})
			},
			false, sealed, func(d *drill) bool { return d.Infisical.Count(http.MethodPatch, vaultBatch) > 1 },
		},
		{
			"a consumer has it and does not answer", func(d *drill) func() {
				return hang(d.Heroku.Server, writes(stagingApp, simhttp.Fault{HangReply: true}))
			},
			false, sealed, func(d *drill) bool { return holds(d.Heroku.Vars(stagingApp), d.key) == nil },
		},
		{
			"a consumer's dynos start", func(d *drill) func() {
				d.Heroku.SetBoot(prodApp, herokusim.Boot{Hold: true})
				return func() { d.Heroku.FinishBoot(prodApp) }
			},
			false, sealed, func(d *drill) bool { return d.Heroku.Count(http.MethodGet, "/apps/"+prodApp+"/dynos") > 1 },
		},
		{
			"the test order's answer hangs", func(d *drill) func() {
				return hang(d.Raptor.Server, simhttp.Fault{Method: http.MethodPost, HangReply: true})
			},
			false, sealed, func(d *drill) bool { return len(d.Raptor.OrderBodies()) == 1 },
		},
		{
			"the old pair still works", func(d *drill) func() {
				d.Alpaca.SetRevocationLag(2 * time.Second)
				return func() {}
			},
			false, sealed, func(d *drill) bool { return holds(d.Heroku.Running(prodApp), d.key) == nil },
		},
		{
			"Slack takes no updates", func(d *drill) func() {
				d.Slack.RateLimit("chat.update", 0, 30*time.Second)
				return func() { d.Slack.RateLimit("chat.update", -1, 0) }
			},
			false, sealed, func(d *drill) bool { return holds(d.Heroku.Running(stagingApp), d.key) == nil },
		},
	}
}

// TestStopHandsOver stops the bot in order, everywhere in a rotation: it ends
// with 0, which it does only if every part ended within 5 s, and the next one
// goes on (R82, R87).
func TestStopHandsOver(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, m := range moments() {
		wg.Go(func() { t.Run(m.name, func(t *testing.T) { stopAt(t, m) }) })
	}
}

func stopAt(t *testing.T, m moment) {
	t.Helper()
	d := newDrill(t)
	back, err := d.until(m)
	if err != nil {
		t.Fatal(d.report([]Check{{"the moment comes", err}}))
	}
	code, took := d.handOver(back)
	t.Logf("stopped in %.2f s", took.Seconds())
	if code != 0 || took > 5*time.Second {
		t.Errorf("SIGTERM when %s: the bot ended with %d after %s, want 0 within 5 s", m.name, code, took)
	}
	if wrong := wrongOnes(d.whole()); len(wrong) > 0 {
		t.Error(d.report(wrong))
	}
}

// until plays the rotation up to a moment. The returned function undoes what was
// made slow.
func (d *drill) until(m moment) (back func(), err error) {
	if err := d.begin(); err != nil {
		return nil, err
	}
	back = func() {}
	prepared := m.prepare == nil
	if err := d.act("come to "+m.name, func(ctx context.Context) (bool, error) {
		v, _ := d.Slack.Modal(Ada)
		if !prepared && (m.early || hasKeyFields(v)) {
			back, prepared = m.prepare(d), true
		}
		if m.people(d) {
			return true, nil
		}
		over, err := d.step(ctx)
		if over {
			err = errors.New("the rotation is over")
		}
		return false, err
	}); err != nil {
		return nil, err
	}
	for m.world != nil && !m.world(d) {
		if err := d.pass(lookEvery); err != nil {
			return nil, fmt.Errorf("wait until %s: %w", m.name, err)
		}
	}
	return back, nil
}
