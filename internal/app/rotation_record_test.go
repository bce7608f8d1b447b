package app_test

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

// audit: R3, R11, R33, R61–R63 and the order of the rows.
func (s *story) audit(t *testing.T) {
	got := actions(s.rows)
	want := []string{
		"started", "precheck running", "precheck done", "precheck gate_passed", "generate running", "sealed", "generate done", "validate running", "clicked",
		"validate done", "store running", "store done",
	}
	if diff := cmp.Diff(want, got[:min(len(want), len(got))]); diff != "" {
		t.Errorf("rows (-want +got)\n%s", diff)
	}
	rest := slices.Sorted(slices.Values(got[min(len(want), len(got)):]))
	wantRest := []string{
		"completed", "propagate done", "propagate running", "propagate updated", "propagate updated", "record done", "record running",
		"revoked done", "revoked running", "verify done", "verify running", "verify running",
	}
	if diff := cmp.Diff(wantRest, rest); diff != "" {
		t.Errorf("rows after the store, sorted (-want +got)\n%s", diff)
	}
	r := row(t, s.rows, "secret.rotate.completed") // R61
	if r.Actor != "ada@raxx.app" || r.Slack != adaID || r.KeySet != "prod" {
		t.Errorf("R62: actor %q, Slack %q, key set %q", r.Actor, r.Slack, r.KeySet)
	}
	wantContext := map[string]any{
		"secret_name": keyIDName, "secret_names": []any{keyIDName, secretName}, "method": "operator-assisted-dashboard", "trigger": "scheduled",
		"sop": "alpaca-paper", "sop_version": "2026-04-24", "outcome": "completed", "opened_by": "ada@raxx.app", "role": "ops, on-call", "operator": "ada@raxx.app", "operator_role": "ops, on-call", "account": rotation.Masked(s.account["prod"]),
		"key_id_last4_old": s.old["prod"].ID[len(s.old["prod"].ID)-4:], "key_id_last4_new": s.key.ID[len(s.key.ID)-4:],
	}
	for name, want := range wantContext {
		if diff := cmp.Diff(want, r.Context[name]); diff != "" {
			t.Errorf("R63: %s (-want +got)\n%s", name, diff)
		}
	}
	for _, name := range []string{"rotated_at", "clicked", "sealed", "verified", "snapshot_sha256", "sop_texts_sha256", "next_due", "prerequisites", "test_order", "took_ms"} { // R6, R18, R33
		if v := r.Context[name]; v == nil || v == "" {
			t.Errorf("R63: %s is missing", name)
		}
	}
	updated := row(t, s.rows, "secret.rotate.step")
	if updated.Slack != bobID && updated.Actor != bobID || updated.Context["state"] != "updated" {
		t.Errorf("R46: the last row is %+v, want that of Bob's Updated", updated)
	}
}

// noSecret: R24, R43, R47, R82. The pair is in nothing that the bot sent to
// Slack, wrote into its log or keeps in its file.
func (s *story) noSecret(t *testing.T) {
	file, err := os.ReadFile(s.stateFile())
	if err != nil {
		t.Fatal(err)
	}
	for name, secret := range map[string]string{
		"new secret": s.key.Secret, "new key ID": s.key.ID, "old secret": s.old["prod"].Secret, "old key ID": s.old["prod"].ID,
		"Heroku token": herokuToken, "GitHub token": githubToken, "Infisical secret": infisicalSecret,
	} {
		for _, e := range s.slack.Find(secret) {
			t.Errorf("the %s was sent to Slack with %s", name, e.Method)
		}
		if strings.Contains(s.log.String(), secret) {
			t.Errorf("the %s is in the log", name)
		}
		if bytes.Contains(file, []byte(secret)) {
			t.Errorf("the %s is in the state file", name)
		}
	}
	carried := 0
	for _, e := range s.slack.Sent() {
		if bytes.Contains(e.Raw, []byte(s.key.Secret)) {
			carried++
		}
	}
	if carried != 1 {
		t.Errorf("%d envelopes carried the new secret, want the one submission: the search finds nothing", carried)
	}
}

// masked: only the operator's own views show the number.
func (s *story) masked(t *testing.T) {
	number := s.account["prod"]
	shown := 0
	for _, e := range s.slack.Find(number) {
		if e.Method != "views.update" && e.Method != "ack" {
			t.Errorf("the account number went out with %s", e.Method)
		}
		if e.Method == "views.update" && !bytes.Contains(e.Raw, []byte(s.over.ID)) {
			t.Error("the account number went into somebody else's view")
		}
		shown++
	}
	if shown == 0 {
		t.Error("the operator did not see the account number either")
	}
	if strings.Contains(s.log.String(), number) {
		t.Error("the account number is in the log")
	}
	for _, e := range s.rows {
		if body, _ := json.Marshal(e.Row); bytes.Contains(body, []byte(number)) {
			t.Errorf("the account number is in the audit row %s", e.Row.Action)
		}
	}
}

// oneMessage: one post, and updates that keep the pace. In its thread there is the
// roll-call and nothing else, if the clock got there (R47).
func (s *story) oneMessage(t *testing.T) {
	var posts, updates []slacksim.Entry
	thread := "thread_ts=" + s.last.TS
	for _, e := range s.slack.Journal() {
		if !bytes.Contains(e.Body, []byte("channel="+opsChannel)) {
			continue
		}
		switch {
		case e.Method == "chat.postMessage" && !bytes.Contains(e.Body, []byte(thread)):
			posts = append(posts, e)
		case e.Method == "chat.update":
			updates = append(updates, e)
		}
	}
	public := slices.DeleteFunc(s.slack.Messages(opsChannel), func(m slacksim.Message) bool {
		return m.EphemeralFor != "" || m.ThreadTS == s.last.TS && strings.Contains(m.Visible(), "pulled the new pair.")
	})
	if len(posts) != 1 || len(public) != 1 {
		t.Errorf("%d messages were posted in the ops channel, want 1", len(posts))
	}
	for i := 1; i < len(updates); i++ {
		if gap := updates[i].At.Sub(updates[i-1].At); gap < 1400*time.Millisecond {
			t.Errorf("update %d came %s after the one before, want about 1.5 s", i+1, gap)
		}
	}
	if len(s.last.Buttons()) > 0 {
		t.Errorf("the message still has buttons: %+v", s.last.Buttons())
	}
	want := "bot audit verify --anchor " // of the row before the developers' answers
	if !strings.Contains(s.last.Visible(), want) || !strings.Contains(s.last.Visible(), s.done.Head) {
		t.Errorf("the last state does not carry the head %s of the audit record:\n%s", s.done.Head, s.last.Visible())
	}
}
