package herokusim

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Page sizes (platform API reference, "Ranges").
const (
	pageDefault = 200
	pageMax     = 1000
)

// An item is one element of a list with the values that it can be ranged by.
type item struct {
	keys map[string]string
	body any
}

// A list is an answer that obeys the Range header.
type list struct {
	field string   // that it is ranged by if the client names none
	by    []string // fields that it can be ranged by
	items []item
}

// A span is a parsed Range header.
type span struct {
	field       string
	first, last string // "" is open; a leading "]" or "[" is cut off
	after       bool   // first itself is excluded
	max         int
	desc        bool
}

// page returns the part of the list that the Range header asks for: status 200
// if it ends the list, else 206 and Next-Range.
func (l list) page(header string, out http.Header) (any, int, *problem) {
	out.Set("Accept-Ranges", strings.Join(l.by, ", "))
	sp, ok := parseSpan(header, l)
	if !ok {
		return nil, 0, errRange
	}
	items := slices.Clone(l.items)
	slices.SortStableFunc(items, func(a, b item) int { return order(a.keys[sp.field], b.keys[sp.field], sp.desc) })
	items = slices.DeleteFunc(items, func(it item) bool {
		k := it.keys[sp.field]
		before := sp.first != "" && order(k, sp.first, sp.desc) < 0
		excluded := sp.after && k == sp.first
		return before || excluded || sp.last != "" && order(k, sp.last, sp.desc) > 0
	})
	more := len(items) > sp.max
	if more {
		items = items[:sp.max]
	}
	bodies := make([]any, 0, len(items))
	for _, it := range items {
		bodies = append(bodies, it.body)
	}
	if len(items) == 0 {
		return bodies, http.StatusOK, nil
	}
	params := fmt.Sprintf("; max=%d", sp.max)
	if sp.desc {
		params += ", order=desc"
	}
	last := items[len(items)-1].keys[sp.field]
	out.Set("Content-Range", fmt.Sprintf("%s %s..%s%s", sp.field, items[0].keys[sp.field], last, params))
	if !more {
		return bodies, http.StatusOK, nil
	}
	out.Set("Next-Range", fmt.Sprintf("%s ]%s..%s%s", sp.field, last, sp.last, params))
	return bodies, http.StatusPartialContent, nil
}

// order compares as numbers if both are, else as text.
func order(a, b string, desc bool) int {
	c := strings.Compare(a, b)
	x, errX := strconv.Atoi(a)
	y, errY := strconv.Atoi(b)
	if errX == nil && errY == nil {
		c = x - y
	}
	if desc {
		return -c
	}
	return c
}

// parseSpan reads "version ..; max=1, order=desc"; parameters come in any order
// and with or without spaces.
func parseSpan(header string, l list) (span, bool) {
	sp := span{field: l.field, max: pageDefault}
	if header == "" {
		return sp, true
	}
	bounds, params, _ := strings.Cut(header, ";")
	first, last, ok := strings.Cut(strings.TrimSpace(bounds), "..")
	if !ok {
		return sp, false
	}
	if field, rest, ok := strings.Cut(first, " "); ok {
		sp.field, first = field, strings.TrimSpace(rest)
	} else if slices.Contains(l.by, first) {
		sp.field, first = first, ""
	}
	sp.first, sp.after = strings.CutPrefix(first, "]")
	sp.first = strings.TrimPrefix(sp.first, "[")
	sp.last = strings.TrimSpace(last)
	if !slices.Contains(l.by, sp.field) {
		return sp, false
	}
	for p := range strings.SplitSeq(params, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		switch name {
		case "":
		case "max":
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 || n > pageMax {
				return sp, false
			}
			sp.max = n
		case "order":
			if value != "asc" && value != "desc" {
				return sp, false
			}
			sp.desc = value == "desc"
		default:
			return sp, false
		}
	}
	return sp, true
}
