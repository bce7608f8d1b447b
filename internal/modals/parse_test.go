package modals

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// submit returns the state that Slack sends for a view in which nothing but
// answers was filled in, by block ID: one value, or several for checkboxes.
func submit(v slack.ModalViewRequest, answers map[string][]string) *slack.ViewState {
	state := &slack.ViewState{Values: map[string]map[string]slack.BlockAction{}}
	for _, b := range v.Blocks.BlockSet {
		in, ok := b.(*slack.InputBlock)
		if !ok {
			continue
		}
		given, answered := answers[in.BlockID]
		var id string
		var a slack.BlockAction
		pick := func(options []*slack.OptionBlockObject) (picked []slack.OptionBlockObject) {
			for _, o := range options {
				if slices.Contains(given, o.Value) {
					picked = append(picked, *o)
				}
			}
			return picked
		}
		switch e := in.Element.(type) {
		case *slack.PlainTextInputBlockElement:
			id, a.Value = e.ActionID, strings.Join(given, "")
		case *slack.SelectBlockElement:
			id = e.ActionID
			if !answered && e.InitialOption != nil {
				given = []string{e.InitialOption.Value}
			}
			if p := pick(e.Options); len(p) > 0 {
				a.SelectedOption = p[0]
			}
		case *slack.RadioButtonsBlockElement:
			id = e.ActionID
			if p := pick(e.Options); len(p) > 0 {
				a.SelectedOption = p[0]
			}
		case *slack.CheckboxGroupsBlockElement:
			id, a.SelectedOptions = e.ActionID, pick(e.Options)
		}
		state.Values[in.BlockID] = map[string]slack.BlockAction{id: a}
	}
	return state
}

func allTicks() []string {
	var names []string
	for _, q := range rotation.Prerequisites() {
		names = append(names, q.Name)
	}
	return names
}

func TestPrecheckRoundTrip(t *testing.T) {
	blocks := func(m map[string]string) []string {
		var ids []string
		for id := range m {
			ids = append(ids, id)
		}
		slices.Sort(ids)
		return ids
	}
	withoutOrder := checked()
	withoutOrder.Order = nil
	tests := []struct {
		name     string
		o        rotation.Overview
		answers  map[string][]string
		want     rotation.GoOn
		problems []string // block IDs
	}{
		{
			name: "scheduled needs no reason", o: checked(),
			answers: map[string][]string{TicksBlock: allTicks(), TestOrderBlock: {"yes"}},
			want:    rotation.GoOn{Trigger: rotation.TriggerScheduled, Ticks: allTicks(), TestOrder: true},
		},
		{
			name: "no test order is asked for when none is configured", o: withoutOrder,
			answers: map[string][]string{TicksBlock: allTicks()},
			want:    rotation.GoOn{Trigger: rotation.TriggerScheduled, Ticks: allTicks()},
		},
		{
			name: "R11: another trigger needs a reason", o: checked(),
			answers:  map[string][]string{TriggerBlock: {"operator"}, TicksBlock: allTicks(), TestOrderBlock: {"no"}, ReasonBlock: {" \n "}},
			want:     rotation.GoOn{Trigger: rotation.TriggerOperator, Ticks: allTicks()},
			problems: []string{ReasonBlock},
		},
		{
			name: "R8, R9, R11: with a reason", o: checked(),
			answers: map[string][]string{TriggerBlock: {"offboarding"}, TicksBlock: allTicks(), TestOrderBlock: {"no"}, ReasonBlock: {"bob left\nINC-42"}},
			want:    rotation.GoOn{Trigger: rotation.TriggerOffboarding, Ticks: allTicks(), Reason: "bob left INC-42"},
		},
		{
			name: "R14-R17: every prerequisite is confirmed", o: checked(),
			answers:  map[string][]string{TicksBlock: allTicks()[1:], TestOrderBlock: {"no"}},
			want:     rotation.GoOn{Trigger: rotation.TriggerScheduled, Ticks: allTicks()[1:]},
			problems: []string{TicksBlock},
		},
		{
			name: "the test order is chosen, not assumed", o: checked(),
			answers:  map[string][]string{TicksBlock: allTicks()},
			want:     rotation.GoOn{Trigger: rotation.TriggerScheduled, Ticks: allTicks()},
			problems: []string{TestOrderBlock},
		},
		{
			name: "failed items pass with a reason", o: gateFailed(),
			answers: map[string][]string{TicksBlock: allTicks(), TestOrderBlock: {"no"}, passBlock + "1": {"integration-ci"}, PassWhyBlock: {"CI is frozen"}},
			want:    rotation.GoOn{Trigger: rotation.TriggerScheduled, Ticks: allTicks(), Pass: []string{"integration-ci"}, PassWhy: "CI is frozen"},
		},
		{
			name: "and not without one", o: gateFailed(),
			answers:  map[string][]string{TicksBlock: allTicks(), TestOrderBlock: {"no"}, passBlock + "1": {"local-dev"}},
			want:     rotation.GoOn{Trigger: rotation.TriggerScheduled, Ticks: allTicks(), Pass: []string{"local-dev"}},
			problems: []string{PassWhyBlock},
		},
		{
			name: "R10: a dead pair preselects the forced rotation", o: forcedReset(),
			answers: map[string][]string{TicksBlock: allTicks(), TestOrderBlock: {"no"}, ReasonBlock: {"reset by hand"}},
			want:    rotation.GoOn{Trigger: rotation.TriggerReset, Ticks: allTicks(), Reason: "reset by hand"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := Precheck(tt.o)
			got, problems := ParsePrecheck(submit(v, tt.answers))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("ParsePrecheck (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.problems, blocks(problems)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			for id := range problems {
				if !slices.ContainsFunc(v.Blocks.BlockSet, func(b slack.Block) bool { return b.ID() == id }) {
					t.Errorf("problem at %q, which is no block of the view", id)
				}
			}
		})
	}
	if _, problems := ParsePrecheck(nil); len(problems) == 0 {
		t.Error("ParsePrecheck(nil) found no problems")
	}
}

// TestAnswersSurviveUpdates: the questions keep their block and action IDs
// while the checks come in, so Slack keeps what is typed.
func TestAnswersSurviveUpdates(t *testing.T) {
	ids := func(o rotation.Overview) []string {
		var found []string
		for _, b := range Precheck(o).Blocks.BlockSet {
			if in, ok := b.(*slack.InputBlock); ok && !strings.HasPrefix(in.BlockID, passBlock) && in.BlockID != PassWhyBlock {
				found = append(found, in.BlockID)
			}
		}
		return found
	}
	want := []string{TriggerBlock, ReasonBlock, TicksBlock, TestOrderBlock}
	for _, o := range []rotation.Overview{fresh(), checking(), checked(), gateFailed(), forcedReset()} {
		if diff := cmp.Diff(want, ids(o)); diff != "" {
			t.Errorf("inputs of step 1 (-want +got):\n%s", diff)
		}
	}
}

func TestSubmitSaysWhetherChecksRun(t *testing.T) {
	forcedWhileChecking := checking()
	forcedWhileChecking.Rotation.Trigger = rotation.TriggerReset
	for _, tt := range []struct {
		name string
		o    rotation.Overview
		want string
	}{
		{"a check is running", checking(), CheckingSubmit},
		{"all are done", checked(), GoOnSubmit},
		{"some failed", gateFailed(), GoOnSubmit},
		{"R21: a forced rotation is not held up", forcedWhileChecking, GoOnSubmit},
	} {
		if got := Precheck(tt.o).Submit.Text; got != tt.want {
			t.Errorf("%s: submit = %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestPrecheckProblemsUseBlocksOfTheView(t *testing.T) {
	fields := map[string]string{"gate": "Failed: integration-ci.", "pass_why": "Say why.", "ticks": "All."}
	got := PrecheckProblems(submit(Precheck(checked()), nil), fields)
	want := map[string]string{TriggerBlock: "Failed: integration-ci. Say why.", TicksBlock: "All."}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("PrecheckProblems without failed items (-want +got):\n%s", diff)
	}
	got = PrecheckProblems(submit(Precheck(gateFailed()), nil), fields)
	want = map[string]string{TriggerBlock: "Failed: integration-ci.", TicksBlock: "All.", PassWhyBlock: "Say why."}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("PrecheckProblems with failed items (-want +got):\n%s", diff)
	}
}

// TestGenerateRoundTrip (R34): both values together, as they were typed, and
// fresh fields in each round.
func TestGenerateRoundTrip(t *testing.T) {
	first, again := Generate(generating()), Generate(rejectedOnce())
	state := submit(again, map[string][]string{keyIDBlock + "2": {" PKTESTKEYID "}, secretBlock + "2": {"export X_Y=abc"}})
	keyID, key, blocks := ParseGenerate(state)
	if keyID.Reveal() != " PKTESTKEYID " || key.Reveal() != "export X_Y=abc" {
		t.Error("ParseGenerate changed what was typed")
	}
	want := map[string]string{keyIDBlock + "2": "Swapped.", secretBlock + "2": "Not saved yet."}
	if diff := cmp.Diff(want, blocks.Problems(map[string]string{rotation.FieldKeyID: "Swapped.", "other": "Not saved yet."})); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	for id := range submit(first, nil).Values {
		if _, same := state.Values[id]; same {
			t.Errorf("input %s is in two rounds: what was typed would stay", id)
		}
	}
	labels := []string{}
	for _, b := range first.Blocks.BlockSet {
		if in, ok := b.(*slack.InputBlock); ok {
			labels = append(labels, in.Label.Text)
		}
	}
	if diff := cmp.Diff([]string{"Key ID", "Secret key"}, labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if keyID, key, blocks := ParseGenerate(nil); !keyID.Empty() || !key.Empty() || blocks != (GenerateBlocks{}) {
		t.Error("ParseGenerate(nil) found something")
	}
}

func TestPickAndCancelRoundTrip(t *testing.T) {
	known := []string{"prod", "staging"}
	v := PickKeySet(known)
	if got, problems := ParsePickKeySet(submit(v, map[string][]string{KeySetBlock: {"staging"}}), known); got != "staging" || len(problems) > 0 {
		t.Errorf("ParsePickKeySet = %q, %v, want staging and no problem", got, problems)
	}
	for name, state := range map[string]*slack.ViewState{"nothing": nil, "no choice": submit(v, nil)} {
		if got, problems := ParsePickKeySet(state, known); got != "" || problems[KeySetBlock] == "" {
			t.Errorf("ParsePickKeySet(%s) = %q, %v, want a problem", name, got, problems)
		}
	}
	v = Cancel(checked())
	if got, problems := ParseCancel(submit(v, map[string][]string{CancelBlock: {"wrong key set "}})); got != "wrong key set" || len(problems) > 0 {
		t.Errorf("ParseCancel = %q, %v, want the reason and no problem", got, problems)
	}
	if got, problems := ParseCancel(submit(v, nil)); got != "" || problems[CancelBlock] == "" {
		t.Errorf("ParseCancel(empty) = %q, %v, want a problem", got, problems)
	}
}

// TestBindRoundTrip (R88).
func TestBindRoundTrip(t *testing.T) {
	for _, b := range []Bind{
		{Rotation: "rabcdefghij"},
		{Rotation: "rabcdefghij", Step: rotation.StepVerify, Round: 3, Item: "a|b c"},
	} {
		if got, err := ParseBind(b.String()); err != nil || got != b {
			t.Errorf("ParseBind(%q) = %+v, %v, want %+v", b.String(), got, err, b)
		}
	}
	for _, bad := range []string{"", "x", "1||precheck|1|", "1|r|nostep|1|", "1|r|verify|x|", "1|r|verify|-1|", "2|r|verify|1|", "1|r|verify|1"} {
		if got, err := ParseBind(bad); err == nil {
			t.Errorf("ParseBind(%q) = %+v, want an error", bad, got)
		}
	}
}

func FuzzParseBind(f *testing.F) {
	f.Add(Bind{Rotation: "r", Step: rotation.StepStore, Round: 1, Item: "i"}.String())
	f.Fuzz(func(t *testing.T, s string) {
		if b, err := ParseBind(s); err == nil {
			if again, err := ParseBind(b.String()); err != nil || again != b {
				t.Errorf("ParseBind(%q) = %+v, and again %+v, %v", s, b, again, err)
			}
		}
	})
}
