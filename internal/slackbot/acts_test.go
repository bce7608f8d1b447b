package slackbot

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"

	"github.com/raxx-app/keyturn/internal/modals"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

const eve = "U0EVE" // ops too

// press presses a button of the ops channel's message, as who.
func (w *world) press(who string, m slacksim.Message, button string) {
	w.t.Helper()
	ctx, cancel := w.ctx()
	defer cancel()
	got, err := w.slack.PressMessage(ctx, who, m.Channel, m.TS, button)
	if err != nil || got.Err != "" {
		w.t.Fatalf("%s presses %s: %v %s; the message shows:\n%s", who, button, err, got.Err, m.Visible())
	}
}

// pressModal presses a button of the modal.
func (w *world) pressModal(who, button string) slacksim.PressResult {
	w.t.Helper()
	ctx, cancel := w.ctx()
	defer cancel()
	got, err := w.slack.Press(ctx, who, button)
	if err != nil || got.Err != "" {
		w.t.Fatalf("%s presses %s in the modal: %v %s", who, button, err, got.Err)
	}
	return got
}

// R66, R88, 3.4 of the design: somebody else takes over, the pair is asked for
// again, what was pasted stays sealed, and presses that come late or twice are
// answered where they were made.
func TestActsForward(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacksim.Config{})
	w.slack.AddUser(slacksim.User{ID: eve})
	w.slack.AddGroup(slacksim.Group{ID: opsGroup, Users: []string{ada, eve}})
	w.slack.AddChannel(slacksim.Channel{ID: opsChannel, Members: []string{w.slack.Config().BotUserID, ada, bob, eve}})
	release := w.shop.holdVault()
	defer release()
	w.start()
	w.until("Eve is known", func() bool { return !w.bot.roster.Standing(eve).AsOf.IsZero() })
	id := w.atStepTwo()
	if got := w.paste(w.shop.click("NEW1")); len(got.Errors) > 0 {
		t.Fatalf("the pair is not accepted: %v", got.Errors)
	}
	w.see(ada, "Step 4 of 8")
	m := w.message("step 4 of 8")

	w.press(ada, m, "Take over")
	w.message("You are the operator of this rotation already.")
	w.press(eve, m, "Take over")
	w.wait(id, "Eve's", func(r *rotation.Rotation) bool { return r.Operator.ID == eve })
	w.see(ada, "is the operator: the bot waits for them") // and she could take it back

	stale := modals.Bind{Rotation: id, Step: rotation.StepStore, Round: 1}
	if got := w.pressModal(ada, "Paste another pair"); !strings.Contains(got.Dialog, "kills the pair in use") {
		t.Errorf("the button asks %q, want to say what it does", got.Dialog)
	}
	w.see(ada, "Why you are here again")
	w.wait(id, "Ada is who was at step 2 last", func(r *rotation.Rotation) bool {
		return r.Current().Name == rotation.StepGenerate && r.Visitor.ID == ada && len(r.Candidates) == 1
	})
	press := slack.InteractionCallback{Type: slack.InteractionTypeBlockActions, User: slack.User{ID: eve, TeamID: "T0RAXX"}, Team: slack.Team{ID: "T0RAXX"}}
	for i, action := range []string{modals.RegenerateAction, modals.StoreLaterAction, modals.AcceptAction, modals.UseForAction} {
		press.ActionCallback.BlockActions = []*slack.BlockAction{{ActionID: action, Value: stale.String()}}
		w.handle(event(fmt.Sprint("late-", i), socketmode.EventTypeInteractive, press))
	}
	w.until("each late press is answered: who was faster, or where the rotation stands", func() bool {
		done, moved := 0, 0
		for _, m := range w.slack.Messages(opsChannel) {
			switch text := m.Visible(); {
			case m.EphemeralFor != eve:
			case strings.Contains(text, "Already done by @u0ada at "):
				done++
			case strings.Contains(text, "moved on. It is at step 2 of 8"):
				moved++
			}
		}
		return done == 1 && moved == 3
	})

	w.press(eve, m, "Open")
	w.see(eve, "Step 2 of 8")
	w.wait(id, "Eve was shown step 2", func(r *rotation.Rotation) bool { return r.Visitor.ID == eve })
	release()
	if got := w.paste(w.shop.click("NEW2")); len(got.Errors) > 0 {
		t.Fatalf("the second pair is not accepted: %v", got.Errors)
	}
	w.completed(id)
	if o, err := w.engine.Look(t.Context(), id); err != nil || len(o.Rotation.Candidates) != 2 || o.Rotation.Operator.ID != eve {
		t.Errorf("rotation %+v, error %v, want two candidates and Eve as the operator", o.Rotation, err)
	}
	if got := w.slack.Problems(); len(got) > 0 {
		t.Errorf("problems: %q", got)
	}
}

// TestNumberOfTheOldPair: the account whose number only the old pair's own answer
// gave, where no snapshot could be taken, is named in texts too.
func TestNumberOfTheOldPair(t *testing.T) {
	const number = "27315046" // as only an account that we know can be recognized
	r := rotation.Rotation{ID: "rabcdefghij", KeySet: "prod", Operator: rotation.Actor{ID: ada}, OldOwner: &rotation.Account{ID: "a", Number: number}}
	for i, name := range rotation.StepNames() {
		r.Steps = append(r.Steps, rotation.Step{Number: i + 1, Name: name, State: rotation.Pending})
	}
	s := r.Step(rotation.StepValidate)
	s.State, s.Problem = rotation.Failed, rotation.Problem{Reason: "other_account", Text: "This pair belongs to account X, but " + number + " was expected.", Fix: "Generate in account " + number + "."}
	o := rotation.Overview{Rotation: r}
	for what, v := range map[string]any{"eve's overview": forViewer(o, eve), "eve's view": modals.StepFor(forViewer(o, eve), eve), "the channel's message": modals.Channel(o)} {
		body, err := json.Marshal(v)
		if err != nil || strings.Contains(string(body), number) {
			t.Errorf("%s holds the account's whole number (%v): %s", what, err, body)
		}
	}
	if o.Rotation.OldOwner.Number != number {
		t.Error("the overview itself was changed")
	}
}

// TestNumbersAreWholeForTheOperatorOnly: in every view, the one to adopt an
// account included.
func TestNumbersAreWholeForTheOperatorOnly(t *testing.T) {
	const before, after = "PA3BEFORE0001", "PA3AFTER00002"
	at := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	r := rotation.Rotation{ID: "rabcdefghij", KeySet: "prod", Operator: rotation.Actor{ID: ada}, Opened: at}
	for i, name := range rotation.StepNames() {
		r.Steps = append(r.Steps, rotation.Step{Number: i + 1, Name: name, State: rotation.Pending})
	}
	for _, name := range []rotation.StepName{rotation.StepPrecheck, rotation.StepGenerate} {
		r.Step(name).State = rotation.Done
	}
	r.Snapshot = &rotation.Snapshot{At: at, Account: rotation.Account{ID: "a", Number: before}}
	r.Candidates = []rotation.Candidate{{N: 1, Account: rotation.Account{ID: "b", Number: after}}}
	r.Chosen, r.Adopted = 1, &rotation.Account{ID: "b", Number: after}
	s := r.Step(rotation.StepValidate)
	s.State, s.Round = rotation.Failed, 1
	s.Problem = rotation.Problem{Reason: "account_replaced", Text: "This pair belongs to account " + after + ", but " + before + " was expected.", Fix: "Adopt " + after + "."}
	o := rotation.Overview{Rotation: r, Past: rotation.Record{Baseline: rotation.Account{Number: before}}, Now: at}
	for _, who := range []string{ada, eve} {
		ask, ok := modals.AskWhy(forViewer(o, who), modals.AdoptAction, modals.Bind{Rotation: r.ID, Step: rotation.StepValidate, Round: 1})
		if !ok {
			t.Fatal("adopting is not offered")
		}
		for _, v := range []slack.ModalViewRequest{modals.StepFor(forViewer(o, who), who), ask} {
			body, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			for _, number := range []string{before, after} {
				if v.CallbackID == modals.ValidateCallback && number == before && who == ada {
					continue // only the text of the problem names it
				}
				if got := strings.Contains(string(body), number); got != (who == ada) {
					t.Errorf("%s's view %s holds %s: %t, want it in the operator's only", who, v.CallbackID, number, got)
				}
			}
		}
	}
	if o.Rotation.Snapshot.Account.Number != before || o.Rotation.Candidates[0].Account.Number != after || o.Rotation.Adopted.Number != after || !strings.Contains(s.Problem.Text, after) {
		t.Error("hiding the numbers from one person changed what others see")
	}
}
