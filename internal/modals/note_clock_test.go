package modals

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

// TestClockNotes compares each note of what runs on a clock, and each view that
// its buttons open, with its golden file, with Slack's limits, and with the
// simulator's, which were written apart from ours.
func TestClockNotes(t *testing.T) {
	if err := os.MkdirAll("testdata/clock", 0o755); err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for name, m := range clockMessages() {
		used["note_"+name+".json"] = true
		if err := CheckMessage(m); err != nil {
			t.Errorf("CheckMessage(%s) = %v, want nil", name, err)
		}
		raw, err := json.Marshal(slack.Blocks{BlockSet: m.Blocks})
		if err != nil {
			t.Fatal(err)
		}
		if problems := slacksim.CheckBlocks(raw); len(problems) > 0 {
			t.Errorf("message %s: %v", name, problems)
		}
		golden(t, "clock/note_"+name, encodeMessage(t, m))
	}
	for name, v := range clockViews() {
		used["view_"+name+".json"] = true
		if err := Check(v); err != nil {
			t.Errorf("Check(%s) = %v, want nil", name, err)
		}
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if problems := slacksim.CheckView(raw); len(problems) > 0 {
			t.Errorf("view %s: %v", name, problems)
		}
		golden(t, "clock/view_"+name, encode(t, v))
	}
	files, err := os.ReadDir("testdata/clock")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !used[f.Name()] {
			t.Errorf("testdata/clock/%s belongs to no note and no view", f.Name())
		}
	}
}

// TestClockNotesSayWhatMatters looks for what the reader must know, and for the
// buttons.
func TestClockNotesSayWhatMatters(t *testing.T) {
	all := clockMessages()
	tests := []struct {
		id, note string
		want     []string
		buttons  []string
	}{
		{"R7: a reminder that helps", "reminder_14", []string{
			"due in 14 days, on 19 Dec 2026.", "Readiness 12 of 14:* GitHub token expires Tuesday, fix it first.", "Your last five rotations:* 38 s exposed (median).", "Market closed now: good moment.",
		}, []string{"snooze  due/2026-12-19", "start_rotation  due/2026-12-19"}},
		{"R7: one rotation, open market", "reminder_1_open", []string{"due in 1 day,", "Your last rotation:* 38 s exposed.", "Market open now:* trading would fail", "about 38 s"}, []string{"snooze  due/2026-12-19", "start_rotation  due/2026-12-19"}},
		{"a first observation is stated as such", "reminder_first", []string{"due in 7 days", "not rotated this key set yet", "counted from 22 Jun 2026", "may be older"}, nil},
		{"day 0", "reminder_today", []string{"due today, 19 Dec 2026"}, nil},
		{"overdue, several missed", "reminder_overdue", []string{"overdue since 19 Dec 2026, 3 days", "stands for 2 earlier reminders"}, nil},
		{"R84: one line in the channel", "line_overdue", []string{"*prod*: overdue since 19 Dec 2026, 3 days."}, []string{"start_rotation  due/2026-12-19"}},
		{"snoozed", "reminder_snoozed", []string{"put off until 8 Dec 2026 by <@U0BOB>: Ada is back on Monday", "due date does not move: 19 Dec 2026"}, []string{"start_rotation  due/2026-12-19"}},
		{"R7: a completed rotation kills the buttons", "reminder_over", []string{"was rotated on 22 Nov 2026", "due next on 21 May 2027"}, []string{}},
		{"R10, R85: the page", "forced", []string{
			"Trading fails", "rejects the stored key ····OLD1 (HTTP 401) since 03:12 UTC", "Last seen alive:* 03:11 UTC", "…NB7Q",
		}, []string{"it_was_me", "start_now"}},
		{"never seen alive", "forced_never", []string{"never seen it work", "not in ops: <@U0BOB>"}, []string{"it_was_me", "start_now"}},
		{"stood down", "alive", []string{"works again since 03:20 UTC", "nothing was changed"}, []string{}},
		{"all at once", "together", []string{"*prod*, *staging*", "nobody is paged yet", "10 minutes"}, []string{}},
		{"blocked", "account", []string{"account …NB7Q is ACTIVE, trading blocked", "new pair would not help"}, []string{}},
		{"another account", "account_other", []string{"another Alpaca account than before, account …NUM2", "Type /rotate-alpaca-paper reset."}, []string{"start_rotation"}},
		{"well again", "account_well", []string{"✅ prod: its Alpaca account is well again", "Nothing must be done"}, []string{}},
		{"weekly check", "check", []string{"weekly check found something", "Readiness 12 of 14", "/rotate-alpaca-paper check prod"}, []string{}},
		{"the checks could not be run", "reminder_unknown", []string{"Readiness is not known.* The checks could not be run: Infisical does not answer."}, nil},
		{"changed outside", "vault", []string{"changed outside a rotation", "ends with NEW9"}, []string{"start_rotation"}},
		{"rotated by hand", "by_hand", []string{"rotated by hand", "*raxx-api-prod* has another one", "Nobody is paged"}, []string{"adopt_by_hand  raxx-api-prod"}},
		{"drift", "drift", []string{"*raxx-api-prod* no longer has", "written 2026-11-22 09:14 UTC by somebody else"}, []string{"start_rotation"}},
		{"blind", "blind", []string{"nobody watches its key", "Infisical refused the login", "bot doctor"}, []string{}},
		{"offboarding", "leaver", []string{"<@U0EVE> was deactivated in Slack", "*prod*", "They pasted it"}, []string{"start_rotation  leaver/U0EVE"}},
		{"two key sets", "leavers", []string{"<@U0EVE> <@U0BOB> were deactivated", "*prod*, *staging*", "2|raaaa||0|prod|", "2|rbbbb||0|staging|"}, nil},
		{"R46: silent", "silent", []string{"rotated on 19 Nov 2026", "not pressed Updated for 3 days", "infisical run"}, []string{"developer_updated propagate local-dev"}},
		{"roll-call", "roll_call", []string{"1 of 3 developers have pulled", "Not yet:* <@U0BOB> <@U0EVE>", "Updated:* <@U0ADA>"}, []string{}},
		{"everybody", "roll_call_done", []string{"everybody has pulled"}, []string{}},
		{"break-glass", "breakglass", []string{"root (terminal) acts as break-glass", "Slack is down"}, nil},
		{"late", "refusal_taken", []string{"<@U0ADA> has this rotation already"}, []string{}},
		{"late, over", "refusal_stood_down", []string{"The key works again since 22 Nov 2026 03:20 UTC; nothing was changed"}, []string{}},
		{"R10: the forced rotation's own message", "channel_seen_dead", []string{
			"rejects the stored key ····OLD1 (HTTP 401) since 22 Nov 2026 03:04 UTC", "last worked at 22 Nov 2026 03:03 UTC", "15 minutes old when this was opened",
			"🔴 prod: its key is dead. The rotation is at step 1 of 8, pre-rotation checks. Waiting for somebody in ops to take it over.",
		}, nil},
		{"the cause: regenerated", "channel_cause_regenerated", []string{"keys were *regenerated*. The account is the same, …NB7Q."}, nil},
		{"the cause: replaced, and what was lost", "channel_cause_replaced", []string{"was *reset or replaced*", "…NUM2 was created at 22 Nov 2026 03:03 UTC", "before it was …NB7Q", "Lost with it", "position 3 AAPL: gone", "100210.10 before"}, nil},
		{"the cause: wrong account", "channel_cause_wrong", []string{"*wrong account*", "was there before; …NB7Q was expected"}, nil},
		{"the cause: another key set's", "channel_cause_wrong_owner", []string{"is *staging*'s; …NB7Q was expected"}, nil},
		{"the cause: not known", "channel_cause_unknown", []string{"*not known*", "before was …NB7Q, the new pair's is …NUM2"}, nil},
		{"somebody said so", "channel_reset_said", []string{"the account was reset or deleted, <@U0ADA> said"}, nil},
		{"stood down in the channel", "channel_stood_down", []string{"stood down. The key works again since 22 Nov 2026 03:20 UTC; nothing was changed."}, []string{}},
	}
	for _, tt := range tests {
		m, ok := all[tt.note]
		if !ok {
			t.Fatalf("%s: there is no message %s", tt.id, tt.note)
		}
		encoded := plainJSON(encodeMessage(t, m))
		for _, want := range tt.want {
			if !strings.Contains(encoded, want) {
				t.Errorf("%s: the message %s lacks %q: %s", tt.id, tt.note, want, encoded)
			}
		}
		if tt.buttons == nil {
			continue
		}
		var got []string
		for _, b := range pressed(t, struct{ Blocks slack.Blocks }{slack.Blocks{BlockSet: m.Blocks}}) {
			got = append(got, strings.ReplaceAll(b, "_v1", ""))
		}
		if diff := cmp.Diff(tt.buttons, append([]string{}, got...)); diff != "" {
			t.Errorf("%s: buttons of %s (-want +got):\n%s", tt.id, tt.note, diff)
		}
	}
	for name, want := range map[string][]string{
		"snooze":             {"The due date does not move: 19 Dec 2026", "until 2 Jan 2027 at most, 14 days overdue", "1 day", "3 days", "7 days"},
		"it_was_me":          {"the record names you", "step 2", "regenerated the keys", "reset or deleted the paper account"},
		"it_was_me_had":      {"<@U0ADA> has this rotation now; you become its operator"},
		"adopt_by_hand":      {"*raxx-api-prod*", "Nothing is generated"},
		"precheck_seen_dead": {"What was seen", "15 minutes old"},
		"precheck_leaver":    {`"initial_value": "U0EVE was deactivated in Slack"`, `"value": "offboarding"`},
		"closed_stood_down":  {"Stood down: the key works again", "nothing was changed"},
	} {
		encoded := plainJSON(encode(t, clockViews()[name]))
		for _, w := range want {
			if !strings.Contains(encoded, w) {
				t.Errorf("the view %s lacks %q: %s", name, w, encoded)
			}
		}
	}
}

// plainJSON is b without the escapes for angle brackets.
func plainJSON(b []byte) string {
	return strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(b))
}

// TestClockNotesAreSafe: text that is not ours mentions nobody, links nowhere,
// and shows no whole account number; limits hold with long text.
func TestClockNotesAreSafe(t *testing.T) {
	for _, attack := range []string{
		"<!channel> <@U0EVE> <!subteam^S0EVE>", "<https://evil.example|Open>", "`<!everyone>`", "\u202eright\u2066to left\x00", "a|b|c", "line\n✅ done",
		wholeNumber + " is blocked", strings.Repeat("<&>", 4000), "-99999999999999999999", "",
	} {
		for name, n := range clockNotes() {
			n.KeySet, n.Consumer, n.Data = attack, attack, maps.Clone(n.Data)
			for k := range n.Data {
				n.Data[k] = attack
			}
			if attack == "" {
				n.KeySet, n.Data = "prod", nil
			}
			safe(t, name, attack, Note(n))
			safe(t, name, attack, ChannelNote(n))
		}
		bind := Bind{KeySet: cut(attack, 40), Item: cut(attack, 40)}
		o := everywhere(seen(), attack)
		o.Rotation.Accident = &rotation.Accident{Cause: rotation.CauseReplaced, Found: attack, Expected: attack, Owner: attack, Lost: []string{attack, attack}}
		o.Rotation.Claim = &rotation.Claim{By: rotation.Actor{ID: attack}, What: attack}
		view, _ := ItWasMe(o, "U0BOB")
		for _, v := range []slack.ModalViewRequest{Snooze(bind, rotation.Posted{}), AdoptByHand(bind, rotation.Posted{}), Adopting(bind), view} {
			if err := Check(v); err != nil {
				t.Errorf("%s with %.40q: %v", v.CallbackID, attack, err)
			}
			for _, text := range texts(t, v) {
				if strings.ContainsAny(text, "\u202e\u2066\x00") || notOurs(angle.FindAllString(text, -1)) {
					t.Errorf("%s with %.40q holds %.200q", v.CallbackID, attack, text)
				}
			}
		}
		safe(t, "snoozed", attack, NoteSnoozed(rotation.Actor{ID: attack}, SnoozeAsk{Bind: bind, Why: attack}, attack))
		safe(t, "over", attack, NoteOver(rotation.Record{KeySet: attack, NextDue: attack}))
		safe(t, "channel", attack, Channel(o))
	}
	many := clockNote(rotation.NoteRollCall, map[string]string{rotation.NoteOpen: strings.Repeat("U0ABCDEFGHIJ ", 500), rotation.NoteDone: strings.Repeat("U0ABCDEFGHIJ ", 500)})
	safe(t, "many", "500 people", Note(many))
	names := ""
	for i := range 500 {
		names += fmt.Sprint("key-set-", i, " ")
	}
	sets := clockNote(rotation.NoteLeaver, map[string]string{rotation.NotePeople: "U0EVE", rotation.NoteKeySets: names})
	safe(t, "many", "500 key sets", Note(sets))
}

// notOurs reports whether one of the angle forms is not ours, nor a mention of
// a person.
func notOurs(forms []string) bool {
	return slices.ContainsFunc(forms, func(form string) bool { return !ours.MatchString(form) })
}

func safe(t *testing.T, name, attack string, m Message) {
	t.Helper()
	if err := CheckMessage(m); err != nil {
		t.Errorf("%s with %.40q: %v", name, attack, err)
	}
	attacked := func(form string) bool { // what an attack wrote as a mention is none of ours
		return strings.Contains(attack, form)
	}
	for _, text := range append(texts(t, slack.Blocks{BlockSet: m.Blocks}), m.Text) {
		forms := angle.FindAllString(text, -1)
		if notOurs(forms) || slices.ContainsFunc(forms, attacked) || strings.ContainsAny(text, "\u202e\u2066\x00") || strings.Contains(text, wholeNumber) || strings.Contains(text, "\n✅ done") {
			t.Errorf("%s with %.40q: a text holds %.200q", name, attack, text)
		}
	}
}

// TestBindOfKeySets: a button that belongs to a key set is read as it was
// written, and one that cannot be is not made.
func TestBindOfKeySets(t *testing.T) {
	for _, b := range []Bind{
		{KeySet: "prod"},
		{KeySet: "prod", Item: "due/2026-12-19"},
		{KeySet: "prod", Rotation: "r1", Item: "leaver/U0EVE U0BOB"},
		{KeySet: "prod", Item: "a|b"},
		{Rotation: "r1", Step: rotation.StepStore, Round: 2, Item: "a|b"},
	} {
		got, err := ParseBind(b.String())
		if err != nil || got != b {
			t.Errorf("ParseBind(%q) = %+v, %v, want %+v", b, got, err, b)
		}
	}
	for _, value := range []string{"", "2", "2|||0|", "2|||0||x", "2|||-1|prod|", "2||nostep|0|prod|", "3|||0|prod|", "1||store|0|x"} {
		if got, err := ParseBind(value); err == nil {
			t.Errorf("ParseBind(%q) = %+v, want an error", value, got)
		}
	}
	if button(StartRotationAction, "x", Bind{KeySet: "a|b"}) != nil {
		t.Error("a key set with a bar in its name got a button that cannot be read")
	}
	b := Bind{Item: "leaver/U0EVE <!channel> U0BOB"}
	if diff := cmp.Diff([]string{"U0EVE", "U0BOB"}, b.Leavers()); diff != "" || b.Due() != "" {
		t.Errorf("Leavers (-want +got): %s, due %q", diff, b.Due())
	}
	if got := (Bind{Item: "due/2026-12-19"}).Due(); got != "2026-12-19" {
		t.Errorf("Due = %q, want 2026-12-19", got)
	}
}

// TestClockAnswers: what is submitted is read as it was typed, and a reason that
// looks like a key is refused.
func TestClockAnswers(t *testing.T) {
	bind, posted := Bind{KeySet: "prod", Item: "due/2026-12-19"}, rotation.Posted{Channel: "D0BOB", TS: "1.2"}
	v := Snooze(bind, posted)
	got, problems, err := ParseSnooze(v.PrivateMetadata, submit(v, map[string][]string{SnoozeDaysBlock: {"3"}, SnoozeWhyBlock: {" Ada is back\non Monday "}}))
	want := SnoozeAsk{Bind: bind, At: posted, Days: 3, Why: "Ada is back on Monday"}
	if err != nil || len(problems) > 0 || got != want {
		t.Errorf("ParseSnooze = %+v, %v, %v, want %+v", got, problems, err, want)
	}
	const key = "PKABCDEFGHIJ12345678"
	for _, tt := range []struct {
		days, why string
		blocks    []string
	}{
		{"2", "because", []string{SnoozeDaysBlock}},
		{"", "", []string{SnoozeDaysBlock, SnoozeWhyBlock}},
		{"1", "it was " + key, []string{SnoozeWhyBlock}},
	} {
		ask, problems, err := ParseSnooze(v.PrivateMetadata, submit(v, map[string][]string{SnoozeDaysBlock: {tt.days}, SnoozeWhyBlock: {tt.why}}))
		if diff := cmp.Diff(tt.blocks, slices.Sorted(maps.Keys(problems))); err != nil || diff != "" || strings.Contains(ask.Why, key) {
			t.Errorf("ParseSnooze(%q, %q): %+v, %v, blocks (-want +got): %s", tt.days, tt.why, ask, err, diff)
		}
	}
	adopt := AdoptByHand(Bind{KeySet: "prod", Item: "api"}, posted)
	b, why, problems, err := ParseAdoptByHand(adopt.PrivateMetadata, submit(adopt, map[string][]string{AdoptByHandBlock: {"bob did it"}}))
	if err != nil || why != "bob did it" || len(problems) > 0 || b != (Bind{KeySet: "prod", Item: "api"}) {
		t.Errorf("ParseAdoptByHand = %+v, %q, %v, %v", b, why, problems, err)
	}
	if _, why, problems, _ := ParseAdoptByHand(adopt.PrivateMetadata, submit(adopt, map[string][]string{AdoptByHandBlock: {key}})); why != "" || problems[AdoptByHandBlock] == "" {
		t.Errorf("a reason that looks like a key: %q, %v, want it refused", why, problems)
	}
	for _, metadata := range []string{"", "x", "a|b|c", "||1|||"} {
		if _, _, err := ParseSnooze(metadata, nil); err == nil {
			t.Errorf("ParseSnooze(%q) has no error", metadata)
		}
		if _, _, _, err := ParseAdoptByHand(metadata, nil); err == nil {
			t.Errorf("ParseAdoptByHand(%q) has no error", metadata)
		}
	}
	mine, _ := ItWasMe(seen(), "U0BOB")
	for _, what := range []string{"regenerated", "reset", "", "nothing"} {
		got, problems := ParseItWasMe(submit(mine, map[string][]string{ItWasMeBlock: {what}}))
		if known := what == "regenerated" || what == "reset"; (got == what && len(problems) == 0) != known || !known && problems[ItWasMeBlock] == "" {
			t.Errorf("ParseItWasMe(%q) = %q, %v", what, got, problems)
		}
	}
}

// TestItWasMeIsLate when it is over, or somebody else said so.
func TestItWasMeIsLate(t *testing.T) {
	said := seen()
	said.Rotation.Claim = &rotation.Claim{By: rotation.Actor{ID: "U0EVE"}, What: rotation.ClaimReset, Mine: true, At: at("03:06:00")}
	if _, ok := ItWasMe(said, "U0BOB"); ok {
		t.Error("Bob can say that it was him after Eve said so")
	}
	if _, ok := ItWasMe(said, "U0EVE"); !ok {
		t.Error("Eve cannot go on with what she said")
	}
	if _, ok := ItWasMe(alive(), "U0BOB"); ok {
		t.Error("Bob can say that it was him after the key turned out alive")
	}
	if got := old(seen().Rotation); got != "15 minutes old when this was opened" {
		t.Errorf("age of the snapshot = %q", got)
	}
	r := seen().Rotation
	r.Snapshot.At = r.Opened.Add(-50 * time.Hour)
	if got := old(r); got != "2 days old when this was opened" {
		t.Errorf("age of the snapshot = %q", got)
	}
}

func FuzzParseSnooze(f *testing.F) {
	v := Snooze(Bind{KeySet: "prod", Item: "due/2026-12-19"}, rotation.Posted{Channel: "D0BOB", TS: "1.2"})
	raw, err := json.Marshal(submit(v, map[string][]string{SnoozeDaysBlock: {"3"}, SnoozeWhyBlock: {"\u202eleave <@U0EVE>\n" + strings.Repeat("x", 3000)}}))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(v.PrivateMetadata, raw)
	f.Add("C|1.2|1|r|verify|1|a|b", []byte(`{"values":{}}`))
	f.Add("", []byte(`null`))
	f.Fuzz(func(t *testing.T, metadata string, raw []byte) {
		ask, problems, err := ParseSnooze(metadata, state(raw))
		if err != nil {
			return
		}
		oneLine(t, "why", ask.Why)
		if ask.Why == "" && problems[SnoozeWhyBlock] == "" || !slices.Contains(snoozeDays(), ask.Days) && problems[SnoozeDaysBlock] == "" {
			t.Errorf("%+v without a problem: %v", ask, problems)
		}
		again, _, err := ParseSnooze(metadataOf(ask.Bind, ask.At), nil)
		if err != nil || again.Bind != ask.Bind || again.At != ask.At {
			t.Errorf("ParseSnooze(%q) = %+v, and again %+v, %v", metadata, ask, again, err)
		}
		b, why, problems, err := ParseAdoptByHand(metadata, state(raw))
		if oneLine(t, "why", why); err != nil || b != ask.Bind || why == "" && problems[AdoptByHandBlock] == "" {
			t.Errorf("ParseAdoptByHand(%q) = %+v, %q, %v, %v", metadata, b, why, problems, err)
		}
	})
}
