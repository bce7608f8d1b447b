package slackbot

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain finds goroutines that are left when a bot has stopped.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
