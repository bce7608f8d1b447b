package modals

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// TestPressesOutliveARedraw: what can be pressed stands in a block with an ID of
// ours. Slack would give another one at each redraw, and whoever presses at that
// moment presses something that is gone.
func TestPressesOutliveARedraw(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("testdata", "*.json"))
	more, _ := filepath.Glob(filepath.Join("testdata", "*", "*.json"))
	if err != nil || len(files) == 0 || len(more) == 0 {
		t.Fatalf("golden files: %d and %d (%v), want both kinds", len(files), len(more), err)
	}
	pressed := 0
	for _, file := range append(files, more...) {
		var got struct {
			Blocks []struct {
				Type      string           `json:"type"`
				ID        string           `json:"block_id"`
				Elements  []map[string]any `json:"elements"`
				Accessory map[string]any   `json:"accessory"`
			} `json:"blocks"`
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, &got); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, b := range got.Blocks {
			if b.Type != "actions" && b.Accessory == nil {
				continue
			}
			pressed++
			if b.ID == "" {
				t.Errorf("%s has a block of type %s with %v %v and without an ID", file, b.Type, b.Elements, b.Accessory)
			}
		}
	}
	if pressed == 0 {
		t.Error("no golden file has anything to press")
	}
}

// TestOpenStaysWhereItIs while the steps change under the finger.
func TestOpenStaysWhereItIs(t *testing.T) {
	t.Parallel()
	where := func(o rotation.Overview) string {
		for _, b := range Channel(o).Blocks {
			row, ok := b.(*slack.ActionBlock)
			if !ok {
				continue
			}
			for _, e := range row.Elements.ElementSet {
				if b, ok := e.(*slack.ButtonBlockElement); ok && b.ActionID == OpenAction {
					return row.BlockID
				}
			}
		}
		return "(no Open)"
	}
	want := where(checked())
	if want != buttonsBlock {
		t.Fatalf("step 1: Open is in block %q, want %q", want, buttonsBlock)
	}
	for name, o := range map[string]rotation.Overview{"generate": generating(), "pasted": pasted(), "verify": verifying(), "propagate": propagating(), "blocked": blocked(), "revoked": proving()} {
		if got := where(o); got != want {
			t.Errorf("%s: Open is in block %q, want %q as in step 1", name, got, want)
		}
	}
}
