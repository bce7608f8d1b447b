package modals

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/slack-go/slack"
)

// Slack's limits, in characters (code points) or elements. They follow
// slackblocks-spec/limits.json and block-surfaces.json in
// testdata/contracts/slack; a test compares them.
const (
	maxModalBlocks   = 100
	maxMessageBlocks = 50
	maxMetadata      = 3000
	maxTitle         = 24  // also submit and close
	maxID            = 255 // callback_id, external_id, block_id, action_id
	maxText          = 3000
	maxFields        = 10
	maxFieldText     = 2000
	maxHeader        = 150
	maxContext       = 10
	maxActions       = 25
	maxAlert         = 200
	maxLabel         = 2000 // input label and hint
	maxPlaceholder   = 150
	maxInputLength   = 3000
	maxButtonText    = 75
	maxButtonValue   = 2000
	maxButtonURL     = 3000
	maxConfirmTitle  = 100
	maxConfirmText   = 300
	maxConfirmButton = 30
	maxOptionText    = 75
	maxOptionValue   = 75 // limits.json says 150, @slack/types 3.2.0 says 75
	maxChoices       = 10 // checkboxes and radio buttons
	maxOptions       = 100

	// Facts of chat.update and views.open; they are not in the two files.
	maxMessageText = 4000
	maxViewBytes   = 250_000
)

// Check returns an error that lists every limit of Slack's that the view
// breaks, or nil. Slack answers some of them with an error and others, in the
// reply to a submission, with nothing but "trouble connecting" on the screen;
// so every view is checked before it is sent. The error names places, never
// texts.
func Check(v slack.ModalViewRequest) error {
	c := &checker{surface: "modal", ids: map[string]bool{}}
	raw, m := c.decode(v)
	if len(raw) > maxViewBytes {
		c.broken("view", "is %d bytes, at most %d", len(raw), maxViewBytes)
	}
	if m["type"] != "modal" {
		c.broken("type", "is not modal")
	}
	for _, name := range []string{"title", "submit", "close"} {
		c.plain(name, m[name], maxTitle, name == "title")
	}
	c.length("private_metadata", m["private_metadata"], maxMetadata)
	c.length("callback_id", m["callback_id"], maxID)
	c.length("external_id", m["external_id"], maxID)
	c.blocks(m["blocks"], maxModalBlocks)
	if c.inputs > 0 && m["submit"] == nil {
		c.broken("submit", "is missing, and there are inputs")
	}
	return errors.Join(c.errs...)
}

// CheckMessage is [Check] for a message. The text must not be empty: it is
// what notifications show.
func CheckMessage(m Message) error {
	c := &checker{surface: "message", ids: map[string]bool{}}
	if n := utf8.RuneCountInString(m.Text); n == 0 || n > maxMessageText {
		c.broken("text", "has %d characters, 1 to %d", n, maxMessageText)
	}
	_, decoded := c.decode(struct {
		Blocks slack.Blocks `json:"blocks"`
	}{slack.Blocks{BlockSet: m.Blocks}})
	c.blocks(decoded["blocks"], maxMessageBlocks)
	return errors.Join(c.errs...)
}

// A checker walks over JSON as it would be sent.
type checker struct {
	surface string
	ids     map[string]bool // block IDs seen
	inputs  int
	focus   int
	errs    []error
}

type object = map[string]any

func (c *checker) decode(v any) ([]byte, object) {
	raw, err := json.Marshal(v)
	if err != nil {
		c.broken("view", "cannot be encoded")
		return nil, object{}
	}
	var m object
	if err := json.Unmarshal(raw, &m); err != nil {
		c.broken("view", "is not an object")
	}
	return raw, m
}

func (c *checker) broken(at, format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("%s %s", at, fmt.Sprintf(format, args...)))
}

// length checks text that may be absent.
func (c *checker) length(at string, v any, limit int) {
	s, _ := v.(string)
	if n := utf8.RuneCountInString(s); n > limit {
		c.broken(at, "has %d characters, at most %d", n, limit)
	}
}

// plain checks a plain_text object.
func (c *checker) plain(at string, v any, limit int, needed bool) {
	if m, ok := v.(object); ok && m["type"] != "plain_text" {
		c.broken(at, "is not plain_text")
	}
	c.text(at, v, limit, needed)
}

// text checks a text object of either type.
func (c *checker) text(at string, v any, limit int, needed bool) {
	m, ok := v.(object)
	if !ok {
		if needed {
			c.broken(at, "is missing")
		}
		return
	}
	if m["type"] != "plain_text" && m["type"] != "mrkdwn" {
		c.broken(at, "has an unknown type of text")
	}
	if s, _ := m["text"].(string); s == "" {
		c.broken(at, "is empty")
	}
	c.length(at, m["text"], limit)
}

// items checks that a list has 1 to most elements and returns them.
func (c *checker) items(at string, v any, most int) []object {
	all, _ := v.([]any)
	if len(all) < 1 || len(all) > most {
		c.broken(at, "has %d elements, 1 to %d", len(all), most)
	}
	found := make([]object, 0, len(all))
	for _, e := range all {
		m, ok := e.(object)
		if !ok {
			c.broken(at, "holds something that is no object")
			continue
		}
		found = append(found, m)
	}
	return found
}
