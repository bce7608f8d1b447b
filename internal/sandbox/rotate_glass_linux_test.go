package sandbox

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A glass is the screen of a terminal: as much of ECMA-48 as the forms use. What
// it does not know it shows, so that a test that reads it fails.
type glass struct {
	past []string // rows that were scrolled away
	rows [ttyHeight][]rune
	x, y int
	rest []byte // begin of what is not complete yet
}

func (g *glass) text() string {
	list := slices.Clone(g.past)
	for _, row := range g.rows {
		list = append(list, strings.TrimRight(string(row), " "))
	}
	return strings.TrimRight(strings.Join(list, "\n"), "\n")
}

func (g *glass) draw(b []byte) {
	b = append(g.rest, b...)
	for len(b) > 0 {
		n := 1
		switch b[0] {
		case '\r':
			g.x = 0
		case '\n':
			g.feed()
		case '\b':
			g.x = max(g.x-1, 0)
		case '\t':
			g.x = min(g.x/8*8+8, ttyWidth-1)
		case 0x1b:
			if n = sequence(b); n > 0 {
				g.obey(string(b[2:n-1]), b[n-1])
			}
		default:
			if !utf8.FullRune(b) {
				n = 0
				break
			}
			var r rune
			r, n = utf8.DecodeRune(b)
			g.put(r)
		}
		if n == 0 {
			break
		}
		b = b[n:]
	}
	g.rest = bytes.Clone(b)
}

// sequence returns how long the control sequence is with which b begins; 0 if it
// is not complete.
func sequence(b []byte) int {
	for i := 2; i < len(b); i++ {
		if b[i] >= 0x40 && b[i] <= 0x7e {
			return i + 1
		}
	}
	return 0
}

func (g *glass) feed() {
	if g.y++; g.y == ttyHeight {
		g.past = append(g.past, strings.TrimRight(string(g.rows[0]), " "))
		copy(g.rows[:], g.rows[1:])
		g.rows[ttyHeight-1], g.y = nil, ttyHeight-1
	}
}

func (g *glass) put(r rune) {
	if g.x >= ttyWidth {
		g.x = 0
		g.feed()
	}
	for len(g.rows[g.y]) <= g.x {
		g.rows[g.y] = append(g.rows[g.y], ' ')
	}
	g.rows[g.y][g.x] = r
	g.x++
}

// obey does what a control sequence says.
func (g *glass) obey(arg string, what byte) {
	n, err := strconv.Atoi(arg)
	if err != nil || n == 0 {
		n = 1
	}
	switch what {
	case 'A':
		g.y = max(g.y-n, 0)
	case 'B':
		g.y = min(g.y+n, ttyHeight-1)
	case 'C':
		g.x = min(g.x+n, ttyWidth-1)
	case 'D':
		g.x = max(g.x-n, 0)
	case 'G':
		g.x = n - 1
	case 'K':
		g.erase(arg)
	case 'J':
		g.erase(arg)
		clear(g.rows[g.y+1:])
	case 'X':
		for i := g.x; i < min(g.x+n, len(g.rows[g.y])); i++ {
			g.rows[g.y][i] = ' '
		}
	case 'm', 'h', 'l', 'p', 'u': // colours and modes
	default:
		for _, r := range "<unknown: ESC[" + arg + string(what) + ">" {
			g.put(r)
		}
	}
}

// erase takes away the rest of the row.
func (g *glass) erase(arg string) {
	if row := g.rows[g.y]; arg == "" || arg == "0" {
		g.rows[g.y] = row[:min(g.x, len(row))]
		return
	}
	g.put('?') // nothing else is asked for
}
