package app_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/raxx-app/keyturn/internal/app"
	"github.com/raxx-app/keyturn/internal/config"
)

// childVar, set to a settings file, makes the test binary be the bot: what is
// measured of a process is then the bot's and nobody else's.
const childVar = "KEYTURN_TEST_BOT"

// TestMain finds goroutines that are left when a bot has stopped.
func TestMain(m *testing.M) {
	if path := os.Getenv(childVar); path != "" {
		os.Exit(child(path))
	}
	goleak.VerifyTestMain(m)
}

// child is the bot as a process of its own.
func child(path string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	cfg, err := config.Load(path, os.Getenv)
	if err == nil {
		err = app.Run(ctx, app.Options{Config: cfg, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
