package modals

import (
	"testing"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// R43: a key that is pasted into a reason is stopped before it is in the channel
// and in the record.
func TestReasonsHoldNoKey(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"PKABCDEFGHIJ23456789":                           true,
		"the key is PKZ7K2M4QX8TN3VB5RWD6CYH, sorry":     true,
		"xK9dLm2Qw7ZpR4tYv8Bn3Hc6Jf1Gs5Aa0Ee9Uu2":        true,
		"quarterly, see OPS-1234":                        false,
		"https://status.heroku.com/incidents/2345":       false,
		"after 350538df21f0a4ac8c7cafebabe0123456789abc": false,
		"rotation r6zyirujyrh was wrong":                 false,
		"release-week of RAXX-API-PROD 2026":             false,
		"request req-BTI6QVHR6BH4H6":                     false,
	} {
		if got := keyLike(text); got != want {
			t.Errorf("keyLike(%q) = %t, want %t", text, got, want)
		}
	}
	const key = "xK9dLm2Qw7ZpR4tYv8Bn3Hc6Jf1Gs5Aa0Ee9Uu2"
	said := func(block string) *slack.ViewState {
		return &slack.ViewState{Values: map[string]map[string]slack.BlockAction{block: {textAction: {Value: "it leaked: " + key}}}}
	}
	if _, problems := ParsePrecheck(said(ReasonBlock)); problems[ReasonBlock] != keyLikeProblem {
		t.Errorf("step 1: problems = %v, want one under the reason", problems)
	}
	if _, problems := ParsePrecheck(said(PassWhyBlock)); problems[PassWhyBlock] != keyLikeProblem {
		t.Errorf("step 1: problems = %v, want one under why checks may pass", problems)
	}
	if why, problems := ParseCancel(said(CancelBlock)); problems[CancelBlock] != keyLikeProblem || why != "" {
		t.Errorf("cancel: %q, %v, want a problem and no reason", why, problems)
	}
	metadata := AcceptAction + "|" + Bind{Rotation: "r1", Step: rotation.StepVerify, Round: 1, Item: "api"}.String()
	if ask, problems, err := ParseAsk(metadata, said(WhyBlock)); err != nil || problems[WhyBlock] != keyLikeProblem || ask.Why != "" {
		t.Errorf("accept: %+v, %v, %v, want a problem and no reason", ask, problems, err)
	}
}
