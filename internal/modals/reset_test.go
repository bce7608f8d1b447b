package modals

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/slack-go/slack"
)

// resetState is the view of [Reset] as it was filled in.
func resetState(keyset, why string, ticked bool) *slack.ViewState {
	values := map[string]map[string]slack.BlockAction{ResetWhyBlock: {textAction: {Value: why}}}
	if keyset != "" {
		values[ResetKeySetBlock] = map[string]slack.BlockAction{choiceAction: {SelectedOption: slack.OptionBlockObject{Value: keyset}}}
	}
	if ticked {
		values[ResetConfirmBlock] = map[string]slack.BlockAction{choiceAction: {SelectedOptions: []slack.OptionBlockObject{{Value: resetConfirmed}}}}
	}
	return &slack.ViewState{Values: values}
}

func TestParseReset(t *testing.T) {
	key := strings.Repeat("Ab1", 10)
	tests := []struct {
		name     string
		metadata string
		state    *slack.ViewState
		want     ResetAsk
		problems []string
	}{
		{"named", "prod", resetState("", " the account\nis new ", true), ResetAsk{KeySet: "prod", Why: "the account is new"}, nil},
		{"chosen", "", resetState("staging", "new account", true), ResetAsk{KeySet: "staging", Why: "new account"}, nil},
		{"the name counts, not the choice", "prod", resetState("staging", "new account", true), ResetAsk{KeySet: "prod", Why: "new account"}, nil},
		{"nothing chosen", "", resetState("", "new account", true), ResetAsk{Why: "new account"}, []string{ResetKeySetBlock}},
		{"unknown choice", "", resetState("dev", "new account", true), ResetAsk{KeySet: "dev", Why: "new account"}, []string{ResetKeySetBlock}},
		{"gone since", "dev", resetState("", "new account", true), ResetAsk{KeySet: "dev", Why: "new account"}, []string{ResetWhyBlock}},
		{"no reason", "prod", resetState("", " ", true), ResetAsk{KeySet: "prod"}, []string{ResetWhyBlock}},
		{"a key as reason", "prod", resetState("", key, true), ResetAsk{KeySet: "prod", Why: key}, []string{ResetWhyBlock}},
		{"no tick", "prod", resetState("", "new account", false), ResetAsk{KeySet: "prod", Why: "new account"}, []string{ResetConfirmBlock}},
		{"nothing at all", "", nil, ResetAsk{}, []string{ResetConfirmBlock, ResetKeySetBlock, ResetWhyBlock}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, problems := ParseReset(tt.metadata, tt.state, []string{"prod", "staging"})
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("ParseReset (-want +got):\n%s", diff)
			}
			for _, block := range tt.problems {
				if problems[block] == "" {
					t.Errorf("no problem at %s: %v", block, problems)
				}
			}
			if len(problems) != len(tt.problems) {
				t.Errorf("problems %v, want at %v", problems, tt.problems)
			}
			for _, text := range problems {
				if strings.Contains(text, key) {
					t.Errorf("a problem repeats what was typed: %s", text)
				}
			}
		})
	}
}
