package modals

import (
	"fmt"
)

// blocks checks the list of blocks of a view or message.
func (c *checker) blocks(v any, most int) {
	for i, b := range c.items("blocks", v, most) {
		at := fmt.Sprintf("blocks/%d", i)
		c.length(at+"/block_id", b["block_id"], maxID)
		if id, _ := b["block_id"].(string); id != "" {
			if c.ids[id] {
				c.broken(at+"/block_id", "is there twice")
			}
			c.ids[id] = true
		}
		c.block(at, b)
	}
	if c.focus > 1 {
		c.broken("focus_on_load", "is set %d times, at most once", c.focus)
	}
}

// block checks one block. Only the types that this package makes are known;
// another one is a mistake.
func (c *checker) block(at string, b object) {
	switch b["type"] {
	case "header":
		c.plain(at+"/text", b["text"], maxHeader, true)
	case "section":
		c.section(at, b)
	case "context":
		for i, e := range c.items(at+"/elements", b["elements"], maxContext) {
			c.text(fmt.Sprintf("%s/elements/%d", at, i), e, maxText, true)
		}
	case "divider":
	case "alert":
		if c.surface != "modal" {
			c.broken(at, "is an alert outside a modal")
		}
		c.text(at+"/text", b["text"], maxAlert, true)
	case "actions":
		seen := map[any]bool{}
		for i, e := range c.items(at+"/elements", b["elements"], maxActions) {
			if seen[e["action_id"]] {
				c.broken(fmt.Sprintf("%s/elements/%d/action_id", at, i), "is there twice")
			}
			seen[e["action_id"]] = true
			c.element(fmt.Sprintf("%s/elements/%d", at, i), e)
		}
	case "input":
		c.input(at, b)
	default:
		c.broken(at, "has an unknown type")
	}
}

func (c *checker) section(at string, b object) {
	if b["text"] == nil && b["fields"] == nil {
		c.broken(at, "has neither text nor fields")
	}
	c.text(at+"/text", b["text"], maxText, false)
	if b["fields"] != nil {
		for i, f := range c.items(at+"/fields", b["fields"], maxFields) {
			c.text(fmt.Sprintf("%s/fields/%d", at, i), f, maxFieldText, true)
		}
	}
	if a, ok := b["accessory"].(object); ok {
		c.element(at+"/accessory", a)
	}
}

func (c *checker) input(at string, b object) {
	c.inputs++
	if c.surface != "modal" {
		c.broken(at, "is an input outside a modal")
	}
	c.plain(at+"/label", b["label"], maxLabel, true)
	c.plain(at+"/hint", b["hint"], maxLabel, false)
	e, ok := b["element"].(object)
	if !ok {
		c.broken(at+"/element", "is missing")
		return
	}
	if e["type"] == "button" {
		c.broken(at+"/element", "is a button inside an input")
	}
	c.element(at+"/element", e)
}

func (c *checker) element(at string, e object) {
	if id, _ := e["action_id"].(string); id == "" {
		c.broken(at+"/action_id", "is missing")
	}
	c.length(at+"/action_id", e["action_id"], maxID)
	c.plain(at+"/placeholder", e["placeholder"], maxPlaceholder, false)
	c.confirm(at+"/confirm", e["confirm"])
	if e["focus_on_load"] == true {
		c.focus++
	}
	switch e["type"] {
	case "button":
		c.plain(at+"/text", e["text"], maxButtonText, true)
		c.length(at+"/value", e["value"], maxButtonValue)
		c.length(at+"/url", e["url"], maxButtonURL)
	case "plain_text_input":
		for _, name := range []string{"min_length", "max_length"} {
			if n, _ := e[name].(float64); n > maxInputLength {
				c.broken(at+"/"+name, "is %v, at most %d", n, maxInputLength)
			}
		}
	case "static_select":
		c.options(at, e, maxOptions, e["initial_option"])
	case "radio_buttons":
		c.options(at, e, maxChoices, e["initial_option"])
	case "checkboxes":
		initial, _ := e["initial_options"].([]any)
		c.options(at, e, maxChoices, initial...)
	default:
		c.broken(at, "has an unknown type")
	}
}

// options checks the options of an element and that every initial one is among
// them: Slack compares all of an option, not only its value.
func (c *checker) options(at string, e object, most int, initial ...any) {
	values := map[any]string{}
	for i, o := range c.items(at+"/options", e["options"], most) {
		here := fmt.Sprintf("%s/options/%d", at, i)
		limit := c.text
		if e["type"] == "static_select" {
			limit = c.plain
		}
		limit(here+"/text", o["text"], maxOptionText, true)
		limit(here+"/description", o["description"], maxOptionText, false)
		c.length(here+"/value", o["value"], maxOptionValue)
		if _, twice := values[o["value"]]; twice || o["value"] == "" {
			c.broken(here+"/value", "is empty or there twice")
		}
		values[o["value"]] = fmt.Sprint(o)
	}
	for _, in := range initial {
		o, ok := in.(object)
		if ok && values[o["value"]] != fmt.Sprint(o) {
			c.broken(at+"/initial_option", "is not one of the options")
		}
	}
}

func (c *checker) confirm(at string, v any) {
	m, ok := v.(object)
	if !ok {
		return
	}
	c.plain(at+"/title", m["title"], maxConfirmTitle, true)
	c.text(at+"/text", m["text"], maxConfirmText, true)
	c.plain(at+"/confirm", m["confirm"], maxConfirmButton, true)
	c.plain(at+"/deny", m["deny"], maxConfirmButton, false)
}
