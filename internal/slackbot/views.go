package slackbot

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slack-go/slack"
	"golang.org/x/time/rate"

	"github.com/raxx-app/keyturn/internal/commands"
	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/modals"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// viewPrefix starts the keys under which open views are remembered, so that
// they live on after a restart: + rotation + "/" + view ID.
const viewPrefix = "view/"

// gatherFor is how long changes are gathered before views are drawn: a dozen
// checks that end together become one drawing.
const gatherFor = 60 * time.Millisecond

// A shownView is a modal that somebody has open.
type shownView struct {
	ID       string      `json:"id"`
	Rotation rotation.ID `json:"rotation"`
	User     string      `json:"user"`
	Drawn    string      `json:"drawn"` // hash of what was last drawn
	Key      string      `json:"key"`   // with the key view: its round, and whether the old pair was dead

	turn   *turn // the same for as long as the view is open
	lost   bool  // its person may no longer see it, and is told so; for who has the turn
	failed int   // drawings in a row that Slack refused; for run alone
}

// refusedMax is how many times in a row a view is tried that Slack refuses: the
// next state may be one that it takes, and an answer may have been garbled.
const refusedMax = 12

// views keeps open modals up to date. Several changes become one drawing; the
// last state always arrives.
type views struct {
	b     *Bot
	pace  *rate.Limiter // over all views: views.update allows about 100 a minute
	wake  chan struct{}
	mu    sync.Mutex
	dirty map[rotation.ID]bool
	open  map[string]*shownView // by view ID
}

func newViews(b *Bot) *views {
	return &views{b: b, pace: rate.NewLimiter(rate.Every(700*time.Millisecond), 8), wake: make(chan struct{}, 1), dirty: map[rotation.ID]bool{}, open: map[string]*shownView{}}
}

// changed marks a rotation's views for drawing.
func (v *views) changed(id rotation.ID) {
	v.mu.Lock()
	v.dirty[id] = true
	v.mu.Unlock()
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

// hold keeps everybody from drawing a view until release is called: it is for
// who answers a submission. If clean is false a drawing that is older than the
// answer may still come in.
func (v *views) hold(view string) (release func(), clean bool) {
	s := v.get(view)
	if s == nil {
		return func() {}, true
	}
	return s.turn.answer()
}

// get returns an open view; nil: it is not known, or forgotten.
func (v *views) get(view string) *shownView {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.open[view]
}

// replaced reports whether a key view that somebody has just submitted shows
// something else by now: another step, or that its person has lost the role. Who
// asks has the view's turn.
func (s *shownView) replaced() bool { return s.lost || s.Drawn != "" && s.Key == "" }

// show remembers a view as one of rotation id and has it drawn.
func (v *views) show(ctx context.Context, id rotation.ID, view, user string) {
	v.remember(ctx, &shownView{ID: view, Rotation: id, User: user})
	v.changed(id)
}

// shown remembers a view that was drawn already.
func (v *views) shown(ctx context.Context, id rotation.ID, view, user string, o rotation.Overview, drawn slack.ModalViewRequest) {
	v.remember(ctx, &shownView{ID: view, Rotation: id, User: user, Drawn: hash(drawn), Key: keyOf(o)})
	v.changed(id)
}

// remember commits that a view is open before it is drawn for the first time:
// one that people see live is not dead after a restart. If that cannot be
// stored the view lives for as long as the process.
func (v *views) remember(ctx context.Context, s *shownView) {
	body, err := json.Marshal(s)
	if err == nil {
		_, err = v.b.cfg.Store.Txn(ctx, nil, []rotation.Op{{Key: viewPrefix + string(s.Rotation) + "/" + s.ID, Value: body}})
	}
	v.b.warn(ctx, "remember view", err)
	v.mu.Lock()
	defer v.mu.Unlock()
	if before := v.open[s.ID]; before != nil {
		s.turn = before.turn
	} else {
		s.turn = newTurn()
	}
	v.open[s.ID] = s
}

func (v *views) forget(ctx context.Context, s *shownView) {
	v.mu.Lock()
	current := v.open[s.ID] == s
	if current {
		delete(v.open, s.ID)
	}
	v.mu.Unlock()
	if !current {
		return // it shows another rotation, or another step, since
	}
	_, err := v.b.cfg.Store.Txn(ctx, nil, []rotation.Op{{Key: viewPrefix + string(s.Rotation) + "/" + s.ID, Delete: true}})
	v.b.warn(ctx, "forget view", err)
}

// run draws what changed until ctx ends. It begins with the views that were
// open when the bot last stopped.
func (v *views) run(ctx context.Context) error {
	if err := v.load(ctx); err != nil {
		return err
	}
	for {
		select {
		case <-v.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
		gather := time.NewTimer(gatherFor)
		select {
		case <-gather.C:
		case <-ctx.Done():
			gather.Stop()
			return ctx.Err()
		}
		for _, s := range v.takeDirty() {
			if err := v.draw(ctx, s); err != nil && ctx.Err() == nil {
				v.b.warn(ctx, "views.update", err)
				v.again(ctx, s, err)
			}
		}
	}
}

// again has a view drawn later. One that is gone is forgotten, and one that
// Slack goes on refusing.
func (v *views) again(ctx context.Context, s *shownView, err error) {
	wait := max(time.Second, fault.RetryAfter(err))
	switch fault.KindOf(err) {
	case fault.Transient, fault.Unknown, fault.Conflict:
	case fault.NotFound:
		v.forget(ctx, s)
		return
	case fault.Internal, fault.Invalid, fault.Denied:
		if s.failed++; s.failed > refusedMax {
			v.forget(ctx, s)
			return
		}
		wait = v.b.times.Redraw
	}
	time.AfterFunc(wait, func() { v.changed(s.Rotation) })
}

func (v *views) load(ctx context.Context) error {
	kvs, err := v.b.cfg.Store.List(ctx, viewPrefix, "", 0)
	if err != nil {
		return fmt.Errorf("list open views: %w", err)
	}
	v.mu.Lock()
	for _, kv := range kvs {
		var s shownView
		if err := json.Unmarshal(kv.Value, &s); err == nil && s.ID != "" {
			s.turn = newTurn()
			v.open[s.ID] = &s
		}
	}
	v.mu.Unlock()
	for _, s := range kvs {
		id, _, _ := strings.Cut(strings.TrimPrefix(s.Key, viewPrefix), "/")
		v.changed(rotation.ID(id))
	}
	return nil
}

// takeDirty returns the views of the rotations that changed.
func (v *views) takeDirty() []*shownView {
	v.mu.Lock()
	defer v.mu.Unlock()
	var list []*shownView
	for _, s := range v.open {
		if v.dirty[s.Rotation] {
			list = append(list, s)
		}
	}
	clear(v.dirty)
	return list
}

// draw brings one view up to date. The view in which keys are typed is left
// alone, but for once: when the old pair is first seen dead.
func (v *views) draw(ctx context.Context, s *shownView) error {
	if err := v.pace.Wait(ctx); err != nil {
		return err
	}
	inner, release, err := s.turn.draw(ctx)
	if err != nil {
		return err
	}
	before := s.Key
	o, drawn, err := v.redraw(inner, s)
	calledBack := inner.Err() != nil && ctx.Err() == nil
	release()
	switch {
	case calledBack:
		return nil // what was answered instead has it drawn anew
	case err != nil:
		return err
	case drawn:
		s.failed = 0
		v.b.visited(ctx, s.User, o, before)
	}
	if s.lost || o.Rotation.Outcome != rotation.Open && o.Rotation.ID != "" {
		v.forget(ctx, s)
	}
	return nil
}

// redraw is draw for who has the turn. It reports what it saw, and whether it
// changed the view.
func (v *views) redraw(ctx context.Context, s *shownView) (o rotation.Overview, drawn bool, err error) {
	v.mu.Lock()
	current := v.open[s.ID] == s
	v.mu.Unlock()
	if !current {
		return o, false, nil // it was answered or forgotten while this waited
	}
	if o, err = v.b.cfg.Engine.Look(ctx, s.Rotation); err != nil {
		return o, false, err
	}
	key := keyOf(o)
	why := v.b.gate.May(rotation.Actor{ID: s.User}, commands.ActOpen, aboutOf(o))
	s.lost = fault.KindOf(why) == fault.Denied // while Slack does not say it is theirs to see
	if !s.lost && key != "" && stays(s.Key, key) {
		return o, false, nil
	}
	next := modals.StepFor(forViewer(o, s.User), s.User)
	if s.lost {
		next = refusal(why).View()
	}
	if err := modals.Check(next); err != nil {
		v.b.cfg.Log.ErrorContext(ctx, "view breaks Slack's limits", slog.String("view", next.CallbackID), slog.Any("error", err))
		return o, false, &fault.Error{Kind: fault.Internal, Reason: "view_over_limit", Op: "slackbot.draw", Err: err}
	}
	sum := hash(next)
	if sum == s.Drawn {
		return o, false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	if _, err := v.b.api.UpdateViewContext(ctx, next, "", "", s.ID); err != nil {
		return o, false, slackFault("slackbot.draw", err)
	}
	s.Drawn, s.Key = sum, key
	return o, true, nil
}

// stays reports whether a key view that is drawn may stay although now another
// one belongs there: it shows the old pair dead, which was a flap.
func stays(drawn, now string) bool {
	return now == drawn || strings.TrimSuffix(now, "/false")+"/true" == drawn
}

// keyOf says which drawing of the key view belongs to a rotation; "" if it is
// not at step 2. It changes when the step is entered again, and with whether
// the old pair was seen dead.
func keyOf(o rotation.Overview) string {
	cur := o.Rotation.Current()
	if o.Rotation.Outcome != rotation.Open || cur.Name != rotation.StepGenerate {
		return ""
	}
	return fmt.Sprintf("%d/%t", cur.Round, !o.Rotation.FirstRejected.IsZero())
}

// visited notes that somebody was shown the view of step 2: if keys turn out to
// be generated once more, that is who to ask. before is the key under which the
// same view was last drawn; a second drawing in one round is no visit.
func (b *Bot) visited(ctx context.Context, user string, o rotation.Overview, before string) {
	round := func(key string) string {
		n, _, _ := strings.Cut(key, "/")
		return n
	}
	key := keyOf(o)
	if key == "" || round(key) == round(before) {
		return
	}
	b.warn(ctx, "note visit of step 2", b.cfg.Engine.Visited(ctx, rotation.Actor{ID: user}, o.Rotation.ID))
}

// forViewer hides account numbers from everybody but the operator, also where
// the text of a step names one.
func forViewer(o rotation.Overview, user string) rotation.Overview {
	r := &o.Rotation
	if user == r.Operator.ID {
		return o
	}
	var numbers []string // each followed by what is shown of it
	for _, n := range o.Numbers() {
		numbers = append(numbers, n, rotation.Masked(n))
	}
	hide := func(a *rotation.Account) {
		if a.Number != "" {
			a.Number = rotation.Masked(a.Number)
		}
	}
	hide(&o.Past.Baseline)
	if r.Snapshot != nil {
		masked := *r.Snapshot
		hide(&masked.Account)
		r.Snapshot = &masked
	}
	for _, account := range []**rotation.Account{&r.Adopted, &r.OldOwner} {
		if *account != nil {
			masked := **account
			hide(&masked)
			*account = &masked
		}
	}
	r.Candidates = slices.Clone(r.Candidates)
	for i := range r.Candidates {
		hide(&r.Candidates[i].Account)
	}
	text := strings.NewReplacer(numbers...)
	r.Steps = slices.Clone(r.Steps)
	for i := range r.Steps {
		s := &r.Steps[i]
		s.Note, s.Problem.Text, s.Problem.Fix = text.Replace(s.Note), text.Replace(s.Problem.Text), text.Replace(s.Problem.Fix)
	}
	return o
}

func hash(v slack.ModalViewRequest) string {
	body, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	h := sha256.Sum256(body)
	return hex.EncodeToString(h[:])
}
