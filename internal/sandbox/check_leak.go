package sandbox

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"maps"
	"net/url"
	"slices"
	"strings"
)

const (
	pieceSize  = 12 // characters of a value that are searched for at a time, from one end to the other
	shortest   = 8  // bytes of anything that is searched for; less would be found by chance
	filterBits = 16 // of a hash
)

// A leakSearch finds values in what a program wrote, in the forms in which
// programs write them: as they are, in base64 at each offset, in hex, escaped for
// JSON, HTML and a URL, as Go prints bytes, in part (the first or last pieceSize
// characters, or twice as many from anywhere), in small or capital letters, and
// cut into pieces by other characters.
type leakSearch struct {
	needles []needle
	filter  []bool           // by slot of a start
	starts  map[uint64][]int // needles by their first bytes
}

// A needle is one form of one value.
type needle struct {
	name, form string
	text       []byte
	in         reading
}

// A reading is what is made of the data before a needle is looked for in it.
type reading int

const (
	asWritten reading = iota
	squeezed          // all but letters and digits is left out
	lowered           // in small letters
)

// A find says what was found, never the value.
type find struct {
	Name string // of the value
	Form string
}

// String implements [fmt.Stringer].
func (f find) String() string { return f.Name + " (" + f.Form + ")" }

// newLeakSearch returns a search for values by name. A value that is too short
// to be told from chance is an error of the caller's.
func newLeakSearch(values map[string]string) (*leakSearch, error) {
	l := &leakSearch{filter: make([]bool, 1<<filterBits), starts: map[uint64][]int{}}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		value := values[name]
		if len(value) < 2*shortest {
			return nil, fmt.Errorf("%s has %d characters: too few to search for", name, len(value))
		}
		size := min(pieceSize, len(value)/2)
		l.add(name, "its start", value[:size])
		for at := size; at < len(value)-size; at += size {
			l.add(name, "its middle", value[at:at+size])
		}
		l.add(name, "its end", value[len(value)-size:])
		if whole := squeeze([]byte(value)); len(whole) >= 2*shortest {
			l.needle(needle{name: name, form: "cut into pieces", text: whole, in: squeezed})
		}
	}
	return l, nil
}

// add adds every form of a part of a value.
func (l *leakSearch) add(name, which, part string) {
	quoted, _ := json.Marshal(part)
	forms := map[string][]string{
		"as it is":         {part},
		"in base64":        inBase64(part),
		"in hex":           {hex.EncodeToString([]byte(part)), strings.ToUpper(hex.EncodeToString([]byte(part)))},
		"escaped for JSON": {string(quoted[1 : len(quoted)-1]), each(part, `\u%04x`, ""), each(part, `\u%04X`, "")},
		"escaped for a URL": {
			url.QueryEscape(part), url.PathEscape(part), each(part, "%%%02x", ""), each(part, "%%%02X", ""),
		},
		"escaped for HTML":        {html.EscapeString(part), each(part, "&#%d;", ""), each(part, "&#x%x;", "")},
		"as Go prints bytes":      {each(part, "%d", " "), each(part, "%d", ","), each(part, "%d", ", "), each(part, "%02x", " "), each(part, "0x%x", ", ")},
		"as Go prints characters": {each(part, "%q", " "), each(part, "%c", " ")},
	}
	l.needle(needle{name: name, form: which + " in other letters", text: bytes.ToLower([]byte(part)), in: lowered})
	seen := map[string]bool{}
	for _, form := range slices.Sorted(maps.Keys(forms)) {
		for _, text := range forms[form] {
			if !seen[text] {
				seen[text] = true
				l.needle(needle{name: name, form: which + " " + form, text: []byte(text)})
			}
		}
	}
}

func (l *leakSearch) needle(n needle) {
	start := binary.LittleEndian.Uint64(n.text) // no form is shorter than shortest
	l.filter[slot(start)] = true
	l.starts[start] = append(l.starts[start], len(l.needles))
	l.needles = append(l.needles, n)
}

// find returns what is in data, each form once. Small and capital letters are
// taken for each other only where a value is not found otherwise.
func (l *leakSearch) find(data []byte) []find {
	found := map[find]bool{}
	l.scan(data, asWritten, found)
	l.scan(squeeze(data), squeezed, found)
	other := map[find]bool{}
	l.scan(bytes.ToLower(data), lowered, other)
	known := map[string]bool{}
	for f := range found {
		known[f.Name] = true
	}
	maps.DeleteFunc(other, func(f find, _ bool) bool { return known[f.Name] })
	maps.Copy(found, other)
	return slices.SortedFunc(maps.Keys(found), func(a, b find) int { return strings.Compare(a.String(), b.String()) })
}

// scan looks at every place of data once, however many needles there are.
func (l *leakSearch) scan(data []byte, in reading, found map[find]bool) {
	for i := 0; i+shortest <= len(data); i++ {
		start := binary.LittleEndian.Uint64(data[i:])
		if !l.filter[slot(start)] {
			continue
		}
		for _, at := range l.starts[start] {
			if n := l.needles[at]; n.in == in && bytes.HasPrefix(data[i:], n.text) {
				found[find{n.name, n.form}] = true
			}
		}
	}
}

// slot hashes the first bytes of a needle (Fibonacci hashing).
func slot(start uint64) int { return int(start * 0x9e3779b97f4a7c15 >> (64 - filterBits)) }

// inBase64 returns what part looks like inside base64, wherever it begins in the
// three bytes that make four characters. Characters that depend on its
// neighbours are left out.
func inBase64(part string) []string {
	var list []string
	for offset := range 3 {
		raw := append(make([]byte, offset), part...)
		first, last := (8*offset+5)/6, 8*len(raw)/6
		list = append(list, base64.StdEncoding.EncodeToString(raw)[first:last], base64.URLEncoding.EncodeToString(raw)[first:last])
	}
	return list
}

// each formats every byte of part.
func each(part, format, separator string) string {
	list := make([]string, len(part))
	for i := range len(part) {
		list[i] = fmt.Sprintf(format, part[i])
	}
	return strings.Join(list, separator)
}

// squeeze returns the letters and digits of data. The letter of an escaped line
// break or tab is none of them.
func squeeze(data []byte) []byte {
	kept := make([]byte, 0, len(data))
	for i, b := range data {
		if i > 0 && data[i-1] == '\\' && (b == 'n' || b == 'r' || b == 't') {
			continue
		}
		if b >= '0' && b <= '9' || b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z' {
			kept = append(kept, b)
		}
	}
	return kept
}
