package slackbot

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/slackevents"
	"golang.org/x/time/rate"

	"github.com/raxx-app/keyturn/internal/commands"
	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/modals"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// homePrefix starts the keys under which it is kept who has opened Home: +
// Slack user. Only their tabs are kept up to date.
const homePrefix = "home/"

// homeFor is how long somebody's tab is kept up to date after they last opened
// it. Opening it always draws it.
const homeFor = 30 * 24 * time.Hour

// homeRefused is how many times in a row a tab is tried that Slack refuses.
const homeRefused = 3

// A guest is somebody who has opened Home.
type guest struct {
	opened time.Time // last; zero: they may not see it, and are told so
	asked  bool      // they have opened it since it was drawn
	rests  bool      // it was drawn a moment ago
	drawn  string    // hash of what stands there, without what changes with the clock
	failed int       // drawings in a row that Slack refused
}

// homeRecord is what is kept of one.
type homeRecord struct {
	At time.Time `json:"at"`
}

// home keeps the Home tabs up to date: each is drawn when its owner opens it,
// and again when what it shows has changed, at most once in [Times.Home].
type home struct {
	b    *Bot
	pace *rate.Limiter // over all tabs: views.publish allows about 100 a minute
	wake chan struct{}

	mu     sync.Mutex
	guests map[string]*guest
	pasts  map[string]pastOf // by key set
}

func newHome(b *Bot) *home {
	return &home{b: b, pace: rate.NewLimiter(rate.Every(time.Second), 20), wake: make(chan struct{}, 1), guests: map[string]*guest{}, pasts: map[string]pastOf{}}
}

// changed has every tab looked at again.
func (h *home) changed() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// homeEvent draws the Home tab of whoever opened it; other events mean nothing.
func (b *Bot) homeEvent(ctx context.Context, evt slackevents.EventsAPIEvent) {
	opened, ok := evt.InnerEvent.Data.(*slackevents.AppHomeOpenedEvent)
	if !ok || opened.Tab != "home" || opened.User == "" {
		return
	}
	install := false
	if cb, ok := evt.Data.(*slackevents.EventsAPICallbackEvent); ok {
		for _, a := range cb.Authorizations {
			install = install || a.IsEnterpriseInstall
		}
	}
	b.roster.against(opened.User, install, evt.TeamID)
	err := b.gate.Check(ctx, rotation.Actor{ID: opened.User}, commands.ActHome, commands.Subject{})
	b.home.opened(ctx, opened.User, err)
}

// against is [Roster.came] for an event. An event does not say which workspace
// the person is of, so it can only speak against them.
func (r *Roster) against(person string, install bool, team string) {
	r.mu.Lock()
	elsewhere := r.team != "" && team != "" && team != r.team
	r.mu.Unlock()
	if install || elsewhere {
		r.came(person, install, team)
	}
}

// opened notes that somebody opened Home; why says why they may not see it.
func (h *home) opened(ctx context.Context, user string, why error) {
	now := h.b.cfg.Now()
	h.mu.Lock()
	g := h.guests[user]
	if g == nil {
		g = &guest{}
		h.guests[user] = g
	}
	g.asked = true
	known := !g.opened.IsZero() && now.Sub(g.opened) < time.Hour
	if why == nil && !known {
		g.opened = now
	}
	h.mu.Unlock()
	h.changed()
	if why != nil || known {
		return
	}
	body, err := json.Marshal(homeRecord{At: now})
	if err == nil {
		_, err = h.b.cfg.Store.Txn(ctx, nil, []rotation.Op{{Key: homePrefix + user, Value: body}})
	}
	h.b.warn(ctx, "remember Home", err) // it lives for as long as the process
}

// load reads who opened Home in earlier processes.
func (h *home) load(ctx context.Context) error {
	kvs, err := h.b.cfg.Store.List(ctx, homePrefix, "", 0)
	if err != nil {
		return fmt.Errorf("list who opened Home: %w", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, kv := range kvs {
		var rec homeRecord
		if err := json.Unmarshal(kv.Value, &rec); err == nil && !rec.At.IsZero() {
			user := strings.TrimPrefix(kv.Key, homePrefix)
			if h.guests[user] == nil {
				h.guests[user] = &guest{opened: rec.At}
			}
		}
	}
	return nil
}

// run draws tabs until ctx ends. It looks now and then whether one is out of
// date without anybody having said so: days pass, and roles are lost.
func (h *home) run(ctx context.Context) error {
	if err := h.load(ctx); err != nil {
		return err
	}
	for {
		if err := pause(ctx, h.b.times.Look, h.wake); err != nil {
			return err
		}
		if err := pause(ctx, gatherFor, nil); err != nil {
			return err
		}
		h.round(ctx)
	}
}

// round draws the tabs that are due. What they show is read once for all of
// them.
func (h *home) round(ctx context.Context) {
	users := h.due()
	if len(users) == 0 {
		return
	}
	what := modals.Home{Now: h.b.cfg.Now().UTC(), Cards: h.b.cards(ctx, homeEvents)}
	for _, user := range users {
		if ctx.Err() != nil {
			return
		}
		h.draw(ctx, user, what)
	}
}

// due returns whose tabs may be out of date and may be drawn now. Whoever has
// not opened theirs for long is forgotten.
func (h *home) due() []string {
	now := h.b.cfg.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	var users []string
	for user, g := range h.guests {
		switch {
		case g.rests: // it wakes us itself
		case g.asked:
			users = append(users, user)
		case g.opened.IsZero(), now.Sub(g.opened) > homeFor:
			delete(h.guests, user)
		default:
			users = append(users, user)
		}
	}
	return users
}

// draw brings one tab up to date. Whether its owner may see it is asked anew:
// a role may be gone since it was opened.
func (h *home) draw(ctx context.Context, user string, what modals.Home) {
	who := rotation.Actor{ID: user}
	h.mu.Lock()
	g := h.guests[user]
	asked := g.asked
	g.asked = false
	before := g.drawn
	h.mu.Unlock()

	why := h.b.gate.May(who, commands.ActHome, commands.Subject{})
	if why != nil && !asked && fault.KindOf(why) != fault.Denied {
		return // Slack does not say; what stands there was theirs to see
	}
	what.MayOpen = h.b.mayOpen(who)
	view, drawn := h.view(what, why)
	if drawn == before && !asked {
		return
	}
	h.mu.Lock()
	g.rests = true
	h.mu.Unlock()
	err := h.publish(ctx, user, view)
	if ctx.Err() != nil {
		return
	}
	h.drew(ctx, user, drawn, why, err)
}

// view returns what a person sees, and its hash without what changes with the
// clock alone.
func (h *home) view(what modals.Home, why error) (slack.HomeTabViewRequest, string) {
	if why != nil {
		v := modals.HomeRefused(refusal(why))
		return v, hashHome(v)
	}
	return modals.HomeTab(what), hashHome(modals.HomeTab(steady(what)))
}

// steady leaves out what changes with each probe and each minute.
func steady(what modals.Home) modals.Home {
	what.Now = what.Now.Truncate(24 * time.Hour)
	cards := make([]modals.Card, len(what.Cards))
	for i, c := range what.Cards {
		c.Now = c.Now.Truncate(24 * time.Hour)
		if c.Seen != nil {
			s := *c.Seen
			s.Asked = time.Time{}
			if s.State == "alive" {
				s.LastOK = time.Time{}
			}
			c.Seen = &s
		}
		cards[i] = c
	}
	what.Cards = cards
	return what
}

func hashHome(v slack.HomeTabViewRequest) string {
	body, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// publish sends one tab.
func (h *home) publish(ctx context.Context, user string, view slack.HomeTabViewRequest) error {
	if err := modals.CheckHome(view); err != nil {
		return h.b.overLimit(ctx, err)
	}
	if err := h.pace.Wait(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	_, err := h.b.api.PublishViewContext(ctx, slack.PublishViewContextRequest{UserID: user, View: view})
	return slackFault("slackbot.publish", err)
}

// drew notes what became of a drawing, and has the next one wait.
func (h *home) drew(ctx context.Context, user, drawn string, why, err error) {
	h.b.warn(ctx, "views.publish", err)
	h.mu.Lock()
	g := h.guests[user]
	known := !g.opened.IsZero()
	lost := err == nil && why != nil && fault.KindOf(why) == fault.Denied
	switch {
	case lost:
		g.drawn, g.failed, g.opened = drawn, 0, time.Time{} // forgotten until they open it again
	case err == nil:
		g.drawn, g.failed = drawn, 0
		if why == nil && !known {
			g.opened = h.b.cfg.Now()
		}
	default:
		g.failed++
		g.asked = fault.KindOf(err) == fault.Transient || fault.KindOf(err) == fault.Unknown || g.failed < homeRefused
		if !g.asked { // until something changes
			g.drawn, g.failed = drawn, 0
		}
	}
	h.mu.Unlock()
	time.AfterFunc(max(h.b.times.Home, fault.RetryAfter(err)), func() { h.rested(user) })
	if lost && known {
		_, err := h.b.cfg.Store.Txn(ctx, nil, []rotation.Op{{Key: homePrefix + user, Delete: true}})
		h.b.warn(ctx, "forget Home", err)
	}
}

// rested lets a tab be drawn again.
func (h *home) rested(user string) {
	h.mu.Lock()
	if g := h.guests[user]; g != nil {
		g.rests = false
	}
	h.mu.Unlock()
	h.changed()
}
