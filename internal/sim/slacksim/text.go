package slacksim

import (
	"fmt"
	"html"
	"regexp"
	"slices"
	"strings"
)

// textIn returns the text of a text object.
func textIn(v any) string {
	o, _ := v.(object)
	s, _ := o["text"].(string)
	return s
}

// mrkdwn returns what a client shows for <…> sequences and entities; * _ ~ and
// :emoji: stay as they are. A date shows its fallback.
func (w *Workspace) mrkdwn(s string) string {
	s = regexp.MustCompile(`<([^<>]+)>`).ReplaceAllStringFunc(s, func(m string) string {
		body, label, labelled := strings.Cut(m[1:len(m)-1], "|")
		switch {
		case strings.HasPrefix(body, "@") && w.users[body[1:]] != nil:
			return "@" + w.users[body[1:]].Name
		case strings.HasPrefix(body, "#") && w.channels[body[1:]] != nil:
			return "#" + w.channels[body[1:]].Name
		case labelled:
			return label
		case strings.HasPrefix(body, "!subteam^"):
			for _, g := range w.groups {
				if g.ID == strings.TrimPrefix(body, "!subteam^") {
					return "@" + g.Handle
				}
			}
		}
		return strings.Replace(body, "!", "@", 1)
	})
	return html.UnescapeString(s)
}

// shown returns the text of a text object as a client shows it.
func (w *Workspace) shown(v any) string {
	o, _ := v.(object)
	if o["type"] == "mrkdwn" {
		return w.mrkdwn(textIn(v))
	}
	return textIn(v)
}

// visibleView returns what a person reads in a view; w.mu is held.
func (w *Workspace) visibleView(v *view) string {
	var lines []string
	if title := textIn(v.body["title"]); title != "" {
		lines = append(lines, "== "+title+" ==")
	}
	if v.trouble != "" {
		lines = append(lines, "(!) "+v.trouble)
	}
	blocks, _ := v.body["blocks"].([]any)
	lines = append(lines, w.visibleBlocks(blocks, v.state, v.errors))
	var foot []string
	for _, key := range []string{"close", "submit"} {
		if text := textIn(v.body[key]); text != "" {
			foot = append(foot, "["+text+"]")
		}
	}
	if len(foot) > 0 {
		lines = append(lines, strings.Join(foot, " "))
	}
	return strings.Join(lines, "\n")
}

// visibleBlocks returns what a person reads in blocks, one line or more each.
func (w *Workspace) visibleBlocks(blocks []any, state map[string]map[string]object, errors map[string]string) string {
	var lines []string
	for _, item := range blocks {
		b, _ := item.(object)
		id, _ := b["block_id"].(string)
		lines = append(lines, w.visibleBlock(b, state[id], errors[id])...)
	}
	return strings.Join(lines, "\n")
}

func (w *Workspace) visibleBlock(b object, state map[string]object, problem string) (lines []string) {
	switch b["type"] {
	case "divider":
		return []string{"---"}
	case "header":
		return []string{"# " + textIn(b["text"])}
	case "alert":
		level, _ := b["level"].(string)
		return []string{"(" + level + ") " + w.shown(b["text"])}
	case "section":
		if text := w.shown(b["text"]); text != "" {
			lines = append(lines, text)
		}
		fields, _ := b["fields"].([]any)
		for _, f := range fields {
			lines = append(lines, w.shown(f))
		}
		if e, ok := b["accessory"].(object); ok {
			lines = append(lines, w.visibleElement(e, state))
		}
		return lines
	case "context", "actions":
		elements, _ := b["elements"].([]any)
		for _, e := range elements {
			o, _ := e.(object)
			lines = append(lines, w.visibleElement(o, state))
		}
		return []string{strings.Join(lines, " ")}
	case "input":
		e, _ := b["element"].(object)
		lines = []string{textIn(b["label"]) + ": " + w.visibleElement(e, state)}
		if hint := textIn(b["hint"]); hint != "" {
			lines = append(lines, "  "+hint)
		}
		if problem != "" {
			lines = append(lines, "  ! "+problem)
		}
		return lines
	case "markdown":
		return []string{fmt.Sprint(b["text"])}
	case "image", "video":
		return []string{fmt.Sprintf("(picture: %v)", b["alt_text"])}
	case "rich_text":
		return []string{w.richText(b)}
	}
	return []string{fmt.Sprintf("(cannot show a block of type %v)", b["type"])}
}

// visibleElement returns what a person reads of one element.
func (w *Workspace) visibleElement(e object, state map[string]object) string {
	kind, _ := e["type"].(string)
	action, _ := e["action_id"].(string)
	text, values := chosen(state[action])
	switch kind {
	case "plain_text", "mrkdwn":
		return w.shown(e)
	case "image":
		return fmt.Sprintf("(picture: %v)", e["alt_text"])
	case "button":
		return "[" + textIn(e["text"]) + "]"
	}
	if hasValue(kind) {
		return "_" + text + "_"
	}
	var parts []string
	for _, o := range optionsOf(e) {
		value, _ := o["value"].(string)
		mark := "( ) "
		if slices.Contains(values, value) {
			mark = "(x) "
		}
		line := mark + w.shown(o["text"])
		if note := w.shown(o["description"]); note != "" {
			line += " - " + note
		}
		parts = append(parts, line)
	}
	if len(parts) == 0 {
		parts = values
	}
	return strings.Join(parts, " ")
}

// richText joins the texts in a rich_text block.
func (w *Workspace) richText(o object) string {
	switch o["type"] {
	case "text", "link":
		if s, ok := o["text"].(string); ok {
			return s
		}
		return fmt.Sprint(o["url"])
	case "user":
		return w.mrkdwn(fmt.Sprintf("<@%v>", o["user_id"]))
	case "emoji":
		return fmt.Sprintf(":%v:", o["name"])
	}
	elements, _ := o["elements"].([]any)
	var parts []string
	for _, item := range elements {
		e, _ := item.(object)
		parts = append(parts, w.richText(e))
	}
	if o["type"] == "rich_text_section" {
		return strings.Join(parts, "")
	}
	return strings.Join(parts, "\n")
}
