package commands_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/commands"
	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

func TestParse(t *testing.T) {
	tests := []struct {
		text string
		want commands.Command
	}{
		{"", commands.Command{Verb: commands.VerbStart}},
		{"  ", commands.Command{Verb: commands.VerbStart}},
		{"prod", commands.Command{Verb: commands.VerbStart, KeySet: "prod"}},
		{" Prod ", commands.Command{Verb: commands.VerbStart, KeySet: "prod"}},
		{"status", commands.Command{Verb: commands.VerbStatus}},
		{"STATUS", commands.Command{Verb: commands.VerbStatus}},
		{"help", commands.Command{Verb: commands.VerbHelp}},
		{"--help", commands.Command{Verb: commands.VerbHelp}},
		{"history", commands.Command{Verb: commands.VerbHistory}},
		{"History PROD", commands.Command{Verb: commands.VerbHistory, KeySet: "prod"}},
		{"check", commands.Command{Verb: commands.VerbCheck}},
		{"check staging", commands.Command{Verb: commands.VerbCheck, KeySet: "staging"}},
		{"reset", commands.Command{Verb: commands.VerbReset}},
		{"reset prod", commands.Command{Verb: commands.VerbReset, KeySet: "prod"}},
		{"reset prod now", commands.Command{Verb: commands.VerbHelp}},
		{"reset prod PKAAAA secret", commands.Command{Verb: commands.VerbHelp}},
		{"prod reset", commands.Command{Verb: commands.VerbHelp}},
		{"status prod", commands.Command{Verb: commands.VerbHelp}},
		{"help me", commands.Command{Verb: commands.VerbHelp}},
		{"start", commands.Command{Verb: commands.VerbStart, KeySet: "start"}},
		{"start prod", commands.Command{Verb: commands.VerbHelp}},
		{"prod now please", commands.Command{Verb: commands.VerbHelp}},
		{"\u202eprod", commands.Command{Verb: commands.VerbStart, KeySet: "\u202eprod"}}, // no such key set: the answer names those there are
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, commands.Parse(tt.text)); diff != "" {
			t.Errorf("Parse(%q) (-want +got):\n%s", tt.text, diff)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("prod")
	f.Add("reset prod")
	f.Add("status\u0000 <@U0ADA>")
	f.Fuzz(func(t *testing.T, text string) {
		got := commands.Parse(text)
		named := []commands.Verb{commands.VerbStart, commands.VerbHistory, commands.VerbCheck, commands.VerbReset}
		if got.KeySet != "" && !slices.Contains(named, got.Verb) {
			t.Errorf("Parse(%q) = %+v, a key set with a verb that takes none", text, got)
		}
		if got.Verb == commands.VerbStart && slices.Contains(commands.Verbs(), commands.Verb(got.KeySet)) {
			t.Errorf("Parse(%q) = %+v, a verb is taken for a key set", text, got)
		}
	})
}

type roster map[string]commands.Standing

func (r roster) Standing(person string) commands.Standing { return r[person] }

// A ledger remembers the rows it was asked for.
type ledger struct{ rows []string }

func (l *ledger) Denied(_ context.Context, by rotation.Actor, _ rotation.ID, what, why string) error {
	l.rows = append(l.rows, "denied "+by.ID+" "+what+" "+why)
	return nil
}

func (l *ledger) Stale(_ context.Context, by rotation.Actor, _ rotation.ID, what string, _ time.Duration) error {
	l.rows = append(l.rows, "stale "+by.ID+" "+what)
	return nil
}

// R3: the table in section 5 of the design, for each kind of person. Refusals
// leave an audit row, and unknown is never rounded to yes.
func TestGate(t *testing.T) {
	now := time.Date(2026, 4, 24, 3, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	people := roster{
		"ops":      {Ops: commands.Yes, OnCall: commands.No, AsOf: ago(10 * time.Second)},
		"oncall":   {Ops: commands.No, OnCall: commands.Yes, AsOf: ago(10 * time.Second)},
		"owner":    {Ops: commands.No, OnCall: commands.No, Owns: []string{"prod"}, AsOf: ago(10 * time.Second)},
		"outsider": {Ops: commands.No, OnCall: commands.No, AsOf: ago(10 * time.Second)},
		"guest":    {Barred: "guest", Ops: commands.Yes, AsOf: ago(10 * time.Second)},
		"bot":      {Barred: "bot", Ops: commands.Yes, AsOf: ago(10 * time.Second)},
		"deleted":  {Barred: "deleted", Ops: commands.Yes, AsOf: ago(10 * time.Second)},
		"external": {Barred: "external", Ops: commands.Yes, AsOf: ago(10 * time.Second)},
		"stale":    {Ops: commands.Yes, AsOf: ago(10 * time.Minute)},
		"staleno":  {Ops: commands.No, AsOf: ago(10 * time.Minute)},
		"ancient":  {Ops: commands.Yes, AsOf: ago(31 * time.Minute)},
		"never":    {},
	}
	tests := []struct {
		who     string
		act     commands.Act
		exposed bool
		keyset  string
		named   string
		want    string // reason of the refusal; "" means allowed
		row     string
	}{
		{who: "ops", act: commands.ActStart},
		{who: "ops", act: commands.ActPaste},
		{who: "ops", act: commands.ActStatus},
		{who: "oncall", act: commands.ActStatus},
		{who: "oncall", act: commands.ActStart, want: "not_ops", row: "denied oncall start not_ops"},
		{who: "owner", act: commands.ActStatus},
		{who: "owner", act: commands.ActRetry, want: "not_ops", row: "denied owner retry not_ops"},
		{who: "outsider", act: commands.ActStart, want: "not_ops", row: "denied outsider start not_ops"},
		{who: "outsider", act: commands.ActGoOn, want: "not_ops", row: "denied outsider go_on not_ops"},
		{who: "outsider", act: commands.ActPaste, want: "not_ops", row: "denied outsider paste not_ops"},
		{who: "outsider", act: commands.ActOpen, want: "not_ops", row: "denied outsider open not_ops"},
		{who: "outsider", act: commands.ActCancel, want: "not_ops", row: "denied outsider cancel not_ops"},
		{who: "outsider", act: commands.ActTakeOver, want: "not_ops", row: "denied outsider take_over not_ops"},
		{who: "outsider", act: commands.ActRegenerate, want: "not_ops", row: "denied outsider regenerate not_ops"},
		{who: "outsider", act: commands.ActRedo, want: "not_ops", row: "denied outsider redo not_ops"},
		{who: "outsider", act: commands.ActAccept, want: "not_ops", row: "denied outsider accept not_ops"},
		{who: "outsider", act: commands.ActStoreAnyway, want: "not_ops", row: "denied outsider store_anyway not_ops"},
		{who: "outsider", act: commands.ActStoreLater, want: "not_ops", row: "denied outsider store_later not_ops"},
		{who: "outsider", act: commands.ActAdopt, want: "not_ops", row: "denied outsider adopt not_ops"},
		{who: "outsider", act: commands.ActUseFor, want: "not_ops", row: "denied outsider use_for not_ops"},
		{who: "ops", act: commands.ActAccept},
		{who: "stale", act: commands.ActAdopt, exposed: true, row: "stale stale adopt"},
		{who: "outsider", act: commands.ActStatus, want: "not_ops", row: "denied outsider status not_ops"},
		{who: "ops", act: commands.ActReset},
		{who: "oncall", act: commands.ActReset, want: "not_ops", row: "denied oncall reset not_ops"},
		{who: "owner", act: commands.ActReset, want: "not_ops", row: "denied owner reset not_ops"},
		{who: "guest", act: commands.ActReset, want: "barred_guest", row: "denied guest reset barred_guest"},
		{who: "stale", act: commands.ActReset, want: "membership_unknown", row: "denied stale reset membership_unknown"},
		{who: "outsider", act: commands.ActStartNow, want: "not_ops", row: "denied outsider start_now not_ops"},
		{who: "oncall", act: commands.ActStartNow, want: "not_ops", row: "denied oncall start_now not_ops"},
		{who: "stale", act: commands.ActStartNow, exposed: true, row: "stale stale start_now"},
		{who: "outsider", act: commands.ActItWasMe, want: "not_ops", row: "denied outsider it_was_me not_ops"},
		{who: "owner", act: commands.ActAdoptByHand, want: "not_ops", row: "denied owner adopt_by_hand not_ops"},
		{who: "ops", act: commands.ActSnooze, keyset: "staging"},
		{who: "owner", act: commands.ActSnooze, keyset: "prod"},
		{who: "owner", act: commands.ActSnooze, keyset: "staging", want: "not_owner", row: "denied owner snooze not_owner"},
		{who: "owner", act: commands.ActSnooze, want: "not_owner", row: "denied owner snooze not_owner"},
		{who: "oncall", act: commands.ActSnooze, keyset: "prod", want: "not_owner", row: "denied oncall snooze not_owner"},
		{who: "oncall", act: commands.ActHome},
		{who: "owner", act: commands.ActHome},
		{who: "outsider", act: commands.ActHome, want: "not_ops", row: "denied outsider home not_ops"},
		{who: "external", act: commands.ActHome, want: "barred_external", row: "denied external home barred_external"},
		{who: "oncall", act: commands.ActHistory},
		{who: "owner", act: commands.ActHistory, keyset: "staging"}, // not only of what is theirs
		{who: "outsider", act: commands.ActHistory, want: "not_ops", row: "denied outsider history not_ops"},
		{who: "owner", act: commands.ActCheck},
		{who: "oncall", act: commands.ActCheck},
		{who: "outsider", act: commands.ActCheck, want: "not_ops", row: "denied outsider check not_ops"},
		{who: "bot", act: commands.ActCheck, want: "barred_bot", row: "denied bot check barred_bot"},
		{who: "outsider", act: commands.ActUpdated, named: "outsider"},
		{who: "ops", act: commands.ActUpdated, named: "somebody", want: "not_named", row: "denied ops updated not_named"},
		{who: "guest", act: commands.ActStart, want: "barred_guest", row: "denied guest start barred_guest"},
		{who: "guest", act: commands.ActUpdated, named: "guest", want: "barred_guest", row: "denied guest updated barred_guest"},
		{who: "bot", act: commands.ActPaste, want: "barred_bot", row: "denied bot paste barred_bot"},
		{who: "deleted", act: commands.ActStatus, want: "barred_deleted", row: "denied deleted status barred_deleted"},
		{who: "external", act: commands.ActOpen, want: "barred_external", row: "denied external open barred_external"},
		{who: "stale", act: commands.ActStart, want: "membership_unknown", row: "denied stale start membership_unknown"},
		{who: "stale", act: commands.ActPaste, exposed: true, row: "stale stale paste"},
		{who: "staleno", act: commands.ActPaste, exposed: true, want: "not_ops", row: "denied staleno paste not_ops"},
		{who: "ancient", act: commands.ActPaste, exposed: true, want: "membership_unknown", row: "denied ancient paste membership_unknown"},
		{who: "never", act: commands.ActPaste, exposed: true, want: "membership_unknown", row: "denied never paste membership_unknown"},
		{who: "never", act: commands.ActStart, want: "membership_unknown", row: "denied never start membership_unknown"},
	}
	for _, tt := range tests {
		led := &ledger{}
		g := commands.Gate{Roster: people, Ledger: led, Now: func() time.Time { return now }}
		err := g.Check(t.Context(), rotation.Actor{ID: tt.who}, tt.act, commands.Subject{KeySet: tt.keyset, Exposed: tt.exposed, Named: tt.named})
		got := ""
		if err != nil {
			got = fault.ReasonOf(err)
		}
		if got != tt.want {
			t.Errorf("%s, %s, exposed %t: refused %q, want %q", tt.who, tt.act, tt.exposed, got, tt.want)
		}
		var rows []string
		if tt.row != "" {
			rows = []string{tt.row}
		}
		quiet := g.May(rotation.Actor{ID: tt.who}, tt.act, commands.Subject{KeySet: tt.keyset, Exposed: tt.exposed, Named: tt.named})
		if (quiet == nil) != (err == nil) || quiet != nil && fault.ReasonOf(quiet) != tt.want {
			t.Errorf("%s, %s: May = %v, Check = %v, want the same", tt.who, tt.act, quiet, err)
		}
		if diff := cmp.Diff(rows, led.rows); diff != "" {
			t.Errorf("%s, %s: audit rows (-want +got):\n%s", tt.who, tt.act, diff)
		}
	}
}
