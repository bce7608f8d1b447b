package cli

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// What step 1 could not prove by reading looks different from what it did.
func TestUnprovenIsNotShownAsProven(t *testing.T) {
	t.Parallel()
	it := rotation.Item{State: rotation.Done, Level: rotation.Ready}
	if got := markOf(it); got != "✅" {
		t.Errorf("ready: %s, want ✅", got)
	}
	it.Level = rotation.Unproven
	if got := markOf(it); got != "❔" {
		t.Errorf("unproven: %s, want ❔", got)
	}
	it.State = rotation.Failed
	if got := markOf(it); got != "❌" {
		t.Errorf("failed: %s, want ❌", got)
	}
}

// What a bot says about an act that led to nothing moves no cursor.
func TestRefusalsMoveNoCursor(t *testing.T) {
	t.Parallel()
	const odd = "consumer \x1b[2Jx\r"
	var out bytes.Buffer
	term := &terminal{out: &out, ask: &flags{env: Env{Stdout: &out}}}
	for _, kind := range []fault.Kind{fault.Conflict, fault.Transient} {
		if err := term.shrug(&fault.Error{Kind: kind, User: odd, Fix: odd}); err != nil {
			t.Errorf("shrug of %v = %v, want nil", kind, err)
		}
	}
	if err := term.problems(map[string]string{"reason": odd}); !errors.Is(err, errAgain) {
		t.Errorf("problems = %v, want errAgain", err)
	}
	if err := term.askReason(t.Context(), odd); !errors.Is(err, errStop) {
		t.Errorf("askReason = %v, want errStop: nobody is there", err)
	}
	if got := out.String(); strings.Count(got, "consumer [2Jx") != 5 || strings.ContainsAny(got, "\x1b\r") {
		t.Errorf("said %q, want each text without what moves a cursor", got)
	}
}
