package modals

import (
	"os"
	"strings"
	"testing"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// waitingNote is a note about a consumer that failed.
func waitingNote(rung string) rotation.Note {
	return rotation.Note{Kind: rotation.NoteWaiting, Rotation: "rabcdefghij", KeySet: "prod", Data: map[string]string{
		rotation.NoteRung: rung, rotation.NoteSince: "2026-11-22T03:12:30.5Z", rotation.NoteDown: "2026-11-22T03:12:04Z",
		rotation.NoteFor:  "Step 5, Propagate: raxx-api-prod failed.",
		rotation.NoteWhat: "Heroku refused the token.", rotation.NoteFix: "Renew it, then press Retry.",
		rotation.NoteOperator: "U0ADA",
	}}
}

func with(n rotation.Note, key, value string) rotation.Note {
	if n.Data[key] = value; value == "" {
		delete(n.Data, key)
	}
	return n
}

func idleNote() rotation.Note {
	return rotation.Note{Kind: rotation.NoteIdle, Rotation: "rabcdefghij", KeySet: "prod", Data: map[string]string{
		rotation.NoteSince: "2026-11-22T03:05:00Z", rotation.NoteOperator: "U0ADA",
	}}
}

func waitingNotes() map[string]rotation.Note {
	return map[string]rotation.Note{
		"operator":      waitingNote(rotation.RungOperator),
		"oncall_none":   with(with(waitingNote(rotation.RungOnCall), rotation.NoteOperator, ""), rotation.NoteSkipped, "U0BOB U0EVE"),
		"owners_maybe":  with(waitingNote(rotation.RungOwners), rotation.NoteMaybe, "true"),
		"ops_group":     with(waitingNote(rotation.RungOps), rotation.NoteMention, "S0RAXXOPS"),
		"ops_users":     with(waitingNote(rotation.RungOps), rotation.NoteMention, "U0ADA U0BOB"),
		"nothing_wrong": with(with(waitingNote(rotation.RungOperator), rotation.NoteWhat, ""), rotation.NoteFix, ""),
		"idle":          idleNote(),
		"idle_refused":  with(idleNote(), rotation.NoteRefused, "Alpaca does not answer properly (timeout), so it is not known whether the keys were generated already."),
	}
}

// TestWaitingNotes compares each note with its golden file and with Slack's
// limits.
func TestWaitingNotes(t *testing.T) {
	if err := os.MkdirAll("testdata/waiting", 0o755); err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for name, n := range waitingNotes() {
		used["note_"+name+".json"] = true
		t.Run(name, func(t *testing.T) {
			m := Note(n)
			if err := CheckMessage(m); err != nil {
				t.Errorf("CheckMessage(%s) = %v, want nil", name, err)
			}
			if b := string(encodeMessage(t, m)); !strings.Contains(b, OpenAction) || strings.Contains(b, UpdatedAction) {
				t.Errorf("the note %s must have the button Open, and not Updated: %s", name, b)
			}
			golden(t, "waiting/note_"+name, encodeMessage(t, m))
		})
	}
	files, err := os.ReadDir("testdata/waiting")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !used[f.Name()] {
			t.Errorf("testdata/waiting/%s belongs to no note", f.Name())
		}
	}
}

// TestWaitingNotesSayWhatMatters looks for what a woken person must read.
func TestWaitingNotesSayWhatMatters(t *testing.T) {
	tests := []struct {
		note string
		want []string
	}{
		{"operator", []string{"trading is down, and the rotation waits for you", "Waiting since* 03:12 UTC (<!date^1795317150^{ago}|", "raxx-api-prod failed", "Renew it", "<@U0ADA>"}},
		{"oncall_none", []string{"You are on call", "nobody yet", "not told, because they are not in ops: <@U0BOB> <@U0EVE>"}},
		{"owners_maybe", []string{"trading may be down", "You own this key set"}},
		{"ops_group", []string{"<!subteam^S0RAXXOPS>", "Nobody has gone on so far"}},
		{"ops_users", []string{"<@U0ADA> <@U0BOB>"}},
		{"idle", []string{"The pair was not changed", "22 Nov 2026 03:05 UTC", "After 24 hours"}},
		{"idle_refused", []string{"could not cancel", "Alpaca does not answer properly", "every 10 minutes"}},
	}
	for _, tt := range tests {
		m := Note(waitingNotes()[tt.note])
		got := strings.Join(append(texts(t, slack.Blocks{BlockSet: m.Blocks}), m.Text), "\n")
		for _, want := range tt.want {
			if !strings.Contains(got, want) {
				t.Errorf("the note %s lacks %q: %s", tt.note, want, got)
			}
		}
	}
	if m := Note(waitingNotes()["ops_group"]); !strings.HasPrefix(m.Text, "<!subteam^S0RAXXOPS> ") {
		t.Errorf("text = %q, want it to begin with the mention: it is what a phone shows", m.Text)
	}
}

// TestWaitingNotesAreSafe: text that is not ours mentions nobody, links nowhere,
// and shows no whole account number; limits hold with long text.
func TestWaitingNotesAreSafe(t *testing.T) {
	for _, attack := range []string{
		"<!channel> <@U0EVE> <!subteam^S0EVE>", "<https://evil.example|Open>", "`<!everyone>`", "\u202eright\u2066to left\x00",
		wholeNumber + " is blocked", strings.Repeat("<&>", 4000),
	} {
		for _, n := range waitingNotes() {
			n.KeySet = attack
			for k := range n.Data {
				n.Data[k] = attack
			}
			m := Note(n)
			if err := CheckMessage(m); err != nil {
				t.Errorf("with %.40q: %v", attack, err)
			}
			for _, text := range append(texts(t, slack.Blocks{BlockSet: m.Blocks}), m.Text) {
				if form := angle.FindString(text); form != "" || strings.ContainsAny(text, "\u202e\u2066\x00") || strings.Contains(text, wholeNumber) {
					t.Errorf("with %.40q a text holds %q: %.200q", attack, form, text)
				}
			}
		}
	}
	many := Note(with(waitingNote(rotation.RungOps), rotation.NoteMention, strings.Repeat("U0ABCDEFGHIJ ", 500)))
	if err := CheckMessage(many); err != nil {
		t.Errorf("with 500 people: %v", err)
	}
}
