package slacksim

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const contracts = "../../../testdata/contracts/slack/"

func readJSON(t *testing.T, path string, into any) {
	t.Helper()
	raw, err := os.ReadFile(contracts + path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// uncheckedBlocks exist in Slack but are refused here, because nobody has
// written down what is right in them.
func uncheckedBlocks() []string {
	return []string{"card", "carousel", "container", "context_actions", "data_table", "data_visualization", "file", "plan", "table", "task_card"}
}

// TestLimitsEqualTheContract compares every number with limits.json.
func TestLimitsEqualTheContract(t *testing.T) {
	var limits object
	readJSON(t, "slackblocks-spec/limits.json", &limits)
	want := map[string]int{}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case object:
			for key, item := range v {
				walk(strings.TrimPrefix(path+"."+key, "."), item)
			}
		case float64:
			kind, _, _ := strings.Cut(path, ".")
			if !slices.Contains(append(uncheckedBlocks(), "feedback_button", "icon_button"), kind) {
				want[path] = int(v)
			}
		}
	}
	walk("", limits)
	got := map[string]int{
		"text.min_length": minText, "text.max_length": maxText, "action_id.max_length": maxActionID, "block_id.max_length": maxBlockID,
		"button.text.max_length": maxButtonText, "button.url.max_length": maxURL, "button.value.max_length": maxButtonValue,
		"button.accessibility_label.max_length": maxAccessibility, "confirmation.title.max_length": maxConfirmTitle,
		"confirmation.text.max_length": maxConfirmText, "confirmation.confirm.max_length": maxConfirmButton,
		"confirmation.deny.max_length": maxConfirmButton, "option.text.max_length": maxOptionText,
		"option.value.max_length": maxOptionValue, "option.description.max_length": maxOptionNote, "option.url.max_length": maxURL,
		"option_group.label.max_length": maxGroupLabel, "option_group.options.min_items": minGroupOptions,
		"option_group.options.max_items": maxGroupOptions, "select.placeholder.max_length": maxPlaceholder,
		"select.options.max_items": maxSelectOptions, "select.option_groups.max_items": maxSelectGroups,
		"overflow.options.min_items": minOverflowOptions, "overflow.options.max_items": maxOverflowOptions,
		"checkboxes.options.min_items": minCheckOptions, "checkboxes.options.max_items": maxCheckOptions,
		"radio_buttons.options.min_items": minCheckOptions, "radio_buttons.options.max_items": maxCheckOptions,
		"file_input.max_files.min": minFiles, "file_input.max_files.max": maxFiles,
		"plain_text_input.max_length.max": maxPlainTextLength, "actions.elements.max_items": maxActionsElements,
		"alert.text.max_length": maxAlert, "context.elements.max_items": maxContextElements, "header.text.max_length": maxHeader,
		"image.image_url.max_length": maxURL, "image.alt_text.max_length": maxImageAlt, "input.label.max_length": maxInputLabel,
		"input.hint.max_length": maxInputHint, "markdown.text.min_length": minMarkdown, "markdown.text.max_length": maxMarkdown,
		"section.text.max_length": maxText, "section.fields.max_items": maxSectionFields, "section.fields.item_max_length": maxSectionField,
		"video.alt_text.min_length": minVideoAlt, "video.alt_text.max_length": maxVideoAlt, "video.title.max_length": maxVideoTitle,
		"video.author_name.max_length": maxVideoAuthor, "video.description.max_length": maxVideoDescription,
		"video.provider_name.max_length": maxVideoProvider, "view.blocks.min_items": minViewBlocks, "view.blocks.max_items": maxViewBlocks,
		"view.private_metadata.max_length": maxPrivateMetadata, "view.callback_id.max_length": maxCallbackID,
		"view.title.max_length": maxViewTitle, "view.close.max_length": maxViewTitle, "view.submit.max_length": maxViewTitle,
	}
	// url_source stands in cards only, which are not checked.
	delete(want, "url_source.url.min_length")
	delete(want, "url_source.url.max_length")
	want["option.value.max_length"] = 75 // @slack/types says 75, the file 150
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("limits (-contract +code):\n%s", diff)
	}
}

func TestSurfacesEqualTheContract(t *testing.T) {
	var file struct {
		Max      map[string]int      `json:"max_blocks"`
		Surfaces map[string][]string `json:"surfaces"`
	}
	readJSON(t, "block-surfaces.json", &file)
	for kind, want := range file.Surfaces {
		if diff := cmp.Diff(want, surfacesOf(kind)); diff != "" {
			t.Errorf("surfaces of %s (-contract +code):\n%s", kind, diff)
		}
		if (blockShape(kind) == nil) != slices.Contains(uncheckedBlocks(), kind) {
			t.Errorf("block type %s: checked %v", kind, blockShape(kind) != nil)
		}
	}
	if surfacesOf("nope") != nil {
		t.Error("an unknown block type has surfaces")
	}
	if diff := cmp.Diff(map[string]int{"message": maxMessageBlocks, "modal": maxViewBlocks, "home": maxViewBlocks}, file.Max); diff != "" {
		t.Errorf("most blocks (-code +contract):\n%s", diff)
	}
}

// TestTiersEqualTheContract compares the tiers with the official SDK's table.
func TestTiersEqualTheContract(t *testing.T) {
	var tiers map[string]string
	readJSON(t, "rate_limit_tiers.json", &tiers)
	perMinute := map[string]int{"Tier1": 1, "Tier2": 20, "Tier3": 50, "Tier4": 100, "SpecialTier_auth_test": 300, "SpecialTier_chat_postMessage": 100}
	w := New(Config{})
	known := 0
	for name, tier := range tiers {
		if _, ok := w.methodOf(name); !ok {
			continue
		}
		known++
		if got, want := tierOf(name), perMinute[tier]; got != want {
			t.Errorf("tier of %s = %d a minute, want %d (%s)", name, got, want, tier)
		}
	}
	if known != 15 {
		t.Errorf("%d methods of the simulator are in the table, want all 15", known)
	}
}

// TestValidFixturesPass runs every fixture that this checker covers.
func TestValidFixturesPass(t *testing.T) {
	wrap := func(block string, raw []byte) []byte {
		switch block {
		case "input":
			return []byte(`[{"type":"input","label":{"type":"plain_text","text":"L"},"element":` + string(raw) + `}]`)
		case "context", "actions":
			return []byte(`[{"type":"` + block + `","elements":[` + string(raw) + `]}]`)
		}
		return []byte(`[{"type":"section","text":{"type":"plain_text","text":"T"},"accessory":` + string(raw) + `}]`)
	}
	skip := map[string]string{
		"file_block_only": "type file", "rich_text_input_basic": "not checked", "workflow_button_basic": "not checked",
		"url_source_basic": "cards only", "multi_select_external": "not checked", "select_menu_external": "not checked",
	}
	passed := 0
	for _, dir := range []string{"blocks", "elements", "views"} {
		paths, err := filepath.Glob(contracts + "slackblocks-spec/fixtures/valid/" + dir + "/*.json")
		if err != nil || len(paths) == 0 {
			t.Fatalf("no fixtures: %v", err)
		}
		for _, path := range paths {
			name := strings.TrimSuffix(filepath.Base(path), ".json")
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var o object
			if err := json.Unmarshal(raw, &o); err != nil {
				t.Fatal(err)
			}
			kind, _ := o["type"].(string)
			if slices.Contains(uncheckedBlocks(), kind) || skip[name] != "" {
				continue
			}
			passed++
			var problems []string
			switch dir {
			case "views":
				problems = CheckView(raw)
			case "blocks":
				for _, surface := range surfacesOf(kind) {
					problems = append(problems, checkOn(surface, []byte("["+string(raw)+"]"))...)
				}
			default:
				for _, block := range []string{"input", "section", "actions", "context"} {
					if slices.Contains(elementsOf(block), kind) {
						problems = append(problems, checkOn("modal", wrap(block, raw))...)
					}
				}
				if emptyState(kind) == nil && kind != "button" && kind != "image" && kind != "overflow" {
					t.Errorf("%s: no block takes a %s", name, kind)
				}
			}
			if len(problems) > 0 {
				t.Errorf("%s is valid but got %q", name, problems)
			}
		}
	}
	if passed < 45 {
		t.Errorf("%d fixtures were checked, want at least 45", passed)
	}
}

func checkOn(surface string, raw []byte) []string {
	c := &checker{surface: surface}
	v, err := decode(raw)
	if err != nil {
		return []string{err.Error()}
	}
	c.blocks("/view/blocks", v)
	return c.problems
}
