package slackbot

import (
	"strings"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

// 3.3 of the design: a commit that takes longer than 2 s is answered with an
// error under the field, what was typed stays, and the same pair submitted once
// more is found as sealed already.
func TestCommitSlowerThanTheAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacksim.Config{})
	slow := &slowStore{Store: w.store}
	w.wrap = func(rotation.Store) rotation.Store { return slow }
	w.start()
	id := w.atStepTwo()
	release := w.shop.holdVault()
	defer release()
	pair := w.shop.click("NEW1")
	ctx, cancel := w.ctx()
	defer cancel()
	for field, text := range map[string]string{"Key ID": pair.KeyID.Reveal(), "Secret key": pair.Secret.Reveal()} {
		if err := w.slack.Type(ctx, ada, field, text); err != nil {
			t.Fatal(err)
		}
	}
	slow.set(pasteLimit + pasteLimit/2)
	got, err := w.slack.Submit(ctx, ada)
	if err != nil || got.Trouble != "" || len(got.Errors) != 1 {
		t.Fatalf("submission while the commit is slow = %+v, %v, want an error under the field", got, err)
	}
	v, _ := w.slack.Modal(ada)
	id1, _ := v.Input("Key ID")
	secret, _ := v.Input("Secret key")
	if v.Errors()["Secret key"] != notSaved || id1.Text != pair.KeyID.Reveal() || secret.Text != pair.Secret.Reveal() {
		t.Errorf("under the fields stands %q, and what was typed is still there: %t", v.Errors(), secret.Text == pair.Secret.Reveal())
	}
	slow.set(0)
	got, err = w.slack.Submit(ctx, ada)
	if err != nil || got.Trouble != "" || len(got.Errors) > 0 || got.Closed {
		t.Errorf("the same pair again = %+v, %v, want it accepted", got, err)
	}
	release()
	w.completed(id)
	w.see(ada, "Rotated")
	o, err := w.engine.Look(t.Context(), id)
	if err != nil || len(o.Rotation.Candidates) != 1 || len(w.rows("sealed")) != 1 || w.shop.wrote() != 1 {
		t.Errorf("%d candidates, %d rows sealed, %d writes of the vault, error %v; want one each", len(o.Rotation.Candidates), len(w.rows("sealed")), w.shop.wrote(), err)
	}
	if p := w.slack.Problems(); len(p) > 0 {
		t.Errorf("Slack notes %q", p)
	}
}

// reads has the screen of somebody show text now, not only soon.
func (w *world) reads(who, text string) {
	w.t.Helper()
	if v, _ := w.slack.Modal(who); !strings.Contains(v.Text(), text) {
		w.t.Errorf("%s does not read %q; the screen shows:\n%s", who, text, v.Text())
	}
}

// The pair that a consumer holds is tried before it is adopted, which may take
// longer than Slack waits: the view says so, and then how it ended.
func TestAdoptByHandSlowerThanTheAnswer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		hand string // what Alpaca says of the pair that the app holds
		want string // on the screen
	}{
		{"it works", "live", "Rotated"},
		{"it is dead", "dead", "Alpaca rejects the pair"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, _ := noteWorld(t)
			if err := w.engine.Snapshot(t.Context(), "prod", w.shop.Probe(t.Context(), w.shop.vault.Pair), nil); err != nil {
				t.Fatalf("Snapshot: %v", err)
			}
			pair := w.shop.click("HAND")
			if tt.hand == "dead" {
				w.shop.click("GONE")
			}
			w.shop.mu.Lock()
			w.shop.app = pair
			w.shop.mu.Unlock()
			w.press(ada, w.post(opsChannel, rotation.Note{Kind: rotation.NoteByHand, KeySet: "prod", Consumer: "api", Data: map[string]string{}}), "Adopt it")
			w.see(ada, "Nothing is generated")
			release := w.shop.holdProbes()
			defer release()
			w.fillIn(ada, nil, map[string]string{"Why?": "Bob rotated by hand"})
			w.reads(ada, "Reading the pair")
			release()
			w.see(ada, tt.want)
		})
	}
}

// Before a rotation is cancelled the old pair is asked, which may take longer
// than Slack waits: the view says so, and then how it ended.
func TestCancelSlowerThanTheAnswer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		clicked bool
		want    string // on the screen
	}{
		{"not clicked yet", false, "cancelled"},
		{"clicked meanwhile", true, "The keys were generated already"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, slacksim.Config{})
			w.start()
			id := w.atStepTwo()
			w.press(ada, w.message("step 2 of 8"), "Cancel rotation")
			w.see(ada, "Why is it cancelled?")
			ctx, cancel := w.ctx()
			defer cancel()
			if err := w.slack.Type(ctx, ada, "Why is it cancelled?", "wrong day"); err != nil {
				t.Fatal(err)
			}
			release := w.shop.holdProbes()
			defer release()
			if tt.clicked {
				w.shop.click("NEW1")
			}
			began := time.Now()
			got, err := w.slack.Submit(ctx, ada)
			if err != nil || got.Trouble != "" || len(got.Errors) > 0 || got.Closed {
				t.Fatalf("Cancel while Alpaca is slow = %+v, %v, want a view that says so", got, err)
			}
			v, _ := w.slack.Modal(ada)
			if strings.Contains(v.Text(), "Why is it cancelled?") || time.Since(began) < ackLimit {
				t.Errorf("after %s the screen shows:\n%s\nwant that the bot still asks, after 2 s", time.Since(began), v.Text())
			}
			release()
			w.see(ada, tt.want)
			w.wait(id, "as it should", func(r *rotation.Rotation) bool { return (r.Outcome == rotation.Cancelled) != tt.clicked })
			if p := w.slack.Problems(); len(p) > 0 {
				t.Errorf("Slack notes %q", p)
			}
		})
	}
}

// Two who killed the key, they say, have the question open: who submits second
// reads in the answer who was first.
func TestItWasMeTooLate(t *testing.T) {
	t.Parallel()
	w, _ := noteWorld(t)
	id := w.seenDead()
	for _, who := range []string{ada, eve} {
		w.press(who, w.post(who, paged(id)), "It was me")
		w.see(who, "What did you do?")
	}
	w.fillIn(ada, map[string]string{"What did you do?": "reset"}, nil)
	w.see(ada, "Step 2 of 8")
	w.fillIn(eve, map[string]string{"What did you do?": "regenerated"}, nil)
	w.reads(eve, "Already done by @u0ada")
}
