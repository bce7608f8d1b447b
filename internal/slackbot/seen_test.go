package slackbot

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"

	"github.com/raxx-app/keyturn/internal/modals"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

// event makes an event as the socket gives it.
func event(envelope string, kind socketmode.EventType, data any) socketmode.Event {
	return socketmode.Event{Type: kind, Data: data, Request: &socketmode.Request{EnvelopeID: envelope}}
}

// handle hands an event to the bot and returns the answers, as JSON.
func (w *world) handle(evt socketmode.Event) []string {
	w.t.Helper()
	var acks []string
	w.bot.envelope(w.t.Context(), evt, func(payload any) {
		body, err := json.Marshal(payload)
		if err != nil {
			w.t.Errorf("answer: %v", err)
		}
		acks = append(acks, string(body))
	})
	return acks
}

// Every envelope twice, on both sockets: everything is done once.
func TestEveryEnvelopeTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacksim.Config{})
	w.slack.Duplicate(true)
	w.start()
	id := w.atStepTwo()
	if got := w.paste(w.shop.click("NEW1")); len(got.Errors) > 0 {
		t.Fatalf("the pair is not accepted: %v", got.Errors)
	}
	w.completed(id)
	w.see(ada, "Rotated")
	if n := w.slack.Count("", "/api/views.open"); n != 1 {
		t.Errorf("%d modals were opened, want one", n)
	}
	if started, sealed := len(w.rows("started")), len(w.rows("sealed")); started != 1 || sealed != 1 || w.shop.wrote() != 1 {
		t.Errorf("%d starts, %d pairs sealed, %d writes of the vault; want one each", started, sealed, w.shop.wrote())
	}
	if p := w.slack.Problems(); len(p) > 0 {
		t.Errorf("Slack notes %q", p)
	}
}

// An envelope, or its trigger in another envelope, that comes again after a
// restart is answered and not done again.
func TestSeenBeforeRestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacksim.Config{})
	w.start()
	start := slack.SlashCommand{UserID: ada, TeamID: "T0RAXX", ChannelID: opsChannel, Command: command, Text: "prod", TriggerID: "1.2.start"}
	w.handle(event("env-1", socketmode.EventTypeSlashCommand, start))
	id := w.active()
	o, err := w.engine.Look(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	press := slack.InteractionCallback{Type: slack.InteractionTypeBlockActions, User: slack.User{ID: ada, TeamID: "T0RAXX"}, TriggerID: "1.2.press"}
	press.ActionCallback.BlockActions = []*slack.BlockAction{{ActionID: modals.OpenAction, Value: modals.Bind{Rotation: id, Step: rotation.StepPrecheck, Round: o.Rotation.Current().Round}.String()}}
	w.handle(event("env-2", socketmode.EventTypeInteractive, press))
	submit := slack.InteractionCallback{Type: slack.InteractionTypeViewSubmission, User: slack.User{ID: ada, TeamID: "T0RAXX"}, TriggerID: "1.2.cancel", View: slack.View{ID: "V1", CallbackID: modals.CancelCallback, PrivateMetadata: string(id)}}
	submit.View.State = &slack.ViewState{Values: map[string]map[string]slack.BlockAction{modals.CancelBlock: {"text": {Value: "not today"}}}}
	w.until("it is cancelled", func() bool { // the old pair is still being looked at
		submit.TriggerID += "x"
		got := w.handle(event("env-"+submit.TriggerID, socketmode.EventTypeInteractive, submit))
		return len(got) == 1 && strings.Contains(got[0], "clear")
	})

	for range 2 { // and a second restart
		w.stop()
		w.start()
		opened := w.slack.Count("", "/api/views.open")
		for what, evt := range map[string]socketmode.Event{
			"the command":                     event("env-1", socketmode.EventTypeSlashCommand, start),
			"its trigger in another envelope": event("env-9", socketmode.EventTypeSlashCommand, start),
			"the press":                       event("env-2", socketmode.EventTypeInteractive, press),
			"the submission":                  event("env-"+submit.TriggerID, socketmode.EventTypeInteractive, submit),
		} {
			got := w.handle(evt)
			want := "null"
			if what == "the submission" {
				want = "taken in already"
			}
			if len(got) != 1 || !strings.Contains(got[0], want) {
				t.Errorf("%s, again: answers %q, want one with %s", what, got, want)
			}
		}
		if id, err := w.engine.Active(t.Context(), "prod"); err == nil {
			t.Errorf("rotation %s was opened by a repeat", id)
		}
		if n := w.slack.Count("", "/api/views.open"); n != opened {
			t.Errorf("%d modals were opened by repeats", n-opened)
		}
	}
}

// A key submission leaves no record: were it swallowed, the pair might be lost.
// Its repeat after a restart is found as sealed already. No record holds what
// was typed, or anything but a time.
func TestKeySubmissionIsNotRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacksim.Config{})
	w.start()
	id := w.atStepTwo()
	release := w.shop.holdVault()
	pair := w.shop.click("NEW1")
	if got := w.paste(pair); len(got.Errors) > 0 {
		t.Fatalf("the pair is not accepted: %v", got.Errors)
	}
	var submission []byte
	var envelopes []string
	for _, e := range w.slack.Sent() {
		var env struct {
			ID string `json:"envelope_id"`
		}
		if json.Unmarshal(e.Raw, &env) == nil && env.ID != "" {
			envelopes = append(envelopes, env.ID)
		}
		if e.Method == "view_submission" {
			submission = e.Raw
		}
	}
	w.stop() // with the vault's write under way
	release()
	kvs, err := w.store.List(t.Context(), seenPrefix, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(kvs) != 2 || kvs[0].Key != seenPrefix+envelopes[0] && kvs[1].Key != seenPrefix+envelopes[0] {
		t.Errorf("%d records, want two of the command: its envelope and its trigger", len(kvs))
	}
	for _, kv := range kvs {
		var rec map[string]time.Time
		if err := json.Unmarshal(kv.Value, &rec); err != nil || len(rec) != 1 || rec["at"].IsZero() {
			t.Errorf("record %s holds %s, want a time and nothing else", kv.Key, kv.Value)
		}
	}

	w.start()
	var env struct {
		ID      string                    `json:"envelope_id"`
		Payload slack.InteractionCallback `json:"payload"`
	}
	if err := json.Unmarshal(submission, &env); err != nil {
		t.Fatal(err)
	}
	if got := w.handle(event(env.ID, socketmode.EventTypeInteractive, env.Payload)); len(got) != 1 || strings.Contains(got[0], `"errors"`) {
		t.Errorf("the same submission after the restart is answered %q, want it accepted", got)
	}
	w.completed(id)
	o, err := w.engine.Look(t.Context(), id)
	if err != nil || len(o.Rotation.Candidates) != 1 || len(w.rows("sealed")) != 1 {
		t.Errorf("candidates %d, error %v, want the one pair", len(o.Rotation.Candidates), err)
	}
}

// What is older than Slack's longest delay is forgotten, on disk too, and long
// keys are kept as a hash.
func TestSeenIsForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t, slacksim.Config{})
	now := time.Now()
	clock := func() time.Time { return now }
	s := newSeen(w.store, clock, slog.New(slog.DiscardHandler))
	long := strings.Repeat("x", 10_000)
	do := func(keys ...string) bool {
		a, first := s.first(keys)
		if first {
			close(a.done)
			s.keep(t.Context(), a, keys)
		}
		return first
	}
	if !do("a", "t") || do("a", "t") || do("t") || do("b", "t") || do("b") || !do(long) || do(long) {
		t.Error("a repeat counts as new, or the other way round")
	}
	s = newSeen(w.store, clock, slog.New(slog.DiscardHandler))
	if err := s.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if do("a") || do("t") || do(long) {
		t.Error("what was done before a restart counts as new")
	}
	now = now.Add(seenFor + seenClean)
	if !do("a") {
		t.Errorf("after %s an envelope is still known", seenFor+seenClean)
	}
	kvs, err := w.store.List(t.Context(), seenPrefix, "", 0)
	if err != nil || len(kvs) != 1 || kvs[0].Key != seenPrefix+"a" {
		t.Errorf("records %v, %v, want only the new one", kvs, err)
	}
	now = now.Add(seenFor + seenClean)
	s = newSeen(w.store, clock, slog.New(slog.DiscardHandler))
	if err := s.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !do("c") {
		t.Error("a new envelope counts as known")
	}
	if kvs, _ = w.store.List(t.Context(), seenPrefix, "", 0); len(kvs) != 1 || len(kvs[0].Key) > seenKeyMax+len(seenPrefix) {
		t.Errorf("records %v, want only that of c", kvs)
	}
}
