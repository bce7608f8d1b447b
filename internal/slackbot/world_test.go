package slackbot

import (
	"bytes"
	"cmp"
	"context"
	"log/slog"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/raxx-app/keyturn/internal/developers"
	"github.com/raxx-app/keyturn/internal/jobs"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
	"github.com/raxx-app/keyturn/internal/sim/simtest"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
	"github.com/raxx-app/keyturn/internal/state"
)

// Who and what there is in every world.
const (
	opsChannel = "C0RAXXOPS"
	opsGroup   = "S0RAXXOPS"
	ada        = "U0ADA" // ops
	bob        = "U0BOB" // developer
	command    = "/rotate-alpaca-paper"
)

// patience is how long a person looks at the screen before the test fails.
const patience = 30 * time.Second

const soon = 20 * time.Millisecond

// quick are times for tests that are not about them: the second socket comes at
// once, and people are looked up all the time.
func quick() Times {
	return Times{
		Redraw: soon, Home: soon,
		Second: time.Millisecond, Alone: 10 * soon, Open: soon / 4, OpenMax: soon, Settled: soon, Stable: 2 * soon, Hello: time.Second,
		Refused: soon, Flush: soon / 2, Roster: 2 * soon, Again: soon,
	}
}

// A world is a Slack workspace, a shop, and a state file. A bot runs in it
// until it is stopped.
type world struct {
	t      testing.TB
	slack  *slacksim.Workspace
	shop   *shop
	store  rotation.Store
	wrap   func(rotation.Store) rotation.Store // of the bot's; may be nil
	times  Times
	named  []string // who may press Updated
	log    *journal
	alarms chan error
	config func(*Config) // changes the bot's; may be nil
	ahead  atomic.Int64  // how far the bot's clock is ahead, in nanoseconds

	bot    *Bot
	engine *rotation.Engine
	stop   func() // ends the bot as SIGTERM would; a second call does nothing
}

func newWorld(t testing.TB, cfg slacksim.Config) *world {
	t.Helper()
	cfg.AckDeadline, cfg.TriggerLife = cmp.Or(cfg.AckDeadline, patience), patience // a machine with other work stands still for seconds
	w := &world{t: t, slack: simtest.Slack(t, cfg), shop: newShop(), times: quick(), named: []string{bob}, log: &journal{}, alarms: make(chan error, 100), stop: func() {}}
	for _, id := range []string{ada, bob} {
		w.slack.AddUser(slacksim.User{ID: id})
	}
	w.slack.AddGroup(slacksim.Group{ID: opsGroup, Users: []string{ada}})
	w.slack.AddChannel(slacksim.Channel{ID: opsChannel, Members: []string{w.slack.Config().BotUserID, ada, bob}})
	store, err := state.Open(t.Context(), state.Config{Path: filepath.Join(t.TempDir(), "keyturn.db")})
	if err != nil {
		t.Fatal(err)
	}
	w.store = store
	t.Cleanup(func() {
		w.stop()
		if err := store.Close(); err != nil {
			t.Errorf("close store: %v", err)
		}
	})
	return w
}

// identity is one for the whole test process: making one is slow.
var identity = sync.OnceValue(func() secret.Text {
	key, _, err := state.GenerateIdentity()
	if err != nil {
		panic(err)
	}
	return key
})

// poster lets the outbox post through a bot.
type poster struct{ *Bot }

func (p poster) Post(ctx context.Context, o rotation.Overview, again bool) (jobs.Ref, error) {
	at, err := p.Bot.Post(ctx, o, again)
	return jobs.Ref(at), err
}

func (p poster) Update(ctx context.Context, at jobs.Ref, o rotation.Overview) error {
	return p.Bot.Update(ctx, rotation.Posted(at), o)
}

func (p poster) Note(ctx context.Context, to string, n rotation.Note, again bool) (jobs.Ref, error) {
	at, err := p.Bot.Note(ctx, to, n, again)
	return jobs.Ref(at), err
}

// build makes an engine and a bot on what the store holds; neither runs.
func (w *world) build() *jobs.Outbox {
	w.t.Helper()
	store := w.store
	if w.wrap != nil {
		store = w.wrap(store)
	}
	sealer, err := state.LoadSealer(w.t.Context(), w.store, identity())
	if err != nil {
		w.t.Fatal(err)
	}
	log := slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	post := &poster{}
	outbox := jobs.New(jobs.Config{
		Store: store, Poster: post, Reacher: post, Now: time.Now, Log: log, Scan: soon, Pace: soon,
		Engine: jobs.LookFunc(func(ctx context.Context, id rotation.ID) (rotation.Overview, error) { return w.engine.Look(ctx, id) }),
	})
	names := rotation.Names{KeyID: "KEY", Secret: "SECRET"}
	engine := rotation.New(rotation.Config{
		Store: store, Chain: state.NewChain(store), Sealer: sealer, Vendor: w.shop, Book: w.shop, Now: time.Now, Log: log,
		Limits: rotation.Limits{ProbeFast: soon, ProbeSlow: soon, Confirm: soon, Recheck: soon, RejectedAgain: []time.Duration{soon}},
		KeySets: []rotation.KeySet{{
			Name: "prod", CadenceDays: 180, Names: names, Place: "project p, prod, /", Vault: shopVault{w.shop},
			Targets: []rotation.Target{
				{Name: "api", Kind: "heroku", Counts: true, Consumer: shopApp{w.shop}},
				{Name: "local-dev", Kind: "developers", Consumer: &developers.Group{Name: "local-dev", KeySet: "prod", Users: []string{bob}, Names: names, Notifier: outbox, Now: time.Now}},
			},
		}},
		Tell: func(id rotation.ID) {
			post.Changed(id)
			outbox.Wake()
		},
	})
	c := w.slack.Config()
	cfg := Config{
		BotToken: secret.New(c.BotToken), AppToken: secret.New(c.AppToken), APIURL: w.slack.APIURL(), Transport: &http.Transport{DisableKeepAlives: true},
		Channel: opsChannel, Ops: Role{Group: opsGroup}, OnCall: Role{Group: opsGroup}, Developers: map[string][]string{"prod/local-dev": w.named},
		Engine: engine, Store: store, Now: func() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }, Log: log, Times: w.times,
		Alarm: func(err error) { w.alarms <- err },
	}
	if w.config != nil {
		w.config(&cfg)
	}
	bot := New(cfg)
	post.Bot, w.bot, w.engine = bot, bot, engine
	if err := engine.Load(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	return outbox
}

// launch runs a bot, and returns at once.
func (w *world) launch() {
	w.t.Helper()
	outbox := w.build()
	ctx, cancel := context.WithCancel(context.Background())
	g, inner := errgroup.WithContext(ctx)
	engine, bot := w.engine, w.bot
	g.Go(func() error { return engine.Run(inner) })
	g.Go(func() error { return outbox.Run(inner) })
	g.Go(func() error { return bot.Run(inner) })
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := g.Wait(); err != nil {
			w.t.Errorf("the bot ended with %v, want nil", err)
		}
	})
}

// start runs a bot until both sockets are up and it is known who is who.
func (w *world) start() {
	w.t.Helper()
	w.launch()
	w.connected()
	w.until("everybody is known", func() bool { return !w.bot.roster.Standing(ada).AsOf.IsZero() })
}

// connected waits until both sockets are open at Slack, and the bot says
// that it is connected.
func (w *world) connected() {
	w.t.Helper()
	w.until("connected", func() bool { return w.slack.Sockets() == lineCount && w.bot.Connected() })
}

// until waits until ok holds.
func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("not after %s: %s; log:\n%s", patience, what, w.log)
		}
	}
}

func (w *world) ctx() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

// command has ada type the command.
func (w *world) command(text string) slacksim.CommandResult {
	w.t.Helper()
	ctx, cancel := w.ctx()
	defer cancel()
	got, err := w.slack.Command(ctx, ada, opsChannel, command, text)
	if err != nil {
		w.t.Fatalf("ada types %q: %v", text, err)
	}
	return got
}

// see waits until a person's modal shows text.
func (w *world) see(who, text string) {
	w.t.Helper()
	ctx, cancel := w.ctx()
	defer cancel()
	_, err := w.slack.WaitModal(ctx, who, func(v slacksim.View) bool { return strings.Contains(v.Text(), text) })
	if err != nil {
		last, _ := w.slack.Modal(who)
		w.t.Fatalf("%s does not see %q: %v; the screen shows:\n%s\nlog:\n%s", who, text, err, last.Text(), w.log)
	}
}

// message waits until a message in the ops channel shows text.
func (w *world) message(text string) slacksim.Message {
	w.t.Helper()
	ctx, cancel := w.ctx()
	defer cancel()
	m, err := w.slack.WaitMessage(ctx, opsChannel, func(m slacksim.Message) bool { return strings.Contains(m.Visible(), text) })
	if err != nil {
		w.t.Fatalf("no message shows %q: %v; log:\n%s", text, err, w.log)
	}
	return m
}

// atStepTwo opens a rotation and goes on to the view in which keys are pasted.
func (w *world) atStepTwo() rotation.ID {
	w.t.Helper()
	if got := w.command("prod"); got.Err != "" || got.Reply != nil {
		w.t.Fatalf("the command was answered: %+v", got)
	}
	id := w.active()
	w.wait(id, "step 1 is ready", func(r *rotation.Rotation) bool {
		items := r.Step(rotation.StepPrecheck).Items
		for _, it := range items {
			if !it.State.Settled() {
				return false
			}
		}
		return len(items) > 0
	})
	var ticks []string
	for _, p := range rotation.Prerequisites() {
		ticks = append(ticks, p.Name)
	}
	problems, err := w.engine.GoOn(w.t.Context(), rotation.Actor{ID: ada}, id, rotation.GoOn{Trigger: rotation.TriggerScheduled, Ticks: ticks})
	if err != nil || len(problems) > 0 {
		w.t.Fatalf("GoOn = %v, %v", problems, err)
	}
	w.see(ada, "Step 2 of 8")
	return id
}

// active waits until a rotation is open.
func (w *world) active() (id rotation.ID) {
	w.t.Helper()
	w.until("a rotation is open", func() bool {
		var err error
		id, err = w.engine.Active(w.t.Context(), "prod")
		return err == nil
	})
	return id
}

// wait waits until a rotation is as described.
func (w *world) wait(id rotation.ID, what string, ok func(*rotation.Rotation) bool) {
	w.t.Helper()
	w.until(what, func() bool {
		o, err := w.engine.Look(w.t.Context(), id)
		return err == nil && ok(&o.Rotation)
	})
}

// completed waits until a rotation has completed.
func (w *world) completed(id rotation.ID) {
	w.t.Helper()
	w.wait(id, "completed", func(r *rotation.Rotation) bool { return r.Outcome == rotation.Completed })
}

// paste types a pair and submits it, again if the bot asks for it.
func (w *world) paste(p rotation.Pair) slacksim.SubmitResult {
	w.t.Helper()
	ctx, cancel := w.ctx()
	defer cancel()
	for field, text := range map[string]string{"Key ID": p.KeyID.Reveal(), "Secret key": p.Secret.Reveal()} {
		if err := w.slack.Type(ctx, ada, field, text); err != nil {
			w.t.Fatalf("type %s: %v", field, err)
		}
	}
	for {
		got, err := w.slack.Submit(ctx, ada)
		if err != nil || got.Trouble != "" {
			w.t.Fatalf("submit: %v, %s; log:\n%s", err, got.Trouble, w.log)
		}
		if !slices.Contains(slices.Collect(maps.Values(got.Errors)), notSaved) {
			return got
		}
	}
}

// rows returns the audit rows with an action.
func (w *world) rows(action string) []rotation.Row {
	w.t.Helper()
	entries, err := state.Rows(w.t.Context(), w.store, "")
	if err != nil {
		w.t.Fatal(err)
	}
	var rows []rotation.Row
	for _, e := range entries {
		if e.Row.Action == "secret.rotate."+action {
			rows = append(rows, e.Row)
		}
	}
	return rows
}

// A journal keeps log lines.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}
