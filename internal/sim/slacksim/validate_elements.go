package slacksim

import (
	"encoding/json"
	"net/url"
	"slices"
	"unicode/utf8"
)

// plain wants a plain_text object with a text of minText to high code points.
func plain(high int) check {
	return func(c *checker, at string, v any) {
		c.object(at, v, shape{"!type": oneOf("plain_text"), "!text": textOf(minText, high), "emoji": boolean})
	}
}

// anyText wants a plain_text or mrkdwn object with a text of minText to high
// code points.
func anyText(high int) check {
	return func(c *checker, at string, v any) {
		if o, ok := v.(object); ok && o["type"] == "mrkdwn" {
			c.object(at, v, shape{"!type": anything, "!text": textOf(minText, high), "verbatim": boolean})
			return
		}
		plain(high)(c, at, v)
	}
}

// link wants a URL with a scheme.
func link(c *checker, at string, v any) {
	s, ok := v.(string)
	u, err := url.Parse(s)
	switch {
	case !ok:
		c.fail(at, "must be a string")
	case utf8.RuneCountInString(s) > maxURL:
		c.fail(at, "must be less than %d characters", maxURL+1)
	case err != nil || u.Scheme == "" || u.Host == "" && u.Opaque == "" && u.Path == "":
		c.fail(at, "must be a valid URL")
	}
}

// confirm wants a confirmation dialog.
func confirm(c *checker, at string, v any) {
	c.object(at, v, shape{
		"!title": plain(maxConfirmTitle), "!text": anyText(maxConfirmText),
		"!confirm": plain(maxConfirmButton), "!deny": plain(maxConfirmButton),
		"style": oneOf("primary", "danger"),
	})
}

// option wants an option whose text satisfies text.
func option(text check, note check) check {
	return func(c *checker, at string, v any) {
		c.object(at, v, shape{
			"!text": text, "!value": textOf(0, maxOptionValue), "description": note, "url": link,
		})
	}
}

func plainOption(c *checker, at string, v any) {
	option(plain(maxOptionText), plain(maxOptionNote))(c, at, v)
}

func richOption(c *checker, at string, v any) {
	option(anyText(maxOptionText), anyText(maxOptionNote))(c, at, v)
}

func optionGroup(c *checker, at string, v any) {
	c.object(at, v, shape{
		"!label":   plain(maxGroupLabel),
		"!options": listOf(minGroupOptions, maxGroupOptions, plainOption),
	})
}

// element wants an element that may stand in the given block type.
func element(block string) check {
	return func(c *checker, at string, v any) {
		o, ok := v.(object)
		if !ok {
			c.fail(at, "must be an object")
			return
		}
		kind, _ := o["type"].(string)
		if block == "context" && (kind == "plain_text" || kind == "mrkdwn") {
			anyText(maxText)(c, at, v)
			return
		}
		s := elementShape(kind)
		if s == nil || !slices.Contains(elementsOf(block), kind) || kind == "file_input" && c.surface != "modal" {
			c.fail(at+"/type", "unsupported type: %s", kind)
			return
		}
		s["!type"] = anything
		c.object(at, v, s)
		c.elementRules(at, kind, o)
	}
}

// elementsOf lists the element types that a block may hold.
func elementsOf(block string) []string {
	chosen := []string{
		"checkboxes", "radio_buttons", "static_select", "multi_static_select", "users_select", "multi_users_select",
		"channels_select", "multi_channels_select", "conversations_select", "multi_conversations_select", "datepicker", "timepicker",
	}
	switch block {
	case "context":
		return []string{"image"}
	case "section":
		return append(chosen, "button", "overflow", "image")
	case "actions":
		return append(chosen, "button", "overflow", "datetimepicker")
	case "input":
		return append(chosen, "datetimepicker", "plain_text_input", "number_input", "email_text_input", "url_text_input", "file_input")
	}
	return nil
}

// elementShape returns the keys of an element type besides type, nil for a type
// that does not exist or cannot be checked.
func elementShape(kind string) shape {
	s := shape{"action_id": textOf(0, maxActionID)}
	if kind != "button" && kind != "overflow" {
		s["focus_on_load"] = boolean
	}
	placeholder := plain(maxPlaceholder)
	switch kind {
	case "image":
		return imageShape()
	case "button":
		s["!text"], s["url"], s["value"] = plain(maxButtonText), link, textOf(0, maxButtonValue)
		s["style"], s["confirm"], s["accessibility_label"] = oneOf("primary", "danger"), confirm, textOf(0, maxAccessibility)
	case "checkboxes":
		s["!options"], s["confirm"] = listOf(minCheckOptions, maxCheckOptions, richOption), confirm
		s["initial_options"] = listOf(1, maxCheckOptions, richOption)
	case "radio_buttons":
		s["!options"], s["confirm"], s["initial_option"] = listOf(minCheckOptions, maxCheckOptions, richOption), confirm, richOption
	case "overflow":
		s["!options"], s["confirm"] = listOf(minOverflowOptions, maxOverflowOptions, plainOption), confirm
	case "datepicker":
		s["placeholder"], s["confirm"], s["initial_date"] = placeholder, confirm, textOf(10, 10)
	case "timepicker":
		s["placeholder"], s["confirm"], s["initial_time"], s["timezone"] = placeholder, confirm, textOf(5, 5), textOf(1, 100)
	case "datetimepicker":
		s["confirm"], s["initial_date_time"] = confirm, whole(1_000_000_000, 9_999_999_999)
	case "plain_text_input":
		s["placeholder"], s["initial_value"], s["multiline"] = placeholder, textOf(0, maxPlainTextLength), boolean
		s["min_length"], s["max_length"] = whole(0, maxPlainTextLength), whole(1, maxPlainTextLength)
		s["dispatch_action_config"] = dispatchConfig
	case "email_text_input", "url_text_input":
		s["placeholder"], s["initial_value"], s["dispatch_action_config"] = placeholder, textOf(0, maxText), dispatchConfig
	case "number_input":
		s["!is_decimal_allowed"], s["placeholder"], s["dispatch_action_config"] = boolean, placeholder, dispatchConfig
		s["initial_value"], s["min_value"], s["max_value"] = textOf(0, maxText), textOf(1, maxText), textOf(1, maxText)
	case "file_input":
		s["filetypes"], s["max_files"] = anything, whole(minFiles, maxFiles)
	default:
		return selectShape(kind, s)
	}
	return s
}

// selectShape adds the keys of a select menu, nil for a type that is none.
func selectShape(kind string, s shape) shape {
	s["placeholder"], s["confirm"] = plain(maxPlaceholder), confirm
	switch kind {
	case "static_select", "multi_static_select":
		s["options"] = listOf(1, maxSelectOptions, plainOption)
		s["option_groups"] = listOf(1, maxSelectGroups, optionGroup)
		if kind == "static_select" {
			s["initial_option"] = plainOption
		} else {
			s["initial_options"], s["max_selected_items"] = listOf(1, maxSelectOptions, plainOption), whole(1, maxSelectOptions)
		}
	case "users_select":
		s["initial_user"] = textOf(1, 30)
	case "channels_select":
		s["initial_channel"], s["response_url_enabled"] = textOf(1, 30), boolean
	case "conversations_select":
		s["initial_conversation"], s["response_url_enabled"] = textOf(1, 30), boolean
		s["filter"], s["default_to_current_conversation"] = anything, boolean
	case "multi_users_select":
		s["initial_users"], s["max_selected_items"] = anything, whole(1, 1000)
	case "multi_channels_select":
		s["initial_channels"], s["max_selected_items"] = anything, whole(1, 1000)
	case "multi_conversations_select":
		s["initial_conversations"], s["max_selected_items"] = anything, whole(1, 1000)
		s["filter"], s["default_to_current_conversation"] = anything, boolean
	default:
		return nil
	}
	return s
}

func imageShape() shape {
	return shape{"!alt_text": textOf(0, maxImageAlt), "image_url": link, "slack_file": anything}
}

func (c *checker) imageSource(at string, o object) {
	if (o["image_url"] == nil) == (o["slack_file"] == nil) {
		c.fail(at, "must have exactly one of image_url and slack_file")
	}
}

func dispatchConfig(c *checker, at string, v any) {
	c.object(at, v, shape{"!trigger_actions_on": listOf(1, 2, oneOf("on_enter_pressed", "on_character_entered"))})
}

// elementRules checks what a shape cannot say.
func (c *checker) elementRules(at, kind string, o object) {
	if o["focus_on_load"] == true {
		c.focused++
	}
	switch kind {
	case "image":
		c.imageSource(at, o)
	case "static_select", "multi_static_select":
		if (o["options"] == nil) == (o["option_groups"] == nil) {
			c.fail(at, "must have exactly one of options and option_groups")
		}
		fallthrough
	case "checkboxes", "radio_buttons":
		c.initialOptions(at, o)
	case "plain_text_input":
		low, _ := o["min_length"].(json.Number)
		high, _ := o["max_length"].(json.Number)
		if exceeds(low, high) {
			c.fail(at+"/min_length", "must be less than or equal to max_length")
		}
	case "number_input":
		low, _ := o["min_value"].(string)
		high, _ := o["max_value"].(string)
		if exceeds(json.Number(low), json.Number(high)) {
			c.fail(at+"/min_value", "must be less than or equal to max_value")
		}
	}
}

// exceeds reports whether both are numbers and low is the greater one.
func exceeds(low, high json.Number) bool {
	l, err1 := low.Float64()
	h, err2 := high.Float64()
	return err1 == nil && err2 == nil && l > h
}

// initialOptions wants each initial option to be one of the options.
func (c *checker) initialOptions(at string, o object) {
	known := optionValues(o)
	initial, _ := o["initial_options"].([]any)
	if one := o["initial_option"]; one != nil {
		initial = append(initial, one)
	}
	for _, item := range initial {
		opt, _ := item.(object)
		if value, _ := opt["value"].(string); !slices.Contains(known, value) {
			c.fail(at, "initial option must be one of the options")
		}
	}
}

// optionValues returns the values of an element's options, groups included.
func optionValues(o object) []string {
	var values []string
	for _, opt := range optionsOf(o) {
		value, _ := opt["value"].(string)
		values = append(values, value)
	}
	return values
}

// optionsOf returns an element's options, groups included, in order.
func optionsOf(o object) []object {
	var options []object
	items, _ := o["options"].([]any)
	groups, _ := o["option_groups"].([]any)
	for _, g := range groups {
		group, _ := g.(object)
		more, _ := group["options"].([]any)
		items = append(slices.Clone(items), more...)
	}
	for _, item := range items {
		if opt, ok := item.(object); ok {
			options = append(options, opt)
		}
	}
	return options
}
