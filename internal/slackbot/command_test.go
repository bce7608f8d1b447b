package slackbot

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/modals"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

// types has somebody type the command.
func (w *world) types(who, text string) slacksim.CommandResult {
	w.t.Helper()
	ctx, cancel := w.ctx()
	defer cancel()
	got, err := w.slack.Command(ctx, who, opsChannel, command, text)
	if err != nil {
		w.t.Fatalf("%s types %q: %v", who, text, err)
	}
	return got
}

// says fails unless a command was answered with text.
func (w *world) says(who, text string, want ...string) {
	w.t.Helper()
	got := w.types(who, text)
	if got.Err != "" || got.Reply == nil {
		w.t.Fatalf("%s types %q: %+v, want an answer", who, text, got)
	}
	if got.Reply.EphemeralFor != who {
		w.t.Errorf("%s types %q: the answer is for %q", who, text, got.Reply.EphemeralFor)
	}
	for _, part := range want {
		if !strings.Contains(got.Reply.Visible(), part) {
			w.t.Errorf("%s types %q: the answer lacks %q:\n%s", who, text, part, got.Reply.Visible())
		}
	}
}

// What ops, on-call and owners may ask, and what only ops may (section 5 of the
// design).
func TestCommandsByRole(t *testing.T) {
	t.Parallel()
	w, _, _ := homeWorld(t)
	w.start()
	w.known("U0OWNER", "U0CALL")
	for _, who := range []string{ada, "U0OWNER", "U0CALL"} {
		w.says(who, "status", "prod", "the stored pair works", "0 of 1 developer updated")
		w.says(who, "history", "exposed 41 s (at most 46 s)")
		w.says(who, "history prod", "exposed 41 s (at most 46 s)")
		w.says(who, "history staging", "There is no key set `staging`", "Configured: `prod`")
		w.says(who, "check", "Checking *prod*")
		w.says(who, "help", "check [NAME]", "history [NAME]", "reset [NAME]")
		w.says(who, "prod now", "help")
	}
	for _, who := range []string{"U0OWNER", "U0CALL"} {
		w.says(who, "", "Only members of the ops group")
		w.says(who, "prod", "Only members of the ops group")
		w.says(who, "reset", "Only members of the ops group")
	}
	for _, text := range []string{"status", "history", "check", "reset", ""} {
		w.says("U0OUT", text, "Only ", "Ask somebody in ops")
	}
	if done := w.effects(); len(done) != 0 {
		t.Errorf("asking did %q", done)
	}
}

// "check" answers at once and then says what it found, to the person alone;
// who asks meanwhile shares the look. It opens nothing.
func TestCheck(t *testing.T) {
	t.Parallel()
	w, _, asks := homeWorld(t)
	asks.hold = make(chan struct{})
	w.start()
	w.known("U0OWNER")
	w.says(ada, "check prod", "Checking *prod*", "opens no rotation")
	w.says("U0OWNER", "check", "Checking *prod*")
	w.until("the check is under way", func() bool { asks.mu.Lock(); defer asks.mu.Unlock(); return asks.checks > 0 })
	close(asks.hold)
	for _, who := range []string{ada, "U0OWNER"} {
		w.until(who+" is told", func() bool {
			for _, m := range w.slack.Messages(opsChannel) {
				if m.EphemeralFor == who && strings.Contains(m.Visible(), "Readiness 1 of 2") && strings.Contains(m.Visible(), "Give it write access.") {
					return true
				}
			}
			return false
		})
	}
	if _, err := w.engine.Active(t.Context(), "prod"); err == nil {
		t.Error("a check opened a rotation")
	}

	asks.mu.Lock()
	asks.err = &fault.Error{Kind: fault.Transient, Reason: "vault_down", User: "Infisical does not answer.", Fix: "Try again in a minute."}
	asks.mu.Unlock()
	w.slack.FailMethod("chat.postEphemeral", 1, "internal_error")
	w.says(ada, "check", "Checking *prod*")
	w.until("ada is told why not", func() bool {
		for _, m := range w.slack.Messages(opsChannel) {
			if m.EphemeralFor == ada && strings.Contains(m.Visible(), "Infisical does not answer.") {
				return true
			}
		}
		return false
	})
}

// R10 "reset" asks what was seen and for a tick, and shows the forced rotation.
// What was typed stays when something is missing or the engine refuses.
func TestReset(t *testing.T) {
	t.Parallel()
	w, _, asks := homeWorld(t)
	w.start()
	ctx, cancel := w.ctx()
	defer cancel()
	if got := w.types(ada, "reset"); got.Err != "" || got.Reply != nil {
		t.Fatalf("the command was answered: %+v", got)
	}
	w.see(ada, "This opens a forced rotation")
	submit := func(want map[string]string) {
		t.Helper()
		got, err := w.slack.Submit(ctx, ada)
		if err != nil || got.Trouble != "" {
			t.Fatalf("submit: %v, %s", err, got.Trouble)
		}
		if diff := cmp.Diff(want, got.Errors); diff != "" {
			t.Fatalf("errors (-want +got):\n%s", diff)
		}
	}
	typeWhy := func(why string) {
		t.Helper()
		if err := w.slack.Type(ctx, ada, modals.ResetWhyLabel, why); err != nil {
			t.Fatal(err)
		}
	}
	typeWhy("pair " + strings.Repeat("A1", 12))
	if err := w.slack.Check(ctx, ada, "Confirm", modals.ResetConfirmText); err != nil {
		t.Fatal(err)
	}
	got, err := w.slack.Submit(ctx, ada)
	if err != nil || !strings.Contains(got.Errors[modals.ResetWhyBlock], "looks like a key") {
		t.Fatalf("submit with a key: %+v, %v, want a problem", got, err)
	}
	typeWhy("the dashboard shows a new account")
	asks.mu.Lock()
	asks.err = &fault.Error{Kind: fault.Conflict, Reason: "busy", User: "The rotation is at step 5.", Fix: "Press Open."}
	asks.mu.Unlock()
	submit(map[string]string{modals.ResetWhyBlock: "The rotation is at step 5. Press Open."})
	asks.mu.Lock()
	asks.err = nil
	asks.mu.Unlock()
	submit(nil)
	w.see(ada, "Step 1 of 8")
	const want = ada + " prod the dashboard shows a new account"
	if diff := cmp.Diff([]string{want, want}, asks.resets); diff != "" {
		t.Errorf("resets (-want +got):\n%s", diff)
	}
	if id := w.active(); id == "" {
		t.Error("no rotation is open")
	}
}

// A forced rotation that takes longer to open than Slack waits is answered all
// the same, and the view follows: with the rotation, or with why not.
func TestResetThatIsSlow(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"opens", nil, "Step 1 of 8"},
		{"is refused", &fault.Error{Kind: fault.Transient, Reason: "busy", User: "The state file is busy.", Fix: "Try again."}, "The state file is busy."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, _, asks := homeWorld(t)
			asks.hold, asks.err = make(chan struct{}), tt.err
			w.start()
			ctx, cancel := w.ctx()
			defer cancel()
			w.types(ada, "reset prod")
			w.see(ada, "This opens a forced rotation")
			if err := w.slack.Type(ctx, ada, modals.ResetWhyLabel, "new account"); err != nil {
				t.Fatal(err)
			}
			if err := w.slack.Check(ctx, ada, "Confirm", modals.ResetConfirmText); err != nil {
				t.Fatal(err)
			}
			got, err := w.slack.Submit(ctx, ada)
			if err != nil || got.Trouble != "" || len(got.Errors) > 0 {
				t.Fatalf("submit: %v, %+v", err, got)
			}
			w.see(ada, "Checking…")
			close(asks.hold)
			w.see(ada, tt.want)
		})
	}
}

// An answer that is too large for an acknowledgement comes as a message.
func TestReplyThatIsLarge(t *testing.T) {
	t.Parallel()
	w, _, asks := homeWorld(t)
	asks.past[0].Reason = strings.Repeat("ü", 100)
	for range 10 {
		asks.past = append(asks.past, asks.past[0])
	}
	w.start()
	var large modals.Message
	for range 12 {
		large.Blocks = append(large.Blocks, modals.History([]modals.Card{{History: asks.past, Overview: rotation.Overview{Past: rotation.Record{KeySet: "prod"}}}}).Blocks...)
	}
	large.Text = "History"
	var answers []any
	w.bot.reply(t.Context(), rotation.Actor{ID: ada}, large, func(v any) { answers = append(answers, v) })
	if len(answers) != 1 || answers[0] != nil {
		t.Errorf("answers %v, want one that is empty", answers)
	}
	w.until("it came as a message", func() bool {
		for _, m := range w.slack.Messages(opsChannel) {
			if m.EphemeralFor == ada && strings.Count(m.Visible(), "exposed 41 s") > 100 {
				return true
			}
		}
		return false
	})
}
