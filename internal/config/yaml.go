package config

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

const (
	maxFileBytes = 128 << 10 // the parser's time grows with the square of the size
	maxDepth     = 20        // brackets in brackets; the settings need 5
)

// parse returns the file's one document, or false if it cannot be read at all:
// then the problems say why. It never panics, whatever data holds.
func (r *reader) parse(data []byte) (root place, ok bool) {
	defer func() {
		if recover() != nil { // the value may quote the file
			r.add(1, "", "cannot be read as YAML", "compare it with bot.example.yml")
			ok = false
		}
	}()
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if len(data) > maxFileBytes {
		r.add(1, "", fmt.Sprintf("is larger than %d KiB", maxFileBytes>>10), "name the file that holds the bot's settings")
		return place{}, false
	}
	if at := invalidUTF8(data); at >= 0 {
		r.add(1+bytes.Count(data[:at], []byte("\n")), "", "is not text in UTF-8", "save the file as UTF-8")
		return place{}, false
	}
	tokens := lexer.Tokenize(string(data))
	if !r.plain(tokens) {
		return place{}, false
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey()) // duplicates are reported with all else
	if err != nil {
		line, what := 1, "is not YAML"
		if e, found := errors.AsType[*yaml.SyntaxError](err); found { // its Error() would quote the file
			line = lineOf(e.Token)
			if !strings.Contains(e.Message, `"`) { // nor may the message
				what += " (" + e.Message + ")"
			}
		}
		r.add(line, "", what, "correct this line or the one above it; text with : # @ or * in it needs quotes")
		return place{}, false
	}
	return r.document(file)
}

// plain reports whether tokens use only the YAML that settings need: no
// anchors, aliases, merges or tags, and no deep nesting, which is how a small
// file becomes a large one.
func (r *reader) plain(tokens token.Tokens) bool {
	depth, entries, found := 0, 0, len(r.problems)
	for _, t := range tokens {
		if t.Type != token.SequenceEntryType {
			entries = 0
		}
		switch t.Type { //nolint:exhaustive // all other tokens are welcome
		case token.AnchorType, token.AliasType, token.MergeKeyType, token.TagType, token.DirectiveType, token.MappingKeyType:
			r.add(lineOf(t), "", "uses a YAML anchor, alias, merge, tag or complex key", "write the value out; a text that starts with & * ! % or ? needs quotes")
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		case token.SequenceEntryType:
			entries++
		}
		if depth > maxDepth || entries > maxDepth {
			r.add(lineOf(t), "", "is nested too deeply", "compare it with bot.example.yml")
			return false
		}
	}
	return len(r.problems) == found
}

// document returns the file's one mapping.
func (r *reader) document(file *ast.File) (place, bool) {
	var bodies []ast.Node
	for _, d := range file.Docs {
		if d.Body != nil && d.Body.Type() != ast.CommentType {
			bodies = append(bodies, d.Body)
		}
	}
	if len(bodies) == 0 {
		r.add(1, "", "is empty", "write the settings; bot.example.yml is a start")
		return place{}, false
	}
	if len(bodies) > 1 {
		r.add(lineOf(bodies[1].GetToken()), "", "holds a second YAML document", "remove the line --- and what does not belong to the settings")
		return place{}, false
	}
	root := place{r: r, node: bodies[0], line: 1}
	if _, isMap := pairs(bodies[0]); !isMap {
		root.line = lineOf(bodies[0].GetToken())
		root.wrong("does not hold settings", "start with a line such as slack: and compare with bot.example.yml")
		return place{}, false
	}
	return root, true
}

// invalidUTF8 returns the offset of the first byte that is no text, or -1.
func invalidUTF8(data []byte) int {
	for at := 0; at < len(data); {
		c, size := utf8.DecodeRune(data[at:])
		if c == utf8.RuneError && size == 1 || c == 0 {
			return at
		}
		at += size
	}
	return -1
}

// pairs returns the entries of a mapping.
func pairs(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}

// lineOf returns the line of t, or 1 if it has none.
func lineOf(t *token.Token) int {
	if t == nil || t.Position == nil {
		return 1
	}
	return max(t.Position.Line, 1)
}

// scalar returns the text of a string or number as it is written, without its
// quotes. Numbers keep their form: 1.00 stays "1.00".
func scalar(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode:
		return n.GetToken().Value, true
	}
	return "", false
}
