package sandbox

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/raxx-app/keyturn/internal/control"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/sandbox/page"
	"github.com/raxx-app/keyturn/internal/sim/alpacasim"
)

// How often a drill looks at the world, and asks the bot.
const (
	sampleEvery = 50 * time.Millisecond
	judgeEvery  = 250 * time.Millisecond
)

// settle is how long everything must be done before a drill is over by itself.
const settle = time.Second

// A scenario is what a drill is about. Only Name, Title, Story and Goal are
// needed.
type scenario struct {
	Name, Title string
	Story       string // what has happened; the person reads it first
	Goal        string
	Paged       bool                            // it begins with a page; the card counts how long nobody took it
	NoClick     bool                            // a pair works already: generating another one is wrong
	Limits      func(*rotation.Limits)          // what else the bot waits for less long
	Prepare     func(*World) error              // before the bot starts
	Stage       func(*drillRun) error           // once the bot is connected, before the person's time begins
	React       func(d *drillRun, act page.Act) // to what the person did; on a goroutine of its own
}

// A drillRun is one run of a scenario. It looks from outside: at what trading
// systems hold, and what Alpaca says of it. Its methods may be called from any
// goroutine.
type drillRun struct {
	*scenario
	st    *stage
	clock func() time.Time // the machine's: a person's time cannot be moved forward
	ctx   context.Context  //nolint:containedctx // of the reactions, which run waits for
	work  sync.WaitGroup
	once  sync.Once // for React

	mu         sync.Mutex
	staged     bool
	problem    string // why it could not be staged
	began      time.Time
	ended      time.Time
	exposed    time.Duration
	down       time.Time // since when a trading system holds a dead pair; zero: none does
	actions    int
	taken      time.Time // when the page was answered
	wrong      []page.WrongTurn
	generated  map[string]int   // account → pairs that the person made
	seen       map[string][]int // person → messages; see slacksim.Workspace.Notes
	shown      map[string]bool  // views that were told about
	undone     []string
	rotation   rotation.Rotation
	since      time.Time // everything has been done; zero: it is not
	colleagues []string  // last four of pairs that the scenario pasted
}

var _ page.Drill = (*drillRun)(nil)

func newDrillRun(st *stage, s *scenario, now func() time.Time) *drillRun {
	return &drillRun{scenario: s, st: st, clock: now, ctx: context.Background(), generated: map[string]int{}, seen: map[string][]int{}, shown: map[string]bool{}}
}

// View implements [page.Drill]. The person's time begins when they look first.
func (d *drillRun) View() page.DrillView {
	d.mu.Lock()
	defer d.mu.Unlock()
	v := page.DrillView{Name: d.Name, Title: d.Title, Story: d.Story, Goal: d.Goal}
	if d.problem != "" {
		v.Story = "The drill could not be set up: " + d.problem
		return v
	}
	if !d.staged {
		return v
	}
	if d.began.IsZero() {
		d.began = d.clock()
	}
	end := d.ended
	if v.Running = end.IsZero(); v.Running {
		end = d.clock()
	} else {
		v.Score = d.score()
	}
	v.Elapsed = end.Sub(d.began).Truncate(time.Second).Seconds()
	return v
}

// Finish implements [page.Drill].
func (d *drillRun) Finish() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.finish()
}

func (d *drillRun) finish() {
	if d.ended.IsZero() && !d.began.IsZero() {
		d.ended = d.clock()
	}
}

// Note implements [page.Drill].
func (d *drillRun) Note(a page.Act) {
	ours := d.st.ours(d.accountID(a.Account))
	d.mu.Lock()
	if !d.ended.IsZero() || d.began.IsZero() {
		d.mu.Unlock()
		return
	}
	if a.Kind != page.ActClose && a.Kind != page.ActHome {
		d.actions++
	}
	if d.taken.IsZero() && a.Err == nil && a.Kind == page.ActPress && a.Text == startNowAction {
		d.taken = d.clock()
	}
	if what := d.judge(a, ours); what != "" {
		d.turn(what)
	}
	d.mu.Unlock()
	d.sample()
	if d.React != nil {
		d.work.Go(func() { d.React(d, a) })
	}
}

func (d *drillRun) accountID(number string) string {
	a, err := d.st.Alpaca.Account(number)
	if err != nil {
		return ""
	}
	return a.ID
}

func (d *drillRun) turn(what string) {
	d.wrong = append(d.wrong, page.WrongTurn{At: d.clock().Sub(d.began).Round(100 * time.Millisecond).Seconds(), What: what})
}

// judge says what was wrong with an act, "" for nothing. ours is the key set
// that uses the account it was about.
func (d *drillRun) judge(a page.Act, ours string) string {
	switch {
	case a.Err != nil: // such as a bot that is down: not the person's fault
	case a.Kind == page.ActRegenerate && a.Account == page.Live:
		return "Generated keys in the LIVE account"
	case a.Kind == page.ActRegenerate:
		d.generated[a.Account]++
		switch n := d.generated[a.Account]; {
		case d.NoClick && ours != "":
			return "Generated keys: the pair that worked is dead now"
		case ours == "" && d.st.accountExists(d.st.Account):
			return "Generated keys in another account, whose own pair is dead now"
		case n > 1:
			return "Generated keys again: the pair before is dead now"
		}
	case a.Kind == page.ActSubmit && a.Text == itWasMeButton && d.Paged && !a.Local && a.Shown == "":
		return "Said that it was them, but it was somebody else"
	case a.Kind == page.ActDelete:
		return "Deleted or reset a paper account"
	case a.Kind == page.ActSubmit && a.Local:
		return "Left a required field empty"
	case a.Kind == page.ActSubmit && a.Shown != "":
		return "What was submitted was refused: " + a.Shown
	case a.Kind == page.ActSubmit && a.Text == cancelButton:
		return "Cancelled the rotation"
	case a.Kind == page.ActKill, a.Kind == page.ActStop:
		return "Ended the bot"
	}
	return ""
}

func (w *World) accountExists(number string) bool {
	_, err := w.Alpaca.Account(number)
	return err == nil
}

// score is the card at the end; d.mu is held.
func (d *drillRun) score() *page.Score {
	exposed := d.exposure()
	s := &page.Score{
		Exposed: exposed.Truncate(time.Millisecond).Seconds(), Actions: d.actions, WrongTurns: slices.Clone(d.wrong),
		Undone: slices.Clone(d.undone), Passed: len(d.undone) == 0,
	}
	for _, c := range d.rotation.Candidates {
		if (c.Aside == "rejected" || c.Aside == "other_account") && !slices.Contains(d.colleagues, c.Last4) && c.By.ID != cleo {
			s.WrongTurns = append(s.WrongTurns, page.WrongTurn{At: c.At.Sub(d.rotation.Opened).Seconds(), What: "Pasted a pair that could not be used (…" + c.Last4 + ")"})
		}
	}
	if s.WrongTurns == nil {
		s.WrongTurns = []page.WrongTurn{}
	}
	if s.Undone == nil {
		s.Undone = []string{}
	}
	s.Lines = [][2]string{
		{"Exposed time", seconds(exposed.Round(100 * time.Millisecond))}, // as the stopwatch rounds
		{"Time in all", seconds(d.ended.Sub(d.began))},
		{"Actions", fmt.Sprint(s.Actions)},
		{"Wrong turns", fmt.Sprint(len(s.WrongTurns))},
		{"Left undone", fmt.Sprint(len(s.Undone))},
	}
	if d.Paged {
		answered := "never"
		if !d.taken.IsZero() {
			answered = "after " + seconds(d.taken.Sub(d.began))
		}
		s.Lines = slices.Insert(s.Lines, 1, [2]string{startNowButton, answered})
	}
	return s
}

// exposure is the exposed time: the bot's own, which the stopwatch beside the card
// shows too, if it has one. What was measured from outside is for rotations
// without; d.mu is held.
func (d *drillRun) exposure() time.Duration {
	exposed := d.exposed
	if !d.down.IsZero() {
		exposed += d.ended.Sub(d.down)
	}
	if e := d.rotation.Exposure(); !e.From.IsZero() && !e.Running {
		exposed = e.Took
	}
	return exposed
}

func seconds(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
}

// run sets the scene and watches until ctx ends.
func (d *drillRun) run(ctx context.Context) {
	d.ctx = ctx
	defer d.work.Wait()
	err := d.stage(ctx)
	d.mu.Lock()
	if d.staged = true; err != nil {
		d.problem = err.Error()
	}
	d.mu.Unlock()
	tick, asked := time.NewTicker(sampleEvery), d.clock()
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now := d.clock()
		d.sample()
		if now.Sub(asked) >= judgeEvery {
			asked = now
			d.look(ctx, now)
		}
	}
}

func (d *drillRun) stage(ctx context.Context) error {
	ready, enough := context.WithTimeout(ctx, readyLimit)
	defer enough()
	if err := d.st.Slack.WaitSockets(ready, 1); err != nil {
		return fmt.Errorf("the bot has no socket: %w", err)
	}
	if d.Stage == nil {
		return nil
	}
	return d.Stage(d)
}

// sample notes when trading systems begin to hold a dead pair, and when the last
// of them does no more. It is called at each tick and after each act, because a
// script can be quicker than a tick.
func (d *drillRun) sample() {
	dead, now := d.st.exposed(), d.clock()
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.began.IsZero():
	case dead && d.ended.IsZero() && d.down.IsZero():
		d.down = now
	case (!dead || !d.ended.IsZero()) && !d.down.IsZero():
		if !d.ended.IsZero() {
			now = d.ended
		}
		d.exposed += now.Sub(d.down)
		d.down = time.Time{}
	}
}

// exposed reports whether a trading system holds a pair that Alpaca rejects.
func (w *World) exposed() bool {
	for _, p := range w.places() {
		if p.Group != "Infisical" && p.Works == page.Fails {
			return true
		}
	}
	return false
}

// handed reports whether everything works that is handed the pair. What fetches
// it cannot before Infisical is back.
func (w *World) handed() bool {
	for _, p := range w.places() {
		if p.Group != "Infisical" && p.Name != newsHook && p.Works == page.Fails {
			return false
		}
	}
	return true
}

// look finds refusals, has colleagues do their part, and ends the drill when
// everything is done.
func (d *drillRun) look(ctx context.Context, now time.Time) {
	d.colleague(ctx)
	refused := d.refusals()
	undone := d.left(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.ended.IsZero() || d.began.IsZero() {
		return
	}
	for _, text := range refused {
		d.turn("Was refused: " + flat(plain(text)))
	}
	d.undone = undone
	switch {
	case len(undone) > 0:
		d.since = time.Time{}
	case d.since.IsZero():
		d.since = now
	case now.Sub(d.since) >= settle:
		d.finish()
	}
}

// refusedView is the callback ID of the view in which the bot refuses something.
const refusedView = "rotation_refused_v1"

// refusals returns what the bot said to people alone since the last look, where
// that is a refusal. d.seen and d.shown are for this goroutine.
func (d *drillRun) refusals() (texts []string) {
	for _, p := range d.st.people() {
		notes, now := d.st.Slack.Notes(p.ID, d.seen[p.ID], 1<<20)
		d.seen[p.ID] = now
		for _, n := range notes {
			if n.EphemeralFor == p.ID && bytes.Contains(n.Blocks, []byte("⛔")) {
				texts = append(texts, n.Text)
			}
		}
		if v, ok := d.st.Slack.Modal(p.ID); ok && v.CallbackID == refusedView && !d.shown[v.ID] {
			d.shown[v.ID] = true
			texts = append(texts, strings.TrimSpace(strings.ReplaceAll(v.Text(), "⛔", "")))
		}
	}
	return texts
}

// colleague has Bob press what he is asked to, as a good developer does.
func (d *drillRun) colleague(ctx context.Context) {
	if ts, dm := d.asked(Bob); ts != "" {
		_, _ = d.st.Slack.PressMessage(ctx, Bob, dm, ts, updated) // asked again if it did not work
	}
}

// asked returns a direct message in which a person is asked to pull the new pair.
func (d *drillRun) asked(user string) (ts, dm string) {
	dm, ok := d.st.Slack.DM(user)
	if !ok {
		return "", ""
	}
	for _, m := range d.st.Slack.Messages(dm) {
		for _, b := range m.Buttons() {
			if b.Text == updated {
				return m.TS, dm
			}
		}
	}
	return "", ""
}

// left says what is not as it must be at the end.
func (d *drillRun) left(ctx context.Context) (undone []string) {
	add := func(bad bool, format string, args ...any) {
		if bad {
			undone = append(undone, fmt.Sprintf(format, args...))
		}
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	list, err := d.st.record.Rotations(ctx)
	add(err != nil, "The bot does not run, or does not answer.")
	ours := slices.IndexFunc(list, func(v control.RotationView) bool { return v.Rotation.KeySet == KeySet })
	add(err == nil && ours < 0, "No rotation of %s was done.", KeySet)
	if ours >= 0 {
		r := list[ours].Rotation
		d.mu.Lock()
		d.rotation = r
		d.mu.Unlock()
		add(r.Outcome == rotation.Open, "The rotation is open, at step %d.", r.Current().Number)
		add(r.Outcome == rotation.Cancelled, "The rotation was cancelled.")
	}
	for _, p := range d.st.places() {
		add(p.Works != page.Works, "%s does not work: %s.", p.Name, p.Detail)
	}
	_, alive := d.st.Alpaca.KeyState(d.st.Old.ID, d.st.Old.Secret)
	add(alive, "Alpaca still accepts the old pair.")
	for _, user := range []string{Ada, Bob} {
		ts, _ := d.asked(user)
		add(ts != "", "%s has not pressed %s in their direct message.", d.st.name(user), updated)
	}
	for _, a := range d.st.Alpaca.Accounts() {
		add(slices.ContainsFunc(d.st.Alpaca.Orders(a.Number), openTestOrder), "A test order is open in account …%s.", last4(a.Number))
	}
	add(len(d.st.Raptor.LiveOrders()) > 0, "An order was placed on the LIVE book.")
	if err == nil {
		verdict, err := d.st.record.Verify(ctx)
		add(err == nil && !verdict.Intact, "The audit record is broken: %s", verdict.Problem)
	}
	return undone
}

func openTestOrder(o alpacasim.Order) bool {
	switch o.Status {
	case "filled", "canceled", "expired", "rejected", "replaced":
		return false
	}
	return o.Symbol == orderSymbol
}
