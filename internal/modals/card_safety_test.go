package modals

import (
	"reflect"
	"strings"
	"testing"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// filled is v with s in every string that somebody else can fill.
func filled[T any](v T, s string) T {
	fill(reflect.ValueOf(&v).Elem(), s)
	return v
}

// cardSamples are the cards of the golden files.
func cardSamples() []Card {
	return []Card{idle(), never(), rotating(), inState("dead"), inState("held"), inState("doubted"), blockedCard()}
}

// shownOf returns what people see of cards and reports: the Home tab and the
// answers.
func shownOf(c Card, r rotation.Report) ([]slack.HomeTabViewRequest, []Message) {
	many := Home{Now: c.Now}
	for range homeFull + 2 {
		many.Cards = append(many.Cards, c)
	}
	return []slack.HomeTabViewRequest{HomeTab(Home{Now: c.Now, MayOpen: true, Cards: []Card{c}}), HomeTab(many), HomeRefused(Refused(c.Problem, c.Problem))},
		[]Message{Status([]Card{c}, true), History([]Card{c}), Report(r, c.Past), Checking([]string{keySetName(c.Overview)})}
}

// TestForeignTextOnHome: what [TestForeignTextCannotBecomeMarkup] holds for the
// steps, for Home and the answers to commands.
func TestForeignTextOnHome(t *testing.T) {
	for _, attack := range []string{
		"<!channel> <@U0EVE> <!subteam^S0EVE> <#C0EVE>", "<https://evil.example|app.alpaca.markets>", "line\n✅ 8 Write the record", "`<!everyone>`", "\u202eright\u2066to left\x00", "<!date^1^{ago}^https://evil.example|x>",
	} {
		for _, sample := range cardSamples() {
			c := filled(sample, attack)
			c.Seen.State = sample.Seen.State
			homes, answers := shownOf(c, filled(report(), attack))
			var found []string
			for _, v := range homes {
				found = append(found, texts(t, v)...)
			}
			for _, m := range answers {
				found = append(append(found, m.Text), texts(t, slack.Blocks{BlockSet: m.Blocks})...)
			}
			found = append(found, texts(t, Reset(attack, []string{attack}))...)
			for _, text := range found {
				for _, form := range angle.FindAllString(text, -1) {
					if !ours.MatchString(form) {
						t.Fatalf("with %q a text holds the markup %q: %q", attack, form, text)
					}
				}
				if strings.ContainsAny(text, "\u202e\u2066\x00") || strings.Contains(text, "\n✅ 8 Write the record") {
					t.Fatalf("with %q a text holds a control character or a line that is not ours: %q", attack, text)
				}
			}
		}
	}
}

// A whole account number is on nobody's Home and in no answer, wherever it came
// from.
func TestAccountNumberOnHome(t *testing.T) {
	for _, number := range []string{"PA3ABCDE7Q01", "123456789", "PALPACA_123"} {
		for _, sample := range cardSamples() {
			c := filled(sample, "account "+number+" is bad")
			c.Seen.State, c.Seen.Account.Number, c.Past.Baseline.Number = sample.Seen.State, number, number
			r := filled(report(), "account "+number+" is bad")
			r.Snapshot.Account.Number = number
			homes, answers := shownOf(c, r)
			for i, v := range homes[:2] {
				if b := shown(encode(t, v)); strings.Contains(b, number) {
					t.Fatalf("Home %d holds the whole account number %s: %s", i, number, b)
				}
			}
			for i, m := range answers[:3] {
				if b := shown(encodeMessage(t, m)); strings.Contains(b, number) {
					t.Fatalf("answer %d holds the whole account number %s: %s", i, number, b)
				}
			}
		}
	}
}
