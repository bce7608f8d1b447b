package slackbot

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/modals"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/sim/simhttp"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

const updateCall = "/api/views.update"

// asksForPair reports whether a view asks for a pair.
func asksForPair(v slacksim.View) bool {
	_, ok := v.Input("Secret key")
	return ok
}

// slowDrawing makes the next drawing of a view as slow as f says, does what has
// one drawn, and returns when the drawing is on its way to Slack.
func (w *world) slowDrawing(f simhttp.Fault, change func()) {
	w.t.Helper()
	before := w.slack.Count("", updateCall)
	f.Path = updateCall
	w.slack.Inject(f)
	change()
	w.until("a drawing is on its way", func() bool { return w.slack.Count("", updateCall) > before })
}

// A drawing of the view in which keys are typed is on its way to Slack when the
// pair is submitted, and Slack is slow, or never answers: nobody is asked for
// the pair again once they were told that it is sealed.
func TestDrawingUnderWayAtSubmit(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]simhttp.Fault{
		"slow":    {Delay: 10 * soon, Times: 1},
		"hanging": {Hang: true, Times: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, slacksim.Config{})
			w.start()
			id := w.atStepTwo()
			release := w.shop.holdVault()
			defer release()
			var pair rotation.Pair
			w.slowDrawing(f, func() { pair = w.shop.click("NEW1") }) // the old pair is dead: the one more drawing
			if got := w.paste(pair); len(got.Errors) > 0 || got.Trouble != "" {
				t.Fatalf("the pair is not accepted: %+v", got)
			}
			w.until("the steps that follow are on the screen", func() bool {
				v, _ := w.slack.Modal(ada)
				if asksForPair(v) {
					t.Fatal("the pair is asked for although it is sealed")
				}
				return strings.Contains(v.Text(), "Step 4 of 8")
			})
			release()
			w.completed(id)
			w.see(ada, "Rotated")
			if p := w.slack.Problems(); len(p) > 0 {
				t.Errorf("Slack notes %q", p)
			}
		})
	}
}

// A drawing of step 1 is on its way when step 1 is left: step 2 is what stays on
// the screen.
func TestDrawingUnderWayAtGoOn(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]simhttp.Fault{
		"slow":    {Delay: 10 * soon, Times: 1},
		"hanging": {Hang: true, Times: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, slacksim.Config{})
			w.start()
			if got := w.command("prod"); got.Err != "" || got.Reply != nil {
				t.Fatalf("the command was answered: %+v", got)
			}
			w.answer()
			w.slowDrawing(f, w.redrawAll)
			ctx, cancel := w.ctx()
			defer cancel()
			got, err := w.slack.Submit(ctx, ada)
			if err != nil || got.Trouble != "" || len(got.Errors) > 0 {
				t.Fatalf("Go on = %+v, %v", got, err)
			}
			w.until("Slack has answered the drawing", func() bool { return f.Hang || w.drawings() == 0 })
			w.see(ada, "Step 2 of 8")
		})
	}
}

// slowViews takes its time to write down what a view shows.
type slowViews struct{ rotation.Store }

func (s slowViews) Txn(ctx context.Context, conds []rotation.Cond, then []rotation.Op) (rotation.Rev, error) {
	if len(then) > 0 && strings.HasPrefix(then[0].Key, viewPrefix) {
		time.Sleep(10 * soon)
	}
	return s.Store.Txn(ctx, conds, then)
}

// Half a pair is submitted before it is written down that the view asks for one:
// the errors stand under the inputs, and what was typed stays.
func TestHalfAPairRightAfterGoOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacksim.Config{})
	w.wrap = func(inner rotation.Store) rotation.Store { return slowViews{inner} }
	w.start()
	if got := w.command("prod"); got.Err != "" || got.Reply != nil {
		t.Fatalf("the command was answered: %+v", got)
	}
	w.answer()
	ctx, cancel := w.ctx()
	defer cancel()
	if got, err := w.slack.Submit(ctx, ada); err != nil || got.Trouble != "" || len(got.Errors) > 0 {
		t.Fatalf("Go on = %+v, %v", got, err)
	}
	if err := w.slack.Type(ctx, ada, "Key ID", "PKHALF"); err != nil {
		t.Fatal(err)
	}
	if err := w.slack.Type(ctx, ada, "Secret key", "half a secret"); err != nil {
		t.Fatal(err)
	}
	if got, err := w.slack.Submit(ctx, ada); err != nil || len(got.Errors) == 0 {
		t.Errorf("half a pair = %+v, %v, want errors under the inputs", got, err)
	}
	v, _ := w.slack.Modal(ada)
	if in, ok := v.Input("Key ID"); !ok || in.Text != "PKHALF" {
		t.Errorf("Key ID holds %q (%t), want what was typed", in.Text, ok)
	}
}

// drawings returns how many drawings Slack has not answered.
func (w *world) drawings() int {
	n := 0
	for _, c := range w.slack.Calls() {
		if c.Path == updateCall && c.Status == 0 {
			n++
		}
	}
	return n
}

// redrawAll has every open view drawn again as it is.
func (w *world) redrawAll() {
	v := w.bot.views
	v.mu.Lock()
	open := slices.Collect(maps.Values(v.open))
	v.mu.Unlock()
	for _, s := range open {
		release, _ := s.turn.answer()
		s.Drawn = ""
		release()
		v.changed(s.Rotation)
	}
}

// answer answers every question of step 1, once all checks are made.
func (w *world) answer() {
	w.t.Helper()
	ctx, cancel := w.ctx()
	defer cancel()
	v, err := w.slack.WaitModal(ctx, ada, func(v slacksim.View) bool { return v.Submit == modals.GoOnSubmit })
	if err == nil {
		err = w.slack.Select(ctx, ada, "Why", "Scheduled: the key is due")
	}
	for _, in := range v.Inputs {
		for _, o := range in.Options {
			if err == nil && in.Type == "checkboxes" && !in.Optional {
				err = w.slack.Check(ctx, ada, in.BlockID, o.Value)
			}
		}
	}
	if err != nil {
		w.t.Fatalf("answer the questions of step 1: %v", err)
	}
}

// A storeWatch notes when a view is first drawn and when it is committed.
type storeWatch struct {
	rotation.Store
	mu   sync.Mutex
	view func(id string) // called before each commit of a view
}

func (s *storeWatch) Txn(ctx context.Context, conds []rotation.Cond, then []rotation.Op) (rotation.Rev, error) {
	for _, op := range then {
		var v shownView
		if strings.HasPrefix(op.Key, viewPrefix) && json.Unmarshal(op.Value, &v) == nil {
			s.mu.Lock()
			s.view(v.ID)
			s.mu.Unlock()
		}
	}
	return s.Store.Txn(ctx, conds, then)
}

// A view is committed before it is drawn for the first time: a bot that is
// killed in between knows of every screen that shows something.
func TestViewIsCommittedBeforeItIsDrawn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacksim.Config{})
	watch := &storeWatch{Store: w.store}
	commits := 0
	watch.view = func(string) {
		if commits++; commits > 1 {
			return
		}
		w.bot.Changed(w.active()) // the engine has much to tell meanwhile
		time.Sleep(2*gatherFor + 5*soon)
		if n := w.slack.Count("", updateCall); n != 0 {
			t.Errorf("the view was drawn %d times before it was committed, want none", n)
		}
	}
	w.wrap = func(rotation.Store) rotation.Store { return watch }
	w.start()
	w.atStepTwo()
	watch.mu.Lock()
	defer watch.mu.Unlock()
	if commits == 0 {
		t.Error("no view was committed")
	}
}

// TestRefusedDrawingIsTriedAgain: Slack refuses a view, or answers nonsense, some
// times in a row; the last state arrives all the same.
func TestRefusedDrawingIsTriedAgain(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]simhttp.Fault{
		"refused":  {Status: 200, Body: `{"ok":false,"error":"invalid_arguments"}`, Times: 3},
		"nonsense": {Status: 200, Body: `<html>`, Times: 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, slacksim.Config{})
			w.start()
			w.atStepTwo()
			w.slowDrawing(f, func() {
				if got := w.paste(w.shop.click("NEW1")); len(got.Errors) > 0 || got.Trouble != "" {
					t.Errorf("the pair is not accepted: %+v", got)
				}
			})
			w.until("the end is on the screen", func() bool {
				v, _ := w.slack.Modal(ada)
				return strings.Contains(v.Text(), "the old one is dead")
			})
		})
	}
}
