package slacksim

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

func long(n int) string { return strings.Repeat("x", n) }

func plainText(s string) object { return object{"type": "plain_text", "text": s} }

func many(n int, item any) []any {
	list := make([]any, n)
	for i := range list {
		list[i] = item
	}
	return list
}

func opt(s string) object { return object{"text": plainText(s), "value": s} }

// with returns a copy of o with other values.
func with(o object, pairs ...any) object {
	c := object{}
	maps.Copy(c, o)
	for i := 0; i < len(pairs); i += 2 {
		key, _ := pairs[i].(string)
		c[key] = pairs[i+1]
	}
	return c
}

// invalidBlocks builds the described cases of
// slackblocks-spec/fixtures/invalid/manifest.json, by id.
func invalidBlocks() map[string]object {
	section := func(accessory object) object {
		return object{"type": "section", "text": plainText("x"), "accessory": accessory}
	}
	input := func(e object) object { return object{"type": "input", "label": plainText("L"), "element": e} }
	button := object{"type": "button", "text": plainText("B")}
	confirm := object{"title": plainText("T"), "text": plainText("T"), "confirm": plainText("Y"), "deny": plainText("N")}
	asks := func(key string, n int) object {
		return section(with(button, "confirm", with(confirm, key, plainText(long(n)))))
	}
	choose := func(kind string, pairs ...any) object { return input(with(object{"type": kind}, pairs...)) }
	video := object{
		"type": "video", "alt_text": "a", "title": plainText("T"), "thumbnail_url": "https://x.test/a.png", "video_url": "https://x.test/v",
	}
	image := object{"type": "image", "image_url": "https://x.test/a.png", "alt_text": "a"}
	url := "https://x.test/"
	return map[string]object{
		"text-empty":                            {"type": "section", "text": plainText("")},
		"text-too-long":                         {"type": "section", "text": plainText(long(3001))},
		"button-action-id-too-long":             section(with(button, "action_id", long(256))),
		"button-text-too-long":                  section(with(button, "text", plainText(long(76)))),
		"button-url-too-long":                   section(with(button, "url", url+long(3000))),
		"button-value-too-long":                 section(with(button, "value", long(2001))),
		"confirmation-title-too-long":           asks("title", 101),
		"confirmation-text-too-long":            asks("text", 301),
		"confirmation-confirm-too-long":         asks("confirm", 31),
		"confirmation-deny-too-long":            asks("deny", 31),
		"option-text-too-long":                  choose("static_select", "options", []any{with(opt("a"), "text", plainText(long(76)))}),
		"option-value-too-long":                 choose("static_select", "options", []any{with(opt("a"), "value", long(76))}),
		"option-url-too-long":                   section(object{"type": "overflow", "options": []any{with(opt("a"), "url", url+strings.Repeat("😀", 3000))}}),
		"option-description-too-long":           choose("static_select", "options", []any{with(opt("a"), "description", plainText(long(76)))}),
		"option-group-label-too-long":           choose("static_select", "option_groups", []any{object{"label": plainText(long(76)), "options": []any{opt("a")}}}),
		"option-group-empty":                    choose("static_select", "option_groups", []any{object{"label": plainText("L"), "options": []any{}}}),
		"option-group-too-many-options":         choose("static_select", "option_groups", []any{object{"label": plainText("L"), "options": many(101, opt("a"))}}),
		"select-placeholder-too-long":           choose("static_select", "options", []any{opt("a")}, "placeholder", plainText(long(151))),
		"select-too-many-options":               choose("static_select", "options", many(101, opt("a"))),
		"select-too-many-option-groups":         choose("static_select", "option_groups", many(101, object{"label": plainText("L"), "options": []any{opt("a")}})),
		"overflow-empty":                        section(object{"type": "overflow", "options": []any{}}),
		"overflow-too-many-options":             section(object{"type": "overflow", "options": many(6, opt("a"))}),
		"checkboxes-empty":                      choose("checkboxes", "options", []any{}),
		"checkboxes-too-many-options":           choose("checkboxes", "options", many(11, opt("a"))),
		"radio-buttons-empty":                   choose("radio_buttons", "options", []any{}),
		"radio-buttons-too-many-options":        choose("radio_buttons", "options", many(11, opt("a"))),
		"file-input-max-files-too-small":        choose("file_input", "max_files", 0),
		"file-input-max-files-too-large":        choose("file_input", "max_files", 11),
		"plain-text-input-max-length-too-large": choose("plain_text_input", "max_length", 3001),
		"actions-too-many-elements":             {"type": "actions", "elements": many(26, button)},
		"context-too-many-elements":             {"type": "context", "elements": many(11, plainText("x"))},
		"header-text-too-long":                  {"type": "header", "text": plainText(long(151))},
		"image-url-too-long":                    with(image, "image_url", url+long(3000)),
		"image-alt-text-too-long":               with(image, "alt_text", long(2001)),
		"input-label-too-long":                  with(choose("plain_text_input"), "label", plainText(long(2001))),
		"input-hint-too-long":                   with(choose("plain_text_input"), "hint", plainText(long(2001))),
		"markdown-empty":                        {"type": "markdown", "text": ""},
		"markdown-too-long":                     {"type": "markdown", "text": long(12001)},
		"section-text-too-long":                 {"type": "section", "text": object{"type": "mrkdwn", "text": long(3001)}},
		"section-too-many-fields":               {"type": "section", "fields": many(11, plainText("x"))},
		"section-field-too-long":                {"type": "section", "fields": []any{plainText(long(2001))}},
		"video-alt-text-empty":                  with(video, "alt_text", ""),
		"video-alt-text-too-long":               with(video, "alt_text", long(201)),
		"video-title-too-long":                  with(video, "title", plainText(long(201))),
		"video-author-name-too-long":            with(video, "author_name", long(51)),
		"video-description-too-long":            with(video, "description", plainText(long(201))),
		"video-provider-name-too-long":          with(video, "provider_name", long(51)),
		"section-missing-content":               {"type": "section"},
		"static-select-options-and-groups":      choose("static_select", "options", []any{opt("a")}, "option_groups", []any{object{"label": plainText("L"), "options": []any{opt("a")}}}),
		"image-url-and-slack-file":              section(with(image, "slack_file", object{"id": "F1"})),
		"number-input-inverted-range":           choose("number_input", "is_decimal_allowed", false, "min_value", "10", "max_value", "2"),
		"context-invalid-element":               {"type": "context", "elements": []any{button}},
		"input-invalid-element":                 input(button),
		"block-id-too-long":                     {"type": "divider", "block_id": long(256)},
		"button-accessibility-label-too-long":   section(with(button, "accessibility_label", long(76))),
		"alert-text-too-long":                   {"type": "alert", "text": plainText(long(201))},
	}
}

// invalidViews builds the described cases that concern views, by id, and some
// of our own.
func invalidViews() map[string]object {
	view := object{"type": "modal", "title": plainText("T"), "submit": plainText("S"), "blocks": []any{object{"type": "divider"}}}
	input := object{"type": "input", "label": plainText("L"), "element": object{"type": "plain_text_input", "focus_on_load": true}}
	noSubmit := with(view, "blocks", []any{input})
	delete(noSubmit, "submit")
	noTitle := with(view)
	delete(noTitle, "title")
	blocks := func(b ...any) object { return with(view, "blocks", b) }
	return map[string]object{
		"view-missing-blocks":            with(view, "blocks", []any{}),
		"view-too-many-blocks":           with(view, "blocks", many(101, object{"type": "divider"})),
		"view-private-metadata-too-long": with(view, "private_metadata", long(3001)),
		"view-callback-id-too-long":      with(view, "callback_id", long(256)),
		"view-title-too-long":            with(view, "title", plainText(long(25))),
		"view-close-too-long":            with(view, "close", plainText(long(25))),
		"view-submit-too-long":           with(view, "submit", plainText(long(25))),

		"ours: external_id too long":      with(view, "external_id", long(256)),
		"ours: mrkdwn title":              with(view, "title", object{"type": "mrkdwn", "text": "T"}),
		"ours: no title":                  noTitle,
		"ours: input without submit":      noSubmit,
		"ours: two focused":               blocks(input, input),
		"ours: unknown key":               with(view, "titel", plainText("T")),
		"ours: unknown type":              with(view, "type", "dialog"),
		"ours: title in a home tab":       with(view, "type", "home"),
		"ours: message block in a modal":  blocks(object{"type": "markdown", "text": "x"}),
		"ours: unknown block":             blocks(object{"type": "password"}),
		"ours: unchecked block":           blocks(object{"type": "card"}),
		"ours: same block_id twice":       blocks(object{"type": "divider", "block_id": "a"}, object{"type": "divider", "block_id": "a"}),
		"ours: same action_id twice":      blocks(object{"type": "actions", "elements": many(2, object{"type": "button", "action_id": "a", "text": plainText("B")})}),
		"ours: masked input":              blocks(with(input, "element", object{"type": "plain_text_input", "masked": true})),
		"ours: password element":          blocks(with(input, "element", object{"type": "password_input"})),
		"ours: emoji on mrkdwn":           blocks(object{"type": "section", "text": object{"type": "mrkdwn", "text": "x", "emoji": false}}),
		"ours: relative URL":              blocks(object{"type": "actions", "elements": []any{object{"type": "button", "text": plainText("B"), "url": "/x"}}}),
		"ours: initial option not there":  blocks(with(input, "element", object{"type": "static_select", "options": []any{opt("a")}, "initial_option": opt("b")})),
		"ours: min above max":             blocks(with(input, "element", object{"type": "plain_text_input", "min_length": 5, "max_length": 4})),
		"ours: number where text belongs": with(view, "callback_id", 7),
		"ours: block is a string":         blocks("divider"),
		"ours: block without a type":      blocks(object{"text": plainText("x")}),
		"ours: alert level":               blocks(object{"type": "alert", "text": plainText("x"), "level": "fatal"}),
	}
}

// TestInvalidFixturesFail builds every described case but those of block types
// that are refused as a whole.
func TestInvalidFixturesFail(t *testing.T) {
	var manifest struct {
		Cases []struct{ ID, Constraint string } `json:"cases"`
	}
	readJSON(t, "slackblocks-spec/fixtures/invalid/manifest.json", &manifest)
	blocks, views := invalidBlocks(), invalidViews()
	built := 0
	for _, c := range manifest.Cases {
		kind, _, _ := strings.Cut(c.Constraint, ".")
		if slices.Contains(append(uncheckedBlocks(), "feedback_button", "icon_button", "url_source"), kind) {
			continue
		}
		if blocks[c.ID] == nil && views[c.ID] == nil {
			t.Errorf("case %s (%s) is not built", c.ID, c.Constraint)
			continue
		}
		built++
	}
	if built != 63 {
		t.Errorf("%d described cases are built, want 63", built)
	}
	for id, block := range blocks {
		kind, _ := block["type"].(string)
		raw, err := json.Marshal([]any{block})
		if err != nil {
			t.Fatal(err)
		}
		got := checkOn(surfacesOf(kind)[0], raw)
		if len(got) != 1 {
			t.Errorf("%s: problems = %q, want exactly one", id, got)
		}
	}
	for id, view := range views {
		raw, err := json.Marshal(view)
		if err != nil {
			t.Fatal(err)
		}
		if got := CheckView(raw); len(got) == 0 {
			t.Errorf("%s: no problem found in %.200s", id, raw)
		}
	}
}

func TestMarkdownIsCounted(t *testing.T) {
	raw, err := json.Marshal(many(2, object{"type": "markdown", "text": long(6001)}))
	if err != nil {
		t.Fatal(err)
	}
	if got := CheckBlocks(raw); len(got) != 1 || !strings.Contains(got[0], "12001 characters of markdown in total") {
		t.Errorf("problems = %q, want the total", got)
	}
}

func TestMessagesNameThePlace(t *testing.T) {
	raw := []byte(`{"type":"modal","title":{"type":"plain_text","text":"T"},"blocks":[{"type":"divider"},
		{"type":"section","text":{"type":"mrkdwn","text":"x"},"accessory":{"type":"static_select","options":[]}}]}`)
	want := "[ERROR] must provide at least 1 items [json-pointer:/view/blocks/1/accessory/options]"
	if got := CheckView(raw); len(got) != 1 || got[0] != want {
		t.Errorf("problems = %q, want %q", got, want)
	}
	for _, bad := range []string{"", "{", "[]", "{} {}", "null"} {
		if got := CheckView([]byte(bad)); len(got) == 0 {
			t.Errorf("CheckView(%q) = nothing wrong", bad)
		}
		if got := CheckBlocks([]byte(bad)); len(got) == 0 && bad != "[]" {
			t.Errorf("CheckBlocks(%q) = nothing wrong", bad)
		}
	}
}
