package modals

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/sim/simtest"
)

// The submissions of views that a note or a command opens. What is typed into
// them goes to the channel and into the record, so the texts are judged as those
// of the steps are.

// shownUnder fails on a problem that Slack would not show, because it is under
// none of blocks, or that quotes what was typed.
func shownUnder(t *testing.T, raw []byte, problems map[string]string, blocks ...string) {
	t.Helper()
	for block, text := range problems {
		if !slices.Contains(blocks, block) || text == "" || utf8.RuneCountInString(text) > problemMax {
			t.Errorf("problem %q at %q, want a short one under one of %v", text, block, blocks)
		}
		if got := simtest.Quoted(raw, text); got != "" {
			t.Errorf("the problem %q quotes %q", text, got)
		}
	}
}

func FuzzParseReset(f *testing.F) {
	known := []string{"prod", "staging"}
	for _, keyset := range []string{"", "prod", "gone", "<!channel>\u202e"} {
		for _, why := range []string{"\u202ethe account\nis new <!channel>" + strings.Repeat("x", 3000), "it was xK9dLm2Qw7ZpR4tYv8Bn3Hc6Jf1Gs5Aa0Ee9Uu2", ""} {
			raw, err := json.Marshal(submit(Reset(keyset, known), map[string][]string{ResetKeySetBlock: {"staging"}, ResetWhyBlock: {why}, ResetConfirmBlock: {resetConfirmed}}))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(keyset, raw)
		}
	}
	f.Add("", []byte(`null`))
	f.Fuzz(func(t *testing.T, metadata string, raw []byte) {
		s := state(raw)
		in, problems := ParseReset(metadata, s, known)
		oneLine(t, "why", in.Why)
		blocks := []string{ResetWhyBlock, ResetConfirmBlock}
		if metadata == "" {
			blocks = append(blocks, ResetKeySetBlock)
		} else if in.KeySet != metadata {
			t.Errorf("key set %q, want the one that the view is about: %q", in.KeySet, metadata)
		}
		shownUnder(t, raw, problems, blocks...)
		if len(problems) > 0 {
			return
		}
		ticked := slices.Contains(chosen(value(s, ResetConfirmBlock, choiceAction)), resetConfirmed)
		if !slices.Contains(known, in.KeySet) || in.Why == "" || keyLike(in.Why) || !ticked {
			t.Errorf("ParseReset(%q, %q) = %+v without a problem", metadata, raw, in)
		}
	})
}

func FuzzParseItWasMe(f *testing.F) {
	v, ok := ItWasMe(seen(), "U0ADA")
	if !ok {
		f.Fatal("there is no view")
	}
	for _, what := range []string{rotation.ClaimRegenerated, rotation.ClaimReset, "", "<!channel>\u202e"} {
		seed(f, v, map[string][]string{ItWasMeBlock: {what}})
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		what, problems := ParseItWasMe(state(raw))
		shownUnder(t, raw, problems, ItWasMeBlock)
		if said := what == rotation.ClaimRegenerated || what == rotation.ClaimReset; said != (len(problems) == 0) || !said && what != "" {
			t.Errorf("ParseItWasMe(%q) = %q with the problems %v", raw, what, problems)
		}
	})
}

func FuzzParseAdoptByHand(f *testing.F) {
	v := AdoptByHand(Bind{KeySet: "prod", Item: "raxx-api|prod"}, rotation.Posted{Channel: "C0RAXXOPS", TS: "1.2"})
	for _, why := range []string{"\u202eEve rotated <@U0EVE>\n" + strings.Repeat("x", 3000), "the pair is PKZ7K2M4QX8TN3VB5RWD6CYH", ""} {
		raw, err := json.Marshal(submit(v, map[string][]string{AdoptByHandBlock: {why}}))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(v.PrivateMetadata, raw)
	}
	f.Add("C|1.2|1|r|verify|99999999999999999999|b", []byte(`{"values":{}}`))
	f.Add("xK9dLm2Qw7ZpR4tYv8Bn3Hc6Jf1Gs5Aa0Ee9Uu2", []byte(`null`))
	f.Add("", []byte(`{}`))
	f.Fuzz(func(t *testing.T, metadata string, raw []byte) {
		b, why, problems, err := ParseAdoptByHand(metadata, state(raw))
		if err != nil {
			if b != (Bind{}) || why != "" || len(problems) > 0 {
				t.Errorf("ParseAdoptByHand(%q) = %+v, %q, %v beside the error %v", metadata, b, why, problems, err)
			}
			if got := simtest.Quoted([]byte(metadata), err.Error()); got != "" {
				t.Errorf("the error quotes %q: %v", got, err)
			}
			return
		}
		oneLine(t, "why", why)
		shownUnder(t, raw, problems, AdoptByHandBlock)
		if (why == "") != (len(problems) > 0) || keyLike(why) {
			t.Errorf("why %q with the problems %v", why, problems)
		}
		_, at, _ := parseMetadata(metadata)
		again, _, _, err := ParseAdoptByHand(metadataOf(b, at), &slack.ViewState{})
		if err != nil || again != b {
			t.Errorf("ParseAdoptByHand(%q) = %+v, and again %+v, %v", metadata, b, again, err)
		}
	})
}
