package modals

import (
	"maps"
	"slices"
	"strings"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// ParsePrecheck reads the submitted view of step 1. A non-empty problems maps
// block IDs to texts, the form of Slack's "errors" answer. Whether the checks
// allow to go on is not decided here.
func ParsePrecheck(state *slack.ViewState) (in rotation.GoOn, problems map[string]string) {
	problems = map[string]string{}
	in.Trigger = rotation.Trigger(value(state, TriggerBlock, choiceAction).SelectedOption.Value)
	if !slices.Contains(rotation.Triggers(), in.Trigger) {
		problems[TriggerBlock] = "Choose why this rotation runs."
	}
	in.Reason = written(state, ReasonBlock)
	if keyLike(in.Reason) {
		in.Reason, problems[ReasonBlock] = "", keyLikeProblem
	} else if in.Reason == "" && in.Trigger != rotation.TriggerScheduled && problems[TriggerBlock] == "" {
		problems[ReasonBlock] = "Write a short reason: this rotation is not a scheduled one."
	}
	in.Ticks = ticked(chosen(value(state, TicksBlock, choiceAction)))
	for _, q := range rotation.Prerequisites() {
		if !slices.Contains(in.Ticks, q.Name) {
			problems[TicksBlock] = "Confirm every line. Missing: " + q.Text + "."
			break
		}
	}
	if _, asked := values(state)[TestOrderBlock]; asked {
		switch value(state, TestOrderBlock, choiceAction).SelectedOption.Value {
		case orderYes:
			in.TestOrder = true
		case orderNo:
		default:
			problems[TestOrderBlock] = "Choose whether the test order is placed."
		}
	}
	parsePass(state, &in, problems)
	return in, problems
}

// ticked returns those names that are prerequisites: they are put into the record.
func ticked(names []string) []string {
	return slices.DeleteFunc(names, func(name string) bool {
		return !slices.ContainsFunc(rotation.Prerequisites(), func(q rotation.Prerequisite) bool { return q.Name == name })
	})
}

// parsePass reads which failed items may pass, and why.
func parsePass(state *slack.ViewState, in *rotation.GoOn, problems map[string]string) {
	var groups []string
	for id := range values(state) {
		if strings.HasPrefix(id, passBlock) {
			groups = append(groups, id)
		}
	}
	slices.Sort(groups)
	for _, id := range groups {
		in.Pass = append(in.Pass, chosen(value(state, id, choiceAction))...)
	}
	in.PassWhy = written(state, PassWhyBlock)
	if keyLike(in.PassWhy) {
		in.PassWhy, problems[PassWhyBlock] = "", keyLikeProblem
	} else if len(in.Pass) > 0 && in.PassWhy == "" {
		problems[PassWhyBlock] = "Write why these may pass although they failed."
	}
}

// PrecheckProblems turns the problems that the gate found, by field as
// [rotation.Engine.GoOn] names them, into problems by block ID. State is the
// submission they answer: Slack takes only blocks that are in the view, so a
// problem whose block is not there is shown at the first question.
func PrecheckProblems(state *slack.ViewState, fields map[string]string) map[string]string {
	at := map[string]string{"trigger": TriggerBlock, "reason": ReasonBlock, "ticks": TicksBlock, "test_order": TestOrderBlock, "pass_why": PassWhyBlock}
	out := map[string]string{}
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		block := at[field]
		if _, there := values(state)[block]; !there {
			block = TriggerBlock
		}
		out[block] = strings.TrimSpace(out[block] + " " + cut(clean(fields[field]), problemMax))
	}
	return out
}

// value returns one input as it was submitted; the zero value if it is not there.
func value(state *slack.ViewState, block, action string) slack.BlockAction {
	return values(state)[block][action]
}

// written returns the text of an input as one line, no longer than the input allows.
func written(state *slack.ViewState, block string) string {
	return cut(clean(value(state, block, textAction).Value), reasonMax)
}

func chosen(a slack.BlockAction) []string {
	var names []string
	for _, o := range a.SelectedOptions {
		names = append(names, o.Value)
	}
	return names
}
