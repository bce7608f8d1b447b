package cli

import (
	"testing"

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
