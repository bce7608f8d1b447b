package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// A reader collects the problems of one file.
type reader struct {
	file     string // as it was named to Load
	problems Problems
}

// add notes a problem with the file.
func (r *reader) add(line int, path, what, fix string) {
	r.problems = append(r.problems, Problem{File: r.file, Line: line, Path: path, What: what, Fix: fix})
}

// A place is one value in the file, or where it should be.
type place struct {
	r    *reader
	node ast.Node // nil if the value is not there
	line int      // of its key; of the mapping that lacks it if it is not there
	path string
}

// wrong notes a problem with this value.
func (p place) wrong(what, fix string) { p.r.add(p.line, p.path, what, fix) }

// there reports whether there is a value; a key with nothing behind it has none.
func (p place) there() bool { return p.node != nil && p.node.Type() != ast.NullType }

// given reports whether there is a value that says something: neither an empty
// text nor an empty list nor false.
func (p place) given() bool {
	if s, ok := scalar(p.node); ok {
		return s != ""
	}
	switch n := p.node.(type) {
	case *ast.SequenceNode:
		return len(n.Values) > 0
	case *ast.BoolNode:
		return n.Value
	}
	return p.there()
}

// mapping returns the entries by key, in the order of the file, and reports
// keys that are not text or are there twice.
func (p place) mapping() (keys []string, values map[string]place) {
	values = map[string]place{}
	if !p.there() {
		return nil, values
	}
	entries, ok := pairs(p.node)
	if !ok {
		p.wrong("must hold keys and values", "write each as key: value, indented below it")
		return nil, values
	}
	for _, e := range entries {
		line := lineOf(e.Key.GetToken())
		key, ok := scalar(e.Key)
		if !ok {
			p.r.add(line, p.path, "has a key that is not text", "put the key in quotes")
			continue
		}
		child := place{r: p.r, node: e.Value, line: line, path: join(p.path, key)}
		if _, twice := values[key]; twice {
			child.wrong("is there twice", "remove one of the two")
			continue
		}
		keys, values[key] = append(keys, key), child
	}
	return keys, values
}

// An object is a mapping with known keys.
type object struct {
	place
	values map[string]place
}

// object reads a mapping and reports the keys that are not in known. A value
// that is not there is an object without keys.
func (p place) object(known ...string) object {
	keys, values := p.mapping()
	for _, k := range keys {
		if !slices.Contains(known, k) {
			values[k].wrong("is not a setting", suggest(k, known))
		}
	}
	return object{place: p, values: values}
}

// at returns the value at key; if it is not there, the place where it is missing.
func (o object) at(key string) place {
	if p, ok := o.values[key]; ok {
		return p
	}
	return place{r: o.r, line: o.line, path: join(o.path, key)}
}

// need returns the object's value at key, which must be there and satisfy
// check. It returns "" after a problem.
func (o object) need(key string, check rule) string {
	p := o.at(key)
	if !p.there() {
		p.wrong("is missing", check.fix)
		return ""
	}
	return p.text(check)
}

// may returns the object's value at key, or otherwise if it is not there or
// empty. It returns otherwise after a problem too.
func (o object) may(key, otherwise string, check rule) string {
	p := o.at(key)
	if s, ok := scalar(p.node); !p.there() || ok && s == "" {
		return otherwise
	}
	if s := p.text(check); s != "" {
		return s
	}
	return otherwise
}

// flag returns the object's true or false at key.
func (o object) flag(key string) bool {
	p := o.at(key)
	if !p.there() {
		return false
	}
	b, ok := p.node.(*ast.BoolNode)
	if !ok {
		p.wrong("is neither true nor false", "write true or false, without quotes")
		return false
	}
	return b.Value
}

// list returns the items of a sequence; none if it is not there.
func (p place) list() []place {
	if !p.there() {
		return nil
	}
	seq, ok := p.node.(*ast.SequenceNode)
	if !ok {
		p.wrong("must be a list", "write [a, b], or one item a line, each after a dash")
		return nil
	}
	items := make([]place, len(seq.Values))
	for i, n := range seq.Values {
		items[i] = place{r: p.r, node: n, line: p.line, path: fmt.Sprintf("%s[%d]", p.path, i)}
		if n != nil {
			items[i].line = lineOf(n.GetToken())
		}
	}
	return items
}

// texts returns the items of a list that satisfy check.
func (p place) texts(check rule) []string {
	var out []string
	for _, item := range p.list() {
		s := item.text(check)
		if s != "" && slices.Contains(out, s) {
			item.wrong("is there twice", "remove one of the two")
			continue
		}
		if s != "" {
			out = append(out, s)
		}
	}
	return out
}

// text returns a string or number that satisfies check, or "" after a problem.
func (p place) text(check rule) string {
	s, ok := scalar(p.node)
	if !ok && (p.node == nil || p.node.Type() == ast.NullType) {
		p.wrong("is empty", check.fix)
		return ""
	}
	if !ok {
		p.wrong("must be text", "write one value, in quotes if it is a word such as true")
		return ""
	}
	if s == "" || !check.ok(s) {
		p.wrong(check.what, check.fix)
		return ""
	}
	return s
}

// join returns the path of key below parent. A key that cannot be a setting's
// name is not repeated, because it may be a secret in the wrong place.
func join(parent, key string) string {
	if !keyName.MatchString(key) || looksSecret(key) {
		key = "(a key)"
	}
	return strings.TrimPrefix(parent+"."+key, ".")
}

// keyName is what a key may look like to be repeated in a problem: settings,
// Slack ids and logins.
var keyName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,31}$`)

// looksSecret reports whether s starts like a token of a service that is used here.
func looksSecret(s string) bool {
	return slices.ContainsFunc(
		[]string{"xox", "xapp", "hrku", "ghp_", "gho_", "ghu_", "ghs_", "github_pat", "age-secret", "pk", "ak", "ck", "st."},
		func(p string) bool { return strings.HasPrefix(strings.ToLower(s), p) && len(s) > 12 })
}
