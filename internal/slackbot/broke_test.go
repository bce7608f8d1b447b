package slackbot

import (
	"context"
	"strings"
	"testing"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"

	"github.com/raxx-app/keyturn/internal/modals"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

// A brokenSnoozer has a bug.
type brokenSnoozer struct{}

func (brokenSnoozer) Snooze(context.Context, rotation.Actor, Snooze) (string, error) { panic("a bug") }

// A submission whose handler panics is not answered as one that was done: its
// view says so instead of closing.
func TestPanicIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacksim.Config{})
	w.config = func(cfg *Config) {
		cfg.Snoozer = brokenSnoozer{}
	}
	w.start()
	w.press(ada, w.post(ada, reminder()), "Snooze")
	w.see(ada, "The due date does not move")
	if got := w.fillIn(ada, map[string]string{"For how long?": "3 days"}, map[string]string{"Why?": "Ada is on leave"}); got.Closed {
		t.Error("the view closed as if reminders were put off")
	}
	w.see(ada, "Something went wrong in the bot")
}

// A pair that may not be saved stays in its fields, whatever panicked.
func TestPanicKeepsThePair(t *testing.T) {
	t.Parallel()
	view := modals.Generate(rotation.Overview{Rotation: rotation.Rotation{ID: "rabcdefghij", KeySet: "prod", Steps: []rotation.Step{{Number: 2, Name: rotation.StepGenerate, State: rotation.Running, Round: 1}}}})
	values := map[string]map[string]slack.BlockAction{}
	for _, b := range view.Blocks.BlockSet {
		if in, ok := b.(*slack.InputBlock); ok {
			values[in.BlockID] = map[string]slack.BlockAction{"key_id": {Value: "x"}, "secret": {Value: "y"}}
		}
	}
	call := slack.InteractionCallback{Type: slack.InteractionTypeViewSubmission, View: slack.View{CallbackID: modals.GenerateCallback, State: &slack.ViewState{Values: values}}}
	got, ok := broke(event("env-1", socketmode.EventTypeInteractive, call)).(*slack.ViewSubmissionResponse)
	if !ok || got.ResponseAction != slack.RAErrors || len(got.Errors) != 1 {
		t.Fatalf("answer %+v, want an error under one field", got)
	}
	for block, text := range got.Errors {
		if _, known := values[block]; !known || !strings.Contains(text, "What you typed is still here") {
			t.Errorf("error %q under %s, want it under a field of the view", text, block)
		}
	}
}
