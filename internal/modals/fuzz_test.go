package modals

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// The parsers of submissions take whatever a view's state may hold. The fuzzer
// writes the state's JSON, as Slack sends it.

// seed adds the state of v, filled in, and some that no view of ours has.
func seed(f *testing.F, v slack.ModalViewRequest, answers map[string][]string) {
	f.Helper()
	for _, state := range []*slack.ViewState{submit(v, answers), submit(v, nil)} {
		raw, err := json.Marshal(state)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"values":{"x":null,"precheck_pass_v1_1":{"choice":{"selected_options":[{"value":"<!channel>"},{"value":""}]}}}}`))
}

// state decodes a fuzzed state; nil if it is none.
func state(raw []byte) *slack.ViewState {
	var s slack.ViewState
	if json.Unmarshal(raw, &s) != nil {
		return nil
	}
	return &s
}

// oneLine fails on a text that could fake a line, turn the text around it, or
// is longer than the input allows.
func oneLine(t *testing.T, what, text string) {
	t.Helper()
	odd := func(r rune) bool {
		return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029'
	}
	if strings.ContainsFunc(text, odd) || text != strings.TrimSpace(text) || utf8.RuneCountInString(text) > reasonMax || !utf8.ValidString(text) {
		t.Errorf("%s = %q, want one clean line of at most %d characters", what, text, reasonMax)
	}
}

func FuzzParsePrecheck(f *testing.F) {
	seed(f, Precheck(gateFailed()), map[string][]string{
		TicksBlock: allTicks(), TestOrderBlock: {"no"}, ReasonBlock: {"\u202eINC-42\n<!channel>" + strings.Repeat("ü", 3000)}, passBlock + "1": {"local-dev"}, PassWhyBlock: {"x\x00y"},
	})
	f.Fuzz(func(t *testing.T, raw []byte) {
		s := state(raw)
		in, problems := ParsePrecheck(s)
		oneLine(t, "reason", in.Reason)
		oneLine(t, "pass why", in.PassWhy)
		if !slices.Contains(rotation.Triggers(), in.Trigger) && problems[TriggerBlock] == "" {
			t.Errorf("trigger %q without a problem", in.Trigger)
		}
		for _, name := range in.Ticks {
			if !slices.ContainsFunc(rotation.Prerequisites(), func(q rotation.Prerequisite) bool { return q.Name == name }) {
				t.Errorf("tick %q is no prerequisite", name)
			}
		}
		if len(in.Pass) > 0 && in.PassWhy == "" && problems[PassWhyBlock] == "" {
			t.Errorf("%q pass without a reason", in.Pass)
		}
		PrecheckProblems(s, map[string]string{"gate": in.Reason, "pass_why": in.PassWhy})
	})
}

func FuzzParseGenerate(f *testing.F) {
	seed(f, Generate(rejectedOnce()), map[string][]string{keyIDBlock + "2": {" PKTEST\u202e "}, secretBlock + "2": {"export X=<!channel>"}})
	f.Fuzz(func(t *testing.T, raw []byte) {
		s := state(raw)
		keyID, key, blocks := ParseGenerate(s)
		if blocks.KeyID == "" && !keyID.Empty() || blocks.Secret == "" && !key.Empty() {
			t.Errorf("ParseGenerate found a value in no block: %+v", blocks)
		}
		if blocks.KeyID != "" && keyID.Reveal() != s.Values[blocks.KeyID][rotation.FieldKeyID].Value {
			t.Error("ParseGenerate changed what was typed")
		}
		for id := range blocks.Problems(map[string]string{rotation.FieldKeyID: "a", rotation.FieldSecret: "b"}) {
			if id != blocks.KeyID && id != blocks.Secret {
				t.Errorf("problem at %q, which is neither field", id)
			}
		}
	})
}

func FuzzParseAsk(f *testing.F) {
	v := asked(replaced(), AdoptAction, rotation.StepValidate, "")
	raw, err := json.Marshal(submit(v, map[string][]string{WhyBlock: {"\u202ereset <@U0EVE>\n" + strings.Repeat("x", 3000)}, Last4Block: {"NUM2"}}))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(v.PrivateMetadata, raw)
	f.Add(AcceptAction+"|1|r|verify|1|a|b", []byte(`{"values":{}}`))
	f.Add("", []byte(`null`))
	f.Fuzz(func(t *testing.T, metadata string, raw []byte) {
		ask, problems, err := ParseAsk(metadata, state(raw))
		if err != nil {
			return
		}
		oneLine(t, "why", ask.Why)
		if ask.Why == "" && problems[WhyBlock] == "" {
			t.Error("no reason and no problem")
		}
		if ask.Action == AdoptAction && utf8.RuneCountInString(ask.Last4) != 4 && problems[Last4Block] == "" {
			t.Errorf("last four %q and no problem", ask.Last4)
		}
		again, _, err := ParseAsk(ask.Action+"|"+ask.Bind.String(), nil)
		if err != nil || again.Bind != ask.Bind {
			t.Errorf("ParseAsk(%q) = %+v, and again %+v, %v", metadata, ask.Bind, again.Bind, err)
		}
	})
}

func FuzzParseCancel(f *testing.F) {
	seed(f, Cancel(checked()), map[string][]string{CancelBlock: {"\u2067wrong\tkey set\u2028<!here>"}})
	f.Fuzz(func(t *testing.T, raw []byte) {
		why, problems := ParseCancel(state(raw))
		oneLine(t, "why", why)
		if (why == "") != (problems[CancelBlock] != "") {
			t.Errorf("why %q with the problems %v", why, problems)
		}
	})
}

func FuzzParsePickKeySet(f *testing.F) {
	known := []string{"prod", "staging"}
	seed(f, PickKeySet(known), map[string][]string{KeySetBlock: {"prod"}})
	f.Fuzz(func(t *testing.T, raw []byte) {
		keyset, problems := ParsePickKeySet(state(raw), known)
		if slices.Contains(known, keyset) == (problems[KeySetBlock] != "") {
			t.Errorf("key set %q with the problems %v", keyset, problems)
		}
	})
}
