package modals

import (
	"strings"
	"testing"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// TestForcedTextsAreTrue: nothing that is shown of a dead key says that trading
// still goes on, asks for what was chosen already, or leads to an account that
// may be gone.
func TestForcedTextsAreTrue(t *testing.T) {
	dead := func() rotation.Overview {
		o := seen()
		o.Rotation.Snapshot.Survey.MarketOpen = true
		s := o.Rotation.Step(rotation.StepPrecheck)
		s.Items = []rotation.Item{
			{Name: rotation.CheckPair, Kind: "check", State: rotation.Failed, Level: rotation.NotReady, Problem: rotation.Problem{
				Reason: "old_rejected", Text: "Alpaca rejects the current pair: trading is down already.", Fix: `Choose the reason "Account was reset or key is dead" and go on at once. Nothing blocks you.`,
			}},
			{Name: rotation.CheckAccount, Kind: "check", State: rotation.Done, Level: rotation.Unproven, Detail: "last good one, 1 min old"},
			{Name: rotation.CheckVault, Kind: "check", State: rotation.Done, Level: rotation.Unproven, Detail: "both names read"},
		}
		return o
	}
	mine, step2 := dead(), dead()
	mine.Rotation.Operator = rotation.Actor{ID: "U0ADA"}
	leave(&step2, rotation.StepPrecheck, "03:08:00")
	enter(&step2, rotation.StepGenerate, "03:08:00").WaitsFor = "U0ADA"
	for name, tt := range map[string]struct {
		shown       string
		want, never []string
	}{
		"channel, nobody has it": {
			string(encodeMessage(t, Channel(dead()))),
			[]string{"Press Take over, then Open, and there Go on", "It waits for the new pair.", "Waiting for somebody in ops to take it over."},
			[]string{"Choose the reason", "After the paste it tries again"},
		},
		"step 1": {
			string(encode(t, Step(mine))),
			[]string{"Press Go on at once and generate a new pair.", "trading fails already", "both names read · last write that succeeded"},
			[]string{"Choose the reason", "The outage starts only at the click", "from the click until", "last good one, 1 min old · last write"},
		},
		"step 2": {
			string(encode(t, Step(step2))),
			[]string{"Generate a new pair, if you have not yet, and paste it now.", "Open a new paper account there", "There is no rollback"},
			[]string{"The click is the point of no return"},
		},
	} {
		for _, want := range tt.want {
			if !strings.Contains(tt.shown, want) {
				t.Errorf("%s lacks %q: %s", name, want, tt.shown)
			}
		}
		for _, never := range tt.never {
			if strings.Contains(tt.shown, never) {
				t.Errorf("%s says %q: %s", name, never, tt.shown)
			}
		}
	}
}

// TestReplacedPair: a dead pair is asked every five minutes only. Once a rotation
// has replaced it, nobody is told that the stored pair is dead.
func TestReplacedPair(t *testing.T) {
	c := Card{Overview: rotation.Overview{Past: rotation.Record{KeySet: "prod", Completed: at("03:12:51")}, Now: at("03:13:00")}}
	for state, since := range map[string]string{"dead": "03:04:00", "held": "03:04:00", "doubted": "03:04:00"} {
		c.Seen = &rotation.Seen{State: state, Since: at(since)}
		shown := string(encodeMessage(t, Status([]Card{c}, true)))
		if !strings.Contains(shown, "was replaced, and the new one worked at") || rank(c) == 0 {
			t.Errorf("%s before the rotation ended: rank %d: %s", state, rank(c), shown)
		}
		c.Seen.Since = at("03:12:55")
		if shown = string(encodeMessage(t, Status([]Card{c}, true))); !strings.Contains(shown, "the stored pair is ") || rank(c) != 0 {
			t.Errorf("%s after it: rank %d: %s", state, rank(c), shown)
		}
	}
}
