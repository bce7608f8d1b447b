package app_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/sim/alpacasim"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
	"github.com/raxx-app/keyturn/internal/state"
)

// A story is what was to be seen in one rotation, step by step, and what is
// left of it when the bot has stopped.
type story struct {
	*world
	opened  slacksim.View         // the moment the modal opened
	steps   map[int]slacksim.View // the operator's view at each step
	over    slacksim.View         // and at the end
	channel map[int]string        // the ops channel's message at each step
	last    slacksim.Message      // and at the end
	writes  map[int]int           // calls that had written anything, when the step was shown
	before  []alpacasim.Order
	key     alpacasim.Key
	rows    []state.Entry
	done    rotation.Rotation
}

// pauses are calls at which the rotation is held, so that the step before them
// can be looked at: that of the operator's screen and of the channel.
func (s *story) pauses() map[int]func(string, *http.Request) bool {
	newPair := func(r *http.Request) bool { return r.Header.Get("APCA-API-KEY-ID") == s.key.ID }
	return map[int]func(string, *http.Request) bool{
		3: func(service string, r *http.Request) bool { return service == "alpaca" && newPair(r) },
		4: func(service string, r *http.Request) bool {
			return service == "infisical" && r.Method == http.MethodPatch
		},
		5: func(service string, r *http.Request) bool { return service == "heroku" && r.Method == http.MethodPatch },
		6: func(service string, r *http.Request) bool {
			return service == "downstream" && r.Method == http.MethodPost
		},
		7: func(service string, r *http.Request) bool {
			return service == "alpaca" && r.URL.Path == "/v2/account" && newPair(r)
		},
		8: func(service string, r *http.Request) bool {
			return service == "alpaca" && r.URL.Path == "/v2/positions" && newPair(r)
		},
	}
}

// tell does one rotation and stops at each step to look.
func tell(t *testing.T) *story {
	t.Helper()
	s := &story{world: newWorld(t, options{}), steps: map[int]slacksim.View{}, channel: map[int]string{}, writes: map[int]int{}}
	b := s.start()
	s.before = s.alpaca.Orders(s.account["prod"])
	fill := s.hold(drawings)
	if got := s.ada.command(opsChannel, ""); got.Err != "" || got.Reply != nil {
		t.Fatalf("the command was answered: %+v", got)
	}
	s.opened = s.ada.see("Checking…")
	fill()
	s.look(1, s.ada.checked())
	s.look(2, s.ada.goOn(true))
	s.key = s.ada.generate()
	release := map[int]func(){}
	for _, n := range []int{3, 4, 5, 6, 8} {
		release[n] = s.hold(s.pauses()[n])
	}
	if got := s.ada.paste(s.key.ID, s.key.Secret); len(got.Errors) > 0 {
		t.Fatalf("the pair is not accepted: %v", got.Errors)
	}
	for _, n := range []int{3, 4, 5, 6} {
		wait := append([]string{stepHeader(n), rotation.Text(rotation.StepNames()[n-1]).Lead}, map[int][]string{ // what comes later
			5: {"⏳ *" + prodApp, "⏳ *" + stagingApp, "*integration-ci*", "➖ *demo*"},
			6: {"✅ *" + prodApp, "✅ *" + stagingApp, "✅ *demo*", "⏳ *Test order*"},
		}[n]...)
		s.look(n, s.ada.see(wait...))
		if n == 4 { // step 7 begins beside 5 and is held too
			release[7] = s.hold(s.pauses()[7])
		}
		release[n]()
	}
	s.look(7, s.ada.see(stepHeader(7)))
	release[7]()
	s.look(8, s.ada.see(stepHeader(8)))
	release[8]()
	s.over = s.ada.see(rotated)
	s.last = s.opsMessage("rotated. The new pair works everywhere")
	for _, p := range []person{s.ada, s.bob} {
		p.pressIn(p.note("Press Updated"), "Updated")
		p.note("✅ Updated at")
	}
	b.stop()
	s.rows, s.done = s.left()
	return s
}

// look keeps what is shown at step n, on both surfaces.
func (s *story) look(n int, v slacksim.View) {
	s.t.Helper()
	s.steps[n] = v
	s.writes[n] = s.countWrites()
	if n == 2 || n == 5 { // it follows at its own pace, which would hold up the test at each step
		s.channel[n] = s.opsMessage("*" + string(rune('0'+n)) + " " + rotation.Text(rotation.StepNames()[n-1]).Title).Visible()
	}
}

// countWrites counts the calls that changed anything outside.
func (w *world) countWrites() int {
	n := w.infisical.Count(http.MethodPatch, "/api/") - w.infisical.Count(http.MethodPatch, "/api/v4/secrets/batch/never")
	return n + w.heroku.Count(http.MethodPatch, "/apps/") + w.github.Count(http.MethodPut, "/repos/") + w.raptor.Count(http.MethodPost, "/")
}

// note waits for a direct message with the text.
func (p person) note(text string) slacksim.Message {
	p.t.Helper()
	var dm string
	p.until("the bot writes to "+p.id, func() bool {
		id, ok := p.slack.DM(p.id)
		dm = id
		return ok
	})
	return p.message(dm, "", text)
}

// left returns what the stopped bot left: its audit rows and the last rotation.
func (w *world) left() ([]state.Entry, rotation.Rotation) {
	w.t.Helper()
	ctx := w.t.Context()
	store, err := state.Open(ctx, state.Config{Path: w.stateFile(), ReadOnly: true})
	w.must(err)
	defer func() { w.must(store.Close()) }()
	if _, err := state.Verify(ctx, store, nil); err != nil {
		w.t.Errorf("the audit record is not intact: %v", err)
	}
	rows, err := state.Rows(ctx, store, "")
	w.must(err)
	kvs, err := store.List(ctx, "rotation/", "", 0)
	w.must(err)
	var last rotation.Rotation
	for _, kv := range kvs {
		var r rotation.Rotation
		w.must(json.Unmarshal(kv.Value, &r))
		if r.Opened.After(last.Opened) {
			last = r
		}
	}
	sealed, err := store.List(ctx, rotation.SealedPrefix, "", 0)
	w.must(err)
	if last.Outcome != rotation.Open && len(sealed) > 0 {
		w.t.Errorf("%d sealed pairs are left after the rotation, want none", len(sealed))
	}
	return rows, last
}

// actions lists the actions of rows, but for refusals of the first moments.
func actions(rows []state.Entry) []string {
	var list []string
	for _, e := range rows {
		if e.Row.Context["why"] == "membership_unknown" {
			continue
		}
		name := strings.TrimPrefix(e.Row.Action, "secret.rotate.")
		if name == "step" {
			st, _ := e.Row.Context["state"].(string)
			name = string(e.Row.Step) + " " + st
		}
		list = append(list, name)
	}
	return list
}

// row returns the last row with an action.
func row(t *testing.T, rows []state.Entry, action string) rotation.Row {
	t.Helper()
	for _, e := range slices.Backward(rows) {
		if e.Row.Action == action {
			return e.Row
		}
	}
	t.Fatalf("no audit row %s in %q", action, actions(rows))
	return rotation.Row{}
}

// One whole rotation as people see it and as it is written down: R81. Each
// subtest looks at one step of the same rotation.
func TestWholeRotation(t *testing.T) {
	t.Parallel()
	s := tell(t)
	t.Run("each step says what the SOP wants to be said", s.texts)
	t.Run("nothing is written before step 4", s.nothingEarly)
	t.Run("every place holds the new pair and nothing else changed", s.outside)
	t.Run("the test order was cleaned up", s.testOrder)
	t.Run("the audit record tells it", s.audit)
	t.Run("no secret is anywhere but where it belongs", s.noSecret)
	t.Run("the account number is whole only on the operator's screen", s.masked)
	t.Run("the channel has one message, changed in place", s.oneMessage)
	t.Run("Slack has nothing to complain about", func(t *testing.T) { // R86: limits, acks in time
		if got := s.slack.Problems(); len(got) > 0 {
			t.Errorf("problems: %q", got)
		}
	})
}

// texts: what a person reads in the modal at each step.
func (s *story) texts(t *testing.T) {
	account := s.account["prod"]
	tests := []struct {
		req  string
		view slacksim.View
		want []string
	}{
		{"R1", s.opened, []string{"Rotate Alpaca paper trading keys", "operator-assisted", "role ops", "5 min on average", "last validated 2026-04-24 UTC", "read-only-docs"}},
		{"R2", s.steps[1], []string{"last proven on 2026-04-24"}}, // 180 days have passed
		{"R5", s.steps[1], []string{"== Rotate prod =="}},
		{"R4", s.over, []string{keyIDName + ", " + secretName}},
		{"R6", s.over, []string{"*Took*", "(the procedure's average: 5 min)"}},
		{"R8, R9, R11", s.steps[1], []string{"Why:", "Suspected compromise", "Somebody left (offboarding)", "Account was reset or key is dead", "Scheduled: the key is due", "Reason:"}},
		{"R12, R13, R73", s.steps[1], []string{"Any reset or delete-account action also kills the running key and secret", "Reset Paper Account", "Rotate only with “Regenerate” or “View” on the API Keys panel", "A reset changes the account and the keys together"}},
		{"R14, R15, R16, R17", s.steps[1], []string{
			"( ) I am logged in to the Alpaca dashboard", "( ) The upper-left switcher there shows Paper", "https://app.alpaca.markets/paper/dashboard/overview",
			"( ) The current key is in Infisical, both names, with history", "( ) I know who uses this pair", "backtest service, demo modes",
		}},
		{"R16", s.steps[1], []string{"*Infisical versions*\n1 and 1", "Version of " + keyIDName + " 1", "Version of " + secretName + " 1"}},
		{"R17, R45, R48, R50", s.steps[1], []string{prodApp, stagingApp, "integration-ci", "local-dev", "✅ *backtest* — covered by " + prodApp, "✅ *demo* — covered by " + prodApp}},
		{"R18, R22", s.steps[1], []string{"*Simulated cash*", "1 position, 1 open order", "*Snapshot taken*"}},
		{"R19, R20", s.steps[1], []string{"✅ *Current pair* — works: account …" + account[len(account)-4:] + " is ACTIVE"}},
		{"R23", s.steps[1], []string{"*Account number*\n" + account}},
		{"R25, R26, R27, R28", s.steps[2], []string{"Alpaca has no rotation API", "Open the paper overview", "upper-left switcher. It must show Paper Trading", "API Keys in the right sidebar"}},
		{"R29, R30, R31, R32", s.steps[2], []string{"Click “Regenerate” if it is offered", "View alone rotates nothing", "If there is only “Generate New Keys”", "the old one dies in the same moment", "Copy the Key ID and the secret at once"}},
		{"R33", s.steps[2], []string{"The click is the point of no return"}},
		{"R34", s.steps[2], []string{"Key ID:", "Secret key:", "Keep the dashboard tab open until you see ✔ sealed", "readable on your screen and passes through Slack"}},
		{"R69, R70, R72", s.steps[2], []string{"Alpaca: paper trading", "Alpaca: where the API keys are", "Forum: a reset changes the key"}},
		{"R71", s.steps[1], []string{"Alpaca: start paper trading"}},
		{"R75, R76, R77", s.steps[2], []string{"the Key ID stays visible", "Treat it as permanently manual", "Paper and live keys differ"}},
		{"R74", s.steps[2], []string{"*Account to choose*\n" + account}},
		{"R35, R36, R37, R74", s.steps[3], []string{"*✔ sealed ····" + s.key.ID[len(s.key.ID)-4:], "asks Alpaca with the new pair before anything is stored", "status ACTIVE and the same account number", "stays the same when keys are regenerated"}},
		{"R38", s.steps[3], []string{"You see status, account number and buying power, and nothing else"}},
		{"R40, R41, R42, R43", s.steps[4], []string{keyIDName + ", " + secretName, "environment prod", "both or neither", "reads both values back", "Never put a key on a command line"}},
		{"R44, R45, R46, R47", s.steps[5], []string{"⏳ *" + prodApp, "⏳ *" + stagingApp, "staging too", "Developers get a message", "It never carries the value"}},
		{"R48, R49, R50", s.steps[5], []string{"integration-ci", "both secrets are set", "➖ *backtest* — covered by", "➖ *demo* — covered by"}},
		{"R52, R53, R54", s.steps[6], []string{"✅ *" + prodApp, "alpaca_status is ACTIVE", "✅ *" + stagingApp, "v42", "1 up on v42"}},
		{"R55, R56, R57, R78, R79, R80", s.steps[6], []string{"one small order with mode=paper", "Test order", "Paper orders", "cancels the test order", "sells exactly what was filled"}},
		{"R58, R59", s.steps[7], []string{"There is nothing to revoke", "expects 401 or 403"}},
		{"R61, R62, R63", s.steps[8], []string{"secret.rotate.completed", "ada@raxx.app", "operator-assisted-dashboard", keyIDName}},
		{"R11", s.over, []string{"*Next due*\n" + time.Now().UTC().AddDate(0, 0, 180).Format(time.DateOnly)}},
		{"R59", s.over, []string{"the old one is dead", "✅ 7 Revoked"}},
	}
	for _, tt := range tests {
		for _, want := range tt.want {
			if !strings.Contains(tt.view.Text(), want) {
				t.Errorf("%s: %q is not on the screen:\n%s", tt.req, want, tt.view.Text())
			}
		}
	}
	for n, v := range s.steps { // R81, R86
		if !strings.Contains(v.Text(), stepHeader(n)) || v.Depth != 1 || v.PrivateMetadata != string(s.done.ID) || len(v.Title) > 24 {
			t.Errorf("step %d: depth %d, metadata %q, title %q in\n%s", n, v.Depth, v.PrivateMetadata, v.Title, v.Text())
		}
	}
	for n, text := range s.channel {
		if !strings.Contains(text, "⏳ *"+string(rune('0'+n))+" ") {
			t.Errorf("step %d: the channel does not show it running:\n%s", n, text)
		}
	}
	if !shows(s.channel[2], "Waiting for @ada") || !shows(s.channel[5], "The bot is working", prodApp, "since ") {
		t.Errorf("the channel does not say who is waited for, or since when trading fails:\n%s\n%s", s.channel[2], s.channel[5])
	}
	if len(s.opened.Inputs) > 0 || !strings.Contains(s.opened.Text(), "Checking…") {
		t.Errorf("the modal did not open empty:\n%s", s.opened.Text())
	}
}

// nothingEarly: R22 changes nothing, R35 comes before R40, R42 writes once.
func (s *story) nothingEarly(t *testing.T) {
	trial := s.writes[1] // step 1 sends Infisical one update of a name that does not exist
	if trial != 1 || s.writes[2] != trial || s.writes[3] != trial || s.writes[4] != trial {
		t.Errorf("calls that write, by step: %v, want the one trial until step 4", s.writes)
	}
	if got := s.writes[5]; got > trial+1+2 { // GitHub may be there already; Heroku is held
		t.Errorf("%d writes when step 5 was shown, want at most Infisical's and GitHub's two", got)
	}
}

// outside: R40–R50, R58, R59.
func (s *story) outside(t *testing.T) {
	for _, app := range []string{prodApp, stagingApp} {
		want := map[string]string{keyIDName: s.key.ID, secretName: s.key.Secret, "LOG_LEVEL": "info"}
		if diff := cmp.Diff(want, s.heroku.Running(app)); diff != "" {
			t.Errorf("R44, R45: dynos of %s (-want +got)\n%s", app, diff)
		}
		if got := s.heroku.Releases(app); len(got) != 2 || got[1].Version != 42 {
			t.Errorf("R44: releases of %s: %+v, want v41 and v42: both vars in one", app, got)
		}
	}
	for name, want := range map[string]string{keyIDName: s.key.ID, secretName: s.key.Secret} {
		if got, _, _ := s.github.Secret("raxx", "raptor", name); got != want {
			t.Errorf("R48, R49: GitHub holds another %s", name)
		}
	}
	for _, got := range s.infisical.Secrets(projectID, "prod", "/") {
		want := map[string]string{keyIDName: s.key.ID, secretName: s.key.Secret}[got.Name]
		if got.Value != want || got.Version != 2 {
			t.Errorf("R40–R42: Infisical holds another %s, version %d, want the new one in version 2", got.Name, got.Version)
		}
	}
	old := s.old["prod"]
	if _, ok := s.alpaca.KeyState(old.ID, old.Secret); ok {
		t.Error("R58, R59: the old pair still works")
	}
	for _, p := range []person{s.ada, s.bob} {
		dm, _ := s.slack.DM(p.id)
		got := s.slack.Messages(dm)
		if len(got) != 1 || got[0].Updates != 1 || !strings.Contains(got[0].Visible(), "✅ Updated at") {
			t.Errorf("R46: %s has messages %+v, want one, changed by Updated", p.id, got)
		}
	}
}

// testOrder: R55–R57, R78–R80.
func (s *story) testOrder(t *testing.T) {
	if got, want := s.raptor.OrderBodies(), `{"mode":"paper","qty":1,"side":"buy","symbol":"AAPL","time_in_force":"day","type":"market"}`; len(got) != 1 || canonical(t, got[0]) != want {
		t.Errorf("R55, R57: orders sent: %q, want one: %s", got, want)
	}
	if got := s.raptor.LiveOrders(); len(got) > 0 {
		t.Errorf("R57: orders on the LIVE book: %+v", got)
	}
	after := s.alpaca.Orders(s.account["prod"])
	if n := len(after) - len(s.before); n != 2 { // the market is open: bought, and exactly that sold
		t.Errorf("R79, R80: %d new orders, want the test order and the one that sells it", n)
	}
	if got := s.alpaca.Positions(s.account["prod"]); len(got) != 1 || got[0].Symbol != "MSFT" || got[0].Qty != "3" {
		t.Errorf("R80: positions are %+v, want MSFT 3 as before", got)
	}
	if o := s.done.Order; o == nil || o.ID == "" || !strings.Contains(s.over.Text(), "Test order `"+o.ID+"`: filled 1, exactly that sold again.") {
		t.Errorf("R56: order %+v is not in the summary:\n%s", o, s.over.Text())
	}
}

// canonical sorts the keys of a JSON object.
func canonical(t *testing.T, text string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	out, _ := json.Marshal(v)
	return string(out)
}
