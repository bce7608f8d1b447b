package app

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/raxx-app/keyturn/internal/config"
	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/slackbot"
	"github.com/raxx-app/keyturn/internal/state"
)

// checkLimit is how long one check may take, all its calls together. Checks run
// at the same time, so the whole takes no longer.
const checkLimit = 9 * time.Second

// A Level says how bad a finding is.
type Level string

// The levels of a [Finding].
const (
	LevelOK   Level = "ok"   // as far as that can be proven without changing anything
	LevelWarn Level = "warn" // it works, and there is something to know
	LevelFail Level = "fail" // a rotation would fail here, or nobody would be reached
)

// A Finding is what one check of a [Doctor] found. Names and meanings never
// change; fields may be added. Nothing in it is secret.
type Finding struct {
	Area   string `json:"area"`  // "slack", "people", "state", "bot", "machine", or the name of a key set
	Check  string `json:"check"` // "bot token", or the name of a consumer
	Level  Level  `json:"level"`
	Text   string `json:"text"`             // what was seen
	Fix    string `json:"fix,omitempty"`    // what to do
	Reason string `json:"reason,omitempty"` // stable, snake_case; set unless the level is ok
}

// A Doctor tries everything that [Run] needs and changes nothing: it posts
// nothing, writes no secret and never dials a Slack socket. Beside a running bot
// it reads a copy of that bot's state.
type Doctor struct {
	Config config.Config // as config.Load returned it
	Now    func() time.Time
	// Open opens the state for reading: the file, or what a running bot hands
	// out of it.
	Open func(ctx context.Context) (*state.Store, error)
	// WrapTransport is that of [Hooks].
	WrapTransport func(service string, rt http.RoundTripper) http.RoundTripper
	// Room says how many bytes are free where dir is, or would be made, and in
	// which directory that is; its error, that the bot could not write there. Nil:
	// what this machine says.
	Room func(dir string) (at string, free uint64, err error)
}

// A check looks at one thing, or at a few that belong together.
type check func(ctx context.Context) []Finding

// An examination is one run of a Doctor.
type examination struct {
	Doctor
	clients *clients
	sets    []rotation.KeySet
	slack   *slackbot.Bot
	dates   *dates
	stored  []storedPair // by key set, in the order of sets
}

// Examine makes every check and returns what it found, in the order in which
// people should read it. It takes at most 9 s. Repeating it is harmless.
func (d Doctor) Examine(ctx context.Context) []Finding {
	e := &examination{Doctor: d, dates: &dates{now: d.Now}}
	if e.Room == nil {
		e.Room = room
	}
	wires := newWires(e.dates.wrap(d.WrapTransport))
	defer wires.close()
	clients, err := newClients(d.Config, wires, d.Now)
	if err != nil { // config refuses before what a client would refuse
		return []Finding{bad("settings", "clients", err)}
	}
	e.clients = clients
	e.slack = slackbot.New(slackConfig(Options{Config: d.Config, Now: d.Now, Log: slog.New(slog.DiscardHandler)}, nil, nil, wires))
	if e.sets, err = clients.keySets(doctorsNotes{e.slack}); err != nil {
		return []Finding{bad("settings", "consumers", err)}
	}
	e.stored = make([]storedPair, len(e.sets))
	checks := []check{e.running, e.state, e.disk, e.settings, e.listen, e.slackAndPeople, e.night}
	for i, set := range e.sets {
		checks = append(checks, e.vault(set), e.syncs(set), e.pair(i))
		for _, t := range set.Targets {
			checks = append(checks, e.consumer(set, t), e.downstream(set, t))
		}
		checks = append(checks, e.testOrder(set), e.coverage(set))
	}
	found := atOnce(ctx, checks)
	return slices.Concat(found, e.shared(), e.clock())
}

// atOnce runs checks at the same time and returns what they found in their order.
func atOnce(ctx context.Context, checks []check) []Finding {
	found := make([][]Finding, len(checks))
	var wg sync.WaitGroup
	for i, c := range checks {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, checkLimit)
			defer cancel()
			found[i] = c(ctx)
		})
	}
	wg.Wait()
	return slices.Concat(found...)
}

func fine(area, name, text string) Finding {
	return Finding{Area: area, Check: name, Level: LevelOK, Text: text}
}

func warned(area, name, reason, text, fix string) Finding {
	return Finding{Area: area, Check: name, Level: LevelWarn, Text: text, Fix: fix, Reason: reason}
}

func broken(area, name, reason, text, fix string) Finding {
	return Finding{Area: area, Check: name, Level: LevelFail, Text: text, Fix: fix, Reason: reason}
}

// bad is the finding that err makes.
func bad(area, name string, err error) Finding {
	return broken(area, name, fault.ReasonOf(err), fault.UserText(err), again(fault.FixText(err)))
}

// again turns what a person is told to press in Slack into what they do at a
// terminal.
func again(fix string) string {
	fix = strings.NewReplacer(
		"then press Retry", "then run bot doctor again",
		"Press Retry", "Run bot doctor again",
		"press Retry", "run bot doctor again",
		// A bot does, bot doctor does not.
		"It may still be restarting; the bot tries again by itself.", "It may still be restarting: run bot doctor again.",
		"Nothing to do: the bot tries again.", "Run bot doctor again in a minute.",
		"; the bot tries again by itself.", "; then run bot doctor again.",
	).Replace(fix)
	if fix == "" {
		return "Run bot doctor again; if it stays, look at the bot's log."
	}
	return fix
}

// ready is the finding that a readiness makes. Unproven is fine: nothing more can
// be known without writing.
func ready(area, name string, r rotation.Readiness) Finding {
	if r.Level == rotation.NotReady {
		return broken(area, name, r.Problem.Reason, r.Problem.Text, again(r.Problem.Fix))
	}
	return fine(area, name, r.Detail)
}

// factOf returns the value of the fact called name, or "".
func factOf(facts []rotation.Fact, name string) string {
	for _, f := range facts {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// A doctorsNotes tells whether people can be written to, and writes to nobody.
type doctorsNotes struct{ slack *slackbot.Bot }

var _ rotation.Notifier = doctorsNotes{}

// Reach implements [rotation.Notifier].
func (n doctorsNotes) Reach(ctx context.Context, to string) error { return n.slack.Reach(ctx, to) }

// Send implements [rotation.Notifier].
func (doctorsNotes) Send(context.Context, string, string, rotation.Note) error {
	return &fault.Error{Kind: fault.Internal, Reason: "doctor_sends_nothing", Op: "app.Doctor"}
}
