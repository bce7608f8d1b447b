package slackbot

import (
	"slices"
	"strings"
	"testing"

	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

// Who belongs to a role is not known before Slack has said it, and then without
// those who may do nothing. Fixed people are known from the start.
func TestMembers(t *testing.T) {
	w := newWorld(t, slacksim.Config{})
	w.slack.AddUser(slacksim.User{ID: "U0GONE", Deleted: true})
	w.slack.AddGroup(slacksim.Group{ID: opsGroup, Users: []string{ada, "U0GONE"}})
	w.build()
	w.bot.cfg.OnCall = Role{Users: []string{bob, ada, bob}}
	if got := w.bot.Members(rotation.RoleOps); got != nil {
		t.Errorf("ops before Slack said anything = %v, want nil: not known", got)
	}
	if got, want := w.bot.Members(rotation.RoleOnCall), []string{ada, bob}; !slices.Equal(got, want) {
		t.Errorf("fixed people = %v, want %v", got, want)
	}
	w.bot.cfg.OnCall = Role{}
	if got := w.bot.Members(rotation.RoleOnCall); got == nil || len(got) != 0 {
		t.Errorf("nobody is configured: %#v, want an empty list, not nil", got)
	}
	w.start()
	w.until("the deleted one is left out", func() bool { return slices.Equal(w.bot.Members(rotation.RoleOps), []string{ada}) })
}

// The notes of the ladder pass the simulator, which checks them as Slack does:
// to a person, and to the ops channel with the group mentioned.
func TestWaitingNotesArrive(t *testing.T) {
	w := newWorld(t, slacksim.Config{})
	w.start()
	n := rotation.Note{Kind: rotation.NoteWaiting, Rotation: "rabcdefghij", KeySet: "prod", Data: map[string]string{
		rotation.NoteRung: rotation.RungOps, rotation.NoteSince: "2026-11-22T03:12:30Z", rotation.NoteDown: "2026-11-22T03:12:04Z",
		rotation.NoteFor: "Step 5, Propagate: api failed.", rotation.NoteMention: opsGroup,
	}}
	idle := rotation.Note{Kind: rotation.NoteIdle, Rotation: "rabcdefghij", KeySet: "prod", Data: map[string]string{rotation.NoteSince: "2026-11-22T03:05:00Z"}}
	ctx, cancel := w.ctx()
	defer cancel()
	for to, note := range map[string]rotation.Note{opsChannel: n, ada: idle} {
		at, err := w.bot.Note(ctx, to, note, false)
		if err != nil {
			t.Fatalf("note to %s: %v", to, err)
		}
		i := slices.IndexFunc(w.slack.Messages(at.Channel), func(m slacksim.Message) bool { return m.TS == at.TS })
		if i < 0 {
			t.Fatalf("note to %s is not in %s", to, at.Channel)
		}
		if m := w.slack.Messages(at.Channel)[i]; to == opsChannel && !strings.HasPrefix(m.Text, "<!subteam^"+opsGroup+">") {
			t.Errorf("text in the channel = %q, want the group mentioned first", m.Text)
		}
	}
}
