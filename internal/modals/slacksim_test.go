package modals

import (
	"encoding/json"
	"testing"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

// TestSimulatedSlackTakesEverything: the simulator's checks were written apart
// from ours, from the same contract; every view and message must pass both.
func TestSimulatedSlackTakesEverything(t *testing.T) {
	all := views()
	sent := messages()
	for _, name := range rotation.StepNames() {
		all["worst "+string(name)] = Step(worst(name))
		sent["worst "+string(name)] = Channel(worst(name))
	}
	for name, v := range all {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if problems := slacksim.CheckView(raw); len(problems) > 0 {
			t.Errorf("view %s: %v", name, problems)
		}
	}
	for name, v := range homes() {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if problems := slacksim.CheckView(raw); len(problems) > 0 {
			t.Errorf("home %s: %v", name, problems)
		}
	}
	for name, m := range sent {
		raw, err := json.Marshal(slack.Blocks{BlockSet: m.Blocks})
		if err != nil {
			t.Fatal(err)
		}
		if problems := slacksim.CheckBlocks(raw); len(problems) > 0 {
			t.Errorf("message %s: %v", name, problems)
		}
	}
}
