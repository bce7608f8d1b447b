package app_test

import (
	"bytes"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/sim/alpacasim"
)

// R32, R75, R77: what can be seen to be wrong with a pair is said under its
// field, at once and before any call, and what was typed is still there. Then
// the right pair is taken as it comes out of a clipboard (R34).
func TestBadPastes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{limits: rotation.Limits{ProbeFast: time.Hour}}) // nobody asks Alpaca but because of a paste
	b := w.start()
	w.ada.toStepTwoOnce()
	old := w.old["prod"]
	const secret = "abcdefghijklmnopqrstuvwxyz0123456789ABCD"
	tests := []struct {
		name       string
		id, secret string
		want       map[string]string // by label
	}{
		{"swapped", secret, "PKAAAAAAAAAAAAAAAAAA", map[string]string{keyID: "The two fields are swapped", secretKey: "The two fields are swapped"}},
		{"both the same", "PKAAAAAAAAAAAAAAAAAA", "PKAAAAAAAAAAAAAAAAAA", map[string]string{secretKey: "Both fields hold the same value"}},
		{"the current pair", old.ID, old.Secret, map[string]string{keyID: "View shows it, it does not rotate"}},
		{"the current secret", "PKAAAAAAAAAAAAAAAAAA", old.Secret, map[string]string{secretKey: "This is the secret that is in use now"}},
		{"live key", "AKAAAAAAAAAAAAAAAAAA", secret, map[string]string{keyID: "This is a LIVE key (it starts with AK)"}},
		{"broker key", "CKAAAAAAAAAAAAAAAAAA", secret, map[string]string{keyID: "This is a Broker API key (it starts with CK)"}},
		{"blank", "  ", "''", map[string]string{keyID: "The Key ID is missing", secretKey: "The Secret key is missing"}},
		{"characters no key has", "PKAAAAAAAA AAAAAAAAA", secret + "…", map[string]string{keyID: "characters that no key has", secretKey: "characters that no key has"}},
	}
	calls := w.alpaca.Count("", "/")
	for _, tt := range tests {
		got := w.ada.paste(tt.id, tt.secret)
		v := w.ada.screen()
		shown := v.Errors()
		if got.Local || len(shown) != len(tt.want) {
			t.Errorf("%s: %+v, shown %v, want errors under %v", tt.name, got, shown, tt.want)
		}
		for label, want := range tt.want {
			if !strings.Contains(shown[label], want) {
				t.Errorf("%s: under %s stands %q, want %q", tt.name, label, shown[label], want)
			}
		}
		id, _ := v.Input(keyID)
		sec, _ := v.Input(secretKey)
		if id.Text != tt.id || sec.Text != tt.secret {
			t.Errorf("%s: the fields hold %q and %q, want what was typed", tt.name, id.Text, sec.Text)
		}
	}
	if got := w.ada.paste("", secret); !got.Local { // Slack itself asks for what is missing
		t.Errorf("an empty field: %+v, want Slack's own error", got)
	}
	if got := w.alpaca.Count("", "/") - calls; got != 0 {
		t.Errorf("%d calls to Alpaca after bad pastes, want none: %+v", got, w.alpaca.Calls())
	}

	key := w.ada.generate()
	if got := w.ada.paste(` "`+key.ID+"\" \n", "export "+secretName+"='"+key.Secret+"'\r\n"); len(got.Errors) > 0 {
		t.Fatalf("a pair in quotes and as a line of a shell is refused: %v", got.Errors)
	}
	w.ada.see(rotated)
	b.stop()
	if vars := w.heroku.Vars(prodApp); vars[keyIDName] != key.ID || vars[secretName] != key.Secret {
		t.Error("the config vars do not hold the pair without its quotes")
	}
	for _, tt := range tests[2:4] {
		for _, e := range w.slack.Find(tt.secret) {
			t.Errorf("%s: what was typed came back with %s", tt.name, e.Method)
		}
	}
}

// stores is everything that holds a pair, as one value to compare.
func (w *world) stores() string {
	var b bytes.Buffer
	for _, s := range w.infisical.Secrets(projectID, "prod", "/") {
		b.WriteString(strings.Join(append(s.History, s.Name), " "))
	}
	for _, app := range []string{prodApp, stagingApp} {
		b.WriteString(strings.Join([]string{app, w.heroku.Vars(app)[keyIDName], w.heroku.Vars(app)[secretName]}, " "))
	}
	for _, name := range []string{keyIDName, secretName} {
		value, _, _ := w.github.Secret("raxx", "raptor", name)
		b.WriteString(value)
	}
	return b.String()
}

// R39, R66: a new pair that Alpaca rejects is told in words, nothing is written
// anywhere, and the fields are there again, empty. The next pair goes through.
func TestRejectedPair(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{noDelays: true})
	b := w.start()
	w.ada.toStepTwo()
	before := w.stores()
	key := w.ada.generate()
	w.ada.see("Alpaca rejects the old key since")
	if got := w.ada.paste(key.ID, strings.Repeat("x", 40)); len(got.Errors) > 0 {
		t.Fatalf("the paste is refused: %v", got.Errors)
	}
	v := w.ada.see(stepHeader(2), "Why you are here again", "Alpaca rejects the new pair. Nothing was written anywhere.", "Copy both values again")
	for _, label := range []string{keyID, secretKey} {
		if in, ok := v.Input(label); !ok || in.Text != "" {
			t.Errorf("field %s holds %q, want it empty", label, in.Text)
		}
	}
	if got := w.stores(); got != before {
		t.Error("something was written although Alpaca rejects the pair")
	}
	if n := w.infisical.Count(http.MethodPatch, "/"); n != 1 {
		t.Errorf("%d updates of Infisical, want only the trial of step 1", n)
	}
	w.ada.finish(key)
	b.stop()
	rows, last := w.left()
	if r := row(t, rows, "secret.rotate.failed"); r.Step != rotation.StepValidate || r.Context["reason"] != "rejected" {
		t.Errorf("audit row %+v, want that step 3 failed: rejected", r)
	}
	if len(last.Candidates) != 2 || last.Chosen != 2 {
		t.Errorf("candidates %+v, chosen %d, want two and the second", last.Candidates, last.Chosen)
	}
}

// R37, R74: a pair of another account stops the rotation before anything is
// stored. Both accounts are named: whole on the operator's screen, by their
// last four everywhere else.
func TestPairOfAnotherAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{noDelays: true})
	other, err := w.alpaca.AddAccount(alpacasim.Seed{CreatedAt: time.Now().AddDate(-1, 0, 0)})
	w.must(err)
	b := w.start()
	w.ada.toStepTwo()
	before := w.stores()
	key, err := w.alpaca.Regenerate(other.Number) // the wrong account was selected
	w.must(err)
	if got := w.ada.paste(key.ID, key.Secret); len(got.Errors) > 0 {
		t.Fatalf("the paste is refused: %v", got.Errors)
	}
	ours := w.account["prod"]
	w.ada.see(stepHeader(2), "belongs to account "+other.Number, ours+" was expected", "Nothing was written", "choose account "+ours)
	if w.stores() != before {
		t.Error("something was written although the pair belongs to another account")
	}

	// Somebody else who opens it sees the last four only.
	shown := w.opsMessage("belongs to account", "Waiting for @ada")
	if strings.Contains(shown.Visible(), "🔴") {
		t.Errorf("the old pair works, but the channel says that trading fails:\n%s", shown.Visible())
	}
	w.eve.pressIn(shown, "Open")
	v := w.eve.see(stepHeader(2), "belongs to account")
	for _, number := range []string{ours, other.Number} {
		if strings.Contains(v.Text(), number) {
			t.Errorf("Eve, who is not the operator, sees account %s whole:\n%s", number, v.Text())
		}
		if m := w.opsMessage("belongs to account").Visible(); strings.Contains(m, number) {
			t.Errorf("the channel shows account %s whole:\n%s", number, m)
		}
		if strings.Contains(w.log.String(), number) {
			t.Errorf("the log holds account %s whole", number)
		}
		if !strings.Contains(v.Text(), rotation.Masked(number)) {
			t.Errorf("Eve does not see the last four of %s:\n%s", number, v.Text())
		}
	}
	w.ada.finish(w.ada.generate())
	b.stop()
	w.left()
}

// R36, R38: a pair whose account is blocked is not stored while the old pair
// works; the operator sees status, account number and buying power of it, and
// nothing else.
func TestPairOfBlockedAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{noDelays: true})
	b := w.start()
	w.ada.toStepTwo()
	before := w.stores()
	key := w.ada.generate()
	w.must(w.alpaca.SetStatus(w.account["prod"], "ACCOUNT_UPDATED"))
	if got := w.ada.paste(key.ID, key.Secret); len(got.Errors) > 0 {
		t.Fatalf("the paste is refused: %v", got.Errors)
	}
	v := w.ada.see(stepHeader(3), "is ACCOUNT_UPDATED, not ACTIVE", "*Status*\nACCOUNT_UPDATED", "*Account number*\n"+w.account["prod"], "*Buying power*\n")
	for _, never := range []string{"Equity", "Cash", "101294.5", "PATTERN", "created"} {
		if strings.Contains(v.Text(), never) {
			t.Errorf("step 3 shows %q:\n%s", never, v.Text())
		}
	}
	if w.stores() != before {
		t.Error("something was written although the account is blocked")
	}
	w.must(w.alpaca.SetStatus(w.account["prod"], "ACTIVE"))
	w.ada.see(rotated) // the bot looks again by itself
	b.stop()
	if file, err := os.ReadFile(w.stateFile()); err != nil || bytes.Contains(file, []byte(key.Secret)) {
		t.Errorf("the state file holds the secret (%v)", err)
	}
}
