package app_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

// touched counts everything that the bot did outside Slack since it began.
func (w *world) touched() int {
	return w.alpaca.Count("", "/v2/") + w.infisical.Count(http.MethodPatch, "/") + w.heroku.Count("", "/apps/") + w.github.Count("", "/repos/")
}

// R3: whoever is not ops is refused in a message that only they see, with an
// audit row, and nothing else happens. Guests, bots, deleted and external
// people are refused although the group still lists them.
func TestOnlyOpsMayStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	people := []struct {
		name   string
		user   slacksim.User
		was    func(*slacksim.User) // as Slack answered when the bot asked; the person can still type now
		reason string
		want   string
	}{
		{"outsider", slacksim.User{ID: "U0OUTSIDER"}, nil, "not_ops", "Only members of the ops group may do this. The attempt is recorded."},
		{"developer", slacksim.User{ID: bobID}, nil, "not_ops", "Only members of the ops group"},
		{"guest", slacksim.User{ID: "U0GUEST", Restricted: true}, nil, "barred_guest", "Guests, bots, deleted and external users cannot use Keyturn."},
		{"single-channel guest", slacksim.User{ID: "U0GUEST1", UltraRestricted: true}, nil, "barred_guest", "Guests, bots, deleted"},
		{"bot", slacksim.User{ID: "U0ROBOT", IsBot: true}, func(u *slacksim.User) { u.IsBot = false }, "barred_bot", "Guests, bots, deleted"},
		{"deleted", slacksim.User{ID: "U0GONE", Deleted: true}, func(u *slacksim.User) { u.Deleted = false }, "barred_deleted", "Guests, bots, deleted"},
		{"of another organisation", slacksim.User{ID: "U0OTHER", TeamID: "T0OTHER"}, func(u *slacksim.User) { u.TeamID = w.slack.Config().TeamID }, "barred_external", "Guests, bots, deleted"},
	}
	group, members := []string{adaID, eveID}, []string{w.slack.Config().BotUserID, adaID, eveID}
	for _, p := range people {
		w.slack.AddUser(p.user)
		members = append(members, p.user.ID)
		if p.name != "outsider" && p.name != "developer" {
			group = append(group, p.user.ID)
		}
	}
	w.slack.AddGroup(slacksim.Group{ID: opsGroup, Users: group})
	w.slack.AddChannel(slacksim.Channel{ID: opsChannel, Name: "ops", Members: members})
	b := w.start()
	before := w.touched()
	for _, p := range people {
		if p.was != nil {
			w.slack.ChangeUser(p.user.ID, p.was)
		}
		who := person{w, p.user.ID}
		for _, text := range []string{"", "prod", "status", "help"} {
			got := who.command(opsChannel, text)
			if got.Reply == nil || got.Reply.EphemeralFor != p.user.ID || !strings.Contains(got.Reply.Visible(), "⛔") {
				t.Errorf("%s types %q: answered %+v, want a refusal that only they see", p.name, text, got)
				continue
			}
			if text == "prod" && !strings.Contains(got.Reply.Visible(), p.want) {
				t.Errorf("%s: refused with %q, want %q", p.name, got.Reply.Visible(), p.want)
			}
		}
		if _, open := w.slack.Modal(p.user.ID); open {
			t.Errorf("%s has a modal open", p.name)
		}
	}
	if got := w.touched(); got != before {
		t.Errorf("%d calls to the services after refusals, want none", got-before)
	}
	for _, m := range w.slack.Messages(opsChannel) {
		if m.EphemeralFor == "" {
			t.Errorf("a refusal was said in public: %s", m.Visible())
		}
	}
	b.stop()
	rows, last := w.left()
	if last.ID != "" {
		t.Errorf("rotation %s was opened", last.ID)
	}
	for _, p := range people {
		n := 0
		for _, e := range rows {
			if e.Row.Action == "secret.rotate.denied" && e.Row.Actor == p.user.ID && e.Row.Context["why"] == p.reason {
				n++
			}
		}
		if n != 4 {
			t.Errorf("%s: %d audit rows with reason %s, want 4", p.name, n, p.reason)
		}
	}
}

// R3: the role is looked at when a button is pressed or a view is submitted,
// not when the modal was opened.
func TestWhoLostOpsIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{noDelays: true})
	b := w.start()
	w.ada.begin("prod")
	m := w.opsMessage("step 1 of 8")
	w.eve.pressIn(m, "Open")
	w.eve.checked()
	w.eve.answer(true)
	b.stop()
	w.slack.AddGroup(slacksim.Group{ID: opsGroup, Users: []string{adaID}}) // the bot asks Slack again when it starts
	draw := w.hold(drawings)                                               // it would take the open view away, and soon
	b = w.start()

	w.eve.pressIn(m, "Open")
	w.eve.whisper("Only members of the ops group may do this")
	if got := w.eve.submit(); len(got.Errors) > 0 || got.Closed {
		t.Errorf("submission = %+v, want the refusal in the view", got)
	}
	v := w.eve.see("Only members of the ops group may do this. The attempt is recorded.")
	if v.Title != "Not done" || v.Submit != "" {
		t.Errorf("the refused submission shows %q with %q", v.Title, v.Submit)
	}
	w.eve.pressIn(m, cancelIt)
	w.until("both refused presses are logged", func() bool { return strings.Count(w.log.String(), "act refused") >= 2 })
	draw()

	// The paste is the one submission that takes a secret: refused too, and what
	// was typed is not sealed.
	w.ada.checked()
	w.ada.goOn(false)
	b.stop()
	w.slack.AddGroup(slacksim.Group{ID: opsGroup, Users: []string{eveID}})
	w.hold(drawings)
	b = w.start()
	key := w.ada.generate()
	got := w.ada.paste(key.ID, key.Secret)
	if len(got.Errors) != 1 || !shows(w.ada.screen().Errors()[secretKey], "Only members of the ops group", "Ask somebody in ops.") {
		t.Errorf("paste of somebody who lost ops = %+v, shown %v", got, w.ada.screen().Errors())
	}
	b.stop()
	rows, last := w.left()
	if len(last.Candidates) > 0 || last.Step(rotation.StepGenerate).State != rotation.Running {
		t.Errorf("candidates %+v, step 2 %s, want none and running", last.Candidates, last.Step(rotation.StepGenerate).State)
	}
	acts := map[any]bool{}
	for _, e := range rows {
		if e.Row.Action == "secret.rotate.denied" && e.Row.Context["why"] == "not_ops" {
			acts[e.Row.Context["act"]] = true
		}
	}
	for _, want := range []string{"open", "go_on", "cancel", "paste"} {
		if !acts[want] {
			t.Errorf("no audit row about the refused %s; there is %v", want, acts)
		}
	}
}

// People of another organisation can press in a shared channel. They are
// refused there too (R3).
func TestExternalPersonPressesInSharedChannel(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{noDelays: true})
	w.slack.AddUser(slacksim.User{ID: "U0EXTERNAL", TeamID: "T0OTHER"})
	w.slack.AddChannel(slacksim.Channel{ID: opsChannel, Name: "ops", ExtShared: true, Members: []string{w.slack.Config().BotUserID, adaID, bobID, "U0EXTERNAL"}})
	b := w.start()
	w.ada.begin("prod")
	who := person{w, "U0EXTERNAL"}
	who.pressIn(w.opsMessage("step 1 of 8"), "Open")
	who.whisper("⛔", "Ask somebody in ops")
	if _, open := w.slack.Modal(who.id); open {
		t.Error("the external person has a modal open")
	}
	b.stop()
	rows, _ := w.left()
	if r := row(t, rows, "secret.rotate.denied"); r.Actor != who.id || r.Context["act"] != "open" {
		t.Errorf("audit row %+v, want the refused open of %s", r, who.id)
	}
}

// What else the command answers, always to the person alone.
func TestCommandAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{second: true, noDelays: true})
	b := w.start()
	tests := []struct {
		name, channel, text string
		want                []string
	}{
		{"another channel", general, "prod", []string{"This command works in one channel only.", "Go to #ops"}},
		{"help", opsChannel, "help", []string{"Rotate Alpaca paper trading keys", "Role ops", command + " status", "Never type a key after the command"}},
		{"several words", opsChannel, "prod now please", []string{command + " NAME"}},
		{"unknown key set", opsChannel, "prd", []string{"There is no key set `prd`.", "`prod`, `dev`"}},
		{"status of an idle bot", opsChannel, "status", []string{"*prod*", "*dev*", "Not rotated with this bot yet."}}, // R5
	}
	for _, tt := range tests {
		got := w.ada.command(tt.channel, tt.text)
		if got.Reply == nil {
			t.Fatalf("%s: answered %q, want a reply", tt.name, got.Err)
		}
		if got.Reply.EphemeralFor != adaID || !shows(got.Reply.Visible(), tt.want...) {
			t.Errorf("%s: answered %q, %s, want %q to Ada alone", tt.name, got.Err, got.Reply.Visible(), tt.want)
		}
	}
	if _, open := w.slack.Modal(adaID); open {
		t.Error("a modal is open after answers that need none")
	}

	// R5: without a name the bot asks which key set is meant.
	w.ada.command(opsChannel, "")
	w.ada.see("Which key set?")
	w.ada.choose("Which key set?", "dev")
	w.ada.submit()
	if v := w.ada.checked(); v.Title != "Rotate dev" {
		t.Errorf("the modal is titled %q, want that of dev", v.Title)
	}
	open := w.ada.command(opsChannel, "status").Reply
	if open == nil || !shows(open.Visible(), "*dev*", "step 1 of 8", "Waiting for @ada", "[Open]") || len(w.slack.Problems()) > 0 {
		t.Errorf("status with an open rotation: %+v, problems %q", open, w.slack.Problems())
	}
	b.stop()
}

// R83: one open rotation per key set. The second person who types the command
// gets the same one; another key set is free.
func TestOneRotationPerKeySet(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{second: true, noDelays: true})
	b := w.start()
	first := w.ada.begin("prod")
	same := w.eve.begin("prod")
	w.eve.closeModal()
	other := w.eve.begin("dev")
	if same.PrivateMetadata != first.PrivateMetadata || other.PrivateMetadata == first.PrivateMetadata {
		t.Errorf("rotations: Ada's %s, Eve's of prod %s, Eve's of dev %s; want the same one for prod and another for dev", first.PrivateMetadata, same.PrivateMetadata, other.PrivateMetadata)
	}
	b.stop()
	rows, _ := w.left()
	started := 0
	for _, e := range rows {
		if e.Row.Action == "secret.rotate.started" {
			started++
		}
	}
	if started != 2 {
		t.Errorf("%d rotations were started, want 2", started)
	}
}
