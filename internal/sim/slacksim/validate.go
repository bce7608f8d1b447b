package slacksim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// An object is a decoded JSON object.
type object = map[string]any

// CheckView returns what Slack would say is wrong with a view (modal or home),
// nil if nothing is. Each text has the form of response_metadata.messages:
// "[ERROR] must be less than 25 characters [json-pointer:/view/title/text]".
func CheckView(raw []byte) []string {
	v, err := decode(raw)
	if err != nil {
		return []string{"[ERROR] must be valid JSON [json-pointer:/view]"}
	}
	c := &checker{}
	c.view("/view", v)
	return c.problems
}

// CheckBlocks returns what Slack would say is wrong with the blocks of a
// message (a JSON array), nil if nothing is. The pointers start with /blocks.
func CheckBlocks(raw []byte) []string {
	v, err := decode(raw)
	if err != nil {
		return []string{"[ERROR] must be valid JSON [json-pointer:/blocks]"}
	}
	c := &checker{surface: "message"}
	c.blocks("/blocks", v)
	return c.problems
}

// decode reads one JSON value and keeps numbers as they were written.
func decode(raw []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if d.More() {
		return nil, fmt.Errorf("more than one JSON value")
	}
	return v, nil
}

// A checker collects what is wrong with one view or one message.
type checker struct {
	surface  string // modal, home or message
	problems []string
	blockIDs map[string]bool
	inputs   int // input blocks seen
	focused  int // elements with focus_on_load
	markdown int // characters in markdown blocks
}

func (c *checker) fail(at, format string, args ...any) {
	c.problems = append(c.problems, "[ERROR] "+fmt.Sprintf(format, args...)+" [json-pointer:"+at+"]")
}

// A check looks at one value, which stands at a JSON pointer.
type check func(c *checker, at string, v any)

// A shape is the set of keys that an object may have. A key that starts with
// "!" must be there.
type shape map[string]check

// object wants an object of shape s.
func (c *checker) object(at string, v any, s shape) {
	o, ok := v.(object)
	if !ok {
		c.fail(at, "must be an object")
		return
	}
	for _, key := range sortedKeys(s) {
		name, required := strings.CutPrefix(key, "!")
		value, found := o[name]
		switch {
		case found:
			s[key](c, at+"/"+name, value)
		case required:
			c.fail(at, "missing required field: %s", name)
		}
	}
	for _, key := range sortedKeys(o) {
		if s[key] == nil && s["!"+key] == nil {
			c.fail(at, "invalid additional property: %s", key)
		}
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// textOf wants a string of low to high code points.
func textOf(low, high int) check {
	return func(c *checker, at string, v any) {
		s, ok := v.(string)
		if !ok {
			c.fail(at, "must be a string")
			return
		}
		n := utf8.RuneCountInString(s)
		if n < low {
			c.fail(at, "must be more than %d characters", low-1)
		}
		if n > high {
			c.fail(at, "must be less than %d characters", high+1)
		}
	}
}

// boolean wants true or false.
func boolean(c *checker, at string, v any) {
	if _, ok := v.(bool); !ok {
		c.fail(at, "must be a boolean")
	}
}

// whole wants an integer from low to high.
func whole(low, high int64) check {
	return func(c *checker, at string, v any) {
		n, ok := v.(json.Number)
		i, err := n.Int64()
		switch {
		case !ok || err != nil:
			c.fail(at, "must be an integer")
		case i < low:
			c.fail(at, "must be greater than or equal to %d", low)
		case i > high:
			c.fail(at, "must be less than or equal to %d", high)
		}
	}
}

// oneOf wants one of the given strings.
func oneOf(values ...string) check {
	return func(c *checker, at string, v any) {
		if s, _ := v.(string); !slices.Contains(values, s) {
			c.fail(at, "must be a valid enum value")
		}
	}
}

// listOf wants an array of low to high items that each satisfy f.
func listOf(low, high int, f check) check {
	return func(c *checker, at string, v any) {
		items, ok := v.([]any)
		if !ok {
			c.fail(at, "must be an array")
			return
		}
		if len(items) < low {
			c.fail(at, "must provide at least %d items", low)
		}
		if len(items) > high {
			c.fail(at, "no more than %d items allowed", high)
		}
		for i, item := range items {
			f(c, fmt.Sprintf("%s/%d", at, i), item)
		}
	}
}

// anything leaves a value unchecked.
func anything(*checker, string, any) {}
