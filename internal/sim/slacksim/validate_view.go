package slacksim

import (
	"fmt"
	"unicode/utf8"
)

// view checks a modal or a home tab.
func (c *checker) view(at string, v any) {
	o, ok := v.(object)
	if !ok {
		c.fail(at, "must be an object")
		return
	}
	kind, _ := o["type"].(string)
	s := shape{
		"!type":            oneOf("modal", "home"),
		"!blocks":          func(c *checker, at string, v any) { c.blocks(at, v) },
		"private_metadata": textOf(0, maxPrivateMetadata),
		"callback_id":      textOf(0, maxCallbackID),
		"external_id":      textOf(0, maxExternalID),
	}
	switch kind {
	case "modal":
		s["!title"] = plain(maxViewTitle)
		s["submit"] = plain(maxViewTitle)
		s["close"] = plain(maxViewTitle)
		s["clear_on_close"] = boolean
		s["notify_on_close"] = boolean
		s["submit_disabled"] = boolean
	case "home":
	default:
		c.fail(at+"/type", "must be a valid enum value")
		return
	}
	c.surface = kind
	c.object(at, v, s)
	if kind == "modal" && c.inputs > 0 && o["submit"] == nil {
		c.fail(at, "missing required field: submit")
	}
	if c.focused > 1 {
		c.fail(at, "only one element may have focus_on_load")
	}
}

// blocks checks the blocks of the checker's surface.
func (c *checker) blocks(at string, v any) {
	c.blockIDs = map[string]bool{}
	low, high := minViewBlocks, maxViewBlocks
	if c.surface == "message" {
		low, high = 0, maxMessageBlocks
	}
	listOf(low, high, func(c *checker, at string, v any) { c.block(at, v) })(c, at, v)
	if c.markdown > maxMarkdown {
		c.fail(at, "must be less than %d characters of markdown in total", maxMarkdown+1)
	}
}

// block checks one block and its place.
func (c *checker) block(at string, v any) {
	o, ok := v.(object)
	if !ok {
		c.fail(at, "must be an object")
		return
	}
	kind, ok := o["type"].(string)
	if !ok {
		c.fail(at, "missing required field: type")
		return
	}
	allowed := false
	for _, s := range surfacesOf(kind) {
		allowed = allowed || s == c.surface
	}
	if !allowed {
		c.fail(at+"/type", "unsupported type: %s", kind)
		return
	}
	s := blockShape(kind)
	if s == nil {
		c.fail(at+"/type", "block type %s exists, but this simulator cannot check it", kind)
		return
	}
	s["!type"], s["block_id"] = anything, textOf(0, maxBlockID)
	c.object(at, v, s)
	if id, _ := o["block_id"].(string); id != "" {
		if c.blockIDs[id] {
			c.fail(at+"/block_id", "block_id must be unique: %s", id)
		}
		c.blockIDs[id] = true
	}
	c.blockRules(at, kind, o)
}

// blockShape returns the keys of a block type besides type and block_id, nil
// for a type that cannot be checked.
func blockShape(kind string) shape {
	switch kind {
	case "divider":
		return shape{}
	case "header":
		return shape{"!text": plain(maxHeader)}
	case "section":
		return shape{
			"text":      anyText(maxText),
			"fields":    listOf(1, maxSectionFields, anyText(maxSectionField)),
			"accessory": element("section"),
			"expand":    boolean,
		}
	case "context":
		return shape{"!elements": listOf(1, maxContextElements, element("context"))}
	case "actions":
		return shape{"!elements": listOf(1, maxActionsElements, element("actions"))}
	case "input":
		return shape{
			"!label":          plain(maxInputLabel),
			"!element":        element("input"),
			"hint":            plain(maxInputHint),
			"optional":        boolean,
			"dispatch_action": boolean,
		}
	case "image":
		s := imageShape()
		s["title"] = plain(maxImageAlt)
		return s
	case "alert":
		return shape{"!text": anyText(maxAlert), "level": oneOf("default", "info", "warning", "error", "success")}
	case "markdown":
		return shape{"!text": textOf(minMarkdown, maxMarkdown)}
	case "rich_text":
		return shape{"!elements": listOf(1, maxViewBlocks, richText)}
	case "video":
		return shape{
			"!alt_text": textOf(minVideoAlt, maxVideoAlt), "!title": plain(maxVideoTitle),
			"!thumbnail_url": link, "!video_url": link, "title_url": link,
			"author_name": textOf(0, maxVideoAuthor), "description": plain(maxVideoDescription),
			"provider_name": textOf(0, maxVideoProvider), "provider_icon_url": link,
		}
	}
	return nil
}

// blockRules checks what a shape cannot say.
func (c *checker) blockRules(at, kind string, o object) {
	switch kind {
	case "section":
		if o["text"] == nil && o["fields"] == nil {
			c.fail(at, "missing required field: text")
		}
	case "input":
		c.inputs++
	case "image":
		c.imageSource(at, o)
	case "markdown":
		text, _ := o["text"].(string)
		c.markdown += min(utf8.RuneCountInString(text), maxMarkdown) // a longer one has its own problem
	case "actions":
		seen := map[string]bool{}
		items, _ := o["elements"].([]any)
		for i, item := range items {
			e, _ := item.(object)
			id, _ := e["action_id"].(string)
			if id != "" && seen[id] {
				c.fail(fmt.Sprintf("%s/elements/%d/action_id", at, i), "action_id must be unique in its block: %s", id)
			}
			seen[id] = true
		}
	}
}

// richText checks only that an element of a rich_text block is one.
func richText(c *checker, at string, v any) {
	o, _ := v.(object)
	oneOf("rich_text_section", "rich_text_list", "rich_text_preformatted", "rich_text_quote")(c, at+"/type", o["type"])
	if _, ok := o["elements"].([]any); !ok {
		c.fail(at, "missing required field: elements")
	}
}
