// Package slacksim is a Slack workspace on loopback: the Web API and Socket
// Mode over real HTTP and real WebSockets, and the people who type commands,
// fill in modals and press buttons. It is strict: what Slack refuses, it
// refuses with Slack's error. It knows the bot only by its tokens.
//
// Every answer follows docs.slack.dev or a sample under
// testdata/contracts/slack; where neither settles a point, the comment there
// says what was chosen. Block types that it cannot check are refused.
package slacksim

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/raxx-app/keyturn/internal/sim/simhttp"
)

// A Config says which workspace and app to simulate. Every zero field but the
// switches gets a default.
type Config struct {
	BotToken   string   // default "xoxb-sim-bot-token"
	AppToken   string   // default "xapp-sim-app-token"
	TeamID     string   // default "T0RAXX"
	TeamDomain string   // default "raxx"
	AppID      string   // default "A0KEYTURN"
	BotUserID  string   // default "U0KEYTURN"
	BotID      string   // default "B0KEYTURN"
	BotName    string   // default "keyturn"
	Scopes     []string // of the bot token; default: what Keyturn's manifest asks for
	AppScopes  []string // of the app-level token; default connections:write
	Commands   []string // registered slash commands; default /rotate-alpaca-paper

	TriggerLife     time.Duration   // of a trigger_id; default 3 s
	AckDeadline     time.Duration   // for every envelope; default 3 s
	PingEvery       time.Duration   // server pings; default 10 s
	DisconnectGrace time.Duration   // from a disconnect frame to the close frame; default 10 s
	EventRetries    []time.Duration // waits before events are sent again; default 0, 1 min, 5 min
	RateWindow      time.Duration   // of the rate-limit tiers; default 1 min

	// AckAnywhere accepts an ack on another socket than the envelope came on.
	// Whether Slack does is not documented, so the default is the harder case.
	AckAnywhere bool
	// EnforceTiers answers 429 above the rate-limit tier of a method.
	EnforceTiers bool

	Now func() time.Time // for stamps and lifetimes; default time.Now
}

func (c *Config) fillIn() {
	text := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	text(&c.BotToken, "xoxb-sim-bot-token")
	text(&c.AppToken, "xapp-sim-app-token")
	text(&c.TeamID, "T0RAXX")
	text(&c.TeamDomain, "raxx")
	text(&c.AppID, "A0KEYTURN")
	text(&c.BotUserID, "U0KEYTURN")
	text(&c.BotID, "B0KEYTURN")
	text(&c.BotName, "keyturn")
	wait := func(field *time.Duration, value time.Duration) {
		if *field == 0 {
			*field = value
		}
	}
	wait(&c.TriggerLife, 3*time.Second)
	wait(&c.AckDeadline, 3*time.Second)
	wait(&c.PingEvery, 10*time.Second)
	wait(&c.DisconnectGrace, 10*time.Second)
	wait(&c.RateWindow, time.Minute)
	if c.Scopes == nil {
		c.Scopes = []string{"commands", "chat:write", "im:write", "usergroups:read", "users:read", "channels:read", "groups:read"}
	}
	if c.AppScopes == nil {
		c.AppScopes = []string{"connections:write"}
	}
	if c.Commands == nil {
		c.Commands = []string{"/rotate-alpaca-paper"}
	}
	if c.EventRetries == nil {
		c.EventRetries = []time.Duration{0, time.Minute, 5 * time.Minute}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
}

// A Workspace is the simulated workspace. Its methods may be called from any
// goroutine; what they return is a copy.
//
// The embedded server's Inject, FailNext, SetDelay, Calls and Count work on
// every path: "/api/views.open", "/link/" for the WebSocket, "/response/".
type Workspace struct {
	*simhttp.Server
	cfg Config

	mu       sync.Mutex
	ackIn    time.Duration // AckDeadline and TriggerLife as they are now
	openIn   time.Duration
	changed  chan struct{} // closed and replaced at every change
	closed   chan struct{}
	work     sync.WaitGroup // sockets and redeliveries
	counter  int64          // makes ids unique
	lastTS   int64          // of the newest message, in microseconds
	users    map[string]*User
	groups   []*Group
	channels map[string]*room
	posts    []*post
	views    map[string]*view // modals that are open, home tabs
	stacks   map[string][]*stack
	homes    map[string]*view
	triggers map[string]*trigger
	urls     map[string]*responseURL
	limits   limiter
	authFail string // error code for every call, "" for none
	sockets  socketPool
	entries  []Entry
	sent     []Entry
	problems []string
}

// New returns a workspace that holds only the bot. Call Start before use.
func New(cfg Config) *Workspace {
	cfg.fillIn()
	w := &Workspace{
		cfg:      cfg,
		ackIn:    cfg.AckDeadline,
		openIn:   cfg.TriggerLife,
		changed:  make(chan struct{}),
		closed:   make(chan struct{}),
		users:    map[string]*User{},
		channels: map[string]*room{},
		views:    map[string]*view{},
		stacks:   map[string][]*stack{},
		homes:    map[string]*view{},
		triggers: map[string]*trigger{},
		urls:     map[string]*responseURL{},
		limits:   newLimiter(),
		sockets:  newSocketPool(),
	}
	w.Server = simhttp.New(http.HandlerFunc(w.route))
	w.users[cfg.BotUserID] = &User{ID: cfg.BotUserID, Name: cfg.BotName, TeamID: cfg.TeamID, IsBot: true}
	return w
}

// APIURL returns the Web API's base URL, with the trailing slash that slack-go
// requires.
func (w *Workspace) APIURL() string { return w.URL() + "/api/" }

// Config returns the settings with the defaults filled in.
func (w *Workspace) Config() Config { return w.cfg }

// SetDeadlines changes AckDeadline and TriggerLife for what comes from now on. A
// drill that runs many bots on a busy machine is not about Slack's 3 s.
func (w *Workspace) SetDeadlines(ack, trigger time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ackIn, w.openIn = ack, trigger
}

// Close ends the server and every socket and waits for them. A second Close
// does nothing.
func (w *Workspace) Close() error {
	w.mu.Lock()
	select {
	case <-w.closed:
		w.mu.Unlock()
		return nil
	default:
		close(w.closed)
	}
	for _, s := range w.sockets.all {
		s.cut(false)
	}
	w.mu.Unlock()
	err := w.Server.Close()
	w.work.Wait()
	return err
}

// spawn runs f on its own unless the workspace is closed; w.mu is held.
func (w *Workspace) spawn(f func()) {
	select {
	case <-w.closed:
	default:
		w.work.Go(f)
	}
}

// route hands a request to the part that serves it.
func (w *Workspace) route(rw http.ResponseWriter, r *http.Request) {
	switch path := r.URL.Path; {
	case strings.HasPrefix(path, "/api/"):
		w.serveAPI(rw, r, strings.TrimPrefix(path, "/api/"))
	case path == "/link/":
		w.serveSocket(rw, r)
	case strings.HasPrefix(path, "/response/"):
		w.serveResponseURL(rw, r)
	default:
		w.mu.Lock()
		w.problem("unknown path " + path)
		w.mu.Unlock()
		http.NotFound(rw, r)
	}
}

// notify wakes everybody who waits for a change; w.mu is held.
func (w *Workspace) notify() {
	close(w.changed)
	w.changed = make(chan struct{})
}

// Changed returns a channel that is closed at the next change of anything that
// people or the bot's sockets see. Get it before you look.
func (w *Workspace) Changed() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changed
}

// wait calls f with w.mu held, at once and after every change, until it
// reports true. It returns ctx's error, or ErrClosed.
func (w *Workspace) wait(ctx context.Context, f func() bool) error {
	for {
		w.mu.Lock()
		ok, changed := f(), w.changed
		w.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-w.closed:
			return ErrClosed
		}
	}
}

// waitFor calls look with w.mu held, at once and after every change, and then ok
// without it, for each of what look returned, until ok reports true: what a
// caller asks may ask the workspace in turn, or write somewhere that is read by
// somebody who does.
func waitFor[T any](ctx context.Context, w *Workspace, look func() []T, ok func(T) bool) (T, error) {
	var last T
	for {
		w.mu.Lock()
		seen, changed := look(), w.changed
		w.mu.Unlock()
		for _, last = range seen {
			if ok(last) {
				return last, nil
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return last, ctx.Err()
		case <-w.closed:
			return last, ErrClosed
		}
	}
}

// ErrClosed is returned by calls that wait when the workspace is closed.
var ErrClosed = errors.New("slack workspace is closed")

// id returns a new identifier with a prefix; w.mu is held.
func (w *Workspace) id(prefix string) string {
	w.counter++
	return prefix + strings.ToUpper(strconv.FormatInt(1_000_000+w.counter, 36))
}

// random returns n random bytes as hexadecimal digits.
func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

// uuid returns a random identifier in the form of an envelope_id.
func uuid() string {
	s := random(16)
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// timestamp returns a new message ts, later than every one before; w.mu is held.
func (w *Workspace) timestamp() string {
	now := w.cfg.Now().UnixMicro()
	w.lastTS = max(w.lastTS+1, now)
	return strconv.FormatInt(w.lastTS/1_000_000, 10) + "." + sixDigits(w.lastTS%1_000_000)
}

func sixDigits(n int64) string {
	s := strconv.FormatInt(n, 10)
	return strings.Repeat("0", 6-len(s)) + s
}
