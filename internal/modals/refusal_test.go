package modals

import (
	"slices"
	"strings"
	"testing"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// TestLateRetry (R88): who retried what. A retry of the whole step stands for
// each of its items, one of an item for no other.
func TestLateRetry(t *testing.T) {
	o := propagating()
	press := func(step rotation.StepName, round int, item, who, when string) rotation.Press {
		return rotation.Press{What: rotation.PressRetry, Step: step, Round: round, Item: item, By: rotation.Actor{ID: who}, At: at(when)}
	}
	o.Rotation.Presses = []rotation.Press{
		press(rotation.StepPrecheck, 1, "", "U0DAN", "12:00:00"),
		press(rotation.StepPropagate, 1, "integration-ci", "U0BOB", "12:01:00"),
		press(rotation.StepVerify, 1, "", "U0CAT", "12:03:00"),
	}
	const moved = "moved on. It is at step 5 of 8, propagate."
	for _, tt := range []struct {
		name, action string
		step         rotation.StepName
		item, want   string
	}{
		{"retry of a consumer", RetryAction, rotation.StepPropagate, "integration-ci", "Already done by <@U0BOB> at 12:01 UTC."},
		{"of another one", RetryAction, rotation.StepPropagate, "raxx-api-prod", moved},
		{"of the step, after one of an item", RetryAction, rotation.StepPropagate, "", moved},
		{"of an item, after one of the step", RetryAction, rotation.StepVerify, "raxx-api-prod", "Already done by <@U0CAT> at 12:03 UTC."},
		{"check again", CheckAgainAction, rotation.StepPrecheck, "", "Already done by <@U0DAN> at 12:00 UTC."},
		{"a pair for another key set", UseForAction, rotation.StepValidate, "staging", moved},
		{"take over", TakeOverAction, "", "", moved},
	} {
		if got := Late(o, tt.action, Bind{Step: tt.step, Round: 1, Item: tt.item}).Text; !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	over := completed()
	if got := Late(over, TakeOverAction, Bind{}).Text; !strings.Contains(got, "It was completed at 22 Nov 2026 03:12 UTC.") {
		t.Errorf("take over of what is over: %q, want when it was completed", got)
	}
}

// TestOnlyForward: R65–R68. After the click no view and no message has a button
// but those that go forward; in particular none cancels, and none brings
// anything back.
func TestOnlyForward(t *testing.T) {
	forward := []string{"open", "retry", "regenerate", "redo", "take_over", "use_for", "accept", "store_anyway", "store_later", "adopt"}
	looked, seen := 0, map[string]bool{}
	for name, o := range troubles() {
		if !o.Rotation.Clicked() || o.Rotation.Current().Name == rotation.StepPrecheck { // with a dead pair the way to the click is open
			continue
		}
		looked++
		view := StepFor(o, "U0BOB")
		for _, blocks := range [][]slack.Block{view.Blocks.BlockSet, Channel(o).Blocks} {
			for _, action := range pressed(t, slack.Blocks{BlockSet: blocks}) {
				action, _, _ = strings.Cut(action, " ")
				if seen[action] = true; !slices.Contains(forward, action) {
					t.Errorf("%s: the button %s does not go forward", name, action)
				}
			}
		}
		if view.Submit != nil && view.Submit.Text != SealSubmit {
			t.Errorf("%s: the view is submitted with %q, want only %q", name, view.Submit.Text, SealSubmit)
		}
	}
	if looked < 8 || !seen["redo"] || !seen["regenerate"] {
		t.Errorf("%d states were looked at, with the buttons %v; want most troubles, and that redo and regenerate are offered", looked, seen)
	}
}
