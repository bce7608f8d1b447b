package modals

import (
	"encoding/json"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// angle matches everything that Slack's parser would read as more than text.
var angle = regexp.MustCompile(`<[^>]*>`)

// ours are the angle forms that this package writes itself.
var ours = regexp.MustCompile(`^<(@[UW][A-Z0-9]+|!date\^\d+\^\{ago\}\|\d\d:\d\d:\d\d UTC|https://(app|docs|forum)?\.?alpaca\.markets/[^|<>]*\|[^<>]*)>$`)

// texts returns every mrkdwn text of blocks, and fails on one that Slack may
// mark up by itself.
func texts(t testing.TB, v any) []string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			if v["type"] == "mrkdwn" {
				found = append(found, v["text"].(string))
				if v["verbatim"] != true {
					t.Errorf("mrkdwn text is not verbatim: %q", v["text"])
				}
			}
			for _, e := range v {
				walk(e)
			}
		}
	}
	var any any
	if err := json.Unmarshal(b, &any); err != nil {
		t.Fatal(err)
	}
	walk(any)
	return found
}

// everywhere puts s into every string field that a person or another system
// can fill.
func everywhere(o rotation.Overview, s string) rotation.Overview {
	fill(reflect.ValueOf(&o).Elem(), s)
	return o
}

// fill sets free texts; identifiers, states and stamps stay.
func fill(v reflect.Value, s string) {
	switch v.Kind() { //nolint:exhaustive // an overview is built of these kinds; the others hold no text
	case reflect.Pointer:
		if !v.IsNil() {
			fresh := reflect.New(v.Type().Elem())
			fresh.Elem().Set(v.Elem())
			v.Set(fresh)
			fill(v.Elem(), s)
		}
	case reflect.Slice:
		if v.Len() > 0 {
			fresh := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
			reflect.Copy(fresh, v)
			v.Set(fresh)
		}
		for i := range v.Len() {
			fill(v.Index(i), s)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for _, f := range v.Fields() {
			fill(f, s)
		}
	case reflect.String:
		if v.Type() == reflect.TypeFor[string]() {
			v.SetString(s)
		}
	}
}

func every() []rotation.Overview {
	all := []rotation.Overview{
		checking(), checked(), generating(), pasted(), storing(), verifying(), proving(), recording(), completed(), cancelled(), accepted(),
	}
	for _, name := range slices.Sorted(maps.Keys(troubles())) {
		all = append(all, troubles()[name])
	}
	return all
}

// askedIn returns the views that ask why which are offered in o: one for each
// act and step.
func askedIn(o rotation.Overview) []slack.ModalViewRequest {
	var views []slack.ModalViewRequest
	for i := range o.Rotation.Steps {
		s := &o.Rotation.Steps[i]
		items := []string{""}
		for _, it := range s.Items {
			items = append(items, it.Name)
		}
		for _, action := range []string{AcceptAction, StoreAnywayAction, StoreLaterAction, AdoptAction} {
			for _, item := range items {
				if v, ok := AskWhy(o, action, bindTo(o, s, item)); ok {
					views = append(views, v)
					break
				}
			}
		}
	}
	return views
}

// TestForeignTextCannotBecomeMarkup puts mentions, links and dates into every
// foreign text of every view and message.
func TestForeignTextCannotBecomeMarkup(t *testing.T) {
	attacks := []string{
		"<!channel> <@U0EVE> <!subteam^S0EVE> <#C0EVE>", "<https://evil.example|app.alpaca.markets>", "&lt;!here&gt;",
		"line\n✅ 8 Write the record", "`<!everyone>`", "\u202eright\u2066to left\x00", "<!date^1^{ago}^https://evil.example|x>",
	}
	for _, attack := range attacks {
		for _, sample := range every() {
			o := everywhere(sample, attack)
			n := note()
			n.KeySet, n.Consumer = attack, attack
			for k := range n.Data {
				n.Data[k] = attack
			}
			ch, st, nt := Channel(o), Status(cards(o), true), Note(n)
			found := texts(t, StepFor(o, "U0BOB"))
			for _, v := range askedIn(o) {
				found = append(found, texts(t, v)...)
			}
			for _, m := range []Message{ch, st, nt, Refused(attack, attack).Message(), Late(o, AcceptAction, Bind{}).Message(), UnknownKeySet(attack, []string{attack}).Message()} {
				found = append(append(found, m.Text), texts(t, slack.Blocks{BlockSet: m.Blocks})...)
			}
			for _, text := range found {
				for _, form := range angle.FindAllString(text, -1) {
					if !ours.MatchString(form) {
						t.Fatalf("with %q a text holds the markup %q: %q", attack, form, text)
					}
				}
				if strings.ContainsAny(text, "\u202e\u2066\x00") {
					t.Fatalf("with %q a text holds a control character: %q", attack, text)
				}
				if strings.Contains(text, "\n✅ 8 Write the record") && sample.Rotation.Step(rotation.StepRecord).State != rotation.Done {
					t.Fatalf("with %q a text fakes a line: %q", attack, text)
				}
			}
		}
	}
}

// TestAccountNumberIsWholeOnlyForTheOperator: a whole account number never
// leaves the operator's own views, wherever the engine put it.
func TestAccountNumberIsWholeOnlyForTheOperator(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		number := rapid.StringMatching(`PA[0-9A-Z]{9}[0-9]|[0-9]{9}|PALPACA_[0-9]{3}`).Draw(rt, "number")
		before := rapid.StringMatching(`[a-z ]{0,400}`).Draw(rt, "before")
		o := every()[rapid.IntRange(0, len(every())-1).Draw(rt, "state")]
		o = everywhere(o, before+" "+number+" is bad.")
		if s := o.Rotation.Snapshot; s != nil {
			snap := *s
			snap.Account.Number = number
			o.Rotation.Snapshot = &snap
		}
		o.Past.Baseline.Number = number
		for _, m := range []Message{Channel(o), Status(cards(o), true)} {
			if b := shown(encodeMessage(t, m)); strings.Contains(b, number) {
				rt.Fatalf("a message holds the whole account number %s: %s", number, b)
			}
		}
		// Detail may come from anywhere; the number itself is known.
		split := number[:4] + "\u200b" + number[4:]
		hidden := everywhere(o, split)
		hidden.Past.Baseline.Number = number
		if b := shown(encodeMessage(t, Channel(hidden))); strings.Contains(b, number) {
			rt.Fatalf("a number with an invisible character inside is shown whole: %s", b)
		}
		n := note()
		n.KeySet = before + " PA3ABCDEFGH12"
		if b := encodeMessage(t, Note(n)); strings.Contains(string(b), "PA3ABCDEFGH12") {
			rt.Fatalf("a note holds a whole account number: %s", b)
		}
	})
	if b := encode(t, Step(pasted())); !strings.Contains(string(b), wholeNumber) {
		t.Errorf("R38: the operator's view of step 3 does not hold the whole account number")
	}
}

// buttonValue matches the value of a button: nobody sees it, and what stands in
// it beside identifiers of ours are names from bot.yml.
var buttonValue = regexp.MustCompile(`"value": "1\|[^"]*"`)

func shown(b []byte) string { return string(buttonValue.ReplaceAll(b, nil)) }

// TestR38 shows status, account number and buying power, and nothing else of
// the account.
func TestR38ValidateShowsThreeFactsOnly(t *testing.T) {
	b := string(encode(t, Validate(pasted())))
	for _, want := range []string{"ACTIVE", wholeNumber, "400023.32"} {
		if !strings.Contains(b, want) {
			t.Errorf("the view of step 3 lacks %q", want)
		}
	}
	for _, never := range []string{"100005.83", "100210.10", "11111111-2222", "Cash", "USD"} {
		if strings.Contains(b, never) {
			t.Errorf("the view of step 3 holds %q", never)
		}
	}
}

// TestGenerateSendsNothingBeforeSubmit (R34, R82): no element beside the two
// inputs, because a press on one would send what is typed so far.
func TestGenerateSendsNothingBeforeSubmit(t *testing.T) {
	for _, o := range []rotation.Overview{generating(), rejectedOnce(), worst(rotation.StepGenerate)} {
		v := Generate(o)
		inputs := 0
		for _, b := range v.Blocks.BlockSet {
			switch b := b.(type) {
			case *slack.InputBlock:
				inputs++
				e, ok := b.Element.(*slack.PlainTextInputBlockElement)
				if !ok || b.DispatchAction || e.DispatchActionConfig != nil || e.InitialValue != "" {
					t.Errorf("input %s reports what is typed, or holds something: %+v", b.BlockID, b)
				}
			case *slack.ActionBlock:
				t.Errorf("the view of step 2 has a row of buttons")
			case *slack.SectionBlock:
				if b.Accessory != nil {
					t.Errorf("the view of step 2 has a button")
				}
			}
		}
		if inputs != 2 {
			t.Errorf("the view of step 2 has %d inputs, want 2", inputs)
		}
		if v.PrivateMetadata != string(o.Rotation.ID) {
			t.Errorf("private metadata = %q, want the rotation's ID only (R86)", v.PrivateMetadata)
		}
	}
}

// TestChannelIsStable: the message does not change while nothing happens, so
// it need not be sent.
func TestChannelIsStable(t *testing.T) {
	for _, o := range every() {
		later := o
		later.Now = o.Now.Add(time.Hour)
		if a, b := encodeMessage(t, Channel(o)), encodeMessage(t, Channel(later)); string(a) != string(b) {
			t.Errorf("the message at step %s changes with the clock", o.Rotation.Current().Name)
		}
	}
}

// TestOverRotationHasNoButtons (R88): the message of a rotation that is over is dead.
func TestOverRotationHasNoButtons(t *testing.T) {
	for _, o := range []rotation.Overview{completed(), cancelled()} {
		if b := encodeMessage(t, Channel(o)); strings.Contains(string(b), `"button"`) {
			t.Errorf("the message of a rotation that is %s has a button", o.Rotation.Outcome)
		}
	}
}
