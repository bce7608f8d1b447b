package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/raxx-app/keyturn/internal/app"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// childFile, in the folder in which the child is started, holds what it is told
// for all its life beside the arguments and the environment of cmd/bot. The real
// program reads no such file.
const childFile = "sandbox.json"

// lookAgain is how often a child asks Slack who belongs to what. The sandbox puts
// its clock forward by minutes, and what is known is too old then until it is
// asked for again.
const lookAgain = 2 * time.Second

// quick are the engine's waits where somebody watches: real time passes in the
// sandbox, and nobody learns more from two minutes than from two seconds.
func quick() rotation.Limits {
	return rotation.Limits{
		ProbeAgain: time.Second, Confirm: 2 * time.Second, ProbeFast: 500 * time.Millisecond, ProbeSlow: time.Second,
		Recheck: 500 * time.Millisecond, RejectedAgain: []time.Duration{200 * time.Millisecond, 300 * time.Millisecond, 500 * time.Millisecond},
	}
}

// bequeath has every child that is started from now on wait as limits say.
func (w *World) bequeath(limits rotation.Limits) error {
	body, err := json.Marshal(limits)
	if err != nil {
		return fmt.Errorf("write what the bot inherits: %w", err)
	}
	if err := os.WriteFile(filepath.Join(w.Dir, childFile), body, 0o600); err != nil {
		return fmt.Errorf("write what the bot inherits: %w", err)
	}
	return nil
}

// inherited returns what the parent told this process; nothing if it said
// nothing.
func inherited() (app.Hooks, error) {
	body, err := os.ReadFile(childFile)
	if errors.Is(err, fs.ErrNotExist) {
		return app.Hooks{}, nil
	}
	if err != nil {
		return app.Hooks{}, fmt.Errorf("read what the bot inherits: %w", err)
	}
	var told app.Hooks
	if err := json.Unmarshal(body, &told.Limits); err != nil {
		return app.Hooks{}, fmt.Errorf("read what the bot inherits: %w", err)
	}
	told.Times.Roster = lookAgain
	return told, nil
}
