package fault_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
)

func TestKindOf(t *testing.T) {
	base := &fault.Error{Kind: fault.Transient, Reason: "server", RetryAfter: time.Second}
	tests := []struct {
		name   string
		err    error
		kind   fault.Kind
		reason string
	}{
		{"plain", errors.New("x"), fault.Internal, "internal"},
		{"deadline", context.DeadlineExceeded, fault.Unknown, "unknown"},
		{"cancelled", fmt.Errorf("x: %w", context.Canceled), fault.Unknown, "unknown"},
		{"wrapped", fmt.Errorf("x: %w", base), fault.Transient, "server"},
		{"joined", errors.Join(errors.New("x"), base), fault.Transient, "server"},
	}
	for _, tt := range tests {
		if fault.KindOf(tt.err) != tt.kind || fault.ReasonOf(tt.err) != tt.reason {
			t.Errorf("%s: %s (%s), want %s (%s)", tt.name, fault.KindOf(tt.err), fault.ReasonOf(tt.err), tt.kind, tt.reason)
		}
	}
	if fault.RetryAfter(fmt.Errorf("x: %w", base)) != time.Second {
		t.Error("RetryAfter is lost in wrapping")
	}
}

// Each kind has words for a person and says what to do; the cause is for logs.
func TestTextsHideTheCause(t *testing.T) {
	for k := fault.Internal; k <= fault.Unknown; k++ {
		err := fmt.Errorf("outer: %w", &fault.Error{Kind: k, Op: "x.Do", Err: errors.New("cause")})
		user, fix := fault.UserText(err), fault.FixText(err)
		if user == "" || fix == "" || strings.Contains(user+fix, "cause") {
			t.Errorf("%s: %q, %q, want words without the cause", k, user, fix)
		}
		if !strings.Contains(err.Error(), "cause") || !strings.Contains(err.Error(), "x.Do") {
			t.Errorf("%s: log text %q lacks the cause or the operation", k, err)
		}
	}
}
