package modals

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// pressed lists the buttons of blocks as "action step item", without doubles.
func pressed(t testing.TB, v any) []string {
	t.Helper()
	var found []string
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			if v["type"] == "button" {
				b, err := ParseBind(v["value"].(string))
				if err != nil {
					t.Errorf("button %v is bound to %q: %v", v["action_id"], v["value"], err)
				}
				action := strings.TrimSuffix(strings.TrimPrefix(v["action_id"].(string), "rotation_"), "_v1")
				line := strings.TrimSpace(action + " " + string(b.Step) + " " + b.Item)
				if !slices.Contains(found, line) {
					found = append(found, line)
				}
			}
			for _, e := range v {
				walk(e)
			}
		}
	}
	var decoded any
	if err := json.Unmarshal(encode(t, v), &decoded); err != nil {
		t.Fatal(err)
	}
	walk(decoded)
	slices.Sort(found)
	return found
}

// TestActsWhereTheyHelp (R51, R64–R66, R68): each trouble has its buttons, in
// the view and, where a person is needed, in the channel; and none that the
// engine would refuse.
func TestActsWhereTheyHelp(t *testing.T) {
	tests := []struct {
		name    string
		o       rotation.Overview
		view    []string // of the operator; "take_over" is added for others
		channel []string // beside "open" and "take_over", which are always there
	}{
		{
			name: "a check failed", o: gateFailed(),
			view:    []string{"ask_cancel precheck", "check_again precheck", "check_again precheck integration-ci", "check_again precheck local-dev"},
			channel: []string{"ask_cancel precheck", "check_again precheck"},
		},
		{name: "waiting for the paste", o: generating(), channel: []string{"ask_cancel generate"}},
		{name: "R33: after the click nothing cancels", o: rejectedOnce()},
		{name: "the pair is another key set's", o: othersKeys(), channel: []string{"use_for generate staging"}},
		{name: "all goes well", o: storing(), view: []string{"redo store", "regenerate store"}},
		{
			name: "the account is blocked, the old pair works", o: stuckInValidate(),
			view: []string{"regenerate validate", "retry validate"}, channel: []string{"regenerate validate", "retry validate"},
		},
		{
			name: "the account is blocked, the old pair is dead", o: blocked(),
			view: []string{"regenerate validate", "store_anyway validate"}, channel: []string{"regenerate validate", "store_anyway validate"},
		},
		{
			name: "the account was replaced", o: replaced(),
			view: []string{"adopt validate", "regenerate validate", "retry validate"}, channel: []string{"adopt validate", "regenerate validate", "retry validate"},
		},
		{
			name: "the account is another key set's: it cannot be adopted", o: foreign(),
			view: []string{"regenerate validate", "retry validate", "use_for validate staging"}, channel: []string{"regenerate validate", "retry validate", "use_for validate staging"},
		},
		{
			name: "Infisical is down for long", o: storeStuck(),
			view: []string{"redo store", "regenerate store", "store_later store"}, channel: []string{"redo store", "regenerate store", "store_later store"},
		},
		{name: "stored later", o: storeLater(), view: []string{"redo store", "regenerate store"}},
		{
			name: "R42: what is not stored is never accepted", o: notStored(),
			view: []string{"redo store", "regenerate store", "retry store"}, channel: []string{"redo store", "regenerate store", "retry store"},
		},
		{
			name: "R51: one consumer failed", o: propagating(),
			view:    []string{"accept propagate integration-ci", "redo propagate", "regenerate propagate", "retry propagate", "retry propagate integration-ci"},
			channel: []string{"accept propagate integration-ci", "redo propagate", "regenerate propagate", "retry propagate", "retry propagate integration-ci"},
		},
		{name: "it was accepted", o: accepted(), view: []string{"redo propagate", "regenerate propagate"}},
		{
			name: "the test order is lost", o: orderLost(),
			view:    []string{"accept verify test_order", "redo verify", "regenerate verify", "retry verify", "retry verify test_order"},
			channel: []string{"accept verify test_order", "redo verify", "regenerate verify", "retry verify", "retry verify test_order"},
		},
		{
			name: "R60: an old pair that works is never accepted", o: lingering(),
			view: []string{"redo revoked", "regenerate revoked"}, channel: []string{"redo revoked", "regenerate revoked"},
		},
		{name: "the record is being written", o: recording()},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.view, pressed(t, Step(tt.o))); diff != "" {
			t.Errorf("%s: buttons of the operator's view (-want +got):\n%s", tt.name, diff)
		}
		others := append(slices.Clone(tt.view), "take_over")
		if tt.o.Rotation.Current().Name == rotation.StepGenerate {
			others = nil // R34, R82: a press would send what is typed so far
		}
		slices.Sort(others)
		if diff := cmp.Diff(others, pressed(t, StepFor(tt.o, "U0BOB"))); diff != "" {
			t.Errorf("%s: buttons of somebody else's view (-want +got):\n%s", tt.name, diff)
		}
		channel := append(slices.Clone(tt.channel), "open "+string(tt.o.Rotation.Current().Name), "take_over")
		slices.Sort(channel)
		if diff := cmp.Diff(channel, pressed(t, slack.Blocks{BlockSet: Channel(tt.o).Blocks})); diff != "" {
			t.Errorf("%s: buttons of the channel message (-want +got):\n%s", tt.name, diff)
		}
	}
}

// TestDangerousActsAskFirst: whoever kills the pair in use, or opens another
// rotation, is told what it does before it is done.
func TestDangerousActsAskFirst(t *testing.T) {
	want := map[string]string{RegenerateAction: "kills the pair in use", RedoAction: "Nothing old is put back", UseForAction: "sealed again"}
	for name, o := range troubles() {
		for _, blocks := range [][]slack.Block{Step(o).Blocks.BlockSet, Channel(o).Blocks} {
			for _, b := range blocks {
				row, ok := b.(*slack.ActionBlock)
				if !ok {
					continue
				}
				for _, e := range row.Elements.ElementSet {
					e := e.(*slack.ButtonBlockElement)
					if says, asks := want[e.ActionID]; asks != (e.Confirm != nil) || asks && !strings.Contains(e.Confirm.Text.Text, says) {
						t.Errorf("%s: button %s asks %+v, want %q", name, e.ActionID, e.Confirm, says)
					}
				}
			}
		}
	}
}

// TestTroubleSaysEverything (R51, R64): what happened, what is done already,
// what to do, and whether the bot tries again by itself.
func TestTroubleSaysEverything(t *testing.T) {
	for name, o := range troubles() {
		want := []string{"*What happened:*", "*What to do:*", "*Already done:*", "*The bot:*"}
		if cur := o.Rotation.Current(); cur.Name == rotation.StepGenerate { // there the note says what happened, and the guide what to do
			want = append(want[2:], escape(cur.Note[:40], maxText))
		}
		view, channel := encode(t, Step(o)), encodeMessage(t, Channel(o))
		for _, says := range want {
			if !strings.Contains(string(view), says) {
				t.Errorf("%s: the view lacks %q", name, says)
			}
			if says != want[len(want)-1] && !strings.Contains(string(channel), says) {
				t.Errorf("%s: the channel message lacks %q", name, says)
			}
		}
	}
	for _, o := range []rotation.Overview{checked(), generating(), pasted(), storing(), verifying(), recording(), completed(), cancelled()} {
		if b := encode(t, Step(o)); strings.Contains(string(b), "*The bot:*") || strings.Contains(string(b), "*Already done:*") {
			t.Errorf("at step %s nothing is wrong, but the view says what the bot does about it", o.Rotation.Current().Name)
		}
	}
}

// TestSupersededNamesTheVisitor: who had step 2 open last is who to ask.
func TestSupersededNamesTheVisitor(t *testing.T) {
	o := superseded()
	for what, b := range map[string][]byte{"view": encode(t, Step(o)), "channel message": encodeMessage(t, Channel(o))} {
		if !strings.Contains(string(b), "bob@raxx.app") {
			t.Errorf("the %s does not name who was at step 2 last", what)
		}
	}
}

// TestOffered (R88): a press is on time only where its button is shown.
func TestOffered(t *testing.T) {
	o := propagating()
	ok := binding(o, rotation.StepPropagate, "integration-ci")
	late, other, done := ok, ok, ok
	late.Round++
	other.Step, done.Item = rotation.StepStore, "raxx-api-prod"
	over := o
	over.Rotation.Outcome = rotation.Completed
	tests := []struct {
		name   string
		o      rotation.Overview
		action string
		b      Bind
		want   bool
	}{
		{"accept what failed", o, AcceptAction, ok, true},
		{"of another round", o, AcceptAction, late, false},
		{"R42: of step 4", o, AcceptAction, other, false},
		{"of what is done", o, AcceptAction, done, false},
		{"of no item", o, AcceptAction, binding(o, rotation.StepPropagate, ""), false},
		{"when it is over", over, AcceptAction, ok, false},
		{"R60: of an old pair", lingering(), AcceptAction, binding(lingering(), rotation.StepRevoked, "old"), false},
		{"store later, too early", storing(), StoreLaterAction, binding(storing(), rotation.StepStore, ""), false},
		{"store later", storeStuck(), StoreLaterAction, binding(storeStuck(), rotation.StepStore, ""), true},
		{"store later, twice", storeLater(), StoreLaterAction, binding(storeLater(), rotation.StepStore, ""), false},
		{"adopt", replaced(), AdoptAction, binding(replaced(), rotation.StepValidate, ""), true},
		{"adopt another key set's", foreign(), AdoptAction, binding(foreign(), rotation.StepValidate, ""), false},
		{"use it for its key set", foreign(), UseForAction, binding(foreign(), rotation.StepValidate, "staging"), true},
		{"use it for another", foreign(), UseForAction, binding(foreign(), rotation.StepValidate, "prod"), false},
		{"store later, of an item", storeStuck(), StoreLaterAction, binding(storeStuck(), rotation.StepStore, "x"), false},
		{"nothing at all", o, "rotation_unknown_v1", ok, false},
		{"without a step", o, RedoAction, Bind{Rotation: "r"}, false},
	}
	for _, tt := range tests {
		if got := Offered(tt.o, tt.action, tt.b); got != tt.want {
			t.Errorf("%s: Offered(%s, %+v) = %t, want %t", tt.name, tt.action, tt.b, got, tt.want)
		}
		if v, got := AskWhy(tt.o, tt.action, tt.b); got != (tt.want && tt.action != UseForAction) {
			t.Errorf("%s: AskWhy = %t with %d blocks, want %t", tt.name, got, len(v.Blocks.BlockSet), tt.want)
		}
	}
}

// TestAskRoundTrip: what the view asks is what the parser reads.
func TestAskRoundTrip(t *testing.T) {
	adopt := asked(replaced(), AdoptAction, rotation.StepValidate, "")
	accept := asked(propagating(), AcceptAction, rotation.StepPropagate, "integration-ci")
	tests := []struct {
		name     string
		view     slack.ModalViewRequest
		answers  map[string][]string
		want     Ask
		problems []string
	}{
		{
			name: "accept", view: accept, answers: map[string][]string{WhyBlock: {"CI is\nfrozen \u202e"}},
			want: Ask{Action: AcceptAction, Bind: binding(propagating(), rotation.StepPropagate, "integration-ci"), Why: "CI is frozen"},
		},
		{
			name: "without a reason", view: accept, answers: map[string][]string{WhyBlock: {" \u200b\n"}},
			want: Ask{Action: AcceptAction, Bind: binding(propagating(), rotation.StepPropagate, "integration-ci")}, problems: []string{WhyBlock},
		},
		{
			name: "adopt", view: adopt, answers: map[string][]string{WhyBlock: {"reset"}, Last4Block: {"num2"}},
			want: Ask{Action: AdoptAction, Bind: binding(replaced(), rotation.StepValidate, ""), Why: "reset", Last4: "num2"},
		},
		{
			name: "adopt without looking", view: adopt, answers: map[string][]string{WhyBlock: {"reset"}},
			want: Ask{Action: AdoptAction, Bind: binding(replaced(), rotation.StepValidate, ""), Why: "reset"}, problems: []string{Last4Block},
		},
	}
	for _, tt := range tests {
		got, problems, err := ParseAsk(tt.view.PrivateMetadata, submit(tt.view, tt.answers))
		if err != nil {
			t.Errorf("%s: ParseAsk = %v", tt.name, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
		for _, block := range tt.problems {
			if problems[block] == "" {
				t.Errorf("%s: no problem at %s, got %v", tt.name, block, problems)
			}
		}
		if len(problems) != len(tt.problems) {
			t.Errorf("%s: problems %v, want at %v", tt.name, problems, tt.problems)
		}
	}
	for _, bad := range []string{"", "|", AcceptAction, AcceptAction + "|x", RedoAction + "|1|r|store|1|", "rotation_accept_v0|1|r|verify|1|x"} {
		if got, _, err := ParseAsk(bad, nil); err == nil {
			t.Errorf("ParseAsk(%q) = %+v, want an error", bad, got)
		}
	}
	if got := AskProblems("wrong_last4", "No."); got[Last4Block] != "No." || len(got) != 1 {
		t.Errorf("AskProblems(wrong_last4) = %v, want it under the characters", got)
	}
	if got := AskProblems("internal", "No."); got[WhyBlock] != "No." || len(got) != 1 {
		t.Errorf("AskProblems(internal) = %v, want it under the reason", got)
	}
}

// TestAskTellsWhatIsLost: the account is adopted by somebody who was shown both
// numbers and what does not come along.
func TestAskTellsWhatIsLost(t *testing.T) {
	v := string(encode(t, asked(replaced(), AdoptAction, rotation.StepValidate, "")))
	for _, want := range []string{otherNumber, wholeNumber, "3 AAPL", "1 MSFT", "open order AAPL", "100210.10 USD", "its history"} {
		if !strings.Contains(v, want) {
			t.Errorf("the view to adopt an account lacks %q", want)
		}
	}
	o := replaced()
	o.Rotation.Snapshot = nil
	if v := string(encode(t, asked(o, AdoptAction, rotation.StepValidate, ""))); !strings.Contains(v, "what is lost is not known") {
		t.Error("without a snapshot the view does not say that the loss is not known")
	}
}

// TestLate (R88): who was faster, and when.
func TestLate(t *testing.T) {
	o := replaced()
	press := func(what string, step rotation.StepName, item, who, when string) rotation.Press {
		return rotation.Press{What: what, Step: step, Round: 1, Item: item, By: rotation.Actor{ID: who}, At: at(when)}
	}
	o.Rotation.Presses = []rotation.Press{
		press(rotation.PressStoreAnyway, rotation.StepValidate, "", "U0BOB", "12:01:00"),
		press(rotation.PressAdopt, rotation.StepValidate, "", "U0CAT", "12:02:00"),
		press(rotation.PressAccept, rotation.StepPropagate, "raxx-api-prod", "U0ADA", "12:03:00"),
		press(rotation.PressStoreLater, rotation.StepStore, "", "U0DAN", "12:04:00"),
		press(rotation.PressRedo, rotation.StepStore, "", "U0EVE", "12:05:00"),
		press(rotation.PressRegenerate, rotation.StepStore, "", "U0FAY", "12:06:00"),
	}
	for _, tt := range []struct {
		action, item, want string
	}{
		{AcceptAction, "raxx-api-prod", "Already done by <@U0ADA> at 12:03 UTC."},
		{AcceptAction, "raxx-api", "moved on. It is at step 3 of 8, validate the new pair."},
		{AdoptAction, "", "Already done by <@U0CAT> at 12:02 UTC."},
		{StoreAnywayAction, "", "Already done by <@U0BOB> at 12:01 UTC."},
		{StoreLaterAction, "", "Already done by <@U0DAN> at 12:04 UTC."},
		{RedoAction, "", "Already done by <@U0EVE> at 12:05 UTC."},
		{RegenerateAction, "", "Already done by <@U0FAY> at 12:06 UTC."},
		{RetryAction, "", "moved on. It is at step 3 of 8, validate the new pair."},
	} {
		if got := Late(o, tt.action, Bind{Item: tt.item}).Text; !strings.Contains(got, tt.want) {
			t.Errorf("Late(%s, %q) = %q, want %q", tt.action, tt.item, got, tt.want)
		}
	}
}

// TestRotationWithoutOperator: one that opened by itself waits for somebody,
// not for the bot.
func TestRotationWithoutOperator(t *testing.T) {
	o := lingering()
	o.Rotation.Operator = rotation.Actor{ID: rotation.BotActor, Admin: rotation.BotActor}
	if got := string(encodeMessage(t, Channel(o))); !strings.Contains(got, "Waiting for somebody in ops: the old pair is not proven dead.") {
		t.Errorf("the channel message does not wait for somebody: %s", got)
	}
	if got := string(encode(t, StepFor(o, "U0BOB"))); !strings.Contains(got, "nobody is the operator yet") || !strings.Contains(got, TakeOverAction) {
		t.Error("the view does not offer to take over what opened by itself")
	}
}

// TestWorstCaseAsks: the views that ask why stay within the limits too, and
// small enough for an answer, whatever stands in them.
func TestWorstCaseAsks(t *testing.T) {
	long := strings.Repeat("<&>`*_~ü🔥", 334)
	asks := 0
	for _, name := range []rotation.StepName{rotation.StepValidate, rotation.StepStore, rotation.StepPropagate, rotation.StepVerify} {
		o := worst(name)
		o.Other = &rotation.OtherOwner{KeySet: long[:300], Last4: long, DeadSince: at("03:12:00")}
		if err := Check(StepFor(o, "U0BOB")); err != nil {
			t.Errorf("step %s with another owner: %v", name, err)
		}
		if err := CheckMessage(Channel(o)); err != nil {
			t.Errorf("channel at step %s with another owner: %v", name, err)
		}
		o.Other = nil
		r := &o.Rotation
		for range 200 {
			r.Snapshot.Survey.Positions = append(r.Snapshot.Survey.Positions, rotation.Holding{Symbol: long, Qty: long})
			r.Snapshot.Survey.OpenOrders = append(r.Snapshot.Survey.OpenOrders, rotation.Order{Symbol: long, Qty: long, Side: long})
		}
		for _, reason := range []string{rotation.ReasonBlocked, rotation.ReasonReplaced} {
			s := r.Step(rotation.StepValidate)
			s.Problem.Reason = reason
			if s.State = rotation.Running; reason != rotation.ReasonBlocked {
				s.State = rotation.Failed
			}
			store := r.Step(rotation.StepStore)
			store.Problem.Kind, store.Started = "transient", o.Now.Add(-time.Hour)
			for _, v := range askedIn(o) {
				asks++
				if err := Check(v); err != nil {
					t.Errorf("%s at step %s: %v", v.PrivateMetadata[:20], name, err)
				}
			}
		}
	}
	if asks < 10 {
		t.Errorf("%d views were looked at, want every act at each step", asks)
	}
}
