package slackbot

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/commands"
	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/modals"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

// bothAtStepTwo is a world in which ada and eve are in ops and have the view open
// in which the pair of a rotation is pasted.
func bothAtStepTwo(t *testing.T) (*world, rotation.ID) {
	t.Helper()
	w := newWorld(t, slacksim.Config{})
	w.slack.AddUser(slacksim.User{ID: eve})
	w.slack.AddGroup(slacksim.Group{ID: opsGroup, Users: []string{ada, eve}})
	w.slack.AddChannel(slacksim.Channel{ID: opsChannel, Members: []string{w.slack.Config().BotUserID, ada, eve}})
	w.start()
	w.until("eve is known", func() bool { return w.bot.roster.Standing(eve).Ops == commands.Yes })
	id := w.atStepTwo()
	ctx, cancel := w.ctx()
	defer cancel()
	if _, err := w.slack.Command(ctx, eve, opsChannel, command, "prod"); err != nil {
		t.Fatal(err)
	}
	w.see(eve, "Step 2 of 8")
	return w, id
}

// R3: a view that is open does not go on showing a rotation to somebody who has
// left ops: the next change takes it away, also where keys are typed, and nothing
// is drawn into it after that.
func TestOpenViewAfterTheRoleWasLost(t *testing.T) {
	t.Parallel()
	w, id := bothAtStepTwo(t)
	w.slack.AddGroup(slacksim.Group{ID: opsGroup, Users: []string{ada}})
	w.until("eve has left ops", func() bool { return w.bot.roster.Standing(eve).Ops == commands.No })

	if got := w.paste(w.shop.click("NEW1")); got.Errors != nil {
		t.Fatalf("paste: %v", got.Errors)
	}
	w.see(eve, "Only members of the ops group")
	w.completed(id)
	w.see(ada, "Completed")
	w.until("eve's view is forgotten", func() bool {
		w.bot.views.mu.Lock()
		defer w.bot.views.mu.Unlock()
		for _, s := range w.bot.views.open {
			if s.User == eve {
				return false
			}
		}
		return true
	})
	w.see(eve, "Only members of the ops group")
	w.until("nothing of eve's view is on disk", func() bool { // it is taken from memory first
		kvs, err := w.store.List(t.Context(), viewPrefix, "", 0)
		return err == nil && !slices.ContainsFunc(kvs, func(kv rotation.KV) bool { return strings.Contains(string(kv.Value), eve) })
	})
}

// A pair is submitted from a view that is drawn anew before the submission comes
// in: an error under an input that is gone would be shown as trouble with the
// connection. The view says what was wrong instead; where the inputs are still
// there, what was typed stays.
func TestNotTakenWhereTheInputsAreGone(t *testing.T) {
	t.Parallel()
	w, id := bothAtStepTwo(t)
	release := w.shop.holdVault()
	defer release()
	open, _ := w.slack.Modal(eve)
	call := slack.InteractionCallback{View: slack.View{ID: open.ID, State: filledIn(rotation.Pair{KeyID: secret.New("PKHALF")})}}
	submit := func() (errs int, shown string) {
		w.bot.paste(t.Context(), call, rotation.Actor{ID: eve}, id, func(a any) {
			got, _ := a.(*slack.ViewSubmissionResponse)
			switch {
			case got == nil:
				t.Errorf("the answer is %v", a)
			case got.View == nil:
				errs = len(got.Errors)
			default:
				raw, err := json.Marshal(got.View)
				if err != nil {
					t.Error(err)
				}
				shown = string(raw)
			}
		})
		return errs, shown
	}
	if errs, shown := submit(); errs == 0 || shown != "" {
		t.Errorf("half a pair where it is asked for = %d errors and %q, want errors alone", errs, shown)
	}
	if got := w.paste(w.shop.click("NEW1")); got.Errors != nil {
		t.Fatalf("paste: %v", got.Errors)
	}
	w.see(eve, "Step 4 of 8")
	if errs, shown := submit(); errs > 0 || !strings.Contains(shown, "cannot be the new pair") {
		t.Errorf("half a pair from a view that is at step 4 = %d errors and %q, want it said in the view", errs, shown)
	}
	w.slack.AddGroup(slacksim.Group{ID: opsGroup, Users: []string{ada}})
	w.until("eve has left ops", func() bool { return w.bot.roster.Standing(eve).Ops == commands.No })
	if errs, shown := submit(); errs > 0 || !strings.Contains(shown, "Only members of the ops group") {
		t.Errorf("a pair of somebody who has left ops = %d errors and %q, want the refusal in the view", errs, shown)
	}
	release()
	w.completed(id)
	w.until("eve's view is forgotten", func() bool { return w.bot.views.get(call.View.ID) == nil })
	if errs, shown := submit(); errs > 0 || !strings.Contains(shown, "Only members of the ops group") {
		t.Errorf("the same once the view is forgotten = %d errors and %q, want the refusal in the view", errs, shown)
	}
}

// A button that names one key set, and a rotation of another, is not ours.
func TestBindOfTwoKeySets(t *testing.T) {
	t.Parallel()
	w, _ := noteWorld(t)
	id := w.atStepTwo()
	who := rotation.Actor{ID: ada}
	for _, tt := range []struct {
		bind modals.Bind
		late bool
	}{
		{modals.Bind{KeySet: "staging", Rotation: id}, true},
		{modals.Bind{KeySet: "prod", Rotation: id}, false},
		{modals.Bind{KeySet: "prod", Rotation: "a print"}, false},
		{modals.Bind{KeySet: "prod"}, false},
		{modals.Bind{Rotation: id}, false},
	} {
		err := w.bot.checkBind(t.Context(), who, commands.ActStartNow, tt.bind)
		if (fault.ReasonOf(err) == "late") != tt.late || !tt.late && err != nil {
			t.Errorf("checkBind(%+v) = %v, want late: %t", tt.bind, err, tt.late)
		}
		if errors.Is(err, rotation.ErrNotFound) {
			t.Errorf("checkBind(%+v) = %v, want a refusal", tt.bind, err)
		}
	}
}

// R89: a command that starts the bot itself asks before Slack has said who is who.
// Somebody in ops is let in without breaking glass, and somebody who is not is
// refused, not unknown. Where Slack stays silent that is said.
func TestTerminalAsksFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacksim.Config{})
	w.slack.SetDelay(100 * time.Millisecond)
	w.slack.AddUser(slacksim.User{ID: eve})
	w.launch()
	errs := make(chan error, 2)
	for _, who := range []string{ada, eve} {
		go func() {
			errs <- w.bot.Check(t.Context(), rotation.Actor{ID: who}, commands.ActStart, commands.Subject{KeySet: "prod"})
		}()
	}
	first, second := <-errs, <-errs
	if first != nil {
		first, second = second, first
	}
	if first != nil || fault.ReasonOf(second) != "not_ops" {
		t.Errorf("Check = %v and %v, want ada let in and eve refused", first, second)
	}
	w.slack.SetDelay(0)

	silent := newWorld(t, slacksim.Config{})
	silent.slack.FailMethod("usergroups.users.list", 0, "internal_error")
	silent.launch()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond) // who asked hangs up, or 2 s pass
	defer cancel()
	for _, ctx := range []context.Context{ctx, t.Context()} {
		if err := silent.bot.Check(ctx, rotation.Actor{ID: ada}, commands.ActStart, commands.Subject{KeySet: "prod"}); err == nil || fault.ReasonOf(err) != "membership_unknown" && ctx.Err() == nil {
			t.Errorf("Check = %v, want membership_unknown while Slack says nothing", err)
		}
	}
}
