package cli

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// troubled is a rotation in which a consumer and the test order failed, a check
// was let pass, and step 7 failed as a whole.
func troubled() rotation.Rotation {
	at := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	r := rotation.Rotation{
		ID: "r000000001", KeySet: "prod", Trigger: rotation.TriggerScheduled, Operator: rotation.Actor{ID: "U0ADA", Admin: "ada@raxx.app"}, Opened: at,
		FirstRejected: at.Add(time.Minute), Candidates: []rotation.Candidate{{N: 1}},
	}
	for i, name := range rotation.StepNames() {
		r.Steps = append(r.Steps, rotation.Step{Number: i + 1, Name: name, State: rotation.Done})
	}
	r.Step(rotation.StepPrecheck).Items = []rotation.Item{{Name: "ci", State: rotation.Failed, Problem: rotation.Problem{Text: "It was let pass."}}}
	s := r.Step(rotation.StepPropagate)
	s.State, s.WaitsFor = rotation.Running, "U0ADA"
	s.Items = []rotation.Item{
		{Name: "api", State: rotation.Done},
		{Name: "ci", State: rotation.Failed, Problem: rotation.Problem{Reason: "not_found", Text: "GitHub shows no such repository.", Fix: "Check its name, then press Retry."}},
		{Name: "cli", State: rotation.Failed, PassWhy: "nobody uses it"},
	}
	r.Step(rotation.StepVerify).State = rotation.Running
	r.Step(rotation.StepVerify).Items = []rotation.Item{{Name: "test_order", State: rotation.Failed, Problem: rotation.Problem{Reason: "order_refused", Text: "The order was refused."}}}
	r.Step(rotation.StepRevoked).State = rotation.Failed
	r.Step(rotation.StepRevoked).Problem = rotation.Problem{Reason: "internal", Text: "The bot made a mistake.", Fix: "Look in its log."}
	r.Step(rotation.StepRecord).State = rotation.Pending
	return r
}

// TestStatusFailedItems: R51. What waits for a person is in both forms; the
// JSON's names are fixed.
func TestStatusFailedItems(t *testing.T) {
	t.Parallel()
	open := openOf(troubled())
	got, err := json.Marshal(open.Failed)
	if err != nil {
		t.Fatal(err)
	}
	const want = `[{"step":5,"name":"propagate","item":"ci","problem":"GitHub shows no such repository.","fix":"Check its name, then press Retry.","reason":"not_found"},` +
		`{"step":6,"name":"verify","item":"test_order","problem":"The order was refused.","reason":"order_refused"},` +
		`{"step":7,"name":"revoked","problem":"The bot made a mistake.","fix":"Look in its log.","reason":"internal"}]`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("failed (-want +got):\n%s", diff)
	}
	var text strings.Builder
	if err := printStatus(&text, []keySetStatus{{Name: "prod", Open: open}}); err != nil {
		t.Fatal(err)
	}
	const lines = `prod: never rotated by this bot
  open: r000000001, step 5 propagate running, waits for U0ADA, trading fails since 2026-05-06 07:09:09
  failed: step 5 propagate, ci
    what happened: GitHub shows no such repository.
    what to do: Check its name, then press Retry.
  failed: step 6 verify, test_order
    what happened: The order was refused.
  failed: step 7 revoked
    what happened: The bot made a mistake.
    what to do: Look in its log.
`
	if diff := cmp.Diff(lines, text.String()); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
}

// TestStatusNothingFailed: a program that reads it finds a list in any case.
func TestStatusNothingFailed(t *testing.T) {
	t.Parallel()
	r := troubled()
	for i := range r.Steps {
		r.Steps[i].State, r.Steps[i].Items = rotation.Done, nil
	}
	s := r.Step(rotation.StepStore)
	s.State, s.Problem = rotation.Running, rotation.Problem{Text: "Infisical has an error of its own.", Fix: "Wait."}
	open := openOf(r)
	got, err := json.Marshal(open)
	if err != nil || !strings.Contains(string(got), `"failed":[]`) {
		t.Errorf("with nothing failed: %s, %v; want \"failed\":[]", got, err)
	}
	if diff := cmp.Diff([]string{"  what happened: Infisical has an error of its own.", "  what to do: Wait."}, open.lines()[1:]); diff != "" {
		t.Errorf("the step's own problem (-want +got):\n%s", diff)
	}
}
