package app_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/sim/herokusim"
	"github.com/raxx-app/keyturn/internal/sim/simhttp"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

// R86: the modal opens within the life of the trigger however slow the services
// are, and fills in afterwards. What is typed and ticked meanwhile survives
// every update, and Go on is refused in words until the checks are made.
func TestModalOpensFirstAndFillsIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	b := w.start()
	for _, s := range []interface{ SetDelay(time.Duration) }{w.alpaca, w.infisical} {
		s.SetDelay(2 * time.Second)
	}
	began := time.Now()
	if got := w.ada.command(opsChannel, "prod"); got.Err != "" || got.Reply != nil {
		t.Fatalf("the command was answered: %+v", got)
	}
	w.ada.see(stepHeader(1))
	if took := time.Since(began); took > w.slack.Config().TriggerLife {
		t.Errorf("the modal opened after %s, want it within the trigger's %s", took, w.slack.Config().TriggerLife)
	}
	v := w.ada.see("still running", "Confirm each")
	if v.Submit != "Checking…" {
		t.Errorf("the button says %q while checks are running", v.Submit)
	}
	w.ada.answer(true)
	w.ada.choose("Why", "Suspected compromise")
	w.ada.typeIn("Reason", "INC-42 laptop lost")
	if got := w.ada.submit(); len(got.Errors) != 1 || !strings.Contains(w.ada.screen().Errors()["Why"], "Some checks are still running.") {
		t.Errorf("Go on while checks are running = %+v, shown %v", got, w.ada.screen().Errors())
	}
	before := w.updates(v.ID)
	for _, s := range []interface{ SetDelay(time.Duration) }{w.alpaca, w.infisical} {
		s.SetDelay(0) // of later calls
	}
	v = w.ada.checked()
	if n := w.updates(v.ID) - before; n < 1 {
		t.Errorf("%d updates between the first check and the last, want some", n)
	}
	why, _ := v.Input("Why")
	reason, _ := v.Input("Reason")
	ticks, _ := v.Input("Confirm each")
	if len(why.Selected) != 1 || why.Selected[0] != "operator" || reason.Text != "INC-42 laptop lost" || len(ticks.Selected) != len(rotation.Prerequisites()) {
		t.Errorf("after the updates the screen holds %v, %q and %d ticks, want what was typed", why.Selected, reason.Text, len(ticks.Selected))
	}
	if got := w.ada.submit(); len(got.Errors) > 0 {
		t.Fatalf("step 1 is not accepted: %v", got.Errors)
	}
	w.ada.see(stepHeader(2))
	b.stop()
	rows, last := w.left()
	if last.Trigger != rotation.TriggerOperator || last.Reason != "INC-42 laptop lost" { // R8, R11
		t.Errorf("trigger %s, reason %q, want what was chosen", last.Trigger, last.Reason)
	}
	row(t, rows, "secret.rotate.started")
	if got := w.slack.Problems(); len(got) > 0 {
		t.Errorf("problems: %q", got)
	}
}

// updates counts the drawings of a view.
func (w *world) updates(view string) int {
	n := 0
	for _, e := range w.slack.Journal() {
		if e.Method == "views.update" && bytes.Contains(e.Body, []byte(view)) {
			n++
		}
	}
	return n
}

// R34, 3.3 of the design: the view in which keys are typed is drawn again at
// most once while somebody types, when the old pair is first seen dead, and what
// was typed survives that. It stays as it is when that was a flap.
func TestKeyViewIsDrawnOnceMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{limits: rotation.Limits{ProbeFast: 10 * time.Millisecond}})
	b := w.start()
	v := w.ada.toStepTwo()
	drawn := w.updates(v.ID)
	w.ada.typeIn(keyID, "PKHALFTYPED")
	w.alpaca.SetAuthIncident(w.old["prod"].ID, 1)
	w.ada.see("Alpaca rejects the old key since")
	w.alpaca.SetAuthIncident(w.old["prod"].ID, 0)
	w.opsMessage("🔑 *prod*: step 2 of 8", "Waiting for @ada") // taken back: it was a flap
	key := w.ada.generate()
	w.ada.typeIn(secretKey, key.Secret)
	w.opsMessage("🔴 *prod*: step 2 of 8", "Alpaca rejects the old pair since")
	probes := w.alpaca.Count("", "/v2/account")
	w.until("the old pair was looked at many times more", func() bool { return w.alpaca.Count("", "/v2/account") > probes+50 })
	if n := w.updates(v.ID) - drawn; n != 1 {
		t.Errorf("the key view was drawn %d times while somebody typed, want once", n)
	}
	v = w.ada.screen()
	id, _ := v.Input(keyID)
	secret, _ := v.Input(secretKey)
	if id.Text != "PKHALFTYPED" || secret.Text != key.Secret {
		t.Errorf("the fields hold %q and %d characters, want what was typed", id.Text, len(secret.Text))
	}
	w.ada.finish(key)
	b.stop()
	_, last := w.left()
	if s := last.Summary; s == nil || s.ExposedMS <= s.PasteToVerified { // the stopwatch began before the paste
		t.Errorf("summary %+v, want an exposed time that began before the paste", s)
	}
}

// Every envelope comes twice, as Slack may do: each effect happens once.
func TestEveryEnvelopeTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{noDelays: true})
	w.slack.Duplicate(true)
	b := w.start()
	w.ada.rotate()
	for _, p := range []person{w.ada, w.bob} {
		p.pressIn(p.note("Press Updated"), "Updated")
		p.note("✅ Updated at")
	}
	b.stop()
	rows, last := w.left()
	for _, app := range []string{prodApp, stagingApp} {
		if got := w.heroku.Releases(app); len(got) != 2 {
			t.Errorf("%s has %d releases, want the first and ours: %+v", app, len(got), got)
		}
	}
	if got := w.raptor.OrderBodies(); len(got) != 1 {
		t.Errorf("%d test orders were sent, want 1", len(got))
	}
	for _, s := range w.infisical.Secrets(projectID, "prod", "/") {
		if s.Version != 2 {
			t.Errorf("%s is at version %d, want 2", s.Name, s.Version)
		}
	}
	if len(last.Candidates) != 1 || len(w.slack.Problems()) > 0 {
		t.Errorf("%d candidates, problems %q, want 1 and none", len(last.Candidates), w.slack.Problems())
	}
	once := map[string]int{}
	for _, e := range rows {
		once[e.Row.Action]++
	}
	for _, action := range []string{"started", "sealed", "clicked", "completed"} {
		if n := once["secret.rotate."+action]; n != 1 {
			t.Errorf("%d audit rows %s, want 1", n, action)
		}
	}
	opened := 0
	for _, e := range w.slack.Journal() {
		if e.Method == "views.open" {
			opened++
		}
	}
	if opened != 1 {
		t.Errorf("views.open was called %d times, want once", opened)
	}
}

// The modal can be closed at any time: Open in the channel shows the present
// step, to another ops person too, who sees the account's last four only.
func TestCloseAndOpenAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{noDelays: true})
	b := w.start()
	w.ada.toStepTwo()
	w.ada.closeModal()
	m := w.opsMessage("*2 Generate the new pair*", "Waiting for @ada")
	w.ada.pressIn(m, "Open")
	w.ada.see(stepHeader(2), "*Account to choose*\n"+w.account["prod"])
	w.eve.pressIn(m, "Open")
	v := w.eve.see(stepHeader(2), "*Account to choose*\n"+rotation.Masked(w.account["prod"]))
	if strings.Contains(v.Text(), w.account["prod"]) {
		t.Errorf("Eve sees the whole account number:\n%s", v.Text())
	}
	// Any ops person may paste; both screens follow, and only the operator's
	// shows the account.
	key := w.eve.generate()
	w.eve.finish(key)
	w.ada.see(rotated)
	b.stop()
	for _, e := range w.slack.Find(w.account["prod"]) {
		if bytes.Contains(e.Raw, []byte(v.ID)) {
			t.Errorf("the account number went whole into Eve's view with %s", e.Method)
		}
	}
	rows, last := w.left()
	if r := row(t, rows, "secret.rotate.sealed"); r.Actor != eveID || last.Operator.ID != adaID {
		t.Errorf("sealed by %s with operator %s, want Eve with operator Ada", r.Actor, last.Operator.ID)
	}
}

// R45, R51: one app that fails stops none of the others; the screen says what
// happened and what to do, and Retry has it done again. A press that comes
// after that is told so.
func TestRetryOneConsumer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{noDelays: true})
	b := w.start()
	w.ada.begin("prod")
	w.ada.goOn(false)
	clear := w.heroku.Inject(simhttp.Fault{Method: http.MethodPatch, Path: "/apps/" + stagingApp, Status: http.StatusForbidden, Body: `{"id":"forbidden","message":"no"}`})
	w.heroku.Inject(simhttp.Fault{Method: http.MethodPatch, Path: "/apps/" + prodApp, Times: 3, Status: http.StatusInternalServerError})
	key := w.ada.generate()
	if got := w.ada.paste(key.ID, key.Secret); len(got.Errors) > 0 {
		t.Fatalf("the pair is not accepted: %v", got.Errors)
	}
	w.ada.see("❌ *"+stagingApp+"*", "*What happened:*", "*What to do:*", "✅ *"+prodApp+"*") // the burst of 500 passes by itself
	failed := w.opsMessage("needs a person", "❌ *"+stagingApp+"*", "Waiting for @ada")
	w.until("the other app runs with the new pair", func() bool { return w.heroku.Running(prodApp)[secretName] == key.Secret })
	if w.heroku.Running(stagingApp)[secretName] != w.old["prod"].Secret {
		t.Error("the app that refuses has the new pair")
	}
	clear()
	w.ada.pressIn(failed, "Retry")
	w.until("Ada's press has been taken", func() bool { return w.heroku.Running(stagingApp)[secretName] == key.Secret })
	w.eve.pressIn(failed, "Retry") // hers is late: the message on the screen is older than what happened
	w.eve.whisper("Already done by @ada at ", "Press Open on the newest message")
	w.ada.see(rotated)
	b.stop()
	rows, _ := w.left()
	retried := 0
	for _, e := range rows {
		if e.Row.Context["state"] == "retried" {
			retried++
		}
	}
	if retried != 1 || w.heroku.Running(stagingApp)[secretName] != key.Secret {
		t.Errorf("%d rows of a retry, want 1, and the app with the new pair", retried)
	}
}

// R33, R65: Cancel exists before the click only, and asks Alpaca first.
func TestCancel(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{limits: rotation.Limits{ProbeFast: time.Hour}})
	b := w.start()
	before := w.stores()
	w.ada.begin("prod")
	m := w.opsMessage("step 1 of 8", "[Cancel rotation]")
	w.ada.press(cancelIt)
	w.ada.see("Why is it cancelled?")
	w.ada.typeIn("Why is it cancelled?", "wrong day")
	if got := w.ada.submit(); len(got.Errors) > 0 || !got.Closed {
		t.Fatalf("Cancel before the click = %+v", got)
	}
	w.opsMessage("rotation cancelled. The pair was not changed.")
	if w.stores() != before {
		t.Error("a cancelled rotation changed something")
	}

	// The same in step 2, but after the click, which nobody has noticed yet: the
	// bot asks Alpaca, refuses, and it stays open.
	w.ada.toStepTwoOnce()
	w.eve.pressIn(w.opsMessage("*2 Generate the new pair*", "[Cancel rotation]"), cancelIt)
	w.eve.see("Why is it cancelled?")
	key := w.ada.generate()
	w.eve.typeIn("Why is it cancelled?", "changed my mind")
	got := w.eve.submit()
	if text := w.eve.screen().Errors()["Why is it cancelled?"]; len(got.Errors) != 1 || !shows(text, "The keys were generated already", "Go on: paste the new pair") {
		t.Errorf("Cancel after the click = %+v, shown %q", got, text)
	}
	w.ada.see("Alpaca rejects the old key since")
	if now := w.opsMessage("*2 Generate the new pair*", "Alpaca rejects the old pair since"); strings.Contains(now.Visible(), cancelIt) {
		t.Errorf("the message still offers Cancel:\n%s", now.Visible())
	}
	w.ada.finish(key)
	if over := w.opsMessage("rotation cancelled"); len(over.Buttons()) > 0 || over.TS != m.TS {
		t.Errorf("the cancelled rotation's message is %s with buttons %+v, want the first one without", over.TS, over.Buttons())
	}
	b.stop()
	rows, _ := w.left()
	if r := row(t, rows, "secret.rotate.cancelled"); r.Context["why"] != "wrong day" || r.Actor != "ada@raxx.app" {
		t.Errorf("audit row %+v, want Ada's reason", r)
	}
}

// R83: a bot that ends after the paste goes on by itself when it starts again;
// the modal that is still open follows.
func TestRestartAfterThePaste(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{noDelays: true})
	w.heroku.SetPhase(prodApp, herokusim.Phase{On: true, Hold: true}) // step 6 waits for the release
	b := w.start()
	w.ada.toStepTwo()
	key := w.ada.generate()
	if got := w.ada.paste(key.ID, key.Secret); len(got.Errors) > 0 {
		t.Fatalf("the pair is not accepted: %v", got.Errors)
	}
	w.ada.see(stepHeader(6), "release v42 is pending")
	b.stop()
	w.heroku.FinishRelease(prodApp, true)
	b = w.start()
	w.ada.see(rotated)
	w.opsMessage("rotated. The new pair works everywhere")
	b.stop()
	if got := w.heroku.Releases(prodApp); len(got) != 2 {
		t.Errorf("%s has releases %+v, want one of ours", prodApp, got)
	}
	if got := w.raptor.OrderBodies(); len(got) != 1 {
		t.Errorf("%d test orders were sent, want 1", len(got))
	}
	if len(w.slack.Messages(opsChannel)) < 1 || len(w.slack.Problems()) > 0 {
		t.Errorf("problems: %q", w.slack.Problems())
	}
	w.left()
}

// R46: only the person whom the message names can press Updated.
func TestUpdatedIsForTheNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{noDelays: true})
	b := w.start()
	w.ada.rotate()
	m := w.bob.note("Press Updated")
	if !shows(m.Visible(), "infisical run", "--env=prod", "--path=/", keyIDName, secretName) {
		t.Errorf("R46: Bob is not told how to pull the pair:\n%s", m.Visible())
	}
	// Somebody else gets hold of the button: the message is forwarded, say.
	w.slack.AddChannel(slacksim.Channel{ID: m.Channel, Name: "dm", Members: []string{w.slack.Config().BotUserID, bobID, eveID}})
	w.eve.pressIn(m, "Updated")
	w.message(m.Channel, eveID, "Only the person whom this message names can press Updated.")
	if now := w.message(m.Channel, "", "Press Updated"); now.Updates != 0 {
		t.Error("the message was changed by somebody else's press")
	}
	w.bob.pressIn(m, "Updated")
	w.message(m.Channel, "", "✅ Updated at")
	b.stop()
	rows, _ := w.left()
	if r := row(t, rows, "secret.rotate.denied"); r.Actor != eveID || r.Context["act"] != "updated" || r.Context["why"] != "not_named" {
		t.Errorf("audit row %+v, want Eve's refused Updated", r)
	}
}
