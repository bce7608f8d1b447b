package sandbox

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

// What a drill waits for at most. These are for a machine that stands still for
// seconds; when all is well nobody waits for them. A rotation with its crashes
// takes three seconds.
const (
	drillLimit = 4 * time.Minute
	slackLimit = 15 * time.Second // instead of Slack's 3 s: a drill is not about them
)

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
	hellos  int           // sockets that Slack had greeted before bot began
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
	w.Slack.SetDeadlines(slackLimit, slackLimit)
	if err := w.bequeath(crashLimits()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), drillLimit, fmt.Errorf("not over after %s", drillLimit))
	t.Cleanup(cancel)
	d := &drill{World: w, person: newPerson(w), deaths: deaths, generated: make(chan struct{}), settled: make(chan struct{})}
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
	hellos := d.Slack.Connections()
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
	d.bot, d.life, d.lives, d.hellos = bot, life, append(d.lives, bot), hellos
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

// connected waits until what people do reaches the bot that runs now, and not
// the socket of one that died, which Slack may take for alive a moment longer.
func (d *drill) connected(life context.Context) error {
	d.mu.Lock()
	before := d.hellos
	d.mu.Unlock()
	for {
		changed := d.Slack.Changed()
		if n := d.Slack.Sockets(); n > 0 && n <= d.Slack.Connections()-before {
			return nil
		}
		select {
		case <-changed:
		case <-life.Done():
			return life.Err()
		}
	}
}

// act has what done does tried in each life of the bot until it returns true.
func (d *drill) act(what string, done func(context.Context) (bool, error)) error {
	for {
		if d.ctx.Err() != nil {
			v, _ := d.Slack.Modal(Ada)
			return fmt.Errorf("%s: %w; the screen shows: %s", what, context.Cause(d.ctx), flat(plain(v.Text())))
		}
		_, life := d.now()
		if d.connected(life) != nil {
			_ = d.pass(5 * time.Millisecond) // until the next one begins; the loop sees if the time is up
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
	if bot, _ := d.now(); bot == nil {
		if err := d.begin(); err != nil {
			return err
		}
	}
	if err := d.act("rotate", func(ctx context.Context) (bool, error) {
		d.mu.Lock()
		life := len(d.lives)
		d.mu.Unlock()
		d.born(ctx, life)
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
		d.fail(err)
		d.kill()
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

// kill ends the drill: no bot is left, not even one that is being started.
func (d *drill) kill() {
	d.mu.Lock()
	d.ending = true
	began := d.bot != nil
	d.mu.Unlock()
	for began {
		bot, _ := d.now()
		_ = bot.Kill()
		select {
		case <-d.settled:
			return
		case <-time.After(lastWords):
		}
	}
}

// report says what a drill was, for a person who must find out what went wrong.
func (d *drill) report(wrong []Check) string {
	var b strings.Builder
	fmt.Fprintf(&b, "deaths %v, died %d times, closes the screen %t\n", d.deaths, d.died, d.closes)
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
	fmt.Fprintf(&b, "what went between Slack and the bots, the last of it:\n%s", d.traffic(trafficShown))
	for _, m := range d.messages() {
		fmt.Fprintf(&b, "in #ops: %s\n", flat(plain(m.Visible())))
	}
	if v, ok := d.Slack.Modal(Ada); ok {
		fmt.Fprintf(&b, "on the screen (%s, busy %t, trouble %q): %s\n", v.ID, v.Busy, v.Trouble, flat(plain(v.Text())))
	}
	fmt.Fprintf(&b, "the bots' log:\n%s\n", tail(d.Log()))
	return b.String()
}

// trafficShown is how many requests and frames a report shows.
const trafficShown = 60

// traffic returns the last n requests and frames, oldest first. Nothing of what
// people typed is in it.
func (d *drill) traffic(n int) string {
	all := slices.Concat(d.Slack.Sent(), d.Slack.Journal())
	slices.SortStableFunc(all, func(a, b slacksim.Entry) int { return a.At.Compare(b.At) })
	var b strings.Builder
	for _, e := range all[max(0, len(all)-n):] {
		what := ""
		if e.Via == "web" {
			what = flat(headers(string(e.Body)))
		}
		fmt.Fprintf(&b, "  %s %-6s %s %s\n", e.At.Format("05.000"), e.Via, e.Method, what)
	}
	return b.String()
}

// headers returns which view a call is about, and what its header says.
func headers(body string) string {
	var parts []string
	for _, part := range callParts.FindAllStringSubmatch(body, -1) {
		parts = append(parts, part[1])
	}
	return strings.Join(parts, " ")
}

var callParts = regexp.MustCompile(`("view_id":"[^"]*"|"callback_id":"[^"]*"|"Step [0-9] of 8[^"]*"|"text":"[^"]{0,80}step [0-9] of 8|ts=[0-9.]+)`)

func wrongOnes(checks []Check) []Check {
	var wrong []Check
	for _, c := range checks {
		if c.Err != nil {
			wrong = append(wrong, c)
		}
	}
	return wrong
}
