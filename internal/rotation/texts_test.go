package rotation

import (
	"encoding/json"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// said returns everything that people read at a step, in one string.
func said(t testing.TB, name StepName) string {
	t.Helper()
	text := Text(name)
	all := append([]string{text.Title, text.Lead}, text.Do...)
	all = append(append(all, text.Warn...), text.Gotchas...)
	for _, l := range text.Links {
		all = append(all, l.Label, l.URL)
	}
	return strings.Join(all, "\n")
}

func asked() string {
	var all []string
	for _, p := range Prerequisites() {
		all = append(all, p.Text, p.Hint)
	}
	return strings.Join(all, "\n")
}

// TestTextsCarryEachRequirement looks for what the SOP wants people to read, in
// the text of the step to which it belongs.
func TestTextsCarryEachRequirement(t *testing.T) {
	const prerequisites StepName = "prerequisites"
	tests := []struct {
		id   string // R number, or gap
		step StepName
		want []string
	}{
		{"R11", StepPrecheck, []string{"Answer the questions"}},
		{"R11", StepRecord, []string{"next due date counts from today"}},
		{"R12", StepPrecheck, []string{"“Reset Paper Account”", "also kills the running key and secret, silently"}},
		{"R13", StepPrecheck, []string{"only with “Regenerate” or “View” on the API Keys panel, never through a reset"}},
		{"R13", prerequisites, []string{"I will not touch any reset"}},
		{"R14", prerequisites, []string{"logged in to the Alpaca dashboard (SSO or e-mail)"}},
		{"R15", prerequisites, []string{"upper-left switcher there shows Paper", "https://app.alpaca.markets/paper/dashboard/overview"}},
		{"R15", StepPrecheck, []string{"https://app.alpaca.markets/paper/dashboard/overview"}},
		{"R16", prerequisites, []string{"in Infisical, both names, with history"}},
		{"R17", prerequisites, []string{"Raptor backend (paper runtime)", "backtest service", "demo modes"}},
		{"R18", StepPrecheck, []string{"snapshot: balance, positions, open orders"}},
		{"R19", StepPrecheck, []string{"asks Alpaca with the current pair"}},
		{"R20", StepPrecheck, []string{"expects status ACTIVE"}},
		{"R21", StepPrecheck, []string{"rejected already, go on", "forced rotation", "If Alpaca cannot be reached"}},
		{"R22", StepPrecheck, []string{"may cancel open orders"}},
		{"R23", StepPrecheck, []string{"account number", "Step 3 checks"}},
		{"R25", StepGenerate, []string{"no rotation API", "The dashboard is the only way"}},
		{"R26", StepGenerate, []string{"https://app.alpaca.markets/paper/dashboard/overview"}},
		{"R27", StepGenerate, []string{"must show Paper Trading before you click"}},
		{"R28", StepGenerate, []string{"API Keys in the right sidebar"}},
		{"R29", StepGenerate, []string{"“Regenerate”", "“View”"}},
		{"R30", StepGenerate, []string{"“Generate New Keys”", "the old one dies in the same moment"}},
		{"R31", StepGenerate, []string{"Key ID and the secret at once", "shown only once"}},
		{"R32", StepGenerate, []string{"View alone rotates nothing"}},
		{"R33", StepGenerate, []string{"point of no return"}},
		{"R33", prerequisites, []string{"after the click there is no way back"}},
		{"R34", StepGenerate, []string{"Paste both below", "✔ sealed"}},
		{"R35", StepValidate, []string{"with the new pair before anything is stored"}},
		{"R36", StepValidate, []string{"status ACTIVE"}},
		{"R37", StepValidate, []string{"same account number", "stops the rotation here"}},
		{"R38", StepValidate, []string{"status, account number and buying power, and nothing else"}},
		{"R39", StepValidate, []string{"nothing was written anywhere", "Copy it again, or regenerate"}},
		{"R40, R41", StepStore, []string{"Both values go to Infisical"}},
		{"R42", StepStore, []string{"both or neither", "reads both values back"}},
		{"R43", StepStore, []string{"Never put a key on a command line, in a log"}},
		{"R44", StepPropagate, []string{"both values in one change"}},
		{"R45", StepPropagate, []string{"staging too"}},
		{"R46", StepPropagate, []string{"Developers get a message"}},
		{"R47", StepPropagate, []string{"It never carries the value"}},
		{"R48", StepPropagate, []string{"GitHub Actions: both secrets are set", "queued already keeps the old value"}},
		{"R50", StepPropagate, []string{"Backtest service and demo modes", "covers them"}},
		{"R51", StepPropagate, []string{"its own retry", "one failure does not stop the others"}},
		{"R52", StepVerify, []string{"expects the trading account to be ACTIVE"}},
		{"R53", StepVerify, []string{"each configured endpoint"}},
		{"R54", StepVerify, []string{"waits for each restart or release"}},
		{"R55", StepVerify, []string{"sends one small order"}},
		{"R56", StepVerify, []string{"looks the order up at Alpaca with the new pair", "https://app.alpaca.markets/paper/dashboard/orders"}},
		{"R57", StepVerify, []string{"never sent without mode=paper"}},
		{"R58", StepRevoked, []string{"nothing to revoke: generating the new pair killed the old one"}},
		{"R59", StepRevoked, []string{"401 or 403", "Only the status code is kept"}},
		{"R60", StepRevoked, []string{"200 is an alarm", "never calls that dead"}},
		{"R61", StepRecord, []string{"secret.rotate.completed"}},
		{"R62", StepRecord, []string{"who rotated"}},
		{"R63", StepRecord, []string{"which secrets, how and when"}},
		{"R65", StepGenerate, []string{"no rollback once new keys are generated"}},
		{"R65", prerequisites, []string{"No rollback exists"}},
		{"R66", StepGenerate, []string{"regenerate again", "Each click kills the pair before it"}},
		{"R67", StepPropagate, []string{"Never put an earlier value back", "Heroku rollback", "does not authenticate"}},
		{"R68", StepPropagate, []string{"do steps 5 and 6 again with the current live pair"}},
		{"R69", StepPrecheck, []string{"https://docs.alpaca.markets/docs/paper-trading"}},
		{"R70", StepGenerate, []string{"https://alpaca.markets/learn/connect-to-alpaca-api"}},
		{"R71", StepPrecheck, []string{"https://alpaca.markets/learn/start-paper-trading"}},
		{"R72", StepPrecheck, []string{"https://forum.alpaca.markets/t/paper-trading-api-key-changes-with-reset/939"}},
		{"R73", StepPrecheck, []string{"account and the keys together", "does not separate the two", "only if you want both"}},
		{"R74", StepValidate, []string{"account number stays the same when keys are regenerated"}},
		{"R75", StepGenerate, []string{"The secret is shown once, the Key ID stays visible", "carefully"}},
		{"R76", StepGenerate, []string{"As of 2026-04-24", "permanently manual", "do not script the dashboard"}},
		{"R77", StepGenerate, []string{"Paper and live keys differ", "most common source of incidents"}},
		{"R78", StepVerify, []string{"real on the paper book", "In market hours it fills", "one share"}},
		{"R79", StepVerify, []string{"cancels the test order after the check"}},
		{"R80", StepVerify, []string{"sells exactly what was filled", "a position of one share remains"}},
		{"G16", StepPrecheck, []string{"Any reset or delete-account action"}},
		{"G16", StepGenerate, []string{"any reset or delete-account action", "tell the ops channel what you saw"}},
	}
	for _, tt := range tests {
		got := asked()
		if tt.step != prerequisites {
			got = said(t, tt.step)
		}
		for _, want := range tt.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: the text of %s lacks %q", tt.id, tt.step, want)
			}
		}
	}
}

// TestR1SOPHead, with R3 (role) and R6 (average duration).
func TestR1SOPHead(t *testing.T) {
	h := SOPHead()
	if h.Title == "" || h.Mode != "operator-assisted" || h.Validated != "2026-04-24" || h.Method != "read-only-docs" || h.AverageMinutes != 5 || h.Role != "ops" {
		t.Errorf("SOPHead() = %+v", h)
	}
	if !strings.Contains(h.MethodNote, "No real rotation has proven") {
		t.Errorf("R2: method note = %q, want it to say that no real rotation proved the texts", h.MethodNote)
	}
}

// TestR2StaleTexts: 180 days after the texts were validated or a rotation was
// last completed, whichever is later.
func TestR2StaleTexts(t *testing.T) {
	validated, err := time.Parse(time.DateOnly, SOPVersion)
	if err != nil {
		t.Fatalf("SOPVersion %q is no day: %v", SOPVersion, err)
	}
	day := 24 * time.Hour
	tests := []struct {
		name      string
		now, last time.Time
		want      string // part of the warning; "" for none
	}{
		{"179 days, never completed", validated.Add(179 * day), time.Time{}, ""},
		{"180 days, never completed", validated.Add(180 * day), time.Time{}, "2026-04-24, 180 days ago"},
		{"completed before they were validated", validated.Add(181 * day), validated.Add(-9 * day), "2026-04-24, 181 days ago"},
		{"completed since", validated.Add(200 * day), validated.Add(100 * day), ""},
		{"completed since, and old again", validated.Add(280 * day), validated.Add(100 * day), "2026-08-02, 180 days ago"},
	}
	for _, tt := range tests {
		got := Stale(tt.now, tt.last)
		if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%s: Stale = %q, want %q in it", tt.name, got, tt.want)
		}
	}
}

// TestPrerequisitesFitAnOption: Slack allows 75 characters for an option's
// text, description and value, and ten options.
func TestPrerequisitesFitAnOption(t *testing.T) {
	all := Prerequisites()
	if len(all) == 0 || len(all) > 10 {
		t.Fatalf("%d prerequisites, want 1 to 10", len(all))
	}
	seen := map[string]bool{}
	for _, p := range all {
		if p.Name == "" || seen[p.Name] || utf8.RuneCountInString(p.Name) > 75 {
			t.Errorf("name %q is empty, long, or there twice", p.Name)
		}
		seen[p.Name] = true
		if p.Text == "" || utf8.RuneCountInString(p.Text) > 75 || utf8.RuneCountInString(p.Hint) > 75 {
			t.Errorf("%s: text %q or hint %q is empty or longer than 75", p.Name, p.Text, p.Hint)
		}
	}
	for _, trigger := range Triggers() {
		if n := utf8.RuneCountInString(TriggerText(trigger)); n == 0 || n > 75 || TriggerText(trigger) == string(trigger) {
			t.Errorf("TriggerText(%s) = %q", trigger, TriggerText(trigger))
		}
	}
}

// TestTextsArePlain: the same text is shown by Slack, a terminal and a page, so
// it holds no markup; every link is an https page of Alpaca.
func TestTextsArePlain(t *testing.T) {
	for _, name := range StepNames() {
		text := Text(name)
		if text.Title == "" || text.Short == "" || text.Lead == "" || len(text.Do) == 0 {
			t.Errorf("%s: a part is missing: %+v", name, text)
		}
		for _, s := range append(append(append([]string{text.Title, text.Short, text.Lead}, text.Do...), text.Warn...), text.Gotchas...) {
			if strings.ContainsAny(s, "*_`<>\n") {
				t.Errorf("%s: %q holds markup", name, s)
			}
			for sentence := range strings.SplitSeq(s, ". ") {
				if n := len(strings.Fields(sentence)); n > 25 {
					t.Errorf("%s: a sentence of %d words, at most 25: %q", name, n, sentence)
				}
			}
		}
		for _, l := range text.Links {
			if u, err := url.Parse(l.URL); err != nil || u.Scheme != "https" || u.Hostname() != "alpaca.markets" && !strings.HasSuffix(u.Hostname(), ".alpaca.markets") {
				t.Errorf("%s: link %q goes elsewhere", name, l.URL)
			}
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("Text of a step that does not exist did not panic")
		}
	}()
	Text("reset")
}

// TestTextsSHA256 is the same each time, and covers every exported part.
func TestTextsSHA256(t *testing.T) {
	first := TextsSHA256()
	if len(first) != 64 || first != strings.ToLower(first) || first != TextsSHA256() {
		t.Errorf("TextsSHA256() = %q, want the same 64 lower-case digits each time", first)
	}
	for _, of := range []reflect.Type{reflect.TypeFor[Head](), reflect.TypeFor[StepText](), reflect.TypeFor[Link](), reflect.TypeFor[Prerequisite]()} {
		v := reflect.New(of).Elem()
		before, _ := json.Marshal(v.Interface())
		for i := range of.NumField() {
			v.Set(reflect.Zero(of))
			switch f := v.Field(i); f.Kind() { //nolint:exhaustive // texts are built of these kinds only
			case reflect.String:
				f.SetString("changed")
			case reflect.Int:
				f.SetInt(7)
			case reflect.Slice:
				f.Set(reflect.MakeSlice(f.Type(), 1, 1))
			default:
				t.Fatalf("%s.%s has a kind that this test does not know", of, of.Field(i).Name)
			}
			if after, _ := json.Marshal(v.Interface()); string(after) == string(before) {
				t.Errorf("%s.%s is not part of what is hashed", of, of.Field(i).Name)
			}
		}
	}
}
