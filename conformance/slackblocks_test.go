// Package conformance holds simulators and views against what others wrote:
// here the fixtures of another Block Kit library, beside it (run.sh) the
// official clients, command lines and types.
package conformance

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/raxx-app/keyturn/internal/sim/slacksim"
)

const fixtures = "../testdata/contracts/slack/slackblocks-spec/fixtures/valid"

// places are messages or views in which each fixture is put, by folder, or by
// folder and file where one place does not fit all. FIXTURE is the fixture.
var places = map[string]string{
	"attachments": "FIXTURE", // its blocks
	"messages":    "FIXTURE",
	"views":       "FIXTURE",
	"blocks":      `{"blocks":[FIXTURE]}`,
	"rich_text":   `{"blocks":[{"type":"rich_text","elements":[{"type":"rich_text_section","elements":[FIXTURE]}]}]}`,

	"rich_text/rich_text_code_block_basic": `{"blocks":[{"type":"rich_text","elements":[FIXTURE]}]}`,
	"rich_text/rich_text_list_basic":       `{"blocks":[{"type":"rich_text","elements":[FIXTURE]}]}`,
	"rich_text/rich_text_list_ordered":     `{"blocks":[{"type":"rich_text","elements":[FIXTURE]}]}`,
	"rich_text/rich_text_quote_basic":      `{"blocks":[{"type":"rich_text","elements":[FIXTURE]}]}`,
	"rich_text/rich_text_section_basic":    `{"blocks":[{"type":"rich_text","elements":[FIXTURE]}]}`,

	"objects":                                     `{"blocks":[{"type":"section","text":FIXTURE}]}`,
	"objects/confirmation_dialogue_basic":         `{"blocks":[{"type":"actions","elements":[{"type":"button","text":{"type":"plain_text","text":"B"},"confirm":FIXTURE}]}]}`,
	"objects/conversation_filter_basic":           `{"blocks":[{"type":"actions","elements":[{"type":"conversations_select","filter":FIXTURE}]}]}`,
	"objects/dispatch_action_configuration_basic": `{"blocks":[{"type":"input","label":{"type":"plain_text","text":"L"},"element":{"type":"plain_text_input","dispatch_action_config":FIXTURE}}]}`,
	"objects/option_basic":                        `{"blocks":[{"type":"actions","elements":[{"type":"overflow","options":[FIXTURE]}]}]}`,
	"objects/option_group_basic":                  `{"blocks":[{"type":"actions","elements":[{"type":"static_select","option_groups":[FIXTURE]}]}]}`,
	"elements/image_basic":                        `{"blocks":[{"type":"context","elements":[FIXTURE]}]}`,
	"elements/image_slack_file_id":                `{"blocks":[{"type":"context","elements":[FIXTURE]}]}`,
	"elements/image_slack_file_url":               `{"blocks":[{"type":"context","elements":[FIXTURE]}]}`,
	"elements/file_input_basic":                   `{"type":"modal","title":{"type":"plain_text","text":"T"},"submit":{"type":"plain_text","text":"S"},"blocks":[{"type":"input","label":{"type":"plain_text","text":"L"},"element":FIXTURE}]}`,
	"elements/email_input_basic":                  input,
	"elements/number_input_basic":                 input,
	"elements/plaintext_input_basic":              input,
	"elements/url_input_basic":                    input,
	"elements":                                    `{"blocks":[{"type":"actions","elements":[FIXTURE]}]}`,
}

const input = `{"blocks":[{"type":"input","label":{"type":"plain_text","text":"L"},"element":FIXTURE}]}`

// refused are the fixtures that the simulator does not let pass, and why.
var refused = map[string]string{
	"objects/input_parameter_basic": "of workflows, which it cannot check",
	"objects/trigger_basic":         "of workflows, which it cannot check",
	"objects/workflow_basic":        "of workflows, which it cannot check",
	"objects/option_value_at_limit": "150 characters; Slack's own types say 75",

	"elements/multi_select_external": "needs an options endpoint, which it cannot check",
	"elements/rich_text_input_basic": "an element that it cannot check",
	"elements/select_menu_external":  "needs an options endpoint, which it cannot check",
	"elements/url_source_basic":      "of cards, which it cannot check",
	"elements/workflow_button_basic": "of workflows, which it cannot check",

	"messages/webhook_message_basic":  "two blocks have one block_id, which Slack wants to be unique",
	"messages/webhook_message_delete": "two blocks have one block_id, which Slack wants to be unique",

	"blocks/alert_block": "for modals only (block-surfaces.json)",
}

// uncheckable starts the names of blocks that the simulator refuses as a whole.
var uncheckable = []string{"card_", "carousel_", "container_", "context_actions_", "data_", "file_", "plan_", "table_", "task_card_"}

// TestEveryValidFixture puts each fixture where it belongs and wants the limit
// checker to let it pass, or to refuse it for a reason that is written down.
func TestEveryValidFixture(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(fixtures, "*", "*.json"))
	if err != nil || len(files) < 90 {
		t.Fatalf("%d fixtures, %v; want at least 90", len(files), err)
	}
	known := 0
	for _, file := range files {
		folder := filepath.Base(filepath.Dir(file))
		base := strings.TrimSuffix(filepath.Base(file), ".json")
		name := folder + "/" + base
		why, want := refused[name]
		if want {
			known++
		}
		for _, prefix := range uncheckable {
			if folder == "blocks" && strings.HasPrefix(base, prefix) {
				why, want = "a block that it cannot check", true
			}
		}
		place, ok := places[name]
		if !ok {
			place = places[folder]
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		problems := check(t, []byte(strings.ReplaceAll(place, "FIXTURE", string(raw))))
		switch {
		case want && len(problems) == 0:
			t.Errorf("%s: nothing wrong, want it refused: %s", name, why)
		case !want && len(problems) > 0:
			t.Errorf("%s is valid but got %q", name, problems)
		}
	}
	if known != len(refused) {
		t.Errorf("%d of the %d fixtures with a reason exist", known, len(refused))
	}
}

// check returns what is wrong with a view, or with the blocks of a message and
// of its attachments.
func check(t *testing.T, raw []byte) []string {
	t.Helper()
	var o struct {
		Type        string
		Blocks      json.RawMessage
		Attachments []struct{ Blocks json.RawMessage }
	}
	if err := json.NewDecoder(bytes.NewReader(raw)).Decode(&o); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	if o.Type != "" {
		return slacksim.CheckView(raw)
	}
	var problems []string
	if o.Blocks != nil {
		problems = slacksim.CheckBlocks(o.Blocks)
	}
	for _, a := range o.Attachments {
		problems = append(problems, slacksim.CheckBlocks(a.Blocks)...)
	}
	return problems
}
