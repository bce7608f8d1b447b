package sandbox

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// drillLimit is how long a rotation with its crashes may take; usual are three
// seconds.
const drillLimit = time.Minute

// lastWords is how long what a bot said before it died may be on its way.
const lastWords = 30 * time.Millisecond

// A death is how one life of the bot ends.
type death struct {
	order               // where it kills itself
	after time.Duration // or when it is killed from outside, counted from
	from  string        // "start": of this life; "generated": the click; "" means that it lives
}

func (d death) String() string {
	switch {
	case d.Die != "":
		return string(d.Die)
	case d.Nth > 0:
		return fmt.Sprintf("point %d", d.Nth)
	case d.from != "":
		return fmt.Sprintf("%s after %s", d.after.Round(time.Millisecond), d.from)
	}
	return "none"
}

// A drill is one rotation in a world of its own, in which the bot dies as often
// as deaths say; the one after the last death lives.
type drill struct {
	*World
	*person
	deaths []death

	ctx       context.Context //nolint:containedctx // a drill lives as long as its test
	fail      context.CancelCauseFunc
	generated chan struct{} // closed at the click
	once      sync.Once

	mu      sync.Mutex
	bot     *Child
	life    context.Context //nolint:containedctx // ends with bot
	lives   []*Child
	died    int           // lives that ended as deaths say
	handing chan struct{} // closed when a bot that was stopped may be started again; nil: it is not stopped
	settled chan struct{} // closed when nobody restarts the bot any more
	ending  bool
}

// crashLimits are the engine's waits in a drill.
func crashLimits() rotation.Limits {
	l := quick()
	l.OrderOnBook, l.OldPair, l.ProbeAgain = 1500*time.Millisecond, 500*time.Millisecond, 500*time.Millisecond
	return l
}

func newDrill(t *testing.T, deaths ...death) *drill {
	t.Helper()
	w := newWorld(t)
	if err := w.bequeath(crashLimits()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), drillLimit, fmt.Errorf("not over after %s", drillLimit))
	t.Cleanup(cancel)
	d := &drill{World: w, person: &person{w: w, said: &strings.Builder{}}, deaths: deaths, generated: make(chan struct{}), settled: make(chan struct{})}
	d.ctx, d.fail = context.WithCancelCause(ctx)
	return d
}

// begin starts the bot, and again each time that it has died as it should.
func (d *drill) begin() error {
	if err := d.start(0); err != nil {
		return err
	}
	go func() {
		defer close(d.settled)
		for n := 0; ; n++ {
			bot, _ := d.now()
			<-bot.Exited()
			d.mu.Lock()
			ending, handing := d.ending, d.handing
			d.handing = nil
			d.mu.Unlock()
			if handing != nil && bot.code() == 0 {
				<-handing
				if err := d.start(len(d.deaths)); err != nil {
					d.fail(err)
					return
				}
				continue
			}
			if n >= len(d.deaths) || bot.code() != -1 {
				if !ending {
					d.fail(fmt.Errorf("the bot ended with %d by itself", bot.code()))
				}
				return
			}
			d.mu.Lock()
			d.died++
			d.mu.Unlock()
			if err := d.start(n + 1); err != nil {
				d.fail(err)
				return
			}
		}
	}()
	return nil
}

// start begins the nth life.
func (d *drill) start(n int) error {
	var how death
	if n < len(d.deaths) {
		how = d.deaths[n]
	}
	bot, err := d.startBot(context.WithoutCancel(d.ctx), how.order, nil)
	if err != nil {
		return err
	}
	life, over := context.WithCancelCause(d.ctx)
	go func() {
		select {
		case <-bot.Exited():
		case <-d.ctx.Done():
		}
		_ = d.pass(lastWords)
		over(errDied)
	}()
	if how.from != "" {
		go d.shoot(bot, how)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.bot, d.life, d.lives = bot, life, append(d.lives, bot)
	return nil
}

var errDied = errors.New("the bot died")

// handOver stops the bot with SIGTERM, does back, and has it started again. It
// returns its exit code and how long it took to stop.
func (d *drill) handOver(back func()) (code int, took time.Duration) {
	again := make(chan struct{})
	d.mu.Lock()
	bot := d.bot
	d.handing = again
	d.mu.Unlock()
	began := time.Now()
	code = bot.Stop()
	took = time.Since(began)
	back()
	close(again)
	return code, took
}

// shoot kills the bot from outside at its time.
func (d *drill) shoot(bot *Child, how death) {
	if how.from == "generated" {
		select {
		case <-d.generated:
		case <-bot.Exited():
			return
		case <-d.ctx.Done():
			return
		}
	}
	timer := time.NewTimer(how.after)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-d.ctx.Done():
	case <-bot.Exited():
		return
	}
	_ = bot.Kill()
}

func (d *drill) now() (*Child, context.Context) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.bot, d.life
}

// act has what done does tried in each life of the bot until it returns true.
func (d *drill) act(what string, done func(context.Context) (bool, error)) error {
	for {
		if d.ctx.Err() != nil {
			v, _ := d.Slack.Modal(Ada)
			return fmt.Errorf("%s: %w; the screen shows: %s", what, context.Cause(d.ctx), flat(plain(v.Text())))
		}
		_, life := d.now()
		if d.Slack.WaitSockets(life, 1) != nil {
			if err := d.pass(5 * time.Millisecond); err != nil {
				continue
			}
			continue
		}
		ok, err := done(life)
		switch {
		case err != nil && life.Err() == nil:
			return fmt.Errorf("%s: %w", what, err)
		case err != nil && errors.Is(err, errAskedAgain):
			return err
		case ok && err == nil:
			return nil
		}
	}
}

// pass lets a moment go by.
func (d *drill) pass(moment time.Duration) error {
	t := time.NewTimer(moment)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-d.ctx.Done():
		return context.Cause(d.ctx)
	}
}

// rotate is everything that people do. Whatever dies, they come to the end.
func (d *drill) rotate() error {
	if d.bot == nil {
		if err := d.begin(); err != nil {
			return err
		}
	}
	if err := d.act("rotate", func(ctx context.Context) (bool, error) {
		over, err := d.step(ctx)
		if d.key.ID != "" {
			d.once.Do(func() { close(d.generated) })
		}
		return over, err
	}); err != nil {
		return err
	}
	for _, user := range []string{Ada, Bob} {
		if err := d.act(user+" presses Updated", func(ctx context.Context) (bool, error) {
			ok, err := d.acknowledge(ctx, user)
			if err == nil && !ok {
				err = d.pass(lookEvery)
			}
			return ok, err
		}); err != nil {
			return err
		}
	}
	return d.act("read the summary", func(ctx context.Context) (bool, error) {
		changed := d.Slack.Changed()
		if d.summarised() {
			return true, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
		return false, nil
	})
}

// end stops the bot; one whose death comes while it stops is started again.
func (d *drill) end() error {
	d.mu.Lock()
	d.ending = true
	bot := d.bot
	d.mu.Unlock()
	for {
		bot.cancel()
		<-bot.Exited()
		code := bot.code()
		if code == 0 {
			<-d.settled
			return nil
		}
		if code != -1 {
			return fmt.Errorf("the bot ended with %d after SIGTERM, want 0", code)
		}
		if err := d.act("start again", func(context.Context) (bool, error) {
			next, _ := d.now()
			return next != bot, nil
		}); err != nil {
			return err
		}
		bot, _ = d.now()
	}
}

// whole plays the drill and returns everything that is wrong at the end.
func (d *drill) whole() []Check {
	err := d.rotate()
	if err != nil {
		d.mu.Lock()
		d.ending = true
		bot := d.bot
		d.mu.Unlock()
		d.fail(err)
		if bot != nil {
			_ = bot.Kill()
			<-d.settled
		}
		name := "the rotation comes to its end"
		if errors.Is(err, errAskedAgain) {
			name = pairName + name
		}
		return []Check{{name, err}}
	}
	if err := d.end(); err != nil {
		return []Check{{"the bot stops in order", err}}
	}
	return d.look()
}

// report says what a drill was, for a person who must find out what went wrong.
func (d *drill) report(wrong []Check) string {
	var b strings.Builder
	fmt.Fprintf(&b, "deaths %v, died %d times\n", d.deaths, d.died)
	for _, c := range wrong {
		if c.Err != nil {
			fmt.Fprintf(&b, "WRONG %s: %v\n", c.Name, c.Err)
		}
	}
	b.WriteString(d.said.String())
	for n, bot := range d.lives {
		points := bot.Points()
		fmt.Fprintf(&b, "life %d: %d points", n+1, len(points))
		if len(points) > 0 {
			fmt.Fprintf(&b, ", the last: %q", points[max(0, len(points)-6):])
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "%s\n", tail(d.Log()))
	return b.String()
}

func wrongOnes(checks []Check) []Check {
	var wrong []Check
	for _, c := range checks {
		if c.Err != nil {
			wrong = append(wrong, c)
		}
	}
	return wrong
}
