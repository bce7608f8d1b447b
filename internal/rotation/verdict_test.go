package rotation_test

import (
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// Table 3.2 of the design, row by row: R35–R37, R39, R60, R74. Unknown is never
// rounded to either side.
func TestJudge(t *testing.T) {
	opened := time.Date(2026, 4, 24, 3, 0, 0, 0, time.UTC)
	ours := rotation.Account{ID: "a1", Number: "PA3OURS00001", Status: "ACTIVE", CreatedAt: opened.AddDate(-1, 0, 0)}
	blocked := ours
	blocked.Flags = []string{"trading_blocked"}
	inactive := ours
	inactive.Status = "ACCOUNT_UPDATED"
	older := rotation.Account{ID: "a2", Number: "PA3OTHER0002", Status: "ACTIVE", CreatedAt: opened.AddDate(-2, 0, 0)}
	newer := rotation.Account{ID: "a3", Number: "PA3NEWER0003", Status: "ACTIVE", CreatedAt: opened.Add(time.Minute)}
	works := func(a rotation.Account) rotation.Probe {
		return rotation.Probe{Verdict: rotation.Valid, Account: a, Status: 200}
	}
	rejected := rotation.Probe{Verdict: rotation.Invalid, Status: 401}
	unknown := rotation.Probe{Verdict: rotation.Unknown, Status: 503}
	tests := []struct {
		name     string
		now, old rotation.Probe
		noOld    bool
		noBase   bool
		want     rotation.Action
		reason   string
	}{
		{name: "clean", now: works(ours), old: rejected, want: rotation.ActStore},
		{name: "old still alive", now: works(ours), old: works(ours), want: rotation.ActStore},
		{name: "old unknown", now: works(ours), old: unknown, want: rotation.ActStore},
		{name: "no old pair known", now: works(ours), noOld: true, want: rotation.ActStore},
		{name: "blocked, old dead", now: works(blocked), old: rejected, want: rotation.ActWait, reason: "account_blocked"},
		{name: "blocked, old alive", now: works(blocked), old: works(blocked), want: rotation.ActStop, reason: "account_blocked"},
		{name: "blocked, old unknown", now: works(blocked), old: unknown, want: rotation.ActStop, reason: "account_blocked"},
		{name: "not active, old dead", now: works(inactive), old: rejected, want: rotation.ActWait, reason: "account_blocked"},
		{name: "replaced", now: works(newer), old: rejected, want: rotation.ActAdopt, reason: "account_replaced"},
		{name: "older account, old dead", now: works(older), old: rejected, want: rotation.ActAdopt, reason: "other_account"},
		{name: "other account, old alive", now: works(older), old: works(ours), want: rotation.ActPaste, reason: "wrong_account"},
		{name: "newer account, old alive", now: works(newer), old: works(ours), want: rotation.ActPaste, reason: "wrong_account"},
		{name: "other account, old unknown", now: works(older), old: unknown, want: rotation.ActWait, reason: "old_unknown"},
		{name: "other account, no old pair", now: works(older), noOld: true, want: rotation.ActAdopt, reason: "other_account"},
		{name: "no baseline", now: works(ours), noOld: true, noBase: true, want: rotation.ActAdopt, reason: "no_baseline"},
		{name: "no baseline, old dead", now: works(ours), old: rejected, noBase: true, want: rotation.ActAdopt, reason: "no_baseline"},
		{name: "no baseline, old unknown", now: works(ours), old: unknown, noBase: true, want: rotation.ActWait, reason: "old_unknown"},
		{name: "rejected, old alive", now: rejected, old: works(ours), want: rotation.ActPaste, reason: "rejected"},
		{name: "rejected, old dead", now: rejected, old: rejected, want: rotation.ActPaste, reason: "rejected"},
		{name: "rejected, old unknown", now: rejected, old: unknown, want: rotation.ActPaste, reason: "rejected"},
		{name: "new unknown, old dead", now: unknown, old: rejected, want: rotation.ActWait, reason: "new_unknown"},
		{name: "new unknown, old alive", now: unknown, old: works(ours), want: rotation.ActWait, reason: "new_unknown"},
		{name: "old answers but is blocked, same account", now: works(blocked), old: works(blocked), want: rotation.ActStop, reason: "account_blocked"},
		{name: "old not active, same account", now: works(inactive), old: works(inactive), want: rotation.ActStop, reason: "account_blocked"},
		{name: "old was blocked, block lifted since", now: works(ours), old: works(blocked), want: rotation.ActStore},
		{name: "old blocked, other account", now: works(older), old: works(blocked), want: rotation.ActPaste, reason: "wrong_account"},
		{name: "old blocked, newer account", now: works(newer), old: works(blocked), want: rotation.ActPaste, reason: "wrong_account"},
		{name: "old blocked, new rejected", now: rejected, old: works(blocked), want: rotation.ActPaste, reason: "rejected"},
		{name: "old blocked, new unknown", now: unknown, old: works(blocked), want: rotation.ActWait, reason: "new_unknown"},
		{name: "not probed", want: rotation.ActWait, reason: "new_unknown"},
	}
	for _, tt := range tests {
		ev := rotation.Evidence{New: tt.now, Old: tt.old, OldKnown: !tt.noOld, Expected: &ours, Opened: opened}
		if tt.noBase {
			ev.Expected = nil
		}
		got := rotation.Judge(ev)
		if got.Action != tt.want || got.Problem.Reason != tt.reason {
			t.Errorf("%s: %s (%s), want %s (%s)", tt.name, got.Action, got.Problem.Reason, tt.want, tt.reason)
		}
		if got.Action != rotation.ActStore && (got.Problem.Text == "" || got.Problem.Fix == "") {
			t.Errorf("%s: problem %+v says not what happened and what to do", tt.name, got.Problem)
		}
	}
}
